"""The CI lanes call what exists here, and the GPU lane checks notebooks by the same command as everybody."""

import importlib.util
import os
import shlex
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def jobs(path: Path) -> dict[str, dict]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))["jobs"]


def commands(job: dict) -> list[list[str]]:
    return [shlex.split(line) for step in job["steps"] if "run" in step for line in step["run"].splitlines()]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_every_file_and_module_that_is_called_exists(path: Path) -> None:
    for job in jobs(path).values():
        assert job["timeout-minutes"] <= 60
        for command in commands(job):
            for word in command:
                if word.startswith(("tests", "lectures", ".ci", "course.py")):
                    assert (ROOT / word).exists(), word
            if "-m" in command and "python" in command[command.index("-m") - 1]:
                module = command[command.index("-m") + 1]
                assert module == "pip" or importlib.util.find_spec(module) is not None, (
                    command
                )  # looking for pip itself upsets setuptools


def test_the_cpu_lane_is_the_script_that_everybody_can_run() -> None:
    assert [".ci/run"] in commands(jobs(ROOT / ".github/workflows/cpu.yml")["everything"])
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    *_, last = script.read_text(encoding="utf-8").rstrip().splitlines()
    assert last == 'as_user "make test"'  # its last line is pytest's closing one, its status that of the tests


def test_the_students_path_runs_on_macos_and_windows() -> None:
    job = jobs(ROOT / ".github/workflows/cpu.yml")["student"]
    assert {entry["os"].split("-")[0] for entry in job["strategy"]["matrix"]["include"]} == {"macos", "windows"}
    assert commands(job)[0][:3] == ["python", "course.py", "lab"]


def test_the_gpu_lane_asks_for_a_gpu_first_and_runs_the_same_notebook_command() -> None:
    (job,) = jobs(ROOT / ".github/workflows/gpu.yml").values()
    assert "gpu" in job["runs-on"]
    assert job["env"]["COURSEKIT_DEVICE"] == "cuda"
    first, *_ = commands(job)
    assert first[0] == "nvidia-smi"
    spec = importlib.util.spec_from_file_location("everything", ROOT / "tests" / "everything.py")
    everything = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(everything)
    assert [".venv/bin/python", "-m", *everything.STAGES["lectures"]] in commands(job)
