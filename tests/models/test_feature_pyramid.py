"""The feature pyramid: torchvision's on copied weights, the scales asked for, odd sizes."""

from collections import OrderedDict

import pytest
import torch
from torchvision.ops import FeaturePyramidNetwork

from coursekit.models import pyramid
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda

IMAGES = torch.randn(2, 1, 37, 50, generator=generator(0))


def test_equals_torchvisions_on_copied_weights() -> None:
    ours = pyramid.small_pyramid(strides=(2, 4, 8, 16)).eval()
    body = ours.body(IMAGES)
    theirs = FeaturePyramidNetwork(list(ours.body.widths), ours.width)
    for i, (lateral, smooth) in enumerate(zip(ours.lateral, ours.smooth)):
        theirs.inner_blocks[i][0].load_state_dict(lateral.state_dict())
        theirs.layer_blocks[i][0].load_state_dict(smooth.state_dict())
    expected = theirs(OrderedDict((str(i), x) for i, x in enumerate(body)))
    for x, y in zip(ours(IMAGES), expected.values(), strict=True):
        assert_close(x, y)


@pytest.mark.parametrize("strides", [(4,), (4, 8), (8, 2), (16,)])
def test_the_maps_asked_for_in_the_order_asked(strides: tuple[int, ...]) -> None:
    found = pyramid.small_pyramid(strides=strides)(IMAGES)
    assert [tuple(x.shape) for x in found] == [(2, 48, 37 // s, 50 // s) for s in strides]


def test_every_weight_is_used() -> None:
    model = pyramid.small_pyramid(strides=(4, 8))
    sum(x.square().mean() for x in model(IMAGES)).backward()
    assert all(p.grad is not None for p in model.parameters())


def test_parameters_by_formula() -> None:
    widths, w = (16, 32, 48, 64), 48
    body = sum(16 * a * b + 9 * b * b + 4 * b for a, b in zip((1, *widths), widths))
    up = sum(a * w + w for a in widths[1:]) + 2 * (9 * w * w + w)
    assert sum(p.numel() for p in pyramid.small_pyramid().parameters()) == body + up


def test_runs_where_its_input_lies() -> None:
    with fake_cuda() as to_cuda:
        assert {x.device.type for x in to_cuda(pyramid.small_pyramid())(to_cuda(IMAGES))} == {"cuda"}


def test_strides_the_body_lacks_are_refused(refuses) -> None:
    refuses("strides among the body's", pyramid.small_pyramid, strides=(4, 64))
