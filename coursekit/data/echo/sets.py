"""Echocardiograms: clips with known volumes, simulated or of EchoNet-Dynamic for those who have it, and one real clip.

The real one is the apical four-chamber clip that ships inside pydicom: 30 frames of 240 × 320 pixels, one each 33.333
ms, its ejection fraction not measured. Its tags describe a screen of 640 × 480: a pixel of the picture is two of the
screen. Counted from 0, frame 11 repeats frame 10 and 28 repeats 27.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, NamedTuple, SupportsIndex

import pydicom
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from pydicom.data import get_testdata_file
from pydicom.pixels import pixel_array
from torch import Generator, Tensor

from ... import _check
from ...types import Clip
from .. import readers
from ..fetch import DataMissing
from ..items import Items
from ..readers import echonet
from ..seeds import stream, uniform
from ..simulated import heart, ultrasound

Part = Literal["train", "val", "test"]
COUNTS: dict[Part, int] = {"train": 240, "val": 60, "test": 60}
LEAST = 32  # pixels: below, a ventricle at end systole is a handful of pixels
FILE = "examples_ybr_color.dcm"
SHRUNK = 2  # the real clip's tags describe a screen this many times as large
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


class Frames(NamedTuple):
    """Frames at end diastole and end systole, a patient's two after each other; ``TensorDataset(*frames)`` is a set."""

    images: Float[Tensor, "N 1 H W"]
    masks: Bool[Tensor, "N 1 H W"]
    is_ed: Bool[Tensor, "N"]
    volume_ml: Float[Tensor, "N"]
    spacing_mm: Float[Tensor, "N"]


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
        patient, moves = self.patient(index)
        film = ultrasound.film(patient, moves, self.size, generator=self._stream(index, "film"))
        masks, spacing = heart.masks(patient, moves, self.size), torch.tensor(patient.depth / self.size)
        ef, edv, esv = (torch.tensor(v) for v in (patient.ef_percent, patient.edv_ml, patient.esv_ml))
        return Echo(film[None], masks, moves.volume_ml.float(), edv, esv, ef, moves.ed, moves.es, spacing)

    def pair(self, index: SupportsIndex) -> Frames | None:
        """The first end-diastolic and the first end-systolic frame of a clip, to the last bit; None if not traced."""
        patient, moves = self.patient(index)
        if not (bool(moves.ed.any()) and bool(moves.es.any())):
            got = f"{self.frames} frames without one"
            raise _check.refuse("a clip with an end of each", got, "make it longer than a beat: 1.3 s")
        keep = torch.stack([marks.nonzero()[0, 0] for marks in (moves.ed, moves.es)])
        film = ultrasound.film(patient, moves, self.size, keep=keep, generator=self._stream(index, "film"))
        masks = heart.masks(patient, heart.Motion(*(part[keep] for part in moves)), self.size)
        volumes, spacing = moves.volume_ml[keep].float(), torch.tensor(patient.depth / self.size)
        return Frames(film[:, None], masks[:, None], torch.tensor([True, False]), volumes, spacing.repeat(2))

    @cached_property
    def ef_percent(self) -> Float[Tensor, "N"]:
        """The ejection fractions of all patients, without making the clips."""
        return torch.tensor([self.patient(i)[0].ef_percent for i in range(self.count)])

    def patient(self, index: SupportsIndex) -> tuple[heart.Heart, heart.Motion]:
        """The simulated heart of a clip, and how it moves."""
        generator = self._stream(index, "patient")
        drawn = heart.draw(generator=generator)
        return drawn, heart.motion(drawn, frames=self.frames, fps=self.fps, generator=generator)

    def _stream(self, index: SupportsIndex, what: str) -> Generator:
        return stream(self.seed, "echo", self.split, _check.index(self.what, index, self.count), what)


@dataclass(frozen=True, eq=False)
class EchoNetSet(EchoSet):
    """The same from EchoNet-Dynamic: a stretch of each video from a random start, at about ``fps``, ended in black.

    Two frames a video are traced, and a stretch need not hold them. The size of a pixel is not known.
    """

    source: str = "EchoNet-Dynamic"
    studies: tuple[echonet.Study, ...] = ()

    @property
    def ef_percent(self) -> Float[Tensor, "N"]:
        """The ejection fractions of all patients, from the list of files."""
        return torch.tensor([study.ef_percent for study in self.studies])

    def patient(self, index: SupportsIndex) -> tuple[heart.Heart, heart.Motion]:
        """There is no simulated heart behind a real video."""
        raise TypeError("expected a simulated patient, got one of EchoNet-Dynamic: read its record in studies")

    def item(self, index: int) -> Echo:
        study = self.studies[index]
        video = echonet.video(study)
        step = max(1, round(study.fps / self.fps))
        room = max(1, len(video) - (self.frames - 1) * step)
        start = int(uniform(0, room, generator=self._stream(index, "start")))
        shown = list(range(len(video)))[start::step][: self.frames]
        missing = self.frames - len(shown)
        film = F.pad(_resized(video[shown].float() / 255, self.size), (0, 0, 0, 0, 0, missing))
        ends = study.ed_frame, study.es_frame
        ed, es = (torch.tensor([number == end for number in shown] + [False] * missing) for end in ends)
        volume = torch.full((self.frames,), math.nan)
        volume[ed], volume[es] = study.edv_ml, study.esv_ml
        masks = torch.zeros(self.frames, self.size, self.size, dtype=torch.bool)
        for at, frame in enumerate(shown):
            if frame in study.traced:
                masks[at] = _mask(study, frame, self.size)
        edv, esv, ef = (torch.tensor(v) for v in (study.edv_ml, study.esv_ml, study.ef_percent))
        return Echo(film[None], masks, volume, edv, esv, ef, ed, es, torch.tensor(math.nan))

    def pair(self, index: SupportsIndex) -> Frames | None:
        study = self.studies[_check.index(self.what, index, self.count)]
        if study.ed_frame is None or study.es_frame is None:
            return None
        ends = [study.ed_frame, study.es_frame]
        images = _resized(echonet.video(study)[ends].float() / 255, self.size)
        masks = torch.stack([_mask(study, frame, self.size) for frame in ends])
        volumes, unknown = torch.tensor([study.edv_ml, study.esv_ml]), torch.full((2,), math.nan)
        return Frames(images[:, None], masks[:, None], torch.tensor([True, False]), volumes, unknown)


def _mask(study: echonet.Study, frame: int, size: int) -> Bool[Tensor, "H W"]:
    """A traced mask at another size: the pixels at least half covered."""
    return _resized(echonet.mask(study, frame)[None].float(), size)[0] >= 0.5


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


def frames(*, split: Part, count: int | None = None, size: int = 112, seed: int = 0) -> Frames:
    """The end-diastolic and the end-systolic frame of each of ``count`` patients, those of :func:`clips`."""
    patients = clips(split=split, count=count, size=size, seed=seed)
    pairs = [pair for pair in map(patients.pair, range(len(patients))) if pair is not None]
    if not pairs:
        raise _check.refuse("at least one video with two traced frames", "none", "ask for more patients")
    return Frames(*map(torch.cat, zip(*pairs)))


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
