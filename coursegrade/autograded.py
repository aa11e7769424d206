"""The autograded notebook: what formgrader and ``nbgrader generate_feedback`` show, and what was handed in, cleaned."""

import json
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from coursegrade import clean
from coursegrade.records import CellResult, Job, Result, Step, write_whole


def write(path: Path, notebook: Any, job: Job, result: Result) -> None:
    """Write one submitted notebook, a cell a step with what came of it; ``notebook`` is the gradebook's entry of it."""
    known = {cell.name: cell for cell in notebook.source_cells}
    pairs = enumerate(zip(job.steps, result.cells, strict=True))
    cells = [_cell(n, step, outcome, known.get(step.grade_id)) for n, (step, outcome) in pairs]
    for cell in (cell for cell in cells if "nbgrader" in cell.metadata):
        _role(cell, notebook)
    kernel = json.loads(notebook.kernelspec or "{}")
    metadata = {"language_info": {"name": "python"}} | ({"kernelspec": kernel} if kernel else {})
    write_whole(path, nbformat.writes(new_notebook(cells=cells, metadata=metadata)) + "\n")


def answers(path: Path) -> dict[str, str]:
    """The cells nbgrader knows of a notebook written here, by grade_id; empty where there is none."""
    if not path.exists():
        return {}
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    named = {cell["metadata"].get("nbgrader", {}).get("grade_id", ""): "".join(cell["source"]) for cell in cells}
    return {name: source for name, source in named.items() if name}


def shown(source: str, cell_type: str) -> str:
    """The source of a cell as it is written."""
    return clean.markdown(source) if cell_type == "markdown" else clean.source(source)


def _cell(position: int, step: Step, outcome: CellResult, known: Any) -> NotebookNode:
    kind = known.cell_type if known else "markdown" if step.kind == "text" else "code"
    new = new_markdown_cell if kind == "markdown" else new_code_cell
    cell = new(shown(step.source, kind), id=f"cell-{position}")
    if known:
        marks = {"grade_id": known.name, "locked": known.locked, "checksum": known.checksum, "cell_type": kind}
        cell.metadata["nbgrader"] = marks
    if kind == "code":
        cell.outputs = _outputs(step, outcome)
    return cell


def _role(cell: NotebookNode, notebook: Any) -> None:
    """What the cell is to nbgrader, as the gradebook has it: never as the submission says."""
    mark = cell.metadata["nbgrader"]
    points = {graded.name: graded.max_score for graded in (*notebook.grade_cells, *notebook.task_cells)}
    task = mark["grade_id"] in {cell.name for cell in notebook.task_cells}
    mark.update(schema_version=3, task=task, grade=mark["grade_id"] in points and not task)
    mark["solution"] = mark["grade_id"] in {cell.name for cell in notebook.solution_cells}
    if mark["grade_id"] in points:
        mark["points"] = points[mark["grade_id"]]


def _outputs(step: Step, outcome: CellResult) -> list[NotebookNode]:
    """What was printed and why the cell failed: both plain text."""
    printed = [new_output("stream", name="stdout", text=clean.output(outcome.output))] if outcome.output else []
    if outcome.ok:
        return printed
    name, message = "CheckFailed" if step.kind == "test" else "CellFailed", clean.output(outcome.message)
    return [*printed, new_output("error", ename=name, evalue=message, traceback=[message])]
