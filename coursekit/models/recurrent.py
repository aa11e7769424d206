"""Networks with a memory: a cell is applied to one frame after the other and hands its state on (lectures 13, 14).

``rnn_step`` and ``lstm_step`` are the equations. ``Recurrent`` applies one of them to a sequence. ``CNNRNN`` looks at
every frame with a 2D network and lets a recurrent one read what it saw.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check


class State(NamedTuple):
    """What is handed from frame to frame: ``hidden``, also the output, and ``cell``, the LSTM's long memory."""

    hidden: Float[Tensor, "N M"]
    cell: Float[Tensor, "N M"]


def rnn_step(gates: Float[Tensor, "N M"], state: State) -> State:
    """h = tanh(W x + U h + b): ``gates`` is what stands in the brackets. Source: Elman 1990."""
    return State(gates.tanh(), state.cell)


def lstm_step(gates: Float[Tensor, "N gates"], state: State) -> State:
    """Forget a share f of the memory, write a share i of the new, show a share o: c' = f c + i g, h' = o tanh(c').

    ``gates`` holds i, f, g, o, M each, before σ (g: tanh). Source: Hochreiter and Schmidhuber 1997; f: Gers 2000.
    """
    i, f, g, o = gates.chunk(4, 1)  # (N, M) each
    cell = f.sigmoid() * state.cell + i.sigmoid() * g.tanh()
    return State(o.sigmoid() * cell.tanh(), cell)


CELLS: dict[str, tuple[int, Callable[[Tensor, State], State]]] = {"rnn": (1, rnn_step), "lstm": (4, lstm_step)}  # gates


class Recurrent(nn.Module):
    """One cell, applied along a sequence: ``(N, T, inputs) -> (N, T, hidden)`` and the last state.

    Equal to ``torch.nn.RNN`` or ``torch.nn.LSTM`` of one layer with ``batch_first=True``: parameters have the same
    names, shapes and order of gates. They start uniform in ±1/√hidden.
    """

    def __init__(self, inputs: int, hidden: int, *, cell: str = "lstm") -> None:
        super().__init__()
        _check.one_of("cell", cell, tuple(CELLS))
        _check.positive("inputs and hidden", (inputs, hidden))
        self.inputs, self.hidden = inputs, hidden
        gates, self.step = CELLS[cell]
        rows, bound = gates * hidden, 1 / math.sqrt(hidden)
        self.weight_ih_l0 = nn.Parameter(torch.empty(rows, inputs).uniform_(-bound, bound))
        self.weight_hh_l0 = nn.Parameter(torch.empty(rows, hidden).uniform_(-bound, bound))
        self.bias_ih_l0 = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))
        self.bias_hh_l0 = nn.Parameter(torch.empty(rows).uniform_(-bound, bound))

    def forward(self, x: Float[Tensor, "N T F"], state: State | None = None) -> tuple[Float[Tensor, "N T M"], State]:
        n, frames, _ = _check.tensor("x", x, f"N T {self.inputs}", f"pass {self.inputs} features a frame")
        if state is None:
            zero = x.new_zeros(n, self.hidden)
            state = State(zero, zero)
        from_input = x @ self.weight_ih_l0.T + self.bias_ih_l0 + self.bias_hh_l0  # (N, T, gates): all frames at once
        outputs = []
        for t in range(frames):
            state = self.step(from_input[:, t] + state.hidden @ self.weight_hh_l0.T, state)
            outputs.append(state.hidden)
        return torch.stack(outputs, 1) if outputs else x.new_zeros(n, 0, self.hidden), state


class CNNRNN(nn.Module):
    """A 2D network on every frame, a recurrent one over what it says, a class: ``(N, C, T, H, W) -> (N, classes)``.

    ``frame_net`` takes ``(N, C, H, W)`` to ``(N, width)``. Jointly: train the whole. In two steps: train ``frame_net``
    on frames (or take a trained one), keep ``features`` of all clips, and train ``classify`` on those: far cheaper, but
    the frames never learn what the sequence needs. Source: Donahue et al. 2015 (LRCN), section 3.
    """

    def __init__(self, frame_net: nn.Module, *, width: int, classes: int, hidden: int = 32, cell: str = "lstm") -> None:
        super().__init__()
        self.frame_net, self.width = frame_net, width
        self.memory = Recurrent(width, hidden, cell=cell)
        self.head = nn.Linear(hidden, classes)

    def features(self, clip: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N T F"]:
        """What ``frame_net`` says of every frame."""
        n, _, frames, _, _ = _check.tensor("clip", clip, "N C T H W", "pass a batch of clips")
        seen: Tensor = self.frame_net(clip.transpose(1, 2).flatten(0, 1))  # (N·T, F)
        _check.tensor("what frame_net gives", seen, f"K {self.width}", "name its width, and pool over space")
        return seen.view(n, frames, -1)

    def classify(self, features: Float[Tensor, "N T F"]) -> Float[Tensor, "N K"]:
        """Logits from the memory after the last frame."""
        _, state = self.memory(features)
        logits: Tensor = self.head(state.hidden)
        return logits

    def forward(self, clip: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N K"]:
        return self.classify(self.features(clip))
