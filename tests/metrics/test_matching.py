"""Matching against every possible assignment, the greedy rule step by step, and counts known by hand."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.metrics.matching import Counts, dsb_score, match_greedy, match_optimal
from coursekit.metrics.overlap import instance_iou
from coursekit.testing import generator


def best_by_trying(iou, threshold):
    """(pairs, sum of IoU) of the best assignment among all."""
    n, m = iou.shape
    k = max(n, m)
    best = (0, 0.0)
    for columns in itertools.permutations(range(k)):
        pairs = [(i, j) for i, j in enumerate(columns) if i < n and j < m and iou[i, j] >= threshold]
        best = max(best, (len(pairs), sum(iou[i, j].item() for i, j in pairs)))
    return best


def draw_table(seed, n, m, steps=10):
    """A table with ties: multiples of 1 / steps."""
    return torch.randint(0, steps + 1, (n, m), generator=generator(seed)).double() / steps


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.1, 0.5, 0.7]))
def test_optimal_is_the_best_of_all(seed, n, m, threshold):
    iou = draw_table(seed, n, m)
    found = match_optimal(iou, threshold=threshold)
    number, total = best_by_trying(iou, threshold)
    assert found.counts.tp == number
    assert found.iou.sum().item() == pytest.approx(total)
    assert sorted([*found.truth.tolist(), *found.missed.tolist()]) == list(range(n))
    assert sorted([*found.prediction.tolist(), *found.spurious.tolist()]) == list(range(m))
    assert (found.iou >= threshold).all()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 5), st.integers(0, 5))
def test_greedy_rule(seed, n, m):
    iou = draw_table(seed, n, m)
    scores = torch.randint(0, 3, (m,), generator=generator(seed + 1)).double()
    found = match_greedy(iou, scores, threshold=0.4)
    partner = dict(zip(found.prediction.tolist(), found.truth.tolist()))
    taken = set()
    for j in sorted(range(m), key=lambda j: (-scores[j].item(), j)):
        open_truth = [i for i in range(n) if i not in taken and iou[i, j] >= 0.4]
        expected = max(open_truth, key=lambda i: (iou[i, j].item(), i), default=None)
        assert partner.get(j) == expected
        taken.add(expected)
    assert found.counts.tp <= match_optimal(iou, threshold=0.4).counts.tp


def test_greedy_can_lose_a_pair_that_optimal_keeps():
    iou = torch.tensor([[0.8, 0.7], [0.6, 0.0]])
    assert match_greedy(iou, torch.tensor([0.9, 0.5])).counts == Counts(1, 1, 1)
    assert match_greedy(iou, torch.tensor([0.5, 0.9])).counts.tp == 2
    assert match_optimal(iou).iou.sum().item() == pytest.approx(1.3)


def test_optimal_prefers_pairs_to_overlap():
    iou = torch.tensor([[1.0, 0.5], [0.5, 0.0]])
    assert match_optimal(iou).truth.tolist() == [0, 1]
    assert match_optimal(iou).prediction.tolist() == [1, 0]
    assert match_optimal(iou, threshold=0.51).counts.tp == 1


def test_scores_of_counts():
    counts = Counts(6, 2, 4)
    assert counts.precision == 6 / 8
    assert counts.recall == 6 / 10
    assert counts.f1 == pytest.approx(12 / 18)
    assert counts.threat_score == 6 / 12
    assert counts + Counts(1, 0, 0) == Counts(7, 2, 4)


def test_nothing_over_nothing_is_nan():
    nothing = match_optimal(torch.zeros(0, 0)).counts
    assert nothing == Counts(0, 0, 0)
    for name in ("precision", "recall", "f1", "threat_score"):
        assert math.isnan(getattr(nothing, name))
    missed = match_optimal(torch.zeros(2, 0)).counts
    assert (missed.recall, missed.threat_score) == (0, 0)
    assert math.isnan(missed.precision)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_an_overlap_that_equals_the_threshold_counts_in_every_dtype(dtype):
    """7/10 in float32 is below 0.7, and arange writes 0.7 as 0.7000000000000002."""
    for tenths in range(1, 10):
        iou = torch.tensor([[tenths / 10]], dtype=dtype)
        for threshold in (tenths / 10, float(np.arange(0.1, 1, 0.1)[tenths - 1]), tenths * 0.1):
            assert match_optimal(iou, threshold=threshold).counts.tp == 1
            assert match_greedy(iou, torch.ones(1), threshold=threshold).counts.tp == 1
        assert match_optimal(iou, threshold=tenths / 10 + 0.05).counts.tp == 0


def test_dsb_score_by_hand():
    """IoU 0.67 is found at four thresholds of ten (0.50 … 0.65), IoU 1 at all ten."""
    one = torch.tensor([[1.0, 0.0], [0.0, 0.67]])
    assert dsb_score([one]) == pytest.approx((4 * 1 + 6 * (1 / 3)) / 10)
    assert dsb_score([one, torch.zeros(0, 3)]) == pytest.approx((4 + 2) / 10 / 2)
    assert dsb_score([one, torch.zeros(0, 0)]) == pytest.approx((0.6 + 1) / 2)
    assert dsb_score([one, torch.zeros(0, 0)], empty=0.0) == pytest.approx(0.3)
    assert dsb_score([one], thresholds=[0.5]) == 1
    labels = torch.arange(4).reshape(2, 2)
    assert dsb_score([instance_iou(labels, labels)[0]]) == 1


def test_refusals(refuses):
    table, scores = torch.full((2, 3), 0.5), torch.zeros(3)
    refuses("iou of shape", match_optimal, torch.zeros(3))
    refuses("iou to be floating", match_optimal, table.long())
    refuses("iou to be finite", match_optimal, table / 0)
    refuses("iou in \\[0, 1\\]", match_optimal, table + 1)
    refuses("threshold above 0", match_optimal, table, threshold=0.0)
    refuses("threshold above 0", match_greedy, table, scores, threshold=1.5)
    refuses(r"scores of shape \(3,\), got \(2,\): the table has a column", match_greedy, table, scores[:2])
    refuses("scores to be finite", match_greedy, table, scores / 0)
    refuses("at least one image", dsb_score, [])
