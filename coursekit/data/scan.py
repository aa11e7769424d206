"""A volume that knows where it lies: values with their affine, through every transform and to NIfTI and back.

Frame
    World is NIfTI's RAS+ in mm: x grows to the patient's Right, y to Anterior, z to Superior. ``affine`` takes a voxel index in the
    order of *our* axes, ``(d, h, w, 1)``, to world. ``axes`` names the direction in which each index grows, ``"SPL"`` for the usual
    radiologist's view: depth to Superior, rows to Posterior, columns to the patient's Left.

A turned or mirrored array is only wrong if its affine is not turned with it. So every transform here moves both, ``aligned`` refuses two
scans that do not lie on the same grid, and ``oriented`` brings any scan to the axes a network expects.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from jaxtyping import Float64, Shaped
from nibabel.affines import apply_affine
from nibabel.filebasedimages import ImageFileError
from scipy import ndimage
from torch import Tensor

from .. import _check

Affine = Float64[np.ndarray, "4 4"]
AXES = "SPL"


@dataclass(frozen=True, eq=False)
class Scan:
    """``values`` (D, H, W) of any dtype, ``affine`` (4, 4) from ``(d, h, w, 1)`` to RAS+ mm, ``unit`` of the values (``"HU"``)."""

    values: Shaped[Tensor, "D H W"]
    affine: Affine
    unit: str = ""

    def __post_init__(self) -> None:
        _check.tensor("values", self.values, "D H W")
        rest = np.abs(self.affine[3] - [0, 0, 0, 1]).max() if self.affine.shape == (4, 4) else np.inf
        if not np.isfinite(self.affine).all() or rest > 0 or abs(np.linalg.det(self.affine[:3, :3])) < 1e-9:
            raise _check.refuse(
                "an affine (4, 4) that can be inverted, its last row 0 0 0 1", self.affine.tolist(), "read it from the file's header"
            )

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along (D, H, W)."""
        d, h, w = (float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))
        return d, h, w

    @property
    def axes(self) -> str:
        """Where each index grows to, by the nearest of Left/Right, Anterior/Posterior, Superior/Inferior."""
        return "".join(str(code) for code in nib.aff2axcodes(self.affine))

    @property
    def voxel_ml(self) -> float:
        """The volume of one voxel in millilitres."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    def world(self, index: Shaped[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """RAS+ mm of voxel indices (d, h, w), which may lie between voxels."""
        moved: np.ndarray = apply_affine(self.affine, index)
        return moved

    def index(self, world: Shaped[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Voxel indices (d, h, w) of places in RAS+ mm: the inverse of :meth:`world`."""
        moved: np.ndarray = apply_affine(np.linalg.inv(self.affine), world)
        return moved


def spaced(values: Tensor, spacing_mm: tuple[float, float, float], *, axes: str = AXES, unit: str = "") -> Scan:
    """A scan without a place of its own, such as a phantom: voxel (0, 0, 0) lies at the origin of the world."""
    _check.positive("spacing_mm", spacing_mm)
    affine = np.diag([0.0, 0.0, 0.0, 1.0])
    for column, (world_axis, sign) in enumerate(_directions(axes)):
        affine[int(world_axis), column] = sign * spacing_mm[column]
    return Scan(values, affine, unit)


def oriented(scan: Scan, axes: str = AXES) -> Scan:
    """The same scan with its indices growing towards ``axes``: axes swapped and mirrored, values untouched, affine moved with them."""
    turn = nib.orientations.ornt_transform(nib.io_orientation(scan.affine), _directions(axes))
    values = torch.from_numpy(np.ascontiguousarray(nib.apply_orientation(scan.values.numpy(), turn)))
    return replace(scan, values=values, affine=scan.affine @ nib.orientations.inv_ornt_aff(turn, scan.values.shape))


def _directions(axes: str) -> np.ndarray:
    """A row (axis of the world, 1 or -1) for each letter."""
    if len(axes) != 3 or any(len(set(pair) & set(axes)) != 1 for pair in ("LR", "AP", "SI")):
        raise _check.refuse("axes such as 'SPL', one letter each of L or R, A or P, S or I", repr(axes), "name three directions")
    rows: np.ndarray = nib.orientations.axcodes2ornt(axes)
    return rows


def aligned(first: Scan, second: Scan, *, tolerance_mm: float = 0.01) -> None:
    """Refuse two scans, an image and its labels, that do not lie on the same grid: other size, or a corner elsewhere in the world."""
    shapes = tuple(first.values.shape), tuple(second.values.shape)
    if shapes[0] != shapes[1]:
        raise _check.refuse(f"two volumes of one shape {shapes[0]}", shapes[1], "resample one onto the other")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shapes[0]])).reshape(3, -1).T
    apart = float(np.abs(first.world(corners) - second.world(corners)).max())
    if apart > tolerance_mm:
        got = f"{second.axes} against {first.axes}, corners {apart:.3g} mm apart"
        raise _check.refuse("two volumes on one grid", got, "one is turned, mirrored or moved: bring both to the same axes with oriented")


def resampled(scan: Scan, spacing_mm: tuple[float, float, float], *, order: int = 1) -> Scan:
    """The scan on a grid of another spacing with the same axes; the outer faces of the first voxels stay in place.

    ``order`` 1 reads linearly, 0 takes the nearest (label maps). The size is rounded to whole voxels.
    """
    _check.positive("spacing_mm", spacing_mm)
    _check.one_of("order", order, (0, 1))
    old, new = np.array(scan.spacing_mm), np.array(spacing_mm)
    size = tuple(int(n) for n in np.maximum(np.round(np.array(scan.values.shape) * old / new), 1))
    zoom, shift = new / old, (new / old - 1) / 2  # the outer faces of both grids start at the same place
    floating = scan.values.dtype if scan.values.is_floating_point() or order == 0 else torch.float32
    read = ndimage.affine_transform(scan.values.to(floating).numpy(), zoom, shift, output_shape=size, order=order, mode="nearest")
    step = np.eye(4)
    step[:3, :3], step[:3, 3] = np.diag(zoom), shift
    return replace(scan, values=torch.from_numpy(read), affine=scan.affine @ step)


def cropped(scan: Scan, start: tuple[int, int, int], size: tuple[int, int, int]) -> Scan:
    """A box of voxels inside the scan."""
    stop = [a + n for a, n in zip(start, size)]
    if min(start) < 0 or min(size) < 1 or any(b > n for b, n in zip(stop, scan.values.shape)):
        raise _check.refuse(f"a box inside {tuple(scan.values.shape)}", f"{start} to {tuple(stop)}", "move or shrink it")
    step = np.eye(4)
    step[:3, 3] = start
    window = tuple(slice(a, b) for a, b in zip(start, stop))
    return replace(scan, values=scan.values[window], affine=scan.affine @ step)


def to_nifti(scan: Scan, path: Path) -> None:
    """Write ``.nii`` or ``.nii.gz``: NIfTI's first axis is our last, so a viewer sees (W, H, D); ``unit`` goes into ``descrip``."""
    values: np.ndarray = scan.values.numpy()
    values = values.astype(np.uint8) if values.dtype == np.bool_ else values
    image = nib.Nifti1Image(values.transpose(2, 1, 0), scan.affine[:, [2, 1, 0, 3]], dtype=values.dtype)
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = scan.unit.encode()
    image.set_sform(image.affine, "scanner")
    image.set_qform(image.affine, "scanner", strip_shears=True)
    nib.save(image, path)


def from_nifti(path: Path) -> Scan:
    """Read a three-dimensional NIfTI file. Raises ``ValueError`` for a file that is none, or whose orientation is unknown or ambiguous."""
    try:
        image = nib.load(path)
        values = np.asanyarray(image.dataobj)
    except (ImageFileError, OSError, EOFError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        advice = "copy it again from its source"
        raise _check.refuse(f"a NIfTI volume in {path.name}", f"{type(error).__name__} ({error})", advice) from error
    if values.ndim != 3:
        raise _check.refuse(f"three axes in {path.name}", values.shape, "split channels or frames into files of their own")
    _known_place(image, path)
    affine = np.asarray(image.affine, np.float64)[:, [2, 1, 0, 3]]
    unit = bytes(image.header["descrip"].item()).decode(errors="replace").rstrip("\0")
    return Scan(torch.from_numpy(np.array(values.transpose(2, 1, 0), order="C")), affine, unit)


def _known_place(image: Any, path: Path) -> None:
    """Refuse a header that does not say, or says twice and differently, where the voxels lie."""
    (sform, sform_code), (qform, qform_code) = image.get_sform(coded=True), image.get_qform(coded=True)
    if not sform_code and not qform_code:
        raise _check.refuse(f"{path.name} to say its orientation", "no sform and no qform", "write the affine into its header first")
    if sform_code and qform_code and nib.aff2axcodes(sform) != nib.aff2axcodes(qform):
        got = f"sform {''.join(nib.aff2axcodes(sform))}, qform {''.join(nib.aff2axcodes(qform))}"
        raise _check.refuse(f"one orientation in {path.name}", got, "keep the one that is true and set the other to it")
