"""Assignment a3_volumes: what it closes, its tumour, its last look, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from coursekit.data import ct, fetch
from coursekit.metrics import overlap
from coursekit.models import unet

ROOT = Path(__file__).parents[2]
NAME = "a3_volumes"
CLOSED = {
    "torch.conv3d": """
def conv3d(x, weight, bias, stride, padding, unfold):
    return torch.nn.functional.conv3d(x[None], weight, bias, stride, padding)[0]
""",
    "torch.nn.modules.conv": """
def conv3d(x, weight, bias, stride, padding, unfold):
    layer = torch.nn.Conv3d(len(x), len(weight), weight.shape[2:], stride, padding)
    layer.load_state_dict({"weight": weight, "bias": bias})
    return layer(x[None])[0]
""",
    "coursekit.ops.conv": """
def conv3d(x, weight, bias, stride, padding, unfold):
    from coursekit.ops.conv import conv as renamed

    return renamed(x[None], weight, bias, stride=stride, padding=padding)[0]
""",
    "torch.conv_tbc": """
def conv3d(x, weight, bias, stride, padding, unfold):
    return torch.conv_tbc(x[0].movedim(2, 0), weight[0, 0].movedim(2, 0), bias[:1], 0)
""",
    "torch.convolution": """
def conv3d(x, weight, bias, stride, padding, unfold):
    return getattr(torch, "convo" + "lution")(x[None], weight, bias, stride, padding, (1, 1, 1), False, (0, 0, 0), 1)[0]
""",
    "torch.nn.functional.unfold": """
from torch.nn.functional import unfold as renamed


def unfold3d(x, kernel, stride):
    return renamed(x, kernel[1:])
""",
    "torch.nn.functional.cross_entropy": """
def masked_loss(logits, target):
    return torch.nn.functional.cross_entropy(logits, target.long(), ignore_index=-1)
""",
    "torch.nn.functional.nll_loss": """
def masked_loss(logits, target):
    return torch.nn.functional.nll_loss(logits.log_softmax(1), target.long(), ignore_index=-1)
""",
    "coursekit.losses.cross_entropy": """
from coursekit import losses


def masked_loss(logits, target):
    return losses.cross_entropy(logits, target)
""",
    "coursekit.metrics.overlap.dice": """
from coursekit.metrics import overlap


def dice(truth, prediction):
    return overlap.dice(truth.bool(), prediction.bool())
""",
    "coursekit.models.unet": """
def unet_output(size, pools):
    from coursekit.models import unet

    return unet.UNet(ndim=3, base=1, depth=pools, padding="valid").sizes(size)[-1].size
""",
}
TEST = {
    "conv3d": "conv_filters",
    "unfold3d": "unfold_blocks",
    "masked_loss": "loss_labelled",
    "dice": "dice_shared",
    "unet_output": "unet_sizes",
}
OF = {  # exercise: its answers, and how its tests begin
    "shape": ("output_shape",),
    "cost": ("layer_cost",),
    "unfold": ("unfold3d",),
    "conv": ("conv3d",),
    "unet": ("unet_output", "unet_fits", "smallest_input"),
    "loss": ("masked_loss",),
    "dice": ("dice",),
    "readers": ("agreement",),
}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_is_refused(assignment: Callable[[str], Any], closed: str) -> None:
    a3 = assignment(NAME)
    (answer,) = re.findall(r"^def (\w+)", CLOSED[closed], re.MULTILINE)
    said = a3.messages({answer: CLOSED[closed]}, only=TEST[answer])[TEST[answer]]
    assert f"{answer} calls {closed}" in said


@pytest.mark.parametrize("exercise", OF)
def test_each_exercise_is_paid_once(assignment: Callable[[str], Any], exercise: str) -> None:
    """No test of another exercise, nor of the other half of its own, needs what is missing."""
    a3 = assignment(NAME)
    lost = a3.lost({answer: a3.stubs[answer] for answer in OF[exercise]})
    assert lost == {test for test in a3.points if test.partition("_")[0] == exercise}


def test_the_sizes_of_the_u_net_do_not_need_each_other(assignment: Callable[[str], Any]) -> None:
    a3 = assignment(NAME)
    for answer, test in zip(OF["unet"], ("unet_sizes", "unet_even", "unet_tile")):
        assert a3.lost({answer: a3.stubs[answer]}) == {test}


def test_what_the_checks_hand_in_is_not_called_by_the_student(assignment: Callable[[str], Any]) -> None:
    a3 = assignment(NAME)
    stubs = {name: stub for name, stub in a3.stubs.items() if name not in ("conv3d", "smallest_input", "agreement")}
    assert {"conv_filters", "conv_border", "unet_tile", "readers"}.isdisjoint(a3.lost(stubs))


def test_the_sizes_are_those_of_the_librarys_u_net(assignment: Callable[[str], Any]) -> None:
    given: dict[str, Any] = {"torch": torch}
    for cell_id in ("setup", *OF["unet"]):
        exec(assignment(NAME).source(cell_id), given)
    for pools in (1, 2, 3):
        answers = given["library_answers"](pools, 150)
        for n, answer in enumerate(answers):
            assert given["unet_fits"]((n, n, n), pools) == (answer > 0)
            assert not answer or given["unet_output"]((n, n, n), pools) == (answer,) * 3
    paper = unet.cicek().sizes((116, 132, 132))[-1].size
    assert given["unet_output"]((116, 132, 132), 3) == tuple(paper) == (28, 44, 44)


def test_the_tumour_is_that_of_the_real_scan(assignment: Callable[[str], Any]) -> None:
    a3 = assignment(NAME)
    try:
        readers = ct.thin().readers
    except fetch.DataMissing:
        pytest.skip("the thin CT is not at hand")
    given: dict[str, Any] = {"torch": torch}
    exec(a3.source("tumour"), given)
    low, high = readers.any(0).nonzero().aminmax(dim=0)
    box = [slice(int(a), int(b) + 1) for a, b in zip(low, high)]
    assert torch.equal(given["READERS"], readers[(slice(None), *box)][..., ::2, ::2])
    pairs = [float(overlap.dice(a, b)) for i, a in enumerate(given["READERS"]) for b in given["READERS"][:i]]
    assert f"{sum(pairs) / len(pairs):.4f}" in a3.source("readers")


def test_the_last_look_shows_both_numbers(assignment: Callable[[str], Any]) -> None:
    a3 = assignment(NAME)
    notebook, shown = a3.looked_at("setup", *a3.answers, "tumour", "look")
    (picture,) = shown
    assert picture.alt.count(f"{float(notebook['library']):.3f}") == 2
    assert abs(float(notebook["yours"]) - float(notebook["library"])) < 1e-6
    assert float(notebook["library"]) > 0.9  # a threshold solves these nuclei
