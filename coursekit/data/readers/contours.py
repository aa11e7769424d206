"""What up to four radiologists drew around a nodule, and the shape that at least half of them agree on.

A contour lies in a slice at ``z_mm``, its points are (x, y), pixels of the slice; x grows to the patient's left, y to
the back, z to the head, so arrays of shapes are (D, H, W) with axes SPL. A contour of LIDC-IDRI runs through the first
pixels *outside* the nodule, so its own pixels do not belong to it. For a polygon on the pixel grid Pick's theorem then
gives the pixels of the nodule as area − points on the border / 2 + 1: the tests hold the masks against it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from scipy import ndimage, sparse
from scipy.spatial import cKDTree
from scipy.spatial.distance import pdist
from skimage.draw import polygon2mask
from torch import Tensor

from ... import _check

SHAPE_MM = 0.5  # the grid of ``Nodule.shape``, the same in all directions
MOST_READERS = 4
MOST_TENTHS, LEAST_MM = 50, 0.1  # how often the distance that joins two readings is shrunk, and down to what
ROUNDING_MM = 1e-6
RATINGS = (
    "subtlety",
    "internal_structure",
    "calcification",
    "sphericity",
    "margin",
    "lobulation",
    "spiculation",
    "texture",
    "malignancy",
)


class Contour(NamedTuple):
    """A closed line in one slice through ``points`` (P, 2), pixels (x, y); ``included`` is false for a hole's rim."""

    z_mm: float
    points: Int64[np.ndarray, "P 2"]
    included: bool = True


@dataclass(frozen=True, eq=False)
class Reading:
    """What one reader says of one nodule: its contours, and the nine ratings in the order of ``RATINGS``."""

    contours: tuple[Contour, ...]
    ratings: tuple[int, ...]

    @cached_property
    def places(self) -> Float64[np.ndarray, "P 3"]:
        """All points of the outer contours, (z in mm, y and x in pixels)."""
        outer = [c for c in self.contours if c.included]
        height = np.repeat([c.z_mm for c in outer], [len(c.points) for c in outer])
        return np.column_stack([height, np.concatenate([c.points[:, ::-1] for c in outer])])

    @cached_property
    def diameter_px(self) -> float:
        """The longest distance within a slice: that of the contour, less its own width of one pixel."""
        outer = [c.points for c in self.contours if c.included and len(c.points) > 1]
        return max((float(pdist(points).max()) - 1 for points in outer), default=0.0)


@dataclass(frozen=True, eq=False)
class Readings:
    """All that was read in one scan. ``pixel_mm`` in the plane, ``slice_mm`` from slice to slice."""

    patient: str
    scan: str
    pixel_mm: float
    slice_mm: float
    readings: tuple[Reading, ...]


@dataclass(frozen=True, eq=False)
class Nodule(Readings):
    """One nodule as its readers see it, one reading a reader. Shapes are made when they are asked for."""

    @property
    def ratings(self) -> Int64[np.ndarray, "R 9"]:
        """A row a reader, the columns are ``RATINGS``."""
        return np.array([reading.ratings for reading in self.readings])

    def median(self, rating: str) -> float:
        """The middle of the readers' ratings; of an even number the mean of the two middle ones."""
        _check.one_of("rating", rating, RATINGS)
        return float(np.median(self.ratings[:, RATINGS.index(rating)]))

    @property
    def malignancy(self) -> tuple[int, ...]:
        """From 1, highly unlikely, to 5, highly suspicious; the readers' impression, not a biopsy."""
        return tuple(reading.ratings[-1] for reading in self.readings)

    @cached_property
    def diameter_mm(self) -> float:
        """The longest distance in a slice (``Reading.diameter_px``), the mean over the readers."""
        return self.pixel_mm * float(np.mean([reading.diameter_px for reading in self.readings]))

    @cached_property
    def agreement(self) -> "Agreement":
        """The share of readers at each pixel of the scan's own grid, in the box around all contours."""
        return agreement(self.readings, self.slice_mm)

    @cached_property
    def shape(self) -> Bool[Tensor, "D H W"]:
        """The consensus at 0.5 mm, cut tightly with one voxel of background around it."""
        return self.at(SHAPE_MM)

    @cached_property
    def volume_ml(self) -> float:
        """The volume of ``shape``."""
        return int(self.shape.sum()) * SHAPE_MM**3 / 1000

    def at(self, spacing_mm: float, *, size: int | None = None) -> Bool[Tensor, "D H W"]:
        """The consensus on an isotropic grid, tight or, with ``size``, in a cube around its centre of mass.

        At least half of the readers must agree. Between two slices the signed distances to the outline are mixed
        linearly; beyond the first and the last the outline closes like a paraboloid at the next slice, which has half
        the volume of a slab. What lies outside the cube is cut.
        """
        _check.positive("spacing_mm", spacing_mm)
        field = signed_distance(self.agreement.share >= 0.5, self.pixel_mm)
        steps = (self.slice_mm, self.pixel_mm, self.pixel_mm)
        if size is not None:
            centre = np.array(ndimage.center_of_mass(field > 0)) * steps
            axis = (np.arange(size) - (size - 1) / 2) * spacing_mm
            return torch.from_numpy(sampled(field, steps, [c + axis for c in centre]) > 0)
        ends = [(math.ceil(step / spacing_mm), math.ceil(n * step / spacing_mm)) for n, step in zip(field.shape, steps)]
        mask = sampled(field, steps, [np.arange(-before, after + 1) * spacing_mm for before, after in ends]) > 0
        box = ndimage.find_objects(mask.astype(np.int8))
        return torch.from_numpy(np.pad(mask[box[0]], 1) if box else mask)


# --- from contours to masks ---


class Agreement(NamedTuple):
    """``share`` (D, H, W) of readers; voxel (0, 0, 0) lies at ``z_mm`` and pixel (``y``, ``x``) of the scan."""

    share: Float64[np.ndarray, "D H W"]
    z_mm: float
    y: int
    x: int


def agreement(readings: Sequence[Reading], slice_mm: float) -> Agreement:
    """Rebuild each reader's mask and average.

    A pixel is the reader's if it lies within an outer contour and neither in nor on a hole's.
    """
    places = np.concatenate([reading.places for reading in readings])
    (z, y, x), far = places.min(0), places.max(0)
    shape = (round((far[0] - z) / slice_mm) + 1, int(far[1] - y) + 1, int(far[2] - x) + 1)
    masks = np.zeros((len(readings), *shape), bool)
    for mask, reading in zip(masks, readings):
        for contour in sorted(reading.contours, key=lambda c: not c.included):  # holes last
            level = round((contour.z_mm - z) / slice_mm)
            if 0 <= level < len(mask):
                points = (contour.points - (int(x), int(y))).clip(0, (shape[2] - 1, shape[1] - 1))  # a hole may leave
                within, line = filled(points, shape[1:])
                mask[level] = mask[level] | within if contour.included else mask[level] & ~(within | line)
    return Agreement(masks.mean(0), float(z), int(y), int(x))


def filled(
    points: Int64[np.ndarray, "P 2"], shape: tuple[int, int]
) -> tuple[Bool[np.ndarray, "H W"], Bool[np.ndarray, "H W"]]:
    """The pixels strictly inside a closed line through (x, y), and those on it.

    Where the line leaps, which about one in a hundred does, the pixels nearest to the leap are put in.
    """
    step = np.roll(points, -1, 0) - points
    parts = np.abs(step).max(1).clip(1)
    which = np.repeat(np.arange(len(points)), parts)
    way = (np.arange(len(which)) - (np.cumsum(parts) - parts)[which]) / parts[which]
    x, y = np.floor(points[which] + way[:, None] * step[which] + 0.5).astype(np.int64).T
    line = np.zeros(shape, bool)
    line[y, x] = True
    return polygon2mask(shape, points[:, ::-1]) & ~line, line


def signed_distance(mask: Bool[np.ndarray, "D H W"], pixel_mm: float) -> Float64[np.ndarray, "D H+2 W+2"]:
    """In each slice, the mm to the outline, positive within; −inf in a slice without any.

    One pixel of background is put around.
    """
    mask = np.pad(mask, ((0, 0), (1, 1), (1, 1)))
    field = np.full(mask.shape, -np.inf)
    for level in np.flatnonzero(mask.any((1, 2))):
        outside, inside = (ndimage.distance_transform_edt(plane) for plane in (~mask[level], mask[level]))
        away = outside - inside  # counted between centres of pixels: the outline lies half a pixel nearer
        field[level] = -pixel_mm * (away - 0.5 * np.sign(away))
    return field


def sampled(
    field: Float64[np.ndarray, "D H W"], steps: Sequence[float], places: Sequence[np.ndarray]
) -> Float64[np.ndarray, "d h w"]:
    """The field at a grid of places, given as mm along each axis from the field's first voxel."""
    z, y, x = (place / step for place, step in zip(places, steps))
    rows = np.broadcast_arrays(y[:, None], x[None])
    planes = np.full((len(field) + 2, len(y), len(x)), -np.inf)  # an empty slice at both ends
    radius = np.full(len(planes), -np.inf)  # of the largest disc inside
    for level in np.flatnonzero(np.isfinite(field[:, 0, 0])):
        planes[level + 1] = ndimage.map_coordinates(field[level], rows, order=3, mode="nearest")
        radius[level + 1] = field[level].max()
    out = np.full((len(z), len(y), len(x)), -np.inf)
    for row, place in zip(out, z + 1):
        low = math.floor(place)
        part, drawn = place - low, [k for k in (low, low + 1) if 0 <= k < len(radius) and np.isfinite(radius[k])]
        if len(drawn) == 2:
            row[:] = (1 - part) * planes[low] + part * planes[low + 1]
        elif drawn:  # towards an empty slice the area falls in proportion to the way, as a paraboloid's
            way = part if drawn == [low] else 1 - part
            row[:] = planes[drawn[0]] - radius[drawn[0]] * (1 - np.sqrt(1 - way))
    return out


# --- which readings are of one nodule ---


def grouped(scan: Readings) -> list[Nodule]:
    """The nodules of a scan, sorted from foot to head.

    The rule that users of LIDC know from pylidc: two readings are of one nodule if their contours come as near as a
    pixel's width, and so are readings linked through others. Where that makes groups of more than four, the width is
    shrunk by tenths until it does not, or until it is below 0.1 mm; a larger group left then is dropped.
    """
    if not scan.readings:
        return []
    clouds = [reading.places * (1, scan.pixel_mm, scan.pixel_mm) for reading in scan.readings]
    low, high = np.array([c.min(0) for c in clouds]), np.array([c.max(0) for c in clouds])
    near = ((low[:, None] - high[None]) <= scan.pixel_mm + ROUNDING_MM).all(2)
    apart, trees = np.full(near.shape, np.inf), [cKDTree(cloud, balanced_tree=False) for cloud in clouds]
    for i, j in np.argwhere(np.triu(near & near.T, 1)):  # mm between two contours; infinite well above a pixel
        apart[i, j] = apart[j, i] = trees[i].query(clouds[j], distance_upper_bound=2 * scan.pixel_mm)[0].min()
    for reach in scan.pixel_mm * 0.9 ** np.arange(MOST_TENTHS):
        group = sparse.csgraph.connected_components(apart <= reach + ROUNDING_MM, directed=False)[1]
        if np.bincount(group).max() <= MOST_READERS or reach <= LEAST_MM:
            break
    members = [tuple(scan.readings[i] for i in np.flatnonzero(group == k)) for k in range(group.max() + 1)]
    members.sort(key=lambda readings: float(np.mean([reading.places[:, 0].mean() for reading in readings])))
    place = (scan.patient, scan.scan, scan.pixel_mm, scan.slice_mm)
    return [Nodule(*place, readings) for readings in members if len(readings) <= MOST_READERS]
