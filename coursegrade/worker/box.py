"""A warm start in its box, seen from outside."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from ..records import Limits
from . import sandbox, warm


class Box:
    """A warm start in its outer box; one student's process at a time. ``kind`` is bubblewrap, landlock, or none."""

    def __init__(self, kind: str, *, closed: Sequence[str] = (), private: Sequence[str] = ()) -> None:
        self.kind, self.closed, self.private = kind, tuple(closed), tuple(private)
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.home: tempfile.TemporaryDirectory[str] | None = None
        if kind != "bubblewrap":
            self.home = tempfile.TemporaryDirectory(prefix="warm", ignore_cleanup_errors=True)
        homes = dict.fromkeys(sandbox.HOMES, self.home.name) if self.home else {}
        command = [sys.executable, "-m", "coursegrade.worker.warm", str(theirs.fileno())]
        line = sandbox.bubblewrap(command, closed=closed, private=private) if kind == "bubblewrap" else command
        if os.geteuid() == 0:  # whom no number of processes stops: the watcher gets its turn before thousands of them
            line = ["nice", "-n", "-20", *line]
        place: dict[str, Any] = {"env": sandbox.environment() | homes, "cwd": self.home.name if self.home else None}
        place |= {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        self.process: subprocess.Popen[bytes] = subprocess.Popen(line, pass_fds=[theirs.fileno()], **place)
        theirs.close()
        answer = b""
        nice = os.getpriority(os.PRIO_PROCESS, 0)
        settings = {"kind": kind, "closed": self.closed, "private": self.private, "nice": nice}
        with contextlib.suppress(ConnectionError):
            self.control.send(json.dumps(settings).encode())
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

    def waited_s(self) -> float:
        """How long the student's process has been kept waiting for a processor."""
        if not self.running:
            return 0.0
        self.control.send(warm.WAITED)
        return float(json.loads(self.control.recv(1 << 16) or b"0"))

    def close(self) -> None:
        """End the warm start."""
        self.control.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        self.process.kill()
        self.process.communicate()
        if self.home:
            self.home.cleanup()
