"""One training step of the 3D U-Net (forward, cross-entropy, backward, SGD) against MONAI's ``BasicUNet``, on one
thread.

The two are the same network: channels, depth, two convolutions a level, batch norm, ReLU, the same number of
multiplications, and the same logits on the same weights (``max_error``). MONAI's has a bias on its up-convolutions,
here set to 0. Its channels must not double below the top, as its last up-convolution does not halve them.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import torch
from monai.networks.nets import BasicUNet
from torch import Tensor, nn

from coursekit.losses import cross_entropy
from coursekit.models.unet import UNet
from tests.bench.timing import Function, Row, compare, one_thread

SETTINGS = [  # channels of the five levels, batch, side of the crop
    ((8, 8, 16, 32, 64), 2, 32),
    ((16, 16, 32, 64, 128), 2, 32),
    ((16, 16, 32, 64, 128), 2, 48),
]


def rows(*, repeats: int = 7) -> Iterator[Row]:
    """One row a setting."""
    with one_thread():
        for channels, batch, side in SETTINGS:
            ours, theirs = pair(channels)
            x = torch.randn(batch, 1, side, side, side, generator=torch.Generator().manual_seed(0))
            error = float((ours(x) - theirs(x)).abs().max())
            steps = (step(net, x) for net in (ours, theirs))
            sizes = f"channels {channels}, batch {batch}, {side}³"
            yield compare("unet3d_step", "MONAI", *steps, max_error=error, sizes=sizes, repeats=repeats)


def pair(channels: tuple[int, ...]) -> tuple[UNet, nn.Module]:
    """Our network and MONAI's, with the same weights."""
    ours = UNet(ndim=3, widths=[(c, c) for c in channels])
    theirs: nn.Module = BasicUNet(
        3, 1, 2, (*channels, channels[0]), act=("relu", {"inplace": True}), norm="batch", bias=False
    )
    copy_weights(ours, theirs)
    return ours, theirs


@torch.no_grad()
def copy_weights(ours: UNet, theirs: nn.Module) -> None:
    """Into MONAI's network, layer by layer in the order they run, which is the order MONAI's are listed in."""
    ups = [(ours.up_conv[level], ours.up[level]) for level in reversed(range(len(ours.up)))]
    in_order = nn.ModuleList([*ours.down, *itertools.chain(*ups), ours.logits])
    for layer, twin in zip(_weighted(in_order), _weighted(theirs), strict=True):
        twin.weight.copy_(layer.weight)
        if twin.bias is not None:
            twin.bias.copy_(layer.bias) if layer.bias is not None else twin.bias.zero_()


def _weighted(net: nn.Module) -> list[Any]:
    kinds = (nn.modules.conv._ConvNd, nn.modules.batchnorm._BatchNorm)
    return [layer for layer in net.modules() if isinstance(layer, kinds)]


def step(net: nn.Module, x: Tensor) -> Function:
    """One training step on ``x``, against random classes."""
    truth = torch.randint(0, 2, (len(x), *x.shape[2:]), generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        cross_entropy(net(x), truth).backward()
        optimizer.step()

    return run
