"""Inception in 2D and 3D: one body, the papers' sizes, and the still clip."""

import pytest
import torch
from torch import nn
from torchvision.models import googlenet

from coursekit.models import inception
from coursekit.models.inception import FULL, SMALL, Branches, Inception, InceptionModule
from coursekit.ops.inflate import inflate, inflate_state, still_clip
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda


def net(ndim: int, **knobs: object) -> Inception:
    torch.manual_seed(0)
    model = Inception(ndim=ndim, classes=5, **knobs).eval()
    for layer in model.modules():
        if isinstance(layer, (nn.BatchNorm2d, nn.BatchNorm3d)):  # as after some training
            nn.init.uniform_(layer.running_var, 0.5, 2)
            nn.init.uniform_(layer.running_mean, -0.5, 0.5)
    return model


def weights(inputs: int, b: Branches, taps: int) -> int:
    """Convolutions and the two numbers a channel of their batch norms, of one module."""
    convolutions = inputs * (b.one + b.reduce3 + b.reduce5 + b.pool) + taps * (b.reduce3 * b.three + b.reduce5 * b.five)
    return convolutions + 2 * (b.one + b.reduce3 + b.three + b.reduce5 + b.five + b.pool)


@pytest.mark.parametrize("plan", [SMALL, FULL])
@pytest.mark.parametrize("ndim", [2, 3])
def test_parameters_by_formula(plan: inception.Plan, ndim: int) -> None:
    a, b, c = plan.stem
    total = 3 * a * 7**ndim + 2 * a + a * b + 2 * b + b * c * 3**ndim + 2 * c
    for stage in plan.stages:
        for branches in stage:
            total += weights(c, branches, 3**ndim)
            c = branches.outputs
    with torch.device("meta"):
        model = Inception(ndim=ndim, classes=400, plan=plan)
    assert sum(p.numel() for p in model.parameters()) == total + 400 * (c + 1)


def test_full_size_in_two_dimensions_is_googlenets_trunk() -> None:
    """torchvision's GoogLeNet has 3×3 for 5×5 too, and batch norm: the same weights but for the class layer."""
    with torch.device("meta"):
        theirs = googlenet(weights=None, init_weights=False, aux_logits=False, num_classes=400)
        ours = Inception(ndim=2, classes=400, plan=FULL)
    assert [tuple(p.shape) for p in ours.parameters()] == [tuple(p.shape) for p in theirs.parameters()]


def test_the_module_equals_googlenets_on_copied_weights() -> None:
    torch.manual_seed(0)
    theirs = googlenet(weights=None, init_weights=False, aux_logits=False).inception3a.eval()
    ours = InceptionModule(192, FULL.stages[0][0], ndim=2).eval()
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    theirs_eps = {layer.eps for layer in theirs.modules() if isinstance(layer, nn.BatchNorm2d)}
    for layer in ours.modules():
        if isinstance(layer, nn.BatchNorm2d):
            (layer.eps,) = theirs_eps
    x = torch.randn(2, 192, 9, 11, generator=generator(0))
    assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("stride_time", [False, True])
@pytest.mark.parametrize(("frames", "height", "width"), [(1, 33, 40), (5, 32, 47), (8, 64, 64)])
def test_a_still_clip_gives_what_the_image_gives(stride_time: bool, frames: int, height: int, width: int) -> None:
    flat, deep = net(2), net(3, stride_time=stride_time)
    deep.load_state_dict(inflate_state(flat.state_dict(), deep))
    image = torch.rand(2, 3, height, width, generator=generator(0))
    assert_close(deep(still_clip(image, frames)), flat(image), rtol=1e-4, atol=1e-5)


def test_inflating_the_layers_gives_the_same_network() -> None:
    flat, deep = net(2), net(3)
    deep.load_state_dict(inflate_state(flat.state_dict(), deep))
    clip = torch.rand(1, 3, 5, 32, 32, generator=generator(0))
    grown = nn.Sequential(inflate(flat.stem), inflate(flat.body))
    assert grown(clip).shape == deep.body(deep.stem(clip)).shape
    still = still_clip(clip[:, :, 0], 4)
    assert_close(grown(still), deep.body(deep.stem(still)), rtol=1e-4, atol=1e-5)


def test_time_is_halved_where_the_paper_does() -> None:
    with torch.device("meta"):
        model = Inception(ndim=3, classes=2, plan=FULL, stride_time=True)
        clip = torch.empty(1, 3, 64, 224, 224)
        stem = model.stem(clip)
        last = model.body(stem)
    assert stem.shape == (1, 192, 32, 28, 28)
    assert last.shape == (1, 1024, 8, 7, 7)


@pytest.mark.parametrize("ndim", [2, 3])
def test_learns_one_batch_by_heart(ndim: int) -> None:
    torch.manual_seed(0)
    model, x = (
        Inception(ndim=ndim, classes=2, in_channels=1),
        torch.randn(4, 1, *[4] * (ndim - 2), 33, 33, generator=generator(0)),
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(15):
        loss = nn.functional.cross_entropy(model(x), torch.tensor([0, 1, 0, 1]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


@pytest.mark.parametrize("ndim", [2, 3])
def test_runs_where_its_input_lies_and_in_bfloat16(ndim: int) -> None:
    x = torch.rand(1, 3, *[3] * (ndim - 2), 32, 32)
    with fake_cuda() as to_cuda:
        assert to_cuda(Inception(ndim=ndim, classes=2))(to_cuda(x)).device.type == "cuda"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(net(ndim)(x)).all()


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses("ndim to be one of 2, 3", lambda: Inception(ndim=4, classes=2))
    refuses("pass images to the 2D network", lambda: net(2)(torch.zeros(1, 3, 4, 32, 32)))
    refuses("clips to the 3D one", lambda: net(3)(torch.zeros(1, 3, 32, 32)))
