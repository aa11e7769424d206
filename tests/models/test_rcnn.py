"""The mask branch: shapes, parameters, learning, device."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.models.detection._utils import BoxCoder
from torchvision.models.detection.roi_heads import RoIHeads, fastrcnn_loss
from torchvision.ops import roi_align

from coursekit import testing
from coursekit.metrics.overlap import mask_iou
from coursekit.models import rcnn
from coursekit.models.pyramid import small_pyramid
from coursekit.ops.roi import roi_align as our_roi_align
from tests.tensors import fake_cuda


def branch(**kwargs: int) -> rcnn.MaskBranch:
    return rcnn.MaskBranch(roi_align, **kwargs)


BOXES = [torch.tensor([[2.0, 3.0, 20.0, 30.0], [0.0, 0.0, 9.0, 9.0]]), torch.zeros(0, 4)]


def test_one_mask_a_box_also_for_odd_images_and_none() -> None:
    assert branch(stride=8)(torch.rand(2, 1, 45, 51), BOXES).shape == (2, 28, 28)
    assert branch(stride=4, resolution=7)(torch.rand(2, 1, 32, 32), BOXES[1:] * 2).shape == (0, 14, 14)


def test_parameters_by_formula() -> None:
    w, halvings = 8, 3
    convolutions = 16 * w + 16 * w * w * (halvings - 1) + 9 * w * w * (2 + 2) + 2 * w * (halvings + 2 + 2)
    up_and_logit = 4 * w * w + w + w + 1
    assert sum(p.numel() for p in branch(stride=8, width=w).parameters()) == convolutions + up_and_logit


def test_a_cell_looks_at_the_middle_of_the_pixels_it_stands_for() -> None:
    image = torch.zeros(1, 1, 64, 64, requires_grad=True)
    halvings = rcnn.backbone(stride=8).eval()[:3]
    for layer in halvings:
        torch.nn.init.ones_(layer[0].weight)
    (gradient,) = torch.autograd.grad(halvings(image + 1)[0, 0, 3, 4], image)
    centre = (gradient[0, 0] * (torch.arange(64) + 0.5)).sum() / gradient.sum()
    assert centre.item() == pytest.approx(4.5 * 8)


def test_learns_one_batch_by_heart() -> None:
    model, image, boxes = branch(stride=4, width=16), torch.rand(1, 1, 48, 48), [BOXES[0]]
    target = torch.zeros(2, 28, 28)
    target[0, 6:20, 4:15] = 1  # the two boxes want different masks
    target[1, :, 14:] = 1
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = F.binary_cross_entropy_with_logits(model(image, boxes), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_runs_where_its_input_lies() -> None:
    with fake_cuda() as to_cuda:
        model = to_cuda(
            rcnn.MaskBranch(lambda f, _, *, output_size, spatial_scale: f[..., :output_size, :output_size], stride=2)
        )
        assert model(to_cuda(torch.rand(1, 1, 64, 64)), [to_cuda(BOXES[0])]).device.type == "cuda"


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses("expected 2 box tensors, got 1", branch(), torch.rand(2, 1, 32, 32), BOXES[:1])
    refuses("stride to be one of", rcnn.backbone, stride=3)
    refuses("amount >= 0", rcnn.jitter, BOXES[0], amount=-1.0, generator=testing.generator(0))


def test_jitter_keeps_corners_in_order_and_zero_is_still() -> None:
    moved = rcnn.jitter(BOXES[0], amount=3.0, generator=testing.generator(0))
    assert (moved[:, 2:] >= moved[:, :2]).all()
    assert torch.equal(rcnn.jitter(BOXES[0], amount=0.0, generator=testing.generator(0)), BOXES[0])


# --- the whole net ---


def whole(roi: rcnn.RoIOp = roi_align, **knobs: Any) -> rcnn.MaskRCNN:
    torch.manual_seed(0)
    return rcnn.MaskRCNN(small_pyramid(widths=(8, 12, 16), width=16), roi, **{"sizes": ((12, 20), (28, 40))} | knobs)


def disks(
    centres: list[tuple[float, float]], *, radius: float = 8.0, size: tuple[int, int] = (64, 70), label: int = 1
) -> rcnn.Target:
    y, x = torch.arange(size[0])[:, None] + 0.5, torch.arange(size[1]) + 0.5
    masks = torch.stack([(y - cy) ** 2 + (x - cx) ** 2 < radius**2 for cy, cx in centres])
    corners = torch.tensor([[cx - radius, cy - radius, cx + radius, cy + radius] for cy, cx in centres])
    return rcnn.Target(corners, torch.full((len(centres),), label), masks)


NOTHING = rcnn.Target(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 64, 70, dtype=torch.bool))


def image_of(target: rcnn.Target) -> Tensor:
    return target.masks.any(0).float()[None]


def test_learns_to_find_what_it_was_shown() -> None:
    targets = [disks([(20, 20), (40, 50)]), disks([(30, 30)])]
    images = torch.stack([image_of(t) for t in targets])
    model, g = whole(), testing.generator(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(80):
        loss = sum(model(images, targets, generator=g).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        found = model.eval()(images)
    for one, target in zip(found, targets):
        sure = one.scores > 0.5
        assert int(sure.sum()) == len(target.boxes)
        overlap = mask_iou(target.masks, one.masks[sure]).amax(1)
        assert overlap.min() > 0.7
        assert set(one.labels.tolist()) <= {1}


@pytest.mark.parametrize("targets", [[NOTHING, NOTHING], [disks([(20, 20)]), NOTHING]])
def test_images_without_objects_can_be_learnt_from(targets: list[rcnn.Target]) -> None:
    model = whole()
    losses = model(torch.rand(2, 1, 64, 70), targets, generator=testing.generator(0))
    assert set(losses) == {"objectness", "rpn_box", "class", "box", "mask"}
    total = sum(losses.values())
    assert torch.isfinite(total)
    total.backward()


def test_finding_nothing_is_an_empty_answer() -> None:
    model = whole().eval()
    model.score_threshold = 0.999
    (found,) = model(torch.zeros(1, 1, 33, 47))
    assert (found.boxes.shape, found.masks.shape, found.labels.shape) == ((0, 4), (0, 33, 47), (0,))


@pytest.mark.parametrize("classes", [1, 3])
def test_boxes_scores_and_labels_are_torchvisions(classes: int) -> None:
    g = testing.generator(0)
    corner = torch.rand(40, 2, generator=g) * 50
    regions = torch.cat([corner, corner + 5 + torch.rand(40, 2, generator=g) * 15], 1)
    logits, offsets = torch.randn(40, classes + 1, generator=g), torch.randn(40, 4 * (classes + 1), generator=g)
    heads = RoIHeads(None, None, None, 0.5, 0.5, 64, 0.25, None, 0.2, 0.4, 10)
    boxes, scores, labels = heads.postprocess_detections(logits, offsets, [regions], [(64, 60)])
    ours = rcnn.best_boxes(
        logits.softmax(1),
        offsets.unflatten(1, (-1, 4)),
        regions,
        (64, 60),
        threshold=0.2,
        iou_threshold=0.4,
        most=10,
    )
    assert len(ours[0]) == 10
    testing.assert_close(ours[0], boxes[0])
    testing.assert_close(ours[1], scores[0])
    assert torch.equal(ours[2], labels[0])


def test_head_losses_are_torchvisions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Class and box: the regions that were sampled, their labels and targets, through torchvision's own loss."""
    model, target, g = whole(classes=2), disks([(20, 20), (40, 50)], label=2), testing.generator(0)
    features = [x.detach() for x in model.backbone(image_of(target)[None])]
    near = rcnn.jitter(target.boxes.repeat(4, 1), amount=0.1, generator=g)
    seen: list[rcnn.Sampled] = []
    sample = rcnn.sample_regions
    monkeypatch.setattr(rcnn, "sample_regions", lambda *a, **k: seen.append(sample(*a, **k)) or seen[-1])
    ours = model.head_losses(features, [near], [target], g)
    regions, truth = seen[0]
    logits, offsets = model.box_head(model.pool(features, [regions], 7))
    labels = torch.where(truth >= 0, target.labels[truth.clamp(min=0)], 0)
    matched = target.boxes[truth.clamp(min=0)]
    wanted = BoxCoder((10.0, 10.0, 5.0, 5.0)).encode([matched], [regions])[0]
    expected = fastrcnn_loss(logits, offsets.flatten(1), [labels], [wanted])
    assert (labels > 0).any()
    testing.assert_close(torch.stack([ours["class"], ours["box"]]), torch.stack(expected))


def test_a_sample_has_a_quarter_of_objects_and_the_truth_among_its_candidates() -> None:
    target = disks([(20, 20), (40, 50)])
    far = torch.tensor([[0.0, 0.0, 5.0, 5.0]]).repeat(30, 1)
    picked = rcnn.sample_regions(far, target, count=8, generator=testing.generator(0))
    assert sorted(picked.truth.tolist()) == [-1] * 6 + [0, 1]
    testing.assert_close(picked.boxes[picked.truth == 1], target.boxes[1:])
    many = rcnn.sample_regions(target.boxes.repeat(20, 1), target, count=8, generator=testing.generator(0))
    assert (many.truth >= 0).sum() == 2


def test_a_mask_target_is_the_mask_seen_through_its_box() -> None:
    target = disks([(20, 20), (40, 50)])
    seen = rcnn.mask_targets(target.masks, target.boxes, 28)
    y = x = (torch.arange(28) + 0.5) / 28 * 2 - 1
    disk = (y[:, None] ** 2 + x**2 < 1).float()
    assert ((seen - disk).abs().mean((1, 2)) < 0.05).all()
    assert rcnn.mask_targets(target.masks[:0], target.boxes[:0], 28).shape == (0, 28, 28)


def test_each_box_is_read_from_the_map_of_its_size() -> None:
    pool = rcnn.Pooler(roi_align, strides=(4, 8, 16))
    sides = torch.tensor([10.0, 55.9, 56.1, 111.0, 113.0])
    boxes = torch.stack([0 * sides, 0 * sides, sides, sides], 1)
    features = [torch.full((2, 1, 128 // s, 128 // s), float(s)) for s in (4, 8, 16)]
    assert pool(features, [boxes[:0], boxes], 1).flatten().tolist() == pytest.approx([4, 4, 8, 8, 16])


def test_parameters_of_the_whole_by_formula() -> None:
    w, each, classes, hidden = 16, 6, 2, 128
    rpn = 9 * w * w + w + (w + 1) * each * 5
    box = w * 49 * hidden + hidden + hidden * hidden + hidden + (hidden + 1) * 5 * (classes + 1)
    mask = 2 * (9 * w * w + 2 * w) + 4 * w * w + w + (w + 1) * classes
    model = whole(classes=classes)
    assert (
        sum(p.numel() for p in model.parameters())
        == sum(p.numel() for p in model.backbone.parameters()) + rpn + box + mask
    )


def test_the_parts_run_where_their_input_lies() -> None:
    with fake_cuda() as to_cuda:
        model = to_cuda(whole(our_roi_align))
        features = model.backbone(to_cuda(torch.rand(1, 1, 64, 64)))
        regions = to_cuda(BOXES[0])
        logits, offsets = model.box_head(our_roi_align(features[0], [regions], 7, spatial_scale=0.25, sampling_ratio=2))
        drawn = model.mask_head(our_roi_align(features[0], [regions], 14, spatial_scale=0.25, sampling_ratio=2))
        seen = rcnn.mask_targets(to_cuda(torch.rand(2, 32, 32) > 0.5), regions, 28)
        assert {x.device.type for x in (logits, offsets, drawn, seen)} == {"cuda"}


def test_runs_in_bfloat16() -> None:
    model, target = whole(our_roi_align), disks([(20, 20), (40, 50)])
    with torch.autocast("cpu", torch.bfloat16):
        losses = model(image_of(target)[None], [target], generator=testing.generator(0))
        found = model.eval()(image_of(target)[None])
    assert all(torch.isfinite(x) for x in losses.values())
    assert found[0].boxes.dtype == torch.float32


def test_the_whole_refuses_what_it_cannot_take(refuses) -> None:
    model = whole()
    refuses("1 targets and a generator, got 1, None", lambda: model(torch.rand(1, 1, 64, 70), [NOTHING]))
    refuses(
        "2 targets and a generator", lambda: model(torch.rand(2, 1, 64, 70), [NOTHING], generator=testing.generator(0))
    )
    refuses("images of shape", lambda: model(torch.rand(1, 64, 70)))
