"""The environment check: what is there, and what to do about what is not. The first notebook shows it, too."""

import importlib
import importlib.metadata
import importlib.util
import os
import platform
import shutil
import sys
import sysconfig
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from .data import fetch, registry

PACKAGES = ("torch", "torchvision", "jupyterlab", "ipywidgets", "nbgrader")
MEMORY_GB = 3.0  # what a lecture needs at its peak, with the browser beside it
DISK_GB = 1.0  # room for all data of the course
INSTALL = "run `python3 course.py lab`, which installs it (without course.py: `pip install 'coursekit[lab,grade]'`)"


class Line(NamedTuple):
    """One line of the check. ``advice`` is empty when all is well; ``needed`` is false for what only grading uses."""

    name: str
    state: str
    advice: str = ""
    needed: bool = True

    @property
    def ok(self) -> bool:
        """Nothing is left to do."""
        return not self.advice


def check() -> list[Line]:
    """All lines, as a beginner meets what they are about. Nothing here raises or goes to the network."""
    computer = [python(), *map(package, PACKAGES), by("torch", device), by("psutil", memory), disk()]
    return [*computer, *data(), by("jupyter_client", kernel), programs(), by("nbgrader", sandbox)]


def table(lines: Iterable[Line]) -> str:
    """The lines as text: name, what was found, and ok or what to do."""
    return "\n".join(f"{line.name:12} {line.state:42} {line.advice or 'ok'}" for line in lines)


def by(package: str, line: Callable[[], Line]) -> Line:
    """The line that takes a package to write, where that is installed."""
    if importlib.util.find_spec(package) is None:
        return Line(line.__name__, f"unknown without {package}", INSTALL)
    return line()


def python() -> Line:
    """The interpreter: 3.11 or newer, 64 bits."""
    good = sys.version_info[:2] >= (3, 11) and sys.maxsize > 2**32
    advice = "" if good else "install a 64-bit Python 3.11 or newer, delete .venv, run `python3 course.py lab`"
    return Line("Python", f"{platform.python_version()}, {platform.system()} {platform.machine()}", advice)


def package(name: str) -> Line:
    """A package's version."""
    try:
        return Line(name, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Line(name, "not installed", INSTALL)


def device() -> Line:
    """Where tensors are computed: ``COURSEKIT_DEVICE``, else a GPU if there is one, else the processor."""
    import torch

    name = os.environ.get("COURSEKIT_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        kind = torch.empty(0, device=name).device.type
    except (RuntimeError, AssertionError):
        advice = "unset COURSEKIT_DEVICE, or set it to cpu"
        return Line("device", f"COURSEKIT_DEVICE={name}, which cannot be used", advice)
    if kind == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return Line("device", f"{torch.cuda.get_device_name()}, {free / 1e9:.1f} GB free")
    return Line("device", f"{kind}, {torch.get_num_threads()} threads")


def memory() -> Line:
    """Memory that programs can still take."""
    free = importlib.import_module("psutil").virtual_memory().available / 1e9
    advice = "" if free >= MEMORY_GB else "close other programs and notebooks before you run a lecture"
    return Line("memory", f"{free:.1f} GB free", advice)


def disk() -> Line:
    """Space on the disk that holds the data."""
    folder = next(place for place in (fetch.cache(), *fetch.cache().absolute().parents) if place.exists())
    free = shutil.disk_usage(folder).free / 1e9
    advice = "" if free >= DISK_GB else "free some space, or set COURSEKIT_DATA to a folder on another disk"
    return Line("disk", f"{free:.1f} GB free", advice)


def data() -> list[Line]:
    """What is in the cache, then a line for each set. A missing one is no fault where it can come at its first use."""
    files = registry.FILES
    cached = {name: file.size for name, file in files.items() if fetch.is_cached(file)}
    lines = [Line("data", f"{len(cached)} of {len(files)} files, {sum(cached.values()) / 1e6:.0f} MB, in the cache")]
    for name, members in registry.SETS.items():
        size, lesson = sum(files[member].size for member in members) / 1e6, files[members[0]].lesson
        missing = " ".join(member for member in members if member not in cached)
        state = "here" if not missing else "missing" if fetch.offline() else "comes at first use"
        advice = f"unset COURSEKIT_OFFLINE, or run `coursekit data fetch {missing}`" if state == "missing" else ""
        lines.append(Line(f"  {name}", f"{size:.1f} MB, lectures {lesson}, {state}", advice))
    return lines


def kernel() -> Line:
    """The kernel that notebooks ask for, python3, runs this Python."""
    specs = importlib.import_module("jupyter_client.kernelspec")
    advice = "run `python -m ipykernel install --sys-prefix --name python3`"
    try:
        program = specs.KernelSpecManager().get_kernel_spec("python3").argv[0]
    except specs.NoSuchKernel:
        return Line("kernel", "python3 is not registered", advice)
    own = Path(shutil.which(program) or program).absolute() == Path(sys.executable).absolute()
    if own or program in ("python", "python3"):
        return Line("kernel", "python3 is this Python")
    return Line("kernel", f"python3 is {program}", advice)


def programs() -> Line:
    """The environment's own programs are the ones found by name: nbgrader calls alembic so."""
    place = shutil.which("alembic")
    if place is not None and Path(place).parent == Path(sysconfig.get_path("scripts")):
        return Line("programs", "found in this environment", needed=False)
    advice = "start with `python3 course.py lab`, or activate the environment, before you grade"
    return Line("programs", f"alembic: {place or 'not found'}", advice, needed=False)


def sandbox() -> Line:
    """What keeps students' code from the rest of the machine while it is graded. Nobody needs it to learn."""
    from coursegrade import doctor as grading

    safe, lines = grading.check()
    return Line("sandbox", lines[0][:42], "" if safe else "only to grade: run `coursekit grade doctor`", needed=False)
