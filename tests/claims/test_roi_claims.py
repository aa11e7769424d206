"""RoI operations in miniature: what differs between the arms and what may not, and the guess that learns nothing."""

import math

import pytest
import torch
from scored import complete

from coursekit.claims import nuclei as counting
from coursekit.claims import roi as claim
from coursekit.data import nuclei
from coursekit.models.rcnn import RoIOp


def test_whole_networks_differ_in_the_operation_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = counting.tiles(nuclei.load(split="train"), seed=0, count=3)
    starts: dict[str, dict[str, torch.Tensor]] = {}
    build = counting.mask_rcnn

    def spy(roi_op: RoIOp) -> torch.nn.Module:
        model = build(roi_op)
        starts[str(roi_op)] = {name: value.clone() for name, value in model.state_dict().items()}
        return model

    monkeypatch.setattr(counting, "mask_rcnn", spy)
    monkeypatch.setattr(counting, "tiles", lambda whole, *, seed, count: pieces)
    scores = claim.mask_rcnn_roi_op(3, steps=2, count=3)
    assert set(starts) == {str(claim.ROI_OPS[name]) for name in ("RoIPool", "RoIAlign")}
    first, second = starts.values()
    assert all(torch.equal(first[name], second[name]) for name in first)
    complete("mask_rcnn_roi_op", scores)


def test_the_ellipse_fills_its_box_as_pi_to_four() -> None:
    (ellipse,) = claim.ellipses(torch.tensor([[10.0, 20.0, 70.0, 60.0]]), torch.Size((80, 80)))
    rows, columns = ellipse.any(1).nonzero(), ellipse.any(0).nonzero()
    assert (int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1) == (10, 20, 70, 60)
    assert float(ellipse.sum()) / (60 * 40) == pytest.approx(math.pi / 4, abs=0.01)


def test_targets_are_the_masks_seen_through_their_boxes() -> None:
    mask = torch.zeros(1, 32, 32, dtype=torch.bool)
    mask[0, 8:24, 8:16] = True
    (seen,) = claim.mask_targets(mask, torch.tensor([[8.0, 8.0, 24.0, 24.0]]), 4)
    assert seen.tolist() == [[1, 1, 0, 0]] * 4


def test_shares_are_of_masks_above_a_threshold() -> None:
    scores = claim.measures(torch.tensor([0.4, 0.6, 0.8, 0.9]), 8)
    assert [scores[f"stride 8: share of masks with IoU > {t}"] for t in claim.THRESHOLDS] == [0.75, 0.5, 0.25]
