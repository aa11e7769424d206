"""Vessels found in a CT: the negatives of a nodule detector, as a candidate generator would propose them.

A vessel's cross-section is a bright spot like a nodule's. Candidates are found in the spirit of the generator of
Huang et al. 2017 ("Lung nodule detection in CT using 3D convolutional neural networks", ISBI): bright spots of
limited size in the lung. They are sought as the maxima, over place and size, of the scale-normalised Laplacian of a
Gaussian (Lindeberg 1998, "Feature detection with automatic scale selection", IJCV 30). All lie away from what is
labelled. Nobody has read these scans for small nodules: a few candidates may be one.
"""

import itertools
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from ... import _check
from ..scan import Scan, aligned, resampled
from .lung_mask import lungs

GRID_MM = 1.5  # blobs are sought on an isotropic grid
DIAMETERS_MM = 2.3 * 1.4 ** np.arange(7)  # 2.3 to 17 mm
TUBE = 2 * np.sqrt(2)  # the Laplacian answers a tube of diameter d most strongly at sigma = d / (2 √2)
LUNG = -850.0  # HU; stands in for what is not lung, so that its edge is no spot
EDGE_MM = 3.0  # a candidate's centre lies at least this far inside the lung
CONTRAST = 60.0  # HU, the least answer of the Laplacian
BRIGHT = -500.0  # HU, the least value at the centre


@dataclass(frozen=True, eq=False)
class Vessels:
    """Candidates of one scan, the strongest first.

    ``world`` (N, 3) in RAS+ mm; ``index`` (N, 3) as (d, h, w); ``diameter_mm`` (N,), blurred by thick slices;
    ``roundness`` (N,) of the spot in its slice, from 0 (a vessel along the slice) to 1 (a disk); ``blobness`` (N,)
    the same in space: 0 a tube, 1 a ball.
    """

    world: Float64[np.ndarray, "N 3"]
    index: Float64[np.ndarray, "N 3"]
    diameter_mm: Float64[np.ndarray, " N"]
    roundness: Float64[np.ndarray, " N"]
    blobness: Float64[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.world)

    def take(self, rows: np.ndarray) -> "Vessels":
        """Some of them, by number or by a mask."""
        return Vessels(*(getattr(self, field.name)[rows] for field in fields(self)))


def vessels(
    scan: Scan,
    *,
    label: Scan | None = None,
    inside: Bool[Tensor, "D H W"] | None = None,
    margin_mm: float = 10.0,
    least_mm: float = 3.0,
    most_mm: float = 12.0,
) -> Vessels:
    """Bright spots in the lung of ``least_mm`` to ``most_mm``, brighter than -500 HU at the centre.

    ``inside`` is where to look, by default ``lungs(scan)``. None lies nearer than ``margin_mm`` to ``label``, a mask
    on the scan's grid.
    """
    _check.positive("margin_mm", margin_mm, zero=True)
    _check.positive("least_mm and most_mm", (least_mm, most_mm - least_mm))
    inside = lungs(scan) if inside is None else inside
    _check.boolean("inside", inside)
    aligned(scan, Scan(inside, scan.affine))
    grid, deep = _isotropic(scan, inside)
    found = _spots(grid, deep, least_mm, most_mm)
    place = grid.world(found.index)
    found = replace(found, world=place, index=scan.index(place))
    return found if label is None else _away(found, scan, label, margin_mm)


def _isotropic(scan: Scan, inside: Tensor) -> tuple[Scan, np.ndarray]:
    """The lung on a grid of 1.5 mm, and the voxels deep enough inside it."""
    ((box),) = ndimage.find_objects(inside.numpy().astype(np.uint8)) or [(slice(0, 0),) * 3]
    start = [side.start for side in box]
    step = np.eye(4)
    step[:3, 3] = start
    part = Scan(torch.where(inside[box], scan.values[box].float().clamp(-1000, 200), LUNG), scan.affine @ step)
    grid = resampled(part, (GRID_MM,) * 3)
    mask = resampled(Scan(inside[box].float(), part.affine), (GRID_MM,) * 3).values.numpy() > 0.5
    return grid, ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1, 1:-1] * GRID_MM >= EDGE_MM


def _spots(grid: Scan, deep: np.ndarray, least_mm: float, most_mm: float) -> Vessels:
    """The maxima over place and size; ``index`` is that of the grid."""
    values = grid.values.numpy()
    sigmas = DIAMETERS_MM / TUBE / GRID_MM  # in voxels
    smooth = [
        np.pad(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3), 1, mode="edge") for sigma in sigmas
    ]
    answer = np.stack([-(sigma**2) * _laplacian(one) for sigma, one in zip(sigmas, smooth)])
    scale, *place = ((answer > CONTRAST) & (deep & (values > BRIGHT))).nonzero()
    top = _is_top(answer, np.stack([scale, *place]))
    scale, place = scale[top], [axis[top] for axis in place]
    order = np.argsort(-answer[scale, *place], kind="stable")
    scale, index = scale[order], np.stack(place, 1)[order]
    diameter = _diameter(answer, scale, index)
    keep = (diameter >= least_mm) & (diameter <= most_mm)
    flat, space = _shape(smooth, scale, index)
    return Vessels(index.astype(float), index.astype(float), diameter, flat, space).take(keep)


def _is_top(answer: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Which of the points (4, n) are no smaller than all 80 around them; not the least and the greatest size, which
    have no size beyond.
    """
    top: np.ndarray = (points[0] > 0) & (points[0] < len(answer) - 1)
    for step in itertools.product((-1, 0, 1), repeat=4):
        left = np.flatnonzero(top)
        top[left] = answer[*points[:, left]] >= answer[*(points[:, left] + np.array(step)[:, None])]
    return top


def _laplacian(padded: np.ndarray) -> np.ndarray:
    middle = padded[1:-1, 1:-1, 1:-1]
    along_d = padded[2:, 1:-1, 1:-1] + padded[:-2, 1:-1, 1:-1]
    along_h = padded[1:-1, 2:, 1:-1] + padded[1:-1, :-2, 1:-1]
    summed: np.ndarray = along_d + along_h + padded[1:-1, 1:-1, 2:] + padded[1:-1, 1:-1, :-2] - 6 * middle
    return summed


def _diameter(answer: np.ndarray, scale: np.ndarray, index: np.ndarray) -> np.ndarray:
    """Between the sizes tried: the top of the parabola through the answers at three of them."""
    low, mid, high = (answer[scale + k, *index.T].astype(float) for k in (-1, 0, 1))
    shift = np.clip(0.5 * (low - high) / np.minimum(low - 2 * mid + high, -1e-6), -0.5, 0.5)
    diameter: np.ndarray = DIAMETERS_MM[scale] * (DIAMETERS_MM[1] / DIAMETERS_MM[0]) ** shift
    return diameter


def _shape(smooth: list[np.ndarray], scale: np.ndarray, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Roundness in the slice and in space: the weakest curvature as a share of the strongest."""
    hessian = np.zeros((len(scale), 3, 3))
    for k in np.unique(scale):
        rows = np.flatnonzero(scale == k)
        around = np.stack([smooth[k][tuple(slice(i, i + 3) for i in at)] for at in index[rows]]).astype(
            float
        )  # (n, 3, 3, 3)
        hessian[rows] = _hessian(around)
    return _ratio(hessian[:, 1:, 1:]), _ratio(hessian)


def _hessian(around: np.ndarray) -> np.ndarray:
    """Second differences (n, 3, 3) at the middle of cubes (n, 3, 3, 3)."""
    unit = np.eye(3, dtype=int)

    def at(step: np.ndarray) -> np.ndarray:
        value: np.ndarray = around[:, *(step + 1)]
        return value

    rows = [
        [
            at(a) + at(-a) - 2 * at(0 * a) if i == j else (at(a + b) + at(-a - b) - at(a - b) - at(b - a)) / 4
            for j, b in enumerate(unit)
        ]
        for i, a in enumerate(unit)
    ]
    return np.stack([np.stack(row, -1) for row in rows], -2)


def _ratio(hessian: np.ndarray) -> np.ndarray:
    curved = -np.linalg.eigvalsh(hessian)  # the strongest first
    ratio: np.ndarray = np.clip(curved[:, -1] / np.maximum(curved[:, 0], 1e-6), 0, 1)
    return ratio


def _away(found: Vessels, scan: Scan, label: Scan, margin_mm: float) -> Vessels:
    """Those at least the margin away from the centre of every labelled voxel."""
    aligned(scan, label)
    lit = label.values.nonzero().numpy()
    if not len(lit):
        return found
    apart, _ = cKDTree(label.world(lit)).query(found.world)
    return found.take(apart >= margin_mm)
