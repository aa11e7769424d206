"""A folder of class-named folders of videos, as UCF-101 and HMDB-51 unpack: ``root/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi``.

The class is the folder's name, its number the place of that name in alphabetical order. Clips cut from one film look alike, so they are
split by film, not by clip: see :func:`subject_of`. The official splits of the two data sets are not read.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple, SupportsIndex

import av
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer, UInt8
from torch import Tensor

from ... import _check
from ...types import Clip
from .. import seeds
from . import entry

SUFFIXES = (".avi", ".mp4", ".mov", ".mkv", ".webm")
ADVICE = "copy it again from its source or take it out"
LUMA = (0.299, 0.587, 0.114)  # weights of red, green, blue in grey: ITU-R BT.601
Picture = UInt8[np.ndarray, "_ _ ..."]  # (H, W) or (H, W, 3)


class Film(NamedTuple):
    """One video of the folder."""

    path: Path
    label: int
    subject: str


class Decoded(NamedTuple):
    """Frames as they are stored, and how many a second; None if the file does not say."""

    frames: list[Picture]
    fps: float | None


@dataclass(frozen=True)
class Clips:
    """Videos that are decoded when asked for: ``clips[i]`` is (C, T, size, size) float32 in [0, 1].

    T frames from the whole length, the middle one of each of T equal stretches, so a video of fewer frames repeats some; the shorter side
    is brought to ``size``, and the middle square kept. Raises ``ValueError`` for a file that cannot be read or holds no frame.
    """

    paths: tuple[Path, ...]
    frames: int
    size: int
    gray: bool

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: SupportsIndex) -> Float[Tensor, "C T S S"]:
        path = self.paths[_check.index("a video", index, len(self))]
        length = length_of(path)
        wanted = [min(int((k + 0.5) * length / self.frames), length - 1) for k in range(self.frames)]
        return square(as_clip(decode(path, wanted).frames, gray=self.gray, size=self.size))


class Chosen(NamedTuple):
    """Clips with their labels, and the classes' names by number."""

    clips: Clips
    labels: Integer[Tensor, "N"]
    names: tuple[str, ...]


def read(
    root: Path,
    *,
    split: seeds.Part | None = None,
    classes: Sequence[str] | None = None,
    count: int | None = None,
    frames: int = 16,
    size: int = 40,
    gray: bool = True,
    seed: int = 0,
) -> Chosen:
    """The videos of one part, or of both; at most ``count``, then drawn by ``seed`` and as even over the classes as they allow.

    No file is opened here. Raises ``ValueError`` for fewer than two classes, a class without a video, or a part without one.
    """
    names = _classes(root, classes)
    films = [f for f in _films(root, names) if split is None or seeds.part_of(f.subject) == split]
    if not films:
        raise _check.refuse(f"videos of the part {split!r} in {root.name}", "none", "add films, or name more classes")
    films = films if count is None else _even(films, len(names), seed)[:count]
    clips = Clips(tuple(f.path for f in films), frames, size, gray)
    return Chosen(clips, torch.tensor([f.label for f in films]), names)


def subject_of(stem: str, name: str) -> str:
    """The film a clip was cut from, by its file name without suffix in the class ``name``.

    UCF-101 numbers the clips of one film at the end, ``v_ApplyEyeMakeup_g08_c01``: all before ``_cNN``. HMDB-51 puts the film before the
    class, ``film_brush_hair_u_nm_np1_ba_goo_0``: all before it, so that a film is in one part in whatever class it appears.
    Any other name is a film of its own.
    """
    cut = re.sub(r"_c\d+$", "", stem)
    return cut if cut != stem else stem.partition(f"_{name}_")[0]


def _classes(root: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    found = sorted(f.name for f in entry(root, "class folders").iterdir() if f.is_dir() and not f.name.startswith("."))
    for name in wanted or ():
        _check.one_of("a class", name, found)
    names = tuple(found if wanted is None else wanted)
    if len(set(names)) < 2:
        raise _check.refuse(f"at least two classes of videos in {root.name}", list(names), "put each class into a folder of its name")
    return names


def _films(root: Path, names: Sequence[str]) -> list[Film]:
    films = []
    for label, name in enumerate(names):
        paths = sorted(p for p in (root / name).iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        if not paths:
            raise _check.refuse(f"videos ({', '.join(SUFFIXES)}) in class {name}", "none", "fill the folder or leave the class out")
        films += [Film(p, label, subject_of(p.stem, name)) for p in paths]
    return films


def _even(films: list[Film], classes: int, seed: int) -> list[Film]:
    """Shuffled within each class, then one of each class in turn."""
    lists = []
    for label in range(classes):
        own = [f for f in films if f.label == label]
        order = torch.randperm(len(own), generator=seeds.stream(seed, "films", label)).tolist()
        lists.append([own[k] for k in order])
    return [f for turn in zip_longest(*lists) for f in turn if f is not None]


# --- decoding ------------------------------------------------------------------------------------------------------------


def length_of(path: Path) -> int:
    """How many frames the file holds, counted without decoding them. Raises ``ValueError`` if it is no video or holds none."""
    try:
        with av.open(str(path)) as container:
            length = sum(1 for packet in container.demux(video=0) if packet.size)
    except (av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from error
    if not length:
        raise _check.refuse(f"frames in {path.name}", "none", ADVICE)
    return length


def decode(path: Path, wanted: Sequence[int] | None = None) -> Decoded:
    """The frames numbered ``wanted``, in that order, or all of them: each (H, W, 3) RGB, 0–255. Raises ``ValueError`` as one sentence."""
    kept: dict[int, Picture] = {}
    last = None if wanted is None else max(wanted)
    try:
        with av.open(str(path)) as container:
            rate = container.streams.video[0].average_rate
            for k, frame in enumerate(container.decode(video=0)):
                if wanted is None or k in wanted:
                    kept[k] = frame.to_ndarray(format="rgb24")
                if k == last:
                    break
    except (av.FFmpegError, IndexError) as error:
        raise _unreadable(path, error) from error
    order = range(len(kept)) if wanted is None else wanted
    if not kept or not set(order) <= set(kept):
        got = f"{len(kept)} of the {len(order)} wanted" if order else "none"
        raise _check.refuse(f"frames in {path.name}" if last is None else f"{last + 1} frames in {path.name}", got, ADVICE)
    return Decoded([kept[k] for k in order], float(rate) if rate else None)


def _unreadable(path: Path, error: Exception) -> ValueError:
    got = f"{type(error).__name__} ({error})".replace("\n", " ")
    return _check.refuse(f"a video in {path.name}", got, ADVICE)


def as_clip(frames: Sequence[Picture], *, gray: bool = True, size: int | None = None) -> Clip:
    """Pictures of 0–255, (H, W) or (H, W, 3), as (C, T, H, W) float32 in [0, 1]: C is 1 if ``gray``, else 3.

    ``size`` is the shorter side after resampling, linearly and with smoothing where it shrinks; the aspect ratio is kept.
    """
    return torch.stack([_image(frame, gray, size) for frame in frames], 1)


def _image(frame: Picture, gray: bool, size: int | None) -> Tensor:
    image = torch.from_numpy(np.atleast_3d(frame)).movedim(-1, 0).float() / 255  # (1 or 3, H, W)
    if gray and len(image) == 3:
        image = (image * torch.tensor(LUMA).view(3, 1, 1)).sum(0, keepdim=True)
    image = image if gray else image.expand(3, -1, -1)
    if size is None:
        return image.contiguous()
    height, width = image.shape[1:]
    shape = [max(size, round(n * size / min(height, width))) for n in (height, width)]
    return F.interpolate(image[None], shape, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0, 1)


def square(clip: Clip) -> Float[Tensor, "C T S S"]:
    """The middle square of every frame."""
    height, width = clip.shape[2:]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return clip[:, :, top : top + side, left : left + side].contiguous()
