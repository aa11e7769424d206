"""Dice and IoU: by sets, by known shifts, by laws, and where nothing is there."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.metrics.overlap import dice, instance_iou, iou, mask_iou
from coursekit.testing import generator
from tests.tensors import fake_cuda


def draw_masks(seed, count, *space):
    return torch.rand(count, *space, generator=generator(seed)) < 0.4


def by_sets(a, b):
    """IoU of two masks as sets of places."""
    a, b = (set(map(tuple, x.nonzero().tolist())) for x in (a, b))
    return len(a & b) / len(a | b) if a | b else 0.0


def test_squares_shifted_by_a_known_amount():
    a, b = torch.zeros(2, 10, 20, dtype=torch.bool)
    a[:, :10], b[:, 4:14] = True, True
    assert iou(a, b) == 6 / 14
    assert dice(a, b) == 12 / 20
    assert mask_iou(a[None], torch.stack([a, b, ~a])).tolist() == [[1, 6 / 14, 0]]


def test_seven_tenths_is_not_below_the_threshold():
    a = torch.zeros(10, dtype=torch.bool)
    a[:7] = True
    assert iou(torch.ones_like(a), a).item() >= 0.7
    assert mask_iou(torch.ones(1, 1, 10, dtype=torch.bool), a[None, None]).item() >= 0.7


@pytest.mark.parametrize("metric", [dice, iou])
def test_empty_is_the_callers_choice(metric):
    nothing, something = torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)
    assert metric(nothing, nothing) == 1
    assert metric(nothing, nothing, empty=0.0) == 0
    assert math.isnan(metric(nothing, nothing, empty=math.nan))
    assert metric(nothing, something, empty=math.nan) == metric(something, nothing, empty=math.nan) == 0
    assert metric(nothing[:0], nothing[:0]) == 1  # no voxel at all


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([(1,), (5, 7), (3, 4, 5)]))
def test_laws(seed, space):
    a, b = draw_masks(seed, 2, *space)
    assert iou(a, b) == pytest.approx(by_sets(a, b) if (a | b).any() else 1.0)
    assert iou(a, b) == iou(b, a)
    assert 0 <= iou(a, b) <= dice(a, b) <= 1
    assert dice(a, b) == pytest.approx(float(2 * iou(a, b) / (1 + iou(a, b))))
    assert dice(a, a) == 1


@pytest.mark.parametrize("space", [(6, 7), (3, 4, 5), (1, 1)])
def test_every_pair(space):
    a, b = draw_masks(1, 4, *space), draw_masks(2, 3, *space)
    a[1] = False
    b[2] = False
    expected = [[by_sets(x, y) for y in b] for x in a]
    assert mask_iou(a, b).tolist() == expected  # float64, so equal to the last bit
    assert mask_iou(a[:0], b).shape == (0, 3)
    assert mask_iou(a, b[:0]).shape == (4, 0)


def test_every_pair_not_contiguous():
    a, b = draw_masks(1, 4, 6, 7).transpose(1, 2), draw_masks(2, 3, 7, 6)
    assert torch.equal(mask_iou(a, b), mask_iou(a.contiguous(), b))


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.sampled_from([(6, 7), (3, 4, 5)]))
def test_label_maps_are_masks_without_overlap(seed, space):
    g = generator(seed)
    names = torch.tensor([0, 3, 4, 900])  # not consecutive
    truth, prediction = (names[torch.randint(0, 4, space, generator=g)] for _ in range(2))
    table, rows, columns = instance_iou(truth, prediction)
    expected = mask_iou(torch.stack([truth == i for i in rows]), torch.stack([prediction == j for j in columns]))
    assert torch.equal(table, expected)
    assert rows.tolist() == sorted(set(truth.flatten().tolist()) - {0})
    assert columns.tolist() == sorted(set(prediction.flatten().tolist()) - {0})


def test_label_maps_without_instances():
    background = torch.zeros(4, 5, dtype=torch.int32)
    one = background.clone()
    one[0, 0] = 2
    assert instance_iou(background, one)[0].shape == (0, 1)
    assert instance_iou(one, background)[0].shape == (1, 0)
    assert instance_iou(one, one)[0].tolist() == [[1]]
    full = torch.full((2, 2), 5)  # no background voxel at all
    assert instance_iou(full, full)[0].tolist() == [[1]]


def test_on_a_gpu():
    with fake_cuda() as to_cuda:
        a, b = to_cuda(torch.ones(2, 4, 5, dtype=torch.bool)), to_cuda(torch.ones(3, 4, 5, dtype=torch.bool))
        for out, shape in ((mask_iou(a, b), (2, 3)), (dice(a, a), ()), (iou(a, a), ())):
            assert (out.device.type, tuple(out.shape), out.dtype) == ("cuda", shape, torch.float64)


def test_refusals(refuses):
    mask, labels = torch.ones(2, 3, 3, dtype=torch.bool), torch.zeros(3, 3, dtype=torch.int64)
    for metric in (dice, iou):
        refuses("truth and prediction of one shape", metric, mask, mask[:1])
        refuses("truth to be boolean", metric, mask.float(), mask)
        refuses("prediction to be boolean", metric, mask, mask.long())
    refuses("prediction to be boolean", mask_iou, mask, mask.float())
    refuses("truth \\(N, H, W\\)", mask_iou, mask, mask[:, :2])
    refuses("of one shape", instance_iou, labels, labels[:2])
    refuses("truth to be an integer", instance_iou, labels.float(), labels)
    refuses("prediction in \\[0, inf\\]", instance_iou, labels, labels - 1)
