"""The videos as a data set, and cut into windows to train on."""

from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor
from torch.utils.data import Dataset

from ... import _check
from ...types import Clip
from .. import seeds
from ..seeds import Part
from . import depth
from .scene import Scene, Trace
from .story import ACTIVITIES, Event

VISIBLE = 1 / 256  # share of the pixels someone must fill to be counted


class Video(NamedTuple):
    """One room: what the camera saw, and what happened.

    ``depth`` (1, T, H, W) in metres, 0 where missing; ``people`` (T,) how many are to be seen; ``events`` (E, 2)
    start and end in seconds, half-open, in order of time; ``classes`` (E,) indices into ``ACTIVITIES``; ``helpers``
    (E,) how many helped; ``targets`` (T, 4) which activity is going on at frame t, that is at t / fps seconds.
    """

    depth: Clip
    people: Int64[Tensor, "T"]
    events: Float[Tensor, "E 2"]
    classes: Int64[Tensor, "E"]
    helpers: Int64[Tensor, "E"]
    targets: Bool[Tensor, "T 4"]

    def of(self, activity: int) -> Float[Tensor, "_ 2"]:
        """The events of one activity, as ``coursekit.metrics.temporal`` takes them."""
        return self.events[self.classes == activity]


@dataclass(frozen=True)
class IcuSet(Dataset[Video]):
    """A map-style data set of simulated rooms; item i is rendered when it is asked for, and is the same in every
    process.

    What happens in a room depends on ``minutes`` and ``seed``, not on ``fps`` and ``size``. Items differ in their
    number of events, so a loader is to take one at a time; ``windows`` cuts pieces that stack.
    """

    split: Part
    count: int
    minutes: float
    fps: float
    size: tuple[int, int]
    seed: int
    source: str = "phantom"
    unit: str = "m"
    note: str = "simulated after Yeung et al. 2019; no such videos are open"

    def __len__(self) -> int:
        return self.count

    @property
    def frames(self) -> int:
        return max(1, round(self.minutes * 60 * self.fps))

    def __getitem__(self, index: SupportsIndex) -> Video:
        scene = self._scene(index)
        trace = scene.render(self.size, self.fps, self.frames)
        generator = seeds.stream(self.seed, "icu", self.split, self._number(index), "sensor")
        seen = depth.sensed(trace.clean.numpy(), generator=generator)
        events, classes = _table(scene.patient.events)
        times = torch.arange(self.frames, dtype=torch.float64) / self.fps
        return Video(
            depth=torch.from_numpy(seen)[None],
            people=_seen(trace.bodies, trace.joints.shape[1]),
            events=events.float(),
            classes=classes,
            helpers=torch.tensor([scene.helpers(event) for event in scene.patient.events], dtype=torch.int64),
            targets=_targets(events, classes, times),
        )

    def trace(self, index: SupportsIndex) -> Trace:
        """The same room without noise, with the geometry and everybody's joints: to check the truth by, not to learn
        from.
        """
        return self._scene(index).render(self.size, self.fps, self.frames)

    def _number(self, index: SupportsIndex) -> int:
        return _check.index("a room", index, self.count)

    def _scene(self, index: SupportsIndex) -> Scene:
        return Scene(self.seed, self.split, self._number(index), self.minutes * 60)


def rooms(
    *,
    split: Part,
    count: int = 40,
    minutes: float = 5.0,
    fps: float = 2.0,
    size: tuple[int, int] = (48, 64),
    seed: int = 0,
) -> IcuSet:
    """Videos of ``count`` rooms, each ``minutes`` long at ``fps`` frames a second (1 … 5), ``size`` (H, W) pixels
    (each 16 … 480).

    The camera hangs 2.2 to 2.65 m high and sees 70° across; a size that is not 3 : 4 sees more or less of ceiling and
    floor. Depth runs from 0.4 to 8 m along the optical axis. The first n of more rooms are the same n rooms. No room
    is in both parts, whatever the seeds.
    """
    _check.one_of("split", split, list(seeds.PARTS))
    _check.positive("count", count)
    _check.within("minutes", torch.tensor(minutes), 0.5, 60, "a few minutes hold a few events")
    _check.within("fps", torch.tensor(fps), 1, 5, "an event lasts five seconds at least")
    _check.within("size", torch.tensor(size), 16, 480, "give rows and columns, 48 × 64 for one")
    return IcuSet(split, count, minutes, fps, size, seed)


def _table(events: list[Event]) -> tuple[Float[Tensor, "E 2"], Int64[Tensor, "E"]]:
    spans = torch.tensor([event[:2] for event in events], dtype=torch.float64).reshape(-1, 2)
    return spans, torch.tensor([event.kind for event in events], dtype=torch.int64)


def _targets(
    events: Float[Tensor, "E 2"], classes: Int64[Tensor, "E"], times: Float[Tensor, "T"]
) -> Bool[Tensor, "T 4"]:
    during = (events[:, :1] <= times) & (times < events[:, 1:])  # (E, T)
    return torch.stack([during[classes == k].any(0) for k in range(len(ACTIVITIES))], 1)


def _seen(bodies: UInt8[Tensor, "T H W"], people: int) -> Int64[Tensor, "T"]:
    """How many people fill at least ``VISIBLE`` of the pixels of each frame."""
    shares = torch.stack([(bodies == k).float().mean((1, 2)) for k in range(1, people + 1)], 1)
    return (shares >= VISIBLE).sum(1)


class Window(NamedTuple):
    """A piece of a video: ``depth`` (1, T, H, W), ``targets`` (T, 4) and ``people`` (T,), as in ``Video``."""

    depth: Clip
    targets: Bool[Tensor, "T 4"]
    people: Int64[Tensor, "T"]


@dataclass(frozen=True, eq=False)
class Windows(Dataset[Window]):
    """Pieces of equal length, stacked, with the room and the first frame each comes from. Also a data set of them."""

    depth: Float[Tensor, "N 1 T H W"]
    targets: Bool[Tensor, "N T 4"]
    people: Int64[Tensor, "N T"]
    room: Int64[Tensor, "N"]
    first: Int64[Tensor, "N"]
    fps: float
    source: str = "phantom"

    def __len__(self) -> int:
        return len(self.depth)

    def __getitem__(self, index: SupportsIndex) -> Window:
        index = _check.index("a window", index, len(self))
        return Window(self.depth[index], self.targets[index], self.people[index])


def windows(videos: IcuSet, *, seconds: float = 32.0, stride_seconds: float | None = None) -> Windows:
    """Cut every video into windows of ``seconds``, one every ``stride_seconds`` (without overlap if not given).

    The last window of a video ends with the video, so every frame is in one. 4 bytes a pixel: 40 rooms of 5 minutes
    at 2 frames a second and 48 × 64 pixels are 295 MB.
    """
    _check.positive("seconds", seconds)
    _check.positive("stride_seconds", seconds if stride_seconds is None else stride_seconds)
    length = round(seconds * videos.fps)
    stride = length if stride_seconds is None else round(stride_seconds * videos.fps)
    if not 1 <= length <= videos.frames or stride < 1:
        got = f"{length} frames every {stride}"
        raise _check.refuse(
            f"windows of 1 to {videos.frames} frames, at least one frame apart", got, "change seconds or stride_seconds"
        )
    starts = sorted({*range(0, videos.frames - length + 1, stride), videos.frames - length})
    pieces = [_cut(videos[k], starts, length) for k in range(len(videos))]
    depths, targets, people = (torch.cat(parts) for parts in zip(*pieces))
    number = torch.arange(len(videos)).repeat_interleave(len(starts))
    return Windows(depths, targets, people, number, torch.tensor(starts).repeat(len(videos)), videos.fps, videos.source)


def _cut(video: Video, starts: list[int], length: int) -> tuple[Tensor, Tensor, Tensor]:
    piece = [slice(start, start + length) for start in starts]
    return (
        torch.stack([video.depth[:, p] for p in piece]),
        torch.stack([video.targets[p] for p in piece]),
        torch.stack([video.people[p] for p in piece]),
    )
