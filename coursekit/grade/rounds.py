"""One grading round, thin over nbgrader: release, run, feedback, export.

A course directory holds ``nbgrader_config.py``, ``solutions/``, ``submitted/STUDENT/ASSIGNMENT/`` and what a round makes:
``assignments/``, ``autograded/``, ``feedback/``, ``marks/`` and ``gradebook.db``, the same that nbgrader's formgrader opens.
"""

import csv
import html
import json
import logging
import os
import re
import shutil
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

GRADED, BY_HAND, UNREADABLE, FAILED = "graded", "needs hand grading", "unreadable", "failed"


@dataclass(frozen=True)
class Outcome:
    """How grading one submission ended: the state, and a sentence the student can act on."""

    student: str
    state: str
    note: str


def course(course_dir: str | Path = ".") -> NbGraderAPI:
    """nbgrader's own API for one course directory, its configuration read from there.

    Puts the environment's programs on PATH where they are not: nbgrader calls ``alembic`` by its name.
    """
    root = Path(course_dir).resolve()
    if not (root / "nbgrader_config.py").is_file():
        raise ValueError(f"expected nbgrader_config.py in the course directory, got {root}: pass the directory that holds it")
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    config = PyFileConfigLoader("nbgrader_config.py", path=str(root)).load_config()
    config.CourseDirectory.root = str(root)
    log = logging.getLogger("coursekit.grade")
    log.propagate = False
    log.handlers = log.handlers or [logging.NullHandler()]
    return NbGraderAPI(config=config, log=log)


def release(assignment: str, course_dir: str | Path = ".") -> Path:
    """Build ``assignments/ASSIGNMENT`` from ``solutions/ASSIGNMENT`` and enter its cells and points into the gradebook."""
    api = course(course_dir)
    if not _folder(api, "source", assignment).is_dir():
        raise ValueError(f"expected a folder {assignment!r} in solutions/, got none: write the assignment there first")
    result = api.generate_assignment(assignment, force=True, create=True)
    if not result["success"]:
        raise RuntimeError(f"{assignment} could not be released: {_last_error(result)}")
    return _folder(api, "release", assignment)


def students(assignment: str, course_dir: str | Path = ".") -> list[str]:
    """Everyone with a folder ``submitted/STUDENT/ASSIGNMENT``."""
    return sorted(course(course_dir).get_submitted_students(assignment))


def run(assignment: str, course_dir: str | Path = ".", *, only: Iterable[str] | None = None) -> list[Outcome]:
    """Autograde every submission, or those of ``only``, one by one: none stops the next.

    Each outcome is recorded in ``marks/ASSIGNMENT.json`` as soon as it is known. A submission that cannot be graded
    loses its earlier automatic marks; marks and comments given by hand stay.
    """
    api = course(course_dir)
    everyone = sorted(api.get_submitted_students(assignment))
    chosen = everyone if only is None else sorted(set(only))
    if unknown := set(chosen) - set(everyone):
        raise ValueError(f"expected students who submitted {assignment}, got {sorted(unknown)}: look into submitted/")
    outcomes = []
    for position, student in enumerate(chosen, start=1):
        outcome = _grade(api, assignment, student)
        _record(api, assignment, outcome)
        print(f"[{position}/{len(chosen)}] {student}: {outcome.state}. {outcome.note}", flush=True)
        outcomes.append(outcome)
    return outcomes


def feedback(assignment: str, course_dir: str | Path = ".") -> list[Path]:
    """Write ``feedback/STUDENT/ASSIGNMENT/*.html`` for everyone graded; who could not be graded gets a page with the reason."""
    api = course(course_dir)
    pages = []
    for outcome in outcomes(assignment, course_dir).values():
        folder = _folder(api, "feedback", assignment, outcome.student)
        shutil.rmtree(folder, ignore_errors=True)
        result = {"success": False}
        if outcome.state in (GRADED, BY_HAND):
            result = api.generate_feedback(assignment, outcome.student, force=True)
        if not result["success"]:
            folder.mkdir(parents=True, exist_ok=True)
            page = f'<!DOCTYPE html><meta charset="utf-8"><title>{assignment}</title><p>{html.escape(outcome.note)}</p>'
            (folder / f"{assignment}.html").write_text(page, encoding="utf-8")
        pages += sorted(folder.glob("*.html"))
    return pages


def export(assignment: str, course_dir: str | Path = ".") -> Path:
    """Write ``marks/ASSIGNMENT.csv``: student, points of each graded cell, total, max, state, note.

    An answer that waits for a grader is blank; of a submission that could not be graded everything is.
    """
    api = course(course_dir)
    cells = _graded_cells(api, assignment)
    path = _marks(course_dir, assignment, ".csv")
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file, _gradebook(api) as gradebook:
        table = csv.writer(file)
        table.writerow(["student", *cells, "total", "max", "state", "note"])
        for outcome in outcomes(assignment, course_dir).values():
            points = _points(gradebook, assignment, outcome.student) if outcome.state in (GRADED, BY_HAND) else {}
            total = f"{sum(p for p in points.values() if p is not None):g}" if points else ""
            row = ["" if points.get(cell) is None else f"{points[cell]:g}" for cell in cells]
            table.writerow([outcome.student, *row, total, f"{sum(cells.values()):g}", outcome.state, outcome.note])
    return path


def round_trip(assignment: str, course_dir: str | Path = ".") -> list[Outcome]:
    """Release, grade, make feedback and the CSV, and print a table."""
    release(assignment, course_dir)
    if not students(assignment, course_dir):
        print(f"Released assignments/{assignment}. Nothing to grade: put notebooks into submitted/STUDENT/{assignment}/.")
        return []
    graded = run(assignment, course_dir)
    feedback(assignment, course_dir)
    path = export(assignment, course_dir)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    width = max(len(row["student"]) for row in rows)
    for row in rows:
        print(f"{row['student']:<{width}}  {row['total'] or '–':>5} / {row['max']}  {row['state']}")
    print(f"Marks: {path} · feedback: feedback/STUDENT/{assignment}/ · hand grading: Formgrader in JupyterLab")
    return graded


def outcomes(assignment: str, course_dir: str | Path = ".") -> dict[str, Outcome]:
    """What is recorded of every submission graded so far, by student."""
    path = _marks(course_dir, assignment, ".json")
    records = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {record["student"]: Outcome(**record) for record in records}


def _grade(api: NbGraderAPI, assignment: str, student: str) -> Outcome:
    problem = _unreadable(api, assignment, student)
    state, result = (UNREADABLE, {}) if problem else (FAILED, api.autograde(assignment, student, force=True, create=True))
    if not problem and not result["success"]:
        problem = _explain(result)
    if problem:
        _void(api, assignment, student)
        return Outcome(student, state, problem)
    with _gradebook(api) as gradebook:
        points = _points(gradebook, assignment, student)
        by_hand = gradebook.find_submission(assignment, student).needs_manual_grade
    open_ = sum(p is None for p in points.values())
    note = f"{sum(p for p in points.values() if p is not None):g} points so far" + (f", {open_} to be graded by hand." if open_ else ".")
    return Outcome(student, BY_HAND if by_hand else GRADED, " ".join([note, *_remarks(result)]))


def _unreadable(api: NbGraderAPI, assignment: str, student: str) -> str:
    """Why the notebooks cannot even be read, in a sentence; empty if they can."""
    folder = _folder(api, "submitted", assignment, student)
    for name in _notebooks(api, assignment):
        path = folder / name
        if not path.is_file():
            found = ", ".join(sorted(p.name for p in folder.glob("*.ipynb"))) or "no notebook"
            return f"{name} is not there, but {found}: hand it in under its own name."
        try:
            nbformat.validate(nbformat.read(path, as_version=4))
        except Exception as error:  # any failure to read means the same to the student
            return f"{name} is not a notebook that can be read ({type(error).__name__}): open it in JupyterLab, save it, hand it in again."
    return ""


def _explain(result: dict[str, Any]) -> str:
    """A failed autograde in a sentence."""
    text = result.get("log", "") + result.get("error", "")
    if "DeadKernelError" in text or "UnresponsiveKernel" in text:
        return "A cell ended the Python process (a crash, os._exit, too little memory): run all cells and mend the one that does it."
    return f"nbgrader could not grade it ({_last_error(result)}): start again from the released notebook and copy your answers into it."


def _last_error(result: dict[str, Any]) -> str:
    """The last line that names an exception, other than nbgrader's own 'there was an error'."""
    lines = (result.get("log", "") + "\n" + result.get("error", "")).splitlines()
    named = [line.strip() for line in lines if re.match(r"[\w.]*(Error|Exception|Invalid)\b.*: ", line) and "NbGraderException" not in line]
    return named[-1][:200] if named else "no reason given"


def _remarks(result: dict[str, Any]) -> Iterator[str]:
    """What RestoreCells did, from the log."""
    for line in result.get("log", "").splitlines():
        if match := re.search(r"(Cell '[^']*' (was missing|is there more than once: the last one counts))", line):
            yield f"{match[1]}."


def _void(api: NbGraderAPI, assignment: str, student: str) -> None:
    """Take back automatic marks of an earlier run, so that no old mark stands for a submission that was not graded."""
    shutil.rmtree(_folder(api, "autograded", assignment, student), ignore_errors=True)
    with _gradebook(api) as gradebook:
        try:
            submission = gradebook.find_submission(assignment, student)
        except MissingEntry:
            return
        for notebook in submission.notebooks:
            for grade in notebook.grades:
                grade.auto_score = None
        gradebook.db.commit()


def _points(gradebook: Gradebook, assignment: str, student: str) -> dict[str, float | None]:
    """Points by graded cell; None for an answer no one has graded yet."""
    grades = [grade for notebook in gradebook.find_submission(assignment, student).notebooks for grade in notebook.grades]
    return {g.name: None if g.auto_score is None and g.manual_score is None else g.score for g in grades}


def _record(api: NbGraderAPI, assignment: str, outcome: Outcome) -> None:
    """Keep one outcome; the file is replaced as a whole, never half-written."""
    path = _marks(api.coursedir.root, assignment, ".json")
    path.parent.mkdir(exist_ok=True)
    known = outcomes(assignment, api.coursedir.root) | {outcome.student: outcome}
    part = path.with_suffix(".part")
    part.write_text(json.dumps([asdict(known[student]) for student in sorted(known)], indent=1), encoding="utf-8")
    part.replace(path)


def _graded_cells(api: NbGraderAPI, assignment: str) -> dict[str, float]:
    """Points by graded cell, in the order of the source."""
    folder = _folder(api, "source", assignment)
    cells = [cell for name in _notebooks(api, assignment) for cell in nbformat.read(folder / name, as_version=4).cells]
    marks = [cell.metadata.get("nbgrader", {}) for cell in cells]
    return {mark["grade_id"]: float(mark["points"]) for mark in marks if mark.get("grade")}


def _notebooks(api: NbGraderAPI, assignment: str) -> list[str]:
    return sorted(path.name for path in _folder(api, "source", assignment).glob("*.ipynb"))


def _folder(api: NbGraderAPI, step: str, assignment: str, student: str = ".") -> Path:
    directory = getattr(api.coursedir, f"{step}_directory")
    return Path(os.path.normpath(api.coursedir.format_path(directory, student, assignment)))


def _marks(course_dir: str | Path, assignment: str, suffix: str) -> Path:
    return Path(course_dir, "marks", assignment + suffix)


def _gradebook(api: NbGraderAPI) -> Gradebook:
    return Gradebook(api.coursedir.db_url, api.coursedir.course_id)
