"""A whole kernel in the box: it computes, and sees neither network, home nor what it may not write."""

from pathlib import Path

import nbclient
import nbformat
import pytest
from jupyter_client.provisioning import KernelProvisionerFactory
from nbformat.v4 import new_code_cell, new_notebook

TRIES = """
import os, socket
found = []
for what, attempt in {
    "home": lambda: open(HOME).read(),
    "write": lambda: open("left_behind", "w"),
    "network": lambda: socket.create_connection(("127.0.0.1", PORT), timeout=1),
    "environment": lambda: os.environ["CANARY"],
}.items():
    try:
        attempt()
        found.append(what)
    except (OSError, KeyError):
        pass
found
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore:.*event loop.*")
def test_a_boxed_kernel_runs_and_is_kept_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import socket

    KernelProvisionerFactory.clear_instance()  # one of an earlier test would not read the variable
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "coursekit-sandbox")
    monkeypatch.setenv("CANARY", "alive")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    secret, here = tmp_path / "secret", tmp_path / "here"
    secret.write_text("a canary")
    here.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as server:
        tries = TRIES.replace("HOME", repr(str(secret))).replace("PORT", str(server.getsockname()[1]))
        notebook = new_notebook(cells=[new_code_cell("6 * 7"), new_code_cell(tries)])
        nbclient.NotebookClient(
            notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(here)}}
        ).execute()
    answers = [cell.outputs[-1]["data"]["text/plain"] for cell in notebook.cells]
    assert answers == ["42", "[]"]
    assert list(here.iterdir()) == []
    assert nbformat.validate(notebook) is None


LOOKS = """
seen = []
for path in "solutions/a1/a1.ipynb", "gradebook.db", "submitted/bob/a1/a1.ipynb", "marks/a1/bob.json", "mine.txt":
    try:
        seen += [path] if open(path).read() else []
    except OSError:
        pass
seen
"""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore:.*event loop.*")
def test_a_boxed_kernel_sees_nothing_private_of_the_course_it_runs_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where its notebook lies at the top of the course."""
    monkeypatch.setenv("JUPYTER_DEFAULT_PROVISIONER_NAME", "coursekit-sandbox")
    monkeypatch.setenv("JUPYTER_PREFER_ENV_PATH", "1")
    for name in ("solutions/a1/a1.ipynb", "gradebook.db", "submitted/bob/a1/a1.ipynb", "marks/a1/bob.json", "mine.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a canary")
    (tmp_path / "nbgrader_config.py").write_text((Path(__file__).parents[2] / "nbgrader_config.py").read_text())
    notebook = new_notebook(cells=[new_code_cell(LOOKS)])
    nbclient.NotebookClient(
        notebook, kernel_name="python3", timeout=60, resources={"metadata": {"path": str(tmp_path)}}
    ).execute()
    assert notebook.cells[0].outputs[-1]["data"]["text/plain"] == "['mine.txt']"
