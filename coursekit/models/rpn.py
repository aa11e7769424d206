"""The region proposal network: where might an object be? (Ren et al. 2015; journal version 2017, section 3)

At each cell of the feature map lie a few anchors, boxes of fixed size and shape. For each the network says how likely
an object is there (objectness) and how to move and stretch the anchor onto it (offsets). The best, without
near-duplicates, are the proposals.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer
from torch import Generator, Tensor, nn

from .. import _check, losses
from ..ops import boxes as box_ops
from ..ops.nms import batched_nms

BACKGROUND, BETWEEN = -1, -2  # what an anchor or proposal is assigned to when it is no object
BETA = 1 / 9  # where the smooth L1 loss of offsets becomes a line, as in the code of Ren et al.


class Raw(NamedTuple):
    """What the network says of A anchors in N images."""

    objectness: Float[Tensor, "N A"]  # logits
    offsets: Float[Tensor, "N A 4"]
    anchors: Float[Tensor, "A 4"]
    level: Integer[Tensor, "A"]  # the feature map each anchor lies on


class RegionProposals(nn.Module):
    """One 3×3 convolution, then for every anchor of a cell a logit and four offsets; the same on every feature map.

    ``strides``: input pixels a cell of each map; ``sizes``: √area of its anchors; ``ratios``: their height over width.
    """

    def __init__(
        self, width: int, *, strides: Sequence[int], sizes: Sequence[Sequence[float]], ratios: Sequence[float]
    ) -> None:
        super().__init__()
        counts = [len(s) for s in sizes]
        if len(set(counts)) != 1 or len(sizes) != len(strides):
            raise _check.refuse(f"as many sizes on each of {len(strides)} maps", counts, "give one list a stride")
        self.strides, self.sizes, self.ratios = strides, sizes, ratios
        each = counts[0] * len(ratios)  # anchors of a cell
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.objectness, self.offsets = nn.Conv2d(width, each, 1), nn.Conv2d(width, 4 * each, 1)
        for layer in (self.look, self.objectness, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Raw:
        """Feature maps ``(N, width, H_l, W_l)``, finest first, to what is said of every anchor of all of them."""
        logits, offsets, anchors = [], [], []
        for x, stride, sizes in zip(features, self.strides, self.sizes, strict=True):
            x = F.relu(self.look(x))
            n, _, h, w = x.shape
            logits.append(self.objectness(x).permute(0, 2, 3, 1).reshape(n, -1))  # (N, H·W·each), as anchors are
            offsets.append(self.offsets(x).permute(0, 2, 3, 1).reshape(n, -1, 4))
            anchors.append(box_ops.anchors((h, w), stride=stride, sizes=sizes, ratios=self.ratios, device=x.device))
        level = torch.cat([torch.full((len(a),), i, device=a.device) for i, a in enumerate(anchors)])
        return Raw(torch.cat(logits, 1), torch.cat(offsets, 1), torch.cat(anchors), level)


@torch.no_grad()
def propose(
    raw: Raw, size: tuple[int, int], *, before: int = 1000, keep: int = 300, iou_threshold: float = 0.7
) -> list[tuple[Float[Tensor, "_ 4"], Float[Tensor, "_"]]]:
    """Each image's proposals and their objectness (0 … 1), best first, clipped to the image of ``size`` (H, W).

    The ``before`` best of each feature map go into non-maximum suppression, map by map; the ``keep`` best leave it.
    """
    levels = [(raw.level == i).nonzero()[:, 0] for i in raw.level.unique()]  # the anchors of each map
    proposals = []
    for logits, offsets in zip(raw.objectness, raw.offsets):
        rows = torch.cat([own[logits[own].topk(min(before, len(own))).indices] for own in levels])
        boxes = box_ops.clip(box_ops.decode(offsets[rows].float(), raw.anchors[rows]), size)
        sound = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-3).all(1)  # pixels: not clipped away
        rows, boxes = rows[sound], boxes[sound]
        scores = logits[rows].float().sigmoid()
        kept = batched_nms(boxes, scores, raw.level[rows], iou_threshold)[:keep]
        proposals.append((boxes[kept], scores[kept]))
    return proposals


def assign(iou: Float[Tensor, "G A"], *, low: float, high: float, best: bool = False) -> Integer[Tensor, "A"]:
    """The object each anchor overlaps most, if by ``high``; BACKGROUND if by less than ``low``; else BETWEEN.

    ``best`` also gives each object all anchors that overlap it as much as any does, however little, but for those
    that overlap nothing. Source: Ren et al. (journal version), section 3.1.2.
    """
    if not iou.shape[0]:
        return torch.full((iou.shape[1],), BACKGROUND, device=iou.device)
    overlap, nearest = iou.max(0)
    assigned = torch.where(overlap >= high, nearest, torch.where(overlap < low, BACKGROUND, BETWEEN))
    if best and iou.shape[1]:
        top = iou.amax(1, keepdim=True)  # (G, 1)
        assigned = torch.where(((iou == top) & (top > 0)).any(0), nearest, assigned)
    return assigned


def balanced(
    assigned: Integer[Tensor, "A"], *, count: int, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """At most ``count`` anchors to learn from: at most ``share`` of them objects, background for the rest."""

    def shuffled(where: Tensor) -> Tensor:
        rows = where.nonzero()[:, 0]
        order = torch.randperm(len(rows), generator=generator, device=generator.device)
        return rows[order.to(rows.device)]

    objects = shuffled(assigned >= 0)
    background = shuffled(assigned == BACKGROUND)
    objects = objects[: int(count * share)]
    return objects, background[: count - len(objects)]


def rpn_loss(
    raw: Raw, truth: Sequence[Float[Tensor, "_ 4"]], *, count: int = 256, share: float = 0.5, generator: Generator
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Cross-entropy of the objectness of sampled anchors, and smooth L1 of the offsets of those on an object.

    Both are divided by the number of sampled anchors. Source: Ren et al. (journal version), equation 1, section 3.1.3.
    """
    logits, wanted, offsets, targets = [], [], [], []
    for i, boxes in enumerate(truth):
        assigned = assign(box_ops.iou(boxes, raw.anchors), low=0.3, high=0.7, best=True)
        objects, background = balanced(assigned, count=count, share=share, generator=generator)
        logits.append(raw.objectness[i, torch.cat([objects, background])])
        wanted.append(torch.cat([torch.ones_like(objects), torch.zeros_like(background)]))
        offsets.append(raw.offsets[i, objects])
        targets.append(box_ops.encode(boxes[assigned[objects]], raw.anchors[objects]))
    scores, goal = torch.cat(logits), torch.cat(targets)
    many = max(len(scores), 1)
    objectness = F.binary_cross_entropy_with_logits(scores, torch.cat(wanted).to(scores.dtype), reduction="sum")
    box = losses.smooth_l1(torch.cat(offsets), goal.to(scores.dtype), beta=BETA, reduction="sum")
    return objectness / many, box / many
