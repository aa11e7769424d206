"""Average precision as COCO defines it, for boxes and for masks.

Two steps: match detections to truths by score (``match_by_definition``), walk down the ranked list and read precision
at fixed recalls (``average_precision_by_definition``). ``coco_scores``, the one to use, takes them for all images,
labels, thresholds and sizes at once, by ``coursekit.fast.coco``; its numbers equal those of pycocotools.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; cocodataset.org. Lecture 04.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from coursekit import _check
from coursekit.fast import coco, runs
from coursekit.metrics.instances import Instances
from coursekit.types import Scores

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALL_LEVELS = tuple(np.linspace(0.0, 1.0, 101).tolist())
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}
Ints = Int64[np.ndarray, "_"]


def match_by_definition(
    iou: Float[Tensor, "N M"], *, threshold: float, ignored: Sequence[bool], crowd: Sequence[bool]
) -> list[int]:
    """The truth (row) that each detection (column, by falling score) of an image and label takes; −1 for none.

    The free truth it overlaps most, of equals the later; an ignored truth only if no other will do. A crowd stays free.
    Detections come sorted: the one with the highest score chooses first.
    """
    taken: set[int] = set()
    match = []
    for overlaps in iou.T.tolist():
        free = [i for i, overlap in enumerate(overlaps) if overlap >= threshold and i not in taken]
        best = max(free, key=lambda i: (not ignored[i], overlaps[i], i), default=-1)
        match.append(best)
        if best >= 0 and not crowd[best]:
            taken.add(best)
    return match


def average_precision_by_definition(
    correct: Sequence[bool], positives: int, levels: Sequence[float] = RECALL_LEVELS
) -> float:
    """AP of detections by falling score, of which some are right, for so many truths: mean precision over the levels.

    The precision at a recall is the best at that recall or beyond, and 0 where it is never reached.
    ``positives`` ≥ 1: without a truth there is no recall, and ``coco_scores`` gives −1.
    """
    hits, curve = 0, []
    for seen, right in enumerate(correct, start=1):
        hits += right
        curve.append((hits / positives, hits / seen))  # recall and precision so far
    best = [max((precision for recall, precision in curve if recall >= level), default=0.0) for level in levels]
    return sum(best) / len(best)


@dataclass(frozen=True, eq=False)
class CocoScores:
    """Precision and recall in every setting. −1 stands where there is no truth to find, and is left out of every mean.

    T IoU thresholds, R recall levels, K labels, A area ranges, M limits on the detections an image and label may have.
    Precision is that under the largest limit.
    """

    precision: Float64[np.ndarray, "T R K A"]
    recall: Float64[np.ndarray, "T K A M"]
    iou_thresholds: tuple[float, ...]
    recall_levels: tuple[float, ...]
    labels: tuple[int, ...]
    areas: tuple[str, ...]
    max_detections: tuple[int, ...]

    def average_precision(self, *, iou: float | None = None, area: str = "all", label: int | None = None) -> float:
        """Mean of precision over recall levels and, unless one is asked for, over thresholds and labels."""
        return _mean(
            self.precision[self._thresholds(iou)][:, :, self._labels(label), _position("area", area, self.areas)]
        )

    def average_recall(
        self, *, iou: float | None = None, area: str = "all", label: int | None = None, limit: int | None = None
    ) -> float:
        """Mean of the highest recall reached with at most ``limit`` (default: the largest) detections a group."""
        m = _position("limit", self.max_detections[-1] if limit is None else limit, self.max_detections)
        return _mean(self.recall[self._thresholds(iou)][:, self._labels(label), _position("area", area, self.areas), m])

    def numbers(self) -> dict[str, float]:
        """COCO's twelve, in COCO's order: AP, at 0.50, at 0.75, by size; AR at each limit, by size. −1 if undefined."""
        ap = {"AP": self.average_precision()}
        for name, t in (("AP50", 0.5), ("AP75", 0.75)):
            known = any(math.isclose(t, other) for other in self.iou_thresholds)
            ap[name] = self.average_precision(iou=t) if known else -1.0
        sizes = [area for area in self.areas if area != "all"]
        ap |= {f"AP_{area}": self.average_precision(area=area) for area in sizes}
        ar = {f"AR_{limit}": self.average_recall(limit=limit) for limit in self.max_detections}
        return ap | ar | {f"AR_{area}": self.average_recall(area=area) for area in sizes}

    def _thresholds(self, iou: float | None) -> list[int]:
        if iou is None:
            return list(range(len(self.iou_thresholds)))
        same = [math.isclose(iou, t) for t in self.iou_thresholds]  # linspace writes 0.9 as 0.8999999999999999
        return [same.index(True) if any(same) else _position("iou", iou, self.iou_thresholds)]

    def _labels(self, label: int | None) -> list[int]:
        return list(range(len(self.labels))) if label is None else [_position("label", label, self.labels)]


def _mean(values: np.ndarray) -> float:
    """Mean of what is defined, −1 if nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _position(name: str, value: object, choices: Sequence[object]) -> int:
    _check.one_of(name, value, choices)
    return choices.index(value)


def coco_scores(
    truth: Instances,
    prediction: Instances,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
    max_detections: Sequence[int] = (1, 10, 100),
) -> CocoScores:
    """COCO's precision and recall of ``prediction`` against ``truth`` (``instances.from_images``, ``from_coco``).

    Detections are matched as in ``match_by_definition``, image by image and label by label (equal scores: as given).
    A detection on an ignored truth (a crowd, or one outside the area range), or a miss outside the area range, is not
    counted. Overlap with a crowd is the share of the detection in it. Scores count in the prediction alone; crowd and
    a given area in the truth alone. Raises ``ValueError`` if masks meet boxes, or masks of one image differ in size.
    """
    _check_input(truth, prediction, iou_thresholds, max_detections)
    limits = tuple(sorted(max_detections))
    threshold = np.minimum(np.array(iou_thresholds, np.float64), 1 - 1e-10)
    threshold = np.minimum(threshold, threshold.round(12))  # arange's 0.7000000000000002 means 0.7
    ranges = np.array(list(area_ranges.values()), np.float64).reshape(-1, 2)
    ignored = truth.crowd[:, None] | _outside(truth.area, ranges)  # (G, A)
    rank, hit, counted = _outcomes(truth, prediction, threshold, ranges, ignored, limits[-1])

    labels = np.union1d(truth.label, prediction.label)
    levels = np.array(RECALL_LEVELS)
    precision = np.full((len(threshold), len(levels), len(labels), len(ranges)), -1.0)
    recall = np.full((len(threshold), len(labels), len(ranges), len(limits)), -1.0)
    order = np.lexsort((prediction.image, -prediction.score))
    order = order[rank[order] < limits[-1]]
    for k, label in enumerate(labels):
        positives = (~ignored[truth.label == label]).sum(0)  # (A,)
        some = positives > 0
        own = order[prediction.label[order] == label]
        curves = hit[own][:, :, some], counted[own][:, :, some]
        precision[:, :, k, some] = coco.interpolate(*curves, positives[some], levels)
        reached = np.stack([hit[own[rank[own] < limit]].sum(0) for limit in limits], -1)  # (T, A, M)
        recall[:, k, some] = reached[:, some] / positives[some, None]
    names = tuple(labels.tolist()), tuple(area_ranges)
    return CocoScores(precision, recall, tuple(iou_thresholds), RECALL_LEVELS, *names, limits)


def _check_input(truth: Instances, prediction: Instances, thresholds: Sequence[float], limits: Sequence[int]) -> None:
    for name, values, top in (("iou_thresholds", thresholds, 1), ("max_detections", limits, np.inf)):
        if not len(values) or not all(0 < v <= top for v in values):
            expected = f"{name}, at least one, each above 0 and at most {top}"
            raise _check.refuse(expected, list(values), "pass COCO's, or leave them out")
    if len(truth) and len(prediction) and (truth.masks is None) != (prediction.masks is None):
        expected = "masks against masks or boxes against boxes"
        raise _check.refuse(expected, "one of each", "read both with the same kind=")
    if truth.masks is None or prediction.masks is None:
        return
    sizes = np.concatenate([truth.masks.sizes, prediction.masks.sizes])
    images = np.concatenate([truth.image, prediction.image])
    image, first, inverse = np.unique(images, return_index=True, return_inverse=True)
    if (wrong := (sizes != sizes[first][inverse]).any(1)).any():
        row = int(np.flatnonzero(wrong)[0])
        got = f"{tuple(sizes[first[inverse[row]]].tolist())} and {tuple(sizes[row].tolist())}"
        expected = f"masks of one size in image {image[inverse[row]]}"
        raise _check.refuse(expected, got, "resize the masks to the image")


def _outside(area: Float64[np.ndarray, "N"], ranges: Float64[np.ndarray, "A 2"]) -> Bool[np.ndarray, "N A"]:
    """Whether each area lies outside each range; both ends belong to the range."""
    return (area[:, None] < ranges[:, 0]) | (area[:, None] > ranges[:, 1])


def _outcomes(
    truth: Instances,
    prediction: Instances,
    threshold: Float64[np.ndarray, "T"],
    ranges: Float64[np.ndarray, "A 2"],
    ignored: Bool[np.ndarray, "G A"],
    limit: int,
) -> tuple[Int64[np.ndarray, "D"], coco.Hits, coco.Hits]:
    """Of each detection: its place in its group (an image and label), whether it hits a truth, whether it counts."""
    _, image = np.unique(np.concatenate([truth.image, prediction.image]), return_inverse=True)
    _, label = np.unique(np.concatenate([truth.label, prediction.label]), return_inverse=True)
    group = label * (image.max(initial=0) + 1) + image
    own, others = group[: len(truth)], group[len(truth) :]
    rank = coco.ranks(prediction.score, others)
    pairs = coco.pairs_within(own, others, np.flatnonzero(rank < limit))
    close = [_close(truth, prediction, t, d, threshold.min()) for t, d in pairs]
    none = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    t, d, iou = map(np.concatenate, zip(none, *close))
    hit, alone = coco.match((t, d, iou), rank, threshold, ignored, truth.crowd)  # (D, T, A) each
    return rank, hit, hit | (alone & ~_outside(prediction.size, ranges)[:, None, :])


def _close(
    truth: Instances, prediction: Instances, t: Ints, d: Ints, floor: float
) -> tuple[Ints, Ints, Float64[np.ndarray, "Q"]]:
    """Of the pairs of truth ``t[i]`` and detection ``d[i]``, those of an IoU of at least ``floor``, and their IoU.

    Masks share no more pixels than their boxes do, nor than the smaller has: most pairs are out before a run is read.
    """
    a, b = truth.box[t], prediction.box[d]  # (x, y, width, height)
    side = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    meet = (side > 0).all(1)
    t, d, shared = t[meet], d[meet], side[meet].prod(1)
    if truth.masks is not None and prediction.masks is not None:
        most = np.minimum(shared, np.minimum(truth.size[t], prediction.size[d]))
        possible = _iou(truth, prediction, t, d, most) >= floor
        t, d = t[possible], d[possible]
        shared = runs.intersections(truth.masks, prediction.masks, t, d).astype(np.float64)
    iou = _iou(truth, prediction, t, d, shared)
    enough = iou >= floor
    return t[enough], d[enough], iou[enough]


def _iou(
    truth: Instances, prediction: Instances, t: Ints, d: Ints, shared: Float64[np.ndarray, "P"]
) -> Float64[np.ndarray, "P"]:
    """Intersection over union; over the detection alone where the truth is a crowd; 0 where nothing is shared."""
    union = np.where(truth.crowd[t], prediction.size[d], prediction.size[d] + truth.size[t] - shared)
    return np.asarray(np.divide(shared, union, out=np.zeros(len(t)), where=shared > 0))


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall after each detection, by falling score; ``envelope``: the best at that recall or beyond."""

    score: Float64[Tensor, "N"]
    recall: Float64[Tensor, "N"]
    precision: Float64[Tensor, "N"]
    envelope: Float64[Tensor, "N"]

    def at(self, levels: Float64[Tensor, "R"]) -> Float64[Tensor, "R"]:
        """The envelope at these recalls, 0 beyond the last."""
        place = torch.searchsorted(self.recall, levels.to(self.recall.device))
        return torch.cat([self.envelope, self.envelope.new_zeros(1)])[place]

    def average_precision(self) -> float:
        """Mean of the envelope over COCO's 101 recalls."""
        return float(self.at(torch.tensor(RECALL_LEVELS, dtype=torch.float64)).mean())


def precision_recall(scores: Scores, correct: Bool[Tensor, "N"], *, positives: int) -> Curve:
    """The curve of N detections of which ``correct`` found a truth, of ``positives`` truths: the picture behind one AP.

    Equal scores keep their order. With no truth there is no recall: ``ValueError``.
    """
    (n,) = _check.tensor("scores", scores, "N", of="numbers")
    _check.tensor("correct", correct, str(n), "pass one flag a detection", of="boolean")
    _check.positive("positives", positives)
    order = scores.argsort(descending=True, stable=True)
    hits = correct[order].double().cumsum(0)
    if n and hits[-1] > positives:
        raise _check.refuse(f"at most {positives} correct detections", int(hits[-1]), "let each truth be found once")
    precision = hits / torch.arange(1, n + 1, dtype=torch.float64, device=scores.device)
    envelope = precision.flip(0).cummax(0).values.flip(0) if n else precision
    return Curve(scores[order].double(), hits / positives, precision, envelope)
