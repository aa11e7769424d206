"""The three flow methods on one level of the pyramid, pixel by pixel, as they are defined. One pair, any dimension."""

import itertools
import math

import numpy as np
import torch
from numpy.typing import NDArray

from .warp_loop import value_at

Array = NDArray[np.float64]


def at(x: Array, place: tuple[int, ...], axis: int = 0, by: int = 0) -> float:
    """``x`` one step aside, the edge repeated."""
    aside = list(place)
    aside[axis] = min(max(aside[axis] + by, 0), x.shape[axis] - 1)
    return float(x[tuple(aside)])


def linearise_loop(first: Array, second: Array, flow: Array) -> tuple[Array, Array]:
    """r and g of ρ(u) = r + g·u."""
    ndim, image = first.ndim, torch.from_numpy(second)
    warped = np.zeros_like(first)
    for place in np.ndindex(first.shape):
        warped[place] = value_at(image, [i + flow[(axis, *place)] for axis, i in enumerate(place)])
    residual, slope = np.zeros_like(first), np.zeros_like(flow)
    for place in np.ndindex(first.shape):
        for axis in range(ndim):
            slope[(axis, *place)] = (at(warped, place, axis, 1) - at(warped, place, axis, -1)) / 2
        residual[place] = (
            warped[place] - first[place] - sum(slope[(a, *place)] * flow[(a, *place)] for a in range(ndim))
        )
    return residual, slope


def lucas_kanade_loop(first: Array, second: Array, *, window: float, damping: float, warps: int) -> Array:
    """A weighted least-squares problem for each pixel, one row of it for each pixel of the window."""
    flow = np.zeros((first.ndim, *first.shape))
    radius = max(1, math.ceil(3 * window))
    offsets = list(itertools.product(range(-radius, radius + 1), repeat=first.ndim))
    weights = np.array([math.exp(-sum(o * o for o in offset) / (2 * window**2)) for offset in offsets])
    weights /= weights.sum()
    for _ in range(warps):
        residual, slope = linearise_loop(first, second, flow)
        better = np.zeros_like(flow)
        for place in np.ndindex(first.shape):
            near = [
                tuple(min(max(i + o, 0), n - 1) for i, o, n in zip(place, offset, first.shape)) for offset in offsets
            ]
            rows = [math.sqrt(w) * slope[(slice(None), *p)] for w, p in zip(weights, near)]
            right = [-math.sqrt(w) * residual[p] for w, p in zip(weights, near)]
            here = flow[(slice(None), *place)]
            rows += list(math.sqrt(damping) * np.eye(first.ndim))
            right += list(math.sqrt(damping) * here)
            better[(slice(None), *place)] = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
        flow = better
    return flow


def horn_schunck_loop(first: Array, second: Array, *, smoothness: float, warps: int, iterations: int) -> Array:
    ndim = first.ndim
    flow = np.zeros((ndim, *first.shape))
    for _ in range(warps):
        residual, slope = linearise_loop(first, second, flow)
        for _ in range(iterations):
            old = flow.copy()
            for place in np.ndindex(first.shape):
                mean = [
                    sum(at(old[c], place, a, by) for a in range(ndim) for by in (-1, 1)) / (2 * ndim)
                    for c in range(ndim)
                ]
                g = [slope[(c, *place)] for c in range(ndim)]
                rho = residual[place] + sum(x * y for x, y in zip(g, mean))
                for c in range(ndim):
                    flow[(c, *place)] = mean[c] - g[c] * rho / (smoothness**2 + sum(x * x for x in g))
    return flow


def tv_l1_loop(
    first: Array, second: Array, *, attachment: float, tightness: float, warps: int, iterations: int
) -> Array:
    """Zach, Pock and Bischof 2007: the threshold in its three cases, then one step of the dual."""
    ndim = first.ndim
    flow = np.zeros((ndim, *first.shape))
    dual = np.zeros((ndim, ndim, *first.shape))  # component of the flow, axis
    reach, tau = attachment * tightness, 0.5 / ndim
    for _ in range(warps):
        residual, slope = linearise_loop(first, second, flow)
        for _ in range(iterations):
            twin = np.zeros_like(flow)
            for place in np.ndindex(first.shape):
                here, g = flow[(slice(None), *place)], slope[(slice(None), *place)]
                rho, energy = residual[place] + g @ here, g @ g
                if rho < -reach * energy:
                    step = reach * g
                elif rho > reach * energy:
                    step = -reach * g
                else:
                    step = -rho * g / energy if energy > 1e-12 else 0 * g
                twin[(slice(None), *place)] = here + step
            for c, place in itertools.product(range(ndim), np.ndindex(first.shape)):
                divergence = sum(
                    dual[(c, a, *place)] - (dual[(c, a, *_back(place, a))] if place[a] else 0) for a in range(ndim)
                )
                flow[(c, *place)] = twin[(c, *place)] + tightness * divergence
            for c, place in itertools.product(range(ndim), np.ndindex(first.shape)):
                slopes = np.array([at(flow[c], place, a, 1) - flow[(c, *place)] for a in range(ndim)])
                moved = dual[(c, slice(None), *place)] + tau / tightness * slopes
                dual[(c, slice(None), *place)] = moved / (1 + tau / tightness * np.linalg.norm(slopes))
    return flow


def _back(place: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(i - (a == axis) for a, i in enumerate(place))
