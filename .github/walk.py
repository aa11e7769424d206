#!/usr/bin/env python3
"""A newcomer's first hour, on Linux, macOS and Windows: clone, JupyterLab, the first lecture, an exercise solved; then
what a student is given, JupyterLab and the exercise again.

    python3 .github/walk.py [FOLDER]

needs git and Python, nothing else, and says how long each step took. The clone and the student's zip, unpacked, lie in
FOLDER, or in one that goes away. Their names have a space and an umlaut, as names of folders have.
"""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FIRST_PAGE = "lectures/00_start_here.ipynb"
EXERCISE = "a1_roi"
PATIENCE = 30 * 60  # seconds for the installation
TOKEN = "walk"


def clone(course: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(course)], check=True)


def lab(course: Path) -> None:
    """Start JupyterLab by the one command, open the first page, and shut it down as its menu does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--no-browser", f"--ServerApp.port={port}", f"--IdentityProvider.token={TOKEN}"]
    deadline = time.time() + PATIENCE
    server = subprocess.Popen([sys.executable, "course.py", "lab", *options], cwd=course)
    try:
        while (page := ask(port, f"lab/tree/{FIRST_PAGE}")) is None:
            if server.poll() is not None or time.time() > deadline:
                sys.exit("JupyterLab did not start.")
            time.sleep(1)
        assert b"JupyterLab" in page
        ask(port, "api/shutdown", method="POST")
        assert server.wait(60) == 0
    finally:
        server.kill()


def ask(port: int, place: str, *, method: str = "GET") -> bytes | None:
    """What the server answers, or nothing if it does not listen yet."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/{place}", method=method)
    request.add_header("Authorization", f"token {TOKEN}")
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.read()
    except (ConnectionError, urllib.error.URLError):
        return None


def run(course: Path, *module: str) -> str:
    """Run a module of the environment and return what it prints."""
    python = course / ".venv" / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    settings = {"cwd": course, "env": os.environ | {"PYTHONUTF8": "1", "JUPYTER_PREFER_ENV_PATH": "1"}}
    ended = subprocess.run([python, "-m", *module], check=True, stdout=subprocess.PIPE, encoding="utf-8", **settings)
    return ended.stdout


def lecture(course: Path) -> None:
    run(course, "nbconvert", "--to=notebook", "--execute", "--output-dir=build", FIRST_PAGE)


def exercise(course: Path) -> None:
    """As handed out the checks fail; with the answers they pass."""
    validate(course, course / "solutions")


def hand_out(course: Path) -> None:
    """What a student is given: unpacked beside the course, with an environment of its own."""
    run(course, "deploy.student")
    folder = course.parent / "Übung zu Hause"
    with zipfile.ZipFile(course / "build" / "student.zip") as archive:
        archive.extractall(folder)
    (given,) = folder.iterdir()
    lab(given)
    validate(given, course / "solutions")


def validate(course: Path, solutions: Path) -> None:
    notebook = course / "assignments" / EXERCISE / f"{EXERCISE}.ipynb"
    assert "VALIDATION FAILED" in run(course, "nbgrader", "validate", str(notebook))
    solve(notebook, solutions / EXERCISE / f"{EXERCISE}.ipynb")
    verdict = run(course, "nbgrader", "validate", str(notebook))
    assert "Success!" in verdict, verdict


def solve(notebook: Path, solution: Path) -> None:
    """Put the solution's answers into the notebook's answer cells."""
    pages = [json.loads(path.read_text(encoding="utf-8")) for path in (notebook, solution)]
    handed_out, solved = ({c["metadata"].get("nbgrader", {}).get("grade_id"): c for c in p["cells"]} for p in pages)
    for name, cell in handed_out.items():
        if name and cell["metadata"]["nbgrader"]["solution"]:
            cell["source"] = solved[name]["source"]
    notebook.write_text(json.dumps(pages[0]), encoding="utf-8")


def walk(folder: Path) -> None:
    course = folder / "Kurs für alle"
    for step in (clone, lab, lecture, exercise, hand_out):
        print(f"walk: {step.__name__} …", flush=True)
        start = time.time()
        step(course)
        print(f"walk: {step.__name__} took {time.time() - start:.0f} s", flush=True)


if __name__ == "__main__":
    if sys.argv[1:]:
        walk(Path(sys.argv[1]).resolve())
    else:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
            walk(Path(scratch))
