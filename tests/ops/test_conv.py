"""Convolution by unfolding meets its definition, torch's own, and the arithmetic of shapes and costs."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.conv_loop import conv_loop
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from coursekit.ops import conv
from coursekit.testing import assert_close
from tests.tensors import fake_cuda, gradcheck

PEERS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@st.composite
def layers(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict]:
    """A small input, its weight and bias, and knobs for which at least one output exists."""
    ndim = draw(st.integers(1, 3))

    def per_axis(low: int, high: int) -> tuple[int, ...]:
        return tuple(draw(st.integers(low, high)) for _ in range(ndim))

    groups, kernel, dilation, padding = draw(st.sampled_from([1, 2])), per_axis(1, 3), per_axis(1, 2), per_axis(0, 2)
    space = [max(1, d * (k - 1) + 1 - 2 * p) + e for k, d, p, e in zip(kernel, dilation, padding, per_axis(0, 3))]
    torch.manual_seed(draw(st.integers(0, 999)))
    x = torch.randn(draw(st.integers(0, 2)), 2 * groups, *space, dtype=torch.float64)
    weight = torch.randn(3 * groups, 2, *kernel, dtype=torch.float64)
    knobs = {"stride": per_axis(1, 3), "padding": padding, "dilation": dilation, "groups": groups}
    return x, weight, torch.randn(3 * groups, dtype=torch.float64), knobs


@given(layers())
@settings(max_examples=60)
def test_conv_equals_torch(layer: tuple) -> None:
    x, weight, bias, knobs = layer
    y = conv.conv(x, weight, bias, **knobs)
    assert_close(y, PEERS[x.ndim - 2](x, weight, bias, **knobs))
    shape_knobs = {k: v for k, v in knobs.items() if k != "groups"}
    assert y.shape[2:] == conv.output_shape(x.shape[2:], weight.shape[2:], **shape_knobs)


@given(layers())
@settings(max_examples=10)
def test_conv_equals_the_loop(layer: tuple) -> None:
    x, weight, _, knobs = layer
    assert_close(conv.conv(x, weight, **knobs), conv_loop(x, weight, **knobs))


def test_conv_by_hand() -> None:
    """[1, 2, 3] seen through [1, 10]: 1 + 20 and 2 + 30; the kernel is not flipped."""
    y = conv.conv(torch.tensor([[[1.0, 2.0, 3.0]]]), torch.tensor([[[1.0, 10.0]]]))
    assert y.tolist() == [[[21.0, 32.0]]]


def test_unfold_copies_no_window() -> None:
    x = torch.rand(2, 3, 6, 7)
    windows = conv.unfold(x, (2, 3), stride=2, dilation=(1, 2))
    assert windows.shape == (2, 3, 3, 2, 2, 3)
    assert windows.untyped_storage().nbytes() == x.nbytes
    assert_close(windows[:, :, 1, 1], x[:, :, 2:4, 2:7:2])


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_conv3d_of_a_strided_view_in_each_dtype(dtype: torch.dtype) -> None:
    x = torch.randn(7, 6, 5, 4, 2).permute(4, 3, 2, 1, 0).to(dtype)  # (2, 4, 5, 6, 7), not contiguous
    weight = (torch.randn(6, 4, 3, 3, 3) / 10).to(dtype)
    assert_close(
        conv.conv3d(x, weight, padding=1), F.conv3d(x, weight, padding=1), atol=1e-5 if dtype == torch.float32 else 3e-2
    )


def test_gradients() -> None:
    x, weight, bias = torch.randn(2, 4, 3, 4, 3), torch.randn(4, 2, 2, 3, 1), torch.randn(4)
    assert gradcheck(
        lambda *t: conv.conv3d(*t, stride=(1, 2, 1), padding=(1, 0, 1), dilation=(2, 1, 1), groups=2), x, weight, bias
    )
    plane = torch.randn(1, 2, 3, 3), torch.randn(3, 2, 3, 3), torch.randn(3)
    assert gradcheck(lambda *t: conv.conv(*t, padding=1), *plane)


@given(st.integers(-3, 3), st.integers(0, 99))
@settings(max_examples=20)
def test_conv_commutes_with_shifts(shift: int, seed: int) -> None:
    """Shift the input, and the output shifts alike, away from the border."""
    torch.manual_seed(seed)
    x, weight = torch.randn(1, 1, 16, dtype=torch.float64), torch.randn(1, 1, 3, dtype=torch.float64)
    moved = conv.conv(x.roll(shift, -1), weight)
    assert_close(moved[..., 3:-3], conv.conv(x, weight).roll(shift, -1)[..., 3:-3])


def test_two_threads_give_the_same() -> None:
    x, weight = torch.randn(2, 8, 9, 9, 9), torch.randn(8, 8, 3, 3, 3)
    threads, results = torch.get_num_threads(), []
    for n in (1, 2):
        torch.set_num_threads(n)
        results.append(conv.conv3d(x, weight, padding=1))
    torch.set_num_threads(threads)
    assert_close(*results, atol=1e-4)


def test_nan_spreads_to_its_windows_only() -> None:
    x = torch.ones(1, 1, 5)
    x[..., 4] = torch.nan
    assert conv.conv(x, torch.ones(1, 1, 2)).isnan().tolist() == [[[False, False, False, True]]]


def test_on_a_fake_gpu() -> None:
    x, weight, bias = torch.rand(2, 4, 5, 6, 7), torch.rand(6, 2, 3, 3, 3), torch.rand(6)
    with fake_cuda() as to_cuda:
        y = conv.conv3d(to_cuda(x), to_cuda(weight), to_cuda(bias), stride=2, padding=1, groups=2)
        assert y.device.type == "cuda"
        assert y.shape == (2, 6, 3, 3, 4)


def test_bad_input(refuses) -> None:
    x, weight = torch.rand(1, 4, 5, 5), torch.rand(2, 4, 3, 3)
    refuses("pass a batch of volumes", conv.conv3d, x, weight)
    refuses(r"x of shape \(\.\.\., N, C, S\)", conv.conv, x[0, 0], weight)
    refuses("one kernel axis an axis of x", conv.conv, x, weight[0])
    refuses("check the channel counts", conv.conv, x, weight[:, :3])
    refuses("check the channel counts", conv.conv, x, weight, groups=2)
    refuses("one bias an output channel", conv.conv, x, weight, torch.rand(3))
    refuses("floating point", conv.conv, x.long(), weight)
    refuses("stride > 0", conv.conv, x, weight, stride=0)
    refuses("padding >= 0", conv.conv, x, weight, padding=-1)
    refuses("dilation as one whole number or 2", conv.conv, x, weight, dilation=(1, 1, 1))
    refuses(r"as large as the window \(7, 7\), got \(5, 5\)", conv.conv, x, weight, dilation=3)
    refuses("as large as the window", conv.output_shape, (2, 5), 3)


# --- shapes ---


def test_output_shape_by_hand() -> None:
    assert conv.output_shape((132, 132, 116), 3) == (130, 130, 114)
    assert conv.output_shape((224, 224), 7, stride=2, padding=3) == (112, 112)
    assert conv.output_shape((1,), 1) == (1,)


# --- cost ---


def test_cost_by_hand() -> None:
    """The CT of the lecture, 224 × 224 × 256, through eight 3 × 3 × 3 kernels: 27 multiply-adds a channel and voxel."""
    report = conv.cost(nn.Conv3d(1, 8, 3, padding=1), (1, 1, 256, 224, 224))
    voxels = 256 * 224 * 224
    assert report.parameters == 8 * 27 + 8
    assert report.multiply_adds == 27 * 8 * voxels
    assert report.activation_bytes == 4 * voxels * (1 + 8)
    assert report.layers[0].output == (1, 8, 256, 224, 224)


@pytest.mark.parametrize(
    ("net", "shape"),
    [
        (
            nn.Sequential(nn.Conv2d(4, 6, 3, stride=2, groups=2), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 2, 1)),
            (2, 4, 9, 8),
        ),
        (
            nn.Sequential(nn.Conv3d(1, 4, (1, 3, 3), dilation=2), nn.ConvTranspose3d(4, 6, 2, stride=2, groups=2)),
            (1, 1, 5, 7, 7),
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.Dropout(), nn.Linear(5, 1)), (3, 3, 2, 2)),
    ],
    ids=["2d", "3d", "linear"],
)
def test_cost_equals_torchs_counter(net: nn.Module, shape: tuple) -> None:
    report = conv.cost(net, shape)
    with FlopCounterMode(display=False) as counter:
        net(torch.rand(shape))
    assert 2 * report.multiply_adds == counter.get_total_flops()
    assert report.parameters == sum(p.numel() for p in net.parameters())


def test_cost_counts_shared_weights_once_and_calls_twice() -> None:
    layer = nn.Conv1d(2, 2, 1)
    report = conv.cost(nn.Sequential(layer, layer), (1, 2, 10))
    assert (report.parameters, report.multiply_adds, len(report.layers)) == (6, 2 * 40, 2)


def test_an_output_in_place_costs_no_memory() -> None:
    net = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(inplace=True), nn.ReLU(), nn.Flatten())
    assert [row.activation_bytes for row in conv.cost(net, (1, 1, 2, 2)).layers] == [16, 0, 16, 0]
    assert conv.cost(net.bfloat16(), (1, 1, 2, 2), dtype=torch.bfloat16).activation_bytes == 3 * 8


def test_cost_of_a_recurrent_layer() -> None:
    """An LSTM multiplies its 4H × (I + H) weights once a step and sample."""
    report = conv.cost(nn.LSTM(3, 5, batch_first=True), (2, 7, 3))
    assert report.multiply_adds == 2 * 7 * 4 * 5 * (3 + 5)
    assert report.layers[0].output == (2, 7, 5)


def test_cost_leaves_the_module_alone() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    conv.cost(net, (2, 1, 5, 5))
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert net.training
    assert not any(layer._forward_hooks for layer in net.modules())
    with pytest.raises(RuntimeError):
        conv.cost(net, (2, 7, 5, 5))
    assert not any(layer._forward_hooks for layer in net.modules())


def test_cost_of_a_network_on_a_fake_gpu() -> None:
    net = nn.Conv2d(1, 2, 3)
    with fake_cuda() as to_cuda:
        assert conv.cost(to_cuda(net), (1, 1, 5, 5)).multiply_adds == 2 * 9 * 9


def test_cost_refuses_nothing_to_run(refuses) -> None:
    refuses("at least one input shape", conv.cost, nn.Conv2d(1, 1, 1))


def test_cost_of_layers_called_by_name_and_of_wrapped_tensors() -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second, self.over_time, self.join = (
                nn.Conv2d(1, 2, 3),
                nn.Linear(2, 3),
                nn.LSTM(3, 5),
                Join(),
            )

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(input=x).flatten(2).transpose(1, 2)
            state = (y.new_zeros(1, y.shape[1], 5), y.new_zeros(1, y.shape[1], 5))
            return self.join(parts=[self.over_time(hx=state, input=self.second(input=y))[0], y])["whole"]

    class Join(nn.Module):
        def forward(self, *, parts: list[torch.Tensor]) -> dict[str, torch.Tensor]:
            return {"whole": torch.cat(parts, -1)}

    report = conv.cost(Named(), (1, 1, 4, 4))
    assert [row.multiply_adds for row in report.layers] == [4 * 2 * 9, 4 * 2 * 3, 4 * 4 * 5 * (3 + 5), 0]
    assert report.layers[-1].output == (1, 4, 7)


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_a_recurrent_cell_costs_one_step_of_its_layer(kind: type, gates: int) -> None:
    assert conv.cost(kind(10, 20), (2, 10)).multiply_adds == 2 * gates * 20 * (10 + 20)
