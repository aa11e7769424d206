"""Wherever the course, its environment and its gradebook lie, a box shows nothing of the course but what a worker
needs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coursegrade.worker import sandbox
from coursegrade.worker.layout import LIBRARY, TOP

TOKEN = "CANARY-5077"
KINDS = ("bubblewrap", "landlock")
# In the environment of a layout: whether a box works, and then what of some paths a process in it reads.
LOOK = """
import json, os, subprocess, sys, tempfile
from pathlib import Path
from coursegrade.worker import sandbox
kind, private, paths, closed = json.loads(sys.argv[1])
problem = sandbox.works(kind, private)
code = "import json, sys, os; from pathlib import Path; from coursegrade.worker import sandbox\\n"
if kind == "landlock":
    places = f"scratch=Path({os.getcwd()!r}), private={private!r}, closed={closed!r}"
    code += f"sandbox.enter('landlock', memory_mb=256, {places})\\n"
code += f"for p in {paths!r}:\\n    print('SHOWN', p) if sandbox.shown(p) else None\\nprint('FROM', sandbox.__file__)"
command = [sys.executable, "-c", code]
if kind == "bubblewrap" and not problem:
    command = sandbox.bubblewrap(command, private=private, closed=closed)
ended = None if problem else subprocess.run(command, env=sandbox.environment(), capture_output=True, text=True)
print(json.dumps([problem, ended and ended.stdout, ended and ended.stderr]))
"""


def course(root: Path) -> list[str]:
    """A course's files at a place; what of it nobody may read."""
    names = (
        "solutions/a0/a0.ipynb",
        "gradebook.db",
        "submitted/other/a0/a0.ipynb",
        "marks/a0/other.json",
        "assignments/a0/a0.ipynb",
        ".env",
    )
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(TOKEN)
    return [str(root / name) for name in names] + [str(root / "solutions"), str(root / "submitted")]


def copy_packages(to: Path) -> None:
    for package in LIBRARY:
        shutil.copytree(package, to / package.name, ignore=shutil.ignore_patterns("__pycache__", "records"))


def environment(at: Path, *, library: Path | None = None) -> tuple[Path, Path]:
    """An environment made at a place, both packages in it or in ``library``; its Python, and its site-packages."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--symlinks", str(at)], check=True)
    (packages,) = at.glob("lib/python*/site-packages")
    copy_packages(library or packages)
    if library:
        (packages / "library.pth").write_text(f"{library}\n")
    return at / "bin" / "python", packages


def look(
    python: Path,
    kind: str,
    private: list[Path],
    paths: list[str],
    cwd: Path,
    *,
    closed: tuple[str, ...] = (),
    **variables: str,
) -> tuple[str, list[str], str]:
    """Why the box does not work, what it shows of these paths, and which library it imports."""
    import json

    scratch = cwd / "scratch"
    scratch.mkdir(exist_ok=True)
    words = json.dumps([kind, [str(p) for p in private], paths, closed])
    ended = subprocess.run(
        [str(python), "-c", LOOK, words],
        capture_output=True,
        text=True,
        cwd=scratch,
        env={**os.environ, "PYTHONSAFEPATH": "1", **variables},
    )
    assert ended.returncode == 0, ended.stderr
    problem, out, wrong = json.loads(ended.stdout.splitlines()[-1])
    assert problem or "FROM" in out, wrong
    lines = (out or "").splitlines()
    return (
        problem,
        [line for line in lines if line.startswith("SHOWN")],
        lines[-1].removeprefix("FROM ") if lines else "",
    )


Layout = Callable[[Path], tuple[Path, Path]]


def venv_is_course(tmp: Path) -> tuple[Path, Path]:
    return environment(tmp / "course")[0], tmp / "course"


def venv_in_course(tmp: Path) -> tuple[Path, Path]:
    return environment(tmp / "course" / ".venv")[0], tmp / "course"


def venv_above_course(tmp: Path) -> tuple[Path, Path]:
    return environment(tmp / "env")[0], tmp / "env" / "course"


def course_in_packages(tmp: Path) -> tuple[Path, Path]:
    python, packages = environment(tmp / "env")
    return python, packages / "course"


def course_in_the_library(tmp: Path) -> tuple[Path, Path]:
    python, packages = environment(tmp / "env")
    return python, packages / "coursekit" / "data" / "course"


def course_in_the_grader(tmp: Path) -> tuple[Path, Path]:
    python, packages = environment(tmp / "env")
    return python, packages / "coursegrade" / "worker" / "course"


def editable(tmp: Path) -> tuple[Path, Path]:
    return environment(tmp / "course" / ".venv", library=tmp / "course")[0], tmp / "course"


def by_a_link(tmp: Path) -> tuple[Path, Path]:
    (tmp / "real").mkdir()
    (tmp / "link").symlink_to(tmp / "real")
    return environment(tmp / "link" / ".venv")[0], tmp / "link"


def in_packages_by_a_link(tmp: Path) -> tuple[Path, Path]:
    (tmp / "real").mkdir()
    (tmp / "link").symlink_to(tmp / "real")
    python, packages = environment(tmp / "link" / "env")
    return python, packages / "course"


LAYOUTS: list[Layout] = [
    *(
        venv_is_course,
        venv_in_course,
        venv_above_course,
        course_in_packages,
        course_in_the_library,
        course_in_the_grader,
        editable,
        by_a_link,
    ),
    in_packages_by_a_link,
]


@pytest.fixture(params=["tmp", "elsewhere"])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Below /tmp, where each student has another /tmp, or not."""
    if request.param == "tmp":
        yield tmp_path
        return
    place = Path(TOP, ".pytest_cache", tmp_path.name)
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_of_the_course_is_shown(ground: Path, layout: Layout, kind: str) -> None:
    if reason := sandbox.works(kind):
        pytest.skip(reason)
    python, root = layout(ground)
    paths = course(root)
    paths += [str(Path(path).resolve()) for path in paths]
    problem, shown, library = look(python, kind, [root], paths, ground)
    assert (problem, shown) == ("", [])
    assert Path(library).is_relative_to(ground) or "link" in str(python)


@pytest.mark.parametrize("kind", KINDS)
def test_a_gradebook_that_lies_elsewhere_is_not_shown(tmp_path: Path, kind: str) -> None:
    python, packages = environment(tmp_path / "env")
    (packages / "grades").mkdir()
    (packages / "grades" / "gradebook.db").write_text(TOKEN)
    problem, shown, _ = look(python, kind, [packages / "grades"], [str(packages / "grades" / "gradebook.db")], tmp_path)
    assert (problem, shown) == ("", [])


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_with_something_closed_is_listed_and_one_with_something_private_is_not(
    tmp_path: Path, layout: Layout, kind: str
) -> None:
    """Python lists a folder before it imports from it; under Landlock whoever may list one may list all below it."""
    python, root = layout(tmp_path)
    paths = course(root)
    (library,) = {path.parent for path in tmp_path.glob("**/coursekit/ops") if path.is_dir()}
    paths += [str(library / "ops" / name) for name in ("", "boxes.py", "roi.py")]
    _, shown, _ = look(python, kind, [root], paths, tmp_path, closed=("coursekit.ops.roi",))
    assert shown == [f"SHOWN {path}" for path in paths[-3:-1]]


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_kept_apart_is_refused(tmp_path: Path, kind: str) -> None:
    python, packages = environment(tmp_path / "env")
    problem, _, _ = look(python, kind, [packages], course(packages), tmp_path)
    assert problem.startswith("expected the course and its gradebook beside what Python needs, got "), problem


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_box_shows_all_the_same_is_found(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Should the closing itself break, the look from inside refuses."""
    monkeypatch.setattr(sandbox, "probes", lambda _: ["/usr/bin/env"])
    assert "students' code could read /usr/bin/env" in sandbox.works(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_the_box_imports_the_library_that_grades(tmp_path: Path, kind: str) -> None:
    """Not another that is installed in its environment."""
    python, _ = environment(tmp_path / "env")
    copy_packages(tmp_path / "mine")
    _, _, library = look(python, kind, [], [], tmp_path, PYTHONPATH=str(tmp_path / "mine"))
    assert Path(library).is_relative_to(tmp_path / "mine")
