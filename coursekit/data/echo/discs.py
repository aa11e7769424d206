"""Volumes by the method of discs (Simpson's rule, single plane), and tracings in the form of EchoNet-Dynamic.

A tracing is an axis and its chords: 21 segments (x1, y1, x2, y2) in pixel indices, where whole numbers are the centres
of pixels; first the long axis from apex to base, then 20 chords across it, evenly spaced from apex to base. The
ventricle is taken to be a stack of discs that have the chords as diameters: V = Σ π/4 d² · L/20.
"""

import math

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from ... import _check

Tracing = Float[Tensor, "segments 4"]
FINE = 8  # points looked at along each side of a pixel


def tracing(mask: Bool[Tensor, "H W"], *, axis: Float[Tensor, "4"] | None = None, discs: int = 20) -> Tracing:
    """Long axis and ``discs`` chords of a ventricle with its apex up, float64; its largest connected piece counts.

    ``axis`` is a line (x1, y1, x2, y2) towards the base; without one it is the principal axis. It ends where the
    ventricle ends. A chord is as long as the area of its slice over the slice's height, so it is finer than a pixel.
    Raises ``ValueError`` if the mask is empty or the axis has no length.
    """
    _check.tensor("mask", mask, "H W")
    _check.boolean("mask", mask)
    _check.positive("discs", discs)
    if not bool(mask.any()):
        raise _check.refuse("a mask with pixels", "an empty one", "there is no ventricle to trace")
    points = _points(mask.cpu().numpy())
    if axis is None:
        middle = points.mean(0)
        _, vectors = np.linalg.eigh(np.cov((points - middle).T))
        down = vectors[:, 1] * (1 if vectors[0, 1] >= 0 else -1)  # along which the points spread most
    else:
        _check.tensor("axis", axis, "4", "pass (x1, y1, x2, y2)")
        (x1, y1), (x2, y2) = axis.double().view(2, 2).tolist()
        _check.positive("the length of axis", math.hypot(x2 - x1, y2 - y1))
        middle, down = np.array([y1, x1]), np.array([y2 - y1, x2 - x1]) / math.hypot(x2 - x1, y2 - y1)
    across = np.array([-down[1], down[0]])  # towards larger x where down is downwards
    z, u = (points - middle) @ down, (points - middle) @ across
    apex, base = float(z.min()) - 0.5 / FINE, float(z.max()) + 0.5 / FINE
    height = (base - apex) / discs
    disc = ((z - apex) / height).astype(int).clip(0, discs - 1)  # in which each point lies
    count = np.bincount(disc, minlength=discs)
    width = count / FINE**2 / height
    centre = np.bincount(disc, u, discs) / count.clip(min=1)
    levels = apex + height * (np.arange(discs) + 0.5)
    left, right = (np.outer(levels, down) + np.outer(centre + side * width / 2, across) for side in (-1, 1))
    chords = np.concatenate([middle + left, middle + right], 1)  # (discs, 4), (y, x) twice
    long_axis = np.concatenate([middle + apex * down, middle + base * down])[None]
    return torch.from_numpy(np.concatenate([long_axis, chords])[:, [1, 0, 3, 2]])


def _points(mask: np.ndarray) -> Float[np.ndarray, "N 2"]:
    """``FINE`` × ``FINE`` places (y, x) in each pixel of the largest connected piece, in pixel indices."""
    pieces, _ = ndimage.label(mask)
    largest = 1 + np.bincount(pieces[mask])[1:].argmax()
    within = (np.arange(FINE) + 0.5) / FINE - 0.5
    offsets = np.stack(np.meshgrid(within, within, indexing="ij"), -1).reshape(1, -1, 2)
    return (np.argwhere(pieces == largest)[:, None] + offsets).reshape(-1, 2)


def volume_of_tracing(traced: Tracing, *, spacing_mm: float) -> float:
    """Volume in mL of a tracing in pixels: the chords are the diameters of discs, each L / discs high."""
    rows, _ = _check.tensor("traced", traced, "N 4", "pass the long axis first, then one row a chord")
    _check.positive("spacing_mm", spacing_mm)
    if rows < 2:
        raise _check.refuse("a long axis and at least one chord", f"{rows} rows", "pass one row a chord")
    across = torch.hypot(traced[:, 2] - traced[:, 0], traced[:, 3] - traced[:, 1])
    length, *diameters = across.double().mul(spacing_mm).tolist()
    return float(sum(math.pi / 4 * d**2 for d in diameters) * length / len(diameters) / 1000)


def volume_by_discs(mask: Bool[Tensor, "*batch H W"], *, spacing_mm: float, discs: int = 20) -> Float[Tensor, "*batch"]:
    """Volume in mL of each ventricle (apex up) by its tracing, float64; an empty mask holds 0 mL."""
    _check.tensor("mask", mask, "... H W")
    _check.boolean("mask", mask)
    volumes = [
        volume_of_tracing(tracing(plane, discs=discs), spacing_mm=spacing_mm) if bool(plane.any()) else 0.0
        for plane in mask.reshape(-1, *mask.shape[-2:])
    ]
    return torch.tensor(volumes, dtype=torch.float64).view(mask.shape[:-2])
