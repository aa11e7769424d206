"""Slices of CT with nodules to be found, for a detector in two dimensions such as Mask R-CNN (Liu et al. 2018).

Each is a square out of one slice of a part's CT, on the scan's own pixels, with nodules of LIDC shapes set into it in
three dimensions, so that thick slices blur them as they blur a real one. The tumour that the CT came with is an
instance too, wherever it is in view.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float32, Int64
from scipy import ndimage
from torch import Generator, Tensor

from ... import _check
from .. import nuclei
from ..scan import Scan, cropped
from ..seeds import PARTS, Part, stream
from . import ground, lidc
from .readings import Nodule
from .scans import LUNG, SPLIT, Range, window

TRIES = 60  # places tried for one nodule; if none fits, it is left out
LEAST = 12  # pixels of a nodule in the slice
HALF_SLICES = 2  # on each side of the slice, what nodules are set into
TUMOUR_SHARE = 0.15  # of the squares lie at the CT's own tumour


class SliceItem(NamedTuple):
    """``image`` (1, H, W) float32 windowed to [0, 1], ``labels`` (H, W) 0 background, 1 … n the nodules, ``boxes`` (n,
    4) half-open.
    """

    image: Float32[Tensor, "1 H W"]
    labels: Int64[Tensor, "H W"]
    boxes: Float32[Tensor, "n 4"]


@dataclass(frozen=True, eq=False)
class Slices:
    """Stacked squares, and a map-style data set of :class:`SliceItem`; the number of boxes differs, so batch them in
    a list.

    ``images`` (N, 1, H, W) float32 in [0, 1], ``labels`` (N, H, W) int64; ``real`` (N,) whether the CT's own tumour
    is in view; ``patients`` whose shapes were set in; ``planes`` (N,) which slice of the scan; ``spacing_mm`` of rows
    and columns.
    """

    images: Float32[Tensor, "N 1 H W"]
    labels: Int64[Tensor, "N H W"]
    real: Bool[Tensor, "N"]
    patients: tuple[tuple[str, ...], ...]
    planes: tuple[int, ...]
    scan: str
    spacing_mm: tuple[float, float]
    source: str
    note: str = ""

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: SupportsIndex) -> SliceItem:
        index = _check.index("a slice", index, len(self))
        return SliceItem(self.images[index], self.labels[index], nuclei.boxes(self.labels[index]))


class Made(NamedTuple):
    image: Tensor
    labels: Tensor
    real: bool
    patients: tuple[str, ...]
    plane: int


def slices(
    *,
    split: Part,
    count: int = 200,
    size: int = 128,
    seed: int = 0,
    most: int = 3,
    diameter_mm: tuple[float, float] = (5.0, 20.0),
    shown: Range = LUNG,
    allow_phantom: bool = True,
) -> Slices:
    """``count`` squares of ``size`` pixels (0.57 or 0.63 mm) with 0 to ``most`` nodules set in, and the real tumour
    in about one of seven.

    ``train`` is ``lung1`` with shapes of LIDC's training patients, ``test`` is ``lung2`` with the others. A pixel is
    a nodule's if half of its voxel is, and a nodule has at least 12 pixels in its slice. Raises ``DataMissing`` if
    ``allow_phantom`` is false and a file is missing.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("count and size", (count, size))
    _check.positive("most", most, zero=True)
    here = ground.of(split, allow_phantom=allow_phantom)
    if size > min(here.free.shape[1:]):
        raise _check.refuse(f"a square of at most {min(here.free.shape[1:])} pixels", size, "take a smaller one")
    shapes = lidc.nodules(split=split, diameter_mm=diameter_mm, allow_phantom=allow_phantom)
    made = [_square(here, shapes.items, size, most, shown, stream(seed, "slices", split, i)) for i in range(count)]
    phantom = [one for one in (here.ct, shapes) if one.source == "phantom"]
    source, note = ("phantom", phantom[0].note) if phantom else ("real", "LIDC-IDRI shapes in two real CTs")
    return Slices(
        torch.stack([one.image for one in made]),
        torch.stack([one.labels for one in made]),
        torch.tensor([one.real for one in made]),
        tuple(one.patients for one in made),
        tuple(one.plane for one in made),
        SPLIT[split],
        here.ct.scan.spacing_mm[1:],
        source,
        note,
    )


def _square(
    here: ground.Ground, shapes: Sequence[Nodule], size: int, most: int, shown: Range, generator: Generator
) -> Made:
    draw = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    inside = here.ct.label.values if draw[0] < TUMOUR_SHARE else here.free
    start = _start(inside, here.free.shape, size, generator)
    slab = cropped(here.ct.scan, start, (2 * HALF_SLICES + 1, size, size))
    box = tuple(slice(a, a + n) for a, n in zip(start, slab.values.shape))
    free, tumour = here.free[box].clone(), here.ct.label.values[box][HALF_SLICES]
    labels, patients = _instances(tumour), []
    for _ in range(int(draw[1] * (most + 1))):
        shape = shapes[int(torch.randint(len(shapes), (1,), generator=generator))]
        new = _fitted(slab, free, shape, generator)
        if new is not None:
            slab, mask = new.scan, new.occupancy >= 0.5
            labels = torch.where(mask[HALF_SLICES], labels.max() + 1, labels)
            free &= ~torch.from_numpy(ndimage.binary_dilation((new.occupancy > 0).numpy(), iterations=2))
            patients.append(shape.patient)
    image, labels = nuclei.turn(slab.values[HALF_SLICES], labels, generator=generator)
    return Made(window(image, **shown)[None], labels, bool(tumour.any()), tuple(patients), start[0] + HALF_SLICES)


def _start(inside: Tensor, shape: Sequence[int], size: int, generator: Generator) -> tuple[int, int, int]:
    """The first voxel of a slab whose middle slice holds, a fifth of its side or more from its edges, a voxel drawn
    from the mask.
    """
    edge = HALF_SLICES
    pool = inside[edge : len(inside) - edge].flatten().nonzero()[:, 0]
    draw = torch.rand(3, generator=generator, dtype=torch.float64).tolist()
    d, h, w = np.unravel_index(int(pool[int(draw[0] * len(pool))]), (shape[0] - 2 * edge, *shape[1:]))
    row, column = (
        int(np.clip(at - (0.2 + 0.6 * part) * size, 0, n - size)) for at, part, n in zip((h, w), draw[1:], shape[1:])
    )
    return int(d), row, column


def _instances(mask: Tensor) -> Tensor:
    pieces, _ = ndimage.label(mask.numpy(), np.ones((3, 3)))
    size = np.bincount(pieces.ravel())
    size[0] = LEAST
    return nuclei.relabel(torch.from_numpy(np.where(size[pieces] >= LEAST, pieces, 0).astype(np.int64)))


def _fitted(slab: Scan, free: Tensor, shape: Nodule, generator: Generator) -> ground.Grown | None:
    """The slab with the nodule at a place where it fits and shows in the middle slice; nothing if none was found."""
    places = free[HALF_SLICES].nonzero().numpy()
    for _ in range(TRIES if len(places) else 0):
        draw = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        index = np.array([HALF_SLICES + draw[0] - 0.5, *places[int(draw[1] * len(places))]])
        part, box = ground.piece(slab, index, (np.inf, *(shape.diameter_mm + 4,) * 2))
        new = ground.grown(part, free[box], shape, index - [side.start for side in box], generator=generator)
        if new is not None and int((new.occupancy[HALF_SLICES] >= 0.5).sum()) >= LEAST:
            values, share = slab.values.clone(), torch.zeros_like(slab.values)
            values[box], share[box] = new.scan.values, new.occupancy
            return ground.Grown(Scan(values, slab.affine, slab.unit), share)
    return None
