"""One JupyterLab for all browser tests: started by course.py in a copy of the course, driven by headless Chromium."""

import importlib.util
import json
import os
import queue
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.everything import BROWSERS

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NOT_COPIED = shutil.ignore_patterns(
    ".git", ".venv", "build", "__pycache__", ".*_cache", ".hypothesis", ".ipynb_checkpoints",
    "submitted", "autograded", "feedback", "marks", "gradebook.db*",
)  # fmt: skip


@dataclass(frozen=True)
class Lab:
    """A running JupyterLab: the folder it shows, its address, the token that opens it."""

    folder: Path
    address: str
    token: str

    def page_of(self, workspace: str, path: str = "") -> str:
        """The address of a file, or of the launcher; workspaces keep one test's tabs from the next."""
        return f"{self.address}/lab/workspaces/{workspace}{path and '/tree/'}{path}?token={self.token}"


@pytest.fixture(scope="session")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the course whose .venv is this environment, stamped as up to date, so that nothing is installed."""
    folder = tmp_path_factory.mktemp("browser") / "course"
    shutil.copytree(ROOT, folder, ignore=NOT_COPIED)
    venv = folder / ".venv"
    venv.mkdir()
    for entry in Path(sys.prefix).iterdir():
        if entry.name != "coursekit.json":
            (venv / entry.name).symlink_to(entry)
    spec = importlib.util.spec_from_file_location("course", folder / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.STAMP.write_text(json.dumps({**module.state(), "extras": ["grade", "lab"]}))
    module.pip_install = None
    module.install("lab", "grade")  # the stamp holds, or the call above would have failed
    return folder


@pytest.fixture(scope="session")
def lab(course: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """``course.py lab --no-browser --port …``, as a student on a machine without a screen starts it."""
    jupyter = tmp_path_factory.mktemp("jupyter")  # neither reads nor writes the user's own settings
    settings = {f"JUPYTER_{what}_DIR": str(jupyter / what.lower()) for what in ("CONFIG", "DATA", "RUNTIME")}
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, str(course / "course.py"), "lab", "--no-browser", f"--port={port}"]
    pipe = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(
        command, cwd=course, env={**os.environ, **settings}, start_new_session=True, **pipe
    ) as server:
        said: queue.SimpleQueue[str] = queue.SimpleQueue()
        reader = threading.Thread(target=lambda: [said.put(line) for line in server.stdout], daemon=True)
        reader.start()  # to the end, or the pipe would fill up
        try:
            yield Lab(course, *address(said, port))
        finally:
            os.killpg(server.pid, signal.SIGTERM)
            reader.join()


def address(said: queue.SimpleQueue[str], port: int) -> tuple[str, str]:
    """Wait for the address of the first page and its token, which the Lab prints."""
    while not (
        match := re.search(
            rf"(http://127\.0\.0\.1:{port})/lab/tree/lectures/00_start_here\.ipynb\?token=(\w+)", said.get(timeout=90)
        )
    ):
        pass
    return match[1], match[2]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        program = next(filter(None, map(shutil.which, BROWSERS)), None)
        chromium = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """Where pictures go: ``COURSEKIT_SCREENSHOTS``, or a temporary folder."""
    folder = Path(os.environ.get("COURSEKIT_SCREENSHOTS") or tmp_path)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def page(browser: Browser, shots: Path, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A window of its own; what it shows last is kept as a picture, also when the test fails."""
    context = browser.new_context(viewport={"width": 1400, "height": 1000})
    page = context.new_page()
    page.set_default_timeout(30_000)
    yield page
    page.screenshot(path=shots / f"{request.node.name}.png")
    context.close()


@pytest.fixture
def picture(page: Page, shots: Path) -> Callable[[str], object]:
    """``picture("lecture")`` keeps what the browser shows now."""
    return lambda name: page.screenshot(path=shots / f"{name}.png")
