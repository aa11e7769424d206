"""What a student gets back: one page a notebook, with the marks, what failed and why, and what a grader wrote."""

import html
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.apps import NbGraderAPI

from coursegrade import autograded, book, clean
from coursegrade.directory import course
from coursegrade.exercises import Exercise, exercises, title
from coursegrade.journal import records
from coursegrade.notebook import Unreadable, read_bytes
from coursegrade.page import page, tag
from coursegrade.people import SECRET, STAMP
from coursegrade.records import GRADED, PARTLY, CellResult, Record, write_whole
from coursegrade.source import SourceCell, read_source

LONGEST = 4_000  # characters of one output or message
LOST = "The marks of this submission are not in the gradebook: tell your instructor, who can grade it again."
EMPTY = "Left empty"


@dataclass(frozen=True)
class _Graded:
    """What is known of one student's notebook."""

    outcomes: list[tuple[str, CellResult]]  # grade_id, empty for other cells, and what came of it
    marks: dict[str, book.Mark]
    comments: dict[str, str]
    answers: dict[str, str]


def feedback(assignment: str, course_dir: str | Path = ".") -> list[Path]:
    """Write ``feedback/STUDENT/ASSIGNMENT/NOTEBOOK.html`` for everyone recorded; return the pages."""
    api, pages = course(course_dir), []
    source = read_source(course_dir, assignment)
    with book.gradebook(api) as gradebook:
        for student, record in records(course_dir, assignment).items():
            folder = book.folder(api, "feedback", assignment, student)
            for notebook, cells in source.notebooks.items():
                graded = _graded(api, gradebook, assignment, notebook, record)
                write_whole(folder / f"{notebook}.html", _page(notebook, record, exercises(cells), graded))
                pages.append(folder / f"{notebook}.html")
            for stale in set(folder.glob("*.html")) - set(pages):
                stale.unlink()
            _keep_stamps(book.folder(api, "submitted", assignment, student), folder)
    return pages


def _keep_stamps(submitted: Path, folder: Path) -> None:
    """The exchange's files by which ``nbgrader release_feedback`` knows whose a page is.

    It stops where one lacks them. A page of what came another way goes where nobody looks.
    """
    for name, otherwise in ((STAMP, ""), (SECRET, secrets.token_hex())):
        try:
            text = read_bytes(submitted / name).decode()
        except (Unreadable, UnicodeDecodeError):
            text = otherwise
        write_whole(folder / name, text)


def _graded(api: NbGraderAPI, gradebook: Any, assignment: str, notebook: str, record: Record) -> _Graded | None:
    """None where there is nothing to show but the reason."""
    result = record.notebooks.get(notebook)
    if record.state not in (GRADED, PARTLY) or result is None:
        return None
    try:
        entry = gradebook.find_submission_notebook(notebook, assignment, record.student)
    except MissingEntry:
        return None
    names = record.steps.get(notebook, ())
    return _Graded(
        outcomes=list(zip(names, result.cells)),
        marks=book.marks_of_notebook(entry),
        comments={c.name: c.comment for c in entry.comments if c.comment},
        answers=autograded.answers(book.notebook_path(api, assignment, record.student, notebook)),
    )


def _page(notebook: str, record: Record, parts: list[Exercise], graded: _Graded | None) -> str:
    body = [tag("p", record.student, "quiet")]
    if graded is None:
        ended = record.state in (GRADED, PARTLY)
        body.append(tag("p", "Not graded." if ended else f"Not graded: {record.state}.", "total"))
        body += [tag("p", text) for text in (LOST if ended else record.note, record.late) if text]
    else:
        body += _total(record, graded)
        if record.remarks:
            body.append("<ul>" + "".join(tag("li", remark) for remark in record.remarks) + "</ul>")
        for part, outcomes in zip(parts, _by_exercise(parts, graded)):
            body += _exercise(part, outcomes, graded)
    return page(notebook, body)


def _total(record: Record, graded: _Graded) -> Iterator[str]:
    yield tag("p", book.so_far(graded.marks), "total")
    if waiting := book.waiting_of(graded.marks):
        yield tag("p", f"{waiting} {'answer waits' if waiting == 1 else 'answers wait'} for a grader.")
    if record.late:
        yield tag("p", record.late)
    if record.state == PARTLY:
        yield tag("p", "Your code broke off somewhere (see below); what does not depend on it was graded all the same.")


def _by_exercise(parts: list[Exercise], graded: _Graded) -> list[list[tuple[str, CellResult]]]:
    """What came of each cell, by exercise: a cell of the student's own belongs to what is above it."""
    grouped: list[list[tuple[str, CellResult]]] = [[] for _ in parts]
    current = 0
    for name, cell in graded.outcomes if parts else []:
        current = next((position for position, part in enumerate(parts) if name in part.names), current)
        grouped[current].append((name, cell))
    return grouped


def _exercise(part: Exercise, outcomes: list[tuple[str, CellResult]], graded: _Graded) -> Iterator[str]:
    cells = {cell.step.grade_id: cell for cell in part.cells}
    points = book.so_far({name: graded.marks[name] for name in cells if name in graded.marks})
    yield f'<section>\n<h2>{html.escape(part.title)} <span class="marks">{points}</span></h2>\n<ul class="checks">'
    for name, cell in outcomes:
        lines = [*_cell(cells.get(name), cell, graded), *_printed(cell)]
        yield from ["<li>", *lines, "</li>"] if lines else []
    yield "</ul>\n</section>"


def _cell(source: SourceCell | None, cell: CellResult, graded: _Graded) -> Iterator[str]:
    """One cell: how a check went, what a grader gave, or why a cell of the student's stopped."""
    if source is None:
        yield from [] if cell.ok else [tag("strong", "✗ A cell stopped", "wrong"), tag("pre", _text(cell.message))]
        return
    mark = graded.marks.get(source.step.grade_id)
    if source.step.kind == "test":
        yield _verdict("✓ Right" if cell.ok else "✗ Not yet", "right" if cell.ok else "wrong", title(source), mark)
    elif source.step.by_hand:
        yield _verdict(_by_hand(mark), "quiet", title(source), mark)
        if _by_hand(mark) != EMPTY:
            yield tag("pre", _text(graded.answers.get(source.step.grade_id, "")))
    elif not cell.ok:
        yield tag("strong", f"✗ Your cell {title(source)} stopped", "wrong")
    if not cell.ok:
        yield tag("pre", _text(cell.message))
    comment = graded.comments.get(source.step.grade_id)
    if comment and comment != book.NO_RESPONSE:
        yield tag("p", f"Comment: {comment}")


def _by_hand(mark: book.Mark | None) -> str:
    """How it stands with an answer graded by a person; what is empty has its 0 points unseen."""
    if mark is None or mark.waits:
        return "… Waits for a grader"
    return EMPTY if mark.manual is None else "Graded by hand"


def _verdict(word: str, kind: str, name: str, mark: book.Mark | None) -> str:
    points = "" if mark is None or mark.points is None else f"{mark.points:g} of {mark.maximum:g}"
    given = " (set by a grader)" if mark and mark.manual is not None and kind != "quiet" else ""
    return f"{tag('span', points, 'marks')}{tag('strong', word, kind)} · {html.escape(name + given)}"


def _printed(cell: CellResult) -> list[str]:
    """What the student's code printed; nothing of a hidden check."""
    if cell.hidden or not cell.output.strip():
        return []
    return [tag("p", "Printed:", "quiet"), tag("pre", _text(cell.output))]


def _text(text: str) -> str:
    return clean.cut(clean.output(text), LONGEST)
