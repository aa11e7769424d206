"""The region proposal network: where might an object be? (Ren et al. 2015, "Faster R-CNN", section 3)

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


class Raw(NamedTuple):
    """What the network says of A anchors in N images."""

    objectness: Float[Tensor, "N A"]  # logits
    offsets: Float[Tensor, "N A 4"]
    anchors: Float[Tensor, "A 4"]
    level: Integer[Tensor, "A"]  # the feature map each anchor lies on


def assign(iou: Float[Tensor, "G A"], *, low: float, high: float, best: bool = False) -> Integer[Tensor, "A"]:
    """The object each anchor stands for: the one it overlaps most, if by ``high``; BACKGROUND below ``low``; else
    BETWEEN.

    ``best`` also gives each object all anchors that overlap it as much as any does, however little, but for those
    that overlap nothing. Source: Ren et al. 2015, section 3.1.2.
    """
    if not iou.shape[0]:
        return torch.full((iou.shape[1],), BACKGROUND, device=iou.device)
    overlap, index = iou.max(0)
    found = torch.where(overlap >= high, index, torch.where(overlap < low, BACKGROUND, BETWEEN))
    if best and iou.shape[1]:
        top = iou.amax(1, keepdim=True)  # (G, 1)
        found = torch.where(((iou == top) & (top > 0)).any(0), index, found)
    return found


def balanced(
    assigned: Integer[Tensor, "A"], *, count: int, share: float, generator: Generator
) -> tuple[Tensor, Tensor]:
    """The numbers of at most ``count`` anchors to learn from: objects, at most ``share`` of them, and background for
    the rest.
    """
    objects, background = _shuffle(assigned >= 0, generator), _shuffle(assigned == BACKGROUND, generator)
    chosen = objects[: int(count * share)]
    return chosen, background[: count - len(chosen)]


def _shuffle(where: Tensor, generator: Generator) -> Tensor:
    rows = where.nonzero()[:, 0]
    order = torch.randperm(len(rows), generator=generator, device=generator.device)
    return rows[order.to(rows.device)]


class RegionProposals(nn.Module):
    """One 3×3 convolution, then for every anchor of a cell one logit and four offsets; the same on every feature map.

    ``strides``: input pixels a cell of each map; ``sizes``: √area of the anchors on each map; ``ratios``: height over
    width.
    """

    def __init__(
        self,
        width: int,
        *,
        strides: Sequence[int],
        sizes: Sequence[Sequence[float]],
        ratios: Sequence[float] = (0.5, 1, 2),
    ) -> None:
        super().__init__()
        if len({len(s) for s in sizes}) != 1 or len(sizes) != len(strides):
            raise _check.refuse(
                f"as many sizes on each of {len(strides)} maps", [len(s) for s in sizes], "give one list a stride"
            )
        self.strides, self.sizes, self.ratios = strides, sizes, ratios
        each = len(sizes[0]) * len(ratios)
        self.look = nn.Conv2d(width, width, 3, padding=1)
        self.objectness, self.offsets = nn.Conv2d(width, each, 1), nn.Conv2d(width, 4 * each, 1)
        for layer in (self.look, self.objectness, self.offsets):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, features: Sequence[Tensor]) -> Raw:
        """Feature maps ``(N, width, H_l, W_l)``, finest first, to what is said of every anchor of all of them."""
        logits, offsets, anchors = [], [], []
        for x, stride, sizes in zip(features, self.strides, self.sizes, strict=True):
            seen = F.relu(self.look(x))
            n, _, h, w = seen.shape
            logits.append(
                self.objectness(seen).permute(0, 2, 3, 1).reshape(n, -1)
            )  # (N, H·W·each): cell by cell, as anchors are
            offsets.append(self.offsets(seen).permute(0, 2, 3, 1).reshape(n, -1, 4))
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
    found = []
    for logits, offsets in zip(raw.objectness, raw.offsets):
        rows = torch.cat(
            [_top(logits, raw.level == i, before) for i in range(int(raw.level.max()) + 1 if len(raw.level) else 0)]
        )
        boxes = box_ops.clip(box_ops.decode(offsets[rows].float(), raw.anchors[rows]), size)
        sound = ((boxes[:, 2:] - boxes[:, :2]) >= 1e-3).all(1)
        rows, boxes = rows[sound], boxes[sound]
        scores = logits[rows].float().sigmoid()
        kept = batched_nms(boxes, scores, raw.level[rows], iou_threshold)[:keep]
        found.append((boxes[kept], scores[kept]))
    return found


def _top(logits: Tensor, where: Tensor, count: int) -> Tensor:
    rows = where.nonzero()[:, 0]
    return rows[logits[rows].topk(min(count, len(rows))).indices]


def rpn_loss(
    raw: Raw,
    truth: Sequence[Float[Tensor, "_ 4"]],
    *,
    count: int = 256,
    share: float = 0.5,
    low: float = 0.3,
    high: float = 0.7,
    generator: Generator,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The two losses of the proposals: cross-entropy of the objectness of sampled anchors, smooth L1 of the offsets
    of those on an object.

    Both are divided by the number of sampled anchors. Source: Ren et al. 2015, equation 1, with β = 1/9 as in their
    code.
    """
    rows, wanted, moves, targets = [], [], [], []
    for i, boxes in enumerate(truth):
        assigned = assign(box_ops.iou(boxes, raw.anchors), low=low, high=high, best=True)
        objects, background = balanced(assigned, count=count, share=share, generator=generator)
        rows.append(raw.objectness[i, torch.cat([objects, background])])
        wanted.append(torch.cat([torch.ones_like(objects), torch.zeros_like(background)]))
        moves.append(raw.offsets[i, objects])
        targets.append(box_ops.encode(boxes[assigned[objects]], raw.anchors[objects]))
    said = torch.cat(rows)
    many = max(len(said), 1)
    objectness = F.binary_cross_entropy_with_logits(said, torch.cat(wanted).to(said.dtype), reduction="sum") / many
    return objectness, losses.smooth_l1(
        torch.cat(moves), torch.cat(targets).to(said.dtype), beta=1 / 9, reduction="sum"
    ) / many
