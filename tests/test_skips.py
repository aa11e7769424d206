"""A skipped test fails the run unless it is listed; GPU tests are left out where there is no GPU."""

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
