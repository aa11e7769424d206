"""Marks as a file for elsewhere: a plain table, Canvas, Moodle, or everything as JSON."""

import csv
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from nbgrader.api import MissingEntry

from coursegrade import book
from coursegrade.directory import course
from coursegrade.exercises import graded_cells
from coursegrade.journal import records
from coursegrade.people import Origin, origins
from coursegrade.records import GRADED, PARTLY, Record, total, write_whole

Layout = Literal["plain", "canvas", "moodle", "json"]
Row = list[str | float | None]


@dataclass(frozen=True)
class Line:
    """What one student's row is made from."""

    record: Record
    marks: dict[str, book.Mark]  # empty for a submission that could not be graded
    name: str = ""
    first_name: str = ""
    email: str = ""
    lms_id: str = ""  # the gradebook's, which is Canvas's number of the student
    origin: Origin = field(default_factory=Origin)
    comments: dict[str, str] | None = None

    @property
    def points(self) -> float | None:
        """The points so far; None for a submission that could not be graded."""
        return total(mark.points for mark in self.marks.values()) if self.marks else None

    @property
    def note(self) -> str:
        """The record's sentence, with the points as they are by now."""
        note = book.note_of(self.marks) if self.marks else self.record.note
        return " ".join(filter(None, [note, self.record.late, *self.record.remarks]))


def export(
    assignment: str, course_dir: str | Path = ".", *, layout: Layout = "plain", report: Callable[[str], None] = print
) -> Path:
    """Write the marks of everyone recorded, under ``marks/``; ``report`` is told of whom Canvas or Moodle would not
    know.

    plain: student, points of each graded cell, total, max, state, late, note. An answer that waits for a grader is
    blank; of a submission that could not be graded every mark is. canvas and moodle: the columns their import asks
    for, UTF-8 with a byte-order mark, so that spreadsheets read names right. json: all that is known.
    """
    if layout not in get_args(Layout):
        raise ValueError(f"expected a layout of {', '.join(get_args(Layout))}, got {layout!r}: choose one of these")
    maxima = {name: cell.step.points for name, cell in graded_cells(course_dir, assignment).items()}
    lines = list(_lines(assignment, course_dir))
    if layout == "json":
        path = Path(course_dir, "marks", f"{assignment}.marks.json")
        write_whole(path, json.dumps([_whole(line, maxima) for line in lines], indent=1, ensure_ascii=False))
        return path
    number_of = {"canvas": _canvas_id, "moodle": _participant}.get(layout)
    if number_of and (unknown := [line.record.student for line in lines if not number_of(line)]):
        instead = {"canvas": "their rows have the login alone", "moodle": "they have no row"}[layout]
        report(f"{len(unknown)} students did not hand in by {layout.title()}, so that {instead}: {', '.join(unknown)}.")
    rows = {"plain": _plain, "canvas": _canvas, "moodle": _moodle}[layout](assignment, maxima, lines)
    path = Path(course_dir, "marks", f"{assignment}.csv" if layout == "plain" else f"{assignment}.{layout}.csv")
    write_whole(path, ("" if layout == "plain" else "\ufeff") + _csv(rows))
    return path


def _lines(assignment: str, course_dir: str | Path) -> Iterator[Line]:
    known = origins(Path(course_dir, "submitted"))
    with book.gradebook(course(course_dir)) as gradebook:
        for student, record in records(course_dir, assignment).items():
            origin = _origin(known.get(student, {}), assignment)
            try:
                entry = gradebook.find_submission(assignment, student)
            except MissingEntry:
                yield Line(record, {}, origin=origin)
                continue
            who, graded = entry.student, record.state in (GRADED, PARTLY)
            comments = {c.name: c.comment for notebook in entry.notebooks for c in notebook.comments if c.comment}
            names = {"name": who.last_name, "first_name": who.first_name, "email": who.email, "lms_id": who.lms_user_id}
            given: dict[str, Any] = {key: text or "" for key, text in names.items()}
            yield Line(record, book.marks_of(entry) if graded else {}, comments=comments, origin=origin, **given)


def _origin(kept: Mapping[str, Origin], assignment: str) -> Origin:
    """Who a student is on the platform: as this assignment says, or another (Moodle's numbers are of one alone)."""
    lasting = (replace(origin, id="" if origin.platform == "moodle" else origin.id) for origin in kept.values())
    return kept.get(assignment) or next(lasting, Origin())


def _canvas_id(line: Line) -> str:
    return line.lms_id or (line.origin.id if line.origin.platform == "canvas" else "")


def _participant(line: Line) -> str:
    return line.origin.id if line.origin.platform == "moodle" else ""


def _plain(assignment: str, maxima: Mapping[str, float], lines: Iterable[Line]) -> Iterator[Row]:
    yield ["student", *maxima, "total", "max", "state", "late", "note"]
    for line in lines:
        points = [line.marks[name].points if name in line.marks else None for name in maxima]
        record, late = line.record, "late" if line.record.late else ""
        yield [record.student, *points, line.points, sum(maxima.values()), record.state, late, line.note]


def _canvas(assignment: str, maxima: Mapping[str, float], lines: Iterable[Line]) -> Iterator[Row]:
    """Canvas's gradebook import: a row of possible points first, students by Canvas's number or else by a login."""
    yield ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", assignment]
    yield ["    Points Possible", "", "", "", "", sum(maxima.values())]
    for line in lines:
        origin, student = line.origin, line.record.student
        full = f"{line.name}, {line.first_name}" if line.name and line.first_name else origin.name or student
        login = student if origin.platform in ("", "exchange") else ""
        yield [full, _canvas_id(line), origin.sid, login, "", line.points]


def _moodle(assignment: str, maxima: Mapping[str, float], lines: Iterable[Line]) -> Iterator[Row]:
    """Moodle's offline grading worksheet: it takes whatever follows on twelve characters for a person's number."""
    now = datetime.now(UTC).isoformat(timespec="seconds")  # marks that somebody changes in Moodle after this stay
    person, grade = ("Identifier", "Full name", "Email address"), ("Grade", "Maximum grade", "Last modified (grade)")
    yield [*person, *grade, "Feedback comments"]
    for line in lines:
        if number := _participant(line):
            full = f"{line.first_name} {line.name}".strip() or line.origin.name
            yield [f"Participant {number}", full, line.email, line.points, sum(maxima.values()), now, line.note]


def _whole(line: Line, maxima: Mapping[str, float]) -> dict[str, Any]:
    record = asdict(line.record)
    names = ("student", "state", "remarks", "flags", "submission", "source", "graded", "late")
    cells = {name: asdict(line.marks[name]) for name in maxima if name in line.marks}
    points = {"open": book.waiting_of(line.marks), "total": line.points, "max": sum(maxima.values()), "cells": cells}
    words = {"note": line.note, "comments": line.comments or {}}
    return {name: record[name] for name in names} | {"platform": asdict(line.origin)} | points | words


def _csv(rows: Iterable[Row]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text).writerows([_field(value) for value in row] for row in rows)
    return text.getvalue()


def _field(value: str | float | None) -> str:
    """A number as it is; text so that no spreadsheet takes it for a formula."""
    if not isinstance(value, str):
        return "" if value is None else f"{value:g}"
    return f"'{value}" if value.startswith(("=", "+", "-", "@", "\t", "\r", "\n")) else value
