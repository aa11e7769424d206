"""A box of each kind that works here; what came of each attack goes into a table at the end of the run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from small_assignment import CLOSED, HONEST, SECRETS, Grade, Graded, job, processes, untimed

from coursegrade.records import Limits
from coursegrade.worker import checks, sandbox
from coursegrade.worker.box import Box


@pytest.fixture(scope="session", params=["bubblewrap", "landlock"])
def box(request: pytest.FixtureRequest) -> Iterator[Box]:
    """One for all attacks: what one of them leaves, the next would find."""
    if reason := sandbox.works(request.param):
        pytest.skip(reason)
    made = Box(request.param, closed=CLOSED)
    assert honest(made)
    yield made
    assert honest(made)
    made.close()


def honest(box: Box) -> bool:
    """Whether an honest submission comes out as always."""
    result = checks.grade(job(), box)
    return untimed(result) == HONEST and not result.flags


@pytest.fixture
def grade(box: Box, request: pytest.FixtureRequest) -> Grade:
    """Grade a submission; whatever it does, it is over afterwards, and no hidden input is told."""
    before = processes(box)

    def graded(answers: dict[str, str] | None = None, own: str = "", *, checked: bool = False, **limits: Any) -> Graded:
        todo = job(answers, own, Limits(**{"call_s": 20, **limits}), checked=checked)
        found = Graded(todo, checks.grade(todo, box))
        assert len(found.result.cells) == len(todo.steps)
        assert not [secret for secret in SECRETS if secret in found.text]
        assert processes(box) == before
        case = request.node.name.replace(f"[{box.kind}", "[").replace("[-", "[").removeprefix("test_")
        request.node.user_properties.append(
            ("attack", f"{box.kind:<11} {case:<70} {found.outcome()}")
        )  # tests/conftest.py prints it
        return found

    graded.box = box  # type: ignore[attr-defined]
    return graded


@pytest.fixture
def harmless(grade: Grade, box: Box) -> Iterator[Grade]:
    """As ``grade``; an honest submission in the same box comes out as always, after it."""
    yield grade
    assert honest(box)


@pytest.fixture
def canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A course directory with everything that must stay unread, and the token in each of it."""
    for name in (
        "solutions/a0/a0.ipynb",
        "tests/test_a0.py",
        "gradebook.db",
        "submitted/other/a0/a0.ipynb",
        "home/.ssh/id",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("CANARY-5077")
    monkeypatch.setenv("COURSE_SECRET", "CANARY-5077")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path
