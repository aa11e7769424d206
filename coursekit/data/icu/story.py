"""What the patient does: a script drawn at random, from which poses and events follow at any time.

States: in bed, in the chair, up. The four activities are the moves between them, so out of bed never follows out of
bed. While resting the patient stirs: turns over, draws up the knees, sits up in bed and lies down again, sits at the
edge without standing up, leans forward in the chair. None of that is an event.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Generator

from ..seeds import uniform
from . import body
from .body import Pose
from .room import Floor, Room

Array = np.ndarray
ACTIVITIES = ("get out of bed", "get in bed", "get out of chair", "get in chair")
OUT_OF_BED, IN_BED, OUT_OF_CHAIR, IN_CHAIR = range(4)
LONGEST = 26.0  # seconds; no activity lasts longer
SLOWLY = 1.3  # a patient takes this much longer than the seconds drawn below
STEP = 0.65  # metres of a step of a person of 1.75 m


class Event(NamedTuple):
    """One activity, from ``start`` to ``end`` in seconds; ``kind`` indexes ``ACTIVITIES``."""

    start: float
    end: float
    kind: int


class Row(NamedTuple):
    """Where someone is at a time: seconds, metres, the way they look in radians, and how far they bow, 0 … 1."""

    time: float
    x: float
    y: float
    angle: float
    lean: float = 0.0


@dataclass
class Actor:
    """A person: ``track`` of where they walk, ``acts`` of keyed poses (times, poses) that go before it, ``since`` and
    ``until`` in seconds when they are in the room."""

    scale: float
    track: list[Row] = field(default_factory=list)
    acts: list[tuple[list[float], list[Pose]]] = field(default_factory=list)
    since: float = 0.0
    until: float = np.inf

    @property
    def here(self) -> Float[Array, "2"]:
        return np.array(self.track[-1][1:3])

    @property
    def now(self) -> float:
        return self.track[-1].time

    def stay(self, until: float, *, angle: float | None = None, lean: float = 0.0) -> None:
        """Keep the place until a time, turned to ``angle``."""
        last = self.track[-1]
        angle = last.angle if angle is None else angle
        turned = min(last.time + 1.0, until)
        self.track += [Row(turned, last.x, last.y, angle, lean), Row(max(until, turned), last.x, last.y, angle, lean)]

    def go(self, points: Float[Array, "K 2"], until: float) -> None:
        """Walk along the corners of a path and arrive at a time, at an even pace."""
        steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
        times = self.now + (until - self.now) * np.cumsum(steps) / max(steps.sum(), 1e-9)
        for time, (x, y), (dx, dy), step in zip(times, points[1:], np.diff(points, axis=0), steps):
            angle = np.arctan2(dy, dx) if step > 0.05 else self.track[-1].angle
            turn = min(self.now + 0.4, (self.now + time) / 2)
            u = (turn - self.now) / max(time - self.now, 1e-9)
            self.track.append(
                Row(turn, self.here[0] + u * (x - self.here[0]), self.here[1] + u * (y - self.here[1]), angle)
            )
            self.track.append(Row(time, x, y, angle))

    def act(self, keys: list[tuple[float, Pose]]) -> None:
        """Go through poses, each a number of seconds after the last one, staying at the place."""
        times = self.now + np.cumsum([seconds for seconds, _ in keys])
        self.acts.append((times.tolist(), [pose for _, pose in keys]))
        self.track.append(self.track[-1]._replace(time=float(times[-1]), lean=0.0))

    def places(self, at: Float[Array, "T"]) -> Float[Array, "T 4"]:
        """x, y, angle and lean at times; angles turn the shorter way."""
        rows = np.array(self.track)
        rows[:, 3] = np.unwrap(rows[:, 3])
        return np.stack([np.interp(at, rows[:, 0], column) for column in rows[:, 1:].T], 1)

    def poses(self, at: Float[Array, "T"], *, moved: Float[Array, "T 2"] | float = 0.0) -> body.Poses:
        """Poses at times; ``moved`` shifts who walks, to make way. Steps follow the distance walked, whatever the times
        asked for.
        """
        x, y, angle, lean = self.places(at).T
        rows = np.array(self.track)
        far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(rows[:, 1:3], axis=0), axis=1))])
        phase = np.interp(at, rows[:, 0], far) * np.pi / (STEP * self.scale)
        moving = np.interp(at + 0.3, rows[:, 0], far) - np.interp(at - 0.3, rows[:, 0], far) > 0.1
        poses = body.walking(np.stack([x, y], 1) + moved, angle, lean, phase * moving, self.scale)
        for times, keys in self.acts:
            during = (at >= times[0]) & (at <= times[-1])
            poses[during] = body.between(np.array(keys), np.array(times), at[during])
        return poses


class Patient:
    """Writes the script: ``actor`` and ``events`` are the result, ``rests`` the stretches (start, end) spent in bed."""

    def __init__(self, room: Room, floor: Floor, seconds: float, *, generator: Generator) -> None:
        self.room, self.floor, self.seconds, self.generator = room, floor, seconds, generator
        self.actor = Actor(scale=self.draw(0.92, 1.06))
        self.events: list[Event] = []
        self.rests: list[tuple[float, float]] = []
        self._poses()
        in_bed = self.draw(0, 1) < 0.7
        place, angle = (room.beside, room.out_angle) if in_bed else (room.before, room.chair.facing)
        self.actor.track.append(Row(0.0, float(place[0]), float(place[1]), angle))
        while self.actor.now < seconds:
            in_bed = self._cycle(in_bed)

    def draw(self, low: float, high: float) -> float:
        return uniform(low, high, generator=self.generator)

    def _poses(self) -> None:
        """The poses that bed and chair of this room ask for."""
        room, bed, chair, scale = self.room, self.room.bed, self.room.chair, self.actor.scale
        self.middle = bed.place - np.array([0, 0.05])
        edge = bed.place + np.array([bed.out * (bed.half[0] - 0.12), -0.1])
        self.flat, self.up = body.lying(self.middle, bed.top), body.sat_up(self.middle, bed.top)
        self.edge = body.sitting(edge, room.out_angle, bed.top)
        self.edge_lean = body.sitting(edge + np.array([0.08 * bed.out, 0]), room.out_angle, bed.top, lean=0.7)
        self.clear = body.standing(room.beside, room.out_angle, scale)
        front = body.ahead(chair.facing)[:2]
        self.back = body.sitting(chair.place - 0.06 * front, chair.facing, chair.seat, lean=-0.2)
        self.fore = body.sitting(chair.place + 0.12 * front, chair.facing, chair.seat, lean=0.5)
        self.risen = body.standing(room.before, chair.facing, scale)

    def _cycle(self, in_bed: bool) -> bool:
        """Rest, get out, walk, get in again; whether it is the bed."""
        self._rest(in_bed, min(self.draw(25, 90), self.seconds - self.actor.now + 1))
        if self.seconds - self.actor.now < LONGEST + 2:
            self._rest(in_bed, self.seconds - self.actor.now + 1)
            return in_bed
        self._event(OUT_OF_BED if in_bed else OUT_OF_CHAIR)
        to_bed = self.draw(0, 1) < (0.3 if in_bed else 0.75)
        self._walk(to_bed)
        if self.seconds - self.actor.now < LONGEST + 2:
            self.actor.stay(self.seconds + 1)
            return to_bed
        self._event(IN_BED if to_bed else IN_CHAIR)
        return to_bed

    def _event(self, kind: int) -> None:
        keys = slowed((self._out_of_bed, self._into_bed, self._out_of_chair, self._into_chair)[kind]())
        start = self.actor.now
        self.actor.act(keys)
        self.events.append(Event(start, self.actor.now, kind))

    def _out_of_bed(self) -> list[tuple[float, Pose]]:
        d = self.draw
        pause = d(0, 6) if d(0, 1) < 0.6 else 0.0
        rise = d(1.5, 4)
        return [(0, self.flat), (d(1.8, 5), self.up), (d(1.8, 4.5), self.edge), (pause, self.edge),
                (0.4 * rise, self.edge_lean), (0.6 * rise, self.clear)]  # fmt: skip

    def _into_bed(self) -> list[tuple[float, Pose]]:
        d = self.draw
        pause = d(0, 5) if d(0, 1) < 0.5 else 0.0
        sink = d(1.8, 3.5)
        return [(0, self.clear), (0.6 * sink, self.edge_lean), (0.4 * sink, self.edge), (pause, self.edge),
                (d(1.8, 4.5), self.up), (d(1.5, 4), self.flat)]  # fmt: skip

    def _out_of_chair(self) -> list[tuple[float, Pose]]:
        d = self.draw
        pause = d(0, 5) if d(0, 1) < 0.5 else 0.0
        return [(0, self.back), (d(2, 4), self.fore), (pause, self.fore), (d(3, 6), self.risen)]

    def _into_chair(self) -> list[tuple[float, Pose]]:
        d = self.draw
        pause = d(0, 4) if d(0, 1) < 0.5 else 0.0
        return [(0, self.risen), (d(3, 5.5), self.fore), (pause, self.fore), (d(2, 4.5), self.back)]

    def _rest(self, in_bed: bool, seconds: float) -> None:
        """Lie or sit still, with something that is no event every now and then."""
        start, until, still = self.actor.now, self.actor.now + seconds, self.flat if in_bed else self.back
        while True:
            calm = self.draw(5, 20)
            stir = slowed(self._stir_in_bed() if in_bed else self._stir_in_chair())
            if self.actor.now + calm + sum(seconds for seconds, _ in stir) + 4 > until:
                break
            self.actor.act([(0, still), (calm, still)])
            self.actor.act(stir)
        self.actor.act([(0, still), (until - self.actor.now, still)])
        if in_bed:
            self.rests.append((start, until))

    def _stir_in_chair(self) -> list[tuple[float, Pose]]:
        return [(0.0, self.back), (self.draw(1.5, 3), self.fore), (self.draw(1, 6), self.back)]

    def _stir_in_bed(self) -> list[tuple[float, Pose]]:
        d, top, which = self.draw, self.room.bed.top, self.draw(0, 1)
        if which < 0.35:
            other = body.lying(self.middle, top, turned=0.95 if d(0, 1) < 0.5 else -0.95)
        elif which < 0.6:
            other = body.lying(self.middle, top, knees=1.0)
        else:
            other = self.up
        if which > 0.92:  # legs out, and back
            return [(0, self.flat), (d(1.8, 4), self.up), (d(1.8, 4), self.edge), (d(4, 10), self.edge),
                    (d(1.8, 4), self.up), (d(1.5, 4), self.flat)]  # fmt: skip
        return [(0, self.flat), (d(1.5, 4), other), (d(4, 20), other), (d(1.5, 4), self.flat)]

    def _walk(self, to_bed: bool) -> None:
        """To the bed or the chair, with a detour now and then, and turn the back to it."""
        actor, room = self.actor, self.room
        stops = [room.beside if to_bed else room.before]
        while self.draw(0, 1) < 0.4 or np.linalg.norm(stops[0] - actor.here) < 0.05:
            stops.insert(0, self.floor.anywhere(generator=self.generator))
        actor.stay(actor.now + self.draw(1, 4))
        for stop in stops:
            points = self.floor.path(actor.here, stop)
            actor.go(points, actor.now + np.linalg.norm(np.diff(points, axis=0), axis=1).sum() / self.draw(0.35, 0.65))
            actor.stay(actor.now + self.draw(1, 5))
        actor.stay(actor.now + self.draw(2, 3.5), angle=room.out_angle if to_bed else room.chair.facing)


def slowed(keys: list[tuple[float, Pose]]) -> list[tuple[float, Pose]]:
    """The same poses at a patient's pace."""
    return [(SLOWLY * seconds, pose) for seconds, pose in keys]
