"""How far a flow is from the truth: end-point error in pixels, angular error in degrees."""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from coursekit import _check

Flow = Float[Tensor, "N ndim *size"]


@dataclass(frozen=True)
class MotionError:
    """Means over all counted pixels of all pairs together; NaN where there is none."""

    end_point: float  # pixels
    angular_deg: float
    over_1px: float  # share of pixels with an end-point error above 1
    over_3px: float  # … above 3
    pixels: int  # how many were counted


def end_point_error(truth: Flow, flow: Flow) -> Float[Tensor, "N *size"]:
    """The length of the difference, in pixels, at each pixel (Otte and Nagel 1994)."""
    truth, flow = _door(truth, flow)
    length: Tensor = torch.linalg.vector_norm(flow - truth, dim=1)
    return length


def angular_error(truth: Flow, flow: Flow) -> Float[Tensor, "N *size"]:
    """The angle in degrees between ``(truth, 1)`` and ``(flow, 1)``: directions in space and time (Barron et al. 1994).

    The 1 (a frame) makes it defined for no motion; it also makes the same miss weigh less at high speed: read it beside
    the end-point error. Computed from the half angle, ``tan(φ/2) = |a − b| / |a + b|``, exact for small angles.
    """
    truth, flow = _door(truth, flow)
    a, b = (torch.cat([f, torch.ones_like(f[:, :1])], 1) for f in (truth, flow))  # (N, ndim + 1, *size)
    a, b = (v / torch.linalg.vector_norm(v, dim=1, keepdim=True) for v in (a, b))
    half = torch.atan2(torch.linalg.vector_norm(a - b, dim=1), torch.linalg.vector_norm(a + b, dim=1))
    return half * (360 / math.pi)


def motion_error(truth: Flow, flow: Flow, *, valid: Bool[Tensor, "N *size"] | None = None) -> MotionError:
    """Both errors over the pixels where ``valid`` (default: all), as a record.

    ``truth``, ``flow``: (N, 2, H, W) or (N, 3, D, H, W), in pixels. Leave out, with ``valid``, what has no true
    motion: pixels that leave the image, are hidden in the second frame, or were not measured (there NaN and infinity
    are admitted). Raises ValueError if shapes differ, or a valid vector is not finite.
    """
    truth, flow = _door(truth, flow)
    if valid is None:
        valid = torch.ones_like(truth[:, 0], dtype=torch.bool)
    _check.tensor("valid", valid, " ".join(map(str, truth[:, 0].shape)), "give one truth value a pixel", of="boolean")
    _check.same_device(truth=truth, valid=valid)
    t, f = (x.movedim(1, -1)[valid] for x in (truth, flow))  # (pixels, ndim)
    _check.finite("truth where valid", t)
    _check.finite("flow where valid", f)
    ends, angles = end_point_error(t, f), angular_error(t, f)
    over_1px, over_3px = (_check.above(ends, limit).to(ends.dtype).mean().item() for limit in (1, 3))
    return MotionError(ends.mean().item(), angles.mean().item(), over_1px, over_3px, len(ends))


def _door(truth: Tensor, flow: Tensor) -> tuple[Tensor, Tensor]:
    """The two flows in the dtype to compute in."""
    _check.floating("truth", truth)
    _check.floating("flow", flow)
    if truth.shape != flow.shape or truth.ndim < 2:
        got = f"{tuple(truth.shape)} and {tuple(flow.shape)}"
        raise _check.refuse("truth and flow of one shape (N, ndim, ...)", got, "put the vector in axis 1, truth first")
    _check.same_device(truth=truth, flow=flow)
    dtype = _check.wide_dtype(truth, flow)
    return truth.to(dtype), flow.to(dtype)
