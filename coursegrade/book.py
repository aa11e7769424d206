"""Book-keeping: one graded submission into nbgrader's gradebook, an autograded notebook, a record, and the history."""

import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.utils import parse_utc
from sqlalchemy.exc import SQLAlchemyError

from coursegrade import autograded
from coursegrade.journal import append_history, record_of, save_record
from coursegrade.notebook import read_bytes
from coursegrade.people import STAMP, read_origin
from coursegrade.records import GRADED, PARTLY, CellResult, Job, Record, Result, Step, total

NO_RESPONSE = "No response."  # nbgrader's own comment


@dataclass(frozen=True)
class Mark:
    """What the gradebook holds of one graded cell of a student."""

    points: float | None  # None: waits for a grader
    maximum: float
    auto: float | None
    manual: float | None
    extra: float | None
    waits: bool


def gradebook(api: NbGraderAPI) -> Gradebook:
    """The gradebook of a course, SQLite or PostgreSQL as its ``db_url`` says; close it, or use it in a ``with``."""
    if shutil.which("alembic") is None:  # without it nbgrader would leave a gradebook half made
        what = "expected the program alembic on PATH, by which nbgrader makes a gradebook, got none"
        raise ValueError(f"{what}: run `{sys.executable} -m pip install alembic`, and activate that environment")
    try:
        return Gradebook(api.coursedir.db_url, api.coursedir.course_id)
    except (SQLAlchemyError, ImportError) as error:
        what = f"expected a gradebook that can be opened, got {str(error).partition(chr(10))[0]}"
        advice = "see that its server runs, and that COURSEKIT_GRADEBOOK or db_url in nbgrader_config.py names it"
        raise ValueError(f"{what}: {advice}") from error


def record_grades(
    api: NbGraderAPI,
    jobs: Sequence[Job],
    results: Sequence[Result],
    begun: Record,
    book: Gradebook,
    *,
    run: str = "",
) -> Record:
    """Write what came of the notebooks of a submission everywhere it belongs; a crash at any point costs nothing.

    ``begun`` says what is known from reading it: student, remarks, flags, both SHA-256, and the state where that is
    settled. In this order: the history says what is about to change, the marks are set in one transaction, the
    autograded notebooks are written, and the whole record last. Marks, extra credit and comments given by hand stay.
    """
    assignment, student = jobs[0].assignment, begun.student
    ran = {job.notebook: (job, result) for job, result in zip(jobs, results, strict=True)}
    handed_in = folder(api, "submitted", assignment, student)
    entry = _entry(book, assignment, student, _when(handed_in))
    before = _points(entry)
    paths = {notebook.name: notebook_path(api, assignment, student, notebook.name) for notebook in entry.notebooks}
    look_again = list[str]()
    for notebook in entry.notebooks:
        look_again += _set_marks(notebook, ran.get(notebook.name), autograded.answers(paths[notebook.name]))
    late = _late(handed_in, entry.total_seconds_late)
    record = _completed(replace(begun, graded=_now(), late=late), entry, ran, look_again)
    _intend(api, assignment, record, run, before, _points(entry))
    book.db.commit()
    for notebook in entry.notebooks:
        if notebook.name in ran:
            autograded.write(paths[notebook.name], notebook.notebook, *ran[notebook.name])
    book.db.rollback()  # what reading began, so that nobody waits for it
    save_record(api.coursedir.root, assignment, record)
    return record


def void(api: NbGraderAPI, assignment: str, begun: Record, *, run: str = "") -> Record:
    """Record an unreadable or missing submission and take back its automatic marks; what was given by hand stays."""
    student = begun.student
    handed_in = folder(api, "submitted", assignment, student)
    with gradebook(api) as book:
        due, when = book.find_assignment(assignment).duedate, _when(handed_in)
        late = _late(handed_in, (when - due).total_seconds() if when and due else 0)
        record = replace(begun, graded=_now(), late=late)
        try:
            entry = book.find_submission(assignment, student)
        except MissingEntry:
            _intend(api, assignment, record, run, {}, {})
        else:
            before = _points(entry)
            for grade in (grade for notebook in entry.notebooks for grade in notebook.grades):
                grade.auto_score, grade.needs_manual_grade = None, False
            _intend(api, assignment, record, run, before, _points(entry))
            book.db.commit()
    shutil.rmtree(folder(api, "autograded", assignment, student), ignore_errors=True)
    save_record(api.coursedir.root, assignment, record)
    return record


def _entry(book: Gradebook, assignment: str, student: str, when: datetime | None) -> Any:
    """The gradebook's entry of a submission, made where there is none."""
    book.update_or_create_student(student)
    with book.db.no_autoflush:  # nbgrader builds the entry before it adds it, which newer SQLAlchemy warns of
        return book.update_or_create_submission(assignment, student, **({"timestamp": when} if when else {}))


def _completed(begun: Record, entry: Any, ran: Mapping[str, tuple[Job, Result]], look_again: Sequence[str]) -> Record:
    """The record with what came of running. Partly graded: the process broke off, so that some cells ran otherwise."""
    results, marks = {name: result for name, (_, result) in ran.items()}, marks_of(entry)
    broke_off = any(cell.fatal for result in results.values() for cell in result.cells)
    return replace(
        begun,
        state=begun.state or (PARTLY if broke_off else GRADED),
        note=note_of(marks),
        open=waiting_of(marks),
        points={name: mark.auto for name, mark in marks.items()},
        remarks=(*begun.remarks, *look_again),
        flags=(*begun.flags, *(flag for result in results.values() for flag in result.flags)),
        notebooks=results,
        steps={name: tuple(step.grade_id for step in job.steps) for name, (job, _) in ran.items()},
    )


def marks_of(entry: Any) -> dict[str, Mark]:
    """Marks by graded cell, of one submission as the gradebook knows it."""
    return {name: mark for notebook in entry.notebooks for name, mark in marks_of_notebook(notebook).items()}


def marks_of_notebook(notebook: Any) -> dict[str, Mark]:
    """The same of one submitted notebook."""
    return {grade.name: _mark(grade) for grade in notebook.grades}


def waiting_of(marks: Mapping[str, Mark]) -> int:
    """How many wait for a grader."""
    return sum(mark.waits for mark in marks.values())


def so_far(marks: Mapping[str, Mark]) -> str:
    """The points, and whether there may come more."""
    points, most = total(mark.points for mark in marks.values()), sum(mark.maximum for mark in marks.values())
    return f"{points:g} of {most:g} points{' so far' if waiting_of(marks) else ''}"


def note_of(marks: Mapping[str, Mark]) -> str:
    """The points in a sentence, and what waits for a grader."""
    waiting = waiting_of(marks)
    return f"{so_far(marks)}; {waiting} to be graded by hand." if waiting else f"{so_far(marks)}."


def notebook_path(api: NbGraderAPI, assignment: str, student: str, notebook: str) -> Path:
    """Where the autograded notebook of a student lies."""
    return folder(api, "autograded", assignment, student) / f"{notebook}.ipynb"


def folder(api: NbGraderAPI, step: str, assignment: str, student: str = ".") -> Path:
    """Where nbgrader keeps one step (source, submitted, autograded, feedback) of an assignment."""
    directory = getattr(api.coursedir, f"{step}_directory")
    return Path(os.path.normpath(api.coursedir.format_path(directory, student, assignment)))


def _mark(grade: Any) -> Mark:
    auto, manual, extra = grade.auto_score, grade.manual_score, grade.extra_credit
    score = auto if manual is None else manual
    points = None if score is None else score + (extra or 0.0)
    return Mark(points, grade.cell.max_score, auto, manual, extra, bool(grade.needs_manual_grade))


def _points(entry: Any) -> dict[str, float | None]:
    return {name: mark.points for name, mark in marks_of(entry).items()}


def _intend(api: NbGraderAPI, assignment: str, record: Record, run: str, before: Any, after: Any) -> None:
    """Put into the history what is about to be committed."""
    why = _why(record_of(api.coursedir.root, assignment, record.student), record)
    names = ("student", "state", "source", "submission")
    entry = {"run": run, "when": record.graded} | {name: getattr(record, name) for name in names}
    append_history(api.coursedir.root, assignment, entry | {"before": before, "after": after, "why": why})


def _why(last: Record | None, record: Record) -> str:
    if last is None:
        return "first graded"
    changed = [name for name in ("submission", "source") if getattr(last, name) != getattr(record, name)]
    return f"{' and '.join(changed)} changed" if changed else "graded again"


def _when(handed_in: Path) -> datetime | None:
    """When a submission came, as the platform or nbgrader's exchange says it."""
    try:
        stamp = read_origin(handed_in).handed_in or read_bytes(handed_in / STAMP).decode()
        return parse_utc(stamp)  # type: ignore[no-any-return]
    except ValueError:
        return None


def _late(handed_in: Path, seconds: float) -> str:
    """That it is late: the platform says so, or it came after the due date in the gradebook."""
    minutes = round(seconds / 60)
    by = f"{minutes // 1440} d {minutes % 1440 // 60} h" if minutes >= 1440 else f"{minutes // 60} h {minutes % 60} min"
    return f"Handed in {by} late." if seconds > 0 else "Handed in late." if read_origin(handed_in).late else ""


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def _set_marks(notebook: Any, outcome: tuple[Job, Result] | None, seen: Mapping[str, str]) -> Iterator[str]:
    """Set scores and automatic comments of one notebook; say what a grader has to look at again.

    ``seen``: the answers as a grader may have seen them. A graded cell that did not run scores 0.
    """
    pairs = zip(outcome[0].steps, outcome[1].cells, strict=True) if outcome else ()
    ran = {step.grade_id: (step, cell) for step, cell in pairs}
    released = {cell.name: cell for cell in notebook.notebook.source_cells}
    stubs = {cell.name: released[cell.name].source.strip() for cell in notebook.notebook.solution_cells}
    blank = {
        name
        for name, stub in stubs.items()
        if name not in ran or ran[name][0].blank or ran[name][0].source.strip() in ("", stub)
    }
    graded = {grade.name for grade in notebook.grades}
    for comment in notebook.comments:
        comment.auto_comment = NO_RESPONSE if comment.name in blank & graded else None
    for grade in notebook.grades:
        step, cell = ran.get(grade.name, (Step("test", ""), CellResult(ok=False)))
        changed = step.by_hand and seen.get(grade.name) != autograded.shown(step.source, released[grade.name].cell_type)
        right = grade.cell.max_score if cell.ok else 0.0
        by_hand_so_far = 0.0 if grade.name in blank else None
        yield from _set_mark(grade, by_hand_so_far if step.by_hand else right, changed)


def _set_mark(grade: Any, score: float | None, changed: bool) -> Iterator[str]:
    """A mark given by hand stays; where what it was given for has changed, a grader looks again."""
    if grade.manual_score is None:
        grade.needs_manual_grade = score is None
    elif changed or grade.auto_score != score:
        grade.needs_manual_grade = True
        what = f"What {grade.name!r} was marked by hand for has changed"
        yield f"{what}: the mark stays until a grader has looked at it again."
    grade.auto_score = score
