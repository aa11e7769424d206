"""EchoNet-Dynamic in its original layout: FileList.csv, VolumeTracings.csv, Videos/*.avi (Ouyang et al., Nature 580,
2020). The list names a video without ``.avi``, the tracings with it. A traced frame has one row a segment: the long
axis first, then the chords.
"""

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from skimage.draw import polygon2mask
from torch import Tensor

from ... import _check
from . import entry, number, table, videos

LIST = ("FileName", "EF", "ESV", "EDV", "FrameHeight", "FrameWidth", "FPS", "NumberOfFrames", "Split")
TRACINGS = ("FileName", "X1", "Y1", "X2", "Y2", "Frame")
SPLITS = {"train": "TRAIN", "val": "VAL", "test": "TEST"}
MEND_LIST, MEND_TRACINGS = "mend its row of FileList.csv", "mend VolumeTracings.csv"


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
    traced: dict[int, np.ndarray]
    ed_frame: int | None  # the traced frame with the largest area; None without two tracings
    es_frame: int | None  # and with the smallest


def studies(place: Path, *, split: str | None = None) -> list[Study]:
    """The studies of one split ("train", "val", "test"; None for all) in the order of the list.

    Raises ``ValueError`` for what is missing or does not fit: a file, a column, a number, a video, a frame.
    """
    _check.one_of("split", split, (None, *SPLITS))
    tracings, listed = place / "VolumeTracings.csv", place / "FileList.csv"
    segments: dict[str, dict[int, list[list[float]]]] = defaultdict(lambda: defaultdict(list))
    for row in table(tracings, tracings.name, TRACINGS):
        frame = int(number(row, "Frame", tracings, whole=True))
        segments[_stem(row)][frame].append([number(row, column, tracings) for column in TRACINGS[1:5]])
    rows = table(listed, listed.name, LIST)
    for name, times in Counter(map(_stem, rows)).most_common(1):
        if times > 1:
            advice = "a video in two splits would be trained and tested on"
            raise _check.refuse(f"one row of {name} in FileList.csv", times, advice)
    for row in rows:
        if row["Split"].upper() not in SPLITS.values():
            raise _check.refuse("TRAIN, VAL or TEST as Split in FileList.csv", repr(row["Split"]), "mend that row")
    wanted = [row for row in rows if split is None or row["Split"].upper() == SPLITS[split]]
    if not wanted:
        raise _check.refuse(f"rows for split {split!r} in FileList.csv", "none", "unpack the whole data set")
    return [_study(listed, row, segments.get(_stem(row), {})) for row in wanted]


def _stem(row: dict[str, str]) -> str:
    return row["FileName"].removesuffix(".avi")


def _study(listed: Path, row: dict[str, str], segments: dict[int, list[list[float]]]) -> Study:
    ef, esv, edv, fps = (number(row, column, listed) for column in ("EF", "ESV", "EDV", "FPS"))
    sizes = ("FrameHeight", "FrameWidth", "NumberOfFrames")
    height, width, frames = (int(number(row, column, listed, whole=True)) for column in sizes)
    name = _stem(row) + ".avi"
    if min(frames, height, width) < 1 or min(fps, esv, edv) <= 0 or not 0 <= ef <= 100:
        got = f"{frames} frames of {height} × {width} at {fps:g}, {edv:g} to {esv:g} ml, EF {ef:g}"
        raise _check.refuse(f"sizes, a rate and volumes above 0 and an EF in percent for {name}", got, MEND_LIST)
    for frame in segments:
        if not 0 <= frame < frames:
            raise _check.refuse(f"frames 0 … {frames - 1} of {name} traced", f"one of frame {frame}", MEND_TRACINGS)
    traced = {frame: _tidy(np.array(rows), f"frame {frame} of {name}") for frame, rows in segments.items()}

    def area(frame: int) -> float:
        axis, *chords = np.linalg.norm(traced[frame][:, 2:] - traced[frame][:, :2], axis=1)
        return float(axis * np.mean(chords))

    by_area = sorted(traced, key=area)
    ends = (by_area[-1], by_area[0]) if len(by_area) > 1 else (None, None)
    path = entry(listed.parent / "Videos" / name, "the video")
    return Study(path, ef, esv, edv, height, width, fps, frames, traced, *ends)


def _tidy(segments: Float[np.ndarray, "N 4"], what: str) -> Float[np.ndarray, "M 4"]:
    """One tracing: the long axis, then its chords in order along it, all written from the same side.

    What is there twice counts once. Refused: two tracings that differ, fewer than two chords, a segment without
    length, and a chord that does not lie across the axis.
    """
    axis = segments[0]
    along = axis[2:] - axis[:2]
    if not along.any():
        raise _check.refuse(f"a long axis of {what}", "two ends in one place", MEND_TRACINGS)
    is_axis = (segments == axis).all(1) | (segments == axis[[2, 3, 0, 1]]).all(1)
    chords = segments[~is_axis]
    side = (chords[:, 2:] - chords[:, :2]) @ [-along[1], along[0]]
    chords = np.unique(np.where(side[:, None] < 0, chords[:, [2, 3, 0, 1]], chords), axis=0)
    if len(chords) < 2:
        raise _check.refuse(f"an axis and at least two chords for {what}", f"{len(chords)} chords", MEND_TRACINGS)
    across = chords[:, 2:] - chords[:, :2]
    length = np.linalg.norm(across, axis=1)
    if not (np.abs(across @ along) < 0.5 * length * np.linalg.norm(along)).all():
        got = "one along it, as of a second tracing, or one without length"
        raise _check.refuse(f"chords across the long axis of {what}", got, MEND_TRACINGS)
    level = (chords[:, :2] + chords[:, 2:]) @ along
    order = np.argsort(level, kind="stable")
    if (np.diff(level[order]) <= 1e-9 * np.abs(level).max()).any():
        raise _check.refuse(f"one chord at each place along the axis of {what}", "two that differ", MEND_TRACINGS)
    return np.concatenate([axis[None], chords[order]])


def video(study: Study) -> UInt8[Tensor, "T H W"]:
    """All frames in grey. Raises ``ValueError`` if the file cannot be decoded or does not fit its row of the list."""
    name, frames = study.path.name, []
    for frame in videos.shown(study.path):
        with _check.reading("a picture", study.path, "download it again"):
            frames.append(frame.to_ndarray(format="gray"))
    if len(frames) != study.frames:
        raise _check.refuse(f"{study.frames} frames in {name}", len(frames), f"download it again, or {MEND_LIST}")
    if frames[0].shape != (study.height, study.width):
        raise _check.refuse(f"frames of {study.height} × {study.width} in {name}", frames[0].shape, MEND_LIST)
    return torch.from_numpy(np.stack(frames))


def mask(study: Study, frame: int) -> Bool[Tensor, "H W"]:
    """The pixels whose centres lie inside the outline of a traced frame: down one end of the chords, up the other."""
    if frame not in study.traced:
        expected = f"a traced frame of {study.path.name}, {sorted(study.traced)}"
        raise _check.refuse(expected, frame, "the others have not been traced")
    chords = study.traced[frame][1:]
    corners = np.concatenate([chords[:, :2], chords[::-1, 2:]])  # (x, y), in pixel indices
    return torch.from_numpy(polygon2mask((study.height, study.width), corners[:, ::-1]))
