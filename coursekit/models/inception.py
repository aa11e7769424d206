"""The Inception module and its network, in 2D for images and in 3D (I3D) for clips, by one body.

Layers have the same names in both, so a 2D network's weights become the 3D network's by ``ops.inflate.inflate_state``;
a still clip then gives what the image gives, for which time is padded with its first and last frame.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check
from ..ops.inflate import PaddedConv3d, PaddedMaxPool3d


class Branches(NamedTuple):
    """Channels of one module: 1×1; 1×1, then 3×3; 1×1, then another 3×3 (5×5 in GoogLeNet); the pool, then 1×1."""

    one: int
    reduce3: int
    three: int
    reduce5: int
    five: int
    pool: int

    @property
    def outputs(self) -> int:
        return self.one + self.three + self.five + self.pool


class Plan(NamedTuple):
    """Channels of the stem's three convolutions, and of the modules between the pools."""

    stem: tuple[int, int, int]
    stages: tuple[tuple[Branches, ...], ...]


SMALL = Plan((8, 8, 16), ((Branches(8, 8, 12, 4, 6, 6),), (Branches(16, 12, 24, 4, 12, 12),)))
FULL = Plan(  # Szegedy et al. 2015, table 1, as in I3D
    (64, 64, 192),
    (
        (Branches(64, 96, 128, 16, 32, 32), Branches(128, 128, 192, 32, 96, 64)),
        (
            Branches(192, 96, 208, 16, 48, 64),
            Branches(160, 112, 224, 24, 64, 64),
            Branches(128, 128, 256, 24, 64, 64),
            Branches(112, 144, 288, 32, 64, 64),
            Branches(256, 160, 320, 32, 128, 128),
        ),
        (Branches(256, 160, 320, 32, 128, 128), Branches(384, 192, 384, 48, 128, 128)),
    ),
)


def conv(inputs: int, outputs: int, kernel: int, *, ndim: int, stride: int = 1, stride_time: int = 1) -> nn.Sequential:
    """Convolution of ``kernel`` along every axis, batch norm, ReLU; sizes are divided by the stride, rounded up."""
    half, relu = kernel // 2, nn.ReLU(inplace=True)
    if ndim == 2:
        flat = nn.Conv2d(inputs, outputs, kernel, stride, half, bias=False)
        return nn.Sequential(flat, nn.BatchNorm2d(outputs), relu)
    strides, padding = (stride_time, stride, stride), (0, half, half)
    deep = PaddedConv3d(inputs, outputs, (kernel, kernel, kernel), strides, padding, bias=False)
    return nn.Sequential(deep, nn.BatchNorm3d(outputs), relu)


def pool(*, ndim: int, stride: int, frames: int = 3, stride_time: int = 1) -> nn.Module:
    """The largest of 3 × 3 pixels, and of ``frames`` frames."""
    if ndim == 2:
        return nn.MaxPool2d(3, stride, 1)
    return PaddedMaxPool3d((frames, 3, 3), (stride_time, stride, stride), (0, 1, 1))


class InceptionModule(nn.Module):
    """Four looks at one input, side by side: ``(N, inputs, *size) -> (N, branches.outputs, *size)``.

    Source: Szegedy et al. 2015, figure 2b; Carreira and Zisserman 2017, figure 3.
    """

    def __init__(self, inputs: int, branches: Branches, *, ndim: int) -> None:
        super().__init__()
        _check.one_of("ndim", ndim, (2, 3))
        b = branches
        self.one = conv(inputs, b.one, 1, ndim=ndim)
        self.three = nn.Sequential(conv(inputs, b.reduce3, 1, ndim=ndim), conv(b.reduce3, b.three, 3, ndim=ndim))
        self.five = nn.Sequential(conv(inputs, b.reduce5, 1, ndim=ndim), conv(b.reduce5, b.five, 3, ndim=ndim))
        self.pool = nn.Sequential(pool(ndim=ndim, stride=1), conv(inputs, b.pool, 1, ndim=ndim))

    def forward(self, x: Float[Tensor, "N C *size"]) -> Float[Tensor, "N K *size"]:
        return torch.cat([self.one(x), self.three(x), self.five(x), self.pool(x)], 1)


class Inception(nn.Module):
    """Stem, Inception modules with pools between, mean, class: ``(N, in_channels, [T,] H, W) -> (N, classes)``.

    ``ndim=2`` is GoogLeNet's trunk (batch norm instead of its two side exits), ``ndim=3`` I3D. Space is halved by the
    stem's convolution, twice by its pools, and before every stage but the first. ``stride_time``: frames are halved
    by the stem's convolution and before every stage but the first, as in I3D; off, every frame is kept, for short
    clips. ``FULL`` has the papers' sizes.
    """

    def __init__(
        self,
        *,
        ndim: int,
        classes: int,
        in_channels: int = 3,
        plan: Plan = SMALL,
        stride_time: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        _check.one_of("ndim", ndim, (2, 3))
        step, (a, b, c) = 2 if stride_time else 1, plan.stem
        self.stem = nn.Sequential(
            conv(in_channels, a, 7, ndim=ndim, stride=2, stride_time=step),
            pool(ndim=ndim, stride=2, frames=1),
            conv(a, b, 1, ndim=ndim),
            conv(b, c, 3, ndim=ndim),
            pool(ndim=ndim, stride=2, frames=1),
        )
        layers: list[nn.Module] = []
        for i, stage in enumerate(plan.stages):
            layers += [pool(ndim=ndim, stride=2, stride_time=step)] if i else []
            for branches in stage:
                layers.append(InceptionModule(c, branches, ndim=ndim))
                c = branches.outputs
        self.body, self.ndim = nn.Sequential(*layers), ndim
        self.head = nn.Sequential(nn.Dropout(dropout), nn.Linear(c, classes))

    def forward(self, x: Float[Tensor, "N C *size"]) -> Float[Tensor, "N K"]:
        axes = "N C H W" if self.ndim == 2 else "N C T H W"
        _check.tensor("x", x, axes, "pass images to the 2D network and clips to the 3D one")
        maps = self.body(self.stem(x))
        logits: Tensor = self.head(maps.flatten(2).mean(2))  # the mean over space, and time
        return logits
