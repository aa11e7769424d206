"""Inflation: a still clip gives the 2D answer in every frame, layer by layer and for whole networks."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import models

from coursekit.ops import inflate
from coursekit.testing import assert_close
from tests.tensors import fake_cuda, gradcheck

LAYERS = {
    "conv": nn.Conv2d(4, 6, 3, padding=1),
    "conv_stride": nn.Conv2d(4, 6, (3, 5), stride=2, padding=(1, 2), groups=2),
    "conv_dilated_same": nn.Conv2d(4, 2, 3, dilation=2, padding="same", bias=False),
    "conv_valid_reflect": nn.Conv2d(4, 2, 2, padding="valid"),
    "conv_reflect": nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect"),
    "conv_1x1": nn.Conv2d(4, 3, 1, stride=2),
    "up_conv": nn.ConvTranspose2d(4, 6, 2, stride=2, groups=2),
    "up_conv_out": nn.ConvTranspose2d(4, 3, 3, stride=2, padding=1, output_padding=1, dilation=2),
    "max_pool": nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True),
    "max_pool_dilated": nn.MaxPool2d(2, stride=1, dilation=2),
    "avg_pool": nn.AvgPool2d(3, stride=2, padding=1, count_include_pad=False),
    "avg_pool_divisor": nn.AvgPool2d((2, 3), divisor_override=5),
    "adaptive": nn.AdaptiveAvgPool2d((None, 2)),
    "adaptive_max": nn.AdaptiveMaxPool2d(1),
    "batch_norm_train": nn.BatchNorm2d(4),
    "batch_norm_eval": nn.BatchNorm2d(4).eval(),
    "instance_norm": nn.InstanceNorm2d(4, affine=True),
    "group_norm": nn.GroupNorm(2, 4),
    "dropout_eval": nn.Dropout2d().eval(),
    "upsample": nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
    "upsample_nearest": nn.Upsample(scale_factor=(2, 3)),
    "zero_pad": nn.ZeroPad2d((1, 2, 0, 3)),
    "relu": nn.ReLU(),
}


def holds(layer: nn.Module, x: torch.Tensor, frames: int, **knobs: object) -> torch.Tensor:
    """Inflate, show the still clip, and compare every frame with the 2D answer; returns the clip's answer."""
    twin = inflate.inflate(layer, **knobs)
    y, clip = layer(x), twin(inflate.still_clip(x, frames))
    assert clip.ndim == 5
    assert_close(clip, y.unsqueeze(2).expand_as(clip))
    return clip


@pytest.mark.parametrize("name", LAYERS)
def test_a_still_clip_stays_still(name: str) -> None:
    layer = LAYERS[name].double()
    with torch.no_grad():
        for p in layer.parameters():
            p.uniform_(-1, 1)
    holds(layer, torch.randn(2, 4, 7, 9, dtype=torch.float64), 5)


@given(st.integers(1, 4), st.integers(1, 3), st.sampled_from([None, 1, 2, 3, 5]), st.booleans(), st.integers(1, 6))
@settings(max_examples=40)
def test_any_depth_stride_and_length(
    kernel: int, stride: int, depth: int | None, stride_time: bool, frames: int
) -> None:
    net = nn.Sequential(nn.Conv2d(2, 3, kernel, stride=stride), nn.MaxPool2d(kernel, stride=1), nn.ReLU()).double()
    y = holds(net, torch.randn(1, 2, 15, 15, dtype=torch.float64), frames, depth=depth, stride_time=stride_time)
    assert y.shape[2] == (-(-frames // stride) if stride_time else frames)


@pytest.mark.parametrize("name", ["resnet18", "googlenet"])
@pytest.mark.parametrize("stride_time", [False, True])
def test_whole_networks(name: str, stride_time: bool) -> None:
    extra = {"init_weights": False, "aux_logits": False} if name == "googlenet" else {}
    net = getattr(models, name)(weights=None, num_classes=7, **extra).double()
    for layer in net.modules():
        layer.momentum = 1.0
    net(torch.rand(4, 3, 40, 33, dtype=torch.float64))  # sets the norms, so that random weights do not fade to nothing
    net.eval()
    x = torch.rand(1, 3, 40, 33, dtype=torch.float64)
    twin = inflate.inflate(net, depth=3, stride_time=stride_time)
    clip = inflate.still_clip(x, 4)
    assert_close(twin(clip), net(x))
    moving = clip + torch.randn(1, 3, 4, 1, 1, dtype=torch.float64)
    assert not torch.allclose(twin(moving), net(x), rtol=1e-2)
    assert twin.state_dict().keys() == net.state_dict().keys()


def test_kernel_by_hand() -> None:
    weight = torch.tensor([[[[3.0, 6.0]]]])
    assert inflate.inflate_kernel(weight, 3).tolist() == [[[[[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 2.0]]]]]
    assert inflate.inflate(nn.Conv2d(3, 8, 7)).weight.shape == (8, 3, 7, 7, 7)
    assert inflate.inflate(nn.Conv2d(3, 8, (1, 3))).weight.shape == (8, 3, 3, 1, 3)
    assert inflate.inflate(nn.Conv2d(3, 8, 1), depth=3).weight.shape == (8, 3, 1, 1, 1)


def test_zeros_in_time_would_break_it() -> None:
    """Why time is padded by repeating: with zeros the first and last frames come out darker."""
    layer, x = nn.Conv2d(1, 1, 3, padding=1, bias=False), torch.rand(1, 1, 5, 5)
    with_zeros = F.conv3d(inflate.still_clip(x, 3), inflate.inflate_kernel(layer.weight, 3), padding=1)
    assert_close(with_zeros[:, :, 1], layer(x))
    assert_close(with_zeros[:, :, 0], layer(x) * 2 / 3)


@given(st.integers(1, 7), st.integers(1, 5), st.integers(1, 4))
@settings(max_examples=50)
def test_pad_time_repeats_the_ends(frames: int, kernel: int, stride: int) -> None:
    x = torch.arange(frames, dtype=torch.float32).view(1, 1, -1, 1, 1)
    y = inflate.pad_time(x, kernel, stride).flatten().tolist()
    assert (len(y) - kernel) // stride + 1 == -(-frames // stride)
    before = y.index(frames - 1) - (frames - 1) if frames > 1 else (len(y) - 1) // 2
    after = len(y) - frames - before
    assert y == [0.0] * before + x.flatten().tolist() + [frames - 1.0] * after
    assert after - before in (0, 1)


def test_gradients_reach_the_clip_and_the_weight() -> None:
    assert gradcheck(lambda x: inflate.pad_time(x, 4), torch.randn(1, 2, 3, 2, 2))
    assert gradcheck(lambda w: inflate.inflate_kernel(w, 3), torch.randn(2, 1, 2, 2))
    twin = inflate.inflate(nn.Conv2d(1, 1, 3))
    twin(torch.rand(1, 1, 2, 4, 4)).sum().backward()
    assert twin.weight.grad.abs().sum() > 0


def test_the_original_is_left_alone_and_its_settings_kept() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout2d()).to(torch.bfloat16)
    net[0].weight.requires_grad_(False)
    net[1].eval()
    twin = inflate.inflate(net)
    assert isinstance(net[0], nn.Conv2d)
    assert isinstance(twin[1], nn.BatchNorm3d)
    assert not twin[0].weight.requires_grad
    assert twin[0].bias.requires_grad
    assert (twin[0].training, twin[1].training) == (True, False)
    assert {v.dtype for k, v in twin.state_dict().items() if "num" not in k} == {torch.bfloat16}
    with torch.no_grad():
        twin[0].bias.zero_()
        twin[1].weight.zero_()
    assert net[0].bias.abs().sum() > 0
    assert net[1].weight.sum() == 2


def test_a_layer_used_twice_has_one_twin() -> None:
    conv = nn.Conv2d(2, 2, 3, padding=1)
    twin = inflate.inflate(nn.Sequential(conv, nn.ReLU(), nn.Sequential(conv)))
    assert twin[0] is twin[2][0]
    assert isinstance(twin[0], nn.Conv3d)


def test_inflate_state_fits_a_network_of_the_same_names() -> None:
    flat = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.BatchNorm2d(3), nn.Conv2d(3, 1, 1)).double().eval()
    deep = (
        nn.Sequential(inflate.PaddedConv3d(2, 3, (5, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(3), nn.Conv3d(3, 1, 1))
        .double()
        .eval()
    )
    deep.load_state_dict(inflate.inflate_state(flat.state_dict(), deep))
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    y = deep(inflate.still_clip(x, 3))
    assert_close(y, flat(x).unsqueeze(2).expand_as(y))


def test_empty_batch_and_single_pixel() -> None:
    twin = inflate.inflate(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.AvgPool2d(1)))
    assert twin(torch.rand(0, 1, 2, 4, 4)).shape == (0, 2, 2, 4, 4)
    assert twin(torch.rand(1, 1, 1, 1, 1)).shape == (1, 2, 1, 1, 1)


def test_on_a_fake_gpu() -> None:
    twin = inflate.inflate(nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.MaxPool2d(2)))
    image, weight = torch.rand(2, 1, 6, 6), torch.rand(2, 1, 3, 3)
    with fake_cuda() as to_cuda:
        y = to_cuda(twin)(inflate.still_clip(to_cuda(image), 3))
        assert y.device.type == "cuda"
        assert y.shape == (2, 2, 3, 3, 3)
        assert inflate.inflate_kernel(to_cuda(weight), 3).device.type == "cuda"


class Own(nn.Conv2d):
    """A layer of somebody's own: no twin is known."""


def test_bad_input(refuses) -> None:
    refuses("weight of shape", inflate.inflate_kernel, torch.rand(1, 1, 3, 3, 3), 3)
    refuses("depth > 0", inflate.inflate_kernel, torch.rand(1, 1, 3, 3), 0)
    refuses("depth > 0", inflate.inflate, nn.Conv2d(1, 1, 3), depth=0)
    refuses("use inflate_kernel", inflate.inflate, torch.rand(1, 1, 3, 3))
    refuses("got Own", inflate.inflate, nn.Sequential(Own(1, 1, 3)))
    refuses("got LPPool2d", inflate.inflate, nn.LPPool2d(2, 2))
    refuses("bilinear", inflate.inflate, nn.Upsample(size=(4, 4)))
    refuses("bilinear", inflate.inflate, nn.Upsample(scale_factor=2, mode="bicubic"))
    refuses("odd kernels", inflate.inflate, nn.Conv2d(1, 1, 2, padding="same"))
    refuses("pass a batch of clips", inflate.pad_time, torch.rand(1, 1, 3, 3), 3)
    refuses("T > 0", inflate.pad_time, torch.rand(1, 1, 0, 3, 3), 3)
    refuses("frames > 0", inflate.still_clip, torch.rand(1, 1, 3, 3), 0)
    refuses("in only one", inflate.inflate_state, {"w": torch.rand(1)}, nn.Conv3d(1, 1, 3))
    state = nn.Conv2d(1, 1, 5).state_dict()
    refuses("without its time axis", inflate.inflate_state, state, nn.Conv3d(1, 1, 3))
