"""On a GPU: the same values as on the CPU, gradients too, and training that stays there. Run with ``pytest -m gpu``."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from coursekit import train
from coursekit.models import rcnn
from coursekit.models.echo import EFRegressor
from coursekit.models.efficientnet_lite import EfficientNetLite0
from coursekit.models.inception import Inception
from coursekit.models.nodule import NoduleNet
from coursekit.models.pyramid import small_pyramid
from coursekit.models.unet import UNet
from coursekit.models.video import ARCHITECTURES
from coursekit.ops import boxes, nms, paste, roi
from coursekit.testing import assert_close, generator

pytestmark = pytest.mark.gpu

DEVICE = "cuda"


def some_boxes(count: int) -> Tensor:
    corner = torch.rand(count, 2, generator=generator(0)) * 40
    return torch.cat([corner, corner + 1 + torch.rand(count, 2, generator=generator(1)) * 20], 1)


BOXES = some_boxes(60)
SCORES = torch.rand(60, generator=generator(2))
FEATURES = torch.randn(2, 3, 16, 20, generator=generator(3))
OPERATIONS: dict[str, tuple[Callable[..., Tensor], tuple[Tensor, ...]]] = {
    "iou": (boxes.iou, (BOXES, BOXES[:7])),
    "encode": (boxes.encode, (BOXES, BOXES.flip(0))),
    "nms": (lambda b, s: nms.nms(b, s, 0.4), (BOXES, SCORES)),
    "paste": (lambda m, b: paste.paste(m, b, (64, 64)), (torch.rand(60, 7, 7, generator=generator(4)), BOXES)),
    "roi_pool": (lambda f, b: roi.roi_pool(f, [b, b], 7, spatial_scale=0.25), (FEATURES, BOXES)),
    "roi_align": (lambda f, b: roi.roi_align(f, [b, b], 7, spatial_scale=0.25), (FEATURES, BOXES)),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_values_are_those_of_the_cpu(name: str) -> None:
    function, inputs = OPERATIONS[name]
    there = function(*(x.to(DEVICE) for x in inputs))
    assert there.device.type == DEVICE
    assert_close(there.cpu(), function(*inputs), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["roi_pool", "roi_align"])
def test_gradients_are_those_of_the_cpu(name: str) -> None:
    function, (features, regions) = OPERATIONS[name]

    def gradient(device: str) -> Tensor:
        leaf = features.detach().to(device).requires_grad_()
        function(leaf, regions.to(device)).square().sum().backward()
        return leaf.grad.cpu()

    assert_close(gradient(DEVICE), gradient("cpu"), rtol=1e-3, atol=1e-3)


CLIP, FLOW = torch.rand(2, 1, 6, 16, 16, generator=generator(5)), torch.rand(2, 2, 5, 16, 16, generator=generator(6))
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Tensor, ...]]] = {
    "unet 2D": (lambda: UNet(ndim=2, base=4, depth=2), (torch.rand(2, 1, 13, 15, generator=generator(7)),)),
    "unet 3D": (lambda: UNet(ndim=3, base=4, depth=1), (torch.rand(2, 1, 8, 9, 10, generator=generator(8)),)),
    "nodule": (lambda: NoduleNet(size=16), (torch.rand(2, 1, 16, 16, 16, generator=generator(9)),)),
    "inception 3D": (lambda: Inception(ndim=3, classes=2), (torch.rand(2, 3, 4, 32, 32, generator=generator(10)),)),
    "efficientnet": (lambda: EfficientNetLite0(classes=3), (torch.rand(2, 3, 32, 32, generator=generator(11)),)),
    "echo": (lambda: EFRegressor(widths=(4, 6)), (CLIP,)),
    **{name: (partial(kind, 3, widths=(4, 6)), (CLIP, FLOW)) for name, kind in ARCHITECTURES.items()},
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_say_what_they_say_on_the_cpu(name: str) -> None:
    make, inputs = NETWORKS[name]
    torch.manual_seed(0)
    net = make().eval()
    with torch.no_grad():
        here = net(*inputs)
        there = net.to(DEVICE)(*(x.to(DEVICE) for x in inputs))
    assert there.device.type == DEVICE
    assert_close(there.cpu(), here, rtol=1e-3, atol=1e-3)


def test_mask_rcnn_learns_and_finds() -> None:
    masks = torch.zeros(1, 64, 64, dtype=torch.bool)
    masks[0, 20:40, 24:44] = True
    target = rcnn.Target(*(x.to(DEVICE) for x in (torch.tensor([[24.0, 20, 44, 40]]), torch.tensor([1]), masks)))
    torch.manual_seed(0)
    model = rcnn.MaskRCNN(small_pyramid(widths=(8, 12, 16), width=16), roi.roi_align, sizes=((12, 20), (28, 40))).to(
        DEVICE
    )
    image, g = masks[None].float().to(DEVICE), generator(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = torch.stack(list(model(image, [target], generator=g).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        (found,) = model.eval()(image)
    assert {x.device.type for x in found} == {DEVICE}
    overlap = (found.masks[0] & target.masks[0]).sum() / (found.masks[0] | target.masks[0]).sum()
    assert overlap > 0.7


def test_training_stays_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DEVICE", DEVICE)
    device = train.device()
    model = nn.Linear(4, 1).to(device)

    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.randn(16, 4, device=device)

    history = train.fit(
        model,
        batches(),
        lambda net, x: (net(x) - x.sum(1, keepdim=True)).square().mean(),
        steps=200,
        lr=0.1,
        show=False,
    )
    assert next(model.parameters()).device.type == DEVICE
    assert history[-1]["loss"] < history[0]["loss"] / 10
