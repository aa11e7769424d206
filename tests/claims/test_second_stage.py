"""One look or two in miniature, and box AP of known answer."""

import pytest
import torch
from scored import complete

from coursekit.claims import nuclei as counting
from coursekit.claims import proposals as claim
from coursekit.claims.proposals import Scored
from coursekit.data import nuclei
from coursekit.models.rcnn import MaskRCNN
from coursekit.ops import boxes as box_ops

TRUTH = torch.tensor([[4.0, 4.0, 24.0, 24.0], [34.0, 4.0, 54.0, 24.0]])


@pytest.fixture(scope="module")
def model() -> MaskRCNN:
    """Three steps old."""
    return claim.train_faster_rcnn(counting.tiles(nuclei.load(split="train"), seed=0, count=3), seed=0, steps=3)


def test_box_ap_of_the_truth_of_half_and_of_nothing() -> None:
    sure = torch.ones(2)
    assert claim.measures(TRUTH, Scored(TRUTH, sure)) == {"AP": 1, "AP50": 1, "AP75": 1}
    wider = TRUTH + torch.tensor([0.0, 0.0, 10.0, 0.0])  # IoU 2/3
    assert claim.measures(TRUTH, Scored(wider, sure)) == {"AP": pytest.approx(0.4), "AP50": 1, "AP75": 0}
    assert claim.measures(TRUTH, Scored(TRUTH[:1], sure[:1]))["AP50"] == pytest.approx(51 / 101)
    assert claim.measures(TRUTH, Scored(TRUTH[:0], sure[:0])) == {"AP": 0, "AP50": 0, "AP75": 0}


def test_the_first_stage_alone_has_no_more_and_no_more_duplicates_than_both(model: MaskRCNN) -> None:
    image = nuclei.load(split="test").image
    found = claim.first_stage(model, image)
    assert 0 < len(found.boxes) <= model.most
    assert (found.scores.diff() <= 0).all()
    assert (box_ops.iou(found.boxes, found.boxes).triu(1) <= model.nms_threshold).all()
    both = claim.both_stages(model, image)
    assert not torch.equal(found.boxes[:5], both.boxes[:5])


def test_no_mask_is_learnt(model: MaskRCNN) -> None:
    assert all(p.grad is None for p in model.mask_head.parameters())
    assert all(
        p.grad is not None for part in (model.backbone.lateral, model.rpn, model.box_head) for p in part.parameters()
    )


def test_arms_learn_left_and_are_scored_right(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []
    load = nuclei.load
    monkeypatch.setattr(nuclei, "load", lambda *, split=None: asked.append(split) or load(split=split))
    tiles = counting.tiles
    monkeypatch.setattr(
        counting,
        "tiles",
        lambda whole, **k: tiles(whole, **k) if whole.image.shape[2] == 320 else pytest.fail("other part"),
    )
    scores = claim.second_stage(0, steps=2, count=3)
    assert asked == ["train", "test"]
    complete("second_stage", scores)
