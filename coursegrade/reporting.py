"""The instructor's page: marks, what failed how many, time, and what to look at."""

import html
import re
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from nbgrader.api import MissingEntry
from nbgrader.apps import NbGraderAPI

from coursegrade import autograded, book, clean
from coursegrade.directory import course
from coursegrade.exercises import graded_cells, title
from coursegrade.journal import records
from coursegrade.page import page, tag
from coursegrade.records import GRADED, PARTLY, CellResult, Record, total, write_whole
from coursegrade.similarity import Group, groups, similar
from coursegrade.source import SourceCell

BINS = 10
MESSAGES = 3  # shown of each cell
GROUPS = 30
LINES = 8  # of a message
WHERE = re.compile(r"^(?:The answer \S+|A cell the student added \(cell \d+\)) |: no exercise needs it")
LONGEST_LINE = 200
SHARED = (
    "Code that more than a third of the class has in common counts as common knowledge; who shares it is not listed."
)
TABLE, END_OF_TABLE = '<div class="wide"><table><thead><tr>', "</tbody></table></div>"


def report(assignment: str, course_dir: str | Path = ".") -> Path:
    """Write ``marks/ASSIGNMENT.html`` about everyone recorded: one page, no script."""
    api, kept = course(course_dir), records(course_dir, assignment)
    cells = graded_cells(course_dir, assignment)
    graded = {student: record for student, record in kept.items() if record.state in (GRADED, PARTLY)}
    with book.gradebook(api) as gradebook:
        marks = {student: _marks(gradebook, assignment, student) for student in graded}
        stub = _stub(gradebook, assignment)
    totals = [total(mark.points for mark in of.values()) for of in marks.values()]
    body = [
        *_states(kept, marks),
        *_distribution(totals, sum(cell.step.points for cell in cells.values())),
        *_cells(cells, graded, marks),
        *_time(graded),
        *_flags(kept.values()),
        *_list("Handed in late", ((r.student, r.late) for r in kept.values() if r.late)),
        *_list("Not graded", ((r.student, f"{r.state}: {r.note}") for r in kept.values() if r.student not in graded)),
        *_similar(api, assignment, graded, stub),
    ]
    path = Path(course_dir, "marks", f"{assignment}.html")
    write_whole(path, page(f"{assignment}: report", body))
    return path


def _marks(gradebook: Any, assignment: str, student: str) -> dict[str, book.Mark]:
    try:
        return book.marks_of(gradebook.find_submission(assignment, student))
    except MissingEntry:
        return {}


def _stub(gradebook: Any, assignment: str) -> dict[str, str]:
    """What was released of each code answer, by grade id."""
    notebooks = gradebook.find_assignment(assignment).notebooks
    answers = {cell.name for notebook in notebooks for cell in notebook.solution_cells}
    cells = (cell for notebook in notebooks for cell in notebook.source_cells)
    return {cell.name: cell.source for cell in cells if cell.name in answers and cell.cell_type == "code"}


def _states(kept: Mapping[str, Record], marks: Mapping[str, Mapping[str, book.Mark]]) -> Iterator[str]:
    counts = Counter(record.state for record in kept.values())
    words = ", ".join(f"{count} {state}" for state, count in counts.most_common())
    yield tag("p", words or "Nothing graded yet.", "total")
    if waiting := sum(book.waiting_of(of) > 0 for of in marks.values()):
        yield tag("p", f"{waiting} with answers that wait for a grader; their totals are so far.")


def _distribution(totals: Sequence[float], most: float) -> Iterator[str]:
    """A bar for each tenth of the points, drawn by hand; the same as numbers for whoever cannot see it."""
    if not totals or not most:
        return
    bins = Counter(min(BINS - 1, max(0, int(BINS * points / most))) for points in totals)
    counts = [bins[position] for position in range(BINS)]
    mean, median = statistics.fmean(totals), statistics.median(totals)
    yield tag("h2", "Marks")
    span = f"from {min(totals):g} to {max(totals):g} of {most:g} points"
    yield tag("p", f"{len(totals)} graded; mean {mean:.1f}, median {median:g}, {span}.")
    edges = [f"{most * position / BINS:g}" for position in range(BINS + 1)]
    numbers = "; ".join(f"{edges[i]} to {edges[i + 1]}: {count}" for i, count in enumerate(counts) if count)
    alt = html.escape(f"Students by points. {numbers}.")
    yield f'<svg viewBox="0 0 540 180" width="540" height="180" role="img" aria-label="{alt}">'
    for position, count in enumerate(counts):
        height, left = 120 * count / max(counts), 20 + 50 * position
        yield f'<rect x="{left + 3}" y="{145 - height:.1f}" width="44" height="{height:.1f}"/>'
        yield f'<text x="{left + 25}" y="{140 - height:.1f}" text-anchor="middle">{count or ""}</text>'
    yield "".join(f'<text x="{20 + 50 * n}" y="163" text-anchor="middle">{edge}</text>' for n, edge in enumerate(edges))
    yield '<line x1="20" y1="145.5" x2="520" y2="145.5"/></svg>'


def _cells(
    cells: Mapping[str, SourceCell], graded: Mapping[str, Record], marks: Mapping[str, Mapping[str, book.Mark]]
) -> Iterator[str]:
    yield tag("h2", "Cell by cell")
    yield f'{TABLE}<th>cell</th><th class="number">mean</th><th class="number">of</th>'
    yield '<th class="number">right</th><th>commonest messages, and how many they hit</th></tr></thead><tbody>'
    for name, cell in cells.items():
        points = [p for of in marks.values() if name in of and (p := of[name].points) is not None]
        results = [result for record in graded.values() for result in _results(record, name)]
        mean = f"{statistics.fmean(points):.1f}" if points else "–"
        share = sum(result.ok for result in results) / max(len(results), 1)
        right = f"{100 * share:.0f} %" if results and not cell.step.by_hand else "–"
        numbers = "".join(tag("td", value, "number") for value in (mean, f"{cell.step.points:g}", right))
        yield f"<tr>{tag('td', title(cell))}{numbers}<td>{''.join(_messages(results))}</td></tr>"
    yield END_OF_TABLE


def _results(record: Record, name: str) -> Iterator[CellResult]:
    for notebook, result in record.notebooks.items():
        yield from (cell for step, cell in zip(record.steps.get(notebook, ()), result.cells) if step == name)


def _messages(results: Iterable[CellResult]) -> Iterator[str]:
    """What failing checks said most often; that of a hidden check is the instructor's own."""
    counts = Counter(clean.output(cell.message).strip() or "(no message)" for cell in results if not cell.ok)
    for message, count in counts.most_common(MESSAGES):
        yield f"<p><strong>{count} ×</strong> {'<br>'.join(map(html.escape, _short(message)))}</p>"


def _short(message: str) -> list[str]:
    """A message whose call, expectation and result are each cut for themselves, so that none hides the next."""
    return [line if len(line) <= LONGEST_LINE else f"{line[:LONGEST_LINE]}…" for line in message.split("\n")[:LINES]]


def _time(graded: Mapping[str, Record]) -> Iterator[str]:
    used = {student: sum(result.cpu_s for result in record.notebooks.values()) for student, record in graded.items()}
    if used:
        slowest = sorted(used, key=lambda student: (-used[student], student))[:3]
        named = ", ".join(f"{student} ({used[student]:.1f} s)" for student in slowest)
        yield tag("h2", "Time")
        typical = statistics.median(used.values())
        times = f"{sum(used.values()):.1f} s of CPU in all, {typical:.2f} s for a typical submission"
        yield tag("p", f"{times}. Slowest: {named}.")


def _list(heading: str, lines: Iterable[tuple[str, str]]) -> Iterator[str]:
    """Students with a sentence each; nothing at all where there are none."""
    rows = [f"<tr>{tag('td', student)}{tag('td', sentence)}</tr>" for student, sentence in lines]
    if rows:
        yield tag("h2", heading)
        yield f"{TABLE}<th>student</th><th>why</th></tr></thead><tbody>{''.join(rows)}{END_OF_TABLE}"


def _flags(kept: Iterable[Record]) -> Iterator[str]:
    """What to look at, a row a kind: how many students, and which."""
    kinds: dict[str, dict[str, list[str]]] = {}
    for record in kept:
        for flag in dict.fromkeys(record.flags):
            kind, _, detail = WHERE.sub("", flag).rstrip(".").partition(": ")
            kinds.setdefault(kind[:1].upper() + kind[1:], {}).setdefault(detail, []).append(record.student)
    if not kinds:
        return
    yield tag("h2", "To look at")
    yield f'{TABLE}<th>what</th><th class="number">students</th><th>who</th></tr></thead><tbody>'
    counted = {kind: {student for students in of.values() for student in students} for kind, of in kinds.items()}
    for kind in sorted(kinds, key=lambda kind: -len(counted[kind])):
        names = {detail: ", ".join(dict.fromkeys(students)) for detail, students in kinds[kind].items()}
        who = "".join(tag("p", f"{detail}: {students}" if detail else students) for detail, students in names.items())
        yield f"<tr>{tag('td', kind)}{tag('td', len(counted[kind]), 'number')}<td>{who}</td></tr>"
    yield END_OF_TABLE


def _similar(api: NbGraderAPI, assignment: str, graded: Iterable[str], stub: Mapping[str, str]) -> Iterator[str]:
    answers = {student: _answers(api, assignment, student, stub) for student in graded}
    alike = groups(similar(answers, stub="\n".join(stub.values())))
    if not alike:
        if len(answers) > 1:
            yield tag("p", f"No submissions are alike beyond the stub. {SHARED}", "quiet")
        return
    count = sum(len(group.students) for group in alike)
    yield tag("h2", f"Alike beyond the stub ({count} students in {len(alike)} groups)")
    yield f'{TABLE}<th class="number">students</th><th>who</th><th>how much alike</th></tr></thead><tbody>'
    for group in alike[:GROUPS]:
        who = tag("td", ", ".join(group.students))
        yield f"<tr>{tag('td', len(group.students), 'number')}{who}{tag('td', _alike(group))}</tr>"
    yield END_OF_TABLE
    if len(alike) > GROUPS:
        yield tag("p", f"{len(alike) - GROUPS} smaller groups are not shown.")
    verdict = "A list to look at, not a verdict: short answers to one question are often alike."
    yield tag("p", f"{verdict} {SHARED}", "quiet")


def _alike(group: Group) -> str:
    least, most = round(100 * group.least), round(100 * group.most)
    share = f"{most} %" if least == most else f"{least} to {most} %"
    return f"{share} of the shorter of two is in the other"


def _answers(api: NbGraderAPI, assignment: str, student: str, stub: Mapping[str, str]) -> str:
    paths = sorted(book.folder(api, "autograded", assignment, student).glob("*.ipynb"))
    return "\n".join(source for path in paths for name, source in autograded.answers(path).items() if name in stub)
