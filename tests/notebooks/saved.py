"""A notebook as JupyterLab saves it, so that to open and save it changes no byte. ``python tests/notebooks/saved.py``
stores all so.
"""

from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[2]
NOTEBOOKS = [
    path for folder in ("lectures", "solutions/*", "assignments/*") for path in sorted(ROOT.glob(f"{folder}/*.ipynb"))
]
LANGUAGE = {  # what the course's kernel says (deploy/jupyter): JupyterLab writes it into every notebook it opens
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
MOST = 2**53  # whole numbers up to here are the same in JavaScript


def whole(value: object) -> object:
    """JavaScript has one kind of number: 150.0 comes back as 150."""
    if isinstance(value, dict):
        return {key: whole(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [whole(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) <= MOST else value


def as_saved(text: str) -> str:
    """The notebook's text as JupyterLab saves it, its kernel connected and nothing run."""
    notebook = nbformat.from_dict(whole(nbformat.reads(text, as_version=4)))
    notebook.metadata |= {"kernelspec": KERNEL, "language_info": LANGUAGE}
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # when each cell ran, which nbconvert keeps
    return nbformat.writes(notebook) + "\n"


if __name__ == "__main__":
    for path in NOTEBOOKS:
        text = path.read_text(encoding="utf-8")
        if text != as_saved(text):
            path.write_text(as_saved(text), encoding="utf-8", newline="\n")
            print(path.relative_to(ROOT))
