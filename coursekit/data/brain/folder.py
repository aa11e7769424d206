"""Real PET of whoever has it: the NIfTI folder that COURSEKIT_PET names, brought to the size of the simulated volumes."""

import math
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy import ndimage

from ... import _check
from ..readers.nifti import NiftiFolder
from ..scan import Affine, Scan
from ..seeds import Part
from .lesions import TOUCH
from .volumes import SHAPE, VOXEL_MM, Lesion, PetSet, Tracer, grid


def pet(place: Path, *, split: Part, tracer: Tracer, count: int | None = None) -> PetSet:
    """The first ``count`` volumes of a part of the folder (all, if not given), one subject a file, split by its name.

    Each is read in the box of 170 × 272 × 272 mm around the middle of its image, blurred first where its voxels are
    finer; what lies outside the image is 0. Where the labels are 0 and 1, every connected piece is a lesion, else
    every number is one. A lesion's place and volume are those of the file's own voxels, and one too small to fill
    half a voxel of ours has no voxel in the labels.
    """
    found = NiftiFolder(place, split=split)
    if count is not None and count > len(found):
        raise _check.refuse(f"{count} volumes of the {split} part in {place.name}", len(found), "ask for fewer")
    pairs = (found[i] for i in range(len(found) if count is None else count))
    read = [_read(pair.image, pair.label) for pair in pairs]
    images, labels, affines = (
        np.stack(arrays) for arrays in ([r[0] for r in read], [r[1] for r in read], [r[2] for r in read])
    )
    masks = torch.from_numpy(labels)[:, None] > 0
    note = f"{len(read)} volumes of {place.name}"
    lesions = tuple(r[3] for r in read)
    return PetSet(
        torch.from_numpy(images)[:, None],
        masks,
        torch.from_numpy(labels),
        lesions,
        affines,
        tracer,
        split,
        "real",
        note,
    )


def _read(image: Scan, label: Scan) -> tuple[np.ndarray, np.ndarray, Affine, tuple[Lesion, ...]]:
    """Image, labels, affine and lesions of one person."""
    affine = grid()
    middle = image.world((np.array([image.values.shape]) - 1) / 2)[0]
    affine[:3, 3] = middle - affine[:3, :3] @ ((np.array(SHAPE) - 1) / 2)
    values = image.values.numpy().astype(np.float32)
    pieces = _instances(label)
    labels, lesions = np.zeros(SHAPE, np.int64), []
    for number in range(1, int(pieces.max()) + 1):
        one = pieces == number
        labels[_onto(one.astype(np.float32), image, affine) >= 0.5] = number
        x, y, z = (float(v) for v in image.world(np.argwhere(one).mean(0)[None])[0])
        lesions.append(Lesion((x, y, z), int(one.sum()) * image.voxel_ml, float(values[one].mean())))
    return _onto(values, image, affine), labels, affine, tuple(lesions)


def _instances(label: Scan) -> Int[np.ndarray, "D H W"]:
    """The lesions numbered 1 … n."""
    values = label.values.numpy()
    numbers = np.unique(values[values > 0])
    if len(numbers) > 1:
        order: np.ndarray = np.searchsorted(numbers, values) + 1
        return np.where(values > 0, order, 0)
    pieces: np.ndarray = ndimage.label(values > 0, TOUCH)[0]
    return pieces


def _onto(values: Float[np.ndarray, "D H W"], scan: Scan, affine: Affine) -> Float[np.ndarray, "40 64 64"]:
    """Values on the grid of ``scan`` read at the voxels of ``affine``, blurred as one of its voxels does.

    A voxel's box has the variance of its side squared over 12, and variances add: the blur brings what ours has more
    than the file's.
    """
    sigma = [math.sqrt(max(0.0, (VOXEL_MM / step) ** 2 - 1) / 12) for step in scan.spacing_mm]
    step = np.linalg.inv(scan.affine) @ affine
    soft = ndimage.gaussian_filter(values, sigma)
    read: np.ndarray = ndimage.affine_transform(
        soft, step[:3, :3], step[:3, 3], output_shape=SHAPE, order=1, mode="constant"
    )
    return read
