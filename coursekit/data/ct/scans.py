"""Two real chest CTs in Hounsfield units, their grey windows, and boxes read out of them.

There are two patients: ``lung1`` trains and ``lung2`` tests, so nothing of one patient is in both parts. That is very
little; a figure from it says how methods compare on these two, not how well they do elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped, UInt8
from torch import Tensor

from ... import _check
from .. import fetch, itk
from ..scan import Scan, aligned, on_grid, oriented
from ..seeds import Part, stream
from ..simulated.chest import PLANS, chest

Name = Literal["lung1", "lung2"]
SPLIT: dict[Part, Name] = {"train": "lung1", "test": "lung2"}


def centred(centre: float, width: float) -> dict[str, float]:
    """The range of a window, ``window(hu, **centred(centre, width))``, given as radiologists do."""
    _check.positive("width", width)
    return {"low": centre - width / 2, "high": centre + width / 2}


LUNG = centred(-600, 1500)
SOFT_TISSUE = centred(40, 400)


@dataclass(frozen=True, eq=False)
class CT:
    """A chest CT with its tumour.

    ``scan`` (D, H, W) float32 in HU with axes SPL (rows to Posterior, columns to Left); ``label`` a bool mask on the
    same grid; ``source`` "real" or "phantom": name it in a figure's title; ``note`` says what to run for the real one.
    """

    scan: Scan
    label: Scan
    source: str
    note: str = ""


def load(name: Name) -> CT:
    """The CT ``lung1`` (a nodule of 14 mm) or ``lung2`` (a mass of 45 mm at the pleura), or a phantom of its shape.

    Slices are 5 mm apart, pixels 0.57 and 0.63 mm wide. Read once and kept: do not write into the values.
    """
    _check.one_of("name", name, list(PLANS))
    return fetch.real_or(
        partial(_phantom, name), lambda: _real(fetch.path(f"{name}_image"), fetch.path(f"{name}_label"))
    )


@lru_cache(maxsize=2)
def _real(image: Path, label: Path) -> CT:
    scan, mask = oriented(itk.read(image, unit="HU")), oriented(itk.read(label))
    aligned(scan, mask)
    return CT(replace(scan, values=scan.values.float()), replace(mask, values=mask.values > 0), "real")


@lru_cache(maxsize=2)
def _phantom(name: Name, note: str) -> CT:
    return CT(*chest(PLANS[name], generator=stream("ct", name)), "phantom", note)


def window(hu: Shaped[Tensor, "*any"], *, low: float, high: float) -> Float[Tensor, "*any"]:
    """HU to [0, 1]: ``low`` and all below becomes 0, ``high`` and all above 1, linear between.

    What saturates at either end cannot be told apart any more. Integers become float32. ``**LUNG`` and
    ``**SOFT_TISSUE`` are the common ranges, ``**centred(centre, width)`` makes any.
    """
    _check.positive("high - low", high - low)
    hu = hu if hu.is_floating_point() else hu.float()
    return ((hu - low) / (high - low)).clamp(0, 1)


def to_bytes(shown: Float[Tensor, "*any"]) -> UInt8[Tensor, "*any"]:
    """[0, 1] to the bytes 0 … 255, rounded: what a network for photographs was trained on (Ciompi et al. 2015)."""
    _check.floating("shown", shown)
    _check.within("shown", shown, 0, 1, "window it first")
    return (shown * 255).round().to(torch.uint8)


def three_channels(image: Shaped[Tensor, "*N 1 H W"]) -> Shaped[Tensor, "*N 3 H W"]:
    """The one channel three times, as a view: for a network that expects red, green and blue."""
    _check.tensor("image", image, "... 1 H W", "one channel in front of rows and columns")
    return image.expand(*image.shape[:-3], 3, -1, -1)


def patch(scan: Scan, centre: Sequence[float] | np.ndarray, size: int, *, spacing_mm: float = 1.0) -> Scan:
    """A cube of ``size`` voxels of ``spacing_mm`` around a place in RAS+ mm, read as ``scan.on_grid`` does.

    For an even size the place lies between two voxels.
    """
    _check.positive("size", size)
    _check.positive("spacing_mm", spacing_mm)
    middle, step = scan.index(np.asarray(centre, float)[None])[0], spacing_mm / np.array(scan.spacing_mm)
    return on_grid(scan, middle - step * (size - 1) / 2, step, (size,) * 3)
