"""The door: every public function checks its input here, and every complaint is worded here.

A complaint is one sentence of three parts: what was expected, what came, what to do.
"""

import contextlib
import functools
import operator
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def refuse(expected: str, got: object, advice: str) -> ValueError:
    """The error to raise: ``raise refuse("boxes of shape (N, 4)", tuple(x.shape), "pass one row a box")``."""
    return ValueError(f"expected {expected}, got {got}: {advice}")


def tensor(name: str, x: object, axes: str, advice: str = "", *, of: str = "") -> tuple[int, ...]:
    """Return the sizes of ``x``, which must have ``axes``, e.g. ``"N 4"``: a letter is free, a number is fixed.

    The same letter must have the same size throughout; ``"... H W"`` allows any axes in front. ``of``: the rule that
    its values are to pass too, "floating", "numbers", "integer" or "boolean".
    """
    if not isinstance(x, Tensor):
        raise refuse(f"{name} to be a torch tensor", type(x).__name__, "convert it with torch.as_tensor")
    wanted, sizes = axes.split(), tuple(x.shape)
    last = [axis for axis in wanted if axis != "..."]
    fits = len(sizes) >= len(last) if "..." in wanted else len(sizes) == len(last)
    known: dict[str, int] = {}
    for axis, size in zip(reversed(last), reversed(sizes)):
        fits = fits and size == (int(axis) if axis.isdigit() else known.setdefault(axis, size))
    if not fits:
        shape = ", ".join(wanted) + ("," if len(wanted) == 1 else "")
        raise refuse(f"{name} of shape ({shape})", sizes, advice or "reshape it, or add or drop an axis")
    if of:
        {"floating": floating, "numbers": numbers, "integer": integer, "boolean": boolean}[of](name, x)
    return sizes


def floating(name: str, x: Tensor) -> None:
    """Refuse anything but a floating-point tensor."""
    if not x.is_floating_point():
        raise refuse(f"{name} to be floating point", x.dtype, "convert it with .float()")


def numbers(name: str, x: Tensor) -> None:
    """Refuse anything but a floating-point tensor without NaN and infinity."""
    floating(name, x)
    finite(name, x)


def wide_dtype(*tensors: Tensor) -> torch.dtype:
    """What to compute in: the widest dtype of the tensors, and float32 at least.

    Half precision is a way to store numbers. float16 ends at 65,504, bfloat16 counts to 256: an area, an index, a sum
    over voxels needs more. What comes in half is computed in float32, and given back in half where the result has the
    kind and size of the input.
    """
    return functools.reduce(torch.promote_types, (x.dtype for x in tensors), torch.float32)


def at_least(values: Tensor, threshold: float | Tensor) -> Tensor:
    """``values >= threshold``, and so where rounding alone holds them apart: 0.7 read from float32."""
    return values >= threshold * (1 - _rounding(values))


def above(values: Tensor, threshold: float | Tensor) -> Tensor:
    """``values > threshold``, by more than rounding."""
    return values > threshold * (1 + _rounding(values))


def _rounding(values: Tensor) -> float:
    """The relative difference that says nothing: two roundings; in float64 more, for what was computed before."""
    return max(2 * torch.finfo(values.dtype).eps, 1e-9)


def integer(name: str, x: Tensor) -> None:
    """Refuse anything but an integer tensor."""
    if x.is_floating_point() or x.is_complex() or x.dtype == torch.bool:
        raise refuse(f"{name} to be an integer tensor", x.dtype, "convert it with .long()")


def boolean(name: str, x: Tensor) -> None:
    """Refuse anything but a boolean tensor."""
    if x.dtype != torch.bool:
        raise refuse(f"{name} to be boolean", x.dtype, "threshold it first, e.g. x > 0.5")


def has_values(x: Tensor) -> bool:
    """Whether there are values to look at: a FakeTensor has a shape and a device alone."""
    return not isinstance(x, FakeTensor)


def finite(name: str, x: Tensor) -> None:
    """Refuse NaN and infinity. A FakeTensor has no values, so there is nothing to look at."""
    quick = has_values(x) and not bool(torch.isfinite(x.sum()))  # a first look
    if quick and not bool(torch.isfinite(x).all()):
        raise refuse(f"{name} to be finite", "NaN or infinity", "look for a division by zero before this call")


def within(name: str, x: Tensor, low: float, high: float, advice: str) -> None:
    """Refuse values outside ``[low, high]``."""
    if x.numel() and has_values(x) and not bool(((x >= low) & (x <= high)).all()):
        raise refuse(f"{name} in [{low:g}, {high:g}]", f"values in [{x.min():g}, {x.max():g}]", advice)


def boxes(name: str, x: Tensor) -> int:
    """Check boxes ``(N, 4)``: floating, finite, ``x1 <= x2`` and ``y1 <= y2``. Returns N."""
    count, _ = tensor(name, x, "N 4", "pass one row (x1, y1, x2, y2) a box", of="numbers")
    crossed = (x[:, 2:] < x[:, :2]).any(1)
    if has_values(x) and bool(crossed.any()):
        row = int(crossed.nonzero()[0])
        raise refuse(f"{name} with x1 <= x2 and y1 <= y2", f"{x[row].tolist()} in row {row}", "order the corners")
    return count


def same_device(**tensors: Tensor) -> None:
    """Refuse tensors on different devices."""
    devices = {name: x.device for name, x in tensors.items()}
    if len(set(devices.values())) > 1:
        got = ", ".join(f"{name} on {device}" for name, device in devices.items())
        raise refuse("tensors on one device", got, "move them with .to(device)")


def same_shape(advice: str, **tensors: Tensor) -> None:
    """Refuse two tensors of different shapes, or on different devices."""
    (name, x), (other, y) = tensors.items()
    if x.shape != y.shape:
        raise refuse(f"{name} and {other} of one shape", f"{tuple(x.shape)} and {tuple(y.shape)}", advice)
    same_device(**tensors)


def positive(name: str, value: float | Sequence[float], *, zero: bool = False) -> None:
    """Refuse a number, or any of several, that is not above zero (``zero=True`` admits zero)."""
    for v in value if isinstance(value, Sequence) else (value,):
        if not (v >= 0 if zero else v > 0) or v == float("inf"):
            raise refuse(f"{name} {'>= 0' if zero else '> 0'} and finite", value, "give a size, not a difference")


def index(what: str, value: object, count: int) -> int:
    """An item's number as an ``int`` in 0 … ``count`` − 1, be it Python's, numpy's or torch's; −1 is the last.

    Raises ``IndexError`` beyond the end, as sequences do, and ``ValueError`` for what is no whole number.
    """
    try:
        if isinstance(value, bool) or (isinstance(value, Tensor) and (value.dim() > 0 or value.dtype == torch.bool)):
            raise TypeError
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        expected = f"the number of {what}, a whole one"
        raise refuse(expected, type(value).__name__, "ask for one item at a time") from None
    if not -count <= number < count:
        raise IndexError(f"expected {what} 0 … {count - 1}, got {number}: the set has {count}")
    return number % count


@contextlib.contextmanager
def reading(what: str, place: Path, advice: str = "copy it again from its source") -> Iterator[None]:
    """What a library raises over a file becomes our sentence, with the file's name: put only its calls inside."""
    plain = {"FileNotFoundError": "no file", "IsADirectoryError": "a folder", "PermissionError": "one closed to you"}
    try:
        yield
    except Exception as error:
        kind = type(error).__name__
        got = plain.get(kind) or f"{kind} ({' '.join(str(error).split())})"
        raise refuse(f"{what} in {place.name}", got, advice) from error


def one_of(name: str, value: object, choices: Sequence[object]) -> None:
    """Refuse a value that is not among ``choices``."""
    if value not in choices:
        raise refuse(f"{name} to be one of {', '.join(map(repr, choices))}", repr(value), "pick one of them")
