"""Sparse annotation: which voxels are labelled is counted, and every crop is found again in its volume."""

from collections.abc import Callable

import pytest
import torch

from coursekit import losses
from coursekit.data.simulated.volumes import UNLABELLED, annotate, crops, evenly
from coursekit.testing import generator

LABELS = (torch.arange(12 * 10 * 8).reshape(12, 10, 8) % 5 == 0).long() * 7  # ids of seven: instances become class 1
PLACES = torch.arange(12 * 10 * 8.0).reshape(1, 12, 10, 8)  # each voxel says where it came from


def test_unlabelled_is_what_the_losses_ignore() -> None:
    assert UNLABELLED == losses.UNLABELLED
    target = annotate(LABELS, slices=1)[None]
    logits = torch.zeros(1, 2, *LABELS.shape)
    wild = torch.where(target[:, None] == UNLABELLED, 1e3, logits)  # whatever the network says where nobody looked
    wild[:, 0] *= -1
    assert torch.equal(losses.cross_entropy(wild, target), losses.cross_entropy(logits, target))


def test_slices_are_spread_evenly() -> None:
    assert evenly(60, 1) == [30]
    assert evenly(60, 3) == [10, 30, 50]
    assert evenly(5, 2) == [1, 3]
    assert evenly(7, 7) == list(range(7))
    for size in range(1, 40):
        for count in range(1, size + 1):
            gaps = {b - a for a, b in zip(evenly(size, count), evenly(size, count)[1:])}
            assert len(evenly(size, count)) == len(set(evenly(size, count))) == count
            assert not gaps or max(gaps) - min(gaps) <= 1


@pytest.mark.parametrize("count", [0, 1, 4, 12])
def test_only_the_chosen_planes_are_labelled(count: int) -> None:
    target = annotate(LABELS, slices=count)
    labelled = target != UNLABELLED
    assert labelled.sum() == count * 10 * 8
    assert labelled.flatten(1).all(1).nonzero().flatten().tolist() == evenly(12, count)
    assert torch.equal(target[labelled], (LABELS > 0).long()[labelled])
    assert target.dtype == torch.int64


def test_three_orthogonal_slices_meet_in_one_voxel() -> None:
    """Inclusion and exclusion: three planes, less their three lines, plus the one voxel all share."""
    target = annotate(LABELS, slices=3, planes="orthogonal")
    assert (target != UNLABELLED).sum() == 10 * 8 + 12 * 8 + 12 * 10 - 12 - 10 - 8 + 1
    assert (target[6] >= 0).all()
    assert (target[:, 5] >= 0).all()
    assert (target[:, :, 4] >= 0).all()


def test_orthogonal_slices_are_dealt_out_in_turn() -> None:
    full = [(annotate(LABELS, slices=n, planes="orthogonal") >= 0) for n in (1, 2, 5)]
    counts = [[int(f.transpose(0, axis).flatten(1).all(1).sum()) for axis in range(3)] for f in full]
    assert counts == [[1, 0, 0], [1, 1, 0], [2, 2, 1]]


def test_each_crop_is_a_turned_piece_of_the_volume_with_an_annotated_voxel() -> None:
    target = annotate(LABELS, slices=1)
    made = crops(PLACES, target, size=(4, 5, 5), count=60, generator=generator(0))
    assert (made.image.shape, made.target.shape) == ((60, 1, 4, 5, 5), (60, 4, 5, 5))
    starts = set()
    for image, truth in zip(made.image, made.target):
        ids = image[0].long()
        assert torch.equal(truth, target.flatten()[ids])  # image and target went the same way
        assert (truth != UNLABELLED).any()
        d, h, w = ids // 80, ids // 8 % 10, ids % 8
        assert [int(x.max() - x.min()) for x in (d, h, w)] == [3, 4, 4]  # a box without gaps
        assert (d[:, 0, 0].diff() == 1).all()  # upright
        starts.add((int(d.min()), int(h.min()), int(w.min())))
    assert {s[0] for s in starts} == {3, 4, 5, 6}  # all that hold plane 6
    assert {s[1] for s in starts} == set(range(6))
    assert {s[2] for s in starts} == set(range(4))


def test_crops_take_every_turn() -> None:
    seen = crops(
        PLACES[:, :1, :3, :3].clone(), torch.zeros(1, 3, 3).long(), size=(1, 3, 3), count=200, generator=generator(1)
    )
    assert len({tuple(image.flatten().tolist()) for image in seen.image}) == 8


def test_bad_wishes_are_refused(refuses: Callable[..., None]) -> None:
    refuses("at most 12 slices, got 13", annotate, LABELS, slices=13)
    refuses("planes to be one of 'z', 'orthogonal'", annotate, LABELS, slices=1, planes="x")
    refuses("slices >= 0", annotate, LABELS, slices=-1)
    target = annotate(LABELS, slices=1)
    refuses("as high as wide", crops, PLACES, target, size=(4, 5, 6), count=1, generator=generator(0))
    refuses("no larger than", crops, PLACES, target, size=(13, 5, 5), count=1, generator=generator(0))
    refuses(
        "an annotated voxel, got none",
        crops,
        PLACES,
        annotate(LABELS, slices=0),
        size=(4, 5, 5),
        count=1,
        generator=generator(0),
    )
    refuses("image of shape", crops, PLACES[:, 1:], target, size=(4, 5, 5), count=1, generator=generator(0))
    refuses("count > 0", crops, PLACES, target, size=(4, 5, 5), count=0, generator=generator(0))
