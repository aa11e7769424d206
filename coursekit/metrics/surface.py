"""How far two outlines are apart, in millimetres.

The surface of a mask is its voxels with a face on the outside (the border of the image is outside). Distances run
between voxel centres, from each surface voxel to the nearest one of the other mask. Other tools weigh by area or
count corners as neighbours, so figures from different tools differ by a fraction of a voxel.

If both masks are empty they agree: every distance is 0 and the surface Dice 1. If one is empty, the distances are
infinite and the surface Dice 0: count such cases apart, a mean over them says nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from scipy.spatial import KDTree
from torch import Tensor

from coursekit import _check


@dataclass(frozen=True)
class SurfaceRecord:
    """Distances in mm; ``surface_dice`` is the share of both surfaces within ``tolerance_mm`` of the other."""

    hausdorff_mm: float
    hd95_mm: float
    assd_mm: float
    surface_dice: float
    tolerance_mm: float
    truth_voxels: int  # on the surface
    predicted_voxels: int


def surface(mask: Bool[Tensor, "*S"]) -> Bool[Tensor, "*S"]:
    """The voxels of ``mask`` with at least one of their 2 · ndim face neighbours outside."""
    _check.boolean("mask", mask)
    padded = F.pad(mask, [1, 1] * mask.ndim)
    inside = mask.clone()
    for axis in range(mask.ndim):
        core = padded[tuple(slice(None) if a == axis else slice(1, -1) for a in range(mask.ndim))]
        n = mask.shape[axis]
        inside &= core.narrow(axis, 0, n) & core.narrow(axis, 2, n)
    return mask & ~inside


def surface_distances(
    truth: Bool[Tensor, "*S"], prediction: Bool[Tensor, "*S"], *, spacing_mm: Sequence[float]
) -> tuple[Float[Tensor, "A"], Float[Tensor, "B"]]:
    """mm from each surface voxel of the truth to the prediction's surface, and from the prediction's to the truth's.

    Two masks of one shape in 2D or 3D; ``spacing_mm`` follows their axes. Infinite where the other mask is empty.
    Float64 on the CPU, in the order of the voxels; a search tree over each surface finds the nearest.
    """
    for name, mask in [("truth", truth), ("prediction", prediction)]:
        _check.boolean(name, mask)
    if truth.shape != prediction.shape or not truth.ndim:
        got = f"{tuple(truth.shape)} and {tuple(prediction.shape)}"
        raise _check.refuse("two masks of one shape", got, "resample one to the other")
    if len(spacing_mm) != truth.ndim:
        expected = f"spacing_mm of {truth.ndim} numbers"
        raise _check.refuse(expected, tuple(spacing_mm), "give one an axis, e.g. (D, H, W)")
    _check.positive("spacing_mm", tuple(spacing_mm))
    scale = np.asarray(spacing_mm, dtype=np.float64)
    a, b = (surface(m).cpu().nonzero().numpy() * scale for m in (truth, prediction))  # (A, ndim), (B, ndim)
    return _nearest(a, b), _nearest(b, a)


def _nearest(points: np.ndarray, others: np.ndarray) -> Tensor:
    """Distance of each point to the nearest of the others; infinite if there are none."""
    if not len(points) or not len(others):
        return torch.full((len(points),), math.inf, dtype=torch.float64)
    tree = KDTree(others, balanced_tree=False, compact_nodes=False)
    return torch.from_numpy(tree.query(points)[0])


def surface_record(
    truth: Bool[Tensor, "*S"], prediction: Bool[Tensor, "*S"], *, spacing_mm: Sequence[float], tolerance_mm: float = 1.0
) -> SurfaceRecord:
    """Hausdorff distance, its 95th percentile, average symmetric surface distance and surface Dice of two masks.

    ``hausdorff_mm`` and ``hd95_mm`` are the larger of the two directions (percentiles interpolated linearly);
    ``assd_mm`` is the mean over all voxels of both surfaces; ``surface_dice`` counts both, and as near what equals
    the tolerance but for rounding. Source: Nikolov et al. 2021 (surface Dice); Maier-Hein et al. 2024.
    """
    _check.positive("tolerance_mm", tolerance_mm, zero=True)
    out, back = surface_distances(truth, prediction, spacing_mm=spacing_mm)
    both = torch.cat([out, back])
    if not out.numel() or not back.numel():
        far, dice = (math.inf, 0.0) if both.numel() else (0.0, 1.0)
        return SurfaceRecord(far, far, far, dice, tolerance_mm, out.numel(), back.numel())
    return SurfaceRecord(
        hausdorff_mm=both.max().item(),
        hd95_mm=max(np.percentile(d.numpy(), 95).item() for d in (out, back)),
        assd_mm=both.mean().item(),
        surface_dice=(~_check.above(both, tolerance_mm)).double().mean().item(),
        tolerance_mm=tolerance_mm,
        truth_voxels=out.numel(),
        predicted_voxels=back.numel(),
    )
