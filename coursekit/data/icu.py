"""An intensive care room watched by a depth camera: simulated, after Yeung et al., npj Digital Medicine 2:11, 2019.

Four activities of the patient are to be found in minutes of video with several people: get out of bed, get in bed,
get out of chair, get in chair (``simulated.room_story`` says when each begins and ends). There are no such videos to
be had, so each room is simulated: a patient follows a script, and one to four others come and go, help, or only seem
to. Depth alone is recorded, as in the paper, because it shows what is done and not who it is. Somebody else who sits
down in the chair looks alike and is no event: they do so only while the patient lies in bed.
"""

from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, UInt8
from torch import Tensor

from .. import _check
from ..types import Clip
from . import seeds
from .items import Items
from .seeds import Part
from .simulated import depth_camera, people
from .simulated.room import Room, furnished
from .simulated.room_story import ACTIVITIES, Event, Patient, apart, company

__all__ = ["ACTIVITIES", "NEARBY", "VISIBLE", "IcuSet", "Trace", "Video", "Window", "rooms", "windows"]

NEARBY = 1.3  # metres from pelvis to pelvis within which someone helps
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


class Trace(NamedTuple):
    """How a video was made: the truth behind the truth.

    ``room`` the geometry; ``clean`` (T, H, W) the depth without noise; ``bodies`` (T, H, W) who is seen where, 0
    nobody, 1 the patient, 2 … the others; ``joints`` (T, P, 13, 3) in metres in the world, patient first, NaN while
    someone is not in the room.
    """

    room: Room
    clean: Float[Tensor, "T H W"]
    bodies: UInt8[Tensor, "T H W"]
    joints: Float[Tensor, "T P 13 3"]


class Scene:
    """One room and its story, ready to be looked at."""

    def __init__(self, seed: int, split: Part, number: int, seconds: float) -> None:
        room, patient, others = (
            seeds.stream(seed, "icu", split, number, *name) for name in ((), ("patient",), ("others",))
        )
        self.room = furnished(generator=room)
        self.patient = Patient(self.room, seconds, generator=patient)
        self.actors = [self.patient, *company(self.patient, generator=others)]

    def joints(self, times: Float[np.ndarray, "T"]) -> Float[np.ndarray, "T P 13 3"]:
        """Everybody's joints at times in seconds, patient first; NaN while someone is away."""
        places: list[np.ndarray] = []
        everybody = []
        for actor in self.actors:
            poses = actor.at(times)
            upright = actor.upright(poses)
            places.append(apart(poses[:, 0, :2], places))
            poses[upright, 0, :2] = places[-1][upright]
            poses[(times < actor.times[0]) | (times > actor.until)] = np.nan
            everybody.append(people.joints(poses, actor.scale))
        return np.stack(everybody, 1)

    def render(self, size: tuple[int, int], fps: float, frames: int) -> Trace:
        """The room as the camera would see it without noise."""
        room, joints = self.room, self.joints(np.arange(frames) / fps)
        empty = depth_camera.still(room.camera, room.walls, room.door, room.furniture, size)
        clean, bodies = np.repeat(empty[None], frames, 0), np.zeros((frames, *size), np.uint8)
        framed = room.camera.frame(joints)
        for number, actor in enumerate(self.actors):
            for start, end, radius in people.PARTS:
                ends = framed[:, number, start], framed[:, number, end]
                depth_camera.paint(clean, bodies, number + 1, *ends, radius * actor.scale)
        return Trace(room, torch.from_numpy(clean).float(), torch.from_numpy(bodies), torch.from_numpy(joints).float())

    def helpers(self, event: Event) -> int:
        """How many others are within ``NEARBY`` of the patient for half of an event, looked at five times a second."""
        places = self.joints(np.arange(event.start, event.end, 0.2))[:, :, people.PELVIS, :2]
        near = np.linalg.norm(places[:, 1:] - places[:, :1], axis=-1) < NEARBY  # NaN is not near
        return int((near.mean(0) >= 0.5).sum())


@dataclass(frozen=True)
class IcuSet(Items[Video], what="a room"):
    """A map-style data set of simulated rooms; item i is made when it is asked for, the same in every process.

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

    def __len__(self) -> int:
        return self.count

    @property
    def frames(self) -> int:
        return max(1, round(self.minutes * 60 * self.fps))

    def item(self, index: int) -> Video:
        scene = self._scene(index)
        trace, script = scene.render(self.size, self.fps, self.frames), scene.patient.events
        sensor = seeds.stream(self.seed, "icu", self.split, index, "sensor")
        events = torch.tensor([event[:2] for event in script], dtype=torch.float64).reshape(-1, 2)
        classes = torch.tensor([event.kind for event in script], dtype=torch.int64)
        times = torch.arange(self.frames, dtype=torch.float64) / self.fps
        during = (events[:, :1] <= times) & (times < events[:, 1:])  # (E, T)
        shares = [(trace.bodies == k + 1).float().mean((1, 2)) for k in range(len(scene.actors))]
        return Video(
            depth=torch.from_numpy(depth_camera.sensed(trace.clean.numpy(), generator=sensor))[None],
            people=(torch.stack(shares, 1) >= VISIBLE).sum(1),
            events=events.float(),
            classes=classes,
            helpers=torch.tensor([scene.helpers(event) for event in script], dtype=torch.int64),
            targets=torch.stack([during[classes == k].any(0) for k in range(len(ACTIVITIES))], 1),
        )

    def trace(self, index: SupportsIndex) -> Trace:
        """The same room without noise, with everybody's joints: to check the truth by, not to learn from."""
        return self._scene(index).render(self.size, self.fps, self.frames)

    def _scene(self, index: SupportsIndex) -> Scene:
        return Scene(self.seed, self.split, _check.index("a room", index, self.count), self.minutes * 60)


def rooms(
    *, split: Part, count: int = 40, minutes: float = 5, fps: float = 2, size: tuple[int, int] = (48, 64), seed: int = 0
) -> IcuSet:
    """Videos of ``count`` rooms, each ``minutes`` long at ``fps`` frames a second, ``size`` (H, W) pixels.

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


class Window(NamedTuple):
    """A piece of a video, ``depth``, ``targets`` and ``people`` as there: of which ``room``, from which frame on."""

    depth: Clip
    targets: Bool[Tensor, "T 4"]
    people: Int64[Tensor, "T"]
    room: int
    first: int


def windows(videos: IcuSet, *, seconds: float = 32.0) -> list[Window]:
    """Every video in windows of ``seconds``, which stack; the last one ends with it, so that every frame is in one.

    4 bytes a pixel: 40 rooms of 5 minutes at 2 frames a second and 48 × 64 pixels are 295 MB.
    """
    _check.positive("seconds", seconds)
    length = round(seconds * videos.fps)
    if not 1 <= length <= videos.frames:
        raise _check.refuse(f"windows of 1 to {videos.frames} frames", length, "change seconds")
    pieces = []
    for room in range(len(videos)):
        depth, people, *_, targets = videos[room]
        for first in sorted({*range(0, videos.frames - length + 1, length), videos.frames - length}):
            during = slice(first, first + length)
            pieces.append(Window(depth[:, during], targets[during], people[during], room, first))
    return pieces
