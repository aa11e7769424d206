"""Three real videos: a street, a talking head, living cells."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import tifffile
import torch
import torch.nn.functional as F

from ... import _check
from ...ops.warp import affine
from ...types import Clip
from .. import fetch
from ..readers.videos import Decoded, Picture, as_clip, decode
from ..seeds import stream
from ..simulated import phantoms
from .stills import still

Name = Literal["street", "talking_head", "timelapse"]
SHAPES = {"street": (250, 272, 640), "talking_head": (120, 144, 176), "timelapse": (30, 511, 511)}  # (T, H, W)
FPS = {"street": 25.0, "talking_head": 30000 / 1001, "timelapse": None}
CUTS = {"street": (30, 76, 137, 187, 242), "talking_head": (), "timelapse": ()}  # seen, and held by a test


@dataclass(frozen=True, eq=False)
class Video:
    """``clip`` (C, T, H, W) float32 in [0, 1]; ``fps`` frames a second, None where the file does not state it.

    ``cuts`` are the frames at which another shot begins: no flow leads there from the frame before. ``source`` is
    "real" or "phantom".
    """

    clip: Clip
    fps: float | None
    name: str
    source: str
    note: str = ""
    cuts: tuple[int, ...] = ()


def video(
    name: Name, *, gray: bool = True, size: int | None = None, frames: int | None = None, allow_phantom: bool = True
) -> Video:
    """One of the real videos, or a phantom of the same shape if it has not been fetched.

    ``"street"`` 250 frames of 272 × 640, 25 a second, six shots from a hand-held camera; ``"talking_head"`` 120 of
    144 × 176, 29.97 a second; ``"timelapse"`` 30 of 511 × 511, living cells in grey, its interval not stated.
    ``gray=False`` gives three channels (equal ones for the cells). ``size`` brings the shorter side to so many
    pixels; ``frames`` keeps the first so many. Raises ``DataMissing`` if the file has not been fetched and
    ``allow_phantom`` is false, ``ValueError`` for more frames than there are.
    """
    count = _frames(name, frames)
    _check.positive("size", [] if size is None else size)
    decoded, source, note = fetch.real_or(
        lambda reason: (Decoded(_phantom(name, range(count)), FPS[name]), "phantom", reason),
        lambda: (_real(name, range(count)), "real", ""),
        allow_phantom=allow_phantom,
    )
    cuts = tuple(c for c in CUTS[name] if c < count)
    return Video(as_clip(decoded.frames, gray=gray, size=size), decoded.fps, name, source, note, cuts)


def _frames(name: str, frames: int | None) -> int:
    _check.one_of("name", name, list(SHAPES))
    there = SHAPES[name][0]
    _check.positive("frames", [] if frames is None else frames)
    if frames is not None and frames > there:
        raise _check.refuse(f"at most {there} frames of {name}", frames, "take fewer")
    return there if frames is None else frames


def _real(name: Name, wanted: range) -> Decoded:
    path = fetch.path(name)
    if name == "timelapse":
        return Decoded(list(tifffile.imread(path)[wanted.start : wanted.stop]), None)
    return decode(path, wanted, as_stored=True)


def frame(name: Name, index: int) -> tuple[Picture, str, str]:
    """One frame as it is stored, with source and note; of the phantom if the file has not been fetched."""
    return fetch.real_or(
        lambda reason: (_kept(name, index, None), "phantom", reason),
        lambda: (_kept(name, index, fetch.path(name)), "real", ""),
    )


@lru_cache(maxsize=8)
def _kept(name: Name, index: int, path: Path | None) -> Picture:
    wanted = range(index, index + 1)
    return (_real(name, wanted).frames if path else _phantom(name, wanted))[0]


# --- stand-ins
# -----------------------------------------------------------------------------------------------------------


def _phantom(name: Name, wanted: range) -> list[Picture]:
    """Always the same one: photographs under a moving camera, or drifting phantom nuclei."""
    return _cells(wanted) if name == "timelapse" else [_shot(name, k) for k in wanted]


def _shot(name: Name, k: int) -> Picture:
    """The camera pans over one photograph until the next cut; before the face it sways."""
    shot = sum(k >= cut for cut in CUTS[name])
    picture = still("astronaut" if name == "talking_head" else ("coffee", "motorcycle_left", "chelsea")[shot % 3])
    image = torch.from_numpy(picture).movedim(-1, 0)[None].float()
    sway, zoom = math.sin(k / 5), 0.9 if name == "talking_head" else 0.6
    move = (6 * sway - 130, 9 * math.cos(k / 7) - 40) if name == "talking_head" else (10 * sway, 1.2 * (k % 60) - 36)
    matrix = torch.tensor([[[zoom, 0, move[0]], [0, zoom, move[1]]]])
    seen = affine(image, matrix, out_size=SHAPES[name][1:])
    return seen[0].movedim(0, -1).round().to(torch.uint8).numpy()


def _cells(wanted: range) -> list[Picture]:
    """Fifteen nuclei of twice the usual size, as in the real time lapse, each on a way of its own."""
    _, height, width = SHAPES["timelapse"]
    generator = stream("timelapse phantom")
    lights = [_large(phantoms.nucleus(generator=generator)) for _ in range(15)]
    starts = torch.rand(15, 2, generator=generator) * torch.tensor([height, width])
    steps = torch.randn(15, SHAPES["timelapse"][0], 2, generator=generator) * 2
    places = (starts[:, None] + steps.cumsum(1)).round().long()  # (15, T, 2)
    return [_laid(lights, places[:, k], (height, width)) for k in wanted]


def _large(stamp: phantoms.Stamp) -> torch.Tensor:
    return F.interpolate(
        stamp.light[None, None] / stamp.light.max(), scale_factor=2.0, mode="bilinear", align_corners=False
    )[0, 0]


def _laid(lights: list[torch.Tensor], places: torch.Tensor, size: tuple[int, int]) -> Picture:
    margin = 100  # a nucleus may lie across the edge
    canvas = torch.zeros(size[0] + 2 * margin, size[1] + 2 * margin)
    for light, (y, x) in zip(lights, places.tolist()):
        top, left = (
            max(0, min(p + margin - n // 2, total - n)) for p, n, total in zip((y, x), light.shape, canvas.shape)
        )
        canvas[top : top + light.shape[0], left : left + light.shape[1]] += light
    inner = canvas[margin:-margin, margin:-margin]
    return (4 + 400 * inner.clamp(0, 0.625)).round().clamp(0, 255).to(torch.uint8).numpy()
