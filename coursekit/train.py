"""Training, in sight: seeds, the device, and one loop that fits on a page.

The same script trains on one process or, started by ``torchrun --nproc-per-node=N script.py``, on N: each process
takes its share of every batch and the gradients are averaged (lightning-fabric does the talking). Batch norm then
counts on each share alone.
"""

import hashlib
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
from torch.utils._pytree import tree_leaves
from tqdm.auto import tqdm

from . import _check

Batch = Any  # whatever the loss takes: a tensor's first axis, and a list, count samples; tuples and dicts are fields
History = list[dict[str, float]]  # a row a step: step, loss, lr, seconds, and what ``evaluate`` measured there
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
    _seed(seed, seed, seed)
    return torch.Generator().manual_seed(seed)


def device() -> torch.device:
    """Where to compute: ``COURSEKIT_DEVICE`` if set, else a GPU if there is one, else the CPU."""
    name = os.environ.get("COURSEKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:
        advice = f"unset it or use 'cpu' ({error})"
        raise _check.refuse("COURSEKIT_DEVICE to name a usable device", repr(name), advice) from None


def progress(items: Iterable[Any], *, total: int, label: str, done: int = 0, show: bool = True) -> Iterator[Any]:
    """A progress bar on stdout, since text on stderr costs marks in a graded cell; ``done`` of ``total`` lie behind."""
    yield from tqdm(
        items, total=total, initial=done, desc=label, disable=not show, file=sys.stdout, leave=False, mininterval=0.5
    )


def shuffled(*tensors: Tensor, size: int, generator: torch.Generator) -> Iterator[tuple[Tensor, ...]]:
    """Endless batches of ``size`` samples of tensors as long as each other: each sample once before any comes again."""
    count, lengths = len(tensors[0]), [len(x) for x in tensors]
    if len(set(lengths)) != 1 or not 0 < size <= count:
        raise _check.refuse(f"tensors of one length of at least {size}", lengths, "give one row a sample")
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
    """Train ``model``, where it is, for ``steps`` batches with AdamW and a one-cycle rate; return a row a step.

    ``loss_of(model, batch)`` gives the scalar to minimise, a mean over the batch, which comes to the model's device.
    ``clip`` bounds the gradient's norm. ``evaluate(model)`` is asked in ``eval`` mode every ``every`` steps and at the
    end; ``checkpoint`` is written as often. If that file is there, training goes on from it: the batches already seen
    are drawn again and skipped, so give the same stream, from its beginning, and the result is the one of a run never
    stopped. What is drawn from the global generators of torch, NumPy and Python comes back as it was, on two tracks:
    one for the stream (the order of ``DataLoader(shuffle=True)``), one for the rest. What ``loss_of`` keeps itself (a
    second network, a generator of its own) does not. Raises ``FloatingPointError`` naming the batch whose loss is not
    finite, and ``ValueError`` if ``batches`` ends early, or the checkpoint is of another run, network or stream.
    """
    fabric = _fabric(next(model.parameters()).device, precision)
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=lr, total_steps=steps)
    net, optimizer = fabric.setup(model, optimizer)
    run = {"steps": steps, "lr": lr, "weight_decay": weight_decay, "clip": clip, "precision": precision}
    parts = {"model": model, "optimizer": optimizer, "schedule": schedule, "precision": fabric.strategy.precision}
    past = _resume(checkpoint, run, parts)
    history: History = past["history"]
    stream = _skip(_drawn(batches, past["begin"]), len(history), past["last"])
    _set_randomness(past["randomness"])  # last of all: nothing but the steps may draw from it
    start = time.monotonic() - (history[-1]["seconds"] if history else 0.0)
    todo = itertools.islice(stream, steps - len(history))
    for batch in progress(todo, total=steps, done=len(history), label=label, show=show and first_process()):
        step, rate = len(history), float(schedule.get_last_lr()[0])
        due = (step + 1) % every == 0 or step + 1 == steps
        mark = _mark(batch) if due and checkpoint is not None else ""  # now: ``loss_of`` may write into it
        net.train()
        loss = loss_of(net, fabric.to_device(share(batch, fabric.global_rank, fabric.world_size)))
        mean = float(fabric.all_reduce(loss.detach()))
        if not np.isfinite(mean):
            raise FloatingPointError(f"the loss of batch {step} is {mean}: lower lr (now {lr:g}) or look at this batch")
        optimizer.zero_grad()
        fabric.backward(loss)
        if clip is not None:
            fabric.clip_gradients(net, optimizer, max_norm=clip)
        optimizer.step()
        schedule.step()
        history.append({"step": step, "loss": mean, "lr": rate, "seconds": time.monotonic() - start})
        if due and evaluate is not None:
            history[-1] |= evaluate(model.eval())
        if due and checkpoint is not None and first_process():
            _save(checkpoint, run, parts, past | {"last": mark, "randomness": _randomness()})
    if len(history) < steps:
        raise ValueError(f"expected {steps} batches, got {len(history)}: ask for fewer steps or give an endless stream")
    return history


@torch.no_grad()
def predict(model: nn.Module, *inputs: Tensor, size: int = 32) -> Tensor:
    """What ``model`` says of ``inputs (N, …)`` in ``eval`` mode, ``size`` at a time; it comes back where they are."""
    where, parts = next(model.parameters()).device, zip(*(x.split(size) for x in inputs))
    return torch.cat([model.eval()(*(x.to(where) for x in part)).to(inputs[0].device) for part in parts])


# --- one process, or several that share each batch ---


def _fabric(where: torch.device, precision: Precision) -> Any:
    """One process on the model's device, or this process's part of a ``torchrun`` group."""
    from lightning_fabric import Fabric

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # else it tells the precision on stderr
    world = int(os.environ.get("WORLD_SIZE", 1))
    nodes = world // int(os.environ.get("LOCAL_WORLD_SIZE", world))
    devices: Any = world // nodes if world > 1 or where.type == "cpu" else [where.index or 0]
    strategy = "ddp" if world > 1 else "auto"
    fabric = Fabric(accelerator=where.type, devices=devices, num_nodes=nodes, strategy=strategy, precision=precision)
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
        advice = f"take a multiple of {world}"
        raise _check.refuse(f"a batch that {world} processes can share", f"{len(batch)} samples", advice)
    return batch[rank::world]


# --- the two tracks of randomness ---


def _randomness() -> dict[str, Any]:
    """The state of the global generators, in what a checkpoint may hold."""
    state: Any = np.random.get_state()  # noqa: NPY002
    numpy = (state[0], state[1].tolist(), *state[2:])
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"torch": torch.get_rng_state(), "cuda": cuda, "numpy": numpy, "python": random.getstate()}


def _set_randomness(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    if state["cuda"] and torch.cuda.is_available():
        torch.cuda.set_rng_state_all(state["cuda"])
    np.random.set_state(state["numpy"])  # noqa: NPY002
    random.setstate(state["python"])


def _seed(torch_seed: int, numpy_seed: int, python_seed: int) -> None:
    torch.manual_seed(torch_seed)
    np.random.seed(numpy_seed)  # noqa: NPY002 - third-party code may still draw from the global state
    random.seed(python_seed)


def _drawn(batches: Iterable[Batch], begin: dict[str, Any]) -> Iterator[Batch]:
    """The batches, drawn on a track of their own that ``begin`` tells: neither track changes what the other draws."""
    outside, end = _randomness(), object()
    texts = [begin["torch"].numpy().tobytes(), repr(begin["numpy"]).encode(), repr(begin["python"]).encode()]
    _seed(*(int.from_bytes(hashlib.sha256(text).digest()[:4], "big") for text in texts))
    stream = iter(batches)
    while True:
        batch = next(stream, end)
        own = _randomness()
        _set_randomness(outside)
        if batch is end:
            return
        yield batch
        outside = _randomness()
        _set_randomness(own)


# --- a checkpoint: the run's knobs, its parts, its rows, where its randomness began and stands, its last batch ---


def _mark(batch: Batch) -> str:
    """A short text that tells one batch from another by its numbers and texts."""
    digest = hashlib.sha256()
    for leaf in tree_leaves(batch):
        if isinstance(leaf, Tensor):
            leaf = leaf.detach().cpu().contiguous().flatten().view(torch.uint8).numpy()
        plain = repr(leaf).encode() if isinstance(leaf, int | float | str) else b"?"
        digest.update(leaf.tobytes() if isinstance(leaf, np.ndarray) else plain)
    return digest.hexdigest()


def _skip(stream: Iterator[Batch], count: int, last: str) -> Iterator[Batch]:
    """The stream without its first ``count`` batches, refused if the last of them is not the one ``last`` marks."""
    mark = ""
    for number, batch in enumerate(itertools.islice(stream, count), start=1):
        mark = _mark(batch) if number == count else ""
    if mark != last:
        expected = f"the stream of the run to go on with, up to batch {count - 1}"
        advice = "give it from its beginning, its generators seeded as in the first run, or remove the checkpoint"
        raise _check.refuse(expected, "another batch there", advice)
    return stream


def _save(place: Path, run: dict[str, Any], parts: dict[str, Any], past: dict[str, Any]) -> None:
    """Write a checkpoint beside its place and move it there in one step: a kill leaves the last one whole."""
    place.parent.mkdir(parents=True, exist_ok=True)
    part = place.with_name(f"{place.name}.part")
    torch.save(past | {"run": run, "parts": {name: p.state_dict() for name, p in parts.items()}}, part)
    os.replace(part, place)


def _resume(place: Path | None, run: dict[str, Any], parts: dict[str, Any]) -> dict[str, Any]:
    """What ``_save`` wrote, its parts loaded, if it is there; else the beginning of a run."""
    if place is None or not place.exists():
        return {"history": [], "last": "", "begin": _randomness(), "randomness": _randomness()}
    try:
        saved = torch.load(place, map_location="cpu", weights_only=True)
        past = {name: saved[name] for name in ("history", "last", "begin", "randomness")}
        other, states = saved["run"], saved["parts"]
    except Exception as error:
        advice = "remove the file to start anew"
        raise _check.refuse(f"a checkpoint in {place.name}", type(error).__name__, advice) from error
    advice = f"remove {place.name} or name another file"
    if other != run:
        raise _check.refuse(f"a checkpoint of this run ({run})", f"one of {other}", advice)
    try:
        for name, part in parts.items():
            part.load_state_dict(states[name])
    except (RuntimeError, ValueError, KeyError) as error:
        got = f"one of another ({str(error).splitlines()[0]})"
        raise _check.refuse("a checkpoint of this network", got, advice) from error
    return past
