"""What of a test cell students may see: one rule for release, reading and checking; and what the package loads."""

import subprocess
import sys
from pathlib import Path

import pytest

import coursegrade
from coursegrade.records import parts


@pytest.mark.parametrize(
    ("source", "visible", "hidden"),
    [
        (
            "assert a\n### BEGIN HIDDEN TESTS\nassert b\n### END HIDDEN TESTS\nassert c",
            "assert a\nassert c",
            "assert b\n",
        ),
        ("assert a\n#BEGIN HIDDEN TESTS\nassert b\n#END HIDDEN TESTS", "assert a\n", "assert b\n"),
        ("assert a\n  ## BEGIN HIDDEN TESTS, the second\nassert b", "assert a\n", "assert b"),
        ("assert a", "assert a", ""),
    ],
    ids=["nbgrader's own", "without a blank", "never ended", "none"],
)
def test_a_hidden_test_is_never_in_the_visible_part(source: str, visible: str, hidden: str) -> None:
    assert parts(source) == (visible, hidden)


EVERYTHING = """
import importlib, pkgutil, sys
import {package}
for module in pkgutil.iter_modules({package}.__path__):
    if module.name != "__main__":
        importlib.import_module(f"{package}.{{module.name}}")
print(*sorted({{name.partition(".")[0] for name in sys.modules}} & {unwanted}))
"""


def loaded(code: str) -> str:
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_no_part_of_the_grader_loads_the_library_or_torch() -> None:
    """But a worker, which is a process of its own."""
    unwanted = {"coursekit", "torch", "numpy"} if sys.platform == "linux" else {"coursekit", "torch"}
    assert loaded(EVERYTHING.format(package="coursegrade", unwanted=unwanted)) == ""


def test_the_library_loads_nothing_of_the_grader() -> None:
    assert loaded(EVERYTHING.format(package="coursekit", unwanted={"coursegrade", "nbgrader"})) == ""


def test_the_package_says_what_its_readme_says() -> None:
    about = Path(coursegrade.__path__[0], "README.md").read_text(encoding="utf-8").split("\n\n")[1]
    assert (coursegrade.__doc__ or "").replace("``", "`").startswith(about)
