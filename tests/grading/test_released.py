"""assignments/ is what solutions/ builds, holds no solution and no hidden test, and its graded cells end in an assertion."""

import ast
import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "solutions").iterdir() if path.is_dir())


def notebooks(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*/*.ipynb"))


def marked(cell: nbformat.NotebookNode, kind: str) -> bool:
    return bool(cell.metadata.get("nbgrader", {}).get(kind))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything released afresh, twice over, in a directory of its own."""
    course = tmp_path_factory.mktemp("release")
    shutil.copytree(ROOT / "solutions", course / "solutions")
    shutil.copy(ROOT / "nbgrader_config.py", course)
    code = f"from coursekit.grade import release\nfor name in {NAMES * 2}: release(name)"
    subprocess.run([sys.executable, "-c", code], cwd=course, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return course / "assignments"


def test_there_is_something_to_release() -> None:
    assert "a1_roi" in NAMES


@pytest.mark.parametrize("name", NAMES)
def test_release_is_in_sync(built: Path, name: str) -> None:
    fresh, kept = built / name, ROOT / "assignments" / name
    files = sorted(path.name for path in fresh.iterdir())
    assert files == sorted(path.name for path in kept.iterdir() if path.name != ".ipynb_checkpoints")
    same, _, _ = filecmp.cmpfiles(fresh, kept, files, shallow=False)
    assert same == files, f"run `coursekit grade release {name}`"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_secret_is_released(name: str) -> None:
    for source in (ROOT / "solutions" / name).glob("*.ipynb"):
        released = (ROOT / "assignments" / name / source.name).read_text(encoding="utf-8")
        words = re.sub(r'\\n|\\"|[\s",]+', " ", released)
        for cell in nbformat.read(source, as_version=4).cells:
            for line in secret_lines(cell):
                assert re.sub(r'[\s",]+', " ", line).strip() not in words
        assert "BEGIN " not in released
        for cell in nbformat.reads(released, as_version=4).cells:
            assert not cell.get("outputs")
            assert not cell.get("attachments")
            assert set(cell.metadata) <= {"nbgrader", "deletable", "editable"}


def secret_lines(cell: nbformat.NotebookNode) -> list[str]:
    """Lines of a solution or hidden test that give something away, each long enough to be found by."""
    regions = re.findall(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", cell.source, flags=re.DOTALL)
    if cell.cell_type == "markdown" and marked(cell, "solution"):
        regions = [cell.source]
    common = "" if cell.cell_type == "markdown" else "".join(re.split(r"### BEGIN .*?### END \w+", cell.source, flags=re.DOTALL))
    lines = [line.strip() for region in regions for line in region.splitlines()]
    return [line for line in lines if len(line) > 12 and line not in common]


@pytest.mark.parametrize("name", NAMES)
def test_there_is_something_secret_to_look_for(name: str) -> None:
    cells = [cell for path in (ROOT / "solutions" / name).glob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells]
    assert sum(len(secret_lines(cell)) for cell in cells) > 30


@pytest.mark.parametrize("path", [*notebooks("solutions"), *notebooks("assignments")], ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_graded_cells_end_in_an_assertion(path: Path) -> None:
    graded = [cell for cell in nbformat.read(path, as_version=4).cells if marked(cell, "grade") and cell.cell_type == "code"]
    assert len(graded) >= 5
    for cell in graded:
        assert isinstance(ast.parse(cell.source).body[-1], ast.Assert), cell.metadata.nbgrader.grade_id


@pytest.mark.parametrize("path", notebooks("solutions"), ids=lambda path: path.stem)
def test_points_hidden_tests_and_the_written_question(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    graded = [cell for cell in cells if marked(cell, "grade")]
    assert sum(cell.metadata.nbgrader.points for cell in graded) == 100
    assert [cell.cell_type for cell in graded if marked(cell, "solution")] == ["markdown"]
    assert all("### BEGIN HIDDEN TESTS" in cell.source for cell in graded if cell.cell_type == "code")
    assert all(cell.get("execution_count") is None and not cell.get("outputs") for cell in cells)
