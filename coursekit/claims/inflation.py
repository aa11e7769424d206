"""Does ImageNet help a video network? Inflated from its weights, or from random start, on few clips (lecture 10).

The network is the first five blocks of an EfficientNet-lite0 in 3D, a 3D convolution and a linear layer. Inflated
kernels are the same forwards and backwards: where classes lie in the motion alone, a clip and its twin look alike to
them until training breaks this. The third arm is as blind, but has seen no photograph. By appearance, it is the class.
"""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from .. import train
from ..data import clips
from ..models.video import stage
from ..ops.inflate import inflate
from . import Scores, actions, by_measure, claim, versus
from .actions import ACCURACY, CLASSES, SECONDS, SEEN, Labelled

TRAIN, TEST, FRAMES = 512, 256, 8  # 64 clips a class
STEPS, BATCH, LR, DEPTH = 190, 8, 2e-3, 3
FEW, FEW_STEPS, FEW_TEST = (1, 5, 20), 40, 80  # clips a class, where appearance tells
WIDTH = 40  # channels that the trunk gives
FRAME, BEST, RANDOM = "single frame", "inflated from ImageNet", "random start"
UNTRAINED, NEAREST = "inflated from an untrained network", "nearest class by ImageNet's features"


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


def nearest(x: Tensor, labels: Tensor) -> nn.Module:
    """Learns nothing: which class has the nearest mean of features, of the middle frames of clips (N, 3, T, H, W)."""
    net = actions.MiddleFrame(actions.lite_stages(), width=WIDTH).eval().requires_grad_(False)
    features = net.trunk(x[:, :, x.shape[2] // 2]).mean((2, 3))
    means = torch.stack([features[labels == k].mean(0) for k in range(CLASSES)])
    net.head.weight.data, net.head.bias.data = means, -means.square().sum(1) / 2  # the order of distances
    return net


def measured(learnt: Labelled, held_out: Labelled, *, seed: int, steps: int) -> Scores:
    """Every arm learns from the same clips, takes its batch norm's statistics from them, and is asked about others."""
    seen, unseen = (actions.prepared(part.clips.expand(-1, 3, -1, -1, -1)) for part in (learnt, held_out))
    scores = {"majority class": actions.majority(learnt, held_out)}
    for arm in (NEAREST, FRAME, *TRUNKS):
        net, spent = nearest(seen, learnt.labels) if arm == NEAREST else network(arm, seed=seed), 0.0
        if arm != NEAREST:
            spent = actions.learn(net, (seen,), learnt.labels, seed=seed, steps=steps, size=BATCH, lr=LR)
            torch.optim.swa_utils.update_bn(seen.split(BATCH), net, train.device())  # running statistics lag behind
        by_heart = {SEEN: actions.right(net, (seen,), learnt.labels)[ACCURACY], SECONDS: spent}
        scores[arm] = actions.right(net, (unseen,), held_out.labels) | by_heart
    return by_measure(scores)


@claim(
    lecture="10",
    statement="Where only the motion tells the class, a video network inflated from ImageNet's weights is better than "
    "the same network from random start.",
    comparisons=[
        *versus(BEST, RANDOM, UNTRAINED, on=[ACCURACY]),
        (ACCURACY, RANDOM, UNTRAINED),
        *((ACCURACY, arm, other) for arm in (BEST, RANDOM) for other in (FRAME, NEAREST)),
        *versus(BEST, RANDOM, UNTRAINED, FRAME, on=["axis of motion right"]),
        (SEEN, BEST, RANDOM),
    ],
    baseline=(ACCURACY, NEAREST),
    simulated=("clips.actions",),
)
def inflated_vs_random(seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST) -> Scores:
    """64 clips a class, of textures from other photographs than those asked about."""
    draw = partial(actions.drawn, seed=seed, frames=FRAMES, gray=False)
    return measured(draw("train", count=count), draw("test", count=test), seed=seed, steps=steps)


@claim(
    lecture="10",
    statement="Where appearance tells the class, a video network inflated from ImageNet's weights is better than the "
    "same network from random start after the same 40 steps, at 1, 5 and 20 clips a class.",
    comparisons=versus(BEST, RANDOM, UNTRAINED, FRAME, NEAREST, on=[f"{ACCURACY}, {n} a class" for n in FEW]),
    baseline=(f"{ACCURACY}, {FEW[-1]} a class", NEAREST),
    asserted=len(FEW),
    simulated=("clips.photographs",),
)
def inflated_by_appearance(seed: int, *, steps: int = FEW_STEPS, test: int = FEW_TEST) -> Scores:
    """Learn from the left of each photograph, be asked about its right; any motion, in both."""
    draw = partial(actions.drawn, seed=seed, frames=FRAMES, make=clips.photographs)
    scores: Scores = {}
    for n in FEW:
        arms = measured(draw("train", count=n * CLASSES), draw("test", count=test), seed=seed, steps=steps)
        scores |= {f"{name}, {n} a class": arms[name] for name in (ACCURACY, SEEN, SECONDS)}
    return scores
