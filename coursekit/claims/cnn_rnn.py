"""A 2D network on every frame and an LSTM over what it says: trained as one, or one after the other (lecture 14).

A frame alone says nothing about the class, so the frames' network first learns what a frame does show: where the
object is and how large. In two steps its features of all clips are stored once and the LSTM learns from them.
Jointly, both go on learning from the same start; "joint, random start" never sees the frames' labels.
"""

import time
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
from . import Scores, actions, by_measure, claim, versus
from .actions import BATCH, CLASSES, FRAMES, SIZE, Labelled
from .training import trained

TRAIN, TEST = 4096, 512
STEPS, LR = 1200, 3e-3
JOINT_LR = 1e-3  # where the frames' network learns too, 3e-3 undoes what it had learnt and 3e-4 is too slow
LONGER = 2  # times the steps: reading features is cheap
STILL_STEPS, STILL_BATCH = 400, 64  # the first step; it has two frames with their place and size for each clip
WIDTHS, WIDTH, HIDDEN = (16, 24, 32), 64, 48
FRAME, JOINT, TWO, LONG = "single frame", "joint", "two steps", f"two steps, {LONGER} times the steps"
RANDOM = "joint, random start"
MIB = 2**20


def frame_network() -> nn.Module:
    """A frame (N, 1, 32, 32) to 64 features, which may say where in the frame things are."""
    places = WIDTHS[-1] * (SIZE // 2 ** len(WIDTHS)) ** 2
    return nn.Sequential(Backbone(1, WIDTHS, ndim=2), nn.Flatten(), nn.Linear(places, WIDTH), nn.ReLU())


def stills(seed: int, *, count: int) -> tuple[Float[Tensor, "N 1 S S"], Float[Tensor, "N 5"]]:
    """Frames of the training photographs; what they show: place down and across as a cosine and sine each, and size."""
    pictures = textures("train", True)
    scenes = [scene("left", pictures, size=SIZE, generator=stream(seed, "stills", i)) for i in range(count)]
    frames = render(scenes, frames=1, size=SIZE)[:, :, 0]
    middle = torch.stack([s.middle for s in scenes])  # (N, 4): down, across, turn, size
    angle = 2 * torch.pi * middle[:, :2]
    return frames, torch.cat([angle.cos(), angle.sin(), middle[:, 3:]], 1)


def learn_frames(seed: int, *, count: int = 2 * TRAIN, steps: int = STILL_STEPS) -> nn.Module:
    """The first step: a network that tells place and size from a frame, without its last layer."""
    images, shown = stills(seed, count=count)
    batches = train.shuffled(images, shown, size=min(STILL_BATCH, count), generator=stream(seed, "still batches"))

    def build() -> nn.Sequential:
        return nn.Sequential(frame_network(), nn.Linear(WIDTH, shown.shape[1]))

    def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.mse_loss(net(batch[0]), batch[1])

    return trained(build, batches, loss_of, seed=seed, steps=steps, lr=LR)[0]


def network(seed: int, *, frames: nn.Module | None = None) -> CNNRNN:
    """The start of every arm: with the weights of ``frames``, or as torch draws them."""
    train.seed_everything(seed)
    net = CNNRNN(frame_network(), width=WIDTH, classes=CLASSES, hidden=HIDDEN)
    if frames is not None:
        net.frame_net.load_state_dict(frames.state_dict())
    return net.to(train.device())


@torch.no_grad()
def stored(net: CNNRNN, clips: Tensor) -> Float[Tensor, "N T F"]:
    """The features of all frames of all clips."""
    where = next(net.parameters()).device
    net.eval()
    return torch.cat([net.features(part.to(where)).cpu() for part in clips.split(32)])


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
    return {
        "accuracy": actions.right(net, held_out[:1], held_out.labels)["accuracy"],
        "accuracy on the training clips": actions.right(net, learnt[:1], learnt.labels)["accuracy"],
        "parameters trained on clips": actions.parameters(net),
        "training, CPU s": first_s + seconds,
        "kept for a step back, MiB": actions.kept_bytes(net, (batch,), truth) / MIB,
        "training set, MiB": learnt.clips.nbytes / MIB,
    }


@claim(
    lecture="14",
    statement="A 2D network and the LSTM that reads it are better trained jointly than in two steps; the price is time "
    "and memory.",
    comparisons=[
        *versus(JOINT, TWO, LONG, RANDOM, on=["accuracy"]),
        ("accuracy", LONG, TWO),
        *(("accuracy", arm, FRAME) for arm in (JOINT, TWO)),
        ("training, CPU s", JOINT, LONG),
        ("kept for a step back, MiB", JOINT, TWO),
    ],
    baseline=("accuracy", FRAME),
    simulated=("clips.actions",),
)
def cnn_rnn_joint(
    seed: int, *, steps: int = STEPS, count: int = TRAIN, test: int = TEST, still_steps: int = STILL_STEPS
) -> Scores:
    """Train jointly, in two steps, in two for longer, jointly from random start, and one frame's features linearly."""
    clips = [actions.drawn("train", seed=seed, count=count), actions.drawn("test", seed=seed, count=test)]
    start = time.process_time()
    frames = learn_frames(seed, count=2 * count, steps=still_steps)
    first = time.process_time() - start
    start_net = partial(network, seed, frames=frames)
    seen = stored(start_net(), clips[0].clips)
    once = time.process_time() - start
    features = [clips[0]._replace(clips=seen), clips[1]._replace(clips=stored(start_net(), clips[1].clips))]
    middle = [part._replace(clips=part.clips[:, FRAMES // 2]) for part in features]
    arm = partial(measured, seed=seed, steps=steps, first_s=once)
    arms = {
        "majority class": actions.majority(*clips),
        JOINT: arm(start_net(), *clips, lr=JOINT_LR, first_s=first),
        TWO: arm(FromStored(start_net()), *features),
        LONG: arm(FromStored(start_net()), *features, steps=LONGER * steps),
        RANDOM: arm(network(seed), *clips, lr=JOINT_LR, first_s=0.0),
        FRAME: arm(nn.Linear(WIDTH, CLASSES), *middle),
    }
    return by_measure(arms)
