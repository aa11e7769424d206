"""A skipped test fails the run unless it is listed; GPU tests are left out where there is no GPU."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = """
import pytest

def test_passes():
    pass

@pytest.mark.skip(reason="Windows has no make")
def test_make_only_passes_on():
    pass

@pytest.mark.skip(reason="not today")
def test_skipped():
    pass

@pytest.mark.xfail
def test_expected_to_fail():
    assert False
"""


@pytest.mark.parametrize("processes", ["0", "2"])
def test_a_skip_that_is_not_listed_fails_the_run(tmp_path: Path, processes: str) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_course.py").write_text(TESTS)
    (tmp_path / "test_module.py").write_text("import pytest\npytest.importorskip('nosuchmodule')\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        processes,
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
    ]
    ended = subprocess.run([*command, str(tmp_path)], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "not today: this skip is not in ALLOWED_SKIPS" in ended.stdout
    assert "could not import 'nosuchmodule'" in ended.stdout
    assert "1 passed, 1 skipped, 1 xfailed, 2 errors" in ended.stdout


def test_gpu_tests_are_left_out_without_a_gpu(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = gpu\n")
    (tmp_path / "test_two.py").write_text(
        "import pytest\n@pytest.mark.gpu\ndef test_gpu():\n    assert False\ndef test_cpu():\n    pass\n"
    )
    code = "import pytest, torch; torch.cuda.is_available = lambda: False; "
    code += "raise SystemExit(pytest.main(['-p', 'no:cacheprovider']))"
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == 0
    assert "1 passed, 1 deselected" in ended.stdout


def test_a_condition_that_holds_elsewhere_is_listed_here_already(tmp_path: Path) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "test_two.py").write_text(
        "import pytest\n@pytest.mark.skipif(False, reason='x')\ndef test_it(): pass\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert "expected every skipif in ALLOWED_SKIPS (tests/conftest.py), got ['test_two.py::test_it']" in ended.stderr


@pytest.mark.parametrize(("system", "counts"), [("linux", "1 passed, 2 errors"), ("darwin", "1 passed, 2 skipped")])
def test_what_is_for_linux_alone_is_skipped_elsewhere_before_it_is_imported(
    tmp_path: Path, system: str, counts: str
) -> None:
    shutil.copy(Path(__file__).with_name("conftest.py"), tmp_path)
    (tmp_path / "coursegrade" / "worker").mkdir(parents=True)
    for place in ("coursegrade/test_running.py", "coursegrade/worker/conftest.py"):
        (tmp_path / place).write_text("import nosuchmodule\n")
    (tmp_path / "test_two.py").write_text("def test_passes():\n    pass\n")
    (tmp_path / "as_if.py").write_text(f"import sys, hypothesis, torch\nsys.platform = {system!r}\n")
    options = ["-q", "-p", "as_if", "-p", "no:cacheprovider", "--continue-on-collection-errors"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "pytest", *options, str(tmp_path)]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert counts in ended.stdout, ended.stdout
    assert ended.returncode == (system == "linux")
