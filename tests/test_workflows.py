"""The lanes are sound by two linters and call what exists here; what they tell, and whom, is tried with stubs."""

import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
GPU_CHECK = ROOT / ".github" / "gpu_check.sh"


def workflow(name: str) -> dict:
    return yaml.safe_load((ROOT / ".github" / "workflows" / f"{name}.yml").read_text(encoding="utf-8"))


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
                if word.startswith(("tests", "lectures", ".ci", ".github", "course.py", "deploy")):
                    assert (ROOT / word).exists(), word
            if "-m" in command and "python" in command[command.index("-m") - 1]:
                module = command[command.index("-m") + 1]
                assert module == "pip" or importlib.util.find_spec(module) is not None, (
                    command
                )  # looking for pip itself upsets setuptools


@pytest.mark.parametrize(
    "command",
    [
        "zizmor --offline --quiet .github",  # pinned actions, permissions, credentials, injected expressions …
        "check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml",
        "check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml",
    ],
    ids=["zizmor", "workflows", "dependabot"],
)
def test_a_linter_has_nothing_to_say(command: str) -> None:
    name, *words = command.split()
    words = [str(path) for word in words for path in (sorted(ROOT.glob(word)) if word.startswith(".") else [word])]
    places = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    linted = subprocess.run([shutil.which(name, path=places), *words], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


def test_the_cpu_lane_is_the_script_that_everybody_can_run() -> None:
    assert [".ci/run"] in commands(jobs(ROOT / ".github/workflows/cpu.yml")["everything"])
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    *_, tests, hub = script.read_text(encoding="utf-8").rstrip().splitlines()
    assert tests == 'as_user "make test" | tee "$log"'  # with pipefail its status is that of the tests
    assert hub == 'hub "$checkout"'  # and ends with the closing line of the tests


def test_the_students_path_runs_on_macos_and_windows() -> None:
    job = jobs(ROOT / ".github/workflows/cpu.yml")["student"]
    assert {entry["os"].split("-")[0] for entry in job["strategy"]["matrix"]["include"]} == {"macos", "windows"}
    assert commands(job)[0][:3] == ["python", "course.py", "lab"]


def test_the_gpu_lane_runs_no_code_of_forks_and_waits_for_no_runner_that_is_not_there() -> None:
    gpu = workflow("gpu")
    assert gpu[True].keys() == {"push", "workflow_dispatch", "schedule"}  # YAML reads the key "on" as true
    assert gpu["jobs"]["gpu"]["if"] == "vars.GPU_RUNNER == 'on'"
    page = (ROOT / "deploy" / "gpu-runner" / "README.md").read_text(encoding="utf-8")
    assert "gh variable set GPU_RUNNER --body on" in page


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


# --- the GPU lane's script ---

on_linux = pytest.mark.skipif(sys.platform != "linux", reason="the GPU lane's script is for Linux")


def gpu_check(tmp_path: Path, python: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the script with ``python``, a line of shell, in the interpreter's place."""
    stub = tmp_path / "python"
    stub.write_text(f"#!/usr/bin/env bash\n{python}\n", encoding="utf-8")
    stub.chmod(0o755)
    environment = {**os.environ, "PYTHON": str(stub), "GITHUB_STEP_SUMMARY": "", **variables}
    return subprocess.run([GPU_CHECK, *arguments], env=environment, capture_output=True, text=True)


def test_the_gpu_lane_calls_the_script_that_runs_its_tests() -> None:
    (job,) = jobs(ROOT / ".github/workflows/gpu.yml").values()
    assert [".github/gpu_check.sh"] in commands(job)
    assert os.access(GPU_CHECK, os.X_OK)
    text = GPU_CHECK.read_text(encoding="utf-8")
    assert "-m pytest tests -m gpu" in text
    for word in shlex.split(text.split("lectures=(")[2].split(")")[0]):
        assert (ROOT / word).exists(), word


@on_linux
def test_the_gpu_script_says_what_is_missing_and_fails(tmp_path: Path) -> None:
    ended = gpu_check(tmp_path, "exit 1")
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "PyTorch sees no GPU here, so nothing was checked" in ended.stderr
    ended = gpu_check(tmp_path, "exit 0", "lectures/99_none.ipynb")
    assert (ended.returncode, ended.stderr) == (1, "gpu_check: there is no lecture lectures/99_none.ipynb.\n")
    ended = gpu_check(tmp_path, "exit 0", PYTHON=str(tmp_path / "none"))
    assert ended.returncode == 1
    assert "set PYTHON" in ended.stderr


@on_linux
def test_the_gpu_script_runs_each_lecture_on_both(tmp_path: Path) -> None:
    lecture = "lectures/00_start_here.ipynb"
    ended = gpu_check(tmp_path, 'echo "$COURSEKIT_DEVICE $*"', lecture, COURSEKIT_DEVICE="cuda")
    assert ended.returncode == 0, ended.stderr
    said = [line for line in ended.stdout.splitlines() if "pytest" in line and not line.startswith("---")]
    assert [line.split()[0] for line in said] == ["cuda", "cpu", "cuda"]
    assert "-m gpu" in said[0]
    assert all(line.endswith(lecture) for line in said[1:])
    assert re.search(r"\| 00_start_here \| \d+ \| \d+ \|", ended.stdout)


@on_linux
@pytest.mark.parametrize(("python", "sentence"), [("exit 1", "failed: "), ("sleep 9", "stopped after 1 s, the limit")])
def test_the_gpu_script_stops_at_what_fails_or_takes_too_long(tmp_path: Path, python: str, sentence: str) -> None:
    ended = gpu_check(tmp_path, python, "--rehearse", GPU_CHECK_SECONDS="1")
    assert ended.returncode == 1
    assert sentence in ended.stderr
    assert "| lecture |" not in ended.stdout


# --- the weekly lanes ---


def test_each_week_the_lanes_run_and_one_job_that_runs_none_of_our_code_may_write_issues() -> None:
    drift = workflow("drift")
    assert drift[True]["schedule"] == [{"cron": "0 4 * * 0"}]
    lanes = drift["jobs"]["packages"]["strategy"]["matrix"]["lane"]
    assert set(lanes) == {"newest", "candidate", "oldest", "colab"}
    script = (ROOT / ".github" / "drift.sh").read_text(encoding="utf-8")
    assert all(f"\n  {lane})" in script for lane in lanes)
    systems = drift["jobs"]["walk"]["strategy"]["matrix"]["os"]
    assert {system.split("-")[0] for system in systems} == {"ubuntu", "macos", "windows"}
    assert drift["permissions"] == {"contents": "read"}
    may_write = [name for name, job in drift["jobs"].items() if "write" in job.get("permissions", {}).values()]
    assert may_write == ["tell"]
    assert set(drift["jobs"]["tell"]["needs"]) == drift["jobs"].keys() - {"tell"}
    assert commands(drift["jobs"]["tell"]) == [[".github/tell.sh"]]


@on_linux
def test_the_tell_script_keeps_one_open_issue_for_a_lane_until_it_passes(tmp_path: Path) -> None:
    """The stub of ``gh`` answers with the lanes of a run and with the issues that are open."""
    lanes = {"oldest": "failure", "walk": "failure", "colab": "success", "newest": "success", "slow": "cancelled"}
    run = "".join(f"{conclusion}\thttps://run/{lane}\t{lane} (x)\n" for lane, conclusion in lanes.items())
    (tmp_path / "jobs").write_text(run)
    (tmp_path / "gh").write_text(f"""#!/bin/sh
case "$1 $2" in
  "api --paginate") cat {tmp_path}/jobs ;;
  "issue list") case "$*" in *walk*) echo 7 ;; *colab*) echo 8 ;; esac ;;
  *) echo "$*" >>{tmp_path}/calls ;;
esac
""")
    (tmp_path / "gh").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "GH_REPO": "o/r", "RUN": "1"}
    ended = subprocess.run([ROOT / ".github" / "tell.sh"], env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "calls").read_text().splitlines() == [
        "issue create --title Weekly check: oldest (x) --body This lane of drift.yml failed: https://run/oldest",
        "issue comment 7 --body Failed again: https://run/walk",
        "issue close 8 --comment Passed: https://run/colab",
        "issue create --title Weekly check: slow (x) --body This lane of drift.yml failed: https://run/slow",
    ]


@on_linux
def test_the_drift_script_refuses_a_lane_that_is_not_there() -> None:
    ended = subprocess.run([ROOT / ".github" / "drift.sh", "newset", "/dev/null"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "say newest, candidate, oldest or colab" in ended.stderr


@on_linux
def test_the_drift_script_takes_colab_s_versions_for_a_cpu(tmp_path: Path) -> None:
    """The stub of ``curl`` is what Colab says it has; nothing is installed."""
    frozen = "numpy==2.0.2\ntorch==2.9.0+cu126\nspacy @ https://example.org/spacy-3.whl#sha256=8\n"
    stubs = {"curl": f"printf '{frozen}'", "python3": "true", "python": f'echo "$*" >>{tmp_path}/calls'}
    for name, line in stubs.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{line}\n")
        (tmp_path / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    ended = subprocess.run([ROOT / ".github" / "drift.sh", "colab", tmp_path], env=environment, capture_output=True)
    assert ended.returncode == 0, ended.stderr
    assert (tmp_path / "colab.txt").read_text() == "numpy==2.0.2\ntorch==2.9.0\n"
    calls = (tmp_path / "calls").read_text().splitlines()
    assert f"--constraint {tmp_path}/colab.txt" in calls[0]
    assert calls[-1].startswith("-m pytest lectures")


def test_the_walk_puts_the_answers_into_the_answer_cells_alone(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("walk", ROOT / ".github" / "walk.py")
    walk = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(walk)
    notebook = Path(shutil.copy(ROOT / "assignments" / walk.EXERCISE / f"{walk.EXERCISE}.ipynb", tmp_path))
    before = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    walk.solve(notebook, ROOT / "solutions" / walk.EXERCISE / f"{walk.EXERCISE}.ipynb")
    after = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    assert [cell["metadata"] for cell in after] == [cell["metadata"] for cell in before]
    changed = [old for old, new in zip(before, after) if old["source"] != new["source"]]
    assert all(cell["metadata"]["nbgrader"]["solution"] for cell in changed)
    assert "NotImplementedError" in str(before)
    assert "NotImplementedError" not in str([cell["source"] for cell in after if cell["cell_type"] == "code"])
