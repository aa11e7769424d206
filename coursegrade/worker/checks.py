"""The trusted side: runs the instructor's cells with stand-ins for the student's functions, and words what came.

First the whole notebook in its order, with the visible checks; what is printed then is the student's to see. Then, in
a new process that knows nothing of the first, the notebook again with the hidden checks, each where it stands; what
is printed then is nobody's, and of what fails only the instructor's words are told. Where a visible check was given
objects of the student's, it runs again too: they are gone.
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
from .box import Box
from .endings import Ended
from .remote import Remote, names_of
from .student import seed

LONGEST = 4000  # of a message
ENDED = {"crashed": "ended its process", "timed out": "took too long"}
ENDED |= {"flooded": "printed too much", "out of memory": "took too much memory"}
CHANGED = (
    "The visible part held when the notebook ran first and failed when it ran again for the hidden checks: "
    "make your code independent of chance, of time and of earlier calls."
)


@dataclass
class Grading:
    """One job on its way: what ran, what the checks know, what came."""

    job: Job
    remote: Remote
    namespace: dict[str, Any] = field(default_factory=dict)
    results: list[CellResult] = field(default_factory=list)
    kept: dict[int, dict[str, Any]] = field(default_factory=dict)  # what checks know after a visible part that holds
    why: dict[str, str] = field(default_factory=dict)  # why a name may be absent
    ended: set[int] = field(default_factory=set)  # the steps in which the process ended
    skipped: set[int] = field(default_factory=set)  # of them, those whose definitions alone ended it too

    # --- the student's process ---

    def alive(self, upto: int) -> bool:
        """See that there is a process that has run the cells before ``upto``; false if none comes up."""
        if self.remote.alive:
            return True
        try:
            self.remote.start()
            for k, step in enumerate(self.job.steps[:upto]):
                self._again(k, step)
        except Ended:
            return False
        finally:
            self.remote.take_output()
        return True

    def _again(self, k: int, step: Step) -> None:
        """A step as before; of one that ended the process then, what it defines."""
        try:
            if step.kind == "test":
                self.remote.request("take", k, self._names_before(k))
            elif self._runs(step):
                self.remote.request("cell", self._source(k, step))
        except Ended:
            self._ended(k)
            raise
        except Exception:  # it failed the first time too
            return

    def _source(self, k: int, step: Step) -> str:
        """What runs of a cell: after a loop without an end, or whatever ended the process, only what it defines."""
        if k in self.skipped:
            return ""
        return suspicion.definitions(step.source) if k in self.ended else step.source

    @staticmethod
    def _runs(step: Step) -> bool:
        return step.kind in ("given", "own") or (step.kind == "answer" and bool(step.source.strip()))

    def _names_before(self, k: int) -> list[str]:
        return list(dict.fromkeys(name for step in self.job.steps[:k] for name in step.defines))

    def _gone(self) -> str:
        """Why no process comes up."""
        broken = "the cells before it end the Python process each time"
        return self.remote.used_up() if self.remote.is_over() else broken

    # --- the notebook, the first time ---

    def visible(self) -> None:
        """Every cell, every visible check."""
        self._begin()
        for k, step in enumerate(self.job.steps):
            start = time.monotonic()
            result, seconds = self._step(k, step), round(time.monotonic() - start, 3)
            self.results.append(replace(result, output=self.remote.take_output(), seconds=seconds))

    def _begin(self) -> None:
        self.remote.end()
        self.namespace = {"__name__": "__main__"}
        seed()

    def _step(self, k: int, step: Step) -> CellResult:
        if step.kind == "test":
            message = self._take(k) or self._run(parts(step.source)[0], step)
            self.kept[k] = dict(self.namespace)
            return CellResult(not message, message[:LONGEST], fatal=self._fatal(k))
        if step.kind == "given":
            self._given(step)
        if not self._runs(step):
            return CellResult()
        if not self.alive(k):
            return CellResult(False, f"It did not run: {self._gone()}.")
        try:
            self.remote.request("cell", self._source(k, step))
            return CellResult()
        except Exception as error:
            words = say(error)
            self.why |= {name: f"its cell stops with {words}" for name in step.defines}
            return CellResult(False, words, fatal=self._fatal(k))

    def _fatal(self, k: int) -> str:
        """How the process ended in this step, if it did."""
        if self.remote.alive:
            return ""
        self._ended(k)
        return self.remote.fatal

    def _ended(self, k: int) -> None:
        """Remember what ended the process: of a cell that did so twice, nothing runs any more."""
        (self.skipped if k in self.ended else self.ended).add(k)

    def _given(self, step: Step) -> None:
        """The instructor's own code, on this side too; a statement that needs a student's name fails alone."""
        for statement in suspicion.tree(step.source).body:
            code = compile(ast.Module([statement], []), step.grade_id or "given", "exec")
            with contextlib.suppress(Exception), _silence():
                exec(code, self.namespace)

    def _take(self, k: int) -> str:
        """Stand-ins for the student's names as they are now; if that fails, why."""
        if not (names := self._names_before(k)):
            return ""
        if not self.alive(k):
            return f"It did not run: {self._gone()}."
        try:
            self.namespace |= names_of(self.remote, k, names, self.why)
        except Exception as error:
            return say(error)
        return ""

    def _run(self, source: str, step: Step) -> str:
        """Run checks here; what they say, or nothing if they hold."""
        error = self._error(source, step)
        return "" if error is None else str(error) if isinstance(error, AssertionError) and str(error) else say(error)

    def _error(self, source: str, step: Step) -> Exception | None:
        try:
            with _silence():
                exec(compile(source, step.grade_id or "check", "exec"), self.namespace)
        except Exception as error:
            return error
        return None

    # --- and again, with what is hidden ---

    def hidden(self) -> None:
        """The hidden part of every test cell whose visible part holds, each where it stands."""
        steps = self.job.steps
        passed = [k for k, step in enumerate(steps) if step.kind == "test" and self.results[k].ok]
        due = [k for k in passed if parts(steps[k].source)[1]]
        if not due:
            return
        whole, defined = self.remote.gave_objects, self.namespace
        self._begin()
        for k, step in enumerate(steps[: due[-1] + 1]):
            if k in due:
                message = self._hidden(k, step, defined, whole=whole)
                if message:  # how long it took is not told either: a student's code could count it out in seconds
                    failed = replace(self.results[k], ok=False, message=message, hidden=True, fatal=self._fatal(k))
                    self.results[k] = failed
            elif step.kind != "test" or (whole and k not in self.ended):
                self._step(k, step)
            self.remote.take_output()

    def _hidden(self, k: int, step: Step, defined: dict[str, Any], *, whole: bool) -> str:
        """The hidden part of a test cell, or both; what to say if it fails.

        What visible parts ``defined`` is the globals of their functions, which then are to call the student's as they
        were there.
        """
        visible, hidden = parts(step.source)
        kept, unlike = self.kept[k], self._take(k)
        if whole:
            unlike = unlike or self._run(visible, step)
        else:
            defined.clear()
            defined |= kept
            self.namespace = defined
        error = None if unlike else self._error(hidden, step)
        if not unlike and error is None:
            return ""
        if self.remote.is_over():
            return f"A hidden check could not run: {self.remote.used_up()}."
        if not self.remote.alive:
            return f"A hidden check failed: the code {ENDED[self.remote.fatal]}."
        return CHANGED if error is None else instructors_words(error, step.source)


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
    """The message or hint of a failed hidden check, to the letter as in its source: a student has no say in it."""
    text = "" if hasattr(error, "by_student") or not isinstance(error, AssertionError) else str(error)
    hint = text.partition("Hint: ")[2] or text
    return f"A hidden check failed. Hint: {hint}" if hint and hint in _messages(source) else "A hidden check failed."


def _messages(source: str) -> set[str]:
    """The texts of a cell that are meant to be read: of assertions, of ``hint=``, of names that end in ``hint``."""
    texts: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            texts.append(node.msg)
        elif isinstance(node, ast.keyword | ast.Assign) and _is_hint(node):
            texts.append(node.value)
        elif isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            texts += node.exc.args
    return {text.value for text in texts if isinstance(text, ast.Constant) and isinstance(text.value, str)}


def _is_hint(node: ast.keyword | ast.Assign) -> bool:
    if isinstance(node, ast.keyword):
        return node.arg == "hint"
    return any(isinstance(target, ast.Name) and target.id.endswith("hint") for target in node.targets)


def grade(job: Job, box: Box) -> Result:
    """Everything of one job. Never raises for what a student wrote."""
    start, own = time.monotonic(), time.process_time()
    remote = Remote(box, job.limits)
    grading = Grading(job, remote)
    try:
        grading.visible()
        grading.hidden()
    finally:
        remote.end()
    cpu = remote.used["cpu_s"] + time.process_time() - own
    wall, peak = round(time.monotonic() - start, 3), round(max(remote.used["peak_mb"], 0.0), 1)
    flags = tuple(dict.fromkeys([*remote.flags, *suspicion.suspicions(job)]))
    return Result(tuple(grading.results), flags, round(cpu, 3), wall, peak)
