"""A 2D network on every frame and an LSTM over what it says: trained as one, or one after the other (lecture 14).

A frame alone says nothing about the class, so the frames' network first learns what a frame does show: where the
object is and how large. In two steps its features of all clips are stored once and the LSTM learns from them.
Jointly, both go on learning from the same start; "joint, random start" never sees the frames' labels.
"""

import time

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .. import train
from ..data.seeds import stream
from ..data.simulated.action_clips import render, scene
from ..data.simulated.photographs import textures
from ..models.recurrent import CNNRNN
from ..models.video import Backbone
from . import Claim, Scores, actions, by_measure

TRAIN, TEST, FRAMES, SIZE = 4096, 512, 16, 32
STEPS, BATCH, LR = 1200, 16, 3e-3
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
    """Frames of the training photographs, and what they show: place down and across as cosine and sine on their circle,
    and size.
    """
    pictures = textures("train", True)
    drawn = [scene("left", pictures, size=SIZE, generator=stream(seed, "stills", i)) for i in range(count)]
    frames = render(drawn, frames=1, size=SIZE)[:, :, 0]
    shown = torch.stack([s.middle for s in drawn])  # (N, 4): down, across, turn, size
    angle = 2 * torch.pi * shown[:, :2]
    return frames, torch.cat([angle.cos(), angle.sin(), shown[:, 3:]], 1)


class FromStored(nn.Module):
    """The second of the two steps: the memory and the head of a ``CNNRNN``, on features (N, T, F) of frames."""

    def __init__(self, net: CNNRNN) -> None:
        super().__init__()
        self.net = net
        net.frame_net.requires_grad_(False)

    def forward(self, features: Float[Tensor, "N T F"]) -> Float[Tensor, "N K"]:
        return self.net.classify(features)


def network(seed: int, *, frames: nn.Module | None = None) -> CNNRNN:
    """The start of every arm: with the weights of ``frames``, or as torch draws them."""
    train.seed_everything(seed)
    net = CNNRNN(frame_network(), width=WIDTH, classes=8, hidden=HIDDEN)
    if frames is not None:
        net.frame_net.load_state_dict(frames.state_dict())
    return net.to(train.device())


def learn_frames(seed: int, *, count: int = 2 * TRAIN, steps: int = STILL_STEPS) -> tuple[nn.Module, float]:
    """The first step: a network that tells place and size from a frame, without its last layer, and the CPU seconds it
    took.
    """
    start = time.process_time()
    images, shown = stills(seed, count=count)
    train.seed_everything(seed)
    net = nn.Sequential(frame_network(), nn.Linear(WIDTH, shown.shape[1])).to(train.device())
    batches = train.shuffled(images, shown, size=min(STILL_BATCH, count), generator=stream(seed, "still batches"))
    train.fit(
        net,
        batches,
        lambda model, batch: nn.functional.mse_loss(model(batch[0]), batch[1]),
        steps=steps,
        lr=LR,
        show=False,
    )
    return net[0], time.process_time() - start


@torch.no_grad()
def stored(net: CNNRNN, clips: Tensor) -> Float[Tensor, "N T F"]:
    """The features of all frames of all clips."""
    where = next(net.parameters()).device
    net.eval()
    return torch.cat([net.features(part.to(where)).cpu() for part in clips.split(32)])


def joint_experiment(
    seed: int,
    *,
    steps: int = STEPS,
    count: int = TRAIN,
    test: int = TEST,
    longer: int = LONGER,
    still_steps: int = STILL_STEPS,
) -> Scores:
    """Train jointly, in two steps, in two steps for longer, jointly from random start, and a linear layer on one
    frame's features.
    """
    learnt = actions.drawn("train", seed=seed, count=count, frames=FRAMES, size=SIZE)
    held_out = actions.drawn("test", seed=seed, count=test, frames=FRAMES, size=SIZE)
    frames, first = learn_frames(seed, count=2 * count, steps=still_steps)
    start = time.process_time()
    seen = stored(network(seed, frames=frames), learnt.clips)
    once = first + time.process_time() - start
    asked = stored(network(seed, frames=frames), held_out.clips)
    arms: dict[
        str, tuple[nn.Module, Tensor, Tensor, int, float]
    ] = {  # network, training and test set, steps, CPU s of the first step
        JOINT: (network(seed, frames=frames), learnt.clips, held_out.clips, steps, first),
        TWO: (FromStored(network(seed, frames=frames)), seen, asked, steps, once),
        LONG: (FromStored(network(seed, frames=frames)), seen, asked, longer * steps, once),
        RANDOM: (network(seed), learnt.clips, held_out.clips, steps, 0.0),
        FRAME: (nn.Linear(WIDTH, 8), seen[:, FRAMES // 2], asked[:, FRAMES // 2], steps, once),
    }
    measured = {"majority class": {"accuracy": actions.majority(learnt.labels, held_out.labels)}}
    for arm, (net, inputs, unseen, number, before) in arms.items():
        lr = JOINT_LR if arm in (JOINT, RANDOM) else LR
        used = actions.learn(net, (inputs,), learnt.labels, seed=seed, steps=number, size=BATCH, lr=lr)
        batch, truth = (x[:BATCH].to(train.device()) for x in (inputs, learnt.labels))
        measured[arm] = {
            "accuracy": actions.accuracy(net, (unseen,), held_out.labels),
            "accuracy on the training clips": actions.accuracy(net, (inputs,), learnt.labels),
            "parameters trained on clips": actions.parameters(net),
            "training, CPU s": before + used,
            "kept for a step back, MiB": actions.kept_bytes(net, (batch,), truth) / MIB,
            "training set, MiB": inputs.nelement() * inputs.element_size() / MIB,
        }
    return by_measure(measured)


CLAIMS = [
    Claim(
        name="cnn_rnn_joint",
        lecture="14",
        statement="A 2D network and the LSTM that reads it are better trained jointly than in two steps; the price is time and memory.",
        comparisons=[
            ("accuracy", JOINT, TWO),
            ("accuracy", JOINT, LONG),
            ("accuracy", JOINT, RANDOM),
            ("accuracy", LONG, TWO),
            ("accuracy", JOINT, FRAME),
            ("accuracy", TWO, FRAME),
            ("training, CPU s", JOINT, LONG),
            ("kept for a step back, MiB", JOINT, TWO),
        ],
        baseline=("accuracy", FRAME),
        experiment=joint_experiment,
        simulated=("clips.actions",),
    )
]
