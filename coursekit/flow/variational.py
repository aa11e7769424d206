"""Horn–Schunck and TV-L1: one flow for the whole image, as close to brightness constancy and as smooth as possible.

Both minimise data term + smoothness over all pixels at once, so the motion of a corner spreads into flat places. Horn
and Schunck square both terms: every step is an average, and motion boundaries are smoothed away. TV-L1 takes absolute
values: outliers (occlusions, highlights) count less, and a flow that jumps costs no more than one that climbs.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.flow.pyramid import Flow, Frames, coarse_to_fine, door, linearise, shifted


@torch.no_grad()
def horn_schunck(
    first: Frames, second: Frames, *, smoothness: float = 0.2, warps: int = 5, iterations: int = 50, smallest: int = 16
) -> Float[Tensor, "N ndim *size"]:
    """The flow u with ``second(x + u(x)) ≈ first(x)`` that minimises ``∫ ρ(u)² + α² |∇u|²``, α ∝ ``smoothness``.

    Each iteration is ``u = ū − g (r + g·ū) / (smoothness² + |g|²)`` (Horn and Schunck 1981, "Iterative solution"),
    where ū is the mean of the neighbours: go to the average, then step along the gradient g towards the line on which
    brightness is constant. Here ū is the mean of the 2·ndim nearest, in any dimension (the paper adds the diagonals,
    for 2D), and ``smoothness² = 2·ndim·α²``. It is in brightness a pixel: a gradient well above it is believed, one
    well below it is filled in. Far too small a value lets noise in flat places throw the flow about, further with
    each warp.

    ``first``, ``second``: (N, 1, H, W) or (N, 1, D, H, W), N pairs at once, brightness in [0, 1].
    Returns (N, ndim, *size) in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``. Raises ValueError for anything else.
    """
    door(first, second)
    _check.positive("smoothness", smoothness)
    _check.positive("warps", warps)
    _check.positive("iterations", iterations)

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
    (Zach, Pock and Bischof 2007, sections 2 and 3). Each iteration solves for v at fixed u, pixel by pixel
    (:func:`_towards_data`), then takes one step for u at fixed v (:func:`_Dual.smooth`).

    ``first``, ``second``: (N, 1, H, W) or (N, 1, D, H, W), N pairs at once, brightness in [0, 1].
    Returns (N, ndim, *size) in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``. Raises ValueError for anything else.
    """
    door(first, second)
    _check.positive("attachment", attachment)
    _check.positive("tightness", tightness)
    _check.positive("warps", warps)
    _check.positive("iterations", iterations)

    def refine(a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
        dual = _Dual(flow, tightness)
        for _ in range(warps):
            residual, slope = linearise(a, b, flow)
            energy = slope.square().sum(1, keepdim=True).clamp_(min=1e-12)
            for _ in range(iterations):
                flow = dual.smooth(_towards_data(flow, residual, slope, energy, attachment * tightness))
        return flow

    return coarse_to_fine(first, second, refine, smallest=smallest)


def _towards_data(flow: Flow, residual: Frames, slope: Flow, energy: Frames, reach: float) -> Flow:
    """The v that minimises ``λ |ρ(v)| + |u − v|² / 2θ``: go along the slope g until ρ = 0, at most ``reach`` = λθ times
    g.
    """
    rho = residual.clone()
    for axis in range(flow.shape[1]):
        rho.addcmul_(slope[:, axis, None], flow[:, axis, None])
    return torch.addcmul(flow, slope, rho.div_(energy).clamp_(-reach, reach), value=-1)


class _Dual:
    """The dual variable p of the total variation, one vector ``|p| ≤ 1`` for each pixel and component of the flow
    (Chambolle 2004).

    Written in place: at these sizes a step costs as much in fresh memory as in arithmetic.
    """

    def __init__(self, flow: Flow, tightness: float) -> None:
        ndim = flow.shape[1]
        self.tightness, self.step = tightness, 0.5 / ndim / tightness
        self.p = [torch.zeros_like(flow) for _ in range(ndim)]  # one (N, ndim, *size) an axis
        self.gradient = [torch.zeros_like(flow) for _ in range(ndim)]
        self.norm = torch.empty_like(flow)

    def smooth(self, u: Flow) -> Flow:
        """One step from v, which is overwritten: ``u = v + θ div p``, then ``p = (p + τ/θ ∇u) / (1 + τ/θ |∇u|)``."""
        for axis, p in enumerate(self.p):  # backward differences, the adjoint of the forward ones below
            n = u.shape[axis + 2]
            u.add_(p, alpha=self.tightness)
            u.narrow(axis + 2, 1, n - 1).sub_(p.narrow(axis + 2, 0, n - 1), alpha=self.tightness)
        for axis, g in enumerate(self.gradient):  # forward differences, 0 at the far edge
            n = u.shape[axis + 2]
            torch.sub(u.narrow(axis + 2, 1, n - 1), u.narrow(axis + 2, 0, n - 1), out=g.narrow(axis + 2, 0, n - 1))
        torch.mul(self.gradient[0], self.gradient[0], out=self.norm)
        for g in self.gradient[1:]:
            self.norm.addcmul_(g, g)
        self.norm.sqrt_().mul_(self.step).add_(1)
        for p, g in zip(self.p, self.gradient):
            p.add_(g, alpha=self.step).div_(self.norm)
        return u
