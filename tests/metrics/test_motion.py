"""End-point and angular error."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit import testing
from coursekit.metrics import motion
from tests.tensors import fake_cuda


def loop(truth: torch.Tensor, flow: torch.Tensor) -> tuple[list[float], list[float]]:
    """Pixel by pixel; the angle from the cosine, in float64."""
    ends, angles = [], []
    for t, f in zip(
        truth.movedim(1, -1).reshape(-1, truth.shape[1]).tolist(),
        flow.movedim(1, -1).reshape(-1, truth.shape[1]).tolist(),
    ):
        ends.append(math.dist(t, f))
        cosine = (1 + sum(a * b for a, b in zip(t, f))) / math.sqrt(
            (1 + sum(a * a for a in t)) * (1 + sum(b * b for b in f))
        )
        angles.append(math.degrees(math.acos(min(1.0, cosine))))
    return ends, angles


@pytest.mark.parametrize("size", [(4, 5), (1, 1), (2, 3, 4)])
def test_errors_are_their_definitions(size: tuple[int, ...]) -> None:
    truth, flow = (3 * torch.randn(2, len(size), *size, dtype=torch.float64) for _ in range(2))
    ends, angles = loop(truth, flow)
    testing.assert_close(motion.end_point_error(truth, flow).flatten(), torch.tensor(ends, dtype=torch.float64))
    testing.assert_close(motion.angular_error(truth, flow).flatten(), torch.tensor(angles, dtype=torch.float64))
    record = motion.motion_error(truth, flow)
    count = 2 * math.prod(size)
    assert record.pixels == count
    assert record.end_point == pytest.approx(sum(ends) / count)
    assert record.angular_deg == pytest.approx(sum(angles) / count)
    assert record.over_1px == pytest.approx(sum(e > 1 for e in ends) / count)
    assert record.over_3px == pytest.approx(sum(e > 3 for e in ends) / count)


def test_by_hand() -> None:
    """Truth still; the answer moves by 1 px: end-point error 1, angle between (0, 0, 1) and (0, 1, 1) 45°."""
    truth, flow = torch.zeros(1, 2, 1, 2), torch.zeros(1, 2, 1, 2)
    flow[0, 1, 0, 1] = 1
    record = motion.motion_error(truth, flow)
    assert (record.end_point, record.over_1px, record.pixels) == (0.5, 0.0, 2)
    assert record.angular_deg == pytest.approx(22.5)


def test_an_error_of_one_pixel_is_not_above_one_and_half_precision_is_computed() -> None:
    truth = torch.rand(1, 2, 50, 60)
    one = torch.tensor([0.6, 0.8]).view(1, 2, 1, 1)
    assert motion.motion_error(truth, truth + one).over_1px == 0  # though half of them come out as 1.0000001
    assert motion.motion_error(truth, truth + 1.01 * one).over_1px == 1
    far = torch.full((1, 2, 50, 60), 300.0)  # 300² is more than float16 holds
    for dtype in (torch.float16, torch.bfloat16):
        record = motion.motion_error(torch.zeros_like(far).to(dtype), far.to(dtype))
        assert record.end_point == pytest.approx(300 * 2**0.5)
        assert record.angular_deg == pytest.approx(89.86, abs=0.01)


def test_small_angles_survive_float32() -> None:
    """One thousandth of a pixel is 0.057°; from the cosine, float32 would say 0."""
    truth = torch.zeros(1, 2, 1, 1)
    testing.assert_close(
        motion.angular_error(truth, truth + torch.tensor([0, 1e-4]).view(1, 2, 1, 1)).item() * torch.ones(1),
        torch.tensor([math.degrees(1e-4)]),
        rtol=1e-4,
    )


def test_only_valid_pixels_count() -> None:
    truth, flow = torch.zeros(1, 2, 1, 3), torch.zeros(1, 2, 1, 3)
    truth[..., 0], flow[..., 1], flow[..., 2] = torch.nan, 3.0, torch.inf
    valid = torch.tensor([[[False, True, False]]])
    record = motion.motion_error(truth, flow, valid=valid)
    assert record.pixels == 1
    assert record.end_point == pytest.approx(math.sqrt(18))
    assert record.over_3px == 1


def test_nothing_counted_is_nan_not_zero() -> None:
    x = torch.zeros(1, 2, 2, 2)
    for record in (
        motion.motion_error(x, x, valid=torch.zeros(1, 2, 2, dtype=torch.bool)),
        motion.motion_error(x[:0], x[:0]),
    ):
        assert record.pixels == 0
        assert all(math.isnan(v) for v in (record.end_point, record.angular_deg, record.over_1px, record.over_3px))


@settings(max_examples=50)
@given(st.lists(st.floats(-50, 50), min_size=4, max_size=4))
def test_laws(numbers: list[float]) -> None:
    a, b = torch.tensor(numbers, dtype=torch.float64).view(2, 1, 2, 1, 1)
    for error in (motion.end_point_error, motion.angular_error):
        testing.assert_close(error(a, b), error(b, a))
        assert error(a, b) >= 0
        assert error(a, a) == 0
    assert motion.angular_error(a, b) <= 180


def test_devices_are_followed() -> None:
    with fake_cuda() as to_cuda:
        x = to_cuda(torch.zeros(2, 2, 4, 5))
        assert motion.end_point_error(x, x).device.type == "cuda"
        assert motion.angular_error(x, x).device.type == "cuda"


def test_the_door(refuses) -> None:
    x = torch.zeros(1, 2, 3, 4)
    for error in (motion.end_point_error, motion.angular_error, motion.motion_error):
        refuses("truth and flow of one shape", error, x, x[:, :1])
        refuses("truth to be floating", error, x.long(), x)
        refuses("flow to be floating", error, x, x.long())
    refuses("valid of shape", motion.motion_error, x, x, valid=torch.ones(1, 3, 5, dtype=torch.bool))
    refuses("valid to be boolean", motion.motion_error, x, x, valid=torch.ones(1, 3, 4))
    refuses("truth where valid to be finite", motion.motion_error, x * torch.nan, x)
    refuses("flow where valid to be finite", motion.motion_error, x, x / 0)
