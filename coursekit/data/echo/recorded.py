"""One real echocardiogram: the apical four-chamber clip that ships inside pydicom. Nobody has measured its ejection
fraction.

The file (``examples_ybr_color.dcm``) holds 30 frames of 240 × 320 pixels, one each 33.333 ms. Its ultrasound region
and its spacing describe a screen of 640 × 480, twice as large: a pixel of the picture is two of the screen. Counted
from 0, frame 11 repeats frame 10 and 28 repeats 27.
"""

import math
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pydicom
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from torch import Tensor

from ... import _check
from ...types import Clip
from ..fetch import DataMissing, real_or
from ..seeds import stream
from . import heart, scanner

FILE = "examples_ybr_color.dcm"
SHRUNK = 2  # the tags describe a screen this many times as large as the picture
TIP, SIDE = (
    (11, 171),
    190,
)  # where the beams would meet (row, column) and how deep they reach, in pixels, measured in the picture
NEAR, HALF_ANGLE = 12, math.radians(43)


@dataclass(frozen=True, eq=False)
class RealClip:
    """``clip`` (1, T, H, W) float32 in [0, 1], black outside the ``sector`` (H, W); square pixels of ``spacing_mm``;
    no ejection fraction.

    ``source`` "real" or "phantom": show it in the title of a figure; ``note`` says why it is a phantom.
    """

    clip: Clip
    sector: Bool[Tensor, "H W"]
    spacing_mm: float
    fps: float
    source: str = "real"
    note: str = ""


def real(*, size: int | None = None, repeats: bool = True, allow_phantom: bool = True) -> RealClip:
    """The real clip, cut to a square around the sector with its tip at the top middle, as the simulated clips are.

    Brightness is the file's luminance; text and marks of the screen lie outside the sector and are gone. ``size``
    pixels a side, 190 if not given, smoothed before it is made smaller. ``repeats=False`` drops the frames that
    repeat the one before, so that 28 are left; time then jumps by two steps in two places. Raises ``DataMissing`` if
    pydicom came without its file and ``allow_phantom`` is false.
    """
    _check.positive("size", SIDE if size is None else size)
    return real_or(partial(_stand_in, size or SIDE), partial(_read, size or SIDE, repeats), allow_phantom=allow_phantom)


def _read(size: int, repeats: bool) -> RealClip:
    place = get_testdata_file(FILE, download=False)
    if place is None:
        raise DataMissing(f"expected {FILE} among pydicom's files, got no file: install pydicom anew with pip")
    with _check.reading("a clip of pydicom's", Path(place), "install pydicom anew with pip"):
        header = pydicom.dcmread(place, stop_before_pixels=True)
        luminance = torch.from_numpy(pixel_array(place, raw=True)[..., 0].copy()).float() / 255  # (T, 240, 320)
    left = TIP[1] - SIDE // 2
    film = luminance[:, TIP[0] : TIP[0] + SIDE, left : left + SIDE]
    kept = film if repeats else film[[0, *(k for k in range(1, len(film)) if not torch.equal(film[k], film[k - 1]))]]
    small = kept if size == SIDE else F.interpolate(kept[None], (size, size), mode="bilinear", antialias=True)[0]
    fan = _fan(size)
    spacing = float(header.SequenceOfUltrasoundRegions[0].PhysicalDeltaY) * 10 * SHRUNK * SIDE / size  # cm to mm
    return RealClip(torch.where(fan, small, 0.0)[None], fan, spacing, 1000 / float(header.FrameTime))


def _fan(size: int) -> Tensor:
    """The pixels the beams reach; the tip lies at the top middle."""
    centre = (torch.arange(size) + 0.5) * (SIDE / size)
    y, x = torch.meshgrid(centre, centre - SIDE / 2, indexing="ij")
    r = torch.hypot(y, x)
    return (torch.atan2(x, y).abs() <= HALF_ANGLE) & (r >= NEAR) & (r <= SIDE)


def _stand_in(size: int, reason: str) -> RealClip:
    """A simulated clip of the same length and rate."""
    rng = stream("echo", "real")
    patient = heart.draw(generator=rng)
    moves = heart.motion(patient, frames=30, fps=30, generator=rng)
    film = scanner.film(patient, moves, size, generator=rng)
    return RealClip(film[None], scanner.sector(patient, size), patient.depth / size, 30.0, "phantom", reason)
