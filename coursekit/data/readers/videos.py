"""A folder of class-named folders of videos, as UCF-101 and HMDB-51 unpack:
``root/ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01.avi``.

The class is the folder's name, its number the place of that name in alphabetical order. Clips cut from one film look
alike, so they are split by film, not by clip: see :func:`subject_of`. The data sets' official splits are not read.
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


@dataclass(frozen=True)
class Clips:
    """Videos that are decoded when asked for: ``clips[i]`` is (C, T, size, size) float32 in [0, 1].

    T frames, the middle ones of T equal stretches of the whole, so a video of fewer repeats some; the shorter side
    becomes ``size``, the middle square stays. Raises ``ValueError`` for a file that cannot be read or holds no frame.
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
        clip = as_clip(decode(path, wanted), gray=self.gray, size=self.size)
        top, left = ((n - self.size) // 2 for n in clip.shape[2:])
        return clip[:, :, top : top + self.size, left : left + self.size].contiguous()


class Chosen(NamedTuple):
    """Clips with their labels, and the classes' names by number."""

    clips: Clips
    labels: Integer[Tensor, "N"]
    names: tuple[str, ...]


def read(
    root: Path, *, split: seeds.Part | None, count: int | None, frames: int, size: int, gray: bool, seed: int
) -> Chosen:
    """The videos of one part, or of both; at most ``count``, drawn by ``seed``, as even over the classes as they allow.

    No file is opened. Raises ``ValueError`` for fewer than two classes, a class without a video, or a part without one.
    """
    folders = sorted(f for f in entry(root, "class folders", is_folder=True).iterdir() if f.is_dir())
    folders = [folder for folder in folders if not folder.name.startswith(".")]
    names = tuple(folder.name for folder in folders)
    if len(names) < 2:
        expected = f"at least two classes of videos in {root.name}"
        raise _check.refuse(expected, list(names), "put each class into a folder of its name")
    of_class = [
        sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and not p.name.startswith("."))
        for folder in folders
    ]
    for name, paths in zip(names, of_class):
        if not paths:
            expected = f"videos ({', '.join(SUFFIXES)}) in class {name}"
            raise _check.refuse(expected, "none", "fill the folder or take it out")
    if split is not None:
        of_class = [[path for path in paths if seeds.part_of(subject_of(path)) == split] for paths in of_class]
    if not any(of_class):
        raise _check.refuse(f"videos of the part {split!r} in {root.name}", "none", "add films")
    paths = [path for paths in of_class for path in paths]
    if count is not None:
        shuffled = []
        for label, own in enumerate(of_class):
            order = torch.randperm(len(own), generator=seeds.stream(seed, "films", label)).tolist()
            shuffled.append([own[k] for k in order])
        paths = [path for turn in zip_longest(*shuffled) for path in turn if path][:count]  # of each class in turn
    labels = [names.index(path.parent.name) for path in paths]
    return Chosen(Clips(tuple(paths), frames, size, gray), torch.tensor(labels), names)


def subject_of(path: Path) -> str:
    """The film a clip was cut from, by the name of its file and, in HMDB-51, of its folder, the class.

    UCF-101 numbers the clips of one film at the end, ``v_ApplyEyeMakeup_g08_c01``: all before ``_cNN``. HMDB-51 puts
    the film before the class, ``film_brush_hair_u_nm_np1_ba_goo_0``: all before it, so that a film is in one part in
    whatever class it appears. Any other name is a film of its own.
    """
    film = re.sub(r"_c\d+$", "", path.stem)
    return film if film != path.stem else path.stem.partition(f"_{path.parent.name}_")[0]


# --- decoding ---


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
                if len(sizes) > 1:
                    raise ValueError("frames of several sizes")
                if max(part.bits for part in frame.format.components) > 8:
                    raise ValueError(f"pixels as {frame.format.name}")
                yield frame
        if container.format.name == "avi" and packets < stream.frames:
            raise EOFError(f"{packets} of {stream.frames} frames")
        length, half_a_frame = (container.duration or 0) / av.time_base, 0.5 / float(stream.average_rate or 25)
        if "matroska" in container.format.name and end + half_a_frame < length:
            raise EOFError(f"{end:.3f} of {length:.3f} s")
    if not sizes:
        raise _check.refuse(f"frames in {path.name}", "none", ADVICE)


def _film(container: Any) -> Any:
    stream = container.streams.best("video")
    if stream is None:
        raise ValueError("sound alone")
    return stream


def length_of(path: Path) -> int:
    """How many frames are shown; they are decoded, as packets may be more. Raises ``ValueError`` as :func:`shown`."""
    return sum(1 for _ in shown(path))


def decode(path: Path, wanted: Sequence[int], *, as_stored: bool = False) -> list[Picture]:
    """The frames numbered ``wanted``, in that order: each (H, W, 3) RGB, 0–255, upright.

    Pixels are made square, but ``as_stored`` leaves them. Raises ``ValueError`` as one sentence.
    """
    with _check.reading("a video", entry(path, "the video"), ADVICE), av.open(str(path)) as container:
        pixel_ratio = float(_film(container).sample_aspect_ratio or 1)  # width over height
    pictures: dict[int, Picture] = {}
    for k, frame in enumerate(shown(path)):
        if k in wanted:
            pictures[k] = _upright(frame, 1.0 if as_stored else pixel_ratio, path)
        if k == max(wanted):
            break
    if not set(wanted) <= set(pictures):
        got = f"{len(pictures)} of the {len(wanted)} wanted"
        raise _check.refuse(f"{max(wanted) + 1} frames in {path.name}", got, ADVICE)
    return [pictures[k] for k in wanted]


def _upright(frame: av.VideoFrame, pixel_ratio: float, path: Path) -> Picture:
    with _check.reading("a picture", path, ADVICE):
        picture = frame.to_ndarray(format="rgb24", width=round(frame.width * pixel_ratio), height=frame.height)
    display = frame.side_data.get(SideData.DISPLAYMATRIX)
    a, b, _, c, d = np.frombuffer(display, np.int32)[:5].astype(float) if display else (1.0, 0.0, 0.0, 0.0, 1.0)
    if a * d < b * c:
        expected = f"frames that are not mirrored in {path.name}"
        raise _check.refuse(expected, "a mirroring display matrix", "store them as they are shown")
    if frame.rotation % 90:
        expected = f"frames turned by quarters in {path.name}"
        raise _check.refuse(expected, f"{frame.rotation} degrees", "store them upright")
    return np.ascontiguousarray(np.rot90(picture, frame.rotation // 90))


# --- from pictures to clips ---


def as_clip(frames: Sequence[Picture], *, gray: bool = True, size: int | None = None) -> Clip:
    """Pictures of 0–255, (H, W) or (H, W, 3), as (C, T, H, W) float32 in [0, 1]: C is 1 if ``gray``, else 3.

    ``size`` is the shorter side after resampling, linearly and with smoothing where it shrinks, in proportion.
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
