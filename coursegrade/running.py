"""Grading everybody: read, run, record, one student after the other has an end to it, whatever is handed in."""

import sys
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from nbgrader.api import MissingEntry
from nbgrader.apps import NbGraderAPI

from . import pool
from .book import folder, gradebook, record_grades, void
from .directory import assignments, course, places
from .intake import Reading, read
from .journal import record_of
from .records import MISSING, PARTLY, UNREADABLE, Job, Record, Result
from .source import Source, read_source

NOT_HANDED_IN = "Nothing was handed in: if that is a mistake, tell your instructor."
Report = Callable[[str], None]


def students(assignment: str, course_dir: str | Path = ".") -> list[str]:
    """Everyone with a folder ``submitted/STUDENT/ASSIGNMENT``."""
    return sorted(course(course_dir).get_submitted_students(assignment))


def handed_in(course_dir: str | Path = ".") -> list[str]:
    """The assignments of which somebody has a folder."""
    if names := [name for name in assignments(course_dir) if students(name, course_dir)]:
        return names
    what = "expected submissions in submitted/STUDENT/ASSIGNMENT/, got none"
    raise ValueError(f"{what}: bring them in with `coursekit grade collect`")


def run(
    assignment: str,
    course_dir: str | Path = ".",
    *,
    only: Iterable[str] | None = None,
    jobs: int = 0,
    again: bool = False,
    scheduler: str = "",
    unsafe: bool = False,
    report: Report = print,
) -> list[Record]:
    """Grade every submission, or those of ``only``, ``jobs`` at a time (0: one a processor); none stops the next.

    What is graded already and has changed neither here nor in ``solutions/`` is left as it is, unless ``again``: a
    run that was broken off goes on where it stopped. Who is in the gradebook and has handed in nothing is recorded as
    missing. ``scheduler`` names a Dask scheduler whose workers do the work; ``unsafe`` runs students' code without a
    sandbox.
    """
    api, source = course(course_dir), read_source(course_dir, assignment)
    _is_released(api, source)
    private = places(api)
    kind = "none" if unsafe else "" if scheduler else sandbox_kind(private)
    chosen = _chosen(api, assignment, only)
    with _alone(Path(course_dir)):
        grading = _Run(api, source, uuid.uuid4().hex[:12], len(chosen), report)
        ready = grading.read(chosen, again=again)
        everything = [replace(job, private=private) for reading in ready.values() for job in reading.jobs]
        if ready and scheduler:
            grading.record(ready, pool.distributed(everything, kind=kind, scheduler=scheduler))
        elif ready:
            count = min(jobs or pool.processors(), len(ready))
            grading.record(ready, pool.local(everything, kind=kind, count=count))
        return [grading.records[student] for student in chosen]


class _Run:
    """One run: what is recorded so far."""

    def __init__(self, api: NbGraderAPI, source: Source, name: str, count: int, report: Report) -> None:
        self.api, self.source, self.name, self.count, self.report = api, source, name, count, report
        self.records: dict[str, Record] = {}

    def read(self, chosen: Iterable[str], *, again: bool) -> dict[str, Reading]:
        """Read every submission; what needs no running is recorded at once, the rest is returned."""
        ready = {}
        for student in chosen:
            where = folder(self.api, "submitted", self.source.assignment, student)
            if not where.exists():
                self._void(student, MISSING, NOT_HANDED_IN)
                continue
            reading = read(where, self.source, student=student)
            last = record_of(self.api.coursedir.root, self.source.assignment, student)
            if last and not again and (last.submission, last.source) == (reading.sha, self.source.sha):
                self._done(last, "unchanged since it was graded: ")
            elif not reading.jobs:
                self._void(student, UNREADABLE, reading.problem, reading)
            else:
                ready[student] = reading
        return ready

    def record(self, ready: dict[str, Reading], ran: Iterable[tuple[Job, Result]]) -> None:
        """Record each student when all notebooks of hers are through."""
        waiting: dict[str, dict[str, Result]] = {}
        with gradebook(self.api) as book:
            for job, result in ran:
                results = waiting.setdefault(job.student, {})
                results[job.notebook] = result
                reading = ready[job.student]
                if len(results) == len(reading.jobs):
                    remarks = (*reading.remarks, *filter(None, [reading.problem]))
                    begun = self._begun(job.student, PARTLY if reading.problem else "", reading, remarks=remarks)
                    ordered = [results[each.notebook] for each in reading.jobs]
                    self._done(record_grades(self.api, reading.jobs, ordered, begun, book, run=self.name))
                    del waiting[job.student]

    def _void(self, student: str, state: str, note: str, reading: Reading | None = None) -> None:
        begun = self._begun(student, state, reading or Reading(), note=note)
        self._done(void(self.api, self.source.assignment, begun, run=self.name))

    def _begun(self, student: str, state: str, reading: Reading, **words: Any) -> Record:
        """What is known of a submission before it is recorded."""
        return Record(student, state, flags=reading.flags, submission=reading.sha, source=self.source.sha, **words)

    def _done(self, record: Record, how: str = "") -> None:
        self.records[record.student] = record
        for_you = [f"For you: {' '.join(record.flags)}"] if record.flags else []
        words = " ".join([record.note, *record.remarks, *for_you])
        self.report(f"[{len(self.records)}/{self.count}] {record.student}: {how}{record.state}. {words}")


def sandbox_kind(private: Iterable[str] = ()) -> str:
    """The kind of sandbox that works here and shows nothing of these places."""
    if sys.platform != "linux":
        raise ValueError(f"expected Linux to grade on, got {sys.platform}: grade in the container of deploy/grader")
    from .worker.sandbox import choose

    return choose(tuple(private))


def _chosen(api: NbGraderAPI, assignment: str, only: Iterable[str] | None) -> list[str]:
    """Who is graded: those asked for, or everyone who handed in or is in the gradebook."""
    handed_in = set(api.get_submitted_students(assignment))
    if only is not None:
        if unknown := set(only) - handed_in:
            raise ValueError(
                f"expected students who submitted {assignment}, got {sorted(unknown)}: look into submitted/"
            )
        return sorted(set(only))
    with gradebook(api) as book:
        return sorted(handed_in | {student.id for student in book.students})


def _is_released(api: NbGraderAPI, source: Source) -> None:
    """The gradebook must know the cells and points that ``solutions/`` has."""
    wanted = {
        (name, cell.step.grade_id): cell.step.points
        for name, cells in source.notebooks.items()
        for cell in cells
        if cell.cell.marks.get("grade") is True
    }
    with gradebook(api) as book:
        try:
            notebooks = book.find_assignment(source.assignment).notebooks
        except MissingEntry:
            notebooks = []
        known = {(nb.name, cell.name): cell.max_score for nb in notebooks for cell in nb.grade_cells}
    if known != wanted:
        raise ValueError(
            f"expected {source.assignment} in the gradebook as it is in solutions/, "
            f"got {'other cells or points' if known else 'nothing'}: "
            f"run `coursekit grade release {source.assignment}` first"
        )


@contextmanager
def _alone(course_dir: Path) -> Iterator[None]:
    """One run at a time in a course directory."""
    (course_dir / "marks").mkdir(exist_ok=True)
    lock = FileLock(course_dir / "marks" / ".running.lock", timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise ValueError(
            f"expected no other grading run in {course_dir}, got one that holds marks/.running.lock: wait for it"
        ) from error
