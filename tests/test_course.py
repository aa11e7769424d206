"""The bootstrap: one sentence for each way in which a fresh computer can refuse, and nothing to do the second time."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = (ROOT / "course.py").read_text(encoding="utf-8")


@pytest.fixture
def course(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """course.py as a module whose folder is an empty one, run by this Python."""
    spec = importlib.util.spec_from_file_location("course", ROOT / "course.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / ".venv").mkdir()
    (tmp_path / "pyproject.toml").write_text("[build-system]\nrequires = ['nothing']\nbuild-backend = 'nothing'\n")
    for name, value in {
        "ROOT": tmp_path,
        "VENV": tmp_path / ".venv",
        "STAMP": tmp_path / ".venv" / "coursekit.json",
    }.items():
        monkeypatch.setattr(module, name, value)
    monkeypatch.setattr(module, "PYTHON", Path(sys.executable))
    return module


def fake_pip(folder: Path, said: str, status: int) -> None:
    """``python -m pip`` in this folder says this and ends so. A package, since a bare folder would lose to the real
    pip.
    """
    (folder / "pip").mkdir()
    (folder / "pip" / "__init__.py").touch()
    (folder / "pip" / "__main__.py").write_text(
        f"import sys\nprint({said!r})\nsys.exit({status} if 'install' in sys.argv else 0)\n"
    )


def test_it_is_one_page_that_needs_nothing_but_python() -> None:
    tree = ast.parse(SOURCE, feature_version=(3, 6))  # or an old Python could not even say that it is too old
    imported = {a.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names}
    imported |= {n.module.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported <= sys.stdlib_module_names
    assert len(SOURCE.splitlines()) <= 170


def test_an_old_python_gets_one_sentence(course: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 1))
    with pytest.raises(SystemExit, match=r"^This course needs Python 3\.11 or newer, this is [^\n]*python.org\.$"):
        course.main()


def test_an_unknown_command_is_answered_with_the_known_ones(
    course: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["course.py", "lba"])
    with pytest.raises(SystemExit, match=r"course\.py lab$"):
        course.main()  # a student's folder: no solutions
    (course.ROOT / "solutions").mkdir()
    whats = "lab · … test · … check · … grade a1_roi · … site · … slides · … pdf 04 · … student"
    with pytest.raises(SystemExit, match=rf"course\.py {whats}$"):
        course.main()


def test_a_python_without_venv_gets_one_sentence(course: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"^This Python lacks its venv module: .*python3-venv"):
        course.make_environment(anew=True)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (
            "ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
            "The disk is full: free",
        ),
        (
            "WARNING: Retrying … NewConnectionError … \nERROR: No matching distribution found for torch",
            "No package index can be reached",
        ),
        ("ERROR: No matching distribution found for torch>=2.9", "no version for this Python or computer"),
        ("ERROR: something else", "pip failed: mend what it says above"),
    ],
)
def test_a_failing_pip_is_explained(course: ModuleType, tmp_path: Path, said: str, sentence: str) -> None:
    fake_pip(tmp_path, said, 1)
    with pytest.raises(SystemExit) as ended:
        course.install("lab")
    last = str(ended.value).splitlines()[-1]
    assert sentence in last
    assert said.splitlines()[-1] in str(ended.value)
    assert not course.STAMP.exists()


def test_the_second_time_nothing_is_installed(
    course: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_pip(tmp_path, "Collecting torch", 0)
    monkeypatch.setattr(course, "run", lambda *arguments: 0)  # the kernel's registration
    course.install("lab", "grade")
    course.install("test")
    assert json.loads(course.STAMP.read_text())["extras"] == ["grade", "lab", "test"]
    monkeypatch.setattr(course, "pip_install", lambda extras: pytest.fail("pip was called again"))
    course.install("lab", "grade")
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'changed'\n")
    with pytest.raises(pytest.fail.Exception, match="pip was called again"):
        course.install("lab")


def test_progress_adds_up_what_pip_downloads(course: ModuleType) -> None:
    lines = [
        "Collecting torch\n",
        "  Downloading torch-2.whl.metadata (500 kB)\n",
        "  Downloading torch-2.whl (1.5 GB)\n",
        "Installing x\n",
    ]
    assert course.progress(lines) == "1500 MB downloaded; Installing x"


def test_children_find_the_environments_programs_first(course: ModuleType) -> None:
    assert course.environment()["PATH"].split(os.pathsep)[0] == str(course.BIN)


def test_waiting_threads_sleep_soon_unless_told_otherwise(course: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert course.environment()["GOMP_SPINCOUNT"] == "10000"
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert course.environment()["GOMP_SPINCOUNT"] == "7"


@pytest.mark.skipif(os.name == "nt", reason="make is not part of Windows")
def test_make_only_passes_on() -> None:
    outside = {
        name: value for name, value in os.environ.items() if not name.startswith("MAKE")
    }  # this run may be make's own
    whats = ("lab", "test", "grade a1_roi", "site", "slides", "pdf 04", "student")
    command = ["make", "-n", *(what.split()[0] for what in whats), "ASSIGNMENT=a1_roi", "LECTURE=04"]
    said = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [f"python3 course.py {what}" for what in whats]
