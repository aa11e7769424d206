"""FROC: how many lesions are found, against how many false alarms a scan, as LUNA16 scores nodules.

A candidate is a point with a score. It hits a lesion if it lies within the lesion's radius; several hits on one
lesion count once, by the best score; a candidate that hits none is a false positive.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from coursekit import _check
from coursekit.metrics.regression import Interval, interval, resamples

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)  # false positives a scan, LUNA16
NO_LESION, IGNORED = -1, -2  # what a candidate may hit besides lesion 0, 1, …
Hits = Sequence[Integer[Tensor, "_"]]  # of each scan's candidates; and their scores
Scores = Sequence[Float[Tensor, "_"]]


@dataclass(frozen=True, eq=False)
class Froc:
    """The curve, one point a distinct score, strictest first, from (0, 0); sensitivity at ``rates``, and their average.

    Without any lesion every sensitivity is NaN.
    """

    false_positives_per_scan: Float[Tensor, "P"]
    sensitivity: Float[Tensor, "P"]
    thresholds: Float[Tensor, "P"]
    rates: tuple[float, ...]
    at_rates: tuple[float, ...]
    average: float
    lesions: int
    scans: int


def hits(
    centres_mm: Float[Tensor, "L 3"], radius_mm: Float[Tensor, "L"], points_mm: Float[Tensor, "K 3"]
) -> Integer[Tensor, "K"]:
    """Which lesion of the scan each candidate hits: the nearest centre closer than its radius, else ``NO_LESION``."""
    lesions, _ = _check.tensor("centres_mm", centres_mm, "L 3", "pass (z, y, x) in mm, one row a lesion")
    _check.tensor("radius_mm", radius_mm, str(lesions), "pass one radius a lesion, half its diameter")
    _check.tensor("points_mm", points_mm, "K 3", "pass (z, y, x) in mm, one row a candidate")
    _check.positive("radius_mm", radius_mm.tolist())
    if lesions == 0:
        return torch.full((len(points_mm),), NO_LESION, device=points_mm.device)
    away = torch.cdist(points_mm.double(), centres_mm.double(), compute_mode="donot_use_mm_for_euclid_dist")  # (K, L)
    dtype = _check.wide_dtype(centres_mm, radius_mm, points_mm)
    nearest = away.where(~_check.at_least(away.to(dtype), radius_mm), math.inf).min(1)
    return nearest.indices.where(nearest.values < math.inf, NO_LESION)


@dataclass(frozen=True, eq=False)
class _Events:
    """All scans in one list: each lesion with its best score, each false positive with its score; and their scans."""

    score: Tensor  # (E,) falling
    is_lesion: Tensor  # (E,)
    scan: Tensor  # (E,)
    lesions: Tensor  # (scans,) how many there are, found or not


def froc(lesions: Sequence[int], hit: Hits, scores: Scores, *, rates: Sequence[float] = RATES) -> Froc:
    """Score the candidates of several scans: the lesions of each, what each candidate hits (``hits``), and its score.

    A candidate that hits ``IGNORED`` (a finding that is neither) counts for nothing. Between points the sensitivity
    is linear, after the last one flat, as LUNA16 has it. Source: Setio et al. 2017, section 3.3.
    """
    events = _events(lesions, hit, scores, rates)
    weight = torch.ones(len(lesions), dtype=torch.float64)
    x, y, last = _curve(events, weight)
    at = _at(x, y, rates)
    start = torch.zeros(1, dtype=torch.float64)
    thresholds = torch.cat([start + math.inf, events.score[last]])
    return Froc(x, y, thresholds, tuple(rates), tuple(at), float(np.mean(at)), int(events.lesions.sum()), len(lesions))


def froc_interval(
    lesions: Sequence[int],
    hit: Hits,
    scores: Scores,
    *,
    generator: torch.Generator,
    rates: Sequence[float] = RATES,
    repeats: int = 1000,
    level: float = 0.95,
) -> tuple[Interval, tuple[Interval, ...]]:
    """The bootstrap interval of the average sensitivity, and of that at each rate. Whole scans are drawn."""
    events = _events(lesions, hit, scores, rates)
    draws = resamples(len(lesions), generator=generator, repeats=repeats).cpu()
    weights = [torch.bincount(rows, minlength=len(lesions)).double() for rows in draws]
    at_rates = [_at(*_curve(events, w)[:2], rates) for w in weights]
    values = torch.tensor(at_rates, dtype=torch.float64)  # (repeats, rates)
    whole = froc(lesions, hit, scores, rates=rates)
    each = tuple(interval(e, v, level=level) for e, v in zip(whole.at_rates, values.T))
    return interval(whole.average, values.mean(1), level=level), each


def _events(lesions: Sequence[int], hit: Sequence[Tensor], scores: Sequence[Tensor], rates: Sequence[float]) -> _Events:
    if not lesions or not len(lesions) == len(hit) == len(scores):
        lengths = f"{len(lesions)}, {len(hit)} and {len(scores)}"
        expected = "one entry a scan, three times, and at least one scan"
        raise _check.refuse(expected, lengths, "list every scan, hits or not")
    _check.positive("lesions", tuple(lesions), zero=True)
    _check.positive("rates", tuple(rates))
    score, is_lesion, scan = [], [], []
    for i, (n, h, s) in enumerate(zip(lesions, hit, scores)):
        (k,) = _check.tensor("hit", h, "K", "pass one lesion number a candidate", of="integer")
        _check.tensor("scores", s, str(k), "pass one score a candidate", of="numbers")
        _check.within("hit", h, IGNORED, n - 1, "number the lesions of each scan from 0; -1 hits none")
        h, s = h.cpu(), s.cpu().double()
        best = torch.full((n,), -math.inf, dtype=torch.float64).scatter_reduce(0, h[h >= 0].long(), s[h >= 0], "amax")
        best = best[best > -math.inf]  # of the lesions that are hit
        alarms = s[h == NO_LESION]
        score += [best, alarms]
        is_lesion += [torch.ones(len(best)), torch.zeros(len(alarms))]
        scan.append(torch.full((len(best) + len(alarms),), i))
    order = torch.cat(score).argsort(descending=True, stable=True)
    ranked = [torch.cat(column)[order] for column in (score, is_lesion, scan)]
    return _Events(ranked[0], ranked[1].double(), ranked[2], torch.tensor(list(lesions)))


def _curve(events: _Events, weight: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """False positives a scan, sensitivity, the last event of each distinct score; each scan counts ``weight`` times."""
    w = weight[events.scan]
    last = torch.cat([events.score.diff() != 0, torch.ones(min(1, len(w)), dtype=torch.bool)]).nonzero()[:, 0]
    start = torch.zeros(1, dtype=torch.float64)
    hit = torch.cat([start, (w * events.is_lesion).cumsum(0)[last]])
    alarms = torch.cat([start, (w * (1 - events.is_lesion)).cumsum(0)[last]])
    return alarms / weight.sum(), hit / (weight * events.lesions).sum(), last


def _at(x: Tensor, y: Tensor, rates: Sequence[float]) -> list[float]:
    """The curve read at ``rates``: linear between points, flat after the last, the highest of points at one rate."""
    alarms, wanted = x.numpy(), np.asarray(rates, np.float64)
    nearest = alarms[np.minimum(np.searchsorted(alarms, wanted * (1 - 1e-9)), len(alarms) - 1)]
    same = np.isclose(nearest, wanted, rtol=1e-9, atol=0)  # arange's 0.7999999999999999 is 0.8
    wanted = np.where(same, nearest, wanted)
    values: list[float] = np.interp(wanted, alarms, y.numpy()).tolist()
    return values
