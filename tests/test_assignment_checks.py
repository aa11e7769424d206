"""The checks of an assignment: what they accept, what they say, what they hide, what they notice."""

import sys
from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as renamed
from cv2 import medianBlur as median_under_another_name
from torchvision.ops import box_area as area_under_another_name

from coursekit.testing import check, closed, lent

X = torch.tensor([1.0, 2.0])
FLOW = cv2.DISOpticalFlow.create()


def says(function: Callable[..., object], expected: object = (2.0, 4.0), *, hidden: bool = False) -> str:
    with pytest.raises(AssertionError) as caught:
        check(function, (X,), expected, hint="twice.", hidden=hidden)
    return str(caught.value)


@pytest.mark.parametrize(
    "answer",
    [
        lambda x: 2 * x,
        lambda x: (2 * x).double(),
        lambda x: (2 * x).half(),
        lambda x: (2 * x).long(),
        lambda x: 2 * x.requires_grad_(),
        lambda x: torch.stack([2 * x, x]).T[:, 0],
        lambda x: 2 * x.numpy(),
        lambda x: (2 * x).tolist(),
        lambda x: tuple(2 * x),
        lambda x: [np.float64(2.0), torch.tensor(4)],
    ],
)
def test_any_wrapping_of_right_numbers_is_right(answer: Callable[..., object]) -> None:
    assert check(answer, (X,), [2, 4], hint="twice.") is True


@pytest.mark.parametrize("answer", [3, 3.0, np.float32(3), torch.tensor(3.0), torch.tensor([3.0]), [[3.0]]])
def test_a_number_may_be_wrapped(answer: object) -> None:
    assert check(lambda: answer, (), 3.0, hint="three.")


@pytest.mark.parametrize(
    "answer", [[2, 4.1], [2, 4, 0], [[2, 4]], [2, float("nan")], [], "24", None, {}, [2, None], object()]
)
def test_anything_else_is_wrong(answer: object) -> None:
    says(lambda x: answer)


def test_the_message_has_input_expected_came_and_hint() -> None:
    def triple(x: torch.Tensor) -> torch.Tensor:
        return 3 * x

    message = says(triple)
    for part in (
        "triple(tensor of shape (2,) [1.0, 2.0])",
        "expected: (2.0, 4.0)",
        "returned: tensor of shape (2,) [3.0, 6.0]",
        "hint: twice.",
    ):
        assert part in message


def test_a_large_input_is_named_by_its_shape() -> None:
    with pytest.raises(AssertionError, match=r"tensor of shape \(9, 9\) beginning \[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, …\]"):
        check(lambda x: 0, (torch.zeros(9, 9),), 1.0, hint="one.")


def test_messages_of_common_slips() -> None:
    assert "is there a return at its end?" in says(lambda x: None)
    assert "returned shape (1, 2) instead of (2,)" in says(lambda x: 2 * x[None])

    def unfinished(x: torch.Tensor) -> None:
        raise NotImplementedError

    assert "it is not written yet" in says(unfinished)
    assert "raised ZeroDivisionError: division by zero" in says(lambda x: 1 / 0)


def test_a_hidden_check_says_the_hint_alone() -> None:
    def leaks(x: torch.Tensor) -> None:
        raise ValueError(f"the input was {x.tolist()}")

    for answer in (leaks, lambda x: 3 * x, lambda x: None):
        message = says(answer, hidden=True)
        assert "Hint: twice." in message
        assert not any(digit in message for digit in "123456")
    assert "raised ValueError" in says(leaks, hidden=True)


def test_no_trace_of_the_students_exception_is_chained() -> None:
    with pytest.raises(AssertionError) as caught:
        check(lambda x: 1 / 0, (X,), 0.0, hint="", hidden=True)
    assert caught.value.__context__ is None


def test_writing_into_the_input_spoils_nothing() -> None:
    assert check(lambda x: x.mul_(2), (X,), [2, 4], hint="twice.")
    assert X.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("torchvision.ops", lambda: area_under_another_name(torch.zeros(1, 4))),
        ("torch.ops.torchvision", lambda: torch.ops.torchvision.nms(torch.zeros(1, 4), torch.ones(1), 0.5)),
        ("torch.ops.torchvision", lambda: torch.ops.torchvision.nms.default(torch.zeros(1, 4), torch.ones(1), 0.5)),
        (
            "torch.nn.functional.grid_sample",
            lambda: renamed.grid_sample(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), align_corners=False),
        ),
        (
            "torch.grid_sampler",
            lambda: torch.grid_sampler(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), 0, 0, False),
        ),
        ("cv2", lambda: median_under_another_name(np.zeros((3, 3), np.uint8), 3)),
        ("cv2", FLOW.getUseSpatialPropagation),
    ],
)
def test_a_closed_call_is_noticed_under_any_name(name: str, call: Callable[[], object]) -> None:
    with closed([name]) as seen:
        call()
    assert seen
    with pytest.raises(AssertionError, match="which this assignment closes"):
        check(lambda: (call(), 1.0)[1], (), 1.0, hint="", closed_names=[name], hidden=True)


def test_names_are_not_confused_and_the_profiler_is_put_back() -> None:
    before = sys.getprofile()
    with closed(["torch.nn.functional.grid", "torchvision.op", "torch.nn.functional.interpolate"]) as seen:
        renamed.grid_sample(torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 1, 2), align_corners=False)
        area_under_another_name(torch.zeros(1, 4))
    assert seen == []
    assert sys.getprofile() is before


def test_what_is_lent_may_call_what_is_closed() -> None:
    def area(boxes: torch.Tensor) -> torch.Tensor:
        return area_under_another_name(boxes)

    names, boxes = ["torchvision.ops"], torch.tensor([[0.0, 0.0, 2.0, 3.0]])
    assert check(lambda x, f: f(x), (boxes, lent(area)), [6.0], hint="its area.", closed_names=names)
    for answer in (lambda x, f: f(x) + 0 * area_under_another_name(x), lambda x, f: area(x)):
        with pytest.raises(AssertionError, match="which this assignment closes"):
            check(answer, (boxes, lent(area)), [6.0], hint="its area.", closed_names=names)
    with pytest.raises(AssertionError, match=r"\[\[0.0, 0.0, 2.0, 3.0\]\], area\)"):
        check(lambda x, f: 0, (boxes, lent(area)), [6.0], hint="its area.")
