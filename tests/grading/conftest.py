"""An assignment run in this process: its cells in order, a student's answers in place of the solutions."""

import functools
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest

from coursegrade.variants import LINE

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Assignment:
    """The source notebook of an assignment."""

    name: str
    cells: list[nbformat.NotebookNode]

    def _where(self, kind: str) -> list[nbformat.NotebookNode]:
        return [c for c in self.cells if c.cell_type == "code" and c.metadata.get("nbgrader", {}).get(kind)]

    @property
    def points(self) -> dict[str, float]:
        """Points by graded code cell."""
        return {c.metadata.nbgrader.grade_id: c.metadata.nbgrader.points for c in self._where("grade")}

    @property
    def answers(self) -> dict[str, str]:
        """The solution of each cell a student fills."""
        return {c.metadata.nbgrader.grade_id: c.source for c in self._where("solution")}

    @property
    def stubs(self) -> dict[str, str]:
        """What a student starts from."""
        region = re.compile("### BEGIN SOLUTION.*?### END SOLUTION", flags=re.DOTALL)
        return {name: region.sub("raise NotImplementedError", answer) for name, answer in self.answers.items()}

    def source(self, cell_id: str) -> str:
        """The text of a cell."""
        (cell,) = [cell for cell in self.cells if cell.id == cell_id]
        return str(cell.source)

    def variant(self, seed: int) -> "Assignment":
        """The same with other hidden inputs."""
        cells = [nbformat.from_dict(cell) for cell in self.cells]
        (setup,) = [cell for cell in cells if LINE.search(cell.source)]
        setup.source = LINE.sub(f"VARIANT = {seed}", setup.source)
        return replace(self, cells=cells)

    def looked_at(self, *cell_ids: str) -> tuple[dict[str, Any], list[Any]]:
        """The names after these cells have run as in a notebook, with the solution, and what they displayed."""
        shown: list[Any] = []
        names: dict[str, Any] = {"get_ipython": lambda: SimpleNamespace(kernel=None), "display": shown.append}
        for cell_id in cell_ids:
            exec(self.source(cell_id), names)
        return names, shown

    def lost(self, answers: dict[str, str]) -> set[str]:
        """The graded cells that fail when these answers stand in for the solutions."""
        return set(self.messages(answers))

    def messages(self, answers: dict[str, str], *, only: str = "") -> dict[str, str]:
        """What each failing graded cell says; with ``only``, no other graded cell runs."""
        assert set(answers) <= set(self.answers)
        namespace: dict[str, object] = {"__name__": "__main__"}
        failed = {}
        for cell in (c for c in self.cells if c.cell_type == "code"):
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id", "")
            if only and grade_id in self.points and grade_id != only:
                continue
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # a student's cost nothing
                    exec(compile(answers.get(grade_id, cell.source), grade_id, "exec"), namespace)
            except Exception as error:
                if grade_id in self.points:
                    failed[grade_id] = error
        strange = {grade_id: error for grade_id, error in failed.items() if not isinstance(error, AssertionError)}
        assert not strange, "a check words whatever a student's code raises"
        return {grade_id: str(error) for grade_id, error in failed.items()}


@functools.cache
def read_assignment(name: str) -> Assignment:
    return Assignment(name, nbformat.read(ROOT / "solutions" / name / f"{name}.ipynb", as_version=4).cells)


@pytest.fixture(scope="session")
def assignment() -> Callable[[str], Assignment]:
    return read_assignment
