"""What an assignment's grader is tried on: wrong answers that must lose a certain test, right ones that must lose none.

They lie in ``tests/grading/cases/ASSIGNMENT`` of the course, where no release takes them from. ``wrong.py`` has
``WRONG``, a list of (answer cell, test it must lose, words of the message, misconceptions); a misconception is (name,
old, new), a change to the solution, or (name, source), an answer of its own. Each file in ``right/`` is a whole
hand-in, its cells begun by ``# %% ANSWER``.
"""

import re
import runpy
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .source import read_source

FOLDER = Path("tests", "grading", "cases")


@dataclass(frozen=True)
class Case:
    """A hand-in whose marks are known beforehand."""

    name: str
    answers: dict[str, str]  # source by answer cell; the solution stands where none is given
    test: str = ""  # the graded cell it must lose; empty for full marks
    says: str = ""  # words of the message there


def read_cases(course_dir: str | Path, assignment: str) -> list[Case]:
    """All cases of an assignment; none where it has no such folder."""
    folder = Path(course_dir, FOLDER, assignment)
    if not folder.is_dir():
        return []
    steps = [cell.step for cells in read_source(course_dir, assignment).notebooks.values() for cell in cells]
    solution = {step.grade_id: step.source for step in steps if step.kind == "answer"}
    tests = {"", *(step.grade_id for step in steps if step.kind == "test")}
    planted = runpy.run_path(str(folder / "wrong.py"))["WRONG"]
    paths = sorted(folder.glob("right/*.py"))
    right = [Case(path.stem, dict(_cells(path.read_text(encoding="utf-8")))) for path in paths]
    cases = [*_planted(planted, solution), *right]
    for case in cases:
        if strange := {*case.answers} - {*solution} | {case.test} - tests:
            raise ValueError(
                f"expected cells of {assignment}, got {sorted(strange)} in the case {case.name!r}: "
                "name an answer and a test"
            )
    return cases


def _planted(
    groups: Iterable[tuple[str, str, str, list[tuple[str, ...]]]], solution: Mapping[str, str]
) -> Iterator[Case]:
    for answer, test, says, misconceptions in groups:
        for name, *change in misconceptions:
            yield Case(f"{answer}: {name}", {answer: _changed(solution.get(answer, ""), name, *change)}, test, says)


def _changed(solution: str, name: str, old: str, new: str | None = None) -> str:
    if new is None:
        return old
    if old not in solution:
        raise ValueError(f"expected {old!r} in the solution to plant {name!r}, got none: bring the case up to date")
    return solution.replace(old, new)


def _cells(text: str) -> Iterator[tuple[str, str]]:
    """The cells of a file in percent format, by grade id."""
    _, *marked = re.split(r"^# %% (\w+)\n", text, flags=re.MULTILINE)
    return zip(marked[::2], marked[1::2])
