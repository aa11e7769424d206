"""Records of claims: the arithmetic of the error bar, and that a reversed claim says so."""

import math

import pytest

from coursekit import claims


def toy(better: float) -> claims.Claim:
    def experiment(seed: int) -> claims.Scores:
        return {"score": {"a": better + 0.01 * seed, "b": 0.5, "guess": 0.1}}

    return claims.Claim("toy", "00", "a is better than b", [("score", "a", "b")], ("score", "guess"), experiment)


def test_interval_is_students_t() -> None:
    scores = [{"s": {"a": x, "b": 0.0}} for x in (1.0, 2.0, 3.0)]
    e = claims.effect("s", "a", "b", scores=scores)
    assert e.effect == pytest.approx(2.0)
    assert e.high - e.effect == pytest.approx(4.302652729911275 / math.sqrt(3))  # t(0.975, 2 degrees), sd 1
    assert not e.holds  # reaches below zero
    assert claims.effect("s", "a", "b", scores=scores[:1]).low == -math.inf


@pytest.mark.parametrize(("better", "holds"), [(0.8, True), (0.2, False)])
def test_a_record_says_whether_the_claim_held(better: float, holds: bool, tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    monkeypatch.setattr(claims, "claims", lambda: {"toy": toy(better)})
    lines: list[str] = []
    record = claims.run("toy", seeds=3, report=lines.append)
    assert record["holds"] is holds
    assert record == claims.load("toy")
    assert len(lines) == 3
    (row,) = claims.table()
    assert set(row) == {"name", "lecture", "effect", "low", "high", "seeds", "holds", "cpu_s", "baseline"}
    assert row["effect"] == pytest.approx(better + 0.01 - 0.5)


def test_unknown_names_and_missing_records_say_what_to_do(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="roi_align_vs_roi_pool"):
        claims.find("nosuch")
    with pytest.raises(ValueError, match="at least 2 seeds"):
        claims.run("roi_align_vs_roi_pool", seeds=1)
    monkeypatch.setattr(claims, "RECORDS", tmp_path)
    with pytest.raises(FileNotFoundError, match="coursekit claims run roi_align_vs_roi_pool"):
        claims.load("roi_align_vs_roi_pool")
