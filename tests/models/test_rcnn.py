"""The mask branch: shapes, parameters, learning, device."""

import torch
import torch.nn.functional as F
from torchvision.ops import roi_align

from coursekit import testing
from coursekit.models import rcnn


def branch(**kwargs: int) -> rcnn.MaskBranch:
    return rcnn.MaskBranch(roi_align, **kwargs)


BOXES = [torch.tensor([[2.0, 3.0, 20.0, 30.0], [0.0, 0.0, 9.0, 9.0]]), torch.zeros(0, 4)]


def test_one_mask_a_box_also_for_odd_images_and_none() -> None:
    assert branch(stride=8)(torch.rand(2, 1, 45, 51), BOXES).shape == (2, 28, 28)
    assert branch(stride=4, resolution=7)(torch.rand(2, 1, 32, 32), BOXES[1:] * 2).shape == (0, 14, 14)


def test_parameters_by_formula() -> None:
    w, halvings = 8, 3
    convolutions = 9 * w + 9 * w * w * (halvings - 1 + 2 + 2) + 2 * w * (halvings + 2 + 2)
    up_and_logit = 4 * w * w + w + w + 1
    assert sum(p.numel() for p in branch(stride=8, width=w).parameters()) == convolutions + up_and_logit


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
    with testing.fake_cuda() as to_cuda:
        model = to_cuda(rcnn.MaskBranch(lambda f, _, *, output_size, spatial_scale: f[..., :output_size, :output_size], stride=2))
        assert model(to_cuda(torch.rand(1, 1, 64, 64)), [to_cuda(BOXES[0])]).device.type == "cuda"


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses("expected 2 box tensors, got 1", branch(), torch.rand(2, 1, 32, 32), BOXES[:1])
    refuses("stride to be one of", rcnn.backbone, stride=3)
    refuses("amount >= 0", rcnn.jitter, BOXES[0], amount=-1.0, generator=testing.generator(0))


def test_jitter_keeps_corners_in_order_and_zero_is_still() -> None:
    moved = rcnn.jitter(BOXES[0], amount=3.0, generator=testing.generator(0))
    assert (moved[:, 2:] >= moved[:, :2]).all()
    assert torch.equal(rcnn.jitter(BOXES[0], amount=0.0, generator=testing.generator(0)), BOXES[0])
