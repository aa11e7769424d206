"""Is an assignment fit to be graded? Tried in the sandbox, on hand-ins whose marks are known beforehand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from nbgrader.preprocessors import ClearSolutions
from tqdm import tqdm

from . import pool
from .cases import FOLDER, Case, read_cases
from .directory import assignments, course, places
from .records import Job, Result, parts
from .running import sandbox_kind
from .source import lint, read_source
from .variants import LINE, varied


@dataclass(frozen=True)
class Fitness:
    """What came of one assignment: how many answers were tried, and how many got what they should."""

    assignment: str
    points: float  # that code can earn
    solution: float
    stub: float
    planted: int  # misconceptions
    caught: int  # of them: lost the test about them, with the message about it
    right: int  # right answers, written differently
    accepted: int  # of them: full marks
    missed: tuple[str, ...]  # a sentence each

    @property
    def fit(self) -> bool:
        """The solution scores full, the stub nothing, and no case is missed."""
        return (self.solution, self.stub) == (self.points, 0.0) and not self.missed

    @property
    def sentences(self) -> list[str]:
        """What to look at."""
        folder = FOLDER / self.assignment.partition(",")[0]
        none = f"no planted and no right answers were tried: put them into {folder}."
        return [f"{self.assignment}: {text}" for text in self.missed or ([] if self.planted + self.right else [none])]


def selftest(names: Iterable[str] = (), course_dir: str | Path = ".", *, variants: int = 0) -> list[Fitness]:
    """Grade the solution, the stub and every case of each assignment, and compare; nothing is recorded.

    A planted mistake is tried on the test about it alone, and on all if it keeps that. With ``variants``, each
    assignment with its hidden inputs drawn so many times, from ``VARIANT = 0`` on; what a visible check caught, which
    draws nothing from it, is not tried again.
    """
    root = Path(course_dir)
    first, *more = [*range(variants)] or [None]
    tried = [[_Trial(root, name, first)] for name in list(names) or assignments(root)]
    _run([trial for (trial,) in tried], places(course(root)))
    for trials in tried:
        trials += [_Trial(root, trials[0].source.assignment, seed, trials[0].settled()) for seed in more]
    _run([trial for _, *trials in tried for trial in trials], places(course(root)))
    return [trial.fitness() for trials in tried for trial in trials]


def _run(trials: Sequence["_Trial"], private: tuple[str, ...]) -> None:
    """Grade what was handed in, all of it with the same workers."""
    for whole in (False, True):
        jobs = [replace(job, private=private) for k, trial in enumerate(trials) for job in trial.jobs(str(k), whole)]
        if not jobs:
            return
        running = pool.local(jobs, kind=sandbox_kind(private), count=min(pool.processors(), len(jobs)))
        for job, result in tqdm(running, total=len(jobs), desc="selftest", leave=False):
            trial, _, handed_in = job.student.partition(" ")
            trials[int(trial)].take(int(handed_in), job, result)


class _Trial:
    """One assignment with one set of hidden inputs: what is handed in, and what each was told, by the test it loses."""

    def __init__(
        self, course_dir: Path, name: str, seed: int | None, settled: Mapping[int, dict[str, str]] | None = None
    ) -> None:
        source = read_source(course_dir, name)
        self.source = source if seed is None else varied(source, seed)
        self.label = name if seed is None else f"{name}, variant {seed}"
        self.cases = read_cases(course_dir, name)
        self.handed_in = [Case("solution", {}), Case("stub", _stub(course_dir, name)), *self.cases]
        self.known = settled or {}  # what was told of a hand-in with any hidden inputs
        self.messages = [dict(self.known.get(k, {})) for k in range(len(self.handed_in))]
        self.seen: set[int] = set()  # the planted mistakes that a visible check caught

    def settled(self) -> dict[int, dict[str, str]]:
        """What was told of the planted mistakes that need no other hidden inputs."""
        drawn, alike = False, {""}
        for step in (cell.step for cells in self.source.notebooks.values() for cell in cells):
            drawn |= step.kind == "given" and "VARIANT" in LINE.sub("", step.source)
            if step.kind == "test" and not drawn and "VARIANT" not in parts(step.source)[0]:
                alike.add(step.grade_id)
        return {k: self.messages[k] for k in self.seen if self.handed_in[k].test in alike}

    def jobs(self, label: str, whole: bool) -> Iterator[Job]:
        """The notebooks of all hand-ins: the solution, with their answers in the places of its own. ``whole`` for a
        mistake that kept its test when that ran alone, such as one that remembers what an earlier test asked.
        """
        for k, case in enumerate(self.handed_in):
            if k in self.known or (whole and (not case.test or case.test in self.messages[k])):
                continue
            for notebook, cells in self.source.notebooks.items():
                steps = (replace(c.step, source=case.answers.get(c.step.grade_id, c.step.source)) for c in cells)
                kept = tuple(step for step in steps if step.kind != "test" or whole or case.test in ("", step.grade_id))
                yield Job(self.source.assignment, notebook, f"{label} {k}", kept, self.source.closed)

    def take(self, k: int, job: Job, result: Result) -> None:
        """Keep what came of a hand-in."""
        lost = {s.grade_id: cell for s, cell in zip(job.steps, result.cells) if s.kind == "test" and not cell.ok}
        self.messages[k] |= {test: cell.message for test, cell in lost.items()}
        self.seen |= {k for test, cell in lost.items() if test == self.handed_in[k].test and not cell.hidden}

    def fitness(self) -> Fitness:
        """What all of it comes to."""
        steps = [cell.step for cells in self.source.notebooks.values() for cell in cells]
        points = {step.grade_id: step.points for step in steps if step.kind == "test"}
        solution, stub, *messages = self.messages
        score, stub_score = (
            sum(worth for test, worth in points.items() if test not in lost) for lost in (solution, stub)
        )
        missed = [_missed(case, by_test) for case, by_test in zip(self.cases, messages)]
        planted, right = (
            [not m for case, m in zip(self.cases, missed) if bool(case.test) is wrong] for wrong in (True, False)
        )
        counts = len(planted), sum(planted), len(right), sum(right)
        sentences = (*lint(self.source), *filter(None, missed))
        return Fitness(self.label, sum(points.values()), score, stub_score, *counts, sentences)


def _stub(course_dir: Path, name: str) -> dict[str, str]:
    """The answers as a release leaves them, by grade id."""
    clear = ClearSolutions(config=course(course_dir).config)
    stubs = {}
    for path in sorted(Path(course_dir, "solutions", name).glob("[!.]*.ipynb")):
        for cell in clear.preprocess(nbformat.read(path, as_version=4), {})[0].cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
                stubs[cell.metadata.nbgrader.grade_id] = cell.source
    return stubs


def _missed(case: Case, messages: Mapping[str, str]) -> str:
    """How what a case was told differs from what it should be; empty if it does not."""
    if not case.test:
        lost = f"{case.name}: a right answer loses {', '.join(messages)}: {next(iter(messages.values()), '')}"
        return lost if messages else ""
    if case.test not in messages:
        return f"{case.name}: keeps {case.test}, which is about it."
    if case.says not in messages[case.test]:
        return f"{case.name}: loses {case.test} without {case.says!r}: {messages[case.test]}"
    return ""
