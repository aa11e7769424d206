"""Flow to look at and flow for a network: the colour wheel, and components as channels in [0, 255]."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.ops.warp import grid

# Red, yellow, green, cyan, blue, magenta: where each begins, and how many steps to the next.
CORNERS = (((1, 0, 0), 15), ((1, 1, 0), 6), ((0, 1, 0), 4), ((0, 1, 1), 11), ((0, 0, 1), 13), ((1, 0, 1), 6))


def colour_wheel(*, dtype: torch.dtype = torch.float32) -> Float[Tensor, "55 3"]:
    """The 55 colours of Baker et al. 2011, red to red, RGB in [0, 1]: more steps where the eye tells more apart."""
    steps = []
    for (start, count), (end, _) in zip(CORNERS, (*CORNERS[1:], CORNERS[0])):
        a, b = torch.tensor(start, dtype=dtype), torch.tensor(end, dtype=dtype)
        steps.append(a + (b - a) * torch.arange(count, dtype=dtype)[:, None] / count)
    return torch.cat(steps)


def flow_to_colour(flow: Float[Tensor, "N 2 H W"], *, largest: float | None = None) -> Float[Tensor, "N 3 H W"]:
    """Direction as hue and speed as saturation, RGB in [0, 1] (Baker et al. 2011, the Middlebury code).

    ``flow``: (N, 2, H, W), channels ``(dy, dx)``. Right is red, down yellow, left cyan-blue, up violet; no motion is
    white and ``largest`` pixels the full colour, faster ones darker. By default ``largest`` is the fastest vector of
    the whole batch: give a number to compare pictures. An unknown vector, NaN or infinite, is black. For a volume, show
    two components of one slice. ValueError for another shape, an integer dtype or ``largest`` not above 0.
    """
    _check.tensor("flow", flow, "N 2 H W", "pass the two components (dy, dx) of one plane", of="floating")
    if largest is not None:
        _check.positive("largest", largest)
    known = flow.isfinite().all(1, keepdim=True)  # (N, 1, H, W)
    wide = flow.to(_check.wide_dtype(flow))
    dy, dx = wide.where(known, 0).unbind(1)
    speed = torch.hypot(dy, dx)  # (N, H, W)
    if largest is not None:
        speed = speed / largest
    elif speed.numel():
        speed = speed / speed.max().clamp(min=torch.finfo(wide.dtype).tiny)
    wheel = colour_wheel(dtype=wide.dtype).to(wide.device)
    place = torch.atan2(dy, dx) / (2 * math.pi) % 1 * (len(wheel) - 1)  # on the wheel, from right over down
    low = place.floor()
    between, index = (place - low)[..., None], low.long()
    hue = (1 - between) * wheel[index] + between * wheel[(index + 1) % len(wheel)]  # (N, H, W, 3)
    hue = hue.movedim(-1, 0)
    colour = torch.where(speed <= 1, 1 - speed * (1 - hue), 0.75 * hue).movedim(0, 1)
    return (colour * known).to(flow.dtype)


def colour_key(size: int = 65) -> Float[Tensor, "3 size size"]:
    """The picture to put beside: each pixel in the colour of the motion from the middle to it, round, on white."""
    _check.positive("size", size)
    radius = max((size - 1) / 2, 1.0)
    flow = grid((size, size)) - (size - 1) / 2
    colour = flow_to_colour(flow[None], largest=radius)[0]
    return torch.where(flow.norm(dim=0) <= radius, colour, torch.ones_like(colour))


def to_channels(flow: Float[Tensor, "N ndim *size"], *, bound: float = 20.0) -> Float[Tensor, "N ndim *size"]:
    """Flow as a network's input: clipped to ±``bound`` pixels, then [−bound, bound] → [0, 255]; no motion is 127.5.

    Simonyan and Zisserman 2014 rescale flow to [0, 255] to store it as 8-bit images; the bound of 20 pixels is that
    of temporal segment networks (Wang et al. 2016) and of I3D (Carreira and Zisserman 2017, who then use [−1, 1]).
    The channels keep our order ``(dy, dx)``: published weights expect ``(dx, dy)``, so flip axis 1 for them. Rounding
    to uint8, which is left to you, costs up to ``bound / 255`` pixels. Raises ValueError if the flow is not finite.
    """
    _check.numbers("flow", flow)
    _check.positive("bound", bound)
    wide = flow.to(_check.wide_dtype(flow))
    return ((wide.clamp(-bound, bound) + bound) * (255 / (2 * bound))).to(flow.dtype)
