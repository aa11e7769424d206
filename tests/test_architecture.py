"""The rooms of coursekit: who may import whom. Every import counts, also one inside a function."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1] / "coursekit"
LIBRARY = {"types", "_check", "testing", "ops", "flow", "losses", "metrics", "models", "data", "train"}
# room -> what of coursekit it may import, besides itself
MAY_IMPORT = {
    "__init__": set(),
    "__main__": {"cli"},
    "types": set(),
    "_check": {"types"},
    "testing": {"types"},
    "ops": {"types", "_check"},
    "flow": {"types", "_check", "ops.warp"},
    "losses": {"types", "_check"},
    "metrics": {"types", "_check", "ops.boxes"},
    "models": {"types", "_check", "ops", "losses"},
    "data": {"types", "_check", "ops.warp"},
    "train": {"types", "_check"},
    "claims": {"types", "_check", "ops", "losses", "models", "data", "metrics", "train", "flow"},
    "widgets": LIBRARY,
    "grade": set(),
    "bench": LIBRARY,
    "doctor": {"data", "grade"},
    "cli": LIBRARY | {"claims", "grade", "bench", "doctor"},
}
FORBIDDEN_OUTSIDE = {"ops": {"torchvision"}, "grade": {"torch", "torchvision", "numpy"}}
WORKER = ROOT / "grade" / "worker"  # processes of their own, which may import what checks need
FILES = sorted(ROOT.rglob("*.py"))


def room_of(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imports_of(path: Path) -> set[str]:
    """Dotted names this file imports, as absolute names: ``from . import x`` too."""
    package = ("coursekit", *path.relative_to(ROOT).parent.parts)
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
    assert room in MAY_IMPORT, f"{path.name}: no such room; give the file a home in the table of this test and of the README"
    uphill = {n for n in imports_of(path) if n.startswith("coursekit.") and not allowed(n, room)}
    assert not uphill, f"{room} may import {sorted(MAY_IMPORT[room])}"
    outside = {n.split(".")[0] for n in imports_of(path)} & (set() if WORKER in path.parents else FORBIDDEN_OUTSIDE.get(room, set()))
    assert not outside, f"{room} must do without {outside}"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_stays_readable(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 350, "split it: a page an idea"


def test_no_machine_path_is_written_down() -> None:
    """Nothing of the machine it was written on: no home, no absolute path of a checkout."""
    for path in FILES:
        text = path.read_text()
        assert "/home/" not in text, path
        assert "/root/" not in text, path
