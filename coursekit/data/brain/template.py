"""The ground that simulated brains grow on: where grey matter, white matter, fluid, vessels, bone and scalp lie, at 2
mm.

Grey and white matter and the outline are those of the ICBM 152 population template of 2009, an average of many
healthy brains (Fonov et al., Unbiased average age-appropriate atlases for pediatric studies, NeuroImage 54(1), 2011).
Its file shows the brain alone, so the shells around it are drawn here by their distance to the brain. Without the
files a head of ellipsoids stands in.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from scipy import ndimage

from .. import fetch
from ..scan import Affine, from_nifti, oriented

STEP = 2.0  # mm
TISSUES = ("grey", "white", "fluid", "deep", "vessel", "bone", "scalp")
INSIDE = ("grey", "white", "fluid")  # of the brain; "deep" is a part of the grey counted once more
NUCLEI = ((26, 2, 2), (12, 14, 8), (11, -18, 8))  # putamen, caudate, thalamus of the right side: RAS+ mm
Mm = Float[np.ndarray, "3 D H W"]  # RAS+ of every voxel


@dataclass(frozen=True, eq=False)
class Template:
    """``tissues`` (7, D, H, W) float32, the share of each voxel that each of ``TISSUES`` fills, axes SPL; ``affine``
    from ``(d, h, w, 1)`` to RAS+ mm; ``source`` "real" or "phantom"."""

    tissues: Float[np.ndarray, "7 D H W"]
    affine: Affine
    source: str
    note: str = ""


def load(*, allow_phantom: bool = True) -> Template:
    """The template's tissues, or those of a head of ellipsoids in the same voxels. Read once and kept: do not write
    into them.

    Raises ``DataMissing`` if the files have not been fetched and ``allow_phantom`` is false.
    """
    files = ("template_t1", "template_gm", "template_wm")
    return fetch.real_or(phantom, lambda: _real(*map(fetch.path, files)), allow_phantom=allow_phantom)


@lru_cache(maxsize=1)
def _real(*paths: Path) -> Template:
    scans = [oriented(from_nifti(path)) for path in paths]
    t1, grey, white = (_halved(scan.values.numpy().astype(np.float32) / 255) for scan in scans)
    outline = ndimage.binary_fill_holes(t1 > 0.1)
    step = np.diag([STEP, STEP, STEP, 1.0])  # the templates' own voxels are 1 mm wide
    step[:3, 3] = 0.5
    affine = scans[0].affine @ step
    return Template(_tissues(grey, white, outline, places(affine, t1.shape)), affine, "real")


def _halved(fine: Float[np.ndarray, "D H W"]) -> Float[np.ndarray, "d h w"]:
    """Means of 2 × 2 × 2 voxels; an odd last plane is repeated."""
    padded = np.pad(fine, [(0, n % 2) for n in fine.shape], mode="edge")
    return block_mean(padded, 2)


def block_mean(fine: Shaped[np.ndarray, "D H W"], k: int) -> Float[np.ndarray, "d h w"]:
    """Means of k × k × k voxels; every side is a multiple of k."""
    d, h, w = (n // k for n in fine.shape)
    blocks: np.ndarray = fine.reshape(d, k, h, k, w, k).mean((1, 3, 5), dtype=np.float32)
    return blocks


def places(affine: Affine, shape: tuple[int, ...]) -> Mm:
    """RAS+ mm of every voxel."""
    index = np.indices(shape).reshape(3, -1)
    mm: np.ndarray = affine[:3, :3] @ index + affine[:3, 3:]
    return mm.reshape(3, *shape).astype(np.float32)


def _tissues(grey: np.ndarray, white: np.ndarray, outline: np.ndarray, mm: Mm) -> Float[np.ndarray, "7 D H W"]:
    """All seven out of grey and white matter and the brain's outline; ``outline`` includes the fluid."""
    fluid = np.where(outline, np.clip(1 - grey - white, 0, 1), 0)
    away = ndimage.distance_transform_edt(~outline, sampling=STEP)
    vessel = (away > 0) & (away < 6) & _sinuses(mm)
    bone = (away >= 2) & (away < 8) & ~vessel
    scalp = (away >= 8) & (away < 14)
    return np.stack([grey, white, fluid, grey * _deep(mm), vessel, bone, scalp]).astype(np.float32)


def _deep(mm: Mm) -> Float[np.ndarray, "D H W"]:
    """1 in the middle of the deep nuclei of both sides, falling off within a centimetre."""
    bumps = [
        np.exp(-((np.abs(mm[0]) - x) ** 2 + (mm[1] - y) ** 2 + (mm[2] - z) ** 2) / (2 * 8**2)) for x, y, z in NUCLEI
    ]
    highest: np.ndarray = np.maximum.reduce(bumps)
    return highest


def _sinuses(mm: Mm) -> np.ndarray:
    """Near the midline above and behind, and level behind: the superior sagittal and the transverse sinuses."""
    x, y, z = mm
    sagittal: np.ndarray = (np.abs(x) < 4) & ((z > 40) | ((y < -60) & (z > -15)))
    transverse: np.ndarray = (np.abs(z + 18) < 4) & (y < -50) & (np.abs(x) < 55)
    either: np.ndarray = sagittal | transverse
    return either


@lru_cache(maxsize=2)
def phantom(note: str = "") -> Template:
    """A head of ellipsoids in the template's voxels: folded cortex, a fissure, ventricles, deep nuclei, cerebellum,
    brainstem.
    """
    affine = np.array([[0, 0, -STEP, 97.5], [0, -STEP, 0, 97.5], [STEP, 0, 0, -71.5], [0, 0, 0, 1]])
    mm = places(affine, (95, 117, 99))
    grey, white, outline = _ellipsoids(mm)
    soft_grey, soft_white = (ndimage.gaussian_filter(part.astype(np.float32), 0.6) for part in (grey, white))
    return Template(_tissues(soft_grey, soft_white, outline, mm), affine, "phantom", note)


def _ellipsoid(mm: Mm, middle: tuple[float, float, float], axes: tuple[float, float, float]) -> np.ndarray:
    """Distance from the middle as a share of the semi-axes: below 1 inside. The right side stands for both."""
    folded = np.stack([np.abs(mm[0]), mm[1], mm[2]])
    shift, scale = (np.array(v, np.float32)[:, None, None, None] for v in (middle, axes))
    radius: np.ndarray = np.sqrt((((folded - shift) / scale) ** 2).sum(0))
    return radius


def _ellipsoids(mm: Mm) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Grey, white and the whole, boolean."""
    x, y, z = mm
    rounded = np.stack([x, y, np.where(z < 14, 14 + (z - 14) * 1.4, z)])  # flatter below
    depth = 70 * (1 - _ellipsoid(rounded, (0, -17, 14), (67, 86, 66)))  # mm, about, below the surface of the cerebrum
    fold = np.cos(11 * np.arctan2(y + 17, x + 0.01)) * np.cos(0.28 * z) + 0.5 * np.cos(0.35 * y)
    cerebellum = _ellipsoid(mm, (22, -62, -40), (34, 30, 22)) < 1
    stem = np.hypot(x / 12, (y + 28 + 0.2 * z) / 13) < 1
    cerebrum = depth > 0
    gap = (np.abs(x) < 1.5) & (depth < 26) & (z > 0)
    ventricles = (_ellipsoid(mm, (9, -2, 16), (5, 27, 9)) < 1) | (_ellipsoid(mm, (24, -38, 12), (5, 14, 9)) < 1)
    sulci = (depth < 9) & (fold > 0.9)
    ribbon = (depth < 11 + 5 * fold) | ((np.abs(x) < 5) & (depth < 28) & (z > 0))
    deep = np.logical_or.reduce([_ellipsoid(mm, at, (6, 13, 9)) < 1 for at in NUCLEI])
    outline = cerebrum | cerebellum | (stem & (z < 0))
    tissue = outline & ~ventricles & ~((gap | sulci) & cerebrum)
    leaf = cerebellum & ~cerebrum & ~stem & (np.cos(0.9 * z + 0.3 * y) > -0.6)
    grey = tissue & ((cerebrum & (ribbon | deep)) | leaf)
    return grey, tissue & ~grey, outline
