"""Style and boundaries in miniature: what each arm learns from, what a look may change, and masks of known answer."""

from typing import Any

import pytest
import torch
from scored import complete
from torch import Tensor

from coursekit import train
from coursekit.claims import find
from coursekit.claims import hollandi as claim
from coursekit.claims import nuclei as counting
from coursekit.claims.nuclei import as_detections, components, target, tiles
from coursekit.data import nuclei
from coursekit.data.nuclei import Nuclei, Tile
from coursekit.data.seeds import stream
from coursekit.data.simulated import phantoms
from coursekit.metrics import overlap
from coursekit.models.rcnn import Detections
from coursekit.models.refine import BoundaryRefiner, as_detected


def disk(x: float, y: float, radius: float, *, size: int = 64) -> Tensor:
    """A disk of the given centre and radius."""
    row, column = torch.arange(size)[:, None] + 0.5, torch.arange(size) + 0.5
    return (row - y) ** 2 + (column - x) ** 2 < radius**2


def spied(monkeypatch: pytest.MonkeyPatch, module: Any, name: str) -> list[tuple[Any, ...]]:
    """The positional arguments of every call of a function of the module, which does what it did."""
    calls: list[tuple[Any, ...]] = []
    was = getattr(module, name)

    def spy(*args: Any, **knobs: Any) -> Any:
        calls.append(args)
        return was(*args, **knobs)

    monkeypatch.setattr(module, name, spy)
    return calls


def same(pieces: list[Tile], others: list[Tile]) -> bool:
    """Whether these are the same tiles."""
    return len(pieces) == len(others) and all(torch.equal(a.image, b.image) for a, b in zip(pieces, others))


@pytest.fixture(scope="module")
def scene() -> Nuclei:
    """Two disks apart, brighter than what is around them."""
    labels = components(disk(18, 18, 9) | disk(44, 40, 12))
    return Nuclei(torch.where(labels > 0, 0.8, 0.1)[None], labels, "phantom")


@pytest.fixture(scope="module")
def found(scene: Nuclei) -> Detections:
    """Both disks, with the masks of a coarse head in boxes a little off."""
    boxes, classes, masks = target(scene.labels)
    off = boxes + torch.tensor([2.0, -1.0, 2.0, 2.0])
    return Detections(off, torch.tensor([0.9, 0.8]), classes, as_detected(masks, off - 1, off))


# --- scores ---


def test_the_truth_scores_one_and_nothing_scores_zero(scene: Nuclei) -> None:
    truth, sure = target(scene.labels), torch.ones(scene.labels.shape)
    right = claim.outlined(truth, as_detections(scene.labels, sure))
    assert right == dict.fromkeys(("AP", "AP50", "AP75", "AP85", "AP90", "mean IoU"), 1.0)
    assert set(claim.outlined(truth, as_detections(torch.zeros_like(scene.labels), sure)).values()) == {0.0}


def test_a_mask_of_known_iou_is_right_up_to_it(scene: Nuclei) -> None:
    truth = target(scene.labels)
    area = int(truth.masks[0].sum())
    cut = truth.masks.clone()
    inside = cut[0].nonzero()
    cut[0, *inside[: round(0.12 * area)].T] = False  # IoU 0.88
    scores = claim.outlined(truth, Detections(truth.boxes, torch.tensor([0.9, 0.8]), truth.labels, cut))
    assert (scores["AP85"], scores["AP75"], scores["AP50"]) == (1, 1, 1)
    assert scores["AP90"] == pytest.approx(0.5 * 51 / 101)  # only the second by score: half right at half the recall
    assert scores["mean IoU"] == pytest.approx((1 - round(0.12 * area) / area + 1) / 2)


def test_each_true_mask_takes_its_best_match() -> None:
    truth, near, far = disk(20, 20, 10), disk(21, 20, 10), disk(28, 20, 10)
    one = target(truth.long())
    found = Detections(
        one.boxes.expand(2, 4), torch.ones(2), torch.ones(2, dtype=torch.int64), torch.stack([far, near])
    )
    best = float((truth & near).sum() / (truth | near).sum())
    assert claim.outlined(one, found)["mean IoU"] == pytest.approx(best)


def test_segmented_parts_nuclei_where_they_are_likely(scene: Nuclei) -> None:
    right = claim.segmented(scene, torch.where(scene.labels > 0, 0.9, 0.2))
    assert right["Dice"] == right["AP"] == 1
    assert claim.segmented(scene, torch.zeros(64, 64))["Dice"] == 0


# --- images of another look ---


def test_other_light_is_another_look_between_dark_and_bright(scene: Nuclei) -> None:
    images = scene.image[None].repeat(8, 1, 1, 1)
    changed = claim.other_light(images, stream(0, "light"))
    assert changed.shape == images.shape
    assert 0 <= changed.min() < changed.max() <= 1
    bright, dark = (changed[:, 0, scene.labels > 0].mean(1), changed[:, 0, scene.labels == 0].mean(1))
    assert (bright > dark).all()
    assert len(set(bright.tolist())) == 8
    assert torch.equal(claim.as_is(images, stream(0, "light")), images)


def test_other_style_goes_from_the_image_towards_the_style(scene: Nuclei) -> None:
    images = scene.image[None].repeat(8, 1, 1, 1) + 0.05 * torch.rand(8, 1, 64, 64, generator=stream(0, "grain"))
    dim = (0.1 * images[:2]).clamp(0, 1)
    changed = claim.other_style(dim)(images, stream(0, "style"))
    level, own, goal = (x.mean((1, 2, 3)) for x in (changed, images, dim))
    assert (level < own).all()
    assert (level > goal.min()).all()
    assert len(set(level.tolist())) == 8  # each by a share of its own
    inside, outside = (changed[:, 0, scene.labels > 0].mean(1), changed[:, 0, scene.labels == 0].mean(1))
    assert (inside > outside).all()  # what is in the image stays where it is


def test_all_arms_see_the_same_pieces_turned_alike(scene: Nuclei) -> None:
    pieces = [Tile(scene.image.roll(k, 2), scene.labels.roll(k, 1)) for k in range(6)]

    def second(augment: claim.Augment, seed: int) -> tuple[Tensor, Tensor]:
        """What follows a first batch, which may have used up chance."""
        endless = claim.batches(pieces, augment, seed=seed)
        return (next(endless), next(endless))[1]

    plain, light, other = second(claim.as_is, 0), second(claim.other_light, 0), second(claim.as_is, 1)
    assert torch.equal(plain[1], light[1])
    assert not torch.equal(plain[0], light[0])
    assert not torch.equal(plain[1], other[1])
    assert torch.equal(plain[0][:, 0] > 0.5, plain[1] > 0)


def test_the_arms_start_alike(scene: Nuclei, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "fit", lambda *_, **__: None)
    pieces = [Tile(scene.image, scene.labels)]
    a, b, other = (claim.train_unet(pieces, claim.as_is, seed=seed).state_dict() for seed in (0, 0, 1))
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert not all(torch.equal(a[name], other[name]) for name in a)


def test_labels_of_the_real_image_reach_one_arm_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        counting, "foreground", lambda model, image: 0 * image[0]
    )  # what is not learnt yet is thousands of specks
    learnt = spied(monkeypatch, claim, "train_unet")
    complete("style_augmentation", claim.style_augmentation(0, steps=1, count=3))
    (*arms, own), augments = [pieces for pieces, _ in learnt], [augment for _, augment in learnt]
    assert augments[:2] == [claim.as_is, claim.other_light]
    assert augments[3] == claim.as_is
    phantom = Nuclei(*phantoms.nuclei(generator=stream(0, "phantom")), "phantom")
    made, real = (claim.crops(whole, count=3, seed=0) for whole in (phantom, nuclei.load(split="train")))
    assert all(same(pieces, made) for pieces in arms)
    assert same(own, real)


# --- boundaries drawn again ---


def test_lessons_pair_each_coarse_mask_with_its_true_one(scene: Nuclei) -> None:
    refiner = BoundaryRefiner()
    seen, wanted = claim.lessons(refiner, [Tile(scene.image, scene.labels)] * 2, generator=stream(0, "lessons"))
    assert seen.shape == (4, 2, refiner.size, refiner.size)
    assert wanted.shape == (4, refiner.size, refiner.size)
    off = (seen[:, 1] - wanted).abs().mean((1, 2))
    assert (off > 0).all()
    assert (off < 0.1).all()  # of one nucleus, in one frame
    assert ((seen[:, 0] > 0.45) == (wanted > 0.5)).float().mean() > 0.98  # the true one is where the image is bright


def test_an_untrained_refiner_changes_masks_alone(scene: Nuclei, found: Detections) -> None:
    again = claim.refined(BoundaryRefiner(), scene.image, found)
    assert all(torch.equal(a, b) for a, b in zip(again[:3], found[:3]))
    assert (overlap.mask_iou(found.masks, again.masks).diagonal() > 0.9).all()


def test_a_trained_refiner_comes_nearer_to_the_truth(scene: Nuclei, found: Detections) -> None:
    refiner = claim.train_refiner([Tile(scene.image, scene.labels)] * 4, seed=0, steps=60)
    truth = target(scene.labels).masks
    again = claim.refined(refiner, scene.image, found)
    before, after = (overlap.mask_iou(truth, masks).diagonal() for masks in (found.masks, again.masks))
    assert (after > before).all()


def test_bright_in_the_box_is_what_is_bright_there(scene: Nuclei, found: Detections) -> None:
    again = claim.bright_in_the_box(scene.image, found)
    assert torch.equal(again.masks, target(scene.labels).masks)
    boxes = torch.tensor([[-4.0, -3.0, 30.0, 30.0], [30.0, 26.0, 70.0, 66.0]])  # over the edge of the image
    assert torch.equal(claim.bright_in_the_box(scene.image, found._replace(boxes=boxes)).masks, again.masks)
    assert all(torch.equal(a, b) for a, b in zip(again[:3], found[:3]))


def test_all_arms_share_detections_and_learn_on_the_left(monkeypatch: pytest.MonkeyPatch) -> None:
    detector, looked = (spied(monkeypatch, counting, name) for name in ("train_mask_rcnn", "find"))
    refiner, scored = (spied(monkeypatch, claim, name) for name in ("train_refiner", "outlined"))
    scores = claim.boundary_refinement(0, rcnn_steps=1, refine_steps=1, count=3)
    complete("boundary_refinement", scores)
    assert list(scores["AP"]) == ["Mask R-CNN", "Mask R-CNN + refiner", *find("boundary_refinement").baseline[1:]]
    wanted = tiles(nuclei.load(split="train"), seed=0, count=3)
    assert same(detector[0][0], wanted)
    assert same(refiner[0][0], wanted)
    assert torch.equal(looked[0][1], nuclei.load(split="test").image)
    plain, *others = [found for _, found in scored][:-2]  # the last two have boxes of their own
    assert len(others) == 4
    assert all(torch.equal(a, b) for other in others for a, b in zip(other[:3], plain[:3]))
