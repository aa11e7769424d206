"""Grading against plain ``nbgrader autograde``: the same submissions, the same marks, in one run."""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat

ROOT = Path(__file__).parents[2]
NAME = "a1_roi"
COUNT = 20
OURS = "import sys; from coursegrade import run; run(sys.argv[1], jobs=1)"
PLAIN = """
import sys
from nbgrader.apps import NbGraderApp
sys.argv = ["nbgrader", *sys.argv[1:]]
NbGraderApp.launch_instance()
"""
RELEASE = "import sys; from coursegrade import release; release(sys.argv[1])"
MARKS = """
import json, sys
from coursegrade.book import gradebook, marks_of
from coursegrade.directory import course
with gradebook(course()) as book:
    submissions = book.assignment_submissions(sys.argv[1])
    marks = {s.student.id: {n: m.auto for n, m in marks_of(s).items()} for s in submissions}
print(json.dumps(marks))
"""


def measure(*, count: int = COUNT) -> dict[str, Any]:
    """``{cpu_ratio, wall_ratio, marks_equal, cpu_s, peak_gb, start_cpu_s, whole_cpu_ratio}``; ratios are nbgrader's
    over ours.

    CPU and wall seconds of a submission are those of ``count`` submissions less those of one, over ``count - 1``, for
    both: a class is large, and what is paid once stands apart in ``start_cpu_s``. ``whole_cpu_ratio`` is of
    everything. ``peak_gb`` is what a worker's forks hold of their own, over the warm start they share (Linux).
    """
    with tempfile.TemporaryDirectory() as scratch:
        found: dict[str, list[tuple[float, float]]] = {"ours": [], "plain": []}
        with peak_gb() as peak:
            for n in (1, count):
                for which, code, arguments in (("ours", OURS, [NAME]), ("plain", PLAIN, ["autograde", NAME])):
                    course = submissions(Path(scratch, f"{which}{n}"), n)
                    _python(course, RELEASE, NAME)
                    found[which].append(_timed(course, code, *arguments))
        equal = _marks(Path(scratch, f"ours{count}")) == _marks(Path(scratch, f"plain{count}"))
    (cpu, wall), (plain_cpu, plain_wall) = (
        ((many[0] - one[0]) / (count - 1), (many[1] - one[1]) / (count - 1)) for one, many in found.values()
    )
    return {
        "cpu_ratio": plain_cpu / cpu,
        "wall_ratio": plain_wall / wall,
        "marks_equal": equal,
        "cpu_s": cpu,
        "peak_gb": peak[0],
        "start_cpu_s": found["ours"][0][0] - cpu,
        "whole_cpu_ratio": found["plain"][1][0] / found["ours"][1][0],
    }


def submissions(course: Path, count: int) -> Path:
    """A course with ``count`` submissions whose first k exercises are solved, k going round."""
    shutil.copytree(ROOT / "solutions" / NAME, course / "solutions" / NAME)
    shutil.copy(ROOT / "nbgrader_config.py", course)
    source = nbformat.read(ROOT / "solutions" / NAME / f"{NAME}.ipynb", as_version=4)
    answers = {
        c.metadata.nbgrader.grade_id: c.source for c in source.cells if c.metadata.get("nbgrader", {}).get("solution")
    }
    released = (ROOT / "assignments" / NAME / f"{NAME}.ipynb").read_text(encoding="utf-8")
    for k in range(count):
        notebook = nbformat.reads(released, as_version=4)
        solved = list(answers)[: k % (len(answers) + 1)]
        for cell in notebook.cells:
            grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
            cell.source = answers[grade_id] if grade_id in solved else cell.source
        folder = course / "submitted" / f"student{k:04}" / NAME
        folder.mkdir(parents=True)
        nbformat.write(notebook, folder / f"{NAME}.ipynb")
    return course


def _python(course: Path, code: str, *arguments: str) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=course, env=environment, text=True, capture_output=True
    )
    if done.returncode:
        raise RuntimeError(f"{arguments} failed: {done.stderr[-2000:]}")
    return done.stdout


def _timed(course: Path, code: str, *arguments: str) -> tuple[float, float]:
    """CPU and wall seconds of a process and all that it waited for."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _python(course, code, *arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, time.perf_counter() - start


def _marks(course: Path) -> dict[str, dict[str, float | None]]:
    marks: dict[str, dict[str, float | None]] = json.loads(_python(course, MARKS, NAME).splitlines()[-1])
    return marks


@contextmanager
def peak_gb() -> Iterator[list[float]]:
    """The peak of the memory that forks below this process hold for themselves, looked at twenty times a second."""
    peak, done = [0.0], threading.Event()

    def look() -> None:
        while not done.wait(0.05):
            peak[0] = max(peak[0], sum(private_gb(pid) for pid in forks(os.getpid())))

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        yield peak
    finally:
        done.set()
        watcher.join()


def forks(pid: int) -> Iterator[int]:
    """All processes below one that run the program of the process they come from: copies of a warm start."""
    for child in children(pid):
        if command(child) == command(pid):
            yield child
        yield from forks(child)


def children(pid: int) -> list[int]:
    """Those a process started."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def command(pid: int) -> bytes:
    """The command line of a process."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def private_gb(pid: int) -> float:
    """Memory of a process that no other has a part in."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Private_")) / 2**20
