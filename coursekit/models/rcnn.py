"""Mask R-CNN (He et al. 2017): propose regions, then of each say what it is, where exactly, and which pixels.

``MaskBranch`` is its mask part alone, on given boxes; ``MaskRCNN`` is the whole.
"""

import itertools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from .. import _check, losses
from ..ops import boxes as box_ops
from ..ops.nms import batched_nms
from ..ops.paste import paste
from ..ops.roi import roi_align
from ..types import Boxes
from .pyramid import Pyramid, conv_norm_relu
from .rpn import RegionProposals, assign, balanced, propose, rpn_loss

# (features (N, C, H, W), boxes [(L, 4)] * N, output_size=R, spatial_scale=1/stride) -> (K, C, R, R)
RoIOp = Callable[..., Tensor]


def backbone(*, stride: int, in_channels: int = 1, width: int = 32) -> nn.Sequential:
    """Halve the image ``log2(stride)`` times, then look around twice: ``(N, C, H, W) -> (N, width, H // stride, W //
    stride)``.
    """
    _check.one_of("stride", stride, (2, 4, 8, 16, 32))
    channels = [in_channels, *[width] * (stride.bit_length() - 1)]
    down = [conv_norm_relu(a, b, halve=True) for a, b in itertools.pairwise(channels)]
    return nn.Sequential(*down, conv_norm_relu(width, width), conv_norm_relu(width, width))


def mask_head(width: int = 32, classes: int = 1) -> nn.Sequential:
    """Two convolutions, one up-convolution, one logit a pixel and class: ``(K, width, R, R) -> (K, classes, 2R, 2R)``."""
    return nn.Sequential(
        conv_norm_relu(width, width),
        conv_norm_relu(width, width),
        nn.ConvTranspose2d(width, width, 2, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(width, classes, 1),
    )


class MaskBranch(nn.Module):
    """Backbone → RoI operation → mask head, on given boxes.

    Everything but ``roi_op`` is the same whichever is used, which is what makes a fair comparison of RoI operations.
    Source: He et al. 2017, figure 4 (the head of the C4 variant, narrower).
    """

    def __init__(
        self, roi_op: RoIOp, *, stride: int = 8, width: int = 32, resolution: int = 14, in_channels: int = 1
    ) -> None:
        super().__init__()
        self.roi_op, self.stride, self.resolution = roi_op, stride, resolution
        self.backbone = backbone(stride=stride, in_channels=in_channels, width=width)
        self.head = mask_head(width)

    def forward(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Mask logits ``(K, 2R, 2R)`` for images ``(N, C, H, W)`` and a list of ``N`` box tensors ``(L, 4)``, in
        pixels.
        """
        _check.tensor("images", images, "N C H W")
        if len(boxes) != len(images):
            raise _check.refuse(
                f"{len(images)} box tensors", len(boxes), "give one an image, empty (0, 4) where there are no boxes"
            )
        features = self.backbone(images)  # (N, width, H/stride, W/stride)
        regions = self.roi_op(
            features, list(boxes), output_size=self.resolution, spatial_scale=1 / self.stride
        )  # (K, width, R, R)
        logits: Tensor = self.head(regions)  # (K, 1, 2R, 2R)
        return logits[:, 0]


def jitter(boxes: Tensor, *, amount: float, generator: torch.Generator) -> Tensor:
    """Move each side of each box ``(N, 4)`` by a normal step of ``amount`` times its extent, as a region proposal would
    be off.
    """
    count = _check.boxes("boxes", boxes)
    _check.positive("amount", amount, zero=True)
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)  # (N, 4): w, h, w, h
    step = torch.randn(count, 4, generator=generator, dtype=boxes.dtype, device=generator.device).to(boxes.device)
    moved = boxes + amount * extent * step
    return torch.cat([torch.minimum(moved[:, :2], moved[:, 2:]), torch.maximum(moved[:, :2], moved[:, 2:])], 1)


class Target(NamedTuple):
    """The truth of one image: G objects."""

    boxes: Float[Tensor, "G 4"]
    labels: Integer[Tensor, "G"]  # 1 … classes; 0 is the background
    masks: Bool[Tensor, "G H W"]


class Detections(NamedTuple):
    """What was found in one image: K objects, best first."""

    boxes: Float[Tensor, "K 4"]
    scores: Float[Tensor, "K"]
    labels: Integer[Tensor, "K"]
    masks: Bool[Tensor, "K H W"]


class Pooler(nn.Module):
    """A RoI operation on a pyramid: each box is read from the map that fits its size.

    A box of √area s goes to the coarsest map of stride at most s / ``cells``, the finest if there is none (the idea
    of Lin et al. 2017, equation 1, whose 224 pixels at stride 16 make ``cells`` 14; here small objects may still fill
    a map).
    """

    def __init__(self, roi_op: RoIOp, *, strides: Sequence[int], cells: float = 7.0) -> None:
        super().__init__()
        self.roi_op, self.strides, self.cells = roi_op, tuple(strides), cells

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor], size: int) -> Tensor:
        """Maps ``(N, C, H_l, W_l)`` and one ``(L, 4)`` an image to ``(K, C, size, size)``, all boxes in order."""
        numbered = torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(boxes)])  # (K, 5)
        if len(features) == 1:
            return self.roi_op(features[0], numbered, output_size=size, spatial_scale=1 / self.strides[0])
        root = (numbered[:, 3:] - numbered[:, 1:3]).prod(1).clamp(min=0).sqrt()
        level = torch.stack([root >= self.cells * s for s in self.strides[1:]]).sum(0)  # (K,)
        pooled = features[0].new_zeros(len(numbered), features[0].shape[1], size, size)
        for i, (x, stride) in enumerate(zip(features, self.strides, strict=True)):
            rows = (level == i).nonzero()[:, 0]
            pooled = pooled.index_copy(
                0, rows, self.roi_op(x, numbered[rows], output_size=size, spatial_scale=1 / stride).to(pooled.dtype)
            )
        return pooled


class BoxHead(nn.Module):
    """Two fully connected layers, then a logit a class (0 is the background) and four offsets a class."""

    def __init__(self, width: int, classes: int, *, resolution: int = 7, hidden: int = 128) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * resolution**2, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.logits, self.offsets = nn.Linear(hidden, classes + 1), nn.Linear(hidden, 4 * (classes + 1))

    def forward(self, regions: Tensor) -> tuple[Tensor, Tensor]:
        """``(K, width, R, R)`` to logits ``(K, classes + 1)`` and offsets ``(K, classes + 1, 4)``."""
        x = self.body(regions)
        return self.logits(x), self.offsets(x).unflatten(1, (-1, 4))


class MaskRCNN(nn.Module):
    """Backbone → proposals → each region classified, its box mended, its mask drawn (He et al. 2017, figure 1).

    ``backbone`` takes images to a list of maps of one ``width`` at its ``strides`` (``coursekit.models.pyramid``).
    ``roi_op`` is what cuts out the regions. ``sizes`` are the anchors' √area on each map, in pixels. In training
    ``model(images, targets, generator=g)`` gives the five losses; ``model(images)`` gives what it finds.
    """

    WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # scale the box head's offsets to about one: He et al. 2017 after Girshick 2015

    def __init__(
        self,
        backbone: Pyramid,
        roi_op: RoIOp,
        *,
        classes: int = 1,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
        per_image: int = 64,
        proposals: int = 300,
        score_threshold: float = 0.05,
        nms_threshold: float = 0.5,
        most: int = 100,
    ) -> None:
        super().__init__()
        width = backbone.width
        self.backbone, self.classes = backbone, classes
        self.rpn = RegionProposals(width, strides=backbone.strides, sizes=sizes, ratios=ratios)
        self.pool = Pooler(roi_op, strides=backbone.strides)
        self.box_head, self.mask_head = BoxHead(width, classes), mask_head(width, classes)
        self.per_image, self.proposals, self.score_threshold = per_image, proposals, score_threshold
        self.nms_threshold, self.most = nms_threshold, most

    def forward(
        self, images: Tensor, targets: Sequence[Target] | None = None, *, generator: Generator | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Images ``(N, C, H, W)``. With targets: the losses, sampled by ``generator``. Without: one ``Detections`` an
        image.
        """
        _check.tensor("images", images, "N C H W")
        features = self.backbone(images)
        raw = self.rpn(features)
        size = (images.shape[-2], images.shape[-1])
        regions = [boxes for boxes, _ in propose(raw, size, keep=self.proposals)]
        if targets is None:
            return self.detect(features, regions, size)
        if len(targets) != len(images) or generator is None:
            raise _check.refuse(
                f"{len(images)} targets and a generator", f"{len(targets)}, {generator}", "give one target an image"
            )
        objectness, rpn_box = rpn_loss(raw, [t.boxes for t in targets], generator=generator)
        return {"objectness": objectness, "rpn_box": rpn_box} | self.head_losses(features, regions, targets, generator)

    def head_losses(
        self, features: Sequence[Tensor], regions: Sequence[Tensor], targets: Sequence[Target], generator: Generator
    ) -> dict[str, Tensor]:
        """Cross-entropy of the class, smooth L1 of the box of the true class, cross-entropy of its mask, over sampled
        regions.

        A quarter of the regions overlap an object by 0.5 or more; the truth is among them, so that none goes unseen
        (He et al. 2017, 3.1).
        """
        picked = [sample_regions(r, t, count=self.per_image, generator=generator) for r, t in zip(regions, targets)]
        boxes, index = [p.boxes for p in picked], [p.truth for p in picked]
        labels = torch.cat([torch.where(i >= 0, _take(t.labels, i), 0) for i, t in zip(index, targets)])
        logits, offsets = self.box_head(self.pool(features, boxes, 7))
        positive = labels > 0
        truth = torch.cat([_take(t.boxes, i) for i, t in zip(index, targets)])
        wanted = box_ops.encode(truth[positive], torch.cat(boxes)[positive], weights=self.WEIGHTS)
        said = offsets[positive, labels[positive]]
        good = [b[i >= 0] for b, i in zip(boxes, index)]
        masks = torch.cat([mask_targets(t.masks[i[i >= 0]], b, 28) for t, i, b in zip(targets, index, good)])
        drawn = self.mask_head(self.pool(features, good, 14))
        return {
            "class": losses.cross_entropy(logits, labels),
            "box": losses.smooth_l1(said, wanted.to(said.dtype), beta=1 / 9, reduction="sum") / max(len(labels), 1),
            "mask": losses.mask_loss(drawn, masks, labels[positive] - 1),
        }

    @torch.no_grad()
    def detect(self, features: Sequence[Tensor], regions: Sequence[Tensor], size: tuple[int, int]) -> list[Detections]:
        """Classify regions, mend their boxes, suppress duplicates within a class, draw the masks of what is left."""
        logits, offsets = self.box_head(self.pool(features, regions, 7))
        counts = [len(r) for r in regions]
        found = [
            best_boxes(
                p,
                o,
                r,
                size,
                threshold=self.score_threshold,
                iou_threshold=self.nms_threshold,
                most=self.most,
                weights=self.WEIGHTS,
            )
            for p, o, r in zip(logits.float().softmax(1).split(counts), offsets.float().split(counts), regions)
        ]
        drawn = self.mask_head(self.pool(features, [boxes for boxes, _, _ in found], 14)).float().sigmoid()
        labels = torch.cat([labels for _, _, labels in found])
        own = drawn[torch.arange(len(labels), device=labels.device), labels - 1].split([len(b) for b, _, _ in found])
        return [Detections(b, s, lab, paste(m, b, size) > 0.5) for (b, s, lab), m in zip(found, own)]


class Sampled(NamedTuple):
    """Regions to learn from, and the object each stands for (−1: background)."""

    boxes: Float[Tensor, "S 4"]
    truth: Integer[Tensor, "S"]


def sample_regions(
    regions: Tensor, target: Target, *, count: int, share: float = 0.25, generator: Generator
) -> Sampled:
    """At most ``count`` of the proposals and the true boxes, ``share`` of them on an object (IoU at least 0.5)."""
    everything = torch.cat([regions, target.boxes.to(regions.dtype)])
    assigned = assign(box_ops.iou(target.boxes.to(regions.dtype), everything), low=0.5, high=0.5)
    rows = torch.cat(balanced(assigned, count=count, share=share, generator=generator))
    return Sampled(everything[rows], assigned[rows])


def mask_targets(masks: Bool[Tensor, "L H W"], boxes: Boxes, size: int) -> Float[Tensor, "L {size} {size}"]:
    """What the mask head should say: masks seen through their boxes, cut at one half."""
    numbered = torch.cat([torch.arange(len(boxes), device=boxes.device)[:, None].to(boxes.dtype), boxes], 1)
    seen = (
        roi_align(masks[:, None].to(boxes.dtype), numbered, size, sampling_ratio=2)
        if len(boxes)
        else boxes.new_zeros(0, 1, size, size)
    )
    return (seen[:, 0] > 0.5).to(boxes.dtype)


def best_boxes(
    probability: Float[Tensor, "R C"],
    offsets: Float[Tensor, "R C 4"],
    regions: Float[Tensor, "R 4"],
    size: tuple[int, int],
    *,
    threshold: float,
    iou_threshold: float,
    most: int,
    weights: box_ops.Weights,
) -> tuple[Boxes, Float[Tensor, "K"], Integer[Tensor, "K"]]:
    """Boxes, scores and labels of one image: every region for every class but the background, duplicates suppressed
    class by class.
    """
    r, c = probability.shape
    boxes = box_ops.decode(offsets.flatten(0, 1), regions.repeat_interleave(c, 0), weights=weights)  # (R·C, 4)
    boxes, scores = box_ops.clip(boxes, size), probability.flatten()
    labels = torch.arange(c, device=regions.device).repeat(r)
    sound = (labels > 0) & (scores > threshold) & ((boxes[:, 2:] - boxes[:, :2]) >= 1e-2).all(1)
    boxes, scores, labels = boxes[sound], scores[sound], labels[sound]
    kept = batched_nms(boxes, scores, labels, iou_threshold)[:most]
    return boxes[kept], scores[kept], labels[kept]


def _take(values: Tensor, index: Tensor) -> Tensor:
    """Rows of ``values``; where the index is negative any row, or 0 if there is none."""
    return values[index.clamp(min=0)] if len(values) else values.new_zeros(len(index), *values.shape[1:])
