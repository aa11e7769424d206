"""EchoNet-Dynamic in its original layout: FileList.csv, VolumeTracings.csv, Videos/*.avi (Ouyang et al., Nature 580, 2020).

The list names a video without ``.avi``, the tracings with it. A traced frame has one row a segment: the long axis first, then the chords.
"""

import csv
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from skimage.draw import polygon
from torch import Tensor

from ... import _check
from . import entry

LIST = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
TRACINGS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
SPLITS = {"train": "TRAIN", "val": "VAL", "test": "TEST"}


@dataclass(frozen=True)
class Study:
    """One video's row of the list, and its tracings: frame number to rows (x1, y1, x2, y2) in pixels, one a segment."""

    path: Path
    ef_percent: float
    esv_ml: float
    edv_ml: float
    height: int
    width: int
    fps: float
    frames: int
    split: str
    traced: dict[int, np.ndarray]

    @property
    def ed_frame(self) -> int | None:
        """The traced frame with the largest outline; None without two tracings."""
        return max(self.traced, key=self._area) if len(self.traced) > 1 else None

    @property
    def es_frame(self) -> int | None:
        """The traced frame with the smallest outline; None without two tracings."""
        return min(self.traced, key=self._area) if len(self.traced) > 1 else None

    def _area(self, frame: int) -> float:
        x, y = outline(self.traced[frame]).T
        return abs(float((x * np.roll(y, 1) - y * np.roll(x, 1)).sum())) / 2


def studies(place: Path, *, split: str | None = None) -> list[Study]:
    """The studies of one split ("train", "val", "test"; None for all) in the order of the list.

    Raises ``ValueError`` for what is missing or does not fit: a file, a column, a number, a video, a frame beyond a video's end.
    """
    _check.one_of("split", split, (None, *SPLITS))
    traced: dict[str, dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(place, "VolumeTracings.csv", TRACINGS):
        segment = [_number(row, c, "VolumeTracings.csv") for c in TRACINGS[1:]]
        traced[row["FileName"].removesuffix(".avi")][int(segment[4])].append(segment[:4])
    rows = _rows(place, "FileList.csv", LIST)
    for row in rows:
        if row["Split"].upper() not in SPLITS.values():
            raise _check.refuse("TRAIN, VAL or TEST as Split in FileList.csv", repr(row["Split"]), f"mend the row of {row['FileName']}")
    wanted = [row for row in rows if split is None or row["Split"].upper() == SPLITS[split]]
    if not wanted:
        raise _check.refuse(f"rows for split {split!r} in FileList.csv", "none", "unpack the whole data set")
    return [_study(place, row, traced.get(row["FileName"].removesuffix(".avi"), {})) for row in wanted]


def _rows(place: Path, name: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with entry(place / name, name).open(newline="", encoding="utf-8-sig") as stream:
        table = csv.DictReader(stream)
        missing = [c for c in columns if c not in (table.fieldnames or ())]
        if missing:
            raise _check.refuse(f"columns {', '.join(columns)} in {name}", f"none named {', '.join(missing)}", "take the file as shipped")
        return list(table)


def _number(row: dict[str, str], column: str, name: str) -> float:
    try:
        value = float(row[column])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise _check.refuse(f"a number as {column} in {name}", repr(row[column]), f"mend the row of {row['FileName']}")
    return value


def _study(place: Path, row: dict[str, str], traced: dict[int, list[list[float]]]) -> Study:
    ef, esv, edv, height, width, fps, frames = (_number(row, c, "FileList.csv") for c in LIST[1:8])
    name = row["FileName"].removesuffix(".avi") + ".avi"
    if frames < 1 or fps <= 0:
        raise _check.refuse(f"frames and a rate above 0 for {name}", f"{frames:g} frames at {fps:g}", "mend its row of FileList.csv")
    for frame, segments in traced.items():
        if not 0 <= frame < frames:
            raise _check.refuse(f"tracings of frames 0 … {frames - 1:g} of {name}", f"one of frame {frame}", "mend VolumeTracings.csv")
        if len(segments) < 3:
            raise _check.refuse(
                f"a long axis and at least two chords for frame {frame} of {name}", len(segments), "mend VolumeTracings.csv"
            )
    video_path = entry(place / "Videos" / name, "the video")
    outlines = {frame: np.array(segments) for frame, segments in traced.items()}
    return Study(video_path, ef, esv, edv, int(height), int(width), fps, int(frames), row["Split"].upper(), outlines)


def video(study: Study) -> UInt8[Tensor, "T H W"]:
    """All frames in grey. Raises ``ValueError`` if the file cannot be decoded or does not fit its row of the list."""
    name = study.path.name
    try:
        with av.open(str(study.path)) as container:
            frames = [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]
    except (av.error.FFmpegError, IndexError) as error:  # IndexError: no video in it
        raise _check.refuse(f"a video in {name}", f"a file that cannot be decoded ({type(error).__name__})", "download it again") from error
    if len(frames) != study.frames:
        raise _check.refuse(f"{study.frames} frames in {name}", len(frames), "download it again, or mend its row of FileList.csv")
    if frames[0].shape != (study.height, study.width):
        raise _check.refuse(f"frames of {study.height} × {study.width} in {name}", frames[0].shape, "mend its row of FileList.csv")
    return torch.from_numpy(np.stack(frames))


def outline(segments: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, "M 2"]:
    """The closed line (x, y) around a traced ventricle: down one end of the chords, up the other."""
    chords = segments[1:]
    line: np.ndarray = np.concatenate([chords[:, :2], chords[::-1, 2:]])
    return line


def mask(study: Study, frame: int) -> Bool[Tensor, "H W"]:
    """The pixels whose centres lie inside the outline of a traced frame, coordinates being pixel indices."""
    if frame not in study.traced:
        raise _check.refuse(f"a traced frame of {study.path.name}, {sorted(study.traced)}", frame, "the others have not been traced")
    x, y = outline(study.traced[frame]).T
    plane = np.zeros((study.height, study.width), bool)
    plane[polygon(y, x, plane.shape)] = True
    return torch.from_numpy(plane)
