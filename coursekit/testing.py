"""What the tests of the course share: tolerances by dtype, seeds, the float64 gradient check, the device without a GPU."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

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
    torch.testing.assert_close(actual, expected, rtol=r if rtol is None else rtol, atol=a if atol is None else atol, equal_nan=True)


def generator(seed: int, device: str | torch.device = "cpu") -> torch.Generator:
    """A generator of its own: nothing else in the program draws from it."""
    return torch.Generator(device).manual_seed(seed)


def gradcheck(function: Callable[..., Tensor], *inputs: Tensor) -> bool:
    """Compare autograd with finite differences, in float64, for every floating input."""
    doubles = tuple(x.detach().double().requires_grad_() if x.is_floating_point() else x for x in inputs)
    return torch.autograd.gradcheck(function, doubles)


@contextlib.contextmanager
def fake_cuda() -> Iterator[Callable[[object], object]]:
    """Run a function as if on a GPU: shapes and devices are followed, no value is computed.

    Yields ``to_cuda``, which gives a fake CUDA twin of a CPU tensor and moves a module for good (make one for the test).
    Mixing devices raises, as on a GPU.
    """
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:

        def to_cuda(x: object) -> object:
            if isinstance(x, torch.nn.Module):
                return x._apply(lambda t: mode.from_tensor(t).to("cuda"))
            return mode.from_tensor(x).to("cuda") if isinstance(x, Tensor) else x

        yield to_cuda
