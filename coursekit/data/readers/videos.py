"""A folder of class-named folders of videos, as UCF-101 and HMDB-51 unpack:
``root/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi``.

The class is the folder's name, its number the place of that name in alphabetical order. Clips cut from one film look
alike, so they are split by film, not by clip: see :func:`subject_of`. The official splits of the two data sets are
not read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple, SupportsIndex

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.sidedata.sidedata import Type as SideData
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

    T frames from the whole length, the middle one of each of T equal stretches, so a video of fewer frames repeats
    some; the shorter side is brought to ``size``, and the middle square kept. Raises ``ValueError`` for a file that
    cannot be read or holds no frame.
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
    """The videos of one part, or of both; at most ``count``, then drawn by ``seed`` and as even over the classes as
    they allow.

    No file is opened here. Raises ``ValueError`` for fewer than two classes, a class without a video, or a part
    without one.
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

    UCF-101 numbers the clips of one film at the end, ``v_ApplyEyeMakeup_g08_c01``: all before ``_cNN``. HMDB-51 puts
    the film before the class, ``film_brush_hair_u_nm_np1_ba_goo_0``: all before it, so that a film is in one part in
    whatever class it appears. Any other name is a film of its own.
    """
    cut = re.sub(r"_c\d+$", "", stem)
    return cut if cut != stem else stem.partition(f"_{name}_")[0]


def _classes(root: Path, wanted: Sequence[str] | None) -> tuple[str, ...]:
    found = sorted(
        f.name
        for f in entry(root, "class folders", is_folder=True).iterdir()
        if f.is_dir() and not f.name.startswith(".")
    )
    for name in wanted or ():
        _check.one_of("a class", name, found)
    names = tuple(found if wanted is None else wanted)
    if len(set(names)) < 2:
        raise _check.refuse(
            f"at least two classes of videos in {root.name}", list(names), "put each class into a folder of its name"
        )
    return names


def _films(root: Path, names: Sequence[str]) -> list[Film]:
    films = []
    for label, name in enumerate(names):
        paths = sorted(
            p for p in (root / name).iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith(".")
        )
        if not paths:
            raise _check.refuse(
                f"videos ({', '.join(SUFFIXES)}) in class {name}", "none", "fill the folder or leave the class out"
            )
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


# --- decoding
# ------------------------------------------------------------------------------------------------------------


def shown(path: Path) -> Iterator[av.VideoFrame]:
    """The frames that a player shows, in order, of the film and not of its cover: neither those that an edit list
    cuts nor those that the codec hides.

    Raises ``ValueError`` as one sentence for a file that is no video, is damaged or cut short, holds no frame, frames
    of several sizes, or more than 8 bits a channel.
    """
    sizes = set()
    with _check.reading("a video", entry(path, "the video"), ADVICE), av.open(str(path)) as container:
        packets, end, stream = 0, 0.0, _film(container)
        for packet in container.demux():
            end = max(end, float(((packet.pts or 0) + (packet.duration or 0)) * packet.time_base))
            if packet.stream.index != stream.index:
                continue
            packets += packet.size > 0
            for frame in packet.decode():
                sizes.add((frame.height, frame.width))
                if frame.is_corrupt or packet.is_corrupt:
                    raise ValueError("a damaged frame")
                if len(sizes) > 1 or max(part.bits for part in frame.format.components) > 8:
                    raise ValueError("frames of several sizes" if len(sizes) > 1 else f"pixels as {frame.format.name}")
                yield frame
        if container.format.name == "avi" and packets < stream.frames:
            raise EOFError(f"{packets} of {stream.frames} frames")
        if (
            "matroska" in container.format.name
            and end + 0.5 / float(stream.average_rate or 25) < (container.duration or 0) / av.time_base
        ):
            raise EOFError(f"{end:.3f} of {container.duration / av.time_base:.3f} s")
    if not sizes:
        raise _check.refuse(f"frames in {path.name}", "none", ADVICE)


def _film(container: Any) -> Any:
    """The stream of pictures that a player takes."""
    stream = container.streams.best("video")
    if stream is None:
        raise ValueError("sound alone")
    return stream


def length_of(path: Path) -> int:
    """How many frames the file shows: they are decoded, as its packets may be more. Raises ``ValueError`` as
    :func:`shown`.
    """
    return sum(1 for _ in shown(path))


def decode(path: Path, wanted: Sequence[int] | None = None, *, as_stored: bool = False) -> Decoded:
    """The frames numbered ``wanted``, in that order, or all of them: each (H, W, 3) RGB, 0–255, upright.

    Pixels are made square, but ``as_stored`` leaves them. Raises ``ValueError`` as one sentence.
    """
    kept: dict[int, Picture] = {}
    last = None if wanted is None else max(wanted)
    rate, stretch = _about(path)
    for k, frame in enumerate(shown(path)):
        if wanted is None or k in wanted:
            kept[k] = _upright(frame, 1.0 if as_stored else stretch, path)
        if k == last:
            break
    order = range(len(kept)) if wanted is None else wanted
    if not set(order) <= set(kept):
        raise _check.refuse(
            f"{max(order) + 1} frames in {path.name}", f"{len(kept)} of the {len(order)} wanted", ADVICE
        )
    return Decoded([kept[k] for k in order], rate)


def _about(path: Path) -> tuple[float | None, float]:
    """Frames a second, if the file says; the width of a pixel over its height."""
    with _check.reading("a video", entry(path, "the video"), ADVICE), av.open(str(path)) as container:
        stream = _film(container)
        return float(stream.average_rate) if stream.average_rate else None, float(stream.sample_aspect_ratio or 1)


def _upright(frame: av.VideoFrame, stretch: float, path: Path) -> Picture:
    """The picture turned as the file asks, its pixels made square."""
    with _check.reading("a picture", path, ADVICE):
        picture = frame.to_ndarray(format="rgb24", width=round(frame.width * stretch), height=frame.height)
    matrix = (
        np.frombuffer(turn, np.int32)
        if (turn := frame.side_data.get(SideData.DISPLAYMATRIX))
        else np.eye(3, dtype=np.int32).ravel()
    )
    if float(matrix[0]) * matrix[4] < float(matrix[1]) * matrix[3]:
        raise _check.refuse(
            f"frames that are not mirrored in {path.name}", "a mirroring display matrix", "store them as they are shown"
        )
    if frame.rotation % 90:
        raise _check.refuse(
            f"frames turned by quarters in {path.name}", f"{frame.rotation} degrees", "store them upright"
        )
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))


def as_clip(frames: Sequence[Picture], *, gray: bool = True, size: int | None = None) -> Clip:
    """Pictures of 0–255, (H, W) or (H, W, 3), as (C, T, H, W) float32 in [0, 1]: C is 1 if ``gray``, else 3.

    ``size`` is the shorter side after resampling, linearly and with smoothing where it shrinks; the aspect ratio is
    kept.
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
