"""Read an NRRD volume, keeping its place.

SimpleITK gives voxels as (D, H, W) and the place of a voxel in ITK's frame, LPS: x grows to the patient's Left, y to Posterior.
Ours is RAS+, so the first two rows of the affine change sign; then the volume is turned to the axes that the course uses.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from .. import _check
from .scan import AXES, Affine, Scan, oriented

SPACE = "NRRD_space"  # what the file says of the world its axes point in


def read(path: Path, *, unit: str = "", axes: str = AXES) -> Scan:
    """The volume in ``path`` with its affine in RAS+ mm, its indices growing towards ``axes``; the dtype is the file's.

    Raises ``FileNotFoundError``, and ``ValueError`` for a file that is no three-dimensional NRRD or does not say where its voxels lie.
    """
    if not path.is_file():
        raise FileNotFoundError(path)
    try:
        image = sitk.ReadImage(str(path), imageIO="NrrdImageIO")
    except RuntimeError as error:
        raise _check.refuse(f"an NRRD volume in {path.name}", "one that cannot be read", "copy it again from its source") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        got = f"{image.GetDimension()} axes and {image.GetNumberOfComponentsPerPixel()} channels"
        raise _check.refuse(f"three axes and one channel in {path.name}", got, "split channels or frames into files of their own")
    if not image.HasMetaDataKey(SPACE):
        raise _check.refuse(f"{path.name} to say its orientation", "no field 'space'", "write it into the header first")
    values = torch.from_numpy(sitk.GetArrayFromImage(image))  # (D, H, W)
    return oriented(Scan(values, _affine(image), unit), axes)


def _affine(image: sitk.Image) -> Affine:
    """From ``(d, h, w, 1)`` to RAS+ mm; ITK counts (w, h, d) and points to LPS."""
    affine = np.eye(4)
    affine[:3, :3] = (np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing())[:, ::-1]
    affine[:3, 3] = image.GetOrigin()
    affine[:2] *= -1
    return affine
