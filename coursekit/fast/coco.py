"""COCO's evaluation for all images, thresholds and area ranges at once.

``match`` equals ``metrics.detection.match_by_definition`` in each group (one image and label) and setting (a threshold
t with an area range a); ``interpolate`` equals ``average_precision_by_definition`` level by level.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from coursekit.fast.runs import blocks, ragged

Ints = Int64[np.ndarray, "_"]
Hits = Bool[np.ndarray, "D T A"]
PAIRS = 1 << 17  # pairs looked at in one go


def ranks(score: Float64[np.ndarray, "D"], group: Int64[np.ndarray, "D"]) -> Int64[np.ndarray, "D"]:
    """Place of each detection in its group by falling score, from 0; equal scores keep their order."""
    order = np.lexsort((-score, group))
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order)) - np.searchsorted(group[order], group[order])
    return rank


def pairs_within(truth_group: Ints, detection_group: Ints, detections: Ints) -> Iterator[tuple[Ints, Ints]]:
    """Every pair (truth, detection) of one group, of the given detections, in parts of about ``PAIRS``."""
    rows = np.argsort(truth_group, kind="stable")
    detections = detections[np.argsort(detection_group[detections], kind="stable")]
    first, last = (np.searchsorted(truth_group[rows], detection_group[detections], side) for side in ("left", "right"))
    for part in blocks(last - first, PAIRS):
        count = last[part] - first[part]
        yield rows[ragged(first[part], count)], np.repeat(detections[part], count)


def match(
    pairs: tuple[Ints, Ints, Float64[np.ndarray, "P"]],
    rank: Int64[np.ndarray, "D"],
    threshold: Float64[np.ndarray, "T"],
    ignored: Bool[np.ndarray, "G A"],
    crowd: Bool[np.ndarray, "G"],
) -> tuple[Hits, Hits]:
    """Which detections hit a truth, and which found nothing, in every setting; the others lie on an ignored truth.

    ``pairs`` are all that overlap enough to matter: truth, detection, IoU. The loop takes detections in turns: those
    of one turn share no truth, so each setting of each of them can be decided at once.
    """
    hit = np.zeros((len(rank), len(threshold), ignored.shape[1]), np.bool_)
    alone = np.ones_like(hit)
    taken = np.zeros((len(crowd), *hit.shape[1:]), np.bool_)
    truth, detection, iou = pairs
    turn = _turns(truth, detection, rank, crowd)
    order = np.lexsort((truth, iou, detection, turn))  # best truth last
    for part in np.split(order, np.cumsum(np.bincount(turn))[:-1]) if len(turn) else ():
        d, t = detection[part], truth[part]
        usable = (iou[part, None] >= threshold)[:, :, None] & (~taken[t] | crowd[t, None, None])  # (P, T, A)
        first = np.flatnonzero(np.diff(d, prepend=-1))
        best = _last(usable, ~ignored[t][:, None, :], first)  # (D of this turn, T, A)
        row, i, a = np.nonzero(best >= 0)
        chosen = t[best[row, i, a]]
        alone[d[first[row]], i, a] = False
        hit[d[first[row]], i, a] = ~ignored[chosen, a]
        taken[chosen, i, a] = True
    return hit, alone


def _last(usable: Bool[np.ndarray, "P T A"], preferred: Bool[np.ndarray, "P 1 A"], first: Ints) -> np.ndarray:
    """The last usable row of each block of rows (at ``first``), a preferred one before any other; −1 if none is."""
    n = len(usable)
    value = np.arange(n, dtype=np.int32)[:, None, None] + np.int32(n) * preferred
    best = np.maximum.reduceat(np.where(usable, value, np.int32(-1)), first)
    return np.where(best >= n, best - n, best)


def _turns(truth: Ints, detection: Ints, rank: Int64[np.ndarray, "D"], crowd: Bool[np.ndarray, "G"]) -> Ints:
    """When each pair's detection is decided: its place by score among those linked to it by truths, crowds apart."""
    row, node = np.unique(detection, return_inverse=True)
    link = ~crowd[truth]
    edges = (node[link], len(row) + truth[link])
    size = len(row) + len(crowd)
    graph = coo_array((np.ones(len(edges[0]), np.bool_), edges), shape=(size, size))
    _, component = connected_components(graph, directed=False)
    return ranks(-rank[row].astype(np.float64), component[: len(row)].astype(np.int64))[node]


def interpolate(
    hit: Hits, counted: Hits, positives: Int64[np.ndarray, "A"], levels: Float64[np.ndarray, "R"]
) -> Float64[np.ndarray, "T R A"]:
    """Of detections by falling score: the best precision at each recall level or beyond, 0 where it is not reached.

    All settings in one search: their counts of hits, each rising from 0 to at most D, are laid end to end D + 2 apart.
    """
    n, t, a = hit.shape
    hits = hit.cumsum(0, dtype=np.int32).reshape(n, t * a)
    precision = hits / (counted.cumsum(0, dtype=np.int32).reshape(n, t * a) + np.spacing(1.0))
    envelope = np.zeros((n + 1, t * a))
    envelope[:n] = np.maximum.accumulate(precision[::-1])[::-1]
    needed = np.empty((len(levels), a), np.int64)  # hits that reach the recall
    for column, count in enumerate(positives):
        needed[:, column] = np.searchsorted(np.arange(count + 1) / count, levels)
    wanted = np.tile(np.minimum(needed, n + 1), (1, t))  # (R, T·A)
    setting = np.arange(t * a)
    end_to_end = (hits + setting * (n + 2)).T.ravel()
    place = np.searchsorted(end_to_end, wanted + setting * (n + 2)) - setting * n
    return np.asarray(envelope[place, setting].reshape(len(levels), t, a).transpose(1, 0, 2))
