"""Average precision as COCO defines it, for boxes and for masks.

All images are evaluated at once, in four steps, each a function below: pair what may overlap, match greedily by score,
count hits down the ranking, read precision at fixed recalls. The numbers equal those of pycocotools.

A *setting* is one IoU threshold with one area range (S = T · A of them): the matching differs from setting to setting.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014; cocodataset.org, "Detection evaluation".
Lecture 04.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from coursekit import _check
from coursekit.metrics import coco
from coursekit.metrics.instances import Instances
from coursekit.types import Scores

IOU_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).tolist())
RECALL_LEVELS = tuple(np.linspace(0.0, 1.0, 101).tolist())
AREA_RANGES = {"all": (0.0, 1e10), "small": (0.0, 32.0**2), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}


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
        return _mean(self.precision[self._thresholds(iou)][:, :, self._labels(label), self._area(area)])

    def average_recall(
        self, *, iou: float | None = None, area: str = "all", label: int | None = None, limit: int | None = None
    ) -> float:
        """Mean of the highest recall reached with at most ``limit`` detections an image and label (default: the
        largest).
        """
        m = _position("limit", self.max_detections[-1] if limit is None else limit, self.max_detections)
        return _mean(self.recall[self._thresholds(iou)][:, self._labels(label), self._area(area), m])

    def numbers(self) -> dict[str, float]:
        """COCO's twelve, in COCO's order: AP, at 0.50, at 0.75, by size; AR at each limit, by size. −1 where undefined."""
        ap = {"AP": self.average_precision()}
        for name, t in (("AP50", 0.5), ("AP75", 0.75)):
            ap[name] = (
                self.average_precision(iou=t) if any(math.isclose(t, other) for other in self.iou_thresholds) else -1.0
            )
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

    def _area(self, area: str) -> int:
        return _position("area", area, self.areas)


def coco_scores(
    truth: Instances,
    prediction: Instances,
    *,
    iou_thresholds: Sequence[float] = IOU_THRESHOLDS,
    recall_levels: Sequence[float] = RECALL_LEVELS,
    area_ranges: Mapping[str, tuple[float, float]] = AREA_RANGES,
    max_detections: Sequence[int] = (1, 10, 100),
) -> CocoScores:
    """COCO's precision and recall of ``prediction`` against ``truth`` (see ``instances.from_images`` and
    ``instances.from_coco``).

    Per image and label, detections are taken by falling score (equal scores: as given). Each takes the free truth it
    overlaps most (equal overlaps: the later), if at least the threshold; an ignored truth only if no other will do. A
    detection on an ignored truth, or a miss outside the area range, is not counted. Overlap with a crowd is the share
    of the detection in it. Scores count in the prediction alone; crowd, ignore and a given area in the truth alone.

    Raises ``ValueError`` if masks meet boxes, or masks of one image differ in size.
    """
    _check_input(truth, prediction, iou_thresholds, recall_levels, max_detections)
    limits = tuple(sorted(max_detections))
    group = coco.groups(truth, prediction)
    rank = coco.ranks(prediction.score, group[1])
    low, high = np.array(list(area_ranges.values()), np.float64).reshape(-1, 2).T
    ignored = truth.ignore[:, None] | _outside(truth.area, low, high)  # (G, A)
    threshold = np.minimum(np.array(iou_thresholds, np.float64), 1 - 1e-10)
    threshold = np.minimum(threshold, threshold.round(12))  # arange's 0.7000000000000002 means 0.7

    pairs = coco.overlaps(truth, prediction, group, np.flatnonzero(rank < limits[-1]), float(threshold.min()))
    hit, alone = coco.match(pairs, rank, threshold, ignored, truth.crowd)  # (D, T, A) each
    counted = hit | (alone & ~_outside(prediction.size, low, high)[:, None, :])

    labels = np.union1d(truth.label, prediction.label)
    levels = np.array(recall_levels, np.float64)
    precision = np.full((len(threshold), len(levels), len(labels), len(low)), -1.0)
    recall = np.full((len(threshold), len(labels), len(low), len(limits)), -1.0)
    order = np.lexsort((prediction.image, -prediction.score, prediction.label))
    order = order[rank[order] < limits[-1]]
    for k, label in enumerate(labels):
        positives = (~ignored[truth.label == label]).sum(0)  # (A,)
        some = positives > 0
        at = order[slice(*np.searchsorted(prediction.label[order], [label, label + 1]))]
        precision[:, :, k, some] = _interpolate(hit[at][:, :, some], counted[at][:, :, some], positives[some], levels)
        reached = np.stack([hit[at[rank[at] < limit]].sum(0) for limit in limits], -1)  # (T, A, M)
        recall[:, k, some] = reached[:, some] / positives[some, None]
    return CocoScores(
        precision,
        recall,
        tuple(iou_thresholds),
        tuple(recall_levels),
        tuple(labels.tolist()),
        tuple(area_ranges),
        limits,
    )


def _interpolate(
    hit: Bool[np.ndarray, "D T A"],
    counted: Bool[np.ndarray, "D T A"],
    positives: Int64[np.ndarray, "A"],
    levels: Float64[np.ndarray, "R"],
) -> Float64[np.ndarray, "T R A"]:
    """Precision at fixed recalls of detections sorted by falling score: the best precision at that recall or beyond,
    0 if never reached.

    All settings in one search: their counts of hits, each rising from 0 to at most D, are laid end to end D + 2 apart.
    """
    n, t, a = hit.shape
    hits = hit.cumsum(0, dtype=np.int32)
    precision = hits / (counted.cumsum(0, dtype=np.int32) + np.spacing(1.0))
    envelope = np.zeros((n + 1, t * a))
    envelope[:n] = np.maximum.accumulate(precision[::-1])[::-1].reshape(n, t * a)
    needed = (
        np.stack([np.searchsorted(np.arange(p + 1) / p, levels) for p in positives], 1)
        if a
        else np.zeros((len(levels), 0), np.int64)
    )
    wanted = np.tile(np.minimum(needed, n + 1), (1, t))  # hits that reach the recall (R, S)
    setting = np.arange(t * a)
    place = (
        np.searchsorted((hits.reshape(n, t * a) + setting * (n + 2)).T.ravel(), wanted + setting * (n + 2))
        - setting * n
    )
    return np.asarray(envelope[place, setting].reshape(len(levels), t, a).transpose(1, 0, 2))


@dataclass(frozen=True, eq=False)
class Curve:
    """Precision and recall after each detection, by falling score; ``envelope`` is the best precision at that recall or
    beyond.
    """

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
    """The curve of N detections of which ``correct`` found a truth, out of ``positives`` truths: the picture behind
    one AP.

    Equal scores keep their order. With no truth there is no recall: ``ValueError``.
    """
    (n,) = _check.tensor("scores", scores, "N")
    _check.floating("scores", scores)
    _check.finite("scores", scores)
    _check.boolean("correct", correct)
    _check.positive("positives", positives)
    if correct.shape != scores.shape:
        raise _check.refuse(f"correct for each of {n} scores", tuple(correct.shape), "pass one flag a detection")
    order = scores.argsort(descending=True, stable=True)
    hits = correct[order].double().cumsum(0)
    if n and hits[-1] > positives:
        raise _check.refuse(f"at most {positives} correct detections", int(hits[-1]), "let each truth be found once")
    precision = hits / torch.arange(1, n + 1, dtype=torch.float64, device=scores.device)
    envelope = precision.flip(0).cummax(0).values.flip(0) if n else precision
    return Curve(scores[order].double(), hits / positives, precision, envelope)


def _outside(
    area: Float64[np.ndarray, "N"], low: Float64[np.ndarray, "A"], high: Float64[np.ndarray, "A"]
) -> Bool[np.ndarray, "N A"]:
    """Whether each area lies outside each range; both ends belong to the range."""
    return (area[:, None] < low) | (area[:, None] > high)


def _mean(values: np.ndarray) -> float:
    """Mean of what is defined, −1 if nothing is."""
    defined = values[values > -1]
    return float(defined.mean()) if defined.size else -1.0


def _position(name: str, value: object, choices: Sequence[object]) -> int:
    _check.one_of(name, value, choices)
    return choices.index(value)


def _check_input(
    truth: Instances, prediction: Instances, thresholds: Sequence[float], levels: Sequence[float], limits: Sequence[int]
) -> None:
    for name, values, top in (
        ("iou_thresholds", thresholds, 1),
        ("recall_levels", levels, 1),
        ("max_detections", limits, np.inf),
    ):
        if not len(values) or not all((v >= 0 if name == "recall_levels" else v > 0) and v <= top for v in values):
            raise _check.refuse(
                f"{name}, at least one, each above 0 and at most {top}", list(values), "pass COCO's, or leave them out"
            )
    if len(truth) and len(prediction) and (truth.masks is None) != (prediction.masks is None):
        raise _check.refuse(
            "masks against masks or boxes against boxes", "one of each", "read both with the same kind="
        )
    if truth.masks is not None and prediction.masks is not None:
        _check_sizes(truth, prediction)


def _check_sizes(truth: Instances, prediction: Instances) -> None:
    assert truth.masks is not None
    assert prediction.masks is not None
    sizes = np.concatenate([truth.masks.sizes, prediction.masks.sizes])
    image, first, inverse = np.unique(
        np.concatenate([truth.image, prediction.image]), return_index=True, return_inverse=True
    )
    if (wrong := (sizes != sizes[first][inverse]).any(1)).any():
        at = int(np.flatnonzero(wrong)[0])
        a, b = tuple(sizes[first[inverse[at]]].tolist()), tuple(sizes[at].tolist())
        raise _check.refuse(
            f"masks of one size in image {image[inverse[at]]}", f"{a} and {b}", "resize the masks to the image"
        )
