"""Real PET of whoever has it: the NIfTI folder that COURSEKIT_PET names, on the grid of the simulated volumes."""

import math
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from scipy import ndimage

from ... import _check
from ..scan import Affine, Scan
from ..seeds import Part
from ..simulated.lesions import TOUCH
from ..simulated.pet import SHAPE, VOXEL_MM, Lesion, Person, grid
from .nifti import NiftiFolder


def people(place: Path, *, split: Part, count: int | None = None) -> list[Person]:
    """The first ``count`` volumes of a part of the folder (all, if not given), one subject a file, split by its name.

    Each is read in the box of 170 × 272 × 272 mm around the middle of its image; what lies outside the image is 0. A
    lesion's place and volume are those of the file's own voxels; one too small to fill half a voxel of ours has none.
    """
    folder = NiftiFolder(place, split=split)
    if count is not None and count > len(folder):
        raise _check.refuse(f"{count} volumes of the {split} part in {place.name}", len(folder), "ask for fewer")
    return [_person(*folder[i][:2]) for i in range(len(folder) if count is None else count)]


def _person(image: Scan, label: Scan) -> Person:
    affine = grid()
    middle = image.world((np.array([image.values.shape]) - 1) / 2)[0]
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    values, numbers = image.values.numpy().astype(np.float32), numbered(label.values.numpy())
    labels, lesions = np.zeros(SHAPE, np.int64), []
    for number in range(1, int(numbers.max()) + 1):
        lesion = numbers == number
        labels[onto(lesion.astype(np.float32), image, affine) >= 0.5] = number
        x, y, z = image.world(np.argwhere(lesion).mean(0)[None])[0].tolist()
        lesions.append(Lesion((x, y, z), int(lesion.sum()) * image.voxel_ml, float(values[lesion].mean())))
    return Person(onto(values, image, affine), labels, tuple(lesions), affine)


def numbered(values: Int[np.ndarray, "D H W"]) -> Int[np.ndarray, "D H W"]:
    """The lesions 1 … n: of 0 and 1 every connected piece is one, else every number."""
    numbers = np.unique(values[values > 0])
    if len(numbers) > 1:
        return np.where(values > 0, np.searchsorted(numbers, values) + 1, 0)
    return np.asarray(ndimage.label(values > 0, TOUCH)[0])


def onto(values: Float[np.ndarray, "D H W"], scan: Scan, affine: Affine) -> Float[np.ndarray, "40 64 64"]:
    """Values on the grid of ``scan`` read at the voxels of ``affine``, blurred as one of its voxels does.

    A voxel's box has the variance of its side squared over 12, and variances add: the blur brings the difference.
    """
    sigma = [math.sqrt(max(0.0, (VOXEL_MM / step) ** 2 - 1) / 12) for step in scan.spacing_mm]
    step = np.linalg.inv(scan.affine) @ affine
    soft = ndimage.gaussian_filter(values, sigma)
    return np.asarray(ndimage.affine_transform(soft, step[:3, :3], step[:3, 3], output_shape=SHAPE, order=1))
