"""Assignment a4_inflation: what it closes, its last look, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parents[2]
NAME = "a4_inflation"
CLOSED = {
    "coursekit.ops.inflate.inflate_kernel": """
from coursekit.ops.inflate import inflate_kernel as renamed


def inflate_convolution(weight, bias, depth, shares):
    return {"weight": renamed(weight, depth), "bias": bias}
""",
    "coursekit.ops.inflate.pad_time": """
def pad_time(clip, depth, ends):
    import importlib

    return getattr(importlib.import_module("coursekit.ops.inflate"), "pad" + "_time")(clip, depth)
""",
    "coursekit.ops.inflate._Padded.forward": """
from coursekit.models import inception


def pool_clip(clip, size, stride, depth, how, pad):
    kind = inception.PaddedMaxPool3d if how == "max" else library.PaddedAvgPool3d
    return kind((depth, size, size), (1, stride, stride))(clip)
""",
    "coursekit.models.inception.pool": """
from coursekit.models import inception


def pool_clip(clip, size, stride, depth, how, pad):
    return inception.pool(ndim=3, stride=stride, frames=depth)(clip)
""",
}
CELLS = {
    "inflate_convolution": ("inflate_convolution", "conv_equal"),
    "pad_time": ("pad_time", "time_held"),
    "pool_clip": ("layers", "layer_pool"),
}
TESTS = {
    "inflate_convolution": "conv",
    "pad_time": "time",
    "layers": "layer",
    "inflate_network": "net",
    "fixed_point": "errors",
}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_is_refused(assignment: Callable[[str], Any], closed: str) -> None:
    a4 = assignment(NAME)
    (function,) = re.findall(r"^def (\w+)", CLOSED[closed], re.MULTILINE)
    answer, test = CELLS[function]
    assert f"calls {closed}," in a4.messages({answer: CLOSED[closed]}, only=test)[test]


@pytest.mark.parametrize("exercise", TESTS)
def test_each_exercise_is_paid_once(assignment: Callable[[str], Any], exercise: str) -> None:
    a4 = assignment(NAME)
    own = {test for test in a4.points if test.startswith(f"{TESTS[exercise]}_")}
    assert own
    assert a4.lost({exercise: a4.stubs[exercise]}) == own
    others = {name: stub for name, stub in a4.stubs.items() if name != exercise}
    assert own.isdisjoint(a4.lost(others)), "it can be solved when no other is"


def test_what_is_done_by_hand_in_the_text_is_so(assignment: Callable[[str], Any]) -> None:
    """The numbers of the exercises' texts, by PyTorch alone."""
    clip = torch.tensor([3.0, 9.0, 6.0]).reshape(1, 1, 3, 1, 1)
    held = F.pad(clip, (0, 0, 0, 0, 1, 1), mode="replicate")
    assert F.max_pool3d(held, (3, 1, 1), 1).flatten().tolist() == [9, 9, 9]
    assert F.avg_pool3d(held, (3, 1, 1), 1).flatten().tolist() == [5, 6, 7]
    logits = torch.tensor([0.0, 4.0])
    assert logits.std(correction=0) == 2
    for frame, error in (([0.0, 7.0], 1.5), ([-4.0, 4.0], 2.0)):
        assert (torch.tensor(frame) - logits).abs().max() / 2 == error
    reached: dict[str, Any] = {}
    exec(assignment(NAME).answers["fixed_point"], {"torch": torch}, reached)
    assert reached["reached"]([3] * 10, 16) == [1] * 16
    assert reached["reached"]([3] * 10, 48).count(0) == 28
    x, uneven = torch.randn(1, 1, 6), torch.tensor([[[3.0, 2, 1]]]) / 6
    assert torch.allclose(F.conv1d(torch.ones(1, 1, 6), uneven), torch.ones(4))
    assert not torch.allclose(F.conv1d(x, uneven), F.conv1d(x.flip(2), uneven).flip(2))


def test_the_last_look_finds_the_answer_of_the_photograph(assignment: Callable[[str], Any]) -> None:
    a4 = assignment(NAME)
    notebook, shown = a4.looked_at("setup", *a4.answers, "look")
    assert len(shown) == 1
    image, *clips = notebook["answers"].values()
    assert all(torch.allclose(clip, image, atol=1e-4) for clip in clips)
    assert notebook["errors"]["held"].max() < 1e-4
    assert notebook["errors"]["zeros"][[0, -1]].min() > 1
    assert notebook["errors"]["zeros"][notebook["far"]].max() < 1e-4
    assert len(notebook["far"]) == 48 - 2 * 17
