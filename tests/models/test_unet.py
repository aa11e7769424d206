"""U-Net: the papers' sizes and parameters, every stage's shape, MONAI's and a plain network's values, learning."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.unet_plain import unet_plain
from torch import nn

from coursekit import losses
from coursekit.models import unet
from coursekit.models.unet import UNet
from coursekit.testing import assert_close
from tests.bench.unet import pair
from tests.tensors import fake_cuda


def seen(net: UNet, size: tuple[int, ...]) -> list[tuple[tuple[int, ...], int]]:
    """Size and channels of every step of a real forward pass, on the meta device."""
    steps: list[tuple[tuple[int, ...], int]] = [(size, net.in_channels)]

    def note(layer: nn.Module, given: tuple, result: torch.Tensor) -> None:
        steps.append((tuple(result.shape[2:]), result.shape[1]))

    def joined(layer: nn.Module, given: tuple) -> None:
        steps.append((tuple(given[0].shape[2:]), given[0].shape[1]))

    for pair_of_convs in net.up:
        pair_of_convs.register_forward_pre_hook(joined)
    for layer in [*itertools.chain(*net.down, *net.up), net.pool, *net.up_conv, net.logits]:
        layer.register_forward_hook(note)
    net.to("meta")(torch.empty(2, net.in_channels, *size, device="meta"))
    return steps


def widths(base: int, depth: int, early: bool) -> list[unet.Widths]:
    """Doubled from level to level; ``early``: by the second convolution of a level, as in Çiçek et al."""
    return [(base << i, base << i + early) for i in range(depth + 1)]


def told(net: UNet, size: tuple[int, ...]) -> list[tuple[tuple[int, ...], int]]:
    return [(stage.size, stage.channels) for stage in net.sizes(size)]


# --- the papers ---


def test_the_sizes_of_ronneberger_2015() -> None:
    with torch.device("meta"):
        net = unet.ronneberger()
    stages = {s.name: (s.size, s.channels) for s in net.sizes((572, 572))}
    assert stages["down 0 conv 2"] == ((568, 568), 64)
    assert stages["pool 3"] == ((32, 32), 512)
    assert stages["bottom conv 2"] == ((28, 28), 1024)
    assert stages["join 3"] == ((56, 56), 1024)
    assert stages["join 0"] == ((392, 392), 128)
    assert stages["logits"] == ((388, 388), 2)
    assert seen(net, (572, 572)) == told(net, (572, 572))


def test_the_sizes_of_cicek_2016() -> None:
    with torch.device("meta"):
        net = unet.cicek()
    stages = {s.name: (s.size, s.channels) for s in net.sizes((132, 132, 116))}
    assert [stages[f"down {i} conv {j}"][1] for i in range(3) for j in (1, 2)] == [32, 64, 64, 128, 128, 256]
    assert stages["bottom conv 2"] == ((9, 9, 7), 512)
    assert [stages[f"join {i}"][1] for i in (2, 1, 0)] == [256 + 512, 128 + 256, 64 + 128]
    assert stages["logits"] == ((44, 44, 28), 3)
    assert seen(net, (132, 132, 116)) == told(net, (132, 132, 116))


def test_the_parameters_of_cicek_2016() -> None:
    with torch.device("meta"):
        counts = {norm: sum(p.numel() for p in unet.cicek(norm=norm).parameters()) for norm in (False, True)}
    assert counts == {False: 19_069_955, True: 19_069_955 + 2_336}


@pytest.mark.parametrize("ndim", [2, 3])
def test_parameters_by_formula(ndim: int) -> None:
    b, k = 4, 3**ndim
    net = UNet(ndim=ndim, in_channels=2, classes=5, base=b, depth=2, norm=False)
    down = k * (2 * b + b * b + 2 * b * b + 4 * b * b + 8 * b * b + 16 * b * b)
    up = 2**ndim * (8 * b * b + 2 * b * b) + k * (8 * b * b + 4 * b * b + 2 * b * b + b * b)
    biases = 2 * (b + 2 * b + 4 * b) + 2 * (2 * b + b)
    assert sum(p.numel() for p in net.parameters()) == down + up + biases + 5 * b + 5


# --- shapes ---


@given(st.lists(st.integers(4, 67), min_size=2, max_size=3), st.booleans(), st.integers(1, 2))
@settings(max_examples=30)
def test_same_padding_keeps_any_size(size: list[int], early: bool, depth: int) -> None:
    with torch.device("meta"):
        net = UNet(ndim=len(size), widths=widths(2, depth, early), classes=3)
    assert told(net, tuple(size))[-1] == (tuple(size), 3)
    assert seen(net, tuple(size)) == told(net, tuple(size))


@given(st.lists(st.integers(1, 90), min_size=2, max_size=3), st.booleans(), st.integers(1, 3))
@settings(max_examples=30)
def test_valid_sizes_fit_or_name_those_that_do(size: list[int], early: bool, depth: int) -> None:
    with torch.device("meta"):
        net = UNet(ndim=len(size), widths=widths(2, depth, early), padding="valid")
    try:
        stages = told(net, tuple(size))
    except ValueError as error:
        offers = [part.split(" or ") for part in str(error).split("fit: ")[1].split(", ")]
        for offer in itertools.product(*offers):
            assert net.sizes([int(n) for n in offer])
    else:
        assert seen(net, tuple(size)) == stages


# --- values ---


@pytest.mark.parametrize(
    ("ndim", "early", "size"), [(2, False, (44, 60)), (3, True, (44, 44, 52)), (2, True, (60, 44))]
)
def test_equals_the_plain_definition(ndim: int, early: bool, size: tuple[int, ...]) -> None:
    levels = widths(2, 2, early)
    net = UNet(ndim=ndim, in_channels=2, classes=3, widths=levels, padding="valid", norm=False).double()
    x = torch.randn(1, 2, *size, dtype=torch.float64)
    assert_close(net(x), unet_plain(net.state_dict(), x, 2))


@pytest.mark.parametrize("size", [(16, 16, 16), (17, 23, 31)])
def test_equals_monai_on_its_weights(size: tuple[int, ...]) -> None:
    ours, theirs = (net.double() for net in pair((2, 2, 4, 8, 16)))
    x = torch.randn(2, 1, *size, dtype=torch.float64)
    assert_close(ours(x), theirs(x))
    assert_close(ours.eval()(x), theirs.eval()(x))  # running statistics too


def test_tiles_of_a_valid_network_fit_together() -> None:
    """What two overlapping tiles both see, they say alike: the overlap-tile strategy has no seam."""
    net = UNet(ndim=2, base=4, depth=2, padding="valid", norm=False).double()
    image = torch.randn(1, 1, 44, 76, dtype=torch.float64)
    whole, left, right = net(image), net(image[..., :60]), net(image[..., 16:])
    assert_close(left, whole[..., : left.shape[3]])
    assert_close(right, whole[..., 16:])


def test_starts_at_the_scale_of_its_input() -> None:
    """Variance 2 / inputs: a deep network without a norm neither fades nor explodes."""
    spread = UNet(ndim=2, base=16, depth=4, norm=False)(torch.randn(2, 1, 64, 64)).std()
    assert 0.1 < spread < 10


@pytest.mark.parametrize(("ndim", "norm"), [(2, True), (3, True), (2, False)])
def test_learns_one_batch_by_heart(ndim: int, norm: bool) -> None:
    net, x = UNet(ndim=ndim, base=8, depth=2, norm=norm), torch.rand(2, 1, *[12] * ndim)
    truth = (torch.rand(2, *[12] * ndim) > 0.5).long()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    for _ in range(60):
        loss = losses.cross_entropy(net(x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.25  # a coin costs 0.69


# --- where it runs ---


@pytest.mark.parametrize("padding", unet.PADDINGS)
def test_runs_where_its_input_lies(padding: str) -> None:
    with fake_cuda() as to_cuda:
        net = to_cuda(UNet(ndim=3, base=2, depth=1, padding=padding))
        assert net(to_cuda(torch.rand(2, 1, 20, 20, 22))).device.type == "cuda"


@pytest.mark.parametrize("ndim", [2, 3])
def test_runs_in_half_precision(ndim: int) -> None:
    net, x = UNet(ndim=ndim, base=4, depth=2).eval(), torch.rand(2, 1, *[13] * ndim)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x)
    assert half.dtype == torch.bfloat16
    assert (half.float() - net(x)).abs().mean() < 0.05 * net(x).std()


def test_refuses_what_it_cannot_take(refuses) -> None:
    net = UNet(ndim=2, in_channels=3, base=2, depth=3)
    refuses(r"x of shape \(N, 3, H, W\)", UNet.forward, net, torch.rand(1, 1, 32, 32))
    refuses("x to be floating point", UNet.forward, net, torch.zeros(1, 3, 32, 32, dtype=torch.uint8))
    refuses("at least 8 along each axis", UNet.forward, net, torch.rand(1, 3, 32, 7))
    with torch.device("meta"):
        paper = unet.ronneberger()
    refuses("nearest sizes that fit: 556 or 572, 572$", UNet.sizes, paper, (570, 572))
    refuses("nearest sizes that fit: 188, 572$", UNet.sizes, paper, (3, 572))
    refuses("a size along 2 axes", UNet.sizes, net, (32, 32, 32))
    refuses("size > 0", UNet.sizes, paper, (0, 572))
    refuses("ndim to be one of 2, 3", UNet, ndim=4)
    refuses("padding to be one of", UNet, ndim=2, padding="reflect")
    refuses("at least two levels", UNet, ndim=2, widths=[(8, 8)])
    refuses("classes, base and depth > 0", UNet, ndim=2, depth=0)
    refuses("in_channels, classes, .* > 0", UNet, ndim=2, classes=0)
