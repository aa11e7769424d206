"""The candidate network in 2D and 3D: shapes, parameters, values by unfolding, learning, device."""

import math

import pytest
import torch
from torch import Tensor

from coursekit import losses
from coursekit.models.nodule import NoduleNet, PatchFeatures
from coursekit.ops import conv
from coursekit.testing import assert_close
from tests.tensors import fake_cuda


@pytest.mark.parametrize(("ndim", "size"), [(3, 24), (2, 24), (3, (9, 24, 31)), (2, (17, 8))])
def test_one_row_of_logits_a_patch_also_for_odd_sizes(ndim: int, size: int | tuple[int, ...]) -> None:
    net = NoduleNet(ndim=ndim, size=size, in_channels=2, classes=3)
    assert net(torch.rand(2, 2, *net.features.size)).shape == (2, 3)
    assert net.features(torch.rand(5, 2, *net.features.size)).shape == (5, 32)


@pytest.mark.parametrize(("ndim", "size"), [(3, 24), (2, 25), (3, 33)])
def test_parameters_by_formula(ndim: int, size: int) -> None:
    a, b, h = 8, 16, 32
    k, left = 3**ndim, (size // 8) ** ndim
    convolutions = k * (a + a * b + b * b) + 2 * (a + b + b)
    connected = left * b * h + h + 2 * h + 2
    assert sum(p.numel() for p in NoduleNet(ndim=ndim, size=size).parameters()) == convolutions + connected


def test_parameters_as_the_docstring_says() -> None:
    assert [sum(p.numel() for p in NoduleNet(ndim=n).parameters()) for n in (3, 2)] == [24_586, 8_314]


def pooled(x: Tensor) -> Tensor:
    """The largest of every 2 × 2 (× 2) block, an odd last layer left out."""
    for axis in range(2, x.ndim):
        x = x.narrow(axis, 0, x.shape[axis] // 2 * 2).unflatten(axis, (-1, 2)).amax(axis + 1)
    return x


@pytest.mark.parametrize(("ndim", "size"), [(2, (13, 8)), (3, (9, 8, 11))])
def test_equals_the_definition_by_unfolding(ndim: int, size: tuple[int, ...]) -> None:
    net = NoduleNet(ndim=ndim, size=size).double().eval()
    x = patches = torch.randn(2, 1, *size, dtype=torch.float64)
    for layer, norm, *_ in net.features.convolutions:
        x = conv.conv(x, layer.weight, padding=1) / math.sqrt(1 + norm.eps)  # fresh statistics: mean 0, variance 1
        x = pooled(x.clamp(min=0))
    connected, linear = net.features.connected[1], net.classifier[1]
    x = (x.reshape(2, -1) @ connected.weight.T + connected.bias).clamp(min=0)
    assert_close(net(patches), x @ linear.weight.T + linear.bias)


@pytest.mark.parametrize("ndim", [2, 3])
def test_learns_one_batch_by_heart(ndim: int) -> None:
    net, x, truth = NoduleNet(ndim=ndim, size=16), torch.rand(8, 1, *[16] * ndim), torch.arange(8) % 2
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(25):
        loss = losses.cross_entropy(net(x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_runs_where_its_input_lies_and_in_half_precision() -> None:
    x = torch.rand(2, 1, 24, 24, 24)
    with fake_cuda() as to_cuda:
        assert to_cuda(NoduleNet(dropout=0.5))(to_cuda(x)).device.type == "cuda"
    net = NoduleNet().eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x)
    assert_close(half, net(x).bfloat16(), atol=0.02)


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses(
        r"x of shape \(N, 1, 24, 24, 24\)", PatchFeatures.forward, NoduleNet().features, torch.rand(1, 1, 24, 24, 25)
    )
    refuses("ndim to be one of 2, 3", NoduleNet, ndim=1)
    refuses("at least 8 each for 3 pools", NoduleNet, size=7)
    refuses("a size along 3 axes", NoduleNet, size=(24, 24))
    refuses("in_channels and hidden > 0", PatchFeatures, ndim=2, size=9, hidden=0)
    refuses("classes > 0", NoduleNet, classes=0)
