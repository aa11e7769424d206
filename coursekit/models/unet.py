"""U-Net in two or three dimensions by one body: down with convolutions and pools, up again, and at each level a
bridge across.

    down 0 ─────────────── crop, join ──────────────▶ up 0 ─▶ logits
      └ pool ▶ down 1 ──── crop, join ──▶ up 1 ─ up-conv ┘
                 └ pool ▶ bottom ─ up-conv ┘

Two papers, one body. Ronneberger et al. 2015 (``ronneberger()``) double the channels after a pool and halve them in
the up-convolution; Çiçek et al. 2016 (``cicek()``) double them before the pool, so that no layer is a bottleneck, and
keep them in the up-convolution. Both use valid convolutions: a result is given only where its whole neighbourhood was
seen, so it is smaller than the input.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check

Widths = tuple[int, int]  # channels after the first and after the second convolution of a level
PADDINGS = ("valid", "same")
NORMS = ("batch", "group", "none")
LAYERS: dict[int, tuple[Any, Any, Any, Any]] = {
    2: (nn.Conv2d, nn.ConvTranspose2d, nn.MaxPool2d, nn.BatchNorm2d),
    3: (nn.Conv3d, nn.ConvTranspose3d, nn.MaxPool3d, nn.BatchNorm3d),
}
FORMATS = {2: torch.channels_last, 3: torch.channels_last_3d}  # how weights lie: a CPU step is up to 1.5 times as fast


class Stage(NamedTuple):
    """What one step of the network gives: its name, its size in space, its channels."""

    name: str
    size: tuple[int, ...]
    channels: int


# --- sizes, by arithmetic
# ------------------------------------------------------------------------------------------------


def level_widths(base: int, depth: int, *, early: bool = False) -> tuple[Widths, ...]:
    """Channels of each level from the top to the bottom; ``early``: the second convolution of a level doubles them, not
    the next level.
    """
    _check.positive("base", base)
    _check.positive("depth", depth)
    return tuple((base << i, base << i + early) for i in range(depth + 1))


def sizes(
    size: Sequence[int],
    *,
    base: int = 64,
    depth: int = 4,
    early: bool = False,
    channels: Sequence[int] | None = None,
    in_channels: int = 1,
    classes: int = 2,
    padding: str = "valid",
) -> list[Stage]:
    """Every step of ``UNet`` with these knobs on an input of ``size``, in the order they run, by arithmetic alone.

    A valid 3-convolution takes 2 off each axis, a pool halves it, an up-convolution doubles it. A size fits if every
    pool meets even axes (else the crop at the bridge would be half a pixel off centre) and something is left;
    ``ValueError`` names the nearest that do. With "same" padding any size of at least 2^depth fits.
    """
    widths = _widths(base, depth, early, channels)
    _check.one_of("padding", padding, PADDINGS)
    _check_size(tuple(size), len(widths) - 1, padding)
    return list(_stages(tuple(size), widths, in_channels, classes, 2 if padding == "valid" else 0))


def _widths(base: int, depth: int, early: bool, channels: Sequence[int] | None) -> tuple[Widths, ...]:
    if channels is None:
        return level_widths(base, depth, early=early)
    _check.positive("channels", tuple(channels))
    if len(channels) < 2:
        raise _check.refuse(
            "channels of at least two levels", tuple(channels), "give one number a level, the top first"
        )
    return tuple((c, c) for c in channels)


def _stages(
    size: tuple[int, ...], widths: Sequence[Widths], in_channels: int, classes: int, loss: int
) -> Iterator[Stage]:
    bridges: list[Stage] = []
    yield Stage("input", size, in_channels)
    for level, (first, second) in enumerate(widths):
        name = f"down {level}" if level < len(widths) - 1 else "bottom"
        yield Stage(f"{name} conv 1", size := tuple(n - loss for n in size), first)
        yield Stage(f"{name} conv 2", size := tuple(n - loss for n in size), second)
        if level < len(widths) - 1:
            bridges.append(Stage(name, size, second))
            yield Stage(f"pool {level}", size := tuple(n // 2 for n in size), second)
    for level, bridge in reversed(list(enumerate(bridges))):
        up = _up_channels(widths, level)
        yield Stage(f"up-conv {level}", size := tuple(2 * n for n in size), up)
        size = size if loss else bridge.size
        yield Stage(f"join {level}", size, bridge.channels + up)
        for conv in (1, 2):
            yield Stage(f"up {level} conv {conv}", size := tuple(n - loss for n in size), bridge.channels)
    yield Stage("logits", size, classes)


def _up_channels(widths: Sequence[Widths], level: int) -> int:
    """What the up-convolution to ``level`` gives: the bridge's channels, or what it got where a level doubles them
    itself.
    """
    first, second = widths[level]
    return widths[level + 1][1] if second > first else second


def _check_size(size: tuple[int, ...], depth: int, padding: str) -> None:
    _check.positive("size", size)
    if padding == "same":
        if min(size) < 2**depth:
            raise _check.refuse(
                f"at least {2**depth} along each axis for {depth} pools", size, "enlarge it or take fewer levels"
            )
    elif not all(_fits(n, depth) for n in size):
        near = ", ".join(f"{_nearest(n, depth)}" for n in size)
        raise _check.refuse("a size that is even at every pool", size, f"nearest sizes that fit: {near}")


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
    if _fits(n, depth):
        return str(n)
    above = next(m for m in itertools.count(n) if _fits(m, depth))
    below = next((m for m in range(n, 0, -1) if _fits(m, depth)), None)
    return str(above) if below is None else f"{below} or {above}"


# --- the network
# ---------------------------------------------------------------------------------------------------------


def conv_norm_relu(inputs: int, outputs: int, *, ndim: int, padding: str, norm: str) -> nn.Sequential:
    """A convolution of 3 along each axis, a norm, ReLU; without a norm the convolution has a bias."""
    conv, _, _, batch_norm = LAYERS[ndim]
    layers = [conv(inputs, outputs, 3, padding=int(padding == "same"), bias=norm == "none")]
    if norm == "batch":
        layers.append(batch_norm(outputs))
    if norm == "group":
        layers.append(nn.GroupNorm(math.gcd(8, outputs), outputs))
    return nn.Sequential(*layers, nn.ReLU(inplace=True))


def crop(x: Tensor, size: Sequence[int]) -> Tensor:
    """The middle of ``x (N, C, …)``, of ``size``: as much taken off in front as behind."""
    for axis, (n, wanted) in enumerate(zip(x.shape[2:], size), start=2):
        x = x.narrow(axis, (n - wanted) // 2, wanted)
    return x


def pad_to(x: Tensor, size: Sequence[int]) -> Tensor:
    """``x (N, C, …)`` continued behind by its last values up to ``size``: an odd axis lost one at the pool."""
    missing = [wanted - n for n, wanted in zip(x.shape[2:], size)]
    return F.pad(x, [p for m in reversed(missing) for p in (0, m)], mode="replicate") if any(missing) else x


class UNet(nn.Module):
    """U-Net: images ``(N, in_channels, H, W)`` or volumes ``(N, in_channels, D, H, W)`` in, logits ``(N, classes,
    …)`` out.

    ``base`` channels at the top, doubled ``depth`` times, ``early`` as in ``level_widths``; or ``channels``, one
    number a level. ``padding="same"`` keeps the input's size, odd or not; "valid" gives the size that ``sizes`` says,
    centred in the input. ``norm``: "batch", "group" (8 groups, fewer where they do not divide) or "none".
    Up-convolutions have no bias: the next would absorb it. Weights start normal with variance 2 / inputs (Ronneberger
    et al. 2015, section 3). Refuses sizes that do not fit, as ``sizes`` does. Volumes on a CPU: give two or more at a
    time, torch is several times slower with one.
    """

    def __init__(
        self,
        *,
        ndim: int,
        in_channels: int = 1,
        classes: int = 2,
        base: int = 16,
        depth: int = 3,
        early: bool = False,
        channels: Sequence[int] | None = None,
        padding: str = "same",
        norm: str = "batch",
    ) -> None:
        super().__init__()
        for name, value, choices in [
            ("ndim", ndim, tuple(LAYERS)),
            ("padding", padding, PADDINGS),
            ("norm", norm, NORMS),
        ]:
            _check.one_of(name, value, choices)
        _check.positive("in_channels", in_channels)
        _check.positive("classes", classes)
        self.ndim, self.in_channels, self.classes, self.padding = ndim, in_channels, classes, padding
        self.widths = _widths(base, depth, early, channels)
        self._build(norm)
        self.apply(_start)

    def _build(self, norm: str) -> None:
        conv, up_conv, max_pool, _ = LAYERS[self.ndim]

        def two(inputs: int, first: int, second: int) -> nn.Sequential:
            layers = (
                conv_norm_relu(a, b, ndim=self.ndim, padding=self.padding, norm=norm)
                for a, b in [(inputs, first), (first, second)]
            )
            return nn.Sequential(*layers)

        widths, levels = self.widths, range(len(self.widths) - 1)
        inputs = (self.in_channels, *(second for _, second in widths))
        self.down = nn.ModuleList(two(i, *w) for i, w in zip(inputs, widths))  # the last one is the bottom
        self.pool = max_pool(2)
        ups = [_up_channels(widths, level) for level in levels]
        self.up_conv = nn.ModuleList(up_conv(widths[i + 1][1], ups[i], 2, stride=2, bias=False) for i in levels)
        self.up = nn.ModuleList(two(widths[i][1] + ups[i], widths[i][1], widths[i][1]) for i in levels)
        self.logits = conv(widths[0][1], self.classes, 1)

    def sizes(self, size: Sequence[int]) -> list[Stage]:
        """Every step of this network on an input of ``size``; see the function of this name."""
        if len(size) != self.ndim:
            raise _check.refuse(f"a size along {self.ndim} axes", tuple(size), "leave out batch and channels")
        _check_size(tuple(size), len(self.widths) - 1, self.padding)
        return list(
            _stages(tuple(size), self.widths, self.in_channels, self.classes, 2 if self.padding == "valid" else 0)
        )

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N K *out"]:
        _check.tensor("x", x, f"N {self.in_channels} {'D H W' if self.ndim == 3 else 'H W'}")
        _check.floating("x", x)
        _check_size(tuple(x.shape[2:]), len(self.widths) - 1, self.padding)
        bridges: list[Tensor] = []
        for down in self.down[:-1]:
            bridges.append(x := down(x))
            x = self.pool(x)
        x = self.down[-1](x)
        for up_conv, up, bridge in reversed(list(zip(self.up_conv, self.up, bridges))):
            x = up(self._join(bridge, up_conv(x)))
        logits: Tensor = self.logits(x)
        return logits

    def _join(self, bridge: Tensor, x: Tensor) -> Tensor:
        """The bridge and what comes up, one behind the other: cropped to it, or it padded to the bridge."""
        if self.padding == "valid":
            return torch.cat([crop(bridge, x.shape[2:]), x], 1)
        return torch.cat([bridge, pad_to(x, bridge.shape[2:])], 1)


def _start(layer: nn.Module) -> None:
    if isinstance(layer, nn.modules.conv._ConvNd):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        layer.weight = nn.Parameter(layer.weight.detach().contiguous(memory_format=FORMATS[layer.weight.ndim - 2]))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def ronneberger(*, in_channels: int = 1, classes: int = 2) -> UNet:
    """The U-Net of Ronneberger et al. 2015, figure 1: 64 … 1024 channels, 572 × 572 in, 388 × 388 out, no norm."""
    return UNet(ndim=2, in_channels=in_channels, classes=classes, base=64, depth=4, padding="valid", norm="none")


def cicek(*, in_channels: int = 3, classes: int = 3, norm: str = "batch") -> UNet:
    """The 3D U-Net of Çiçek et al. 2016, figure 2: 132 × 132 × 116 voxels in, 44 × 44 × 28 out.

    The paper's 19,069,955 parameters are reached exactly with 3 classes, one bias a 3-convolution, none an
    up-convolution, and no scale and shift of batch norm counted: ``norm="none"``. With batch norm as here, scale and
    shift replace each bias: 2,336 more.
    """
    return UNet(
        ndim=3, in_channels=in_channels, classes=classes, base=32, depth=3, early=True, padding="valid", norm=norm
    )
