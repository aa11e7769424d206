"""One comparison: two functions called in turn, the median of the ratios, and what each needs of memory.

A time means little on a shared machine; the ratio of two times taken one after the other means much more.
"""

import contextlib
import ctypes
import gc
import os
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

Function = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the table. Ratios are the peer's time over ours: above 1 we are faster."""

    name: str
    peer: str
    ratio: float
    ratio_min: float
    ratio_max: float
    cpu_ratio: float
    memory_ratio: float  # our peak memory over the peer's, above what was in use before the call
    max_error: float  # largest difference from the peer's result
    sizes: str


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Run what is inside on one thread of torch."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seconds(function: Function) -> tuple[float, float]:
    """Wall and CPU seconds of one call."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def peak_mib(function: Function) -> float:
    """Memory one call adds at its peak, in MiB, seen in a forked child (Linux; NaN elsewhere)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    gc.collect()
    getattr(ctypes.CDLL(None), "malloc_trim", bool)(0)  # give freed memory back, or a call could use it unseen
    read, write = os.pipe()
    if (pid := os.fork()) == 0:
        try:
            before = _kib(status, "VmRSS")
            function()
            os.write(write, str(_kib(status, "VmHWM") - before).encode())
        finally:
            os._exit(0)
    os.close(write)
    os.waitpid(pid, 0)
    with os.fdopen(read) as pipe:
        text = pipe.read()
    return float(text) / 1024 if text else float("nan")


def _kib(status: Path, field: str) -> int:
    return next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith(field))


def compare(
    name: str, peer: str, ours: Function, theirs: Function, *, max_error: float, sizes: str, repeats: int = 9
) -> Row:
    """Time ``ours`` and ``theirs`` in turn ``repeats`` times after one warm-up each, and measure the memory of one call
    of each.
    """
    ours(), theirs()
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(repeats)]
    ratios = [b[0] / a[0] for a, b in pairs]
    return Row(
        name=name,
        peer=peer,
        ratio=statistics.median(ratios),
        ratio_min=min(ratios),
        ratio_max=max(ratios),
        cpu_ratio=statistics.median(b[1] / max(a[1], 1e-9) for a, b in pairs),
        memory_ratio=peak_mib(ours) / max(peak_mib(theirs), 1.0),
        max_error=max_error,
        sizes=sizes,
    )
