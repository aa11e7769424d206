"""``python docs/site/frames.py lectures/NN_….ipynb …``: what its sliders show, for pages without a kernel.

Each notebook is run as far as its last sliders; every picture under sliders is drawn at some values of each and kept in
``frames/``.
"""

import json
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat.v4 import new_code_cell

FOLDER = Path(__file__).parent / "frames"
MOST_BYTES = 300_000  # of one widget, as the page carries it
WATCH = """
import sys
sys.path.insert(0, {folder!r})
import capture
capture.watch()
"""


def run(path: Path) -> dict[str, object]:
    """``{cell id: widget}``; a widget is ``{sliders: [{name, values, start}], frames: {"i,j": [address, alt]}}``."""
    notebook = nbformat.read(path, as_version=4)
    sliders = [k for k, cell in enumerate(notebook.cells) if any(map(has_sliders, cell.get("outputs", [])))]
    notebook.cells = notebook.cells[: sliders[-1] + 1]
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = f"import capture\ncapture.cell = {cell.id!r}\n{cell.source}"
    notebook.cells = [
        new_code_cell(WATCH.format(folder=str(Path(__file__).parent))),
        *notebook.cells,
        new_code_cell("capture.told()"),
    ]
    NotebookClient(notebook, timeout=None, resources={"metadata": {"path": str(path.parent)}}).execute()
    return json.loads(notebook.cells[-1].outputs[0].text)


def has_sliders(output: dict) -> bool:
    """A progress bar is an HBox; sliders stand in a VBox, over their picture."""
    return output.get("data", {}).get("text/plain", "").startswith("VBox(")


def main() -> None:
    """Write the frames of each notebook named."""
    FOLDER.mkdir(exist_ok=True)
    for path in map(Path, sys.argv[1:]):
        widgets = run(path.resolve())
        for cell, widget in widgets.items():
            size = len(json.dumps(widget))
            print(f"{path.stem} {cell}: {len(widget['frames'])} frames, {size / 1000:.0f} kB", flush=True)
            assert size <= MOST_BYTES, f"expected at most {MOST_BYTES} bytes, got {size}: draw fewer frames"
        (FOLDER / f"{path.stem}.json").write_text(json.dumps(widgets, indent=0) + "\n")


if __name__ == "__main__":
    main()
