"""Style, types, and the tests of what a change touches, in a few minutes. ``python3 course.py check`` runs this file.

A change is what differs from ``main`` and what git does not know yet. Arguments go on to pytest.
"""

import fnmatch
import re
import subprocess
import sys
from pathlib import Path

from everything import ROOT, STAGES, run_all

ALWAYS = ["tests/test_architecture.py"]
BY_PATTERN = {  # what is no module of coursekit -> its tests
    "course.py": ["tests/test_course.py"],
    "Makefile": ["tests/test_course.py"],
    "pyproject.toml": ["tests/test_environment.py", "tests/test_package.py"],
    "environment.yml": ["tests/test_environment.py"],
    "deploy/student/*": ["tests/test_student.py"],
    "deploy/*": ["tests/test_deploy.py"],
    "docs/gpu.md": ["tests/test_train.py"],
    ".github/*": ["tests/test_workflows.py"],
    ".ci/*": ["tests/test_workflows.py"],
    "docs/site/*": ["tests/test_pages.py"],
    "tests/everything.py": ["tests/test_workflows.py", "tests/test_pages.py"],
    "tests/check.py": ["tests/test_changes.py"],
    "tests/conftest.py": ["tests/test_skips.py"],
    "tests/tensors.py": ["tests/test_testing.py"],
    "lectures/*.ipynb": ["tests/notebooks"],
    "lectures/records/*": ["tests/claims/test_records.py"],
    "solutions/*": [
        "tests/notebooks/test_cells.py",
        "tests/grading/test_released.py",
        "tests/grading/test_{folder}.py",
    ],
    "assignments/*": ["tests/notebooks/test_cells.py", "tests/grading/test_released.py"],
}


def git(*arguments: str) -> list[str]:
    """The lines git prints, or none where it has nothing to say."""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.split("\n")[:-1]


def changed() -> list[str]:
    """Files that differ from where this branch left main, those not committed included."""
    base = git("merge-base", "HEAD", "origin/main") or git("merge-base", "HEAD", "main") or ["HEAD"]
    return sorted({*git("diff", "--name-only", base[0]), *git("ls-files", "--others", "--exclude-standard")})


def tests_of(path: str) -> list[str]:
    """The test files for a file of the repository."""
    where = Path(path)
    if fnmatch.fnmatch(path, "tests/*test_*.py"):
        return [path]
    if where.parts[0] in ("coursekit", "coursegrade"):
        return tests_of_module(where)
    patterns = [tests for pattern, tests in BY_PATTERN.items() if fnmatch.fnmatch(path, pattern)]
    return [test.format(folder=where.parent.name) for tests in patterns for test in tests]


def tests_of_module(path: Path) -> list[str]:
    """In the folder of tests that mirrors the module's: those of its name, else those that import it, else its
    package's, else all.
    """
    mirror = Path("tests", *path.parts[path.parts[0] == "coursekit" : -1])
    while not (ROOT / mirror).is_dir():
        mirror = mirror.parent
    name, packages = path.stem.strip("_"), path.parts[len(mirror.parts) : -1]
    tests = sorted((ROOT / mirror).glob("test_*.py"))
    importing = re.compile(rf"(import|import .*,) {name}\b|\.{name} import")
    choices = [
        [test for test in tests if test.stem in (f"test_{name}", "_".join(["test", *packages, name]))],
        [test for test in tests if name in test.stem and not packages],
        [test for test in tests if importing.search(test.read_text(encoding="utf-8"))],
        [test for test in tests if packages and test.stem.startswith(f"test_{packages[0]}")],
    ]
    return [test.relative_to(ROOT).as_posix() for test in next(filter(None, choices), tests)]


def stages(paths: list[str]) -> dict[str, list[str]]:
    """What ``everything`` runs of style and types, and these files' tests but the slow ones."""
    tests = sorted({test for path in paths for test in tests_of(path) if (ROOT / test).exists()} | set(ALWAYS))
    kept = {stage: STAGES[stage] for stage in ("lint", "format", "types")}
    return kept | {"tests": ["pytest", *tests, "-m", "not browser and not slow"]}


if __name__ == "__main__":
    sys.exit(run_all(stages(changed()), sys.argv[1:]))
