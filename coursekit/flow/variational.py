"""Horn–Schunck and TV-L1: one flow for the whole image, as close to brightness constancy and as smooth as possible.

Both minimise data term + smoothness over all pixels at once, so the motion of a corner spreads into flat places. Horn
and Schunck square both terms: every step is an average, and motion boundaries are smoothed away. TV-L1 takes absolute
values: outliers (occlusions, highlights) count less, and a flow that jumps costs no more than one that climbs.

``flow.pyramid`` has what both share: ρ(u) = r + g·u, the brightness that a flow u leaves unexplained, with the residual
r and the slope g of the warped frame; and the way from small images to large ones.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit.fast.total_variation import TVL1
from coursekit.flow.pyramid import Flow, Frames, coarse_to_fine, door, linearise, shifted

Dual = Float[Tensor, "N ndim ndim *size"]  # a vector along the axes for each component of a flow


@torch.no_grad()
def horn_schunck(
    first: Frames, second: Frames, *, smoothness: float = 0.2, warps: int = 5, iterations: int = 50, smallest: int = 16
) -> Float[Tensor, "N ndim *size"]:
    """The flow u with ``second(x + u(x)) ≈ first(x)`` that minimises ``∫ ρ(u)² + α² |∇u|²``, α ∝ ``smoothness``.

    Each iteration is ``u = ū − g (r + g·ū) / (smoothness² + |g|²)`` (Horn and Schunck 1981, "Iterative solution"),
    where ū is the mean of the neighbours: go to the average, then step along the gradient g towards the line on which
    brightness is constant. Here ū is the mean of the 2·ndim nearest, in any dimension (the paper adds the diagonals,
    for 2D), and ``smoothness² = 2·ndim·α²``. It is in brightness a pixel: a gradient well above it is believed, one
    well below it is filled in. Far too small, it lets noise in flat places throw the flow about.

    ``first``, ``second``: (N, 1, H, W) or (N, 1, D, H, W), N pairs at once, brightness in [0, 1].
    Returns (N, ndim, *size) in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``. Raises ValueError for anything else.
    """
    door(first, second, smoothness=smoothness, warps=warps, iterations=iterations)

    def refine(a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
        for _ in range(warps):
            residual, slope = linearise(a, b, flow)
            step = slope / (smoothness**2 + slope.square().sum(1, keepdim=True))
            for _ in range(iterations):
                mean = neighbour_mean(flow)
                flow = mean - step * (residual + (slope * mean).sum(1, keepdim=True))
        return flow

    return coarse_to_fine(first, second, refine, smallest=smallest)


def neighbour_mean(flow: Flow) -> Flow:
    """The mean of the 2·ndim nearest neighbours of each pixel, the edge repeated."""
    total = torch.zeros_like(flow)
    for axis in range(2, flow.ndim):
        total += shifted(flow, axis, 1)
        total += shifted(flow, axis, -1)
    return total / (2 * (flow.ndim - 2))


@torch.no_grad()
def tv_l1(
    first: Frames,
    second: Frames,
    *,
    attachment: float = 15.0,
    tightness: float = 0.3,
    warps: int = 5,
    iterations: int = 10,
    smallest: int = 16,
) -> Float[Tensor, "N ndim *size"]:
    """The flow u with ``second(x + u(x)) ≈ first(x)`` that minimises ``∫ λ |ρ(u)| + Σ |∇uᵢ|``, λ = ``attachment``.

    The two absolute values are taken apart by a twin v of u, held together by ``|u − v|² / 2θ``, θ = ``tightness``
    (Zach, Pock and Bischof 2007, sections 2 and 3). Each iteration is :func:`tv_l1_step`, its dual p
    zero at the start of a level; ``coursekit.fast.total_variation`` writes it in place.

    ``first``, ``second``: (N, 1, H, W) or (N, 1, D, H, W), N pairs at once, brightness in [0, 1].
    Returns (N, ndim, *size) in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``. Raises ValueError for anything else.
    """
    door(first, second, attachment=attachment, tightness=tightness, warps=warps, iterations=iterations)

    def refine(a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
        engine = TVL1(flow, attachment=attachment, tightness=tightness)
        for _ in range(warps):
            flow = engine.steps(flow, *linearise(a, b, flow), count=iterations)
        return flow

    return coarse_to_fine(first, second, refine, smallest=smallest)


def tv_l1_step(
    u: Flow, p: Dual, residual: Frames, slope: Flow, *, attachment: float, tightness: float
) -> tuple[Flow, Dual]:
    """One iteration: v at fixed u, pixel by pixel, then a step for u at fixed v with its dual p (Chambolle 2004).

    v minimises ``λ |ρ(v)| + |u − v|² / 2θ``: go along the slope g until ρ = 0, at most λθ times g.
    u goes towards the minimum of ``Σ |∇uᵢ| + |u − v|² / 2θ``: ``u = v + θ div p``, then
    ``p = (p + τ/θ ∇u) / (1 + τ/θ |∇u|)``; p is one vector ``|p| ≤ 1`` for each pixel and component, τ = 1 / 2·ndim.
    """
    rho = residual + (slope * u).sum(1, keepdim=True)
    squared = slope.square().sum(1, keepdim=True).clamp(min=1e-12)
    reach = attachment * tightness
    v = u - slope * (rho / squared).clamp(-reach, reach)
    u = v + tightness * divergence(p)
    step = 0.5 / u.shape[1] / tightness * gradient(u)
    return u, (p + step) / (1 + step.norm(dim=2, keepdim=True))


def gradient(u: Flow) -> Dual:
    """Forward differences of each component along each axis, 0 at the far edge."""
    return torch.stack([shifted(u, axis, 1) - u for axis in range(2, u.ndim)], 2)


def divergence(p: Dual) -> Flow:
    """Backward differences, each along its axis, from 0 before the first: minus the adjoint of ``gradient``."""
    parts = enumerate(p.unbind(2), start=2)
    return torch.stack([torch.diff(x, dim=axis, prepend=0 * x.narrow(axis, 0, 1)) for axis, x in parts]).sum(0)
