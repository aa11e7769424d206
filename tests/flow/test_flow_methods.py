"""Lucas–Kanade, Horn–Schunck and TV-L1: against their definitions, on motions whose truth is known, in batches."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import skimage.data
import torch
from reference import flow_loop
from scipy import ndimage
from torch import Tensor

from coursekit import flow, testing
from coursekit.flow.pyramid import blur
from coursekit.ops.warp import affine_flow, grid
from tests.tensors import fake_cuda

METHODS = [flow.lucas_kanade, flow.horn_schunck, flow.tv_l1]
Method = Callable[..., Tensor]
one_level = {"smallest": 1000}  # no pyramid


def frames(truth: Tensor, image: np.ndarray | None = None) -> tuple[Tensor, Tensor]:
    """Second frame: a picture; first: what moves into it by ``truth`` (1, ndim, *size), read with a cubic spline."""
    size = tuple(truth.shape[2:])
    second = speckle(size) if image is None else image
    places = (grid(size, dtype=torch.float64) + truth[0]).numpy()
    first = ndimage.map_coordinates(second, places, order=3, mode="nearest").clip(0, 1)
    return torch.from_numpy(first)[None, None].float(), torch.from_numpy(second)[None, None].float()


def speckle(size: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Smoothed noise in [0.1, 0.9]: texture everywhere, as in ultrasound."""
    noise = torch.rand(1, 1, *size, generator=testing.generator(seed), dtype=torch.float64)
    x = blur(noise, 1.5)[0, 0]
    return ((x - x.min()) / (x.max() - x.min()) * 0.8 + 0.1).numpy()


def motion(name: str, size: tuple[int, ...]) -> Tensor:
    ndim = len(size)
    matrix = torch.eye(ndim, ndim + 1, dtype=torch.float64)
    if name == "shift":
        matrix[:, -1] = torch.tensor([2.3, -3.6, 1.4][:ndim])
    elif name == "rotation":
        cos, sin = np.cos(0.06), np.sin(0.06)
        matrix[-2:, -3:-1] = torch.tensor([[cos, -sin], [sin, cos]])
    elif name == "zoom":
        matrix[:, :ndim] *= 1.05
    return affine_flow(matrix[None], size)


def error(found: Tensor, truth: Tensor, margin: int = 6) -> float:
    """Mean end-point error away from the border, where parts of the picture leave it."""
    inner = (slice(None), slice(None), *[slice(margin, -margin)] * (truth.ndim - 2))
    return (found - truth)[inner].norm(dim=1).mean().item()


@pytest.mark.parametrize("size", [(6, 5), (3, 4, 4)])
@pytest.mark.parametrize(
    ("method", "loop", "knobs"),
    [
        (flow.lucas_kanade, flow_loop.lucas_kanade_loop, {"window": 0.8, "damping": 1e-3, "warps": 2}),
        (flow.horn_schunck, flow_loop.horn_schunck_loop, {"smoothness": 0.1, "warps": 2, "iterations": 3}),
        (flow.tv_l1, flow_loop.tv_l1_loop, {"attachment": 4.0, "tightness": 0.3, "warps": 2, "iterations": 4}),
    ],
)
def test_a_method_is_its_definition(
    method: Method, loop: Callable[..., np.ndarray], knobs: dict[str, float], size: tuple[int, ...]
) -> None:
    first, second = (torch.rand(1, 1, *size, dtype=torch.float64) for _ in range(2))
    expected = torch.from_numpy(loop(first[0, 0].numpy(), second[0, 0].numpy(), **knobs))[None]
    assert expected.abs().max() > 0.05
    testing.assert_close(method(first, second, **knobs, **one_level), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", ["shift", "rotation", "zoom"])
@pytest.mark.parametrize(("method", "limit"), [(flow.lucas_kanade, 0.1), (flow.horn_schunck, 0.1), (flow.tv_l1, 0.1)])
def test_a_known_motion_is_found(method: Method, limit: float, name: str) -> None:
    truth = motion(name, (64, 72))
    assert error(torch.zeros_like(truth), truth) > 1
    assert error(method(*frames(truth)), truth) < limit


@pytest.mark.parametrize("name", ["shift", "rotation", "zoom"])
@pytest.mark.parametrize("method", METHODS)
def test_a_known_motion_is_found_in_a_volume(method: Method, name: str) -> None:
    truth = motion(name, (20, 36, 40))
    assert error(torch.zeros_like(truth), truth, margin=5) > 0.5
    assert error(method(*frames(truth)), truth, margin=5) < 0.2


@pytest.mark.parametrize("method", METHODS)
def test_a_known_motion_is_found_on_a_photograph(method: Method) -> None:
    truth = motion("rotation", (128, 128))
    picture = skimage.data.gravel()[100:228, 100:228] / 255
    assert error(method(*frames(truth, picture)), truth) < 0.2


@pytest.mark.parametrize("size", [(40, 33), (18, 20, 17)])
@pytest.mark.parametrize("method", METHODS)
def test_nothing_moves_in_a_still_pair(method: Method, size: tuple[int, ...]) -> None:
    still = torch.from_numpy(speckle(size))[None, None]
    assert method(still, still).abs().max() < 1e-6
    flat = torch.full_like(still, 0.5)
    assert method(flat, flat).abs().max() < 1e-6
    assert method(flat, 0.8 * flat).abs().max() < 1e-6  # a lamp went off: no gradient, no motion


@pytest.mark.parametrize("size", [(97, 130), (100, 75), (18, 21, 19)])
@pytest.mark.parametrize("method", METHODS)
def test_a_noise_frame_and_itself_have_no_flow_at_all(method: Method, size: tuple[int, ...]) -> None:
    noise = torch.rand(1, 1, *size, generator=testing.generator(0))
    assert not method(noise, noise).any()


def test_tv_l1_keeps_the_edge_of_a_moving_disc_better_than_horn_schunck() -> None:
    away = grid((80, 80), dtype=torch.float64) - 39.5
    disc = away.norm(dim=0) < 20
    truth = (disc * torch.tensor([2.0, -3.0]).view(2, 1, 1))[None]
    pair = frames(truth)
    ring = (away.norm(dim=0) > 12) & (away.norm(dim=0) < 30)
    sharp, soft = (
        ((method(*pair) - truth).norm(dim=1)[0][ring]).mean().item() for method in (flow.tv_l1, flow.horn_schunck)
    )
    assert sharp < 0.9 * soft


def test_damping_and_smoothness_fill_in_where_nothing_is_seen() -> None:
    """A vertical edge that moves right by 1 and, unseen, up: only dx can be found (the aperture problem)."""
    x = torch.linspace(-8, 8, 48, dtype=torch.float64)
    first, second = (torch.sigmoid(x - by).expand(1, 1, 40, 48) for by in (0.0, (x[1] - x[0]).item()))
    for method in METHODS:
        dy, dx = method(first, second, smallest=40)[0]
        assert dy.abs().max() < 1e-6
        assert abs(dx[20, 24].item() - 1) < 0.1
    value = torch.linalg.eigvalsh(flow.structure_tensor(flow.pyramid.derivatives(first), 2.0)[0, :, :, 20, 24])
    assert value[0] < 1e-12 < 1e-3 < value[1]


@pytest.mark.parametrize("size", [(33, 20), (5, 21, 18)])
@pytest.mark.parametrize("method", METHODS)
def test_a_batch_is_its_pairs(method: Method, size: tuple[int, ...]) -> None:
    first, second = (
        torch.stack([torch.from_numpy(speckle(size, seed + s))[None] for s in range(3)]) for seed in (0, 1)
    )
    together = method(first, second)
    assert together.shape == (3, len(size), *size)
    for n in range(3):
        testing.assert_close(together[n : n + 1], method(first[n : n + 1], second[n : n + 1]), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (37, 1), (2, 3), (1, 20, 33), (1, 1, 1)])
@pytest.mark.parametrize("method", METHODS)
def test_odd_and_thin_sizes(method: Method, size: tuple[int, ...]) -> None:
    first, second = (torch.rand(2, 1, *size) for _ in range(2))
    found = method(first, second, smallest=4)
    assert found.shape == (2, len(size), *size)
    assert found.isfinite().all()
    for axis, n in enumerate(size):
        if n == 1:
            assert not found[:, axis].any()  # along one pixel nothing can be seen to move


@pytest.mark.parametrize("size", [(0, 5), (0, 3, 4)])
@pytest.mark.parametrize("method", METHODS)
def test_empty(method: Method, size: tuple[int, ...]) -> None:
    assert method(torch.zeros(2, 1, *size), torch.zeros(2, 1, *size)).shape == (2, len(size), *size)
    assert method(torch.zeros(0, 1, 32, 32), torch.zeros(0, 1, 32, 32)).shape == (0, 2, 32, 32)


@pytest.mark.parametrize("method", METHODS)
def test_frames_are_left_alone_and_layout_does_not_matter(method: Method) -> None:
    first, second = frames(motion("shift", (40, 34)))
    kept = first.clone(), second.clone()
    expected = method(first, second)
    assert torch.equal(first, kept[0])
    assert torch.equal(second, kept[1])
    strange = [x.transpose(2, 3).contiguous().transpose(2, 3) for x in (first, second)]
    testing.assert_close(method(*strange), expected, rtol=1e-3, atol=1e-3)
    doubled = method(first.double(), second.double())
    assert doubled.dtype == torch.float64
    assert (doubled - expected).abs().mean() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_one_thread_and_two_agree(method: Method) -> None:
    pair = frames(motion("zoom", (64, 64)))
    before = torch.get_num_threads()
    try:
        results = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            results.append(method(*pair))
    finally:
        torch.set_num_threads(before)
    assert (results[0] - results[1]).abs().mean() < 1e-3


@pytest.mark.parametrize("method", [partial(m, warps=1) for m in METHODS])
def test_devices_are_followed(method: Method) -> None:
    with fake_cuda() as to_cuda:
        for size in ((33, 20), (5, 33, 20)):
            found = method(to_cuda(torch.zeros(2, 1, *size)), to_cuda(torch.zeros(2, 1, *size)))
            assert found.device.type == "cuda"
            assert found.shape == (2, len(size), *size)


@pytest.mark.parametrize("method", METHODS)
def test_the_door(refuses, method: Method) -> None:
    frame = torch.full((1, 1, 8, 9), 0.5)
    refuses("first of shape", method, frame[0], frame)
    refuses("second of shape", method, frame, frame.expand(1, 3, 8, 9))
    refuses("first of shape", method, None, frame)
    refuses("first to be floating", method, frame.long(), frame)
    refuses(r"second in \[0, 1\]", method, frame, 255 * frame)
    refuses("first to be finite", method, frame * torch.nan, frame)
    refuses("first and second of one shape", method, frame, frame[..., :8])
    refuses("frames of one dtype", method, frame, frame.double())
    refuses("warps > 0", method, frame, frame, warps=0)
    refuses("smallest > 0", method, frame, frame, smallest=0)


def test_the_knobs_are_checked(refuses) -> None:
    frame = torch.full((1, 1, 8, 9), 0.5)
    for method, knobs in (
        (flow.lucas_kanade, ("window", "damping")),
        (flow.horn_schunck, ("smoothness", "iterations")),
        (flow.tv_l1, ("attachment", "tightness", "iterations")),
    ):
        for knob in knobs:
            refuses(f"{knob} > 0", method, frame, frame, **{knob: -1})


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_half_precision_frames_are_computed_in_float32(method: Method, dtype: torch.dtype) -> None:
    first, second = (x.to(dtype) for x in frames(motion("shift", (40, 34))))
    half = method(first, second)
    assert half.dtype == dtype
    assert torch.equal(half, method(first.float(), second.float()).to(dtype))
    slope = flow.pyramid.derivatives(first.float()).to(dtype)
    tensor = flow.structure_tensor(slope, 2.0)
    assert torch.equal(tensor, flow.structure_tensor(slope.float(), 2.0).to(dtype))
    for look in (flow.flow_to_colour, flow.to_channels):
        assert torch.equal(look(half), look(half.float()).to(dtype))
