"""The environment check: it never raises, and each missing thing says what to do."""

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

import pytest

from coursegrade import doctor as grading
from coursekit import doctor
from coursekit.data import fetch, registry


def test_every_line_says_what_was_found() -> None:
    lines = doctor.check()
    names = [line.name for line in lines]
    assert names[:3] == ["Python", "torch", "torchvision"]
    assert {"device", "memory", "disk", "data", "kernel", "sandbox"} <= set(names)
    assert all(line.state for line in lines)
    assert all(line.name in row for line, row in zip(lines, doctor.table(lines).splitlines(), strict=True))


def test_a_missing_package_is_named_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    lines = {line.name: line for line in doctor.check()}
    for name in (*doctor.PACKAGES, "device", "memory", "kernel", "sandbox"):
        assert "course.py lab" in lines[name].advice, name
    assert "COURSEKIT" not in doctor.table(lines.values())


def test_an_old_python_is_told_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor.python().ok
    monkeypatch.setattr(sys, "version_info", (3, 10, 0))
    assert "Python 3.11" in doctor.python().advice


def test_a_device_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DEVICE", "warp")
    assert doctor.device().advice == "unset COURSEKIT_DEVICE, or set it to cpu"


def test_every_set_is_listed_with_its_size_and_whether_it_is_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path / "not" / "yet"))
    total, *sets = doctor.data()
    assert total.state == f"0 of {len(registry.FILES)} files, 0 MB, in the cache"
    assert [line.name.strip() for line in sets] == list(registry.SETS)
    assert sets[2].state == "30.4 MB, lectures 05b–07, comes at first use"
    assert all(line.ok for line in sets)
    assert doctor.disk().ok
    monkeypatch.setattr(fetch, "is_cached", lambda file: not file.name.startswith("brain"))
    assert [line.name.strip() for line in doctor.data()[1:] if not line.state.endswith(", here")] == ["brain MRI"]


def test_where_nothing_may_be_fetched_a_missing_set_says_what_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    monkeypatch.setenv("COURSEKIT_OFFLINE", "1")
    line = doctor.data()[1]
    assert line.state.endswith(", missing")
    assert all(name in line.advice for name in ("COURSEKIT_OFFLINE", "data fetch", *registry.DEFAULT))


def test_the_sets_hold_every_file_once() -> None:
    assert sorted(name for files in registry.SETS.values() for name in files) == sorted(registry.FILES)


def test_little_memory_and_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MEMORY_GB", 1e6)
    monkeypatch.setattr(doctor, "DISK_GB", 1e9)
    assert "close other programs" in doctor.memory().advice
    assert "COURSEKIT_DATA" in doctor.disk().advice


def test_a_kernel_of_another_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(
        '{"argv": ["/opt/other/bin/python", "-m", "x"], "display_name": "x", "language": "python"}'
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    line = doctor.kernel()
    assert "/opt/other/bin/python" in line.state
    assert "ipykernel install --sys-prefix" in line.advice


def test_programs_of_another_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not doctor.programs().ok
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    assert doctor.programs().ok


def test_a_sandbox_that_is_not_there_or_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grading, "check", lambda: (True, ["bubblewrap: works"]))
    assert doctor.sandbox().ok
    monkeypatch.setattr(grading, "check", lambda: (False, ["bubblewrap: is not there", "To do: …"]))
    line = doctor.sandbox()
    assert line.state == "bubblewrap: is not there"
    assert "coursekit grade doctor" in line.advice
    assert not line.needed
