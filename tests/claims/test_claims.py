"""Records of claims: the arithmetic of the error bar, and that a reversed claim says so."""

import math
from dataclasses import replace
from functools import partial

import pytest

from coursekit import claims


def experiment(better: float, seed: int) -> claims.Scores:
    return {"score": {"a": better + 0.01 * (seed - claims.FRESH), "b": 0.5, "guess": 0.1}}


def toy(better: float) -> claims.Claim:
    return claims.Claim("toy", "00", "a is better than b", [("score", "a", "b")], ("score", "guess"), partial(experiment, better))


def test_interval_is_students_t() -> None:
    scores = [{"s": {"a": x, "b": 0.0}} for x in (1.0, 2.0, 3.0)]
    e = claims.effect("s", "a", "b", scores=scores)
    assert e.effect == pytest.approx(2.0)
    assert e.high - e.effect == pytest.approx(4.302652729911275 / math.sqrt(3))  # t(0.975, 2 degrees), sd 1
    assert not e.holds  # reaches below zero
    assert claims.effect("s", "a", "b", scores=scores[:1]).low == -math.inf


@pytest.mark.parametrize(("better", "holds", "jobs"), [(0.8, True, 1), (0.2, False, 1), (0.8, True, 2)])
def test_a_record_says_whether_the_claim_held(better: float, holds: bool, jobs: int, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    monkeypatch.setattr(claims, "claims", lambda: {"toy": toy(better)})
    lines: list[str] = []
    record = claims.run("toy", seeds=3, jobs=jobs, report=lines.append)
    assert record["holds"] is holds
    assert record == claims.load("toy")
    assert len(lines) == 3
    assert [s["score"]["a"] for s in record["scores"]] == pytest.approx([better, better + 0.01, better + 0.02])
    (row,) = claims.table()
    assert set(row) == {"name", "lecture", "effect", "low", "high", "seeds", "holds", "cpu_s", "baseline"}
    assert row["effect"] == pytest.approx(better + 0.01 - 0.5)


def test_what_is_measured_when_it_stops_half_way_is_kept(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(seed: int) -> claims.Scores:
        if seed == claims.FRESH + 2:
            raise KeyboardInterrupt
        return experiment(0.8, seed)

    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    monkeypatch.setattr(claims, "claims", lambda: {"toy": replace(toy(0.8), experiment=dies)})
    with pytest.raises(KeyboardInterrupt):
        claims.run("toy", seeds=4, report=lambda _: None)
    assert claims.load("toy")["seeds"] == 2


def test_unknown_names_and_missing_records_say_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="roi_align_vs_roi_pool"):
        claims.find("nosuch")
    with pytest.raises(ValueError, match="at least 2 seeds"):
        claims.run("roi_align_vs_roi_pool", seeds=1)
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    with pytest.raises(FileNotFoundError, match="coursekit claims run roi_align_vs_roi_pool"):
        claims.load("roi_align_vs_roi_pool")
