"""A chest made of ellipses and tubes, in the shape and spacing of the real CTs: it stands in until those are fetched.

Body, two lungs, heart, spine, ribs, trachea, and in each lung a tree of vessels that taper as they branch; one ball
or mass as the labelled tumour. What is where is known by construction. It leaves out bronchi, fissures, the aorta,
breasts, the table, streaks, breathing and disease.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from ..scan import Scan, spaced

AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, TUMOUR = -1000.0, -860.0, -100.0, 50.0, 40.0, 500.0, 30.0  # HU
NOISE = 25.0  # HU, standard deviation
TIP_MM = 0.9  # the radius of the thinnest vessels


class Plan(NamedTuple):
    """What the phantom of a name is like: sizes in mm, the tumour's centre as a share of the body's half axes from its
    middle.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    tumour_mm: float  # diameter
    tumour_at: tuple[float, float, float]


PLANS = {
    "lung1": Plan((48, 512, 512), (5.0, 0.5703125, 0.5703125), 13.8, (0.3, 0.2, 0.3)),
    "lung2": Plan((61, 512, 512), (5.0, 0.626953125, 0.626953125), 45.0, (-0.2, 0.42, 0.52)),
}


class Tube(NamedTuple):
    """A straight piece of vessel: its ends (d, h, w) in mm and its radius."""

    start: np.ndarray
    stop: np.ndarray
    radius_mm: float


def chest(plan: Plan, *, generator: Generator, noise: float = NOISE) -> tuple[Scan, Scan, list[Tube]]:
    """The CT in HU (float32), the mask of its tumour (bool), and its vessels, which run inside the lungs."""
    grid = [(np.arange(n) - (n - 1) / 2) * step for n, step in zip(plan.shape, plan.spacing_mm)]  # mm from the middle
    half = np.array([n * step / 2 for n, step in zip(plan.shape, plan.spacing_mm)])
    values, lungs = _body(grid, half)
    tubes = [tube for side in (-1, 1) for tube in _tree(grid, half, side, generator)]
    for tube in tubes:
        _draw(values, lungs, grid, tube)
    tumour = _ellipsoid(grid, half * plan.tumour_at, (plan.tumour_mm / 2,) * 3)
    values[tumour] = TUMOUR
    values += noise * torch.randn(values.shape, generator=generator).numpy()
    scan = spaced(torch.from_numpy(values.clip(-1024, 3071)), plan.spacing_mm, unit="HU")
    centred = [Tube(t.start + half, t.stop + half, t.radius_mm) for t in tubes]
    return scan, spaced(torch.from_numpy(tumour), plan.spacing_mm), centred


def _ellipsoid(grid: list[np.ndarray], centre: np.ndarray, radii: tuple[float, float, float]) -> np.ndarray:
    d, h, w = (((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, radii))
    inside: np.ndarray = d[:, None, None] + h[:, None] + w < 1
    return inside


def _body(grid: list[np.ndarray], half: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Everything but vessels, and where the lungs are."""
    depth, high, wide = half
    endless = 1e6
    values = np.full([len(axis) for axis in grid], AIR, np.float32)
    middle = np.array([0, 0.05 * high, 0])
    values[_ellipsoid(grid, middle, (endless, 0.74 * high, 0.97 * wide))] = FAT
    values[_ellipsoid(grid, middle, (endless, 0.66 * high, 0.88 * wide))] = MUSCLE
    wall = _ellipsoid(grid, middle, (endless, 0.63 * high, 0.84 * wide)) & ~_ellipsoid(
        grid, middle, (endless, 0.59 * high, 0.8 * wide)
    )
    slant = (grid[0][:, None, None] + 0.35 * grid[1][:, None]) % 25.0 < 9.0  # ribs fall towards the front
    values[wall & slant] = BONE
    lungs = _lung(grid, half, -1) | _lung(grid, half, 1)
    values[lungs] = LUNG
    values[_ellipsoid(grid, np.array([0, 0.42 * high, 0]), (endless, 0.14 * high, 0.12 * wide))] = BONE - 250
    trachea = _ellipsoid(grid, np.array([0, 0.08 * high, 0]), (endless, 9.0, 8.0))
    trachea[grid[0] < 0.1 * depth] = False
    values[trachea] = -990
    return values, lungs


def _lung(grid: list[np.ndarray], half: np.ndarray, side: int) -> np.ndarray:
    depth, high, wide = half
    lung = _ellipsoid(
        grid, np.array([-0.35 * depth, 0.06 * high, side * 0.44 * wide]), (1.15 * depth, 0.56 * high, 0.35 * wide)
    )
    lung &= ~_ellipsoid(
        grid, np.array([-0.3 * depth, -0.15 * high, 0.16 * wide]), (0.6 * depth, 0.3 * high, 0.32 * wide)
    )  # heart
    dome = np.array([-1.05 * depth, 0, side * 0.42 * wide])
    lung &= ~_ellipsoid(grid, dome, ((0.5 if side < 0 else 0.35) * depth, 0.56 * high, 0.4 * wide))  # diaphragm
    return lung


def _tree(grid: list[np.ndarray], half: np.ndarray, side: int, generator: Generator, tips: int = 260) -> list[Tube]:
    """A tree that reaches places all over a lung: the nearer to the hilum the earlier, each joins the nearest place
    joined before.

    Cubes of the radii add up where branches meet (Murray's law, 1926).
    """
    inside = np.argwhere(_lung(grid, half, side))
    drawn = torch.randint(len(inside), (tips,), generator=generator).unique().numpy()  # no place twice
    hilum = half * [0.0, 0.1, side * 0.16]
    places = np.array([[axis[i] for axis, i in zip(grid, at)] for at in inside[drawn]])
    places = np.concatenate([hilum[None], places[np.argsort(np.linalg.norm(places - hilum, axis=1))]])
    apart = np.linalg.norm(places[:, None] - places, axis=-1)
    parent = [0] + [int(apart[k, :k].argmin()) for k in range(1, len(places))]
    cubes = np.full(len(places), TIP_MM**3)
    for k in range(len(places) - 1, 0, -1):
        cubes[parent[k]] += cubes[k]
    return [Tube(places[parent[k]], places[k], float(min(np.cbrt(cubes[k]), 6.0))) for k in range(1, len(places))]


def _draw(values: np.ndarray, lungs: np.ndarray, grid: list[np.ndarray], tube: Tube) -> None:
    """Fill a tube with blood where there is lung, the share of a voxel that it fills taken along the plane."""
    low, high = np.minimum(tube.start, tube.stop), np.maximum(tube.start, tube.stop)
    margin = tube.radius_mm + 1
    window = tuple(slice(*np.searchsorted(axis, (a - margin, b + margin))) for axis, a, b in zip(grid, low, high))
    d, h, w = (axis[part] for axis, part in zip(grid, window))
    along = tube.stop - tube.start
    length = math.dist(tube.start, tube.stop)
    off = np.stack(
        np.broadcast_arrays(d[:, None, None] - tube.start[0], h[:, None] - tube.start[1], w - tube.start[2]), -1
    )
    share = np.clip(off @ along / length**2, 0, 1)
    distance = np.linalg.norm(off - share[..., None] * along, axis=-1)
    fill = np.clip((tube.radius_mm - distance) / 0.6 + 0.5, 0, 1) * lungs[window]
    values[window] = np.maximum(values[window], LUNG + fill * (BLOOD - LUNG))
