"""What the site is made of beside Sphinx: pictures drawn for sliders, and what the tests say of each notebook."""

import importlib.util
import json
import re
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import nbformat
import pytest
from docutils.parsers.rst import DirectiveError
from sphinx.errors import ConfigError

ROOT = Path(__file__).parents[1]
LECTURES = sorted((ROOT / "lectures").glob("*.ipynb"))
MOST_BYTES = 300_000
WIDGET = "application/vnd.jupyter.widget-view+json"
REPORT = """<testsuites><testsuite name="pytest" timestamp="2026-11-29T04:49:01.740584+00:00">
<testcase classname="lectures.00_start_here.ipynb" name="Cell 0" time="3.75" />
<testcase classname="lectures.00_start_here.ipynb" name="Cell 1" time="1.5" />
<testcase classname="lectures.17_summary.ipynb" name="Cell 0" time="2" />
</testsuite></testsuites>"""


@pytest.mark.parametrize("path", LECTURES, ids=lambda path: path.stem)
def test_every_widget_with_sliders_is_drawn_beforehand(path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    outputs = [(c.id, o.data) for c in notebook.cells for o in c.get("outputs", []) if WIDGET in o.get("data", {})]
    shown = {cell for cell, data in outputs if re.match(r"VBox\(children=\((?!Button)", data["text/plain"])}
    frames = ROOT / "docs" / "site" / "frames" / f"{path.stem}.json"
    widgets = json.loads(frames.read_text(encoding="utf-8")) if frames.exists() else {}
    assert widgets.keys() == shown, "draw them again: python docs/site/frames.py"
    for widget in widgets.values():
        assert len(json.dumps(widget)) <= MOST_BYTES
        begin = [slider["start"] for slider in widget["sliders"]]
        for k, slider in enumerate(widget["sliders"]):
            for step in range(len(slider["values"])):
                content, *alt = widget["frames"][",".join(map(str, [*begin[:k], step, *begin[k + 1 :]]))]
                assert content.startswith("data:image/webp;base64," if alt else "<table>")
                assert all(len(words.split()) > 3 for words in alt)


def test_the_seconds_of_each_notebook_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSEKIT_DEVICE", raising=False)
    spec = importlib.util.spec_from_file_location("everything", ROOT / "tests" / "everything.py")
    everything = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(everything)
    report = tmp_path / "lectures.xml"
    report.write_text(REPORT)
    status = everything.notebooks_ran(report)
    assert {name: run["seconds"] for name, run in status.items()} == {"00_start_here": 5.2, "17_summary": 2.0}
    first = status["00_start_here"]
    assert (first["when"], first["device"]) == ("2026-11-29T04:49", "cpu")
    assert first["versions"].startswith("torch ")


@pytest.fixture
def conf(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict]:
    """``conf(COURSE_REPOSITORY=…)``: the settings of a build that is told so."""

    def settings(**variables: str) -> dict:
        for name in ("COURSE_REPOSITORY", "COURSE_HUB"):
            monkeypatch.setenv(name, variables.get(name, ""))
        monkeypatch.setattr(sys, "path", [*sys.path])
        return runpy.run_path(str(ROOT / "docs" / "conf.py"))

    return settings


def test_pages_have_buttons_only_for_what_the_build_is_told_of(conf: Callable[..., dict]) -> None:
    assert "launch_buttons" not in conf()["html_theme_options"]
    options = conf(COURSE_REPOSITORY="owner/name")["html_theme_options"]
    assert options["repository_url"] == "https://github.com/owner/name"
    assert options["launch_buttons"]["colab_url"]
    assert not options["launch_buttons"]["jupyterhub_url"]
    options = conf(COURSE_REPOSITORY="owner/name", COURSE_HUB="https://hub.school")["html_theme_options"]
    assert options["launch_buttons"]["jupyterhub_url"] == "https://hub.school"


@pytest.mark.parametrize("repository", ["", "https://github.com/owner/name"])
def test_a_page_with_a_button_for_colab_says_what_to_run_there(
    monkeypatch: pytest.MonkeyPatch, repository: str
) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    told = {"repository_url": repository} if repository else {}
    app = Mock(**{"config.html_theme_options": told, "env.doc2path": lambda name: f"{name}.ipynb"})
    title = {"cell_type": "markdown", "id": "title", "metadata": {}, "source": "# A lecture"}
    source = [json.dumps({"cells": [title], "metadata": {}, "nbformat": 4, "nbformat_minor": 5})]
    importlib.import_module("pages").read(app, "lectures/99_none", source)
    notebook = nbformat.reads(source[0], as_version=4)
    nbformat.validate(notebook)
    first = [f"\n!pip install -q git+{repository} " in cell.source for cell in notebook.cells]
    assert first == ([False, True] if repository else [False])


@pytest.mark.parametrize("told", [{"COURSE_REPOSITORY": "name"}, {"COURSE_HUB": "https://hub.school"}])
def test_a_build_without_a_whole_repository_is_refused(conf: Callable[..., dict], told: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"^expected COURSE_REPOSITORY=owner/name, a repository on GitHub, got '"):
        conf(**told)


def test_a_notebook_that_ran_no_second_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs" / "site")
    pages = importlib.import_module("pages")
    status = tmp_path / "status.json"
    monkeypatch.setattr(pages, "STATUS", status)
    table = pages.Status("status", [], {}, [], 0, 0, "", Mock(), Mock())
    run = {"when": "2026-11-29T04:49", "seconds": 5.2, "device": "cpu", "versions": "torch 2"}
    status.write_text(json.dumps({"00_start_here": run}))
    assert table.rows()[1] == [["00_start_here", "2026-11-29T04:49", "5.2", "cpu", "torch 2"]]
    status.write_text(json.dumps({"00_start_here": run, "17_summary": {**run, "seconds": 0.0}}))
    with pytest.raises(DirectiveError) as refused:
        table.rows()
    assert "expected 17_summary to have run, got 0 s: run `make test`" in refused.value.msg
