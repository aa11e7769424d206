"""The receiver operating characteristic: what a score tells apart, at every threshold.

An interval for the area: ``regression.bootstrap(lambda t, s: roc(t, s).auc, truth, scores, generator=g)``.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coursekit import _check


@dataclass(frozen=True, eq=False)
class Roc:
    """One point a distinct score, strictest first, from (0, 0) at threshold +∞; positive is a score >= the threshold.

    ``sensitivity`` is NaN without positives, ``false_positive_rate`` without negatives, ``auc`` without either.
    """

    false_positive_rate: Float[Tensor, "P"]
    sensitivity: Float[Tensor, "P"]
    thresholds: Float[Tensor, "P"]
    auc: float
    positives: int
    negatives: int


def roc(truth: Bool[Tensor, "N"], scores: Float[Tensor, "N"]) -> Roc:
    """Curve and area: the chance that a positive scores above a negative, ties half (Hanley and McNeil 1982)."""
    (n,) = _check.tensor("truth", truth, "N", "pass one bool a case", of="boolean")
    _check.tensor("scores", scores, str(n), "pass one score a case", of="numbers")
    levels, which = scores.double().unique(return_inverse=True)  # rising
    hits = torch.bincount(which[truth], minlength=len(levels)).flip(0).cumsum(0)
    alarms = torch.bincount(which[~truth], minlength=len(levels)).flip(0).cumsum(0)
    positives, negatives = int(truth.sum()), int((~truth).sum())
    zero = torch.zeros(1, dtype=torch.float64, device=scores.device)
    tpr = torch.cat([zero, hits.double()]) / positives if positives else zero.new_full((len(levels) + 1,), math.nan)
    fpr = torch.cat([zero, alarms.double()]) / negatives if negatives else zero.new_full((len(levels) + 1,), math.nan)
    area = torch.trapezoid(tpr, fpr).item() if n else math.nan
    return Roc(fpr, tpr, torch.cat([zero + math.inf, levels.flip(0)]), area, positives, negatives)
