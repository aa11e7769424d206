"""Mask R-CNN (He et al. 2017): propose regions, then of each say what it is, where exactly, and which pixels.

``MaskBranch`` is its mask part alone, on given boxes; ``MaskRCNN`` is the whole.
"""

import itertools
from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor, nn

from .. import _check, losses
from ..ops import boxes as box_ops
from ..ops.nms import batched_nms
from ..ops.paste import paste
from ..ops.roi import roi_align
from ..types import Boxes, Labels, Scores
from .pyramid import Pyramid, conv_norm_relu
from .rpn import BETA, RegionProposals, assign, balanced, propose, rpn_loss

# (features (N, C, H, W), boxes [(L, 4)] * N, output_size=R, spatial_scale=1/stride) -> (K, C, R, R)
RoIOp = Callable[..., Tensor]
BOX_CELLS, MASK_CELLS = 7, 14  # R of the regions that the two heads read
WEIGHTS = (10.0, 10.0, 5.0, 5.0)  # scale the box head's offsets to about one: He et al. 2017 after Girshick 2015
SMALLEST = 1e-2  # pixels: a thinner box is none


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


def jitter(boxes: Boxes, *, amount: float, generator: Generator) -> Boxes:
    """Move each side of each box by a normal step of ``amount`` times its extent, as a proposal would be off."""
    count = _check.boxes("boxes", boxes)
    _check.positive("amount", amount, zero=True)
    extent = (boxes[:, 2:] - boxes[:, :2]).repeat(1, 2)  # (N, 4): w, h, w, h
    step = torch.randn(count, 4, generator=generator, dtype=boxes.dtype, device=generator.device).to(boxes.device)
    moved = boxes + amount * extent * step
    return torch.cat([torch.minimum(moved[:, :2], moved[:, 2:]), torch.maximum(moved[:, :2], moved[:, 2:])], 1)


def mask_targets(masks: Bool[Tensor, "L H W"], boxes: Boxes, size: int) -> Float[Tensor, "L {size} {size}"]:
    """What the mask head should say: masks seen through their boxes, cut at one half."""
    if not len(boxes):
        return boxes.new_zeros(0, size, size)
    number = torch.arange(len(boxes), device=boxes.device)[:, None].to(boxes.dtype)
    seen = roi_align(masks[:, None].to(boxes.dtype), torch.cat([number, boxes], 1), size, sampling_ratio=2)
    return (seen[:, 0] > 0.5).to(boxes.dtype)


# --- the mask part alone ---


def backbone(*, stride: int, in_channels: int = 1, width: int = 32) -> nn.Sequential:
    """Halve the image ``log2(stride)`` times, then look around twice: ``-> (N, width, H // stride, W // stride)``."""
    _check.one_of("stride", stride, (2, 4, 8, 16, 32))
    channels = [in_channels, *[width] * (stride.bit_length() - 1)]
    down = [conv_norm_relu(a, b, halve=True) for a, b in itertools.pairwise(channels)]
    return nn.Sequential(*down, conv_norm_relu(width, width), conv_norm_relu(width, width))


def mask_head(width: int, classes: int = 1) -> nn.Sequential:
    """Two convolutions, an up-convolution, a logit a pixel and class: ``(K, width, R, R) -> (K, classes, 2R, 2R)``."""
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

    def __init__(self, roi_op: RoIOp, *, stride: int = 8, width: int = 32, resolution: int = MASK_CELLS) -> None:
        super().__init__()
        self.roi_op, self.stride, self.resolution = roi_op, stride, resolution
        self.backbone = backbone(stride=stride, width=width)
        self.head = mask_head(width)

    def forward(self, images: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """Images ``(N, C, H, W)``, boxes ``(L, 4)`` of each in pixels, to mask logits ``(K, 2R, 2R)`` of all."""
        _check.tensor("images", images, "N C H W")
        if len(boxes) != len(images):
            advice = "give one an image, empty (0, 4) where there are no boxes"
            raise _check.refuse(f"{len(images)} box tensors", len(boxes), advice)
        features = self.backbone(images)  # (N, width, H/stride, W/stride)
        regions = self.roi_op(features, list(boxes), output_size=self.resolution, spatial_scale=1 / self.stride)
        logits: Tensor = self.head(regions)  # (K, 1, 2R, 2R)
        return logits[:, 0]


# --- the parts of the whole ---


class Pooler(nn.Module):
    """A RoI operation on a pyramid: each box is read from the map that fits its size.

    A box of √area s goes to the coarsest map of stride at most s / ``CELLS``, else the finest (the idea of Lin et al.
    2017, equation 1, whose 224 pixels at stride 16 are 14 cells; here small objects may fill a map).
    """

    CELLS = 7.0

    def __init__(self, roi_op: RoIOp, *, strides: Sequence[int]) -> None:
        super().__init__()
        self.roi_op, self.strides = roi_op, tuple(strides)

    def forward(self, features: Sequence[Tensor], boxes: Sequence[Tensor], size: int) -> Tensor:
        """Maps ``(N, C, H_l, W_l)`` and one ``(L, 4)`` an image to ``(K, C, size, size)``, all boxes in order."""
        numbered = torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(boxes)])  # (K, 5)
        if len(features) == 1:
            return self.roi_op(features[0], numbered, output_size=size, spatial_scale=1 / self.strides[0])
        root = (numbered[:, 3:] - numbered[:, 1:3]).prod(1).clamp(min=0).sqrt()
        level = torch.stack([root >= self.CELLS * s for s in self.strides[1:]]).sum(0)  # (K,)
        pooled = features[0].new_zeros(len(numbered), features[0].shape[1], size, size)
        for i, (x, stride) in enumerate(zip(features, self.strides, strict=True)):
            rows = (level == i).nonzero()[:, 0]
            regions = self.roi_op(x, numbered[rows], output_size=size, spatial_scale=1 / stride)
            pooled = pooled.index_copy(0, rows, regions.to(pooled.dtype))
        return pooled


class BoxHead(nn.Module):
    """Two fully connected layers, then a logit a class (0 is the background) and four offsets a class."""

    HIDDEN = 128

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Flatten(),
            nn.Linear(width * BOX_CELLS**2, self.HIDDEN),
            nn.ReLU(inplace=True),
            nn.Linear(self.HIDDEN, self.HIDDEN),
            nn.ReLU(inplace=True),
        )
        self.logits = nn.Linear(self.HIDDEN, classes + 1)
        self.offsets = nn.Linear(self.HIDDEN, 4 * (classes + 1))

    def forward(self, regions: Float[Tensor, "K C R R"]) -> tuple[Tensor, Tensor]:
        """Logits ``(K, classes + 1)`` and offsets ``(K, classes + 1, 4)``."""
        x = self.body(regions)
        return self.logits(x), self.offsets(x).unflatten(1, (-1, 4))


class Sampled(NamedTuple):
    """Regions to learn from, and the object each stands for (−1: background)."""

    boxes: Float[Tensor, "S 4"]
    truth: Integer[Tensor, "S"]


def sample_regions(regions: Boxes, target: Target, *, count: int, generator: Generator) -> Sampled:
    """At most ``count`` regions to learn from, a quarter of them on an object (IoU at least 0.5).

    The true boxes are among the candidates, so that no object goes unseen (He et al. 2017, section 3.1).
    """
    true = target.boxes.to(regions.dtype)
    candidates = torch.cat([regions, true])
    assigned = assign(box_ops.iou(true, candidates), low=0.5, high=0.5)
    rows = torch.cat(balanced(assigned, count=count, share=0.25, generator=generator))
    return Sampled(candidates[rows], assigned[rows])


def best_boxes(
    probability: Float[Tensor, "R C"],
    offsets: Float[Tensor, "R C 4"],
    regions: Float[Tensor, "R 4"],
    size: tuple[int, int],
    *,
    threshold: float,
    iou_threshold: float,
    most: int,
) -> tuple[Boxes, Scores, Labels]:
    """Of one image: every region as every class but the background, duplicates suppressed class by class."""
    r, c = probability.shape
    boxes = box_ops.decode(offsets.flatten(0, 1), regions.repeat_interleave(c, 0), weights=WEIGHTS)  # (R·C, 4)
    boxes, scores = box_ops.clip(boxes, size), probability.flatten()
    labels = torch.arange(c, device=regions.device).repeat(r)
    sound = (labels > 0) & (scores > threshold) & ((boxes[:, 2:] - boxes[:, :2]) >= SMALLEST).all(1)
    boxes, scores, labels = boxes[sound], scores[sound], labels[sound]
    kept = batched_nms(boxes, scores, labels, iou_threshold)[:most]
    return boxes[kept], scores[kept], labels[kept]


class MaskRCNN(nn.Module):
    """Backbone → proposals → each region classified, its box mended, its mask drawn (He et al. 2017, figure 1).

    ``backbone`` takes images to a list of maps of one ``width`` at its ``strides`` (``coursekit.models.pyramid``).
    ``roi_op`` is what cuts out the regions. ``sizes`` are the anchors' √area on each map, in pixels. In training
    ``model(images, targets, generator=g)`` gives the five losses; ``model(images)`` gives what it finds.
    """

    per_image = 64  # regions of an image to learn from
    proposals = 300  # regions of an image that the second stage looks at
    score_threshold, nms_threshold, most = 0.05, 0.5, 100  # what it keeps of them

    def __init__(
        self,
        backbone: Pyramid,
        roi_op: RoIOp,
        *,
        classes: int = 1,
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float] = (0.5, 1.0, 2.0),
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.rpn = RegionProposals(backbone.width, strides=backbone.strides, sizes=sizes, ratios=ratios)
        self.pool = Pooler(roi_op, strides=backbone.strides)
        self.box_head, self.mask_head = BoxHead(backbone.width, classes), mask_head(backbone.width, classes)

    def forward(
        self, images: Tensor, targets: Sequence[Target] | None = None, *, generator: Generator | None = None
    ) -> dict[str, Tensor] | list[Detections]:
        """Images ``(N, C, H, W)``; with targets the losses, sampled by ``generator``; without what is found in each."""
        _check.tensor("images", images, "N C H W")
        features = self.backbone(images)
        raw = self.rpn(features)
        size = (images.shape[-2], images.shape[-1])
        regions = [boxes for boxes, _ in propose(raw, size, keep=self.proposals)]
        if targets is None:
            return self.detect(features, regions, size)
        if len(targets) != len(images) or generator is None:
            got = f"{len(targets)}, {generator}"
            raise _check.refuse(f"{len(images)} targets and a generator", got, "give one target an image")
        objectness, rpn_box = rpn_loss(raw, [t.boxes for t in targets], generator=generator)
        return {"objectness": objectness, "rpn_box": rpn_box} | self.head_losses(features, regions, targets, generator)

    def head_losses(
        self, features: Sequence[Tensor], regions: Sequence[Tensor], targets: Sequence[Target], generator: Generator
    ) -> dict[str, Tensor]:
        """Over sampled regions: cross-entropy of class and of the true class's mask, smooth L1 of its box."""
        sampled = [sample_regions(r, t, count=self.per_image, generator=generator) for r, t in zip(regions, targets)]
        boxes, on_object = [s.boxes for s in sampled], [s.boxes[s.truth >= 0] for s in sampled]
        index = [s.truth[s.truth >= 0] for s in sampled]  # which object those stand for
        true_labels = torch.cat([t.labels[i] for t, i in zip(targets, index)])
        true_boxes = torch.cat([t.boxes[i] for t, i in zip(targets, index)])
        true_masks = [mask_targets(t.masks[i], b, 2 * MASK_CELLS) for t, i, b in zip(targets, index, on_object)]
        positive = torch.cat([s.truth for s in sampled]) >= 0
        labels = true_labels.new_zeros(len(positive)).masked_scatter(positive, true_labels)
        logits, offsets = self.box_head(self.pool(features, boxes, BOX_CELLS))
        predicted = offsets[positive, true_labels]
        wanted = box_ops.encode(true_boxes, torch.cat(on_object), weights=WEIGHTS).to(predicted.dtype)
        drawn = self.mask_head(self.pool(features, on_object, MASK_CELLS))
        return {
            "class": losses.cross_entropy(logits, labels),
            "box": losses.smooth_l1(predicted, wanted, beta=BETA, reduction="sum") / max(len(labels), 1),
            "mask": losses.mask_loss(drawn, torch.cat(true_masks), true_labels - 1),
        }

    @torch.no_grad()
    def detect(self, features: Sequence[Tensor], regions: Sequence[Tensor], size: tuple[int, int]) -> list[Detections]:
        """Classify regions, mend their boxes, suppress duplicates within a class, draw the masks of what is left."""
        logits, offsets = self.box_head(self.pool(features, regions, BOX_CELLS))
        counts = [len(r) for r in regions]
        pick = partial(
            best_boxes, size=size, threshold=self.score_threshold, iou_threshold=self.nms_threshold, most=self.most
        )
        kept = list(map(pick, logits.float().softmax(1).split(counts), offsets.float().split(counts), regions))
        boxes = [box for box, _, _ in kept]
        drawn = self.mask_head(self.pool(features, boxes, MASK_CELLS)).float().sigmoid()
        detections = []
        for (box, score, label), planes in zip(kept, drawn.split([len(box) for box in boxes])):
            own = planes[torch.arange(len(label), device=label.device), label - 1]  # the plane of its class
            detections.append(Detections(box, score, label, paste(own, box, size) > 0.5))
        return detections
