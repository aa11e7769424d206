"""Tolerances by dtype, seeds, and the checks of an assignment."""

import contextlib
import copy
import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from types import FrameType
from typing import Any

import numpy as np
import torch
from torch import Tensor

# (relative, absolute): a few hundred roundings of the dtype.
TOLERANCE = {
    torch.float64: (1e-10, 1e-10),
    torch.float32: (1e-5, 1e-5),
    torch.bfloat16: (2e-2, 2e-2),
    torch.float16: (2e-3, 2e-3),
}


def assert_close(actual: Tensor, expected: Tensor, *, rtol: float | None = None, atol: float | None = None) -> None:
    """``torch.testing.assert_close`` with the course's tolerances: same shape, dtype, device, and values."""
    r, a = TOLERANCE.get(expected.dtype, (0.0, 0.0))
    r, a = (r if rtol is None else rtol), (a if atol is None else atol)
    torch.testing.assert_close(actual, expected, rtol=r, atol=a, equal_nan=True)


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own: nothing else in the program draws from it."""
    return torch.Generator(device).manual_seed(seed)


@contextlib.contextmanager
def closed(names: Sequence[str]) -> Iterator[list[str]]:
    """Notice every call into the modules or functions ``names`` while the block runs; yields the list of calls seen.

    A name closes what lies under it: ``"torchvision.ops"`` also ``torchvision.ops.roi_align`` and, under
    ``"torch.ops.torchvision"``, the operator itself. What counts is the function that runs, under whatever name.
    """
    seen: list[str] = []
    under = tuple(f"{name}." for name in names)

    def look(frame: FrameType, event: str, argument: Any) -> None:
        called = _called(frame) if event == "call" else _called_in_c(argument, under) if event == "c_call" else ""
        if f"{called}.".startswith(under):
            seen.append(called)

    before = sys.getprofile()
    sys.setprofile(look)
    try:
        yield seen
    finally:
        sys.setprofile(before)


def _called(frame: FrameType) -> str:
    """The full name of the Python function that is starting; for an operator of ``torch.ops``, the operator's."""
    module = str(frame.f_globals.get("__name__", ""))
    if module != "torch._ops" or frame.f_code.co_name != "__call__":
        return f"{module}.{frame.f_code.co_qualname}"
    operator = vars(frame.f_locals["self"])  # not getattr: an operator looks unknown attributes up as overloads
    return "torch.ops." + str(operator.get("_qualified_op_name") or operator.get("_name")).replace("::", ".")


def _called_in_c(function: Any, under: tuple[str, ...]) -> str:
    """The same for one written in C. OpenCV's know no module: it is the one under these names that has them."""
    home, name = function.__module__ or getattr(function.__self__, "__module__", None), function.__name__
    near = [m for m in [*sys.modules] if f"{m}.".startswith(under)] if home is function.__self__ is None else []
    return f"{next((m for m in near if vars(sys.modules[m]).get(name) is function), home)}.{name}"


def lent(function: Callable[..., Any]) -> Callable[..., Any]:
    """A function that a check hands to a student's: what it calls is not what the student calls. No keywords."""

    @functools.wraps(function)
    def call(*arguments: object) -> Any:
        before = sys.getprofile()
        sys.setprofile(None)
        try:
            return function(*arguments)
        finally:
            sys.setprofile(before)

    return call


def check(
    function: Callable[..., object],
    inputs: tuple[object, ...],
    expected: object,
    *,
    hint: str,
    closed_names: Sequence[str] = (),
    hidden: bool = False,
    tolerance: float = 1e-3,
) -> bool:
    """Call a student's function and compare; True, or an ``AssertionError`` that teaches.

    The message says which input, what was expected, what came, and one hint; a hidden check says the hint alone.
    Numbers, sequences, arrays and tensors of any dtype count as equal when their shape and, within ``tolerance``
    (relative and absolute), their values are, NaN where NaN is expected. Inputs are copied, tensors and arrays in
    lists, tuples and dictionaries too, so a function that writes into them spoils nothing.
    """
    name = getattr(function, "__name__", "your function")
    with closed(closed_names) as used:
        try:
            got, problem = function(*(_copied(x) for x in inputs)), ""
        except Exception as error:  # whatever a student's code raises is an answer, and a wrong one
            got, problem = None, _raised(error, hidden)
            if hasattr(error, "closed_name"):  # noticed where the grader keeps student code
                used.append(error.closed_name)
    if used:
        raise AssertionError(f"{name} calls {used[0]}, which this assignment closes: write that part yourself.")
    problem = problem or _difference(got, expected, tolerance)
    if not problem:
        return True
    if hidden:
        reason = f" ({problem})" if problem.startswith("raised") else ""
        raise AssertionError(f"{name}: a hidden check failed{reason}. Hint: {hint}")
    call = f"{name}({', '.join(map(_show, inputs))})"
    raise AssertionError(f"{call}\n  expected: {_show(expected)}\n  but it {problem}\n  hint: {hint}")


def _copied(x: Any) -> Any:
    """Tensors, arrays and what holds them, copied; anything else as it is."""
    if isinstance(x, Tensor):
        return x.clone()
    if isinstance(x, dict):
        return {key: _copied(value) for key, value in x.items()}
    if isinstance(x, list | tuple):
        parts = [_copied(value) for value in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return copy.deepcopy(x) if isinstance(x, np.ndarray | set | bytearray) else x


def _raised(error: Exception, hidden: bool) -> str:
    """What to say of an exception: where the text could carry a hidden input, its type alone."""
    if isinstance(error, NotImplementedError) and not str(error):  # the stub; torch's own has words
        return "raised NotImplementedError: it is not written yet"
    if hasattr(error, "did"):  # its process ended, where the grader keeps student code
        return str(error.did)
    return f"raised {type(error).__name__}" + ("" if hidden else f": {error}")


def _difference(got: object, expected: object, tolerance: float) -> str:
    """Say how ``got`` differs from ``expected``, or nothing."""
    want = numbers(expected)
    try:
        have = numbers(got)
    except (TypeError, ValueError, RuntimeError):
        return f"returned {type(got).__name__}, not numbers" + ": is there a return at its end?" * (got is None)
    have = have.reshape(()) if want.dim() == 0 and have.numel() == 1 else have
    if have.shape != want.shape:
        return f"returned shape {tuple(have.shape)} instead of {tuple(want.shape)}: {_show(got)}"
    if isinstance(got, Tensor):  # a right answer in few bits is as near as they allow
        tolerance = max(tolerance, *TOLERANCE.get(got.dtype, (0.0,)))
    same = torch.allclose(have, want, rtol=tolerance, atol=tolerance, equal_nan=True)
    return "" if same else f"returned: {_show(got)}"


def numbers(x: Any) -> Tensor:
    """Numbers in any wrapping as one float64 tensor, complex ones with their imaginary parts on a last axis."""
    if isinstance(x, list | tuple):
        plain = all(type(item) in (float, int) for item in x)
        return torch.tensor(x, dtype=torch.float64) if plain else torch.stack([numbers(item) for item in x])
    if isinstance(x, np.ndarray):
        x = x.astype(x.dtype.newbyteorder("="), order="C")  # torch takes neither mirrored arrays nor another byte order
    x = torch.as_tensor(x).detach().cpu()
    x = x.to_dense() if x.is_sparse else x
    return torch.view_as_real(x.to(torch.complex128)) if x.is_complex() else x.to(torch.float64)


def _show(x: object) -> str:
    """A short text for a message: small tensors whole, to four digits; large ones by their shape and first values."""
    try:
        values = numbers(x)
    except (TypeError, ValueError, RuntimeError):
        return str(getattr(x, "__name__", repr(x)))[:200]
    small = values.numel() <= 40
    if small and not isinstance(x, Tensor):
        return repr(x)
    rounded = (values if small else values.flatten()[:6]).mul(1e4).round().div(1e4).tolist()
    return f"tensor of shape {tuple(values.shape)} " + (f"{rounded}" if small else f"beginning {str(rounded)[:-1]}, …]")
