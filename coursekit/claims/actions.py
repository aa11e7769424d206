"""What the claims about moving pictures share: clips whose class lies in the motion alone, training, what to count.

Training and test clips show pieces of different photographs, or different parts of one. All arms of a seed see the
same batches in one order.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from .. import flow, losses, train
from ..data import clips, fetch
from ..data.seeds import Part, stream
from ..models.efficientnet_lite import efficientnet_lite0, prepare
from .training import cross_entropy

FRAMES, SIZE, CLASSES = 16, 32, len(clips.MOTIONS)
CHUNK = 8  # clips whose flow is found at a time: more do not fit into a cache
BATCH = 16
BLOCKS = 5  # of the sixteen of an EfficientNet-lite0
ACCURACY, SEEN = "accuracy", "accuracy on the training clips"
SECONDS, KEPT = "training, CPU s", "kept for a step back, MiB"
MIB = 2**20
Inputs = tuple[Tensor, ...]  # what a network takes, a clip a row
Make = Callable[..., clips.ActionSet]


class Labelled(NamedTuple):
    """Clips (N, C, T, H, W) in [0, 1] and their classes (N,)."""

    clips: Float[Tensor, "N C T H W"]
    labels: Integer[Tensor, "N"]


def drawn(split: Part, *, count: int, frames: int = FRAMES, make: Make = clips.actions, **knobs: int) -> Labelled:
    """``count`` clips of a part at once, all eight classes alike often; ``knobs`` of what makes them."""
    action_set = make(split=split, count=count, frames=frames, size=SIZE, **knobs)
    return Labelled(torch.stack([action_set[i].clip for i in range(count)]), action_set.labels)


def flows(rgb: Float[Tensor, "N 1 T H W"]) -> Float[Tensor, "N 2 T1 H W"]:
    """TV-L1 from each frame to the next, in pixels; few iterations do, as motion is a pixel or two."""
    fields = []
    for part in rgb.split(CHUNK):
        frames = part.transpose(1, 2)  # (N, T, 1, H, W)
        field = flow.tv_l1(frames[:, :-1].flatten(0, 1), frames[:, 1:].flatten(0, 1), warps=2, iterations=5)
        fields.append(field.unflatten(0, (len(part), -1)).transpose(1, 2))
    return torch.cat(fields)


def learn(
    net: nn.Module, inputs: Inputs, labels: Tensor, *, seed: int, steps: int, size: int = BATCH, lr: float = 3e-3
) -> float:
    """Train on the batches of ``seed``, frozen parts aside; return the CPU seconds it took."""
    batches = train.shuffled(*inputs, labels, size=size, generator=stream(seed, "batches"))
    start = time.process_time()
    train.fit(net.to(train.device()), batches, cross_entropy, steps=steps, lr=lr, show=False)
    return time.process_time() - start


def right(net: nn.Module, inputs: Inputs, labels: Tensor, *, size: int = 32) -> dict[str, float]:
    """Accuracy, and the same but for the sense of time: twins stand side by side in the list of classes."""
    answers = train.predict(net, *inputs, size=size).argmax(1)
    return {ACCURACY: share(answers == labels), "axis of motion right": share(answers // 2 == labels // 2)}


def share(true: Tensor) -> float:
    """How many are, from 0 to 1."""
    return float(true.double().mean())


def majority(learnt: Labelled, held_out: Labelled) -> dict[str, float]:
    """Accuracy of always answering the class that is most frequent among those learnt from."""
    return {ACCURACY: share(held_out.labels == learnt.labels.bincount().argmax())}


def parameters(net: nn.Module) -> int:
    """How many numbers are trained."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


def kept_bytes(net: nn.Module, inputs: Inputs, labels: Tensor) -> int:
    """What a training step keeps from the way forward for the way back, in bytes of memory, parameters aside."""
    own = {p.untyped_storage().data_ptr() for p in net.parameters()}
    kept: dict[int, int] = {}

    def note(x: Tensor) -> Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(note, lambda x: x):
        loss = losses.cross_entropy(net.train()(*(x.clone() for x in inputs)), labels)  # a view's memory is its set's
    total = sum(size for place, size in kept.items() if place not in own)
    del loss  # held on to so far, lest its memory be used again and counted once
    return total


class MiddleFrame(nn.Module):
    """A 2D trunk of ``width`` channels on the middle frame alone, the mean over space, a class."""

    def __init__(self, trunk: nn.Module, *, width: int) -> None:
        super().__init__()
        self.trunk, self.head = trunk, nn.Linear(width, CLASSES)

    def forward(self, rgb: Float[Tensor, "N C T H W"], flow: Tensor | None = None) -> Float[Tensor, "N K"]:
        logits: Tensor = self.head(self.trunk(rgb[:, :, rgb.shape[2] // 2]).mean((2, 3)))
        return logits


def lite_stages(*, pretrained: bool = True) -> nn.Sequential:
    """The first ``BLOCKS`` blocks of an EfficientNet-lite0: ``(N, 3, H, W) -> (N, 40, H / 8, W / 8)``.

    With the published ImageNet weights, or as torch starts it. Its running statistics follow ten times faster than the
    network's own do, for a short training.
    """
    net = efficientnet_lite0(fetch.path("imagenet_weights") if pretrained else None)
    stages = nn.Sequential(net._pad, net._conv_stem, net._bn0, nn.ReLU6(), *net._blocks[:BLOCKS])
    for layer in stages.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1
    return stages


def prepared(rgb: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N 3 T H W"]:
    """Clips as EfficientNet takes its images."""
    frames: Tensor = prepare(255 * rgb.transpose(1, 2).flatten(0, 1), size=None).unflatten(0, (len(rgb), -1))
    return frames.transpose(1, 2)
