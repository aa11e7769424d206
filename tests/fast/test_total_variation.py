"""The engine of TV-L1 against the step that it repeats."""

import pytest
import torch

from coursekit.fast.total_variation import TVL1
from coursekit.flow.variational import divergence, gradient, tv_l1_step
from coursekit.testing import assert_close

KNOBS = {"attachment": 4.0, "tightness": 0.3}


@pytest.mark.parametrize("size", [(7, 5), (3, 4, 5), (1, 6)])
def test_the_engine_repeats_the_step(size: tuple[int, ...]) -> None:
    n, ndim = 2, len(size)
    flow, slope = torch.randn(2, n, ndim, *size, dtype=torch.float64)
    residual = torch.randn(n, 1, *size, dtype=torch.float64)
    engine, p, u, kept = TVL1(flow, **KNOBS), torch.zeros(n, ndim, ndim, *size, dtype=torch.float64), flow, flow.clone()
    for count in (1, 3):  # the dual is kept from call to call
        for _ in range(count):
            u, p = tv_l1_step(u, p, residual, slope, **KNOBS)
        flow = engine.steps(flow, residual, slope, count=count)
        assert_close(flow, u)
        assert_close(torch.stack(engine.p, 2), p)
    assert p.norm(dim=2).max() <= 1
    start = TVL1(kept, **KNOBS)
    before = kept.clone()
    start.steps(kept, residual, slope, count=2)
    assert torch.equal(kept, before)


def test_divergence_is_minus_the_adjoint_of_the_gradient() -> None:
    u, p = torch.randn(1, 2, 6, 5, dtype=torch.float64), torch.randn(1, 2, 2, 6, 5, dtype=torch.float64)
    p[:, :, 0, -1], p[:, :, 1, :, -1] = 0, 0  # as the dual is: no slope at the far edge
    assert_close((gradient(u) * p).sum(), -(u * divergence(p)).sum())
