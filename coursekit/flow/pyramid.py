"""What the flow methods share: brightness constancy made linear, smoothing, and coarse-to-fine.

All of them ask for the motion u that keeps the brightness, ``second(x + u(x)) = first(x)``, and expand the left side
around the motion u₀ known so far: ``ρ(u) = second(x + u₀) + ∇second(x + u₀)·(u − u₀) − first(x)``, one equation a
pixel for ndim unknowns (Lucas and Kanade 1981; Horn and Schunck 1981). The methods differ in what they add to it. The
expansion holds for motions of about a pixel only, so larger ones are found on smaller images first.
"""

import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.ops.warp import warp

Frames = Float[Tensor, "N 1 *size"]
Flow = Float[Tensor, "N ndim *size"]
Refine = Callable[[Tensor, Tensor, Tensor], Tensor]  # (first, second, flow so far) -> better flow


def derivatives(image: Frames) -> Flow:
    """Central differences ``(image[i + 1] − image[i − 1]) / 2`` along each axis, the edge repeated."""
    return torch.cat([(shifted(image, axis, 1) - shifted(image, axis, -1)) / 2 for axis in range(2, image.ndim)], dim=1)


def shifted(x: Tensor, axis: int, by: int) -> Tensor:
    """``x[i + by]`` along ``axis`` for ``by`` = 1 or −1, the edge repeated."""
    n = x.shape[axis]
    if by > 0:
        return torch.cat([x.narrow(axis, 1, n - 1), x.narrow(axis, n - 1, 1)], axis)
    return torch.cat([x.narrow(axis, 0, 1), x.narrow(axis, 0, n - 1)], axis)


def linearise(first: Frames, second: Frames, flow: Flow) -> tuple[Frames, Flow]:
    """The residual r and the slope g of ``ρ(u) = r + g·u`` around ``flow``, g taken on the warped second frame."""
    warped = warp(second, flow)
    slope = derivatives(warped)
    return warped - first - (slope * flow).sum(1, keepdim=True), slope


def blur(x: Float[Tensor, "N C *size"], sigma: float) -> Float[Tensor, "N C *size"]:
    """Gaussian smoothing along every axis, cut at 3σ, the edge repeated; ``sigma`` in pixels."""
    radius = max(1, math.ceil(3 * sigma))
    t = torch.arange(-radius, radius + 1, dtype=x.dtype, device=x.device)
    kernel = torch.softmax(-(t**2) / (2 * sigma**2), 0).view(1, 1, -1)
    for axis in range(2, x.ndim):
        lines = x.movedim(axis, -1)
        padded = F.pad(lines.reshape(-1, 1, x.shape[axis]), (radius, radius), mode="replicate")
        x = F.conv1d(padded, kernel).reshape(lines.shape).movedim(-1, axis)
    return x


def resize_flow(flow: Flow, size: Sequence[int]) -> Float[Tensor, "N ndim *new"]:
    """The same motion on a grid of ``size``: interpolated linearly, and each component counted in the new pixels."""
    ratio = [new / old for new, old in zip(size, flow.shape[2:])]
    resized = F.interpolate(flow, tuple(size), mode="bilinear" if flow.ndim == 4 else "trilinear", align_corners=False)
    return resized * torch.tensor(ratio, dtype=flow.dtype, device=flow.device).view(-1, *[1] * (flow.ndim - 2))


def coarse_to_fine(first: Frames, second: Frames, refine: Refine, *, smallest: int = 16) -> Flow:
    """Call ``refine(first, second, flow)`` on each level of the pyramid, from the smallest, its flow handed on.

    A level has half the pixels of the finer one (means of 2 × 2) along each axis that stays at ``smallest`` or above.
    Starts from no motion; an empty batch or frame has an empty flow. Half precision is computed in float32.
    """
    _check.positive("smallest", smallest)
    if first.numel() == 0:
        return first.new_zeros(len(first), first.ndim - 2, *first.shape[2:])
    dtype = _check.wide_dtype(first)
    a, b = first.to(dtype), second.to(dtype)
    levels = [(a, b)]
    while (size := tuple(n // 2 if n // 2 >= smallest else n for n in a.shape[2:])) != a.shape[2:]:
        a, b = F.interpolate(a, size, mode="area"), F.interpolate(b, size, mode="area")
        levels.append((a, b))
    flow = a.new_zeros(len(a), a.ndim - 2, *a.shape[2:])
    for a, b in reversed(levels):
        flow = refine(a, b, flow if flow.shape[2:] == a.shape[2:] else resize_flow(flow, a.shape[2:]))
    return flow.to(first.dtype)


def door(first: object, second: object, **knobs: float) -> None:
    """Refuse frames not ``(N, 1, H, W)`` or ``(N, 1, D, H, W)``, unlike, or beyond [0, 1], and knobs not above 0."""
    for name, value in knobs.items():
        _check.positive(name, value)
    for name, frame in (("first", first), ("second", second)):
        if not isinstance(frame, Tensor) or frame.ndim not in (4, 5) or frame.shape[1] != 1:
            got = tuple(frame.shape) if isinstance(frame, Tensor) else type(frame).__name__
            advice = "take the mean of the colours, and put pairs in front"
            raise _check.refuse(f"{name} of shape (N, 1, H, W) or (N, 1, D, H, W)", got, advice)
        _check.numbers(name, frame)
        _check.within(name, frame, 0, 1, "divide both frames by the same number, e.g. 255")
    assert isinstance(first, Tensor)
    assert isinstance(second, Tensor)
    _check.same_shape("crop or resample one", first=first, second=second)
    if first.dtype != second.dtype:
        raise _check.refuse("two frames of one dtype", f"{first.dtype} and {second.dtype}", "convert one of them")
