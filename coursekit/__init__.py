"""coursekit: every model and metric of "Medical Images: 3D and Video", small enough to read.

Importing it costs no more than importing torch: each room (``coursekit.ops``, ``coursekit.data`` …) is loaded
when it is first named.
"""

import importlib

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load a room on first use, so that ``import coursekit as ck; ck.ops.boxes`` works (PEP 562)."""
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"{__name__}.{name}")
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
