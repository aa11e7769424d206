"""Readers of the full data sets in their original layout, for those who have them.

A variable names the folder, ``COURSEKIT_DSB2018=/path`` and so on, and the loaders of ``coursekit.data`` take their images from there
with no other edit. One file a data set.
"""

import os
from pathlib import Path

from ... import _check

VARIABLES = ("COURSEKIT_DSB2018", "COURSEKIT_LUNA16", "COURSEKIT_LIDC", "COURSEKIT_NIFTI", "COURSEKIT_ECHONET", "COURSEKIT_VIDEOS")


def folder(variable: str) -> Path | None:
    """The folder that the variable names, None if it is unset. Raises ``ValueError`` if there is no such folder."""
    _check.one_of("variable", variable, VARIABLES)
    named = os.environ.get(variable)
    if not named:
        return None
    place = Path(named).expanduser()
    if not place.is_dir():
        raise _check.refuse(f"{variable} to name a folder", f"{named!r}, which is none", "mend the path or unset it")
    return place


def entry(place: Path, what: str) -> Path:
    """``place``, or one sentence that ``what`` is missing: every reader's first look."""
    if not place.exists():
        advice = "unpack the data set as its authors ship it and name its top folder"
        raise _check.refuse(f"{what} at {place.name} in {place.parent}", "nothing there", advice)
    return place
