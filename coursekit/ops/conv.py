"""Convolution by unfolding, in any number of axes: its result, its shape, and what it costs.

A layer computes a cross-correlation: the kernel is not flipped. Unfolding copies the window under every output into one
column; the layer is then one matrix product (Chellapilla, Puri and Simard 2006). The copy holds prod(kernel) times the
input, which is why ``F.conv3d`` does it block by block or not at all, and is faster; see ``tests.bench.conv``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from coursekit import _check

Size = int | Sequence[int]  # one number for all axes, or one an axis


def _per_axis(name: str, value: Size, ndim: int, *, zero: bool = False) -> tuple[int, ...]:
    """One whole number an axis."""
    sizes = (value,) * ndim if isinstance(value, int) else tuple(value)
    if len(sizes) != ndim or not all(isinstance(v, int) for v in sizes):
        raise _check.refuse(f"{name} as one whole number or {ndim}", value, "give one number an axis")
    _check.positive(name, sizes, zero=zero)
    return sizes


def output_shape(
    size: Sequence[int], kernel: Size, *, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> tuple[int, ...]:
    """Sizes after a convolution or a pool: ⌊(n + 2p − d(k − 1) − 1) / s⌋ + 1 along each axis of ``size``.

    Padding is added on both sides. Raises ``ValueError`` where the window is larger than the padded input.
    Source: Dumoulin and Visin 2016, relationship 15.
    """
    ndim = len(size)
    k, s, d = (_per_axis(n, v, ndim) for n, v in [("kernel", kernel), ("stride", stride), ("dilation", dilation)])
    p = _per_axis("padding", padding, ndim, zero=True)
    room = [size[i] + 2 * p[i] - d[i] * (k[i] - 1) - 1 for i in range(ndim)]
    if min(room) < 0:
        spans = tuple(d[i] * (k[i] - 1) + 1 for i in range(ndim))
        expected = f"an input at least as large as the window {spans}"
        raise _check.refuse(expected, f"{tuple(size)} with padding {p}", "pad or enlarge it")
    return tuple(room[i] // s[i] + 1 for i in range(ndim))


def unfold(
    x: Float[Tensor, "N C *space"], kernel: Size, *, stride: Size = 1, padding: Size = 0, dilation: Size = 1
) -> Float[Tensor, "N C ..."]:
    """The window under every output: ``(N, C, *out, *kernel)``, a view of the zero-padded input, nothing copied yet."""
    ndim = x.ndim - 2
    output_shape(x.shape[2:], kernel, stride=stride, padding=padding, dilation=dilation)
    pads = _per_axis("padding", padding, ndim, zero=True)
    windows = F.pad(x, [p for p in reversed(pads) for _ in range(2)])
    for axis in range(ndim):
        k, s, d = (_per_axis("window", v, ndim)[axis] for v in (kernel, stride, dilation))
        windows = windows.unfold(2 + axis, d * (k - 1) + 1, s)[..., ::d]
    return windows  # (N, C, *out, *kernel)


def conv(
    x: Float[Tensor, "N C_in *space"],
    weight: Float[Tensor, "C_out C_group *kernel"],
    bias: Float[Tensor, "C_out"] | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Float[Tensor, "N C_out *out"]:
    """Convolve with zero padding, in as many axes as ``x`` has; ``C_group`` = C_in / groups, as in ``F.conv3d``.

    Differentiable in all three tensors; NaN and infinity spread to every output whose window holds them.
    """
    _check_conv(x, weight, bias, groups)
    n, c, f, ndim = x.shape[0], weight.shape[1], weight.shape[0], x.ndim - 2
    windows = unfold(x, tuple(weight.shape[2:]), stride=stride, padding=padding, dilation=dilation)
    out = windows.shape[2 : 2 + ndim]
    columns = windows.movedim(tuple(range(2, 2 + ndim)), tuple(range(-ndim, 0)))  # (N, C_in, *kernel, *out)
    patch = c * math.prod(weight.shape[2:])
    columns = columns.reshape(n, groups, patch, math.prod(out))  # (N, G, C_group · k, out): the copy
    y = weight.reshape(groups, f // groups, patch) @ columns  # (N, G, C_out / G, out)
    y = y.reshape(n, f, *out)  # (N, C_out, *out)
    return y if bias is None else y + bias.view(-1, *[1] * ndim)


def _check_conv(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> None:
    _check.tensor("x", x, "... N C S", "pass a batch (N, C, …) with at least one axis of space", of="floating")
    axes = " ".join(["C_out", "C_group", *(f"k{i}" for i in range(x.ndim - 2))])
    _check.tensor("weight", weight, axes, "one kernel axis an axis of x")
    _check.positive("groups", groups)
    if x.shape[1] != weight.shape[1] * groups or weight.shape[0] % groups:
        got = f"{x.shape[1]} channels, weight {tuple(weight.shape)} and groups={groups}"
        raise _check.refuse("C_in = C_group · groups, and C_out a multiple of groups", got, "check the channel counts")
    if bias is not None:
        _check.tensor("bias", bias, str(weight.shape[0]), "one bias an output channel")
    _check.same_device(x=x, weight=weight, **({} if bias is None else {"bias": bias}))


def conv3d(
    x: Float[Tensor, "N C_in D H W"],
    weight: Float[Tensor, "C_out C_group KD KH KW"],
    bias: Float[Tensor, "C_out"] | None = None,
    *,
    stride: Size = 1,
    padding: Size = 0,
    dilation: Size = 1,
    groups: int = 1,
) -> Float[Tensor, "N C_out OD OH OW"]:
    """``conv`` of a batch of volumes or clips; the same numbers as ``F.conv3d``."""
    _check.tensor("x", x, "N C D H W", "pass a batch of volumes or clips")
    return conv(x, weight, bias, stride=stride, padding=padding, dilation=dilation, groups=groups)


@dataclass(frozen=True)
class LayerCost:
    """One call of one layer."""

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    multiply_adds: int
    activation_bytes: int


@dataclass(frozen=True)
class Cost:
    """A whole network: ``layers`` in the order they run. ``parameters`` counts a shared one once."""

    layers: tuple[LayerCost, ...]
    parameters: int
    input_bytes: int

    @property
    def multiply_adds(self) -> int:
        """Multiplications, each with its addition, of one forward pass; about half the "FLOPs" other tools print."""
        return sum(layer.multiply_adds for layer in self.layers)

    @property
    def activation_bytes(self) -> int:
        """Input and every layer's output: what training keeps for the backward pass, to first order."""
        return self.input_bytes + sum(layer.activation_bytes for layer in self.layers)


def cost(module: nn.Module, *shapes: Sequence[int], dtype: torch.dtype = torch.float32) -> Cost:
    """Parameters, multiply-adds and activation memory of ``module`` on inputs of these shapes, batch axis included.

    ``cost(nn.Conv3d(1, 8, 3), (1, 1, 256, 224, 224))``. It runs on the meta device: nothing is computed or allocated,
    and ``module`` stays as it is. Multiply-adds are counted in convolutions (zero padding included), linear and
    recurrent layers; bias, norm, pool and activation count none. Only layers (``nn.Module`` without children) are
    seen, not functions called in a ``forward``. An output in its input's memory (in-place ReLU, Flatten) adds no
    bytes. Parameters keep their own dtype: choose ``dtype`` to match.
    """
    if not isinstance(module, nn.Module) or not shapes:
        expected = "a module and at least one input shape"
        raise _check.refuse(expected, type(module).__name__, "cost(net, (1, 3, 224, 224))")
    rows: list[LayerCost] = []

    def note(name: str) -> Callable[..., None]:
        def hook(layer: nn.Module, given: Any, named: dict[str, Any], result: Any) -> None:
            if outputs := _tensors(result):
                rows.append(_layer_cost(name, layer, _tensors((named.get("input"), given, named)), outputs))

        return hook

    leaves = [(name, layer) for name, layer in module.named_modules() if not any(layer.children())]
    hooks = [layer.register_forward_hook(note(name), with_kwargs=True) for name, layer in leaves]
    inputs = [torch.empty(*shape, dtype=dtype, device="meta") for shape in shapes]
    state = {k: v.detach().to("meta") for k, v in (*module.named_parameters(), *module.named_buffers())}
    try:
        with torch.no_grad():
            torch.func.functional_call(module, state, tuple(inputs))
    finally:
        for hook in hooks:
            hook.remove()
    return Cost(tuple(rows), sum(p.numel() for p in module.parameters()), sum(x.nbytes for x in inputs))


def _tensors(x: Any) -> list[Tensor]:
    """The tensors of what a layer takes or gives, however they are wrapped or named, in their order."""
    return [leaf for leaf in tree_leaves(x) if isinstance(leaf, Tensor)]


def _layer_cost(name: str, layer: nn.Module, given: list[Tensor], result: list[Tensor]) -> LayerCost:
    x, y = (given or result)[0], result[0]  # a recurrent layer also takes and returns its state
    shared = any(y.untyped_storage()._cdata == g.untyped_storage()._cdata for g in given)
    return LayerCost(
        name=name or type(layer).__name__,
        kind=type(layer).__name__,
        output=tuple(y.shape),
        parameters=sum(p.numel() for p in layer.parameters()),
        multiply_adds=_multiply_adds(layer, x, y),
        activation_bytes=0 if shared else y.nbytes,
    )


def _multiply_adds(layer: nn.Module, x: Tensor, y: Tensor) -> int:
    """Every weight of a kernel once for each position it is laid on; every weight of a matrix once for each row."""
    if isinstance(layer, nn.modules.conv._ConvTransposeNd):
        return x.numel() // layer.in_channels * layer.weight.numel()
    if isinstance(layer, nn.modules.conv._ConvNd):
        return y.numel() // layer.out_channels * layer.weight.numel()
    if isinstance(layer, nn.Linear):
        return y.numel() * layer.in_features
    if isinstance(layer, nn.RNNBase | nn.RNNCellBase):
        return math.prod(x.shape[:-1]) * sum(w.numel() for w in layer.parameters() if w.ndim == 2)
    return 0
