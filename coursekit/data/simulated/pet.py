"""PET of a brain tumour, simulated: a population template in the shape of a new person, lesions, a simple scanner.

Tracer and size are those of Blanc-Durand et al., Automatic lesion detection and segmentation of 18F-FET PET in
gliomas: a full 3D U-Net convolutional neural network study, PLoS ONE 13(4), 2018. Theirs are patients; ours are not.
The template is ICBM 152 of 2009, an average of many healthy brains (Fonov et al., Unbiased average age-appropriate
atlases for pediatric studies, NeuroImage 54(1), 2011). It shows the brain alone; the shells around it are drawn here.
People and lesions are drawn at half the image's voxels (D2, H2, W2); axes are SPL throughout.
"""

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from .. import fetch
from ..scan import Affine, Scan, from_nifti, oriented, resampled
from ..seeds import stream

SHAPE = (40, 64, 64)  # (D, H, W)
VOXEL_MM = 4.25
HALF_SHAPE, HALF_MM = (80, 128, 128), VOXEL_MM / 2
TEMPLATE_MM = 2.0  # voxels of the template as used here; its files' are 1 mm wide
MIDDLE_MM = (0.0, -17.0, 13.0)  # of the brain, RAS+, and of every image
# SUV of the mean person's tissues: a flat background, veins and scalp brighter
UPTAKE = {"grey": 1.0, "white": 0.8, "fluid": 0.5, "vessel": 2.2, "bone": 0.8, "scalp": 1.2}
DOSE, OF_TISSUE, UNEVEN = 0.1, 0.05, 0.06  # sd of log SUV: from person to person, tissue to tissue, place to place
STRETCH, SHIFT_MM, BEND_MM = 0.03, 2.0, 2.5  # sd of what turns the template into a person
NUMBER = (0.1, 0.45, 0.3, 0.15)  # chance of 0, 1, 2, 3 lesions
RATIO = (1.4, 3.0)  # of a lesion's uptake to grey matter's
RADIUS_MM, LEAST = (4.5, 19.0), 4  # 0.4 to 29 ml before stretching; voxels
LESION_STRETCH, LESION_ROUGH = 0.2, 0.25  # sd of what turns a ball into a lesion: of its axes, of its log radius
BUMPS_MM, SURFACE_MM = 20.0, 6.0  # smoothing of random fields: of bends and uptake, of a lesion's surface
TOUCH = np.ones((3, 3, 3), bool)  # diagonal neighbours are neighbours
PSF_MM, FILTER_MM = 5.5, 5.0  # full width at half maximum of positron range and detectors, and of the reconstruction
SENSITIVITY = 50.0  # counts in a voxel per SUV


@lru_cache(maxsize=1)
def template() -> tuple[Float[np.ndarray, "6 D H W"], Affine]:
    """The share of each voxel that each tissue of ``UPTAKE`` fills, axes SPL, and their affine.

    Read once and kept: do not write into them. Raises ``DataMissing`` without the template's files.
    """
    scans = [oriented(from_nifti(fetch.path(f"template_{kind}"))) for kind in ("t1", "gm", "wm")]
    t1, grey, white = (resampled(scan, (TEMPLATE_MM,) * 3) for scan in scans)
    brain = ndimage.binary_fill_holes(t1.values.numpy() > 0.1 * 255)
    shares = [tissue.values.numpy() / 255 for tissue in (grey, white)]
    fluid = np.where(brain, np.clip(1 - sum(shares), 0, 1), 0)
    x, y, z = t1.world(np.argwhere(np.ones(brain.shape))).T.reshape(3, *brain.shape)
    sagittal = (np.abs(x) < 4) & ((z > 40) | ((y < -60) & (z > -15)))  # sinuses: near the midline above and behind,
    transverse = (np.abs(z + 18) < 4) & (y < -50) & (np.abs(x) < 55)  # and level behind
    outside = ndimage.distance_transform_edt(~brain, sampling=TEMPLATE_MM)
    vessel = (outside > 0) & (outside < 6) & (sagittal | transverse)
    bone = (outside >= 2) & (outside < 8) & ~vessel
    scalp = (outside >= 8) & (outside < 14)
    return np.stack([*shares, fluid, vessel, bone, scalp]).astype(np.float32), t1.affine


def person(seed: int, split: str, index: int) -> tuple[Float[np.ndarray, "40 64 64"], Int[np.ndarray, "40 64 64"]]:
    """Image in SUV and labels, 0 none, 1 … n the lesions, of one person, made from the arguments alone."""
    rng = np.random.default_rng(stream("pet", seed, split, index).initial_seed())
    tissues, _ = template()
    dose, of_tissue = rng.normal(0, DOSE), rng.normal(0, OF_TISSUE, len(UPTAKE))
    suv = np.exp(dose + of_tissue) * list(UPTAKE.values())
    activity, brain = deformed(np.stack([np.tensordot(suv, tissues, 1), tissues[:3].sum(0)]), rng)
    activity *= np.exp(UNEVEN * smooth(BUMPS_MM, rng))
    count = int(rng.choice(len(NUMBER), p=NUMBER))
    ratio, labels = lesions(count, brain > 0.5, rng)
    return scanned(np.where(ratio > 0, suv[0] * ratio, activity), rng), labels


@lru_cache(maxsize=1)
def places() -> Float[np.ndarray, "3 D2 H2 W2"]:
    """mm of each half voxel from the middle of the image, along (D, H, W)."""
    middle = (np.array(HALF_SHAPE).reshape(3, 1, 1, 1) - 1) / 2
    return np.asarray((np.indices(HALF_SHAPE) - middle) * HALF_MM, np.float32)


def smooth(width_mm: float, rng: np.random.Generator) -> Float[np.ndarray, "D2 H2 W2"]:
    """White noise of four half voxels, Gaussian smoothed by ``width_mm``, of unit size."""
    noise = rng.standard_normal([n // 4 for n in HALF_SHAPE])
    coarse = ndimage.gaussian_filter(noise, width_mm / (4 * HALF_MM), mode="wrap")
    field = torch.from_numpy(coarse / coarse.std()).float()[None, None]
    return np.asarray(F.interpolate(field, scale_factor=4, mode="trilinear")[0, 0])


def deformed(maps: Float[np.ndarray, "C D H W"], rng: np.random.Generator) -> Float[np.ndarray, "C D2 H2 W2"]:
    """The template's maps stretched, tilted, moved and bent into a new person.

    What the template does not show below its last plane is that plane again.
    """
    stretch = np.eye(3) + rng.normal(0, STRETCH, (3, 3))
    shift = rng.normal(0, SHIFT_MM, (3, 1, 1, 1))
    bend = BEND_MM * np.stack([smooth(BUMPS_MM, rng) for _ in range(3)])
    middle = Scan(torch.from_numpy(maps[0]), template()[1]).index(np.array([MIDDLE_MM])).reshape(3, 1, 1, 1)
    index = middle + (np.tensordot(stretch, places(), 1) + shift + bend) / TEMPLATE_MM
    return np.stack([ndimage.map_coordinates(one, index, np.float32, order=1, mode="nearest") for one in maps])


def lesions(
    count: int, brain: Bool[np.ndarray, "D2 H2 W2"], rng: np.random.Generator
) -> tuple[Float[np.ndarray, "D2 H2 W2"], Int[np.ndarray, "D H W"]]:
    """``count`` irregular lesions in a brain: their uptake over grey matter's, 0 elsewhere, and their labels.

    Radii are drawn uniformly; what lies outside the brain is cut away. An image voxel belongs to a lesion that fills at
    least half of it. Each is one piece there of at least ``LEAST`` voxels, and no two touch, not even at a corner.
    """
    ratio, labels = np.zeros(brain.shape, np.float32), np.zeros(SHAPE, np.int64)
    inside, rough = np.argwhere(brain), np.exp(LESION_ROUGH * smooth(SURFACE_MM, rng))
    while labels.max() < count:
        centre = places()[:, *inside[rng.integers(len(inside))]].reshape(3, 1, 1, 1)
        radius, uptake = rng.uniform(*RADIUS_MM), rng.uniform(*RATIO)
        stretch = np.eye(3, dtype=np.float32) + rng.normal(0, LESION_STRETCH, (3, 3)).astype(np.float32)
        distance = np.linalg.norm(np.tensordot(stretch, places() - centre, 1), axis=0)
        body = (distance < radius * rough) & brain
        share = block_mean(body)
        mask, reached = share >= 0.5, ndimage.binary_dilation(share > 0, TOUCH)
        in_one_piece = ndimage.label(body)[1] == ndimage.label(mask, TOUCH)[1] == 1
        if in_one_piece and mask.sum() >= LEAST and not (block_mean(ratio)[reached] > 0).any():
            ratio[body], labels[mask] = uptake, labels.max() + 1
    return ratio, labels


def block_mean(fine: Shaped[np.ndarray, "D2 H2 W2"]) -> Float[np.ndarray, "D H W"]:
    """Means of 2 × 2 × 2 half voxels."""
    d, h, w = (n // 2 for n in fine.shape)
    return np.asarray(fine.reshape(d, 2, h, 2, w, 2).mean((1, 3, 5), dtype=np.float32))


def blurred(activity: Float[np.ndarray, "D H W"], fwhm_mm: float, voxel_mm: float) -> Float[np.ndarray, "D H W"]:
    """Gaussian of a full width at half maximum, no more and no less, except across the edge of the image."""
    sigma = fwhm_mm / voxel_mm / math.sqrt(8 * math.log(2))
    return np.asarray(ndimage.gaussian_filter(activity, sigma, mode="constant"))


def scanned(activity: Float[np.ndarray, "D2 H2 W2"], rng: np.random.Generator) -> Float[np.ndarray, "D H W"]:
    """What a simple scanner makes of the activity, in the same unit: spread, binned, counted, smoothed.

    ``SENSITIVITY`` stands for dose and time. Counts are Poisson in the image, not in the projections.
    """
    true = block_mean(blurred(activity.astype(np.float32), PSF_MM, HALF_MM))
    counts = rng.poisson(true * SENSITIVITY).astype(np.float32)
    return blurred(counts / np.float32(SENSITIVITY), FILTER_MM, VOXEL_MM)
