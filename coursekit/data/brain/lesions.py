"""Irregular blobs of a known volume, laid into a brain so that their number, volume and place are the truth."""

import math
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from ... import _check
from .template import block_mean

FINE = 4  # voxels of the lesion's own grid in one voxel of the image, along each axis
LEAST_ML, MOST_ML = 0.3, 30.0
TRIES = 200
TOUCH = np.ones((3, 3, 3), bool)  # diagonal neighbours are neighbours


class Blob(NamedTuple):
    """``fine`` the lesion in sub-voxels, in the window of image voxels that begins at ``start``."""

    fine: Bool[np.ndarray, "D4 H4 W4"]
    start: Int[np.ndarray, "3"]

    @property
    def window(self) -> tuple[slice, ...]:
        return tuple(slice(int(a), int(a) + n // FINE) for a, n in zip(self.start, self.fine.shape))

    def share(self, k: int) -> Float[np.ndarray, "D H W"]:
        """How much of each block of k sub-voxels is lesion."""
        return block_mean(self.fine, k)

    def volume_ml(self, voxel_mm: float) -> float:
        return int(self.fine.sum()) * (voxel_mm / FINE) ** 3 / 1000

    def centre(self) -> Float[np.ndarray, "3"]:
        """The centre of mass in voxel indices of the image."""
        middle: np.ndarray = np.argwhere(self.fine).mean(0)
        return self.start + (middle + 0.5) / FINE - 0.5


def blob(volume_ml: float, centre: Float[np.ndarray, "3"], *, voxel_mm: float, rng: np.random.Generator) -> Blob:
    """An ellipsoid turned at random whose surface is pushed in and out by smooth noise, in one piece without holes.

    ``centre`` in voxel indices of the image. The surface is taken at the level that gives the volume asked for, then
    loose pieces go.
    """
    step = voxel_mm / FINE
    radius = (3000 * volume_ml / (4 * math.pi)) ** (1 / 3)  # mm
    reach = math.ceil((2 * radius + voxel_mm) / voxel_mm)  # image voxels on each side
    start = np.round(centre).astype(int) - reach
    size = (2 * reach + 1) * FINE
    mm = np.indices((size,) * 3).reshape(3, -1) * step - ((centre - start + 0.5) * voxel_mm - step / 2)[:, None]
    axes = np.exp(0.25 * rng.standard_normal(3))
    distance = np.sqrt(((rotation(rng.uniform(0, 2 * math.pi, 3)).T @ mm) ** 2 / (axes**2)[:, None]).sum(0)).reshape(
        (size,) * 3
    )
    noise = ndimage.gaussian_filter(rng.standard_normal(distance.shape), 0.35 * radius / step)
    field = distance * np.exp(0.2 * noise / noise.std())
    count = round(1000 * volume_ml / step**3)
    return _trimmed(_one_piece(field <= np.partition(field, count - 1, axis=None)[count - 1]), start)


def rotation(angles: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Turn about the first, second and third axis, in radians, one after the other."""
    out = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(3)
        turn[[a, b], [a, b]], turn[a, b], turn[b, a] = math.cos(angle), -math.sin(angle), math.sin(angle)
        out = turn @ out
    return out


def _one_piece(mask: Bool[np.ndarray, "D H W"]) -> Bool[np.ndarray, "D H W"]:
    """The largest connected piece, its holes filled."""
    pieces, count = ndimage.label(mask)
    largest = mask if count < 2 else pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
    filled: np.ndarray = ndimage.binary_fill_holes(largest)
    return filled


def _trimmed(fine: Bool[np.ndarray, "D H W"], start: Int[np.ndarray, "3"]) -> Blob:
    """Cut to the smallest window of whole image voxels."""
    if not fine.any():
        return Blob(fine[:0, :0, :0], start)
    lit = np.argwhere(fine)
    low, high = lit.min(0) // FINE, lit.max(0) // FINE + 1
    window = tuple(slice(int(a) * FINE, int(b) * FINE) for a, b in zip(low, high))
    return Blob(fine[window], start + low)


def scatter(
    count: int, brain: Bool[np.ndarray, "D2 H2 W2"], *, voxel_mm: float, rng: np.random.Generator
) -> tuple[list[Blob], Int[np.ndarray, "D H W"]]:
    """Lay ``count`` blobs into ``brain`` (a mask at half the image's voxels): returns them and the labels at the
    image's voxels, 0 none.

    Diameters are drawn uniformly, for volumes of 0.3 to 30 ml. At least three quarters of a blob fall inside the
    brain; the rest is cut away. An image voxel belongs to a lesion that fills at least half of it; each is one piece
    there, and no two touch, not even at a corner. Raises ``ValueError`` if there is no room for so many.
    """
    labels = np.zeros([n // 2 for n in brain.shape], np.int64)
    taken, inside = labels > 0, np.argwhere(brain)
    found: list[Blob] = []
    for _ in range(TRIES * count):
        centre = (inside[rng.integers(len(inside))] + rng.random(3)) / 2 - 0.5
        volume = rng.uniform(LEAST_ML ** (1 / 3), MOST_ML ** (1 / 3)) ** 3
        new = _inside(blob(volume, centre, voxel_mm=voxel_mm, rng=rng), brain)
        if (
            new is not None
            and LEAST_ML <= new.volume_ml(voxel_mm) <= MOST_ML
            and _lay(labels, taken, new, len(found) + 1)
        ):
            found.append(new)
        if len(found) == count:
            return found, labels
    if count:
        raise _check.refuse(f"room for {count} lesions", f"{len(found)} after {TRIES * count} tries", "ask for fewer")
    return found, labels


def _inside(new: Blob, brain: Bool[np.ndarray, "D2 H2 W2"]) -> Blob | None:
    """The part of the blob in the brain; none if that is less than three quarters or the blob leaves the image."""
    limit = np.array(brain.shape) // 2
    if (new.start < 0).any() or (new.start + np.array(new.fine.shape) // FINE > limit).any():
        return None
    around = brain[tuple(slice(2 * w.start, 2 * w.stop) for w in new.window)]
    kept = new.fine & around.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    return _trimmed(_one_piece(kept), new.start) if 4 * kept.sum() >= 3 * new.fine.sum() else None


def _lay(labels: Int[np.ndarray, "D H W"], taken: Bool[np.ndarray, "D H W"], new: Blob, label: int) -> bool:
    """Write the label where the blob fills half a voxel, unless it would be in pieces or come near another; ``taken``:
    any share at all.
    """
    mask, reached = np.zeros_like(taken), np.zeros_like(taken)
    share = new.share(FINE)
    mask[new.window], reached[new.window] = share >= 0.5, share > 0
    if ndimage.label(mask, TOUCH)[1] != 1 or (taken & ndimage.binary_dilation(reached, TOUCH)).any():
        return False
    labels[mask] = label
    taken |= reached
    return True
