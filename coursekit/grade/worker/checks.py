"""The trusted side: runs the instructor's cells with stand-ins for the student's functions, and words what came.

First the whole notebook in its order, with the visible checks; what is printed then is the student's to see. Then the hidden checks, each
on what the names were at its place; what is printed then is nobody's, and of what fails only the instructor's words are told.
"""

import ast
import contextlib
import io
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from ..records import CellResult, Job, Result, Step, parts
from . import suspicion
from .remote import Box, Ended, Remote, names_of
from .standins import Absent
from .student import seed
from .suspicion import MAGIC

LONGEST = 4000  # of a message
GONE = "the process with the student's code does not come up"
ENDED = {
    "crashed": "ended its process",
    "timed out": "took too long",
    "flooded": "printed too much",
    "out of memory": "took too much memory",
}


@dataclass
class Grading:
    """One job on its way: what ran, what the checks know, what came."""

    job: Job
    remote: Remote
    namespace: dict[str, Any] = field(default_factory=lambda: {"__name__": "__main__"})
    results: list[CellResult] = field(default_factory=list)
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)  # the names as a visible check left them, for its hidden part
    why: dict[str, str] = field(default_factory=dict)  # why a name may be absent

    # --- the student's process ---

    def alive(self, upto: int) -> bool:
        """See that there is a process that has run the cells before ``upto``; false if none comes up."""
        if self.remote.alive:
            return True
        self.remote.start()
        try:
            for k, step in enumerate(self.job.steps[:upto]):
                self._again(k, step)
        except Ended:
            return False
        finally:
            self.remote.take_output()
        return True

    def _again(self, k: int, step: Step) -> None:
        """A step as before, but for what ended the process then."""
        try:
            if step.kind == "test":
                self.remote.request("take", k, self._names_before(k))
            elif self._runs(step) and not (k < len(self.results) and self.results[k].fatal):
                self.remote.request("cell", step.source)
        except Ended:
            raise
        except Exception:  # it failed the first time too
            return

    @staticmethod
    def _runs(step: Step) -> bool:
        return step.kind in ("given", "own") or (step.kind == "answer" and bool(step.source.strip()))

    def _names_before(self, k: int) -> list[str]:
        return list(dict.fromkeys(name for step in self.job.steps[:k] for name in step.defines))

    # --- one step after the other ---

    def visible(self) -> None:
        """Every cell, every visible check."""
        for k, step in enumerate(self.job.steps):
            start = time.monotonic()
            result = self._step(k, step)
            self.results.append(replace(result, output=self.remote.take_output(), seconds=round(time.monotonic() - start, 3)))

    def _step(self, k: int, step: Step) -> CellResult:
        if step.kind == "test":
            return self._check(k, step)
        if step.kind == "given":
            self._given(step)
        if not self._runs(step):
            return CellResult()
        if not self.alive(k):
            return CellResult(False, "It did not run: the cells before it end the Python process each time.")
        try:
            self.remote.request("cell", step.source)
            return CellResult()
        except Exception as error:
            said = say(error)
            self.why |= {name: f"its cell stops with {said}" for name in step.defines}
            return CellResult(False, said, fatal=self.remote.fatal)

    def _given(self, step: Step) -> None:
        """The instructor's own code, on this side too. A statement that needs a student's name fails here, and only that one."""
        for statement in ast.parse(MAGIC.sub("", step.source)).body:
            code = compile(ast.Module([statement], []), step.grade_id or "given", "exec")
            with contextlib.suppress(Exception), _silence():
                exec(code, self.namespace)

    def _check(self, k: int, step: Step) -> CellResult:
        """The visible part of a test cell."""
        names = self._names_before(k)
        found: dict[str, Any] = {name: Absent(name, self.why.get(name, GONE)) for name in names}
        try:
            found |= names_of(self.remote, k, names, self.why) if self.alive(k) else {}
        except Exception as error:
            found = {name: Absent(name, say(error)) for name in names}
        self.namespace |= found
        visible, hidden = parts(step.source)
        message = self._run(visible, step)
        if hidden and not message:
            self.kept[k] = dict(self.namespace)
        return CellResult(not message, message, fatal=self.remote.fatal if not self.remote.alive else "")

    def _run(self, source: str, step: Step, *, hidden: bool = False) -> str:
        """Run checks here; what they say, or nothing if they hold. Of a hidden one the instructor's words alone."""
        code = compile(source, step.grade_id or "check", "exec")
        try:
            with _silence():
                exec(code, self.namespace)
        except Exception as error:
            if hidden:
                return instructors_words(error, source)
            return (str(error) if isinstance(error, AssertionError) and str(error) else say(error))[:LONGEST]
        return ""

    def hidden(self) -> None:
        """The hidden part of every test cell whose visible part holds."""
        for k, step in enumerate(self.job.steps):
            if k not in self.kept:
                continue
            self.namespace = self.kept[k]
            if not self.alive(len(self.job.steps)):
                message = "A hidden check could not run: the cells end the Python process each time."
            else:
                message = self._run(parts(step.source)[1], step, hidden=True)
            self.remote.take_output()
            if message:  # how long it took is not told either: a student's code could count it out in seconds
                fatal = "" if self.remote.alive else self.remote.fatal
                said = f"A hidden check failed: the code {ENDED[fatal]}." if fatal else message
                self.results[k] = replace(self.results[k], ok=False, message=said, hidden=True, fatal=fatal)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """What checks print is nobody's."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def say(error: Exception) -> str:
    """An error in one line: its kind and its words."""
    if isinstance(error, Ended):
        return f"{str(error)[0].upper()}{str(error)[1:]}."
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def instructors_words(error: Exception, source: str) -> str:
    """Of a failed hidden check the message or hint that stands in its source, to the letter: a student's code has no say in it."""
    text = "" if hasattr(error, "by_student") or not isinstance(error, AssertionError) else str(error)
    hint = text.partition("Hint: ")[2] or text
    return f"A hidden check failed. Hint: {hint}" if hint and hint in _messages(source) else "A hidden check failed."


def _messages(source: str) -> set[str]:
    """The constants of a cell that are meant to be read: messages of assertions, ``hint=`` and names that end in ``hint``."""
    found: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            found.append(node.msg)
        elif isinstance(node, ast.keyword) and node.arg == "hint":
            found.append(node.value)
        elif isinstance(node, ast.Assign):
            found += [node.value for target in node.targets if isinstance(target, ast.Name) and target.id.endswith("hint")]
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            found += node.exc.args
    return {node.value for node in found if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def grade(job: Job, box: Box) -> Result:
    """Everything of one job. Never raises for what a student wrote."""
    start, own = time.monotonic(), time.process_time()
    seed()
    remote = Remote(box, job.limits)
    grading = Grading(job, remote)
    try:
        grading.visible()
        grading.hidden()
    finally:
        remote.end()
    cpu = remote.used["cpu_s"] + time.process_time() - own
    wall, peak = round(time.monotonic() - start, 3), round(max(remote.used["peak_mb"], 0.0), 1)
    flags = tuple(dict.fromkeys([*remote.flags, *suspicion.look(job)]))
    return Result(tuple(grading.results), flags, round(cpu, 3), wall, peak)
