"""What the site adds to Sphinx: alt text of notebooks, parts of the course, its modules, claims and last run."""

import ast
import html
import json
import pkgutil
import re
import shutil
from importlib import import_module
from pathlib import Path

import jupyter_server_mathjax
from sphinx.util.docutils import SphinxDirective

from coursekit import claims

ROOT = Path(__file__).parents[2]
LECTURES = sorted((ROOT / "lectures").glob("*.ipynb"))
STATUS = ROOT / "build" / "tests" / "status.json"  # tests/everything.py writes it
PARTS = {
    "Richer recognition": r"lectures/0[0-5]",
    "Three dimensions": r"lectures/0[6-9]",
    "Video": r"lectures/1[0-7]",
    "Exercises": r"assignments/",
    "Around the course": r"docs/\w+$|\w+$|coursegrade/|deploy/",
    "coursekit": r"coursekit/|docs/api/",
}
FRAMES = Path(__file__).parent / "frames"
MATHJAX = Path(jupyter_server_mathjax.__file__).parent / "static"
WIDGET = "application/vnd.jupyter.widget-view+json"


def contents(pages: set[str]) -> str:
    """The tables of contents that the first page carries, a part each."""
    trees = []
    for part, pattern in PARTS.items():
        inside = [page for page in sorted(pages) if re.match(pattern, page) and page != "README"]
        trees += ["", "```{toctree}", f":caption: {part}", ":hidden:", "", *inside, "```"]
    return "\n".join(trees)


def prepared(notebook: dict, widgets: dict) -> dict:
    """A stored notebook with alt text where the builder looks for it, and drawn frames for the kernel's widgets."""
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        for output in cell["outputs"]:
            if alt := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": alt}
            if words := output.get("data", {}).get("text/markdown"):  # its links go to pages, not to notebooks
                output["data"]["text/markdown"] = "".join(words).replace(".ipynb)", ".html)")
        cell["outputs"] = [output for output in cell["outputs"] if WIDGET not in output.get("data", {})]
        if cell["id"] in widgets:
            page = {"text/html": moving(cell["id"], widgets[cell["id"]])}
            cell["outputs"].append({"output_type": "display_data", "data": page, "metadata": {}})
    notebook["metadata"].pop("widgets", None)
    return notebook


def on_colab(repository: str) -> dict:
    """What a reader runs first on Colab, which knows nothing of the course: a cell to show on a notebook's page."""
    words = "On Colab (the button above), first run this in a cell of its own:"
    command = f"!pip install -q git+{repository} ipyniivue pycocotools"
    return {"cell_type": "markdown", "id": "on-colab", "metadata": {}, "source": f"{words}\n```\n{command}\n```"}


def moving(cell: str, widget: dict) -> str:
    """A widget's sliders over what was drawn beforehand; without script, the picture or table it begins with."""
    sliders, start = [], ",".join(str(slider["start"]) for slider in widget["sliders"])
    for slider in widget["sliders"]:
        name, values = html.escape(slider["name"]), slider["values"]
        place = f'min="0" max="{len(values) - 1}" value="{slider["start"]}" step="1"'
        now = html.escape(values[slider["start"]])
        sliders.append(
            f'<label>{name} <input type="range" {place} aria-valuetext="{now}"><output>{now}</output></label>'
        )
    source, *alt = widget["frames"][start]
    if alt:
        note = "Drawn beforehand at these values; JupyterLab has all of them."
        begin = f'<p>{note}</p><img src="{source}" alt="{alt[0]}">'
    else:
        begin = f'<div class="listing" tabindex="0" role="region" aria-label="Table">{source}</div>'
    data = json.dumps(widget).replace("</", "<\\/")
    return (
        f'<div class="frames" id="{cell}-frames">{"".join(sliders)}{begin}'
        f'<script type="application/json">{data}</script></div>'
    )


def widgets_of(path: Path) -> dict:
    """What was drawn for a notebook's sliders."""
    frames = FRAMES / f"{path.stem}.json"
    return json.loads(frames.read_text(encoding="utf-8")) if frames.exists() else {}


def read(app, name: str, source: list[str]) -> None:
    """First page and notebooks, before they are parsed."""
    if name == "README":
        source[0] += contents(set(app.env.found_docs))
    elif (path := Path(app.env.doc2path(name))).suffix == ".ipynb":
        notebook = prepared(json.loads(source[0]), widgets_of(path))
        if repository := app.config.html_theme_options.get("repository_url"):
            notebook["cells"].insert(1, on_colab(repository))
        source[0] = json.dumps(notebook)


def names_used(path: Path) -> set[str]:
    """Full names of what a lecture's code takes from coursekit."""
    cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
    tree = ast.parse("\n".join("".join(cell["source"]) for cell in cells))
    known = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("coursekit")
        for alias in node.names
    }
    attributes = [
        node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    ]
    return set(known.values()) | {f"{known[a.value.id]}.{a.attr}" for a in attributes if a.value.id in known}


USED = {path.stem: names_used(path) for path in LECTURES}


def lectures_that_use(name: str) -> list[str]:
    """Lectures that call ``coursekit.room.module.name``, by that name or by its room's."""
    *room, _, last = name.split(".")
    return [lecture for lecture, names in USED.items() if {name, ".".join([*room, last])} & names]


def docstring(app, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """|x| is a magnitude, and TV-L1* no emphasis; below stands which lecture uses it."""
    for i, line in enumerate(lines):
        spans = re.split(r"(``.*?``)", line)
        lines[i] = "".join(span if span.startswith("``") else re.sub(r"([|*])", r"\\\1", span) for span in spans)
    if what in ("function", "class") and (lectures := lectures_that_use(name)):
        links = [f":doc:`{lecture.split('_')[0]} </lectures/{lecture}>`" for lecture in lectures]
        lines += ["", f"In lecture {', '.join(links)}."]


class Table(SphinxDirective):
    """A table made when the site is built."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """Headings and rows."""
        raise NotImplementedError

    def run(self) -> list:
        """The nodes."""
        headings, rows = self.rows()
        lines = ["| " + " | ".join(row) + " |" for row in (headings, ["---"] * len(headings), *rows)]
        return self.parse_text_to_nodes("\n".join(lines))


class Room(SphinxDirective):
    """``{room} coursekit.ops``: every public module of a room, from its docstrings."""

    required_arguments = 1

    def run(self) -> list:
        """The nodes."""
        room = self.arguments[0]
        inside = pkgutil.iter_modules(getattr(import_module(room), "__path__", []))
        modules = sorted(f"{room}.{module.name}" for module in inside if not module.name.startswith("_"))
        text = [f".. automodule:: {room}", *([] if modules else ["   :members:"]), ""]
        for module in modules:
            text += [module, "-" * len(module), "", f".. automodule:: {module}", "   :members:", ""]
        return self.parse_text_to_nodes("\n".join(["```{eval-rst}", *text, "```"]), allow_section_headings=True)


class Claims(Table):
    """``{claims}``: the records, one row a difference."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """A row for each difference that a claim asserts."""
        rows = []
        for record in (claims.load(name) for name in claims.names() if claims.path_of(name).exists()):
            first = [lectures_of(record), record["statement"], f"{record['seeds']}", claims.verdict(record)]
            for effect in record["effects"][: record["asserted"]]:
                difference = f"{effect['measure']}: {effect['better']} minus {effect['worse']}"
                interval = f"{effect['effect']:+.2f} [{effect['low']:+.2f}, {effect['high']:+.2f}]"
                rows.append((record["lecture"], [*first, difference, interval]))
                first = ["", "", "", ""]
        headings = ["lecture", "claim", "seeds", "verdict", "difference", "mean [95 %]"]
        return headings, [row for _, row in sorted(rows, key=lambda row: row[0])]


def lectures_of(record: dict) -> str:
    """Links to the lectures that a record belongs to."""
    pages = {path.stem.split("_")[0]: path.stem for path in LECTURES}
    numbers = record["lecture"].split(", ")
    return ", ".join(f"[{n}](/lectures/{pages[n]})" if n in pages else n for n in numbers)


class Status(Table):
    """``{status}``: when each notebook last ran, how long, on what."""

    def rows(self) -> tuple[list[str], list[list[str]]]:
        """A row a notebook; a notebook that took no time has not run, and is an error."""
        status = json.loads(STATUS.read_text()) if STATUS.exists() else {}
        for name, run in status.items():
            if not run["seconds"]:
                raise self.error(f"expected {name} to have run, got 0 s: run `make test`")
        keys = ("when", "seconds", "device", "versions")
        rows = [[name, *(str(status[name][key]) for key in keys)] for name in sorted(status)]
        return ["notebook", *keys], rows or [["no run on this computer yet: `make test`", "", "", "", ""]]


def bring(app, error: Exception | None) -> None:
    """The script that sets formulas lies beside the pages; a browser that is given the folder opens the first page."""
    if error or app.builder.format != "html":
        return
    target = Path(app.outdir, "_static", "mathjax")
    if not target.exists():
        shutil.copytree(MATHJAX, target, ignore=shutil.ignore_patterns("localization", "a11y"))
    shutil.copy(Path(app.outdir, "README.html"), Path(app.outdir, "index.html"))


def setup(app) -> dict:
    """Sphinx's door."""
    for directive in (Room, Claims, Status):
        app.add_directive(directive.__name__.lower(), directive)
    app.connect("source-read", read)
    app.connect("autodoc-process-docstring", docstring)
    app.connect("build-finished", bring)
    return {"parallel_read_safe": True}
