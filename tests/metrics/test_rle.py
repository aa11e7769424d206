"""Run lengths against pycocotools, against the pixels they stand for, and known by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from coursekit.fast import runs
from coursekit.metrics import rle


def draw_masks(seed, height, width, count=12):
    """Noise of every density, blocks, an empty mask and a full one."""
    rng = np.random.default_rng(seed)
    masks = rng.random((count, height, width)) < rng.random((count, 1, 1))
    for mask in masks[: count // 2]:
        y, x = rng.integers(0, height), rng.integers(0, width)
        mask[:] = False
        mask[y : y + rng.integers(1, 6), x : x + height] = True
    masks[0], masks[-1] = False, True
    return torch.from_numpy(masks)


def peer(masks):
    return mask_api.encode(np.asfortranarray(masks.permute(1, 2, 0).numpy().astype(np.uint8)))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 9), (9, 1), (13, 8), (40, 37), (300, 400)])
def test_equals_pycocotools(height, width):
    masks = draw_masks(0, height, width)
    ours, theirs = rle.encode(masks), peer(masks)
    assert [m["counts"] for m in rle.to_coco(ours)] == [m["counts"] for m in theirs]
    assert rle.to_coco(ours)[0]["size"] == [height, width]
    np.testing.assert_array_equal(rle.areas(ours), mask_api.area(theirs))
    np.testing.assert_array_equal(rle.boxes(ours), mask_api.toBbox(theirs))
    read = rle.from_coco(theirs)
    np.testing.assert_array_equal(read.counts, ours.counts)
    np.testing.assert_array_equal(read.runs, ours.runs)


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 20), st.integers(1, 20))
def test_laws(seed, height, width):
    masks = draw_masks(seed, height, width, 6)
    coded = rle.encode(masks)
    assert torch.equal(rle.decode(coded), masks)
    assert torch.equal(rle.decode(rle.from_coco(rle.to_coco(coded))), masks)
    index = np.random.default_rng(seed).integers(0, 6, 9)
    assert torch.equal(rle.decode(coded.take(index)), masks[index])
    a, b = (x.ravel() for x in np.mgrid[:6, :6])
    shared = rle.intersections(coded, coded, a, b)
    np.testing.assert_array_equal(shared, (masks[a] & masks[b]).sum((1, 2)).numpy())


def test_known_by_hand():
    mask = torch.tensor([[[1, 0], [1, 1]]], dtype=torch.bool)  # down the columns: 1 1 0 1
    coded = rle.encode(mask)
    assert coded.counts.tolist() == [0, 2, 1, 1]
    assert rle.boxes(coded).tolist() == [[0, 0, 2, 2]]
    assert rle.areas(coded).tolist() == [3]
    across = rle.encode(torch.tensor([[[0, 1], [1, 0]]], dtype=torch.bool))  # one run, over the end of a column
    assert across.counts.tolist() == [1, 2, 1]
    assert rle.boxes(across).tolist() == [[0, 0, 2, 2]]


def test_masks_of_several_sizes_and_many_pairs(monkeypatch):
    """Pairs are looked up in blocks; where they are cut makes no difference."""
    monkeypatch.setattr(runs, "RUNS", 7)
    sides = [draw_masks(seed, h, w, 4) for seed, (h, w) in enumerate([(5, 9), (30, 2)])]
    parts = [rle.encode(m) for m in sides]
    both = rle.from_coco(rle.to_coco(parts[0]) + rle.to_coco(parts[1]))
    a, b = (np.concatenate([x.ravel(), x.ravel() + 4]) for x in np.mgrid[:4, :4])
    expected = np.concatenate([(m[a[:16]] & m[b[:16]]).sum((1, 2)).numpy() for m in sides])
    np.testing.assert_array_equal(rle.intersections(both, both, a, b), expected)
    np.testing.assert_array_equal(rle.boxes(both), np.concatenate([rle.boxes(p) for p in parts]))


def test_lists_bytes_and_text_mix():
    masks = draw_masks(1, 6, 7, 6)
    coded = rle.encode(masks)
    stored = rle.to_coco(coded)
    stored[1]["counts"] = stored[1]["counts"].decode()
    for i in (0, 3):
        stored[i]["counts"] = coded.take(np.array([i])).counts.tolist()
    assert torch.equal(rle.decode(rle.from_coco(stored)), masks)


def test_nothing_and_layout():
    none = rle.encode(torch.zeros(0, 4, 5, dtype=torch.bool))
    assert (len(none), len(rle.boxes(none)), len(rle.areas(none)), rle.to_coco(none)) == (0, 0, 0, [])
    assert len(rle.from_coco([])) == 0
    assert len(rle.intersections(none, none, np.zeros(0, np.int64), np.zeros(0, np.int64))) == 0
    flat = rle.encode(torch.zeros(2, 0, 5, dtype=torch.bool))
    assert rle.areas(flat).tolist() == [0, 0]
    masks = draw_masks(2, 8, 8)
    assert torch.equal(rle.decode(rle.encode(masks.transpose(1, 2))), masks.transpose(1, 2))  # not contiguous


def test_zero_length_runs_hold_nothing():
    odd = rle.from_coco([{"size": [3, 2], "counts": [1, 0, 2, 1, 0, 1, 1, 0]}])
    assert rle.areas(odd).tolist() == [2]
    assert rle.boxes(odd).tolist() == [[1, 0, 1, 2]]
    full = rle.encode(torch.ones(1, 3, 2, dtype=torch.bool))
    zero = np.zeros(1, np.int64)
    assert rle.intersections(odd, full, zero, zero).tolist() == rle.intersections(full, odd, zero, zero).tolist() == [2]


def test_refusals(refuses):
    good = {"size": [2, 2], "counts": [1, 3]}
    refuses("masks to be boolean", rle.encode, torch.zeros(1, 2, 2))
    refuses("masks of shape", rle.encode, torch.zeros(2, 2, dtype=torch.bool))
    refuses("segmentations", rle.from_coco, [[[0.0, 0, 1, 1]]])
    refuses("segmentations", rle.from_coco, [good, [0.0, 1.0]])
    refuses("add up to H × W", rle.from_coco, [good | {"counts": [1, 4]}])
    refuses("add up to H × W", rle.from_coco, [good | {"counts": [5, -1]}])
    refuses("add up to H × W", rle.from_coco, [good | {"counts": ""}])
    refuses("add up to H × W", rle.from_coco, [good | {"counts": [1, 3 + 2**32]}])
    refuses("counts as text", rle.from_coco, [good | {"counts": 3}])
    refuses("six-bit text", rle.from_coco, [good | {"counts": "~1"}])
    refuses("six-bit text", rle.from_coco, [good | {"counts": b"1R"}])  # the last character announces another
    refuses("masks of one size", rle.decode, rle.from_coco([good, {"size": [1, 1], "counts": [1]}]))
