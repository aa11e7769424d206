"""Suppression by blocks and by the sweep keeps what the loop over boxes keeps."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coursekit import testing
from coursekit.fast import suppression
from coursekit.ops.nms import batched_nms, nms, nms_by_definition

THRESHOLDS = [0.0, 0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.6, 0.7, 0.75, 1.0]


def scene(seed: int, count: int, *, side: int, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Whole corners and few scores: equal boxes, empty boxes, equal scores, overlaps that are the threshold."""
    g = testing.generator(seed)
    boxes = torch.randint(0, side, (count, 2, 2), generator=g).sort(1).values.flatten(1).to(dtype)
    return boxes, torch.randint(5, (count,), generator=g).to(dtype)


@settings(max_examples=100)
@given(
    st.integers(0, 9999),
    st.integers(0, 40),
    st.sampled_from(THRESHOLDS),
    st.sampled_from([7, 40]),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_nms(seed: int, count: int, threshold: float, side: int, dtype: torch.dtype) -> None:
    boxes, scores = scene(seed, count, side=side, dtype=dtype)
    assert torch.equal(nms(boxes, scores, threshold), nms_by_definition(boxes, scores, threshold))


@pytest.mark.parametrize("side", [20, 400])
def test_more_than_one_block(side: int) -> None:
    boxes, scores = scene(0, 3 * suppression.BLOCK + 5, side=side, dtype=torch.float32)
    assert torch.equal(nms(boxes, scores, 0.5), nms_by_definition(boxes, scores, 0.5))


@pytest.mark.parametrize("many", [3, 512])
def test_each_label_by_itself(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few boxes a label go in one sweep, many label by label."""
    monkeypatch.setattr(suppression, "MANY", many)
    boxes, scores = scene(1, 60, side=12, dtype=torch.float32)
    labels = torch.randint(-2, 3, (60,), generator=testing.generator(2))
    own = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    kept = torch.cat([rows[nms_by_definition(boxes[rows], scores[rows], 0.4)] for rows in own]).sort().values
    assert torch.equal(
        batched_nms(boxes, scores, labels, 0.4), kept[scores[kept].argsort(descending=True, stable=True)]
    )
