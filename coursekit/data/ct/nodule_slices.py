"""Slices of CT with nodules to be found, for a detector in two dimensions such as Mask R-CNN (Liu et al. 2018).

Each is a square out of one slice of a part's CT, on the scan's own pixels, with nodules of LIDC shapes set into it in
three dimensions, so that thick slices blur them as they blur a real one. The tumour that the CT came with is an
instance too, wherever it is in view.
"""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage
from torch import Generator, Tensor

from ... import _check
from .. import nuclei
from ..items import Items
from ..readers.contours import Nodule
from ..scan import Scan, cropped
from ..seeds import PARTS, Part, stream
from ..simulated.nodules_in_ct import INSIDE, grown
from . import ground, lidc
from .scans import LUNG, SPLIT, window

MOST = 3  # nodules set into a square
DIAMETER_MM = 5.0, 20.0  # of the nodules
TRIES = 60  # places tried for one nodule; if none fits, it is left out
LEAST = 12  # pixels of a nodule in the slice
HALF_SLICES = 2  # on each side of the slice, what nodules are set into
TUMOUR_SHARE = 0.15  # of the squares lie at the CT's own tumour


class SliceItem(NamedTuple):
    """``image`` (1, H, W) float32 in [0, 1], ``labels`` (H, W) 0 background, 1 … n the nodules, ``boxes`` (n, 4)."""

    image: Float32[Tensor, "1 H W"]
    labels: Int64[Tensor, "H W"]
    boxes: Float32[Tensor, "n 4"]


@dataclass(frozen=True, eq=False)
class Slices(Items[SliceItem], what="a slice"):
    """Stacked squares, and a map-style data set of :class:`SliceItem`; the number of boxes differs, so batch in lists.

    ``images`` (N, 1, H, W) float32 in [0, 1], ``labels`` (N, H, W) int64; ``real`` (N,) whether the CT's own tumour
    is in view; ``planes`` (N,) which slice of the scan; ``spacing_mm`` of rows and columns.
    """

    images: Float32[Tensor, "N 1 H W"]
    labels: Int64[Tensor, "N H W"]
    real: Bool[Tensor, "N"]
    planes: tuple[int, ...]
    scan: str
    spacing_mm: tuple[float, float]
    source: str
    note: str

    def __len__(self) -> int:
        return len(self.images)

    def item(self, index: int) -> SliceItem:
        return SliceItem(self.images[index], self.labels[index], nuclei.boxes(self.labels[index]))


def slices(*, split: Part, count: int = 200, size: int = 128, seed: int = 0) -> Slices:
    """``count`` squares of ``size`` pixels (0.57 or 0.63 mm) with up to three nodules of 5 to 20 mm set in.

    The real tumour is in view in about one of seven. ``train`` is ``lung1`` with shapes of LIDC's training patients,
    ``test`` is ``lung2`` with the others. A pixel is a nodule's if half of its voxel is, and a nodule has at least 12
    pixels in its slice. Raises ``DataMissing`` without the nodules of LIDC-IDRI.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("count and size", (count, size))
    lung = ground.of(split)
    if size > min(lung.free.shape[1:]):
        raise _check.refuse(f"a square of at most {min(lung.free.shape[1:])} pixels", size, "take a smaller one")
    shapes = lidc.nodules(split=split, diameter_mm=DIAMETER_MM)
    squares = [_square(lung, shapes, size, stream(seed, "slices", split, i)) for i in range(count)]
    images, labels, real, planes = zip(*squares)
    stacked = torch.stack(images), torch.stack(labels), torch.tensor(real)
    spacing, note = lung.ct.scan.spacing_mm[1:], lung.ct.note or "LIDC-IDRI shapes in two real CTs"
    return Slices(*stacked, planes, SPLIT[split], spacing, lung.ct.source, note)


def _square(
    lung: ground.Ground, shapes: tuple[Nodule, ...], size: int, generator: Generator
) -> tuple[Tensor, Tensor, bool, int]:
    """Image, labels, whether the tumour is in view, and which plane."""
    where, how_many, _ = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    inside = lung.ct.label.values if where < TUMOUR_SHARE else lung.free
    planes, *sides = inside.shape
    pool = inside[HALF_SLICES : planes - HALF_SLICES].flatten().nonzero()[:, 0]
    which, *shares = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    first, *place = np.unravel_index(int(pool[int(which * len(pool))]), (planes - 2 * HALF_SLICES, *sides))
    # the voxel drawn lies a fifth of the side or more from the edges of the square
    corner = [int(np.clip(at - (0.2 + 0.6 * s) * size, 0, n - size)) for at, s, n in zip(place, shares, sides)]
    start = [int(first), *corner]
    slab = cropped(lung.ct.scan, start, (2 * HALF_SLICES + 1, size, size))
    box = tuple(slice(a, a + n) for a, n in zip(start, slab.values.shape))
    free, tumour = lung.free[box].clone(), lung.ct.label.values[box][HALF_SLICES]
    pieces, _ = ndimage.label(tumour.numpy(), np.ones((3, 3)))
    large = np.flatnonzero(np.bincount(pieces.ravel()) >= LEAST)
    labels = nuclei.relabel(torch.from_numpy(np.where(np.isin(pieces, large), pieces, 0)).long())
    for _ in range(int(how_many * (MOST + 1))):
        shape = shapes[int(torch.randint(len(shapes), (1,), generator=generator))]
        new = _fitted(slab, free, shape, generator)
        if new is not None:
            slab, share = new
            labels = torch.where(share[HALF_SLICES] >= INSIDE, labels.max() + 1, labels)
            free &= ~torch.from_numpy(ndimage.binary_dilation((share > 0).numpy(), iterations=2))
    image, labels = nuclei.turn(slab.values[HALF_SLICES], labels, generator=generator)
    return window(image, **LUNG)[None], labels, bool(tumour.any()), start[0] + HALF_SLICES


def _fitted(slab: Scan, free: Tensor, shape: Nodule, generator: Generator) -> tuple[Scan, Tensor] | None:
    """The slab with the nodule where it fits and shows in the middle slice, and the shares; None if no room."""
    places = free[HALF_SLICES].nonzero().numpy()
    for _ in range(TRIES if len(places) else 0):
        depth, which = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        index = np.array([HALF_SLICES + depth - 0.5, *places[int(which * len(places))]])
        reach_mm = (np.inf, *(shape.diameter_mm + 4,) * 2)
        new = grown(slab, free, shape, index, reach_mm, generator=generator)
        if new is not None and int((new.occupancy[HALF_SLICES] >= INSIDE).sum()) >= LEAST:
            values, share = slab.values.clone(), torch.zeros_like(slab.values)
            values[new.box], share[new.box] = new.scan.values, new.occupancy
            return replace(slab, values=values), share
    return None
