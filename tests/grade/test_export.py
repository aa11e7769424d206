"""Marks for a spreadsheet, Canvas, Moodle and as JSON."""

import csv
import json
from collections.abc import Callable

import pytest

from coursekit.grade import book
from coursekit.grade.exporting import export
from coursekit.grade.records import CellResult


@pytest.fixture
def marked(course_of_one) -> object:
    course_of_one.grade("ada", {"written": "An answer."}, {"area_zero": CellResult(ok=False, message="No.")})
    course_of_one.grade("bob", {"written": "An answer."})
    course_of_one.by_hand("bob", "written", 12.5, "Good.")
    course_of_one.grade("eve", {"written": "An answer."})
    course_of_one.by_hand("eve", "written", 20)
    book.void(course_of_one.api, "a1", "eve", state="unreadable", note='=cmd, "quoted"')
    with book.gradebook(course_of_one.api) as gradebook:
        gradebook.update_or_create_student("bob", first_name="Bøb", last_name="+Jones", email="bob@example.org", lms_user_id="17")
    return course_of_one


def rows(marked: object, layout: str) -> list[list[str]]:
    path = export("a1", marked.root, layout=layout)  # type: ignore[attr-defined, arg-type]
    assert path.read_bytes().startswith(b"\xef\xbb\xbf") == (layout != "plain")
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.reader(file))


def test_plain(marked) -> None:
    assert rows(marked, "plain") == [
        ["student", "area_rectangle", "area_zero", "written", "drawn", "total", "max", "state", "note"],
        ["ada", "60", "0", "", "0", "60", "100", "graded", "60 of 100 points so far; 1 to be graded by hand."],
        ["bob", "60", "10", "12.5", "0", "82.5", "100", "graded", "82.5 of 100 points."],
        ["eve", "", "", "", "", "", "100", "unreadable", '\'=cmd, "quoted"'],
    ]


def test_canvas(marked) -> None:
    assert rows(marked, "canvas") == [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "a1"],
        ["    Points Possible", "", "", "", "", "100"],
        ["ada", "", "ada", "ada", "", "60"],
        ["'+Jones, Bøb", "17", "bob", "bob", "", "82.5"],
        ["eve", "", "eve", "eve", "", ""],
    ]


def test_moodle(marked) -> None:
    assert rows(marked, "moodle")[2] == ["Participant 17", "Bøb +Jones", "bob@example.org", "82.5", "100", "82.5 of 100 points."]


def test_json_holds_everything(marked) -> None:
    whole = json.loads(export("a1", marked.root, layout="json").read_text(encoding="utf-8"))
    bob = whole[1]
    assert (bob["student"], bob["total"], bob["max"], bob["open"]) == ("bob", 82.5, 100, 0)
    assert bob["cells"]["written"] == {"points": 12.5, "maximum": 20, "auto": None, "manual": 12.5, "extra": None, "waits": False}
    assert bob["comments"]["written"] == "Good."
    assert (whole[2]["total"], whole[2]["cells"], whole[2]["state"]) == (None, {}, "unreadable")


def test_layouts_are_named(refuses: Callable[..., None], course_of_one) -> None:
    refuses("expected a layout of plain, canvas, moodle, json, got 'excel'", export, "a1", course_of_one.root, layout="excel")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t"])
def test_no_cell_is_a_formula(course_of_one, start: str) -> None:
    book.void(course_of_one.api, "a1", "eve", state="missing", note=f"{start}1+1")
    assert rows(course_of_one, "plain")[1][-1] == f"'{start}1+1"


def test_the_number_in_what_was_handed_in_finds_the_student_again(course_of_one) -> None:
    course_of_one.grade("ada_1234")
    assert rows(course_of_one, "canvas")[-1][:2] == ["ada_1234", "1234"]
    assert rows(course_of_one, "moodle")[-1][0] == "Participant 1234"
