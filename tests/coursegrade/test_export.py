"""Marks for a spreadsheet, Canvas, Moodle and as JSON."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from coursegrade import book, journal, reporting, returning
from coursegrade.collecting import collect
from coursegrade.exporting import export
from coursegrade.records import CellResult, Record


@pytest.fixture
def marked(course_of_one) -> object:
    course_of_one.grade("ada", {"written": "An answer."}, {"area_zero": CellResult(ok=False, message="No.")})
    course_of_one.grade("bob", {"written": "An answer."})
    course_of_one.by_hand("bob", "written", 12.5, "Good.")
    course_of_one.grade("eve", {"written": "An answer."})
    course_of_one.by_hand("eve", "written", 20)
    book.void(course_of_one.api, "a1", Record("eve", "unreadable", '=cmd, "quoted"'))
    with book.gradebook(course_of_one.api) as gradebook:
        gradebook.update_or_create_student(
            "bob", first_name="Bøb", last_name="+Jones", email="bob@example.org", lms_user_id="17"
        )
    return course_of_one


def rows(marked: object, layout: str) -> list[list[str]]:
    path = export("a1", marked.root, layout=layout)  # type: ignore[attr-defined, arg-type]
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (layout != "plain")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def test_plain(marked) -> None:
    assert rows(marked, "plain") == [
        ["student", "area_rectangle", "area_zero", "written", "drawn", "total", "max", "state", "late", "note"],
        ["ada", "60", "0", "", "0", "60", "100", "graded", "", "60 of 100 points so far; 1 to be graded by hand."],
        ["bob", "60", "10", "12.5", "0", "82.5", "100", "graded", "", "82.5 of 100 points."],
        ["eve", "", "", "", "", "", "100", "unreadable", "", '\'=cmd, "quoted"'],
    ]


def test_canvas(marked) -> None:
    """A login is what stands in the folder's name where no platform gave another."""
    assert rows(marked, "canvas") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "a1"],
        ["    Points Possible", "", "", "", "", "100"],
        ["ada", "", "", "ada", "", "60"],
        ["'+Jones, Bøb", "17", "", "bob", "", "82.5"],
        ["eve", "", "", "eve", "", ""],
    ]


def test_json_holds_everything(marked) -> None:
    whole = json.loads(export("a1", marked.root, layout="json").read_text(encoding="utf-8"))
    bob = whole[1]
    assert (bob["student"], bob["total"], bob["max"], bob["open"]) == ("bob", 82.5, 100, 0)
    assert bob["cells"]["written"] == {
        "points": 12.5,
        "maximum": 20,
        "auto": None,
        "manual": 12.5,
        "extra": None,
        "waits": False,
    }
    assert bob["comments"]["written"] == "Good."
    assert (whole[2]["total"], whole[2]["cells"], whole[2]["state"]) == (None, {}, "unreadable")


def test_layouts_are_named(refuses: Callable[..., None], course_of_one) -> None:
    refuses(
        "expected a layout of plain, canvas, moodle, json, got 'excel'",
        export,
        "a1",
        course_of_one.root,
        layout="excel",
    )


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(course_of_one, start: str) -> None:
    book.void(course_of_one.api, "a1", Record("eve", "missing", f"{start}1+1"))
    assert rows(course_of_one, "plain")[1][-1] == f"'{start}1+1"


# ---- who is who


def hand_in(course: Any, where: Path, *names: str) -> None:
    """From a zip's unpacked folder to a mark each."""
    for name in names:
        path = where / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    for one in collect(where, "a1", course.root):
        course.grade(one.student)


def test_a_name_s_digits_are_nobody_s_number(course_of_one, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder student_12 is not Canvas's 12, Moodle's participants are not Canvas's users, nor the other way round."""
    hand_in(course_of_one, tmp_path / "f", "student_12/a1.ipynb", "anna_mueller57/a1.ipynb")
    hand_in(
        course_of_one, tmp_path / "m", "Ada L_7_assignsubmission_file_/a1.ipynb", "Bo_8_assignsubmission_file_/a1.ipynb"
    )
    hand_in(course_of_one, tmp_path / "c", "noetheremmy_222_333_a1.ipynb", "gaussc_LATE_9_1_a1.ipynb")
    ids = {row[0]: row[1] for row in rows(course_of_one, "canvas")[2:]}
    assert ids == {"student_12": "", "anna_mueller57": "", "Ada L": "", "Bo": "", "noetheremmy": "222", "gaussc": "9"}
    assert "4 students did not hand in by Canvas" in capsys.readouterr().out
    assert {row[1]: row[0] for row in rows(course_of_one, "moodle")[1:]} == {
        "Ada L": "Participant 7",
        "Bo": "Participant 8",
    }
    assert "4 students did not hand in by Moodle, so that they have no row: anna_mueller57, " in capsys.readouterr().out
    whole = json.loads(export("a1", course_of_one.root, layout="json").read_text(encoding="utf-8"))
    assert {one["student"]: one["late"] for one in whole if one["late"]} == {"gaussc_9": "Handed in late."}


def test_moodle_has_the_columns_that_its_import_asks_for(course_of_one, tmp_path: Path) -> None:
    """As mod/assign/feedback/offline/importgradeslib.php reads it: three columns by name, the digits behind
    ``Participant ``, a time.
    """
    hand_in(
        course_of_one, tmp_path / "m", "Ada L_7_assignsubmission_file_/a1.ipynb", "Bo_8_assignsubmission_file_/a1.ipynb"
    )
    header, *people = rows(course_of_one, "moodle")
    assert {"Identifier", "Grade", "Last modified (grade)", "Feedback comments"} <= set(header)
    for row, number in zip(people, ("7", "8"), strict=True):
        assert row[header.index("Identifier")][len("Participant ") :] == number
        assert row[header.index("Grade")] == "70"
        written = datetime.fromisoformat(row[header.index("Last modified (grade)")])
        assert abs((datetime.now(UTC) - written).total_seconds()) < 600


def test_gradescope_s_student_number_is_canvas_s_sis_id(course_of_one, tmp_path: Path) -> None:
    (tmp_path / "g").mkdir()
    lines = [
        "submission_1:",
        "  :submitters:",
        "  - :name: Ada L",
        "    :sid: '011'",
        "    :email: ada@x.edu",
        "  :status: processed",
    ]
    (tmp_path / "g" / "submission_metadata.yml").write_text("\n".join(lines))
    hand_in(course_of_one, tmp_path / "g", "submission_1/a1.ipynb")
    assert rows(course_of_one, "canvas")[-1][:4] == ["Ada L", "", "011", ""]


def test_late_is_kept_and_shown(course_of_one, tmp_path: Path) -> None:
    with book.gradebook(course_of_one.api) as gradebook:
        gradebook.update_or_create_assignment("a1", duedate="2024-01-01 08:00:00 UTC")
    members = (
        "inbound/ada+a1+2024-01-01 10:30:00.000000 UTC/a1.ipynb",
        "inbound/bob+a1+2024-01-01 07:00:00.000000 UTC/a1.ipynb",
    )
    hand_in(course_of_one, tmp_path / "e", *members)
    hand_in(course_of_one, tmp_path / "c", "gaussc_LATE_9_1_a1.ipynb", "x_1_2_a1.ipynb")
    book.void(course_of_one.api, "a1", Record("gaussc_9", "unreadable", "It breaks off."))
    late = {student: record.late for student, record in journal.records(course_of_one.root, "a1").items()}
    assert late == {"ada": "Handed in 2 h 30 min late.", "bob": "", "gaussc_9": "Handed in late.", "x_1": ""}
    table = rows(course_of_one, "plain")
    assert {row[0] for row in table if row[table[0].index("late")]} == {"ada", "gaussc_9", "student"}
    returning.feedback("a1", course_of_one.root)
    for student in ("ada", "gaussc_9"):
        assert late[student] in (course_of_one.root / "feedback" / student / "a1" / "a1.html").read_text(
            encoding="utf-8"
        )
    page = reporting.report("a1", course_of_one.root).read_text(encoding="utf-8")
    assert "Handed in 2 h 30 min late." in page
