"""Sampling between pixels: against its definition, F.grid_sample and SciPy; warps and affine maps whose answer is
known.
"""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.warp_loop import sample_loop
from scipy import ndimage

from coursekit import testing
from coursekit.ops import warp
from tests.tensors import fake_cuda, gradcheck

SIZES = [(5, 4), (1, 6), (7, 1), (1, 1), (3, 4, 5), (1, 3, 2)]


def scene(
    size: tuple[int, ...], out: tuple[int, ...], *, batch: int = 2, channels: int = 3
) -> tuple[torch.Tensor, torch.Tensor]:
    """A random image, and points inside, beyond every edge, and exactly on pixels."""
    image = torch.randn(batch, channels, *size, dtype=torch.float64)
    last = torch.tensor(size).view(-1, *[1] * len(out))
    points = torch.rand(batch, len(size), *out, dtype=torch.float64) * (last + 3) - 2
    points[:, :, 0] = points[:, :, 0].round()
    return image, points


@pytest.mark.parametrize("border", warp.BORDERS)
@pytest.mark.parametrize("size", SIZES)
def test_sample_is_its_definition(size: tuple[int, ...], border: str) -> None:
    image, points = scene(size, (6, 3))
    testing.assert_close(warp.sample(image, points, border=border), sample_loop(image, points, border))


@pytest.mark.parametrize("out", [(7,), (2, 3), (2, 3, 2)])
def test_points_may_have_any_shape(out: tuple[int, ...]) -> None:
    image, points = scene((4, 5), out)
    testing.assert_close(warp.sample(image, points), sample_loop(image, points))


@pytest.mark.parametrize("size", SIZES)
def test_sample_is_scipys(size: tuple[int, ...]) -> None:
    image, points = scene(size, (40,), batch=1, channels=1)
    for ours, theirs in (("replicate", "nearest"), ("zeros", "grid-constant")):
        expected = ndimage.map_coordinates(image[0, 0].numpy(), points[0].numpy(), order=1, mode=theirs)
        testing.assert_close(warp.sample(image, points, border=ours)[0, 0], torch.from_numpy(expected))


@pytest.mark.parametrize("size", [(5, 4), (3, 4, 5)])
def test_sample_is_grid_sample_with_corners_aligned(size: tuple[int, ...]) -> None:
    image, points = scene(size, tuple(size))
    last = torch.tensor(size, dtype=torch.float64) - 1
    places = (points.movedim(1, -1) / last * 2 - 1).flip(-1)
    for ours, theirs in (("replicate", "border"), ("zeros", "zeros")):
        expected = F.grid_sample(image, places, padding_mode=theirs, align_corners=True)
        testing.assert_close(warp.sample(image, points, border=ours), expected)


@pytest.mark.parametrize("border", warp.BORDERS)
@pytest.mark.parametrize("size", [(4, 3), (2, 3, 2)])
def test_gradients(size: tuple[int, ...], border: str) -> None:
    image = torch.randn(2, 2, *size)
    points = (
        torch.rand(2, len(size), 5) * 0.8 + 0.1 + torch.randint(-1, 2, (2, len(size), 5))
    )  # never on a pixel, where the slope jumps
    assert gradcheck(lambda i, p: warp.sample(i, p, border=border), image, points)


def test_nearest_reads_label_maps_and_a_half_goes_up() -> None:
    labels = torch.tensor([[[[7, 8], [9, 10]]]])
    points = torch.tensor([[[-0.6, 0.0, 0.49, 0.5, 1.6], [0.0, 0.5, 0.49, 0.5, 9.0]]])
    assert warp.sample(labels, points, mode="nearest")[0, 0].tolist() == [7, 8, 7, 10, 10]
    assert warp.sample(labels, points, mode="nearest", border="zeros")[0, 0].tolist() == [0, 8, 7, 10, 0]
    volume = torch.rand(2, 3, 3, 4, 5) > 0.5
    whole = warp.grid((3, 4, 5)).expand(2, -1, -1, -1, -1)
    assert torch.equal(warp.sample(volume, whole, mode="nearest"), volume)


def test_nearest_is_scipys_order_zero() -> None:
    image, points = scene((5, 4), (40,), batch=1, channels=1)
    points += 0.01  # off the halves, where the rules differ
    expected = ndimage.map_coordinates(image[0, 0].numpy(), points[0].numpy(), order=0, mode="nearest")
    testing.assert_close(warp.sample(image, points, mode="nearest")[0, 0], torch.from_numpy(expected))


def test_warp_reads_where_the_flow_points() -> None:
    image = torch.arange(12.0).view(1, 1, 3, 4)
    flow = torch.zeros(1, 2, 3, 4)
    flow[:, 1] = 1.0  # dx
    expected = torch.tensor([[1.0, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]])
    testing.assert_close(warp.warp(image, flow)[0, 0], expected)
    testing.assert_close(
        warp.warp(image, -flow, border="zeros")[0, 0], torch.tensor([[0.0, 0, 1, 2], [0, 4, 5, 6], [0, 8, 9, 10]])
    )


def test_warp_in_a_volume_moves_slices_first() -> None:
    volume = torch.randn(1, 2, 4, 3, 5)
    flow = torch.zeros(1, 3, 4, 3, 5)
    flow[:, 0] = 2  # dz
    testing.assert_close(warp.warp(volume, flow)[:, :, :2], volume[:, :, 2:])


@settings(max_examples=30)
@given(st.lists(st.integers(1, 6), min_size=2, max_size=3), st.sampled_from(warp.MODES), st.sampled_from(warp.BORDERS))
def test_no_flow_is_the_image(size: list[int], mode: str, border: str) -> None:
    image = torch.randn(2, 1, *size, dtype=torch.float64)
    still = torch.zeros(2, len(size), *size, dtype=torch.float64)
    testing.assert_close(warp.warp(image, still, mode=mode, border=border), image)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("border", warp.BORDERS)
@pytest.mark.parametrize("size", [(300, 37), (129, 513), (5, 60, 71)])
def test_whole_pixels_are_read_to_the_last_bit(size: tuple[int, ...], border: str, dtype: torch.dtype) -> None:
    image = (1000 * torch.randn(2, 1, *size)).to(dtype)
    flow = torch.zeros(2, len(size), *size, dtype=dtype)
    assert torch.equal(warp.warp(image, flow, border=border), image)
    flow[:, 0], flow[:, -1] = 2, -3  # two down the first axis, three back along the last
    assert torch.equal(warp.warp(image, flow, border=border)[:, :, :-2, ..., 3:], image[:, :, 2:, ..., :-3])


def resampled(
    image: torch.Tensor, spacing: float | tuple[float, ...], new: float | tuple[float, ...], **knobs: str
) -> torch.Tensor:
    """At another spacing, the middle kept in place, a size of whole pixels that covers what the image covers."""
    ndim = image.ndim - 2
    old, wanted = (s if isinstance(s, tuple) else (s,) * ndim for s in (spacing, new))
    size = [max(1, round(n * s / t)) for n, s, t in zip(image.shape[2:], old, wanted)]
    dtype = image.dtype if image.dtype == torch.float64 else torch.float32
    same = torch.eye(ndim, ndim + 1, dtype=dtype, device=image.device).expand(len(image), -1, -1)
    return warp.affine(image, same, out_size=size, spacing_mm=spacing, out_spacing_mm=new, **knobs)


@pytest.mark.parametrize("spacing", [0.7, (2.5, 0.703125, 0.9), (1 / 3, 0.1, 1e-3)])
def test_one_spacing_and_no_turn_leave_the_volume_as_it_is(spacing: float | tuple[float, ...]) -> None:
    hounsfield = torch.randint(-1024, 3072, (2, 1, 19, 45, 37)).float()
    same = torch.eye(3, 4).expand(2, -1, -1)
    assert torch.equal(resampled(hounsfield, spacing, spacing), hounsfield)
    assert torch.equal(warp.affine(hounsfield, same, spacing_mm=spacing), hounsfield)
    assert not warp.affine_flow(same, (19, 45, 37)).any()


def test_between_the_pixels_of_a_long_axis_float32_reads_as_float64() -> None:
    image, points = torch.rand(1, 1, 3, 1000), torch.rand(1, 2, 500) * torch.tensor([2.0, 999.0]).view(2, 1)
    expected = warp.sample(image.double(), points.double())
    testing.assert_close(warp.sample(image, points).double(), expected, atol=5e-5)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_in_float32(dtype: torch.dtype) -> None:
    image, points = torch.rand(1, 1, 9, 1500).to(dtype), torch.tensor([[[3.0, 4.5], [1025.0, 300.0]]]).to(dtype)
    for mode in warp.MODES:
        read = warp.sample(image, points, mode=mode)
        assert read.dtype == dtype
        assert torch.equal(read, warp.sample(image.float(), points.float(), mode=mode).to(dtype))
    assert torch.equal(resampled(image, 1.0, 2.0), resampled(image.float(), 1.0, 2.0).to(dtype))
    matrix = 1.5 * torch.eye(2, 3)[None]
    assert torch.equal(warp.affine_points(matrix.to(dtype), (2, 5000)), warp.affine_points(matrix, (2, 5000)))
    assert torch.equal(warp.affine_flow(matrix.to(dtype), (2, 5000)), warp.affine_flow(matrix, (2, 5000)).to(dtype))


@settings(max_examples=30)
@given(st.floats(-2, 2), st.floats(-2, 2))
def test_a_linear_image_is_read_exactly(dy: float, dx: float) -> None:
    """Linear interpolation of a plane is the plane: at y + dy, x + dx it is higher by a·dy + b·dx."""
    y, x = warp.grid((9, 9), dtype=torch.float64)
    plane = (0.5 * y - 0.25 * x)[None, None]
    flow = torch.tensor([dy, dx], dtype=torch.float64).view(1, 2, 1, 1).expand(1, 2, 9, 9)
    inner = (warp.warp(plane, flow) - plane)[:, :, 2:-2, 2:-2]
    testing.assert_close(inner, torch.full_like(inner, 0.5 * dy - 0.25 * dx))


def test_layout_and_precision_do_not_matter() -> None:
    image, points = scene((6, 5), (6, 5))
    expected = warp.sample(image, points)
    strange = image.transpose(2, 3).contiguous().transpose(2, 3)
    assert not strange.is_contiguous()
    testing.assert_close(warp.sample(strange, points.movedim(1, -1).contiguous().movedim(-1, 1)), expected)
    testing.assert_close(warp.sample(image.float(), points.float()), expected.float(), atol=1e-5)
    low = warp.sample(image.bfloat16(), points.float())
    assert low.dtype == torch.bfloat16
    testing.assert_close(low, expected.bfloat16(), atol=0.03)
    wide = torch.arange(600.0).expand(1, 1, 2, 600)
    testing.assert_close(
        warp.warp(wide, torch.ones(1, 2, 2, 600).bfloat16())[0, 0, 0, :-1], wide[0, 0, 0, 1:], atol=1e-2
    )


def test_batched_is_one_by_one() -> None:
    image, points = scene((4, 3, 5), (4, 2))
    singles = [warp.sample(image[n : n + 1], points[n : n + 1]) for n in range(2)]
    testing.assert_close(warp.sample(image, points), torch.cat(singles))


def test_empty() -> None:
    assert warp.sample(torch.zeros(0, 3, 4, 5), torch.zeros(0, 2, 7)).shape == (0, 3, 7)
    assert warp.sample(torch.zeros(2, 3, 4, 5), torch.zeros(2, 2, 0)).shape == (2, 3, 0)
    assert warp.sample(torch.zeros(2, 0, 4, 5), torch.zeros(2, 2, 3)).shape == (2, 0, 3)
    assert warp.warp(torch.zeros(2, 1, 0, 5), torch.zeros(2, 2, 0, 5)).shape == (2, 1, 0, 5)


def quarter_turn(axes: tuple[int, int], ndim: int) -> torch.Tensor:
    """The matrix that reads axis a at what was axis b."""
    matrix = torch.eye(ndim, ndim + 1, dtype=torch.float64)
    a, b = axes
    matrix[a, a] = matrix[b, b] = 0
    matrix[a, b], matrix[b, a] = 1, -1
    return matrix[None]


def test_a_quarter_turn_is_rot90() -> None:
    image = torch.randn(1, 2, 5, 5, dtype=torch.float64)
    testing.assert_close(warp.affine(image, quarter_turn((0, 1), 2)), torch.rot90(image, 1, (2, 3)))
    volume = torch.randn(1, 1, 3, 4, 4, dtype=torch.float64)
    testing.assert_close(warp.affine(volume, quarter_turn((1, 2), 3)), torch.rot90(volume, 1, (3, 4)))


def test_affine_turns_the_body_not_the_array() -> None:
    """Slices 2 mm thick, pixels of 1 mm: turned by 90°, a rod of 3 slices along z is 6 pixels long along y."""
    volume = torch.zeros(1, 1, 9, 18, 5, dtype=torch.float64)
    volume[:, :, 3:6, 8:10, 2] = 1
    turned = warp.affine(volume, quarter_turn((0, 1), 3), spacing_mm=(2, 1, 1), mode="nearest")
    assert turned[0, 0, :, :, 2].amax(0).sum() == 6
    assert turned[0, 0, :, :, 2].amax(1).sum() == 1


def test_a_shift_is_in_mm() -> None:
    image = torch.randn(1, 1, 6, 8, dtype=torch.float64)
    matrix = torch.eye(2, 3, dtype=torch.float64)[None].clone()
    matrix[0, :, 2] = torch.tensor([3.0, 1.0])  # mm: one pixel down, two to the right
    testing.assert_close(warp.affine(image, matrix, spacing_mm=(3, 0.5))[:, :, :-1, :-2], image[:, :, 1:, 2:])


def test_affine_flow_of_a_zoom_points_outwards() -> None:
    matrix = 1.5 * torch.eye(2, 3, dtype=torch.float64)[None]
    flow = warp.affine_flow(matrix, (5, 7))
    away = warp.grid((5, 7), dtype=torch.float64) - torch.tensor([2.0, 3.0]).view(2, 1, 1)
    testing.assert_close(flow[0], 0.5 * away)


def test_resample_keeps_the_middle_and_the_extent() -> None:
    y, _ = warp.grid((6, 8), dtype=torch.float64)
    ramp = (2.0 * y)[None, None]  # mm along y, at 2 mm a pixel
    finer = resampled(ramp, (2.0, 1.0), (1.0, 1.0))
    assert finer.shape == (1, 1, 12, 8)
    testing.assert_close(finer[0, 0, 1:-1, 0], torch.arange(10, dtype=torch.float64) + 0.5)
    assert resampled(torch.zeros(1, 1, 3, 4, 4), (5.0, 0.6, 0.6), 1.2).shape == (1, 1, 12, 2, 2)
    labels = torch.tensor([[[[1, 2], [3, 4]]]])
    assert torch.equal(
        resampled(labels, 2.0, 1.0, mode="nearest"), labels.repeat_interleave(2, 2).repeat_interleave(2, 3)
    )


def test_devices_are_followed() -> None:
    with fake_cuda() as to_cuda:
        for size in ((4, 5), (3, 4, 5)):
            image, flow = to_cuda(torch.zeros(2, 3, *size)), to_cuda(torch.zeros(2, len(size), *size))
            matrix = to_cuda(torch.zeros(2, len(size), len(size) + 1))
            results = [
                warp.warp(image, flow),
                warp.affine(image, matrix, spacing_mm=2.0),
                resampled(image, 1.0, 1.0),
            ]
            results += [warp.warp(image, flow, mode=m, border="zeros") for m in warp.MODES]
            for result in results:
                assert result.device.type == "cuda"
                assert result.shape == image.shape


def test_the_door(refuses) -> None:
    image, points = torch.zeros(2, 1, 4, 5), torch.zeros(2, 2, 3)
    refuses("image of shape", warp.sample, torch.zeros(4, 5), points)
    refuses("image of shape", warp.warp, [1.0], points)
    refuses(r"points of shape \(2, 2", warp.sample, image, torch.zeros(2, 3, 3))
    refuses(r"points of shape \(2, 2", warp.sample, image, torch.zeros(1, 2, 3))
    refuses("points to be floating", warp.sample, image, points.long())
    refuses("image to be floating", warp.sample, image.long(), points)
    refuses("points to be finite", warp.sample, image, points + torch.nan)
    refuses("at least one pixel", warp.sample, image[:, :, :0], points)
    refuses("mode to be one of", warp.sample, image, points, mode="cubic")
    refuses("border to be one of", warp.sample, image, points, border="wrap")
    refuses("a flow of size", warp.warp, image, torch.zeros(2, 2, 5, 4))
    refuses("flow to be floating", warp.warp, image, torch.zeros(2, 2, 4, 5).long())
    refuses("image of shape", warp.affine, torch.zeros(4, 5), torch.eye(2, 3)[None])
    refuses("matrix of shape", warp.affine_points, torch.eye(3)[None], (4, 5))
    refuses("matrix to be finite", warp.affine_points, torch.full((1, 2, 3), torch.inf), (4, 5))
    refuses("spacing_mm > 0", warp.affine_points, torch.eye(2, 3)[None], (4, 5), spacing_mm=-1.0)
    refuses("spacing_mm with 2 numbers", warp.affine_points, torch.eye(2, 3)[None], (4, 5), spacing_mm=(1.0, 1.0, 1.0))
    refuses("out_spacing_mm > 0", warp.affine, image, torch.eye(2, 3)[None], out_spacing_mm=0.0)
