"""Nodules whose size is known: contours through the first pixels outside of discs and balls, as LIDC's readers drew."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from coursekit.data.readers.contours import Contour, Reading, Readings

RATED = (5, 1, 6, 3, 4, 1, 1, 5, 4)


def rim(mask: np.ndarray) -> np.ndarray:
    """The closed line (x, y) through the first pixels outside a round mask."""
    outside = ndimage.binary_dilation(mask) & ~mask
    y, x = np.nonzero(outside)
    turn = np.argsort(np.arctan2(y - y.mean(), x - x.mean()))
    points = np.column_stack([x, y])[turn]
    return np.concatenate([points, points[:1]])


def disc(radius_px: float, size: int = 64) -> np.ndarray:
    """About a point between the pixels, as a nodule would lie."""
    y, x = np.mgrid[:size, :size] - size // 2
    return (y - 0.31) ** 2 + (x - 0.17) ** 2 < radius_px**2


def ball(
    radius_mm: float,
    *,
    pixel: float = 0.5,
    step: float = 1.0,
    ratings: Sequence[int] = RATED,
    shift: int = 0,
    z0: float = -50.0,
) -> Reading:
    levels = np.arange(-math.floor(radius_mm / step), math.floor(radius_mm / step) + 1) * step
    discs = [(z, disc(math.sqrt(max(radius_mm**2 - z**2, 0)) / pixel)) for z in levels]
    return Reading(
        tuple(Contour(z0 + z, rim(mask) + np.array([100 + shift, 200])) for z, mask in discs if mask.any()),
        tuple(ratings),
    )


def scan_of(*readings: Reading, patient: str = "LIDC-IDRI-0001", pixel: float = 0.5, step: float = 1.0) -> Readings:
    return Readings(patient, f"1.2.{patient[-4:]}", pixel, step, readings)


def picked(points: np.ndarray) -> float:
    """The pixels within a polygon of grid points, by its area and Pick's theorem alone."""
    (x, y), (u, v) = points.T, np.roll(points, -1, 0).T
    area = abs(int((x * v - u * y).sum())) / 2
    border = int(np.gcd(abs(u - x), abs(v - y)).sum())
    return area - border / 2 + 1
