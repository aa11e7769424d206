"""Every notebook of the course, released or not: cell ids that nbval, nbgrader and git can rely on, and the one kernel."""

from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path for folder in ("lectures", "solutions", "assignments") for path in (ROOT / folder).rglob("*.ipynb"))
NOTEBOOKS = [path for path in NOTEBOOKS if ".ipynb_checkpoints" not in path.parts]


def test_there_are_notebooks() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in NOTEBOOKS} == {"lectures", "solutions", "assignments"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_cells_have_valid_unique_ids_and_none_is_left_out(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), "older formats have no cell ids"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert notebook.metadata.kernelspec.name == "python3"
    assert not [cell.id for cell in notebook.cells if "NBVAL_SKIP" in cell.source or "nbval-skip" in cell.metadata.get("tags", [])]
