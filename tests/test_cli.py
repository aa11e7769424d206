"""The terminal's door: every command reaches its room, and complaints are one sentence."""

import importlib
import json
import math
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import coursegrade
from coursekit import claims, cli, doctor
from coursekit.data import fetch
from tests import bench
from tests.bench import __main__ as measuring
from tests.bench.timing import Row

ROW = Row("roi_pool", "torchvision", 2.0, 1.5, 2.5, 2.0, math.nan, 0.0, "7×7")


def test_the_module_runs_and_knows_its_commands() -> None:
    said = subprocess.run(
        [sys.executable, "-m", "coursekit", "--help"], capture_output=True, text=True, check=True
    ).stdout
    assert all(command in said for command in ("doctor", "data", "grade", "claims"))


def test_a_complaint_of_ours_is_one_sentence_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["data", "fetch", "nosuchfile"]) == 1
    assert capsys.readouterr().err.startswith("coursekit: expected a name of the data registry, got 'nosuchfile'")


def test_a_fault_of_the_program_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "names", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        cli.main(["claims", "list"])


def test_doctor_ends_with_1_only_for_what_learning_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [doctor.Line("Python", "3.12.1"), doctor.Line("sandbox", "not found", "install it", needed=False)]
    monkeypatch.setattr(doctor, "check", lambda: lines)
    assert cli.main(["doctor"]) == 0
    lines.append(doctor.Line("torch", "not installed", "run this"))
    assert cli.main(["doctor"]) == 1
    assert "run this" in capsys.readouterr().out


def test_data_commands_use_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    assert cli.main(["data", "list"]) == 0
    assert "nuclei2d_image    0.5 MB   no " in capsys.readouterr().out
    assert cli.main(["data", "verify"]) == 0
    assert capsys.readouterr().out == "nothing to show\n"
    monkeypatch.setattr(fetch, "verify", lambda: {"street": "other bytes: fetch it"})
    assert cli.main(["data", "verify"]) == 1
    assert cli.main(["data", "clean"]) == 0
    assert f"0 MB freed in {tmp_path}" in capsys.readouterr().out


RUN = {"only": None, "jobs": 0, "again": False, "scheduler": "", "unsafe": False}


@pytest.mark.parametrize(
    ("line", "function", "arguments", "knobs"),
    [
        ("release a1_roi", "release", ("a1_roi",), {}),
        ("feedback a1_roi", "feedback", ("a1_roi",), {}),
        ("report a1_roi", "report", ("a1_roi",), {}),
        ("round a1_roi", "round_trip", ("a1_roi",), {}),
        ("run a1_roi", "run", ("a1_roi",), RUN),
        (
            "run a1_roi --student ada --student emmy --jobs 3 --again",
            "run",
            ("a1_roi",),
            RUN | {"only": ["ada", "emmy"], "jobs": 3, "again": True},
        ),
        (
            "run a1_roi --scheduler tcp://a:1 --unsafe",
            "run",
            ("a1_roi",),
            RUN | {"scheduler": "tcp://a:1", "unsafe": True},
        ),
        ("export a1_roi --layout moodle", "export", ("a1_roi",), {"layout": "moodle"}),
        ("collect a1_roi all.zip", "collect", (Path("all.zip"), "a1_roi", "."), {}),
        ("selftest a1_roi", "selftest", (["a1_roi"],), {"variants": 0}),
        ("selftest --variants 3", "selftest", ([],), {"variants": 3}),
        ("variant a1_roi --seed 7", "variant", ("a1_roi",), {"seed": 7}),
    ],
)
def test_grade_calls_the_step(
    line: str, function: str, arguments: tuple[object, ...], knobs: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[tuple[object, object]] = []
    monkeypatch.setattr(coursegrade, "course", lambda: None, raising=False)
    monkeypatch.setattr(coursegrade, function, lambda *a, **k: called.append((a, k)) or [], raising=False)
    assert cli.main(["grade", *line.split()]) == 0
    assert called == [(arguments, knobs)]


@pytest.mark.parametrize(
    "line",
    [
        *("release a1", "collect a1 .", "run a1", "feedback a1", "export a1", "report a1", "round a1"),
        *("selftest", "variant a1 --seed 1"),
    ],
)
def test_outside_a_course_no_step_is_taken(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["grade", *line.split()]) == 1
    expected = f"coursekit: expected a course directory, with solutions/ or nbgrader_config.py in it, got {tmp_path}: "
    assert capsys.readouterr().err == f"{expected}change into yours and run this again\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("step", ["run", "round"])
def test_several_assignments_are_graded_by_one_command(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    graded: list[str] = []
    monkeypatch.setattr(coursegrade, "handed_in", lambda: ["a1_roi", "a2_mask_ap"], raising=False)
    for function in ("run", "round_trip"):
        monkeypatch.setattr(coursegrade, function, lambda name, **_: graded.append(name) or [name], raising=False)
    assert cli.main(["grade", step, "a5_flow", "a4_inflation"]) == 0
    assert cli.main(["grade", step]) == 0
    assert graded == ["a5_flow", "a4_inflation", "a1_roi", "a2_mask_ap"]


def test_every_name_of_the_grading_door_is_a_function() -> None:
    """A module of the same name would take its place once it is imported."""
    code = """
import importlib, pkgutil
import coursegrade
for module in pkgutil.iter_modules(coursegrade.__path__):
    importlib.import_module(f"coursegrade.{module.name}")
assert all(callable(getattr(coursegrade, name)) for name in coursegrade.__all__), coursegrade.__all__
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_claims_run_and_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[str, int, int]] = []
    monkeypatch.setattr(claims, "run", lambda name, *, seeds, jobs: asked.append((name, seeds, jobs)))
    monkeypatch.setattr(claims, "table", lambda: [{"name": "roi", "effect": 0.123456}])
    assert cli.main(["claims", "run", "roi", "--seeds", "3", "--jobs", "2"]) == 0
    assert asked == [("roi", 3, 2)]
    assert cli.main(["claims", "table", "--json", str(tmp_path / "table.json")]) == 0
    assert "0.1235" in capsys.readouterr().out
    assert json.loads((tmp_path / "table.json").read_text()) == [{"name": "roi", "effect": 0.123456}]


def test_bench_writes_rows_as_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_bench.py").write_text("def rows():\n    return ROWS\n")
    monkeypatch.setattr(bench, "__path__", [str(tmp_path)])
    monkeypatch.setitem(sys.modules, "tests.bench.toy_bench", SimpleNamespace(rows=lambda: iter([ROW])))
    monkeypatch.setattr(sys, "argv", ["bench", "ops", "--json", str(tmp_path / "bench.json")])
    assert measuring.main() == 0
    (row,) = json.loads((tmp_path / "bench.json").read_text())
    assert (row["name"], row["ratio"], row["memory_ratio"]) == ("roi_pool", 2.0, None)


def test_a_reader_who_leaves_early_sees_no_traceback() -> None:
    command = [sys.executable, "-m", "coursekit", "data", "list"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asked:
        asked.stdout.close()
        assert asked.stderr.read() == b""
        assert asked.wait() == 0


def test_bench_names_the_peer_that_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    monkeypatch.delitem(sys.modules, "tests.bench.detection", raising=False)
    monkeypatch.setattr(measuring, "rows", lambda: iter([importlib.import_module("tests.bench.detection")]))
    monkeypatch.setattr(sys, "argv", ["bench", "ops"])
    assert measuring.main() == 1
    assert "got no module faster_coco_eval: `pip install" in capsys.readouterr().err
