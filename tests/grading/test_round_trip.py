"""Twenty made-up submissions through a whole round come out with the marks they should have."""

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NAME = "a1_roi"
NOISE = """
import logging, os, sys, warnings

warnings.warn("a warning at the top")
logging.warning("a log line")
_right = roi_align


def roi_align(*arguments):
    warnings.warn("a warning inside")
    print("print to stderr", file=sys.stderr)
    os.write(2, b"a C library's stderr\\n")
    return _right(*arguments)
"""
CLOSED = """
from torchvision.ops import roi_align as ra


def roi_align(features, box, size, scale, ratio, aligned=True):
    return ra(features[None], [box[None]], size, scale, ratio, aligned)[0]
"""


@dataclass
class Submission:
    """A released notebook, filled in."""

    notebook: nbformat.NotebookNode
    answers: dict[str, str]

    def fill(self, *names: str) -> None:
        for name in names or self.answers:
            self.write(name, self.answers[name])

    def cell(self, name: str) -> nbformat.NotebookNode:
        return next(c for c in self.notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == name)

    def write(self, name: str, source: str) -> None:
        self.cell(name).source = source

    def change(self, name: str, old: str, new: str) -> None:
        assert old in self.answers[name]
        self.write(name, self.answers[name].replace(old, new))


def full(s: Submission) -> None:
    s.fill()
    s.write("written", "1. Half a cell: 8 pixels, 40 %. 2. … 3. …")


def stub(s: Submission) -> None:
    """Hand in what was released."""


def half(s: Submission) -> None:
    s.fill("bilinear", "snap_bins")


def three(s: Submission) -> None:
    s.fill("bilinear", "snap_bins", "roi_pool")
    s.write("written", "An answer.")


def no_shift(s: Submission) -> None:
    s.fill()
    s.change("roi_align", "0.5 if aligned else 0.0", "0.0")


def mean_pool(s: Submission) -> None:
    s.fill()
    s.change("roi_pool", "amax", "mean")


def floor(s: Submission) -> None:
    s.fill()
    s.change("snap_bins", "torch.sign(scaled) * torch.floor(scaled.abs() + 0.5)", "torch.floor(scaled)")


def no_border(s: Submission) -> None:
    s.fill()
    s.change("bilinear", "y < -1 or y > height or x < -1 or x > width", "False")


def crash(s: Submission) -> None:
    s.fill()
    s.write("roi_pool", "import os\nos._exit(1)")


def syntax_error(s: Submission) -> None:
    s.fill()
    s.write("roi_pool", "def roi_pool(features, box:\n    return")


def noisy(s: Submission) -> None:
    s.fill()
    s.write("roi_align", s.answers["roi_align"] + NOISE)


def closed(s: Submission) -> None:
    s.fill()
    s.write("roi_align", CLOSED)


def closed_early(s: Submission) -> None:
    s.fill()
    call = "torch.nn.functional.grid_sample(feature[None, None], torch.tensor([[[[x, y]]]]), align_corners=True).sum()"
    s.write("bilinear", f"def bilinear(feature, y, x):\n    return {call}")


def endless(s: Submission) -> None:
    s.fill()
    s.write("snapping_error", "while True:\n    pass")


def copied_test(s: Submission) -> None:
    s.fill()
    s.notebook.cells.append(nbformat.from_dict({**s.cell("bins_divide"), "id": "copy"}))
    s.notebook.cells.append(nbformat.from_dict({**s.cell("roi_pool"), "id": "copy2"}))


def deleted_tests(s: Submission) -> None:
    s.fill()
    gone = [s.cell("bilinear_border"), s.cell("roi_align_small")]
    s.notebook.cells = [c for c in s.notebook.cells if c not in gone]


def deleted_exercise(s: Submission) -> None:
    s.fill()
    s.notebook.cells = [
        c for c in s.notebook.cells if "roi_pool" not in c.metadata.get("nbgrader", {}).get("grade_id", "")
    ]


def tampered(s: Submission) -> None:
    s.fill("bilinear")
    s.write("bins_divide", "assert True")
    s.write("setup", s.cell("setup").source.replace('"torchvision.ops",', ""))
    s.cell("bilinear_border").metadata.nbgrader.points = 70
    s.write("roi_align", CLOSED)


def scratch(s: Submission) -> None:
    s.fill()
    s.notebook.cells.insert(3, nbformat.v4.new_code_cell("print('x' * 10**6)\n1 / 0"))


SUBMISSIONS: dict[Callable[[Submission], None], tuple[str, float | None]] = {
    full: ("graded", 85),
    stub: ("graded", 0),
    half: ("graded", 15 + 15),
    three: ("graded", 15 + 15 + 20),
    no_shift: ("graded", 85 - 6),
    mean_pool: ("graded", 85 - 8),
    floor: ("graded", 85 - 8 - 6 - 10),
    no_border: ("graded", 85 - 7 - 4),
    crash: ("partly graded", 85 - 20),
    syntax_error: ("graded", 85 - 20),
    noisy: ("graded", 85),
    closed: ("graded", 85 - 25),
    closed_early: ("graded", 85 - 15 - 25),
    endless: ("partly graded", 85 - 10),
    copied_test: ("graded", 85),
    deleted_tests: ("graded", 85),
    deleted_exercise: ("graded", 85 - 20),
    tampered: ("graded", 15),
    scratch: ("graded", 85),
}
UNREADABLE = {"corrupt": ("unreadable", None), "renamed": ("graded", 0)}
EXPECTED = {student.__name__: outcome for student, outcome in SUBMISSIONS.items()} | UNREADABLE


def python(course: Path, code: str) -> str:
    """Run in a process of its own, where nbgrader's own warnings stay warnings."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", code], cwd=course, env=environment, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def submit(course: Path, student: str, text: str, name: str = f"{NAME}.ipynb") -> None:
    folder = course / "submitted" / student / NAME
    folder.mkdir(parents=True)
    (folder / name).write_text(text, encoding="utf-8")


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory, assignment: Callable[[str], object]) -> Path:
    """A course directory after one round."""
    root = tmp_path_factory.mktemp("course")
    shutil.copytree(ROOT / "solutions", root / "solutions")
    config = (ROOT / "nbgrader_config.py").read_text(encoding="utf-8")
    (root / "nbgrader_config.py").write_text(config, encoding="utf-8")
    released = (ROOT / "assignments" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    for student in SUBMISSIONS:
        submission = Submission(nbformat.reads(released, as_version=4), assignment(NAME).answers)
        student(submission)
        submit(root, student.__name__, nbformat.writes(submission.notebook))
    submit(root, "corrupt", released[:1000])
    submit(root, "renamed", released, f"{NAME} (1).ipynb")
    (root / "printed.txt").write_text(python(root, f"from coursegrade import round_trip; round_trip('{NAME}')"))
    return root


@pytest.fixture(scope="module")
def marks(course: Path) -> dict[str, dict[str, str]]:
    with (course / "marks" / f"{NAME}.csv").open(newline="", encoding="utf-8") as file:
        return {row["student"]: row for row in csv.DictReader(file)}


pytestmark = pytest.mark.slow


@pytest.mark.parametrize("student", EXPECTED)
def test_marks(marks: dict[str, dict[str, str]], student: str) -> None:
    state, total = EXPECTED[student]
    row = marks[student]
    assert row["state"] == state, row["note"]
    assert row["total"] == ("" if total is None else f"{total:g}"), row
    assert row["max"] == "100"
    assert row["note"].endswith(".")


def test_every_submission_has_one_row(marks: dict[str, dict[str, str]]) -> None:
    assert set(marks) == set(EXPECTED)


def test_points_by_exercise(marks: dict[str, dict[str, str]]) -> None:
    assert [marks["floor"][cell] for cell in ("snap_rounds", "bins_divide", "snapping_error_pixels", "written")] == [
        "0",
        "7",
        "0",
        "0",
    ]
    assert marks["full"]["written"] == ""


def test_notes_say_what_to_do(marks: dict[str, dict[str, str]]) -> None:
    assert "a1_roi (1).ipynb" in marks["renamed"]["note"]
    assert "open it in JupyterLab" in marks["corrupt"]["note"]
    assert "'bilinear_border'" in marks["deleted_tests"]["note"]
    assert "'bins_divide'" in marks["copied_test"]["note"]


def test_a_line_for_each_student_and_a_table(course: Path) -> None:
    printed = (course / "printed.txt").read_text()
    assert f"[1/{len(EXPECTED)}] corrupt: unreadable." in printed  # what needs no running is said first
    assert "] closed: graded. 60 of 100 points." in printed
    assert "65 / 100  graded" in printed


@pytest.mark.parametrize("student", EXPECTED)
def test_feedback_shows_no_hidden_test(course: Path, student: str) -> None:
    page = (course / "feedback" / student / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "HIDDEN TESTS" not in page
    assert "generator(3)" not in page


def test_feedback_says_what_failed(course: Path) -> None:
    page = (course / "feedback" / "closed" / NAME / f"{NAME}.html").read_text(encoding="utf-8")
    assert "which this assignment closes" in page


def test_gradebook_is_where_the_formgrader_looks(course: Path) -> None:
    listed = python(
        course,
        "import json, sys; from coursegrade import course\n"
        f"everybody = course('.').get_submissions('{NAME}')\n"
        "print(json.dumps({s['student']: [s['autograded'], s['score']] for s in everybody}))",
    )
    submissions = json.loads(listed.splitlines()[-1])
    assert submissions["mean_pool"] == [True, 77]
    assert submissions["crash"] == [True, 65]
    assert submissions["corrupt"] == [False, 0]


def test_validate_does_not_mind_stderr_either(course: Path) -> None:
    arguments = ["nbgrader", "validate", f"submitted/noisy/{NAME}/{NAME}.ipynb"]
    code = f"import sys; from nbgrader.apps import NbGraderApp; sys.argv = {arguments}; NbGraderApp.launch_instance()"
    said = python(course, code)
    assert "VALIDATION FAILED ON 1 CELL(S)" in said
    assert "You did not provide a response." in said  # the written answer, which this student left out


def test_a_failed_regrade_leaves_no_old_mark(course: Path) -> None:
    path = course / "submitted" / "half" / NAME / f"{NAME}.ipynb"
    good = path.read_text(encoding="utf-8")
    path.write_text("{", encoding="utf-8")
    try:
        printed = python(
            course,
            f"from coursegrade import run, export; run('{NAME}', only=['half']); print(export('{NAME}').read_text())",
        )
    finally:
        path.write_text(good, encoding="utf-8")
    (row,) = [row for row in csv.reader(printed.splitlines()) if row[:1] == ["half"]]
    assert set(row[1:-4]) == {""}
    assert row[-4:-2] == ["100", "unreadable"]
