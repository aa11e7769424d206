"""A small assignment, released once, and submissions of it whose results are made up: nothing is run here."""

import dataclasses
import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from nbgrader.api import Gradebook
from nbgrader.apps import NbGraderAPI

from coursegrade.book import Mark, gradebook, marks_of, record_grades
from coursegrade.directory import course, release
from coursegrade.records import CellResult, Job, Record, Result, Step
from coursegrade.source import read_source

ROOT = Path(__file__).parents[2]
HIDDEN = "assert area(7.25, 4) == 29"
TEST = f"""# 1a · a rectangle (60 points)
assert area(2, 3) == 6
### BEGIN HIDDEN TESTS
{HIDDEN}, 'sides may be fractions'
### END HIDDEN TESTS"""
NAME = "a1"


def _cell(
    name: str, source: str, *, points: float = 0, solution: bool = False, kind: str = "code"
) -> nbformat.NotebookNode:
    grade = bool(points)
    marks = {
        "grade_id": name,
        "grade": grade,
        "solution": solution,
        "locked": not solution,
        "task": False,
        "schema_version": 3,
    }
    new = new_code_cell if kind == "code" else new_markdown_cell
    return new(source, id=name, metadata={"nbgrader": marks | ({"points": points} if grade else {})})


def _write_source(root: Path) -> None:
    answer = "def area(width, height):\n    ### BEGIN SOLUTION\n    return width * height\n    ### END SOLUTION"
    drawing = "### BEGIN SOLUTION\nprint('##')\n### END SOLUTION"
    cells = [
        new_markdown_cell("# Areas", id="title"),
        _cell("setup", "import math"),
        new_markdown_cell("## Exercise 1 · Area\n*70 points*", id="ex1"),
        _cell("area", answer, solution=True),
        _cell("area_rectangle", TEST, points=60),
        _cell("area_zero", "# 1b · nothing (10 points)\nassert area(0, 3) == 0", points=10),
        new_markdown_cell("## Exercise 2 · In your own words", id="ex2"),
        _cell("written", "Width times height.", points=20, solution=True, kind="markdown"),
        _cell("drawn", drawing, points=10, solution=True),
    ]
    path = root / "solutions" / NAME / f"{NAME}.ipynb"
    path.parent.mkdir(parents=True)
    nbformat.write(
        new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}), path
    )


@dataclass
class Course:
    """A course directory with one released assignment."""

    root: Path
    api: NbGraderAPI

    def job(self, answers: Mapping[str, str]) -> Job:
        """What would be graded: the released stubs, these answers in their places, and an own cell where ``own`` is
        given.
        """
        released = nbformat.read(self.root / "assignments" / NAME / f"{NAME}.ipynb", as_version=4).cells
        stubs = {cell.metadata.nbgrader.grade_id: cell.source for cell in released if "nbgrader" in cell.metadata}
        steps = []
        for cell in read_source(self.root, NAME).notebooks[NAME]:
            name, solution = cell.step.grade_id, cell.cell.marks.get("solution")
            source = answers.get(name, stubs[name]) if solution else cell.step.source
            steps.append(dataclasses.replace(cell.step, source=source))
            if name == "area" and "own" in answers:
                steps.append(Step("own", answers["own"]))
        return Job(NAME, NAME, "", tuple(steps))

    def grade(
        self,
        student: str,
        answers: Mapping[str, str] | None = None,
        came: Mapping[str, CellResult] | None = None,
        run: str = "",
        book: Gradebook | None = None,
        **known: str,
    ) -> Record:
        """Record a submission of which every cell was right but those in ``came``; an own cell goes by the name
        ``own``.
        """
        job = self.job(answers or {})
        cells = tuple((came or {}).get(step.grade_id or step.kind, CellResult()) for step in job.steps)
        result = Result(cells, cpu_s=0.25, wall_s=0.5)
        with gradebook(self.api) as opened:
            return record_grades(self.api, [job], [result], Record(student, **known), book or opened, run=run)

    def by_hand(self, student: str, name: str, points: float, comment: str = "") -> None:
        """What formgrader does when a grader enters a mark."""
        with gradebook(self.api) as opened:
            grade = opened.find_grade(name, NAME, NAME, student)
            grade.manual_score, grade.needs_manual_grade = points, False
            if comment:
                opened.find_comment(name, NAME, NAME, student).manual_comment = comment
            opened.db.commit()

    def marks(self, student: str) -> dict[str, Mark]:
        with gradebook(self.api) as opened:
            return marks_of(opened.find_submission(NAME, student))


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("released")
    shutil.copy(ROOT / "nbgrader_config.py", root)
    _write_source(root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbgrader's own, under newer SQLAlchemy and traitlets
        release(NAME, root)
    return root


@pytest.fixture
def course_of_one(released: Path, tmp_path: Path) -> Course:
    """A course directory of its own for one test."""
    root = tmp_path / "course"
    shutil.copytree(released, root)
    return Course(root, course(root))
