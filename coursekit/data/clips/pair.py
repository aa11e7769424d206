"""Two frames and the true motion between them: a real stereo pair, and real pictures moved by a known field.

The direction is that of ``coursekit.ops.warp``: the flow leads from the first frame to the second, in pixels,
channels (dy, dx), so ``second(x + flow(x)) = first(x)`` and ``warp(second, flow)`` shows the first.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64
from scipy import ndimage
from torch import Generator, Tensor
from torch.utils.data import Dataset

from ... import _check
from ...types import Image
from .. import nuclei
from ..readers.videos import Picture, as_clip
from ..seeds import Part, stream, uniform
from .films import frame
from .stills import still

KINDS = ("shift", "rotation", "zoom", "affine", "smooth")
# No picture is in both parts.
SCENES: dict[Part, tuple[str, ...]] = {
    "train": ("street", "nuclei", "gravel", "coffee"),
    "test": ("timelapse", "motorcycle_left", "brick", "chelsea"),
}
FRAMES = {"street": 160, "timelapse": 0}  # which frame of a film
FINE = 2.0  # pixels of the picture to one of the frame, where the picture is large enough
Points = Float64[np.ndarray, "2 H W"]


class Pair(NamedTuple):
    """An item of a set: both frames (1, H, W) in [0, 1], flow (2, H, W) in pixels, valid (H, W)."""

    first: Image
    second: Image
    flow: Float[Tensor, "2 H W"]
    valid: Bool[Tensor, "H W"]


@dataclass(frozen=True, eq=False)
class FramePair:
    """``first`` and ``second`` (1, H, W) float32 in [0, 1]; ``flow`` (2, H, W) float32, (dy, dx) in pixels, from
    first to second.

    ``valid`` (H, W): the truth is known and its end point is seen in the second frame; elsewhere the flow may be 0.
    ``kind`` of motion, ``scene``, ``source`` "real" or "phantom" of the picture.
    """

    first: Image
    second: Image
    flow: Float[Tensor, "2 H W"]
    valid: Bool[Tensor, "H W"]
    kind: str
    scene: str
    source: str
    note: str = ""

    @property
    def item(self) -> Pair:
        return Pair(self.first, self.second, self.flow, self.valid)


@dataclass(frozen=True, eq=False)
class PairSet(Dataset[Pair]):
    """Pairs of one size; ``pairs[i]`` is a :class:`Pair` of tensors, ``pairs.frames[i]`` says its kind and scene too."""

    frames: tuple[FramePair, ...]
    split: Part | None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: SupportsIndex) -> Pair:
        return self.frames[_check.index("a pair", index, len(self))].item


# --- stereo
# --------------------------------------------------------------------------------------------------------------


def stereo(*, gray: bool = True, shrink: int = 1) -> FramePair:
    """The motorcycle of Middlebury 2014, left view first: what the second camera sees moved by, 7 to 60 pixels to the
    left.

    500 × 741 pixels; ``shrink`` takes means of ``shrink`` × ``shrink`` pixels and divides the motion, and blocks
    across which the truth jumps by a pixel of theirs become invalid. The truth also covers what one camera sees and
    the other does not, so that even the true flow brings some wrong pixels (docs/data.md says how many). Source:
    Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014.
    """
    _check.positive("shrink", shrink)
    first, second = (as_clip([still(f"motorcycle_{side}")], gray=gray)[:, 0] for side in ("left", "right"))
    with resources.as_file(resources.files("skimage.data") / "motorcycle_disp.npz") as path, np.load(path) as file:
        disparity = torch.from_numpy(file["arr_0"])
    shift, known = _blocks(disparity, shrink)
    left, right = (F.avg_pool2d(x[None], shrink)[0] for x in (first, second))
    flow = torch.stack([torch.zeros_like(shift), -shift])
    return FramePair(left, right, flow, known & _inside(flow), "stereo", "motorcycle", "real")


def _blocks(disparity: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """Mean disparity of each block, in blocks, and whether it is known and smooth there."""
    known = disparity.isfinite()
    filled = disparity.where(known, torch.zeros_like(disparity))[None] / side
    high, low = F.max_pool2d(filled, side)[0], -F.max_pool2d(-filled, side)[0]
    whole = F.max_pool2d((~known)[None].float(), side)[0] == 0
    shift = F.avg_pool2d(filled, side)[0]
    return shift * whole, whole & (high - low < 1)


def _inside(flow: Float[Tensor, "2 H W"]) -> Bool[Tensor, "H W"]:
    """Whether the end point lies between the pixel centres of the second frame."""
    ends = flow + torch.from_numpy(np.indices(flow.shape[1:]))
    return torch.stack([(e >= 0) & (e <= n - 1) for e, n in zip(ends, flow.shape[1:])]).all(0)


# --- real pictures, known motion
# ---------------------------------------------------------------------------------------------


def warped(
    *,
    kind: str = "smooth",
    scene: str = "street",
    magnitude_px: float = 4.0,
    size: int | tuple[int, int] = 96,
    noise: float = 0.0,
    brightness: float = 0.0,
    occlusion: float = 0.0,
    seed: int = 0,
) -> FramePair:
    """A real picture read twice, at places and at moved places, so that the motion is known exactly.

    ``kind``: ``"shift"``, ``"rotation"`` or ``"zoom"`` about the middle, ``"affine"``, or ``"smooth"`` (three slow
    waves an axis). ``magnitude_px`` is the longest vector of the frame, at most an eighth of its shorter side so that
    nothing folds. Both frames are read with a cubic spline from the blurred picture of about twice the resolution,
    through one and the same tilted camera: neither is sharper than the other. ``noise`` is the standard deviation of
    what is added to both; ``brightness`` 0.1 makes the second a tenth brighter; ``occlusion`` is the share of the
    second frame that a patch covers, and what vanishes behind it is not valid. Raises ``ValueError`` for an unknown
    kind or scene, or a frame larger than the picture.
    """
    knobs = _Knobs(magnitude_px, (size, size) if isinstance(size, int) else size, noise, brightness, occlusion)
    return _made(kind, scene, knobs, stream(seed, "warped", kind, scene))


def pairs(
    *,
    split: Part | None = None,
    count: int = 40,
    kinds: Sequence[str] = KINDS,
    magnitude_px: tuple[float, float] = (1.0, 6.0),
    size: int | tuple[int, int] = 96,
    noise: float = 0.0,
    brightness: float = 0.0,
    occlusion: float = 0.0,
    seed: int = 0,
) -> PairSet:
    """``count`` pairs as of :func:`warped`: the kinds in turn, then the scenes of the part, magnitudes drawn evenly
    from the range.

    The scenes of train and test have no picture in common. Pair i is the same whatever ``count`` is.
    """
    _check.one_of("split", split, [None, *SCENES])
    _check.positive("count", count, zero=True)
    _check.positive("the number of kinds", len(kinds))
    scenes = SCENES[split] if split else SCENES["train"] + SCENES["test"]
    sides = (size, size) if isinstance(size, int) else size
    made = []
    for i in range(count):
        generator = stream(seed, "pairs", split or "all", i)
        knobs = _Knobs(uniform(*magnitude_px, generator=generator), sides, noise, brightness, occlusion)
        made.append(_made(kinds[i % len(kinds)], scenes[i // len(kinds) % len(scenes)], knobs, generator))
    return PairSet(tuple(made), split)


class _Knobs(NamedTuple):
    magnitude_px: float
    size: tuple[int, int]
    noise: float
    brightness: float
    occlusion: float


def _made(kind: str, scene: str, knobs: _Knobs, generator: Generator) -> FramePair:
    _door(kind, scene, knobs)
    picture, source, note = _picture(scene)
    flow = motion(kind, knobs.magnitude_px, knobs.size, generator=generator)
    first, second = exposed(picture, flow, generator=generator)
    truth = torch.from_numpy(flow).float()
    seen, valid = _covered(torch.from_numpy(second).float(), truth, knobs.occlusion, generator)
    frames = [torch.from_numpy(first).float(), (seen * (1 + knobs.brightness)).clamp(0, 1)]
    noisy = [(f + knobs.noise * torch.randn(f.shape, generator=generator)).clamp(0, 1)[None] for f in frames]
    return FramePair(noisy[0], noisy[1], truth, valid, kind, scene, source, note)


def _door(kind: str, scene: str, knobs: _Knobs) -> None:
    _check.one_of("kind", kind, KINDS)
    _check.one_of("scene", scene, SCENES["train"] + SCENES["test"])
    _check.positive("size", knobs.size)
    _check.positive("magnitude_px", knobs.magnitude_px, zero=True)
    _check.positive("noise", knobs.noise, zero=True)
    _check.within("occlusion", torch.tensor(knobs.occlusion), 0, 0.5, "it is a share of the frame")
    _check.within("brightness", torch.tensor(knobs.brightness), -1, 1, "0.1 makes the second frame a tenth brighter")
    if knobs.magnitude_px > min(knobs.size) / 8:
        raise _check.refuse(
            f"magnitude_px at most {min(knobs.size) / 8:g}", knobs.magnitude_px, "move less or take a larger size"
        )


def _picture(scene: str) -> tuple[Float64[np.ndarray, "H W"], str, str]:
    """The scene in grey, with its source and note."""
    if scene == "nuclei":
        whole = nuclei.load()
        return whole.image[0].double().numpy(), whole.source, whole.note
    stored, source, note = _film(scene) if scene in FRAMES else (still(scene), "real", "")
    return as_clip([stored])[0, 0].double().numpy(), source, note


def _film(scene: str) -> tuple[Picture, str, str]:
    return frame("street" if scene == "street" else "timelapse", FRAMES[scene])


def exposed(
    picture: Float64[np.ndarray, "Y X"], flow: Points, *, generator: Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``second(y) = picture(G y)`` and ``first(x) = picture(G (x + flow(x)))`` for one random camera G: the equation
    of flow, exactly.

    G turns by up to a tenth of a radian, takes about two pixels of the picture to one of the frame and looks where,
    of eight places tried, there is most to see. Raises ``ValueError`` if the picture is too small.
    """
    size = flow.shape[1:]
    grid = np.indices(size).astype(np.float64)
    angle = uniform(-0.1, 0.1, generator=generator)
    half = [n / 2 + float(np.abs(flow).max()) + 1 for n in size]
    tilted = [
        half[a] * math.cos(angle) + half[1 - a] * abs(math.sin(angle)) for a in (0, 1)
    ]  # half the sides of the box around the frame
    fine = min(FINE, *((n - 3) / (2 * t) for n, t in zip(picture.shape, tilted)))
    if fine < 1:
        raise _check.refuse(f"frames that fit into the picture of {picture.shape}", tuple(size), "take a smaller size")
    blurred = ndimage.gaussian_filter(picture, 0.7 * fine)
    middles = [
        [uniform(fine * t + 1, n - 2 - fine * t, generator=generator) for t, n in zip(tilted, picture.shape)]
        for _ in range(8)
    ]
    read = _reader(blurred)
    best = max(middles, key=lambda m: float(read(_seen(grid[:, ::4, ::4], size, m, fine, angle)).std()))
    return read(_seen(grid + flow, size, best, fine, angle)), read(_seen(grid, size, best, fine, angle))


def _seen(points: np.ndarray, size: Sequence[int], middle: Sequence[float], fine: float, angle: float) -> np.ndarray:
    """The camera: where in the picture a point (2, ...) of the frame lies."""
    y, x = (points[a] - (size[a] - 1) / 2 for a in (0, 1))
    cos, sin = fine * math.cos(angle), fine * math.sin(angle)
    return np.stack([cos * y - sin * x + middle[0], sin * y + cos * x + middle[1]])


def _reader(picture: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    spline = ndimage.spline_filter(picture, 3, mode="mirror")
    return lambda points: ndimage.map_coordinates(spline, points, order=3, mode="mirror", prefilter=False).clip(0, 1)


def _covered(second: Tensor, flow: Tensor, share: float, generator: Generator) -> tuple[Tensor, Tensor]:
    """The second frame with a patch of itself, upside down, over it; and where the end of the flow is still seen."""
    size = second.shape
    height, width = (round(n * math.sqrt(share)) for n in size)
    top, left = (int(uniform(0, n - side + 1, generator=generator)) for n, side in zip(size, (height, width)))
    valid, window = _inside(flow), (slice(top, top + height), slice(left, left + width))
    if not height * width:
        return second, valid
    covered = second.clone()
    covered[window] = second.flip(0, 1)[window]
    ends = flow + torch.from_numpy(np.indices(size))
    hidden = [(e > corner - 1) & (e < corner + side) for e, corner, side in zip(ends, (top, left), (height, width))]
    return covered, valid & ~(hidden[0] & hidden[1])


# --- fields
# --------------------------------------------------------------------------------------------------------------


def motion(kind: str, magnitude_px: float, size: tuple[int, int], *, generator: Generator) -> Points:
    """A flow field (2, H, W) float64 of one of ``KINDS``, its longest vector ``magnitude_px`` long."""
    y, x = np.indices(size) - (np.array(size).reshape(2, 1, 1) - 1) / 2
    field = FIELDS[kind](y, x, magnitude_px, generator)
    longest = float(np.hypot(*field).max())
    return field * (magnitude_px / longest) if longest else field


def _shift(y: np.ndarray, x: np.ndarray, _: float, generator: Generator) -> np.ndarray:
    direction = uniform(0, 2 * math.pi, generator=generator)
    return np.stack([np.full_like(y, math.sin(direction)), np.full_like(x, math.cos(direction))])


def _rotation(y: np.ndarray, x: np.ndarray, longest: float, generator: Generator) -> np.ndarray:
    """The chord of the angle is ``longest`` at the corner, so there is nothing left to scale."""
    corner = max(float(np.hypot(y, x).max()), 1.0)
    angle = _sign(generator) * 2 * math.asin(longest / (2 * corner))
    cos, sin = math.cos(angle) - 1, math.sin(angle)
    return np.stack([cos * y + sin * x, cos * x - sin * y])


def _zoom(y: np.ndarray, x: np.ndarray, _: float, generator: Generator) -> np.ndarray:
    return _sign(generator) * np.stack([y, x])


def _affine(y: np.ndarray, x: np.ndarray, _: float, generator: Generator) -> np.ndarray:
    a, b, c, d, e, f = torch.randn(6, generator=generator, dtype=torch.float64).tolist()
    half = max(float(np.hypot(y, x).max()), 1.0)
    return np.stack([(a * y + b * x) / half + e / 2, (c * y + d * x) / half + f / 2])


def _waves(y: np.ndarray, x: np.ndarray, _: float, generator: Generator) -> np.ndarray:
    """Along each axis the sum of three plane waves of random direction, none shorter than the frame's shorter side."""
    numbers = torch.rand(2, 3, 4, generator=generator, dtype=torch.float64).tolist()
    side = min(y.shape)
    return np.stack([sum(_wave(y / side, x / side, *one) for one in axis) for axis in numbers])


def _wave(y: np.ndarray, x: np.ndarray, length: float, direction: float, phase: float, height: float) -> np.ndarray:
    turns = 0.4 + 0.6 * length  # waves in the shorter side
    along = math.sin(2 * math.pi * direction) * y + math.cos(2 * math.pi * direction) * x
    wave: np.ndarray = (0.5 + height) * np.cos(2 * math.pi * (turns * along + phase))
    return wave


def _sign(generator: Generator) -> float:
    return 1.0 if uniform(0, 1, generator=generator) < 0.5 else -1.0


FIELDS: dict[str, Callable[[np.ndarray, np.ndarray, float, Generator], np.ndarray]] = {
    "shift": _shift,
    "rotation": _rotation,
    "zoom": _zoom,
    "affine": _affine,
    "smooth": _waves,
}
