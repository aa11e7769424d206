"""Two real chest CTs in Hounsfield units: where they come from, how they are windowed, where the lungs are.

There are two patients: ``lung1`` trains and ``lung2`` tests, so nothing of one patient is in both parts. That is very little; a figure
from it says how methods compare on these two, not how well they do elsewhere.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

from ... import _check
from .. import fetch, itk
from ..scan import Scan, aligned, oriented
from ..seeds import stream
from . import phantom

Name = Literal["lung1", "lung2"]
Part = Literal["train", "test"]
SPLIT: dict[Part, Name] = {"train": "lung1", "test": "lung2"}


@dataclass(frozen=True, eq=False)
class CT:
    """A chest CT with its tumour.

    ``scan`` (D, H, W) float32 in HU with axes SPL (rows to Posterior, columns to the patient's Left); ``label`` a bool mask on the same
    grid; ``source`` "real" or "phantom": show it in the title of a figure; ``note`` says what to run for the real one.
    """

    scan: Scan
    label: Scan
    source: str
    note: str = ""


def load(name: Name, *, allow_phantom: bool = True) -> CT:
    """The CT ``lung1`` (48 slices, a nodule of 14 mm) or ``lung2`` (61 slices, a mass of 45 mm at the pleura), or a phantom of its shape.

    Slices are 5 mm apart, pixels 0.57 and 0.63 mm wide. Raises ``DataMissing`` if the files have not been fetched and
    ``allow_phantom`` is false. Read once and kept: do not write into the values.
    """
    _check.one_of("name", name, list(phantom.PLANS))
    try:
        return _real(fetch.path(f"{name}_image"), fetch.path(f"{name}_label"))
    except fetch.DataMissing as missing:
        if not allow_phantom:
            raise
        return _phantom(name, str(missing))


@lru_cache(maxsize=2)
def _real(image: Path, label: Path) -> CT:
    scan, mask = oriented(itk.read(image, unit="HU")), oriented(itk.read(label))
    aligned(scan, mask)
    return CT(replace(scan, values=scan.values.float()), replace(mask, values=mask.values > 0), "real")


@lru_cache(maxsize=2)
def _phantom(name: Name, note: str) -> CT:
    """Always the same one."""
    scan, label, _ = phantom.chest(phantom.PLANS[name], generator=stream("ct", name))
    return CT(scan, label, "phantom", note)
