"""How a candidate's patch is cut, nodule or not: the same lines and the same draws for both, so that they carry no
label.
"""

from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Generator

from ... import _check
from ..scan import Scan
from .scans import patch


class Cut(NamedTuple):
    """How patches are cut, the same for both classes. ``slice_mm`` None leaves the scan's own slices."""

    size: int
    spacing_mm: float
    shift_mm: float
    slice_mm: float | None


class Made(NamedTuple):
    """One candidate before it is stacked."""

    patch: np.ndarray
    nodule: bool
    diameter_mm: float
    patient: str
    scan: str
    world: np.ndarray


def drawn(pool: int, count: int, generator: Generator) -> list[int]:
    """``count`` of ``pool``, each as often as any other as far as that goes."""
    if not pool:
        raise _check.refuse("candidates to draw from", "none", "widen the range of diameters")
    rounds = [torch.randperm(pool, generator=generator) for _ in range(-(-count // pool))]
    return torch.cat([torch.empty(0, dtype=torch.int64), *rounds])[:count].tolist()


def read_patch(scan: Scan, world: np.ndarray, how: Cut, *, generator: Generator) -> np.ndarray:
    """The patch of a candidate, shifted, turned by quarters in its slice and mirrored along each axis, all at random:
    (D, H, W) HU.
    """
    draw = torch.rand(8, generator=generator, dtype=torch.float64).numpy()
    middle = world + (2 * draw[:3] - 1) * how.shift_mm
    if how.slice_mm is None:
        read = patch(scan, middle, how.size, spacing_mm=how.spacing_mm, outside="nearest").values.numpy()
    else:
        read = _thick(scan, middle, how, how.slice_mm, float(draw[7]) - 0.5)
    flips = tuple(axis for axis, chance in enumerate(draw[4:7]) if chance < 0.5)
    turned: np.ndarray = np.flip(np.rot90(read, int(4 * draw[3]), (1, 2)), flips)
    return turned


def _thick(scan: Scan, middle: np.ndarray, how: Cut, slice_mm: float, phase: float) -> np.ndarray:
    """The patch as slices of ``slice_mm`` would show it: averages over slices, then linear between them. ``phase`` in
    slices.
    """
    fine = int(np.ceil(2 * slice_mm / how.spacing_mm))  # samples a slice
    slices = int(np.ceil(how.size * how.spacing_mm / slice_mm)) + 3
    centre = scan.index(middle[None])[0] + [phase * slice_mm / scan.spacing_mm[0], 0, 0]
    spacing = (slice_mm / fine, how.spacing_mm, how.spacing_mm)
    read = patch(
        scan, centre, (slices * fine, how.size, how.size), spacing_mm=spacing, frame="index", outside="nearest"
    )
    planes = read.values.numpy().reshape(slices, fine, how.size, how.size).mean(1)
    zoom = how.spacing_mm / slice_mm
    first = (slices - 1) / 2 - phase - zoom * (how.size - 1) / 2
    thick: np.ndarray = ndimage.affine_transform(
        planes, (zoom, 1, 1), (first, 0, 0), output_shape=(how.size,) * 3, order=1, mode="nearest"
    )
    return thick
