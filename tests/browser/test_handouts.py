"""Slides and paper: whole, readable by everybody, from nowhere else, and without what is folded."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pypdf
import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Page
from test_site import AXE, LOADED, RULES, addresses

import course

ROOT = Path(__file__).parents[2]
LECTURES = sorted(ROOT.glob("lectures/*.ipynb"))
SAMPLE = ("04_mask_iou_and_ap", "07_convolutions_in_3d", "13_backpropagation")
READY = "() => Reveal.isReady() && MathJax.Hub.queue.pending === 0 && MathJax.Hub.queue.queue.length === 0"
SLIDES = """() => Reveal.getSlides().map(slide => {
  const {h, v} = Reveal.getIndices(slide);
  Reveal.slide(h, v);
  const outside = [...slide.querySelectorAll("img, p, pre, table")].filter(
    part => part.getBoundingClientRect().right > innerWidth + 1 || part.scrollWidth > part.clientWidth + 1
  ).map(part => part.tagName);
  const seen = slide.contains(document.elementFromPoint(innerWidth / 2, innerHeight / 2));
  return {place: `${h}/${v}`, height: slide.scrollHeight, box: slide.clientHeight, outside, seen,
          scrolls: getComputedStyle(slide).overflowY === "auto" && slide === document.activeElement};
})"""

pytestmark = pytest.mark.browser


def made(what: str, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """As ``make slides`` and ``make pdf``, but for where it goes."""
    *command, _ = course.RUNS[what][1].split()
    return subprocess.run([sys.executable, *command, str(folder), *options], cwd=ROOT, capture_output=True, text=True)


def code_of(path: Path, *, folded: bool) -> list[str]:
    cells = [cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    return ["".join(c["source"]) for c in cells if folded == ("hide-input" in c["metadata"].get("tags", []))]


def alts_of(path: Path) -> list[str]:
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [o["metadata"]["image/png"]["alt"] for o in outputs if "image/png" in o.get("data", {})]


def alts_in(node: pypdf.generic.PdfObject) -> list[str]:
    """Alt texts in a PDF's tree of tags."""
    node = node.get_object()
    if isinstance(node, list):
        return [alt for child in node for alt in alts_in(child)]
    if not isinstance(node, dict):
        return []
    return [*([node["/Alt"]] if "/Alt" in node else []), *(alts_in(node["/K"]) if "/K" in node else [])]


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slides")
    run = made("slides", folder)
    assert run.returncode == 0, run.stderr
    return folder


@pytest.fixture(scope="module")
def decks(slides: Path) -> dict[str, BeautifulSoup]:
    return {path.stem: BeautifulSoup(path.read_text(), "html.parser") for path in sorted(slides.glob("*.html"))}


@pytest.fixture(scope="module")
def paper(tmp_path_factory: pytest.TempPathFactory) -> pypdf.PdfReader:
    folder = tmp_path_factory.mktemp("pdf")
    run = made("pdf", folder, "04")
    assert run.returncode == 0, run.stderr
    return pypdf.PdfReader(folder / "04_mask_iou_and_ap.pdf")


def opened(page: Page, slides: Path, name: str) -> None:
    page.set_viewport_size({"width": 1280, "height": 720})
    page.goto((slides / f"{name}.html").as_uri())
    page.wait_for_function(READY)


def test_every_lecture_has_slides_and_the_first_page_leads_to_them(decks: dict[str, BeautifulSoup]) -> None:
    names = [path.stem for path in LECTURES]
    assert sorted(decks) == [*names, "index"]
    assert [link["href"] for link in decks["index"].find_all("a")] == [f"{name}.html" for name in names]


def test_nothing_comes_from_elsewhere(decks: dict[str, BeautifulSoup], slides: Path) -> None:
    for name, deck in decks.items():
        for value in addresses(deck, LOADED):
            assert value.startswith("data:image/") or (slides / value).is_file(), f"{name} loads {value}"
        for link in addresses(deck, {"a": "href"}):
            assert link.startswith(("#", "https://")) or (slides / link).is_file(), f"{name} leads to {link}"


def test_every_figure_is_there_with_its_alt_text(decks: dict[str, BeautifulSoup]) -> None:
    for path in LECTURES:
        alts = alts_of(path)
        shown = [picture.get("alt", "") for picture in decks[path.stem].find_all("img")]
        assert [alt for alt in shown if alt in alts] == alts
        assert all(len(alt.split()) > 1 for alt in shown)


def test_answers_stay_folded(decks: dict[str, BeautifulSoup]) -> None:
    for path in LECTURES:
        folds = decks[path.stem].find_all("details")
        assert len(folds) == path.read_text(encoding="utf-8").count("<details>")
        assert all(len(fold.get_text()) > len(fold.summary.get_text()) + 10 for fold in folds)


def test_folded_code_is_not_shown(decks: dict[str, BeautifulSoup]) -> None:
    for path in LECTURES:
        shown = decks[path.stem].get_text()
        assert not [code for code in code_of(path, folded=True) if code in shown]
        for code in code_of(path, folded=False):
            assert code.removeprefix("# NBVAL_CHECK_OUTPUT\n").partition("alt=")[0] in shown


@pytest.mark.parametrize("name", SAMPLE)
def test_no_slide_is_cut(page: Page, slides: Path, name: str) -> None:
    opened(page, slides, name)
    shown = page.evaluate(SLIDES)
    assert len(shown) > 30
    assert not [slide for slide in shown if slide["outside"] or not slide["seen"]]
    longer = [slide for slide in shown if slide["height"] > slide["box"] + 1]
    assert all(slide["scrolls"] for slide in longer)
    assert len(longer) <= len(shown) / 20, [slide["place"] for slide in longer]


def test_a_deck_is_walked_with_one_key_and_fetches_nothing(page: Page, slides: Path) -> None:
    fetched = []
    page.on("request", lambda request: fetched.append(request.url))
    opened(page, slides, SAMPLE[0])
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.evaluate("Reveal.getSlidePastCount()") == 6
    page.wait_for_function("document.querySelector('.MathJax_Display .MathJax')")
    assert not [url for url in fetched if not url.startswith(("file:", "data:", "about:"))]


@pytest.mark.parametrize("name", ["index", SAMPLE[0]])
def test_axe_has_no_complaint(page: Page, slides: Path, name: str) -> None:
    page.goto((slides / f"{name}.html").as_uri())
    page.evaluate(AXE.read_text())
    violations = page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]
    assert not [(complaint["id"], complaint["nodes"][0]["html"][:200]) for complaint in violations]


def test_a_lecture_on_paper_has_its_text_figures_and_answers(paper: pypdf.PdfReader) -> None:
    assert {tuple(map(int, page.mediabox[2:])) for page in paper.pages} == {(595, 842)}  # A4, in points
    text = " ".join(" ".join(page.extract_text() for page in paper.pages).split())
    path = next(path for path in LECTURES if path.stem == SAMPLE[0])
    assert "How is an instance segmentation scored?" in text
    assert text.index("Answers") < text.index("Only the order of the scores counts")
    assert "def iou(a: torch.Tensor, b: torch.Tensor) -> float:" in text
    assert not [code for code in code_of(path, folded=True) if " ".join(code.split()[:12]) in text]
    assert not re.search(r"\\(frac|mathrm|cap)", text)  # formulas are set
    assert set(alts_of(path)) <= set(alts_in(paper.trailer["/Root"]["/StructTreeRoot"]))


def test_an_unknown_lecture_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    run = made("pdf", tmp_path, "99")
    assert run.returncode == 1
    assert run.stderr.startswith("Expected a lecture, got '99': make pdf LECTURE=04, or one of 00 01 02 ")
    assert len(run.stderr.splitlines()) == 1
