"""The ground that nodules are set into: the CT of a part, its lungs, its vessels, and where a nodule may lie."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32
from torch import Generator, Tensor

from ..scan import Scan, cropped
from ..seeds import Part
from .implant import INSIDE, implant_patch
from .lung_mask import lungs
from .readings import Nodule
from .scans import CT, of_part
from .vessels import Vessels, vessels

PARENCHYMA = -700.0  # HU: above this mean the place of a nodule is not air enough
MARGIN_MM = 10.0  # around the labelled tumour nothing is set and nothing is taken


class Ground(NamedTuple):
    """``free`` is lung away from the labelled tumour."""

    ct: CT
    lungs: Bool[Tensor, "D H W"]
    free: Bool[Tensor, "D H W"]
    vessels: Vessels


class Grown(NamedTuple):
    """A piece of a scan with a nodule in it, and each voxel's share of nodule."""

    scan: Scan
    occupancy: Float32[Tensor, "D H W"]


def of(split: Part, *, allow_phantom: bool = True) -> Ground:
    """The ground of a part, made once and kept."""
    return _made(of_part(split, allow_phantom=allow_phantom))


@lru_cache(maxsize=4)
def _made(ct: CT) -> Ground:
    inside = lungs(ct.scan)
    found = vessels(ct.scan, label=ct.label, inside=inside, margin_mm=MARGIN_MM)
    return Ground(ct, inside, inside & ~_around(ct.label), found)


def _around(label: Scan) -> Tensor:
    """The box of a mask with the margin."""
    near = torch.zeros_like(label.values, dtype=torch.bool)
    lit = label.values.nonzero().numpy()
    if len(lit):
        reach = np.ceil(MARGIN_MM / np.array(label.spacing_mm)).astype(int)
        near[tuple(slice(max(a, 0), b + 1) for a, b in zip(lit.min(0) - reach, lit.max(0) + reach))] = True
    return near


def piece(scan: Scan, index: np.ndarray, reach_mm: tuple[float, float, float]) -> tuple[Scan, tuple[slice, ...]]:
    """The voxels within ``reach_mm`` (d, h, w) of an index, cut at the faces of the scan; as a scan and as slices."""
    reach = np.array(reach_mm) / scan.spacing_mm
    low = np.maximum(np.floor(index - reach), 0).astype(int)
    high = np.minimum(np.ceil(index + reach) + 1, scan.values.shape).astype(int)
    d, h, w = (int(n) for n in low)
    size = tuple(int(n) for n in high - low)
    return cropped(scan, (d, h, w), (size[0], size[1], size[2])), tuple(slice(a, b) for a, b in zip(low, high))


def grown(
    part: Scan, free: Bool[Tensor, "D H W"], nodule: Nodule, index: np.ndarray, *, generator: Generator
) -> Grown | None:
    """A piece of a scan with a nodule around ``index``, laid in one of 48 ways; nothing if it does not fit.

    It fits if every voxel at least half filled is free and the mean of what it replaces is at most -700 HU.
    """
    d, h, w = (float(i) for i in index)
    new = implant_patch(part.values, part.spacing_mm, nodule, centre=(d, h, w), generator=generator, turn=True)
    share = new.occupancy.double().numpy()
    before = float((share * part.values.double().numpy()).sum() / max(share.sum(), 1e-9))
    fits = before <= PARENCHYMA and not bool(((new.occupancy >= INSIDE) & ~free).any())
    return Grown(Scan(new.values, part.affine, part.unit), new.occupancy) if fits else None
