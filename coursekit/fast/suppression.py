"""Non-maximum suppression without the loop over boxes: equal to ``ops.nms.nms_by_definition``.

Only boxes that overlap matter to each other. So those pairs are found first, of the best boxes with all others where
boxes crowd, by a sweep along x where they lie apart; then they are decided in rounds.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

BLOCK = 128  # boxes decided at once, best first
CROWD = 0.05  # share of the others that a block must clear for the next block to pay
MANY = 512  # boxes a label from which each label is worth a pass of its own
PAIRS = 1 << 16  # pairs looked at in one go: they stay in the cache
SLACK = 1e-6  # widens the sweep by more than its rounding


def survivors(boxes: Tensor, threshold: float) -> Tensor:
    """Which rows stay of boxes (N, 4) sorted from best to worst, in no order: blocks while they pay, then a sweep."""
    rows = torch.arange(len(boxes), device=boxes.device)
    kept, crowded = [rows[:0]], True
    while crowded and len(rows):
        block, rest = boxes[rows[:BLOCK]].T, rows[BLOCK:]
        pairs = _overlap(block[:, :, None], block[:, None], threshold).triu_(1).nonzero()
        best = _decide(pairs[:, 0], pairs[:, 1], block.shape[1])
        kept.append(rows[:BLOCK][best])
        parts = boxes[rest].T.contiguous().split(max(1, PAIRS // max(1, len(best))), 1)
        gone = [_overlap(block[:, best, None], part[:, None], threshold).any(0) for part in parts]
        rows = rest[~torch.cat(gone)]
        crowded = len(rows) < (1 - CROWD) * len(rest)
    if len(rows):
        kept.append(rows[_sweep(boxes[rows], torch.zeros_like(rows), threshold)])
    return torch.cat(kept)


def survivors_by_label(boxes: Tensor, labels: Tensor, threshold: float) -> Tensor:
    """``survivors`` within each label: one label at a time if they are few, else one sweep for all."""
    names, number = labels.unique(return_inverse=True)
    if len(names) * MANY >= len(boxes):
        return _sweep(boxes, number, threshold)
    own = [(number == i).nonzero()[:, 0] for i in range(len(names))]
    return torch.cat([rows[survivors(boxes[rows], threshold)] for rows in own])


def _sweep(boxes: Tensor, number: Tensor, threshold: float) -> Tensor:
    """Which rows stay, by looking only at pairs that can meet.

    Sorted by (label, x1), the partners of a box are a run: those whose x1 lies before its x2. Less, even: the IoU is
    at most the shared width over the box's width, so x1 lies within the first 1 − threshold of the box.
    """
    x1, x2 = boxes[:, 0].double(), boxes[:, 2].double()
    span = (x2.max() - x1.min() if len(boxes) else 0) + 1
    floor = number * (2 * span)  # the labels side by side along x, with a gap
    key, sweep = (floor + x1).sort()
    reach = floor + x1 + (x2 - x1) * (1 - threshold) + SLACK * span
    first = torch.arange(1, len(boxes) + 1, device=boxes.device)
    count = torch.searchsorted(key, reach[sweep], right=True) - first
    meeting = [sweep[pair] for pair in _meeting_pairs(boxes[sweep].T.contiguous(), first, count, threshold)]
    pairs = torch.cat([sweep.new_zeros(2, 0), *meeting], 1)
    return _decide(pairs.amin(0), pairs.amax(0), len(boxes))


def _meeting_pairs(boxes: Tensor, first: Tensor, count: Tensor, threshold: float) -> Iterator[Tensor]:
    """Of ``count[i]`` pairs (i, first[i]), (i, first[i] + 1) … of each box i, those that overlap: (2, P), in parts."""
    ends = count.cumsum(0)
    shift = first - (ends - count)  # from a pair's place in the list to the second box's
    cuts = torch.searchsorted(ends, torch.arange(0, int(count.sum()), PAIRS, device=ends.device)).tolist()
    for start, stop in pairwise([*cuts, len(count)]):
        i = torch.repeat_interleave(count[start:stop]) + start
        place = torch.arange(len(i), device=i.device) + (ends[start] - count[start])
        j = place + shift[i]
        share_rows = (boxes[1][i] < boxes[3][j]) & (boxes[1][j] < boxes[3][i])  # a quick first look
        i, j = i[share_rows], j[share_rows]
        meet = _overlap(boxes[:, i], boxes[:, j], threshold)
        yield torch.stack([i[meet], j[meet]])


def _overlap(a: Tensor, b: Tensor, threshold: float) -> Tensor:
    """Whether the IoU is above the threshold: the arithmetic of torchvision's kernel, which compares in double."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a, b
    width = torch.minimum(ax2, bx2).sub_(torch.maximum(ax1, bx1)).clamp_(min=0)
    shared = torch.minimum(ay2, by2).sub_(torch.maximum(ay1, by1)).clamp_(min=0).mul_(width)
    union = ((ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1)).sub_(shared)
    floor = torch.tensor(threshold, dtype=shared.dtype)
    if float(floor) > threshold:  # the largest number of the dtype that is not above the threshold
        floor = floor.nextafter(torch.tensor(-1.0, dtype=shared.dtype))
    return shared.div_(union) > float(floor)


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
