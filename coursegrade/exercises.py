"""The exercises of an assignment, as pages and tables show them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from coursegrade.source import SourceCell, read_source


@dataclass(frozen=True)
class Exercise:
    """A heading of the notebook and the cells under it that nbgrader knows."""

    title: str
    cells: tuple[SourceCell, ...]

    @property
    def names(self) -> set[str]:
        """The grade ids of its cells."""
        return {cell.step.grade_id for cell in self.cells}


def exercises(cells: Iterable[SourceCell]) -> list[Exercise]:
    """The headings of a source notebook that have an answer or a graded cell under them."""
    headings: list[tuple[str, list[SourceCell]]] = [("", [])]
    for cell in cells:
        if cell.step.kind == "text" and (heading := re.search(r"^#{1,6} +(.+)", cell.step.source, flags=re.MULTILINE)):
            headings.append((heading[1].strip(), []))
        if cell.step.points or cell.cell.marks.get("solution"):
            headings[-1][1].append(cell)
    return [Exercise(title or "Exercises", tuple(inside)) for title, inside in headings if inside]


def title(cell: SourceCell) -> str:
    """How a cell is called on a page: the comment in its first line, or its name."""
    first = cell.step.source.partition("\n")[0]
    return first.lstrip("# ").strip() if cell.step.kind == "test" and first.startswith("#") else cell.step.grade_id


def graded_cells(course_dir: str | Path, assignment: str) -> dict[str, SourceCell]:
    """The cells with points, by grade id, in the order of the source."""
    cells = (cell for notebook in read_source(course_dir, assignment).notebooks.values() for cell in notebook)
    return {cell.step.grade_id: cell for cell in cells if cell.step.points}
