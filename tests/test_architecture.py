"""The rooms of coursekit: who may import whom. Every import counts, also one inside a function."""

import ast
import importlib
import pkgutil
from pathlib import Path

import pytest

TOP = Path(__file__).parents[1]
ROOT = TOP / "coursekit"
DOOR = {"types", "_check"}
LIBRARY = {*DOOR, "testing", "ops", "flow", "losses", "metrics", "models", "data", "train", "fast"}
# room -> what of coursekit it may import, besides itself
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "types": set(),
    "_check": {"types"},
    "testing": {"types"},
    "fast": DOOR,
    "ops": {*DOOR, "fast"},
    "flow": {*DOOR, "fast", "ops.warp"},
    "losses": {*DOOR, "fast"},
    "metrics": {*DOOR, "fast", "ops.boxes"},
    "models": {*DOOR, "fast", "ops", "losses"},
    "train": {*DOOR, "fast"},
    "data": {*DOOR, "ops.warp"},
    "claims": LIBRARY - {"testing", "fast"},
    "figures": LIBRARY | {"claims"},
    "doctor": {"data"},
    "cli": LIBRARY | {"claims", "doctor"},
}
SIX_ROOMS = {"ops", "flow", "losses", "metrics", "models", "train"}  # what a student reads
NOT_OF_OTHERS = {"ops": {"torchvision"}}  # what the lecture teaches is written here
GRADER = TOP / "coursegrade"
WORKER = GRADER / "worker"  # processes of their own, which may import what checks need
FILES = sorted(ROOT.rglob("*.py"))
GRADER_FILES = sorted(GRADER.rglob("*.py"))
PACKAGES = [".".join(path.parent.relative_to(TOP).parts) for path in FILES + GRADER_FILES if path.name == "__init__.py"]


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports_of(path: Path) -> set[str]:
    """Dotted names this file imports, as absolute names: ``from . import x`` too."""
    package = path.relative_to(TOP).parent.parts
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module]))
            names |= {f"{module}.{alias.name}" for alias in node.names} if module else set()
    return names


def allowed(name: str, room: str) -> bool:
    inside = name.removeprefix("coursekit.")
    own = inside == room or inside.startswith(f"{room}.")
    return own or inside == "__version__" or any(inside == n or inside.startswith(f"{n}.") for n in MAY_IMPORT[room])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_downhill(path: Path) -> None:
    room = room_of(path)
    assert room in MAY_IMPORT, (
        f"{path.name}: no such room; give the file a home in the table of this test and of the README"
    )
    uphill = {n for n in imports_of(path) if n.startswith("coursekit.") and not allowed(n, room)}
    assert not uphill, f"{room} may import {sorted(MAY_IMPORT[room])}"
    assert not {n.split(".")[0] for n in imports_of(path)} & NOT_OF_OTHERS.get(room, set())
    if room not in ("cli", "doctor"):
        assert not any(n.split(".")[0] == "coursegrade" for n in imports_of(path)), (
            "only the command knows of the grader"
        )


@pytest.mark.parametrize("path", GRADER_FILES, ids=lambda p: str(p.relative_to(TOP)))
def test_the_grader_stands_alone(path: Path) -> None:
    """No torch and nothing of coursekit, but in a worker what an assignment's checks are written with."""
    outside = {n for n in imports_of(path) if n.split(".")[0] in {"torch", "torchvision", "numpy", "coursekit"}}
    if WORKER in path.parents:
        outside = {n for n in outside if n.startswith("coursekit.") and not n.startswith("coursekit.testing")}
    assert not outside


@pytest.mark.parametrize("path", FILES + GRADER_FILES, ids=lambda p: str(p.relative_to(TOP)))
def test_a_file_stays_readable(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 350, "split it: a page an idea"
    assert max(map(len, lines), default=0) <= 120


def test_the_library_stays_small() -> None:
    """What a student reads, and the whole."""
    lengths = {path: len(path.read_text().splitlines()) for path in FILES}
    assert sum(length for path, length in lengths.items() if room_of(path) in SIX_ROOMS) <= 5_500
    assert sum(lengths.values()) <= 15_000


@pytest.mark.parametrize("package", PACKAGES)
def test_a_module_is_what_its_name_gives(package: str) -> None:
    """``import coursekit.ops.roi as roi`` is the module, never a function of the same name that the package holds."""
    door = importlib.import_module(package)
    for entry in pkgutil.iter_modules(door.__path__):
        if entry.name not in ("__main__", "_backend"):
            module = importlib.import_module(f"{package}.{entry.name}")
            assert getattr(door, entry.name) is module


def test_no_machine_path_is_written_down() -> None:
    """Nothing of the machine it was written on: no home, no absolute path of a checkout."""
    for path in FILES + GRADER_FILES:
        text = path.read_text()
        assert "/home/" not in text, path
        assert "/root/" not in text, path
