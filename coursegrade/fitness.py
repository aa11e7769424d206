"""Is an assignment fit to be graded? Tried in the sandbox, on hand-ins whose marks are known beforehand."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from nbgrader.preprocessors import ClearSolutions
from tqdm import tqdm

from . import pool
from .cases import FOLDER, Case, read_cases
from .directory import assignments, course, places
from .records import Job, Result
from .running import sandbox_kind
from .source import lint, read_source
from .variants import varied


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

    A planted mistake is tried on the test about it alone, the others on all. With ``variants``, each assignment with
    its hidden inputs drawn so many times, from ``VARIANT = 0`` on.
    """
    seeds: list[int | None] = [*range(variants)] or [None]
    everything = list(names) or assignments(course_dir)
    trials = [_Trial(Path(course_dir), name, seed) for name in everything for seed in seeds]
    private = places(course(course_dir))
    jobs = [replace(job, private=private) for k, trial in enumerate(trials) for job in trial.jobs(str(k))]
    running = pool.local(jobs, kind=sandbox_kind(private), count=min(pool.processors(), len(jobs)))
    for job, result in tqdm(running, total=len(jobs), desc="selftest", leave=False):
        trial, _, handed_in = job.student.partition(" ")
        trials[int(trial)].take(int(handed_in), job, result)
    return [trial.fitness() for trial in trials]


class _Trial:
    """One assignment with one set of hidden inputs: what is handed in, and what each was told, by the test it loses."""

    def __init__(self, course_dir: Path, name: str, seed: int | None) -> None:
        source = read_source(course_dir, name)
        self.source = source if seed is None else varied(source, seed)
        self.label = name if seed is None else f"{name}, variant {seed}"
        self.cases = read_cases(course_dir, name)
        self.handed_in = [Case("solution", {}), Case("stub", _stub(course_dir, name)), *self.cases]
        self.messages: list[dict[str, str]] = [{} for _ in self.handed_in]

    def jobs(self, label: str) -> Iterator[Job]:
        """The notebooks of all hand-ins: the solution, with their answers in the places of its own."""
        for k, case in enumerate(self.handed_in):
            for notebook, cells in self.source.notebooks.items():
                steps = (replace(c.step, source=case.answers.get(c.step.grade_id, c.step.source)) for c in cells)
                kept = tuple(step for step in steps if step.kind != "test" or case.test in ("", step.grade_id))
                yield Job(self.source.assignment, notebook, f"{label} {k}", kept, self.source.closed)

    def take(self, k: int, job: Job, result: Result) -> None:
        """Keep what came of a hand-in."""
        tests = ((step.grade_id, cell) for step, cell in zip(job.steps, result.cells) if step.kind == "test")
        self.messages[k] |= {test: cell.message for test, cell in tests if not cell.ok}

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
