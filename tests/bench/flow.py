"""Optical flow against scikit-image (its TV-L1) and OpenCV (its DIS), on motions whose truth is known.

The pairs
    Photographs that scikit-image carries, each moved by a known flow (shift, rotation, zoom, a smooth random field, a
    disc that slides over its background) with a cubic spline, which neither side uses, and noise of sd 0.01 in both
    frames; and a real stereo pair with measured disparity (Middlebury 2014, motorcycle; 7–60 pixels). Pixels that
    leave the image, or were not measured, do not count. The defaults of ``coursekit.flow`` were chosen on other
    photographs (grass, gravel, brick, astronaut) and other motions.

The settings
    Both TV-L1 solve the same problem with the same numbers: λ 15, θ 0.3, at most 5 warps of 10 iterations a level,
    levels down to 16 pixels, float32, one thread. Ours takes one dual step an iteration, scikit-image two.

Reading a row
    ``max_error`` is here our mean end-point error minus the peer's, in pixels: below 0 ours is the better flow. Both
    errors stand in ``sizes``.

Where ours loses: DIS (Kroeger et al. 2016) takes about an eighth of the time. It matches patches on a sparse grid by
an inverse search whose gradients are computed once, in vectorised 8-bit C++; TV-L1 updates every pixel hundreds of
times. Nor is the slower one always the better flow: TV-L1 was, by 0.01 to 0.06 pixels, on the three evenly textured
pairs (chelsea, ihc, page); DIS was on the other five, by most where contrast is low (moon, the clock) or the motion
large (stereo): a patch needs little contrast, while λ weighs a weak image less against the smoothness.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
import torch
from scipy import ndimage
from skimage.io import imread
from skimage.registration import optical_flow_tvl1
from torch import Tensor

from coursekit.flow import tv_l1
from coursekit.flow.pyramid import blur
from coursekit.metrics.motion import motion_error
from coursekit.ops.warp import affine_flow, grid
from tests.bench.timing import Row, compare

SHIPPED = Path(skimage.__file__).parent / "data"


@dataclass(frozen=True)
class Pair:
    """Two frames (1, 1, H, W) in [0, 1], the flow (1, 2, H, W) from the first to the second, and where it is known (1,
    H, W).
    """

    name: str
    first: Tensor
    second: Tensor
    truth: Tensor
    valid: Tensor

    def end_point(self, flow: Tensor) -> float:
        return motion_error(self.truth, flow, valid=self.valid).end_point


def rows() -> Iterator[Row]:
    """Each pair against scikit-image, then against OpenCV."""
    import cv2

    threads, cv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        everything = list(pairs())
        yield from (
            _row("tv_l1/scikit-image", "skimage.registration.optical_flow_tvl1", p, _scikit_image(p))
            for p in everything
        )
        yield from (_row("flow/opencv_dis", "cv2.DISOpticalFlow (medium)", p, _opencv_dis(p)) for p in everything)
    finally:
        torch.set_num_threads(threads)
        cv2.setNumThreads(cv_threads)


def _row(name: str, peer: str, pair: Pair, theirs: Callable[[], Tensor]) -> Row:
    def ours() -> Tensor:
        return tv_l1(pair.first, pair.second)

    our_error, their_error = pair.end_point(ours()), pair.end_point(theirs())
    height, width = pair.first.shape[2:]
    sizes = f"{pair.name} {height}×{width}: end-point error {our_error:.3f} px, theirs {their_error:.3f}"
    return compare(name, peer, ours, theirs, max_error=our_error - their_error, sizes=sizes, repeats=5)


def _scikit_image(pair: Pair) -> Callable[[], Tensor]:
    first, second = pair.first[0, 0].numpy(), pair.second[0, 0].numpy()
    return lambda: torch.from_numpy(optical_flow_tvl1(first, second, dtype=np.float32))[None]


def _opencv_dis(pair: Pair) -> Callable[[], Tensor]:
    import cv2

    first, second = ((x[0, 0].numpy() * 255).round().astype(np.uint8) for x in (pair.first, pair.second))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return lambda: (
        torch.from_numpy(search.calc(first, second, None)).permute(2, 0, 1).flip(0)[None]
    )  # (dx, dy) last -> (dy, dx) first


def pairs() -> Iterator[Pair]:
    """The pairs of the table, the same each time."""
    yield _moved("camera", "rotation", _affine(angle=-0.05))
    yield _moved("moon", "zoom", _affine(zoom=0.95))
    yield _moved("coins", "disc", _disc)
    yield _moved("chelsea", "smooth", _smooth)
    yield _moved("ihc", "smooth", _smooth)
    yield _moved("page", "shift", _affine(shift=(-2.6, 4.1)))
    yield _moved("clock_motion", "zoom and rotation", _affine(zoom=1.04, angle=0.03))
    if all((SHIPPED / f"motorcycle_{part}").exists() for part in ("left.png", "right.png", "disp.npz")):
        yield _motorcycle()


def _grey(name: str) -> Tensor:
    """A shipped photograph as (1, 1, H, W) in [0, 1], float64."""
    image = np.asarray(imread(SHIPPED / f"{name}.png"), dtype=np.float64) / 255
    return torch.from_numpy(image[..., :3].mean(-1) if image.ndim == 3 else image)[None, None]


def _moved(name: str, motion: str, flow_of: Callable[[tuple[int, int]], Tensor]) -> Pair:
    """The photograph as second frame, and as first what was before the motion: ``first(x) = second(x + flow(x))``."""
    second = _grey(name)
    height, width = second.shape[2:]
    truth = flow_of((height, width))  # (1, 2, H, W), float64
    places = grid((height, width), dtype=truth.dtype) + truth[0]
    first = torch.from_numpy(ndimage.map_coordinates(second[0, 0].numpy(), places.numpy(), order=3, mode="nearest"))[
        None, None
    ]
    last = torch.tensor([height - 1, width - 1]).view(2, 1, 1)
    noise = torch.Generator().manual_seed(len(name))
    first, second = ((x + 0.01 * torch.randn(x.shape, generator=noise)).clamp(0, 1).float() for x in (first, second))
    return Pair(f"{name}, {motion}", first, second, truth.float(), ((places >= 0) & (places <= last)).all(0)[None])


def _affine(
    *, shift: tuple[float, float] = (0, 0), angle: float = 0.0, zoom: float = 1.0
) -> Callable[[tuple[int, int]], Tensor]:
    """The flow of a turn by ``angle`` (radians), a zoom and a shift (pixels) about the middle."""
    turn = zoom * torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]], dtype=torch.float64)
    matrix = torch.cat([turn, torch.tensor(shift, dtype=torch.float64)[:, None]], 1)[None]
    return lambda size: affine_flow(matrix, size)


def _disc(size: tuple[int, int]) -> Tensor:
    """A disc of a third of the height slides by (−3, 5) over a still background."""
    away = grid(size, dtype=torch.float64) - torch.tensor([(n - 1) / 2 for n in size]).view(2, 1, 1)
    inside = away.square().sum(0).sqrt() < size[0] / 3
    return (inside * torch.tensor([-3.0, 5.0], dtype=torch.float64).view(2, 1, 1))[None]


def _smooth(size: tuple[int, int]) -> Tensor:
    """A random field, smooth over a tenth of the height, of at most 5 pixels."""
    noise = torch.randn(1, 2, *size, generator=torch.Generator().manual_seed(7), dtype=torch.float64)
    field = blur(noise, size[0] / 10)
    return field * (5 / field.abs().max())


def _motorcycle() -> Pair:
    """Left to right camera: a point at column x in the left image is at x − disparity in the right one."""
    disparity = torch.from_numpy(np.load(SHIPPED / "motorcycle_disp.npz")["arr_0"]).float()
    truth = torch.stack([torch.zeros_like(disparity), -disparity])[None]
    left, right = (_grey(f"motorcycle_{side}").float() for side in ("left", "right"))
    inside = disparity <= torch.arange(disparity.shape[1])  # the place is in the right image
    return Pair("motorcycle, stereo", left, right, truth, (disparity.isfinite() & inside)[None])
