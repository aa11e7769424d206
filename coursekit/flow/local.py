"""Lucas–Kanade: the motion of a small window, by least squares."""

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.flow.pyramid import Flow, Frames, blur, coarse_to_fine, door, linearise


@torch.no_grad()
def lucas_kanade(
    first: Frames, second: Frames, *, window: float = 4.0, damping: float = 1e-4, warps: int = 5, smallest: int = 16
) -> Float[Tensor, "N ndim *size"]:
    """The flow u with ``second(x + u(x)) ≈ first(x)``, constant over a Gaussian window around each pixel.

    In each window it minimises ``Σ w ρ(u)² + damping · |u − u₀|²``, w a Gaussian of ``window`` pixels: ndim equations
    ``(G + damping·1) u = damping·u₀ − Σ w g r``, with the structure tensor ``G = Σ w g gᵀ``. Where the window shows
    no structure in some direction (the aperture problem) G is singular, and ``damping`` keeps the motion u₀ found so
    far, on a coarser level. A box window in place of the Gaussian lets errors grow from warp to warp.

    ``first``, ``second``: (N, 1, H, W) or (N, 1, D, H, W), N pairs at once, brightness in [0, 1].
    Returns (N, ndim, *size) in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``. Raises ValueError for anything else.
    Lucas and Kanade 1981; on a pyramid as by Bouguet 2001, with ``warps`` linearisations a level.
    """
    door(first, second, window=window, damping=damping, warps=warps)

    def refine(a: Tensor, b: Tensor, flow: Tensor) -> Tensor:
        damp = damping * torch.eye(flow.shape[1], dtype=flow.dtype, device=flow.device)
        for _ in range(warps):
            residual, slope = linearise(a, b, flow)
            matrix = structure_tensor(slope, window).movedim((1, 2), (-2, -1)) + damp  # (N, *size, ndim, ndim)
            right = damping * flow - blur(slope * residual, window)  # (N, ndim, *size)
            flow = torch.linalg.solve(matrix, right.movedim(1, -1)).movedim(-1, 1)
        return flow

    return coarse_to_fine(first, second, refine, smallest=smallest)


def structure_tensor(slope: Flow, window: float) -> Float[Tensor, "N ndim ndim *size"]:
    """``G = Σ w g gᵀ`` around each pixel: a corner has two large eigenvalues, an edge one, a flat place none."""
    wide = slope.to(_check.wide_dtype(slope))
    products = wide[:, :, None] * wide[:, None]  # (N, ndim, ndim, *size)
    return blur(products.flatten(1, 2), window).reshape(products.shape).to(slope.dtype)
