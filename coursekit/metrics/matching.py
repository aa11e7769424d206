"""From a table of overlaps to pairs, from pairs to counts, from counts to scores.

Truth first (rows), prediction second (columns). A pair at or above the threshold, be it by rounding, is a true
positive, a prediction without a partner a false positive, a truth without one a false negative. Add counts over
images, divide last.

F1, COCO's AP (``metrics.detection``) and TP / (TP + FP + FN) share these counts. The 2018 Data Science Bowl and much of
microscopy call the last "average precision": no recall to average over, no scores. Here it is the threat score.

Source: Caicedo et al., Nature Methods 16 (2019), the 2018 Data Science Bowl. Lecture 04.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from coursekit import _check

DSB_THRESHOLDS = (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)


@dataclass(frozen=True)
class Counts:
    """Hits and misses of one image, or added over many. A score of nothing over nothing is NaN."""

    tp: int
    fp: int
    fn: int

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float:
        """Share of the predictions that are right."""
        return _ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float:
        """Share of the truth that is found (sensitivity)."""
        return _ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall: 2 TP / (2 TP + FP + FN)."""
        return _ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)

    @property
    def threat_score(self) -> float:
        """TP / (TP + FP + FN): the Data Science Bowl's "average precision" at one threshold; StarDist's "accuracy"."""
        return _ratio(self.tp, self.tp + self.fp + self.fn)


@dataclass(frozen=True, eq=False)
class Matching:
    """P pairs of one image and what is left over; indices are rows and columns of the table."""

    truth: Int64[Tensor, "P"]
    prediction: Int64[Tensor, "P"]
    iou: Float[Tensor, "P"]
    missed: Int64[Tensor, "FN"]  # truth without a partner
    spurious: Int64[Tensor, "FP"]  # predictions without a partner
    threshold: float

    @property
    def counts(self) -> Counts:
        """TP, FP and FN."""
        return Counts(len(self.truth), len(self.spurious), len(self.missed))


def match_greedy(iou: Float[Tensor, "N M"], scores: Float[Tensor, "M"], *, threshold: float = 0.5) -> Matching:
    """By falling score, each prediction takes the free truth it overlaps most, if at least ``threshold``. COCO's rule.

    Equal scores: the earlier prediction goes first. Equal overlaps: the later truth is taken.
    """
    n, m = _check_table(iou, threshold)
    _check.tensor("scores", scores, str(m), "the table has a column a prediction")
    _check.finite("scores", scores)
    table, enough = iou.tolist(), _check.at_least(iou, threshold).tolist()
    free, pairs = set(range(n)), []
    for j in scores.argsort(descending=True, stable=True).tolist():
        if partners := [(table[i][j], i) for i in free if enough[i][j]]:
            _, best = max(partners)
            free.remove(best)
            pairs.append((best, j))
    return _record(iou, pairs, threshold)


def match_optimal(iou: Float[Tensor, "N M"], *, threshold: float = 0.5) -> Matching:
    """As many pairs as possible and, among those, the largest sum of IoU (linear assignment). Needs no scores.

    Above 0.5, instances that do not overlap their own kind have at most one possible partner: any rule finds it.
    """
    n, m = _check_table(iou, threshold)
    table = iou.detach().cpu().double()
    allowed = _check.at_least(iou, threshold).cpu()
    # one more pair is worth more than all overlaps together
    benefit = torch.where(allowed, 1 + table / (min(n, m) + 1), 0.0)
    rows, columns = linear_sum_assignment(benefit.numpy(), maximize=True)
    return _record(iou, [(i, j) for i, j in zip(rows.tolist(), columns.tolist()) if allowed[i, j]], threshold)


def dsb_score(
    tables: Sequence[Float[Tensor, "_ _"]], *, thresholds: Sequence[float] = DSB_THRESHOLDS, empty: float = 1.0
) -> float:
    """The 2018 Data Science Bowl: the threat score, averaged over ``thresholds`` within an image, then over images.

    ``tables``: one IoU table an image (of ``overlap.mask_iou`` or ``instance_iou``). ``empty``: the score of an image
    with neither truth nor prediction. A pair counts at or above the threshold; the challenge's script wants it above.
    """
    if not len(tables) or not len(thresholds):
        got = f"{len(tables)} and {len(thresholds)}"
        raise _check.refuse("at least one image and one threshold", got, "pass one IoU table an image")
    scores = [match_optimal(table, threshold=t).counts.threat_score for table in tables for t in thresholds]
    return float(torch.tensor(scores, dtype=torch.float64).nan_to_num(nan=empty).mean())


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _record(iou: Tensor, pairs: list[tuple[int, int]], threshold: float) -> Matching:
    truth, prediction = torch.tensor(pairs, dtype=torch.int64, device=iou.device).reshape(-1, 2).T
    missed, spurious = torch.ones(iou.shape[0], dtype=torch.bool), torch.ones(iou.shape[1], dtype=torch.bool)
    missed[truth.cpu()] = False
    spurious[prediction.cpu()] = False
    left = [x.nonzero()[:, 0].to(iou.device) for x in (missed, spurious)]
    return Matching(truth, prediction, iou[truth, prediction], left[0], left[1], threshold)


def _check_table(iou: Tensor, threshold: float) -> tuple[int, int]:
    n, m = _check.tensor("iou", iou, "N M", "truth in rows, prediction in columns", of="numbers")
    _check.within("iou", iou, 0, 1, "divide the intersection by the union")
    if not 0 < threshold <= 1:
        raise _check.refuse("threshold above 0 and at most 1", threshold, "0.5 is usual")
    return n, m
