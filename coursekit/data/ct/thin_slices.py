"""A chest CT with slices of 2.5 mm and the contours of the four radiologists who read it: LIDC-IDRI-0001.

The package that holds the image does not name it; it was recognised by its slice positions, spacing and origin. One
patient is for looking and for measuring how far readers agree, not for training. The organs were drawn by a program
(Wasserthal et al., TotalSegmentator, Radiology: Artificial Intelligence 5(5), 2023) and by nobody checked.
"""

import csv
from dataclasses import dataclass, replace

import nibabel as nib
import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from .. import fetch
from ..readers.contours import Nodule, agreement, grouped
from ..scan import Scan, aligned, from_nifti, oriented
from .lidc import database

PATIENT = "LIDC-IDRI-0001"
SCALING = 1, -1024  # slope and intercept of the file, whose hash is pinned


@dataclass(frozen=True, eq=False)
class Thin:
    """``scan`` (133, 512, 512) int16 in HU with axes SPL, −2048 outside the scanner's circle, 2.5 × 0.703 × 0.703 mm.

    ``readers`` (4, D, H, W) bool, each radiologist's mask of the one nodule; ``label`` the voxels of at least two of
    them, on the same grid; ``nodule`` what they drew and rated.
    """

    scan: Scan
    readers: Bool[Tensor, "R D H W"]
    label: Scan
    nodule: Nodule


@dataclass(frozen=True, eq=False)
class Organs:
    """``label`` uint8 on the grid of ``thin().scan``, 0 for none; ``names`` such as ``lung_lower_lobe_left``."""

    label: Scan
    names: dict[int, str]


def thin() -> Thin:
    """The CT with its four readings, about 0.3 GB, read anew at each call; ``DataMissing`` if a file cannot be had."""
    stored = nib.load(fetch.path("thin_image"))
    assert (stored.dataobj.slope, stored.dataobj.inter) == SCALING
    values = stored.dataobj.get_unscaled().transpose(2, 1, 0) + np.int16(SCALING[1])  # as floats, four times the room
    affine = np.asarray(stored.affine, np.float64)[:, [2, 1, 0, 3]]
    scan = oriented(Scan(torch.from_numpy(np.ascontiguousarray(values)), affine, "HU"))
    (read,) = (one for one in database(fetch.path("lidc")) if one.patient == PATIENT)
    (nodule,) = (one for one in grouped(read) if len(one.readings) > 1)
    masks = torch.zeros(len(nodule.readings), *scan.values.shape, dtype=torch.bool)
    for mask, reading in zip(masks, nodule.readings):  # the pixels of contours are those of the scan
        share, z_mm, y, x = agreement([reading], scan.spacing_mm[0])
        z, (depth, height, width) = round((z_mm - scan.affine[2, 3]) / scan.spacing_mm[0]), share.shape
        mask[z : z + depth, y : y + height, x : x + width] = torch.from_numpy(share > 0)
    return Thin(scan, masks, replace(scan, values=masks.sum(0, dtype=torch.uint8) >= 2, unit=""), nodule)


def organs() -> Organs:
    """What a program takes for the organs in the same CT; ``DataMissing`` if a file cannot be had.

    It counts the tumour as lung: nothing that such a program marks as healthy has been looked at by it.
    """
    label = oriented(from_nifti(fetch.path("thin_organs")))
    aligned(thin().scan, label)
    with fetch.path("thin_structures").open(encoding="utf-8", newline="") as file:
        names = {int(row["id"]): row["structure"] for row in csv.DictReader(file)}
    return Organs(label, {number: names[number] for number in label.values.unique().tolist() if number})
