"""A volume that knows where it lies: values with their affine, through every transform and out of NIfTI.

World is NIfTI's RAS+ in mm: x grows to the patient's Right, y to Anterior, z to Superior. ``affine`` takes a voxel
index in the order of *our* axes, ``(d, h, w, 1)``, to world. ``axes`` names the direction in which each index grows,
``"SPL"`` for the usual radiologist's view: depth to Superior, rows to Posterior, columns to the patient's Left. A
turned or mirrored array is only wrong if its affine is not turned with it, so every transform here moves both.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from jaxtyping import Float64, Shaped
from nibabel.affines import apply_affine
from nibabel.openers import ImageOpener
from scipy import ndimage
from torch import Tensor

from .. import _check

Affine = Float64[np.ndarray, "4 4"]
AXES = "SPL"
LENGTH_MM = {0: 1.0, 1: 1e3, 2: 1.0, 3: 1e-3}  # NIfTI's codes: none, m, mm, µm
FLAT = 1e-6  # a voxel of this share of its edges' product has no volume


@dataclass(frozen=True, eq=False)
class Scan:
    """``values`` (D, H, W), ``affine`` (4, 4) from ``(d, h, w, 1)`` to RAS+ mm, ``unit`` of the values (``"HU"``)."""

    values: Shaped[Tensor, "D H W"]
    affine: Affine
    unit: str = ""

    def __post_init__(self) -> None:
        _check.tensor("values", self.values, "D H W")
        edges, finite = self.affine[:3, :3], np.isfinite(self.affine).all()
        whole = finite and self.affine.shape == (4, 4) and (self.affine[3] == [0, 0, 0, 1]).all()
        if not whole or not abs(np.linalg.det(edges)) > FLAT * np.prod(np.linalg.norm(edges, axis=0)):
            wanted = "an affine (4, 4) that can be inverted, its last row 0 0 0 1"
            raise _check.refuse(wanted, self.affine.tolist(), "read it from the file's header")

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along (D, H, W)."""
        d, h, w = (float(step) for step in np.linalg.norm(self.affine[:3, :3], axis=0))
        return d, h, w

    @property
    def axes(self) -> str:
        """Where each index grows to, by the nearest of Left/Right, Anterior/Posterior, Superior/Inferior."""
        return "".join(str(code) for code in nib.aff2axcodes(self.affine))

    def world(self, index: Shaped[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """RAS+ mm of voxel indices (d, h, w), which may lie between voxels."""
        return np.asarray(apply_affine(self.affine, index))

    def index(self, world: Shaped[np.ndarray, "N 3"]) -> Float64[np.ndarray, "N 3"]:
        """Voxel indices (d, h, w) of places in RAS+ mm: the inverse of :meth:`world`."""
        return np.asarray(apply_affine(np.linalg.inv(self.affine), world))


def spaced(values: Tensor, spacing_mm: tuple[float, float, float], *, unit: str = "") -> Scan:
    """A scan without a place of its own, such as a phantom: axes SPL, voxel (0, 0, 0) at the origin of the world."""
    _check.positive("spacing_mm", spacing_mm)
    affine = np.diag([*spacing_mm, 1.0])[[2, 1, 0, 3]]
    affine[:2] *= -1
    return Scan(values, affine, unit)


def oriented(scan: Scan, axes: str = AXES) -> Scan:
    """The same scan with its indices growing towards ``axes``: axes swapped and mirrored, the affine with them."""
    if len(axes) != 3 or any(len(set(pair) & set(axes)) != 1 for pair in ("LR", "AP", "SI")):
        wanted = "axes such as 'SPL', one letter each of L or R, A or P, S or I"
        raise _check.refuse(wanted, repr(axes), "name three directions")
    turn = nib.orientations.ornt_transform(nib.io_orientation(scan.affine), nib.orientations.axcodes2ornt(axes))
    values = torch.from_numpy(np.ascontiguousarray(nib.apply_orientation(scan.values.numpy(), turn)))
    return replace(scan, values=values, affine=scan.affine @ nib.orientations.inv_ornt_aff(turn, scan.values.shape))


def aligned(first: Scan, second: Scan) -> None:
    """Refuse two scans, an image and its labels, that differ in size or of which a corner lies elsewhere in the world.

    Elsewhere is farther than 0.01 mm and, of voxels as small as in microscopy, than a tenth of a voxel.
    """
    shape, other = tuple(first.values.shape), tuple(second.values.shape)
    if shape != other:
        raise _check.refuse(f"two volumes of one shape {shape}", other, "resample one onto the other")
    corners = np.array(np.meshgrid(*[(0, n - 1) for n in shape])).reshape(3, -1).T
    apart = float(np.abs(first.world(corners) - second.world(corners)).max())
    if apart > min(0.01, 0.1 * min(first.spacing_mm)):
        got = f"{second.axes} against {first.axes}, corners {apart:.3g} mm apart"
        advice = "one is turned, mirrored or moved: bring both to the same axes with oriented"
        raise _check.refuse("two volumes on one grid", got, advice)


def resampled(scan: Scan, spacing_mm: tuple[float, float, float]) -> Scan:
    """The scan on a grid of another spacing with the same axes, read linearly; float32.

    The outer faces of the first voxels stay in place; the size is rounded to whole voxels.
    """
    _check.positive("spacing_mm", spacing_mm)
    old, new = np.array(scan.spacing_mm), np.array(spacing_mm)
    size = np.maximum(np.round(np.array(scan.values.shape) * old / new), 1)
    return on_grid(scan, (new / old - 1) / 2, new / old, size.astype(int))


def on_grid(scan: Scan, start: np.ndarray, step: np.ndarray, size: Sequence[int] | np.ndarray) -> Scan:
    """Read linearly at a grid that starts at an index (d, h, w) and goes on in steps of voxels; float32.

    Outside the scan there is what is nearest inside.
    """
    shape = np.array(scan.values.shape)
    last = start + step * (np.array(size) - 1)
    low = np.clip(np.floor(start).astype(int) - 1, 0, shape - 1)  # what is read of the scan
    high = np.maximum(np.clip(np.ceil(last).astype(int) + 2, 1, shape), low + 1)
    part = scan.values[tuple(map(slice, low, high))].float().numpy()
    values = ndimage.affine_transform(part, step, start - low, output_shape=tuple(size), order=1, mode="nearest")
    return _moved(scan, torch.from_numpy(values), start, step)


def cropped(scan: Scan, start: Sequence[int] | np.ndarray, size: Sequence[int] | np.ndarray) -> Scan:
    """A box of voxels inside the scan."""
    first, shape = np.asarray(start), np.asarray(size)
    stop = first + shape
    if first.min() < 0 or shape.min() < 1 or (stop > scan.values.shape).any():
        got = f"{tuple(first.tolist())} to {tuple(stop.tolist())}"
        raise _check.refuse(f"a box inside {tuple(scan.values.shape)}", got, "move or shrink it")
    return _moved(scan, scan.values[tuple(map(slice, first, stop))], first, np.ones(3))


def _moved(scan: Scan, values: Tensor, start: np.ndarray, step: np.ndarray) -> Scan:
    grid = np.diag([*step, 1.0])
    grid[:3, 3] = start
    return replace(scan, values=values, affine=scan.affine @ grid)


# --- NIfTI ---


def from_nifti(path: Path) -> Scan:
    """Read a volume of three axes: NIfTI-1 or -2, also as .hdr beside .img, compressed or not.

    Values are scaled, lengths in the unit that the header states, else mm; what is compressed is read to its checksum.
    Raises ``ValueError`` for a file missing, damaged, none of these, or of unknown or ambiguous orientation.
    """
    with _check.reading("a NIfTI volume", path):
        _read_to_its_end(path)  # first: of a damaged one nibabel says that it is no image
        image = nib.load(path)
        if isinstance(image, nib.Nifti1Image) and image.dataobj.offset < image.header.single_vox_offset:
            raise ValueError(f"voxels that begin in the header, at byte {image.dataobj.offset}")
        values = np.asanyarray(image.dataobj)
        for part in image.file_map.values():
            _read_to_its_end(part.filename)
    if not isinstance(image, nib.Nifti1Pair):
        raise _check.refuse(f"a NIfTI volume in {path.name}", type(image).__name__, "convert it to .nii.gz")
    if values.ndim < 3 or set(values.shape[3:]) - {1}:
        advice = "split channels or frames into files of their own"
        raise _check.refuse(f"three axes in {path.name}", values.shape, advice)
    _known_place(image, path)
    length = int(image.header["xyzt_units"]) & 7
    if length not in LENGTH_MM:
        advice = "mend xyzt_units in its header"
        raise _check.refuse(f"m, mm or µm as the unit of length in {path.name}", f"code {length}", advice)
    unit, mm = image.header["descrip"].item().decode(errors="replace").rstrip("\0"), LENGTH_MM[length]
    affine = np.diag([mm, mm, mm, 1]) @ np.asarray(image.affine, np.float64)[:, [2, 1, 0, 3]]
    return read_scan(values.reshape(values.shape[:3]).transpose(2, 1, 0), affine, unit, path)


def _read_to_its_end(path: str | Path) -> None:
    """There a compressed file has its checksum."""
    with ImageOpener(path) as stream:
        while stream.read(2**22):
            pass


def _known_place(image: Any, path: Path) -> None:
    """Refuse a header that does not say, or says twice and differently, where the voxels lie."""
    with _check.reading("an orientation", path):
        quaternion = np.array([image.header[f"quatern_{part}"] for part in "bcd"], np.float64)
        if 1 < (length := np.linalg.norm(quaternion)) < 1.01:  # by rounding; NIfTI's own library scales it so too
            for part, value in zip("bcd", quaternion / length):
                image.header[f"quatern_{part}"] = value
        with ImageOpener(image.file_map["header" if "header" in image.file_map else "image"].filename) as stream:
            steps = type(image.header).from_fileobj(stream, check=False)["pixdim"][1:4]
        placed = {"sform": image.get_sform(coded=True)[0]}
        if (np.isfinite(steps) & (steps > 0)).all():  # as the file has them: nibabel's copy has 1 for 0, and no signs
            placed["qform"] = image.get_qform(coded=True)[0]
        axes = {name: "".join(nib.aff2axcodes(affine)) for name, affine in placed.items() if affine is not None}
    if not axes:
        got = "a qform without the pixdim it needs" if image.header["qform_code"] else "no sform and no qform"
        raise _check.refuse(f"{path.name} to say its orientation", got, "write the affine into its header first")
    if len(set(axes.values())) > 1:
        got = ", ".join(f"{name} {letters}" for name, letters in axes.items())
        raise _check.refuse(f"one orientation in {path.name}", got, "keep the one that is true and set the other to it")


def read_scan(values: np.ndarray, affine: np.ndarray, unit: str, path: Path) -> Scan:
    """The scan of what a library read, in this machine's byte order; of a wide sign-less integer the next wider one.

    Raises ``ValueError`` with the file's name for values not real or none at all, and for an affine that is no place.
    """
    kind, wider = f"{values.dtype.kind}{values.dtype.itemsize}", {"u2": "i4", "u4": "i8", "u8": "i8"}
    native: str = wider.get(kind, kind)
    if native not in ("b1", "u1", "i1", "i2", "i4", "i8", "f4", "f8") or (kind == "u8" and values.max(initial=0) >> 63):
        raise _check.refuse(f"real numbers of at most 64 bits in {path.name}", values.dtype.name, "convert it first")
    if not values.size:
        raise _check.refuse(f"voxels in {path.name}", f"a shape of {values.shape}", "copy it again from its source")
    with _check.reading("a place in the world", path):
        return Scan(torch.from_numpy(np.array(values, native, order="C")), affine, unit)
