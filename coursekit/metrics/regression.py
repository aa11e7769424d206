"""How well a number is predicted, ejection fraction for one: errors, agreement, and an interval for any statistic.

All errors are prediction − truth, in the unit of the truth. Sums run in float64.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from coursekit import _check


@dataclass(frozen=True)
class Regression:
    """``r2`` is NaN where it is not defined: fewer than two cases, or a truth that never changes.

    ``lower`` and ``upper`` are Bland and Altman's limits of agreement (1986), bias ± 1.96 standard deviations of the
    errors (n − 1 below), between which about 95 % of them lie if they are normal; NaN for one case.
    """

    mae: float
    rmse: float
    r2: float
    bias: float
    lower: float
    upper: float
    count: int


@dataclass(frozen=True)
class Interval:
    """An estimate and the percentiles of its resampled values; NaN if no resample had a value."""

    estimate: float
    low: float
    high: float
    level: float
    repeats: int  # resamples that had a value


def regression(truth: Float[Tensor, "N"], prediction: Float[Tensor, "N"]) -> Regression:
    """MAE, RMSE, R² = 1 − Σ(p − t)² / Σ(t − mean t)², and bias. R² is below 0 for what is worse than the truth's mean.

    It is the share of variance explained, not the squared correlation: a constant offset costs. Needs one case.
    """
    (n,) = _check.tensor("truth", truth, "N", "pass one number a case")
    _check.tensor("prediction", prediction, str(n), "pass one number a case of the truth")
    for name, x in [("truth", truth), ("prediction", prediction)]:
        _check.numbers(name, x)
    if not n:
        raise _check.refuse("at least one case", n, "there is nothing to average")
    t, error = truth.double(), prediction.double() - truth.double()
    varies = bool((t != t[0]).any())
    r2 = 1 - ((error**2).sum() / ((t - t.mean()) ** 2).sum()).item() if varies else math.nan
    bias, reach = error.mean().item(), 1.96 * error.std().item() if n > 1 else math.nan
    errors = error.abs().mean().item(), error.square().mean().sqrt().item()
    return Regression(*errors, r2, bias, bias - reach, bias + reach, n)


def bootstrap(
    statistic: Callable[..., float], *samples: Tensor, generator: Generator, repeats: int = 1000, level: float = 0.95
) -> Interval:
    """The percentile interval of ``statistic(*samples)`` under drawing cases with replacement (Efron 1979).

    ``samples``: one row a case, drawn together: ``bootstrap(lambda t, p: regression(t, p).mae, truth, prediction,
    generator=g)``. The rows must be independent: one a patient, not one a frame. A resample that gives NaN is left out.
    """
    if not samples or not len(samples[0]) or any(len(s) != len(samples[0]) for s in samples):
        got = [tuple(s.shape) for s in samples]
        raise _check.refuse("samples with one row a case", got, "give every sample the same cases")
    draws = resamples(len(samples[0]), generator=generator, repeats=repeats)
    values = torch.tensor([statistic(*(s[rows.to(s.device)] for s in samples)) for rows in draws], dtype=torch.float64)
    return interval(statistic(*samples), values, level=level)


def resamples(n: int, *, generator: Generator, repeats: int) -> Tensor:
    """Row numbers of ``repeats`` draws of n from n, with replacement: (repeats, n)."""
    _check.positive("repeats", repeats)
    return torch.randint(n, (repeats, n), generator=generator, device=generator.device)


def interval(estimate: float, values: Tensor, *, level: float) -> Interval:
    """The middle ``level`` of resampled ``values``, NaN left out."""
    if not 0 < level < 1:
        raise _check.refuse("level between 0 and 1", level, "0.95 is usual")
    kept = values[~values.isnan()]
    tails = values.new_tensor([(1 - level) / 2, (1 + level) / 2])
    low, high = kept.quantile(tails).tolist() if kept.numel() else (math.nan, math.nan)
    return Interval(float(estimate), low, high, level, kept.numel())
