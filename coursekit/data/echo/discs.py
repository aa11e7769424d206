"""Volumes by the method of discs (Simpson's rule, single plane), and tracings in the form of EchoNet-Dynamic.

A tracing is 21 segments (x1, y1, x2, y2) in pixel indices, where whole numbers are the centres of pixels: first the
long axis from apex to base, then 20 chords across it, evenly spaced from apex to base. The ventricle is taken to be a
stack of discs that have the chords as diameters: V = Σ π/4 d² · L/20.
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


def tracing(mask: Bool[Tensor, "H W"], *, discs: int = 20) -> Tracing:
    """Long axis and ``discs`` chords of a ventricle with its apex up, float64.

    The largest connected piece counts. Its long axis is the principal axis of its pixels and ends where they end. A
    chord is as long as the area of its slice over the slice's height, so it is finer than a pixel. Raises
    ``ValueError`` if the mask is empty.
    """
    _check.tensor("mask", mask, "H W")
    _check.boolean("mask", mask)
    _check.positive("discs", discs)
    if not bool(mask.any()):
        raise _check.refuse("a mask with pixels", "an empty one", "there is no ventricle to trace")
    middle, along, across = _axes(points := _points(_largest(mask.cpu().numpy())))
    z, u = (points - middle) @ along, (points - middle) @ across
    top, bottom = float(z.min()) - 0.5 / FINE, float(z.max()) + 0.5 / FINE
    height = (bottom - top) / discs
    slices = ((z - top) / height).astype(int).clip(0, discs - 1)
    count = np.bincount(slices, minlength=discs)
    width = count / FINE**2 / height
    centre = np.bincount(slices, u, discs) / count.clip(min=1)
    levels = top + height * (np.arange(discs) + 0.5)
    ends = [np.outer(levels, along) + np.outer(centre + side * width / 2, across) for side in (-1, 1)]
    axis = np.concatenate([middle + top * along, middle + bottom * along])[None]
    chords = np.concatenate([middle + end for end in ends], 1)  # (discs, 4), (y, x) twice
    return torch.from_numpy(np.concatenate([axis, chords])[:, [1, 0, 3, 2]])


def _largest(mask: np.ndarray) -> np.ndarray:
    pieces, count = ndimage.label(mask)
    largest: np.ndarray = pieces == 1 + np.bincount(pieces[mask], minlength=count + 1)[1:].argmax()
    return largest


def _points(mask: np.ndarray) -> np.ndarray:
    """``FINE`` × ``FINE`` places (y, x) in each pixel of the mask, in pixel indices."""
    within = (np.arange(FINE) + 0.5) / FINE - 0.5
    offsets = np.stack(np.meshgrid(within, within, indexing="ij"), -1).reshape(1, -1, 2)
    return (np.argwhere(mask)[:, None] + offsets).reshape(-1, 2)


def _axes(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Centre of mass, unit vector along the principal axis pointing down, and unit vector across it pointing right, all
    (y, x).
    """
    middle = points.mean(0)
    _, vectors = np.linalg.eigh(np.cov((points - middle).T))
    along = vectors[:, 1] * (1 if vectors[0, 1] >= 0 else -1)
    return middle, along, np.array([-along[1], along[0]])


def volume_of_tracing(traced: Tracing, *, spacing_mm: float) -> float:
    """Volume in mL of a tracing in pixels: the chords are the diameters of discs, each L / discs high."""
    rows, _ = _check.tensor("traced", traced, "N 4", "pass the long axis first, then one row a chord")
    _check.positive("spacing_mm", spacing_mm)
    if rows < 2:
        raise _check.refuse(
            "a long axis and at least one chord", f"{rows} rows", "pass the long axis first, then one row a chord"
        )
    lengths: list[float] = (
        torch.hypot(traced[:, 2] - traced[:, 0], traced[:, 3] - traced[:, 1]).double().mul(spacing_mm).tolist()
    )
    length, diameters = lengths[0], lengths[1:]
    return sum(math.pi / 4 * d**2 for d in diameters) * length / len(diameters) / 1000


def volume_by_discs(mask: Bool[Tensor, "*batch H W"], *, spacing_mm: float, discs: int = 20) -> Float[Tensor, "*batch"]:
    """Volume in mL of each ventricle (apex up) by its tracing, float64; an empty mask holds 0 mL."""
    _check.tensor("mask", mask, "... H W")
    _check.boolean("mask", mask)
    planes = mask.reshape(-1, *mask.shape[-2:])
    volumes = [
        volume_of_tracing(tracing(m, discs=discs), spacing_mm=spacing_mm) if bool(m.any()) else 0.0 for m in planes
    ]
    return torch.tensor(volumes, dtype=torch.float64).view(mask.shape[:-2])
