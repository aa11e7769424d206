"""What a student and an instructor do in JupyterLab, done by a browser."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.browser

LECTURES = Path(__file__).parents[2] / "lectures"
LECTURE = "lectures/03_mask_rcnn_roi_align.ipynb"
SLIDERS = re.compile(r"interactive\(|browse\(")
OTHERS = [
    f"lectures/{path.name}"
    for path in sorted(LECTURES.glob("*.ipynb"))
    if SLIDERS.search(path.read_text("utf-8")) and path.name not in LECTURE
]
ASSIGNMENT = "assignments/a1_roi/a1_roi.ipynb"
SOLUTION = "solutions/a1_roi/a1_roi.ipynb"
RUN_MINUTES = 5
# Some cell has run, none waits or runs.
RUN_IS_OVER = """() => {
    const prompts = [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
        .map(prompt => prompt.textContent.trim());
    const status = document.querySelector('.jp-Notebook-ExecutionIndicator').dataset.status;
    return status === 'idle' && prompts.some(text => /\\d/.test(text)) && !prompts.some(text => text.includes('*'));
}"""
# window.redrawn resolves to the milliseconds from the next key press until the picture inside `figure` is another one.
WATCH = """figure => { window.redrawn = new Promise((resolve, reject) => {
    const source = () => figure.querySelector('img')?.src;
    const before = source();
    let start = NaN;
    figure.addEventListener('keydown', () => { start = performance.now(); }, {capture: true, once: true});
    const watch = new MutationObserver(() => {
        if (source() && source() !== before) { watch.disconnect(); resolve(performance.now() - start); }
    });
    watch.observe(figure, {subtree: true, childList: true, attributes: true});
    setTimeout(() => reject(new Error('the picture stayed the same for 10 s')), 10000);
}); }"""


def menu(page: Page, top: str, command: str) -> None:
    """Choose a command from the menu bar."""
    page.locator(".lm-MenuBar-itemLabel", has_text=re.compile(f"^{top}$")).click()
    page.locator(f'.lm-Menu li[data-command="{command}"]').first.click()


def open_notebook(page: Page, lab: Lab, path: str) -> Locator:
    """Open a notebook and wait for its kernel."""
    page.goto(lab.page_of(Path(path).stem, path))
    panel = page.locator(".jp-NotebookPanel:visible")
    expect(page.locator("#jp-main-statusbar")).to_contain_text("Python 3 (ipykernel) | Idle", timeout=60_000)
    expect(panel.locator('.jp-Notebook-ExecutionIndicator[data-status="idle"]')).to_be_visible()
    return panel


def cell(panel: Locator, text: str) -> Locator:
    """The code cell that holds this text."""
    return panel.locator(".jp-CodeCell", has_text=text).first


def redraw(page: Page, figure: Locator, key: str) -> float:
    """Move the first slider by one step with the keyboard; milliseconds until the picture is another."""
    figure.evaluate(WATCH)
    figure.locator(".noUi-handle").first.press(key)
    return page.evaluate("window.redrawn")


def stored(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def submit(course: Path, student: str, solved: set[str]) -> None:
    """Put the released notebook into submitted/, with some cells taken from the solution."""
    notebook, solution = stored(Path(__file__).parents[2] / ASSIGNMENT), stored(course / SOLUTION)
    answers = {c.metadata.nbgrader.grade_id: c.source for c in solution.cells if "nbgrader" in c.metadata}
    for one in notebook.cells:
        name = one.metadata.get("nbgrader", {}).get("grade_id")
        one.source = answers[name] if name in solved else one.source
    place = course / "submitted" / student / "a1_roi"
    place.mkdir(parents=True)
    nbformat.write(notebook, place / "a1_roi.ipynb")


def run_all(page: Page, lab: Lab, notebook: nbformat.NotebookNode, path: str) -> Locator:
    """Store a notebook without its outputs, open it, and run it to its end."""
    for one in notebook.cells:
        if one.cell_type == "code":
            one.outputs, one.execution_count = [], None
    nbformat.write(notebook, lab.folder / path)
    panel = open_notebook(page, lab, path)
    menu(page, "Run", "runmenu:run-all")
    page.wait_for_function(RUN_IS_OVER, timeout=RUN_MINUTES * 60_000)
    return panel


def move_sliders(page: Page, panel: Locator, picture: Callable[[str], object], name: str) -> None:
    """Move the first slider of each figure to and fro, and say how long a move takes."""
    figures = panel.locator(".jp-OutputArea:has(.noUi-handle)")
    assert figures.count()
    for number, figure in enumerate(figures.all()):
        figure.locator("img").first.scroll_into_view_if_needed()
        picture(f"{name}_slider_{number}_before")
        milliseconds = [redraw(page, figure, key) for key in ("ArrowRight", "ArrowLeft") * 5]
        picture(f"{name}_slider_{number}_after")
        print(f"{name}: redraw, median {statistics.median(milliseconds):.0f} ms, longest {max(milliseconds):.0f} ms")


def test_lecture_03_runs_to_its_end_and_its_slider_redraws_the_figure(
    page: Page, lab: Lab, picture: Callable[[str], object]
) -> None:
    path = lab.folder / LECTURE
    panel = run_all(page, lab, stored(path), LECTURE)
    with page.expect_response(
        lambda response: response.request.method == "PUT" and response.url.split("?")[0].endswith(LECTURE)
    ):
        menu(page, "File", "docmanager:save")
    code = [one for one in stored(path).cells if one.cell_type == "code"]
    assert [one.execution_count for one in code] == list(range(1, len(code) + 1))
    assert not [out for one in code for out in one.outputs if out.output_type == "error"]
    move_sliders(page, panel, picture, path.stem)


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: Path(path).stem)
def test_sliders_of_the_other_lectures_redraw_their_figures(
    page: Page, lab: Lab, picture: Callable[[str], object], path: str
) -> None:
    notebook = stored(lab.folder / path)
    last = max(
        number for number, one in enumerate(notebook.cells) if one.cell_type == "code" and SLIDERS.search(one.source)
    )
    notebook.cells = notebook.cells[: last + 1]  # nbval runs the rest
    panel = run_all(page, lab, notebook, path)
    move_sliders(page, panel, picture, Path(path).stem)


def test_validate_names_the_cells_that_still_fail(page: Page, lab: Lab, picture: Callable[[str], object]) -> None:
    solution = stored(lab.folder / SOLUTION)
    answer = next(c.source for c in solution.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "bilinear")
    panel = open_notebook(page, lab, ASSIGNMENT)
    cell(panel, "def bilinear(").locator(".cm-content").click()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.insert_text(answer)
    panel.get_by_role("button", name="Validate").click()
    dialog = page.locator(".jp-Dialog", has_text="Validation")
    expect(dialog).to_contain_text("failed", timeout=90_000)
    picture("validate")
    expect(dialog).to_contain_text("assert check(roi_pool")
    expect(dialog).not_to_contain_text("check(bilinear")


def test_formgrader_shows_graded_submissions(page: Page, lab: Lab, picture: Callable[[str], object]) -> None:
    solution = stored(lab.folder / SOLUTION)
    everything = {
        c.metadata.nbgrader.grade_id for c in solution.cells if c.metadata.get("nbgrader", {}).get("solution")
    }
    for student, solved in {"ada": everything, "ben": {"bilinear"}, "eve": set()}.items():
        submit(lab.folder, student, solved)
    command = [sys.executable, str(lab.folder / "course.py"), "grade", "a1_roi"]
    said = subprocess.run(command, cwd=lab.folder, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr

    page.goto(lab.page_of("grading"))
    page.locator(".jp-Launcher").wait_for()
    menu(page, "Nbgrader", "nbgrader:open-formgrader")
    formgrader = page.frame_locator("iframe")
    row = formgrader.locator("tr", has_text="a1_roi")
    expect(row).to_contain_text("3")
    picture("formgrader")
    formgrader.get_by_role("link", name="Manage Students").click()
    for student, score in {"ada": "85 / 100", "ben": "15 / 100", "eve": "0 / 100"}.items():
        expect(formgrader.locator("tr", has_text=student).get_by_text(score, exact=True)).to_be_visible()
    picture("formgrader_students")
