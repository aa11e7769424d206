"""Each claim of the lecture as one paired experiment over seeds.

A claim is a function of a seed. It trains every arm from the same start on the same batches, scores each on held-out data,
and returns ``{measure: {arm: score}}``. The record of all seeds lies as JSON in ``lectures/records/``.

Recipes were found on seeds below ``FRESH``; records are made on seeds from there on, which no choice has seen.
"""

import importlib
import json
import math
import multiprocessing
import pkgutil
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .. import __version__

Scores = dict[str, dict[str, float]]
RECORDS = Path(__file__).parents[2] / "lectures" / "records"
FRESH = 100


@dataclass(frozen=True)
class Effect:
    """``better`` minus ``worse`` on one measure, paired over seeds, with its 95 % t interval."""

    measure: str
    better: str
    worse: str
    effect: float
    low: float
    high: float

    @property
    def holds(self) -> bool:
        """The whole interval lies above zero."""
        return self.low > 0


@dataclass(frozen=True)
class Claim:
    """What the lecture says, and the experiment that asks the data. The first comparison is the claim itself."""

    name: str
    lecture: str
    statement: str
    comparisons: Sequence[tuple[str, str, str]]  # (measure, better, worse)
    baseline: tuple[str, str]  # (measure, arm): what does it without learning
    experiment: Callable[[int], Scores]


def by_measure(arms: Mapping[str, Mapping[str, float]]) -> Scores:
    """``{arm: {measure: score}}`` turned inside out."""
    scores: Scores = {}
    for arm, measured in arms.items():
        for measure, value in measured.items():
            scores.setdefault(measure, {})[arm] = value
    return scores


def claims() -> dict[str, Claim]:
    """All claims by name: those of every file beside this one that lists ``CLAIMS``."""
    modules = (importlib.import_module(f"{__name__}.{m.name}") for m in pkgutil.iter_modules(__path__))
    return {claim.name: claim for module in modules for claim in getattr(module, "CLAIMS", ())}


def names() -> list[str]:
    """The names that ``run`` takes."""
    return sorted(claims())


def find(name: str) -> Claim:
    """The claim of that name, or one sentence that lists the names."""
    known = claims()
    if name not in known:
        raise ValueError(f"expected a claim's name, got {name!r}: take one of {', '.join(sorted(known))}")
    return known[name]


def effect(measure: str, better: str, worse: str, *, scores: Sequence[Scores]) -> Effect:
    """Mean paired difference over seeds and its 95 % interval from Student's t (n - 1 degrees of freedom)."""
    from scipy import stats

    differences = [s[measure][better] - s[measure][worse] for s in scores]
    count, mean = len(differences), math.fsum(differences) / len(differences)
    if count < 2:
        return Effect(measure, better, worse, mean, float("-inf"), float("inf"))
    variance = math.fsum((d - mean) ** 2 for d in differences) / (count - 1)
    half = float(stats.t.ppf(0.975, count - 1)) * math.sqrt(variance / count)
    return Effect(measure, better, worse, mean, mean - half, mean + half)


def run(name: str, *, seeds: int = 6, jobs: int = 1, write: bool = True, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Run a claim for ``seeds`` fresh seeds, ``jobs`` at a time, and return its record, written anew after each seed but the first."""
    claim = find(name)
    if seeds < 2:
        raise ValueError(f"expected at least 2 seeds, got {seeds}: one run has no error bar")
    scores: list[Scores] = []
    record: dict[str, Any] = {}
    cpu_s = 0.0
    for seed, (found, seconds) in zip(range(FRESH, FRESH + seeds), _experiments(claim, seeds, jobs)):
        scores.append(found)
        cpu_s += seconds
        report(f"{name}: seed {seed} ({len(scores)} of {seeds}) took {seconds:.0f} CPU s")
        if len(scores) > 1:
            record = describe(claim, scores, cpu_s=cpu_s)
            if write:
                RECORDS.mkdir(parents=True, exist_ok=True)
                path_of(name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return record


def _experiments(claim: Claim, seeds: int, jobs: int) -> Iterator[tuple[Scores, float]]:
    """What each seed gives and the CPU seconds it took, in order; several jobs are processes of one thread each."""
    fresh = range(FRESH, FRESH + seeds)
    if jobs == 1:
        yield from (_timed(claim.experiment, seed) for seed in fresh)
        return
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _one_thread) as pool:
        yield from pool.map(_timed, [claim.experiment] * seeds, fresh)


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _timed(experiment: Callable[[int], Scores], seed: int) -> tuple[Scores, float]:
    start = time.process_time()
    return experiment(seed), time.process_time() - start


def describe(claim: Claim, scores: Sequence[Scores], *, cpu_s: float) -> dict[str, Any]:
    """The record: what was claimed, every score of every seed, the effects, and on what it was measured."""
    import torch

    measure, arm = claim.baseline
    effects = [effect(*c, scores=scores) for c in claim.comparisons]
    return {
        "name": claim.name,
        "lecture": claim.lecture,
        "statement": claim.statement,
        "holds": effects[0].holds,
        "effects": [asdict(e) | {"holds": e.holds} for e in effects],
        "baseline": {"measure": measure, "arm": arm, "mean": math.fsum(s[measure][arm] for s in scores) / len(scores)},
        "seeds": len(scores),
        "first_seed": FRESH,
        "scores": list(scores),
        "cpu_s": round(cpu_s, 1),
        "made": time.strftime("%Y-%m-%d"),
        "versions": {"coursekit": __version__, "torch": torch.__version__, "python": platform.python_version()},
        "machine": f"{platform.system()} {platform.machine()}, {torch.get_num_threads()} threads",
    }


def path_of(name: str) -> Path:
    """Where the record of a claim lies."""
    return RECORDS / f"{name}.json"


def load(name: str) -> dict[str, Any]:
    """The committed record of a claim."""
    find(name)
    if not path_of(name).exists():
        raise FileNotFoundError(f"expected a record of {name!r} in lectures/records, found none: run `coursekit claims run {name}`")
    record: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return record


def table() -> list[dict[str, Any]]:
    """One row a recorded claim: ``{name, lecture, effect, low, high, seeds, holds, cpu_s, baseline}``."""
    rows = []
    for record in (load(name) for name in names() if path_of(name).exists()):
        first = record["effects"][0]
        rows.append(
            {key: record[key] for key in ("name", "lecture")}
            | {key: first[key] for key in ("effect", "low", "high")}
            | {key: record[key] for key in ("seeds", "holds", "cpu_s")}
            | {"baseline": record["baseline"]["mean"]}
        )
    return rows
