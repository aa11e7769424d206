"""Five ways to use time, on clips that appearance says nothing about (lecture 12).

All five learn from the same batches for the same number of steps and have stages of the same widths; what they cost
differs and stands beside their accuracy. Flow is found once for all clips.
"""

import time
from collections.abc import Callable
from functools import partial

from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from .. import train
from ..models.video import ARCHITECTURES, Backbone
from . import Scores, actions, by_measure, claim, versus
from .actions import ACCURACY, BATCH, CLASSES, KEPT, MIB, SECONDS

TRAIN, TEST = 1536, 512
WIDTHS, STEPS = (16, 24, 32), 450
FRAME, BEST = "single frame", "two-stream 3D"
ARMS: dict[str, Callable[[], nn.Module]] = {
    FRAME: lambda: actions.MiddleFrame(Backbone(1, WIDTHS, ndim=2), width=WIDTHS[-1]),
    **{name: partial(build, CLASSES, widths=WIDTHS) for name, build in ARCHITECTURES.items()},
}


def cost(net: nn.Module, inputs: actions.Inputs, labels: Tensor) -> dict[str, float]:
    """What is trained; the multiplications of one clip's answer, in millions; the memory of a training step."""
    *batch, truth = (x[:BATCH].to(train.device()) for x in (*inputs, labels))
    with FlopCounterMode(display=False) as counter:
        net.eval()(*(x[:1] for x in batch))
    spent = {"parameters": actions.parameters(net), "multiply-adds a clip, M": counter.get_total_flops() / 2e6}
    return spent | {KEPT: actions.kept_bytes(net, tuple(batch), truth) / MIB}


@claim(
    lecture="12",
    statement="Of five ways to use time, 3D convolutions over RGB and over flow, the two-stream 3D network, recognise "
    "actions best.",
    comparisons=[
        *versus(BEST, *(arm for arm in ARCHITECTURES if arm != BEST), on=[ACCURACY]),
        *((ACCURACY, arm, FRAME) for arm in ARCHITECTURES),
    ],
    baseline=(ACCURACY, "majority class"),
    asserted=len(ARCHITECTURES) - 1,
    simulated=("clips.actions",),
)
def video_architectures(seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST) -> Scores:
    """Train a single-frame network and the five; accuracy on textures never seen, and what each costs."""
    learnt = actions.drawn("train", seed=seed, count=count)
    held_out = actions.drawn("test", seed=seed, count=test)
    start = time.process_time()
    inputs, unseen = ((part.clips, actions.flows(part.clips)) for part in (learnt, held_out))
    measured = {"majority class": actions.majority(learnt, held_out)}
    measured["TV-L1 of all clips"] = {SECONDS: time.process_time() - start}
    for arm, build in ARMS.items():
        train.seed_everything(seed)
        net = build()
        seconds = actions.learn(net, inputs, learnt.labels, seed=seed, steps=steps)
        measured[arm] = actions.right(net, unseen, held_out.labels) | {SECONDS: seconds}
        measured[arm] |= cost(net, inputs, learnt.labels)
    return by_measure(measured)
