"""``course.py check`` runs the tests of what a change touches."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "tests"))
    spec = importlib.util.spec_from_file_location("check_changes", ROOT / "tests" / "check.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules.pop("everything")
    return module


@pytest.mark.parametrize(
    ("path", "tests"),
    [
        ("coursekit/ops/nms.py", ["tests/ops/test_nms.py"]),
        ("coursekit/_check.py", ["tests/test_check.py"]),
        ("coursekit/models/rcnn.py", ["tests/models/test_rcnn.py"]),
        ("coursekit/data/ct/lidc.py", ["tests/data/test_ct_lidc.py"]),
        ("coursekit/data/echo.py", ["tests/data/test_echo.py"]),
        ("coursekit/data/readers/nifti.py", ["tests/data/readers/test_nifti.py"]),
        ("coursegrade/collecting.py", ["tests/coursegrade/test_collect.py", "tests/coursegrade/test_export.py"]),
        ("tests/ops/test_nms.py", ["tests/ops/test_nms.py"]),
        ("course.py", ["tests/test_course.py"]),
        ("README.md", []),
        ("lectures/00_start_here.ipynb", ["tests/notebooks"]),
        (
            "solutions/a1_roi/a1_roi.ipynb",
            ["tests/notebooks/test_cells.py", "tests/grading/test_released.py", "tests/grading/test_a1_roi.py"],
        ),
    ],
)
def test_a_file_has_these_tests(check: ModuleType, path: str, tests: list[str]) -> None:
    assert check.tests_of(path) == tests


def test_every_module_has_tests_that_exist(check: ModuleType) -> None:
    for path in sorted((ROOT / "coursekit").rglob("*.py")):
        tests = check.tests_of(path.relative_to(ROOT).as_posix())
        assert tests
        assert all((ROOT / test).exists() for test in tests)


def test_style_types_and_architecture_are_always_looked_at(check: ModuleType) -> None:
    stages = check.stages(["README.md", "tests/ops/test_gone.py"])
    assert list(stages) == ["lint", "format", "types", "tests"]
    assert stages["tests"] == ["pytest", "tests/test_architecture.py", "-m", "not browser and not slow"]
