"""On a GPU: the same values as on the CPU, gradients too, and training that stays there. Run with ``pytest -m gpu``."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from coursekit import train
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


def test_training_stays_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DEVICE", DEVICE)
    device = train.device()
    model = nn.Linear(4, 1).to(device)

    def batches() -> Iterator[Tensor]:
        while True:
            yield torch.randn(16, 4, device=device)

    history = train.fit(model, batches(), lambda net, x: (net(x) - x.sum(1, keepdim=True)).square().mean(), steps=200, lr=0.1, show=False)
    assert next(model.parameters()).device.type == DEVICE
    assert history[-1]["loss"] < history[0]["loss"] / 10
