"""Two real MRIs of the head after contrast agent, each with a tumour outlined.

There are two people: ``brain1`` trains and ``brain2`` tests, so nothing of one is in both parts. That is very little;
a figure from it says how methods compare on these two, not how well they do elsewhere.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage

from ... import _check
from .. import fetch, itk
from ..scan import Scan, aligned, oriented
from ..seeds import Part, stream
from . import template

Name = Literal["brain1", "brain2"]
SPLIT: dict[Part, Name] = {"train": "brain1", "test": "brain2"}
SIGNAL = {
    "grey": 380,
    "white": 450,
    "fluid": 180,
    "deep": 0,
    "vessel": 1100,
    "bone": 60,
    "scalp": 1000,
}  # of the phantom, as in brain1
RING, CORE = 800, 350  # the phantom's tumour: a bright rim around a dark middle


class Plan(NamedTuple):
    """Of a phantom: the real scan's grid, and the tumour's place and size as outlined there."""

    slices: int
    corner: tuple[float, float, float]  # RAS+ mm of the first voxel
    tumour: tuple[float, float, float]  # RAS+ mm
    volume_ml: float


SPACING_MM = (6.5, 0.78125, 0.78125)
PLANS: dict[Name, Plan] = {
    "brain1": Plan(25, (99.6, 99.6, -78.0), (-46.5, -16.5, 15.5), 16.4),
    "brain2": Plan(23, (110.0, 95.8, -62.7), (-58.1, 22.7, -6.9), 1.8),
}


@dataclass(frozen=True, eq=False)
class Mri:
    """An MRI with its tumour.

    ``scan`` (D, 256, 256) float32, axes SPL (rows to Posterior, columns to the patient's Left), slices 6.5 mm apart,
    pixels 0.78 mm; MRI has no unit, so ``normalised`` makes two scans alike. ``label`` bool on the same grid;
    ``source`` "real" or "phantom": show it in the title of a figure; ``note`` says what to run for the real one.
    """

    scan: Scan
    label: Scan
    source: str
    note: str = ""


def mri(name: Name | None = None, *, split: Part | None = None, allow_phantom: bool = True) -> Mri:
    """The MRI ``brain1`` (25 slices, 16 ml outlined, train) or ``brain2`` (23 slices, 1.8 ml, test), or a phantom of
    its shape.

    Give its name or its part. Raises ``DataMissing`` if the files have not been fetched and ``allow_phantom`` is
    false. Read once and kept: do not write into the values.
    """
    _check.one_of("name", name, [None, *PLANS])
    _check.one_of("split", split, [None, *SPLIT])
    chosen = SPLIT[split] if split else name
    if chosen is None or name not in (None, chosen):
        raise _check.refuse(
            "the name of a scan or its part", f"name={name!r} and split={split!r}", "brain1 is train, brain2 is test"
        )
    return fetch.real_or(
        partial(_phantom, chosen),
        lambda: _real(fetch.path(f"{chosen}_image"), fetch.path(f"{chosen}_label")),
        allow_phantom=allow_phantom,
    )


@lru_cache(maxsize=2)
def _real(*paths: Path) -> Mri:
    scan, label = (oriented(itk.read(path)) for path in paths)
    aligned(scan, label)
    return Mri(replace(scan, values=scan.values.float()), replace(label, values=label.values > 0), "real")


@lru_cache(maxsize=2)
def _phantom(name: Name, note: str) -> Mri:
    """The head of ellipsoids in the real scan's grid, its tumour a sphere with a bright rim; always the same one."""
    plan, head = PLANS[name], template.phantom()
    affine = np.eye(4)[[2, 1, 0, 3]] * [SPACING_MM[0], -SPACING_MM[1], -SPACING_MM[2], 1]
    affine[:3, 3] = plan.corner
    mm = template.places(affine, (plan.slices, 256, 256))
    signal = np.tensordot([float(SIGNAL[t]) for t in template.TISSUES], head.tissues, 1).astype(np.float32)
    signal = ndimage.gaussian_filter(
        signal, (SPACING_MM[0] / template.STEP / 2.4, 0.3, 0.3)
    )  # a slice is a mean over its thickness
    back = np.linalg.inv(head.affine)
    index = (back[:3, :3] @ mm.reshape(3, -1) + back[:3, 3:]).reshape(mm.shape)
    image = ndimage.map_coordinates(signal, index, order=1, mode="nearest")
    label = _tumour(image, mm, plan)
    noise = np.random.default_rng(stream("mri", name).initial_seed()).normal(0, 15, (2, *image.shape))
    values = np.hypot(image + noise[0], noise[1]).astype(np.float32)  # the size of a complex number
    return Mri(Scan(torch.from_numpy(values), affine), Scan(torch.from_numpy(label), affine), "phantom", note)


def _tumour(image: Float[np.ndarray, "D H W"], mm: template.Mm, plan: Plan) -> np.ndarray:
    """Write the tumour into the image; returns its mask."""
    radius = (3000 * plan.volume_ml / (4 * math.pi)) ** (1 / 3)
    away = np.sqrt(((mm - np.array(plan.tumour, np.float32)[:, None, None, None]) ** 2).sum(0))
    image[away < radius] = RING
    image[away < 0.6 * radius] = CORE
    inside: np.ndarray = away < radius
    return inside


def normalised(scan: Scan, *, low: float = 1.0, high: float = 99.5) -> Scan:
    """The scan scaled so that two percentiles of all its voxels become 0 and 1, and cut there: scanners do not share
    a unit.

    Raises ``ValueError`` if the two percentiles are the same value.
    """
    values = scan.values.double().numpy()
    dark, bright = np.percentile(values, [low, high])
    if not bright > dark:
        raise _check.refuse(
            f"a scan whose percentiles {low:g} and {high:g} differ",
            f"{dark:g} for both",
            "widen them or look at the scan",
        )
    scaled = ((values - dark) / (bright - dark)).clip(0, 1).astype(np.float32)
    return replace(scan, values=torch.from_numpy(scaled), unit="")
