"""Who does what: the patient follows a script drawn at random; others come, walk about, help, sit in the chair, leave.

Get out of bed begins when the trunk of the lying patient starts to rise and ends when they stand beside the bed,
upright; get in bed begins when the patient, back to the bed, starts to sit down and ends when they lie. Get out of
chair begins when the back leaves the backrest and ends upright before the chair; get in chair begins when the
patient, back to the chair, starts to sit down and ends when the back rests. While resting the patient stirs: turns
over, sits up in bed or at its edge and lies down again, leans forward in the chair. None of that is an event.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Generator

from ..seeds import uniform
from . import people
from .people import Pose
from .room import HALF_BED, Place, Room, length

Array = np.ndarray
Move = tuple[tuple[str, float, float], ...]  # poses, and how many seconds each takes to reach at least and at most
ACTIVITIES = ("get out of bed", "get in bed", "get out of chair", "get in chair")
OUT_OF_BED, IN_BED, OUT_OF_CHAIR, IN_CHAIR = range(4)
EVENTS: tuple[Move, ...] = (
    (("lying", 0, 0), ("up", 2.4, 6.5), ("edge", 2.4, 5.8), ("edge", 0, 5), ("bent", 0.9, 2), ("beside", 1.2, 3.1)),
    (("beside", 0, 0), ("bent", 1.4, 2.7), ("edge", 1, 1.8), ("edge", 0, 4), ("up", 2.4, 5.8), ("lying", 2, 5.2)),
    (("back", 0, 0), ("fore", 2.6, 5.2), ("fore", 0, 4), ("before", 3.9, 7.8)),
    (("before", 0, 0), ("fore", 3.9, 7.2), ("fore", 0, 3), ("back", 2.6, 5.8)),
)
TURNING, SITTING_UP = (
    tuple(((pose, 2, 5.2), (pose, 5, 26), ("lying", 2, 5.2)) for pose in poses)
    for poses in (("left", "right"), ("up",))
)
LEGS_OUT = (("up", 2.4, 5.2), ("edge", 2.4, 5.2), ("edge", 5, 13), ("up", 2.4, 5.2), ("lying", 2, 5.2))
STIRS_IN_BED: tuple[Move, ...] = (*TURNING * 2, *SITTING_UP * 3, LEGS_OUT)  # the last is seldom
STIRS_IN_CHAIR: tuple[Move, ...] = ((("fore", 2, 3.9), ("back", 1.3, 7.8)),)
VISIT_TO_CHAIR: Move = (("fore", 1.2, 3), ("back", 1, 2), ("back", 5, 18), ("fore", 1, 2), ("before", 1.2, 3))


def longest(*moves: Move) -> float:
    """Seconds that none of the moves exceeds."""
    return max(sum(most for *_, most in move) for move in moves)


LONGEST = longest(*EVENTS)
MOST = 4  # people besides the patient
TURN = 0.4  # seconds to turn by up to a quarter
STEP = 0.65  # metres of a step of a person of 1.75 m
APART = 0.5  # metres that walkers keep from each other


class Event(NamedTuple):
    """One activity, from ``start`` to ``end`` in seconds; ``kind`` indexes ``ACTIVITIES``."""

    start: float
    end: float
    kind: int


class Actor:
    """A person as poses at times, who is in the room from the first until ``until``, in seconds."""

    def __init__(self, room: Room, since: float, place: Place, angle: float, *, generator: Generator) -> None:
        self.room, self.draw, self.until = room, partial(uniform, generator=generator), np.inf
        self.scale, self.angle = self.draw(0.92, 1.07), angle
        self.times, self.keys = [since], [people.standing(place, angle, self.scale)]
        (*bed, top), (*chair, seat) = room.bed, room.chair
        front, outward, middle = people.ahead(room.facing)[:2], people.ahead(room.out)[:2], np.array(bed) - [0, 0.05]
        edge = bed + (HALF_BED[0] - 0.12) * outward - [0, 0.1]
        self.poses = {
            "lying": people.lying(middle, top),
            "left": people.lying(middle, top, turned=-0.95),
            "right": people.lying(middle, top, turned=0.95),
            "up": people.sitting(middle, -np.pi / 2, top, lean=0.1, legs_out=True),
            "edge": people.sitting(edge, room.out, top),
            "bent": people.sitting(edge + 0.08 * outward, room.out, top, lean=0.7),
            "beside": people.standing(room.beside, room.out, self.scale),
            "back": people.sitting(chair - 0.06 * front, room.facing, seat, lean=-0.2),
            "fore": people.sitting(chair + 0.12 * front, room.facing, seat, lean=0.5),
            "before": people.standing(room.before, room.facing, self.scale),
        }

    @property
    def now(self) -> float:
        return self.times[-1]

    @property
    def here(self) -> Place:
        return self.keys[-1][0, :2]

    def reach(self, pose: Pose, seconds: float) -> None:
        """Be in a pose after so many seconds."""
        self.times.append(self.now + max(seconds, 0.0))
        self.keys.append(pose)

    def act(self, move: Move) -> None:
        """Go through the poses of a move."""
        for pose, least, most in move:
            self.reach(self.poses[pose], self.draw(least, most))

    def stay(self, seconds: float, *, angle: float | None = None, lean: float = 0.0) -> None:
        """Stand where one is, turned to ``angle`` the shorter way."""
        by = 0.0 if angle is None else (angle - self.angle + np.pi) % (2 * np.pi) - np.pi
        for share in (0.5, 1.0):
            self.reach(people.standing(self.here, self.angle + share * by, self.scale, lean=lean * share), TURN)
        self.angle += by
        self.reach(self.keys[-1], seconds - 2 * TURN)

    def walk(self, path: Float[Array, "K 2"], pace: float) -> None:
        """Along the corners of a path, at ``pace`` metres a second, turning at each."""
        for (x, y), point in zip(np.diff(path, axis=0), path[1:]):
            if x * x + y * y > 1e-4:
                self.stay(0, angle=float(np.arctan2(y, x)))
            self.reach(people.standing(point, self.angle, self.scale), float(np.hypot(x, y)) / pace)

    def at(self, times: Float[Array, "T"]) -> people.Poses:
        """Poses at times; who stands and moves takes steps, by the distance walked, whatever the times asked for."""
        keys = np.array(self.keys)
        poses = people.between(keys, np.array(self.times), times)
        far = np.concatenate([[0], np.cumsum(np.linalg.norm(np.diff(keys[:, 0, :2], axis=0), axis=1))])
        walked, soon, before = (np.interp(times + dt, self.times, far) for dt in (0, 0.3, -0.3))
        steps = (soon - before > 0.1) & self.upright(poses)
        return people.stride(poses, steps * walked * np.pi / (STEP * self.scale))

    def upright(self, poses: people.Poses) -> Array:
        """Where the person stands or walks."""
        return np.asarray(poses[:, 0, 2] > people.HIP_HEIGHT * self.scale - 0.02)


def duration(path: Float[Array, "K 2"], pace: float) -> float:
    """Seconds that :meth:`Actor.walk` takes at most."""
    return length(path) / pace + 2 * TURN * (len(path) - 1)


class Patient(Actor):
    """Writes the script: ``events`` and the stretches (start, end) spent in bed, ``rests``, are the result.

    In bed, in the chair or up: the four activities are the moves between, so out of bed never follows out of bed.
    """

    def __init__(self, room: Room, seconds: float, *, generator: Generator) -> None:
        super().__init__(room, 0.0, room.beside, room.out, generator=generator)
        self.generator, self.seconds = generator, seconds
        self.events: list[Event] = []
        self.rests: list[tuple[float, float]] = []
        in_bed = self.draw(0, 1) < 0.7
        self.keys = [self.poses["lying" if in_bed else "back"]]
        while True:
            until = self.now + self.draw(25, 90)
            until = until if seconds - until > LONGEST else seconds + 1
            self._rest(in_bed, until)
            if until > seconds:
                break
            self._do(OUT_OF_BED if in_bed else OUT_OF_CHAIR)
            in_bed = self.draw(0, 1) < (0.3 if in_bed else 0.75)
            self._walk(in_bed)
            if seconds - self.now < LONGEST:
                self.stay(LONGEST + 1)
                break
            self._do(IN_BED if in_bed else IN_CHAIR)

    def _do(self, kind: int) -> None:
        start = self.now
        self.act(EVENTS[kind])
        self.angle = self.room.out if kind == OUT_OF_BED else self.room.facing
        self.events.append(Event(start, self.now, kind))

    def _rest(self, in_bed: bool, until: float) -> None:
        """Lie or sit still, with something that is no event every now and then."""
        still, stirs = (self.poses["lying"], STIRS_IN_BED) if in_bed else (self.poses["back"], STIRS_IN_CHAIR)
        if in_bed:
            self.rests.append((self.now, until))
        while True:
            calm, stir = self.draw(6, 24), stirs[int(self.draw(0, len(stirs)))]
            if self.now + calm + longest(stir) + 4 > until:
                break
            self.reach(still, calm)
            self.act(stir)
        self.reach(still, until - self.now)

    def _walk(self, to_bed: bool) -> None:
        """To the bed or the chair, with a detour now and then, and turn the back to it."""
        goal, angle = (self.room.beside, self.room.out) if to_bed else (self.room.before, self.room.facing)
        stops = [goal]
        while self.draw(0, 1) < 0.4 or np.linalg.norm(stops[0] - self.here) < 0.05:
            stops.insert(0, self.room.anywhere(generator=self.generator))
        self.stay(self.draw(1, 4))
        for stop in stops:
            self.walk(self.room.path(self.here, stop), self.draw(0.35, 0.65))
            self.stay(self.draw(1, 5))
        self.stay(self.draw(2, 3.5), angle=angle)


class Stop(NamedTuple):
    """Something to do: from when to when, where, looking which way, how far bowed; or to sit in the chair."""

    start: float
    end: float
    place: Place
    angle: float
    lean: float = 0.25
    sits: bool = False


def company(patient: Patient, *, generator: Generator) -> list[Actor]:
    """The others of a room: up to three of those present help with an event, and someone may sit while it is free."""
    room, seconds, draw = patient.room, patient.seconds, partial(uniform, generator=generator)
    actors = []
    for _ in range(1 + int(draw(0, MOST))):  # there from the start, or coming later; some leave before the end
        since = 0.0 if draw(0, 1) < 0.4 else draw(0, 0.5) * seconds
        place = room.entry if since else room.anywhere(generator=generator)
        actors.append(Actor(room, since, place, draw(-np.pi, np.pi), generator=generator))
        actors[-1].until = seconds + 1 if draw(0, 1) < 0.5 else max(since + 30, draw(0.5, 1) * seconds)
    duties: list[list[Stop]] = [[] for _ in actors]

    def free(start: float, end: float, margin: float) -> list[int]:
        """Who is there and has nothing else to do, in random order."""
        there = [k for k, actor in enumerate(actors) if actor.now + 12 < start and end + 8 < actor.until]
        idle = [k for k in there if all(d.end + margin < start or end + margin < d.start for d in duties[k])]
        return sorted(idle, key=lambda _: draw(0, 1))

    for event in patient.events:
        spot, angle = (room.beside, room.out) if event.kind < OUT_OF_CHAIR else (room.before, room.facing)
        front, side = people.ahead(angle)[:2], people.ahead(angle + np.pi / 2)[:2]
        around = [spot + 0.62 * side, spot - 0.62 * side, spot + 0.7 * front]
        helpers, first = free(event.start, event.end, 0)[: int(draw(0, 4))], int(draw(0, 3))
        for k, place in zip(helpers, around[first:] + around[:first]):
            x, y = spot - 0.2 * front - place
            start, end = event.start - draw(1, 4), event.end + draw(1, 4)
            duties[k].append(Stop(start, end, place, float(np.arctan2(y, x))))
    needed = longest(VISIT_TO_CHAIR) + 6
    for start, end in patient.rests:
        at = draw(start + 6, max(start + 6, end - needed))
        sitters = free(at, at + needed, 15)
        if sitters and at + needed < end and draw(0, 1) < 0.7:
            duties[sitters[0]].append(Stop(at, at + needed, room.before, room.facing, sits=True))
    for actor, own in zip(actors, duties):
        for duty in sorted(own, key=lambda stop: stop.start):
            _until(duty, actor, generator)
            if duty.sits:
                actor.stay(1.5, angle=duty.angle)
                actor.act(VISIT_TO_CHAIR)
            else:
                actor.stay(duty.end - actor.now, angle=duty.angle, lean=duty.lean)
        _until(Stop(actor.until, actor.until, room.entry, 0.0), actor, generator)
        actor.until = actor.now
    return actors


def _until(duty: Stop, actor: Actor, generator: Generator) -> None:
    """One errand after the other, at the bed or anywhere, and to the place of a duty in time."""
    room, draw = actor.room, actor.draw
    while True:
        chance, lean = draw(0, 1), draw(0, 1)
        if chance < 0.5:
            place, angle, lean = room.anywhere(generator=generator), draw(-np.pi, np.pi), 0.0
        elif chance < 0.7:  # at the foot of the bed
            place, angle = room.bed[:2] - [0, HALF_BED[1] + 0.45], np.pi / 2
        else:  # at its side
            place, angle = room.beside + np.array([0, draw(-0.8, 0.8)]), room.out + np.pi
        there, back = room.path(actor.here, place), room.path(place, duty.place)
        pace, busy = draw(0.6, 1.1), draw(3, 18)
        if actor.now + duration(there, pace) + busy + duration(back, 0.8) > duty.start:
            break
        actor.walk(there, pace)
        actor.stay(busy, angle=angle, lean=lean)
    path = room.path(actor.here, duty.place)
    actor.stay(duty.start - duration(path, 0.9) - actor.now)
    actor.walk(path, 0.9)


def apart(place: Float[Array, "T 2"], others: list[Float[Array, "T 2"]]) -> Float[Array, "T 2"]:
    """Where one walks so as to keep ``APART`` metres from the others, in their order."""
    for other in others:
        gap = place - other
        far = np.linalg.norm(gap, axis=1, keepdims=True)
        way = np.where(far > 1e-3, gap / np.maximum(far, 1e-3), [1.0, 0.0])
        place = np.where(far < APART, other + APART * way, place)
    return place
