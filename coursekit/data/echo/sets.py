"""Echocardiograms with known volumes, as data sets: simulated, or EchoNet-Dynamic for those who have it."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple, SupportsIndex

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor
from torch.utils.data import Dataset

from ... import _check
from ...types import Clip
from .. import readers
from ..phantoms import uniform
from ..readers import echonet
from ..seeds import stream
from . import heart, scanner

Part = Literal["train", "val", "test"]
PARTS = ("train", "val", "test")
COUNTS = {"train": 240, "val": 60, "test": 60}
LEAST = 32  # pixels: below, a ventricle at end systole is a handful of pixels


class Echo(NamedTuple):
    """A clip of one patient. Frames that nobody traced have an empty mask and a volume of NaN; the simulation knows
    them all.
    """

    clip: Clip  # (1, T, H, W), in [0, 1]
    masks: Bool[Tensor, "T H W"]  # the left ventricle
    volume_ml: Float[Tensor, "T"]
    edv_ml: Float[Tensor, ""]
    esv_ml: Float[Tensor, ""]
    ef_percent: Float[Tensor, ""]
    ed: Bool[Tensor, "T"]  # the frame nearest to each end diastole
    es: Bool[Tensor, "T"]  # and to each end systole
    spacing_mm: Float[Tensor, ""]  # of a square pixel, other for each patient; NaN where it is not known


class Frame(NamedTuple):
    """One frame at end diastole or end systole."""

    image: Float[Tensor, "1 H W"]
    mask: Bool[Tensor, "1 H W"]
    is_ed: Bool[Tensor, ""]
    volume_ml: Float[Tensor, ""]
    spacing_mm: Float[Tensor, ""]


@dataclass(frozen=True, eq=False)
class EchoSet(Dataset[Echo]):
    """Item i is the clip of patient i, an :class:`Echo`; it depends on the arguments and i alone, whatever was asked
    for before.

    ``frames`` of ``size`` × ``size`` pixels at ``fps``; ``source`` "phantom" or "EchoNet-Dynamic": show it in the
    title of a figure.
    """

    split: Part
    count: int
    frames: int
    size: int
    fps: float
    seed: int
    source: str = "phantom"
    note: str = "simulated; set COURSEKIT_ECHONET to the folder of EchoNet-Dynamic to use it instead"

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: SupportsIndex) -> Echo:
        index = self._at(index)
        patient, moves = self._patient(index)
        film = scanner.film(patient, moves, self.size, generator=self._stream(index, "film"))
        ef, edv, esv = (torch.tensor(v) for v in (patient.ef_percent, patient.edv_ml, patient.esv_ml))
        masks = heart.masks(patient, moves, self.size)
        spacing = torch.tensor(patient.depth / self.size)
        return Echo(film[None], masks, moves.volume_ml.float(), edv, esv, ef, moves.ed, moves.es, spacing)

    def pair(self, index: SupportsIndex) -> tuple[Frame, Frame] | None:
        """The first end-diastolic and the first end-systolic frame of clip ``index``, equal to those of the clip to the
        last bit.
        """
        index = self._at(index)
        patient, moves = self._patient(index)
        keep = torch.stack([_first(moves.ed, "end diastole"), _first(moves.es, "end systole")])
        film = scanner.film(patient, moves, self.size, keep=keep, generator=self._stream(index, "film"))
        masks = heart.masks(patient, heart.Motion(*(part[keep] for part in moves)), self.size)
        spacing, volumes = torch.tensor(patient.depth / self.size), moves.volume_ml[keep].float()
        ed, es = (Frame(film[k, None], masks[k, None], torch.tensor(k == 0), volumes[k], spacing) for k in (0, 1))
        return ed, es

    @cached_property
    def ef_percent(self) -> Float[Tensor, "N"]:
        """The ejection fractions of all patients, without making the clips."""
        return torch.tensor([self.patient(i).ef_percent for i in range(self.count)])

    def patient(self, index: SupportsIndex) -> heart.Heart:
        """The simulated heart of clip ``index``. Its stream is named by seed, split and index, so no patient is in two
        splits.
        """
        return self._patient(self._at(index))[0]

    def _patient(self, index: int) -> tuple[heart.Heart, heart.Motion]:
        rng = self._stream(index, "patient")
        patient = heart.draw(generator=rng)
        return patient, heart.motion(patient, frames=self.frames, fps=self.fps, generator=rng)

    def _stream(self, index: int, what: str) -> Generator:
        return stream(self.seed, "echo", self.split, index, what)

    def _at(self, index: SupportsIndex) -> int:
        return _check.index("a clip", index, self.count)


@dataclass(frozen=True, eq=False)
class EchoNetSet(EchoSet):
    """The same from EchoNet-Dynamic: a stretch of each video, started at random, every so many frames as come nearest
    to ``fps``.

    A video that is too short goes on in black. Two frames a video are traced, and a stretch need not hold them.
    Volumes are the data set's own; it does not tell the size of a pixel.
    """

    studies: tuple[echonet.Study, ...] = ()

    @property
    def ef_percent(self) -> Float[Tensor, "N"]:
        """The ejection fractions of all patients, from the list of files."""
        return torch.tensor([study.ef_percent for study in self.studies])

    def patient(self, index: SupportsIndex) -> heart.Heart:
        """There is no simulated heart behind a real video."""
        raise TypeError("expected a simulated patient, got one of EchoNet-Dynamic: read its record in studies")

    def __getitem__(self, index: SupportsIndex) -> Echo:
        index = self._at(index)
        study = self.studies[index]
        video = echonet.video(study)
        step = max(1, round(study.fps / self.fps))
        room = max(1, len(video) - (self.frames - 1) * step)
        start = int(uniform(0, room, generator=self._stream(index, "start")))
        seen = list(range(len(video)))[start::step][: self.frames]
        film = F.pad(_resized(video[seen].float() / 255, self.size), (0, 0, 0, 0, 0, self.frames - len(seen)))
        masks = torch.zeros(self.frames, self.size, self.size, dtype=torch.bool)
        volume, ed, es = torch.full((self.frames,), math.nan), *torch.zeros(2, self.frames, dtype=torch.bool)
        for at, frame in enumerate(seen):
            if frame in study.traced:
                masks[at] = _shrunk_mask(study, frame, self.size)
                ed[at], es[at] = frame == study.ed_frame, frame == study.es_frame
                volume[at] = study.edv_ml if ed[at] else study.esv_ml if es[at] else math.nan
        edv, esv, ef = (torch.tensor(v) for v in (study.edv_ml, study.esv_ml, study.ef_percent))
        return Echo(film[None], masks, volume, edv, esv, ef, ed, es, torch.tensor(math.nan))

    def pair(self, index: SupportsIndex) -> tuple[Frame, Frame] | None:
        """The two traced frames; None if the video has not been traced."""
        study = self.studies[self._at(index)]
        ed, es = study.ed_frame, study.es_frame
        if ed is None or es is None:
            return None
        video = echonet.video(study)[[ed, es]]
        images = _resized(video.float() / 255, self.size)[:, None]
        masks = torch.stack([_shrunk_mask(study, frame, self.size) for frame in (ed, es)])[:, None]
        volumes, unknown = torch.tensor([study.edv_ml, study.esv_ml]), torch.tensor(math.nan)
        first, second = (Frame(images[k], masks[k], torch.tensor(k == 0), volumes[k], unknown) for k in (0, 1))
        return first, second


@dataclass(frozen=True, eq=False)
class Frames(Dataset[Frame]):
    """Still frames for segmentation, stacked; item i is a :class:`Frame`. A patient's two frames follow each other, end
    diastole first.
    """

    images: Float[Tensor, "N 1 H W"]
    masks: Bool[Tensor, "N 1 H W"]
    is_ed: Bool[Tensor, "N"]
    volume_ml: Float[Tensor, "N"]
    spacing_mm: Float[Tensor, "N"]
    source: str
    note: str

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: SupportsIndex) -> Frame:
        index = _check.index("a frame", index, len(self))
        return Frame(
            self.images[index], self.masks[index], self.is_ed[index], self.volume_ml[index], self.spacing_mm[index]
        )


def clips(
    *, split: Part, count: int | None = None, frames: int = 32, size: int = 112, fps: float = 25, seed: int = 0
) -> EchoSet:
    """Clips with known volumes: simulated, or EchoNet-Dynamic's if ``COURSEKIT_ECHONET`` names its folder.

    ``count`` patients, 240 to train on and 60 each for "val" and "test" if not given, or all the data set has. At 25
    frames a second 32 frames are longer than the longest beat, so a simulated clip holds at least one end diastole
    and one end systole. EchoNet-Dynamic keeps its own split: TRAIN, VAL, TEST. ``seed`` chooses other simulated
    patients, or other stretches of the videos.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("frames and fps", (frames, fps))
    _check.positive("count", COUNTS[split] if count is None else count)
    if size < LEAST:
        raise _check.refuse(f"size of at least {LEAST} pixels", size, "64 is quick, 112 is the size of EchoNet-Dynamic")
    place = readers.folder("COURSEKIT_ECHONET")
    if place is None:
        return EchoSet(split, COUNTS[split] if count is None else count, frames, size, fps, seed)
    studies = echonet.studies(place, split=split)[:count]
    return EchoNetSet(split, len(studies), frames, size, fps, seed, "EchoNet-Dynamic", "", tuple(studies))


def frames(*, split: Part, count: int | None = None, size: int = 112, seed: int = 0) -> Frames:
    """The end-diastolic and the end-systolic frame of each of ``count`` patients, the same patients as of
    :func:`clips`.
    """
    patients = clips(split=split, count=count, size=size, seed=seed)
    pairs = [pair for pair in map(patients.pair, range(len(patients))) if pair is not None]
    if not pairs:
        raise _check.refuse(
            "at least one video with two traced frames", "none", "ask for more patients, or see VolumeTracings.csv"
        )
    images, masks, is_ed, volume, spacing = (
        torch.stack(column) for column in zip(*(frame for pair in pairs for frame in pair))
    )
    return Frames(images, masks, is_ed, volume, spacing, patients.source, patients.note)


def _first(marks: Tensor, what: str) -> Tensor:
    """The first marked frame."""
    if not bool(marks.any()):
        raise _check.refuse(
            f"a clip with an {what}", f"{len(marks)} frames without one", "make it longer than a beat: 1.3 s"
        )
    return marks.nonzero()[0, 0]


def _shrunk_mask(study: echonet.Study, frame: int, size: int) -> Tensor:
    """A traced mask at another size: the pixels at least half covered."""
    return _resized(echonet.mask(study, frame)[None].float(), size)[0] >= 0.5


def _resized(planes: Tensor, size: int) -> Tensor:
    """(T, H, W) brought to size × size pixels, smoothed before it is made smaller."""
    if planes.shape[1:] == (size, size):
        return planes
    return F.interpolate(planes[None], (size, size), mode="bilinear", antialias=True)[0].clamp(0, 1)
