"""Two networks on the beating heart (Ouyang et al. 2020): one draws the ventricle, one tells the ejection fraction.

The first is a 2D U-Net (``coursekit.models.unet``). The second is a residual network of (2+1)D convolutions: each 3D
convolution is taken apart into one over space and one over time, with a ReLU between and as many parameters as the 3D
one (Tran et al. 2018, section 3.5).
"""

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import _check
from .unet import UNet

SCALE = 10.0  # percent a unit of the regressor's last layer: its steps then suit the learning rate of the rest


def middle_width(inputs: int, outputs: int) -> int:
    """Channels between space and time with about the parameters of 3×3×3: ⌊27 i o / (9 i + 3 o)⌋."""
    _check.positive("inputs and outputs", (inputs, outputs))
    return (27 * inputs * outputs) // (9 * inputs + 3 * outputs)


class Conv2Plus1D(nn.Sequential):
    """3×3 over space, batch norm, ReLU, 3 over time; ``stride`` divides T, H and W, rounded up."""

    def __init__(self, inputs: int, outputs: int, middle: int, *, stride: int = 1) -> None:
        super().__init__(
            nn.Conv3d(inputs, middle, (1, 3, 3), (1, stride, stride), (0, 1, 1), bias=False),
            nn.BatchNorm3d(middle),
            nn.ReLU(inplace=True),
            nn.Conv3d(middle, outputs, (3, 1, 1), (stride, 1, 1), (1, 0, 0), bias=False),
        )


class ResidualBlock(nn.Module):
    """Two (2+1)D convolutions and a way around them, as in R(2+1)D: ``stride`` halves space and time."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1) -> None:
        super().__init__()
        middle = middle_width(inputs, outputs)
        first, second = Conv2Plus1D(inputs, outputs, middle, stride=stride), Conv2Plus1D(outputs, outputs, middle)
        self.conv1 = nn.Sequential(first, nn.BatchNorm3d(outputs), nn.ReLU(inplace=True))
        self.conv2 = nn.Sequential(second, nn.BatchNorm3d(outputs))
        self.around = None
        if stride != 1 or inputs != outputs:
            self.around = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N K T2 H2 W2"]:
        past = x if self.around is None else self.around(x)
        return torch.relu(self.conv2(self.conv1(x)) + past)


class EFRegressor(nn.Module):
    """Ejection fraction in percent from a clip: ``(N, C, T, H, W) -> (N,)``.

    A stem that halves space and looks at three frames, one residual block a width (each but the first halves space
    and time), a mean over what is left, one number. It starts at ``mean_percent``, what to say of a clip not looked
    at; set it from the training set.
    """

    def __init__(self, *, in_channels: int = 1, widths: Sequence[int] = (16, 24, 32), mean_percent: float = 50) -> None:
        super().__init__()
        first = widths[0]
        self.stem = nn.Sequential(
            nn.Conv3d(in_channels, first, (1, 5, 5), (1, 2, 2), (0, 2, 2), bias=False),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
            nn.Conv3d(first, first, (3, 1, 1), padding=(1, 0, 0), bias=False),
            nn.BatchNorm3d(first),
            nn.ReLU(inplace=True),
        )
        pairs = itertools.pairwise([first, *widths])
        self.blocks = nn.Sequential(*(ResidualBlock(a, b, stride=2 if i else 1) for i, (a, b) in enumerate(pairs)))
        self.head = nn.Linear(widths[-1], 1)
        nn.init.zeros_(self.head.weight)
        nn.init.constant_(self.head.bias, mean_percent / SCALE)

    def forward(self, clip: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N"]:
        _check.tensor("clip", clip, "N C T H W", "pass a batch of clips")
        seen = self.blocks(self.stem(clip)).flatten(2).mean(2)  # (N, F)
        percent: Tensor = SCALE * self.head(seen)[:, 0]
        return percent


def ventricle_net() -> UNet:
    """A frame ``(N, 1, H, W)`` to the logits ``(N, 2, H, W)`` of background and left ventricle, of any size."""
    return UNet(ndim=2, base=8, depth=3)
