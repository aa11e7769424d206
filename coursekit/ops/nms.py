"""Non-maximum suppression: of boxes that overlap too much, keep the one with the highest score.

By definition: take the boxes from the highest score to the lowest, and keep one if it overlaps no kept box by more than the
threshold. Only pairs that overlap can matter, so the pairs are found first (a sweep along x), and then decided in rounds:
a box with no undecided better neighbour is kept, and its neighbours go.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Integer
from torch import Tensor

from coursekit import _check
from coursekit.types import Boxes, Labels, Scores

BLOCK = 256  # boxes decided first where there are many
CANDIDATES = 64  # pairs a box that the sweep may look at
TABLE = 1 << 16  # entries of a table of IoUs made in one go: it stays in the cache
SLACK = 1e-6  # widens the sweep by more than its rounding


def nms(boxes: Boxes, scores: Scores, iou_threshold: float) -> Integer[Tensor, "M"]:
    """The numbers of the boxes to keep, highest score first, of equals the first.

    A box goes if its IoU with a kept one is above (not at) the threshold. Equal to ``torchvision.ops.nms``, ties included.
    How many stay depends on the values, so there is no result for a FakeTensor.
    """
    return batched_nms(boxes, scores, torch.zeros(len(boxes), dtype=torch.long, device=boxes.device), iou_threshold)


def batched_nms(boxes: Boxes, scores: Scores, labels: Labels, iou_threshold: float) -> Integer[Tensor, "M"]:
    """``nms`` within each label: boxes of different labels leave each other alone.

    Equal to torchvision's class-by-class result (for 1,000 boxes and fewer torchvision shifts the classes apart
    instead, and its IoU is then rounded a little differently).
    """
    count = _check.boxes("boxes", boxes)
    for name, tensor in {"scores": scores, "labels": labels}.items():
        if _check.tensor(name, tensor, "N") != (count,):
            raise _check.refuse(f"one of {name} a box, {count} in all", len(tensor), "pair them first, row by row")
    _check.floating("scores", scores)
    _check.finite("scores", scores)
    _check.integer("labels", labels)
    _check.same_device(boxes=boxes, scores=scores, labels=labels)
    if not 0 <= iou_threshold <= 1:
        raise _check.refuse("iou_threshold in [0, 1]", iou_threshold, "0.5 and 0.7 are common")
    order = scores.argsort(descending=True, stable=True)
    return order[_survivors(boxes[order], labels[order], iou_threshold)]


def _survivors(boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """The rows that stay, of boxes sorted by score.

    The sweep's cost is the pairs it looks at. Where that is too many, the best boxes are decided first and all they
    overlap go: in a crowd that leaves few.
    """
    rows = torch.arange(len(boxes), device=boxes.device)
    kept = []
    while True:
        sweep, first, count = _runs(boxes[rows], labels[rows], threshold)
        if len(rows) <= BLOCK or int(count.sum()) <= len(rows) * CANDIDATES:
            return torch.cat([*kept, rows[_decide(*_pairs(boxes[rows], sweep, first, count, threshold), len(rows))]])
        block, rest = rows[:BLOCK], rows[BLOCK:]
        best = block[_survivors(boxes[block], labels[block], threshold)]
        kept.append(best)
        rows = rest[_clear(boxes[best], labels[best], boxes[rest], labels[rest], threshold)]


def _runs(boxes: Tensor, labels: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Sort by (label, x1): the partners of a box are then a run. Gives the sorted rows, and each box's run as (first, count).

    A partner's x1 lies before the box's x2. Less, even: the IoU is at most the shared width over the box's width,
    so it lies within the first 1 − threshold of the box.
    """
    x1, x2 = boxes[:, 0].double(), boxes[:, 2].double()
    low, high = (x1.min(), x1.max()) if len(x1) else (0.0, 0.0)
    floor = labels.unique(return_inverse=True)[1] * (high - low + 1)  # the labels, side by side along x
    key, sweep = (floor + x1 - low).sort()
    reach = (x1 + (x2 - x1) * (1 - threshold) + SLACK * (high - low + 1)).clamp(max=high)
    last = torch.searchsorted(key, (floor + reach - low)[sweep], right=True)
    first = torch.arange(1, len(boxes) + 1, device=boxes.device)
    return sweep, first, (last - first).clamp(min=0)


def _pairs(boxes: Tensor, sweep: Tensor, first: Tensor, count: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """The pairs of the runs whose IoU is above the threshold, as (better, worse) rows."""
    corners = boxes[sweep]
    one = torch.repeat_interleave(count)
    other = torch.arange(len(one), device=one.device) + (first - count.cumsum(0) + count)[one]
    meet = _overlap(corners[one].unbind(1), corners[other].unbind(1), threshold)
    one, other = sweep[one[meet]], sweep[other[meet]]
    return torch.minimum(one, other), torch.maximum(one, other)


def _overlap(one: Sequence[Tensor], other: Sequence[Tensor], threshold: float) -> Tensor:
    """Whether the IoU is above the threshold: the float arithmetic of torchvision's kernel, which compares in double."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = one, other
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    shared = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0).mul_(width)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(shared)
    return shared.div_(union) > _floor(threshold, shared.dtype)


def _floor(threshold: float, dtype: torch.dtype) -> float:
    """The largest number of the dtype that is not above the threshold."""
    nearest = torch.tensor(threshold, dtype=dtype)
    return float(nearest if float(nearest) <= threshold else nearest.nextafter(torch.tensor(-1.0, dtype=dtype)))


def _clear(best: Tensor, own: Tensor, boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """Which boxes overlap none of the best ones of their label."""
    meet = torch.zeros(len(boxes), dtype=torch.bool, device=boxes.device)
    step = max(1, TABLE // max(1, len(boxes)))
    for i in range(0, len(best), step):
        overlap = _overlap(best[i : i + step, :, None].unbind(1), boxes.T[:, None].unbind(0), threshold)
        meet |= (overlap & (own[i : i + step, None] == labels)).any(0)
    return ~meet


def _decide(better: Tensor, worse: Tensor, count: int) -> Tensor:
    """The rows that stay: in each round a box with no better neighbour left is kept, and its neighbours go."""
    stays = torch.ones(count, dtype=torch.bool, device=better.device)
    while len(better):
        waits = torch.zeros_like(stays)
        waits[worse] = True
        stays[worse[~waits[better]]] = False
        left = stays[better] & stays[worse]
        better, worse = better[left], worse[left]
    return stays.nonzero()[:, 0]
