"""A real picture moved by a known field: the fields, and the camera that takes both frames.

The direction is that of ``coursekit.ops.warp``: the flow leads from the first frame to the second, in pixels,
channels (dy, dx), so ``second(x + flow(x)) = first(x)`` and ``warp(second, flow)`` shows the first.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy import ndimage
from torch import Generator, Tensor

from ... import _check
from ..seeds import uniform

KINDS = ("shift", "rotation", "zoom", "affine", "smooth")
FINE = 2.0  # pixels of the picture to one of the frame, where the picture is large enough
TILT = 0.1  # radians the camera turns at most
TRIED = 8  # places
Points = Float64[np.ndarray, "2 H W"]


def motion(kind: str, magnitude_px: float, size: tuple[int, int], *, generator: Generator) -> Points:
    """A flow field (2, H, W) float64 of one of ``KINDS``, its longest vector ``magnitude_px`` long."""
    y, x = np.indices(size) - (np.array(size).reshape(2, 1, 1) - 1) / 2
    corner = max(float(np.hypot(y, x).max()), 1.0)  # from the middle
    if kind == "shift":
        direction = uniform(0, 2 * math.pi, generator=generator)
        field = np.stack([np.full_like(y, math.sin(direction)), np.full_like(x, math.cos(direction))])
    elif kind == "rotation":  # the chord of the angle is the longest vector
        angle = _sign(generator) * 2 * math.asin(magnitude_px / (2 * corner))
        cos, sin = math.cos(angle) - 1, math.sin(angle)
        field = np.stack([cos * y + sin * x, cos * x - sin * y])
    elif kind == "zoom":
        field = _sign(generator) * np.stack([y, x])
    elif kind == "affine":
        a, b, c, d, e, f = torch.randn(6, generator=generator, dtype=torch.float64).tolist()
        field = np.stack([(a * y + b * x) / corner + e / 2, (c * y + d * x) / corner + f / 2])
    else:  # smooth
        numbers = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64).tolist()
        field = np.stack([sum(_wave(y / min(size), x / min(size), *wave) for wave in axis) for axis in numbers])
    longest = float(np.hypot(*field).max())
    return field * (magnitude_px / longest) if longest else field


def _sign(generator: Generator) -> float:
    return 1.0 if uniform(0, 1, generator=generator) < 0.5 else -1.0


def _wave(y: np.ndarray, x: np.ndarray, length: float, direction: float, phase: float, height: float) -> np.ndarray:
    """A plane wave of random direction, not shorter than the frame's shorter side; all four numbers from 0 to 1."""
    turns = 0.4 + 0.6 * length  # waves in the shorter side
    along = math.sin(2 * math.pi * direction) * y + math.cos(2 * math.pi * direction) * x
    return np.asarray((0.5 + height) * np.cos(2 * math.pi * (turns * along + phase)))


def exposed(
    picture: Float64[np.ndarray, "Y X"], flow: Points, *, generator: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``first(x) = picture(G (x + flow(x)))`` and ``second(y) = picture(G y)`` for one random camera G.

    That is the equation of flow, exactly. G turns a little, takes about two pixels of the picture to one of the frame
    and looks where, of several places tried, there is most to see. The picture is blurred and read with a cubic
    spline. Raises ``ValueError`` if it is too small.
    """
    size, grid = flow.shape[1:], np.indices(flow.shape[1:]).astype(np.float64)
    angle = uniform(-TILT, TILT, generator=generator)
    cos, sin = math.cos(angle), math.sin(angle)
    down, across = (n / 2 + float(np.abs(flow).max()) + 1 for n in size)  # half the sides of what is read
    upright = (down * cos + across * abs(sin), across * cos + down * abs(sin))  # of a box around it, once it is turned
    fine = min(FINE, *((n - 3) / (2 * half) for n, half in zip(picture.shape, upright)))
    if fine < 1:
        raise _check.refuse(f"frames that fit into the picture of {picture.shape}", size, "take a smaller size")
    blurred = ndimage.gaussian_filter(picture, 0.7 * fine)
    spline = ndimage.spline_filter(blurred, 3, mode="mirror")

    def seen(points: Points, middle: list[float]) -> np.ndarray:
        y, x = (points[axis] - (size[axis] - 1) / 2 for axis in (0, 1))
        turned = (fine * cos * y - fine * sin * x, fine * sin * y + fine * cos * x)
        places = np.stack([t + m for t, m in zip(turned, middle)])  # in the picture
        values: np.ndarray = ndimage.map_coordinates(spline, places, order=3, mode="mirror", prefilter=False)
        return values.clip(0, 1)

    ranges = [(fine * half + 1, n - 2 - fine * half) for half, n in zip(upright, picture.shape)]
    middles = [[uniform(low, high, generator=generator) for low, high in ranges] for _ in range(TRIED)]
    best = max(middles, key=lambda middle: float(seen(grid[:, ::4, ::4], middle).std()))
    return seen(grid + flow, best), seen(grid, best)


def inside(flow: Float[Tensor, "2 H W"]) -> Bool[Tensor, "H W"]:
    """Whether the end point lies between the pixel centres of the second frame."""
    ends = flow + torch.from_numpy(np.indices(flow.shape[1:]))
    return torch.stack([(e >= 0) & (e <= n - 1) for e, n in zip(ends, flow.shape[1:])]).all(0)


def covered(second: Tensor, flow: Tensor, share: float, *, generator: Generator) -> tuple[Tensor, Tensor]:
    """The second frame with a patch of itself, upside down, over ``share`` of it; and where the flow's end is seen."""
    size = second.shape
    height, width = (round(n * math.sqrt(share)) for n in size)
    top, left = (int(uniform(0, n - side + 1, generator=generator)) for n, side in zip(size, (height, width)))
    if not height * width:
        return second, inside(flow)
    with_patch, window = second.clone(), (slice(top, top + height), slice(left, left + width))
    with_patch[window] = second.flip(0, 1)[window]
    y, x = flow + torch.from_numpy(np.indices(size))  # ends
    hidden = (y > top - 1) & (y < top + height) & (x > left - 1) & (x < left + width)
    return with_patch, inside(flow) & ~hidden
