"""The page a student gets back: what it says, and what it never shows."""

import re
from html.parser import HTMLParser

import pytest

from coursegrade import book, journal
from coursegrade.records import CellResult, Record
from coursegrade.returning import feedback

RIGHT = "def area(width, height):\n    return width * height"
VISIBLE = CellResult(ok=False, message="area(0, 3) gave 3, expected 0: nothing times anything is nothing.")
SECRET = CellResult(
    ok=False,
    hidden=True,
    message="A hidden check failed. Hint: sides may be fractions",
    output="29.0 of a hidden check",
)
HOSTILE = "<script>canary()</script><img src=x onerror=canary()> & \x1b[31mred"


def page(course: object, student: str = "ada") -> str:
    feedback("a1", course.root)  # type: ignore[attr-defined]
    return (course.root / "feedback" / student / "a1" / "a1.html").read_text(encoding="utf-8")  # type: ignore[attr-defined]


def text(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", html.partition("<main>")[2]))


class Closed(HTMLParser):
    """Refuses an element that is not closed, or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in ("meta", "line", "rect", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in ("line", "rect"):
            assert self.open.pop() == tag


def test_a_page_says_what_failed_and_what_it_cost(course_of_one) -> None:
    course_of_one.grade(
        "ada",
        {"area": RIGHT, "written": "My answer."},
        {"area_zero": VISIBLE},
        remarks=["The cell 'x' was there twice."],
    )
    said = text(page(course_of_one))
    assert "60 of 100 points so far" in said
    assert "1 answer waits for a grader." in said
    assert "Exercise 1 · Area 60 of 70 points" in said
    assert "✗ Not yet · 1b · nothing (10 points)" in said
    assert "area(0, 3) gave 3, expected 0" in said
    assert "✓ Right · 1a · a rectangle (60 points)" in said
    assert "The cell &#x27;x&#x27; was there twice." in said
    assert "Waits for a grader · written My answer." in said


def test_hidden_checks_show_the_instructors_words_alone(course_of_one) -> None:
    course_of_one.grade("ada", {"area": RIGHT}, {"area_rectangle": SECRET})
    html = page(course_of_one)
    assert html.count("A hidden check failed.") == html.count("sides may be fractions") == 1
    for secret in ("7.25", "HIDDEN", "29"):
        assert secret not in text(html)


def test_what_a_grader_gave_is_there(course_of_one) -> None:
    course_of_one.grade("ada", {"area": RIGHT, "written": "My answer."}, {"area_zero": VISIBLE})
    course_of_one.by_hand("ada", "written", 12.5, "Say <why>.")
    course_of_one.by_hand("ada", "area_zero", 5)
    said = text(page(course_of_one))
    assert "77.5 of 100 points" in said
    assert "12.5 of 20 Graded by hand · written My answer. Comment: Say &lt;why&gt;." in said
    assert "5 of 10 ✗ Not yet · 1b · nothing (10 points) (set by a grader)" in said
    assert "so far" not in said


def test_what_nobody_wrote_nobody_graded(course_of_one) -> None:
    course_of_one.grade("ada", {"area": "", "written": "", "drawn": "print('#')"})
    said = text(page(course_of_one))
    assert "0 of 20 Left empty · written" in said
    assert "Waits for a grader · drawn" in said
    assert "by hand" not in said
    assert "No response" not in said
    course_of_one.by_hand("ada", "written", 0, "Nothing there.")
    assert "0 of 20 Graded by hand · written" in text(page(course_of_one))


def test_nothing_a_student_wrote_is_markup(course_of_one) -> None:
    came = CellResult(ok=False, message=HOSTILE, output=HOSTILE)
    answers = {name: HOSTILE for name in ("area", "own", "written", "drawn")}
    course_of_one.grade(
        "ada", answers, {name: came for name in ("area", "own", "drawn", "area_zero")}, remarks=[HOSTILE]
    )
    html = page(course_of_one)
    Closed(html)
    assert not re.search(r"<(script|img|iframe|link)", html)
    assert "\x1b" not in html
    assert html.count("&lt;script&gt;canary()") > 5
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in html


def test_what_was_printed_is_shown_and_cut(course_of_one) -> None:
    course_of_one.grade("ada", {"area": RIGHT, "own": "..."}, {"own": CellResult(output="x" * 9000)})
    said = text(page(course_of_one))
    assert "Printed:" in said
    assert "(5000 more characters)" in said


@pytest.mark.parametrize("state", ["unreadable", "missing"])
def test_who_could_not_be_graded_gets_the_reason(course_of_one, state: str) -> None:
    course_of_one.grade("ada", {})
    assert "100 points" in page(course_of_one)
    book.void(
        course_of_one.api,
        "a1",
        Record("ada", state, "a1.ipynb breaks off <in the middle>.", flags=("for the instructor",)),
    )
    html = page(course_of_one)
    Closed(html)
    assert f"Not graded: {state}." in html
    assert "a1.ipynb breaks off &lt;in the middle&gt;." in html
    assert "100 points" not in html
    assert "for the instructor" not in html


def test_a_record_without_marks_says_so(course_of_one) -> None:
    journal.save_record(course_of_one.root, "a1", Record("ada", "graded", "100 points."))
    assert "not in the gradebook" in page(course_of_one)


def test_a_record_in_an_unknown_state_shows_its_note(course_of_one) -> None:
    journal.save_record(course_of_one.root, "a1", Record("ada", "lost", "Something <else>."))
    assert "Something &lt;else&gt;." in page(course_of_one)


def test_stale_pages_go(course_of_one) -> None:
    stale = course_of_one.root / "feedback" / "ada" / "a1" / "old.html"
    stale.parent.mkdir(parents=True)
    stale.write_text("100 of 100")
    course_of_one.grade("ada", {})
    assert feedback("a1", course_of_one.root) == [stale.with_name("a1.html")]
    assert not stale.exists()


def test_nbgrader_finds_where_each_page_goes(course_of_one) -> None:
    """Its ``release_feedback`` opens both files of everyone; the secret is what the student's ``fetch`` goes by."""
    for student in ("ada", "kurt", "emmy"):
        course_of_one.grade(student, {"area": RIGHT})
    handed_in = course_of_one.root / "submitted" / "ada" / "a1"
    handed_in.mkdir(parents=True)
    (handed_in / "timestamp.txt").write_text("2026-01-02 10:00:00 UTC")
    (handed_in / "submission_secret.txt").write_text("of ada")
    feedback("a1", course_of_one.root)
    folders = {student: course_of_one.root / "feedback" / student / "a1" for student in ("ada", "kurt", "emmy")}
    assert (folders["ada"] / "timestamp.txt").read_text() == "2026-01-02 10:00:00 UTC"
    secrets = {student: (folder / "submission_secret.txt").read_text() for student, folder in folders.items()}
    assert secrets["ada"] == "of ada"
    assert len(set(secrets.values())) == 3
    assert all((folder / "timestamp.txt").exists() for folder in folders.values())
