"""Boxes: laws that hold for all of them, and agreement with torchvision."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import ops as peer
from torchvision.models.detection._utils import BoxCoder

from coursekit import testing
from coursekit.ops import boxes as B
from coursekit.ops.nms import batched_nms, nms
from tests.tensors import fake_cuda, gradcheck


def some_boxes(seed: int, count: int = 12, *, empty: bool = True) -> Tensor:
    g = testing.generator(seed)
    corners = torch.randint(-40, 80, (count, 2, 2), generator=g).sort(1).values.flatten(1).double() / 4
    size = torch.zeros(count, 2) if empty else torch.rand(count, 2, generator=g) + 1
    return corners + torch.cat([torch.zeros(count, 2), size], 1)


LAW = settings(max_examples=30)


@LAW
@given(st.integers(0, 9999), st.integers(0, 12))
def test_iou_laws(seed: int, count: int) -> None:
    a, b = some_boxes(seed, count), some_boxes(seed + 1, 5)
    iou = B.iou(a, b)
    assert torch.equal(iou, B.iou(b, a).T)
    assert ((iou >= 0) & (iou <= 1)).all()
    full = B.area(a) > 0
    assert B.iou(a, a).diagonal()[full].eq(1).all()


@LAW
@given(st.integers(0, 9999))
def test_overlap_equals_torchvision(seed: int) -> None:
    a, b = some_boxes(seed, empty=False), some_boxes(seed + 1, 5, empty=False)
    testing.assert_close(B.area(a), peer.box_area(a))
    testing.assert_close(B.iou(a, b), peer.box_iou(a, b))


def test_half_open_boxes_by_hand() -> None:
    a, b = (
        torch.tensor([[0.0, 0.0, 2.0, 2.0]]),
        torch.tensor([[1.0, 1.0, 3.0, 3.0], [2.0, 0.0, 4.0, 2.0], [5.0, 5.0, 5.0, 5.0]]),
    )
    assert B.area(a).tolist() == [4.0]
    testing.assert_close(B.iou(a, b), torch.tensor([[1 / 7, 0.0, 0.0]]))  # no "+ 1": touching boxes share nothing
    assert B.iou(b[2:], b[2:]).item() == 0


@LAW
@given(st.integers(0, 9999), st.sampled_from(B.FORMATS), st.sampled_from(B.FORMATS))
def test_conversions_go_there_and_back(seed: int, source: str, target: str) -> None:
    boxes = B.convert(some_boxes(seed), target=source)
    there = B.convert(boxes, source=source, target=target)
    testing.assert_close(there, peer.box_convert(boxes, source, target))
    testing.assert_close(B.convert(there, source=target, target=source), boxes)


@LAW
@given(st.integers(0, 9999))
def test_clip_equals_torchvision_and_twice_is_once(seed: int) -> None:
    clipped = B.clip(some_boxes(seed), (9, 13))
    assert torch.equal(clipped, peer.clip_boxes_to_image(some_boxes(seed), (9, 13)))
    assert torch.equal(B.clip(clipped, (9, 13)), clipped)


@LAW
@given(st.integers(0, 9999))
def test_offsets_equal_torchvision_and_lead_back(seed: int) -> None:
    weights = (10.0, 10.0, 5.0, 5.0)
    boxes, start = some_boxes(seed, empty=False), some_boxes(seed + 1, empty=False)
    offsets = B.encode(boxes, start, weights=weights)
    testing.assert_close(offsets, BoxCoder(weights).encode_single(boxes, start))
    testing.assert_close(B.decode(offsets, start, weights=weights), boxes)
    wild = torch.randn(len(boxes), 4, dtype=torch.float64) * 40
    testing.assert_close(B.decode(wild, start, weights=weights), BoxCoder(weights).decode_single(wild, start))


def test_decode_holds_the_scale() -> None:
    box = torch.tensor([[0.0, 0.0, 16.0, 16.0]])
    side = B.decode(torch.tensor([[0.0, 0.0, 1e4, 0.0]]), box)[0, [0, 2]].diff().item()
    assert side == pytest.approx(1000)
    assert math.isinf(B.decode(torch.tensor([[0.0, 0.0, 1e4, 0.0]]), box, max_log_scale=math.inf)[0, 2])


def test_anchors_by_hand() -> None:
    anchors = B.anchors((2, 3), stride=8, sizes=(4.0, 8.0), ratios=(1.0, 4.0))
    assert anchors.shape == (2 * 3 * 4, 4)
    assert anchors[:4].tolist() == [[2, 2, 6, 6], [3, 0, 5, 8], [0, 0, 8, 8], [2, -4, 6, 12]]
    centre, size = (
        anchors.view(2, 3, 4, 4)[..., :2] + anchors.view(2, 3, 4, 4)[..., 2:],
        anchors[:, 2:] - anchors[:, :2],
    )
    assert centre[1, 2].div(2).eq(torch.tensor([20.0, 12.0])).all()
    testing.assert_close(size.prod(1), torch.tensor([16.0, 16.0, 64.0, 64.0]).repeat(6))


def test_gradients() -> None:
    a, b = some_boxes(0, 4, empty=False), some_boxes(1, 3, empty=False)
    a, b = a + torch.rand_like(a) * 0.01, b + torch.rand_like(b) * 0.01  # off the corners, where no slope exists
    assert gradcheck(B.iou, a, b)
    assert gradcheck(lambda x, y: B.decode(B.encode(x, y) * 1.1, y), a[:3], b)


def test_no_boxes_and_strided_boxes() -> None:
    none, some = torch.zeros(0, 4), some_boxes(2).float()
    assert B.iou(none, some).shape == (0, 12)
    for result in (B.clip(none, (3, 3)), B.convert(none, target="xywh"), B.encode(none, none), B.decode(none, none)):
        assert result.shape == (0, 4)
    strided = some.T.contiguous().T
    assert torch.equal(B.iou(strided, strided), B.iou(some, some))
    assert torch.equal(B.clip(strided, (5, 5)), B.clip(some, (5, 5)))


def test_on_a_gpu_without_one() -> None:
    boxes = some_boxes(3, empty=False)
    with fake_cuda() as to_cuda:
        x = to_cuda(boxes)
        results = [B.area(x), B.iou(x, x), B.convert(x, target="cxcywh"), B.clip(x, (4, 4))]
        results += [B.encode(x, x), B.decode(x, x), B.anchors((2, 2), stride=4, sizes=(4,), device="cuda")]
        assert {r.device.type for r in results} == {"cuda"}


def test_refuses_what_it_cannot_use(refuses) -> None:
    box, empty = torch.tensor([[0.0, 0.0, 2.0, 2.0]]), torch.tensor([[1.0, 1.0, 1.0, 2.0]])
    refuses("boxes of shape", B.area, box[0])
    refuses("boxes to be floating", B.area, box.long())
    refuses("boxes to be finite", B.area, box / 0)
    refuses("x1 <= x2", B.iou, box.flip(1), box)
    refuses("others of shape", B.iou, box, box[:, :3])
    refuses("source to be one of", B.convert, box, source="yxyx")
    refuses("width and height >= 0", B.convert, -box, source="xywh")
    refuses("width and height >= 0", B.convert, box.flip(1), target="xywh")
    refuses("size >= 0", B.clip, box, (-1, 4))
    refuses("as many boxes as anchors", B.encode, box, box.repeat(2, 1))
    refuses("boxes of positive width", B.encode, empty, box)
    refuses("anchors of positive width", B.encode, box, empty)
    refuses("offsets of shape", B.decode, box[:, :3], box)
    refuses("offsets to be finite", B.decode, box / 0, box)
    refuses("sizes > 0", B.anchors, (2, 2), stride=4, sizes=(-1.0,))
    refuses("stride > 0", B.anchors, (2, 2), stride=0, sizes=(1.0,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_boxes_are_computed_in_float32(dtype: torch.dtype) -> None:
    """Areas above 65,504 are more than float16 holds; boxes come back in half, measures in float32."""
    half = torch.tensor([[0, 0, 304, 304], [0, 16, 304, 304], [400, 400, 704, 704]]).to(dtype)
    b, s = half.float(), torch.tensor([0.9, 0.8, 0.7])
    for measure in (B.area, lambda x: B.iou(x, x)):
        assert torch.equal(measure(half), measure(b))
    labels = torch.zeros(3).long()
    assert nms(half, s.to(dtype), 0.5).tolist() == nms(b, s, 0.5).tolist() == [0, 2]
    assert batched_nms(half, s.to(dtype), labels, 0.5).tolist() == [0, 2]
    shifted = half + 16
    offsets = B.encode(half, shifted)
    for result, expected in (
        (offsets, B.encode(b, shifted.float())),
        (B.decode(offsets, shifted), B.decode(offsets.float(), shifted.float())),
        (B.convert(half, target="cxcywh"), B.convert(b, target="cxcywh")),
        (B.clip(half, (320, 320)), B.clip(b, (320, 320))),
        (B.anchors((3, 400), stride=8, sizes=[30.0], dtype=dtype), B.anchors((3, 400), stride=8, sizes=[30.0])),
    ):
        assert result.dtype == dtype
        assert torch.equal(result, expected.to(dtype))
