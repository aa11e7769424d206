"""The gradebook after a submission was recorded: marks, what a grader gave, and what is left after a crash."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest

from coursegrade import book, journal
from coursegrade.directory import release
from coursegrade.records import CellResult, Record
from coursegrade.running import run

RIGHT = "def area(width, height):\n    return width * height"
WRONG = CellResult(ok=False, message="area(2, 3) gave 5, expected 6.")


def notebook(course: object, student: str = "ada") -> nbformat.NotebookNode:
    read = nbformat.read(course.root / "autograded" / student / "a1" / "a1.ipynb", as_version=4)  # type: ignore[attr-defined]
    nbformat.validate(read)
    return read


def cell(course: object, name: str) -> nbformat.NotebookNode:
    return next(c for c in notebook(course).cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)


def test_a_check_gives_all_its_points_or_none(course_of_one) -> None:
    record = course_of_one.grade("ada", {"area": RIGHT}, {"area_zero": WRONG})
    assert record.points == {"area_rectangle": 60, "area_zero": 0, "written": 0, "drawn": 0}
    assert (record.state, record.note, record.open) == ("graded", "60 of 100 points.", 0)
    assert journal.records(course_of_one.root, "a1") == {"ada": record}


def test_an_answer_waits_for_a_grader_unless_there_is_none(course_of_one) -> None:
    record = course_of_one.grade("ada", {"written": "  \n", "drawn": "print('#')"})
    marks = course_of_one.marks("ada")
    assert (marks["written"].auto, marks["written"].waits) == (0, False)
    assert (marks["drawn"].points, marks["drawn"].waits) == (None, True)
    assert (record.open, record.note) == (1, "70 of 100 points so far; 1 to be graded by hand.")
    with book.gradebook(course_of_one.api) as gradebook:
        comments = {
            name: gradebook.find_comment(name, "a1", "a1", "ada").comment for name in ("area", "written", "drawn")
        }
    assert comments == {"area": None, "written": "No response.", "drawn": None}


def test_what_was_given_by_hand_stays(course_of_one) -> None:
    answers = {"area": RIGHT, "written": "An <i>answer</i> [with](a link)."}
    course_of_one.grade("ada", answers)
    course_of_one.by_hand("ada", "written", 15, "Say why.")
    record = course_of_one.grade("ada", answers)
    mark = course_of_one.marks("ada")["written"]
    assert (mark.points, mark.waits, record.remarks, record.note) == (15, False, (), "85 of 100 points.")
    with book.gradebook(course_of_one.api) as gradebook:
        assert gradebook.find_comment("written", "a1", "a1", "ada").comment == "Say why."


def test_a_changed_answer_is_looked_at_again(course_of_one) -> None:
    course_of_one.grade("ada", {"written": "An answer."})
    course_of_one.by_hand("ada", "written", 15)
    for _ in range(2):  # and again after a crash: it goes on waiting
        record = course_of_one.grade("ada", {"written": "Another answer."})
        mark = course_of_one.marks("ada")["written"]
        assert (mark.points, mark.waits) == (15, True)
    assert record.open == 1
    course_of_one.grade("bob", {"written": "An answer."})
    course_of_one.by_hand("bob", "written", 15)
    record = course_of_one.grade("bob", {"written": "Another answer."})
    (remark,) = record.remarks
    assert (
        remark
        == "What 'written' was marked by hand for has changed: the mark stays until a grader has looked at it again."
    )


def test_an_overruled_check_is_looked_at_again_only_if_it_comes_out_differently(course_of_one) -> None:
    course_of_one.grade("ada", {}, {"area_zero": WRONG})
    course_of_one.by_hand("ada", "area_zero", 5)
    course_of_one.grade("ada", {}, {"area_zero": WRONG})
    assert not course_of_one.marks("ada")["area_zero"].waits
    course_of_one.grade("ada", {"area": RIGHT})
    mark = course_of_one.marks("ada")["area_zero"]
    assert (mark.points, mark.auto, mark.waits) == (5, 10, True)


def test_void_takes_back_what_was_automatic(course_of_one) -> None:
    course_of_one.grade("ada", {"written": "An answer."})
    course_of_one.by_hand("ada", "written", 15)
    record = book.void(course_of_one.api, "a1", Record("ada", "unreadable", "It breaks off."))
    assert {name: mark.points for name, mark in course_of_one.marks("ada").items()} == {
        "area_rectangle": None,
        "area_zero": None,
        "written": 15,
        "drawn": None,
    }
    assert not (course_of_one.root / "autograded" / "ada" / "a1").exists()
    assert journal.records(course_of_one.root, "a1")["ada"] == record
    assert course_of_one.grade("ada", {"written": "An answer."}).open == 1  # what the grader saw is gone: look again


def test_void_of_someone_unknown_is_recorded(course_of_one) -> None:
    assert book.void(course_of_one.api, "a1", Record("eve", "missing", "Nothing was handed in.")).state == "missing"
    assert list(journal.records(course_of_one.root, "a1")) == ["eve"]


def test_a_broken_off_process_is_partly_graded(course_of_one) -> None:
    assert (
        course_of_one.grade("ada", {}, {"area": CellResult(ok=False, fatal="crashed", message="It crashed.")}).state
        == "partly graded"
    )


def test_history_says_what_changed_and_why(course_of_one) -> None:
    course_of_one.grade("ada", {}, {"area_zero": WRONG}, run="1", submission="a", source="s")
    course_of_one.grade("ada", {}, run="2", submission="b", source="s")
    course_of_one.grade("ada", {}, submission="b", source="t")
    course_of_one.grade("ada", {}, submission="b", source="t")
    entries = journal.history(course_of_one.root, "a1")
    assert [entry["why"] for entry in entries] == [
        "first graded",
        "submission changed",
        "source changed",
        "graded again",
    ]
    assert (entries[1]["run"], entries[1]["before"]["area_zero"], entries[1]["after"]["area_zero"]) == ("2", 0, 10)


class Killed(BaseException):
    """What stands for kill -9 here."""


@pytest.mark.parametrize("place", ["append_history", "save_record", "autograded.write"])
def test_a_crash_anywhere_loses_nothing(course_of_one, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """The history knows of every committed change, and grading again gives the same as if nothing had happened."""
    course_of_one.grade("ada", {"written": "An answer."}, {"area_zero": WRONG})
    course_of_one.by_hand("ada", "written", 15)
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise Killed

        patch.setattr(f"coursegrade.book.{place}", die)
        with pytest.raises(Killed):
            course_of_one.grade("ada", {"written": "Another answer."}, run="killed")
    committed = course_of_one.marks("ada")["area_zero"].points == 10
    assert committed == (place != "append_history")
    assert (journal.history(course_of_one.root, "a1")[-1]["run"] == "killed") == committed
    course_of_one.grade("ada", {"written": "Another answer."})
    marks = course_of_one.marks("ada")
    assert (marks["area_zero"].points, marks["written"].points, marks["written"].waits) == (10, 15, True)
    assert cell(course_of_one, "written").source == "Another answer."


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    journal.append_history(tmp_path, "a1", {"run": 1})
    path = tmp_path / "marks" / "a1.history.jsonl"
    path.write_text(path.read_text() + '{"run": 2, "stu')
    journal.append_history(tmp_path, "a1", {"run": 3})
    assert [entry["run"] for entry in journal.history(tmp_path, "a1")] == [1, 3]


def test_a_spoiled_record_is_named(tmp_path: Path, refuses: Callable[..., None]) -> None:
    (tmp_path / "marks" / "a1").mkdir(parents=True)
    (tmp_path / "marks" / "a1" / "ada.json").write_text('{"student": "ada"}')
    refuses(r"expected the record of a grading in .*ada.json, got other text", journal.records, tmp_path, "a1")


def test_the_autograded_notebook_is_what_nbgrader_expects(course_of_one) -> None:
    own = CellResult(ok=False, message="NameError: x is not defined.", output="\x1b[31mred\x1b[0m\n10 %\r99 %")
    course_of_one.grade("ada", {"area": RIGHT, "own": "print(x)"}, {"own": own, "area_zero": WRONG})
    assert [c.id for c in notebook(course_of_one).cells] == [f"cell-{n}" for n in range(10)]
    mark = cell(course_of_one, "area_zero").metadata.nbgrader
    assert (mark.points, mark.grade, mark.solution, mark.locked, mark.schema_version) == (10, True, False, True, 3)
    (error,) = cell(course_of_one, "area_zero").outputs
    assert (error.output_type, error.traceback) == ("error", ["area(2, 3) gave 5, expected 6."])
    printed, stopped = notebook(course_of_one).cells[4].outputs
    assert (printed.output_type, printed.text, stopped.evalue) == (
        "stream",
        "red\n99 %",
        "NameError: x is not defined.",
    )


def test_an_open_gradebook_serves_many(course_of_one) -> None:
    with book.gradebook(course_of_one.api) as gradebook:
        for student in ("ada", "bob"):
            course_of_one.grade(student, {}, book=gradebook)
    assert [course_of_one.marks(student)["area_zero"].points for student in ("ada", "bob")] == [10, 10]


def test_without_alembic_no_gradebook_is_begun(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None]
) -> None:
    shutil.copytree(released / "solutions", tmp_path / "solutions")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    refuses("expected the program alembic on PATH, .* got none: run `.*pip install alembic`", release, "a1", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["solutions"]


@pytest.mark.parametrize(
    ("address", "got"),
    [
        ("postgresql+psycopg://ada:secret@127.0.0.1:1/course", "connection failed"),
        ("postgres://127.0.0.1/course", "Can't load plugin"),
        ("postgresql+psycopg2://127.0.0.1/course", "No module named 'psycopg2'"),
        ("gradebook", "Could not parse"),
    ],
)
def test_a_gradebook_that_cannot_be_opened_is_said(
    released: Path, monkeypatch: pytest.MonkeyPatch, refuses: Callable[..., None], address: str, got: str
) -> None:
    monkeypatch.setenv("COURSEKIT_GRADEBOOK", address)
    refuses(f"expected a gradebook that can be opened, got .*{got}.*COURSEKIT_GRADEBOOK", run, "a1", released)
