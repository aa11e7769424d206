"""One simulated room with all that happens in it, and how it looks to the camera at any time."""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from .. import seeds
from ..seeds import Part
from . import body, depth
from .depth import Array
from .room import Floor, Room, furnished
from .staff import Company, making_way
from .story import Event, Patient

NEARBY = 1.3  # metres from pelvis to pelvis within which someone helps


class Trace(NamedTuple):
    """How a video was made: the truth behind the truth.

    ``room`` the geometry; ``empty`` (H, W) the depth without people and noise; ``clean`` (T, H, W) with people,
    without noise; ``bodies`` (T, H, W) who is seen where, 0 nobody, 1 the patient, 2 … the others; ``joints`` (T, P,
    13, 3) in metres in the world, patient first, NaN while someone is not in the room.
    """

    room: Room
    empty: Float[Tensor, "H W"]
    clean: Float[Tensor, "T H W"]
    bodies: UInt8[Tensor, "T H W"]
    joints: Float[Tensor, "T P 13 3"]


class Scene:
    """One room and its story, ready to be looked at."""

    def __init__(self, seed: int, split: Part, number: int, seconds: float) -> None:
        self.room = furnished(generator=seeds.stream(seed, "icu", split, number))
        floor = Floor(self.room)
        self.patient = Patient(self.room, floor, seconds, generator=seeds.stream(seed, "icu", split, number, "patient"))
        self.others = Company(
            self.room, floor, self.patient, generator=seeds.stream(seed, "icu", split, number, "others")
        ).actors

    def joints(self, at: Float[Array, "T"]) -> list[Float[Array, "T 13 3"]]:
        """Everybody's joints at times in seconds, patient first; NaN while someone is away."""
        patient = self.patient.actor.poses(at)
        places = [patient[:, 0, :2], *(actor.places(at)[:, :2] for actor in self.others)]
        everybody = [body.joints(patient, self.patient.actor.scale)]
        for actor, moved in zip(self.others, making_way(places)):
            own = body.joints(actor.poses(at, moved=moved), actor.scale)
            own[(at < actor.since) | (at > actor.until)] = np.nan
            everybody.append(own)
        return everybody

    def render(self, size: tuple[int, int], fps: float, frames: int) -> Trace:
        """The room as the camera would see it without noise."""
        room, everybody = self.room, self.joints(np.arange(frames) / fps)
        empty = depth.still(room.camera, room.walls, room.door, room.furniture, size)
        clean, owner = np.repeat(empty[None], frames, 0), np.zeros((frames, *size), np.uint8)
        scales = [actor.scale for actor in (self.patient.actor, *self.others)]
        for name, (own, scale) in enumerate(zip(everybody, scales), start=1):
            own = room.camera.frame(own)
            for start, end, radius in body.PARTS:
                depth.paint(clean, owner, name, own[:, start], own[:, end], radius * scale)
        joints = torch.from_numpy(np.stack(everybody, 1)).float()
        return Trace(
            room, torch.from_numpy(empty).float(), torch.from_numpy(clean).float(), torch.from_numpy(owner), joints
        )

    def helpers(self, event: Event) -> int:
        """How many of the others are within ``NEARBY`` of the patient for at least half of an event, looked at five
        times a second.
        """
        at = np.arange(event.start, event.end, 0.2)
        patient, *others = (joints[:, body.PELVIS, :2] for joints in self.joints(at))
        near = [np.linalg.norm(own - patient, axis=1) < NEARBY for own in others]  # NaN is not near
        return sum(bool(n.mean() >= 0.5) for n in near)
