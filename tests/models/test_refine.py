"""The boundary refiner: crops in their place, what an untrained one gives, learning, and masks that get better."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from coursekit.models import refine
from coursekit.models.refine import BoundaryRefiner
from coursekit.ops.paste import paste
from tests.tensors import fake_cuda

BOXES = torch.tensor([[10.0, 8.0, 34.0, 28.0], [30.0, 30.0, 45.0, 60.0]])


def ellipses(boxes: Tensor = BOXES, size: tuple[int, int] = (61, 53)) -> Tensor:
    """The ellipse inscribed in each box."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    centre, half = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]) / 2
    dx, dy = ((v - centre[:, i, None, None]) / half[:, i, None, None] for i, v in enumerate((x, y)))
    return dx**2 + dy**2 <= 1


def iou(a: Tensor, b: Tensor) -> Tensor:
    return (a & b).sum((1, 2)) / (a | b).sum((1, 2))


def test_grown_boxes() -> None:
    assert refine.grow(BOXES[:1], 0.25).tolist() == [[4.0, 3.0, 40.0, 33.0]]
    assert torch.equal(refine.grow(BOXES, 0.0), BOXES)


def test_a_mask_through_its_box_touches_all_four_sides() -> None:
    seen = refine.through(ellipses(), BOXES, 40)
    assert seen.shape == (2, 40, 40)
    assert seen.mean((1, 2)).tolist() == pytest.approx([torch.pi / 4] * 2, abs=0.02)  # an ellipse fills π/4 of its box
    assert refine.through(ellipses()[:0], BOXES[:0], 40).shape == (0, 40, 40)


def test_a_perfect_head_gives_the_mask_back_and_a_coarse_one_less() -> None:
    masks = ellipses()
    fine, coarse = (iou(refine.as_detected(masks, BOXES, BOXES, resolution=r), masks) for r in (56, 4))
    assert (fine > 0.95).all()
    assert (coarse < fine).all()
    moved = refine.as_detected(masks, BOXES, BOXES + 3.0, resolution=56)
    assert (iou(moved[:, 3:, 3:], masks[:, :-3, :-3]) > 0.95).all()


def test_an_untrained_refiner_gives_the_mask_back() -> None:
    masks, net = ellipses(), BoundaryRefiner(size=64).eval()
    assert (iou(net.refine(torch.rand(1, 61, 53), masks, BOXES), masks) > 0.93).all()


def test_crops_hold_the_image_and_the_mask_in_one_frame() -> None:
    masks, net = ellipses(), BoundaryRefiner(in_channels=2, size=40)
    image = torch.stack([masks.any(0), ~masks.any(0)]).float()
    crops = net.look(image, masks, BOXES)
    assert crops.shape == (2, 3, 40, 40)
    assert (crops[0, 0] - crops[0, 2]).abs().mean() < 0.02  # alone in its crop, so the image shows the mask
    assert torch.equal(net.targets(masks, BOXES), crops[:, 2])


def test_the_targets_hold_the_exact_boundary() -> None:
    """Pasted back, the targets are the true masks again, from crops coarser than the image too."""
    masks, net = ellipses(), BoundaryRefiner(size=24)
    assert torch.equal(
        paste(net.targets(masks, BOXES + 2), refine.grow(BOXES + 2, refine.MARGIN), (61, 53)) > 0.5, masks
    )


def test_parameters_are_the_u_nets() -> None:
    b, total = 4, 9 * (2 * 4 + 4 * 4) + 2 * 2 * 4
    total += 9 * (b * 2 * b + 4 * b * b) + 2 * 2 * 2 * b + 4 * 2 * b * b + 9 * (2 * b * b + b * b) + 2 * 2 * b + b + 1
    assert sum(p.numel() for p in BoundaryRefiner(base=b, depth=1).parameters()) == total


def test_learns_to_draw_boundaries_again() -> None:
    """On plain ellipses, masks from boxes a little off come out nearer to the truth."""
    truth, detected = ellipses(), BOXES + torch.tensor([2.0, -3.0, 2.0, 2.0])
    given, image = (
        refine.as_detected(truth, BOXES, detected),
        truth.any(0)[None].float() + 0.05 * torch.randn(1, 61, 53),
    )
    net = BoundaryRefiner(size=32, base=4, depth=2)
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    crops, targets = net.look(image, given, detected), net.targets(truth, detected)
    for _ in range(40):
        loss = F.binary_cross_entropy_with_logits(net(crops), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    before, after = iou(given, truth), iou(net.refine(image, given, detected), truth)
    assert (before < 0.85).all()
    assert (after > 0.9).all()


def test_no_instances_and_soft_masks() -> None:
    net, image = BoundaryRefiner(), torch.rand(1, 61, 53)
    assert net.refine(image, ellipses()[:0], BOXES[:0]).shape == (0, 61, 53)
    assert torch.equal(net.eval().refine(image, ellipses().float(), BOXES), net.refine(image, ellipses(), BOXES))


def test_runs_where_its_input_lies_and_in_half_precision() -> None:
    given = ellipses()
    with fake_cuda() as to_cuda:
        net = to_cuda(BoundaryRefiner())
        image, masks, boxes = to_cuda(torch.rand(1, 61, 53)), to_cuda(given), to_cuda(BOXES)
        assert net.refine(image, masks, boxes).device.type == "cuda"
        assert net.targets(masks, boxes).device.type == "cuda"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert BoundaryRefiner()(torch.rand(2, 2, 48, 48)).isfinite().all()


def test_refuses_what_it_cannot_take(refuses) -> None:
    net, masks = BoundaryRefiner(), ellipses()
    refuses(r"image of shape \(1, H, W\)", BoundaryRefiner.look, net, torch.rand(3, 61, 53), masks, BOXES)
    refuses(r"masks of shape \(K, 60, 53\)", BoundaryRefiner.look, net, torch.rand(1, 60, 53), masks, BOXES)
    refuses("expected 2 boxes, got 1", refine.through, masks, BOXES[:1], 28)
    refuses(r"crops of shape \(K, 2, S, S\)", BoundaryRefiner.forward, net, torch.rand(1, 3, 48, 48))
    refuses("margin >= 0", refine.grow, BOXES, -0.1)
    refuses("a size of at least 8 for 3 pools", BoundaryRefiner, size=7)
    refuses("resolution > 0", refine.as_detected, masks, BOXES, BOXES, resolution=0)
