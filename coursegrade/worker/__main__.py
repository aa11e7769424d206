"""A worker: ``python -m coursegrade.worker KIND`` reads jobs from its input, a JSON line each, and answers each with
a result.

It imports once what checks need and forks for each job, so that no submission finds what checks of another left behind.
"""

import contextlib
import importlib
import json
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from ..records import CellResult, Job, Result, job_from
from . import checks, sandbox
from .box import Box
from .suspicion import imported, tree

BUSY = 4  # times as long as a submission may take, if it is kept waiting for a processor
GRACE_S = 60.0  # beyond that, for the checks' own work
MOST_MEMORY = 4 << 30  # of the checks of one submission: a student's answers are bounded one by one


def main(kind: str) -> None:
    """Until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what checks print is no answer
    box: Box | None = None
    for line in sys.stdin:
        job = job_from(json.loads(line))
        if box is None or (box.closed, box.private) != (job.closed, job.private):
            box = renewed(box, kind, job)
        load(job)
        text = forked(partial(graded, job, box), job.limits.total_s * BUSY + GRACE_S)
        if not text:
            box = renewed(box, kind, job)
        print(text or json.dumps(asdict(lost(job))), file=answers, flush=True)
    if box is not None:
        box.close()


def graded(job: Job, box: Box) -> str:
    """One result, as JSON."""
    return json.dumps(asdict(checks.grade(job, box)))


def load(job: Job) -> None:
    """Import what the checks of a job will, once for all jobs to come."""
    import torch

    torch.set_num_threads(1)
    importlib.import_module("torch.fx.experimental.symbolic_shapes")  # a second, when gradients are first asked for
    ours = [tree(step.source) for step in job.steps if step.kind in ("given", "test")]
    for name in dict.fromkeys(name for cell in ours for name in imported(cell)):
        with contextlib.suppress(ImportError):  # what is no module, its module is imported all the same
            importlib.import_module(name)


def renewed(box: Box | None, kind: str, job: Job) -> Box:
    """A new warm start in place of the old."""
    if box is not None:
        box.close()
    return Box(kind, closed=job.closed, private=job.private)


def forked(work: Callable[[], str], seconds: float) -> str:
    """What ``work()`` returns, done in a process of its own; empty if that does not end as it should."""
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(readable)
            signal.alarm(int(seconds))
            sandbox.limit_data(MOST_MEMORY)
            text = work().encode()
            with os.fdopen(writable, "wb") as out:
                out.write(text)
            code = 0
        finally:
            os._exit(code)
    os.close(writable)
    with os.fdopen(readable, "rb") as out:
        text = out.read()
    _, status = os.waitpid(child, 0)
    return text.decode() if status == 0 else ""


def lost(job: Job) -> Result:
    """When the checks themselves did not end: an error of ours, and no marks until it is looked at."""
    message = "The checks did not come to an end on this submission: your instructor has been told."
    cell = CellResult(False, message, fatal="crashed")
    flag = "The checks did not come to an end: look at this submission by hand."
    return Result(tuple(cell if step.kind == "test" else CellResult() for step in job.steps), (flag,))


if __name__ == "__main__":
    main(sys.argv[1])
