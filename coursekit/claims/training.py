"""What the claims share where a network learns: the start that belongs to a seed, U-Nets of two sizes, two losses."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from torch import Tensor, nn

from .. import losses, train
from ..data.seeds import Part
from ..models.unet import UNet

Net = TypeVar("Net", bound=nn.Module)
Loss = Callable[[nn.Module, Any], Tensor]
SPLITS: tuple[Part, ...] = ("train", "test")


def cross_entropy(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
    """Of what the network says of the batch's inputs, which come first, against its last tensor, the classes."""
    *inputs, truth = batch
    return losses.cross_entropy(net(*inputs), truth)


def cross_entropy_and_dice(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """For a foreground of few pixels: Dice does not count the others."""
    logits = net(batch[0])
    return losses.cross_entropy(logits, batch[1]) + losses.dice_loss(logits, batch[1], background=False)


def trained(
    build: Callable[[], Net], batches: Iterable[Any], loss_of: Loss = cross_entropy, *, seed: int, **knobs: Any
) -> Net:
    """The network that ``build`` makes from the start of ``seed``, after ``train.fit`` with these knobs, unshown."""
    train.seed_everything(seed)
    net = build().to(train.device())
    knobs = {"show": False} | knobs
    train.fit(net, batches, loss_of, **knobs)
    return net


def unet_2d() -> UNet:
    """Three pools: what a pixel of the bottom sees holds a nucleus."""
    return UNet(ndim=2, base=12, depth=3, padding="same")


def unet_3d(*, ndim: int = 3) -> UNet:
    """85,162 parameters in 3D: two pools, so that a nucleus fits into what a voxel of the bottom sees."""
    return UNet(ndim=ndim, base=8, depth=2, padding="same")
