"""Outside the box: a student's process. Whatever comes over the wire is checked to be plain data; what is called is
called there. A call that crashes, hangs or floods ends the process; the next one begins anew.
"""

import contextlib
import os
import selectors
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from ..records import Limits
from . import wire
from .box import Box
from .endings import Closed, Ended, Flooded, OutOfMemory, TimedOut, is_dotted, raised
from .standins import Absent, RemoteObject, kind_of, stand_in

FLOOD = 32 << 20  # bytes of output in one call
MOST_BYTES = 1 << 30  # of all answers of a submission
HUNG_SHARE = 2  # hanging calls may take one in so many seconds of a submission at full length each; after that
HUNG_CALL = 4  # a function that has hung before gets one in so many seconds of a call
LEAST_S = 0.05  # a call that has less left is over
CRASHED = "ended the Python process (a crash, os._exit, or too little memory)"
LOOP = "look for a loop that does not end"
REFUSED = "the function that was passed in refused these values"
KEPT = "a function that is passed in is there for that call alone: use the one that is passed in now"
PRINTING = "look for a print in a loop that does not end"


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
    """One submission's process; after it has ended, whoever starts another repeats what it had run."""

    def __init__(self, box: Box, limits: Limits) -> None:
        self.box, self.limits = box, limits
        self.deadline = self.until = time.monotonic() + limits.total_s  # of the submission, of the call in hand
        self.waited_s = 0.0  # of this process for a processor, as far as both have been put off by it
        self.used: dict[str, float] = {"cpu_s": 0.0, "peak_mb": 0.0}
        self.printed = Printed(limits.output_kb << 10)
        self.lent: dict[int, Callable[..., Any]] = {}  # our functions that the call in hand may call back
        self.lent_so_far = 0
        self.alive, self.fatal, self.starts, self.over, self.received = False, "", 0, "", 0
        self.flags: list[str] = []
        self.gave_objects, self.takes = False, False  # to checks, beside the names that they take
        self.hung: set[str] = set()  # the functions that have, by name
        self.hung_s = 0.0
        self.connection: socket.socket | None = None
        self.output = -1

    def start(self) -> None:
        """A fresh process that knows nothing; TimedOut if the submission has had its time."""
        self.end()
        if self.is_over():
            raise TimedOut(f"did not run: {self.used_up()}")
        self.connection, self.output = self.box.start(self.limits)
        self.connection.setblocking(False)
        os.set_blocking(self.output, False)
        self.alive, self.fatal, self.waited_s = True, "", 0.0
        self.starts += 1

    def is_over(self) -> bool:
        """Whether the submission has had its time."""
        if time.monotonic() >= self.deadline:
            self._put_off()
        return time.monotonic() >= self.deadline

    def _left(self) -> float:
        """Seconds until the call or the submission has had its time."""
        left = min(self.until, self.deadline) - time.monotonic()
        if left > 0:
            return left
        self._put_off()
        left = min(self.until, self.deadline) - time.monotonic()
        return left if left > LEAST_S else 0.0

    def _put_off(self) -> None:
        """What the process waited for a processor since this was last asked is not its own time."""
        before, self.waited_s = self.waited_s, max(self.waited_s, self.box.waited_s())
        self.deadline += self.waited_s - before
        self.until += self.waited_s - before

    def used_up(self) -> str:
        """A sentence's end for what comes after that."""
        return f"the {self.limits.total_s:g} s of the whole submission are used up"

    def end(self) -> None:
        """Stop the process, if there is one."""
        if self.connection is None:
            return
        self._put_off()
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
            raise Ended("did not run: its process had ended before")
        sent: Any = message
        name = _called(message)
        seconds, self.takes = self._allowance(name), message[0] == "take"
        self.until = time.monotonic() + seconds
        self.lent = _target(message)._lent if isinstance(_target(message), RemoteObject) else {}
        while True:
            frame = wire.encode(sent, handle=self._handle)
            try:
                answer = self._exchange(frame, seconds)
            except TimedOut:
                self.hung.add(name)
                self.hung_s += seconds
                raise
            if not (isinstance(answer, tuple) and answer and type(answer[0]) is str):
                self._forged("what is no answer")
            kind, *rest = answer
            if kind == "value" and len(rest) == 1:
                return rest[0]
            if kind == "raised" and len(rest) == 3 and type(rest[0]) is type(rest[1]) is str:
                raise self._raised(message, *rest)
            if kind != "back" or len(rest) != 2:
                self._forged("what is no answer")
            ours = time.monotonic()
            sent = self._call_back(*rest)
            self.until += time.monotonic() - ours  # what our own functions take is not the call's

    def _allowance(self, name: str) -> float:
        """Seconds for one call: who hangs again and again leaves the other functions their time."""
        spent = name in self.hung and self.hung_s > self.limits.total_s / HUNG_SHARE
        return self.limits.call_s / HUNG_CALL if spent else self.limits.call_s

    def _raised(self, asked: tuple[Any, ...], name: str, text: str, line: Any) -> Exception:
        """What a student's code raised, marked as such: none of its words are the instructor's."""
        closed = filter(text.startswith, self.box.closed) if name == "Closed" and is_dotted(text) else ()
        under = max(closed, key=len, default="")
        error = Closed(text) if under else raised(name, text, line, may_stop=asked[:2] == ("do", "next"))
        error.by_student = True  # type: ignore[attr-defined]
        if under:
            who = "A cell, and not an answer that was called," if asked[0] == "cell" else "The code"
            self.flag(f"{who} calls something of {under}, which the assignment closes.")
        return error

    def flag(self, sentence: str) -> None:
        """Keep what an instructor should look at, once."""
        if sentence not in self.flags and len(self.flags) < 20:
            self.flags.append(sentence)

    def _forged(self, what: str) -> NoReturn:
        """Only code that meddles with the wire gets here."""
        self.flag(f"The code writes on the grader's own wire: its process sent {what}.")
        self._fail(Ended, f"sent {what} on the grader's own wire")

    def _call_back(self, number: Any, arguments: Any) -> tuple[bool, Any]:
        """Call a function of ours: one of this call, or one that an object in it was given. What is kept is over."""
        if type(number) is not int or not 0 < number <= self.lent_so_far or not isinstance(arguments, list):
            self._forged("a call of a function that is not there")
        if number not in self.lent:
            self.flag("The code keeps a function that a check handed in, and calls it in another call.")
            return False, KEPT
        try:
            return True, self.lent[number](*arguments)
        except Exception:  # of values that a student's code made up: no word of it goes back
            return False, REFUSED

    def _handle(self, x: Any) -> list[Any]:
        """What goes over: an object of theirs, or a function of ours."""
        if isinstance(x, RemoteObject):
            if x._starts != self.starts:
                raise Ended("was passed an object of a process that has ended")
            self.lent |= x._lent
            return ["handle", x._number, ""]
        if not callable(x):
            raise TypeError(f"expected plain data or a function to pass to a student's code, got {type(x).__name__}")
        self.lent_so_far += 1
        self.lent[self.lent_so_far] = x
        return ["handle", -self.lent_so_far, ""]

    def _lookup(self, number: int, what: str) -> RemoteObject:
        if number < 0:
            raise wire.Malformed("a handle of no object")
        self.gave_objects |= not self.takes
        return kind_of(what)(self, number, what, self.lent)

    def _exchange(self, frame: bytes, seconds: float) -> Any:
        """Send one frame and wait for one, within limits: of the ``seconds`` of the whole call, what is left."""
        assert self.connection is not None
        to_send, received = memoryview(frame), bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self.connection, selectors.EVENT_READ | selectors.EVENT_WRITE)
            selector.register(self.output, selectors.EVENT_READ)
            while True:
                left = self._left()
                for key, events in selector.select(left):  # when none is left too: what has come by now counts
                    if key.fd == self.output:
                        self._listen(selector)
                        continue
                    if events & selectors.EVENT_WRITE and to_send:
                        to_send = to_send[self._send(to_send) :]
                        if not to_send:
                            selector.modify(self.connection, selectors.EVENT_READ)
                    if events & selectors.EVENT_READ and self._receive(received):
                        self._listen(selector)
                        return self._decode(received)
                if not left:
                    too_slow = f"took longer than {seconds:g} s: {LOOP}"
                    is_over = self.deadline <= self.until
                    self._fail(TimedOut, f"was stopped: {self.used_up()}" if is_over else too_slow)

    def _send(self, data: memoryview) -> int:
        assert self.connection is not None
        try:
            return self.connection.send(data[: 1 << 20])
        except OSError:
            self._fail(Ended, CRASHED)

    def _receive(self, frame: bytearray) -> bool:
        """Take what has come; whether the frame is whole."""
        assert self.connection is not None
        with contextlib.suppress(BlockingIOError):
            try:
                chunk = self.connection.recv(1 << 20)
            except ConnectionResetError:
                chunk = b""
            if not chunk:
                self._fail(Ended, CRASHED)
            frame += chunk
            self.received += len(chunk)
            if self.received > MOST_BYTES:
                self._fail(OutOfMemory, f"answered with more than {MOST_BYTES >> 20} MB in all")
        if len(frame) < wire.HEADER.size:
            return False
        try:
            missing = wire.HEADER.size + wire.length(bytes(frame[: wire.HEADER.size])) - len(frame)
        except wire.Malformed as error:
            self._forged(str(error))
        if missing < 0:
            self._forged("more than one answer")
        return missing == 0

    def _decode(self, frame: bytearray) -> Any:
        try:
            return wire.decode(frame, lookup=self._lookup)
        except wire.Malformed as error:
            self._forged(str(error))

    def _listen(self, selector: selectors.BaseSelector) -> None:
        """Take what was printed so far."""
        with contextlib.suppress(BlockingIOError):
            while chunk := os.read(self.output, 1 << 16):
                self.printed.add(chunk)
                if self.printed.total > FLOOD:
                    self._fail(Flooded, f"printed more than {FLOOD >> 20} MB: {PRINTING}")
            if self.output in selector.get_map():
                selector.unregister(self.output)

    def _fail(self, kind: type[Ended], did: str) -> NoReturn:
        """End the process and say why."""
        self.end()
        if self.over:
            kind = OutOfMemory
            most = {"out of memory": f"{self.limits.memory_mb} MB of memory"}
            most["too many processes"] = f"{self.limits.processes} processes"
            did = f"took more than {most.get(self.over, 'its share of the disk')}"
        self.fatal = kind.fatal
        raise kind(did)

    def take_output(self) -> str:
        """What was printed since the last time."""
        text, self.printed = self.printed.text(), Printed(self.limits.output_kb << 10)
        return text


def _target(message: tuple[Any, ...]) -> Any:
    """What a request is about: ``(check, name)``, an object of theirs, or ``cell`` for all cells."""
    return message[2] if message[0] == "do" else message[0]


def _called(message: tuple[Any, ...]) -> str:
    """Which function a request calls, by its name or what it belongs to."""
    target = _target(message)
    if isinstance(target, RemoteObject):
        return str(target._what)
    return str(target[1] if isinstance(target, tuple) else target)


def names_of(remote: Remote, check: int, names: Sequence[str], why: Mapping[str, str]) -> dict[str, Any]:
    """Stand-ins for what a notebook defines at one check."""
    taken = remote.request("take", check, list(names))
    if not isinstance(taken, dict):
        taken = {}
    absent = {name: Absent(name, why.get(name, "its cell does not define it")) for name in names}
    return absent | {name: stand_in(remote, check, name, taken[name]) for name in names if name in taken}
