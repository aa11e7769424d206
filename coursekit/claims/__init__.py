"""Each claim of the lecture as one paired experiment over seeds.

A file reads: the data, the arms and their training, what is scored, and under ``@claim`` what the lecture says and
the experiment: a function of a seed that trains every arm from the same start on the same batches, scores each on
held-out data, and returns ``{measure: {arm: score}}``. The record of all seeds lies in ``lectures/records/``, with
what it was made of and by: no phantom stands in for data, and every seed runs in a process of one thread.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import torch
from scipy import stats

from ..data import fetch
from . import provenance

Scores = dict[str, dict[str, float]]
Comparison = tuple[str, str, str]  # (measure, better, worse)
PACKED = Path(__file__).with_name("records")  # where a wheel has them
RECORDS = PACKED if PACKED.is_dir() else provenance.HOME / "lectures" / "records"
FRESH = 100


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
    comparisons: Sequence[Comparison]
    baseline: tuple[str, ...]  # (measure, arm, arm …)
    experiment: Callable[[int], Scores]
    asserted: int = 1
    simulated: tuple[str, ...] = ()


class Measured(NamedTuple):
    """One seed: what came out, the CPU seconds it took, and what made it: ``provenance.of_this_process``."""

    scores: Scores
    cpu_s: float
    made_by: dict[str, Any]


Experiment = TypeVar("Experiment", bound=Callable[..., Scores])
_CLAIMS: dict[str, Claim] = {}


def claim(**fields: Any) -> Callable[[Experiment], Experiment]:
    """Say what the experiment below is to show, in the fields of ``Claim``; it has the claim's name."""

    def register(experiment: Experiment) -> Experiment:
        _CLAIMS[experiment.__name__] = Claim(name=experiment.__name__, experiment=experiment, **fields)
        return experiment

    return register


def versus(better: str, *others: str, on: Sequence[str]) -> list[Comparison]:
    """Comparisons of one arm with each of the ``others``, on every measure of ``on``."""
    return [(measure, better, other) for other in others for measure in on]


def by_measure(arms: Mapping[str, Mapping[str, float]]) -> Scores:
    """``{arm: {measure: score}}`` turned inside out."""
    scores: Scores = {}
    for arm, measured in arms.items():
        for measure, value in measured.items():
            scores.setdefault(measure, {})[arm] = value
    return scores


def claims() -> dict[str, Claim]:
    """All claims by name, of every file beside this one."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(_CLAIMS)


def names() -> list[str]:
    """The names that ``run`` takes."""
    return sorted(claims())


def find(name: str) -> Claim:
    """The claim of that name, or one sentence that lists the names."""
    known = claims()
    if name not in known:
        raise ValueError(f"expected a claim's name, got {name!r}: take one of {', '.join(sorted(known))}")
    return known[name]


def effect(measure: str, better: str, worse: str, *, scores: Sequence[Scores]) -> dict[str, Any]:
    """``better`` minus ``worse``, paired over seeds, with its 95 % t interval: ``holds`` if that lies above zero."""
    differences = [s[measure][better] - s[measure][worse] for s in scores]
    count, mean, half = len(differences), math.fsum(differences) / len(differences), math.inf
    if count > 1:
        variance = math.fsum((d - mean) ** 2 for d in differences) / (count - 1)
        half = float(stats.t.ppf(0.975, count - 1)) * math.sqrt(variance / count)
    interval = {"effect": mean, "low": mean - half, "high": mean + half, "holds": mean - half > 0}
    return {"measure": measure, "better": better, "worse": worse} | interval


def run(name: str, *, seeds: int = 6, jobs: int = 1, report: Callable[[str], None] = print) -> dict[str, Any]:
    """Run a claim for ``seeds`` fresh seeds, ``jobs`` at a time, and return its record.

    It grows in ``NAME.partial.json`` and takes the record's place when all seeds are through, unless that has more of
    them. Raises ``ValueError`` where a phantom would stand in for data.
    """
    claim = find(name)
    if seeds < 2:
        raise ValueError(f"expected at least 2 seeds, got {seeds}: one run has no error bar")
    provenance.refuse_own_folders()
    done: list[Measured] = []
    record: dict[str, Any] = {}
    partial = path_of(name).with_suffix(".partial.json")
    partial.parent.mkdir(parents=True, exist_ok=True)
    for seed, measured in zip(range(FRESH, FRESH + seeds), _experiments(claim, seeds, jobs)):
        done.append(measured)
        report(f"{name}: seed {seed} ({len(done)} of {seeds}) took {measured.cpu_s:.0f} CPU s")
        if len(done) > 1:
            record = describe(claim, done)
            partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    before = load(name)["seeds"] if path_of(name).exists() else 0
    if before > seeds:
        report(f"{name}: the record has {before} seeds and stays; this one, of {seeds}, lies in {partial}")
    else:
        os.replace(partial, path_of(name))
    return record


def _experiments(claim: Claim, seeds: int, jobs: int) -> Iterator[Measured]:
    """Every seed in order; jobs are processes of one thread each, in which no phantom stands in for data."""
    with fetch.no_standins(), ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        yield from pool.map(_measured, [claim.experiment] * seeds, range(FRESH, FRESH + seeds))


def _measured(experiment: Callable[[int], Scores], seed: int) -> Measured:
    torch.set_num_threads(1)
    start = time.process_time()
    scores = experiment(seed)
    return Measured(scores, time.process_time() - start, provenance.of_this_process())


def describe(claim: Claim, done: Sequence[Measured]) -> dict[str, Any]:
    """The record: what was claimed, all scores, the effects, what it took, and on what and by what it was measured."""
    made_by = done[-1].made_by
    if any(measured.made_by["code"] != made_by["code"] for measured in done):
        advice = "leave coursekit alone while a claim runs, and run it again"
        raise ValueError(f"expected the same code for every seed, got a change: {advice}")
    seconds = [round(measured.cpu_s, 1) for measured in done]
    took = {"cpu_s_per_seed": seconds, "cpu_s_total": round(math.fsum(seconds), 1), "made": time.strftime("%Y-%m-%d")}
    scores = [measured.scores for measured in done]
    return summary(claim, scores) | took | {"simulated": list(claim.simulated)} | made_by


def summary(claim: Claim, scores: Sequence[Scores]) -> dict[str, Any]:
    """What the scores say: the effects, whether those that are asserted hold, the strongest arm that learns nothing."""
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
        "holds": all(e["holds"] for e in effects[: claim.asserted]),
        "effects": effects,
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
        raise FileNotFoundError(f"expected {path_of(name)}, found none: run `coursekit claims run {name}`")
    record: dict[str, Any] = json.loads(path_of(name).read_text(encoding="utf-8"))
    return record


def verdict(record: dict[str, Any]) -> str:
    """``shown`` if all that is asserted is, ``refuted`` if the opposite of a part of it is, else ``not shown``."""
    if record["holds"]:
        return "shown"
    return "refuted" if any(e["high"] < 0 for e in record["effects"][: record["asserted"]]) else "not shown"


def table() -> list[dict[str, Any]]:
    """One row a recorded claim: ``{name, lecture, effect, low, high, seeds, verdict, cpu_s_total, baseline}``."""
    return [
        {key: record[key] for key in ("name", "lecture")}
        | {key: record["effects"][0][key] for key in ("effect", "low", "high")}
        | {"seeds": record["seeds"], "verdict": verdict(record), "cpu_s_total": record["cpu_s_total"]}
        | {"baseline": record["baseline"]["mean"]}
        for record in (load(name) for name in names() if path_of(name).exists())
    ]
