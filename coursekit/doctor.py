"""The environment check: what is there, and what to do about what is not. ``coursekit doctor`` and the first notebook
show it.
"""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data.fetch import Row

PACKAGES = ("torch", "torchvision", "jupyterlab", "ipywidgets", "nbgrader")
MEMORY_GB = 3.0  # what a lecture needs at its peak, with the browser beside it
DISK_GB = 1.0  # room for all data of the course
INSTALL = "run `python3 course.py lab`, which installs it"


@dataclass(frozen=True)
class Line:
    """One line of the check. ``advice`` is empty when all is well; ``needed`` is false for what only grading uses."""

    name: str
    found: str
    advice: str = ""
    needed: bool = True

    @property
    def ok(self) -> bool:
        """Nothing is left to do."""
        return not self.advice


def check() -> list[Line]:
    """All lines, in the order in which a beginner meets what they are about. Nothing here raises or goes to the
    network.
    """
    computer = (python, *(_package(name) for name in PACKAGES), device, memory, disk)
    return [*(one() for one in computer), *data(), kernel(), programs(), sandbox()]


def table(lines: Iterable[Line]) -> str:
    """The lines as text: name, what was found, and ok or what to do."""
    return "\n".join(f"{line.name:12} {line.found:42} {line.advice or 'ok'}" for line in lines)


def python() -> Line:
    """The interpreter: 3.11 or newer, 64 bits."""
    old, small = sys.version_info[:2] < (3, 11), sys.maxsize <= 2**32
    advice = "install a 64-bit Python 3.11 or newer, delete .venv, run `python3 course.py lab`" if old or small else ""
    return Line("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}", advice)


def _package(name: str) -> Callable[[], Line]:
    def line() -> Line:
        try:
            return Line(name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            return Line(name, "not installed", INSTALL)

    return line


def device() -> Line:
    """Where tensors are computed: ``COURSEKIT_DEVICE``, else a GPU if there is one, else the processor."""
    if importlib.util.find_spec("torch") is None:
        return Line("device", "unknown without torch", INSTALL)
    import torch

    name = os.environ.get("COURSEKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        kind = torch.empty(0, device=name).device.type
    except (RuntimeError, AssertionError):
        return Line(
            "device", f"COURSEKIT_DEVICE={name}, which cannot be used", "unset COURSEKIT_DEVICE, or set it to cpu"
        )
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return Line("device", f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} GB free")
    return Line("device", f"{kind}, {torch.get_num_threads()} threads")


def memory() -> Line:
    """Memory that programs can still take."""
    if importlib.util.find_spec("psutil") is None:
        return Line("memory", "unknown without psutil", INSTALL)
    free = importlib.import_module("psutil").virtual_memory().available / 1e9
    return Line(
        "memory",
        f"{free:.1f} GB free",
        "" if free >= MEMORY_GB else "close other programs and notebooks before you run a lecture",
    )


def disk() -> Line:
    """Space on the disk that holds the data."""
    from .data import fetch

    folder = next(place for place in (fetch.cache(), *fetch.cache().absolute().parents) if place.exists())
    free = shutil.disk_usage(folder).free / 1e9
    return Line(
        "disk",
        f"{free:.1f} GB free",
        "" if free >= DISK_GB else "free some space, or set COURSEKIT_DATA to a folder on another disk",
    )


def data() -> list[Line]:
    """What is in the cache, then a line for each set. A missing one is no fault where it can come at its first use."""
    from .data import fetch, registry

    rows = {row.name: row for row in fetch.table()}
    cached = [row.size for row in rows.values() if row.cached]
    total = Line("data", f"{len(cached)} of {len(rows)} files, {sum(cached) / 1e6:.0f} MB, in the cache")
    return [
        total,
        *(_set(name, [rows[file] for file in files], fetch.offline()) for name, files in registry.SETS.items()),
    ]


def _set(name: str, rows: list["Row"], offline: bool) -> Line:
    missing = [row.name for row in rows if not row.cached]
    state = "here" if not missing else "missing" if offline else "comes at first use"
    advice = (
        f"unset COURSEKIT_OFFLINE, or run `coursekit data fetch {' '.join(missing)}`" if missing and offline else ""
    )
    return Line(
        f"  {name}", f"{sum(row.size for row in rows) / 1e6:.1f} MB, lectures {rows[0].lesson}, {state}", advice
    )


def kernel() -> Line:
    """The kernel that notebooks ask for, python3, runs this Python."""
    if importlib.util.find_spec("jupyter_client") is None:
        return Line("kernel", "no Jupyter here", INSTALL)
    specs = importlib.import_module("jupyter_client.kernelspec")
    advice = "run `python -m ipykernel install --sys-prefix --name python3`"
    try:
        program = specs.KernelSpecManager().get_kernel_spec("python3").argv[0]
    except specs.NoSuchKernel:
        return Line("kernel", "python3 is not registered", advice)
    here = Path(shutil.which(program) or program).absolute() == Path(sys.executable).absolute() or program in (
        "python",
        "python3",
    )
    return Line("kernel", "python3 is this Python" if here else f"python3 is {program}", "" if here else advice)


def programs() -> Line:
    """The environment's own programs are the ones found by name: nbgrader calls alembic so."""
    found = shutil.which("alembic")
    here = found is not None and Path(found).parent == Path(sysconfig.get_path("scripts"))
    advice = "" if here else "start with `python3 course.py lab`, or activate the environment, before you grade"
    return Line(
        "programs", "found in this environment" if here else f"alembic: {found or 'not found'}", advice, needed=False
    )


def sandbox() -> Line:
    """What keeps students' code from the rest of the machine while it is graded. Nobody needs it to learn."""
    from coursegrade import doctor as grading

    safe, lines = grading.check()
    return Line("sandbox", lines[0][:42], "" if safe else "only to grade: run `coursekit grade doctor`", needed=False)
