"""Volumes written as NIfTI with nibabel, for the tests of what reads them."""

from pathlib import Path

import nibabel as nib

from coursekit.data.scan import Scan


def to_nifti(scan: Scan, path: Path) -> None:
    """Write the scan with its unit in ``descrip``; NIfTI's first axis is our last, and it has no bool."""
    values = scan.values.numpy()
    values = values.astype("u1") if values.dtype == bool else values
    image = nib.Nifti1Image(values.transpose(2, 1, 0), scan.affine[:, [2, 1, 0, 3]], dtype=values.dtype)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = scan.unit.encode()
    image.set_sform(image.affine, "scanner")
    image.set_qform(image.affine, "scanner", strip_shears=True)
    nib.save(image, path)
