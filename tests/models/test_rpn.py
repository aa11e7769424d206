"""Region proposals against torchvision's pieces, on the same numbers."""

import pytest
import torch
from torch import Tensor
from torchvision.models.detection import _utils
from torchvision.models.detection.rpn import AnchorGenerator, RegionProposalNetwork, RPNHead

from coursekit.models import rpn
from coursekit.ops import boxes
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda


def random_boxes(count: int, seed: int, *, size: float = 60.0) -> Tensor:
    corner = torch.rand(count, 2, generator=generator(seed)) * size
    return torch.cat([corner, corner + 4 + 20 * torch.rand(count, 2, generator=generator(seed + 1))], 1)


def network(levels: int = 2) -> rpn.RegionProposals:
    torch.manual_seed(0)
    sizes = ((12.0, 20.0), (32.0, 48.0))[:levels]
    model = rpn.RegionProposals(8, strides=(4, 8)[:levels], sizes=sizes, ratios=(0.5, 1.0, 2.0))
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return model


def maps(n: int = 2) -> list[Tensor]:
    return [torch.randn(n, 8, 16, 15, generator=generator(3)), torch.randn(n, 8, 8, 8, generator=generator(4))]


def theirs(**kwargs: object) -> RegionProposalNetwork:
    count = {"training": 40, "testing": 40}
    keep = {"training": 12, "testing": 12}
    settings = {"batch_size_per_image": 10**6, "positive_fraction": 1.0} | kwargs
    return RegionProposalNetwork(
        AnchorGenerator(((8,),), ((1.0,),)),
        RPNHead(8, 1),
        0.7,
        0.3,
        pre_nms_top_n=count,
        post_nms_top_n=keep,
        nms_thresh=0.7,
        **settings,
    )


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.7), (0.5, 0.5), (0.0, 0.2)])
def test_assignment_is_torchvisions(best: bool, low: float, high: float) -> None:
    iou = boxes.iou(random_boxes(5, 0), random_boxes(200, 2))
    ours = rpn.assign(iou, low=low, high=high, best=best)
    matcher = _utils.Matcher(high, low, allow_low_quality_matches=best)
    assert torch.equal(ours, matcher(iou))
    assert {rpn.BACKGROUND, rpn.BETWEEN} == {_utils.Matcher.BELOW_LOW_THRESHOLD, _utils.Matcher.BETWEEN_THRESHOLDS}


def test_an_object_far_from_every_anchor_takes_none() -> None:
    iou = torch.tensor([[0.0, 0.0, 0.0], [0.1, 0.25, 0.0]])
    assert rpn.assign(iou, low=0.3, high=0.7, best=True).tolist() == [-1, 1, -1]
    assert rpn.assign(torch.zeros(0, 3), low=0.3, high=0.7, best=True).tolist() == [-1, -1, -1]


def test_the_sample_is_balanced_and_without_repeats() -> None:
    assigned = torch.tensor([0, 1, 2, 3, 4, 5] + [rpn.BACKGROUND] * 50 + [rpn.BETWEEN] * 50)
    objects, background = rpn.balanced(assigned, count=8, share=0.5, generator=generator(0))
    assert (len(objects), len(background)) == (4, 4)
    assert (assigned[objects] >= 0).all()
    assert (assigned[background] == rpn.BACKGROUND).all()
    assert len({*objects.tolist(), *background.tolist()}) == 8
    objects, background = rpn.balanced(assigned, count=40, share=0.5, generator=generator(0))
    assert (len(objects), len(background)) == (6, 34)  # background takes the place of missing objects
    again = rpn.balanced(assigned, count=40, share=0.5, generator=generator(0))
    assert torch.equal(background, again[1])


def test_every_anchor_has_its_own_number() -> None:
    """A weight on one cell and one kind of anchor lifts the logit of the anchor of that cell, size and ratio."""
    model, features = network(), maps(1)
    raw = model(features)
    assert raw.objectness.shape == (1, (16 * 15 + 8 * 8) * 6)
    assert raw.offsets.shape == (1, (16 * 15 + 8 * 8) * 6, 4)
    assert raw.level.bincount().tolist() == [16 * 15 * 6, 8 * 8 * 6]
    with torch.no_grad():
        model.objectness.bias[4] += 100  # the second size, the second ratio
    moved = ((model(features).objectness - raw.objectness)[0] > 50).nonzero()[:, 0]
    fine = raw.anchors[moved[raw.level[moved] == 0]]
    assert len(fine) == 16 * 15
    assert_close(fine[:, 2:] - fine[:, :2], torch.full((240, 2), 20.0))
    assert_close(fine[17, :2] + 10, torch.tensor([2 * 4 + 2.0, 1 * 4 + 2.0]))  # cell (1, 2) of 15 a row


@pytest.mark.parametrize("levels", [1, 2])
def test_proposals_are_torchvisions(levels: int) -> None:
    raw, size = network(levels)(maps()[:levels]), (63, 60)
    ours = rpn.propose(raw, size, before=40, keep=12)
    decoded = torch.stack([boxes.decode(o, raw.anchors) for o in raw.offsets])
    counts = raw.level.bincount().tolist()
    other_boxes, other_scores = theirs().eval().filter_proposals(decoded, raw.objectness, [size, size], counts)
    for (b, s), other, score in zip(ours, other_boxes, other_scores):
        assert len(b) == 12
        assert_close(b, other)
        assert_close(s, score)


def test_losses_are_torchvisions() -> None:
    raw, truth = network()(maps()), [random_boxes(3, 9), random_boxes(2, 11)]
    ours = rpn.rpn_loss(raw, truth, count=10**6, share=1.0, generator=generator(0))
    other = theirs()
    labels, matched = other.assign_targets_to_anchors([raw.anchors] * 2, [{"boxes": t} for t in truth])
    targets = [boxes.encode(m, raw.anchors) for m in matched]
    expected = other.compute_loss(raw.objectness.flatten()[:, None], raw.offsets.flatten(0, 1), labels, targets)
    assert_close(torch.stack(ours), torch.stack(expected))


def test_an_image_without_objects_teaches_background() -> None:
    raw = network()(maps(1))
    objectness, box = rpn.rpn_loss(raw, [torch.zeros(0, 4)], generator=generator(0))
    assert objectness > 0
    assert box == 0
    (objectness + box).backward()


def test_runs_where_its_input_lies() -> None:
    with fake_cuda() as to_cuda:
        raw = to_cuda(network())([to_cuda(x) for x in maps()])
        assert {x.device.type for x in raw} == {"cuda"}
        assigned = rpn.assign(boxes.iou(to_cuda(random_boxes(3, 0)), raw.anchors), low=0.3, high=0.7, best=True)
        assert assigned.device.type == "cuda"


def test_sizes_that_do_not_fit_the_maps_are_refused(refuses) -> None:
    for sizes in (((8,), (8, 16)), ((8,),)):
        refuses("as many sizes on each of 2 maps", rpn.RegionProposals, 8, strides=(4, 8), sizes=sizes, ratios=(1.0,))
