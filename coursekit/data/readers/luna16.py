"""LUNA16 as its authors ship it: folders ``subset0`` … of .mhd with .raw, ``annotations.csv``, ``candidates.csv``.

Its tables give places in ITK's world, LPS+ mm; here they are RAS+ like everything else. Source: Setio et al.,
Validation, comparison, and combination of algorithms for automatic detection of pulmonary nodules in computed
tomography images: the LUNA16 challenge, Medical Image Analysis 42, 2017.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ... import _check
from .. import itk
from ..scan import Scan, oriented
from . import number, table

TABLES = ("candidates_V2.csv", "candidates.csv")  # the second version, if it is there, holds more of the nodules


class Annotation(NamedTuple):
    """A nodule that at least three of four readers drew: its scan, place (3,) in RAS+ mm and diameter."""

    series: str
    world: np.ndarray
    diameter_mm: float


class Proposal(NamedTuple):
    """A place (3,) in RAS+ mm that a detector proposed, and whether it is a nodule."""

    series: str
    world: np.ndarray
    nodule: bool


def series(folder: Path) -> dict[str, Path]:
    """The scans that are there, of some subsets or of all: series instance UID → its .mhd. None at all is refused."""
    paths = {path.stem: path for path in sorted(folder.glob("subset*/[!.]*.mhd"))}
    if not paths:
        advice = "unpack subset0.zip and the others as its authors ship them and name the folder that holds subset0"
        raise _check.refuse(f"scans at subset*/*.mhd in {folder}", "none", advice)
    return paths


def scan(path: Path) -> Scan:
    """One scan in HU, float32, with axes SPL. The .raw must lie beside its .mhd."""
    stored = oriented(itk.read(path, unit="HU"))
    return replace(stored, values=stored.values.to(torch.float32))


def annotations(folder: Path) -> list[Annotation]:
    """The nodules of all scans, in the order of ``annotations.csv``."""
    nodules = [Annotation(*row) for row in _rows(folder / "annotations.csv", "the nodules", "diameter_mm")]
    _check.positive("diameter_mm in annotations.csv", [nodule.diameter_mm for nodule in nodules])
    return nodules


def proposals(folder: Path) -> list[Proposal]:
    """The candidates of all scans, in the order of ``candidates_V2.csv`` or, without it, ``candidates.csv``."""
    listed = next((folder / name for name in TABLES if (folder / name).exists()), folder / TABLES[-1])
    rows = list(_rows(listed, "the candidates", "class"))
    for *_, kind in rows:
        _check.one_of(f"class in {listed.name}", kind, (0, 1))
    return [Proposal(uid, place, kind == 1) for uid, place, kind in rows]


def _rows(place: Path, what: str, last: str) -> Iterator[tuple[str, np.ndarray, float]]:
    """Each line as (series, place in RAS+ mm, the number in the column ``last``)."""
    columns = ("coordX", "coordY", "coordZ", last)
    for row in table(place, what, ("seriesuid", *columns)):
        x, y, z, value = (number(row, name, place) for name in columns)
        yield row["seriesuid"], np.array([-x, -y, z]), value
