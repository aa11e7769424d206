"""What the flow methods share."""

import pytest
import torch
from scipy import ndimage

from coursekit import testing
from coursekit.flow import pyramid
from coursekit.ops.warp import grid


@pytest.mark.parametrize("size", [(9, 7), (1, 5), (4, 6, 5)])
def test_blur_is_scipys_gaussian(size: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *size, dtype=torch.float64)
    for sigma in (0.6, 1.0, 3.0):
        expected = ndimage.gaussian_filter(
            x.numpy(), sigma, mode="nearest", radius=-int(-3 * sigma // 1), axes=range(2, x.ndim)
        )
        testing.assert_close(pyramid.blur(x, sigma), torch.from_numpy(expected))


def test_derivatives_of_a_plane_are_its_slopes() -> None:
    z, y, x = grid((5, 6, 7), dtype=torch.float64)
    slopes = pyramid.derivatives((0.5 * z - 2 * y + 3 * x)[None, None])[0]
    for slope, value in zip(slopes[:, 1:-1, 1:-1, 1:-1], (0.5, -2.0, 3.0)):
        testing.assert_close(slope, torch.full_like(slope, value))
    testing.assert_close(slopes[0, 0], torch.full_like(slopes[0, 0], 0.25))  # half, where the edge is repeated


@pytest.mark.parametrize("size", [(12, 9), (1, 20), (3, 8, 9)])
def test_resize_counts_in_the_new_pixels(size: tuple[int, ...]) -> None:
    small = tuple(-(-n // 2) for n in size)
    flow = torch.ones(1, len(size), *small, dtype=torch.float64)
    larger = pyramid.resize_flow(flow, size)
    assert larger.shape == (1, len(size), *size)
    for axis, (new, old) in enumerate(zip(size, small)):
        testing.assert_close(larger[:, axis], torch.full_like(larger[:, axis], new / old))


def test_coarse_to_fine_goes_through_halves_and_leaves_thin_axes_alone() -> None:
    seen = []

    def refine(a: torch.Tensor, b: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(a.shape[2:]))
        assert a.shape == b.shape
        assert flow.shape == (2, 3, *a.shape[2:])
        testing.assert_close(a.mean(), torch.tensor(1.0))
        return flow + 1

    result = pyramid.coarse_to_fine(torch.ones(2, 1, 20, 67, 130), torch.zeros(2, 1, 20, 67, 130), refine, smallest=16)
    assert seen == [(20, 16, 16), (20, 16, 32), (20, 33, 65), (20, 67, 130)]
    across = ((1 * 2 + 1) * (65 / 32) + 1) * 2 + 1  # one more on each level, the sum so far in finer pixels
    testing.assert_close(result[:, 2], torch.full_like(result[:, 2], across))


def test_linearise_is_exact_on_a_plane() -> None:
    """Brightness 0.05 x: second frame read 2 px to the right is 0.1 above first."""
    _, x = grid((8, 10), dtype=torch.float64)
    plane = (0.05 * x)[None, None]
    flow = torch.zeros(1, 2, 8, 10, dtype=torch.float64)
    flow[:, 1] = 2
    residual, slope = pyramid.linearise(plane, plane, flow)
    rho = residual + (slope * flow).sum(1, keepdim=True)
    testing.assert_close(rho[..., :8], torch.full_like(rho[..., :8], 0.1))
    testing.assert_close(residual[..., 1:7], torch.zeros_like(residual[..., 1:7]))
