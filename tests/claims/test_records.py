"""Every claim has its record, and the record is of this claim: its statement, its comparisons, fresh seeds, its own
arithmetic.
"""

import importlib
import json
import math
import re

import pytest

from coursekit import claims

BY_MORE = {  # statement says "by more at": (the measure of more, of less), between the arms of the first comparison
    "roi_align_vs_roi_pool": ("stride 8: share of masks with IoU > 0.85", "stride 8: share of masks with IoU > 0.75"),
    "mask_rcnn_roi_op": ("AP85", "AP50"),
}
NAMED = {"data", "simulated", "code", "threads", "machine", "versions", "cpu_s_per_seed"}


@pytest.mark.parametrize("name", claims.names())
def test_the_record_is_of_this_claim(name: str) -> None:
    claim, record = claims.find(name), claims.load(name)
    assert record["statement"] == claim.statement
    assert record["first_seed"] == claims.FRESH
    assert record["seeds"] == len(record["scores"]) >= 5
    assert all(math.isfinite(value) for seed in record["scores"] for arms in seed.values() for value in arms.values())
    for key, value in claims.summary(claim, record["scores"]).items():
        assert record[key] == (pytest.approx(value) if isinstance(value, float) else value)


@pytest.mark.parametrize("name", claims.names())
def test_a_record_names_what_it_was_made_of_and_by(name: str) -> None:
    record = claims.load(name)
    assert record.keys() >= NAMED
    assert record["cpu_s_total"] > 0
    assert len(record["cpu_s_per_seed"]) == record["seeds"]
    assert record["cpu_s_total"] == pytest.approx(sum(record["cpu_s_per_seed"]))
    assert record["threads"] == 1
    assert record["data"] or record["simulated"]
    assert record["simulated"] == list(claims.find(name).simulated)


@pytest.mark.parametrize("name", claims.names())
def test_what_is_simulated_is_named_as_it_is_called(name: str) -> None:
    for place in claims.find(name).simulated:
        module, _, maker = place.rpartition(".")
        assert callable(getattr(importlib.import_module(f"coursekit.data.{module}"), maker))


@pytest.mark.parametrize(("name", "measures"), BY_MORE.items())
def test_what_is_said_to_lead_by_more_does_in_intervals_that_do_not_meet(name: str, measures: tuple[str, str]) -> None:
    assert ", by more at an overlap of" in claims.find(name).statement
    record = claims.load(name)
    arms = [record["effects"][0][key] for key in ("better", "worse")]
    more, less = (
        [e for e in record["effects"] if [e["measure"], e["better"], e["worse"]] == [m, *arms]] for m in measures
    )
    assert more[0]["low"] > less[0]["high"]


def test_a_claim_that_a_lecture_quotes_is_worded_as_it_is_recorded() -> None:
    lectures = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(claims.RECORDS.parent.glob("*.ipynb"))]
    cells = [
        "".join(cell["source"]) for lecture in lectures for cell in lecture["cells"] if cell["cell_type"] == "markdown"
    ]
    quoted = [line for cell in cells for line in re.findall(r"^> \*(.+)\*$", cell, re.MULTILINE)]
    assert quoted
    assert set(quoted) <= {claim.statement for claim in claims.claims().values()}
