"""LUNA16 as its authors ship it: folders ``subset0`` … of .mhd with .raw, and ``candidates.csv``.

Its table gives places in ITK's world, LPS+ mm; here they are RAS+ like everything else. Source: Setio et al.,
Validation, comparison, and combination of algorithms for automatic detection of pulmonary nodules in computed
tomography images: the LUNA16 challenge, Medical Image Analysis 42, 2017.
"""

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


def proposals(folder: Path) -> list[Proposal]:
    """The candidates of all scans, in the order of ``candidates_V2.csv`` or, without it, ``candidates.csv``."""
    listed = next((folder / name for name in TABLES if (folder / name).exists()), folder / TABLES[-1])
    columns, proposed = ("coordX", "coordY", "coordZ", "class"), []
    for row in table(listed, "the candidates", ("seriesuid", *columns)):
        x, y, z, kind = (number(row, name, listed) for name in columns)
        _check.one_of(f"class in {listed.name}", kind, (0, 1))
        proposed.append(Proposal(row["seriesuid"], np.array([-x, -y, z]), kind == 1))
    return proposed
