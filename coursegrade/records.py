"""What passes between the parts of grading: a cell to run, a submission to grade, what came of it."""

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "given", "answer", "test", "own"]
GRADED, PARTLY, UNREADABLE, MISSING = "graded", "partly graded", "unreadable", "missing"

HIDDEN = re.compile(
    r"^[^\n]*BEGIN HIDDEN TESTS[^\n]*\n(.*?)(?:^[^\n]*END HIDDEN TESTS[^\n]*\n?|\Z)", re.MULTILINE | re.DOTALL
)


def parts(source: str) -> tuple[str, str]:
    """The visible and the hidden part of a test cell: from the line that begins it to the one that ends it, or all."""
    return HIDDEN.sub("", source), "\n".join(HIDDEN.findall(source))


@dataclass(frozen=True)
class Step:
    """One cell, in the order of running.

    ``text``: markdown. ``given``: the instructor's code, run on both sides. ``answer``: the student's, in the place
    of a solution. ``test``: the instructor's checks, never the student's copy. ``own``: a cell the student added.
    """

    kind: Kind
    source: str
    grade_id: str = ""  # empty for cells that nbgrader does not know
    defines: tuple[str, ...] = ()  # of an answer: the names that the instructor's solution defines at its top level
    points: float = 0.0  # of a test, and of an answer graded by hand
    by_hand: bool = False
    blank: bool = False  # of an answer: it is empty, or a stub as it was released


@dataclass(frozen=True)
class Limits:
    """What a submission may use."""

    call_s: float = 10.0  # one cell, or one call of a student's function
    total_s: float = 120.0  # all of it
    memory_mb: int = 2048  # above what a warm start holds
    output_kb: int = 64  # kept of what one cell prints
    processes: int = 64


@dataclass(frozen=True)
class Job:
    """One notebook of one student, whole: it can be sent to another machine."""

    assignment: str
    notebook: str
    student: str
    steps: tuple[Step, ...]
    closed: tuple[str, ...] = ()  # names a student's code may not call
    limits: Limits = Limits()
    private: tuple[str, ...] = ()  # folders of the course and its gradebook: no student's code sees them


@dataclass(frozen=True)
class CellResult:
    """What came of one step."""

    ok: bool = True
    message: str = ""  # why not, in words for the student
    hidden: bool = False  # it was a hidden check that failed: ``message`` is the instructor's words alone
    output: str = ""  # what the student's code printed, cut; never of a hidden check
    fatal: str = ""  # crashed, timed out, flooded, or out of memory: the student's process had to be started anew
    seconds: float = 0.0


@dataclass(frozen=True)
class Result:
    """What came of a job: one cell result a step."""

    cells: tuple[CellResult, ...]
    flags: tuple[str, ...] = ()  # what an instructor should look at, a sentence each
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0  # of the student's process, above the warm start


@dataclass(frozen=True)
class Record:
    """How grading one submission ended: kept in ``marks/ASSIGNMENT/STUDENT.json``."""

    student: str
    state: str = ""
    note: str = ""  # a sentence the student can act on
    open: int = 0  # answers that wait for a grader
    points: dict[str, float | None] = field(default_factory=dict)  # automatic, by cell; None where a grader decides
    remarks: tuple[str, ...] = ()  # what was put right when it was read
    flags: tuple[str, ...] = ()  # for the instructor alone
    notebooks: dict[str, Result] = field(default_factory=dict)
    steps: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by notebook: each cell result's grade_id
    submission: str = ""  # SHA-256 of what was handed in
    source: str = ""  # SHA-256 of the notebooks in solutions/ it was graded against
    graded: str = ""  # when, UTC, ISO 8601
    late: str = ""  # that it was handed in late, and by how much where that is known, in a sentence


def to_json(record: Any) -> str:
    """Any of these as JSON."""
    return json.dumps(asdict(record), indent=1, ensure_ascii=False)


def job_from(data: dict[str, Any]) -> Job:
    """A job back from ``asdict``."""
    steps = tuple(Step(**{**step, "defines": tuple(step["defines"])}) for step in data["steps"])
    names = {"closed": tuple(data["closed"]), "private": tuple(data["private"])}
    return Job(**{**data, **names, "steps": steps, "limits": Limits(**data["limits"])})


def result_from(data: dict[str, Any]) -> Result:
    """A result back from ``asdict``."""
    cells = tuple(CellResult(**cell) for cell in data["cells"])
    return Result(**{**data, "cells": cells, "flags": tuple(data["flags"])})


def record_from(text: str) -> Record:
    """A record back from ``to_json``."""
    data = json.loads(text)
    data["notebooks"] = {name: result_from(result) for name, result in data["notebooks"].items()}
    data["steps"] = {name: tuple(ids) for name, ids in data["steps"].items()}
    return Record(**{**data, "remarks": tuple(data["remarks"]), "flags": tuple(data["flags"])})


def write_whole(path: Path, text: str) -> None:
    """Replace a file as a whole: who reads it sees the old text or the new, also after a crash."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def total(points: Iterable[float | None]) -> float:
    """The sum of those that are known."""
    return sum(p for p in points if p is not None)
