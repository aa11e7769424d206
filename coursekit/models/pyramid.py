"""Features at several scales: a body that halves the image again and again, and a way back up (Lin et al. 2017).

The deep maps know what is there, the fine ones where. The pyramid adds what is known, doubled in size, to what is fine.
"""

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from .. import _check


def conv_norm_relu(inputs: int, outputs: int, *, halve: bool = False) -> nn.Sequential:
    """Convolution, batch norm, ReLU: ``(N, inputs, H, W) -> (N, outputs, H, W)``, or ``halve``: H // 2 and W // 2.

    Halving takes a 4×4 kernel, since that is centred on the 2×2 pixels its output stands for: cell ``i`` of the result
    then covers ``[2i, 2i + 2)``, as RoIAlign takes for granted. A 3×3 kernel at stride 2 is centred half a pixel off.
    """
    kernel, stride = (4, 2) if halve else (3, 1)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class SmallBody(nn.Module):
    """Stages of one halving and one more convolution each: maps ``(N, widths[i], …)`` of stride 2, 4, 8 …"""

    def __init__(self, in_channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        pairs = itertools.pairwise([in_channels, *widths])
        self.widths, self.strides = tuple(widths), tuple(2 ** (i + 1) for i in range(len(widths)))
        stages = (nn.Sequential(conv_norm_relu(a, b, halve=True), conv_norm_relu(b, b)) for a, b in pairs)
        self.stages = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps


class Pyramid(nn.Module):
    """Images ``(N, C, H, W)`` to maps ``(N, width, H / stride, W / stride)``, one for each of ``strides``, in order.

    ``body`` takes the images to maps of ``body.widths`` at ``body.strides``, finest first. 1×1 convolutions bring them
    to one width, each deeper one is doubled and added, a 3×3 convolution smooths the sum.
    """

    def __init__(self, body: SmallBody, *, strides: Sequence[int], width: int) -> None:
        super().__init__()
        if not set(strides) <= set(body.strides):
            raise _check.refuse(f"strides among the body's {body.strides}", tuple(strides), "ask for maps that it has")
        self.body, self.width, self.strides = body, width, tuple(strides)
        self.first = body.strides.index(min(strides))  # finer maps are not needed
        self.picked = [body.strides.index(s) - self.first for s in strides]
        self.lateral = nn.ModuleList(nn.Conv2d(w, width, 1) for w in body.widths[self.first :])
        self.smooth = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in strides)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps = self.body(images)[self.first :]
        *finer, x = (lateral(x) for lateral, x in zip(self.lateral, maps, strict=True))
        sums = [x]
        for lateral in reversed(finer):
            x = lateral + F.interpolate(x, size=lateral.shape[-2:], mode="nearest")
            sums.insert(0, x)
        return [smooth(sums[i]) for smooth, i in zip(self.smooth, self.picked)]


def small_pyramid(
    in_channels: int = 1, *, widths: Sequence[int] = (16, 32, 48, 64), strides: Sequence[int] = (4, 8), width: int = 48
) -> Pyramid:
    """The course's own backbone, trained from the start."""
    return Pyramid(SmallBody(in_channels, widths), strides=strides, width=width)
