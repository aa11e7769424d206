"""COCO's matching, for all images, thresholds and area ranges at once.

``overlaps`` finds the pairs whose IoU can matter; ``match`` gives each detection its truth. Indices are rows of the
two tables.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from coursekit.metrics import rle
from coursekit.metrics.instances import Instances

Ints = Int64[np.ndarray, "P"]
PAIRS = 1 << 17  # pairs looked at in one go


@dataclass(frozen=True, eq=False)
class Pairs:
    """P pairs of one image and label that overlap enough to matter at some threshold."""

    detection: Int64[np.ndarray, "P"]
    truth: Int64[np.ndarray, "P"]
    iou: Float64[np.ndarray, "P"]


def groups(truth: Instances, prediction: Instances) -> tuple[Int64[np.ndarray, "G"], Int64[np.ndarray, "D"]]:
    """One number for each (label, image), for the rows of both tables."""
    _, image = np.unique(np.concatenate([truth.image, prediction.image]), return_inverse=True)
    _, label = np.unique(np.concatenate([truth.label, prediction.label]), return_inverse=True)
    group = label * (image.max(initial=0) + 1) + image
    return group[: len(truth)], group[len(truth) :]


def ranks(score: Float64[np.ndarray, "D"], group: Int64[np.ndarray, "D"]) -> Int64[np.ndarray, "D"]:
    """Place of each detection in its group by falling score, from 0; equal scores keep their order."""
    order = np.lexsort((-score, group))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    return rank


def overlaps(
    truth: Instances,
    prediction: Instances,
    group: tuple[Int64[np.ndarray, "G"], Int64[np.ndarray, "D"]],
    detections: Int64[np.ndarray, "K"],
    floor: float,
) -> Pairs:
    """All pairs within a group, of the given ``detections``, whose IoU is at least ``floor``."""
    truth_group, detection_group = group
    rows = np.argsort(truth_group, kind="stable")
    detections = detections[np.argsort(detection_group[detections], kind="stable")]
    first, last = (np.searchsorted(truth_group[rows], detection_group[detections], side) for side in ("left", "right"))
    found = [Pairs(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0))]
    for part in rle.blocks(last - first, PAIRS):
        count = last[part] - first[part]
        found.append(
            _close(truth, prediction, rows[rle.ragged(first[part], count)], np.repeat(detections[part], count), floor)
        )
    return Pairs(*(np.concatenate([getattr(p, column) for p in found]) for column in ("detection", "truth", "iou")))


def _close(truth: Instances, prediction: Instances, t: Ints, d: Ints, floor: float) -> Pairs:
    """Of the pairs of truth ``t[i]`` and detection ``d[i]``, those at or above ``floor``.

    Masks share no more pixels than their boxes do, nor than the smaller has: most pairs are out before a run is read.
    """
    shared = _box_intersection(truth.box[t], prediction.box[d])
    t, d, shared = (x[shared > 0] for x in (t, d, shared))
    if truth.masks is not None and prediction.masks is not None:
        most = np.minimum(shared, np.minimum(truth.size[t], prediction.size[d]))
        possible = _iou(truth, prediction, t, d, most) >= floor
        t, d = t[possible], d[possible]
        shared = rle.intersections(truth.masks, prediction.masks, t, d).astype(np.float64)
    iou = _iou(truth, prediction, t, d, shared)
    enough = iou >= floor
    return Pairs(d[enough], t[enough], iou[enough])


def _box_intersection(a: Float64[np.ndarray, "P 4"], b: Float64[np.ndarray, "P 4"]) -> Float64[np.ndarray, "P"]:
    """Area shared by boxes (x, y, width, height), row by row."""
    side = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    return np.where((side > 0).all(1), side[:, 0] * side[:, 1], 0.0)


def _iou(
    truth: Instances, prediction: Instances, t: Ints, d: Ints, shared: Float64[np.ndarray, "P"]
) -> Float64[np.ndarray, "P"]:
    """Intersection over union; over the detection alone where the truth is a crowd; 0 where nothing is shared."""
    union = np.where(truth.crowd[t], prediction.size[d], prediction.size[d] + truth.size[t] - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros(len(t)), where=shared > 0))


def match(
    pairs: Pairs,
    rank: Int64[np.ndarray, "D"],
    threshold: Float64[np.ndarray, "T"],
    ignored: Bool[np.ndarray, "G A"],
    crowd: Bool[np.ndarray, "G"],
) -> tuple[Bool[np.ndarray, "D T A"], Bool[np.ndarray, "D T A"]]:
    """Greedy matching by score, in every setting (threshold t, area range a): which detections hit a truth, and which
    found nothing.

    A detection that is neither lies on an ignored truth. The loop takes detections in turns: those of one turn
    share no truth, so each setting of each of them can be decided at once.
    """
    hit = np.zeros((len(rank), len(threshold), ignored.shape[1]), np.bool_)
    alone = np.ones_like(hit)
    taken = np.zeros((len(crowd), *hit.shape[1:]), np.bool_)
    turn = _turns(pairs, rank, crowd)
    order = np.lexsort((pairs.truth, pairs.iou, pairs.detection, turn))  # best truth last
    stops = np.cumsum(np.bincount(turn)) if len(turn) else turn
    for part in np.split(order, stops[:-1]) if len(turn) else ():
        d, t = pairs.detection[part], pairs.truth[part]
        usable = (pairs.iou[part, None] >= threshold)[:, :, None] & (~taken[t] | crowd[t, None, None])  # (P, T, A)
        first = np.flatnonzero(np.diff(d, prepend=-1))
        best = _last(usable, ~ignored[t][:, None, :], first)  # (D of this turn, T, A)
        row, i, a = np.nonzero(best >= 0)
        chosen = t[best[row, i, a]]
        alone[d[first[row]], i, a] = False
        hit[d[first[row]], i, a] = ~ignored[chosen, a]
        taken[chosen, i, a] = True
    return hit, alone


def _last(
    usable: Bool[np.ndarray, "P T A"], preferred: Bool[np.ndarray, "P 1 A"], first: Int64[np.ndarray, "N"]
) -> np.ndarray:
    """The last usable row of each block of rows, a preferred one before any other; −1 if there is none. Blocks begin at
    ``first``.
    """
    n = len(usable)
    value = np.arange(n, dtype=np.int32)[:, None, None] + np.int32(n) * preferred
    best = np.maximum.reduceat(np.where(usable, value, np.int32(-1)), first)
    return np.where(best >= n, best - n, best)


def _turns(pairs: Pairs, rank: Int64[np.ndarray, "D"], crowd: Bool[np.ndarray, "G"]) -> Int64[np.ndarray, "P"]:
    """When each pair's detection is decided: its place by score among those it is linked to by shared truths. A crowd
    links nobody.
    """
    row, detection = np.unique(pairs.detection, return_inverse=True)
    link = ~crowd[pairs.truth]
    edges = (detection[link], len(row) + pairs.truth[link])
    size = len(row) + len(crowd)
    _, component = connected_components(
        coo_array((np.ones(len(edges[0]), np.bool_), edges), shape=(size, size)), directed=False
    )
    return ranks(-rank[row].astype(np.float64), component[: len(row)].astype(np.int64))[detection]
