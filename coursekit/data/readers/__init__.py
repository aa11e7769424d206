"""Readers of the full data sets in their original layout, for those who have them.

A variable names the folder, ``COURSEKIT_DSB2018=/path`` and so on, and the loaders of ``coursekit.data`` take their
images from there with no other edit. One file a data set.
"""

import csv
import math
import os
from pathlib import Path

from ... import _check

SETS = "DSB2018", "LUNA16", "LIDC", "NUCLEI3D", "ECHONET", "VIDEOS"
VARIABLES = tuple(f"COURSEKIT_{name}" for name in SETS)


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


def entry(place: Path, what: str, *, is_folder: bool = False) -> Path:
    """``place``, or one sentence that ``what`` is missing or a folder for a file: every reader's first look."""
    if not (place.is_dir() if is_folder else place.is_file()):
        got = "nothing there" if not place.exists() else "a file" if is_folder else "a folder"
        advice = "unpack the data set as its authors ship it and name its top folder"
        raise _check.refuse(f"{what} at {place.name} in {place.parent}", got, advice)
    return place


def table(place: Path, what: str, columns: tuple[str, ...]) -> list[dict[str, str]]:
    """The rows of a .csv in UTF-8, each with at least these columns and the number of its ``line`` in the file."""
    entry(place, what)
    advice = "take the table as shipped"
    with _check.reading("a table in UTF-8", place, advice), place.open(newline="", encoding="utf-8-sig") as stream:
        lines = csv.DictReader(stream, strict=True)
        rows, named = [{**row, "line": str(lines.line_num)} for row in lines], lines.fieldnames or ()
    missing = [name for name in columns if name not in named]
    if missing:
        raise _check.refuse(f"columns {', '.join(columns)} in {place.name}", f"none named {', '.join(missing)}", advice)
    if len(set(named)) < len(named):
        raise _check.refuse(f"every column once in {place.name}", ", ".join(named), advice)
    for row in rows:
        if None in row or any(row[name] is None for name in columns):
            got = f"{sum(value is not None for value in row.values()) - 1} in line {row['line']}"
            raise _check.refuse(f"{len(named)} values a line in {place.name}", got, advice)
    return rows


def number(row: dict[str, str], column: str, place: Path, *, whole: bool = False) -> float:
    """The finite number in a cell of :func:`table`."""
    try:
        value = float(row[column])
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or (whole and not value.is_integer()):
        kind = "a whole number" if whole else "a number"
        raise _check.refuse(f"{kind} as {column} in {place.name}", repr(row[column]), f"mend line {row['line']}")
    return value
