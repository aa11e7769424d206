"""Errors by hand and by numpy, and intervals that cover as often as they say."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.metrics import regression as rg
from coursekit.testing import generator


def test_by_hand() -> None:
    record = rg.regression(torch.tensor([50.0, 60.0, 70.0]), torch.tensor([52.0, 60.0, 64.0]))
    assert record.mae == pytest.approx(8 / 3)
    assert record.rmse == pytest.approx(math.sqrt(40 / 3))
    assert record.r2 == pytest.approx(1 - 40 / 200)
    assert record.bias == pytest.approx(-4 / 3)
    assert record.count == 3


@given(st.integers(2, 30), st.integers(0, 999))
@settings(max_examples=30)
def test_against_numpy(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    t, p = rng.normal(size=n), rng.normal(size=n)
    record = rg.regression(*map(torch.from_numpy, (t, p)))
    assert record.r2 == pytest.approx(1 - np.mean((p - t) ** 2) / np.var(t))
    assert record.rmse**2 == pytest.approx(np.var(p - t) + record.bias**2)
    assert record.mae <= record.rmse * (1 + 1e-12)
    limits = np.mean(p - t) + np.array([-1.96, 1.96]) * np.std(p - t, ddof=1)
    assert (record.lower, record.upper) == pytest.approx(limits)


def test_r2_where_it_is_not_defined() -> None:
    assert math.isnan(rg.regression(torch.ones(1), torch.ones(1)).r2)
    assert math.isnan(rg.regression(torch.ones(1), torch.ones(1)).upper)
    assert math.isnan(rg.regression(torch.full((3,), 0.1), torch.rand(3)).r2)
    assert rg.regression(torch.tensor([0.0, 1.0]), torch.tensor([0.5, 0.5])).r2 == 0
    assert rg.regression(torch.tensor([0.0, 1.0]), torch.tensor([1.0, 0.0])).r2 == -3


def test_half_precision_sums_in_float64() -> None:
    t = torch.full((3000,), 60.0, dtype=torch.float16)
    assert rg.regression(t, t + 2).mae == 2


def mean(x: torch.Tensor) -> float:
    return x.mean().item()


def test_the_interval_covers_as_often_as_it_says() -> None:
    """200 samples of 40: the 80 % interval of the mean holds the true mean in about 80 % (binomial sd 2.8 %)."""
    g = generator(1)
    intervals = [
        rg.bootstrap(mean, torch.randn(40, generator=g), generator=g, repeats=200, level=0.8) for _ in range(200)
    ]
    assert 0.7 < sum(i.low <= 0 <= i.high for i in intervals) / 200 < 0.88


def test_the_interval_follows_its_generator_and_keeps_pairs() -> None:
    t, p = torch.arange(20.0), torch.arange(20.0) + 3
    one, two = (
        rg.bootstrap(lambda a, b: rg.regression(a, b).mae, t, p, generator=generator(5), repeats=50) for _ in range(2)
    )
    assert one == two
    assert one == rg.Interval(3.0, 3.0, 3.0, 0.95, 50)
    spread = [rg.bootstrap(mean, t, generator=generator(s), repeats=50) for s in (5, 6)]
    assert spread[0] != spread[1]
    assert spread[0].low < spread[0].estimate < spread[0].high


def test_resamples_without_a_value_are_left_out() -> None:
    kept = rg.bootstrap(
        lambda x: mean(x) if bool((x > 0).any()) else math.nan,
        torch.tensor([0.0, 1.0]),
        generator=generator(0),
        repeats=80,
    )
    assert 40 < kept.repeats < 80
    assert kept.low > 0
    nothing = rg.bootstrap(lambda x: math.nan, torch.ones(2), generator=generator(0), repeats=5)
    assert math.isnan(nothing.low)
    assert nothing.repeats == 0


def test_bad_input(refuses) -> None:
    x = torch.rand(3)
    refuses("at least one case", rg.regression, x[:0], x[:0])
    refuses("one number a case of the truth", rg.regression, x, x[:2])
    refuses("one number a case", rg.regression, x[None], x[None])
    refuses("prediction to be finite", rg.regression, x, x / 0)
    refuses("floating point", rg.regression, x.long(), x)
    refuses("level between 0 and 1", rg.bootstrap, mean, x, generator=generator(0), level=95)
    refuses("repeats > 0", rg.bootstrap, mean, x, generator=generator(0), repeats=0)
    refuses("the same cases", rg.bootstrap, mean, x, x[:2], generator=generator(0))
    refuses("one row a case", rg.bootstrap, mean, x[:0], generator=generator(0))
