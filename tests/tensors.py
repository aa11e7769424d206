"""What tests of tensors share: gradients against finite differences, and a GPU that is none."""

import contextlib
from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode


def gradcheck(function: Callable[..., Tensor], *inputs: Tensor) -> bool:
    """Compare autograd with finite differences, in float64, for every floating input."""
    doubles = tuple(x.detach().double().requires_grad_() if x.is_floating_point() else x for x in inputs)
    return torch.autograd.gradcheck(function, doubles)


@contextlib.contextmanager
def fake_cuda() -> Iterator[Callable[[object], object]]:
    """Run a function as if on a GPU: shapes and devices are followed, no value is computed.

    Yields ``to_cuda``, which gives a fake CUDA twin of a CPU tensor and moves a module for good (make one for the
    test). Mixing devices raises, as on a GPU.
    """
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:

        def fake(t: Tensor) -> Tensor:
            return mode.from_tensor(t).to("cuda").detach().requires_grad_(t.requires_grad)

        def move(module: torch.nn.Module) -> None:
            for name, p in module._parameters.items():
                module._parameters[name] = None if p is None else torch.nn.Parameter(fake(p), p.requires_grad)
            for name, b in module._buffers.items():
                module._buffers[name] = None if b is None else fake(b)

        def to_cuda(x: object) -> object:
            if isinstance(x, torch.nn.Module):
                return x.apply(move)
            return fake(x) if isinstance(x, Tensor) else x

        yield to_cuda
