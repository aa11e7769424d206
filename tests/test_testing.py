"""The shared test tools find what they are for."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from coursekit import testing
from tests.tensors import fake_cuda, gradcheck


def test_fake_cuda_follows_devices_and_raises_on_a_mix() -> None:
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    with fake_cuda() as to_cuda:
        y = to_cuda(layer)(to_cuda(x))
        assert y.device.type == "cuda"
        assert y.shape == (1, 4, 6, 6)
        with pytest.raises(RuntimeError, match="device"):
            y + torch.zeros(1, 4, 6, 6)


def test_assert_close_knows_the_dtype() -> None:
    one = torch.ones(1, dtype=torch.float64)
    testing.assert_close(one.float() + 1e-6, one.float())
    with pytest.raises(AssertionError):
        testing.assert_close(one + 1e-6, one)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    assert gradcheck(torch.sin, torch.rand(3))
    with pytest.raises(RuntimeError, match="Jacobian"):
        gradcheck(lambda x: x.detach() * x, torch.rand(3))


def test_generators_are_their_own() -> None:
    a, b = testing.generator(1), testing.generator(1)
    assert torch.rand(1, generator=a) == torch.rand(1, generator=b)


def test_check_compares_nan_with_nan() -> None:
    assert testing.check(lambda x: x / x, (torch.tensor([0.0, 2.0]),), torch.tensor([float("nan"), 1.0]), hint="")
    assert testing.check(lambda: float("nan"), (), float("nan"), hint="")
    with pytest.raises(AssertionError):
        testing.check(lambda: float("nan"), (), 1.0, hint="")
    with pytest.raises(AssertionError):
        testing.check(lambda: 1.0, (), float("nan"), hint="")


def test_check_copies_what_it_hands_over_however_it_is_wrapped() -> None:
    def spoil(*inputs: object) -> int:
        for x in inputs:
            if isinstance(x, dict | list | tuple):
                spoil(*(x.values() if isinstance(x, dict) else x))
            if isinstance(x, list):
                x.append(0)
            elif isinstance(x, dict):
                x["more"] = 0
            elif not isinstance(x, tuple):
                x[:] = 0  # type: ignore[index]
        return 1

    def inputs() -> tuple[object, ...]:
        pair = Pair(np.ones(2), [torch.ones(2)])
        return (
            np.ones(3),
            torch.ones(2),
            [np.ones(2), [torch.ones(1)]],
            {"a": np.ones(2), "b": {"c": [torch.ones(1)]}},
            (np.ones(1),),
            pair,
        )

    given = inputs()
    assert testing.check(spoil, given, 1, hint="")
    assert repr(given) == repr(inputs())


class Pair(NamedTuple):
    a: object
    b: object


def test_arrays_of_any_layout_and_byte_order_are_numbers() -> None:
    whole = np.arange(6.0).reshape(2, 3)
    for answer in (whole[:, ::-1], whole.astype(">f4")[:, ::-1], torch.tensor(whole[:, ::-1].copy()).to_sparse()):
        assert testing.check(lambda answer=answer: answer, (), whole[:, ::-1].copy(), hint="h")


def test_the_imaginary_part_counts() -> None:
    assert testing.check(lambda: 1 + 2j, (), 1 + 2j, hint="h")
    for answer in (1 + 3j, 1.0):
        with pytest.raises(AssertionError, match="expected"):
            testing.check(lambda answer=answer: answer, (), 1 + 2j, hint="h")


def test_a_right_answer_may_come_in_any_float_type_and_a_wrong_one_in_none() -> None:
    thirds = torch.arange(1.0, 7.0) / 3
    for dtype in (torch.float64, torch.float32, torch.bfloat16):
        assert testing.check(lambda x, dtype=dtype: x.to(dtype), (thirds,), thirds, hint="as they are")
        with pytest.raises(AssertionError, match="as they are"):
            testing.check(lambda x, dtype=dtype: (1.1 * x).to(dtype), (thirds,), thirds, hint="as they are")
