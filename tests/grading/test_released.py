"""assignments/ is what solutions/ builds, holds no solution and no hidden test, and its graded cells end in an
assertion.
"""

import ast
import builtins
import filecmp
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from coursegrade.source import read_source

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
    code = f"from coursegrade import release\nfor name in {NAMES * 2}: release(name)"
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
    common = (
        ""
        if cell.cell_type == "markdown"
        else "".join(re.split(r"### BEGIN .*?### END \w+", cell.source, flags=re.DOTALL))
    )
    lines = [line.strip() for region in regions for line in region.splitlines()]
    return [line for line in lines if len(line) > 12 and line not in common]


@pytest.mark.parametrize("name", NAMES)
def test_there_is_something_secret_to_look_for(name: str) -> None:
    cells = [
        cell for path in (ROOT / "solutions" / name).glob("*.ipynb") for cell in nbformat.read(path, as_version=4).cells
    ]
    assert sum(len(secret_lines(cell)) for cell in cells) > 30


@pytest.mark.parametrize(
    "path", [*notebooks("solutions"), *notebooks("assignments")], ids=lambda path: f"{path.parts[-3]}/{path.name}"
)
def test_graded_cells_end_in_an_assertion(path: Path) -> None:
    graded = [
        cell for cell in nbformat.read(path, as_version=4).cells if marked(cell, "grade") and cell.cell_type == "code"
    ]
    assert len(graded) >= 5
    for cell in graded:
        assert isinstance(ast.parse(cell.source).body[-1], ast.Assert), cell.metadata.nbgrader.grade_id


def hints(source: str) -> dict[int, str]:
    """The hint of each check of a test cell, by its line: the constant itself, or the last one a name got before."""
    told, hinted = {}, {}
    for node in sorted((n for n in ast.walk(ast.parse(source)) if hasattr(n, "lineno")), key=lambda n: n.lineno):
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(text))):
                told[name] = text
            case ast.Call(func=ast.Name(id="check"), keywords=keywords):
                (hint,) = [k.value for k in keywords if k.arg == "hint"]
                hinted[node.lineno] = hint.value if isinstance(hint, ast.Constant) else told.get(hint.id, "")
    return hinted


def used_but_not_defined(source: str, defined: set[str]) -> set[str]:
    """The names that a piece of code reads and that neither it nor what runs before it defines."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)} | {
        node.arg for node in nodes if isinstance(node, ast.arg)
    }
    stored |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    stored |= {
        a.asname or a.name.partition(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for a in node.names
    }
    return {node.id for node in names if isinstance(node.ctx, ast.Load)} - stored - defined - {*dir(builtins)}


@pytest.mark.parametrize("name", NAMES)
def test_each_hidden_check_says_its_own_words(name: str) -> None:
    """They stand in the hidden part, as that is all that is told, and give no number that a student was not shown."""
    read = read_source(ROOT, name)
    cells = [cell for notebook in read.notebooks.values() for cell in notebook]
    shown = "".join(cell.visible for cell in cells)
    told = [hint for cell in cells if cell.step.kind == "test" for hint in hints(cell.hidden).values()]
    assert all(len(hint) > 20 for hint in told)
    assert len(set(told)) == len(told)
    assert not {*told} & {hint for cell in cells if cell.step.kind == "test" for hint in hints(cell.visible).values()}
    numbers = re.compile(r"[-−]?\d+(?:\.\d+)?")
    for hint in told:
        assert {*numbers.findall(hint)} <= {*numbers.findall(shown)}


@pytest.mark.parametrize("name", NAMES)
def test_hidden_parts_stand_on_their_own(name: str) -> None:
    """They run in a pass of their own, in which no visible check has run."""
    for cells in read_source(ROOT, name).notebooks.values():
        defined: set[str] = set()
        for cell in cells:
            if cell.step.kind == "test":
                assert not used_but_not_defined(cell.hidden, defined), cell.step.grade_id
            elif cell.cell.cell_type == "code":
                names = [
                    node
                    for node in ast.walk(ast.parse(cell.cell.source))
                    if isinstance(node, ast.Name | ast.FunctionDef | ast.alias)
                ]
                defined |= {
                    getattr(node, "id", "") or getattr(node, "asname", "") or getattr(node, "name", "")
                    for node in names
                }


@pytest.mark.parametrize("path", notebooks("solutions"), ids=lambda path: path.stem)
def test_points_hidden_tests_and_the_written_question(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    graded = [cell for cell in cells if marked(cell, "grade")]
    assert sum(cell.metadata.nbgrader.points for cell in graded) == 100
    assert [cell.cell_type for cell in graded if marked(cell, "solution")] == ["markdown"]
    assert all("### BEGIN HIDDEN TESTS" in cell.source for cell in graded if cell.cell_type == "code")
    assert all(cell.get("execution_count") is None and not cell.get("outputs") for cell in cells)
