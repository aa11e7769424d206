"""The LSTM against ``nn.LSTM``, forward and backward, one thread.

Ours is a loop of readable steps that autograd unrolls; torch's is one fused call. A reference, not a race: torch is
faster.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from coursekit.models.recurrent import Recurrent
from tests.bench.timing import Row, compare

SIZES = [(16, 32, 64, 64), (8, 100, 32, 128)]  # batch, frames, inputs, hidden


def learn(model: nn.Module, x: Tensor) -> None:
    """One forward and backward pass."""
    model(x)[0].square().mean().backward()


def rows(*, repeats: int = 5) -> Iterator[Row]:
    """One row a size of ``SIZES``, on one thread."""
    torch.set_num_threads(1)
    for n, frames, inputs, hidden in SIZES:
        torch.manual_seed(0)
        theirs, x = nn.LSTM(inputs, hidden, batch_first=True), torch.randn(n, frames, inputs)
        ours = Recurrent(inputs, hidden, cell="lstm")
        ours.load_state_dict(theirs.state_dict())
        error = (ours(x)[0] - theirs(x)[0]).abs().max().item()
        sizes = f"({n}, {frames}, {inputs}) → {hidden}"
        yield compare(
            "lstm",
            "torch.nn.LSTM",
            partial(learn, ours, x),
            partial(learn, theirs, x),
            max_error=error,
            sizes=sizes,
            repeats=repeats,
        )
