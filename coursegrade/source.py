"""What the instructor wrote: the notebooks of ``solutions/ASSIGNMENT`` cell by cell, and what forbids a release."""

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeGuard

from coursegrade.journal import kept_releases
from coursegrade.notebook import Cell, Unreadable, parse, plain
from coursegrade.records import Kind, Step, parts


@dataclass(frozen=True)
class SourceCell:
    """A cell of the instructor's, and the step it becomes with the instructor's own text in it."""

    step: Step
    cell: Cell
    released: tuple[Cell, ...] = ()  # what students were given of it, in each release that had it
    newer: bool = False  # than one of the releases

    @property
    def is_answer(self) -> bool:
        """Whether the student fills it, in code or in words."""
        return self.cell.marks.get("solution") is True

    @property
    def visible(self) -> str:
        """Its text without hidden tests: of anything but an answer, what students were given."""
        return parts(self.cell.source)[0]

    @property
    def given(self) -> set[str]:
        """Its text as students were given it, in any release."""
        return {plain(cell.source) for cell in self.released} | ({plain(self.visible)} if not self.is_answer else set())

    @property
    def hidden(self) -> str:
        """The hidden tests; empty without any."""
        return parts(self.cell.source)[1]


@dataclass(frozen=True)
class Source:
    """An assignment as its instructor wrote it."""

    assignment: str
    notebooks: dict[str, tuple[SourceCell, ...]]  # by name, without .ipynb
    closed: tuple[str, ...]  # what ``CLOSED = (...)`` in a locked cell lists
    sha: str  # SHA-256 of the notebook files
    # by notebook, what was released once and is no longer in it, and its texts without a grade_id
    gone: dict[str, tuple[Cell, ...]] = field(default_factory=dict)
    files: tuple[str, ...] = ()  # what students are given beside the notebooks


def read_source(course_dir: str | Path, assignment: str) -> Source:
    """Read ``solutions/ASSIGNMENT``; nothing is run."""
    folder = Path(course_dir, "solutions", assignment)
    paths = sorted(folder.glob("[!.]*.ipynb"))
    if not paths:
        raise ValueError(f"expected notebooks in solutions/{assignment}, got none: write the assignment there first")
    digest, notebooks, gone = hashlib.sha256(), {}, {}
    for path in paths:
        data = path.read_bytes()
        digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
        cells = tuple(SourceCell(_step(cell), cell) for cell in _parse(path, data))
        kept = [_parse(file, file.read_bytes()) for file in kept_releases(course_dir, assignment, path.stem)]
        releases = [{cell.grade_id: cell for cell in release if cell.grade_id} for release in kept]
        notebooks[path.stem] = tuple(_with_releases(cell, releases) for cell in cells)
        names = {cell.step.grade_id for cell in cells}
        texts = [cell for release in kept for cell in release if not cell.grade_id and cell.cell_type != "code"]
        removed = [cell for release in releases for name, cell in release.items() if name not in names]
        gone[path.stem] = (*removed, *texts)
    beside = [path for path in sorted(folder.rglob("*")) if path.is_file() and path not in paths]
    files = tuple(str(path.relative_to(folder)) for path in beside)
    given = [c.cell.source for cells in notebooks.values() for c in cells if c.step.kind == "given"]
    closed = tuple(name for text in given for name in _closed(text))
    return Source(assignment, notebooks, closed, digest.hexdigest(), gone, files)


def _parse(path: Path, data: bytes) -> list[Cell]:
    try:
        return parse(path.name, data)[0]
    except Unreadable as error:
        reason = str(error).replace("save it and hand it in again", "and save it again")
        where = f"{path.parent.parent.name}/{path.parent.name}"
        raise ValueError(f"expected a notebook in {where}, got one that cannot be read: {reason}") from None


def _with_releases(cell: SourceCell, releases: list[dict[str, Cell]]) -> SourceCell:
    """A cell with what students were given of it."""
    name = cell.step.grade_id
    released = tuple(release[name] for release in releases if name in release)
    return replace(cell, released=released, newer=len(released) < len(releases)) if name else cell


def lint(source: Source) -> list[str]:
    """What is wrong with an assignment, a sentence each; empty if it can be released."""
    cells = [cell for notebook in source.notebooks.values() for cell in notebook]
    problems = [sentence for cell in cells for sentence in _lint_cell(cell)]
    counts = Counter(cell.step.grade_id for cell in cells if cell.step.grade_id)
    twice = {name: n for name, n in counts.items() if n > 1}
    problems += [f"The grade id {name!r} is there {n} times: give each cell its own." for name, n in twice.items()]
    if not sum(cell.step.points for cell in cells) > 0:
        problems.append(f"No cell of {source.assignment} has points.")
    return problems


def _step(cell: Cell) -> Step:
    """A cell's step: a written answer is ``text``, code unknown to nbgrader the student's ``own`` to change."""
    marks, code = cell.marks, cell.cell_type == "code"
    grade, solution, task = (marks.get(key) is True for key in ("grade", "solution", "task"))
    role: Kind = "answer" if solution else "test" if grade else "given" if cell.grade_id else "own"
    kind: Kind = role if code else "text"
    points = float(marks.get("points") or 0) if grade or task else 0.0
    defines = tuple(_defines(cell.source)) if solution and code else ()
    return Step(kind, cell.source, cell.grade_id, defines, points, by_hand=task or (grade and solution))


def _tree(source: str) -> list[ast.stmt]:
    try:
        return ast.parse(source).body
    except SyntaxError:
        return []


def _targets(statement: ast.stmt) -> list[ast.expr]:
    match statement:
        case ast.Assign(targets=targets):
            return targets
        case ast.AnnAssign(target=target, value=ast.expr()):
            return [target]
    return []


def _defines(source: str) -> Iterator[str]:
    """The names that a solution defines at its top level, imports left out."""
    for statement in _tree(source):
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield statement.name
        names = (node for target in _targets(statement) for node in ast.walk(target))
        yield from (node.id for node in names if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _closed(source: str) -> tuple[str, ...]:
    """The strings of a top-level ``CLOSED = (...)``."""
    for statement in _tree(source):
        if [getattr(target, "id", "") for target in _targets(statement)] == ["CLOSED"]:
            try:
                names: Any = ast.literal_eval(statement.value)  # type: ignore[attr-defined]
            except ValueError:
                names = None
            if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
                raise ValueError(
                    f"expected CLOSED to be a tuple of plain strings, got line {statement.lineno}: write the names out"
                )
            return tuple(names)
    return ()


def _lint_cell(cell: SourceCell) -> Iterator[str]:
    step, name, code = cell.step, f"cell {cell.step.grade_id!r}", cell.cell.cell_type == "code"
    if step.kind == "own":
        what = f"The code cell {cell.cell.id!r} has no grade id, so each student's own version of it runs"
        yield f"{what}: lock it if it is to stay."
    elif code and not _is_python(step.source):
        yield f"The {name} is not plain Python: mend it, and write magics as calls."
    elif step.kind == "test":
        yield from _lint_test(cell, name)


def _lint_test(cell: SourceCell, name: str) -> Iterator[str]:
    for part, text in (("visible part", cell.visible), ("whole", cell.cell.source)):
        if not any(isinstance(last, ast.Assert) for last in _tree(text)[-1:]):
            what = f"The {part} of the test {name} does not end in an assertion"
            yield f"{what}, so that its last line would score whatever it gives."
    if not cell.step.points > 0:
        yield f"The test {name} has no points: give it some, or lock it as plain code."
    for node in (node for statement in _tree(cell.hidden) for node in ast.walk(statement)):
        where = f"in the hidden part of {name} (line {getattr(node, 'lineno', 0)} of it)"
        if _is_check(node) and not _is_hidden(node):
            yield f"A check {where} shows its input: call it with hidden=True."
        elif _is_check(node) and not _has_words(node, cell.cell.source):
            yield f"A check {where} has no words for the student: give it a text as hint."
        elif isinstance(node, ast.Assert) and not _constant(node):
            yield f"An assertion {where} needs a constant message or check(hidden=True)."


def _is_python(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _is_check(node: ast.AST) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "check"


def _is_hidden(call: ast.Call) -> bool:
    return any(k.arg == "hidden" and getattr(k.value, "value", None) is True for k in call.keywords)


def _has_words(call: ast.Call, source: str) -> bool:
    """Whether the hint of a hidden check is a text that stands in its cell: no other is told."""
    hint = next((k.value for k in call.keywords if k.arg == "hint"), None)
    if isinstance(hint, ast.Name) and hint.id.endswith("hint"):
        assigned = [s for s in _tree(source) if hint.id in {getattr(target, "id", "") for target in _targets(s)}]
        return bool(assigned) and all(isinstance(getattr(s, "value", None), ast.Constant) for s in assigned)
    return isinstance(hint, ast.Constant)


def _constant(assertion: ast.Assert) -> bool:
    """Whether an assertion can say nothing but the instructor's words: those of its message, or of the check in it."""
    if assertion.msg is None:
        return any(map(_is_check, ast.walk(assertion.test)))
    return isinstance(assertion.msg, ast.Constant)
