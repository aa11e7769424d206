"""The warm start: imports once what exercises need, then forks one closed-in process a submission. It knows no checks
and no student.

``python -m coursegrade.worker.warm FD`` runs in the outer box. On the socket FD each start comes as a JSON text with
two descriptors, a student's end of the wire and the end of the pipe its prints go to; ``null`` stops what runs. Each
stop is answered with what it used; ``"waited"`` with how long it was kept waiting for a processor so far.
"""

import contextlib
import gc
import importlib
import json
import os
import resource
import select
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from . import closing, sandbox, student

WATCH_EVERY_S = 0.2
WAITED = b'"waited"'  # asks how long


def main(descriptor: int) -> None:
    """Serve until the socket closes."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])  # whoever is forked unblocks it, once it listens
    control = socket.socket(fileno=descriptor)
    settings = json.loads(control.recv(1 << 16))
    prepare(settings["closed"])
    control.send(json.dumps(resident_mb(os.getpid())).encode())
    running: Running | None = None
    alone = memory_mb(os.getpid())
    while True:
        while running and not select.select([control], [], [], WATCH_EVERY_S)[0]:
            running.watch()
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
        if message == WAITED:
            control.send(json.dumps(kept_waiting_s()).encode())
            continue
        if running:
            control.send(json.dumps(running.stop()).encode())
            running = None
        if not message:
            return
        if message != b"null":
            running = Running(settings, json.loads(message), descriptors, control, alone)
            for inherited in descriptors:
                os.close(inherited)


def prepare(closed: Sequence[str]) -> None:
    """Import, close, and look that one thread is left to fork."""
    import torch

    # Here, where the folder above it can be listed; its rooms are found through it.
    importlib.import_module("coursekit")
    torch.set_num_threads(1)
    student.shell().run_cell("1", store_history=False)
    closing.close(closed)
    student.seed()  # it imports, the first time
    gc.collect()
    gc.freeze()  # what stays is not copied for each student by looking at it
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise RuntimeError(f"expected one thread to fork from, got {threads}")


def resident_mb(pid: int) -> float:
    """All that a process holds in memory, in MB; what several share counts for each."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
    return 0.0


class Running:
    """One closed-in process and all that it starts."""

    def __init__(
        self,
        settings: dict[str, Any],
        limits: dict[str, Any],
        descriptors: Sequence[int],
        control: socket.socket,
        alone: float,
    ) -> None:
        self.limits, self.over, self.alone = limits, "", alone
        kind = settings["kind"]
        self.scratch = Path(tempfile.mkdtemp(prefix="box")) if kind != "bubblewrap" else None
        self.patience_s = 0.5 if kind == "bubblewrap" else 0.0
        self.pid = os.fork()
        if self.pid == 0:
            control.close()
            _become_student(settings, limits, descriptors, self.scratch or Path("/tmp"))

    def watch(self) -> None:
        """End what has grown too large or too many."""
        processes = list(islice(descendants(os.getpid()), self.limits["processes"] + 1))
        if len(processes) > self.limits["processes"]:
            self.over = "too many processes"
        elif self._takes_too_much([os.getpid(), *processes]):
            self.over = "out of memory"
        elif self.scratch and filled_mb(self.scratch) > sandbox.SHARED_MB:
            self.over = "too much on disk"
        else:
            return
        self._end()

    def _takes_too_much(self, processes: Sequence[int]) -> bool:
        """The quick upper bound first: to count a warm start's pages takes milliseconds, again and again."""
        most = self.limits["memory_mb"] + self.alone
        return all(sum(map(measure, processes)) > most for measure in (resident_mb, memory_mb))

    def _end(self) -> None:
        """Who waits for the student's process in bubblewrap ends all of it when asked; elsewhere nobody waits."""
        if self.scratch:
            kill_all(os.getpid())
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGTERM)

    def stop(self) -> dict[str, Any]:
        """End, bury, tidy; what it used."""
        self._end()
        used = {"cpu_s": 0.0, "peak_mb": 0.0}
        deadline = time.monotonic() + self.patience_s
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, _, usage = os.wait4(-1, os.WNOHANG)
                if pid:
                    used["cpu_s"] += usage.ru_utime + usage.ru_stime
                    used["peak_mb"] = max(used["peak_mb"], usage.ru_maxrss / 1024)
                    continue
                if time.monotonic() >= deadline:
                    kill_all(os.getpid())
                time.sleep(0.002)
        if self.scratch:
            shutil.rmtree(self.scratch, ignore_errors=True)
        return used | {"over": self.over}


def kill_all(pid: int) -> None:
    """Everything below a process, by number and never by group: stopped first, so that nothing forks away."""
    for number in (signal.SIGSTOP, signal.SIGKILL):
        for below in list(descendants(pid)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(below, number)


def descendants(pid: int) -> Iterator[int]:
    """All processes below one."""
    above = [pid]
    while above:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{above.pop()}/task").iterdir():
                children = list(map(int, (task / "children").read_text().split()))
                above += children
                yield from children


def memory_mb(pid: int) -> float:
    """Memory of a process in MB, without what it reads from files; what several share counts in parts."""
    with contextlib.suppress(OSError):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith(("Pss_Anon:", "Pss_Shmem:"))) / 1024
    return 0.0


def kept_waiting_s() -> float:
    """How long the thread below this process that waited most was ready to run and had no processor, but for what the
    other threads there took.
    """
    threads = [(0.0, 0.0)]  # seconds that one waited and ran
    for pid in descendants(os.getpid()):
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds = list(map(int, (task / "schedstat").read_text().split()))
                threads.append((nanoseconds[1] / 1e9, nanoseconds[0] / 1e9))
    waited, ran = max(threads)
    return max(waited - (sum(each for _, each in threads) - ran), 0.0)


def filled_mb(folder: Path) -> float:
    """What the files in a folder take on disk."""
    blocks = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                blocks += os.lstat(os.path.join(where, name)).st_blocks
    return blocks / 2048


def _become_student(
    settings: dict[str, Any], limits: dict[str, Any], descriptors: Sequence[int], scratch: Path
) -> None:
    """Never returns."""
    kind, code = settings["kind"], 70
    try:
        wire, output = (os.dup(descriptor) for descriptor in descriptors)
        silence = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((silence, 0), (output, 1), (output, 2), (wire, 3)):
            os.dup2(source, target)
        os.closerange(4, 1 << 12)
        if kind != "bubblewrap":
            os.setsid()
            os.environ |= dict.fromkeys(sandbox.HOMES, str(scratch))
            tempfile.tempdir = None
            os.chdir(scratch)
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("1000")  # if memory runs out, this goes first
        unseen = {"closed": settings["closed"], "private": settings["private"]}
        most = {"memory_mb": limits["memory_mb"], "processes": limits["processes"]}
        sandbox.enter(kind, scratch=scratch, **unseen, **most)
        resource.setrlimit(resource.RLIMIT_CPU, (int(limits["cpu_s"]) + 1, int(limits["cpu_s"]) + 2))
        os.setpriority(os.PRIO_PROCESS, 0, settings["nice"])  # below who waits for it and who watches it
        student.serve(socket.socket(fileno=3))
        code = 0
    except BaseException as error:  # before a student's code runs: said where the parent reads
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)


if __name__ == "__main__":
    sandbox.called(sandbox.libc.prctl(sandbox.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "subreaper")
    main(int(sys.argv[1]))
