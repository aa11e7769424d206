"""Training, in sight: seeds, the device, and one loop that fits on a page."""

import os
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

Batch = Any  # whatever the loss takes: the loop hands it on


def seed_from_environment(default: int = 0) -> int:
    """The seed of this run: ``COURSEKIT_SEED``, else ``default``."""
    text = os.environ.get("COURSEKIT_SEED", str(default))
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"expected COURSEKIT_SEED to be a whole number, got {text!r}: set it to 0, 1, 2 …") from None


def seed_everything(seed: int) -> torch.Generator:
    """Seed Python, numpy and torch, and return a generator of its own for what takes one."""
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - third-party code may still draw from the global state
    torch.manual_seed(seed)
    return torch.Generator().manual_seed(seed)


def device() -> torch.device:
    """Where to compute: ``COURSEKIT_DEVICE`` if set, else a GPU if there is one, else the CPU."""
    name = os.environ.get("COURSEKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"expected COURSEKIT_DEVICE to name a usable device, got {name!r}: unset it or use 'cpu' ({error})") from None


def progress(items: Iterable[Any], *, total: int, label: str, show: bool = True) -> Iterator[Any]:
    """A progress bar on stdout, since text on stderr costs marks in a graded cell."""
    yield from tqdm(items, total=total, desc=label, disable=not show, file=sys.stdout, leave=False, mininterval=0.5)


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    *,
    steps: int,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    label: str = "training",
    show: bool = True,
) -> list[float]:
    """Train ``model`` for ``steps`` batches with AdamW and a one-cycle learning rate; return the loss of every step.

    ``loss_of(model, batch)`` gives the scalar to minimise. Raises ``FloatingPointError`` naming the step whose loss is
    not finite, and ``ValueError`` if ``batches`` ends early.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    losses: list[float] = []
    model.train()
    for step, batch in enumerate(progress(batches, total=steps, label=label, show=show)):
        loss = loss_of(model, batch)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"the loss of step {step} is {loss.item()}: lower lr (now {lr:g}) or look at this batch")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
        if len(losses) == steps:
            return losses
    raise ValueError(f"expected {steps} batches, got {len(losses)}: ask for fewer steps or give an endless stream")
