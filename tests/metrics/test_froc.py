"""FROC against a count at every threshold, a curve by hand, and its interval."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.metric_loops import froc_loop

from coursekit.metrics import froc as fr
from coursekit.testing import generator


def scans(seed: int, count: int = 5) -> tuple[list[int], list[torch.Tensor], list[torch.Tensor]]:
    """Random scans with tied scores, several hits on a lesion, ignored findings, and empty ones."""
    rng = np.random.default_rng(seed)
    lesions = [int(rng.integers(0, 4)) for _ in range(count - 1)] + [2]
    k = [int(rng.integers(0, 8)) for _ in range(count)]
    hit = [torch.from_numpy(rng.integers(-2, n, size=m)) for n, m in zip(lesions, k)]
    return lesions, hit, [torch.from_numpy(rng.integers(0, 6, size=m) / 5) for m in k]


@given(st.integers(0, 9999))
@settings(max_examples=50)
def test_the_curve_counts(seed: int) -> None:
    lesions, hit, scores = scans(seed)
    curve = fr.froc(lesions, hit, scores)
    for i, threshold in enumerate(curve.thresholds.tolist()):
        alarms, found = froc_loop(lesions, hit, scores, threshold)
        assert curve.false_positives_per_scan[i].item() == pytest.approx(alarms)
        assert curve.sensitivity[i].item() == pytest.approx(found)
    assert list(curve.at_rates) == sorted(curve.at_rates)
    assert curve.average == pytest.approx(sum(curve.at_rates) / 7)


def test_by_hand() -> None:
    """Two scans, three lesions: found at 0.9 (twice over), 0.5; one never. False alarms at 0.7 and 0.2."""
    lesions, hit = [2, 1], [torch.tensor([0, 0, -1, 1]), torch.tensor([-1, -2])]
    scores = [torch.tensor([0.9, 0.3, 0.7, 0.5]), torch.tensor([0.2, 0.99])]
    curve = fr.froc(lesions, hit, scores, rates=(0.25, 0.5, 1.0, 8.0))
    assert curve.thresholds.tolist() == pytest.approx([math.inf, 0.9, 0.7, 0.5, 0.2])
    assert curve.false_positives_per_scan.tolist() == [0, 0, 0.5, 0.5, 1]
    assert curve.sensitivity.tolist() == pytest.approx([0, 1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert curve.at_rates == pytest.approx((1 / 3, 2 / 3, 2 / 3, 2 / 3))
    assert (curve.lesions, curve.scans) == (3, 2)


def test_a_rate_that_equals_a_point_but_for_rounding_reads_its_highest() -> None:
    """Four false alarms in five scans, then a hit at the same rate: at 0.8 the lesion is found, and at arange's
    0.7999999999999999.
    """
    hit, scores = (
        [torch.tensor([-1, -1, -1, -1, 0]), *[torch.zeros(0).long()] * 4],
        [torch.tensor([0.9, 0.8, 0.7, 0.6, 0.5]), *[torch.zeros(0)] * 4],
    )
    at = fr.froc([1, 0, 0, 0, 0], hit, scores, rates=(0.7999999999999999, 0.8, 0.8000000000000002, 0.7)).at_rates
    assert at == (1, 1, 1, 0)


def test_a_candidate_at_the_radius_is_outside_whatever_rounding_says() -> None:
    for place in (0.1, 0.3, 0.7, 33.3):
        centre = torch.tensor([[place, 0.0, 0.0]], dtype=torch.float64)
        away = torch.tensor([[place + 0.3, 0.0, 0.0], [place + 0.2999, 0.0, 0.0]], dtype=torch.float64)
        assert fr.hits(centre, torch.tensor([0.3], dtype=torch.float64), away).tolist() == [-1, 0]


def test_no_candidates_and_no_lesions() -> None:
    none, no_score = torch.zeros(0).long(), torch.zeros(0)
    assert fr.froc([3], [none], [no_score]).average == 0
    curve = fr.froc([0], [torch.tensor([-1])], [torch.tensor([0.5])])
    assert math.isnan(curve.average)
    assert curve.false_positives_per_scan.tolist() == [0, 1]


def test_hits_by_distance() -> None:
    centres, radius = torch.tensor([[0.0, 0, 0], [0, 0, 6]]), torch.tensor([3.0, 5.0])
    points = torch.tensor([[0.0, 0, 1], [0, 0, 3], [0, 0, 2.5], [0, 9, 0]])
    # 3 is on the rim of the first lesion and 3 mm from the second; 2.5 lies in both and nearer to the first
    assert fr.hits(centres, radius, points).tolist() == [0, 1, 0, -1]
    assert fr.hits(centres[:0], radius[:0], points).tolist() == [-1] * 4
    assert fr.hits(centres, radius, points[:0]).shape == (0,)


def test_the_interval_draws_whole_scans() -> None:
    lesions, hit, scores = scans(3, count=12)
    whole, each = fr.froc_interval(lesions, hit, scores, generator=generator(0), repeats=60)
    again, _ = fr.froc_interval(lesions, hit, scores, generator=generator(0), repeats=60)
    assert whole == again
    assert whole.low < whole.estimate < whole.high
    assert whole.estimate == fr.froc(lesions, hit, scores).average
    assert len(each) == 7
    slow = []
    for rows in torch.randint(12, (60, 12), generator=generator(0)).tolist():
        slow.append(fr.froc([lesions[i] for i in rows], [hit[i] for i in rows], [scores[i] for i in rows]).average)
    assert (whole.low, whole.high) == pytest.approx(tuple(np.quantile(slow, [0.025, 0.975])))
    alike, _ = fr.froc_interval(lesions[-1:] * 4, hit[-1:] * 4, scores[-1:] * 4, generator=generator(0), repeats=20)
    assert alike.low == pytest.approx(alike.high)


def test_bad_input(refuses) -> None:
    hit, score = torch.tensor([0, -1]), torch.rand(2)
    refuses("at least one scan", fr.froc, [], [], [])
    refuses("one entry a scan", fr.froc, [1, 2], [hit], [score])
    refuses("one score a candidate", fr.froc, [1], [hit], [score[:1]])
    refuses(r"hit in \[-2, 0\], got values in \[-1, 1\]", fr.froc, [1], [torch.tensor([1, -1])], [score])
    refuses("scores to be finite", fr.froc, [1], [hit], [score / 0])
    refuses("integer tensor", fr.froc, [1], [hit.float()], [score])
    refuses("rates > 0", fr.froc, [1], [hit], [score], rates=(0.0, 1.0))
    refuses("lesions >= 0", fr.froc, [-1], [hit], [score])
    refuses("one radius a lesion", fr.hits, torch.rand(2, 3), torch.rand(1), torch.rand(4, 3))
    refuses("radius_mm > 0", fr.hits, torch.rand(1, 3), torch.tensor([-1.0]), torch.rand(4, 3))
    refuses(r"\(z, y, x\) in mm, one row a candidate", fr.hits, torch.rand(1, 3), torch.rand(1), torch.rand(4, 2))
