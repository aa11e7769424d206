"""Pictures and volumes in TIFF as arrays, values as stored."""

from pathlib import Path

import numpy as np
import tifffile

from .. import _check


def read(path: Path, *, axes: int) -> np.ndarray:
    """The grey values of all pages as one array of so many axes.

    Raises ``ValueError`` for a file that is missing, damaged or no TIFF, holds several images, or whose values stand
    for colours or, as in WhiteIsZero, for darkness.
    """
    with _check.reading("a TIFF", path), tifffile.TiffFile(path) as file:
        meant = {page.photometric.name for page in (page.keyframe for page in file.pages)}
        images, values = len(file.series), file.asarray()
    if images != 1 or values.ndim != axes or not values.size:
        got = f"{images} of shape {values.shape}" if images == 1 else f"{images}"
        raise _check.refuse(
            f"one image of {axes} axes in {path.name}", got, "split channels or frames into files of their own"
        )
    if meant != {"MINISBLACK"} or values.dtype.kind not in "buif":
        raise _check.refuse(
            f"grey values, 0 for black, in {path.name}",
            f"{', '.join(sorted(meant))} of {values.dtype}",
            "convert it first",
        )
    grey: np.ndarray = values
    return grey
