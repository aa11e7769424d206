"""Where jobs run: on this machine or a Dask scheduler's workers; results are given as they come, in any order."""

import contextlib
import json
import math
import os
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .records import Job, Result, result_from
from .worker.layout import TOP

TRIES = 2  # of a job whose worker ends under it
GROUPS, OWN_GROUPS = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


class Worker:
    """One process of checks and the box beside it (``coursegrade.worker``), started when first needed."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.process: Any = None

    def grade(self, job: Job) -> Result:
        """Send one job and wait for its result; a worker that ends is started anew."""
        for _ in range(TRIES):
            process = self.process = self.process or self._start()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.write(json.dumps(asdict(job)) + "\n")
                process.stdin.flush()
                if line := process.stdout.readline():
                    return result_from(json.loads(line))
            self.close()
        raise RuntimeError("a grading worker ended twice on one submission: run `coursekit grade doctor`")

    def _start(self) -> Any:
        command = [sys.executable, "-m", "coursegrade.worker", self.kind]
        # the library that runs here, whatever is installed or lies in this folder
        path = os.pathsep.join(filter(None, [str(TOP), os.environ.get("PYTHONPATH", "")]))
        environment = os.environ | {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
        return subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def close(self) -> None:
        """Let it end: it does when its input closes."""
        if self.process is None:
            return
        with contextlib.suppress(subprocess.TimeoutExpired, BrokenPipeError):
            self.process.communicate(timeout=20)
        self.process.kill()
        self.process.wait()
        self.process = None


def local(jobs: Iterable[Job], *, kind: str, count: int) -> Iterator[tuple[Job, Result]]:
    """Grade on this machine, ``count`` at a time."""
    workers: list[Worker] = []
    mine = threading.local()

    def work(job: Job) -> Result:
        if not hasattr(mine, "worker"):
            mine.worker = Worker(kind)
            workers.append(mine.worker)
        result: Result = mine.worker.grade(job)
        return result

    with ThreadPoolExecutor(count) as threads:
        futures = {threads.submit(work, job): job for job in jobs}
        try:
            for future in as_completed(futures):
                yield futures.pop(future), future.result()
        finally:
            for future in futures:
                future.cancel()
            threads.shutdown(wait=not futures)
            for worker in workers:
                worker.close()


# --- on other machines ---

_of_this_thread = threading.local()


def grade_there(job: dict[str, Any], kind: str) -> dict[str, Any]:
    """What a Dask worker runs; the course's library must be installed there."""
    from .records import job_from
    from .worker.sandbox import choose

    if not hasattr(_of_this_thread, "worker"):
        _of_this_thread.worker = Worker(kind or choose(job["private"]))
    return asdict(_of_this_thread.worker.grade(job_from(job)))


def distributed(jobs: Iterable[Job], *, kind: str, scheduler: str) -> Iterator[tuple[Job, Result]]:
    """Grade on the workers of a Dask scheduler (``tcp://…``). What a worker that dies had in hand, another does."""
    try:
        import distributed as dask
    except ImportError as error:
        advice = "pip install 'coursekit[cluster]'"
        raise ValueError(f"expected the package distributed for --scheduler, got none: {advice}") from error
    try:
        client = dask.Client(scheduler, set_as_default=False)
    except OSError as error:
        advice = "start it with `dask scheduler`, or mend the address"
        raise ValueError(f"expected a Dask scheduler at {scheduler}, got none ({error}): {advice}") from error
    with client:
        futures = {client.submit(grade_there, asdict(job), kind, pure=False): job for job in jobs}
        for future, result in dask.as_completed(futures, with_results=True, loop=client.loop):
            yield futures[future], result_from(result)


def processors() -> int:
    """How many workers the processors are good for that this process may use: a container's share of them counts."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    return math.ceil(min([len(os.sched_getaffinity(0)), *_quotas()]))


def _quotas() -> Iterator[float]:
    """The processors' worth of time that each control group around this process is given, by either version."""
    for line in OWN_GROUPS.read_text().splitlines() if OWN_GROUPS.exists() else []:
        _, controllers, place = line.split(":", 2)
        group = GROUPS / controllers / place.lstrip("/")
        for folder in (group, *group.parents):
            for files in (["cpu.max"], ["cpu.cfs_quota_us", "cpu.cfs_period_us"]):
                with contextlib.suppress(OSError, ValueError):  # no limit is "max", -1, or no such file
                    quota, period = map(int, " ".join((folder / file).read_text() for file in files).split())
                    if quota > 0:
                        yield quota / period
