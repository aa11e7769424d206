"""Releasing, grading and returning assignments. The parts are imported when asked for: a student's box needs none of
nbgrader.
"""

import importlib
from typing import Any

_HOME = {
    "directory": ("course", "release"),
    "collecting": ("collect",),
    "running": ("run", "students"),
    "returning": ("feedback",),
    "exporting": ("export",),
    "reporting": ("report",),
    "journal": ("history",),
    "fitness": ("selftest",),
    "rounds": ("round_trip",),
}
__all__ = [name for names in _HOME.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
