"""U-Net in two or three dimensions by one body: down with convolutions and pools, up again, at each level a bridge.

    down 0 ─────────────── crop, join ──────────────▶ up 0 ─▶ logits
      └ pool ▶ down 1 ──── crop, join ──▶ up 1 ─ up-conv ┘
                 └ pool ▶ bottom ─ up-conv ┘

Ronneberger et al. 2015 (``ronneberger()``) double the channels after a pool and halve them in the up-convolution;
Çiçek et al. 2016 (``cicek()``) double them before the pool, so that no layer is a bottleneck, and keep them in the
up-convolution. Both use valid convolutions: a result is given only where its whole neighbourhood was seen.
"""

import itertools
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check

Widths = tuple[int, int]  # channels after the first and after the second convolution of a level
PADDINGS = ("valid", "same")
LAYERS: dict[int, tuple[Any, Any, Any, Any]] = {
    2: (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.BatchNorm2d),
    3: (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.BatchNorm3d),
}
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}  # how weights lie: a CPU step is up to 1.5 times as fast


def conv_norm_relu(inputs: int, outputs: int, *, ndim: int, padding: str, norm: bool) -> nn.Sequential:
    """A convolution of 3 along each axis, batch norm, ReLU; without the norm the convolution has a bias."""
    conv, _, _, batch_norm = LAYERS[ndim]
    layers = [conv(inputs, outputs, 3, padding=int(padding == "same"), bias=not norm)]
    if norm:
        layers.append(batch_norm(outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def two_convs(inputs: int, widths: Widths, *, ndim: int, padding: str, norm: bool) -> nn.Sequential:
    """What stands at each level, on the way down and on the way up."""
    first, second = widths
    layer = partial(conv_norm_relu, ndim=ndim, padding=padding, norm=norm)
    return nn.Sequential(layer(inputs, first), layer(first, second))


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of ``x (N, C, …)``, of ``size``: as much taken off in front as behind."""
    for axis, (n, wanted) in enumerate(zip(x.shape[2:], size), start=2):
        x = x.narrow(axis, (n - wanted) // 2, wanted)
    return x


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.modules.conv._ConvNd):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        layer.weight = nn.Parameter(layer.weight.detach().contiguous(memory_format=FORMATS[layer.weight.ndim - 2]))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class Stage(NamedTuple):
    """What one step of the network gives: its name, its size in space, its channels."""

    name: str
    size: tuple[int, ...]
    channels: int


def _check_size(size: tuple[int, ...], depth: int, padding: str) -> None:
    _check.positive("size", size)
    if padding == "valid" and not all(_fits(n, depth) for n in size):
        nearest = ", ".join(_nearest(n, depth) for n in size)
        raise _check.refuse("a size that is even at every pool", size, f"nearest sizes that fit: {nearest}")
    if min(size) < 2**depth:
        expected = f"at least {2**depth} along each axis for {depth} pools"
        raise _check.refuse(expected, size, "enlarge it or take fewer levels")


def _fits(n: int, depth: int) -> bool:
    """Whether an axis of ``n`` passes valid convolutions and ``depth`` pools and comes up with at least one pixel."""
    for _ in range(depth):
        if (n := n - 4) < 2 or n % 2:
            return False
        n //= 2
    for _ in range(depth):
        n = 2 * (n - 4) if n > 4 else 0
    return n > 4


def _nearest(n: int, depth: int) -> str:
    """The next size that fits below and above, or the size itself."""
    above = next(m for m in itertools.count(n) if _fits(m, depth))
    below = next((m for m in range(n, 0, -1) if _fits(m, depth)), above)
    return f"{above}" if below == above else f"{below} or {above}"


class UNet(nn.Module):
    """Images ``(N, in_channels, H, W)`` or volumes ``(N, in_channels, D, H, W)`` to logits ``(N, classes, …)``.

    ``base`` channels at the top, doubled ``depth`` times; or ``widths``, one pair a level from the top to the bottom:
    a level that doubles its channels itself gets all channels from below. ``padding="same"`` keeps the input's size,
    odd or not; "valid" gives the size that ``sizes`` says, centred in the input. Up-convolutions have no bias: the
    next would absorb it. Weights start normal with variance 2 / inputs (Ronneberger et al. 2015, section 3). Volumes
    on a CPU: give two or more at a time, torch is several times slower with one.
    """

    def __init__(
        self,
        *,
        ndim: int,
        in_channels: int = 1,
        classes: int = 2,
        base: int = 16,
        depth: int = 3,
        widths: Sequence[Widths] | None = None,
        padding: str = "same",
        norm: bool = True,
    ) -> None:
        super().__init__()
        _check.one_of("ndim", ndim, tuple(LAYERS))
        _check.one_of("padding", padding, PADDINGS)
        _check.positive("in_channels, classes, base and depth", (in_channels, classes, base, depth))
        widths = [(base << i, base << i) for i in range(depth + 1)] if widths is None else widths
        if len(widths) < 2:
            raise _check.refuse("widths of at least two levels", widths, "give one pair a level, the top first")
        self.ndim, self.in_channels, self.classes, self.padding = ndim, in_channels, classes, padding
        self.widths, self.depth = tuple(widths), len(widths) - 1
        conv, up_conv, max_pool, _ = LAYERS[ndim]
        two = partial(two_convs, ndim=ndim, padding=padding, norm=norm)
        *tops, bottom = [second for _, second in widths]
        below = [*tops[1:], bottom]
        self.raised = [deep if second > first else second for (first, second), deep in zip(widths, below)]
        self.down = nn.ModuleList(two(i, w) for i, w in zip([in_channels, *tops], widths))  # the last is the bottom
        self.pool = max_pool(2)
        self.up_conv = nn.ModuleList(up_conv(i, o, 2, stride=2, bias=False) for i, o in zip(below, self.raised))
        self.up = nn.ModuleList(two(top + up, (top, top)) for top, up in zip(tops, self.raised))
        self.logits = conv(tops[0], classes, 1)
        self.apply(_start)

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N K *out"]:
        _check.tensor("x", x, f"N {self.in_channels} {'D H W' if self.ndim == 3 else 'H W'}", of="floating")
        _check_size(tuple(x.shape[2:]), self.depth, self.padding)
        bridges: list[Tensor] = []
        for down in self.down[:-1]:
            bridges.append(x := down(x))
            x = self.pool(x)
        x = self.down[-1](x)
        for up_conv, up, bridge in reversed(list(zip(self.up_conv, self.up, bridges))):
            x = up_conv(x)
            if self.padding == "valid":
                bridge = crop(bridge, x.shape[2:])
            missing = [wanted - n for n, wanted in zip(x.shape[2:], bridge.shape[2:])]
            if any(missing):  # an odd axis lost one at the pool: continued behind by its last values
                x = F.pad(x, [p for m in reversed(missing) for p in (0, m)], mode="replicate")
            x = up(torch.cat([bridge, x], 1))
        logits: Tensor = self.logits(x)
        return logits

    def sizes(self, size: Sequence[int]) -> list[Stage]:
        """Every step on an input of ``size``, in the order they run, by arithmetic alone.

        A valid 3-convolution takes 2 off each axis, a pool halves it, an up-convolution doubles it. A size fits if
        every pool meets even axes (else the crop at the bridge would be half a pixel off centre) and something is
        left; ``ValueError`` names the nearest that do. With "same" padding any size of at least 2^depth fits.
        """
        if len(size) != self.ndim:
            raise _check.refuse(f"a size along {self.ndim} axes", tuple(size), "leave out batch and channels")
        _check_size(tuple(size), self.depth, self.padding)
        loss = 2 if self.padding == "valid" else 0
        stages = [Stage("input", tuple(size), self.in_channels)]

        def add(name: str, size: Iterable[int], channels: int) -> Stage:
            stages.append(Stage(name, tuple(size), channels))
            return stages[-1]

        def convolve(name: str, widths: Widths) -> Stage:
            for number, width in enumerate(widths, start=1):
                last = add(f"{name} conv {number}", (n - loss for n in stages[-1].size), width)
            return last

        bridges = []
        for level, widths in enumerate(self.widths[:-1]):
            bridges.append(convolve(f"down {level}", widths))
            add(f"pool {level}", (n // 2 for n in bridges[-1].size), widths[1])
        convolve("bottom", self.widths[-1])
        for level, bridge in reversed(list(enumerate(bridges))):
            up = add(f"up-conv {level}", (2 * n for n in stages[-1].size), self.raised[level])
            add(f"join {level}", up.size if loss else bridge.size, bridge.channels + up.channels)
            convolve(f"up {level}", (bridge.channels, bridge.channels))
        add("logits", stages[-1].size, self.classes)
        return stages


def ronneberger(*, in_channels: int = 1, classes: int = 2) -> UNet:
    """The U-Net of Ronneberger et al. 2015, figure 1: 64 … 1024 channels, 572 × 572 in, 388 × 388 out, no norm."""
    return UNet(ndim=2, in_channels=in_channels, classes=classes, base=64, depth=4, padding="valid", norm=False)


def cicek(*, in_channels: int = 3, classes: int = 3, norm: bool = True) -> UNet:
    """The 3D U-Net of Çiçek et al. 2016, figure 2: 132 × 132 × 116 voxels in, 44 × 44 × 28 out.

    The paper's 19,069,955 parameters are reached with 3 classes, one bias a 3-convolution, none an up-convolution, and
    no scale and shift of batch norm counted: ``norm=False``. Batch norm has scale and shift for each bias: 2,336 more.
    """
    widths = ((32, 64), (64, 128), (128, 256), (256, 512))
    return UNet(ndim=3, in_channels=in_channels, classes=classes, widths=widths, padding="valid", norm=norm)
