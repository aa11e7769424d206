"""Counting nuclei in miniature, and its ways to instances on a picture of known answer."""

import pytest
import torch
from scored import complete

from coursekit import claims
from coursekit.claims import nuclei as claim
from coursekit.data import nuclei
from coursekit.metrics import overlap


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


def test_what_touches_is_separated_and_what_does_not_is_as_it_was() -> None:
    apart = nuclei.masks(claim.components(two_disks(4)))
    assert torch.equal(claim.separated(apart), apart)
    pair = torch.zeros(2, 4, 8, dtype=torch.bool)
    pair[0, 1:3, 1:4] = pair[1, 1:3, 4:7] = True
    parted = claim.separated(pair)
    assert parted.sum((1, 2)).tolist() == [4, 4]  # each has lost the column beside the other
    assert (int(claim.components(pair.any(0)).max()), int(claim.components(parted.any(0)).max())) == (1, 2)
    assert claim.separated(pair[:0]).shape == (0, 4, 8)


def test_balanced_weights_give_each_class_half() -> None:
    tile = nuclei.Tile(torch.zeros(1, 4, 4), torch.zeros(4, 4, dtype=torch.int64))
    tile.labels[0, :2] = 1  # an eighth
    background, nucleus = claim.balanced([tile, tile])
    assert 14 * background == pytest.approx(2 * nucleus)
    assert 14 * background + 2 * nucleus == pytest.approx(16)


def test_the_unet_learns_with_border_weights_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = claim.tiles(nuclei.load(split="train"), seed=0, count=3)
    weights: list[torch.Tensor | None] = []
    cross_entropy = claim.losses.cross_entropy

    def watched(logits: torch.Tensor, truth: torch.Tensor, *, each: torch.Tensor | None) -> torch.Tensor:
        weights.append(each)
        return cross_entropy(logits, truth, each=each)

    monkeypatch.setattr(claim.losses, "cross_entropy", watched)
    plain, borders = (claim.train_unet(pieces, seed=0, steps=2, borders=b) for b in (False, True))
    assert weights[:2] == [None, None]
    assert all(w is not None and w.max() > 5 for w in weights[2:])
    assert not torch.equal(plain.logits.weight, borders.logits.weight)


def test_measures_of_the_truth_of_a_merged_pair_and_of_nothing() -> None:
    labels = claim.components(two_disks(4))
    truth, sure = claim.target(labels), torch.ones(labels.shape)
    assert claim.measures(truth, claim.as_detections(labels, sure)) == dict.fromkeys(
        ("AP", "AP50", "AP75", "AP85", "AP90", "count", "Dice"), 1
    )
    merged = claim.measures(truth, claim.as_detections((labels > 0).long(), sure))
    assert (merged["AP50"], merged["count"], merged["Dice"]) == (
        pytest.approx(51 / 101),
        0.5,
        1,
    )  # IoU one half: one of two is found
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


def test_the_most_convex_piece_comes_first_and_specks_are_none() -> None:
    labels = torch.zeros(40, 40, dtype=torch.int64)
    labels[2:12, 2:12], labels[20:30, 20:30], labels[36:38, 2:5] = 1, 2, 3
    labels[2:7, 2:7] = 0  # an L
    found = claim.convex_first(labels)
    assert found.boxes.tolist() == [[20, 20, 30, 30], [2, 2, 12, 12]]
    assert found.scores[0] == 1
    assert 0.75 < found.scores[1] < 0.9  # 75 pixels of a hull that cuts off half of the missing 25


def test_specks_are_dropped_before_they_get_a_plane(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = torch.arange(1, 1601).reshape(40, 40)  # a speck a pixel, as a threshold on noise leaves them
    labels[2:12, 2:12], labels[20:30, 20:24], labels[36:39, 2:8] = 9000, 8000, 7000  # 100, 40 and 18 pixels
    planes: list[int] = []
    masks = nuclei.masks
    monkeypatch.setattr(nuclei, "masks", lambda labels: planes.append(int(labels.max())) or masks(labels))
    found = claim.target(labels)
    assert torch.equal(found.masks, torch.stack([labels == 8000, labels == 9000]))
    assert found.boxes.tolist() == [[20, 20, 24, 30], [2, 2, 12, 12]]
    assert found.labels.tolist() == [1, 1]
    assert planes == [2]


def dim_beside_bright() -> tuple[torch.Tensor, torch.Tensor]:
    """Two disks of radius 8 on black, one a third as bright; and which pixels are theirs (2, 40, 60)."""
    masks = nuclei.masks(claim.components(two_disks(3)))
    return (masks[0] + 0.297 * masks[1])[None], masks


def test_the_local_threshold_finds_what_is_dim_beside_what_is_bright() -> None:
    image, (bright, dim) = dim_beside_bright()
    found = claim.unlearnt(image)
    assert set(found) == {claim.COMPONENTS, claim.WATERSHED, claim.LOCAL}
    assert torch.equal(claim.otsu(image), bright)
    assert [len(found[arm].boxes) for arm in (claim.COMPONENTS, claim.WATERSHED, claim.LOCAL)] == [1, 1, 2]
    best = overlap.mask_iou(torch.stack([bright, dim]), found[claim.LOCAL].masks).amax(1)
    assert (best > 0.5).all()


def test_in_a_box_the_watershed_takes_one_piece_and_the_threshold_all() -> None:
    image, (left, right) = dim_beside_bright()
    image[0, right] = 1
    boxes = torch.tensor(
        [[11.6, 11.7, 34.4, 28.2], [-4.0, -4.0, 20.0, 20.0], [0.0, 0.0, 6.0, 6.0]]
    )  # with a rim; a quarter; nothing
    masks = claim.unlearnt_in_boxes(image, boxes)
    piece, bright = masks["watershed in the box"], masks["local threshold in the box"]
    assert not (piece[0] & right).any()
    assert (bright[0] & right).any()
    assert float(overlap.mask_iou(left[None], piece[:1])) > 0.8
    assert torch.equal(
        bright[1], claim.locally_bright(image) & (torch.arange(40)[:, None] < 20) & (torch.arange(60) < 20)
    )
    assert not piece[2].any()


def test_tiles_come_of_the_training_part_and_of_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    learn = nuclei.load(split="train")
    first, again, other = (claim.tiles(learn, seed=seed, count=3) for seed in (0, 0, 1))
    assert all(torch.equal(a.image, b.image) for a, b in zip(first, again))
    assert not torch.equal(first[0].image, other[0].image)
    asked: list[str | None] = []
    load = nuclei.load
    monkeypatch.setattr(nuclei, "load", lambda *, split=None: asked.append(split) or load(split=split))
    monkeypatch.setattr(
        claim, "tiles", lambda whole, **_: pytest.fail("other part") if whole.image.shape[2] != 320 else first
    )
    monkeypatch.setattr(claim, "foreground", lambda model, image: 0 * image[0])  # not yet learnt, thousands of specks
    scores = claim.instances_vs_components(0, rcnn_steps=2, unet_steps=2, count=3)
    assert asked == ["train", "test"]
    complete("instances_vs_components", scores)


def test_the_record_has_enough_seeds_and_the_bar_is_met() -> None:
    record = claims.load("instances_vs_components")
    assert record["seeds"] >= 5
    found = [(s["AP50"]["Mask R-CNN"], s["AP75"]["Mask R-CNN"]) for s in record["scores"]]
    assert sum(a for a, _ in found) / len(found) >= 0.75
    assert sum(b for _, b in found) / len(found) >= 0.45
