"""How a call into a student's process may end without a value: the process is gone, or something was raised."""

import builtins
from typing import Any

LONGEST_WORDS = 2000  # of an error


class Ended(RuntimeError):
    """The process ended in this call. ``coursekit.testing.check`` reads ``did``: what it did, without a subject."""

    fatal = "crashed"

    def __init__(self, did: str) -> None:
        super().__init__(f"it {did}")
        self.did = did


class TimedOut(Ended):
    """A call took too long."""

    fatal = "timed out"


class Flooded(Ended):
    """A call printed without end."""

    fatal = "flooded"


class OutOfMemory(Ended):
    """A call took more memory or more processes than there are for it."""

    fatal = "out of memory"


class Closed(PermissionError):
    """A student's code called what the assignment closes. ``coursekit.testing.check`` reads ``closed_name``."""

    def __init__(self, name: str) -> None:
        super().__init__(f"it calls {name}, which this assignment closes: write that part yourself")
        self.closed_name = name


def is_dotted(name: str) -> bool:
    """Whether a text is a name and nothing more."""
    return len(name) < 200 and all(part.isidentifier() for part in name.split("."))


def raised(name: str, text: str, line: Any, *, may_stop: bool = False) -> Exception:
    """What a student's code raised, as one of Python's own exceptions: never a class of theirs.

    ``StopIteration`` only from an iterator: out of a function it would end a loop over checks early, without a word."""
    kind = getattr(builtins, name, RuntimeError)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or (
        issubclass(kind, StopIteration | StopAsyncIteration) and not may_stop
    ):
        kind = RuntimeError
    text = text[:LONGEST_WORDS]
    words = text if kind.__name__ == name else f"{name[:60]}: {text}"
    stub = kind is NotImplementedError and not text  # as released: where it stands says nothing
    where = f" (line {line} of the cell)" if type(line) is int and 0 < line < 1e6 and not stub else ""
    try:
        return kind(words + where)  # type: ignore[no-any-return]
    except TypeError:  # UnicodeDecodeError and the like want more
        return RuntimeError(f"{name[:60]}: {text}")
