"""Losses against torch, torchvision and MONAI, and the cases those leave open."""

import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.losses import DiceLoss

from coursekit import losses
from coursekit.testing import assert_close
from tests.tensors import fake_cuda, gradcheck

SPACES = [(), (5,), (3, 4), (2, 3, 4), (1, 1, 1)]


def scene(space: tuple[int, ...], n: int = 2, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels, about a third of them missing."""
    return torch.randn(n, classes, *space, dtype=torch.float64), torch.randint(-1, classes, (n, *space))


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_equals_torch(space: tuple, weighted: bool) -> None:
    logits, truth = scene(space, n=4)
    truth[0] = 1
    weight = torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64) if weighted else None
    assert_close(
        losses.cross_entropy(logits, truth, weight=weight), F.cross_entropy(logits, truth, weight, ignore_index=-1)
    )


def test_cross_entropy_by_hand() -> None:
    """Two classes at even odds cost log 2, whatever the unlabelled voxel says."""
    logits = torch.tensor([[[0.0, 0.0, float("nan")], [0.0, 0.0, 9.0]]])
    assert losses.cross_entropy(logits, torch.tensor([[0, 1, -1]])).item() == pytest.approx(math.log(2))


def test_cross_entropy_with_a_weight_for_each_voxel() -> None:
    logits, truth = scene((3, 4), n=4)
    each, weight = torch.rand(truth.shape, dtype=torch.float64), torch.tensor([0.2, 1.0, 3.0], dtype=torch.float64)
    own = F.cross_entropy(logits, truth, weight, ignore_index=-1, reduction="none")
    total = (each * weight[truth.clamp(min=0)])[truth >= 0].sum()
    assert_close(losses.cross_entropy(logits, truth, weight=weight, each=each), (own * each).sum() / total)
    assert_close(losses.cross_entropy(logits, truth, each=torch.ones_like(each)), losses.cross_entropy(logits, truth))
    assert losses.cross_entropy(logits, truth, each=0 * each) == 0


def row_of_cells() -> torch.Tensor:
    """Two cells in a row of eight pixels, two pixels between them, two behind: 11001100."""
    masks = torch.zeros(2, 1, 8, dtype=torch.bool)
    masks[0, 0, :2] = masks[1, 0, 4:6] = True
    return masks


def test_border_weights_by_hand() -> None:
    """Between the cells d1 + d2 = 1 + 2, behind them 1 + 5 and 2 + 6; inside only the balance counts."""
    weights = losses.border_weights(row_of_cells(), balance=(0.5, 2.0), w0=10, sigma=5)
    expected = [2, 2, *[0.5 + 10 * math.exp(-((1 + 2) ** 2) / 50)] * 2, 2, 2]
    assert weights[0].tolist() == pytest.approx(
        [*expected, 0.5 + 10 * math.exp(-(6**2) / 50), 0.5 + 10 * math.exp(-(8**2) / 50)]
    )
    narrow = losses.border_weights(row_of_cells(), w0=3, sigma=1)[0]
    assert narrow[2].item() == pytest.approx(1 + 3 * math.exp(-9 / 2))


def test_border_weights_are_the_slow_definition() -> None:
    """Distances to every pixel of every cell, one by one; cells that touch and one that nobody sees."""
    labels = torch.randint(0, 5, (9, 11)) * (torch.rand(9, 11) > 0.6)
    masks = torch.stack([labels == k for k in (1, 2, 3, 4, 9)])
    expected = torch.ones(9, 11)
    for y, x in (labels == 0).nonzero().tolist():
        away = sorted(min(math.dist((y, x), p) for p in mask.nonzero().tolist()) for mask in masks if mask.any())
        expected[y, x] += 10 * math.exp(-((away[0] + away[1]) ** 2) / 50)
    assert_close(losses.border_weights(masks), expected, atol=1e-5)


def test_border_weights_without_two_cells_are_the_balance() -> None:
    masks = row_of_cells()
    alone = torch.where(masks[0], 3.0, 2.0)
    unseen = torch.stack([masks[0], torch.zeros_like(masks[0])])
    assert_close(losses.border_weights(masks[:1], balance=(2, 3)), alone)
    assert_close(losses.border_weights(unseen, balance=(2, 3)), alone)
    assert_close(losses.border_weights(masks[:0], balance=(2, 3)), torch.full((1, 8), 2.0))


@given(st.integers(0, 999))
@settings(max_examples=20)
def test_unlabelled_voxels_weigh_nothing(seed: int) -> None:
    """Neither the value nor any gradient depends on what is predicted where nobody labelled."""
    torch.manual_seed(seed)
    logits, truth = scene((3, 4))
    other = torch.where((truth == -1).unsqueeze(1), torch.randn_like(logits), logits).requires_grad_()
    for loss in (losses.cross_entropy, losses.dice_loss):
        assert_close(loss(other, truth), loss(logits, truth))
        (grad,) = torch.autograd.grad(loss(other, truth), other)
        assert not grad.movedim(1, -1)[truth == -1].any()
        assert grad.any()


def test_nothing_labelled_costs_nothing() -> None:
    logits = torch.randn(1, 2, 3, requires_grad=True)
    truth = torch.full((1, 3), -1)
    for loss in (
        losses.cross_entropy(logits, truth),
        losses.dice_loss(logits, truth),
        losses.cross_entropy(logits[:0], truth[:0]),
    ):
        loss.backward()
        assert loss.item() == 0
    assert not logits.grad.any()


@pytest.mark.parametrize("background", [True, False])
@pytest.mark.parametrize("space", [(4, 5), (2, 3, 4)])
def test_dice_equals_monai(background: bool, space: tuple) -> None:
    logits, truth = torch.randn(2, 3, *space), torch.randint(0, 3, (2, *space))
    knobs = {"include_background": background, "to_onehot_y": True, "softmax": True}
    theirs = DiceLoss(**knobs)(logits, truth.unsqueeze(1))
    assert_close(losses.dice_loss(logits, truth, background=background), theirs)


def test_dice_by_hand() -> None:
    """Sure and right costs 0, sure and wrong 1; even odds on a half-full plane: Dice 2·½·2 / (2 + 2) = ½ a class."""
    truth = torch.tensor([[0, 0, 1, 1]])
    sure = 50.0 * F.one_hot(truth, 2).movedim(-1, 1)
    assert losses.dice_loss(sure, truth).item() == pytest.approx(0, abs=1e-5)
    assert losses.dice_loss(sure, 1 - truth).item() == pytest.approx(1, abs=1e-4)
    assert losses.dice_loss(torch.zeros(1, 2, 4), truth).item() == pytest.approx(0.5, abs=1e-5)
    absent = torch.zeros(1, 3, 4)
    absent[:, :2], absent[:, 2] = sure, -99.0
    assert losses.dice_loss(absent, truth).item() == pytest.approx(0, abs=1e-5)  # class 2: not there, not predicted


@pytest.mark.parametrize("beta", [1.0, 1 / 9])
def test_smooth_l1_equals_torch(beta: float) -> None:
    a, b = torch.randn(5, 4), torch.randn(5, 4)
    for reduction in ("mean", "sum"):
        assert_close(
            losses.smooth_l1(a, b, beta=beta, reduction=reduction),
            F.smooth_l1_loss(a, b, beta=beta, reduction=reduction),
        )
    assert losses.smooth_l1(a[:0], b[:0], beta=beta) == 0
    assert losses.smooth_l1(torch.tensor([3.0]), torch.tensor([0.0])).item() == 2.5


def test_mask_loss_looks_at_the_true_class_alone() -> None:
    logits, truth = torch.randn(3, 4, 5, 6), torch.rand(3, 5, 6) > 0.5
    labels = torch.tensor([2, 0, 3])
    own = torch.stack([logits[0, 2], logits[1, 0], logits[2, 3]])
    expected = F.binary_cross_entropy_with_logits(own, truth.float())
    assert_close(losses.mask_loss(logits, truth, labels), expected)
    logits[:, 1] = 1e6
    assert_close(losses.mask_loss(logits, truth, labels), expected)
    empty = torch.zeros(0, 4, 5, 6, requires_grad=True)
    loss = losses.mask_loss(empty, truth[:0], labels[:0])
    loss.backward()
    assert loss == 0


def test_consistency_by_hand_and_one_way() -> None:
    """Sure of opposite classes: both probabilities differ by 1. A constant added to all logits changes nothing."""
    student = torch.tensor([[[99.0, 0.0], [0.0, 0.0]]], requires_grad=True)  # (1, 2 classes, 2 voxels)
    teacher = torch.tensor([[[0.0, 7.0], [99.0, 7.0]]], requires_grad=True)
    assert losses.consistency(student, teacher).item() == pytest.approx(0.5)
    assert losses.consistency(student, teacher, where=torch.tensor([[True, False]])).item() == pytest.approx(1.0)
    assert losses.consistency(student, teacher, where=torch.tensor([[False, False]])).item() == 0
    loss = losses.consistency(student * 0.01, teacher)
    loss.backward()
    assert teacher.grad is None
    assert student.grad.any()


def test_gradients() -> None:
    logits, truth = scene((2, 3))
    assert gradcheck(
        lambda x: losses.cross_entropy(x, truth, weight=torch.tensor([0.5, 1.0, 2.0], dtype=x.dtype)), logits
    )
    assert gradcheck(lambda x: losses.dice_loss(x, truth), logits)
    assert gradcheck(
        lambda x: losses.smooth_l1(x, torch.zeros(4, dtype=x.dtype), beta=0.3), torch.tensor([-2.0, 0.1, -0.2, 1.0])
    )
    assert gradcheck(lambda x: losses.mask_loss(x, torch.ones(2, 2, 2), torch.tensor([0, 1])), torch.randn(2, 2, 2, 2))
    assert gradcheck(lambda x: losses.consistency(x, logits), torch.randn(2, 3, 2, 3))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_half_precision_counts_in_float32_and_a_view_is_fine(dtype: torch.dtype) -> None:
    logits, truth = scene((300, 3, 100))  # more voxels than float16 can count
    narrow = logits.to(dtype).transpose(2, 3)
    for loss in (losses.cross_entropy, losses.dice_loss):
        value = loss(narrow, truth.transpose(1, 2))
        assert value.dtype == torch.float32
        assert_close(value, loss(logits, truth).float(), atol=1e-5 if dtype == torch.float32 else 0.02)
    where = torch.ones(2, 3, 300, 100, dtype=torch.bool)
    apart = losses.consistency(narrow, -narrow, where=where)
    assert_close(apart, losses.consistency(logits, -logits).float(), atol=0.02)


def test_labels_of_any_integer_dtype() -> None:
    logits, truth = torch.randn(1, 3, 4), torch.tensor([[0, 2, 1, 0]])
    for dtype in (torch.uint8, torch.int8, torch.int16, torch.int32):
        assert_close(losses.cross_entropy(logits, truth.to(dtype)), losses.cross_entropy(logits, truth))
        assert_close(losses.dice_loss(logits, truth.to(dtype)), losses.dice_loss(logits, truth))


def test_on_a_fake_gpu() -> None:
    logits, truth, masks, labels = (
        torch.rand(2, 3, 4, 4),
        torch.zeros(2, 4, 4).long(),
        torch.rand(2, 4, 4),
        torch.tensor([0, 1]),
    )
    with fake_cuda() as to_cuda:
        x, y = to_cuda(logits), to_cuda(truth)
        values = [
            losses.cross_entropy(x, y, weight=to_cuda(torch.ones(3)), each=to_cuda(torch.ones(2, 4, 4))),
            losses.dice_loss(x, y, background=False),
            losses.smooth_l1(x, x),
            losses.mask_loss(x, to_cuda(masks), to_cuda(labels)),
            losses.consistency(x, x, where=y == 0),
        ]
        assert {(v.device.type, v.ndim) for v in values} == {("cuda", 0)}


def test_bad_input(refuses) -> None:
    logits, truth = torch.rand(2, 3, 4), torch.zeros(2, 4).long()
    refuses(
        r"truth in \[0, 2\], got values in \[0, 3\]",
        losses.cross_entropy,
        logits,
        truth + 3 * torch.tensor([0, 0, 0, 1]),
    )
    refuses("or -1 for unlabelled", losses.dice_loss, logits, truth - 2)
    refuses("without its class axis", losses.cross_entropy, logits, truth[:, :3])
    refuses("integer tensor", losses.cross_entropy, logits, truth.float())
    refuses("floating point", losses.cross_entropy, logits.long(), truth)
    refuses("the classes on axis 1", losses.cross_entropy, logits[0, 0], truth)
    refuses("one weight a class", losses.cross_entropy, logits, truth, weight=torch.ones(2))
    refuses("a weight is at least 0", losses.cross_entropy, logits, truth, weight=torch.tensor([1.0, -1.0, 1.0]))
    refuses("weight to be finite", losses.cross_entropy, logits, truth, weight=torch.tensor([1.0, math.inf, 1.0]))
    refuses("one weight a voxel", losses.cross_entropy, logits, truth, each=torch.ones(2))
    refuses("a weight is at least 0", losses.cross_entropy, logits, truth, each=-torch.ones(2, 4))
    refuses("one plane a cell", losses.border_weights, row_of_cells()[0])
    refuses("masks to be boolean", losses.border_weights, row_of_cells().float())
    refuses("sigma > 0", losses.border_weights, row_of_cells(), sigma=0.0)
    unseen = torch.full((2, 4), 255, dtype=torch.uint8)
    refuses(r"truth in \[0, 2\], got values in \[255, 255\]", losses.cross_entropy, logits, unseen)
    refuses("without the background", losses.dice_loss, logits[:, :1], truth, background=False)
    refuses("reduction to be one of", losses.smooth_l1, logits, logits, reduction="max")
    refuses("beta > 0", losses.smooth_l1, logits, logits, beta=0.0)
    refuses("of one shape", losses.smooth_l1, logits, logits[0])
    masks = torch.rand(2, 3, 4, 4)
    refuses(r"labels in \[0, 2\]", losses.mask_loss, masks, masks[:, 0], torch.tensor([0, 3]))
    refuses("one mask a region", losses.mask_loss, masks, masks, torch.tensor([0, 1]))
    refuses(r"truth in \[0, 1\]", losses.mask_loss, masks, masks[:, 0] + 1, torch.tensor([0, 1]))
    refuses("one class a region", losses.mask_loss, masks, masks[:, 0], torch.tensor([0]))
    refuses("of one shape", losses.consistency, logits, logits[:1])
    refuses("where to be boolean", losses.consistency, logits, logits, where=truth)


SATURATED = torch.tensor([0.0, 1e-3, 16.0, 40.0, 90.0, 110.0, 1e4, 6e4])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_sure_logits_right_or_wrong_give_finite_losses_and_gradients(dtype: torch.dtype) -> None:
    sure = torch.cat([SATURATED, -SATURATED]).to(dtype)
    rows = torch.stack([sure, -sure, torch.zeros_like(sure)], 1)  # (16, 3)
    classes = torch.arange(len(sure)) % 3
    for beta in (1 / 9, 1.0):
        assert_finite("smooth", sure, partial(losses.smooth_l1, truth=torch.zeros_like(sure), beta=beta))
    for truth in (classes, torch.full_like(classes, losses.UNLABELLED)):
        assert_finite("cross entropy", rows, partial(losses.cross_entropy, truth=truth))
        assert_finite("dice", rows[:, :, None], partial(losses.dice_loss, truth=truth[:, None]))
    assert_finite("consistency", rows, lambda x: losses.consistency(x, -x))
    assert_finite("mask", rows[:, :, None, None], lambda x: losses.mask_loss(x, torch.ones(16, 1, 1), classes))


def assert_finite(name: str, x: torch.Tensor, loss: Callable[[torch.Tensor], torch.Tensor]) -> None:
    leaf = x.clone().requires_grad_()
    value = loss(leaf)
    value.backward()
    assert value.isfinite(), name
    assert leaf.grad is not None, name
    assert leaf.grad.isfinite().all(), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_every_loss_of_half_precision_is_that_of_float32(dtype: torch.dtype) -> None:
    logits, truth = (300 * torch.randn(2, 3, 40)).to(dtype), torch.randint(0, 3, (2, 40))
    wide = logits.float()
    assert_close(losses.cross_entropy(logits, truth), losses.cross_entropy(wide, truth))
    assert_close(losses.dice_loss(logits, truth), losses.dice_loss(wide, truth))
    assert_close(losses.consistency(logits, -logits), losses.consistency(wide, -wide))
    for reduction in ("mean", "sum"):
        assert_close(
            losses.smooth_l1(logits, -logits, reduction=reduction), losses.smooth_l1(wide, -wide, reduction=reduction)
        )
    masks = logits[..., None].transpose(0, 2)  # (40, 3, 2, 1)
    assert_close(
        losses.mask_loss(masks, torch.ones(40, 2, 1), truth[0]),
        losses.mask_loss(masks.float(), torch.ones(40, 2, 1), truth[0]),
    )


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
def test_what_nobody_labelled_gives_neither_loss_nor_gradient(bad: float) -> None:
    truth = torch.tensor([[losses.UNLABELLED, 0, 1]])
    for loss in (
        losses.cross_entropy,
        losses.dice_loss,
        lambda x, t: losses.consistency(x, torch.zeros_like(x), where=t >= 0),
    ):
        logits = torch.tensor([[[bad, 1.0, 2.0], [0.0, 1.0, -2.0]]], requires_grad=True)
        value = loss(logits, truth)
        value.backward()
        assert value.isfinite()
        assert logits.grad is not None
        assert logits.grad.isfinite().all()
        assert logits.grad.any(1).tolist() == [[False, bool(logits.grad[0, :, 1].any()), True]]
