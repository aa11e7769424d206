"""Metrics as their definitions say: pairs counted one by one."""

import itertools
import math

from torch import Tensor


def surface_loop(mask: Tensor) -> list[tuple[int, ...]]:
    """Voxels of the mask with a face neighbour outside it."""
    inside = {tuple(v) for v in mask.nonzero().tolist()}
    steps = [tuple(s * (a == b) for b in range(mask.ndim)) for a in range(mask.ndim) for s in (-1, 1)]
    return sorted(v for v in inside if any(tuple(map(sum, zip(v, s))) not in inside for s in steps))


def distances_loop(truth: Tensor, prediction: Tensor, spacing: tuple[float, ...]) -> tuple[list[float], list[float]]:
    def mm(p: tuple[int, ...], q: tuple[int, ...]) -> float:
        return math.sqrt(sum((s * (a - b)) ** 2 for a, b, s in zip(p, q, spacing)))

    a, b = surface_loop(truth), surface_loop(prediction)
    return [min((mm(p, q) for q in b), default=math.inf) for p in a], [
        min((mm(p, q) for p in a), default=math.inf) for q in b
    ]


def auc_loop(truth: Tensor, scores: Tensor) -> float:
    """Share of (positive, negative) pairs in the right order, ties half."""
    pairs = list(itertools.product(scores[truth].tolist(), scores[~truth].tolist()))
    return sum(1.0 if p > n else 0.5 if p == n else 0.0 for p, n in pairs) / len(pairs)


def froc_loop(lesions: list[int], hit: list[Tensor], scores: list[Tensor], threshold: float) -> tuple[float, float]:
    """(false positives a scan, sensitivity) when all candidates at or above the threshold are called."""
    found, alarms = set(), 0
    for i, (h, s) in enumerate(zip(hit, scores)):
        for lesion, score in zip(h.tolist(), s.tolist()):
            if score >= threshold and lesion >= 0:
                found.add((i, lesion))
            alarms += score >= threshold and lesion == -1
    return alarms / len(lesions), len(found) / sum(lesions)


def average_precision_loop(match: list[list[int]], scores: list[list[float]], events: int) -> float:
    """Area under the best precision at this recall or beyond, recall by recall (distinct scores)."""
    ranked = [
        m >= 0 for _, m in sorted(((s, m) for ms, ss in zip(match, scores) for m, s in zip(ms, ss)), reverse=True)
    ]
    points = [(sum(ranked[: k + 1]) / events, sum(ranked[: k + 1]) / (k + 1)) for k in range(len(ranked))]
    return sum(max((p for r, p in points if r >= k / events), default=0.0) for k in range(1, events + 1)) / events


def activity_net_loop(truth: list[Tensor], prediction: list[Tensor], scores: list[Tensor], threshold: float) -> float:
    """``compute_average_precision_detection`` of ActivityNet's evaluation code, statement by statement, in plain
    Python.
    """
    rows = [
        (float(s), video, p.tolist()) for video, (ps, ss) in enumerate(zip(prediction, scores)) for p, s in zip(ps, ss)
    ]
    locked: set[tuple[int, int]] = set()
    hit = []
    for k in [i for _, i in sorted((score, i) for i, (score, _, _) in enumerate(rows))][::-1]:  # argsort()[::-1]
        _, video, (start, end) = rows[k]
        overlaps = []
        for a, b in truth[video].tolist():
            shared = max(0.0, min(b, end) - max(a, start))
            overlaps.append(shared / ((b - a) + (end - start) - shared))
        free = [
            j
            for _, j in sorted((iou, j) for j, iou in enumerate(overlaps))[::-1]
            if overlaps[j] >= threshold and (video, j) not in locked
        ]
        locked |= {(video, free[0])} if free else set()
        hit.append(bool(free))
    return average_precision_loop(
        [[0 if h else -1 for h in hit]], [[-float(i) for i in range(len(hit))]], sum(map(len, truth))
    )
