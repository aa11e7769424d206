"""An instructor's hour: hand in, grade, mark the written answer in the formgrader, look at feedback and table."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import Page, expect

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.browser
NAME = "a1_roi"
ANSWER = """Half a cell, that is **8 pixels**.

<script>document.title = 'canary'</script> <img src=x onerror="document.title='canary'">"""


def coursekit(course: Path, *arguments: str) -> str:
    """One command of the terminal in the course."""
    quiet = {**os.environ, "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "coursekit", "grade", *arguments], cwd=course, env=quiet, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.fixture
def graded(course: Path) -> Iterator[Path]:
    """Ada hands in the solution and an answer with an inert canary, Emmy the stub."""
    coursekit(course, "release", NAME)
    source = nbformat.read(course / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    for student, handed_in in {
        "ada": source,
        "emmy": nbformat.read(course / "assignments" / NAME / f"{NAME}.ipynb", as_version=4),
    }.items():
        if student == "ada":
            next(
                c for c in handed_in.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "written"
            ).source = ANSWER
        (course / "submitted" / student / NAME).mkdir(parents=True)
        nbformat.write(handed_in, course / "submitted" / student / NAME / f"{NAME}.ipynb")
    coursekit(course, "run", NAME)
    yield course
    for left in ("submitted", "autograded", "feedback", "marks"):
        shutil.rmtree(course / left)
    (course / "gradebook.db").unlink()


def test_an_instructors_hour(lab: Lab, page: Page, graded: Path, picture: Callable[[str], object]) -> None:
    page.goto(lab.page_of("formgrader"))  # lets this browser in
    listed = page.request.get(f"{lab.address}/formgrader/api/submitted_notebooks/{NAME}/{NAME}").json()
    (ada,) = (one["id"] for one in listed if one["student"] == "ada")  # the page itself names nobody
    page.goto(f"{lab.address}/formgrader/submissions/{ada}/")
    expect(page.locator("body")).to_contain_text("8 pixels")
    field = page.locator("input#written")
    with page.expect_response(lambda answer: answer.request.method == "PUT" and "/api/grade/" in answer.url):
        field.fill("12")
        field.press("Tab")
    picture("formgrader_written")
    assert page.title() != "canary"
    coursekit(graded, "feedback", NAME)
    coursekit(graded, "export", NAME)
    with (graded / "marks" / f"{NAME}.csv").open(encoding="utf-8", newline="") as file:
        marks = {row["student"]: row for row in csv.DictReader(file)}
    assert {student: row["total"] for student, row in marks.items()} == {"ada": "97", "emmy": "0"}
    page.goto((graded / "feedback" / "ada" / NAME / f"{NAME}.html").as_uri())
    expect(page.locator("body")).to_contain_text("97 of 100 points")
    assert page.title() != "canary"
