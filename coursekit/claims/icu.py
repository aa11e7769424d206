"""When did it happen? Four activities in depth videos of rooms never seen, with time and without (lecture 15, after
Yeung et al. 2019).

Every seed simulates other rooms. Both networks look at each frame with the same layers, from the same start, on the
same windows; then one convolves over time and the other sees each frame by itself. What either says of every second
is smoothed, and cut at a level, into events; how long and at which level is chosen for each arm on training rooms set
apart.
"""

import itertools
import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Generator, Tensor, nn

from .. import train
from ..data import icu
from ..data.seeds import Part, stream
from ..metrics import temporal
from ..models.video import Backbone
from . import Claim, Scores

SPLITS: tuple[Part, ...] = ("train", "test")
COUNTS = (200, 40)
APART = 24  # of the training rooms: learnt from by nobody, to choose the cut on
FPS, SIZE = 1.0, (24, 32)
STEPS, BATCH, LENGTH, LR = 1050, 8, 64, 4e-3
WIDTHS, FEATURES = (16, 32, 48), 64
DILATIONS = (1, 2, 4, 8)  # frames: 61 seconds are seen
MOST = 6  # people are counted up to one fewer
SHIFT = 2  # pixels
SMOOTH, LEVELS = (1, 3, 5, 9), (0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)  # frames and probabilities to choose from
SHORTEST = 3  # seconds
OVERLAP = 0.5


class Rooms(NamedTuple):
    """The videos of several rooms, as they are shown to a network, and what happened."""

    seen: Tensor  # (R, T, 2, H, W)
    going_on: Tensor  # (R, T, 4), bool
    people: Tensor  # (R, T)
    videos: list[icu.Video]

    def part(self, rows: slice) -> "Rooms":
        return Rooms(self.seen[rows], self.going_on[rows], self.people[rows], self.videos[rows])


def rooms(split: Part, count: int, *, seed: int) -> Rooms:
    """``count`` rooms that no other split and no other seed has."""
    made = icu.rooms(split=split, count=count, fps=FPS, size=SIZE, seed=seed)
    videos = [made[i] for i in range(count)]
    seen, going_on, people = (torch.stack(x) for x in zip(*((shown(v.depth[0]), v.targets, v.people) for v in videos)))
    return Rooms(seen, going_on, people, videos)


def shown(depth: Tensor) -> Tensor:
    """Nearness in 1/m, and how many metres nearer than mostly, in a hole as mostly: (T, H, W) to (T, 2, H, W)."""
    mostly = depth[::5].where(depth[::5] > 0, torch.nan).nanmedian(0).values.nan_to_num(float(depth.max()))
    filled = depth.where(depth > 0, mostly)
    return torch.stack([1 / filled.clamp(min=0.5), (mostly - filled).clamp(-1, 1.5)], 1)


# --- learning ---


class Watcher(nn.Module):
    """Frames (N, T, 2, H, W) to logits of the activities (N, T, 4) and of the number of people (N, T, MOST).

    Without ``time`` the convolutions over time see one frame: a fifth of their weights.
    """

    def __init__(self, *, time: bool) -> None:
        super().__init__()
        cells = math.prod(-(-side // 2 ** len(WIDTHS)) for side in SIZE)  # of the backbone's map
        self.frame = nn.Sequential(
            Backbone(2, WIDTHS, ndim=2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(WIDTHS[-1] * cells, FEATURES),
            nn.ReLU(),
        )
        self.count, self.say = nn.Linear(FEATURES, MOST), nn.Linear(FEATURES, len(icu.ACTIVITIES))
        size = 5 if time else 1
        layers = (nn.Conv1d(FEATURES, FEATURES, size, padding=size // 2 * d, dilation=d) for d in DILATIONS)
        self.over_time = nn.ModuleList(layers)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        each = self.frame(seen.flatten(0, 1)).view(*seen.shape[:2], -1)  # (N, T, F)
        x = each.mT
        for layer in self.over_time:
            x = x + F.relu(layer(F.dropout(x, 0.1, self.training)))
        return self.say(x.mT), self.count(each)


def windows(learnt: Rooms, *, generator: Generator) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Endless batches of ``LENGTH`` seconds of one room each, mirrored half the time and moved by up to ``SHIFT``
    pixels.
    """
    count, frames = learnt.people.shape
    while True:
        picked = []
        for _ in range(BATCH):
            room, start = (int(torch.randint(n, (), generator=generator)) for n in (count, frames - LENGTH + 1))
            shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
            piece = learnt.seen[room, start : start + LENGTH].roll(shift, (-2, -1))
            mirrored = piece.flip(-1) if torch.rand((), generator=generator) < 0.5 else piece
            picked.append((mirrored, *(x[room, start : start + LENGTH] for x in (learnt.going_on, learnt.people))))
        seen, going_on, people = (torch.stack(x) for x in zip(*picked))
        yield seen, going_on.float(), people


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy of each activity at each frame, and a little of the number of people."""
    activities, people = net(batch[0])
    counted = F.cross_entropy(people.flatten(0, 1), batch[2].flatten().clamp(max=MOST - 1))
    return F.binary_cross_entropy_with_logits(activities, batch[1]) + 0.05 * counted


def learn(learnt: Rooms, *, seed: int, time: bool, steps: int = STEPS, show: bool = False) -> Watcher:
    """A watcher with or without time."""
    train.seed_everything(seed)
    net = Watcher(time=time).to(train.device())
    drawn = windows(learnt, generator=stream(seed, "icu windows"))
    train.fit(
        net,
        drawn,
        loss_of,
        steps=steps,
        lr=LR,
        weight_decay=1e-2,
        label="with time" if time else "one frame",
        show=show,
    )
    return net


@torch.no_grad()
def watch(net: Watcher, seen: Tensor) -> tuple[Tensor, Tensor]:
    """The probability of each activity (R, T, 4), and the number of people (R, T), on the CPU: the mean of a video and
    its mirror image.
    """
    where = next(net.parameters()).device
    said = [net.eval()(torch.stack([video, video.flip(-1)]).to(where)) for video in seen]
    likely, people = torch.stack([a.sigmoid().mean(0) for a, _ in said]), torch.stack([n.mean(0) for _, n in said])
    return likely.cpu(), people.argmax(2).cpu()


def restless(learnt: Rooms, watched: Rooms) -> Tensor:
    """What needs no network: the change from frame to frame as a share of the largest in ``learnt``, for every
    activity: (R, T, 4).
    """
    change, most = (F.pad(x.seen[:, :, 1].diff(dim=1).abs().mean((2, 3)), (1, 0)) for x in (watched, learnt))
    return (change / most.max()).clamp(max=1)[..., None].expand(-1, -1, len(icu.ACTIVITIES))


# --- from numbers to events ---


class Cut(NamedTuple):
    """Smooth over ``frames``, cut at ``level``."""

    frames: int
    level: float

    def __call__(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Events (E, 2) in seconds and their scores (E,), the highest smoothed probability in each, of one activity in
        one video (T,).
        """
        smooth = ndimage.uniform_filter1d(probability.numpy(), self.frames, mode="nearest")
        parts, _ = ndimage.label(smooth > self.level)
        spans = [span for (span,) in ndimage.find_objects(parts) if span.stop - span.start >= SHORTEST * FPS]
        events = torch.tensor([(s.start, s.stop) for s in spans]).view(-1, 2) / FPS
        return events, torch.tensor([float(smooth[s].max()) for s in spans])


def found(cut: Cut, probability: Tensor, activity: int) -> list[tuple[Tensor, Tensor]]:
    """The events of one activity in every room."""
    return [cut(p[:, activity]) for p in probability]


def mean_ap(watched: Rooms, probability: Tensor, cut: Cut) -> float:
    """Average precision at an overlap of ``OVERLAP``, the mean of the four activities."""
    each = []
    for k in range(len(icu.ACTIVITIES)):
        events, scores = zip(*found(cut, probability, k))
        each.append(temporal.average_precision([v.of(k) for v in watched.videos], events, scores, threshold=OVERLAP))
    return float(np.nanmean(each))


def choose(watched: Rooms, probability: Tensor) -> Cut:
    """The smoothing and the level of the best average precision."""
    return max(
        itertools.starmap(Cut, itertools.product(SMOOTH, LEVELS)), key=lambda cut: mean_ap(watched, probability, cut)
    )


def operating_point(watched: Rooms, probability: Tensor, cut: Cut) -> dict[str, float]:
    """Of all events the share that is found, and of all that is found the share that is an event, whatever its score."""
    matches = [
        temporal.match_events(video.of(k), *made, threshold=OVERLAP)
        for k in range(len(icu.ACTIVITIES))
        for video, made in zip(watched.videos, found(cut, probability, k))
    ]
    right = sum(m.true_positives for m in matches)
    wrong, missed = sum(m.false_positives for m in matches), sum(m.false_negatives for m in matches)
    return {"event sensitivity": right / max(right + missed, 1), "event precision": right / max(right + wrong, 1)}


def scored(held_out: Rooms, chosen: Rooms, *, testing: Tensor, choosing: Tensor) -> dict[str, float]:
    """What probabilities (R, T, 4) of the held-out rooms are worth, cut as is best for those of the rooms set apart."""
    cut = choose(chosen, choosing)
    return {"event AP": mean_ap(held_out, testing, cut)} | operating_point(held_out, testing, cut)


def right_count(truth: Tensor, said: Tensor) -> dict[str, float]:
    """The share of frames with the right number of people."""
    return {"people counted right": float((truth == said).float().mean())}


def icu_experiment(seed: int, *, counts: tuple[int, int] = COUNTS, apart: int = APART, steps: int = STEPS) -> Scores:
    """Simulate rooms, learn from some with time and without, choose the cut on others, score on others still."""
    known, held_out = (rooms(split, n, seed=seed) for split, n in zip(SPLITS, counts))
    learnt, chosen = known.part(slice(0, -apart)), known.part(slice(-apart, None))
    arms: dict[str, dict[str, float]] = {}
    for arm, time in (("with time", True), ("one frame at a time", False)):
        net = learn(learnt, seed=seed, time=time, steps=steps)
        (choosing, _), (testing, people) = watch(net, chosen.seen), watch(net, held_out.seen)
        arms[arm] = scored(held_out, chosen, testing=testing, choosing=choosing) | right_count(held_out.people, people)
    change = scored(held_out, chosen, testing=restless(learnt, held_out), choosing=restless(learnt, chosen))
    arms["no network"] = change | right_count(held_out.people, learnt.people.flatten().mode().values)
    return {measure: {arm: values[measure] for arm, values in arms.items()} for measure in arms["no network"]}


CLAIMS = [
    Claim(
        name="icu_events",
        lecture="15",
        statement="When a patient gets in or out of bed or chair is found better with time than one frame at a time.",
        comparisons=[
            *(
                (measure, "with time", "one frame at a time")
                for measure in ("event AP", "event sensitivity", "event precision")
            ),
            ("event AP", "with time", "no network"),
            ("event AP", "one frame at a time", "no network"),
            ("people counted right", "with time", "one frame at a time"),
            ("people counted right", "with time", "no network"),
        ],
        baseline=("event AP", "no network"),
        experiment=icu_experiment,
        asserted=3,
        simulated=("icu.rooms",),
    )
]
