"""Nodule or vessel: the second stage of a nodule detector, which looks at each candidate and says what it is.

The nodules have shapes that radiologists drew (LIDC-IDRI), set into a real CT; the vessels are that CT's own. What is
of ``train`` comes from ``lung1`` and from the LIDC patients of the training part, what is of ``test`` from ``lung2``
and the others.

The network must not tell the classes by how they were made. So nodules are set in beside vessels, on the scan's own
grid with its thick slices, and only then is a patch of either class read, shifted, turned and mirrored, all by the
same lines and the same draws. What is left are the nodule's own shape, size and density.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int16, Int64
from torch import Generator, Tensor

from ... import _check
from .. import readers
from ..seeds import PARTS, Part, stream
from . import ground, lidc, luna
from .cut import Cut, Made, drawn, read_patch
from .readings import Nodule
from .scans import LUNG, SPLIT, Range, window
from .vessels import Vessels

TRIES = 200  # places tried for one nodule
HARD_SHARE = 1 / 3  # of all vessels, the ones with the roundest cross-section


class Candidate(NamedTuple):
    """``patch`` (1, D, H, W) float32 windowed to [0, 1]; ``label`` 1 for a nodule, 0 for a vessel; ``diameter_mm``."""

    patch: Float32[Tensor, "1 D H W"]
    label: Int64[Tensor, ""]
    diameter_mm: Float32[Tensor, ""]


@dataclass(frozen=True, eq=False)
class Candidates:
    """Stacked patches, and a map-style data set of :class:`Candidate`.

    ``patches`` (N, 1, D, H, W) int16 in HU with axes SPL before turning; ``labels`` (N,) 1 nodule, 0 vessel;
    ``diameter_mm`` (N,): of a nodule the readers' longest diameter in a slice, of a vessel an estimate (``vessels``),
    NaN where unknown; ``patients`` whose shape or vessel it is; ``scans`` which scan it lies in; ``world`` (N, 3) its
    place there, RAS+ mm. ``shown`` is the window of the items.
    """

    patches: Int16[Tensor, "N 1 D H W"]
    labels: Int64[Tensor, "N"]
    diameter_mm: Float32[Tensor, "N"]
    patients: tuple[str, ...]
    scans: tuple[str, ...]
    world: Float64[np.ndarray, "N 3"]
    spacing_mm: float
    source: str
    note: str = ""
    shown: Range = field(default_factory=LUNG.copy)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: SupportsIndex) -> Candidate:
        index = _check.index("a candidate", index, len(self))
        return Candidate(window(self.patches[index], **self.shown), self.labels[index], self.diameter_mm[index])

    def windowed(self) -> Float32[Tensor, "N 1 D H W"]:
        """All patches in [0, 1]."""
        return window(self.patches, **self.shown)


def nodules(
    *,
    split: Part,
    count: int = 800,
    size: int = 24,
    spacing_mm: float = 1.0,
    seed: int = 0,
    hard: bool = False,
    slice_mm: float | None = None,
    shift_mm: float = 2.0,
    diameter_mm: tuple[float, float] = (4.0, 12.0),
    allow_phantom: bool = True,
) -> Candidates:
    """``count`` candidates of one part, half of them nodules, in random order.

    Patches are cubes of ``size`` voxels of ``spacing_mm``, the candidate's centre within ``shift_mm`` of the middle
    along each axis. ``hard`` takes the third of the vessels that are roundest in their slice. ``slice_mm`` averages
    over slices of that thickness before the patch is read; the two CTs have slices of 5 mm to begin with, so 5 mm on
    top makes them thicker still. Nodules have ``diameter_mm`` and at least three readers; where there are fewer
    nodules or vessels than asked for, some come more than once.

    With ``COURSEKIT_LUNA16`` set, both classes come from its candidates list, split by ``seeds.part_of`` the series;
    ``hard`` and ``diameter_mm`` then have no effect, as its false candidates are what a detector found. Raises
    ``DataMissing`` if ``allow_phantom`` is false and files are missing.
    """
    _check.one_of("split", split, PARTS)
    _check.positive("count, size and spacing_mm", (count, size, spacing_mm))
    _check.positive("shift_mm", shift_mm, zero=True)
    if slice_mm is not None:
        _check.positive("slice_mm", slice_mm)
    how = Cut(size, spacing_mm, shift_mm, slice_mm)
    folder = readers.folder("COURSEKIT_LUNA16")
    if folder is not None:
        return _stacked(luna.candidates(folder, split, count, how, seed), how, "real", f"LUNA16 in {folder.name}", seed)
    here = ground.of(split, allow_phantom=allow_phantom)
    shapes = lidc.nodules(split=split, diameter_mm=diameter_mm, allow_phantom=allow_phantom)
    found = hardest(here.vessels) if hard else here.vessels
    turns = stream(seed, "candidates", split)
    rows = [drawn(len(pool), n, turns) for pool, n in ((shapes, count // 2), (found, count - count // 2))]
    made = [
        _nodule(here, shapes[k], how, SPLIT[split], stream(seed, split, "nodule", i)) for i, k in enumerate(rows[0])
    ]
    made += [
        _vessel(here, found, k, how, SPLIT[split], stream(seed, split, "vessel", i)) for i, k in enumerate(rows[1])
    ]
    phantom = [one for one in (here.ct, shapes) if one.source == "phantom"]
    source, note = ("phantom", phantom[0].note) if phantom else ("real", "LIDC-IDRI shapes in two real CTs")
    return _stacked(made, how, source, note, seed)


def hardest(found: Vessels) -> Vessels:
    """The third of the vessels with the roundest cross-section in their slice: what a two-dimensional look takes for a
    nodule.
    """
    rows = np.argsort(-found.roundness, kind="stable")[: max(int(len(found.roundness) * HARD_SHARE), 1)]
    return found.take(np.sort(rows))


def _stacked(made: list[Made], how: Cut, source: str, note: str, seed: int) -> Candidates:
    """In random order."""
    made = [made[i] for i in torch.randperm(len(made), generator=stream(seed, "order")).tolist()]
    patches = np.stack([one.patch for one in made])[:, None].round().astype(np.int16)
    return Candidates(
        torch.from_numpy(patches),
        torch.tensor([int(one.nodule) for one in made]),
        torch.tensor([one.diameter_mm for one in made], dtype=torch.float32),
        tuple(one.patient for one in made),
        tuple(one.scan for one in made),
        np.stack([one.world for one in made]),
        how.spacing_mm,
        source,
        note,
    )


# --- one candidate
# -------------------------------------------------------------------------------------------------------


def _vessel(here: ground.Ground, found: Vessels, row: int, how: Cut, scan: str, generator: Generator) -> Made:
    world = found.world[row]
    read = read_patch(here.ct.scan, world, how, generator=generator)
    return Made(read, False, float(found.diameter_mm[row]), scan, scan, world)


def _nodule(here: ground.Ground, shape: Nodule, how: Cut, scan: str, generator: Generator) -> Made:
    reach = (how.size * how.spacing_mm / 2 + how.shift_mm + 2 * (how.slice_mm or 0) + 2,) * 3
    for _ in range(TRIES):
        world = _beside(here.vessels, shape.diameter_mm / 2, generator)
        index = here.ct.scan.index(world[None])[0]
        nearest = tuple(np.round(index).astype(int))
        if any(i < 0 or i >= n for i, n in zip(nearest, here.free.shape)) or not bool(here.free[nearest]):
            continue
        part, box = ground.piece(here.ct.scan, index, reach)
        new = ground.grown(part, here.free[box], shape, index - [side.start for side in box], generator=generator)
        if new is not None:
            return Made(
                read_patch(new.scan, world, how, generator=generator),
                True,
                shape.diameter_mm,
                shape.patient,
                scan,
                world,
            )
    raise _check.refuse(
        f"room for a nodule of {shape.diameter_mm:.0f} mm", "none found", "ask for smaller ones with diameter_mm"
    )


def _beside(found: Vessels, radius_mm: float, generator: Generator) -> np.ndarray:
    """A place next to a vessel, so that nodules have the neighbours that vessels have: world mm."""
    draw = torch.rand(2, generator=generator, dtype=torch.float64).tolist()
    way = torch.randn(3, generator=generator, dtype=torch.float64).numpy()
    row = int(draw[0] * len(found))
    apart = radius_mm + found.diameter_mm[row] / 2 + 4 * draw[1]
    place: np.ndarray = found.world[row] + apart * way / np.linalg.norm(way)
    return place
