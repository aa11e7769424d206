"""Where the lungs are, by image processing alone: air, not outside, not the airways, closed over its vessels."""

import numpy as np
import torch
from jaxtyping import Bool
from scipy import ndimage
from torch import Tensor

from ... import _check
from ..scan import Scan

AIR = -320.0  # HU, between lung and soft tissue
AIRWAY = -930.0  # HU, after smoothing: the inside of the trachea and the main bronchi
CLOSING_MM = 5.0  # vessels up to twice as wide are closed over where they leave the lung
AIRWAY_MM2 = 60.0, 600.0  # the cross-section of a trachea or a main bronchus
WALL_MM = 2.5
HOLE_MM2 = 500.0  # larger islands in a slice, such as the heart, stay outside
PLANE = (
    ndimage.generate_binary_structure(3, 1) * np.array([0, 1, 0], bool)[:, None, None]
)  # neighbours in the slice alone


def lungs(scan: Scan) -> Bool[Tensor, "D H W"]:
    """The lungs of a chest CT in HU, vessels and small nodules inside them included, trachea and large bronchi left
    out.

    What is below -320 HU and not joined, in its slice, to the edge of the image; of that the largest pieces, at most
    two (the lungs often touch and count as one; one ten times smaller than the largest is none, such as air in the
    stomach); less the airways, followed from the highest slice down through smoothed values below -930 HU; islands up
    to 5 cm² filled and the rest closed by 5 mm in each slice. A mass at the pleura stays outside. Axes as in
    ``scans.load`` (SPL). Raises ``ValueError`` if there is no such air.
    """
    values = scan.values.numpy()
    air = _inside(values < AIR)
    pieces = _largest(air, most=2)
    if not pieces.any():
        raise _check.refuse(
            "a chest with air in it, in HU", f"none below {AIR:g} within the body", "convert the values to HU first"
        )
    window = _window(pieces)
    found = np.zeros(values.shape, bool)
    found[window] = _closed(_without_airway(pieces[window], values[window], scan.spacing_mm), scan.spacing_mm)
    return torch.from_numpy(found)


def _inside(air: np.ndarray) -> np.ndarray:
    """Air that is not joined to the edge of its slice."""
    pieces, _ = ndimage.label(air, PLANE)
    edge = np.concatenate([pieces[:, [0, -1]].ravel(), pieces[:, :, [0, -1]].ravel()])
    outside = np.zeros(pieces.max() + 1, bool)
    outside[edge] = True
    inside: np.ndarray = air & ~outside[pieces]
    return inside


def _largest(mask: np.ndarray, *, most: int) -> np.ndarray:
    pieces, _ = ndimage.label(mask)
    size = np.bincount(pieces.ravel())
    size[0] = 0
    keep = size >= max(size.max() / 10, 1)
    keep[np.argsort(size)[:-most]] = False
    largest: np.ndarray = keep[pieces]
    return largest


def _window(mask: np.ndarray) -> tuple[slice, ...]:
    """The box around a mask with a margin that the closing does not leave."""
    ((box),) = ndimage.find_objects(mask.astype(np.uint8))
    return tuple(slice(max(side.start - 16, 0), side.stop + 16) for side in box)


def _without_airway(pieces: np.ndarray, values: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Follow the darkest air of the highest slice downwards as long as it is a narrow tube, and take it out with its
    wall.
    """
    smooth = ndimage.gaussian_filter(values, (0, 0.9 / spacing_mm[1], 0.9 / spacing_mm[2]))
    core, _ = ndimage.label(pieces & (smooth < AIRWAY), PLANE)
    area = np.bincount(core.ravel()) * spacing_mm[1] * spacing_mm[2]
    fits = (area >= AIRWAY_MM2[0]) & (area <= AIRWAY_MM2[1])
    fits[0] = False
    airway, above = np.zeros_like(pieces), np.ones(pieces.shape[1:], bool)
    for plane in np.flatnonzero(fits[core].any((1, 2)))[::-1]:
        met = np.unique(core[plane][above])
        above = airway[plane] = np.isin(core[plane], met[fits[met]])
    return _largest(pieces & ~_grown(airway, WALL_MM, spacing_mm), most=2)


def _closed(mask: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    holes, _ = ndimage.label(~mask, PLANE)
    size = np.bincount(holes.ravel())
    small = size * spacing_mm[1] * spacing_mm[2] <= HOLE_MM2
    small[0] = True
    grown = _grown(small[holes], CLOSING_MM, spacing_mm)
    closed: np.ndarray = ~_grown(~grown, CLOSING_MM, spacing_mm)
    return closed


def _grown(mask: np.ndarray, reach_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """All within ``reach_mm`` of the mask in its slice."""
    grown = mask.copy()
    for plane in np.flatnonzero(mask.any((1, 2))):
        grown[plane] = ndimage.distance_transform_edt(~mask[plane], sampling=spacing_mm[1:]) <= reach_mm
    return grown
