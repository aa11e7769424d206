"""The site is built without a warning, needs no network, leads nowhere that is not there; everybody can read it."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin

import pytest
from bs4 import BeautifulSoup
from playwright.sync_api import Browser

import course

ROOT = Path(__file__).parents[2]
AXE = files("axe_playwright_python").joinpath("axe.min.js")
RULES = {"runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"], "resultTypes": ["violations"], "preload": False}
SETTLED = "() => window.MathJax ? new Promise(done => MathJax.Hub.Queue(done)) : null"
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}  # what a browser fetches

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    *command, _ = course.RUNS["site"][1].split()  # as `make site`, but for where it goes
    command = [sys.executable, *command, f"{folder}/html", "-d", f"{folder}/trees"]
    told = {"COURSE_REPOSITORY": "owner/course", "COURSE_HUB": "https://hub.school"}
    run = subprocess.run(command, cwd=ROOT, env={**os.environ, **told}, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[str, BeautifulSoup]:
    """Every page but the source code's, by its path."""
    paths = [path for path in site.rglob("*.html") if not {"_modules", "_static"} & set(path.parts)]
    return {str(path.relative_to(site)): BeautifulSoup(path.read_text(), "html.parser") for path in sorted(paths)}


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def addresses(page: BeautifulSoup, tags: dict[str, str]) -> list[str]:
    return [tag[attribute] for name, attribute in tags.items() for tag in page.find_all(name) if tag.get(attribute)]


def test_every_lecture_exercise_and_document_has_its_page(pages: dict[str, BeautifulSoup]) -> None:
    sources = [*ROOT.glob("lectures/*.ipynb"), *ROOT.glob("assignments/*/*.ipynb"), *ROOT.glob("docs/*.md")]
    assert {str(path.relative_to(ROOT).with_suffix(".html")) for path in sources} <= set(pages)
    assert "index.html" in pages


def test_nothing_comes_from_elsewhere(pages: dict[str, BeautifulSoup]) -> None:
    fetched = [(name, value) for name, page in pages.items() for value in addresses(page, LOADED)]
    assert not [(name, value) for name, value in fetched if value.startswith(("http:", "https:", "//"))]


def test_every_link_within_the_site_leads_somewhere(pages: dict[str, BeautifulSoup], site: Path) -> None:
    anchors = {name: {tag["id"] for tag in page.find_all(id=True)} for name, page in pages.items()}
    for name, page in pages.items():
        for value in addresses(page, {"a": "href", **LOADED}):
            target, anchor = urldefrag(urljoin(f"http://site/{name}", value).removeprefix("http://site/"))
            if ":" not in value.split("/")[0]:
                path = unquote(target.split("?")[0])
                assert (site / path).is_file(), f"{name} leads to {value}"
                assert not anchor or path not in anchors or unquote(anchor) in anchors[path], f"{name}: {value}"


def test_every_lecture_can_be_downloaded_and_opened_elsewhere(pages: dict[str, BeautifulSoup], site: Path) -> None:
    for path in ROOT.glob("lectures/*.ipynb"):
        links = addresses(pages[f"lectures/{path.stem}.html"], {"a": "href"})
        assert f"https://colab.research.google.com/github/owner/course/blob/main/lectures/{path.name}" in links
        install = "!pip install -q git+https://github.com/owner/course "
        assert install in pages[f"lectures/{path.stem}.html"].article.text
        assert [link for link in links if link.startswith("https://hub.school/hub/user-redirect/git-pull?repo=https")]
        (source,) = [link for link in links if link.endswith(f"_sources/lectures/{path.name}")]
        assert (site / "lectures" / source).read_bytes() == path.read_bytes()


def test_every_picture_has_alt_text_of_its_own(pages: dict[str, BeautifulSoup]) -> None:
    shown = [(name, tag) for name, page in pages.items() for tag in (page.article or page).find_all("img")]
    pictures = [(name, tag) for name, tag in shown if "_static/" not in tag["src"]]  # the theme's are signs
    assert len(pictures) > 100
    assert not [(name, tag["src"]) for name, tag in pictures if len(tag.get("alt", "").split()) < 2]


@pytest.mark.parametrize("lecture", ["13_backpropagation", "17_summary"], ids=["picture", "table"])
def test_a_slider_moves_without_a_kernel(browser: Browser, address: str, lecture: str) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{address}/lectures/{lecture}.html")
    box = page.locator(".frames").first
    slider, below = box.locator("input").first, box.locator("img, .listing")

    def seen() -> list[object]:
        picture = [value for name in ("src", "alt") if (value := below.get_attribute(name))]
        return [slider.get_attribute("aria-valuetext"), *(picture or [below.inner_text()])]

    before = seen()
    slider.press("ArrowRight")
    after = seen()
    context.close()
    assert all(a != b for a, b in zip(before, after))


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 320)])
def test_axe_has_no_complaint(
    browser: Browser, address: str, pages: dict[str, BeautifulSoup], scheme: str, width: int
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, complaints = context.new_page(), []
    for name in pages:
        page.goto(f"{address}/{name}")
        page.evaluate(SETTLED)
        page.evaluate(AXE.read_text())
        for complaint in page.evaluate("rules => axe.run(document, rules)", RULES)["violations"]:
            complaints.append((name, complaint["id"], complaint["nodes"][0]["html"][:200]))
    context.close()
    assert not complaints
