"""Echocardiograms: clips with known volumes, simulated or of EchoNet-Dynamic for those who have it, and one real clip.

Ejection fraction, end-diastolic volume, wall, rate and pose are drawn independently, a simulated clip starts anywhere
in a beat, and the sector is as deep as the heart needs: no size gives the fraction away. What remains in a single frame
is honest: an emptying ventricle grows slimmer, its wall thicker, and the valve tells filling from ejection.

A tracing has the form of EchoNet-Dynamic: 21 segments (x1, y1, x2, y2) in pixel indices, where whole numbers are the
centres of pixels; first the long axis from apex to base, then 20 chords across it, evenly spaced. By the method of
discs (Simpson's rule, single plane) the ventricle is a stack of discs on the chords: V = Σ π/4 d² · L/20.
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pydicom
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from scipy import ndimage
from torch import Tensor

from .. import _check
from ..types import Clip
from . import readers
from .fetch import DataMissing
from .items import Items
from .readers import echonet
from .seeds import stream, uniform
from .simulated import heart, ultrasound

Part = Literal["train", "val", "test"]
COUNTS: dict[Part, int] = {"train": 240, "val": 60, "test": 60}
LEAST = 32  # pixels: below, a ventricle at end systole is a handful of pixels
DISCS, FINE = 20, 8  # chords of a tracing; points looked at along each side of a pixel

# The apical four-chamber clip that ships inside pydicom: 30 frames of 240 × 320, its ejection fraction not measured.
# Counted from 0, frame 11 repeats frame 10 and 28 repeats 27. Its tags describe a screen twice as large.
FILE, SHRUNK = "examples_ybr_color.dcm", 2
# measured in its picture, in pixels: where the beams would meet, how near and how deep they reach; and their angle
TIP_ROW, TIP_COLUMN, NEAR, SIDE, HALF_ANGLE = 11, 171, 12, 190, math.radians(43)


class Echo(NamedTuple):
    """A clip of one patient. A frame that nobody traced has no mask and no volume; the simulation knows them all."""

    clip: Clip  # (1, T, H, W), in [0, 1]
    masks: Bool[Tensor, "T H W"]  # the left ventricle
    volume_ml: Float[Tensor, "T"]  # NaN where it is not known
    edv_ml: Float[Tensor, ""]
    esv_ml: Float[Tensor, ""]
    ef_percent: Float[Tensor, ""]
    ed: Bool[Tensor, "T"]  # the frame nearest to each end diastole
    es: Bool[Tensor, "T"]  # and to each end systole
    spacing_mm: Float[Tensor, ""]  # of a square pixel, other for each patient; NaN where it is not known


@dataclass(frozen=True, eq=False)
class EchoSet(Items[Echo], what="a clip"):
    """Item i is the clip of patient i, made from seed, split and i alone: no patient is in two splits."""

    split: Part
    count: int
    frames: int
    size: int  # pixels a side
    fps: float
    seed: int
    source: str = "phantom"

    def __len__(self) -> int:
        return self.count

    def item(self, index: int) -> Echo:
        generator = stream(self.seed, "echo", self.split, index)
        patient = heart.draw(generator=generator)
        moves = heart.motion(patient, frames=self.frames, fps=self.fps, generator=generator)
        film = ultrasound.film(patient, moves, self.size, generator=generator)
        numbers = patient.edv_ml, patient.esv_ml, patient.ef_percent, patient.depth / self.size
        edv, esv, ef, spacing = map(torch.tensor, numbers)
        masks = heart.masks(patient, moves, self.size)
        return Echo(film[None], masks, moves.volume_ml.float(), edv, esv, ef, moves.ed, moves.es, spacing)


@dataclass(frozen=True, eq=False)
class EchoNetSet(EchoSet):
    """The same from EchoNet-Dynamic: a stretch of each video from a random start, at about ``fps``, ended in black.

    Two frames a video are traced, and a stretch need not hold them. The size of a pixel is not known.
    """

    source: str = "EchoNet-Dynamic"
    studies: tuple[echonet.Study, ...] = ()

    def item(self, index: int) -> Echo:
        study = self.studies[index]
        video = echonet.video(study)
        step = max(1, round(study.fps / self.fps))
        room = max(1, len(video) - (self.frames - 1) * step)
        start = int(uniform(0, room, generator=stream(self.seed, "echo", self.split, index, "start")))
        shown = list(range(len(video)))[start::step][: self.frames]
        film = torch.zeros(self.frames, self.size, self.size)
        film[: len(shown)] = _resized(video[shown].float() / 255, self.size)
        masks, (ed, es) = film > 1, torch.zeros(2, self.frames, dtype=torch.bool)
        for at, frame in enumerate(shown):
            ed[at], es[at] = frame == study.ed_frame, frame == study.es_frame
            if frame in study.traced:
                masks[at] = _resized(echonet.mask(study, frame)[None].float(), self.size)[0] >= 0.5
        volume = torch.full((self.frames,), math.nan)
        volume[ed], volume[es] = study.edv_ml, study.esv_ml
        edv, esv, ef, spacing = map(torch.tensor, (study.edv_ml, study.esv_ml, study.ef_percent, math.nan))
        return Echo(film[None], masks, volume, edv, esv, ef, ed, es, spacing)


def _resized(planes: Float[Tensor, "T H W"], size: int) -> Float[Tensor, "T size size"]:
    """Smoothed before it is made smaller."""
    if planes.shape[1:] == (size, size):
        return planes
    return F.interpolate(planes[None], (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)


def clips(
    *, split: Part, count: int | None = None, frames: int = 32, size: int = 112, fps: float = 25, seed: int = 0
) -> EchoSet:
    """Clips with known volumes: simulated, or EchoNet-Dynamic's if ``COURSEKIT_ECHONET`` names its folder.

    ``count`` patients, 240 to train on and 60 each for "val" and "test" if not given, or all the data set has in its
    own split. At 25 frames a second 32 are longer than the longest beat, so a simulated clip holds at least one end
    diastole and one end systole. ``seed`` chooses other simulated patients, or other stretches of the videos.
    """
    _check.one_of("split", split, tuple(COUNTS))
    _check.positive("frames and fps", (frames, fps))
    _check.positive("count", COUNTS[split] if count is None else count)
    if size < LEAST:
        raise _check.refuse(f"size of at least {LEAST} pixels", size, "64 is quick, 112 is the size of EchoNet-Dynamic")
    place = readers.folder("COURSEKIT_ECHONET")
    if place is None:
        return EchoSet(split, count or COUNTS[split], frames, size, fps, seed)
    studies = tuple(echonet.studies(place, split=split)[:count])
    return EchoNetSet(split, len(studies), frames, size, fps, seed, studies=studies)


class RealClip(NamedTuple):
    clip: Clip  # (1, T, H, W) float32 in [0, 1], black outside the sector
    sector: Bool[Tensor, "H W"]
    spacing_mm: float  # of a square pixel
    fps: float


def real(*, size: int = SIDE) -> RealClip:
    """The real clip, cut to a square of ``size`` pixels around the sector, its tip at the top middle as in the others.

    Brightness is the file's luminance; text and marks of the screen lie outside the sector and are gone. Raises
    ``DataMissing`` if pydicom came without its file.
    """
    _check.positive("size", size)
    place = get_testdata_file(FILE, download=False)
    if place is None:
        raise DataMissing(f"expected {FILE} among pydicom's files, got no file: install pydicom anew with pip")
    with _check.reading("a clip of pydicom's", Path(place), "install pydicom anew with pip"):
        header = pydicom.dcmread(place, stop_before_pixels=True)
        luminance = torch.from_numpy(pixel_array(place, raw=True)[..., 0].copy()).float() / 255  # (T, 240, 320)
    left = TIP_COLUMN - SIDE // 2
    film = _resized(luminance[:, TIP_ROW : TIP_ROW + SIDE, left : left + SIDE], size)
    centre = (torch.arange(size) + 0.5) * (SIDE / size)
    y, x = torch.meshgrid(centre, centre - SIDE / 2, indexing="ij")
    r = torch.hypot(y, x)
    sector = (torch.atan2(x, y).abs() <= HALF_ANGLE) & (r >= NEAR) & (r <= SIDE)
    spacing = float(header.SequenceOfUltrasoundRegions[0].PhysicalDeltaY) * 10 * SHRUNK * SIDE / size  # cm to mm
    return RealClip(torch.where(sector, film, 0.0)[None], sector, spacing, 1000 / float(header.FrameTime))


def tracing(mask: Bool[Tensor, "H W"], *, axis: Float[Tensor, "4"] | None = None) -> Float[Tensor, "21 4"]:
    """Long axis and chords of a ventricle with its apex up, float64; its largest connected piece counts.

    ``axis`` is a line (x1, y1, x2, y2) towards the base; without one it is the principal axis. It ends where the
    ventricle ends. A chord is as long as the area of its slice over the slice's height, so it is finer than a pixel.
    Raises ``ValueError`` if the mask is empty or the axis has no length.
    """
    _check.tensor("mask", mask, "H W", of="boolean")
    if not bool(mask.any()):
        raise _check.refuse("a mask with pixels", "an empty one", "there is no ventricle to trace")
    pieces, _ = ndimage.label(mask.cpu().numpy())
    largest = 1 + np.bincount(pieces.ravel())[1:].argmax()
    within = (np.arange(FINE) + 0.5) / FINE - 0.5  # ``FINE`` × ``FINE`` places (y, x) in each pixel
    offsets = np.stack(np.meshgrid(within, within, indexing="ij"), -1).reshape(1, -1, 2)
    points = (np.argwhere(pieces == largest)[:, None] + offsets).reshape(-1, 2)  # in pixel indices
    middle = points.mean(0)
    _, vectors = np.linalg.eigh(np.cov((points - middle).T))
    down = vectors[:, 1] * (1 if vectors[0, 1] >= 0 else -1)  # along which the points spread most
    if axis is not None:
        _check.tensor("axis", axis, "4", "pass (x1, y1, x2, y2)")
        tip, foot = axis.double().view(2, 2).flip(1).numpy()  # (y, x) each
        _check.positive("the length of axis", float(np.linalg.norm(foot - tip)))
        middle, down = tip, (foot - tip) / np.linalg.norm(foot - tip)
    across = np.array([-down[1], down[0]])
    z, u = (points - middle) @ down, (points - middle) @ across
    apex, base = z.min() - 0.5 / FINE, z.max() + 0.5 / FINE
    height = (base - apex) / DISCS
    disc = ((z - apex) / height).astype(int).clip(0, DISCS - 1)  # in which each point lies
    count = np.bincount(disc, minlength=DISCS)
    width = count / FINE**2 / height
    centre = np.bincount(disc, u, DISCS) / count.clip(min=1)
    levels = apex + height * (np.arange(DISCS) + 0.5)
    left, right = (np.outer(levels, down) + np.outer(centre + side * width / 2, across) for side in (-1, 1))
    chords = np.concatenate([middle + left, middle + right], 1)  # (20, 4), (y, x) twice
    long_axis = np.concatenate([middle + apex * down, middle + base * down])[None]
    return torch.from_numpy(np.concatenate([long_axis, chords])[:, [1, 0, 3, 2]])


def volume_of_tracing(traced: Float[Tensor, "segments 4"], *, spacing_mm: float) -> float:
    """Volume in mL of a tracing in pixels: the chords are the diameters of discs, the long axis is shared by them."""
    rows, _ = _check.tensor("traced", traced, "N 4", "pass the long axis first, then one row a chord")
    _check.positive("spacing_mm", spacing_mm)
    if rows < 2:
        raise _check.refuse("a long axis and at least one chord", f"{rows} rows", "pass one row a chord")
    length, *diameters = torch.hypot(*(traced[:, 2:] - traced[:, :2]).T).double().mul(spacing_mm).tolist()
    return float(sum(math.pi / 4 * d**2 for d in diameters) * length / len(diameters) / 1000)


def volume_by_discs(mask: Bool[Tensor, "*batch H W"], *, spacing_mm: float) -> Float[Tensor, "*batch"]:
    """Volume in mL of each ventricle (apex up) by its tracing, float64; an empty mask holds 0 mL."""
    _check.tensor("mask", mask, "... H W", of="boolean")
    planes = mask.reshape(-1, *mask.shape[-2:])
    volumes = [volume_of_tracing(tracing(p), spacing_mm=spacing_mm) if bool(p.any()) else 0.0 for p in planes]
    return torch.tensor(volumes, dtype=torch.float64).view(mask.shape[:-2])
