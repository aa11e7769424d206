"""Non-maximum suppression: what torchvision keeps, in its order, ties included."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import ops as peer

from coursekit import testing
from coursekit.ops.nms import batched_nms, nms


def crowd(seed: int, count: int, *, objects: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Boxes jittered around a few objects (one object a box: spread out), all scores different."""
    g = testing.generator(seed)
    corner = torch.rand(objects, 2, generator=g) * 500
    box = torch.cat([corner, corner + 20 + 60 * torch.rand(objects, 2, generator=g)], 1)[
        torch.randint(objects, (count,), generator=g)
    ]
    box = (box + torch.randn(count, 4, generator=g) * 4).view(-1, 2, 2).sort(1).values.flatten(1)
    return box.to(dtype), torch.randperm(count, generator=g).to(dtype)


def class_by_class(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> Tensor:
    kept = torch.cat(
        [
            torch.where(labels == i)[0][peer.nms(boxes[labels == i], scores[labels == i], threshold)]
            for i in labels.unique()
        ]
    )
    kept = kept.sort().values
    return kept[scores[kept].argsort(descending=True, stable=True)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 0.7, 1.0])
@pytest.mark.parametrize("objects", [5, 60, 2000])
def test_nms_equals_torchvision(objects: int, threshold: float, dtype: torch.dtype) -> None:
    for count in (1, 7, 128, 129, 900):
        boxes, scores = crowd(count, count, objects=objects, dtype=dtype)
        assert torch.equal(nms(boxes, scores, threshold), peer.nms(boxes, scores, threshold))


@pytest.mark.parametrize("classes", [1, 3, 80])
@pytest.mark.parametrize("objects", [30, 3000])
@pytest.mark.parametrize("count", [200, 3000])
def test_batched_nms_is_class_by_class(count: int, objects: int, classes: int) -> None:
    boxes, scores = crowd(count, count, objects=objects)
    labels = torch.randint(-2, classes - 2, (count,), generator=testing.generator(0)) * 10**9  # any numbers are labels
    kept = batched_nms(boxes, scores, labels, 0.5)
    assert torch.equal(kept, class_by_class(boxes, scores, labels, 0.5))
    if count > 1000:  # below that torchvision shifts the classes apart and rounds
        assert torch.equal(kept, peer.batched_nms(boxes, scores, labels, 0.5))


@settings(max_examples=60)
@given(
    st.integers(0, 9999),
    st.integers(0, 40),
    st.sampled_from([0.1, 0.2, 0.25, 0.3, 1 / 3, 0.5, 0.6, 0.7, 0.75]),
    st.integers(1, 3),
)
def test_ties_in_score_and_at_the_threshold(seed: int, count: int, threshold: float, classes: int) -> None:
    """Whole corners and few scores: many equal boxes, equal scores, and IoUs that are the threshold, or its float32
    neighbour.
    """
    g = testing.generator(seed)
    boxes = torch.randint(0, 7, (count, 2, 2), generator=g).sort(1).values.flatten(1).float()
    scores, labels = torch.randint(3, (count,), generator=g).float(), torch.randint(classes, (count,), generator=g)
    assert torch.equal(nms(boxes, scores, threshold), peer.nms(boxes, scores, threshold))
    if count:
        assert torch.equal(
            batched_nms(boxes, scores, labels, threshold), class_by_class(boxes, scores, labels, threshold)
        )


def test_nms_by_hand() -> None:
    boxes = torch.tensor(
        [[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [0.0, 0.0, 10.0, 8.0], [20.0, 20.0, 30.0, 30.0]],
        dtype=torch.float64,
    )
    scores = torch.tensor([0.8, 0.7, 0.9, 0.1])
    assert nms(boxes, scores, 0.5).tolist() == [2, 3]
    assert nms(boxes, scores, 0.625).tolist() == [2, 1, 3]  # 5 / 8 is at the threshold, not above it
    assert nms(boxes, scores, 0.8).tolist() == [2, 0, 1, 3]
    assert batched_nms(boxes, scores, torch.tensor([0, 1, 1, 1]), 0.6).tolist() == [2, 0, 3]


def test_a_longer_chain_than_one_round() -> None:
    """Each box overlaps the next alone, and every second one stays."""
    x = torch.arange(50.0)
    boxes = torch.stack([x, x * 0, x + 1.9, x * 0 + 1], 1)
    assert nms(boxes, -x, 0.2).tolist() == list(range(0, 50, 2))


def test_no_boxes_and_strided_boxes() -> None:
    assert nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    assert batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0, dtype=torch.long), 0.5).dtype == torch.long
    boxes, scores = crowd(0, 300, objects=20)
    assert torch.equal(nms(boxes.T.contiguous().T, scores.repeat_interleave(2)[::2], 0.5), nms(boxes, scores, 0.5))


def test_refuses_what_it_cannot_use(refuses) -> None:
    box, score, label = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.ones(1), torch.zeros(1, dtype=torch.long)
    refuses("boxes of shape", nms, box[:, :3], score, 0.5)
    refuses("x1 <= x2", nms, box.flip(1), score, 0.5)
    refuses("one of scores a box, 1 in all, got 2", nms, box, score.repeat(2), 0.5)
    refuses("scores to be finite", nms, box, score / 0, 0.5)
    refuses("one of labels a box", batched_nms, box, score, label.repeat(2), 0.5)
    refuses("labels to be an integer", batched_nms, box, score, score, 0.5)
    refuses(r"iou_threshold in \[0, 1\]", nms, box, score, 50.0)
    refuses(r"iou_threshold in \[0, 1\]", nms, box, score, float("nan"))
