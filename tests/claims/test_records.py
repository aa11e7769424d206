"""Every claim has its record, and the record is of this claim: its statement, its comparisons, fresh seeds, its own arithmetic."""

import math

import pytest

from coursekit import claims


@pytest.mark.parametrize("name", claims.names())
def test_the_record_is_of_this_claim(name: str) -> None:
    claim, record = claims.find(name), claims.load(name)
    assert {key: record[key] for key in ("name", "lecture", "statement")} == {
        key: getattr(claim, key) for key in ("name", "lecture", "statement")
    }
    assert record["first_seed"] == claims.FRESH
    assert record["seeds"] == len(record["scores"]) >= 5
    measure, arm = claim.baseline
    assert (record["baseline"]["measure"], record["baseline"]["arm"]) == (measure, arm)
    assert record["baseline"]["mean"] == pytest.approx(sum(s[measure][arm] for s in record["scores"]) / record["seeds"])
    for effect, comparison in zip(record["effects"], claim.comparisons, strict=True):
        again = claims.effect(*comparison, scores=record["scores"])
        assert (effect["measure"], effect["better"], effect["worse"]) == tuple(comparison)
        assert all(math.isfinite(s[again.measure][arm]) for s in record["scores"] for arm in (again.better, again.worse))
        assert [effect[key] for key in ("effect", "low", "high")] == pytest.approx([again.effect, again.low, again.high])
        assert effect["holds"] == again.holds
    assert record["holds"] == record["effects"][0]["holds"]
