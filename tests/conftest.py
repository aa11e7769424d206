"""Fixtures shared by all tests."""

import inspect
from collections.abc import Callable

import pytest
import torch


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def refuses() -> Callable[..., None]:
    """``refuses("one sentence", function, *args)``: the function itself says it, not the test run's shape checker."""

    def check(match: str, function: Callable[..., object], *args: object, **kwargs: object) -> None:
        with pytest.raises(ValueError, match=match) as caught:
            inspect.unwrap(function)(*args, **kwargs)
        assert "\n" not in str(caught.value)

    return check
