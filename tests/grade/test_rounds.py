"""The doors of a grading round, and what it says of a run that went wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coursekit import grade
from coursekit.grade import rounds

ROOT = Path(__file__).parents[2]


@pytest.fixture
def course(tmp_path: Path) -> Path:
    shutil.copy(ROOT / "nbgrader_config.py", tmp_path)
    (tmp_path / "solutions" / "a1").mkdir(parents=True)
    (tmp_path / "solutions" / "a1" / "a1.ipynb").write_text('{"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}')
    return tmp_path


def test_a_course_needs_its_configuration(refuses: Callable[..., None], tmp_path: Path) -> None:
    refuses("expected nbgrader_config.py in the course directory", grade.course, tmp_path)


def test_configuration_is_read_from_the_course(course: Path) -> None:
    directory = grade.course(course).coursedir
    assert (directory.root, directory.source_directory, directory.release_directory) == (str(course), "solutions", "assignments")


def test_only_what_exists_is_released_and_graded(refuses: Callable[..., None], course: Path) -> None:
    refuses("expected a folder 'a9' in solutions/", grade.release, "a9", course)
    refuses(r"expected students who submitted a1, got \['nobody'\]", lambda: grade.run("a1", course, only=["nobody"]))


def test_nothing_submitted_is_nothing_graded(course: Path) -> None:
    assert grade.students("a1", course) == []
    assert grade.run("a1", course) == []
    assert grade.outcomes("a1", course) == {}


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        (None, b"", "a1.ipynb is not there, but no notebook: hand it in under its own name."),
        ("roi (1).ipynb", b"{}", "a1.ipynb is not there, but roi (1).ipynb: hand it in under its own name."),
        ("a1.ipynb", b"", "a1.ipynb is not a notebook that can be read (NotJSONError)"),
        ("a1.ipynb", b"\xff\xfe", "a1.ipynb is not a notebook that can be read (UnicodeDecodeError)"),
        ("a1.ipynb", b"<<<<<<< HEAD", "a1.ipynb is not a notebook that can be read (NotJSONError)"),
        ("a1.ipynb", b'{"cells": 3, "nbformat": 4, "nbformat_minor": 5, "metadata": {}}', "a1.ipynb is not a notebook that can be read"),
    ],
)
def test_what_cannot_be_read_is_said(course: Path, name: str | None, content: bytes, sentence: str) -> None:
    folder = course / "submitted" / "ada" / "a1"
    folder.mkdir(parents=True)
    if name:
        (folder / name).write_bytes(content)
    assert rounds._unreadable(grade.course(course), "a1", "ada").startswith(sentence)


def test_every_outcome_is_recorded_and_stays(course: Path) -> None:
    for student in ("ada", "emmy"):
        (course / "submitted" / student / "a1").mkdir(parents=True)
    ada, emmy = grade.run("a1", course)
    assert (ada.state, emmy.state) == ("unreadable", "unreadable")
    grade.run("a1", course, only=["emmy"])
    assert grade.outcomes("a1", course) == {"ada": ada, "emmy": emmy}
    assert not list((course / "marks").glob("*.part"))


def test_a_failure_is_explained_in_one_sentence() -> None:
    assert "ended the Python process" in rounds._explain({"log": "nbclient.exceptions.DeadKernelError: Kernel died", "error": ""})
    log = "Traceback …\nnbgrader.utils.SomeError: the cause\n"
    error = "nbgrader.converters.base.NbGraderException: Please see the above traceback"
    assert "(nbgrader.utils.SomeError: the cause)" in rounds._explain({"log": log, "error": error})
    assert "(nbgrader.converters.base.NbGraderException: Please see" in rounds._explain({"error": error})
    assert "no reason given" in rounds._explain({})
