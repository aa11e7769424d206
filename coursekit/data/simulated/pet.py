"""PET of a brain tumour, simulated: a population template in the shape of a new person, lesions, a simple scanner.

Tracer and size are those of Blanc-Durand et al., Automatic lesion detection and segmentation of 18F-FET PET in
gliomas: a full 3D U-Net convolutional neural network study, PLoS ONE 13(4), 2018. Theirs are patients; ours are not.
The template is ICBM 152 of 2009, an average of many healthy brains (Fonov et al., Unbiased average age-appropriate
atlases for pediatric studies, NeuroImage 54(1), 2011). It shows the brain alone; the shells around it are drawn here.
"""

import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from scipy import ndimage

from ...ops import warp
from .. import fetch
from ..scan import Affine, from_nifti, oriented
from ..seeds import stream
from . import lesions
from .lesions import Blob, block_mean

SHAPE = (40, 64, 64)  # (D, H, W)
VOXEL_MM = 4.25
MIDDLE_MM = (0.0, -17.0, 13.0)  # of the brain, RAS+
# SUV of the mean person's tissues: a flat background, veins and scalp brighter; "deep" is counted besides the grey
UPTAKE = {"grey": 1.0, "white": 0.8, "fluid": 0.5, "deep": 0.1, "vessel": 2.2, "bone": 0.8, "scalp": 1.2}
RATIO = (1.5, 3.5)  # of a lesion's uptake to grey matter's
NUMBER = (0.1, 0.45, 0.3, 0.15)  # chance of 0, 1, 2, 3 lesions
TILT, SCALING, SHIFT_MM, BEND_MM = (0.05, 0.02, 0.02), 0.035, 2.0, 2.5  # sd: radians about RAS, share, mm, mm
PSF_MM, FILTER_MM = 5.5, 5.0  # full width at half maximum of positron range and detectors, and of the reconstruction
SENSITIVITY = 50.0  # counts in a voxel per SUV
TEMPLATE_MM = 2.0  # voxels of the template as used here
NUCLEI = ((26, 2, 2), (12, 14, 8), (11, -18, 8))  # putamen, caudate, thalamus of the right side: RAS+ mm
NUCLEUS_MM = 8  # their sd


class Lesion(NamedTuple):
    centre_mm: tuple[float, float, float]  # of mass, RAS+
    volume_ml: float  # on a grid four times finer than the image
    uptake: float  # SUV before the scanner


def template() -> tuple[Float[np.ndarray, "7 D H W"], Affine]:
    """The share of each voxel that each tissue of ``UPTAKE`` fills, axes SPL, and their affine.

    Read once and kept: do not write into them. Raises ``DataMissing`` without the template's files.
    """
    return _read(*map(fetch.path, ("template_t1", "template_gm", "template_wm")))


@lru_cache(maxsize=1)
def _read(*paths: Path) -> tuple[Float[np.ndarray, "7 D H W"], Affine]:
    scans = [oriented(from_nifti(path)) for path in paths]
    padding = [(0, n % 2) for n in scans[0].values.shape]  # an odd last plane is repeated
    t1, grey, white = (
        block_mean(np.pad(scan.values.numpy().astype(np.float32) / 255, padding, mode="edge"), 2) for scan in scans
    )
    step = np.diag([TEMPLATE_MM, TEMPLATE_MM, TEMPLATE_MM, 1.0])  # the files' own voxels are 1 mm wide
    step[:3, 3] = 0.5
    affine = scans[0].affine @ step
    x, y, z = places(affine, t1.shape)
    away = [((np.abs(x) - a) ** 2 + (y - b) ** 2 + (z - c) ** 2) / (2 * NUCLEUS_MM**2) for a, b, c in NUCLEI]
    deep = grey * np.exp(-np.minimum.reduce(away))
    brain = ndimage.binary_fill_holes(t1 > 0.1)
    fluid = np.where(brain, np.clip(1 - grey - white, 0, 1), 0)
    sagittal = (np.abs(x) < 4) & ((z > 40) | ((y < -60) & (z > -15)))  # sinuses: near the midline above and behind,
    transverse = (np.abs(z + 18) < 4) & (y < -50) & (np.abs(x) < 55)  # and level behind
    outside = ndimage.distance_transform_edt(~brain, sampling=TEMPLATE_MM)
    vessel = (outside > 0) & (outside < 6) & (sagittal | transverse)
    bone = (outside >= 2) & (outside < 8) & ~vessel
    scalp = (outside >= 8) & (outside < 14)
    return np.stack([grey, white, fluid, deep, vessel, bone, scalp]).astype(np.float32), affine


def places(affine: Affine, shape: tuple[int, ...]) -> Float[np.ndarray, "3 D H W"]:
    """RAS+ mm of every voxel."""
    mm = affine[:3, :3] @ np.indices(shape).reshape(3, -1) + affine[:3, 3:]
    return np.asarray(mm.reshape(3, *shape), np.float32)


def grid(voxel_mm: float = VOXEL_MM) -> Affine:
    """The affine of the images, axes SPL: the same box of 170 × 272 × 272 mm around the brain at any voxel size."""
    size = np.array(SHAPE) * VOXEL_MM
    affine = np.eye(4)[[2, 1, 0, 3]] * [voxel_mm, -voxel_mm, -voxel_mm, 1]
    corner = np.array(MIDDLE_MM) + np.array([1, 1, -1]) * size[::-1] / 2  # right, front and below
    affine[:3, 3] = corner + affine[:3, :3] @ np.full(3, 0.5)
    return affine


def person(
    seed: int, split: str, index: int
) -> tuple[Float[np.ndarray, "40 64 64"], Int[np.ndarray, "40 64 64"], tuple[Lesion, ...]]:
    """Image in SUV, labels (0 none, 1 … n the lesions) and lesions of one person, made from the arguments alone.

    By numpy: its arithmetic does not depend on the number of threads.
    """
    body, dose = (
        np.random.default_rng(stream("pet", seed, split, index, *more).initial_seed()) for more in ((), ("FET",))
    )
    suv = {tissue: value * math.exp(0.05 * dose.standard_normal()) for tissue, value in UPTAKE.items()}
    scale = math.exp(0.1 * dose.standard_normal())  # of the whole person
    tissues, affine = template()
    activity = np.tensordot([scale * value for value in suv.values()], tissues, 1)
    brain = tissues[:3].sum(0)  # grey, white, fluid
    activity, brain = _deformed(np.stack([activity, brain]).astype(np.float32), affine, body)
    uneven, lopsided = _smooth(body), np.float32(body.standard_normal())
    sides = np.linspace(-1, 1, activity.shape[2], dtype=np.float32)
    activity *= np.exp(0.06 * uneven + 0.04 * lopsided * sides)
    count = int(body.choice(len(NUMBER), p=NUMBER))
    blobs, labels = lesions.scatter(count, brain > 0.5, voxel_mm=VOXEL_MM, rng=body)
    uptakes = [scale * suv["grey"] * dose.uniform(*RATIO) for _ in blobs]
    image = scanned(implanted(activity, blobs, uptakes), rng=dose)
    return image, labels, tuple(map(record, blobs, uptakes))


def record(blob: Blob, uptake: float) -> Lesion:
    x, y, z = (float(v) for v in grid()[:3] @ [*blob.centre(), 1])
    return Lesion((x, y, z), blob.volume_ml(VOXEL_MM), uptake)


def _deformed(
    maps: Float[np.ndarray, "C D H W"], affine: Affine, rng: np.random.Generator
) -> Float[np.ndarray, "C D2 H2 W2"]:
    """The template's maps in the shape of a new person, at half the image's voxels.

    What the template does not show below its last plane is that plane again.
    """
    tilt, scaling = rng.normal(0, TILT), rng.normal(1, SCALING, 3)
    bend = np.stack([_smooth(rng) for _ in range(3)]).reshape(3, -1)
    shift = rng.normal(0, SHIFT_MM, (3, 1)).astype(np.float32)
    shape = np.linalg.inv(lesions.rotation(tilt) @ np.diag(scaling)).astype(np.float32)
    source = shape @ (_places() - shift) + np.float32(BEND_MM) * bend
    back = np.linalg.inv(affine).astype(np.float32)
    index = (back[:3, :3] @ source + back[:3, 3:]).reshape(1, 3, *(2 * n for n in SHAPE))
    return np.asarray(warp.sample(torch.from_numpy(maps)[None], torch.from_numpy(index))[0])


@lru_cache(maxsize=1)
def _places() -> Float[np.ndarray, "3 voxels"]:
    """RAS+ mm of every voxel at half the image's voxels."""
    return places(grid(VOXEL_MM / 2), tuple(2 * n for n in SHAPE)).reshape(3, -1)


def _smooth(rng: np.random.Generator) -> Float[np.ndarray, "D2 H2 W2"]:
    """A smooth random field of about unit size at half the image's voxels, its bumps some 5 cm wide."""
    coarse = ndimage.zoom(rng.standard_normal((5, 8, 8)), 4, order=3, grid_mode=True, mode="nearest")
    field = torch.from_numpy(coarse.astype(np.float32))[None, None]
    return np.asarray(F.interpolate(field, scale_factor=4, mode="trilinear")[0, 0])


def implanted(
    activity: Float[np.ndarray, "D2 H2 W2"], blobs: list[Blob], uptakes: list[float]
) -> Float[np.ndarray, "D2 H2 W2"]:
    """The activity with each blob's uptake in place of what was there, by the share of the voxel that it fills."""
    with_lesions = activity.copy()
    for blob, uptake in zip(blobs, uptakes):
        share, window = block_mean(blob.fine, lesions.FINE // 2), blob.window(2)
        with_lesions[window] = (1 - share) * with_lesions[window] + share * np.float32(uptake)
    return with_lesions


def blurred(activity: Float[np.ndarray, "D H W"], fwhm_mm: float, voxel_mm: float) -> Float[np.ndarray, "D H W"]:
    """Gaussian of a full width at half maximum, no more and no less, except across the edge of the image."""
    sigma = fwhm_mm / voxel_mm / math.sqrt(8 * math.log(2))
    return np.asarray(ndimage.gaussian_filter(activity, sigma, mode="constant"))


def scanned(
    activity: Float[np.ndarray, "D2 H2 W2"], *, rng: np.random.Generator, sensitivity: float = SENSITIVITY
) -> Float[np.ndarray, "D H W"]:
    """What a simple scanner makes of the activity, in the same unit: spread, binned, counted, smoothed.

    ``sensitivity`` stands for dose and time. Counts are Poisson in the image, not in the projections.
    """
    true = block_mean(blurred(activity, PSF_MM, VOXEL_MM / 2), 2)
    counts = rng.poisson(true.clip(0) * sensitivity).astype(np.float32)
    return blurred(counts / np.float32(sensitivity), FILTER_MM, VOXEL_MM)
