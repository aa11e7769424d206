"""Next year's hidden inputs: one number in the source, drawn anew, released, and tried."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import coursegrade
from coursegrade import pool
from coursegrade.cases import FOLDER
from coursegrade.source import read_source
from coursegrade.variants import varied


def _with_variant(released: Path, tmp_path: Path) -> Path:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    path = root / "solutions" / "a1" / "a1.ipynb"
    path.write_text(path.read_text().replace('"import math"', '"import math\\n",\n    "VARIANT = 0  # drawn from"'))
    drawn = "assert area(7.25, 4 + VARIANT) == 29 + 7.25 * VARIANT"
    path.write_text(path.read_text().replace("assert area(7.25, 4) == 29", drawn))
    return root


def test_a_variant_is_written_into_the_source_and_released(released: Path, tmp_path: Path) -> None:
    root = _with_variant(released, tmp_path)
    assert coursegrade.variant("a1", seed=12, course_dir=root) == root / "assignments" / "a1"
    for folder in ("solutions", "assignments"):
        assert "VARIANT = 12  # drawn from" in (root / folder / "a1" / "a1.ipynb").read_text()


def test_no_variant_without_its_line_and_nothing_is_changed(
    released: Path, tmp_path: Path, refuses: Callable[..., None]
) -> None:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    refuses(
        "expected one line `VARIANT = 0` in solutions/a1, got 0", coursegrade.variant, "a1", seed=1, course_dir=root
    )
    root = _with_variant(released, tmp_path / "other")
    refuses("expected a seed of 0 or more, got -1", coursegrade.variant, "a1", seed=-1, course_dir=root)
    path = root / "solutions" / "a1" / "a1.ipynb"
    broken = path.read_text().replace("assert area(0, 3) == 0", "area(0, 3) == 0")
    path.write_text(broken)
    refuses("expected an assignment that can be graded", coursegrade.variant, "a1", seed=1, course_dir=root)
    assert path.read_text() == broken


def test_the_selftest_tries_other_variants(released: Path, tmp_path: Path) -> None:
    root = _with_variant(released, tmp_path)
    source = varied(read_source(root, "a1"), 3)
    assert "VARIANT = 3" in source.notebooks["a1"][1].step.source
    first, second = coursegrade.selftest(["a1"], root, variants=2)
    assert (first.assignment, second.assignment) == ("a1, variant 0", "a1, variant 1")
    assert first.solution == second.solution == 70


CASES = """WRONG = [
    ("area", "area_rectangle", "AssertionError", [("the sum", "*", "+")]),
    ("area", "area_rectangle", "may be fractions", [("whole sides", "width *", "int(width) *")]),
    ("area", "area_zero", "AssertionError", [("at least 1", "return", "return 1 + 0 *")]),
    ("area", "area_zero", "AssertionError", [("remembers", "def area(w, h, s=[]): return s.append(w * h) or s[0]")]),
]"""


def test_what_a_visible_check_catches_is_tried_once(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _with_variant(released, tmp_path)
    (root / FOLDER / "a1").mkdir(parents=True)
    (root / FOLDER / "a1" / "wrong.py").write_text(CASES)
    tried, local = list[str](), pool.local
    monkeypatch.setattr(pool, "local", lambda jobs, **k: local((tried.append(j.student) or j for j in jobs), **k))
    for fitness in coursegrade.selftest(["a1"], root, variants=3):
        assert (fitness.caught, fitness.stub, fitness.missed) == (4, 0, ())
    once, later = [f"0 {k}" for k in range(6)], [f"{k} {j}" for k in range(2) for j in (0, 1, 3)]
    assert tried == [*once, "0 5", *later], "the one that remembers is seen in the whole notebook alone"


def test_the_selftest_sees_what_only_another_variant_breaks(released: Path, tmp_path: Path) -> None:
    root = _with_variant(released, tmp_path)
    path = root / "solutions" / "a1" / "a1.ipynb"
    path.write_text(path.read_text().replace("29 + 7.25 * VARIANT", "29"))
    assert [fitness.solution for fitness in coursegrade.selftest(["a1"], root, variants=2)] == [70, 10]
