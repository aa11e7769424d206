"""Invented nodules with invented readers: they stand in until the LIDC database is fetched.

Ellipsoids with a few broad lobes and, the more suspicious they are, fine spicules. Larger and more spiculated ones
are rated more malignant, each reader with an error of their own, and each draws a little wider or tighter than the
next. The link between size, outline and rating is put in by hand, so nothing about medicine can be learned from them.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Generator

from ..seeds import stream
from .readings import Contour, Nodule, Reading

PATIENTS, EACH, READERS = 200, 2, 4
PIXEL_MM, SLICE_MM = 0.7, 1.5
ANGLES = np.linspace(0, 2 * np.pi, 73)  # closed: the last is the first


class Plan(NamedTuple):
    """Half axes in mm (z, y, x), the amplitude of three broad waves and one fine one around the outline, and their
    phases.
    """

    half: np.ndarray
    lobes: np.ndarray
    spicules: float
    phase: np.ndarray


def nodules() -> tuple[Nodule, ...]:
    """Always the same 400, two a patient, read by four each."""
    return tuple(
        _nodule(f"phantom-{k:04d}", stream(2011, "nodule", k, j), j) for k in range(PATIENTS) for j in range(EACH)
    )


def _nodule(patient: str, generator: Generator, place: int) -> Nodule:
    draw = torch.randn(16, generator=generator, dtype=torch.float64).numpy()
    mean_mm = float(np.clip(7.5 * np.exp(0.5 * draw[0]), 3.5, 20))
    suspicion = float(np.clip(3 + 2.0 * np.log(mean_mm / 7.5) + 0.7 * draw[1], 1, 5))
    half = mean_mm / 2 * np.exp(0.12 * draw[2:5])
    lobes = np.array([0.05, 0.05, 0.03]) * np.abs(draw[5:8])
    plan = Plan(half, lobes, 0.02 * (suspicion - 1), np.pi * draw[8:12])
    middle = (0.0, 200.0 + 100 * place, 250.0)  # z in mm, y and x in pixels
    readings = tuple(_reading(plan, middle, suspicion, generator) for _ in range(READERS))
    return Nodule(patient, f"{patient}-scan", PIXEL_MM, SLICE_MM, readings, "phantom")


def _reading(plan: Plan, middle: tuple[float, float, float], suspicion: float, generator: Generator) -> Reading:
    error = torch.randn(10, generator=generator, dtype=torch.float64).numpy()
    scale = 1 + 0.06 * error[0]
    top = int(plan.half[0] * scale / SLICE_MM)
    contours = tuple(_contour(plan, middle, scale, k * SLICE_MM) for k in range(-top, top + 1))
    seen = suspicion + 0.5 * error[1:]  # the spiculated, lobulated, malignant end of each scale
    high = [int(value) for value in np.clip(np.round(seen), 1, 5)]
    return Reading(contours, (high[0], 1, 6, 6 - high[3], 6 - high[4], high[5], high[6], 5, high[8]))


def _contour(plan: Plan, middle: tuple[float, float, float], scale: float, z: float) -> Contour:
    """The outline in one slice, in whole pixels, run through the first ones outside."""
    _, half_y, half_x = plan.half * scale
    waves = sum(a * np.cos(n * ANGLES + p) for a, n, p in zip(plan.lobes, (2, 3, 5), plan.phase))
    waves = waves + plan.spicules * np.cos(11 * ANGLES + plan.phase[3])
    height = np.sqrt(max(1 - (z / (plan.half[0] * scale)) ** 2, 0.02))
    radius = height * (1 + waves)
    y = middle[1] + (radius * half_y / PIXEL_MM + 0.7) * np.sin(ANGLES)
    x = middle[2] + (radius * half_x / PIXEL_MM + 0.7) * np.cos(ANGLES)
    points = np.round(np.column_stack([x, y])).astype(np.int64)
    fresh = np.concatenate([[True], (np.diff(points, axis=0) != 0).any(1)])
    return Contour(z, points[fresh])
