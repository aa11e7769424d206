"""Five ways to use time (Carreira and Zisserman 2017, figure 2), over one small backbone.

====================  =======================================================================================
``LSTMOverFrames``    a) 2D features of every RGB frame, read by an LSTM
``Clip3D``            b) 3D convolutions over the RGB clip
``TwoStream``         c) 2D features of one RGB frame and of a stack of flow fields, each with its own say
``Fused3D``           d) as c) on several frames, joined by a 3D convolution over time
``TwoStream3D``       e) 3D convolutions over RGB and over flow, each with its own say (two-stream I3D)
====================  =======================================================================================

All take ``rgb (N, C, T, H, W)`` and ``flow (N, 2, T − 1, H, W)``, in pixels a frame, scaled or not, and give ``(N,
classes)``; those of RGB alone leave ``flow`` aside. The frames of c) and d) are spread evenly, the flow around each.
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check
from .inception import conv
from .recurrent import Recurrent

Rgb = Float[Tensor, "N C T H W"]
Flow = Float[Tensor, "N 2 T1 H W"]
WIDTHS = (16, 24, 32)


def stage(inputs: int, outputs: int, *, ndim: int) -> nn.Sequential:
    """Convolution of 3 along each axis that halves space and keeps time, batch norm, ReLU."""
    return conv(inputs, outputs, 3, ndim=ndim, stride=2)


class Backbone(nn.Module):
    """Stages that each halve space: ``(N, in_channels, [T,] H, W) -> (N, widths[-1], [T,] H / 2^n, W / 2^n)``."""

    def __init__(self, in_channels: int, widths: Sequence[int] = WIDTHS, *, ndim: int) -> None:
        super().__init__()
        _check.one_of("ndim", ndim, (2, 3))
        self.width = widths[-1]
        self.stages = nn.Sequential(*(stage(a, b, ndim=ndim) for a, b in itertools.pairwise([in_channels, *widths])))

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.stages(x)
        return maps

    def pooled(self, x: Tensor) -> Float[Tensor, "N width"]:
        """The mean over space, and time."""
        maps: Tensor = self(x)
        return maps.flatten(2).mean(2)


def spread(frames: int, count: int) -> list[int]:
    """``count`` frames in the middle of equal parts of a clip: ``spread(16, 3) == [2, 8, 13]``."""
    if not 0 < count <= frames:
        raise _check.refuse(f"1 to {frames} frames of a clip of {frames}", count, "take fewer, or longer clips")
    return [int((i + 0.5) * frames / count) for i in range(count)]


def flow_stack(flow: Flow, at: int, length: int) -> Float[Tensor, "N channels H W"]:
    """``length`` flow fields around frame ``at``, as channels (dy, dx, dy, dx, …); the clip's ends are repeated."""
    index = (torch.arange(length, device=flow.device) + at - length // 2).clamp(0, flow.shape[2] - 1)
    return flow[:, :, index].transpose(1, 2).flatten(1, 2)  # (N, 2·length, H, W)


def _with_flow(rgb: Tensor, flow: Tensor | None) -> Tensor:
    """The flow, if it is there and fits the clip."""
    n, _, frames, h, w = _check.tensor("rgb", rgb, "N C T H W", "pass a batch of clips")
    if flow is None:
        raise _check.refuse("flow beside rgb", None, "compute it first, e.g. by coursekit.flow.tv_l1")
    _check.tensor("flow", flow, f"{n} 2 {frames - 1} {h} {w}", "one field (dy, dx) from each frame to the next")
    return flow


class LSTMOverFrames(nn.Module):
    """a) A 2D backbone on each frame, an LSTM over the frames, the class after the last."""

    def __init__(self, classes: int, *, in_channels: int = 1, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        hidden = 32
        self.frame = Backbone(in_channels, widths, ndim=2)
        self.memory = Recurrent(self.frame.width, hidden, cell="lstm")
        self.head = nn.Linear(hidden, classes)

    def forward(self, rgb: Rgb, flow: Flow | None = None) -> Float[Tensor, "N K"]:
        n, _, frames, _, _ = _check.tensor("rgb", rgb, "N C T H W", "pass a batch of clips")
        seen = self.frame.pooled(rgb.transpose(1, 2).flatten(0, 1)).view(n, frames, -1)  # (N, T, F)
        logits: Tensor = self.head(self.memory(seen)[1].hidden)
        return logits


class Clip3D(nn.Module):
    """b) A 3D backbone over the clip; with ``in_channels=2`` over flow, which makes it a stream of e)."""

    def __init__(self, classes: int, *, in_channels: int = 1, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.clip = Backbone(in_channels, widths, ndim=3)
        self.head = nn.Linear(self.clip.width, classes)

    def forward(self, rgb: Rgb, flow: Flow | None = None) -> Float[Tensor, "N K"]:
        _check.tensor("rgb", rgb, "N C T H W", "pass a batch of clips")
        logits: Tensor = self.head(self.clip.pooled(rgb))
        return logits


class TwoStream(nn.Module):
    """c) One RGB frame and the flow around it, a 2D backbone each, logits averaged (Simonyan and Zisserman 2014).

    ``FLOWS`` fields are stacked as channels. While training the frame is the clip's middle; ``eval`` averages over
    ``looks`` of them.
    """

    FLOWS = 8

    def __init__(self, classes: int, *, in_channels: int = 1, widths: Sequence[int] = WIDTHS, looks: int = 3) -> None:
        super().__init__()
        self.looks = looks
        self.rgb, self.flow = Backbone(in_channels, widths, ndim=2), Backbone(2 * self.FLOWS, widths, ndim=2)
        self.rgb_head, self.flow_head = nn.Linear(self.rgb.width, classes), nn.Linear(self.flow.width, classes)

    def forward(self, rgb: Rgb, flow: Flow | None = None) -> Float[Tensor, "N K"]:
        flow, frames = _with_flow(rgb, flow), rgb.shape[2]
        looks = []
        for t in spread(frames, 1 if self.training else min(self.looks, frames)):
            still, moving = self.rgb.pooled(rgb[:, :, t]), self.flow.pooled(flow_stack(flow, t, self.FLOWS))
            looks.append(self.rgb_head(still) + self.flow_head(moving))
        return torch.stack(looks).mean(0) / 2


class Fused3D(nn.Module):
    """d) 2D maps of five frames and of the flow around each, joined by a 3D convolution (Feichtenhofer 2016)."""

    LOOKS, FLOWS = 5, 4

    def __init__(self, classes: int, *, in_channels: int = 1, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.rgb, self.flow = Backbone(in_channels, widths, ndim=2), Backbone(2 * self.FLOWS, widths, ndim=2)
        width = self.rgb.width
        self.fuse = conv(2 * width, width, 3, ndim=3)
        self.head = nn.Linear(width, classes)

    def forward(self, rgb: Rgb, flow: Flow | None = None) -> Float[Tensor, "N K"]:
        flow, frames = _with_flow(rgb, flow), rgb.shape[2]
        looks = []
        for t in spread(frames, min(self.LOOKS, frames)):
            looks.append(torch.cat([self.rgb(rgb[:, :, t]), self.flow(flow_stack(flow, t, self.FLOWS))], 1))
        fused = self.fuse(torch.stack(looks, 2))  # (N, F, looks, H / 2^n, W / 2^n)
        logits: Tensor = self.head(fused.flatten(2).mean(2))
        return logits


class TwoStream3D(nn.Module):
    """e) A 3D backbone over RGB and one over flow; their logits are averaged."""

    def __init__(self, classes: int, *, in_channels: int = 1, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.rgb = Clip3D(classes, in_channels=in_channels, widths=widths)
        self.flow = Clip3D(classes, in_channels=2, widths=widths)

    def forward(self, rgb: Rgb, flow: Flow | None = None) -> Float[Tensor, "N K"]:
        flow = _with_flow(rgb, flow)
        logits: Tensor = (self.rgb(rgb) + self.flow(flow)) / 2
        return logits


ARCHITECTURES: dict[str, type[nn.Module]] = {
    "LSTM over RGB": LSTMOverFrames,
    "3D over RGB": Clip3D,
    "two-stream": TwoStream,
    "3D-fused two-stream": Fused3D,
    "two-stream 3D": TwoStream3D,
}
