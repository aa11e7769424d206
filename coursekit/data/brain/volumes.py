"""Volumes of 64 × 64 × 40 voxels with lesions: what every PET of the course comes as."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, SupportsIndex

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from ... import _check
from ..scan import Affine, Scan
from ..seeds import Part

Tracer = Literal["FDG", "FET"]
SHAPE = (40, 64, 64)  # (D, H, W)
VOXEL_MM = 4.25


class Lesion(NamedTuple):
    """Where it lies (centre of mass, RAS+ mm), how large it is (on a grid four times finer than the image), its SUV
    before the scanner.

    Of a real lesion: as outlined in the file, and the mean of the image in the outline.
    """

    centre_mm: tuple[float, float, float]
    volume_ml: float
    uptake: float


class PetItem(NamedTuple):
    image: Float[Tensor, "1 D H W"]  # SUV
    mask: Bool[Tensor, "1 D H W"]
    labels: Int[Tensor, "D H W"]


@dataclass(frozen=True, eq=False)
class PetSet:
    """Volumes with their lesions; item i is a ``PetItem``.

    ``images`` (N, 1, 40, 64, 64) float32 in SUV, ``masks`` (N, 1, 40, 64, 64) bool, ``labels`` (N, 40, 64, 64) int64,
    0 background, 1 … n the lesions in the order of ``lesions[i]``; axes SPL, voxels of 4.25 mm; ``affines`` (N, 4, 4)
    from ``(d, h, w, 1)`` to RAS+ mm, all alike unless real; ``source`` "simulated", "phantom" or "real": show it in
    the title of a figure; ``note`` says what to run for the real template, or which folder is shown.
    """

    images: Float[Tensor, "N 1 D H W"]
    masks: Bool[Tensor, "N 1 D H W"]
    labels: Int[Tensor, "N D H W"]
    lesions: tuple[tuple[Lesion, ...], ...]
    affines: Float64[np.ndarray, "N 4 4"]
    tracer: Tracer
    split: Part
    source: str
    note: str = ""
    unit: str = "SUV"

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: SupportsIndex) -> PetItem:
        i = _check.index("a volume", i, len(self))
        return PetItem(self.images[i], self.masks[i], self.labels[i])

    @property
    def affine(self) -> Affine:
        """Of the first volume; of all, if they are simulated."""
        first: np.ndarray = self.affines[0]
        return first

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        return self.scan(0).spacing_mm

    @property
    def voxel_ml(self) -> float:
        return self.scan(0).voxel_ml

    def scan(self, i: SupportsIndex) -> Scan:
        """Volume i with its place, to write to NIfTI or to turn."""
        i = _check.index("a volume", i, len(self))
        return Scan(self.images[i, 0], self.affines[i], self.unit)

    def label(self, i: SupportsIndex) -> Scan:
        """The lesions of volume i, numbered, with their place."""
        i = _check.index("a volume", i, len(self))
        return Scan(self.labels[i], self.affines[i])


def grid(voxel_mm: float = VOXEL_MM) -> Affine:
    """The affine of the images, axes SPL: the same box of 170 × 272 × 272 mm around the brain at any voxel size."""
    size = np.array(SHAPE) * VOXEL_MM
    affine = np.eye(4)[[2, 1, 0, 3]] * [voxel_mm, -voxel_mm, -voxel_mm, 1]
    corner = np.array([0.0, -17.0, 13.0]) + np.array([1, 1, -1]) * size[::-1] / 2  # right, front and below
    affine[:3, 3] = corner + affine[:3, :3] @ np.full(3, 0.5)
    return affine
