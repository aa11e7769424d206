"""The PET claim in miniature, its scores on masks of known answer, and its threshold."""

import pytest
import torch
from scored import complete

from coursekit.claims import pet as claim
from coursekit.data import brain


@pytest.fixture(scope="module")
def people() -> brain.PetSet:
    return brain.pet(split="test", seed=3, count=4)


def test_the_truth_finds_all_and_nothing_finds_none(people: brain.PetSet) -> None:
    truth = people.masks[:, 0]
    best = claim.measures(people, truth)
    assert best == {"Dice": 1, "mean Dice of a volume": 1, "lesion sensitivity": 1, "minus false alarms a volume": 0}
    none = claim.measures(people, torch.zeros_like(truth))
    assert (none["Dice"], none["lesion sensitivity"], none["minus false alarms a volume"]) == (0, 0, 0)


def test_a_missed_lesion_and_a_false_alarm_are_counted(people: brain.PetSet) -> None:
    total = int(people.labels.amax((1, 2, 3)).sum())
    at = next(i for i, labels in enumerate(people.labels) if labels.any())
    masks = people.masks[:, 0].clone()
    masks[at] &= people.labels[at] != 1
    masks[:, :2, :2, :2] = True  # a corner of air
    scores = claim.measures(people, masks)
    assert scores["lesion sensitivity"] == pytest.approx((total - 1) / total)
    assert scores["minus false alarms a volume"] == -1


def test_small_findings_are_dropped() -> None:
    masks = torch.zeros(1, 5, 9, 9, dtype=torch.bool)
    masks[0, 0, 0, :3] = masks[0, 4, 4, :4] = True
    assert claim.cleaned(masks).sum() == 4
    assert claim.cleaned(masks)[0, 4, 4, :4].all()


def test_the_threshold_is_the_best_of_the_training_part(people: brain.PetSet) -> None:
    lit = torch.where(people.masks, 2.0, 1.0)
    noise = torch.rand(lit.shape, generator=torch.Generator().manual_seed(0))
    dose = torch.tensor([1.0, 3.0, 9.0, 27.0]).view(4, 1, 1, 1, 1)  # what is dark in one is bright in another
    for images in (lit, torch.where(people.masks, lit, noise), lit * dose):
        learnt = people._replace(images=images)
        assert torch.equal(claim.threshold(learnt, learnt), people.masks[:, 0])


def test_every_other_crop_holds_a_lesion_and_both_are_mirrored_alike(people: brain.PetSet) -> None:
    marked = people.masks.float()
    stream = claim.crops(marked, people.masks, seed=0)
    for image, mask in (next(stream) for _ in range(5)):
        assert image.shape == (claim.BATCH, 1, *claim.CROP)
        assert torch.equal(image[:, 0] > 0, mask == 1)
        assert mask[1::2].flatten(1).any(1).all()


def test_every_score_that_is_compared_is_measured() -> None:
    complete("pet_lesions", claim.pet_lesions(0, steps=2, counts=(3, 2)))
