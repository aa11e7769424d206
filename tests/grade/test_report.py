"""The instructor's page after a small class was graded."""

import re
from pathlib import Path

from test_feedback import Closed, text

from coursekit.grade import book
from coursekit.grade.records import CellResult
from coursekit.grade.reporting import report

COPIED = """
def area(width, height):
    rows = [[1 for _ in range(width)] for _ in range(height)]
    total = 0
    for row in rows:
        for cell in row:
            total += cell if cell > 0 else -cell
    return total if total >= 0 else sum(sum(row) for row in rows)
"""


def made(course: object) -> str:
    return Path(report("a1", course.root)).read_text(encoding="utf-8")  # type: ignore[attr-defined]


def test_a_class(course_of_one) -> None:
    wrong = CellResult(ok=False, message="area(0, 3) gave 3 <b>.")
    course_of_one.grade("ada", {"area": COPIED}, flags=["It opened a socket <here>."])
    course_of_one.grade("bob", {"area": COPIED.replace("rows", "grid").replace("total", "n")}, {"area_zero": wrong})
    course_of_one.grade("cy", {"written": "An answer."}, {"area_zero": wrong, "area_rectangle": CellResult(ok=False, message="No.")})
    book.void(course_of_one.api, "a1", "eve", state="missing", note="Nothing was handed in.")
    html = made(course_of_one)
    Closed(html)
    said = text(html)
    assert "3 graded, 1 missing" in said
    assert "mean 43.3, median 60, from 0 to 70 of 100 points" in said
    assert 'aria-label="Students by points. 0 to 10: 1; 60 to 70: 1; 70 to 80: 1."' in html
    assert re.search(r"1b · nothing \(10 points\) 3\.3 10 33 % 2 × area\(0, 3\) gave 3 &lt;b&gt;\.", said)
    assert "It opened a socket &lt;here&gt;." in said
    assert "eve missing: Nothing was handed in." in said
    assert "ada and bob 100 % of the shorter of the two" in said
    assert "0.8 s of CPU in all, 0.25 s for a typical submission" in said
    assert not re.search("<(script|link|img)|https?:", html)


def test_nothing_graded_is_a_page_too(course_of_one) -> None:
    assert "Nothing graded yet." in made(course_of_one)
