"""Training, in sight: seeds, the device, and one loop that fits on a page.

The same script trains on one process or, started by ``torchrun --nproc-per-node=N script.py``, on N: each process takes its share of
every batch and the gradients are averaged (lightning-fabric does the talking). Batch norm then counts on each share alone.
"""

import itertools
import logging
import os
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from . import _check

Batch = Any  # whatever the loss takes: a tensor's first axis, and a list, count samples; tuples and dicts are fields
History = list[dict[str, float]]  # a row a step: step, loss, lr, seconds; what ``evaluate`` measured in the rows where it did
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]


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


def progress(items: Iterable[Any], *, total: int, label: str, done: int = 0, show: bool = True) -> Iterator[Any]:
    """A progress bar on stdout, since text on stderr costs marks in a graded cell; ``done`` of ``total`` are behind us."""
    yield from tqdm(items, total=total, initial=done, desc=label, disable=not show, file=sys.stdout, leave=False, mininterval=0.5)


def shuffled(*tensors: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches of ``size`` samples out of tensors whose first axes agree: each sample once before any comes again."""
    count = len(tensors[0])
    if any(len(x) != count for x in tensors) or not 0 < size <= count:
        raise _check.refuse(
            f"tensors of one length of at least {size}", [len(x) for x in tensors], "give one row a sample, or smaller batches"
        )
    while True:
        for rows in torch.randperm(count, generator=generator)[: count - count % size].split(size):
            yield tuple(x[rows.to(x.device)] for x in tensors)


def fit(
    model: nn.Module,
    batches: Iterable[Batch],
    loss_of: Callable[[nn.Module, Batch], Tensor],
    *,
    steps: int,
    lr: float = 1e-3,
    weight_decay: float = 1e-4,
    clip: float | None = None,
    precision: Precision = "32-true",
    evaluate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    checkpoint: Path | None = None,
    every: int = 50,
    label: str = "training",
    show: bool = True,
) -> History:
    """Train ``model``, where it is, for ``steps`` batches with AdamW and a one-cycle learning rate; return a row a step.

    ``loss_of(model, batch)`` gives the scalar to minimise, a mean over the batch, which comes to the model's device. ``clip`` bounds the
    gradient's norm. ``evaluate(model)`` is asked in ``eval`` mode every ``every`` steps and at the end; ``checkpoint`` is written as often.
    If that file is there, training goes on from it: the batches already seen are drawn again and skipped, so give the same stream, and the
    result is the one of a run never stopped. Raises ``FloatingPointError`` naming the batch whose loss is not finite, and
    ``ValueError`` if ``batches`` ends early or the checkpoint is of another run.
    """
    fabric = _fabric(next(model.parameters()).device, precision)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    net, optimizer = fabric.setup(model, optimizer)
    run = {"steps": steps, "lr": lr, "weight_decay": weight_decay, "clip": clip, "precision": precision}
    history = _resume(checkpoint, run, model, optimizer, schedule)
    start = time.monotonic() - (history[-1]["seconds"] if history else 0.0)
    todo = itertools.islice(_skip(batches, history), steps - len(history))
    for batch in progress(todo, total=steps, done=len(history), label=label, show=show and first_process()):
        net.train()
        loss = loss_of(net, fabric.to_device(share(batch, fabric.global_rank, fabric.world_size)))
        mean = float(fabric.all_reduce(loss.detach()))
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of batch {len(history)} is {mean}: lower lr (now {lr:g}) or look at this batch")
        optimizer.zero_grad()
        fabric.backward(loss)
        if clip is not None:
            fabric.clip_gradients(net, optimizer, max_norm=clip)
        optimizer.step()
        history.append({"step": len(history), "loss": mean, "lr": float(schedule.get_last_lr()[0]), "seconds": time.monotonic() - start})
        schedule.step()
        if len(history) % every == 0 or len(history) == steps:
            history[-1] |= evaluate(model.eval()) if evaluate is not None else {}
            _save(checkpoint, run, model, optimizer, schedule, history)
    if len(history) < steps:
        raise ValueError(f"expected {steps} batches, got {len(history)}: ask for fewer steps or give an endless stream")
    return history


def _fabric(where: torch.device, precision: Precision) -> Any:
    """One process on the model's device, or this process's part of a ``torchrun`` group."""
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # it tells the precision on stderr, which costs marks in a graded cell
    world = int(os.environ.get("WORLD_SIZE", 1))
    nodes = world // int(os.environ.get("LOCAL_WORLD_SIZE", world))
    devices: Any = world // nodes if world > 1 or where.type == "cpu" else [where.index or 0]
    fabric = Fabric(accelerator=where.type, devices=devices, num_nodes=nodes, strategy="ddp" if world > 1 else "auto", precision=precision)
    fabric.launch()
    return fabric


def first_process() -> bool:
    """Whether this process is the one of its group that writes files."""
    return int(os.environ.get("RANK", 0)) == 0


def share(batch: Batch, rank: int, world: int) -> Batch:
    """Every ``world``-th sample of a batch, from ``rank`` on."""
    if world == 1:
        return batch
    if isinstance(batch, Mapping):
        return {key: share(value, rank, world) for key, value in batch.items()}
    if isinstance(batch, tuple):
        parts = [share(value, rank, world) for value in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else tuple(parts)
    if len(batch) % world:
        raise _check.refuse(f"a batch that {world} processes can share", f"{len(batch)} samples", f"take a multiple of {world}")
    return batch[rank::world]


def _skip(batches: Iterable[Batch], history: History) -> Iterator[Batch]:
    """The batches that ``history`` has not seen; torch's own randomness is left as if none had been drawn."""
    state, stream = torch.get_rng_state(), iter(batches)
    for _ in itertools.islice(stream, len(history)):
        pass
    if history:
        torch.set_rng_state(state)
    return stream


def _save(place: Path | None, run: dict[str, Any], model: nn.Module, optimizer: Any, schedule: Any, history: History) -> None:
    """Write a checkpoint beside its place and move it there in one step: a kill leaves the last one whole."""
    if place is None or not first_process():
        return
    parts = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    torch.save({**parts, "run": run, "history": history, "rng": torch.get_rng_state(), "cuda_rng": cuda}, part)
    os.replace(part, place)


def _resume(place: Path | None, run: dict[str, Any], model: nn.Module, optimizer: Any, schedule: Any) -> History:
    """Load what ``_save`` wrote, if it is there; the rows so far."""
    if place is None or not place.exists():
        return []
    try:
        saved = torch.load(place, map_location="cpu", weights_only=True)
        same = saved["run"] == run
    except Exception as error:
        raise _check.refuse(f"a checkpoint in {place.name}", f"{type(error).__name__}", "remove the file to start anew") from error
    if not same:
        raise _check.refuse(f"a checkpoint of this run ({run})", f"one of {saved['run']}", f"remove {place.name} or name another file")
    model.load_state_dict(saved["model"])
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])
    torch.set_rng_state(saved["rng"])
    if saved["cuda_rng"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(saved["cuda_rng"])
    history: History = saved["history"]
    return history


@torch.no_grad()
def predict(model: nn.Module, inputs: Tensor, *, size: int = 32) -> Tensor:
    """What ``model`` says in ``eval`` mode of ``inputs (N, …)``, ``size`` at a time on its device; back where the inputs are."""
    where = next(model.parameters()).device
    return torch.cat([model.eval()(part.to(where)).to(inputs.device) for part in inputs.split(size)])
