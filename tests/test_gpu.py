"""A GPU gives what the CPU gives: every op, loss, metric and network once, with gradients, and training stays there.

Without a GPU the same cases (``tests/gpu_cases.py``) run on the CPU and on a GPU that is none, where shapes and
devices are followed and no value is computed; the tests marked ``gpu`` are left out. With one: ``pytest -m gpu``.
"""

import copy
import inspect
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException

from coursekit import train
from coursekit.testing import assert_close, generator
from tests import gpu_cases
from tests.gpu_cases import CASES, NETWORKS, TARGET, leaves, mask_rcnn, moved, network
from tests.tensors import fake_cuda

DEVICE = "cuda"


def same(there: Any, here: Any, *, rtol: float, atol: float) -> None:
    """The same answer, leaf by leaf: floats within the tolerance, all else equal."""
    theirs, ours = dict(leaves(there)), dict(leaves(here))
    assert theirs.keys() == ours.keys()
    for place, x in ours.items():
        y = theirs[place]
        if isinstance(x, Tensor):
            assert_close(y.detach().cpu(), x.detach(), rtol=rtol, atol=atol)
        elif isinstance(x, np.ndarray | float):
            np.testing.assert_allclose(y, x, rtol=rtol, atol=atol, err_msg=place)
        else:
            assert y == x, place


def devices(answer: Any) -> set[str]:
    return {x.device.type for _, x in leaves(answer) if isinstance(x, Tensor)}


@pytest.fixture
def whole_floats(monkeypatch: pytest.MonkeyPatch) -> None:
    """Products of float32 in float32: by default cuDNN convolves in TF32, whose three digits are not the CPU's."""
    for part in (torch.backends.cudnn.conv, torch.backends.cudnn.rnn, torch.backends.cuda.matmul):
        monkeypatch.setattr(part, "fp32_precision", "ieee")


# --- without a GPU ---


def test_every_op_loss_and_metric_has_a_case() -> None:
    wanted = {name for name, x in gpu_cases.public() if inspect.isfunction(x) and gpu_cases.takes_or_gives_tensors(x)}
    assert wanted - CASES.keys() == set(), "give it a case in tests/gpu_cases.py"
    assert CASES.keys() - dict(gpu_cases.public()).keys() == set(), "there is no such function any more"


def test_every_network_has_a_case() -> None:
    wanted = {x for _, x in gpu_cases.public() if inspect.isclass(x) and issubclass(x, nn.Module)}
    assert wanted - gpu_cases.classes_in_use() == set(), "give it a case in tests/gpu_cases.py"


@pytest.mark.parametrize("name", CASES)
def test_a_case_runs_and_says_the_same_twice(name: str) -> None:
    first, second = (CASES[name].fresh()("cpu", lambda x: x) for _ in range(2))
    assert devices(first) <= {"cpu"}
    same(second, first, rtol=0, atol=0)


# --- a GPU that is none ---

# What is not followed to its end without values: a number is read, the values say how many there will be, NumPy takes
# over, a network is copied, or autograd wants a real GPU.
STOPS = {
    "ops.inflate.inflate",
    *(f"ops.{x}" for x in ("nms.nms_by_definition", "nms.nms", "nms.batched_nms", "roi.roi_pool_by_definition")),
    "losses.border_weights",
    *(f"metrics.detection.{x}" for x in ("match_by_definition", "coco_scores", "precision_recall")),
    *(f"metrics.froc.{x}" for x in ("hits", "froc", "froc_interval")),
    *(f"metrics.matching.{x}" for x in ("match_greedy", "match_optimal", "dsb_score")),
    *(f"metrics.{x}" for x in ("instances.from_images", "motion.motion_error", "overlap.instance_iou", "roc.roc")),
    *(f"metrics.regression.{x}" for x in ("regression", "bootstrap", "interval")),
    *(f"metrics.{x}" for x in ("rle.encode_by_definition", "rle.encode")),
    *(f"metrics.surface.{x}" for x in ("surface_distances", "surface_record")),
    *(f"metrics.temporal.{x}" for x in ("match_events", "average_precision")),
    *(f"models.rcnn.{x}" for x in ("sample_regions", "best_boxes")),
    *(f"models.rpn.{x}" for x in ("propose", "balanced", "rpn_loss")),
    "models.views.fit_linear",
}
NO_VALUES = (DataDependentOutputException, DynamicOutputShapeException, RuntimeError, UserWarning)
WORDS = "local_scalar_dense|aten.nonzero|aten._unique2|numpy.. is not supported|data pointer|valid device index"


@pytest.mark.parametrize("name", CASES)
def test_a_case_on_a_gpu_that_is_none(name: str) -> None:
    """To the end, and the answer is on the GPU; or up to where values are needed, and no further than expected."""
    case = CASES[name].fresh()
    with fake_cuda() as to_cuda:
        if name in STOPS:
            with pytest.raises(NO_VALUES, match=WORDS):
                case(DEVICE, to_cuda)
        else:
            assert devices(case(DEVICE, to_cuda)) <= {"cpu" if case.comes_back else DEVICE}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_on_a_gpu_that_is_none(name: str) -> None:
    net, inputs = network(name), copy.deepcopy(NETWORKS[name][1])
    with fake_cuda() as to_cuda:
        assert devices(to_cuda(net)(*moved(inputs, DEVICE, to_cuda))) == {DEVICE}


# --- gradients: of losses and networks, and of the operations a network learns through ---

LEARNT_THROUGH = {"roi_align", "roi_pool", "conv", "conv3d", "sample", "warp", "paste", "restyle", "rpn_loss"}
GRADIENTS = [*gpu_cases.LOSSES, *(name for name in CASES if name.split(".")[-1] in LEARNT_THROUGH)]


def gradients_of_case(name: str, device: str) -> list[Tensor]:
    """By every floating input that the answer depends on."""
    inputs: list[Tensor] = []

    def to(x: Any) -> Any:
        if not isinstance(x, Tensor) or not x.is_floating_point():
            return x.to(device)
        inputs.append(x.detach().to(device).requires_grad_())
        return inputs[-1]

    answer = CASES[name].fresh()(device, to)
    sum((x.square() + x).sum() for _, x in leaves(answer)).backward()
    return [x.grad.cpu() for x in inputs if x.grad is not None]


def gradients_of_network(name: str, device: str) -> list[Tensor]:
    """By every parameter, in training: batch norm takes the batch's own statistics."""
    net = network(name).train().to(device)
    answer = net(*moved(copy.deepcopy(NETWORKS[name][1]), device, lambda x: x.to(device)))
    sum((x.square() + x).sum() for _, x in leaves(answer)).backward()
    return [p.grad.cpu() for p in net.parameters() if p.grad is not None]


@pytest.mark.parametrize("name", GRADIENTS)
def test_a_case_has_gradients(name: str) -> None:
    assert any(x.count_nonzero() for x in gradients_of_case(name, "cpu"))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_has_gradients(name: str) -> None:
    assert any(x.count_nonzero() for x in gradients_of_network(name, "cpu"))


# --- with a GPU ---


def to_gpu(x: Any) -> Any:
    return x.to(DEVICE)


@pytest.mark.gpu
@pytest.mark.usefixtures("whole_floats")
@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_cpu(name: str) -> None:
    case = CASES[name]
    there = case.fresh()(DEVICE, to_gpu)
    assert devices(there) <= {"cpu" if case.comes_back else DEVICE}
    same(there, case.fresh()("cpu", lambda x: x), rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
@pytest.mark.usefixtures("whole_floats")
@pytest.mark.parametrize("name", GRADIENTS)
def test_gradients_are_those_of_the_cpu(name: str) -> None:
    for there, here in zip(gradients_of_case(name, DEVICE), gradients_of_case(name, "cpu"), strict=True):
        assert_close(there, here, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.usefixtures("whole_floats")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_say_what_they_say_on_the_cpu(name: str) -> None:
    inputs = NETWORKS[name][1]
    with torch.no_grad():
        here = network(name)(*copy.deepcopy(inputs))
        there = network(name).to(DEVICE)(*moved(copy.deepcopy(inputs), DEVICE, to_gpu))
    assert devices(there) == {DEVICE}
    same(there, here, rtol=1e-3, atol=1e-3)


@pytest.mark.gpu
@pytest.mark.usefixtures("whole_floats")
@pytest.mark.parametrize("name", NETWORKS)
def test_networks_learn_as_on_the_cpu(name: str) -> None:
    for there, here in zip(gradients_of_network(name, DEVICE), gradients_of_network(name, "cpu"), strict=True):
        assert (there - here).norm() <= 1e-2 * here.norm() + 1e-3  # batch norm of few values magnifies rounding


@pytest.mark.gpu
def test_mask_rcnn_learns_and_finds() -> None:
    target = type(TARGET)(*(x.to(DEVICE) for x in TARGET))
    model, image, g = mask_rcnn().to(DEVICE), target.masks[None].float(), generator(0)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(60):
        loss = torch.stack(list(model(image, [target], generator=g).values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        (detected,) = model.eval()(image)
    assert {x.device.type for x in detected} == {DEVICE}
    overlap = (detected.masks[0] & target.masks[0]).sum() / (detected.masks[0] | target.masks[0]).sum()
    assert overlap > 0.7


@pytest.mark.gpu
def test_training_and_prediction_stay_on_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
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
    assert train.predict(model, torch.randn(5, 4, device=device)).device.type == DEVICE
