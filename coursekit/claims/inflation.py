"""Does ImageNet help a video network? Inflated from its weights, or from random start, on few clips (lecture 10).

The network is the first five of sixteen blocks of an EfficientNet-lite0 in 3D, with a 3D convolution and a linear
layer on top. The classes lie in the motion alone, and an inflated network is blind to its sense: its kernels are the
same forwards and backwards, so a clip and its twin look alike to it until training breaks this. The third arm is as
blind, but has seen no photograph.
"""

from collections.abc import Callable

from jaxtyping import Float
from torch import Tensor, nn

from .. import train
from ..models.video import stage
from ..ops.inflate import inflate
from . import Claim, Scores, actions

TRAIN, TEST, FRAMES, SIZE = 512, 256, 8, 32  # 64 clips a class
STEPS, BATCH, LR, DEPTH = 190, 8, 2e-3, 3
FRAME, BEST, RANDOM, UNTRAINED = (
    "single frame",
    "inflated from ImageNet",
    "random start",
    "inflated from an untrained network",
)


class ClipNet(nn.Module):
    """A 3D trunk that gives ``width`` channels, a 3D convolution over what it gives, the mean, a class."""

    def __init__(self, trunk: nn.Module, *, head: nn.Module) -> None:
        super().__init__()
        self.trunk, self.head = trunk, head

    def forward(self, rgb: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N K"]:
        logits: Tensor = self.head(self.trunk(rgb))
        return logits


def head(seed: int, *, width: int = 40) -> nn.Module:
    """What stands on every trunk, from the same start."""
    train.seed_everything(seed)
    return nn.Sequential(stage(width, 32, ndim=3), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(32, 8))


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


class MiddleFrame(nn.Module):
    """The ImageNet stages on the middle frame alone."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk, self.head = actions.lite_stages(), nn.Linear(40, 8)

    def forward(self, rgb: Float[Tensor, "N 3 T H W"]) -> Float[Tensor, "N K"]:
        logits: Tensor = self.head(self.trunk(rgb[:, :, rgb.shape[2] // 2]).mean((2, 3)))
        return logits


def network(arm: str, *, seed: int) -> nn.Module:
    """The network of an arm, before training."""
    top = head(seed)
    return MiddleFrame() if arm == FRAME else ClipNet(TRUNKS[arm](), head=top)


def inflation_experiment(seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST) -> Scores:
    """Every arm learns for the same number of steps from the same clips, and is asked about textures never seen."""
    knobs = {"frames": FRAMES, "size": SIZE, "gray": False}
    learnt = actions.drawn("train", seed=seed, count=count, **knobs)
    held_out = actions.drawn("test", seed=seed, count=test, **knobs)
    seen, asked = actions.prepared(learnt.clips), actions.prepared(held_out.clips)
    scores: Scores = {
        "accuracy": {"majority class": actions.majority(learnt.labels, held_out.labels)},
        "axis of motion right": {},
        "accuracy on the training clips": {},
        "training, CPU s": {},
    }
    for arm in (FRAME, *TRUNKS):
        net = network(arm, seed=seed)
        scores["training, CPU s"][arm] = actions.learn(
            net, (seen,), learnt.labels, seed=seed, steps=steps, size=BATCH, lr=LR
        )
        said = actions.answers(net, (asked,))
        scores["accuracy"][arm] = actions.share(said == held_out.labels)
        scores["axis of motion right"][arm] = actions.axis_right(said, held_out.labels)
        scores["accuracy on the training clips"][arm] = actions.accuracy(net, (seen,), learnt.labels)
    return scores


CLAIMS = [
    Claim(
        name="inflated_vs_random",
        lecture="10",
        statement="With few clips, a video network inflated from ImageNet's weights is better than the same network from random start.",
        comparisons=[
            ("accuracy", BEST, RANDOM),
            ("accuracy", BEST, UNTRAINED),
            ("accuracy", RANDOM, UNTRAINED),
            ("accuracy", BEST, FRAME),
            ("accuracy", RANDOM, FRAME),
            ("axis of motion right", BEST, RANDOM),
            ("axis of motion right", BEST, UNTRAINED),
            ("axis of motion right", BEST, FRAME),
            ("accuracy on the training clips", BEST, RANDOM),
        ],
        baseline=("accuracy", FRAME),
        experiment=inflation_experiment,
        simulated=("clips.actions",),
    )
]
