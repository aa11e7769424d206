"""Next year's hidden inputs: an assignment draws them from ``VARIANT = N``, a line of a locked cell."""

import re
from dataclasses import replace
from pathlib import Path

from .directory import release
from .source import Source, SourceCell

LINE = re.compile(r"^VARIANT = \d+", re.MULTILINE)


def variant(assignment: str, *, seed: int, course_dir: str | Path = ".") -> Path:
    """Write ``VARIANT = seed`` into the source of an assignment and release it; the folder of the release.

    Raises ValueError where no locked cell has such a line, or more than one has: then the source stays as it was.
    """
    if seed < 0:
        raise ValueError(f"expected a seed of 0 or more, got {seed}")
    folder = Path(course_dir, "solutions", assignment)
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(folder.glob("[!.]*.ipynb"))}
    in_json = re.compile(r'(?<=")VARIANT = \d+')  # a line of a cell's source is a string of its own
    lines = sum(len(in_json.findall(text)) for text in texts.values())
    if lines != 1:
        what = f"expected one line `VARIANT = 0` in solutions/{assignment}, got {lines}"
        raise ValueError(f"{what}: draw the hidden inputs from it")
    for path, text in texts.items():
        path.write_text(in_json.sub(f"VARIANT = {seed}", text), encoding="utf-8")
    try:
        return release(assignment, course_dir)
    except BaseException:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
        raise


def varied(source: Source, seed: int) -> Source:
    """The same assignment with other hidden inputs, in memory; itself for its own variant."""
    notebooks = {name: tuple(_varied(cell, seed) for cell in cells) for name, cells in source.notebooks.items()}
    return replace(source, notebooks=notebooks)


def _varied(cell: SourceCell, seed: int) -> SourceCell:
    if cell.step.kind != "given":
        return cell
    return replace(cell, step=replace(cell.step, source=LINE.sub(f"VARIANT = {seed}", cell.step.source)))
