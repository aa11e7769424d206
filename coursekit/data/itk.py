"""Volumes in ITK's formats (.nrrd, .mhd with .raw) as scans: ITK's world is LPS+ mm, ours RAS+."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
import torch

from .. import _check
from .scan import Scan

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path, *, unit: str = "") -> Scan:
    """The volume (D, H, W) of a file with the place its header gives it, axes as stored.

    Raises ``ValueError`` for a file that is none of ITK's, is damaged, or does not hold a single volume.
    """
    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1] if path.exists() else "no file"
        raise _check.refuse(f"a volume that ITK reads in {path.name}", reason, "copy it again from its source") from error
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        got = f"{image.GetDimension()} axes of {image.GetNumberOfComponentsPerPixel()} channels"
        raise _check.refuse(f"one volume in {path.name}", got, "split channels or frames into files of their own")
    values = sitk.GetArrayFromImage(image)  # (D, H, W): ITK's last axis comes first
    values = values if values.dtype.kind != "u" else values.astype(np.int32)
    return Scan(torch.from_numpy(values), _affine(image), unit)


def _affine(image: sitk.Image) -> np.ndarray:
    """From (d, h, w, 1) to RAS+ mm: ITK counts (w, h, d) and points to Left, Posterior, Superior."""
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()  # a column an axis (w, h, d)
    affine[:3, 3] = image.GetOrigin()
    turned: np.ndarray = (LPS_TO_RAS @ affine)[:, [2, 1, 0, 3]]
    return turned
