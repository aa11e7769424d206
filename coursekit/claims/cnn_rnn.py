"""A 2D network on every frame and an LSTM over what it says: trained as one, or one after the other (lecture 14).

A frame alone says nothing about the class, so the frames' network first learns what a frame does show: where the
object is and how large; or it comes from ImageNet, or is as torch draws it. In two steps its features of all clips are
stored once and the LSTM learns from them. Jointly, both go on learning from the same start, for as many steps.
"""

import copy
import time
from collections.abc import Callable, Mapping
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .. import train
from ..data.seeds import stream
from ..data.simulated.action_clips import render, scene
from ..data.simulated.photographs import textures
from ..models.recurrent import CNNRNN
from ..models.video import Backbone
from . import Scores, actions, by_measure, claim
from .actions import ACCURACY, BATCH, CLASSES, KEPT, MIB, SECONDS, SEEN, SIZE, Labelled
from .training import trained

TEST, FRAMES, LR = 512, 8, 3e-3
JOINT_LR = 1e-3  # where the frames' network learns too, 3e-3 undoes what it had learnt and 3e-4 is too slow
STILL_STEPS, STILL_BATCH = 400, 64  # the first step; it has two frames with their place and size for each clip
WIDTHS, WIDTH, HIDDEN = (16, 24, 32), 64, 48
FRAME, JOINT, TWO = "single frame", "joint", "two steps"
LEARNT, IMAGENET, RANDOM = "frames learnt", "ImageNet", "random start"
PRICES = ("parameters trained on clips", KEPT, "training set, MiB")  # given once: of the first budget
Budget = tuple[str, int, int]  # where the frames' network starts, clips to learn from, steps of each arm
BUDGETS: dict[str, Budget] = {
    f"{start}, {clips} clips, {steps} steps": (start, clips, steps)
    for start, clips, steps in [
        *((LEARNT, 2048, 4800), (LEARNT, 2048, 1200), (LEARNT, 2048, 300), (LEARNT, 256, 300)),
        *((RANDOM, 2048, 300), (IMAGENET, 256, 100)),
    ]
}
MOST = next(iter(BUDGETS))


def frame_network() -> nn.Module:
    """A frame (N, 1, 32, 32) to 64 features, which may say where in the frame things are."""
    places = WIDTHS[-1] * (SIZE // 2 ** len(WIDTHS)) ** 2
    return nn.Sequential(Backbone(1, WIDTHS, ndim=2), nn.Flatten(), nn.Linear(places, WIDTH), nn.ReLU())


def imagenet_network() -> nn.Module:
    """A frame (N, 3, 32, 32), prepared, to the 640 features of an EfficientNet-lite0's first blocks, by place."""
    return nn.Sequential(actions.lite_stages(), nn.Flatten())


def stills(seed: int, *, count: int) -> tuple[Float[Tensor, "N 1 S S"], Float[Tensor, "N 5"]]:
    """Frames of the training photographs; what they show: place down and across as a cosine and sine each, and size."""
    pictures = textures("train", True)
    scenes = [scene("left", pictures, size=SIZE, generator=stream(seed, "stills", i)) for i in range(count)]
    frames = render(scenes, frames=1, size=SIZE)[:, :, 0]
    middle = torch.stack([s.middle for s in scenes])  # (N, 4): down, across, turn, size
    angle = 2 * torch.pi * middle[:, :2]
    return frames, torch.cat([angle.cos(), angle.sin(), middle[:, 3:]], 1)


def learn_frames(seed: int, *, count: int, steps: int = STILL_STEPS) -> nn.Module:
    """The first step: a network that tells place and size from a frame, without its last layer."""
    images, shown = stills(seed, count=count)
    batches = train.shuffled(images, shown, size=min(STILL_BATCH, count), generator=stream(seed, "still batches"))

    def build() -> nn.Sequential:
        return nn.Sequential(frame_network(), nn.Linear(WIDTH, shown.shape[1]))

    def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.mse_loss(net(batch[0]), batch[1])

    return trained(build, batches, loss_of, seed=seed, steps=steps, lr=LR)[0]


def network(seed: int, *, frames: nn.Module | None = None, width: int = WIDTH) -> CNNRNN:
    """The start of every arm: with a copy of ``frames``, or all of it as torch draws it."""
    train.seed_everything(seed)
    own = frame_network()  # drawn in any case, so that the memory and the head start alike
    own = own if frames is None else copy.deepcopy(frames)
    return CNNRNN(own, width=width, classes=CLASSES, hidden=HIDDEN).to(train.device())


def stored(net: CNNRNN, clips: Tensor) -> Float[Tensor, "N T F"]:
    """The features of all frames of all clips."""
    frames = clips.transpose(1, 2).flatten(0, 1)  # (N·T, C, S, S)
    return train.predict(net.frame_net, frames, size=256).view(len(clips), clips.shape[2], -1)


class FromStored(nn.Module):
    """The second of the two steps: the memory and the head of a ``CNNRNN``, on features (N, T, F) of frames."""

    def __init__(self, net: CNNRNN) -> None:
        super().__init__()
        self.net = net
        net.frame_net.requires_grad_(False)

    def forward(self, features: Float[Tensor, "N T F"]) -> Float[Tensor, "N K"]:
        return self.net.classify(features)


def measured(
    net: nn.Module, learnt: Labelled, held_out: Labelled, *, seed: int, steps: int, lr: float = LR, first_s: float
) -> dict[str, float]:
    """Train on clips, or on what is stored of them, ``first_s`` CPU seconds after the start; accuracy and price."""
    seconds = actions.learn(net, learnt[:1], learnt.labels, seed=seed, steps=steps, lr=lr)
    batch, truth = (x[:BATCH].to(train.device()) for x in learnt)
    prices = actions.parameters(net), actions.kept_bytes(net, (batch,), truth) / MIB, learnt.clips.nbytes / MIB
    return {
        ACCURACY: actions.right(net, held_out[:1], held_out.labels)[ACCURACY],
        SEEN: actions.right(net, learnt[:1], learnt.labels)[ACCURACY],
        SECONDS: first_s + seconds,
    } | dict(zip(PRICES, prices))


def compared(build: Callable[[], CNNRNN], *clips: Labelled, seed: int, steps: int, first_s: float) -> Scores:
    """From the start that ``build`` makes, clips to learn from and others: all of it, the LSTM, a frame's features."""
    begun = time.process_time()
    seen = clips[0]._replace(clips=stored(build(), clips[0].clips))
    once = first_s + time.process_time() - begun
    features = [seen, clips[1]._replace(clips=stored(build(), clips[1].clips))]
    middle = [part._replace(clips=part.clips[:, part.clips.shape[1] // 2]) for part in features]
    arm = partial(measured, seed=seed, steps=steps)
    arms = {"majority class": actions.majority(*clips), JOINT: arm(build(), *clips, lr=JOINT_LR, first_s=first_s)}
    arms[TWO] = arm(FromStored(build()), *features, first_s=once)
    arms[FRAME] = arm(nn.Linear(seen.clips.shape[2], CLASSES), *middle, first_s=once)
    return by_measure(arms)


@claim(
    lecture="14",
    statement="A 2D network and the LSTM that reads it are better trained jointly than in two steps; the price is time "
    "and memory.",
    comparisons=[
        *((f"{ACCURACY}, {budget}", JOINT, TWO) for budget in BUDGETS),
        *((f"{ACCURACY}, {budget}", arm, FRAME) for budget in BUDGETS for arm in (JOINT, TWO)),
        *((f"{SECONDS}, {budget}", JOINT, TWO) for budget in BUDGETS),
        (KEPT, JOINT, TWO),
    ],
    baseline=(f"{ACCURACY}, {MOST}", FRAME),
    asserted=len(BUDGETS),
    simulated=("clips.actions",),
)
def cnn_rnn_joint(
    seed: int, *, budgets: Mapping[str, Budget] = BUDGETS, test: int = TEST, still_steps: int = STILL_STEPS
) -> Scores:
    """At every budget, from one start: jointly, in two steps, and the features of one frame linearly."""
    draw = partial(actions.drawn, seed=seed, frames=FRAMES)
    most = max(count for _, count, _ in budgets.values())
    learnt, held_out = draw("train", count=most), draw("test", count=test)
    begun = time.process_time()
    frames = learn_frames(seed, count=2 * most, steps=still_steps)
    first = {LEARNT: time.process_time() - begun}
    starts = {LEARNT: partial(network, seed, frames=frames), RANDOM: partial(network, seed)}
    starts |= {IMAGENET: partial(network, seed, frames=imagenet_network(), width=640)}
    scores: Scores = {}
    for name, (start, count, steps) in budgets.items():
        parts = [Labelled(learnt.clips[:count], learnt.labels[:count]), held_out]
        if start == IMAGENET:
            parts = [part._replace(clips=actions.prepared(part.clips.expand(-1, 3, -1, -1, -1))) for part in parts]
        arms = compared(starts[start], *parts, seed=seed, steps=steps, first_s=first.get(start, 0.0))
        for measure, by_arm in arms.items():
            scores.setdefault(measure if measure in PRICES else f"{measure}, {name}", by_arm)
    return scores
