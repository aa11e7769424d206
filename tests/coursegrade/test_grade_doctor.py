"""What the doctor of grading says, system by system; an assignment's fitness; the bench's own arithmetic."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import coursegrade
from coursegrade import doctor
from coursegrade.cases import FOLDER
from coursegrade.fitness import Fitness
from coursegrade.worker import sandbox
from coursekit import cli
from tests.bench import grade as bench

ROOT = Path(__file__).parents[2]


def without(monkeypatch: pytest.MonkeyPatch, *broken: str) -> None:
    monkeypatch.setattr(sandbox, "works", lambda kind, _: f"{kind} fails" if kind in broken else "")


def test_it_tries_what_is_here() -> None:
    reasons = {kind: sandbox.works(kind) for kind in ("bubblewrap", "landlock")}
    safe, lines = doctor.check()
    assert safe == ("" in reasons.values())
    assert lines[:2] == [f"{kind}: {reason or 'works'}" for kind, reason in reasons.items()]


def test_landlock_is_used_where_bubblewrap_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, "bubblewrap")
    safe, lines = doctor.check()
    assert safe
    assert "Submissions are graded in landlock." in lines
    assert lines[-1].startswith("To do: ")


@pytest.mark.parametrize(
    ("file", "value", "says"),
    [
        ("RESTRICTED", "1", "sudo tee /etc/apparmor.d/"),
        ("CLONE", "0", "kernel.unprivileged_userns_clone=1"),
        ("MOST", "0", "user.max_user_namespaces"),
        (None, "", "in a container, allow user namespaces"),
    ],
)
def test_it_says_exactly_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str | None, value: str, says: str
) -> None:
    without(monkeypatch, "bubblewrap", "landlock")
    for name in ("RESTRICTED", "CLONE", "MOST"):
        monkeypatch.setattr(doctor, name, tmp_path / name)
    if file:
        (tmp_path / file).write_text(value)
    safe, lines = doctor.check()
    assert not safe
    assert says in lines[-1]
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert "apt install bubblewrap" in doctor.check()[1][-1]


def test_elsewhere_the_container_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.sys, "platform", "darwin")
    safe, (line,) = doctor.check()
    assert not safe
    assert "deploy/grader" in line


CASES = """WRONG = [
    ("area", "area_rectangle", "sides may be fractions", [("whole sides", "return width", "return int(width)")]),
    ("area", "area_rectangle", "other words", [("halved", "return", "return 0.5 *")]),
    ("area", "area_zero", "AssertionError", [("at least 1", "return", "return 1 + 0 *")]),
    ("area", "area_zero", "AssertionError", [("the same", "return", "return 1 *")]),
]"""


def test_without_cases_solution_and_stub_are_tried(released: Path, tmp_path: Path) -> None:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    path = root / "solutions" / "a1" / "a1.ipynb"
    path.write_text(path.read_text().replace("area(0, 3) == 0", "area(0, 3) == 1"))
    (one,) = coursegrade.selftest(course_dir=root)
    assert one == Fitness("a1", points=70, solution=60, stub=0, planted=0, caught=0, right=0, accepted=0, missed=())
    assert not one.fit
    assert dataclasses.replace(one, solution=70).fit
    assert not dataclasses.replace(one, solution=70, stub=10).fit
    assert one.sentences == ["a1: no planted and no right answers were tried: put them into tests/grading/cases/a1."]


def test_selftest_counts_and_tells_what_is_missed(
    released: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    right, file = root / FOLDER / "a1" / "right", tmp_path / "counts.json"
    right.mkdir(parents=True)
    (right.parent / "wrong.py").write_text(CASES)
    (right / "lambda.py").write_text("# %% area\narea = lambda width, height: height * width\n")
    (right / "doubtful.py").write_text("# %% area\ndef area(w, h):\n    return min(w * h, 20)\n")
    monkeypatch.chdir(root)
    assert cli.main(["grade", "selftest", "--json", str(file)]) == 1
    assert json.loads(file.read_text()) == {
        "assignments": {"a1": {"planted": 4, "caught": 2, "right": 2, "accepted": 1}}
    }
    table, bar = capsys.readouterr()
    assert "a1: area: halved: loses area_rectangle without 'other words': AssertionError" in table
    assert "a1: area: the same: keeps area_zero, which is about it." in table
    assert (
        "a1: doubtful: a right answer loses area_rectangle: A hidden check failed. Hint: sides may be fractions"
        in table
    )
    assert "/8" in bar  # with the solution and the stub


def test_what_cannot_be_graded_is_not_released(released: Path, tmp_path: Path, refuses: Callable[..., None]) -> None:
    root = Path(shutil.copytree(released, tmp_path / "course"))
    path = root / "solutions" / "a1" / "a1.ipynb"
    path.write_text(path.read_text().replace("assert area(0, 3) == 0", "area(0, 3) == 0"))
    refuses("expected an assignment that can be graded, got 2 problems", coursegrade.release, "a1", root)
    refuses("expected a folder 'a9' in solutions/", coursegrade.release, "a9", root)
    refuses("expected a course directory, with solutions/ or nbgrader_config.py in it", coursegrade.course, tmp_path)


def test_the_bench_compares_the_same_submissions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter(
        [(7.0, 8.0), (6.0, 9.0), (9.0, 9.0), (86.0, 109.0)]
    )  # one submission of ours and of nbgrader, then twenty-one
    monkeypatch.setattr(bench, "_timed", lambda *_: next(times))
    monkeypatch.setattr(bench, "_python", lambda *_: "")
    monkeypatch.setattr(bench, "_marks", lambda course: {"submitted": len(list((course / "submitted").iterdir()))})
    row = bench.measure(count=21)
    assert row["cpu_s"] == pytest.approx(0.1)
    assert row["cpu_ratio"] == pytest.approx(40)
    assert row["wall_ratio"] == pytest.approx(100)
    assert row["start_cpu_s"] == pytest.approx(6.9)
    assert row["whole_cpu_ratio"] == pytest.approx(86 / 9)
    assert row["marks_equal"]
