"""Nodule or vessel: the second stage of a nodule detector, which looks at each candidate and says what it is.

The nodules have shapes that radiologists drew (LIDC-IDRI), set into a real CT; the vessels are that CT's own. The
network must not tell the classes by how they were made: nodules are set in beside vessels, on the scan's own grid with
its thick slices, and only then is a patch of either class read, by the same lines and the same draws. What is left are
the nodule's own shape, size and density.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int16, Int64
from scipy import ndimage
from torch import Generator, Tensor

from ... import _check
from .. import readers
from ..items import Items
from ..readers import luna16
from ..readers.contours import Nodule
from ..scan import Scan
from ..seeds import PARTS, Part, part_of, stream
from ..simulated.nodules_in_ct import grown
from . import ground, lidc
from .scans import LUNG, SPLIT, box, window

TRIES = 200  # places tried for one nodule
DIAMETER_MM = 4.0, 12.0  # of the nodules
VOXEL_MM = 1.0  # of the patches
SHIFT_MM = 2.0  # how far at most a candidate lies off the middle of its patch, along each axis


class Candidate(NamedTuple):
    """``patch`` (1, D, H, W) float32 windowed to [0, 1]; ``label`` 1 for a nodule, 0 for a vessel; ``diameter_mm``."""

    patch: Float32[Tensor, "1 D H W"]
    label: Int64[Tensor, ""]
    diameter_mm: Float32[Tensor, ""]


@dataclass(frozen=True, eq=False)
class Candidates(Items[Candidate], what="a candidate"):
    """Stacked patches, and a map-style data set of :class:`Candidate`.

    ``patches`` (N, 1, D, H, W) int16 in HU with axes SPL before turning; ``labels`` (N,) 1 nodule, 0 vessel;
    ``diameter_mm`` (N,): of a nodule the readers' longest diameter in a slice, of a vessel an estimate (``vessels``),
    NaN where unknown; ``patients`` whose shape or vessel it is; ``scans`` which scan it lies in; ``world`` (N, 3) its
    place there, RAS+ mm.
    """

    patches: Int16[Tensor, "N 1 D H W"]
    labels: Int64[Tensor, "N"]
    diameter_mm: Float32[Tensor, "N"]
    patients: tuple[str, ...]
    scans: tuple[str, ...]
    world: Float64[np.ndarray, "N 3"]
    spacing_mm: float
    source: str
    note: str

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> Candidate:
        return Candidate(window(self.patches[index], **LUNG), self.labels[index], self.diameter_mm[index])

    def windowed(self) -> Float32[Tensor, "N 1 D H W"]:
        """All patches in [0, 1]."""
        return window(self.patches, **LUNG)


class Cut(NamedTuple):
    """How patches are cut, the same for both classes. ``slice_mm`` None leaves the scan's own slices."""

    size: int
    slice_mm: float | None = None


class Row(NamedTuple):
    """One candidate before it is stacked: the fields of :class:`Candidates`."""

    patch: np.ndarray
    nodule: bool
    diameter_mm: float
    patient: str
    scan: str
    world: np.ndarray


def nodules(
    *, split: Part, count: int = 800, size: int = 24, slice_mm: float | None = None, seed: int = 0
) -> Candidates:
    """``count`` candidates of one part, half of them nodules, in random order.

    ``train`` is ``lung1`` with shapes of LIDC's training patients, ``test`` is ``lung2`` with the others.
    Patches are cubes of ``size`` voxels of 1 mm, the candidate within 2 mm of the middle along each axis.
    ``slice_mm`` averages over slices of that thickness before the patch is read; the two CTs have slices of 5 mm to
    begin with, so 5 mm on top makes them thicker still. Nodules have 4 to 12 mm and at least three readers; where
    there are fewer nodules or vessels than asked for, some come more than once.

    With ``COURSEKIT_LUNA16`` set, both classes come from its candidates list, nodules of any size and what a detector
    took for one, split by ``seeds.part_of`` the series. Raises ``DataMissing`` without the nodules of LIDC-IDRI.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("count, size and slice_mm", (count, size, 1 if slice_mm is None else slice_mm))
    cut = Cut(size, slice_mm)
    folder = readers.folder("COURSEKIT_LUNA16")
    if folder is not None:
        return _stacked(_of_luna16(folder, split, count, cut, seed), seed, "real", f"LUNA16 in {folder.name}")
    lung, shapes = ground.of(split), lidc.nodules(split=split, diameter_mm=DIAMETER_MM)
    turns = stream(seed, "candidates", split)
    chosen_shapes = drawn(len(shapes), count // 2, turns)
    chosen_vessels = drawn(len(lung.vessels), count - count // 2, turns)
    rows = [_nodule(lung, shapes[k], cut, split, stream(seed, split, "nodule", i)) for i, k in enumerate(chosen_shapes)]
    for i, k in enumerate(chosen_vessels):
        world, diameter_mm = lung.vessels.world[k], float(lung.vessels.diameter_mm[k])
        patch = read_patch(lung.ct.scan, world, cut, generator=stream(seed, split, "vessel", i))
        rows.append(Row(patch, False, diameter_mm, SPLIT[split], SPLIT[split], world))
    return _stacked(rows, seed, lung.ct.source, lung.ct.note or "LIDC-IDRI shapes in two real CTs")


def drawn(pool: int, count: int, generator: Generator) -> list[int]:
    """``count`` of ``pool``, each as often as any other as far as that goes."""
    if not pool:
        raise _check.refuse("candidates of both classes", "none of one", "unpack more of the subsets")
    rounds = [torch.randperm(pool, generator=generator) for _ in range(-(-count // pool))]
    return torch.cat([torch.empty(0, dtype=torch.int64), *rounds])[:count].tolist()


def _stacked(rows: list[Row], seed: int, source: str, note: str) -> Candidates:
    """In random order."""
    rows = [rows[i] for i in torch.randperm(len(rows), generator=stream(seed, "order")).tolist()]
    patches, nodule, diameters, patients, scans, world = zip(*rows)
    stacked = torch.from_numpy(np.stack(patches)[:, None].round().astype(np.int16))
    labels, sizes = torch.tensor(nodule).long(), torch.tensor(diameters, dtype=torch.float32)
    return Candidates(stacked, labels, sizes, patients, scans, np.stack(world), VOXEL_MM, source, note)


# --- one candidate ---


def _nodule(lung: ground.Ground, shape: Nodule, cut: Cut, split: Part, generator: Generator) -> Row:
    reach = cut.size * VOXEL_MM / 2 + SHIFT_MM + 2 * (cut.slice_mm or 0) + 2
    for _ in range(TRIES):
        world = _beside(lung.vessels, shape.diameter_mm / 2, generator)
        index = lung.ct.scan.index(world[None])[0]
        nearest = np.round(index).astype(int)
        if (nearest < 0).any() or (nearest >= lung.free.shape).any() or not lung.free[*nearest]:
            continue
        new = grown(lung.ct.scan, lung.free, shape, index, (reach,) * 3, generator=generator)
        if new is not None:
            patch = read_patch(new.scan, world, cut, generator=generator)
            return Row(patch, True, shape.diameter_mm, shape.patient, SPLIT[split], world)
    raise _check.refuse(f"room for a nodule of {shape.diameter_mm:.0f} mm", "none found", "take another seed")


def _beside(vessels: ground.Vessels, radius_mm: float, generator: Generator) -> np.ndarray:
    """A place next to a vessel, so that nodules have the neighbours that vessels have: world mm."""
    which, gap = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    way = torch.randn(3, generator=generator, dtype=torch.float64).numpy()
    row = int(which * len(vessels))
    apart = radius_mm + vessels.diameter_mm[row] / 2 + 4 * gap
    return np.asarray(vessels.world[row] + apart * way / np.linalg.norm(way))


def read_patch(scan: Scan, world: np.ndarray, cut: Cut, *, generator: Generator) -> np.ndarray:
    """The patch (D, H, W) in HU of a candidate of either class, by the same draws, so that they carry no label.

    Shifted, turned by quarters in its slice and mirrored along each axis, all at random.
    """
    draw = torch.rand(8, generator=generator, dtype=torch.float64).numpy()
    middle = scan.index((world + (2 * draw[:3] - 1) * SHIFT_MM)[None])[0]
    if cut.slice_mm is None:
        read = box(scan, middle, (cut.size,) * 3, (VOXEL_MM,) * 3).values.numpy()
    else:
        read = in_thick_slices(scan, middle, cut.size, cut.slice_mm, phase=float(draw[7]) - 0.5)
    flips = tuple(axis for axis, chance in enumerate(draw[4:7]) if chance < 0.5)
    return np.flip(np.rot90(read, int(4 * draw[3]), (1, 2)), flips)


def in_thick_slices(scan: Scan, middle: np.ndarray, size: int, slice_mm: float, *, phase: float) -> np.ndarray:
    """The patch as slices of ``slice_mm`` would show it: averages over slices, then linear between them.

    ``phase`` is how far the middle lies off a slice, in slices.
    """
    samples = int(np.ceil(2 * slice_mm / VOXEL_MM))  # a slice
    slices = int(np.ceil(size * VOXEL_MM / slice_mm)) + 3
    centre = middle + np.array([phase * slice_mm / scan.spacing_mm[0], 0, 0])
    fine = box(scan, centre, (slices * samples, size, size), (slice_mm / samples, VOXEL_MM, VOXEL_MM)).values.numpy()
    planes = fine.reshape(slices, samples, size, size).mean(1)
    step = VOXEL_MM / slice_mm
    first = (slices - 1) / 2 - phase - step * (size - 1) / 2
    grid = {"matrix": (step, 1, 1), "offset": (first, 0, 0), "output_shape": (size,) * 3}
    return np.asarray(ndimage.affine_transform(planes, **grid, order=1, mode="nearest"))


# --- LUNA16 ---


def _of_luna16(folder: Path, split: Part, count: int, cut: Cut, seed: int) -> list[Row]:
    """Its detectors' own proposals of one part, half of them nodules, the others out of the same series.

    Each series that is needed is read once, one at a time.
    """
    series = {uid: path for uid, path in luna16.series(folder).items() if part_of(uid) == split}
    proposed = [one for one in luna16.proposals(folder) if one.series in series]
    turns = stream(seed, "luna16", split)
    hits = [one for one in proposed if one.nodule]
    if not hits:
        got = f"none in {len(series)} scans"
        raise _check.refuse(f"nodules among the candidates of the {split} part", got, "unpack more of the subsets")
    chosen = [hits[k] for k in drawn(len(hits), count // 2, turns)]
    near = {one.series for one in chosen}
    others = [one for one in proposed if not one.nodule and one.series in near]
    chosen += [others[k] for k in drawn(len(others), count - len(chosen), turns)]
    annotated, rows = luna16.annotations(folder), {}
    for uid in dict.fromkeys(one.series for one in chosen):
        scan = luna16.scan(series[uid])
        for number, one in enumerate(chosen):
            if one.series == uid:
                patch = read_patch(scan, one.world, cut, generator=stream(seed, uid, number))
                rows[number] = Row(patch, one.nodule, diameter_of(one, annotated), uid, uid, one.world)
    return [rows[number] for number in range(len(chosen))]


def diameter_of(one: luna16.Proposal, annotated: list[luna16.Annotation]) -> float:
    """That of the annotation it lies in; unknown, NaN, for what is no nodule."""
    near = (a for a in annotated if one.nodule and a.series == one.series)
    return next((a.diameter_mm for a in near if np.linalg.norm(one.world - a.world) <= a.diameter_mm / 2), np.nan)
