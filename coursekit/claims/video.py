"""Five ways to use time, on clips that appearance says nothing about (lecture 12).

All five learn from the same batches for the same number of steps and have stages of the same widths; what they cost
differs and stands beside their accuracy. Flow is found once for all clips.
"""

import time

from jaxtyping import Float
from torch import Tensor, nn

from .. import train
from ..models.video import ARCHITECTURES, Backbone
from . import Claim, Scores, actions

TRAIN, TEST, FRAMES, SIZE = 1536, 512, 16, 32
WIDTHS, STEPS = (16, 24, 32), 450
FRAME = "single frame"


class SingleFrame(nn.Module):
    """The 2D backbone on the middle frame alone: the baseline."""

    def __init__(self, classes: int, *, widths: tuple[int, ...] = WIDTHS) -> None:
        super().__init__()
        self.frame = Backbone(1, widths, ndim=2)
        self.head = nn.Linear(self.frame.width, classes)

    def forward(self, rgb: Float[Tensor, "N 1 T H W"], flow: Tensor | None = None) -> Float[Tensor, "N K"]:
        logits: Tensor = self.head(self.frame.pooled(rgb[:, :, rgb.shape[2] // 2]))
        return logits


ARMS: dict[str, type[nn.Module]] = {FRAME: SingleFrame, **ARCHITECTURES}


def architectures_experiment(seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST) -> Scores:
    """Train a single-frame network and the five; accuracy on textures never seen, and what each costs."""
    learnt = actions.drawn("train", seed=seed, count=count, frames=FRAMES, size=SIZE)
    held_out = actions.drawn("test", seed=seed, count=test, frames=FRAMES, size=SIZE)
    start = time.process_time()
    inputs, asked = ((part.clips, actions.flows(part.clips)) for part in (learnt, held_out))
    scores: Scores = {
        "accuracy": {"majority class": actions.majority(learnt.labels, held_out.labels)},
        "axis of motion right": {},
        "parameters": {},
        "training, CPU s": {"TV-L1 of all clips": time.process_time() - start},
    }
    for arm, build in ARMS.items():
        train.seed_everything(seed)
        net = build(8, widths=WIDTHS)
        scores["training, CPU s"][arm] = actions.learn(net, inputs, learnt.labels, seed=seed, steps=steps)
        said = actions.answers(net, asked)
        scores["accuracy"][arm] = actions.share(said == held_out.labels)
        scores["axis of motion right"][arm] = actions.axis_right(said, held_out.labels)
        scores["parameters"][arm] = actions.parameters(net)
    return scores


BEST = "two-stream 3D"
CLAIMS = [
    Claim(
        name="video_architectures",
        lecture="12",
        statement="Of five ways to use time, 3D convolutions over RGB and over flow, the two-stream 3D network, recognise actions best.",
        comparisons=[
            *(("accuracy", BEST, other) for other in ARCHITECTURES if other != BEST),
            *(("accuracy", arm, FRAME) for arm in ARCHITECTURES),
        ],
        baseline=("accuracy", FRAME),
        experiment=architectures_experiment,
        asserted=len(ARCHITECTURES) - 1,
        simulated=("clips.actions",),
    )
]
