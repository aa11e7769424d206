"""The ROC against the count of pairs, and where a class is missing."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.metric_loops import auc_loop

from coursekit.metrics.regression import bootstrap
from coursekit.metrics.roc import roc
from coursekit.testing import generator


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 6)), min_size=2, max_size=25))
@settings(max_examples=60)
def test_the_area_counts_pairs_and_the_curve_counts_cases(cases: list) -> None:
    truth, scores = torch.tensor([c[0] for c in cases]), torch.tensor([float(c[1]) for c in cases])
    curve = roc(truth, scores)
    for i, threshold in enumerate(curve.thresholds.tolist()):
        called = scores >= threshold
        if curve.positives:
            assert curve.sensitivity[i].item() == pytest.approx((called & truth).sum().item() / curve.positives)
        if curve.negatives:
            assert curve.false_positive_rate[i].item() == pytest.approx(
                (called & ~truth).sum().item() / curve.negatives
            )
    if curve.positives and curve.negatives:
        assert curve.auc == pytest.approx(auc_loop(truth, scores))
        assert roc(truth, 3 * scores**3 + 1).auc == pytest.approx(curve.auc)  # only the order counts
        assert roc(~truth, scores).auc == pytest.approx(1 - curve.auc)


def test_by_hand() -> None:
    curve = roc(torch.tensor([True, False, True, False]), torch.tensor([0.9, 0.5, 0.5, 0.1]))
    assert curve.sensitivity.tolist() == [0, 0.5, 1, 1]
    assert curve.false_positive_rate.tolist() == [0, 0, 0.5, 1]
    assert curve.thresholds[0] == math.inf
    assert curve.auc == 0.875


@pytest.mark.parametrize("truth", [[], [True, True], [False]])
def test_a_missing_class_has_no_area(truth: list) -> None:
    curve = roc(torch.tensor(truth, dtype=torch.bool), torch.rand(len(truth)))
    assert math.isnan(curve.auc)
    assert curve.sensitivity.isnan().all() == (not any(truth))
    assert curve.false_positive_rate.isnan().all() == all(truth)


def test_an_interval_of_the_area() -> None:
    truth = torch.arange(60) % 2 == 0
    scores = truth.float() + torch.randn(60)
    found = bootstrap(lambda t, s: roc(t, s).auc, truth, scores, generator=generator(0), repeats=200)
    assert 0.5 < found.low < found.estimate < found.high < 1


def test_bad_input(refuses) -> None:
    truth, scores = torch.tensor([True, False]), torch.rand(2)
    refuses("truth to be boolean", roc, truth.long(), scores)
    refuses("one score a case", roc, truth, scores[:1])
    refuses("scores to be finite", roc, truth, scores / 0)
    refuses("floating point", roc, truth, truth)
    refuses("one bool a case", roc, truth[None], scores)
