"""The instructor's page after a small class was graded."""

import html
import re
from pathlib import Path

import pytest
from test_feedback import Closed, text

from coursegrade import book, reporting
from coursegrade.records import CellResult, Record
from coursegrade.reporting import report

COPIED = """
def area(width, height):
    rows = [[1 for _ in range(width)] for _ in range(height)]
    total = 0
    for row in rows:
        for cell in row:
            total += cell if cell > 0 else -cell
    return total if total >= 0 else sum(sum(row) for row in rows)
"""


OTHER = """
def area(width, height):
    import torch
    grid = torch.zeros(height, width).add(1).reshape(-1).cumsum(0).tolist()
    while len(grid) > 1 and grid[-1] >= grid[0]:
        last, *grid = grid[::-1]
        if not grid:
            break
        return {last: "all", None: 0}.popitem() and max(last, 0)
    try:
        return int(grid.pop()) if grid else abs(width * height)
    except (TypeError, IndexError) as error:
        raise ValueError(str(error)) from None
"""


def made(course: object) -> str:
    return Path(report("a1", course.root)).read_text(encoding="utf-8")  # type: ignore[attr-defined]


def test_a_class(course_of_one) -> None:
    wrong = CellResult(ok=False, message="area(0, 3) gave 3 <b>.")
    course_of_one.grade("ada", {"area": COPIED}, flags=["It opened a socket <here>."])
    course_of_one.grade("bob", {"area": COPIED.replace("rows", "grid").replace("total", "n")}, {"area_zero": wrong})
    course_of_one.grade(
        "cy", {"written": "An answer."}, {"area_zero": wrong, "area_rectangle": CellResult(ok=False, message="No.")}
    )
    book.void(course_of_one.api, "a1", Record("eve", "missing", "Nothing was handed in."))
    page = made(course_of_one)
    Closed(page)
    said = text(page)
    assert "3 graded, 1 missing" in said
    assert "mean 43.3, median 60, from 0 to 70 of 100 points" in said
    assert 'aria-label="Students by points. 0 to 10: 1; 60 to 70: 1; 70 to 80: 1."' in page
    assert re.search(r"1b · nothing \(10 points\) 3\.3 10 33 % 2 × area\(0, 3\) gave 3 &lt;b&gt;\.", said)
    assert "It opened a socket &lt;here&gt; 1 ada" in said
    assert "eve missing: Nothing was handed in." in said
    assert "Alike beyond the stub (2 students in 1 groups)" in said
    assert "2 ada, bob 100 % of the shorter of two is in the other" in said
    assert "0.8 s of CPU in all, 0.25 s for a typical submission" in said
    assert not re.search("<(script|link|img)|https?:", page)


def test_flags_are_counted_by_kind(course_of_one) -> None:
    course_of_one.grade(
        "ada",
        flags=[
            "Cells of the assignment that were changed: 'f'.",
            "The answer area uses os.fork: no exercise needs it.",
        ],
    )
    course_of_one.grade("bob", flags=["Cells of the assignment that were changed: 'f'."])
    course_of_one.grade("cy", flags=["Cells of the assignment that were changed: 'g', 'h'."])
    course_of_one.grade("di", flags=["A cell the student added (cell 3) uses os.fork: no exercise needs it."])
    said = html.unescape(text(made(course_of_one)))
    assert "Cells of the assignment that were changed 3 'f': ada, bob 'g', 'h': cy" in said
    assert "Uses os.fork 2 ada, di" in said


def test_a_long_call_does_not_hide_what_came(course_of_one) -> None:
    message = f"area({'[1, 2], ' * 100})\n  expected: 6\n  but it returned: {'7, ' * 300}\n  hint: width times height."
    course_of_one.grade("ada", came={"area_zero": CellResult(ok=False, message=message)})
    said = text(made(course_of_one))
    assert re.search(r"expected: 6 but it returned: 7, 7, .{50,200}… hint: width times height\.", said)


def test_many_alike_are_groups_and_what_is_left_out_is_said(course_of_one, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(6):
        course_of_one.grade(f"a{n}", {"area": COPIED} if n < 4 else {})
        course_of_one.grade(f"b{n}", {"area": OTHER} if n < 3 else {})
    said = text(made(course_of_one))
    assert "Alike beyond the stub (7 students in 2 groups)" in said
    assert "Code that more than a third of the class has in common counts as common knowledge" in said
    assert "4 a0, a1, a2, a3 100 % of" in said
    monkeypatch.setattr(reporting, "GROUPS", 1)
    said = text(made(course_of_one))
    assert "1 smaller groups are not shown." in said
    assert "b0, b1, b2" not in said


def test_nothing_graded_is_a_page_too(course_of_one) -> None:
    assert "Nothing graded yet." in made(course_of_one)
