"""When did it happen? Activities in depth videos of rooms never seen (lecture 15, after Yeung et al. 2019).

Every seed simulates other rooms. Both networks look at each frame with the same layers, from the same start, on the
same windows; then one convolves over time and the other sees each frame by itself. What either says of every second
is smoothed and cut at a level into events; how, is chosen for each arm on training rooms set apart.
"""

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Generator, Tensor, nn

from ..data import icu
from ..data.seeds import Part, stream
from ..metrics import temporal
from ..models.video import Backbone
from . import Scores, by_measure, claim, versus
from .training import SPLITS, trained

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
    simulated = icu.rooms(split=split, count=count, fps=FPS, size=SIZE, seed=seed)
    videos = [simulated[i] for i in range(count)]
    going_on, people = (torch.stack([getattr(v, name) for v in videos]) for name in ("targets", "people"))
    return Rooms(torch.stack([shown(v.depth[0]) for v in videos]), going_on, people, videos)


def shown(depth: Tensor) -> Tensor:
    """Nearness in 1/m, and how many metres nearer than mostly, in a hole as mostly: (T, H, W) to (T, 2, H, W)."""
    mostly = depth[::5].where(depth[::5] > 0, torch.nan).nanmedian(0).values.nan_to_num(float(depth.max()))
    filled = depth.where(depth > 0, mostly)
    return torch.stack([1 / filled.clamp(min=0.5), (mostly - filled).clamp(-1, 1.5)], 1)


class Watcher(nn.Module):
    """Frames (N, T, 2, H, W) to logits of the activities (N, T, 4) and of the number of people (N, T, MOST).

    Without ``time`` the convolutions over time see one frame.
    """

    def __init__(self, *, time: bool) -> None:
        super().__init__()
        cells = math.prod(-(-side // 2 ** len(WIDTHS)) for side in SIZE)  # of the backbone's map
        backbone, to_features = Backbone(2, WIDTHS, ndim=2), nn.Linear(WIDTHS[-1] * cells, FEATURES)
        self.frame = nn.Sequential(backbone, nn.Flatten(), nn.Dropout(0.3), to_features, nn.ReLU())
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
    """Endless batches of ``LENGTH`` seconds of one room each, half of them mirrored, moved by at most ``SHIFT``."""
    count, frames = learnt.people.shape
    while True:
        seen, spans = [], []
        for _ in range(BATCH):
            room, start = (int(torch.randint(n, (), generator=generator)) for n in (count, frames - LENGTH + 1))
            shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
            spans.append((room, slice(start, start + LENGTH)))
            moved = learnt.seen[spans[-1]].roll(shift, (-2, -1))
            seen.append(moved.flip(-1) if torch.rand((), generator=generator) < 0.5 else moved)
        going_on, people = (torch.stack([x[span] for span in spans]) for x in (learnt.going_on, learnt.people))
        yield torch.stack(seen), going_on.float(), people


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Cross-entropy of each activity at each frame, and a little of the number of people."""
    activities, people = net(batch[0])
    counted = F.cross_entropy(people.flatten(0, 1), batch[2].flatten().clamp(max=MOST - 1))
    return F.binary_cross_entropy_with_logits(activities, batch[1]) + 0.05 * counted


def learn(learnt: Rooms, *, seed: int, time: bool, steps: int = STEPS) -> Watcher:
    """A watcher with or without time."""
    drawn = windows(learnt, generator=stream(seed, "icu windows"))
    return trained(partial(Watcher, time=time), drawn, loss_of, seed=seed, steps=steps, lr=LR, weight_decay=1e-2)


@torch.no_grad()
def watch(net: Watcher, seen: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities of activities (R, T, 4) and numbers of people (R, T): the mean of a room and its mirror image."""
    where = next(net.parameters()).device
    both = [net.eval()(torch.stack([video, video.flip(-1)]).to(where)) for video in seen]
    probability = torch.stack([activities.sigmoid().mean(0) for activities, _ in both])
    people = torch.stack([counts.mean(0) for _, counts in both]).argmax(2)
    return probability.cpu(), people.cpu()


def restless(learnt: Rooms, watched: Rooms) -> Tensor:
    """What needs no network: the change of each frame, of the largest in ``learnt``, for all activities: (R, T, 4)."""
    change, most = (F.pad(x.seen[:, :, 1].diff(dim=1).abs().mean((2, 3)), (1, 0)) for x in (watched, learnt))
    return (change / most.max()).clamp(max=1)[..., None].expand(-1, -1, len(icu.ACTIVITIES))


class Cut(NamedTuple):
    """Smooth over ``frames``, cut at ``level``."""

    frames: int
    level: float

    def __call__(self, probability: Tensor) -> tuple[Tensor, Tensor]:
        """Events (E, 2) in seconds of one activity in one video (T,), and the highest smoothed probability in each."""
        smooth = ndimage.uniform_filter1d(probability.numpy(), self.frames, mode="nearest")
        parts, _ = ndimage.label(smooth > self.level)
        spans = [span for (span,) in ndimage.find_objects(parts) if span.stop - span.start >= SHORTEST * FPS]
        events = torch.tensor([(s.start, s.stop) for s in spans]).view(-1, 2) / FPS
        return events, torch.tensor([float(smooth[s].max()) for s in spans])


def mean_ap(watched: Rooms, probability: Tensor, cut: Cut) -> float:
    """Average precision at an overlap of ``OVERLAP``, the mean of the four activities."""
    precisions = []
    for k in range(len(icu.ACTIVITIES)):
        truth = [video.of(k) for video in watched.videos]
        events, scores = zip(*(cut(of_room) for of_room in probability[:, :, k]))
        precisions.append(temporal.average_precision(truth, events, scores, threshold=OVERLAP))
    return float(np.nanmean(precisions))


def choose(watched: Rooms, probability: Tensor) -> Cut:
    """The smoothing and the level of the best average precision."""
    cuts = itertools.starmap(Cut, itertools.product(SMOOTH, LEVELS))
    return max(cuts, key=lambda cut: mean_ap(watched, probability, cut))


def measures(watched: Rooms, probability: Tensor, cut: Cut) -> dict[str, float]:
    """Average precision; whatever its score, the share of events that is found, and of findings that are events."""
    matches = [
        temporal.match_events(video.of(k), *cut(of_room[:, k]), threshold=OVERLAP)
        for k in range(len(icu.ACTIVITIES))
        for video, of_room in zip(watched.videos, probability)
    ]
    right = sum(m.true_positives for m in matches)
    wrong, missed = sum(m.false_positives for m in matches), sum(m.false_negatives for m in matches)
    sensitivity, precision = right / max(right + missed, 1), right / max(right + wrong, 1)
    return dict(zip(EVENTS, (mean_ap(watched, probability, cut), sensitivity, precision)))


TIME, ALONE, NONE = "with time", "one frame at a time", "no network"
EVENTS, PEOPLE = ("event AP", "event sensitivity", "event precision"), "people counted right"


@claim(
    lecture="15",
    statement="When a patient gets in or out of bed or chair is found better with time than one frame at a time.",
    comparisons=[
        *versus(TIME, ALONE, on=EVENTS),
        *(("event AP", arm, NONE) for arm in (TIME, ALONE)),
        *versus(TIME, ALONE, NONE, on=[PEOPLE]),
    ],
    baseline=("event AP", NONE),
    asserted=len(EVENTS),
    simulated=("icu.rooms",),
)
def icu_events(seed: int, *, counts: tuple[int, int] = COUNTS, apart: int = APART, steps: int = STEPS) -> Scores:
    """Simulate rooms, learn from some with time and without, choose the cut on others, score on others still."""
    known, held_out = (rooms(split, n, seed=seed) for split, n in zip(SPLITS, counts))
    learnt, chosen = known.part(slice(0, -apart)), known.part(slice(-apart, None))
    watched = {}  # arm → probabilities of the rooms set apart and held out, people in the latter
    for arm, time in ((TIME, True), (ALONE, False)):
        net = learn(learnt, seed=seed, time=time, steps=steps)
        watched[arm] = (watch(net, chosen.seen)[0], *watch(net, held_out.seen))
    usual = learnt.people.flatten().mode().values
    watched[NONE] = (restless(learnt, chosen), restless(learnt, held_out), usual)
    arms = {}
    for arm, (choosing, testing, people) in watched.items():
        right_people = float((held_out.people == people).float().mean())
        arms[arm] = measures(held_out, testing, choose(chosen, choosing)) | {PEOPLE: right_people}
    return by_measure(arms)
