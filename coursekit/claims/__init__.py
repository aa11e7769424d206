"""Each claim of the lecture as one paired experiment over seeds.

A claim is a function of a seed. It trains every arm from the same start on the same batches, scores each on held-out
data, and returns ``{measure: {arm: score}}``. The record of all seeds lies as JSON in ``lectures/records/``, with
what it was made of and by (``provenance``): no phantom stands in for data, and every seed runs in a process of one
thread.

Recipes were found on seeds below ``FRESH``; records are made on seeds from there on, which no choice has seen.
"""

import importlib
import json
import math
import multiprocessing
import os
import pkgutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
    """What the lecture says, and the experiment that asks the data.

    The first ``asserted`` comparisons are the claim itself. ``baseline``: a measure, and the arms that do it without
    learning, of which the record names the strongest. ``simulated``: the sets of ``coursekit.data`` that are made,
    not read.
    """

    name: str
    lecture: str
    statement: str
    comparisons: Sequence[tuple[str, str, str]]  # (measure, better, worse)
    baseline: tuple[str, ...]  # (measure, arm, arm …)
    experiment: Callable[[int], Scores]
    asserted: int = 1
    simulated: tuple[str, ...] = ()


class Measured(NamedTuple):
    """One seed: what came out, the CPU seconds it took, and ``provenance.provenance()`` of the process that measured
    it.
    """

    scores: Scores
    cpu_s: float
    made_by: dict[str, Any]


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


def run(
    name: str, *, seeds: int = 6, jobs: int = 1, write: bool = True, report: Callable[[str], None] = print
) -> dict[str, Any]:
    """Run a claim for ``seeds`` fresh seeds, ``jobs`` at a time, and return its record.

    It grows in ``NAME.partial.json`` and takes the record's place when all seeds are through, unless that has more of
    them. Raises ``ValueError`` where a phantom would stand in for data.
    """
    from .provenance import refuse_own_folders

    claim = find(name)
    if seeds < 2:
        raise ValueError(f"expected at least 2 seeds, got {seeds}: one run has no error bar")
    refuse_own_folders()
    done: list[Measured] = []
    record: dict[str, Any] = {}
    for seed, measured in zip(range(FRESH, FRESH + seeds), _experiments(claim, seeds, jobs)):
        done.append(measured)
        report(f"{name}: seed {seed} ({len(done)} of {seeds}) took {measured.cpu_s:.0f} CPU s")
        if len(done) > 1:
            record = describe(claim, done)
            if write:
                _partial(name).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if write:
        _keep(name, seeds, report)
    return record


def _partial(name: str) -> Path:
    RECORDS.mkdir(parents=True, exist_ok=True)
    return path_of(name).with_suffix(".partial.json")


def _keep(name: str, seeds: int, report: Callable[[str], None]) -> None:
    """Put the partial record in the place of the record, if that has no more seeds."""
    before = load(name)["seeds"] if path_of(name).exists() else 0
    if before > seeds:
        report(f"{name}: the record has {before} seeds and stays; this one, of {seeds}, lies in {_partial(name)}")
    else:
        os.replace(_partial(name), path_of(name))


def _experiments(claim: Claim, seeds: int, jobs: int) -> Iterator[Measured]:
    """Every seed in order; jobs are processes of one thread each, in which no phantom stands in for data."""
    from ..data import fetch

    with fetch.no_standins(), ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn"), _one_thread) as pool:
        yield from pool.map(_measured, [claim.experiment] * seeds, range(FRESH, FRESH + seeds))


def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)


def _measured(experiment: Callable[[int], Scores], seed: int) -> Measured:
    from .provenance import provenance

    start = time.process_time()
    scores = experiment(seed)
    return Measured(scores, time.process_time() - start, provenance())


def describe(claim: Claim, done: Sequence[Measured]) -> dict[str, Any]:
    """The record: what was claimed, every score of every seed, the effects, what it took, and on what and by what it
    was measured.
    """
    made_by = done[-1].made_by
    if any(one.made_by["code"] != made_by["code"] for one in done):
        raise ValueError(
            "expected the same code for every seed, got a change: leave coursekit alone while a claim runs, and run it again"
        )
    seconds = [round(one.cpu_s, 1) for one in done]
    took = {"cpu_s_per_seed": seconds, "cpu_s_total": round(math.fsum(seconds), 1), "made": time.strftime("%Y-%m-%d")}
    return summary(claim, [one.scores for one in done]) | took | {"simulated": list(claim.simulated)} | made_by


def summary(claim: Claim, scores: Sequence[Scores]) -> dict[str, Any]:
    """What the scores say of the claim: its effects, whether those that it asserts hold, and the strongest arm that
    learns nothing.
    """
    effects = [effect(*c, scores=scores) for c in claim.comparisons]
    measure, *unlearnt = claim.baseline
    mean = {m: {arm: math.fsum(s[m][arm] for s in scores) / len(scores) for arm in scores[0][m]} for m in scores[0]}
    best = max(unlearnt, key=mean[measure].__getitem__)
    means = {m: arms[best] for m, arms in mean.items() if best in arms}
    return {
        "name": claim.name,
        "lecture": claim.lecture,
        "statement": claim.statement,
        "asserted": claim.asserted,
        "holds": all(e.holds for e in effects[: claim.asserted]),
        "effects": [asdict(e) | {"holds": e.holds} for e in effects],
        "baseline": {"measure": measure, "arm": best, "mean": means[measure], "means": means},
        "seeds": len(scores),
        "first_seed": FRESH,
        "scores": list(scores),
    }


def path_of(name: str) -> Path:
    """Where the record of a claim lies."""
    return RECORDS / f"{name}.json"


def load(name: str) -> dict[str, Any]:
    """The committed record of a claim."""
    find(name)
    if not path_of(name).exists():
        raise FileNotFoundError(
            f"expected a record of {name!r} in lectures/records, found none: run `coursekit claims run {name}`"
        )
    record: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return record


def verdict(record: dict[str, Any]) -> str:
    """Of what the claim asserts: "shown" if all of it is, "refuted" if the opposite of a part of it is shown, else "not
    shown".
    """
    asserted = record["effects"][: record["asserted"]]
    return "shown" if record["holds"] else "refuted" if any(e["high"] < 0 for e in asserted) else "not shown"


def table() -> list[dict[str, Any]]:
    """One row a recorded claim: ``{name, lecture, effect, low, high, seeds, verdict, cpu_s_total, baseline}``."""
    rows = []
    for record in (load(name) for name in names() if path_of(name).exists()):
        first = record["effects"][0]
        rows.append(
            {key: record[key] for key in ("name", "lecture")}
            | {key: first[key] for key in ("effect", "low", "high")}
            | {"seeds": record["seeds"], "verdict": verdict(record), "cpu_s_total": record["cpu_s_total"]}
            | {"baseline": record["baseline"]["mean"]}
        )
    return rows
