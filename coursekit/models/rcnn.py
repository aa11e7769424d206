"""The mask branch of Mask R-CNN (He et al. 2017, section 3): features of a region → the mask of the object in it."""

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from .. import _check

# (features (N, C, H, W), boxes [(L, 4)] * N, output_size=R, spatial_scale=1/stride) -> (K, C, R, R)
RoIOp = Callable[..., Tensor]


def conv_norm_relu(inputs: int, outputs: int, *, stride: int = 1) -> nn.Sequential:
    """A 3×3 convolution, batch norm, ReLU: ``(N, inputs, H, W) -> (N, outputs, ⌈H/stride⌉, ⌈W/stride⌉)``."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)
    )


def backbone(*, stride: int, in_channels: int = 1, width: int = 32) -> nn.Sequential:
    """Halve the image ``log2(stride)`` times, then look around twice: ``(N, C, H, W) -> (N, width, H/stride, W/stride)``."""
    _check.one_of("stride", stride, (2, 4, 8, 16, 32))
    halvings = stride.bit_length() - 1
    channels = [in_channels, *[width] * halvings]
    down = [conv_norm_relu(a, b, stride=2) for a, b in itertools.pairwise(channels)]
    return nn.Sequential(*down, conv_norm_relu(width, width), conv_norm_relu(width, width))


def mask_head(width: int = 32) -> nn.Sequential:
    """Two convolutions, one up-convolution, one logit a pixel: ``(K, width, R, R) -> (K, 1, 2R, 2R)``."""
    return nn.Sequential(
        conv_norm_relu(width, width),
        conv_norm_relu(width, width),
        nn.ConvTranspose2d(width, width, 2, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, 1, 1),
    )


class MaskBranch(nn.Module):
    """Backbone → RoI operation → mask head, on given boxes.

    Everything but ``roi_op`` is the same whichever is used, which is what makes a fair comparison of RoI operations.
    Source: He et al. 2017, figure 4 (the head of the C4 variant, narrower).
    """

    def __init__(self, roi_op: RoIOp, *, stride: int = 8, width: int = 32, resolution: int = 14, in_channels: int = 1) -> None:
        super().__init__()
        self.roi_op, self.stride, self.resolution = roi_op, stride, resolution
        self.backbone = backbone(stride=stride, in_channels=in_channels, width=width)
        self.head = mask_head(width)

    def forward(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Mask logits ``(K, 2R, 2R)`` for images ``(N, C, H, W)`` and a list of ``N`` box tensors ``(L, 4)``, in pixels."""
        _check.tensor("images", images, "N C H W")
        if len(boxes) != len(images):
            raise _check.refuse(f"{len(images)} box tensors", len(boxes), "give one an image, empty (0, 4) where there are no boxes")
        features = self.backbone(images)  # (N, width, H/stride, W/stride)
        regions = self.roi_op(features, list(boxes), output_size=self.resolution, spatial_scale=1 / self.stride)  # (K, width, R, R)
        logits: Tensor = self.head(regions)  # (K, 1, 2R, 2R)
        return logits[:, 0]


def jitter(boxes: Tensor, *, amount: float, generator: torch.Generator) -> Tensor:
    """Move each side of each box ``(N, 4)`` by a normal step of ``amount`` times its extent, as a region proposal would be off."""
    count = _check.boxes("boxes", boxes)
    _check.positive("amount", amount, zero=True)
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)  # (N, 4): w, h, w, h
    step = torch.randn(count, 4, generator=generator, dtype=boxes.dtype, device=generator.device).to(boxes.device)
    moved = boxes + amount * extent * step
    return torch.cat([torch.minimum(moved[:, :2], moved[:, 2:]), torch.maximum(moved[:, :2], moved[:, 2:])], 1)
