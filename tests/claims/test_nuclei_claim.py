"""Counting nuclei in miniature, and its ways to instances on a picture of known answer."""

import pytest
import torch
from scored import complete

from coursekit import claims
from coursekit.claims import nuclei as claim
from coursekit.data import nuclei


def two_disks(gap: float) -> torch.Tensor:
    """Two disks of radius 8, ``gap`` pixels between their rims."""
    y, x = torch.arange(40)[:, None] + 0.5, torch.arange(60) + 0.5
    return ((y - 20) ** 2 + (x - 20) ** 2 < 64) | ((y - 20) ** 2 + (x - 36 - gap) ** 2 < 64)


def test_components_merge_what_touches_and_the_watershed_parts_it() -> None:
    apart, touching = two_disks(4), two_disks(-1)
    assert int(claim.components(apart).max()) == int(claim.flooded(apart).max()) == 2
    assert int(claim.components(touching).max()) == 1
    parts = claim.flooded(touching)
    assert int(parts.max()) == 2
    assert torch.equal(parts > 0, touching)
    assert (
        int(claim.components(torch.zeros(9, 9, dtype=torch.bool)).max())
        == int(claim.flooded(torch.zeros(9, 9, dtype=torch.bool)).max())
        == 0
    )


def test_measures_of_the_truth_of_a_merged_pair_and_of_nothing() -> None:
    labels = claim.components(two_disks(4))
    truth, sure = claim.target(labels), torch.ones(labels.shape)
    assert claim.measures(truth, claim.as_detections(labels, sure)) == dict.fromkeys(
        ("AP", "AP50", "AP75", "AP85", "AP90", "count", "Dice"), 1
    )
    merged = claim.measures(truth, claim.as_detections((labels > 0).long(), sure))
    assert (merged["AP50"], merged["count"], merged["Dice"]) == (pytest.approx(51 / 101), 0.5, 1)  # IoU one half: one of two is found
    nothing = claim.measures(truth, claim.as_detections(torch.zeros_like(labels), sure))
    assert (nothing["AP"], nothing["count"], nothing["Dice"]) == (0, 0, 0)


def test_the_score_of_a_nucleus_is_its_mean_probability() -> None:
    labels = claim.components(two_disks(4))
    found = claim.as_detections(labels, torch.where(labels == 2, 0.9, 0.3))
    assert found.scores.tolist() == pytest.approx([0.9, 0.3])
    assert found.boxes[0, 0] > found.boxes[1, 0]  # the right one first


def test_otsu_parts_bright_from_dark() -> None:
    disks = two_disks(4)
    assert torch.equal(claim.otsu(torch.where(disks, 0.8, 0.1)[None]), disks)


def test_tiles_come_of_the_training_part_and_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = nuclei.load(split="train")
    first, again, other = (claim.tiles(learn, seed=seed, count=3) for seed in (0, 0, 1))
    assert all(torch.equal(a.image, b.image) for a, b in zip(first, again))
    assert not torch.equal(first[0].image, other[0].image)
    asked: list[str | None] = []
    load = nuclei.load
    monkeypatch.setattr(nuclei, "load", lambda *, split=None: asked.append(split) or load(split=split))
    monkeypatch.setattr(claim, "tiles", lambda whole, **_: pytest.fail("other part") if whole.image.shape[2] != 320 else first)
    scores = claim.counting_experiment(0, rcnn_steps=2, unet_steps=2, count=3)
    assert asked == ["train", "test"]
    (one,) = claim.CLAIMS
    complete(one, scores)


def test_the_record_has_enough_seeds_and_the_bar_is_met() -> None:
    record = claims.load("instances_vs_components")
    assert record["seeds"] >= 5
    found = [(s["AP50"]["Mask R-CNN"], s["AP75"]["Mask R-CNN"]) for s in record["scores"]]
    assert sum(a for a, _ in found) / len(found) >= 0.75
    assert sum(b for _, b in found) / len(found) >= 0.45
