"""Copied and deleted cells are put right; hidden tests stay out of feedback."""

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from coursegrade.preprocessors import HideTests

SOURCE = "assert visible\n### BEGIN HIDDEN TESTS\nassert secret\n### END HIDDEN TESTS"


def hide(source: str) -> nbformat.NotebookNode:
    error = new_output(
        "error", ename="AssertionError", evalue="the hint", traceback=["---> assert secret", "AssertionError: the hint"]
    )
    cell = new_code_cell(source, outputs=[new_output("stream", text="input 42"), error])
    notebook, _ = HideTests().preprocess(new_notebook(cells=[cell]), {})
    return notebook.cells[0]


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (SOURCE, "assert visible\n# (hidden tests ran here)"),
        (SOURCE + "\nassert last", "assert visible\n# (hidden tests ran here)\nassert last"),
        (SOURCE.removeprefix("assert visible\n"), "# (hidden tests ran here)"),
    ],
)
def test_hidden_region_becomes_a_line(source: str, shown: str) -> None:
    assert hide(source).source == shown


def test_of_the_output_the_sentence_stays() -> None:
    cell = hide(SOURCE)
    assert [output.traceback for output in cell.outputs] == [["AssertionError: the hint"]]
    assert "secret" not in str(cell.outputs) + cell.source
    assert "42" not in str(cell.outputs)


def test_a_cell_without_hidden_tests_is_left_alone() -> None:
    cell = hide("assert visible")
    assert cell.source == "assert visible"
    assert len(cell.outputs) == 2
