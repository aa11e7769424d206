"""Assignment a6_backprop_rnn: what it closes, its last look, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import pytest
import torch

from coursegrade.cases import read_cases

ROOT = Path(__file__).parents[2]
NAME = "a6_backprop_rnn"
CLOSED = {
    "torch.autograd.backward": """
def square_back(y_hat, y):
    y_hat = y_hat.requires_grad_()
    (y_hat - y).square().mean().backward()
    return y_hat.grad
""",
    "torch.autograd.grad": """
from torch.autograd import grad as renamed


def square_back(y_hat, y):
    y_hat = y_hat.requires_grad_()
    return renamed((y_hat - y).square().mean(), y_hat)[0]
""",
    "torch._functorch": """
def square_back(y_hat, y):
    return getattr(torch.func, "gr" + "ad")(lambda a: (a - y).square().mean())(y_hat)
""",
    "torch.nn.modules.rnn": """
def rnn_step(x, h, W, U, b):
    cell = torch.nn.RNNCell(W.shape[1], len(W)).double()
    cell.load_state_dict({"weight_ih": W, "weight_hh": U, "bias_ih": b, "bias_hh": 0 * b})
    return cell(x, h)
""",
    "coursekit.models": """
def rnn_step(x, h, W, U, b):
    from coursekit.models import recurrent

    return recurrent.rnn_step(x @ W.T + h @ U.T + b, recurrent.State(h, h)).hidden
""",
}
CELLS = {"square_back": ("gates", "gate_square"), "rnn_step": ("rnn", "step_forward")}
TESTS = {
    "forward": "forward",
    "gates": "gate",
    "network_back": "network",
    "rnn": "step",
    "through_time": "time",
    "features_of": "features",
}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_is_refused(assignment: Callable[[str], Any], closed: str) -> None:
    a6 = assignment(NAME)
    (function,) = re.findall(r"^def (\w+)", CLOSED[closed], re.MULTILINE)
    answer, test = CELLS[function]
    assert f"{function} calls {closed}" in a6.messages({answer: CLOSED[closed]}, only=test)[test]


@pytest.mark.parametrize("exercise", TESTS)
def test_each_exercise_is_paid_once(assignment: Callable[[str], Any], exercise: str) -> None:
    a6 = assignment(NAME)
    own = {test for test in a6.points if test.startswith(f"{TESTS[exercise]}_")}
    assert own
    assert a6.lost({exercise: a6.stubs[exercise]}) == own
    others = {name: stub for name, stub in a6.stubs.items() if name != exercise}
    assert own.isdisjoint(a6.lost(others)), "it can be solved when no other is"


@pytest.mark.parametrize("variant", [1, 2])
def test_other_inputs_are_drawn_from_one_number(assignment: Callable[[str], Any], variant: int) -> None:
    a6 = assignment(NAME)
    cells = [nbformat.from_dict(cell) for cell in a6.cells]
    setup = next(cell for cell in cells if cell.id == "setup")
    assert "VARIANT = 0" in setup.source
    setup.source = setup.source.replace("VARIANT = 0", f"VARIANT = {variant}")
    drawn = replace(a6, cells=cells)
    assert drawn.lost({}) == set()
    assert drawn.lost(drawn.stubs) == set(drawn.points)


def test_what_is_done_by_hand_in_the_text_is_so(assignment: Callable[[str], Any]) -> None:
    """The numbers of the visible checks, by autograd."""
    names: dict[str, Any] = {}
    exec(_source(assignment(NAME), "setup"), names)

    def loss(x: torch.Tensor, W1: torch.Tensor, b1: torch.Tensor, W2: torch.Tensor, b2: torch.Tensor) -> torch.Tensor:
        return (torch.sigmoid(x @ W1.T + b1) @ W2.T + b2 - 1).square().mean()

    hand = {"x": [[2.0]], "W1": [[1.0]], "b1": [-2.0], "W2": [[4.0]], "b2": [1.0]}
    found = {name: value.item() for name, value in names["gradients"](loss, 1.0, **hand).items()}
    assert found == {"x": 4, "W1": 8, "b1": 4, "W2": 2, "b2": 4}


def _source(a6: Any, cell_id: str) -> str:
    (cell,) = [cell for cell in a6.cells if cell.id == cell_id]
    return str(cell.source)


def test_the_last_look_learns_as_autograd_does(assignment: Callable[[str], Any]) -> None:
    a6 = assignment(NAME)
    shown: list[Any] = []
    notebook = {"get_ipython": lambda: SimpleNamespace(kernel=None), "display": shown.append}
    for cell_id in ("setup", "gates", "rnn", "through_time", "look"):
        exec(_source(a6, cell_id), notebook)
    assert len(shown) == 1
    autograds, yours = notebook["errors"].values()
    assert max(abs(a - b) for a, b in zip(yours, autograds)) < 1e-9
    assert yours[-1] < 0.8 * yours[0]


def test_the_sheet_quotes_what_is_there(assignment: Callable[[str], Any]) -> None:
    """Each message in the table of common mistakes is one of the checks', for a mistake among the cases."""
    a6, sheet = assignment(NAME), (ROOT / "docs" / "assignments" / f"{NAME}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ([^|]+) \|$", sheet, re.MULTILINE)
    cases = {(case.name.partition(": ")[2], case.test) for case in read_cases(ROOT, NAME) if case.test}
    assert len(rows) >= 20
    for mistake, test, message in rows:
        assert (mistake, test) in cases
        assert f'"{message}"' in _source(a6, test)
    assert f"**{sum(a6.points.values()):g} points by code**" in sheet
