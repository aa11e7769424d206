"""What the claims about moving pictures share: clips whose class lies in the motion alone, one training, and what to
count.

Training and test clips show pieces of different photographs (``data.clips``). Every arm of a seed sees the same
batches in the same order.
"""

import time
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from torch import Tensor, nn

from .. import flow, losses, train
from ..data import clips, fetch
from ..data.seeds import Part, stream
from ..models.efficientnet_lite import EfficientNetLite0, efficientnet_lite0, prepare
from . import Claim

CLAIMS: list[Claim] = []  # none of its own
CHUNK = 8  # clips whose flow is found at a time: more do not fit into a cache
Inputs = tuple[Tensor, ...]  # what a network takes, a clip a row


class Labelled(NamedTuple):
    """Clips (N, C, T, H, W) in [0, 1] and their classes (N,)."""

    clips: Float[Tensor, "N C T H W"]
    labels: Integer[Tensor, "N"]


def drawn(split: Part, *, seed: int, **knobs: Any) -> Labelled:
    """All clips of ``clips.actions(split=…, seed=…, **knobs)`` at once, all eight classes alike often."""
    found = clips.actions(split=split, seed=seed, **knobs)
    return Labelled(torch.stack([found[i].clip for i in range(len(found))]), found.labels)


def flows(rgb: Float[Tensor, "N 1 T H W"], *, warps: int = 2, iterations: int = 5) -> Float[Tensor, "N 2 T1 H W"]:
    """TV-L1 from each frame to the next, in pixels; few iterations, since frames are small and motion is one or two
    pixels a frame.
    """
    found = []
    for part in rgb.split(CHUNK):
        first, second = (
            x.transpose(1, 2).flatten(0, 1) for x in (part[:, :, :-1], part[:, :, 1:])
        )  # (N·(T−1), 1, H, W)
        field = flow.tv_l1(first, second, warps=warps, iterations=iterations)
        found.append(field.unflatten(0, (len(part), -1)).transpose(1, 2))
    return torch.cat(found)


def learn(
    net: nn.Module, inputs: Inputs, labels: Tensor, *, seed: int, steps: int, size: int = 16, lr: float = 3e-3
) -> float:
    """Train on the batches of ``seed``; return the CPU seconds it took. Tensors without gradient, as of a frozen part,
    stay as they are.
    """

    def loss_of(model: nn.Module, batch: Inputs) -> Tensor:
        *seen, truth = batch
        return losses.cross_entropy(model(*seen), truth)

    batches = train.shuffled(*inputs, labels, size=size, generator=stream(seed, "batches"))
    start = time.process_time()
    train.fit(net.to(train.device()), batches, loss_of, steps=steps, lr=lr, show=False)
    return time.process_time() - start


@torch.no_grad()
def answers(net: nn.Module, inputs: Inputs, *, size: int = 32) -> Integer[Tensor, "N"]:
    """The likeliest class of every clip."""
    where = next(net.parameters()).device
    net.eval()
    return torch.cat(
        [net(*(x.to(where) for x in part)).argmax(1).cpu() for part in zip(*(x.split(size) for x in inputs))]
    )


def share(right: Bool[Tensor, "N"]) -> float:
    """How many are true, from 0 to 1."""
    return float(right.double().mean())


def accuracy(net: nn.Module, inputs: Inputs, labels: Tensor) -> float:
    """The share of clips whose class is right."""
    return share(answers(net, inputs) == labels)


def axis_right(said: Tensor, truth: Tensor) -> float:
    """The share of clips whose class is right but for the sense of time: twins stand side by side in the list of
    classes.
    """
    return share(said // 2 == truth // 2)


def majority(learnt: Tensor, labels: Tensor) -> float:
    """Accuracy of always answering the class that is most frequent among ``learnt``."""
    return share(labels == learnt.bincount().argmax())


def parameters(net: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


# --- a network that has seen photographs ---


class LiteStages(nn.Module):
    """The first ``blocks`` blocks of an EfficientNet-lite0: ``(N, 3, H, W) -> (N, 40, H / 8, W / 8)`` for five.

    ``inflate`` makes it take clips. Its running statistics follow ten times faster than the network's own do, for a
    short training.
    """

    def __init__(self, net: EfficientNetLite0, *, blocks: int = 5) -> None:
        super().__init__()
        self.pad, self.stem, self.norm = net._pad, net._conv_stem, net._bn0
        self.blocks = nn.Sequential(*list(net._blocks)[:blocks])
        for layer in self.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.momentum = 0.1

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = self.blocks(F.relu6(self.norm(self.stem(self.pad(x)))))
        return maps


def lite_stages(*, pretrained: bool = True) -> LiteStages:
    """With the published ImageNet weights, or as torch starts it."""
    return LiteStages(efficientnet_lite0(fetch.path("imagenet_weights") if pretrained else None))


def prepared(rgb: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N 3 T H W"]:
    """Clips as EfficientNet takes its images."""
    frames = prepare(255 * rgb.transpose(1, 2).flatten(0, 1), size=None)
    taken: Tensor = frames.unflatten(0, (len(rgb), -1)).transpose(1, 2)
    return taken


def kept_bytes(net: nn.Module, inputs: Inputs, labels: Tensor) -> int:
    """What one training step of ``net`` keeps from the way forward for the way back, in bytes, parameters aside.

    It is counted where autograd stores it; what several layers keep of the same memory counts once.
    """
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        loss = losses.cross_entropy(
            net.train()(*inputs), labels
        )  # held on to, lest its memory be used again and counted once
    total = sum(size for place, size in kept.items() if place not in own)
    del loss
    return total
