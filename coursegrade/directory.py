"""A course directory as nbgrader sees it, and the release of an assignment."""

import logging
import os
import re
import shutil
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import MissingEntry
from nbgrader.apps import NbGraderAPI
from nbgrader.converters import GenerateAssignment
from nbgrader.utils import capture_log, is_grade, is_locked, is_solution, is_task, temp_attrs
from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError
from traitlets.config import Config, PyFileConfigLoader

from .book import gradebook
from .journal import keep_release
from .settings import FOLDERS, settings
from .source import lint, read_source

CONFIG = "nbgrader_config.py"
STEPS = ("source", "release", "submitted", "autograded", "feedback")  # nbgrader's folders


def course(course_dir: str | Path = ".") -> NbGraderAPI:
    """nbgrader's own API for one course directory, its configuration read from there.

    Puts the environment's programs on PATH where they are not: nbgrader calls ``alembic`` by its name.
    """
    root = Path(course_dir).resolve()
    if not is_course(root):
        what = f"expected a course directory, with solutions/ or {CONFIG} in it, got {root}"
        raise ValueError(f"{what}: change into yours and run this again")
    if shutil.which("alembic") is None:
        os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    config = settings()
    if (root / CONFIG).is_file():
        config.merge(PyFileConfigLoader(CONFIG, path=str(root)).load_config())
    for step, folder in FOLDERS.items():
        if (own := config.CourseDirectory[f"{step}_directory"]) != folder:
            what = f"expected {step}_directory = {folder!r} in {root / CONFIG}, got {own!r}"
            raise ValueError(f"{what}: leave that line out and rename the folder to {folder}/")
    config.CourseDirectory.root = str(root)
    log = logging.getLogger("coursegrade")
    log.propagate = False
    log.handlers = log.handlers or [logging.NullHandler()]
    return NbGraderAPI(config=config, log=log)


def is_course(folder: Path) -> bool:
    """Whether a folder is a course's top."""
    return (folder / CONFIG).is_file() or (folder / "solutions").is_dir()


def assignments(course_dir: str | Path = ".") -> list[str]:
    """All that lie in ``solutions/``."""
    return sorted(path.name for path in Path(course_dir, "solutions").iterdir() if any(path.glob("*.ipynb")))


def places(api: NbGraderAPI) -> tuple[str, ...]:
    """Where the course, what it keeps elsewhere, and its gradebook lie: all that a student's code must not read."""
    directory = api.coursedir
    steps = (directory.format_path(getattr(directory, f"{step}_directory"), ".", ".") for step in STEPS)
    database = make_url(directory.db_url)
    file = [Path(database.database).parent] if database.drivername.startswith("sqlite") and database.database else []
    everything = (directory.root, Path(directory.root, "marks"), *steps, *file)
    return tuple(sorted({str(Path(place).resolve()) for place in everything}))


def release(assignment: str, course_dir: str | Path = ".") -> Path:
    """Build ``assignments/ASSIGNMENT`` from ``solutions/ASSIGNMENT`` and enter its cells and points into the gradebook.

    It is built beside and put into its place at the end: a release that fails leaves ``assignments/`` and the
    gradebook as they were.
    """
    api = course(course_dir)
    if not Path(course_dir, "solutions", assignment).is_dir():
        raise ValueError(f"expected a folder {assignment!r} in solutions/, got none: write the assignment there first")
    if problems := lint(read_source(course_dir, assignment)):
        count = len(problems)
        raise ValueError(f"expected an assignment that can be graded, got {count} problems: {' '.join(problems)}")
    target = api.coursedir.format_path(api.coursedir.release_directory, ".", assignment)
    with tempfile.TemporaryDirectory(prefix=".release-", dir=api.coursedir.root) as beside:
        try:
            _generate(api, assignment, beside, database=False)
            _see_that_marks_stay(api, assignment, Path(beside, assignment))
            _generate(api, assignment, beside, database=True)
        except SQLAlchemyError as error:
            raise ValueError(_not_released(assignment, str(error).partition("\n")[0])) from error
        for folder in (Path(target), Path(beside, assignment)):
            keep_release(course_dir, assignment, folder)
        _swap(Path(beside, assignment), Path(target))
    return Path(course_dir, FOLDERS["release"], assignment)


def _generate(api: NbGraderAPI, assignment: str, into: str, *, database: bool) -> None:
    """nbgrader's own step; without the database it shows whether the notebooks are sound."""
    with temp_attrs(api.coursedir, assignment_id=assignment, release_directory=into):
        app = GenerateAssignment(coursedir=api.coursedir, parent=api, force=True, no_database=not database)
        app.update_config(Config(SaveCells={"enabled": database}))
        result = capture_log(app)
    if not result["success"]:
        raise ValueError(_not_released(assignment, _reason(result)))


def _not_released(assignment: str, reason: str) -> str:
    what = f"{assignment} was not released, and nothing was changed: {reason.rstrip('.')}"
    return f"{what}. Mend solutions/{assignment}, then release again."


def _see_that_marks_stay(api: NbGraderAPI, assignment: str, built: Path) -> None:
    """Refuse before anything is written what nbgrader would refuse half-way: other cells where there are marks."""
    with gradebook(api) as book:
        try:
            entry = book.find_assignment(assignment)
        except MissingEntry:
            return
        students = len(entry.submissions)
        known = {notebook.name: _known_roles(notebook) for notebook in entry.notebooks}
    new = {path.stem: _roles(nbformat.read(path, as_version=4).cells) for path in sorted(built.glob("*.ipynb"))}
    if not students or known == new:
        return
    changed = [name for name in known if name in new and known[name] != new[name]]
    differences = [_difference(known[name], new[name]) for name in changed]
    if set(known) != set(new):
        differences.append(f"the notebooks {', '.join(sorted(new))} instead of {', '.join(sorted(known))}")
    raise ValueError(
        f"expected the cells of {assignment} by which {students} submissions were graded, "
        f"got {', '.join(differences)}. "
        "Nothing was changed: give them their old grade_id and role back (their text and points may change), "
        "or release them as an assignment of another name"
    )


def _known_roles(notebook: Any) -> dict[str, set[str]]:
    kinds = {"grade": notebook.grade_cells, "solution": notebook.solution_cells}
    kinds |= {"task": notebook.task_cells, "": notebook.source_cells}
    roles: dict[str, set[str]] = {}
    for kind, cells in kinds.items():
        for cell in cells:
            roles.setdefault(cell.name, set()).add(kind)
    return roles


def _roles(cells: list[Any]) -> dict[str, set[str]]:
    """What nbgrader's gradebook keeps of cells, by grade_id."""
    tests = {"grade": is_grade, "solution": is_solution, "task": is_task, "": is_locked}
    marked = [cell for cell in cells if cell.metadata.get("nbgrader")]
    roles = {c.metadata.nbgrader.grade_id: {kind for kind, is_it in tests.items() if is_it(c)} for c in marked}
    return {name: {*kinds, ""} for name, kinds in roles.items() if kinds}


def _difference(known: dict[str, set[str]], new: dict[str, set[str]]) -> str:
    kinds = {
        "removed": [name for name in known if name not in new],
        "new": [name for name in new if name not in known],
        "of another role": [name for name in known if name in new and known[name] != new[name]],
    }
    return ", ".join(f"{kind}: {', '.join(map(repr, names))}" for kind, names in kinds.items() if names)


def _swap(new: Path, target: Path) -> None:
    """Put one folder into the place of another, which goes into the new one's place."""
    target.parent.mkdir(exist_ok=True)
    old = new.with_name("old")
    if target.exists():
        target.rename(old)
    try:
        new.rename(target)
    except OSError:
        if old.exists():
            old.rename(target)
        raise


def _reason(result: dict[str, Any]) -> str:
    """The last line that names an exception and says more than where to look for it."""
    lines = (result.get("log", "") + "\n" + result.get("error", "")).splitlines()
    named = [match[1] for line in lines if (match := re.match(r"\s*[\w.]*(?:Error|Exception|Invalid)\w*: (.+)", line))]
    telling = [reason for reason in named if "above" not in reason]
    return telling[-1][:300] if telling else "nbgrader gives no reason"
