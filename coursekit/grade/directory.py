"""A course directory as nbgrader sees it, and the release of an assignment."""

import logging
import os
import re
import shutil
import sys
from pathlib import Path
from typing import Any

from nbgrader.apps import NbGraderAPI
from traitlets.config import PyFileConfigLoader

from .source import lint, read_source


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
    if not Path(course_dir, "solutions", assignment).is_dir():
        raise ValueError(f"expected a folder {assignment!r} in solutions/, got none: write the assignment there first")
    if problems := lint(read_source(course_dir, assignment)):
        raise ValueError(f"expected an assignment that can be graded, got {len(problems)} problems: " + " ".join(problems))
    result = api.generate_assignment(assignment, force=True, create=True)
    if not result["success"]:
        raise ValueError(f"{assignment} could not be released: {_last_error(result)}")
    return Path(course_dir, "assignments", assignment)


def _last_error(result: dict[str, Any]) -> str:
    """The last line that names an exception; nbgrader's own 'there was an error' only if there is no other."""
    lines = (result.get("log", "") + "\n" + result.get("error", "")).splitlines()
    named = [line.strip() for line in lines if re.match(r"[\w.]*(Error|Exception|Invalid)\b.*: ", line)]
    named.sort(key=lambda line: "NbGraderException" not in line)
    return named[-1][:200] if named else "no reason given"
