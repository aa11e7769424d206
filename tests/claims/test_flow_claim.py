"""The flow methods' claim in miniature, and its share of error by hand."""

import pytest
import torch

from coursekit.claims import find, flow
from coursekit.data import clips


def test_every_score_that_is_compared_is_measured() -> None:
    scores = flow.flow_methods(0, count=2)
    claim = find("flow_methods")
    for measure, better, worse in claim.comparisons:
        assert {better, worse} <= scores[measure].keys()
    assert scores[claim.baseline[0]][claim.baseline[1]] == 0
    assert all(torch.isfinite(torch.tensor(list(arms.values()))).all() for arms in scores.values())


def test_zero_flow_is_wrong_by_the_motion_and_the_truth_removes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = clips.pairs(split="test", count=3, seed=1)
    truth = torch.stack([pair.flow for pair in pairs])
    monkeypatch.setitem(flow.METHODS, "TV-L1", lambda first, second: truth)
    monkeypatch.setitem(flow.METHODS, "Lucas–Kanade", lambda first, second: truth / 2)
    error = flow.errors(pairs)
    lengths = [float(pair.flow.norm(dim=0)[pair.valid].mean()) for pair in pairs]
    assert error["zero flow"] == pytest.approx(sum(lengths) / len(pairs), rel=1e-4)
    monkeypatch.setattr(clips, "pairs", lambda **_: pairs)
    scores = flow.flow_methods(0)
    for share in flow.SHARES:
        assert scores[share]["TV-L1"] == pytest.approx(1)
        assert scores[share]["Lucas–Kanade"] == pytest.approx(0.5)
