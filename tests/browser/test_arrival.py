"""What a newcomer sees first: a page that nothing covers, and notebooks that opening does not change."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from playwright.sync_api import Page, expect
from test_lab import open_notebook

if TYPE_CHECKING:
    from conftest import Lab

pytestmark = pytest.mark.browser
ROOT = Path(__file__).parents[2]
NOTEBOOKS = [
    str(path.relative_to(ROOT))
    for folder in ("lectures", "assignments/*")
    for path in sorted(ROOT.glob(f"{folder}/*.ipynb"))
]


def test_nothing_covers_the_first_page(page: Page, lab: Lab) -> None:
    open_notebook(page, lab, "lectures/00_start_here.ipynb")
    page.wait_for_timeout(3000)  # what greets one comes a little after the page
    expect(page.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: Path(path).stem)
def test_to_open_and_save_a_notebook_changes_nothing(page: Page, lab: Lab, path: str) -> None:
    shutil.copy(ROOT / path, lab.folder / path)  # another test may have run and saved it
    panel = open_notebook(page, lab, path)
    marked_as_changed = page.locator(".lm-TabBar-tab.jp-mod-dirty")
    page.wait_for_timeout(500)
    expect(marked_as_changed).to_have_count(0)
    with page.expect_response(
        lambda response: response.url.split("?")[0].endswith(f"{path}/checkpoints") and response.status == 201
    ):
        page.keyboard.press("ControlOrMeta+s")  # a checkpoint follows when it is saved and no longer marked
    assert (lab.folder / path).read_bytes() == (ROOT / path).read_bytes()
    panel.locator(".jp-Cell").first.press("b")  # a new cell is a change
    expect(marked_as_changed).to_have_count(1)
