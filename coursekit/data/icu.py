"""An intensive care room watched by a depth camera: simulated, after Yeung et al., npj Digital Medicine 2:11, 2019.

Four activities of the patient are to be found in minutes of video with several people: get out of bed, get in bed,
get out of chair, get in chair (``simulated.room_story`` says when each begins and ends). There are no such videos to
be had, so each room is simulated: a patient follows a script, and one to four carers come and go, help, or only seem
to. Depth alone is recorded, as in the paper, because it shows what is done and not who it is.
"""

from dataclasses import dataclass
from typing import NamedTuple

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
from .simulated.room import furnished
from .simulated.room_story import ACTIVITIES, MOST, Carer, Patient

__all__ = ["ACTIVITIES", "NEARBY", "VISIBLE", "IcuSet", "Video", "rooms"]

Array = np.ndarray
Joints = Float[Array, "P T 13 3"]
NEARBY = 1.3  # metres from pelvis to pelvis within which someone helps
VISIBLE = 1 / 256  # share of the pixels someone must fill to be counted


class Video(NamedTuple):
    """One room: what the camera saw, and what happened.

    ``depth`` (1, T, H, W) in metres, 0 where missing; ``people`` (T,) how many are to be seen; ``events`` (E, 2)
    start and end in seconds, half-open, in order of time; ``classes`` (E,) indices into ``ACTIVITIES``; ``helpers``
    (E,) how many were within ``NEARBY`` of the patient for half of an event; ``targets`` (T, 4) which activity is
    going on at frame t, that is at t / fps seconds.
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


class Scene:
    """One room and its story, ready to be looked at."""

    def __init__(self, seconds: float, *, generator: torch.Generator) -> None:
        self.room = furnished(generator=generator)
        self.patient = Patient(self.room, seconds, generator=generator)
        count = 1 + int(seeds.uniform(0, MOST, generator=generator))
        self.actors = [self.patient, *(Carer(self.patient, k, generator=generator) for k in range(count))]

    def joints(self, times: Float[Array, "T"]) -> Joints:
        """Everybody's joints in metres in the world, at times in seconds, patient first; NaN while someone is away."""
        return np.stack([people.joints(actor.at(times)) for actor in self.actors])

    def render(self, joints: Joints, size: tuple[int, int]) -> tuple[Float[Array, "T H W"], UInt8[Array, "T H W"]]:
        """The depth of a camera without noise, and who is seen where: 0 nobody, 1 the patient, 2 … the carers."""
        room, frames = self.room, joints.shape[1]
        depth = np.repeat(depth_camera.still(room.camera, room.walls, room.furniture, size)[None], frames, 0)
        bodies = np.zeros(depth.shape, np.uint8)
        for number, framed in enumerate(room.camera.frame(joints), start=1):
            for start, end, radius in people.PARTS:
                depth_camera.paint(depth, bodies, number, framed[:, start], framed[:, end], radius)
        return depth, bodies


@dataclass(frozen=True)
class IcuSet(Items[Video], what="a room"):
    """A map-style data set of simulated rooms; item i is made when it is asked for, the same in every process.

    What happens in a room depends on ``minutes`` and ``seed``, not on ``fps`` and ``size``. Items differ in their
    number of events, so a loader is to take one at a time.
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

    def scene(self, index: int) -> Scene:
        """The truth behind a video."""
        return Scene(self.minutes * 60, generator=seeds.stream(self.seed, "icu", self.split, index))

    def item(self, index: int) -> Video:
        scene, times = self.scene(index), np.arange(round(self.minutes * 60 * self.fps)) / self.fps
        joints, script = scene.joints(times), scene.patient.events
        clean, bodies = scene.render(joints, self.size)
        sensor = seeds.stream(self.seed, "icu", self.split, index, "sensor")
        shares = np.stack([(bodies == k + 1).mean((1, 2)) for k in range(len(joints))])
        places = joints[:, :, people.PELVIS, :2]
        near = np.linalg.norm(places[1:] - places[0], axis=-1) < NEARBY  # (P, T); NaN is not near
        kinds = np.array([event.kind for event in script], dtype=np.int64)
        during = np.array([(event.start <= times) & (times < event.end) for event in script]).reshape(-1, len(times))
        helpers = [int((near[:, now].mean(1) >= 0.5).sum()) for now in during]
        targets = [torch.from_numpy(during[kinds == k].any(0)) for k in range(len(ACTIVITIES))]
        return Video(
            depth=torch.from_numpy(depth_camera.sensed(clean, generator=sensor))[None],
            people=torch.from_numpy((shares >= VISIBLE).sum(0)),
            events=torch.tensor([event[:2] for event in script]).reshape(-1, 2),
            classes=torch.from_numpy(kinds),
            helpers=torch.tensor(helpers, dtype=torch.int64),
            targets=torch.stack(targets, 1),
        )


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
