"""Linear sampling as it is defined: one point at a time, one neighbour at a time, in Python numbers."""

import itertools
import math

import torch
from torch import Tensor


def sample_loop(image: Tensor, points: Tensor, border: str = "replicate") -> Tensor:
    batch, channels, *size = image.shape
    out = torch.zeros(batch, channels, *points.shape[2:], dtype=image.dtype)
    for n, c, *place in itertools.product(range(batch), range(channels), *map(range, points.shape[2:])):
        point = [points[(n, axis, *place)].item() for axis in range(len(size))]
        out[(n, c, *place)] = value_at(image[n, c], point, border)
    return out


def value_at(image: Tensor, point: list[float], border: str = "replicate") -> float:
    if border == "replicate":
        point = [min(max(x, 0.0), n - 1.0) for x, n in zip(point, image.shape)]
    total = 0.0
    for up in itertools.product((0, 1), repeat=image.ndim):
        pixel = [math.floor(x) + u for x, u in zip(point, up)]
        weight = math.prod(1 - abs(x - i) for x, i in zip(point, pixel))
        if all(0 <= i < n for i, n in zip(pixel, image.shape)):
            total += weight * image[tuple(pixel)].item()
    return total
