"""Candidates of LUNA16: its detectors' own proposals, nodule or not, for those who have the scans."""

from collections import defaultdict
from pathlib import Path

import numpy as np

from ... import _check
from ..readers import luna16
from ..seeds import Part, part_of, stream
from .cut import Cut, Made, drawn, read_patch


def candidates(folder: Path, split: Part, count: int, how: Cut, seed: int) -> list[Made]:
    """``count`` proposals of the series of one part, half of them nodules, these first; the others come from the same
    series.

    Each series that is needed is read once, one at a time.
    """
    scans = {uid: path for uid, path in luna16.series(folder).items() if part_of(uid) == split}
    proposed = [one for one in luna16.proposals(folder) if one.series in scans]
    turns = stream(seed, "luna16", split)
    found = [one for one in proposed if one.nodule]
    if not found:
        got = f"none in {len(scans)} scans"
        raise _check.refuse(f"nodules among the candidates of the {split} part", got, "unpack more of the subsets")
    chosen = [found[k] for k in drawn(len(found), count // 2, turns)]
    near = {one.series for one in chosen}
    others = [one for one in proposed if not one.nodule and one.series in near]
    chosen += [others[k] for k in drawn(len(others), count - len(chosen), turns)]
    return _read(chosen, scans, _sizes(folder), how, seed)


def _read(
    chosen: list[luna16.Proposal],
    scans: dict[str, Path],
    sizes: dict[str, list[luna16.Annotation]],
    how: Cut,
    seed: int,
) -> list[Made]:
    by_series = defaultdict(list)
    for number, one in enumerate(chosen):
        by_series[one.series].append((number, one))
    made = {}
    for uid, members in by_series.items():
        scan = luna16.scan(scans[uid])
        for number, one in members:
            patch = read_patch(scan, one.world, how, generator=stream(seed, uid, number))
            made[number] = Made(patch, one.nodule, _diameter(one, sizes[uid]), uid, uid, one.world)
    return [made[number] for number in range(len(chosen))]


def _sizes(folder: Path) -> dict[str, list[luna16.Annotation]]:
    sizes = defaultdict(list)
    for one in luna16.annotations(folder):
        sizes[one.series].append(one)
    return sizes


def _diameter(one: luna16.Proposal, annotated: list[luna16.Annotation]) -> float:
    """That of the annotation it lies in; unknown, NaN, for what is no nodule."""
    apart = [float(np.linalg.norm(one.world - a.world)) - a.diameter_mm / 2 for a in annotated]
    inside = one.nodule and min(apart, default=np.inf) <= 0
    return annotated[int(np.argmin(apart))].diameter_mm if inside else float("nan")
