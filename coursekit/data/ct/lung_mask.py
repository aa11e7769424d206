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
SMOOTH_MM = 0.9  # standard deviation, within the slice
CLOSING_MM = 5.0  # vessels up to twice as wide are closed over where they leave the lung
AIRWAY_MM2 = 60.0, 600.0  # the cross-section of a trachea or a main bronchus
WALL_MM = 2.5
HOLE_MM2 = 500.0  # larger islands in a slice, such as the heart, stay outside
MARGIN = 16  # voxels around the lungs, which the closing does not leave
PLANE = np.zeros((3, 3, 3), bool)  # neighbours in the slice alone
PLANE[1] = ndimage.generate_binary_structure(2, 1)


def lungs(scan: Scan) -> Bool[Tensor, "D H W"]:
    """The lungs of a chest CT in HU with vessels and small nodules inside them, without trachea and large bronchi.

    What is below -320 HU and not joined, in its slice, to the edge of the image; of that the largest pieces, at most
    two (the lungs often touch and count as one; one ten times smaller than the largest is none, such as air in the
    stomach); less the airways, followed from the highest slice down through smoothed values below -930 HU; islands up
    to 5 cm² filled and the rest closed by 5 mm in each slice. A mass at the pleura stays outside. Axes as in
    ``ct.load`` (SPL). Raises ``ValueError`` if there is no such air.
    """
    values = scan.values.numpy()
    pieces, _ = ndimage.label(values < AIR, PLANE)
    edge = np.concatenate([pieces[:, [0, -1]].ravel(), pieces[:, :, [0, -1]].ravel()])
    outside = np.zeros(pieces.max() + 1, bool)
    outside[[0, *np.unique(edge)]] = True
    air = _largest(~outside[pieces])
    if not air.any():
        got = f"none below {AIR:g} within the body"
        raise _check.refuse("a chest with air in it, in HU", got, "convert the values to HU first")
    ((box),) = ndimage.find_objects(air.astype(np.uint8))
    window = tuple(slice(max(side.start - MARGIN, 0), side.stop + MARGIN) for side in box)
    lung = _without_airway(air[window], values[window], scan.spacing_mm)
    holes, _ = ndimage.label(~lung, PLANE)
    small = np.bincount(holes.ravel()) * scan.spacing_mm[1] * scan.spacing_mm[2] <= HOLE_MM2
    small[0] = True
    mask = np.zeros(values.shape, bool)
    grown = _grown(small[holes], CLOSING_MM, scan.spacing_mm)  # the small islands filled, then closed
    mask[window] = ~_grown(~grown, CLOSING_MM, scan.spacing_mm)
    return torch.from_numpy(mask)


def _largest(mask: np.ndarray) -> np.ndarray:
    """The largest piece, and the second if it has a tenth of the first's size."""
    pieces, _ = ndimage.label(mask)
    size = np.bincount(pieces.ravel())
    size[0] = 0
    keep = size >= max(size.max() / 10, 1)
    keep[np.argsort(size)[:-2]] = False
    return np.asarray(keep[pieces])


def _without_airway(air: np.ndarray, values: np.ndarray, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """Less the darkest air of the highest slice, followed downwards while it is a narrow tube, and its wall."""
    smooth = ndimage.gaussian_filter(values, (0, SMOOTH_MM / spacing_mm[1], SMOOTH_MM / spacing_mm[2]))
    core, _ = ndimage.label(air & (smooth < AIRWAY), PLANE)
    area = np.bincount(core.ravel()) * spacing_mm[1] * spacing_mm[2]
    fits = (area >= AIRWAY_MM2[0]) & (area <= AIRWAY_MM2[1])
    fits[0] = False
    airway, above = np.zeros_like(air), np.ones(air.shape[1:], bool)
    for plane in np.flatnonzero(fits[core].any((1, 2)))[::-1]:
        met = np.unique(core[plane][above])
        above = airway[plane] = np.isin(core[plane], met[fits[met]])
    return _largest(air & ~_grown(airway, WALL_MM, spacing_mm))


def _grown(mask: np.ndarray, reach_mm: float, spacing_mm: tuple[float, float, float]) -> np.ndarray:
    """All within ``reach_mm`` of the mask in its slice."""
    grown = mask.copy()
    for plane in np.flatnonzero(mask.any((1, 2))):
        grown[plane] = ndimage.distance_transform_edt(~mask[plane], sampling=spacing_mm[1:]) <= reach_mm
    return grown
