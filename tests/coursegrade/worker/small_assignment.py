"""A small assignment to attack, and what came of grading it."""

import dataclasses
from collections.abc import Callable

from coursegrade.records import CellResult, Job, Limits, Result, Step, to_json
from coursegrade.worker import warm
from coursegrade.worker.box import Box

CLOSED = (
    *("coursekit.ops.roi", "torchvision.ops", "torch.ops.torchvision", "torch.nn.functional.grid_sample"),
    *("torch.grid_sampler", "torch.ops.aten.grid_sampler", "numpy.convolve"),
)
SECRETS = ("kingfisher", "735191")  # what only hidden checks know
SETUP = "import torch\nfrom coursekit.testing import check"
ANSWERS = {"double": "def double(x):\n    return 2 * x", "shout": "def shout(text):\n    return text.upper()"}
CHECKED = """assert check(double, (3,), 6, hint="twice")
### BEGIN HIDDEN TESTS
assert check(double, (735191,), 1470382, hint="large ones too", hidden=True)
### END HIDDEN TESTS"""  # slower in this test run, which checks types at every call
TESTS = {
    "double": """assert double(3) == 6, "twice"
### BEGIN HIDDEN TESTS
assert double(735191) == 1470382, "large ones too"
### END HIDDEN TESTS""",
    "shout": """assert shout("a") == "A", "capitals"
### BEGIN HIDDEN TESTS
assert shout("kingfisher") == "KINGFISHER", "all of them"
### END HIDDEN TESTS""",
}
HONEST = (CellResult(),) * 5


def job(
    answers: dict[str, str] | None = None, own: str = "", limits: Limits | None = None, *, checked: bool = False
) -> Job:
    """A setup, an own cell, two answers, two graded cells."""
    sources = ANSWERS | (answers or {})
    steps = [Step("given", SETUP), *([Step("own", own)] if own else [])]
    steps += [Step("answer", sources[name], name, (name,)) for name in sources]
    tests = TESTS | ({"double": CHECKED} if checked else {})
    steps += [Step("test", tests[name], f"{name}_test", points=5) for name in tests]
    return Job("a0", "a0", "s", tuple(steps), CLOSED, limits or Limits(call_s=20))


class Graded:
    """What came of a submission, by cell."""

    def __init__(self, job: Job, result: Result) -> None:
        self.result = result
        self.own = next((cell for step, cell in zip(job.steps, result.cells) if step.kind == "own"), CellResult())
        self.cells = {step.grade_id: cell for step, cell in zip(job.steps, result.cells) if step.grade_id}
        self.passed = {name for name in TESTS if self.cells[f"{name}_test"].ok}
        self.text = to_json(result)

    def outcome(self) -> str:
        fatal = {cell.fatal for cell in self.result.cells if cell.fatal}
        return f"passes {', '.join(sorted(self.passed)) or 'nothing'}{'; ' + ', '.join(sorted(fatal)) if fatal else ''}"


def untimed(result: Result) -> tuple[CellResult, ...]:
    return tuple(dataclasses.replace(cell, seconds=0.0) for cell in result.cells)


def processes(box: Box) -> set[int]:
    """The box's own processes."""
    return {box.process.pid, *warm.descendants(box.process.pid)}


Grade = Callable[..., Graded]
