"""A chest made of ellipses and tubes, in the shape and spacing of the real CTs: it stands in until those are fetched.

Body, two lungs, heart, spine, ribs, and in each lung a tree of vessels that taper as they branch; one ball or mass as the labelled
tumour. What is where is known by construction. It leaves out airways, fissures, breasts, the table, streaks, breathing and disease.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from ..scan import Scan, spaced

AIR, LUNG, FAT, MUSCLE, BLOOD, BONE, TUMOUR = -1000.0, -860.0, -100.0, 50.0, 40.0, 500.0, 30.0  # HU
NOISE = 25.0  # HU, standard deviation


class Plan(NamedTuple):
    """What the phantom of a name is like: sizes in mm, the tumour's centre as a share of the body's half axes from its middle."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    tumour_mm: float  # diameter
    tumour_at: tuple[float, float, float]


PLANS = {
    "lung1": Plan((48, 512, 512), (5.0, 0.5703125, 0.5703125), 13.8, (0.1, 0.2, 0.5)),
    "lung2": Plan((61, 512, 512), (5.0, 0.626953125, 0.626953125), 45.0, (-0.2, 0.42, -0.45)),
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
    tubes = [tube for side in (-1, 1) for tube in _tree(half, side, generator)]
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
    middle = np.zeros(3)
    values[_ellipsoid(grid, middle, (endless, 0.72 * high, 0.95 * wide))] = FAT
    values[_ellipsoid(grid, middle, (endless, 0.64 * high, 0.86 * wide))] = MUSCLE
    wall = _ellipsoid(grid, middle, (endless, 0.61 * high, 0.82 * wide)) & ~_ellipsoid(grid, middle, (endless, 0.57 * high, 0.78 * wide))
    slant = (grid[0][:, None, None] + 0.35 * grid[1][:, None]) % 25.0 < 9.0  # ribs fall towards the front
    values[wall & slant] = BONE
    lungs = np.zeros(values.shape, bool)
    for side in (-1, 1):
        lungs |= _ellipsoid(grid, np.array([-0.25 * depth, 0, side * 0.42 * wide]), (1.1 * depth, 0.52 * high, 0.34 * wide))
    lungs &= ~_ellipsoid(grid, np.array([-0.3 * depth, -0.15 * high, 0.14 * wide]), (0.6 * depth, 0.27 * high, 0.28 * wide))  # heart
    lungs &= ~_ellipsoid(grid, np.array([-1.1 * depth, 0, -0.42 * wide]), (0.5 * depth, 0.5 * high, 0.36 * wide))  # diaphragm
    values[lungs] = LUNG
    values[_ellipsoid(grid, np.array([0, 0.42 * high, 0]), (endless, 0.12 * high, 0.11 * wide))] = BONE - 250
    return values, lungs


def _tree(half: np.ndarray, side: int, generator: Generator, depth: int = 7) -> list[Tube]:
    """A tree that grows from the hilum outwards, each branch thinner and shorter than the one it comes from."""
    hilum = half * [0.0, 0.02, side * 0.16]
    tips = [(hilum, half * [0.0, 0.0, side * 0.2], 5.5)]
    tubes = []
    for _ in range(depth):
        grown = []
        for start, step, radius in tips:
            stop = start + step
            tubes.append(Tube(start, stop, radius))
            for _ in range(2):
                turned = step / np.linalg.norm(step) + 0.75 * torch.randn(3, generator=generator, dtype=torch.float64).numpy()
                grown.append((stop, turned / np.linalg.norm(turned) * np.linalg.norm(step) * 0.8, radius * 0.78))
        tips = grown
    return tubes


def _draw(values: np.ndarray, lungs: np.ndarray, grid: list[np.ndarray], tube: Tube) -> None:
    """Fill a tube with blood where there is lung, the share of a voxel that it fills taken along the plane."""
    low, high = np.minimum(tube.start, tube.stop), np.maximum(tube.start, tube.stop)
    margin = tube.radius_mm + 1
    window = tuple(slice(*np.searchsorted(axis, (a - margin, b + margin))) for axis, a, b in zip(grid, low, high))
    d, h, w = (axis[part] for axis, part in zip(grid, window))
    along = tube.stop - tube.start
    length = math.dist(tube.start, tube.stop)
    off = np.stack(np.broadcast_arrays(d[:, None, None] - tube.start[0], h[:, None] - tube.start[1], w - tube.start[2]), -1)
    share = np.clip(off @ along / length**2, 0, 1)
    distance = np.linalg.norm(off - share[..., None] * along, axis=-1)
    fill = np.clip((tube.radius_mm - distance) / 0.6 + 0.5, 0, 1) * lungs[window]
    values[window] = np.maximum(values[window], LUNG + fill * (BLOOD - LUNG))
