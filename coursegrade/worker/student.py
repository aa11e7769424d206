"""In the box: runs a student's cells, calls the student's functions, and answers with plain data.

Nothing here is trusted: a student's code may change all of it. It can then say what it likes, and only ever about its
own values.
"""

import ast
import functools
import os
import random
import re
import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from ..notebook import pieces
from . import wire

QUIET = re.compile(r"\A\s*%%(?:time|capture)\b.*\n")  # magics under which nothing goes on after an error
MOST_ERRORS = 20  # of a cell, after which it is left

OPERATIONS: dict[str, Callable[..., Any]] = {
    "call": lambda f, *a, **k: f(*a, **k),
    "attribute": getattr,
    "set": setattr,
    "item": lambda x, key: x[key],
    "length": len,
    "iterate": iter,
    "next": next,
    "text": lambda x: repr(x)[:500],
}


class Student:
    """The names of a student's notebook, what was taken of them at each check, and the objects that checks hold."""

    def __init__(self, connection: socket.socket) -> None:
        self.shell = shell()
        self.connection = connection
        self.taken: dict[int, dict[str, Any]] = {}
        self.objects: list[Any] = []

    def answer(self, action: str, *rest: Any) -> Any:
        """One request to one answer."""
        actions: dict[str, Callable[..., Any]] = {"cell": self.cell, "take": self.take, "do": self.do}
        return actions[action](*rest)

    def cell(self, source: str) -> None:
        """Run a cell as a notebook does. After a statement that fails the others run too; the first error is raised."""
        sys.path_importer_cache.pop(os.getcwd(), None)  # a module that %%writefile has just written is found
        rest, errors = QUIET.sub("", source), list[BaseException]()
        while rest.strip() and len(errors) < MOST_ERRORS:
            ran = self.shell.run_cell(rest, store_history=False)
            if ran.success:
                break
            errors.append(ran.error_before_exec or ran.error_in_exec)
            rest = self.rest(self.shell.transform_cell(rest), ran)
            if rest.strip() and len(errors) == 1:
                errors[0].add_note("What follows in the cell was run all the same")
        if errors:
            raise errors[0]

    @staticmethod
    def rest(source: str, ran: Any) -> str:
        """What is left of a cell, on its own lines: behind the statement that failed, or what of it is Python."""
        if ran.error_before_exec:
            return "".join(piece if _is_python(piece) else "\n" * piece.count("\n") for piece in pieces(source))
        lines, failed = source.split("\n"), _line(ran.error_in_exec, outermost=True)
        ends = (statement.end_lineno or 0 for statement in ast.parse(source).body)
        end = next((end for end in ends if end >= failed > 0), len(lines))
        return "\n" * end + "\n".join(lines[end:])

    def take(self, number: int, names: list[str]) -> dict[str, Any]:
        """Hold on to what these names are now, for the check of this number: plain data is sent, the rest stays."""
        self.taken[number] = {name: self.shell.user_ns[name] for name in names if name in self.shell.user_ns}
        return self.taken[number]

    def do(self, operation: str, target: Any, arguments: list[Any], keywords: dict[str, Any]) -> Any:
        """Call a function, read an attribute …, of a thing taken ``[number, name]`` or an object held."""
        x = self.taken[target[0]][target[1]] if isinstance(target, tuple) else target
        return OPERATIONS[operation](x, *arguments, **keywords)

    def hold(self, x: Any) -> list[Any]:
        """A handle for what is no plain data."""
        self.objects.append(x)
        what = "function" if callable(x) and not isinstance(x, type) and hasattr(x, "__code__") else type(x).__name__
        return ["handle", len(self.objects) - 1, what]

    def find(self, number: int, what: str) -> Any:
        """The object of a handle, or a function of the checks to call back."""
        return self.objects[number] if number >= 0 else lambda *arguments: self.back(-number, *arguments)

    def back(self, number: int, *arguments: Any) -> Any:
        """Ask the other side to call one of its functions."""
        send(self.connection, ("back", number, list(arguments)), self.hold)
        ok, value = receive(self.connection, self.find)
        if not ok:
            raise ValueError(value)
        return value


@functools.cache
def shell() -> Any:
    """IPython, as a notebook has it; made before the fork, since that takes longer than most submissions."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.text import SList
    from traitlets.config import Config

    config = Config({"HistoryManager": {"enabled": False}, "InteractiveShell": {"colors": "NoColor", "xmode": "Plain"}})
    ipython = InteractiveShell.instance(config=config)
    ipython.showtraceback = ipython.showsyntaxerror = lambda *_, **__: None
    ipython.system = lambda command: print(f"Not run while grading: !{command}")
    ipython.getoutput = lambda command, **_: ipython.system(command) or SList()
    ipython.ask_exit = ipython.enable_gui = lambda *_: None
    return ipython


def _is_python(source: str) -> bool:
    try:
        compile(source, "", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def serve(connection: socket.socket) -> None:
    """Answer until the wire closes."""
    seed()
    sys.path.insert(0, "")  # as in a notebook: modules lie beside it
    student, alone = Student(connection), os.getpid()
    while True:
        request = receive(connection, student.find)
        try:
            answer: tuple[Any, ...] = ("value", student.answer(*request))
        except BaseException as error:  # also SystemExit: it ends a call, not the submission
            answer = in_words(error)
        _flush()
        if os.getpid() != alone:  # a copy that a cell forked and let run on to its end: one process answers
            os._exit(0)
        try:
            send(connection, answer, student.hold)
        except Exception as error:
            send(connection, in_words(error), student.hold)


def seed() -> None:
    """All randomness begins alike in every process."""
    import numpy as np
    import torch

    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    torch.manual_seed(0)


def in_words(error: BaseException) -> tuple[Any, ...]:
    """An error for the wire; its own ``__str__`` may be broken too."""
    try:
        return "raised", str(type(error).__name__), _text(error), _line(error)
    except BaseException:
        return "raised", "RuntimeError", "an error that has no words", 0


def _text(error: BaseException) -> str:
    """An error's own words; a syntax error's with its line."""
    if isinstance(error, SyntaxError):
        words = f"{error.msg} (line {error.lineno}: {(error.text or '').strip()})"
    else:
        words = str(error)
    return ". ".join([words[:2000], *getattr(error, "__notes__", [])])


def _line(error: BaseException, *, outermost: bool = False) -> int:
    """Where in the student's cell it was raised, or in which line of its own that began; 0 for nowhere."""
    frames = traceback.extract_tb(error.__traceback__, limit=50 if outermost else -50)
    lines = [frame.lineno or 0 for frame in frames if frame.filename.startswith(("<ipython", "/tmp/ipykernel"))]
    return lines[0 if outermost else -1] if lines else 0


def _flush() -> None:
    """What was printed is on its way before the answer is."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:
            os.write(2, b"\n")


def send(connection: socket.socket, value: Any, handle: wire.Handle) -> None:
    connection.sendall(wire.encode(value, handle=handle))


def receive(connection: socket.socket, lookup: wire.Lookup) -> Any:
    header = _exactly(connection, wire.HEADER.size)
    return wire.decode(header + _exactly(connection, wire.length(header)), lookup=lookup)


def _exactly(connection: socket.socket, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = connection.recv(min(count - len(received), 1 << 20))
        if not chunk:
            os._exit(0)
        received += chunk
    return bytes(received)
