"""Is an assignment fit to be graded? Tried in the sandbox, on hand-ins whose marks are known beforehand."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nbformat
from nbgrader.preprocessors import ClearSolutions
from tqdm import tqdm

from . import pool
from .cases import FOLDER, Case, read_cases
from .directory import course, places
from .records import Job
from .running import sandbox_kind
from .source import Source, lint, read_source
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


def assignments(course_dir: str | Path = ".") -> list[str]:
    """All that lie in ``solutions/``."""
    return sorted(path.name for path in Path(course_dir, "solutions").iterdir() if any(path.glob("*.ipynb")))


def selftest(names: Iterable[str] = (), course_dir: str | Path = ".", *, variants: int = 0) -> list[Fitness]:
    """Grade the solution, the stub and every case of each assignment, and compare; nothing is recorded.

    With ``variants``, each assignment with its hidden inputs drawn so many times, from ``VARIANT = 0`` on.
    """
    seeds: list[int | None] = [*range(variants)] or [None]
    return [_try(name, Path(course_dir), seed) for name in list(names) or assignments(course_dir) for seed in seeds]


def _try(name: str, course_dir: Path, seed: int | None) -> Fitness:
    source = read_source(course_dir, name)
    source = source if seed is None else varied(source, seed)
    label = name if seed is None else f"{name}, variant {seed}"
    cases = read_cases(course_dir, name)
    handed_in = [{}, _stub(course_dir, name), *(case.answers for case in cases)]
    solution, stub, *messages = _messages(source, handed_in, places(course(course_dir)))
    steps = [cell.step for cells in source.notebooks.values() for cell in cells]
    points = {step.grade_id: step.points for step in steps if step.kind == "test"}
    score, stub_score = (sum(worth for test, worth in points.items() if test not in lost) for lost in (solution, stub))
    missed = [_missed(case, by_test) for case, by_test in zip(cases, messages)]
    planted, right = ([not m for case, m in zip(cases, missed) if bool(case.test) is wrong] for wrong in (True, False))
    counts = len(planted), sum(planted), len(right), sum(right)
    return Fitness(label, sum(points.values()), score, stub_score, *counts, (*lint(source), *filter(None, missed)))


def _messages(source: Source, handed_in: Sequence[Mapping[str, str]], private: tuple[str, ...]) -> list[dict[str, str]]:
    """Grade these answers; what each is told, by the test it loses."""
    everyone = enumerate(handed_in)
    jobs = [replace(job, private=private) for k, answers in everyone for job in _jobs(source, str(k), answers)]
    messages: list[dict[str, str]] = [{} for _ in handed_in]
    running = pool.local(jobs, kind=sandbox_kind(private), count=min(pool.processors(), len(jobs)))
    for job, result in tqdm(running, total=len(jobs), desc=source.assignment, leave=False):
        tests = ((step.grade_id, cell) for step, cell in zip(job.steps, result.cells) if step.kind == "test")
        messages[int(job.student)] |= {test: cell.message for test, cell in tests if not cell.ok}
    return messages


def _stub(course_dir: Path, name: str) -> dict[str, str]:
    """The answers as a release leaves them, by grade id."""
    clear = ClearSolutions(config=course(course_dir).config)
    stubs = {}
    for path in sorted(Path(course_dir, "solutions", name).glob("[!.]*.ipynb")):
        for cell in clear.preprocess(nbformat.read(path, as_version=4), {})[0].cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("solution"):
                stubs[cell.metadata.nbgrader.grade_id] = cell.source
    return stubs


def _jobs(source: Source, student: str, answers: Mapping[str, str]) -> Iterator[Job]:
    """The notebooks of one student: the solution, with these answers in the places of its own."""
    for notebook, cells in source.notebooks.items():
        steps = tuple(replace(cell.step, source=answers.get(cell.step.grade_id, cell.step.source)) for cell in cells)
        yield Job(source.assignment, notebook, student, steps, source.closed)


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
