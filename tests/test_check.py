"""The wording and the reach of the checks at the door."""

import pytest
import torch

from coursekit import _check


def test_tensor_returns_sizes_and_ties_letters() -> None:
    assert _check.tensor("x", torch.zeros(3, 4), "N 4") == (3, 4)
    assert _check.tensor("x", torch.zeros(2, 5, 3, 3), "... S S") == (2, 5, 3, 3)


@pytest.mark.parametrize(
    ("x", "axes"),
    [(torch.zeros(3, 5), "N 4"), (torch.zeros(4), "N 4"), (torch.zeros(2, 3), "... S S"), (torch.zeros(1, 1, 1), "N 1"), ([1.0], "N")],
)
def test_tensor_refuses_other_shapes(x: object, axes: str) -> None:
    with pytest.raises(ValueError, match=r"expected x .*, got .*: \w+"):
        _check.tensor("x", x, axes)


@pytest.mark.parametrize(
    ("check", "bad"),
    [
        (lambda x: _check.floating("x", x), torch.zeros(2, dtype=torch.long)),
        (lambda x: _check.integer("x", x), torch.zeros(2)),
        (lambda x: _check.integer("x", x), torch.zeros(2, dtype=torch.bool)),
        (lambda x: _check.boolean("x", x), torch.zeros(2)),
        (lambda x: _check.finite("x", x), torch.tensor([0.0, float("nan")])),
        (lambda x: _check.within("x", x, 0, 1, "scale it"), torch.tensor([2.0])),
        (lambda x: _check.boxes("x", x), torch.tensor([[2.0, 0.0, 1.0, 1.0]])),
        (lambda x: _check.positive("x", x), -1),
        (lambda x: _check.positive("x", x), (1.0, 0.0)),
        (lambda x: _check.positive("x", x), float("nan")),
        (lambda x: _check.one_of("x", x, ("a", "b")), "c"),
    ],
)
def test_each_check_says_expected_got_and_what_to_do(check: object, bad: object) -> None:
    with pytest.raises(ValueError, match=r"^expected .*, got .*: .+"):
        check(bad)  # type: ignore[operator]


def test_zero_is_admitted_where_asked() -> None:
    _check.positive("x", 0, zero=True)
