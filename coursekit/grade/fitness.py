"""Is an assignment fit to be graded? Its solution must score full and its stub nothing, in the sandbox they will be graded in."""

import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import nbformat

from .directory import release
from .journal import records
from .records import total
from .running import run
from .source import read_source

KEPT = ("nbgrader_config.py",)


def assignments(course_dir: str | Path = ".") -> list[str]:
    """All that lie in ``solutions/``."""
    return sorted(path.name for path in Path(course_dir, "solutions").iterdir() if any(path.glob("*.ipynb")))


def selftest(
    names: Iterable[str] = (), course_dir: str | Path = ".", *, unsafe: bool = False, report: Callable[[str], None] = print
) -> bool:
    """Release each assignment in a scratch course, hand in its solution and its stub, grade both, and say what they scored."""
    fit = True
    for name in list(names) or assignments(course_dir):
        with tempfile.TemporaryDirectory() as scratch:
            copy = Path(scratch)
            shutil.copytree(Path(course_dir, "solutions", name), copy / "solutions" / name)
            for file in KEPT:
                shutil.copy(Path(course_dir, file), copy)
            release(name, copy)
            _hand_in(copy, name)
            run(name, copy, jobs=1, unsafe=unsafe, report=lambda _: None)
            found = {student: total(record.points.values()) for student, record in records(copy, name).items()}
        full = sum(
            cell.step.points for cells in read_source(course_dir, name).notebooks.values() for cell in cells if cell.step.kind == "test"
        )
        good = found == {"solution": full, "stub": 0.0}
        fit &= good
        report(f"{name}: the solution scores {found['solution']:g} of {full:g}, the stub {found['stub']:g}: {'ok' if good else 'NOT FIT'}")
    return fit


def _hand_in(copy: Path, name: str) -> None:
    """As the instructor and as someone who did nothing."""
    for student, where in {"solution": "solutions", "stub": "assignments"}.items():
        target = copy / "submitted" / student / name
        target.mkdir(parents=True)
        for path in (copy / where / name).glob("*.ipynb"):
            notebook = nbformat.read(path, as_version=4)
            nbformat.write(notebook, target / path.name)
