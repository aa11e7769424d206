"""Nodule or vessel: the second stage of a nodule detector, which looks at each candidate and says what it is.

The nodules have shapes that radiologists drew (LIDC-IDRI), set into a real CT; the vessels are that CT's own. The
network must not tell the classes by how they were made: nodules are set in beside vessels, on the scan's own grid with
its thick slices, and only then is a patch of either class read, by the same lines and the same draws. What is left are
the nodule's own shape, size and density.
"""

import itertools
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int16, Int64
from torch import Generator, Tensor

from ... import _check
from .. import readers
from ..readers import luna16
from ..readers.contours import Nodule
from ..scan import Scan
from ..seeds import PARTS, Part, part_of, stream
from ..simulated.nodules_in_ct import grown
from . import ground, lidc
from .scans import SPLIT, patch
from .thin_slices import PATIENT

TRIES = 200  # places tried for one nodule
DIAMETER_MM = 4.0, 12.0  # of the nodules
VOXEL_MM = 1.0  # of the patches
SHIFT_MM = 2.0  # how far at most a candidate lies off the middle of its patch, along each axis


@dataclass(frozen=True, eq=False)
class Candidates:
    """Stacked patches (N, 1, D, H, W) int16 in HU, axes SPL before turning, voxels of 1 mm.

    ``labels`` (N,) 1 nodule, 0 vessel; ``diameter_mm`` (N,): of a nodule the readers' longest diameter in a slice, of a
    vessel an estimate, NaN in LUNA16; ``patients`` whose shape or vessel it is; ``world`` (N, 3) its place, RAS+ mm.
    """

    patches: Int16[Tensor, "N 1 D H W"]
    labels: Int64[Tensor, "N"]
    diameter_mm: Float32[Tensor, "N"]
    patients: tuple[str, ...]
    world: Float64[np.ndarray, "N 3"]
    source: str
    note: str


class Row(NamedTuple):
    """One candidate before it is stacked: the fields of :class:`Candidates`."""

    patch: np.ndarray
    label: int
    diameter_mm: float
    patient: str
    world: np.ndarray


def nodules(
    *, split: Part, count: int = 800, size: int = 24, seed: int = 0, slice_mm: float | None = None
) -> Candidates:
    """``count`` candidates of one part, half of them nodules, in random order.

    ``train`` is ``lung1`` with shapes of LIDC's training patients, ``test`` is ``lung2`` with the others; with
    ``slice_mm`` they are the lungs of one patient, see ``ground.of``.
    Patches are cubes of ``size`` voxels of 1 mm, the candidate within 2 mm of the middle along each axis. Nodules have
    4 to 12 mm and at least three readers; where there are fewer nodules or vessels than asked for, some come again.

    With ``COURSEKIT_LUNA16`` set, both classes come from its candidates list, nodules of any size and what a detector
    took for one, split by ``seeds.part_of`` the series. Raises ``DataMissing`` without the nodules of LIDC-IDRI.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("count and size", (count, size))
    folder = readers.folder("COURSEKIT_LUNA16")
    if folder is not None:
        return _stacked(_of_luna16(folder, split, count, size, seed), seed, "real", f"LUNA16 in {folder.name}")
    lung, shapes = ground.of(split, slice_mm=slice_mm), lidc.nodules(split=split, diameter_mm=DIAMETER_MM)
    owner = SPLIT[split] if slice_mm is None else PATIENT
    places, diameters = lung.vessels
    turns = stream(seed, "candidates", split)
    chosen_shapes = drawn(len(shapes), count // 2, turns)
    chosen_vessels = drawn(len(places), count - count // 2, turns)
    rows = [_nodule(lung, shapes[k], size, stream(seed, split, "nodule", i)) for i, k in enumerate(chosen_shapes)]
    for i, k in enumerate(chosen_vessels):
        cube = read_patch(lung.ct.scan, places[k], size, generator=stream(seed, split, "vessel", i))
        rows.append(Row(cube, 0, float(diameters[k]), owner, places[k]))
    return _stacked(rows, seed, lung.ct.source, lung.ct.note or "LIDC-IDRI shapes in real CTs")


def drawn(pool: int, count: int, generator: Generator) -> list[int]:
    """``count`` of ``pool``, each as often as any other as far as that goes."""
    if not pool:
        raise _check.refuse("candidates of both classes", "none of one", "unpack more of the subsets")
    rounds = [torch.randperm(pool, generator=generator).tolist() for _ in range(-(-count // pool))]
    return list(itertools.chain(*rounds))[:count]


def _stacked(rows: list[Row], seed: int, source: str, note: str) -> Candidates:
    """In random order."""
    rows = [rows[i] for i in torch.randperm(len(rows), generator=stream(seed, "order")).tolist()]
    patches, labels, diameters, patients, world = zip(*rows)
    stacked = torch.from_numpy(np.stack(patches)[:, None].round().astype(np.int16))
    sizes = torch.tensor(diameters, dtype=torch.float32)
    return Candidates(stacked, torch.tensor(labels), sizes, patients, np.stack(world), source, note)


def _nodule(lung: ground.Ground, shape: Nodule, size: int, generator: Generator) -> Row:
    """Set in next to a vessel, so that nodules have the neighbours that vessels have."""
    scan, (places, diameters) = lung.ct.scan, lung.vessels
    reach = size * VOXEL_MM / 2 + SHIFT_MM + 2
    for _ in range(TRIES):
        which, gap = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
        way = torch.randn(3, generator=generator, dtype=torch.float64).numpy()
        row = int(which * len(places))
        apart = shape.diameter_mm / 2 + diameters[row] / 2 + 4 * gap
        world = places[row] + apart * way / np.linalg.norm(way)
        index = scan.index(world[None])[0]
        nearest = np.round(index).astype(int)
        if (nearest < 0).any() or (nearest >= lung.free.shape).any() or not lung.free[*nearest]:
            continue
        new = grown(scan, lung.free, shape, index, (reach,) * 3, generator=generator)
        if new is not None:
            cube = read_patch(new.scan, world, size, generator=generator)
            return Row(cube, 1, shape.diameter_mm, shape.patient, world)
    raise _check.refuse(f"room for a nodule of {shape.diameter_mm:.0f} mm", "none found", "take another seed")


def read_patch(scan: Scan, world: np.ndarray, size: int, *, generator: Generator) -> np.ndarray:
    """The patch (D, H, W) in HU of a candidate of either class, by the same draws, so that they carry no label.

    Shifted, turned by quarters in its slice and mirrored along each axis, all at random.
    """
    draw = torch.rand(7, generator=generator, dtype=torch.float64).numpy()
    read = patch(scan, world + (2 * draw[:3] - 1) * SHIFT_MM, size, spacing_mm=VOXEL_MM).values.numpy()
    flips = tuple(axis for axis, chance in enumerate(draw[4:]) if chance < 0.5)
    return np.flip(np.rot90(read, int(4 * draw[3]), (1, 2)), flips)


def _of_luna16(folder: Path, split: Part, count: int, size: int, seed: int) -> list[Row]:
    """Its detectors' own proposals of one part, half of them nodules, the others out of the same series."""
    series = {uid: path for uid, path in luna16.series(folder).items() if part_of(uid) == split}
    proposed = [one for one in luna16.proposals(folder) if one.series in series]
    turns = stream(seed, "luna16", split)
    hits = [one for one in proposed if one.nodule]
    chosen = [hits[k] for k in drawn(len(hits), count // 2, turns)]
    near = {one.series for one in chosen}
    others = [one for one in proposed if not one.nodule and one.series in near]
    chosen += [others[k] for k in drawn(len(others), count - len(chosen), turns)]
    scan, rows = lru_cache(maxsize=1)(luna16.scan), []
    for number, one in sorted(enumerate(chosen), key=lambda pair: pair[1].series):  # each series is read once
        generator = stream(seed, one.series, number)
        cube = read_patch(scan(series[one.series]), one.world, size, generator=generator)
        rows.append(Row(cube, int(one.nodule), np.nan, one.series, one.world))
    return rows
