"""Does ImageNet help a video network? Inflated from its weights, or from random start, on few clips (lecture 10).

The network is the first five blocks of an EfficientNet-lite0 in 3D, a 3D convolution and a linear layer. The classes
lie in the motion alone, and inflated kernels are the same forwards and backwards: a clip and its twin look alike to
them until training breaks this. The third arm is as blind, but has seen no photograph.
"""

from collections.abc import Callable

from torch import nn

from .. import train
from ..models.video import stage
from ..ops.inflate import inflate
from . import Scores, actions, by_measure, claim, versus
from .actions import CLASSES

TRAIN, TEST, FRAMES = 512, 256, 8  # 64 clips a class
STEPS, BATCH, LR, DEPTH = 190, 8, 2e-3, 3
WIDTH = 40  # channels that the trunk gives
FRAME, BEST, RANDOM = "single frame", "inflated from ImageNet", "random start"
UNTRAINED = "inflated from an untrained network"


def randomised(trunk: nn.Module) -> nn.Module:
    """Every kernel drawn anew as torch draws it, each frame of it on its own."""
    for layer in trunk.modules():
        if isinstance(layer, nn.Conv3d | nn.BatchNorm3d):
            layer.reset_parameters()
    return trunk


TRUNKS: dict[str, Callable[[], nn.Module]] = {
    BEST: lambda: inflate(actions.lite_stages(), depth=DEPTH),
    RANDOM: lambda: randomised(inflate(actions.lite_stages(pretrained=False), depth=DEPTH)),
    UNTRAINED: lambda: inflate(actions.lite_stages(pretrained=False), depth=DEPTH),
}


def network(arm: str, *, seed: int) -> nn.Module:
    """The network of an arm, before training; what stands on every trunk has the same start."""
    train.seed_everything(seed)
    head = nn.Sequential(stage(WIDTH, 32, ndim=3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, CLASSES))
    if arm == FRAME:
        return actions.MiddleFrame(actions.lite_stages(), width=WIDTH)
    return nn.Sequential(TRUNKS[arm](), head)


@claim(
    lecture="10",
    statement="With few clips, a video network inflated from ImageNet's weights is better than the same network from "
    "random start.",
    comparisons=[
        *versus(BEST, RANDOM, UNTRAINED, on=["accuracy"]),
        ("accuracy", RANDOM, UNTRAINED),
        *(("accuracy", arm, FRAME) for arm in (BEST, RANDOM)),
        *versus(BEST, RANDOM, UNTRAINED, FRAME, on=["axis of motion right"]),
        ("accuracy on the training clips", BEST, RANDOM),
    ],
    baseline=("accuracy", FRAME),
    simulated=("clips.actions",),
)
def inflated_vs_random(seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST) -> Scores:
    """Every arm learns for the same number of steps from the same clips, and is asked about textures never seen."""
    learnt = actions.drawn("train", seed=seed, count=count, frames=FRAMES, gray=False)
    held_out = actions.drawn("test", seed=seed, count=test, frames=FRAMES, gray=False)
    seen, unseen = (actions.prepared(part.clips) for part in (learnt, held_out))
    measured = {"majority class": actions.majority(learnt, held_out)}
    for arm in (FRAME, *TRUNKS):
        net = network(arm, seed=seed)
        seconds = actions.learn(net, (seen,), learnt.labels, seed=seed, steps=steps, size=BATCH, lr=LR)
        measured[arm] = actions.right(net, (unseen,), held_out.labels) | {
            "accuracy on the training clips": actions.right(net, (seen,), learnt.labels)["accuracy"],
            "training, CPU s": seconds,
        }
    return by_measure(measured)
