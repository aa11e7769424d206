"""Irregular blobs of a known volume, laid into a brain so that their number, volume and place are the truth."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped
from scipy import ndimage

from ... import _check

FINE = 4  # voxels of the lesion's own grid in one voxel of the image, along each axis
LEAST_ML, MOST_ML = 0.3, 30.0
INSIDE = 0.75  # share of a blob that must lie in the brain; the rest is cut away
TRIES = 200
TOUCH = np.ones((3, 3, 3), bool)  # diagonal neighbours are neighbours


class Blob(NamedTuple):
    """``fine`` the lesion in sub-voxels, in the window of image voxels that begins at ``start``."""

    fine: Bool[np.ndarray, "D4 H4 W4"]
    start: Int[np.ndarray, "3"]

    def window(self, k: int = 1) -> tuple[slice, ...]:
        """Where it lies in an array of k voxels an image voxel."""
        return tuple(slice(k * int(a), k * (int(a) + n // FINE)) for a, n in zip(self.start, self.fine.shape))

    def volume_ml(self, voxel_mm: float) -> float:
        return int(self.fine.sum()) * (voxel_mm / FINE) ** 3 / 1000

    def centre(self) -> Float[np.ndarray, "3"]:
        """The centre of mass in voxel indices of the image."""
        return np.asarray(self.start + (np.argwhere(self.fine).mean(0) + 0.5) / FINE - 0.5)


def block_mean(fine: Shaped[np.ndarray, "D H W"], k: int) -> Float[np.ndarray, "d h w"]:
    """Means of k × k × k voxels; every side is a multiple of k."""
    d, h, w = (n // k for n in fine.shape)
    return np.asarray(fine.reshape(d, k, h, k, w, k).mean((1, 3, 5), dtype=np.float32))


def rotation(angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Turn about the first, second and third axis, in radians, one after the other."""
    whole = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, b], [a, b]], turn[a, b], turn[b, a] = math.cos(angle), -math.sin(angle), math.sin(angle)
        whole = turn @ whole
    return whole


def blob(volume_ml: float, centre: Float[np.ndarray, "3"], *, voxel_mm: float, rng: np.random.Generator) -> Blob:
    """An ellipsoid turned at random whose surface is pushed in and out by smooth noise, in one piece without holes.

    ``centre`` in voxel indices of the image. The surface is taken at the level that gives the volume asked for, then
    loose pieces go.
    """
    step = voxel_mm / FINE
    radius = (3000 * volume_ml / (4 * math.pi)) ** (1 / 3)  # mm
    reach = math.ceil((2 * radius + voxel_mm) / voxel_mm)  # image voxels on each side
    start = np.round(centre).astype(int) - reach
    shape = ((2 * reach + 1) * FINE,) * 3
    axes, angles = np.exp(0.25 * rng.standard_normal(3)), rng.uniform(0, 2 * math.pi, 3)
    noise = ndimage.gaussian_filter(rng.standard_normal(shape), 0.35 * radius / step)
    mm = np.indices(shape).reshape(3, -1) * step - ((centre - start + 0.5) * voxel_mm - step / 2)[:, None]
    distance = np.sqrt(((rotation(angles).T @ mm) ** 2 / (axes**2)[:, None]).sum(0)).reshape(shape)
    field = distance * np.exp(0.2 * noise / noise.std())
    count = round(1000 * volume_ml / step**3)
    return _one_piece(field <= np.partition(field, count - 1, axis=None)[count - 1], start)


def _one_piece(fine: Bool[np.ndarray, "D H W"], start: Int[np.ndarray, "3"]) -> Blob:
    """The largest connected piece, its holes filled, in the smallest window of whole image voxels."""
    pieces, _ = ndimage.label(fine)
    piece = ndimage.binary_fill_holes(pieces == 1 + np.bincount(pieces.ravel())[1:].argmax())
    lit = np.argwhere(piece)
    low, high = lit.min(0) // FINE, lit.max(0) // FINE + 1
    return Blob(piece[tuple(slice(FINE * a, FINE * b) for a, b in zip(low, high))], start + low)


def scatter(
    count: int, brain: Bool[np.ndarray, "D2 H2 W2"], *, voxel_mm: float, rng: np.random.Generator
) -> tuple[list[Blob], Int[np.ndarray, "D H W"]]:
    """Lay ``count`` blobs into ``brain``, a mask at half the image's voxels: the blobs, and their numbers at these.

    Diameters are drawn uniformly, for volumes of 0.3 to 30 ml; what of a blob lies outside the brain is cut away. An
    image voxel belongs to a lesion that fills at least half of it; each is one piece there, and no two touch, not even
    at a corner. Raises ``ValueError`` if there is no room for so many.
    """
    labels = np.zeros([n // 2 for n in brain.shape], np.int64)
    taken, inside = labels > 0, np.argwhere(brain)
    blobs: list[Blob] = []
    for _ in range(TRIES * count):
        voxel, shift = inside[rng.integers(len(inside))], rng.random(3)
        volume = rng.uniform(LEAST_ML ** (1 / 3), MOST_ML ** (1 / 3)) ** 3
        kept = _cut(blob(volume, (voxel + shift) / 2 - 0.5, voxel_mm=voxel_mm, rng=rng), brain)
        large_enough = kept is not None and LEAST_ML <= kept.volume_ml(voxel_mm) <= MOST_ML
        if kept is not None and large_enough and lay(labels, taken, kept, len(blobs) + 1):
            blobs.append(kept)
        if len(blobs) == count:
            break
    if len(blobs) < count:
        raise _check.refuse(f"room for {count} lesions", f"{len(blobs)} after {TRIES * count} tries", "ask for fewer")
    return blobs, labels


def _cut(whole: Blob, brain: Bool[np.ndarray, "D2 H2 W2"]) -> Blob | None:
    """The part of a blob in the brain; none if that is too little or the blob leaves the image."""
    if (whole.start < 0).any() or any(w.stop > n for w, n in zip(whole.window(2), brain.shape)):
        return None
    kept = whole.fine & brain[whole.window(2)].repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return _one_piece(kept, whole.start) if kept.sum() >= INSIDE * whole.fine.sum() else None


def lay(labels: Int[np.ndarray, "D H W"], taken: Bool[np.ndarray, "D H W"], blob: Blob, number: int) -> bool:
    """Write the number where the blob fills half a voxel, and mark as ``taken`` where it fills any share at all.

    Nothing is written if it would be in pieces or come near another.
    """
    mask, reached = np.zeros_like(taken), np.zeros_like(taken)
    share = block_mean(blob.fine, FINE)
    mask[blob.window()], reached[blob.window()] = share >= 0.5, share > 0
    if ndimage.label(mask, TOUCH)[1] != 1 or (taken & ndimage.binary_dilation(reached, TOUCH)).any():
        return False
    labels[mask] = number
    taken |= reached
    return True
