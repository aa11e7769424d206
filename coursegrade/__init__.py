"""Releasing, grading and returning assignments: ``coursekit grade …``. Submissions are read without running anything,
run cell by cell in a sandbox that knows no tests, and recorded in nbgrader's gradebook. The package imports neither
torch nor coursekit. Its workers do: processes of their own, which run an assignment's checks.

What to read in which order stands in README.md beside this file. The parts are imported when asked for: a student's
box needs none of nbgrader.
"""

import importlib
from typing import Any

_HOME = {
    "directory": ("course", "release"),
    "collecting": ("collect",),
    "running": ("handed_in", "run", "students"),
    "returning": ("feedback",),
    "exporting": ("export",),
    "reporting": ("report",),
    "journal": ("history",),
    "fitness": ("selftest",),
    "variants": ("variant",),
    "rounds": ("round_trip",),
}
__all__ = [name for names in _HOME.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
