"""What every lecture notebook promises its reader, read off the stored file. (That it runs is nbval's business.)"""

import ast
import re
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from plotting import code_lines, plotting_lines

LECTURES = sorted((Path(__file__).parents[2] / "lectures").glob("*.ipynb"))
MOST_LINES = 15  # of a cell
MOST_PLOTTING = 0.25  # of the lines of code that a reader sees
NO_NETWORK = {"00_start_here", "04_mask_iou_and_ap", "11_optical_flow", "17_summary"}  # nothing is trained there

pytestmark = pytest.mark.parametrize("path", LECTURES, ids=lambda p: p.stem)


def cells(path: Path, kind: str) -> list[NotebookNode]:
    return [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == kind]


def outputs(path: Path) -> list[NotebookNode]:
    return [o for c in cells(path, "code") for o in c.outputs]


def test_is_valid_with_unique_cell_ids(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    ids = [c.id for c in notebook.cells]
    assert len(ids) == len(set(ids))


def test_was_run_from_top_to_bottom_without_a_complaint(path: Path) -> None:
    code = cells(path, "code")
    assert [c.execution_count for c in code] == list(range(1, len(code) + 1))
    assert not [o for o in outputs(path) if o.output_type == "error" or o.get("name") == "stderr"]


def test_says_what_it_asks_and_answers(path: Path) -> None:
    first, *_, last = (c.source for c in cells(path, "markdown"))
    assert re.search(r"^\*\*.+\?\*\*", first, re.M), "the question stands in bold in the first cell"
    for heading in ("You will be able to", "You need", "Time", "Paper"):
        assert f"**{heading}" in first
    assert "## The answer" in last


def test_has_questions_with_folded_answers(path: Path) -> None:
    text = "\n".join(c.source for c in cells(path, "markdown"))
    assert text.count("<details>") == text.count("</details>") >= 2


def test_keeps_at_least_five_promises(path: Path) -> None:
    promises = [c for c in cells(path, "code") if "# NBVAL_CHECK_OUTPUT" in c.source]
    assert len(promises) >= 5
    assert all(c.outputs for c in promises)


def test_every_figure_has_alt_text(path: Path) -> None:
    figures = [o for o in outputs(path) if "image/png" in o.get("data", {})]
    assert figures
    assert all(len(o.metadata.get("image/png", {}).get("alt", "")) > 40 for o in figures)


def test_has_something_to_touch(path: Path) -> None:
    assert any("application/vnd.jupyter.widget-view+json" in o.get("data", {}) for o in outputs(path))


def visible(path: Path) -> list[NotebookNode]:
    return [c for c in cells(path, "code") if not is_folded(c)]


def is_folded(cell: NotebookNode) -> bool:
    return bool(cell.metadata.get("jupyter", {}).get("source_hidden"))


def test_cells_are_short_and_lines_fit(path: Path) -> None:
    assert max(len(c.source.splitlines()) for c in visible(path)) <= MOST_LINES
    assert max(len(line) for c in visible(path) for line in c.source.splitlines()) <= 120


def test_at_most_a_quarter_of_the_visible_code_plots(path: Path) -> None:
    code = cells(path, "code")
    shown = [
        (code_lines(cell.source), plots)
        for cell, plots in zip(code, plotting_lines([c.source for c in code]), strict=True)
        if not is_folded(cell)
    ]
    assert sum(len(lines & plots) for lines, plots in shown) <= MOST_PLOTTING * sum(len(lines) for lines, _ in shown)


def test_what_is_folded_plots_and_is_folded_on_the_site_too(path: Path) -> None:
    code = cells(path, "code")
    for cell, plots in zip(code, plotting_lines([c.source for c in code]), strict=True):
        assert is_folded(cell) == ("hide-input" in cell.metadata.get("tags", []))
        if is_folded(cell):
            lines = code_lines(cell.source)
            assert len(lines & plots) > len(lines) / 2, f"{cell.id} holds more than a picture"


def test_a_network_and_its_training_stand_in_sight(path: Path) -> None:
    if path.stem in NO_NETWORK:
        return
    tree = [node for c in visible(path) for node in ast.walk(ast.parse(c.source))]
    calls = {node.func.attr for node in tree if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)}
    forward = [node for node in tree if isinstance(node, ast.FunctionDef) and node.name == "forward"]
    assert forward, "builds no network"
    assert {"backward", "step", "zero_grad"} <= calls, "shows no training loop"


def test_names_nothing_of_the_machine_it_was_run_on(path: Path) -> None:
    assert not re.search(r"/(home|root|tmp|work|Users)/", path.read_text(encoding="utf-8"))
