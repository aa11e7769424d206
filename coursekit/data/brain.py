"""The brain: simulated FET-PET with lesions whose truth is known, and two real MRIs with a tumour."""

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .. import _check
from . import fetch, itk
from .scan import Scan, aligned, oriented
from .seeds import Part
from .simulated.pet import person

COUNTS: dict[Part, int] = {"train": 37, "test": 11}  # the lecture's slide; the paper has 26 and 11


class PetSet(NamedTuple):
    """Volumes with their lesions, axes SPL, voxels of 4.25 mm."""

    images: Float[Tensor, "N 1 40 64 64"]  # SUV
    labels: Int[Tensor, "N 40 64 64"]  # 0 background, 1 … n the lesions of a volume

    @property
    def masks(self) -> Bool[Tensor, "N 1 40 64 64"]:
        return self.labels[:, None] > 0


def pet(*, split: Part = "train", seed: int = 0, count: int | None = None) -> PetSet:
    """Simulated FET-PET of ``count`` people (37 to train, 11 to test) with none to three lesions each.

    A person is made from ``(seed, split, index)`` alone: none is in both parts, more people change no earlier one. The
    background is flat, lesions take up 1.4 to 3 times as much as grey matter, veins and scalp are bright too.
    Raises ``DataMissing`` if the template cannot be had.
    """
    _check.one_of("split", split, list(COUNTS))
    count = COUNTS[split] if count is None else count
    _check.positive("count", count)
    images, labels = (torch.from_numpy(np.stack(x)) for x in zip(*(person(seed, split, i) for i in range(count))))
    return PetSet(images[:, None], labels)


class Mri(NamedTuple):
    """An MRI and its tumour on one grid: (D, 256, 256), axes SPL, slices 6.5 mm apart, pixels 0.78 mm."""

    scan: Scan  # float32; MRI has no unit, so ``normalised`` makes two scans alike
    label: Scan  # bool


def mri(name: Literal["brain1", "brain2"]) -> Mri:
    """The MRI after contrast agent of ``brain1`` (25 slices, 16 ml outlined) or ``brain2`` (23 slices, 1.8 ml).

    These are two people: one to train on, one to test, which says how methods compare on these two, not how well they
    do elsewhere. Kept: do not write into the values. Raises ``DataMissing`` if the files cannot be had.
    """
    _check.one_of("name", name, ("brain1", "brain2"))
    return _read(fetch.path(f"{name}_image"), fetch.path(f"{name}_label"))


@lru_cache(maxsize=2)
def _read(*paths: Path) -> Mri:
    scan, label = (oriented(itk.read(path)) for path in paths)
    aligned(scan, label)
    return Mri(replace(scan, values=scan.values.float()), replace(label, values=label.values > 0))


def normalised(scan: Scan) -> Scan:
    """The scan scaled so that the 1st and the 99.5th percentile of its voxels become 0 and 1, and cut there."""
    values = scan.values.double().numpy()
    dark, bright = np.percentile(values, [1, 99.5])
    if not bright > dark:
        raise _check.refuse("a scan whose percentiles 1 and 99.5 differ", f"{dark:g} for both", "look at the scan")
    scaled = ((values - dark) / (bright - dark)).clip(0, 1).astype(np.float32)
    return replace(scan, values=torch.from_numpy(scaled), unit="")
