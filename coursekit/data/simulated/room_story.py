"""Who does what: the patient follows a script drawn at random; carers come, walk about, help and leave.

Get out of bed begins when the trunk of the lying patient starts to rise and ends when they stand beside the bed,
upright; get in bed begins when the patient, back to the bed, starts to sit down and ends when they lie. Get out of
chair begins when the back leaves the backrest and ends upright before the chair; get in chair begins when the
patient, back to the chair, starts to sit down and ends when the back rests. While resting the patient stirs: sits
up in bed and lies down again, leans forward in the chair. None of that is an event.
"""

from functools import partial
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Generator

from ..seeds import uniform
from . import people
from .people import Pose
from .room import HALF_BED, Place, Room

Array = np.ndarray
Move = tuple[tuple[str, float, float], ...]  # poses, and how many seconds each takes to reach at least and at most
ACTIVITIES = ("get out of bed", "get in bed", "get out of chair", "get in chair")
OUT_OF_BED, IN_BED, OUT_OF_CHAIR, IN_CHAIR = range(4)
EVENTS: tuple[Move, ...] = (
    (("up", 2.4, 6.5), ("edge", 2.4, 5.8), ("edge", 0, 5), ("bent", 0.9, 2), ("beside", 1.2, 3.1)),
    (("bent", 1.4, 2.7), ("edge", 1, 1.8), ("edge", 0, 4), ("up", 2.4, 5.8), ("lying", 2, 5.2)),
    (("fore", 2.6, 5.2), ("fore", 0, 4), ("before", 3.9, 7.8)),
    (("fore", 3.9, 7.2), ("fore", 0, 3), ("back", 2.6, 5.8)),
)
LONGEST = max(sum(most for *_, most in move) for move in EVENTS)  # seconds
FACING = np.pi  # the way the chair looks; who leaves the bed looks along 0
ACROSS = np.array([1.0, 0.0])
MOST = 4  # people besides the patient
HELPS = 0.4  # of the events, if one is there
TURN = 0.4  # seconds to turn by up to a quarter
STEP = 0.65  # metres
PACE = 0.9  # metres a second, of who has somewhere to be


class Event(NamedTuple):
    """One activity, from ``start`` to ``end`` in seconds; ``kind`` indexes ``ACTIVITIES``."""

    start: float
    end: float
    kind: int


class Actor:
    """A person as poses at times, who is in the room from the first until ``until``, in seconds."""

    def __init__(self, room: Room, since: float, *, generator: Generator) -> None:
        self.room, self.draw, self.until = room, partial(uniform, generator=generator), np.inf
        self.now, self.angle = since, self.draw(-np.pi, np.pi)
        self.times, self.keys = [since], [people.standing(room.entry, self.angle)]

    @property
    def spot(self) -> Place:
        return self.keys[-1][0, :2]

    def reach(self, pose: Pose, seconds: float) -> None:
        """Be in a pose after so many seconds."""
        self.now += max(seconds, 0.0)
        self.times.append(self.now)
        self.keys.append(pose)

    def stay(self, seconds: float) -> None:
        """Keep the pose."""
        self.reach(self.keys[-1], seconds)

    def turn(self, angle: float, *, lean: float = 0.0) -> None:
        """Stand where one is and turn to ``angle`` the shorter way."""
        by = (angle - self.angle + np.pi) % (2 * np.pi) - np.pi
        for share in (0.5, 1.0):
            self.reach(people.standing(self.spot, self.angle + share * by, lean=lean * share), TURN)
        self.angle += by

    def walk(self, place: Place, pace: float) -> None:
        """Straight, at ``pace`` metres a second, step by step."""
        start, (x, y) = self.spot, place - self.spot
        self.turn(float(np.arctan2(y, x)))
        steps = int(np.hypot(x, y) / STEP) + 1
        for k in range(1, steps + 1):
            stride = 0.0 if k == steps else (-1.0) ** k
            point = start + (place - start) * (k / steps)
            self.reach(people.standing(point, self.angle, stride=stride), float(np.hypot(x, y)) / steps / pace)

    def at(self, times: Float[Array, "T"]) -> people.Poses:
        """Poses at times, blended from those before and after; NaN while away."""
        numbers = np.array(self.keys).reshape(len(self.keys), -1).T  # (27, K)
        poses = np.stack([np.interp(times, self.times, number) for number in numbers], 1).reshape(-1, 9, 3)
        poses[:, 1:] = people.unit(poses[:, 1:])
        poses[(times < self.times[0]) | (times > self.until)] = np.nan
        return poses


class Patient(Actor):
    """Writes the script, ``events``: in bed, in the chair or up, and the four activities are the moves between."""

    def __init__(self, room: Room, seconds: float, *, generator: Generator) -> None:
        super().__init__(room, 0.0, generator=generator)
        self.seconds = seconds
        self.events: list[Event] = []
        (*bed, top), (*chair, seat) = room.bed, room.chair
        middle, edge = np.array(bed) - [0, 0.05], bed + np.array([HALF_BED[0] - 0.12, -0.1])
        self.poses = {
            "lying": people.lying(middle, top),
            "up": people.sitting(middle, -np.pi / 2, top, lean=0.1, legs_out=True),
            "edge": people.sitting(edge, 0.0, top),
            "bent": people.sitting(edge + 0.08 * ACROSS, 0.0, top, lean=0.7),
            "beside": people.standing(room.beside, 0.0),
            "back": people.sitting(chair + 0.06 * ACROSS, FACING, seat, lean=-0.2),
            "fore": people.sitting(chair - 0.12 * ACROSS, FACING, seat, lean=0.5),
            "before": people.standing(room.before, FACING),
        }
        in_bed = self.draw(0, 1) < 0.7
        self.keys = [self.poses["lying" if in_bed else "back"]]
        while self.now < seconds:
            self._rest(in_bed, self.now + self.draw(25, 90))
            self._do(OUT_OF_BED if in_bed else OUT_OF_CHAIR)
            in_bed = self.draw(0, 1) < (0.3 if in_bed else 0.75)
            self._walk(in_bed)
            self._do(IN_BED if in_bed else IN_CHAIR)

    def _do(self, kind: int) -> None:
        """One activity; what would not end before the video does is left undone, for good."""
        start = self.now
        if start + LONGEST > self.seconds:
            self.stay(LONGEST)
            return
        for pose, least, most in EVENTS[kind]:
            self.reach(self.poses[pose], self.draw(least, most))
        self.angle = 0.0 if kind == OUT_OF_BED else FACING
        self.events.append(Event(start, self.now, kind))

    def _rest(self, in_bed: bool, until: float) -> None:
        """Lie or sit still, with something that is no event every now and then."""
        rest, stir = ("lying", "up") if in_bed else ("back", "fore")
        while True:
            self.stay(self.draw(6, 24))
            rise, hold, back = self.draw(2, 5), self.draw(5, 20), self.draw(2, 5)
            if self.now + rise + hold + back > until:
                break
            for pose, seconds in ((stir, rise), (stir, hold), (rest, back)):
                self.reach(self.poses[pose], seconds)
        self.stay(until - self.now)

    def _walk(self, to_bed: bool) -> None:
        """By way of somewhere to the bed or the chair, and turn the back to it."""
        goal, angle = (self.room.beside, 0.0) if to_bed else (self.room.before, FACING)
        for place in (self.room.standing(self.draw(0, 1), self.draw(0, 1)), goal):
            self.stay(self.draw(1, 5))
            self.walk(place, self.draw(0.35, 0.65))
        self.turn(angle)
        self.stay(self.draw(1, 3))


class Carer(Actor):
    """There from the start or coming later; walks about, helps with some of the events, and may leave.

    Each, by ``number``, has a share of the aisle, of the bed's side and of the half circle before the patient.
    """

    def __init__(self, patient: Patient, number: int, *, generator: Generator) -> None:
        draw, room, seconds = partial(uniform, generator=generator), patient.room, patient.seconds
        super().__init__(room, max(0.0, draw(-0.5, 0.5) * seconds), generator=generator)
        self.share = (number + 0.5) / MOST
        until = draw(0.5, 1.5) * seconds
        for event in patient.events:
            start, end = event.start - draw(1, 4), event.end + draw(1, 4)
            if draw(0, 1) < HELPS and self.now + 12 < start and end + 8 < until:
                spot, angle = (room.beside, 0.0) if event.kind < OUT_OF_CHAIR else (room.before, FACING)
                angle += 3.6 * (self.share - 0.5)  # side by side before the patient
                self._busy(start, spot + 0.65 * people.ahead(angle)[:2])
                self.turn(angle + np.pi, lean=0.25)
                self.stay(end - self.now)
        self._busy(until, room.entry)
        self.until = self.now

    def _busy(self, until: float, goal: Place) -> None:
        """One errand after the other, in the aisle or bowed over the bed, and at ``goal`` in time."""
        while True:
            place, angle, lean = self.room.standing(self.draw(0, 1), self.share), self.draw(-np.pi, np.pi), 0.0
            if self.draw(0, 1) < 0.4:
                place, angle, lean = self.room.beside + np.array([0, 2.4 * self.share - 1.2]), np.pi, self.draw(0, 1)
            busy, way = self.draw(3, 18), sum(np.linalg.norm(place - end) for end in (self.spot, goal))
            if self.now + busy + way / PACE + 6 * TURN > until:
                break
            self.walk(place, PACE)
            self.turn(angle, lean=lean)
            self.stay(busy)
        self.stay(until - self.now - float(np.linalg.norm(goal - self.spot)) / PACE - 2 * TURN)
        self.walk(goal, PACE)
