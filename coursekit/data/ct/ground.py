"""The ground that nodules are set into: a CT, its lungs, its vessels, and where a nodule may lie.

Vessels are the negatives of a nodule detector: a vessel's cross-section is a bright spot like a nodule's. They are
found in the spirit of the candidate generator of Huang et al. 2017 ("Lung nodule detection in CT using 3D convolutional
neural networks", ISBI), as the maxima, over place and size, of the scale-normalised Laplacian of a Gaussian (Lindeberg
1998, IJCV 30). Nobody has read these scans for small nodules: a few candidates may be one.
"""

import itertools
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float64
from scipy import ndimage
from scipy.spatial import cKDTree
from torch import Tensor

from ... import _check
from ..scan import Scan, cropped, resampled
from ..seeds import PARTS, Part
from .lung_mask import lungs
from .scans import CT, SPLIT, load
from .thin_slices import thin

GRID_MM = 1.5  # blobs are sought on an isotropic grid
DIAMETERS_MM = 2.3 * 1.4 ** np.arange(7)  # 2.3 to 17 mm
RATIO = DIAMETERS_MM[1] / DIAMETERS_MM[0]
SIGMAS = DIAMETERS_MM / (2 * np.sqrt(2)) / GRID_MM  # voxels: where the Laplacian answers such a tube most strongly
KEPT_MM = 3.0, 12.0  # the diameters of what is taken
PARENCHYMA = -850.0  # HU; stands in for what is not lung, so that its edge is no spot
EDGE_MM = 3.0  # a candidate's centre lies at least this far inside the lung
CONTRAST = 60.0  # HU, the least answer of the Laplacian
BRIGHT = -500.0  # HU, the least value at the centre
MARGIN_MM = 10.0  # around the labelled tumour nothing is set and nothing is taken
APART_MM = 14.0  # of a candidate from the plane between the lungs: no cube of 24 mm reaches across


class Vessels(NamedTuple):
    """The strongest first: ``world`` (N, 3) in RAS+ mm; ``diameter_mm`` (N,), blurred by thick slices."""

    world: Float64[np.ndarray, "N 3"]
    diameter_mm: Float64[np.ndarray, " N"]


@dataclass(frozen=True, eq=False)
class Ground:
    """``free`` is lung away from the labelled tumour; ``vessels`` are sought when they are first asked for."""

    ct: CT
    lungs: Bool[Tensor, "D H W"]
    free: Bool[Tensor, "D H W"]

    @cached_property
    def vessels(self) -> Vessels:
        return vessels(self.ct.scan, self.lungs, self.ct.label)


def of(split: Part, *, slice_mm: float | None = None) -> Ground:
    """The ground of a part, made once and kept: ``lung1`` trains, ``lung2`` tests.

    With ``slice_mm`` the left and the right lung of the one CT with thin slices: 2.5 mm as it is, 5 mm the mean of two.
    """
    _check.one_of("split", split, PARTS)
    return _made(load(SPLIT[split])) if slice_mm is None else _lung(split, slice_mm)


@lru_cache(maxsize=4)
def _lung(split: Part, slice_mm: float) -> Ground:
    """Without what is near the plane between the lungs."""
    whole = _made(_thin(slice_mm))
    middle = whole.lungs.any(0).any(0).nonzero().double().mean()
    to_the_left_mm = (torch.arange(whole.lungs.shape[2]) - middle) * whole.ct.scan.spacing_mm[2]
    own = (to_the_left_mm if split == "train" else -to_the_left_mm) >= APART_MM
    return Ground(whole.ct, whole.lungs & own, whole.free & own)


@lru_cache(maxsize=2)
def _thin(slice_mm: float) -> CT:
    whole = thin()
    scan, label = (replace(one, values=one.values.float()) for one in (whole.scan, whole.label))
    spacing_mm = (slice_mm, *scan.spacing_mm[1:])
    if spacing_mm != scan.spacing_mm:
        scan, label = resampled(scan, spacing_mm), resampled(label, spacing_mm)
    return CT(scan, replace(label, values=label.values >= 0.5), "real")


@lru_cache(maxsize=4)
def _made(ct: CT) -> Ground:
    inside = lungs(ct.scan)
    near = torch.zeros_like(inside)  # the box of the tumour with the margin
    lit = ct.label.values.nonzero().numpy()
    if len(lit):
        reach = np.ceil(MARGIN_MM / np.array(ct.label.spacing_mm)).astype(int)
        near[tuple(map(slice, np.maximum(lit.min(0) - reach, 0), lit.max(0) + reach + 1))] = True
    return Ground(ct, inside, inside & ~near)


def vessels(scan: Scan, inside: Bool[Tensor, "D H W"], label: Scan) -> Vessels:
    """Bright spots ``inside`` the lung of 3 to 12 mm, brighter than -500 HU at the centre, 10 mm away from ``label``.

    ``label`` is a mask on the grid of the scan, such as its tumour's.
    """
    grid, deep = _isotropic(scan, inside)
    index, diameter = _spots(grid.values.numpy(), deep)
    world = grid.world(index)
    keep = (diameter >= KEPT_MM[0]) & (diameter <= KEPT_MM[1])
    lit = label.values.nonzero().numpy()
    if len(lit):
        keep &= cKDTree(label.world(lit)).query(world)[0] >= MARGIN_MM
    return Vessels(world[keep], diameter[keep])


def _isotropic(scan: Scan, inside: Tensor) -> tuple[Scan, np.ndarray]:
    """The lung on a grid of 1.5 mm, and the voxels deep enough inside it."""
    (box,) = ndimage.find_objects(inside.numpy().astype(np.uint8))
    part = cropped(scan, [side.start for side in box], [side.stop - side.start for side in box])
    lung = torch.where(inside[box], part.values.float().clamp(-1000, 200), PARENCHYMA)
    grid, mask = (resampled(replace(part, values=v), (GRID_MM,) * 3) for v in (lung, inside[box].float()))
    depth = ndimage.distance_transform_edt(np.pad(mask.values.numpy() > 0.5, 1))[1:-1, 1:-1, 1:-1]
    return grid, depth * GRID_MM >= EDGE_MM


def _spots(values: np.ndarray, deep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The maxima over place and size: indices (N, 3) of the grid, the strongest first, and diameters in mm."""
    answer = np.stack([-(sigma**2) * _laplacian(values, sigma) for sigma in SIGMAS])
    points = np.stack(((answer > CONTRAST) & deep & (values > BRIGHT)).nonzero())  # (size, d, h, w) each
    points = points[:, (points[0] > 0) & (points[0] < len(answer) - 1)]  # which have a size beyond on both sides
    for step in itertools.product((-1, 0, 1), repeat=4):
        around = answer[*(points + np.array(step)[:, None])]
        points = points[:, answer[*points] >= around]
    points = points[:, np.argsort(-answer[*points], kind="stable")]
    low, mid, high = (answer[points[0] + k, *points[1:]].astype(float) for k in (-1, 0, 1))
    shift = np.clip(0.5 * (low - high) / np.minimum(low - 2 * mid + high, -1e-6), -0.5, 0.5)  # a parabola's top
    return points[1:].T.astype(float), DIAMETERS_MM[points[0]] * RATIO**shift


def _laplacian(values: np.ndarray, sigma: float) -> np.ndarray:
    """The sum of the six neighbours less six times the voxel, after smoothing."""
    around = np.pad(ndimage.gaussian_filter(values, sigma, mode="nearest", truncate=3), 1, mode="edge")
    middle = around[1:-1, 1:-1, 1:-1]
    along_d = around[2:, 1:-1, 1:-1] + around[:-2, 1:-1, 1:-1]
    along_h = around[1:-1, 2:, 1:-1] + around[1:-1, :-2, 1:-1]
    return np.asarray(along_d + along_h + around[1:-1, 1:-1, 2:] + around[1:-1, 1:-1, :-2] - 6 * middle)
