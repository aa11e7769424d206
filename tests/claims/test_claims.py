"""Records of claims: the arithmetic of the error bar, that a reversed claim says so, and what a record says of how it
was made.
"""

import json
import math
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from coursekit import claims
from coursekit.claims import provenance
from coursekit.data import nuclei


def experiment(better: float, seed: int) -> claims.Scores:
    return {
        "score": {"a": better + 0.01 * (seed - claims.FRESH), "b": 0.5, "guess": 0.1, "luck": 0.2},
        "other": {"luck": 0.3, "a": 1.0},
    }


def looks_at_nuclei(seed: int) -> claims.Scores:
    nuclei.load(split="train")
    return {"score": {"a": 1.0, "b": 0.5, "guess": 0.0, "luck": 0.0}, "threads": {"a": float(torch.get_num_threads())}}


def toy(better: float) -> claims.Claim:
    return claims.Claim(
        "toy",
        "00",
        "a is better than b",
        [("score", "a", "b")],
        ("score", "guess", "luck"),
        partial(experiment, better),
    )


def offer(claim: claims.Claim, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "claims", lambda: {"toy": claim})


def measured(better: float = 0.8, *, seeds: int = 3, **made_by: Any) -> list[claims.Measured]:
    """Seeds that took 1, 2, 3 … seconds."""
    known = {"data": [], "code": {"sha256": "0"}, "machine": "", "threads": 1, "versions": {}} | made_by
    return [claims.Measured(experiment(better, 99 + k), float(k), known) for k in range(1, seeds + 1)]


@pytest.fixture
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where records go; the only claim is a toy, that ``a`` is better by 0.3."""
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    offer(toy(0.8), monkeypatch)
    return tmp_path


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Experiments run in this process."""
    monkeypatch.setattr(
        claims, "_experiments", lambda claim, seeds, jobs: iter(measured(claim.experiment.args[0], seeds=seeds))
    )


def test_interval_is_students_t() -> None:
    scores = [{"s": {"a": x, "b": 0.0}} for x in (1.0, 2.0, 3.0)]
    e = claims.effect("s", "a", "b", scores=scores)
    assert e["effect"] == pytest.approx(2.0)
    assert e["high"] - e["effect"] == pytest.approx(4.302652729911275 / math.sqrt(3))  # t(0.975, 2 degrees), sd 1
    assert not e["holds"]  # reaches below zero
    assert claims.effect("s", "a", "b", scores=scores[:1])["low"] == -math.inf


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize(("better", "verdict"), [(0.8, "shown"), (0.2, "refuted")])
def test_a_record_says_whether_the_claim_held(
    better: float, verdict: str, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(toy(better), monkeypatch)
    lines: list[str] = []
    record = claims.run("toy", seeds=3, report=lines.append)
    assert record == claims.load("toy")
    assert len(lines) == 3
    assert [file.name for file in records.iterdir()] == ["toy.json"]
    assert [s["score"]["a"] for s in record["scores"]] == pytest.approx([better, better + 0.01, better + 0.02])
    (row,) = claims.table()
    assert set(row) == {"name", "lecture", "effect", "low", "high", "seeds", "verdict", "cpu_s_total", "baseline"}
    assert row["effect"] == pytest.approx(better + 0.01 - 0.5)
    assert row["verdict"] == verdict


def test_a_claim_of_several_comparisons_holds_if_all_of_them_do() -> None:
    both = replace(toy(0.8), comparisons=[("score", "a", "b"), ("score", "guess", "luck")])
    one, two = (claims.describe(replace(both, asserted=n), measured()) for n in (1, 2))
    assert (one["holds"], claims.verdict(one)) == (True, "shown")
    assert (two["holds"], claims.verdict(two)) == (False, "refuted")
    reaches_zero = [
        claims.Measured({"score": {"a": a, "b": 0.5, "guess": 0, "luck": 0}}, 1.0, {"code": 0}) for a in (0.4, 0.7)
    ]
    assert claims.verdict(claims.describe(toy(0), reaches_zero)) == "not shown"


def test_the_baseline_is_the_strongest_that_learns_nothing_in_every_measure() -> None:
    baseline = claims.describe(toy(0.8), measured())["baseline"]
    assert baseline == {
        "measure": "score",
        "arm": "luck",
        "mean": pytest.approx(0.2),
        "means": pytest.approx({"score": 0.2, "other": 0.3}),
    }


# --- how it was made ---


def test_seconds_are_said_seed_by_seed_and_summed() -> None:
    record = claims.describe(toy(0.8), measured())
    assert (record["cpu_s_per_seed"], record["cpu_s_total"]) == ([1.0, 2.0, 3.0], 6.0)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_record_names_its_data_code_versions_and_one_thread(
    jobs: int, records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, "3")
    offer(replace(toy(0), experiment=looks_at_nuclei, simulated=("echo.clips",)), monkeypatch)
    record = claims.run("toy", seeds=2, jobs=jobs, report=lambda _: None)
    assert [s["threads"]["a"] for s in record["scores"]] == [1, 1]
    assert record["threads"] == 1
    assert {one["file"]: one["package"] for one in record["data"]} == dict.fromkeys(
        ("nuclei2d_image", "nuclei2d_labels"), "stardist==0.9.2"
    )
    assert all(len(one["sha256"]) == 64 for one in record["data"])
    assert record["simulated"] == ["echo.clips"]
    assert len(record["code"]["sha256"]) == 64
    assert {"python", "coursekit", "torch", "torchvision", "numpy"} <= record["versions"].keys()


def test_the_hash_of_the_code_is_of_what_is_imported_and_changes_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert provenance.code() == provenance.code()
    monkeypatch.setattr(provenance, "HOME", tmp_path)
    file, hashes = tmp_path / "toy.py", []
    monkeypatch.setattr(
        provenance, "sys", SimpleNamespace(modules={"coursekit.toy": SimpleNamespace(__file__=str(file)), "os": os})
    )
    for text in ("one = 1", "one = 2"):
        file.write_text(text)
        hashes.append(provenance.code())
    assert hashes[0]["files"] == 1
    assert hashes[0]["sha256"] != hashes[1]["sha256"]
    assert (hashes[0]["commit"], hashes[0]["dirty"]) == (None, None)  # no clone


def test_seeds_of_two_codes_make_no_record() -> None:
    changed = [*measured(), *measured(code={"sha256": "1"})]
    with pytest.raises(ValueError, match="expected the same code for every seed, got a change: leave coursekit alone"):
        claims.describe(toy(0.8), changed)


def test_a_stand_in_is_refused_by_what_to_run(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path / "empty"))
    monkeypatch.setenv("COURSEKIT_OFFLINE", "1")
    offer(replace(toy(0), experiment=looks_at_nuclei), monkeypatch)
    with pytest.raises(ValueError, match="coursekit data fetch nuclei2d_image"):
        claims.run("toy", seeds=2, report=lambda _: None)
    assert not list(records.glob("*.json"))


def test_a_folder_of_ones_own_is_refused(records: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DSB2018", str(tmp_path))
    with pytest.raises(ValueError, match="got COURSEKIT_DSB2018 set: unset COURSEKIT_DSB2018"):
        claims.run("toy", seeds=2, report=lambda _: None)


# --- a record and the next one ---


@pytest.mark.usefixtures("at_once")
def test_a_run_that_stops_half_way_leaves_the_record_and_lies_beside_it(
    records: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(claim: claims.Claim, seeds: int, jobs: int) -> Iterator[claims.Measured]:
        yield from measured(seeds=2)
        raise KeyboardInterrupt

    claims.run("toy", seeds=3, report=lambda _: None)
    before = claims.load("toy")
    monkeypatch.setattr(claims, "_experiments", dying)
    with pytest.raises(KeyboardInterrupt):
        claims.run("toy", seeds=4, report=lambda _: None)
    assert claims.load("toy") == before
    assert json.loads((records / "toy.partial.json").read_text())["seeds"] == 2


@pytest.mark.usefixtures("at_once")
def test_fewer_seeds_do_not_replace_more(records: Path) -> None:
    claims.run("toy", seeds=3, report=lambda _: None)
    lines: list[str] = []
    assert claims.run("toy", seeds=2, report=lines.append)["seeds"] == 2
    assert claims.load("toy")["seeds"] == 3
    assert "the record has 3 seeds and stays" in lines[-1]
    assert (records / "toy.partial.json").exists()
    assert claims.run("toy", seeds=3, report=lines.append) == claims.load("toy")
    assert not (records / "toy.partial.json").exists()


def test_unknown_names_and_missing_records_say_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="roi_align_vs_roi_pool"):
        claims.find("nosuch")
    with pytest.raises(ValueError, match="at least 2 seeds"):
        claims.run("roi_align_vs_roi_pool", seeds=1)
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    with pytest.raises(FileNotFoundError, match="coursekit claims run roi_align_vs_roi_pool"):
        claims.load("roi_align_vs_roi_pool")
