"""A release that fails changes nothing, and nobody is told of a change that the instructor made."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import NAME

from coursegrade import book, running
from coursegrade.directory import release
from coursegrade.intake import Reading, read
from coursegrade.records import CellResult, Record, Result
from coursegrade.source import read_source


def source_path(course: Any) -> Path:
    return course.root / "solutions" / NAME / f"{NAME}.ipynb"  # type: ignore[no-any-return]


def edit(course: Any, change: Callable[[list[Any]], object]) -> None:
    """Change the cells of the source."""
    notebook = nbformat.read(source_path(course), as_version=4)
    change(notebook.cells)
    nbformat.write(notebook, source_path(course))


def at(cells: list[Any], name: str) -> Any:
    return next(cell for cell in cells if cell.metadata.get("nbgrader", {}).get("grade_id") == name)


def everything(course: Any) -> tuple[dict[str, bytes], dict[str, Any]]:
    """All files but the gradebook's, and what the gradebook holds."""
    files = {str(p.relative_to(course.root)): p.read_bytes() for p in sorted(course.root.rglob("*")) if p.is_file()}
    with book.gradebook(course.api) as gradebook:
        entry = gradebook.find_assignment(NAME)
        held = {n.name: {c.name: c.to_dict() for c in (*n.source_cells, *n.grade_cells)} for n in entry.notebooks}
    return {name: data for name, data in files.items() if "gradebook.db" not in name}, held


def rename(cells: list[Any]) -> None:
    at(cells, "area_zero").metadata.nbgrader.grade_id = "area_nothing"


def remove(cells: list[Any]) -> None:
    cells.remove(at(cells, "drawn"))
    at(cells, "area_zero").metadata.nbgrader.points += 10


def make_manual(cells: list[Any]) -> None:
    at(cells, "area_zero").metadata.nbgrader.solution = True


def without_assertion(cells: list[Any]) -> None:
    at(cells, "area_zero").source = "area(0, 3) == 0"


def unfinished_solution(cells: list[Any]) -> None:
    at(cells, "area").source = "def area(a, b):\n    ### BEGIN SOLUTION\n    return a * b"


BAD = {
    rename: r"got removed: 'area_zero', new: 'area_nothing'\. .*old grade_id",
    remove: r"got removed: 'drawn'\. ",
    make_manual: r"got of another role: 'area_zero'\. ",
    without_assertion: r"'area_zero' does not end in an assertion",
    unfinished_solution: r"no end to|END SOLUTION|end solution",
}


@pytest.mark.parametrize("change", BAD)
def test_a_release_that_fails_changes_nothing(
    course_of_one: Any, refuses: Callable[..., None], change: Callable[[list[Any]], object]
) -> None:
    course_of_one.grade("ada")
    edit(course_of_one, change)
    before = everything(course_of_one)
    refuses(BAD[change], release, NAME, course_of_one.root)
    assert everything(course_of_one) == before


def test_a_source_that_cannot_be_read_is_named(course_of_one: Any, refuses: Callable[..., None]) -> None:
    source_path(course_of_one).write_text("<<<<<<< mine")
    before = everything(course_of_one)
    refuses(r"expected a notebook in solutions/a1, got one that .*merge conflict", release, NAME, course_of_one.root)
    assert everything(course_of_one) == before


def test_a_second_notebook_after_marks_is_refused(course_of_one: Any, refuses: Callable[..., None]) -> None:
    course_of_one.grade("ada")
    notebook = nbformat.read(source_path(course_of_one), as_version=4)
    notebook.cells = [cell for cell in notebook.cells if "nbgrader" not in cell.metadata]
    nbformat.write(notebook, source_path(course_of_one).with_name("more.ipynb"))
    before = everything(course_of_one)
    refuses(r"got the notebooks a1, more instead of a1\. ", release, NAME, course_of_one.root)
    assert everything(course_of_one) == before


def test_a_gradebook_that_breaks_leaves_the_release(course_of_one: Any, refuses: Callable[..., None]) -> None:
    (course_of_one.root / "gradebook.db").write_bytes(b"no database at all" * 100)
    before = sorted(p for p in course_of_one.root.rglob("*"))
    refuses(r"expected a gradebook that can be opened, got .*not a database", release, NAME, course_of_one.root)
    assert sorted(p for p in course_of_one.root.rglob("*")) == before


def test_a_renamed_cell_without_marks_is_released(course_of_one: Any) -> None:
    edit(course_of_one, rename)
    release(NAME, course_of_one.root)
    with book.gradebook(course_of_one.api) as gradebook:
        assert "area_nothing" in {cell.name for cell in gradebook.find_notebook(NAME, NAME).grade_cells}


# ---- what was handed out before


def handed_in(course: Any) -> Path:
    """The notebook as it is released now, handed in as it is."""
    target = course.root / "submitted" / "ada" / NAME
    shutil.copytree(course.root / "assignments" / NAME, target)
    return target  # type: ignore[no-any-return]


def seen(course: Any, folder: Path) -> Reading:
    return read(folder, read_source(course.root, NAME), student="ada")


def points(cells: list[Any]) -> None:
    at(cells, "area_rectangle").metadata.nbgrader.points = 50
    at(cells, "area_zero").metadata.nbgrader.points = 20


def hint(cells: list[Any]) -> None:
    at(cells, "area_zero").source = "# 1b · nothing (10 points)\nassert area(0, 3) == 0, 'nothing times three'"


def setup(cells: list[Any]) -> None:
    at(cells, "setup").source += "\nimport cmath"


def stub(cells: list[Any]) -> None:
    at(cells, "drawn").source = "# Draw.\n" + at(cells, "drawn").source


def renamed_setup(cells: list[Any]) -> None:
    at(cells, "setup").metadata.nbgrader.grade_id = "first"


def dropped(cells: list[Any]) -> None:
    cells.remove(at(cells, "setup"))


def added(cells: list[Any]) -> None:
    extra = nbformat.from_dict(json.loads(json.dumps(at(cells, "setup"))))
    extra.update(id="more", source="import string")
    extra.metadata.nbgrader.grade_id = "more"
    cells.insert(3, extra)


@pytest.mark.parametrize("change", [points, hint, setup, stub, renamed_setup, dropped, added])
@pytest.mark.parametrize("again", [True, False])
def test_what_the_instructor_changed_is_nobody_s_change(
    course_of_one: Any, change: Callable[[list[Any]], object], again: bool
) -> None:
    folder = handed_in(course_of_one)
    before = seen(course_of_one, folder)
    assert (before.remarks, before.flags, before.problem) == ((), (), "")
    edit(course_of_one, change)
    if again:
        release(NAME, course_of_one.root)
    after = seen(course_of_one, folder)
    assert (after.remarks, after.flags, after.problem) == ((), (), "")
    (job,) = after.jobs
    assert [step.kind for step in job.steps].count("own") == 0


def test_what_the_student_changed_is_still_said(course_of_one: Any) -> None:
    folder = handed_in(course_of_one)
    edit(course_of_one, hint)
    release(NAME, course_of_one.root)
    notebook = nbformat.read(folder / f"{NAME}.ipynb", as_version=4)
    at(notebook.cells, "area_zero").source = "assert True"
    at(notebook.cells, "area_rectangle").metadata.nbgrader.points = 99
    nbformat.write(notebook, folder / f"{NAME}.ipynb")
    flags = " ".join(seen(course_of_one, folder).flags)
    assert "'area_zero'" in flags
    assert "'area_rectangle'" in flags


def test_a_release_from_before_this_was_kept_counts_too(course_of_one: Any) -> None:
    folder = handed_in(course_of_one)
    shutil.rmtree(course_of_one.root / "marks")
    edit(course_of_one, hint)
    release(NAME, course_of_one.root)
    assert seen(course_of_one, folder).flags == ()


def test_an_old_stub_is_as_empty_as_the_new(course_of_one: Any) -> None:
    """A drawing that nobody drew does not wait for a grader, whichever stub is in it."""
    folder = handed_in(course_of_one)
    edit(course_of_one, stub)
    release(NAME, course_of_one.root)
    (job,) = seen(course_of_one, folder).jobs
    right = Result(tuple(CellResult() for _ in job.steps))
    with book.gradebook(course_of_one.api) as opened:
        book.record_grades(course_of_one.api, [job], [right], Record("ada"), opened)
    assert (course_of_one.marks("ada")["drawn"].waits, course_of_one.marks("ada")["drawn"].points) == (False, 0)


def test_the_run_after_a_failed_release_goes_on(course_of_one: Any, refuses: Callable[..., None]) -> None:
    course_of_one.grade("ada")
    edit(course_of_one, rename)
    refuses("got removed", release, NAME, course_of_one.root)
    refuses("expected a1 in the gradebook as it is in solutions/", running.run, NAME, course_of_one.root, unsafe=True)
    edit(course_of_one, lambda cells: at(cells, "area_nothing").metadata.nbgrader.update(grade_id="area_zero"))
    assert [record.state for record in running.run(NAME, course_of_one.root, unsafe=True, report=lambda _: None)] == [
        "missing"
    ]
