"""A nodule of known shape set into a real CT, so that every voxel's share of nodule is known.

What a scanner would have seen is mixed voxel by voxel: share × nodule + (1 − share) × what was there. The share is the
volume of the shape within the voxel, so a thick slice blurs it as it blurs a real nodule; a Gaussian stands for the
point spread. Left out: it pushes nothing aside, pulls no pleura, no vessel leads to it; no calcium, no cavities.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped
from scipy import ndimage
from torch import Generator, Tensor

from ..readers.contours import SHAPE_MM, Nodule
from ..scan import Scan, cropped

# Where the HU of a nodule is drawn from, by the readers' median texture, 1 ground glass … 5 solid. Chosen by us.
HU_OF_TEXTURE = {1: (-680.0, -500.0), 2: (-600.0, -400.0), 3: (-450.0, -200.0), 4: (-200.0, 0.0), 5: (-50.0, 100.0)}
BLUR_MM = 0.5  # standard deviation of the point spread in the plane, a full width at half maximum of 1.2 mm
MOTTLE_HU, MOTTLE_MM = 15.0, 1.5  # standard deviation and width of the density's slow changes within a nodule
INSIDE = 0.5  # the share of a voxel from which on it counts as nodule
PARENCHYMA = -700.0  # HU: above this mean the place of a nodule is not air enough

Triple = tuple[float, float, float]


class Grown(NamedTuple):
    """The piece ``box`` of a scan with a nodule in it, float32, and each voxel's share of nodule."""

    box: tuple[slice, ...]
    scan: Scan
    occupancy: Float32[Tensor, "D H W"]


def grown(
    scan: Scan, free: Tensor, nodule: Nodule, index: np.ndarray, reach_mm: Triple, *, generator: Generator
) -> Grown | None:
    """What lies within ``reach_mm`` (d, h, w) of an index, with a nodule there laid in one of 48 ways; None if no room.

    It fits if every voxel at least half filled is free and the mean of what it replaces is at most -700 HU. The piece
    ends at the faces of the scan.
    """
    reach = np.array(reach_mm) / scan.spacing_mm
    low = np.maximum(np.floor(index - reach), 0).astype(int)
    high = np.minimum(np.ceil(index + reach) + 1, scan.values.shape).astype(int)
    box, part = tuple(map(slice, low, high)), cropped(scan, low, high - low)
    shape = turned(nodule.shape, generator=generator)
    share = occupancy(shape, part, index - low, blur_mm=BLUR_MM)
    hu = hu_of(nodule.median("texture"), generator=generator)
    white = torch.randn((2, *share.shape), generator=generator, dtype=torch.float64).numpy()
    before, weight = part.values.double().numpy(), share.double().numpy()
    replaced = (weight * before).sum() / max(weight.sum(), 1e-9)
    if replaced > PARENCHYMA or bool(((share >= INSIDE) & ~free[box]).any()):
        return None
    values = mixed(before, weight, part.spacing_mm, hu, noise_of(part.values), white)
    return Grown(box, replace(part, values=torch.from_numpy(values.astype(np.float32))), share)


def turned(shape: Shaped[Tensor, "d h w"], *, generator: Generator) -> Shaped[Tensor, "_ _ _"]:
    """One of the 48 ways to lay the axes of a cube, drawn at random: no voxel changes its value."""
    order = torch.randperm(3, generator=generator).tolist()
    mirrored = [axis for axis in range(3) if int(torch.randint(2, (1,), generator=generator))]
    return shape.permute(order).flip(mirrored)


def occupancy(
    shape: Bool[Tensor, "d h w"], grid: Scan, centre: np.ndarray, *, shape_mm: float = SHAPE_MM, blur_mm: float = 0.0
) -> Float32[Tensor, "D H W"]:
    """The share of each voxel of a grid that the shape fills: exact overlaps of boxes, then a Gaussian of ``blur_mm``.

    ``shape`` has voxels of ``shape_mm``, and its middle at ``centre``, an index of the grid that may lie between
    voxels. All of the shape that lies within the grid is counted, so occupancy × voxel is its volume.
    """
    share = shape.numpy().astype(np.float64)
    for axis, (count, step, middle) in enumerate(zip(grid.values.shape, grid.spacing_mm, centre)):
        sheets = np.moveaxis(share, axis, 0)  # of the shape, each of constant value
        total = np.concatenate([np.zeros_like(sheets[:1]), np.cumsum(sheets, 0)])
        faces = (np.arange(count + 1) - 0.5 - middle) * step / shape_mm + len(sheets) / 2  # in voxels of the shape
        place = faces.clip(0, len(sheets))
        low = np.minimum(place.astype(np.int64), len(sheets) - 1)
        up_to = total[low] + (place - low)[:, None, None] * sheets[low]
        share = np.moveaxis(np.diff(up_to, axis=0), 0, axis) * shape_mm / step
    if blur_mm:
        share = ndimage.gaussian_filter(share, [blur_mm / step for step in grid.spacing_mm], mode="constant")
    return torch.from_numpy(share.clip(0, 1).astype(np.float32))


def noise_of(values: Float[Tensor, "D H W"]) -> float:
    """The standard deviation of the noise in HU, by the median of |voxel − mean of its two neighbours in the row|.

    The difference cancels slow changes, and vessels and edges hardly move a median. Noise that is alike in neighbours
    is underrated.
    """
    row = values.double().numpy()
    rough = row[..., 1:-1] - (row[..., :-2] + row[..., 2:]) / 2  # of white noise: 1 + 2/4 of its variance
    return float(np.median(np.abs(rough)) * 1.4826 / np.sqrt(1.5))


def hu_of(texture: float, *, generator: Generator) -> float:
    """A density by the readers' median texture: solid −50 … 100 HU, mixed and ground glass lower."""
    low, high = HU_OF_TEXTURE[int(np.clip(np.floor(texture + 0.5), 1, 5))]
    return low + (high - low) * float(torch.rand(1, generator=generator, dtype=torch.float64))


def mixed(
    values: np.ndarray, share: np.ndarray, spacing_mm: Triple, hu: float, noise: float, white: np.ndarray
) -> np.ndarray:
    """share × nodule + (1 − share) × values, with mottling and noise made of ``white`` (2, D, H, W).

    The mixing leaves (1 − share)² of the noise's variance; what is added makes up for the rest.
    """
    mottle = _coloured(white[0], MOTTLE_MM, spacing_mm) * MOTTLE_HU
    grain = _coloured(white[1], BLUR_MM, spacing_mm) * noise
    return np.asarray(values + share * (hu + mottle - values) + np.sqrt(share * (2 - share)) * grain)


def _coloured(white: np.ndarray, width_mm: float, spacing_mm: Triple) -> np.ndarray:
    """White noise smoothed to a width, of standard deviation 1 again."""
    sigmas = [width_mm / step for step in spacing_mm]  # in voxels
    kept = 1.0  # of the standard deviation, by the smoothing along each axis
    for sigma in sigmas:
        impulse = np.zeros(8 * int(np.ceil(sigma)) + 9)
        impulse[len(impulse) // 2] = 1
        kept *= float(np.linalg.norm(ndimage.gaussian_filter1d(impulse, sigma)))
    return np.asarray(ndimage.gaussian_filter(white, sigmas, mode="wrap") / kept)
