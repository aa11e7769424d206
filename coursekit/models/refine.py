"""A U-Net that looks at one instance at a time, with the mask it was given, and draws its boundary again.

After Hollandi et al. (nucleAIzer, bioRxiv 2019; Cell Systems 2020), who refine the masks of Mask R-CNN with a U-Net.
A mask head answers on a grid of 28 × 28 whatever the size of the object; the refiner sees the image itself around it.
Ours works on crops resampled to one size and starts from the mask it is given: untrained it gives that mask back.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from .. import _check
from ..ops.paste import paste
from ..ops.roi import roi_align
from ..types import Boxes, Image, Masks
from .unet import UNet

MARGIN = 0.25  # how much of the surroundings is seen, in extents of the box; a boundary further out is out of reach
CONFIDENCE = 1.0  # the logit of a pixel of the given mask, before anything is learnt

AnyMasks = Masks | Float[Tensor, "N H W"]  # yes or no, or how likely


def grow(boxes: Boxes, margin: float) -> Boxes:
    """Each box wider by ``margin`` times its extent on every side."""
    _check.boxes("boxes", boxes)
    _check.positive("margin", margin, zero=True)
    extent = (boxes[:, 2:] - boxes[:, :2]) * margin
    return torch.cat([boxes[:, :2] - extent, boxes[:, 2:] + extent], 1)


def through(masks: AnyMasks, boxes: Boxes, size: int) -> Float[Tensor, "N S S"]:
    """Each mask seen through its own box, on a grid of ``size``: how much of each cell it covers."""
    count = _check.tensor("masks", masks, "K H W", "one plane a box")[0]
    if _check.boxes("boxes", boxes) != count:
        raise _check.refuse(f"{count} boxes", len(boxes), "pass one box a mask")
    if count == 0:
        return boxes.new_zeros(0, size, size)
    planes = masks[:, None].to(boxes.dtype)  # (K, 1, H, W)
    return roi_align(planes, list(boxes[:, None]), size, sampling_ratio=2)[:, 0]


def as_detected(masks: AnyMasks, boxes: Boxes, detected: Boxes, *, resolution: int = 28) -> Bool[Tensor, "N H W"]:
    """The masks as a perfect mask head gives them in the boxes ``detected``: coarse, stretched over a box a bit off.

    What to train a refiner on where no detector is at hand.
    """
    _check.positive("resolution", resolution)
    return paste(through(masks, boxes, resolution), detected, (masks.shape[1], masks.shape[2])) > 0.5


class BoundaryRefiner(nn.Module):
    """Crops ``(K, in_channels + 1, size, size)``, the mask last, to logits ``(K, size, size)`` of a better mask.

    ``look`` cuts the crops, ``targets`` what they should give, ``refine`` does all for the masks of an image.
    """

    def __init__(self, *, in_channels: int = 1, size: int = 48, base: int = 8, depth: int = 3) -> None:
        super().__init__()
        if size < 2**depth:
            expected = f"a size of at least {2**depth} for {depth} pools"
            raise _check.refuse(expected, size, "look at larger crops or take fewer levels")
        self.in_channels, self.size = in_channels, size
        self.net = UNet(ndim=2, in_channels=in_channels + 1, classes=1, base=base, depth=depth)
        nn.init.zeros_(self.net.logits.weight)

    def forward(self, crops: Float[Tensor, "N C S S"]) -> Float[Tensor, "N S S"]:
        _check.tensor("crops", crops, f"K {self.in_channels + 1} S S", "cut them with look()")
        given = CONFIDENCE * (2 * crops[:, -1] - 1)
        logits: Tensor = given + self.net(crops)[:, 0] if len(crops) else given
        return logits

    def look(self, image: Image, masks: AnyMasks, boxes: Boxes) -> Float[Tensor, "N C_in S S"]:
        """What the network sees of each instance: the image ``(C, H, W)`` around it and its mask, in one size."""
        _, h, w = _check.tensor("image", image, f"{self.in_channels} H W")
        _check.tensor("masks", masks, f"K {h} {w}", "one plane an instance, of the size of the image")
        wide = grow(boxes, MARGIN)
        around = roi_align(image[None].to(boxes.dtype), [wide], self.size, sampling_ratio=2)  # (K, C, S, S)
        return torch.cat([around, through(masks, wide, self.size)[:, None]], 1)

    def targets(self, truth: AnyMasks, boxes: Boxes) -> Float[Tensor, "N S S"]:
        """The true masks in the frame of the crops: how much of each cell is covered keeps the boundary's place."""
        return through(truth, grow(boxes, MARGIN), self.size)

    @torch.no_grad()
    def refine(self, image: Image, masks: AnyMasks, boxes: Boxes) -> Bool[Tensor, "N H W"]:
        """The masks ``(K, H, W)`` with their boundaries drawn again; call ``eval()`` first. ``boxes (K, 4)``: the
        detector's.

        Instances are refined one by one: neighbours may come to overlap by a pixel or two.
        """
        likely = self(self.look(image, masks, boxes)).sigmoid()
        return paste(likely, grow(boxes, MARGIN), (image.shape[1], image.shape[2])) > 0.5
