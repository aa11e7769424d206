"""The wheel, installed outside the checkout: the library, the records, and grading a course that is not this one."""

import csv
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

ROOT = Path(__file__).parents[1]
pytestmark = [pytest.mark.slow, pytest.mark.network]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel as pip installs it; what it depends on is this test run's."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", str(folder), str(ROOT)], check=True)
    (wheel,) = folder.glob("coursekit-*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


@pytest.fixture(scope="module")
def coursekit(site: Path) -> Run:
    """``coursekit …`` in a folder, from the installed wheel."""

    def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(site), "PYTHONWARNINGS": "ignore", "OMP_NUM_THREADS": "1"}
        command = [sys.executable, "-P", "-m", "coursekit", *words]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, encoding="utf-8")

    return run


def test_it_holds_the_library_the_grader_and_the_records(site: Path) -> None:
    tops = {path.name for path in site.iterdir() if path.name not in ("bin", "share", "etc")}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"coursekit", "coursegrade"}
    kept = [path.name for path in (ROOT / "lectures" / "records").glob("*.json") if ".partial" not in path.name]
    assert sorted(path.name for path in (site / "coursekit" / "claims" / "records").iterdir()) == sorted(kept)


def test_it_looks_at_the_computer_and_the_data(coursekit: Run, tmp_path: Path) -> None:
    said = coursekit(tmp_path, "doctor")
    assert said.stderr == ""
    assert "Python" in said.stdout
    listed = coursekit(tmp_path, "data", "list")
    assert listed.returncode == 0
    assert "nuclei2d_image" in listed.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_measured_claims_come_along(coursekit: Run, site: Path, tmp_path: Path) -> None:
    written = coursekit(tmp_path, "claims", "table", "--json", "rows.json")
    assert written.returncode == 0, written.stderr
    records = sorted(path.stem for path in (ROOT / "lectures" / "records").glob("*.json"))
    assert [row["name"] for row in json.loads((tmp_path / "rows.json").read_text())] == records


def test_outside_a_course_grading_is_refused_in_one_sentence(coursekit: Run, tmp_path: Path) -> None:
    said = coursekit(tmp_path, "grade", "run", "hw1")
    assert (said.returncode, said.stdout) == (1, "")
    expected = f"coursekit: expected a course directory, with solutions/ or nbgrader_config.py in it, got {tmp_path}: "
    assert said.stderr == f"{expected}change into yours and run this again\n"
    assert list(tmp_path.iterdir()) == []


# --- a course of somebody else's ---

SOLUTION = """\
def centred(points):
    \"\"\"The points (N, D), moved so that their mean is 0 along each axis.\"\"\"
    ### BEGIN SOLUTION
    return points - points.mean(axis=0)
    ### END SOLUTION"""
TEST = """\
# 1 · the mean is gone (6 points)
_points = np.array([[0.0, 1.0], [2.0, 5.0]])
assert np.allclose(centred(_points), [[-1, -2], [1, 2]]), "subtract the mean of each column"
### BEGIN HIDDEN TESTS
_points = np.array([[3.0, 0.0, 7.0], [5.0, 4.0, 9.0], [1.0, 2.0, 2.0]])
assert np.allclose(centred(_points), _points - _points.mean(0)), "there may be any number of columns"
### END HIDDEN TESTS"""
BY_HAND = """\
def spread(points):
    \"\"\"How far the points lie from each other: choose a measure, and say in a comment why this one.\"\"\"
    ### BEGIN SOLUTION
    return points.std()  # in the unit of the points
    ### END SOLUTION"""
ANSWERS = {
    "right": {
        "centred": "def centred(points):\n    return points - points.mean(0)",
        "spread": "def spread(p): return 1",
    },
    "wrong": {"centred": "def centred(points):\n    return points - points.mean()"},
    "hostile": {
        "centred": "import os, sys, numpy\n"
        "def centred(points):\n"
        "    numpy.allclose = lambda *_: True\n"
        "    seen = [n for n in ('COURSE/solutions/hw1/hw1.ipynb', 'COURSE/gradebook.db') if os.access(n, os.R_OK)]\n"
        "    raise SystemExit(f'seen {seen}, the environment {sorted(os.environ)[:0]}')"
    },
}


def cell(name: str, source: str, **marks: object) -> nbformat.NotebookNode:
    role = {"grade": False, "solution": False, "locked": False, "task": False, "schema_version": 3, **marks}
    return new_code_cell(source, id=name, metadata={"nbgrader": {"grade_id": name, **role}})


def write_course(root: Path) -> None:
    """One assignment of ten points, in plain NumPy, four of them given by hand."""
    cells = [
        new_markdown_cell("# Homework 1\n\n## Exercise 1 · Centre"),
        cell("setup", "import numpy as np", locked=True),
        cell("centred", SOLUTION, solution=True),
        cell("mean_is_gone", TEST, grade=True, locked=True, points=6),
        new_markdown_cell("## Exercise 2 · Spread"),
        cell("spread", BY_HAND, grade=True, solution=True, points=4),
    ]
    (root / "solutions" / "hw1").mkdir(parents=True)
    nbformat.write(new_notebook(cells=cells), root / "solutions" / "hw1" / "hw1.ipynb")


def hand_in(root: Path) -> None:
    """A zip with a folder for each student."""
    released = (root / "assignments" / "hw1" / "hw1.ipynb").read_text(encoding="utf-8")
    with zipfile.ZipFile(root / "handed_in.zip", "w") as archive:
        for student, answers in ANSWERS.items():
            notebook = nbformat.reads(released, as_version=4)
            for c in notebook.cells:
                c.source = answers.get(c.id, c.source).replace("COURSE", str(root))
            archive.writestr(f"{student}/hw1.ipynb", nbformat.writes(notebook))
        archive.writestr("broken/hw1.ipynb", released[:500])


@pytest.mark.skipif(sys.platform != "linux", reason="submissions are graded on Linux")
def test_a_course_of_ones_own_is_graded_from_release_to_report(coursekit: Run, tmp_path: Path) -> None:
    """No nbgrader_config.py, points that add up to 10, nothing of this course but the installed package."""
    root = tmp_path / "statistics"
    write_course(root)

    def grade(*words: str) -> str:
        said = coursekit(root, "grade", *words)
        assert said.returncode == 0, said.stdout + said.stderr
        return said.stdout

    assert "Submissions are graded in " in grade("doctor")
    assert "hw1         0        0       0      0         yes" in grade("selftest")
    assert "wrote assignments/hw1" in grade("release", "hw1")
    released = (root / "assignments" / "hw1" / "hw1.ipynb").read_text(encoding="utf-8")
    assert "any number of columns" not in released
    assert released.count("raise NotImplementedError") == 2
    hand_in(root)
    assert len(grade("collect", "hw1", "handed_in.zip").splitlines()) == 4
    lines = grade("run", "hw1").splitlines()
    assert [line.partition("] ")[2].partition(".")[0] for line in lines[:1]] == ["broken: unreadable"]
    assert len(lines) == 4
    assert "wrote 4 pages" in grade("feedback", "hw1")
    pages = {path.parts[-3]: path.read_text(encoding="utf-8") for path in root.glob("feedback/*/hw1/hw1.html")}
    assert "subtract the mean of each column" in pages["wrong"]
    assert "seen []" in pages["hostile"]
    assert not any("_points.mean(0)" in page for page in pages.values())
    grade("export", "hw1")
    with (root / "marks" / "hw1.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["student"]: row for row in csv.DictReader(file)}
    assert {student: (row["mean_is_gone"], row["max"]) for student, row in rows.items()} == {
        "right": ("6", "10"),
        "wrong": ("0", "10"),
        "hostile": ("0", "10"),
        "broken": ("", "10"),
    }
    grade("report", "hw1")
    assert "of 10 points" in (root / "marks" / "hw1.html").read_text(encoding="utf-8")
    assert not (root / "nbgrader_config.py").exists()


def test_its_own_configuration_is_kept_to(coursekit: Run, tmp_path: Path) -> None:
    write_course(tmp_path)
    config = tmp_path / "nbgrader_config.py"
    config.write_text('c = get_config()\nc.ClearSolutions.code_stub = {"python": "..."}\n')
    said = coursekit(tmp_path, "grade", "release", "hw1")
    assert said.returncode == 0, said.stderr
    assert '"    ..."' in (tmp_path / "assignments" / "hw1" / "hw1.ipynb").read_text()
    config.write_text('c = get_config()\nc.CourseDirectory.source_directory = "source"\n')
    said = coursekit(tmp_path, "grade", "release", "hw1")
    assert said.returncode == 1
    assert said.stderr == (
        f"coursekit: expected source_directory = 'solutions' in {config}, got 'source': "
        "leave that line out and rename the folder to solutions/\n"
    )
