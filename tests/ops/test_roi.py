"""RoIPool and RoIAlign: equal to torchvision, in values and gradients, wherever the boxes lie."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import ops as peer

from coursekit import testing
from coursekit.fast.maxima import _RangeMaximum
from coursekit.ops import roi
from tests.tensors import fake_cuda, gradcheck

SIDES, BINS = (st.tuples(st.integers(1, most), st.integers(1, most)) for most in (9, 4))
DTYPES = [torch.float32, torch.float64]
RAMP = torch.arange(30.0).view(1, 1, 5, 6)


def scene(
    seed: int, *, dtype: torch.dtype = torch.float64, count: int = 6, size: tuple[int, int] = (9, 11)
) -> tuple[Tensor, Tensor]:
    """Two feature maps, and boxes in eighths of a pixel that also lie off the image and have no size."""
    g = testing.generator(seed)
    features = torch.randn(2, 3, *size, generator=g, dtype=torch.float64).to(dtype)
    corners = torch.randint(-80, 260, (count, 2, 2), generator=g).sort(1).values.flatten(1) / 8
    corners[::5, 2:] = corners[::5, :2]
    image = torch.randint(2, (count, 1), generator=g)
    return features, torch.cat([image, corners], 1).to(dtype)


def value_and_gradient(function, features: Tensor) -> tuple[Tensor, Tensor]:
    features = features.clone().requires_grad_()
    pooled = function(features)
    upstream = torch.randint(-4, 5, pooled.shape, generator=testing.generator(1)).to(
        pooled
    )  # whole numbers add up exactly
    return pooled, torch.autograd.grad(pooled, features, upstream)[0]


def assert_same_align(features: Tensor, boxes, size: tuple[int, int], scale: float, ratio: int, aligned: bool) -> None:
    ours = value_and_gradient(
        lambda f: roi.roi_align(f, boxes, size, spatial_scale=scale, sampling_ratio=ratio, aligned=aligned), features
    )
    theirs = value_and_gradient(lambda f: peer.roi_align(f, boxes, size, scale, ratio, aligned), features)
    for a, b in zip(ours, theirs):
        testing.assert_close(a, b)


# --- RoIAlign ---


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [-1, 0, 1, 2, 3])
def test_roi_align_equals_torchvision(dtype: torch.dtype, aligned: bool, ratio: int) -> None:
    for seed in range(3):
        features, boxes = scene(seed, dtype=dtype, count=70)  # more than a chunk
        assert_same_align(features, boxes, (3, 2), 0.5, ratio, aligned)


@settings(max_examples=40)
@given(st.integers(0, 10_000), SIDES, BINS, st.sampled_from([0.25, 0.5, 1.0]), st.integers(0, 3), st.booleans())
def test_roi_align_equals_torchvision_everywhere(
    seed: int, size: tuple[int, int], bins: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> None:
    features, boxes = scene(seed, size=size)
    assert_same_align(features, boxes, bins, scale, ratio, aligned)


def test_roi_align_reads_a_ramp_exactly() -> None:
    """The mean of a linear function over a box is its value at the middle."""
    pooled = roi.roi_align(RAMP, [torch.tensor([[1.0, 1.0, 4.0, 3.0]])], 1, sampling_ratio=2)
    assert pooled.item() == pytest.approx(6 * 1.5 + 2.0)  # row 2.0 and column 2.5 in pixels are cells 1.5 and 2.0


def test_roi_align_gradients() -> None:
    features, boxes = scene(1, size=(4, 5))
    assert gradcheck(lambda f: roi.roi_align(f, boxes, 2, spatial_scale=0.5), features)
    box = torch.tensor([0.7, 0.4, 3.2, 2.9])
    assert gradcheck(lambda f, b: roi.roi_align_by_definition(f, b, 2, sampling_ratio=2), features[0], box)


# --- RoIPool ---


@settings(max_examples=40)
@given(st.integers(0, 10_000), SIDES, BINS, st.sampled_from([0.25, 0.5, 1.0]), st.booleans(), st.sampled_from(DTYPES))
def test_roi_pool_equals_torchvision_to_the_last_bit(
    seed: int, size: tuple[int, int], bins: tuple[int, int], scale: float, ties: bool, dtype: torch.dtype
) -> None:
    features, boxes = scene(seed, size=size, dtype=dtype)
    features = features.round() if ties else features  # many equal cells: the first must get the gradient
    ours = value_and_gradient(lambda f: roi.roi_pool(f, boxes, bins, spatial_scale=scale), features)
    theirs = value_and_gradient(lambda f: peer.roi_pool(f, boxes, bins, scale), features)
    assert torch.equal(ours[0], theirs[0])
    assert torch.equal(ours[1], theirs[1])


def test_roi_pool_of_many_boxes_on_a_larger_map() -> None:
    features, boxes = scene(5, size=(40, 33), count=300, dtype=torch.float32)
    assert torch.equal(roi.roi_pool(features, boxes, (7, 5)), peer.roi_pool(features, boxes, (7, 5)))


def test_roi_pool_gradient() -> None:
    features, boxes = scene(2, size=(4, 5))
    assert gradcheck(lambda f: roi.roi_pool(f, boxes, 2, spatial_scale=0.5), features)


def test_snapped_bins_by_hand() -> None:
    rows, columns = roi.snapped_bins(torch.tensor([[8.0, 24.0, 88.0, 88.0]]), (2, 3), spatial_scale=1 / 16)
    assert rows.tolist() == [[[2, 5], [4, 7]]]  # 1.5 and 5.5 round to 2 and 6: five cells in two bins share one
    assert columns.tolist() == [[[1, 3], [3, 5], [5, 7]]]  # 0.5 and 5.5 round to 1 and 6: six cells in three bins


def test_snapping_error_by_hand() -> None:
    boxes = torch.tensor([[16.0, 32.0, 47.0, 63.0], [9.0, 0.0, 30.0, 16.0]])
    assert roi.snapping_error(boxes, spatial_scale=1 / 16).tolist() == [[0.0, 0.0, 17.0, 17.0], [-7.0, 0.0, 18.0, 16.0]]


# --- reading between the cells ---


def test_bilinear_by_hand() -> None:
    y, x = torch.tensor([1.0, 1.5, 0.0, -1.0, -1.1, 5.0, 5.1]), torch.tensor([2.0, 2.25, -0.5, 0.0, 0.0, 6.0, 0.0])
    assert roi.bilinear(RAMP[0], y, x)[0].tolist() == [8.0, 11.25, 0.0, 0.0, 0.0, 29.0, 0.0]
    assert roi.bilinear(RAMP[0] + 1, y, x)[0].tolist() == [9.0, 12.25, 1.0, 1.0, 0.0, 30.0, 0.0]


def test_bilinear_is_the_hat_weights() -> None:
    features = torch.randn(2, 5, 6, dtype=torch.float64)
    y, x = torch.empty(2, 40, dtype=torch.float64).uniform_(-2, 8, generator=testing.generator(0))
    wy, wx = roi.hat_weights(y[:, None], 5), roi.hat_weights(x[:, None], 6)
    testing.assert_close(roi.bilinear(features, y, x), torch.einsum("nh,chw,nw->cn", wy, features, wx))


def test_bilinear_gradients() -> None:
    assert gradcheck(roi.bilinear, torch.randn(2, 4, 5), torch.tensor([0.3, 2.6]), torch.tensor([1.2, 3.9]))


# --- what both share ---

BOTH = pytest.mark.parametrize("function", [roi.roi_align, roi.roi_pool])


@BOTH
def test_a_list_of_boxes_is_the_same_and_may_be_empty(function) -> None:
    features, boxes = scene(4)
    boxes = boxes[boxes[:, 0].argsort(stable=True)]
    both = [boxes[boxes[:, 0] == i, 1:] for i in range(2)]
    assert torch.equal(function(features, both, 2), function(features, boxes, 2))
    none = torch.zeros(0, 4, dtype=torch.float64)
    assert torch.equal(function(features, [none, both[1]], 2), function(features, boxes[boxes[:, 0] == 1], 2))
    pooled, gradient = value_and_gradient(lambda f: function(f, [none, none], (3, 2)), features)
    assert pooled.shape == (0, 3, 3, 2)
    assert torch.equal(gradient, torch.zeros_like(features))


@BOTH
def test_layout_in_memory_does_not_matter(function) -> None:
    features, boxes = scene(6)
    expected = value_and_gradient(lambda f: function(f, boxes, 3), features)
    for other in (features.to(memory_format=torch.channels_last), features.mT.contiguous().mT):
        strided = boxes.T.contiguous().T
        for a, b in zip(value_and_gradient(lambda f, s=strided: function(f, s, 3), other), expected):
            testing.assert_close(a, b)


@BOTH
def test_half_precision_and_autocast(function) -> None:
    features, boxes = scene(7, dtype=torch.float32)
    expected = function(features, boxes, 3)
    for dtype in (torch.float16, torch.bfloat16):
        pooled = function(features.to(dtype), boxes, 3)
        assert pooled.dtype == dtype
        testing.assert_close(pooled.float(), expected, rtol=1e-2, atol=2e-2)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(function(features, boxes, 3), expected)


@BOTH
def test_half_precision_features_keep_the_boxes_place(function) -> None:
    features = torch.zeros(1, 1, 1, 300, dtype=torch.bfloat16)
    features[..., 259] = 1  # bfloat16 has no number between 258 and 260
    box = torch.tensor([[0.0, 259.0, 0.0, 259.25, 0.25]])
    assert torch.equal(function(features, box, 1).float(), function(features.float(), box, 1))
    assert function(features, box, 1).item() > 0


@BOTH
def test_the_second_derivative_is_refused_clearly(function) -> None:
    features, boxes = scene(8)
    gradient = torch.autograd.grad(
        function(features.requires_grad_(), boxes, 2).pow(2).sum(), features, create_graph=True
    )[0]
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()


@BOTH
@pytest.mark.parametrize("as_list", [True, False])
def test_on_a_gpu_without_one(function, as_list: bool) -> None:
    features, boxes = scene(9, dtype=torch.float32)
    regions = [boxes[:4, 1:], boxes[4:, 1:]] if as_list else boxes
    with fake_cuda() as to_cuda:
        regions = [to_cuda(b) for b in regions] if as_list else to_cuda(regions)
        pooled = function(to_cuda(features), regions, (3, 2), spatial_scale=0.5)
        assert (pooled.shape, pooled.device.type) == ((6, 3, 3, 2), "cuda")


def test_the_way_back_on_a_gpu_without_one() -> None:
    """Autograd's engine needs a real GPU: the backward of the one function that has its own there is called by hand."""
    rows, columns = roi.snapped_bins(torch.tensor([[0.0, 1.0, 3.0, 4.0]]), (3, 2))
    saved, upstream = (RAMP.permute(0, 2, 3, 1).contiguous(), torch.tensor([0]), rows, columns), torch.ones(1, 1, 3, 2)
    with fake_cuda() as to_cuda:
        context = SimpleNamespace(saved_tensors=tuple(map(to_cuda, saved)))
        gradient = _RangeMaximum.backward(context, to_cuda(upstream))[0]
        assert (gradient.shape, gradient.device.type) == (RAMP.shape, "cuda")


def test_the_small_parts_on_a_gpu_without_one() -> None:
    image, point, box = RAMP[0], torch.rand(4), torch.tensor([0.0, 1.0, 3.0, 4.0])
    with fake_cuda() as to_cuda:
        image, point, box = to_cuda(image), to_cuda(point), to_cuda(box)
        assert roi.bilinear(image, point, point).device.type == "cuda"
        assert roi.snapping_error(box[None]).device.type == "cuda"
        assert roi.roi_align_by_definition(image, box, 2).device.type == "cuda"


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_do_not_matter(threads: int) -> None:
    features, boxes = scene(11, size=(30, 31), count=100, dtype=torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert_same_align(features, boxes, (5, 5), 1.0, 0, True)
        assert torch.equal(roi.roi_pool(features, boxes, 3), peer.roi_pool(features, boxes, 3))
    finally:
        torch.set_num_threads(before)


@BOTH
def test_refuses_what_it_cannot_use(function, refuses) -> None:
    features, box = torch.rand(2, 3, 8, 8), torch.tensor([[0.0, 1.0, 2.0, 3.0, 4.0]])
    refuses("features of shape", function, features[0], box, 2)
    refuses("features to be floating", function, features.long(), box, 2)
    refuses("features to be finite", function, features / 0, box, 2)
    refuses("boxes of shape .*image's number", function, features, box[:, 1:], 2)
    refuses("boxes to be finite", function, features, box * torch.tensor([1, 1, 1, torch.inf, 1]), 2)
    refuses("x1 <= x2", function, features, box[:, [0, 3, 2, 1, 4]], 2)
    refuses(r"image numbers of boxes in \[0, 1\]", function, features, box + 2, 2)
    refuses("whole image numbers", function, features, box + 0.5, 2)
    refuses("one tensor of boxes an image, 2 in all, got 1", function, features, [box[:, 1:]], 2)
    refuses("each tensor of boxes of shape", function, features, [box, box], 2)
    refuses("output_size > 0", function, features, box, (0, 2))
    refuses("spatial_scale > 0", function, features, box, 2, spatial_scale=0.0)
    refuses("sides of the feature map > 0", function, features[..., :0], box, 2)


def test_the_small_parts_refuse_too(refuses) -> None:
    refuses("y and x of one shape", roi.bilinear, RAMP[0], torch.rand(2), torch.rand(3))
    refuses("y to be finite", roi.bilinear, RAMP[0], torch.rand(1) / 0, torch.rand(1))
    refuses("boxes of shape", roi.roi_align_by_definition, RAMP[0], torch.rand(5), 2)
    refuses("spatial_scale > 0", roi.snapped_bins, torch.zeros(1, 4), 2, spatial_scale=-1.0)
    refuses("x1 <= x2", roi.snapping_error, torch.tensor([[1.0, 0.0, 0.0, 1.0]]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_function_takes_half_precision_and_computes_in_float32(dtype: torch.dtype) -> None:
    features, box = torch.rand(2, 3, 20, 30).to(dtype), torch.tensor([2.3, 1.7, 25.9, 17.1]).to(dtype)
    wide = features.float()
    y, x = (5 * torch.rand(7)).to(dtype), (5 * torch.rand(7)).to(dtype)
    pairs = [
        (roi.bilinear(features[0], y, x), roi.bilinear(wide[0], y.float(), x.float())),
        (roi.roi_align_by_definition(features[0], box, 4), roi.roi_align_by_definition(wide[0], box.float(), 4)),
        (
            roi.roi_align_by_definition(features[0], box.float(), 4),
            roi.roi_align_by_definition(wide[0], box.float(), 4),
        ),
        (
            roi.snapping_error(box[None], spatial_scale=1 / 3),
            roi.snapping_error(box[None].float(), spatial_scale=1 / 3),
        ),
    ]
    for result, expected in pairs:
        assert result.dtype == dtype
        assert torch.equal(result, expected.to(dtype))
    assert torch.equal(
        roi.snapped_bins(box[None], 5, spatial_scale=1 / 3)[0],
        roi.snapped_bins(box[None].float(), 5, spatial_scale=1 / 3)[0],
    )
    many = [torch.zeros(0, 4).to(dtype)] * 2049 + [box[None]]
    numbered, _ = roi._door(features[:1].expand(2050, -1, -1, -1), many, 5, 1 / 3)
    assert numbered[0, 0] == 2049
