"""A phantom of fluorescent nuclei, and the way to lay nuclei on an image so that their masks are known.

A widefield fluorescence image is a sum of light: background plus what each nucleus emits, blurred by the optics, plus
noise. A ``Stamp`` is one nucleus, its light and its mask; ``scatter`` lays stamps, drawn here or cut out of a real
image (``pasting``), and keeps the exact instance masks.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from ... import _check
from ...types import Image, LabelMap
from ..seeds import uniform

HALO = 8  # pixels around a mask that still receive its light
LARGEST = 15.0  # longest semi-axis of a phantom nucleus in pixels; with its lobes it spans less than 32
TRIES = 400  # places tried for one nucleus before the field counts as full


class Stamp(NamedTuple):
    """One nucleus: the light it adds and the pixels it owns."""

    light: Float[Tensor, "H W"]
    mask: Bool[Tensor, "H W"]


def nucleus(*, generator: Generator) -> Stamp:
    """A lobed ellipse, brighter in the middle, blurred by 1.8 pixels. It owns the pixels whose centres lie inside."""
    major = uniform(10, LARGEST, generator=generator)
    minor = major * uniform(0.5, 0.85, generator=generator)
    angle, phase = uniform(0, math.pi, generator=generator), uniform(0, 2 * math.pi, generator=generator)
    reach = math.ceil(1.1 * major) + HALO
    axis = torch.arange(-reach, reach + 1, device=generator.device, dtype=torch.float32)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    u = (x * math.cos(angle) + y * math.sin(angle)) / major
    v = (y * math.cos(angle) - x * math.sin(angle)) / minor
    radius = torch.hypot(u, v) / (1 + 0.04 * torch.cos(3 * torch.atan2(v, u) + phase))  # 1 on the contour
    mask = radius < 1
    brightness = 0.12 + 0.5 * uniform(0, 1, generator=generator) ** 2  # most are dim
    return Stamp(blur(brightness * (1 - 0.3 * radius**2) * mask, sigma=1.8), mask)


def blur(x: Float[Tensor, "H W"], *, sigma: float) -> Float[Tensor, "H W"]:
    """Gaussian blur in pixels, cut at three sigma; nothing comes in from outside the image."""
    reach = math.ceil(3 * sigma)
    offsets = torch.arange(-reach, reach + 1, device=x.device, dtype=x.dtype)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma**2), 0)
    columns = F.conv2d(x[None, None], kernel.view(1, 1, -1, 1), padding=(reach, 0))
    return F.conv2d(columns, kernel.view(1, 1, 1, -1), padding=(0, reach))[0, 0]


def scatter(
    stamps: Iterable[Stamp], background: Float[Tensor, "H W"], *, touching: float = 0.3, generator: Generator
) -> tuple[Float[Tensor, "H W"], LabelMap]:
    """Lay stamps on a background: returns the sum of light and the labels, 1 … n in the order of the stamps.

    ``touching`` is the share of nuclei that are put against an earlier one, where there is room; all others keep a
    free pixel around them. A nucleus may lie up to a tenth under an earlier one, which keeps the shared pixels.
    Nuclei may be cut by the edge of the image, not by more than half. Raises ``ValueError`` when the field is full.
    """
    _check.within("touching", torch.tensor(touching), 0, 1, "it is a share of all nuclei")
    image, labels = background.clone(), torch.zeros(background.shape, dtype=torch.int64, device=background.device)
    for label, stamp in enumerate(stamps, start=1):
        against = label > 1 and uniform(0, 1, generator=generator) < touching
        taken = labels.nonzero() if against else None
        for attempt in range(2 * TRIES):
            against = against and attempt < TRIES  # where none can be touched, such as a speck, apart
            corner = _corner(labels, stamp, taken if against else None, generator)
            if _fits(labels, stamp, corner, against):
                break
        else:
            raise _check.refuse(f"room for {label} nuclei", f"a full image of {tuple(image.shape)}", "ask for fewer")
        _lay(image, labels, stamp, corner, label)
    return image, labels


def _corner(labels: LabelMap, stamp: Stamp, taken: Tensor | None, generator: Generator) -> tuple[int, int]:
    """Where to try the upper left corner of the stamp: anywhere, or near one of the ``taken`` pixels (P, 2)."""
    height, width = stamp.mask.shape
    if taken is None:
        row, column = (int(uniform(0, size, generator=generator)) for size in labels.shape)
    else:
        row, column = taken[int(uniform(0, len(taken), generator=generator))].tolist()
        turn, away = uniform(0, 2 * math.pi, generator=generator), uniform(5, LARGEST, generator=generator)
        row, column = row + round(away * math.sin(turn)), column + round(away * math.cos(turn))
    return row - height // 2, column - width // 2


def _overlap(canvas: Tensor, stamp: Stamp, corner: tuple[int, int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of the canvas under the stamp, and the part of the stamp on the canvas."""
    first = [max(start, 0) for start in corner]
    last = [max(a, min(c + size, end)) for a, c, size, end in zip(first, corner, stamp.mask.shape, canvas.shape)]
    on_canvas = tuple(slice(a, b) for a, b in zip(first, last))
    return on_canvas, tuple(slice(a - c, b - c) for a, b, c in zip(first, last, corner))


def _fits(labels: LabelMap, stamp: Stamp, corner: tuple[int, int], against: bool) -> bool:
    """At least half on the image; touching and at most a tenth hidden if it should touch, else apart."""
    on_canvas, of_stamp = _overlap(labels, stamp, corner)
    mask, taken = stamp.mask[of_stamp], labels[on_canvas] > 0
    area = int(stamp.mask.sum())
    if 2 * int(mask.sum()) < area or 10 * int((mask & taken).sum()) > area:
        return False  # most places fail here, before the slower look
    grown = F.max_pool2d(mask[None].float(), 3, 1, 1)[0] > 0 if mask.numel() else mask
    return bool((grown & taken).any()) == against


def _lay(image: Tensor, labels: Tensor, stamp: Stamp, corner: tuple[int, int], label: int) -> None:
    on_canvas, of_stamp = _overlap(labels, stamp, corner)
    image[on_canvas] += stamp.light[of_stamp]
    free = (labels[on_canvas] == 0) & stamp.mask[of_stamp]
    labels[on_canvas] = torch.where(free, label, labels[on_canvas])


def nuclei(
    *, count: int = 125, size: tuple[int, int] = (512, 512), touching: float = 0.3, generator: Generator
) -> tuple[Image, LabelMap]:
    """A phantom of fluorescent nuclei in [0, 1] with exact instance masks: image (1, H, W), labels (H, W).

    It leaves out what a real image has besides: out-of-focus nuclei, mitosis and debris, uneven light, wrong labels.
    """
    _check.positive("count", count, zero=True)
    _check.positive("size", size)
    dark = torch.zeros(size, device=generator.device)
    stamps = (nucleus(generator=generator) for _ in range(count))
    light, labels = scatter(stamps, dark, touching=touching, generator=generator)
    image = 0.05 + light + 0.1 * blur(light, sigma=8)  # a haze of light out of focus
    noise = torch.randn(size, generator=generator, device=generator.device) * (0.02 + 0.05 * image)
    return (image + noise).clamp(0, 1)[None], labels
