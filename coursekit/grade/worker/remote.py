"""Outside the box: a student's process, and stand-ins for what lives in it.

Whatever comes over the wire is checked to be plain data; what is called is called there. A call that crashes, hangs or floods ends the
process; the next one begins anew.
"""

import builtins
import contextlib
import json
import os
import selectors
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

from ..records import Limits
from . import sandbox, wire

FLOOD = 32 << 20  # bytes of output in one call
SLACK_S = 5.0  # of the system's own, on a loaded machine


class Ended(RuntimeError):
    """A student's process ended, or was ended, in this call."""

    fatal = "crashed"


class TimedOut(Ended):
    """A call took too long."""

    fatal = "timed out"


class Flooded(Ended):
    """A call printed without end."""

    fatal = "flooded"


class OutOfMemory(Ended):
    """A call took more memory or more processes than there are for it."""

    fatal = "out of memory"


class Box:
    """A warm start in its outer box; one student's process at a time. ``kind`` is bubblewrap, landlock, or none."""

    def __init__(self, kind: str, *, closed: Sequence[str] = ()) -> None:
        self.kind, self.closed = kind, tuple(closed)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "coursekit.grade.worker.warm", str(theirs.fileno())]
        line = sandbox.bubblewrap(command, closed=closed) if kind == "bubblewrap" else command
        self.process = subprocess.Popen(
            line, pass_fds=[theirs.fileno()], env=sandbox.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )  # fmt: skip
        theirs.close()
        self.control.send(json.dumps({"kind": kind, "closed": self.closed}).encode())
        answer = self.control.recv(1 << 16)
        if not answer:
            reason = (self.process.communicate()[1].decode().strip().splitlines() or ["no reason given"])[-1]
            raise RuntimeError(f"the sandbox did not start: {reason[:300]}")
        self.held_mb = float(json.loads(answer))
        self.running = False

    def start(self, limits: Limits) -> tuple[socket.socket, int]:
        """A new student's process: our end of the wire, and where its prints come out."""
        self.stop()
        ours, theirs = socket.socketpair()
        readable, writable = os.pipe()
        settings = asdict(limits) | {"cpu_s": limits.total_s}
        socket.send_fds(self.control, [json.dumps(settings).encode()], [theirs.fileno(), writable])
        theirs.close()
        os.close(writable)
        self.running = True
        return ours, readable

    def stop(self) -> dict[str, Any]:
        """End the student's process and all it started; what they used."""
        if not self.running:
            return {}
        self.running = False
        self.control.send(b"null")
        used: dict[str, Any] = json.loads(self.control.recv(1 << 16) or b"{}")
        return used

    def close(self) -> None:
        """End the warm start."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.communicate()


class Printed:
    """What one step prints: the beginning and the end of it."""

    def __init__(self, keep: int) -> None:
        self.keep, self.total, self.head, self.tail = keep, 0, b"", b""

    def add(self, chunk: bytes) -> None:
        self.total += len(chunk)
        room = self.keep // 2 - len(self.head)
        self.head += chunk[:room]
        self.tail = (self.tail + chunk[room:])[-self.keep // 2 :] if len(chunk) > room else self.tail

    def text(self) -> str:
        left_out = self.total - len(self.head) - len(self.tail)
        middle = f"\n… {left_out} bytes left out …\n".encode() if left_out > 0 else b""
        return (self.head + middle + self.tail).decode("utf-8", "replace")


class Remote:
    """One submission's process, started anew after each end, by ``replay``."""

    def __init__(self, box: Box, limits: Limits) -> None:
        self.box, self.limits = box, limits
        self.deadline = time.monotonic() + limits.total_s
        self.used: dict[str, float] = {"cpu_s": 0.0, "peak_mb": 0.0}
        self.printed = Printed(limits.output_kb << 10)
        self.callbacks: list[Callable[..., Any]] = []
        self.alive, self.fatal, self.starts, self.over = False, "", 0, ""
        self.call_s = limits.call_s
        self.connection: socket.socket | None = None
        self.output = -1

    def start(self) -> None:
        """A fresh process that knows nothing."""
        self.end()
        self.connection, self.output = self.box.start(self.limits)
        self.connection.setblocking(False)
        os.set_blocking(self.output, False)
        self.alive, self.fatal = True, ""
        self.starts += 1

    def end(self) -> None:
        """Stop the process, if there is one."""
        if self.connection is None:
            return
        used = self.box.stop()
        self.used["cpu_s"] += used.get("cpu_s", 0.0)
        self.used["peak_mb"] = max(self.used["peak_mb"], used.get("peak_mb", 0.0) - self.box.held_mb)
        self.over = used.get("over", "")
        self.connection.close()
        os.close(self.output)
        self.connection, self.alive = None, False

    def request(self, *message: Any) -> Any:
        """Ask, answer what is asked back, and return the value, or raise what was raised there."""
        if not self.alive:
            raise Ended("the process had ended before")
        sent: Any = message
        while True:
            answer = self._exchange(wire.encode(sent, handle=self._handle))
            if isinstance(answer, tuple) and len(answer) == 3 and answer[0] == "back":
                sent = self._call_back(*answer[1:])
                continue
            if isinstance(answer, tuple) and len(answer) == 2 and answer[0] == "value":
                return answer[1]
            if isinstance(answer, tuple) and len(answer) == 4 and answer[0] == "raised" and all(type(x) is str for x in answer[1:3]):
                raise raised(*answer[1:])
            self._fail(Ended, "its process answered with what is no answer")

    def _call_back(self, number: Any, arguments: Any) -> tuple[bool, Any]:
        if type(number) is not int or not 0 < number <= len(self.callbacks) or not isinstance(arguments, list):
            self._fail(Ended, "its process called a function that is not there")
        try:
            return True, self.callbacks[number - 1](*arguments)
        except Exception:  # of values that a student's code made up: no word of it goes back
            return False, None

    def _handle(self, x: Any) -> list[Any]:
        """What goes over: an object of theirs, or a function of ours."""
        if isinstance(x, RemoteObject):
            if x._starts != self.starts:
                raise Ended("what is passed in belongs to a process that has ended")
            return ["handle", x._number, ""]
        if not callable(x):
            raise TypeError(f"expected plain data or a function to pass to a student's code, got {type(x).__name__}")
        self.callbacks.append(x)
        return ["handle", -len(self.callbacks), ""]

    def _lookup(self, number: int, what: str) -> "RemoteObject":
        return RemoteObject(self, number, what)

    def _exchange(self, frame: bytes) -> Any:
        """Send one frame and wait for one, within the limits."""
        assert self.connection is not None
        until = min(time.monotonic() + self.call_s, self.deadline + SLACK_S)
        to_send, got = memoryview(frame), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self.output, selectors.EVENT_READ)
            while True:
                left = until - time.monotonic()
                if left <= 0:
                    whole = self.deadline < time.monotonic()
                    allowed = f"all {self.limits.total_s:g} s of this submission" if whole else f"the {self.call_s:g} s of one call"
                    self._fail(TimedOut, f"it took more than {allowed}: is there a loop that never ends?")
                for key, events in selector.select(left):
                    if key.fd == self.output:
                        self._listen(selector)
                        continue
                    if events & selectors.EVENT_WRITE and to_send:
                        to_send = to_send[self._send(to_send) :]
                        if not to_send:
                            selector.modify(self.connection, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ and self._receive(got):
                        self._listen(selector)
                        return self._decode(bytes(got))

    def _send(self, data: memoryview) -> int:
        assert self.connection is not None
        try:
            return self.connection.send(data[: 1 << 20])
        except OSError:
            self._fail(Ended, CRASHED)

    def _receive(self, got: bytearray) -> bool:
        """Take what has come; whether the frame is whole."""
        assert self.connection is not None
        with contextlib.suppress(BlockingIOError):
            try:
                chunk = self.connection.recv(1 << 20)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self._fail(Ended, CRASHED)
            got += chunk
        if len(got) < wire.HEADER.size:
            return False
        try:
            missing = wire.HEADER.size + wire.length(bytes(got[: wire.HEADER.size])) - len(got)
        except wire.Malformed as error:
            self._fail(Ended, f"its process sent {error}")
        if missing < 0:
            self._fail(Ended, "its process sent more than one answer")
        return missing == 0

    def _decode(self, frame: bytes) -> Any:
        try:
            return wire.decode(frame, lookup=self._lookup)
        except wire.Malformed as error:
            self._fail(Ended, f"its process sent {error}")

    def _listen(self, selector: selectors.BaseSelector) -> None:
        """Take what was printed so far."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.output, 1 << 16):
                self.printed.add(chunk)
                if self.printed.total > FLOOD:
                    self._fail(Flooded, f"it printed more than {FLOOD >> 20} MB: is there a print in a loop that never ends?")
            if self.output in selector.get_map():
                selector.unregister(self.output)

    def _fail(self, kind: type[Ended], sentence: str) -> NoReturn:
        """End the process and say why."""
        self.end()
        if self.over:
            kind = OutOfMemory
            most = f"{self.limits.memory_mb} MB" if self.over == "out of memory" else f"{self.limits.processes} processes"
            sentence = f"it took more than {most}"
        self.fatal = kind.fatal
        if kind is TimedOut:
            self.call_s = max(self.limits.call_s / 4, 1.0)  # who hangs once will hang again, and there is a budget for all
        raise kind(sentence)

    def take_output(self) -> str:
        """What was printed since the last time."""
        text, self.printed = self.printed.text(), Printed(self.limits.output_kb << 10)
        return text


CRASHED = "it ended the Python process (a crash, os._exit, or too little memory)"


def raised(name: str, text: str, line: Any) -> Exception:
    """What a student's code raised, as one of Python's own exceptions: never a class of theirs."""
    kind = getattr(builtins, name, RuntimeError)
    if name == "Closed":
        kind = PermissionError
    if not (isinstance(kind, type) and issubclass(kind, Exception)):
        kind = RuntimeError
    said = text if kind.__name__ == name or name == "Closed" else f"{name[:60]}: {text}"
    where = f" (line {line} of the cell)" if type(line) is int and line > 0 else ""
    try:
        return kind(said + where)  # type: ignore[no-any-return]
    except TypeError:  # UnicodeDecodeError and the like want more
        return RuntimeError(f"{name}: {text}")


# --- stand-ins ---


class RemoteFunction:
    """A name of the student's notebook as it was at one check; calling it calls it there."""

    def __init__(self, remote: Remote, check: int, name: str) -> None:
        self._remote, self._target, self.__name__ = remote, (check, name), name

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._remote.request("do", "call", self._target, list(arguments), keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._remote.request("do", "attribute", self._target, [name], {})


class RemoteObject:
    """An object that lives in the student's process: its methods, attributes, items and iteration work there."""

    def __init__(self, remote: Remote, number: int, what: str) -> None:
        vars(self).update(_remote=remote, _number=number, _what=what, _starts=remote.starts, __name__=what)

    def _do(self, operation: str, *arguments: Any, **keywords: Any) -> Any:
        return self._remote.request("do", operation, self, list(arguments), keywords)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        return self._do("call", *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._do("attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("set", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._do("item", key)

    def __len__(self) -> int:
        return int(self._do("length"))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._do("iterate")
        if not isinstance(iterator, RemoteObject):
            raise TypeError("its __iter__ gives no iterator")
        for _ in range(1_000_000):
            try:
                yield iterator._do("next")
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._do("next")

    def __repr__(self) -> str:
        return f"<{self._what} of the student>"


class Absent:
    """A name that the student's notebook does not have: calling it says why."""

    def __init__(self, name: str, why: str) -> None:
        self.__name__, self._why = name, why

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise NameError(f"{self.__name__} is not there: {self._why}")


def stand_in(remote: Remote, check: int, name: str, value: Any) -> Any:
    """Plain data as it is, and a function or class by its name."""
    return RemoteFunction(remote, check, name) if isinstance(value, RemoteObject) else value


def names_of(remote: Remote, check: int, names: Sequence[str], why: Mapping[str, str]) -> dict[str, Any]:
    """Stand-ins for what a notebook defines at one check."""
    taken = remote.request("take", check, list(names))
    if not isinstance(taken, dict):
        taken = {}
    return {
        name: stand_in(remote, check, name, taken[name]) if name in taken else Absent(name, why.get(name, "its cell does not define it"))
        for name in names
    }
