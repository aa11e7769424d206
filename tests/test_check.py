"""The wording and the reach of the checks at the door."""

from collections.abc import Callable
from pathlib import Path
from typing import SupportsIndex

import numpy as np
import pytest
import torch

from coursekit import _check


def test_tensor_returns_sizes_and_ties_letters() -> None:
    assert _check.tensor("x", torch.zeros(3, 4), "N 4") == (3, 4)
    assert _check.tensor("x", torch.zeros(2, 5, 3, 3), "... S S") == (2, 5, 3, 3)


@pytest.mark.parametrize(
    ("x", "axes"),
    [
        (torch.zeros(3, 5), "N 4"),
        (torch.zeros(4), "N 4"),
        (torch.zeros(2, 3), "... S S"),
        (torch.zeros(1, 1, 1), "N 1"),
        ([1.0], "N"),
    ],
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


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.array, torch.tensor])
def test_an_index_is_its_value_whoever_made_it(kind: Callable[[int], SupportsIndex]) -> None:
    assert [_check.index("a clip", kind(k), 3) for k in range(3)] == [0, 1, 2]
    assert type(_check.index("a clip", kind(2), 3)) is int
    with pytest.raises(IndexError, match="expected a clip 0 … 2, got 3: the set has 3"):
        _check.index("a clip", kind(3), 3)


def test_an_index_counts_from_the_end_and_is_a_whole_number() -> None:
    assert [_check.index("a clip", k, 3) for k in (-1, np.int64(-3), torch.tensor(-2))] == [2, 0, 1]
    for bad in (-4, 0):
        with pytest.raises(IndexError):
            _check.index("a clip", bad, 0 if bad == 0 else 3)
    for wrong in (
        True,
        np.True_,
        torch.tensor(True),
        1.0,
        np.float64(1),
        torch.tensor(1.0),
        torch.tensor([1]),
        np.array([1]),
        "1",
        slice(2),
    ):
        with pytest.raises(ValueError, match=r"expected the number of a clip, a whole one, got .*: ask for one item"):
            _check.index("a clip", wrong, 3)


def test_what_a_library_says_of_a_file_becomes_one_sentence(tmp_path: Path) -> None:
    with (
        pytest.raises(
            ValueError, match=r"^expected a picture in a.png, got OSError \(two lines\): copy it again"
        ) as caught,
        _check.reading("a picture", tmp_path / "a.png"),
    ):
        raise OSError("two\nlines")
    assert isinstance(caught.value.__cause__, OSError)


def test_what_the_system_refuses_is_said_in_plain_words(tmp_path: Path) -> None:
    for place, got in ((tmp_path / "none.nrrd", "no file"), (tmp_path, "a folder")):
        with (
            pytest.raises(ValueError, match=f"expected a table in .*, got {got}: copy it"),
            _check.reading("a table", place),
        ):
            place.read_bytes()
