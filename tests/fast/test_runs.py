"""What is read, counted and shared of run lengths is what it is of the masks they stand for."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.fast import runs
from coursekit.metrics import overlap, rle


def draw_masks(seed: int, height: int, width: int, count: int = 8) -> torch.Tensor:
    """Noise of every density, blocks that reach over columns, an empty mask and a full one."""
    rng = np.random.default_rng(seed)
    masks = rng.random((count, height, width)) < rng.random((count, 1, 1))
    for mask in masks[: count // 2]:
        y, x = rng.integers(height), rng.integers(width)
        mask[:] = False
        mask[y : y + rng.integers(1, 6), x : x + rng.integers(1, 6)] = True
    masks[0], masks[-1] = False, True
    return torch.from_numpy(masks)


def tight_box(mask: torch.Tensor) -> list[int]:
    y, x = mask.nonzero().T
    return [int(x.min()), int(y.min()), int(x.max() - x.min()) + 1, int(y.max() - y.min()) + 1] if len(y) else [0] * 4


SIDE = st.integers(1, 20)


@settings(max_examples=60)
@given(st.integers(0, 10**6), SIDE, SIDE, st.sampled_from([1, 7, 1 << 16]))
def test_many_masks_at_once(seed: int, height: int, width: int, part: int) -> None:
    masks = draw_masks(seed, height, width)
    coded = rle.encode(masks)
    lengths = [own.tolist() for own in np.split(coded.counts, coded.starts[1:])]
    assert lengths == [rle.encode_by_definition(mask) for mask in masks]
    decoded = torch.stack([rle.decode_by_definition(own, (height, width)) for own in lengths])
    assert torch.equal(decoded, masks)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", part)  # where the work is cut makes no difference
        assert runs.areas(coded).tolist() == masks.sum((1, 2)).tolist()
        assert runs.boxes(coded).tolist() == [tight_box(mask) for mask in masks]
        a, b = (x.ravel() for x in np.mgrid[:8, :8])
        shared = torch.from_numpy(runs.intersections(coded, coded, a, b)).reshape(8, 8)
        area = masks.sum((1, 2))
        table = shared / (area[:, None] + area - shared).clamp(min=1).double()
        assert torch.equal(table, overlap.mask_iou(masks, masks))


@settings(max_examples=60)
@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=9), max_size=5), st.sampled_from([1, 7, 1 << 16]))
def test_text(lists: list[list[int]], part: int) -> None:
    texts = [rle.write_by_definition(lengths) for lengths in lists]
    assert [rle.read_by_definition(text) for text in texts] == lists
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(runs, "RUNS", part)
        counts, each = runs.read_text(texts)
    assert counts.tolist() == [length for lengths in lists for length in lengths]
    assert each.tolist() == [len(lengths) for lengths in lists]


def test_no_pixels() -> None:
    assert rle.encode_by_definition(torch.zeros(0, 5, dtype=torch.bool)) == [0]
    assert rle.encode(torch.zeros(1, 0, 5, dtype=torch.bool)).counts.tolist() == [0]
    assert rle.decode_by_definition([0], (0, 5)).shape == (0, 5)
