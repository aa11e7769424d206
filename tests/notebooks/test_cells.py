"""Every notebook of the course, released or not: cell ids that nbval, nbgrader and git can rely on, and stored as
JupyterLab saves it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import run_kernel
from saved import KERNEL, LANGUAGE, NOTEBOOKS, ROOT, as_saved


def test_there_are_notebooks() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in NOTEBOOKS} == {"lectures", "solutions", "assignments"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_cells_have_valid_unique_ids_and_none_is_left_out(path: Path) -> None:
    notebook = nbformat.read(path, as_version=nbformat.NO_CONVERT)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) >= (4, 5), "older formats have no cell ids"
    ids = [cell.id for cell in notebook.cells]
    assert len(ids) == len(set(ids))
    assert not [
        cell.id
        for cell in notebook.cells
        if "NBVAL_SKIP" in cell.source or "nbval-skip" in cell.metadata.get("tags", [])
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: str(p.relative_to(ROOT)))
def test_to_open_and_save_it_changes_nothing(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text == as_saved(text), "run `python tests/notebooks/saved.py`"


def test_the_kernel_says_what_is_stored_and_no_version_of_python() -> None:
    with run_kernel(kernel_name="python3") as kernel:
        said = kernel.kernel_info(reply=True, timeout=60)["content"]["language_info"]
        spec = kernel.parent.kernel_spec
    assert said == LANGUAGE
    assert {"display_name": spec.display_name, "language": spec.language, "name": kernel.parent.kernel_name} == KERNEL


def test_whole_numbers_are_stored_as_javascript_writes_them() -> None:
    slider = {"min": 0.0, "step": 0.1, "marks": [-3.0, 1e300]}
    saved = as_saved(nbformat.writes(nbformat.v4.new_notebook(metadata={"slider": slider})))
    for stored in ('"min": 0,', '"step": 0.1', "-3,", "1e+300"):
        assert stored in saved


@pytest.mark.parametrize("seed", ["0", "1"])
def test_stored_prints_are_compared_for_the_seed_that_printed_them(tmp_path: Path, seed: str) -> None:
    shutil.copy(ROOT / "lectures" / "conftest.py", tmp_path)
    printed = nbformat.v4.new_output("stream", name="stdout", text="as it came with seed 0\n")
    cell = nbformat.v4.new_code_cell("# NBVAL_CHECK_OUTPUT\nprint('otherwise')", outputs=[printed], execution_count=1)
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / "lecture.ipynb")
    (tmp_path / "pytest.ini").touch()
    command = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", str(tmp_path)]
    run = subprocess.run(command, env={**os.environ, "COURSEKIT_SEED": seed}, capture_output=True, text=True)
    assert ("Cell outputs differ" in run.stdout) == (seed == "0"), run.stdout
    assert run.returncode == (seed == "0"), run.stdout
