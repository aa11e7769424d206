"""Lectures as slides (``make slides``) and on paper (``make pdf LECTURE=04``), as stored: nothing is executed."""

import html
import io
import json
import math
import re
import shutil
import sys
from base64 import b64decode, b64encode
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import nbformat
from jinja2 import Environment, FileSystemLoader
from markdown_it import MarkdownIt
from myst_nb.core.utils import coalesce_streams
from nbconvert import HTMLExporter, SlidesExporter
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell
from pages import LECTURES, MATHJAX, prepared, widgets_of
from PIL import Image
from playwright.sync_api import Error, sync_playwright
from traitlets.config import Config

HERE = Path(__file__).parent
TEMPLATES = HERE / "handouts"
REVEAL = files("sphinx_revealjs") / "_static" / "revealjs"  # the wheel carries reveal.js whole
CONFIG = Config(
    {
        "HTMLExporter": dict.fromkeys(("exclude_input_prompt", "exclude_output_prompt", "exclude_anchor_links"), True),
        "SlidesExporter": {"reveal_url_prefix": "reveal", "reveal_theme": "white"},
        "CSSHTMLHeaderPreprocessor": {"style": "a11y-high-contrast-light"},
        "TagRemovePreprocessor": {"enabled": True, "remove_input_tags": {"hide-input"}},  # folded code
    }
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
NO_BROWSER = "install it with the system's package manager, or run `{} -m playwright install chromium`, and try again."
SETTLED = "() => new Promise(done => MathJax.Hub.Queue(done))"
FOOTER = '<p style="font-size: 8px; width: 100%; text-align: center"><span class="pageNumber"></span></p>'
ALT = re.compile(r'\balt=(?:f?"(?:[^"\\]|\\.)*"\s*)+')  # a picture says it itself
LINK = re.compile(r"\[([^\]]+)\]\((\w+)\.(?:ipynb|html)\)")  # to another lecture
PICTURE = re.compile(r"!\[(.+?)\]\((.+?\.png)\)")
FOLDED = re.compile(r"<details><summary>(.*?)</summary>(.*?)</details>", re.DOTALL)
# Of a slide, in its own pixels: slides.css sets them.
WIDTH, HEIGHT, GAP = 1240, 640, 16
LINE, LETTERS, CODE_LINE, PRINT_LINE = 33, 108, 21, 19


def stored(path: Path, widgets: dict, link: str) -> NotebookNode:
    """A lecture with its pictures and their alt text as HTML; ``link`` is what becomes of a link to another."""
    raw = prepared(json.loads(path.read_text(encoding="utf-8")), widgets)
    notebook = nbformat.reads(json.dumps(raw), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = PICTURE.sub(lambda match: embedded(match[1], path.parent / match[2]), cell.source)
            cell.source = LINK.sub(link, cell.source)
            continue
        cell.source = ALT.sub('alt="…"', cell.source.removeprefix("# NBVAL_CHECK_OUTPUT\n"))
        cell.outputs = coalesce_streams(cell.outputs)
        for output in cell.outputs:
            if png := output.get("data", {}).get("image/png"):
                output.data = {"text/html": image(output.metadata["image/png"]["alt"], png)}
            if words := output.get("data", {}).get("text/markdown"):
                output.data["text/markdown"] = LINK.sub(link, words)
    return notebook


def image(alt: str, png: str) -> str:
    """A picture that needs no file."""
    return f'<img alt="{html.escape(alt)}" src="data:image/png;base64,{png}">'


def embedded(alt: str, path: Path) -> str:
    """A picture of the text."""
    return image(alt, b64encode(path.read_bytes()).decode())


def blocks(text: str) -> list[str]:
    """Headings, paragraphs, lists, formulas and folded answers of a text, each whole."""
    lines, whole = text.splitlines(), [""]
    starts = {token.map[0] for token in MarkdownIt().parse(text) if token.map and token.level == 0}
    for start, end in pairwise([*sorted(starts), len(lines)]):
        if whole[-1].count("<details") == whole[-1].count("</details>"):
            whole.append("")
        whole[-1] += "\n".join([*lines[start:end], ""])
    return whole[1:]


def pieces(cell: NotebookNode) -> list[tuple[NotebookNode, float]]:
    """What of a cell stays together on a slide, with its height: a block of text, code and its print, a picture."""
    if cell.cell_type == "markdown":
        return [(new_markdown_cell(block), text_height(block)) for block in blocks(cell.source)]
    source = "" if "hide-input" in cell.metadata.get("tags", []) else cell.source
    drawn = [output for output in cell.outputs if "text/html" in output.get("data", {})]
    printed = [output for output in cell.outputs if output not in drawn]
    parts = [(source, printed), *(("", [output]) for output in drawn)]
    if code_height(source) + sum(map(output_height, printed)) > HEIGHT:
        parts[:1] = [(source, []), ("", printed)]
    return [
        (code_cell(code, outputs), code_height(code) + sum(map(output_height, outputs)))
        for code, outputs in parts
        if code or outputs
    ]


def code_cell(source: str, outputs: list[NotebookNode]) -> NotebookNode:
    """A cell that shows nothing of code that it has not."""
    return new_code_cell(source, outputs=outputs, metadata={"tags": [] if source else ["hide-input"]})


def code_height(source: str) -> float:
    """Pixels that code takes."""
    return CODE_LINE * len(source.splitlines()) + 2 * GAP if source else 0


def text_height(block: str) -> float:
    """Pixels that a block of text takes; of a folded answer, its question."""
    shown = FOLDED.sub(r"\1", block).splitlines()
    lines = sum(math.ceil(len(line) / LETTERS) for line in shown)
    return LINE * lines * (2 if block.startswith("#") or "$$" in block else 1) + GAP


def output_height(output: NotebookNode) -> float:
    """Pixels that an output takes; a picture is made smaller where it would not fit."""
    page = output.get("data", {}).get("text/html", "")
    if 'class="frames"' in page:
        return HEIGHT
    if match := re.search(r'src="data:image/\w+;base64,([^"]*)"', page):
        width, height = Image.open(io.BytesIO(b64decode(match[1]))).size
        return min(HEIGHT, height * min(1, WIDTH / width) + GAP)
    text = output.get("text") or output.data.get("text/markdown") or output.data.get("text/plain", "")
    return LINE * page.count("<tr") if page else PRINT_LINE * len(text.splitlines()) + 2 * GAP


def as_slides(notebook: NotebookNode) -> NotebookNode:
    """A slide begins at each ``#`` and ``##``; below it, one at each ``###`` and where the next piece would not fit."""
    cells, filled, title = [], 0.0, ""
    for piece, height in (piece for cell in notebook.cells for piece in pieces(cell)):
        heading = re.match(r"(#{1,3}) (.*)", piece.source if piece.cell_type == "markdown" else "")
        if heading and heading[1] != "###":
            title, filled = heading[2], 0.0
            piece.metadata["slideshow"] = {"slide_type": "slide"}
        elif filled + height > HEIGHT or (heading and filled > 3 * LINE):
            cells.append(new_markdown_cell(f'<p class="running">{title}</p>'))
            cells[-1].metadata["slideshow"] = {"slide_type": "subslide"}
            filled = LINE
        cells.append(piece)
        filled += height
    return NotebookNode(notebook, cells=cells)


def exported(exporter: HTMLExporter, notebook: NotebookNode, path: Path) -> str:
    """The page of a lecture."""
    title = "".join(notebook.cells[0].source).splitlines()[0].lstrip("# ")
    notebook.metadata["title"] = title
    about = {"name": title, "path": str(path.parent)}
    return exporter.from_notebook_node(notebook, resources={"metadata": about})[0]


def slides(target: Path) -> None:
    """Every lecture as slides, and a page that leads to them."""
    exporter = SlidesExporter(config=CONFIG, template_file=str(TEMPLATES / "slides.html.j2"))
    shutil.rmtree(target, ignore_errors=True)
    for source, name in ((REVEAL, "reveal"), (MATHJAX, "mathjax")):
        shutil.copytree(str(source), target / name, ignore=shutil.ignore_patterns("localization", "a11y", "*.map"))
    for name in ("site/static/frames.js", "site/handouts/slides.js", "site/handouts/slides.css"):
        shutil.copy(HERE.parent / name, target)
    rows = []
    for path in LECTURES:
        notebook = stored(path, widgets_of(path), r"[\1](\2.html)")
        deck = as_slides(notebook)
        (target / f"{path.stem}.html").write_text(exported(exporter, deck, path), encoding="utf-8")
        question = re.search(r"\*\*(.+?)\*\*", notebook.cells[0].source)[1]
        count = sum("slideshow" in cell.metadata for cell in deck.cells)
        rows.append((f"{path.stem}.html", deck.metadata.title, question, count))
    index = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True).get_template("index.html.j2")
    (target / "index.html").write_text(index.render(rows=rows), encoding="utf-8")
    print(f"{len(rows)} lectures as slides: open {target / 'index.html'}")


def on_paper(notebook: NotebookNode) -> NotebookNode:
    """Paper does not unfold: answers stand at the end."""
    answers = []
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            answers += FOLDED.findall(cell.source)
            cell.source = FOLDED.sub(r"<p>\1</p>", cell.source)
    text = "\n".join(f"<p>{question}</p>\n{answer}" for question, answer in answers)
    return NotebookNode(notebook, cells=[*notebook.cells, new_markdown_cell(f"## Answers\n\n{text}")])


def pdf(target: Path, number: str) -> None:
    """One lecture as a PDF to print."""
    known = {path.stem.split("_")[0]: path for path in LECTURES}
    if number not in known:
        sys.exit(f"Expected a lecture, got {number!r}: make pdf LECTURE=04, or one of {' '.join(known)}.")
    path = known[number]
    target.mkdir(parents=True, exist_ok=True)
    address = f"{MATHJAX.as_uri()}/MathJax.js?config=TeX-AMS-MML_HTMLorMML-full"
    exporter = HTMLExporter(config=CONFIG, template_file=str(TEMPLATES / "paper.html.j2"), mathjax_url=address)
    page = target.resolve() / f"{path.stem}.html"
    page.write_text(exported(exporter, on_paper(stored(path, widgets_of(path), r"\1")), path), encoding="utf-8")
    with sync_playwright() as playwright:
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        try:
            chromium = playwright.chromium.launch(executable_path=program)
        except Error:
            sys.exit(f"A PDF needs Chromium: {NO_BROWSER.format(sys.executable)}")
        sheet = chromium.new_page()
        sheet.goto(page.as_uri())
        sheet.evaluate(SETTLED)
        sheet.pdf(
            path=page.with_suffix(".pdf"), format="A4", print_background=True, tagged=True, outline=True,
            display_header_footer=True, header_template="<p></p>", footer_template=FOOTER,
            margin={"top": "16mm", "bottom": "18mm", "left": "18mm", "right": "18mm"},
        )  # fmt: skip
    page.unlink()
    print(page.with_suffix(".pdf"))


if __name__ == "__main__":
    what, folder, *options = sys.argv[1:]
    if what == "slides":
        slides(Path(folder))
    else:
        pdf(Path(folder), "".join(options))
