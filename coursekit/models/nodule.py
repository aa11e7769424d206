"""A small CNN on a patch around a nodule candidate, in three dimensions or, for comparison, in two, by one body.

After Huang et al. 2017 (Lung nodule detection in CT using 3D convolutional neural networks, ISBI): convolutions and
pools until little space is left, then a fully connected layer, then nodule or not. Ours is smaller and has batch
norm: it learns in a minute on a CPU.
"""

import itertools
import math
from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor, nn

from .. import _check

Size = int | Sequence[int]  # one number for all axes, or one an axis
WIDTHS = (8, 16, 16)
LAYERS = {2: (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d), 3: (nn.Conv3d, nn.BatchNorm3d, nn.MaxPool3d)}


def conv_pool(inputs: int, outputs: int, *, ndim: int) -> nn.Sequential:
    """A convolution of 3 along each axis, batch norm, ReLU, and a pool that halves each axis, rounded down."""
    _check.one_of("ndim", ndim, tuple(LAYERS))
    conv, norm, pool = LAYERS[ndim]
    return nn.Sequential(conv(inputs, outputs, 3, padding=1, bias=False), norm(outputs), nn.ReLU(inplace=True), pool(2))


class PatchFeatures(nn.Module):
    """What a patch looks like, in ``hidden`` numbers: ``(N, in_channels, *size) -> (N, hidden)``.

    One convolution and pool a width of ``WIDTHS``, then a fully connected layer over what is left of the patch.
    ``size``: at least 8 along each axis.
    """

    def __init__(self, *, ndim: int, size: Size, in_channels: int = 1, hidden: int = 32) -> None:
        super().__init__()
        _check.one_of("ndim", ndim, tuple(LAYERS))
        _check.positive("in_channels and hidden", (in_channels, hidden))
        self.size = (size,) * ndim if isinstance(size, int) else tuple(size)
        smallest = 2 ** len(WIDTHS)
        if len(self.size) != ndim or min(self.size) < smallest:
            expected = f"a size along {ndim} axes, at least {smallest} each for {len(WIDTHS)} pools"
            raise _check.refuse(expected, self.size, "cut larger patches")
        self.in_channels, self.hidden = in_channels, hidden
        widths = itertools.pairwise([in_channels, *WIDTHS])
        left = math.prod(n // smallest for n in self.size)  # cells, after the pools
        self.convolutions = nn.Sequential(*(conv_pool(a, b, ndim=ndim) for a, b in widths))
        self.connected = nn.Sequential(nn.Flatten(), nn.Linear(left * WIDTHS[-1], hidden), nn.ReLU())

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N F"]:
        axes = " ".join(map(str, ("N", self.in_channels, *self.size)))
        _check.tensor("x", x, axes, "cut patches of the size the network was made for")
        features: Tensor = self.connected(self.convolutions(x))
        return features


class NoduleNet(nn.Module):
    """Patches ``(N, in_channels, D, H, W)`` to logits ``(N, classes)``; with ``ndim=2`` one plane ``(N, …, H, W)``.

    At 24³ 24,586 parameters, at 24² 8,314. ``dropout``: the share of features left out while training. Source: Huang
    et al. 2017, in outline; the sizes are ours.
    """

    def __init__(
        self, *, ndim: int = 3, size: Size = 24, in_channels: int = 1, classes: int = 2, dropout: float = 0.0
    ) -> None:
        super().__init__()
        _check.positive("classes", classes)
        self.features = PatchFeatures(ndim=ndim, size=size, in_channels=in_channels)
        self.classifier = nn.Sequential(nn.Dropout(dropout), nn.Linear(self.features.hidden, classes))

    def forward(self, x: Float[Tensor, "N C *space"]) -> Float[Tensor, "N K"]:
        logits: Tensor = self.classifier(self.features(x))
        return logits
