"""A chest made of ellipses and tubes, in the shape and spacing of the real CTs: it stands in until those are fetched.

Body, lungs, heart, spine, ribs, trachea, in each lung a tree of vessels that taper, and a ball as the labelled tumour.
It leaves out bronchi, fissures, the aorta, the table, streaks, breathing and disease.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool
from scipy.spatial import cKDTree
from torch import Generator

from ..scan import Scan, spaced

AIR, TRACHEA, LUNG, FAT, TUMOUR, BLOOD, MUSCLE, SPINE, RIB = -1000, -990, -860, -100, 30, 40, 50, 250, 500  # HU
NOISE = 25.0  # HU, standard deviation
TIP_MM, TRUNK_MM = 1.0, 5.0  # the radii of vessels at the rim of the lung and at its hilum
TIPS = 260  # places a tree reaches
POINTS = 60  # of which the line from one to the next is made
ENDLESS = 1e6

Grid = Sequence[np.ndarray]  # a coordinate of the voxels along each axis


class Plan(NamedTuple):
    """What the phantom of a name is like; ``tumour_at`` is a share of the half axes from the middle."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    tumour_mm: float  # diameter
    tumour_at: tuple[float, float, float]


PLANS = {
    "lung1": Plan((48, 512, 512), (5.0, 0.5703125, 0.5703125), 13.8, (0.3, 0.2, 0.3)),
    "lung2": Plan((61, 512, 512), (5.0, 0.626953125, 0.626953125), 45.0, (-0.2, 0.42, 0.52)),
}


def chest(plan: Plan, *, generator: Generator) -> tuple[Scan, Scan]:
    """The CT in HU (float32) and the mask of its tumour (bool)."""
    half = np.array(plan.shape) * plan.spacing_mm / 2
    grid = [(np.arange(n) + 0.5) * step - h for n, step, h in zip(plan.shape, plan.spacing_mm, half)]  # mm
    share = [axis / h for axis, h in zip(grid, half)]  # the same as shares of the half axes, -1 to 1
    values = np.full(plan.shape, AIR, np.float32)
    values[_ellipsoid(share, (0, 0.05, 0), (ENDLESS, 0.74, 0.97))] = FAT
    values[_ellipsoid(share, (0, 0.05, 0), (ENDLESS, 0.66, 0.88))] = MUSCLE
    cage = _ellipsoid(share, (0, 0.05, 0), (ENDLESS, 0.63, 0.84))
    cage &= ~_ellipsoid(share, (0, 0.05, 0), (ENDLESS, 0.59, 0.8))
    values[cage & ((grid[0][:, None, None] + 0.35 * grid[1][:, None]) % 25 < 9)] = RIB  # they fall towards the front
    values[_ellipsoid(share, (0, 0.42, 0), (ENDLESS, 0.14, 0.12))] = SPINE
    values[_ellipsoid(grid, half * [1, 0.08, 0], (0.9 * half[0], 9, 8))] = TRACHEA
    for side in (-1, 1):
        lung = lung_of(share, side)
        values[lung] = LUNG
        values[vessels_of(lung, grid, half * [0, 0.1, side * 0.16], generator)] = BLOOD
    tumour = _ellipsoid(grid, half * plan.tumour_at, (plan.tumour_mm / 2,) * 3)
    values[tumour] = TUMOUR
    values += NOISE * torch.randn(values.shape, generator=generator).numpy()
    scan = spaced(torch.from_numpy(values.clip(-1024, 3071)), plan.spacing_mm, unit="HU")
    return scan, spaced(torch.from_numpy(tumour), plan.spacing_mm)


def _ellipsoid(grid: Grid, centre: Sequence[float] | np.ndarray, radii: Sequence[float]) -> Bool[np.ndarray, "D H W"]:
    d, h, w = (((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii))
    return np.asarray(d[:, None, None] + h[:, None] + w < 1)


def lung_of(share: Grid, side: int) -> Bool[np.ndarray, "D H W"]:
    """One lung, ``side`` 1 the left one, without the heart and what lies below the diaphragm."""
    lung = _ellipsoid(share, (-0.35, 0.06, side * 0.44), (1.15, 0.56, 0.35))
    heart = _ellipsoid(share, (-0.3, -0.15, 0.16), (0.6, 0.3, 0.32))
    below = _ellipsoid(share, (-1.05, 0, side * 0.42), (0.5 if side < 0 else 0.35, 0.56, 0.4))
    return np.asarray(lung & ~heart & ~below)


def vessels_of(lung: Bool[np.ndarray, "D H W"], grid: Grid, hilum: np.ndarray, generator: Generator) -> np.ndarray:
    """A tree of tubes through a lung, as a mask: random places, each joined to the nearest one nearer to the hilum."""
    inside = np.argwhere(lung)
    voxels = np.column_stack([axis[index] for axis, index in zip(grid, inside.T)])  # (N, 3) in mm
    far = np.linalg.norm(voxels - hilum, axis=1)
    tips = torch.randint(len(inside), (TIPS,), generator=generator).unique().numpy()  # no place twice
    places = np.concatenate([hilum[None], voxels[tips[np.argsort(far[tips])]]])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    parent = [0] + [int(apart[k, :k].argmin()) for k in range(1, len(places))]
    way = np.linspace(0, 1, POINTS)[:, None, None]
    lines = (way * places + (1 - way) * places[parent]).reshape(-1, 3)
    radius = TIP_MM + (TRUNK_MM - TIP_MM) * (1 - far / far.max()) ** 2
    mask = np.zeros_like(lung)
    mask[*inside[cKDTree(lines).query(voxels, distance_upper_bound=TRUNK_MM)[0] < radius].T] = True
    return mask
