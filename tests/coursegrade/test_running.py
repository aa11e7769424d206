"""Grading everybody: what is graded stays, what changed is graded again, and a run that is killed goes on where it
stopped.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dask
import nbformat
import pytest

import coursegrade
from coursegrade import pool, running
from coursegrade.journal import history, records
from coursegrade.records import Record, total

NAME = "a1"
ANSWERS = {
    "right": "def area(width, height):\n    return width * height",
    "whole": "def area(width, height):\n    return int(width) * int(height)",
    "wrong": "def area(width, height):\n    return width + height",
    "ends": "import os\nos._exit(3)",
}
POINTS = {"right": 70, "whole": 10, "wrong": 0, "ends": 0}  # of area alone; "whole" fails the hidden check of 60 points
POINTS["stub"] = 0
QUIET = {"report": lambda _: None}


def submit(root: Path, student: str, answer: str) -> None:
    notebook = nbformat.read(root / "assignments" / NAME / f"{NAME}.ipynb", as_version=4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") == "area" and answer in ANSWERS:
            cell.source = ANSWERS[answer]
    folder = root / "submitted" / student / NAME
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, folder / f"{NAME}.ipynb")


def points(record: Record) -> float:
    return total(record.points.values())


@pytest.fixture
def root(released: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(released, tmp_path / "course"))


def test_everyone_gets_the_marks_they_should(root: Path) -> None:
    for answer in POINTS:
        submit(root, answer, answer)
    (root / "submitted" / "torn" / NAME).mkdir(parents=True)
    (root / "submitted" / "torn" / NAME / f"{NAME}.ipynb").write_text("{")
    said: list[str] = []
    graded = {record.student: record for record in coursegrade.run(NAME, root, jobs=2, report=said.append)}
    assert {student: points(record) for student, record in graded.items()} == POINTS | {"torn": 0}
    assert {s: r.state for s, r in graded.items()} == dict.fromkeys(POINTS, "graded") | {
        "ends": "partly graded",
        "torn": "unreadable",
    }
    assert graded == records(root, NAME)
    assert [line.partition(" ")[0] for line in said] == [f"[{k}/6]" for k in range(1, 7)]
    assert "fractions" in graded["whole"].notebooks[NAME].cells[4].message


def test_the_assignments_that_were_handed_in(root: Path, refuses: Callable[..., None]) -> None:
    refuses("expected submissions in submitted/STUDENT/ASSIGNMENT/, got none", coursegrade.handed_in, root)
    submit(root, "ada", "right")
    shutil.copytree(root / "solutions" / NAME, root / "solutions" / "a2")
    assert coursegrade.handed_in(root) == [NAME]


def test_what_has_not_changed_is_left_and_the_rest_is_graded_again(root: Path) -> None:
    for student in ("ada", "emmy"):
        submit(root, student, "whole")
    first = {record.student: record for record in coursegrade.run(NAME, root, **QUIET)}
    submit(root, "emmy", "right")
    said: list[str] = []
    second = {record.student: record for record in coursegrade.run(NAME, root, report=said.append)}
    assert second["ada"] == first["ada"]
    assert "unchanged" in said[0]
    assert (points(first["emmy"]), points(second["emmy"])) == (10, 70)
    assert history(root, NAME)[-1]["why"] == "submission changed"
    coursegrade.run(NAME, root, only=["ada"], again=True, **QUIET)
    assert history(root, NAME)[-1]["why"] == "graded again"


def test_other_solutions_are_released_first(root: Path, refuses: Callable[..., None]) -> None:
    submit(root, "ada", "right")
    path = root / "solutions" / NAME / f"{NAME}.ipynb"
    path.write_text(path.read_text().replace('"points": 10', '"points": 5', 1))
    refuses(
        "got other cells or points: run `coursekit grade release a1` first",
        lambda: coursegrade.run(NAME, root, **QUIET),
    )


def test_who_hands_in_nothing_is_recorded_as_missing(root: Path) -> None:
    submit(root, "ada", "right")
    coursegrade.run(NAME, root, **QUIET)
    shutil.rmtree(root / "submitted" / "ada")
    (record,) = coursegrade.run(NAME, root, **QUIET)
    assert (record.state, record.points) == ("missing", {})
    assert history(root, NAME)[-1]["after"]["area_zero"] is None


QUOTAS = {  # the line of /proc/self/cgroup, files below /sys/fs/cgroup → how many workers
    "none": ("0::/", {}, 64),
    "version 2, in a container": ("0::/", {"cpu.max": "150000 100000\n"}, 2),
    "version 2, without a limit": ("0::/", {"cpu.max": "max 100000\n"}, 64),
    "less than one": ("0::/", {"cpu.max": "20000 100000\n"}, 1),
    "more than there are": ("0::/", {"cpu.max": "9900000 100000\n"}, 64),
    "version 2, of a service": (
        "0::/system.slice/grade.service",
        {"system.slice/cpu.max": "300000 100000\n", "system.slice/grade.service/cpu.max": "max 100000\n"},
        3,
    ),
    "version 1": (
        "4:cpu,cpuacct:/docker/5f",
        {"cpu,cpuacct/cpu.cfs_quota_us": "400000\n", "cpu,cpuacct/cpu.cfs_period_us": "100000\n"},
        4,
    ),
    "version 1, without a limit": (
        "4:cpu:/",
        {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"},
        64,
    ),
}


@pytest.mark.parametrize("case", QUOTAS)
def test_a_container_gets_the_workers_of_its_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str) -> None:
    line, files, workers = QUOTAS[case]
    monkeypatch.setattr(pool.sys, "platform", "linux")
    monkeypatch.setattr(pool.os, "sched_getaffinity", lambda _: range(64), raising=False)
    monkeypatch.setattr(pool, "GROUPS", tmp_path / "groups")
    monkeypatch.setattr(pool, "OWN_GROUPS", tmp_path / "own")
    (tmp_path / "own").write_text(f"1:name=systemd:/\n{line}\n")
    for name, text in files.items():
        path = tmp_path / "groups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert pool.processors() == workers


def test_two_runs_do_not_mix(root: Path, refuses: Callable[..., None]) -> None:
    submit(root, "ada", "right")
    with running._alone(root):
        refuses("expected no other grading run", lambda: coursegrade.run(NAME, root, **QUIET))


def test_without_a_sandbox_nothing_runs_unless_told(
    root: Path, refuses: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from coursegrade.worker import sandbox

    submit(root, "ada", "right")
    monkeypatch.setattr(sandbox, "works", lambda kind, _: f"{kind} is not there")
    refuses("expected a sandbox to run students' code in, got none", lambda: coursegrade.run(NAME, root, **QUIET))
    assert records(root, NAME) == {}
    (record,) = coursegrade.run(NAME, root, unsafe=True, **QUIET)
    assert points(record) == 70


CLI = [sys.executable, "-m", "coursekit", "grade", "run", NAME]


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 1, 3])
def test_killed_and_started_again_gives_the_same_marks(root: Path, after: int) -> None:
    students = {f"{answer}{k}": answer for k in range(2) for answer in ("right", "whole", "wrong")}
    for student, answer in students.items():
        submit(root, student, answer)
    with subprocess.Popen([*CLI, "--jobs", "2"], cwd=root, stdout=subprocess.PIPE, text=True) as process:
        for _ in range(after):
            assert process.stdout.readline()
        time.sleep(0 if after else 3)
        process.send_signal(signal.SIGKILL)
    before = records(root, NAME)
    assert len(before) >= after
    graded = {record.student: record for record in coursegrade.run(NAME, root, **QUIET)}
    assert {s: points(r) for s, r in graded.items()} == {s: POINTS[answer] for s, answer in students.items()}
    assert all(graded[student] == record for student, record in before.items())
    assert {entry["student"] for entry in history(root, NAME)} == set(students)


def test_a_worker_that_is_killed_is_replaced(root: Path) -> None:
    submit(root, "ada", "right")
    job = running.read(root / "submitted" / "ada" / NAME, running.read_source(root, NAME), student="ada").jobs[0]
    worker = pool.Worker("none")
    try:
        once = worker.grade(job)
        worker.process.kill()
        worker.process.wait()
        again = worker.grade(job)
    finally:
        worker.close()
    assert [cell.ok for cell in once.cells] == [cell.ok for cell in again.cells]
    assert worker.process is None


# --- other machines ---


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A Dask scheduler and two workers on loopback."""
    address = f"tcp://127.0.0.1:{free_port()}"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "3"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": tmp_path, "env": environment}
    dask, port = [sys.executable, "-m", "dask"], address.rpartition(":")[2]
    scheduler = [*dask, "scheduler", "--host", "127.0.0.1", "--port", port, "--no-dashboard"]
    worker = [*dask, "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    processes = [subprocess.Popen(command, **quiet) for command in [scheduler, worker, worker]]
    try:
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.slow
def test_dask_workers_grade_all_once_also_when_one_dies(
    root: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    address, workers = cluster
    students = {f"{answer}{k}": answer for k in range(6) for answer in ("right", "whole", "wrong")}
    for student, answer in students.items():
        submit(root, student, answer)
    said: list[str] = []

    def report(line: str) -> None:
        said.append(line)
        if len(said) == 4:
            workers[0].kill()

    graded = {record.student: record for record in coursegrade.run(NAME, root, scheduler=address, report=report)}
    assert workers[0].wait(5) != 0
    assert {s: points(r) for s, r in graded.items()} == {s: POINTS[answer] for s, answer in students.items()}
    assert len(said) == len(history(root, NAME)) == len(students)


def test_a_scheduler_that_does_not_answer_is_said(root: Path, refuses: Callable[..., None]) -> None:
    submit(root, "ada", "right")
    address = f"tcp://127.0.0.1:{free_port()}"
    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        refuses(f"expected a Dask scheduler at {address}, got none", coursegrade.run, NAME, root, scheduler=address)
