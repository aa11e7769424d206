"""The gradebook on a PostgreSQL server: the same marks, also graded twice."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) or [
    Path(found).parent for found in [shutil.which("initdb")] if found
]
NAME = "a1"
ROUND = f"""
import coursegrade
coursegrade.release("{NAME}")
for again in (False, True):
    coursegrade.run("{NAME}", again=again, jobs=1)
print(coursegrade.export("{NAME}").read_text())
"""


def as_server(*command: str, **settings: object) -> subprocess.CompletedProcess[str]:
    """PostgreSQL refuses to run as root."""
    user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return subprocess.run([*user, *command], check=True, capture_output=True, text=True, **settings)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of a server of our own."""
    if not PROGRAMS:
        pytest.skip("no PostgreSQL server is installed")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = Path(as_server("mktemp", "-d").stdout.strip())
    control = [str(PROGRAMS[-1] / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    as_server(str(PROGRAMS[-1] / "initdb"), "-D", str(folder / "data"), "-U", "course", "--auth=trust", "-E", "UTF8")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c fsync=off"
    as_server(*control, "-l", str(folder / "log"), "-o", options, "start")
    try:
        as_server(str(PROGRAMS[-1] / "createdb"), "-h", "127.0.0.1", "-p", str(port), "-U", "course", "course")
        yield f"postgresql+psycopg://course@127.0.0.1:{port}/course"
    finally:
        as_server(*control, "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.mark.slow
def test_a_round_on_a_server(released: Path, tmp_path: Path, server: str) -> None:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    (root / "gradebook.db").unlink()
    notebook = nbformat.read(root / "assignments" / NAME / f"{NAME}.ipynb", as_version=4)
    for student, answer in {"ada": "def area(width, height):\n    return width * height", "emmy": "area = 3"}.items():
        next(c for c in notebook.cells if c.metadata.get("nbgrader", {}).get("grade_id") == "area").source = answer
        (root / "submitted" / student / NAME).mkdir(parents=True)
        nbformat.write(notebook, root / "submitted" / student / NAME / f"{NAME}.ipynb")
    environment = {**os.environ, "COURSEKIT_GRADEBOOK": server}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", ROUND], cwd=root, env=environment, text=True, capture_output=True
    )
    assert done.returncode == 0, done.stderr[-2000:]
    marks = {
        line.split(",")[0]: line.split(",") for line in done.stdout.splitlines() if line.startswith(("ada,", "emmy,"))
    }
    assert marks["ada"][1:3] == ["60", "10"]
    assert marks["emmy"][1:3] == ["0", "0"]
    assert not (root / "gradebook.db").exists()
