"""coursekit: every model and metric of "Medical Images: 3D and Video", small enough to read.

Each room (``coursekit.ops``, ``coursekit.data`` …) is loaded when it is first named, so that importing this costs
nothing. ``coursekit.__doc__`` is the page to enter by, README.md beside this file; ``python -m coursekit`` prints it.
"""

import importlib
from pathlib import Path

__version__ = "0.1.0"
__doc__ = Path(__file__).with_name("README.md").read_text(encoding="utf-8")


def __getattr__(name: str) -> object:
    """Load a room on first use, so that ``import coursekit as ck; ck.ops.boxes`` works (PEP 562)."""
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
