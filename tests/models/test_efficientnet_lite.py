"""EfficientNet-lite0 with the published weights: what it sees, its padding, its inflated twin."""

import pytest
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

from coursekit.data import fetch
from coursekit.models import efficientnet_lite
from coursekit.models.efficientnet_lite import EfficientNetLite0, efficientnet_lite0, prepare
from coursekit.ops.inflate import inflate, still_clip
from coursekit.testing import assert_close
from tests.tensors import fake_cuda

# places in ImageNet's list of 1000 classes
CATS = {281, 282, 283, 284, 285}  # tabby, tiger cat, Persian, Siamese, Egyptian
CUPS = {967, 968}  # espresso, cup
ROCKETS = {657, 744, 812}  # missile, projectile, space shuttle


@pytest.fixture(scope="module")
def net() -> EfficientNetLite0:
    return efficientnet_lite0(fetch.path("imagenet_weights"))


def photograph(name: str) -> Tensor:
    return torch.from_numpy(getattr(data, name)()).movedim(-1, 0)[None]


@pytest.mark.parametrize(("name", "classes"), [("chelsea", CATS), ("coffee", CUPS), ("rocket", ROCKETS)])
def test_sees_what_is_on_a_photograph(net: EfficientNetLite0, name: str, classes: set[int]) -> None:
    with torch.no_grad():
        ranked = net(prepare(photograph(name)))[0].argsort(descending=True).tolist()
    assert ranked[0] in classes
    assert len(classes & set(ranked[:5])) >= 2


def test_parameters() -> None:
    inputs, total = 32, 27 * 32 + 2 * 32
    for repeats, kernel, _, widening, outputs in efficientnet_lite.BLOCKS:
        for _ in range(repeats):
            wide = inputs * widening
            total += (widening > 1) * (inputs * wide + 2 * wide) + (kernel**2 + 2) * wide + wide * outputs + 2 * outputs
            inputs = outputs
    with torch.device("meta"):
        count = sum(p.numel() for p in EfficientNetLite0().parameters())
    assert count == total + 320 * 1280 + 2 * 1280 + 1280 * 1000 + 1000 == 4_652_008


@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (5, 1), (3, 2), (5, 2)])
def test_padding_is_tensorflows(kernel: int, stride: int) -> None:
    for size in (8, 14, 112):
        missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        left, _, top, _ = efficientnet_lite.pad(kernel, stride).padding
        assert left == top == missing // 2
        assert efficientnet_lite.pad(kernel, stride)(torch.zeros(1, 1, size, size)).shape[-1] == size + missing


def test_a_still_clip_gets_the_logits_of_its_image(net: EfficientNetLite0) -> None:
    image = prepare(photograph("chelsea"), size=64)
    with torch.no_grad():
        flat, clip = net(image), inflate(net)(still_clip(image, 5))
    assert (clip - flat).abs().max() < 1e-5 * flat.abs().max()


def test_prepare_takes_the_middle_and_scales() -> None:
    image = torch.zeros(1, 3, 40, 80)
    image[..., 20:60] = 255.0
    assert_close(prepare(image, size=20), torch.ones(1, 3, 20, 20))
    assert_close(prepare(image.byte(), size=None), (image - 127) / 128)
    assert_close(prepare(image + 0.0, size=None).mean(), torch.tensor(0.5 / 128))


def test_learns_one_batch_by_heart() -> None:
    net, x, truth = EfficientNetLite0(classes=2).train(), torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 0, 1])
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    for _ in range(12):
        loss = F.cross_entropy(net(x), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.2


def test_runs_where_its_input_lies_and_in_half_precision(net: EfficientNetLite0) -> None:
    x = prepare(photograph("chelsea"), size=96)
    with fake_cuda() as to_cuda:
        assert to_cuda(EfficientNetLite0())(to_cuda(x)).device.type == "cuda"
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        half = net(x).softmax(1)
    assert half.argmax() == net(x).argmax()


def test_refuses_what_it_cannot_take(refuses) -> None:
    with torch.device("meta"):
        net = EfficientNetLite0()
    refuses(r"x of shape \(N, 3, H, W\)", net, torch.rand(1, 1, 64, 64))
    refuses("at least 32 pixels", net, torch.rand(1, 3, 64, 31))
    refuses("x to be floating point", net, torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    refuses(r"images of shape \(N, 3, H, W\)", prepare, torch.rand(1, 1, 64, 64))
    refuses(r"images in \[0, 255\]", prepare, torch.full((1, 3, 8, 8), -1000.0))
    refuses("classes > 0", EfficientNetLite0, classes=0)
