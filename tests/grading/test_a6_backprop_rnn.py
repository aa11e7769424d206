"""Assignment a6_backprop_rnn: what it closes, its last look, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
    "torch.rnn_relu_cell": """
def rnn_step(x, h, W, U, b):
    above, below = (torch.rnn_relu_cell(k * x, k * h, W, U, k * b, 0 * b) for k in (1, -1))
    return torch.tanh(above - below)
""",
    "torch.gru_cell": """
def rnn_step(x, h, W, U, b):
    none = torch.zeros(2 * len(U), W.shape[1] + len(U)).double()
    gates = torch.tensor([[1000.0], [-1000.0]]).double().expand(2, len(U)).flatten()
    W, U = (torch.cat([zeros, w]) for zeros, w in zip(none.split([W.shape[1], len(U)], 1), (W, U)))
    return torch.gru_cell(x, h, W, U, torch.cat([gates, b]), torch.zeros(len(U)).double())
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


ONE_MISTAKE = (
    *("forward: absolute differences", "gates: the mean over rows for W", "network_back: the loss skipped"),
    *("rnn: tanh skipped", "rnn: the slope at the old state", "rnn: tanh skipped on the way to the inputs"),
    *("through_time: the last one written", "through_time: states one too late", "through_time: each step alone"),
)


@pytest.mark.parametrize("mistake", ONE_MISTAKE)
def test_one_mistake_costs_one_cell(assignment: Callable[[str], Any], mistake: str) -> None:
    (case,) = [case for case in read_cases(ROOT, NAME) if case.name == mistake]
    assert assignment(NAME).lost(case.answers) == {case.test}


def test_weights_not_turned_cost_one_cell(assignment: Callable[[str], Any]) -> None:
    a6 = assignment(NAME)
    answer = a6.answers["forward"].replace("W1.T", "W1").replace("W2.T", "W2")
    assert a6.lost({"forward": answer}) == {"forward_stages"}


def test_what_is_done_by_hand_in_the_text_is_so(assignment: Callable[[str], Any]) -> None:
    """The numbers of the visible checks, by autograd."""
    names: dict[str, Any] = {}
    exec(assignment(NAME).source("setup"), names)

    def loss(x: torch.Tensor, W1: torch.Tensor, b1: torch.Tensor, W2: torch.Tensor, b2: torch.Tensor) -> torch.Tensor:
        return (torch.sigmoid(x @ W1.T + b1) @ W2.T + b2 - 1).square().mean()

    hand = {"x": [[2.0]], "W1": [[1.0]], "b1": [-2.0], "W2": [[4.0]], "b2": [1.0]}
    found = {name: value.item() for name, value in names["gradients"](loss, 1.0, **hand).items()}
    assert found == {"x": 4, "W1": 8, "b1": 4, "W2": 2, "b2": 4}


def test_the_last_look_learns_as_autograd_does(assignment: Callable[[str], Any]) -> None:
    a6 = assignment(NAME)
    notebook, shown = a6.looked_at("setup", "gates", "rnn", "through_time", "look")
    assert len(shown) == 1
    autograds, yours = notebook["errors"].values()
    assert max(abs(a - b) for a, b in zip(yours, autograds)) < 1e-9
    assert yours[-1] < 0.8 * yours[0]
