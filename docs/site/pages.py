"""What the site adds to Sphinx: notebooks as stored with their alt text, the parts of the course, claims, the status."""

import json
import pkgutil
import re
import shutil
from importlib import import_module
from pathlib import Path

import jupyter_server_mathjax
from sphinx.util.docutils import SphinxDirective

ROOT = Path(__file__).parents[2]
PARTS = {
    "Richer recognition": r"0[0-5]",
    "Three dimensions": r"0[6-9]",
    "Video": r"1[0-7]",
}


def toctree(caption: str, pages: list[str]) -> str:
    lines = "\n".join(pages)
    return f"\n```{{toctree}}\n:caption: {caption}\n:hidden:\n\n{lines}\n```\n"


def parts(found: set[str]) -> str:
    """The course's pages in order, as the tables of contents that the first page carries."""
    lectures = sorted(page for page in found if page.startswith("lectures/"))
    trees = [
        toctree(part, [page for page in lectures if re.match(pattern, page.removeprefix("lectures/"))])
        for part, pattern in PARTS.items()
    ]
    exercises = sorted(page for page in found if page.startswith("assignments/"))
    rest = sorted(found - set(lectures) - set(exercises) - {"README"})
    return "".join([*trees, toctree("Exercises", exercises), toctree("Around the course", rest)])


def prepared(notebook: dict) -> dict:
    """A stored notebook with its pictures' alt text where the builder looks for it, and no widget without its kernel."""
    for cell in notebook["cells"]:
        outputs = cell.get("outputs", [])
        for output in outputs:
            alt = output.get("metadata", {}).get("image/png", {}).get("alt")
            if alt:
                cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}
        cell["outputs"] = [o for o in outputs if "application/vnd.jupyter.widget-view+json" not in o.get("data", {})]
        if cell["cell_type"] != "code":
            del cell["outputs"]
    notebook["metadata"].pop("widgets", None)
    return notebook


def read(app, name: str, source: list[str]) -> None:
    if name == "README":
        source[0] += parts(set(app.env.found_docs))
    elif Path(app.env.doc2path(name)).suffix == ".ipynb":
        source[0] = json.dumps(prepared(json.loads(source[0])))


class Room(SphinxDirective):
    """``{room} coursekit.ops``: every public module of a room, from its docstrings."""

    required_arguments = 1

    def run(self) -> list:
        room = self.arguments[0]
        inside = pkgutil.iter_modules(getattr(import_module(room), "__path__", []))
        modules = [room, *sorted(f"{room}.{m.name}" for m in inside if not m.name.startswith("_"))]
        lines = [line for module in modules for line in ("", f"{module}", "-" * len(module), "", f".. automodule:: {module}", "")]
        return self.parse_text_to_nodes("```{eval-rst}\n" + "\n".join(lines) + "\n```", allow_section_headings=True)


def escape_bars(app, what, name, thing, options, lines: list[str]) -> None:
    """|x| is a magnitude and TV-L1* no emphasis, in docstrings that are read as they stand first."""
    for i, line in enumerate(lines):
        spans = re.split(r"(``.*?``)", line)
        lines[i] = "".join(s if s.startswith("``") else re.sub(r"([|*])", r"\\\1", s) for s in spans)


def bring_mathjax(app, error) -> None:
    """Formulas are set by a script that lies beside the pages."""
    source = Path(jupyter_server_mathjax.__file__).parent / "static"
    target = Path(app.outdir, "_static", "mathjax")
    if error is None and app.builder.format == "html" and not target.exists():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("localization", "a11y"))


def setup(app) -> dict:
    app.add_directive("room", Room)
    app.connect("autodoc-process-docstring", escape_bars)
    app.connect("build-finished", bring_mathjax)
    app.connect("source-read", read)
    return {"parallel_read_safe": True}
