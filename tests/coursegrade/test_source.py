"""What is read of an instructor's notebooks, and what a release is warned of."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coursegrade.source import lint, read_source

ROOT = Path(__file__).parents[2]
TEST = 'h_hint = "twice"\nassert f(1) == 1, "one"\n'
TEST += "### BEGIN HIDDEN TESTS\nassert check(f, (2,), 2, hint=h_hint, hidden=True)\n### END HIDDEN TESTS\n"


def cell(source: str, name: str = "", kind: str = "code", **marks: Any) -> dict[str, Any]:
    metadata = (
        {"nbgrader": {"grade_id": name, "grade": False, "solution": False, "locked": True, **marks}} if name else {}
    )
    return {"cell_type": kind, "id": name or "plain", "metadata": metadata, "source": source}


def write(root: Path, *cells: dict[str, Any]) -> Path:
    folder = root / "solutions" / "a1"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "a1.ipynb").write_text(
        json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}), encoding="utf-8"
    )
    return root


def test_the_course_s_own_assignment_is_read_and_clean() -> None:
    source = read_source(ROOT, "a1_roi")
    steps = {c.step.grade_id: c.step for c in source.notebooks["a1_roi"] if c.step.grade_id}
    assert (steps["setup"].kind, steps["snap_bins"].kind, steps["bins_divide"].kind) == ("given", "answer", "test")
    assert steps["snap_bins"].defines == ("snap", "bins")
    assert (steps["written"].kind, steps["written"].by_hand, steps["written"].points) == ("text", True, 15)
    assert (source.closed[0], source.closed[-1]) == ("coursekit.ops.roi", "cv2")
    assert "torchvision.ops" in source.closed
    assert "BEGIN HIDDEN" in steps["bins_divide"].source
    assert lint(source) == []


def test_what_students_were_given_is_known(assignment_cells: dict[str, str]) -> None:
    source = read_source(ROOT, "a1_roi")
    locked = {
        c.step.grade_id: c.visible.rstrip() for c in source.notebooks["a1_roi"] if c.step.kind in ("given", "test")
    }
    assert locked == {name: assignment_cells[name] for name in locked}


@pytest.fixture
def assignment_cells() -> dict[str, str]:
    """Text by grade_id of what nbgrader made of the source."""
    notebook = json.loads((ROOT / "assignments" / "a1_roi" / "a1_roi.ipynb").read_text(encoding="utf-8"))
    marked = [c for c in notebook["cells"] if "nbgrader" in c["metadata"]]
    return {c["metadata"]["nbgrader"]["grade_id"]: "".join(c["source"]).rstrip() for c in marked}


def test_names_a_solution_defines(tmp_path: Path) -> None:
    text = "import os\nfrom a import b\ndef f():\n    inner = 1\nclass C: pass\nx, (y, *z) = 1, (2, 3)\n"
    text += "w: int = 4\nv: int\nt.u = 5\nasync def g(): ...\n"
    (answer,) = read_source(write(tmp_path, cell(text, "q", solution=True)), "a1").notebooks["a1"]
    assert answer.step.defines == ("f", "C", "x", "y", "z", "w", "g")


def test_closed_names_are_read_not_run(tmp_path: Path, refuses: Callable[..., None]) -> None:
    locked = cell('print("running")\nCLOSED = ("a.b", "c")', "setup")
    unlocked = cell('CLOSED = ("d",)')
    assert read_source(write(tmp_path, locked, unlocked), "a1").closed == ("a.b", "c")
    write(tmp_path, cell("CLOSED = tuple(names())", "setup"))
    refuses("expected CLOSED to be a tuple of plain strings, got line 1", read_source, tmp_path, "a1")
    write(tmp_path, cell("CLOSED = (1, 2)", "setup"))
    refuses("expected CLOSED to be a tuple of plain strings", read_source, tmp_path, "a1")


def test_kinds_of_cells(tmp_path: Path) -> None:
    cells = [
        cell("# Title", kind="markdown"),
        cell("scratch = 1"),
        cell("import a", "setup"),
        cell("plot()", "plot", solution=True, grade=True, points=5),
        cell("why?", "why", "markdown", solution=True, grade=True, points=10),
        cell("do it", "task", "markdown", task=True, points=3),
        cell(TEST, "t", grade=True, points=2),
    ]
    steps = [c.step for c in read_source(write(tmp_path, *cells), "a1").notebooks["a1"]]
    assert [s.kind for s in steps] == ["text", "own", "given", "answer", "text", "text", "test"]
    assert [s.by_hand for s in steps] == [False, False, False, True, True, True, False]
    assert [s.points for s in steps] == [0, 0, 0, 5, 10, 3, 2]


def test_the_sha_follows_the_files(tmp_path: Path) -> None:
    first = read_source(write(tmp_path, cell("a = 1", "s")), "a1").sha
    assert read_source(tmp_path, "a1").sha == first
    assert read_source(write(tmp_path, cell("a = 2", "s")), "a1").sha != first
    assert len(first) == 64


def test_without_notebooks_there_is_no_source(tmp_path: Path, refuses: Callable[..., None]) -> None:
    refuses("expected notebooks in solutions/a9, got none", read_source, tmp_path, "a9")


def graded(source: str) -> dict[str, Any]:
    return cell(source, "t", grade=True, points=100)


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (graded("f(1) == 1"), "The visible part of the test cell 't' does not end in an assertion"),
        (
            graded("f(1)\n### BEGIN HIDDEN TESTS\nassert f(2), 'two'\n### END HIDDEN TESTS"),
            "The visible part of the test cell 't'",
        ),
        (
            graded("assert f(1)\n### BEGIN HIDDEN TESTS\nf(2)\n### END HIDDEN TESTS"),
            "The whole of the test cell 't' does not end",
        ),
        (graded(""), "The visible part of the test cell 't'"),
        (
            graded(TEST.replace(", hidden=True", "")),
            "A check in the hidden part of cell 't' (line 1 of it) shows its input",
        ),
        (graded(TEST.replace("True", "False")), "A check in the hidden part"),
        (
            graded("assert 1\n### BEGIN HIDDEN TESTS\nassert f(x), f'not {x}'\n### END HIDDEN TESTS"),
            "needs a constant message",
        ),
        (graded("assert 1\n### BEGIN HIDDEN TESTS\nassert f(x)\n### END HIDDEN TESTS"), "needs a constant message"),
        (
            graded(TEST.replace("h_hint", "h")),
            "A check in the hidden part of cell 't' (line 1 of it) has no words for the student",
        ),
        (graded(TEST.replace('"twice"', "str(2)")), "has no words for the student"),
        (graded(TEST.replace(", hint=h_hint", "")), "has no words for the student"),
        (graded("assert ("), "The cell 't' is not plain Python"),
        (cell(TEST, "t", grade=True), "The test cell 't' has no points"),
        (cell("free = 1"), "The code cell 'plain' has no grade id"),
    ],
)
def test_lint_names_what_is_wrong(tmp_path: Path, bad: dict[str, Any], sentence: str) -> None:
    found = lint(read_source(write(tmp_path, bad), "a1"))
    assert any(sentence in line for line in found), found
    assert all(line.endswith(".") for line in found)


@pytest.mark.parametrize(
    "good",
    [
        TEST,
        TEST.replace("hint=h_hint", "hint='twice'"),
        'assert f(1), "one"',
        "assert 1\n### BEGIN HIDDEN TESTS\nassert f(2), 'two'\n### END HIDDEN TESTS",
    ],
)
def test_lint_passes_what_is_right(tmp_path: Path, good: str) -> None:
    assert lint(read_source(write(tmp_path, graded(good)), "a1")) == []


def test_lint_counts_ids_and_points(tmp_path: Path) -> None:
    half = cell(TEST, "t", grade=True, points=20)
    assert lint(read_source(write(tmp_path, half, half), "a1")) == [
        "The grade id 't' is there 2 times: give each cell its own."
    ]
    assert lint(read_source(write(tmp_path, cell("1", "s", locked=True)), "a1")) == ["No cell of a1 has points."]
