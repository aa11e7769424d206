"""What the others do: nurses and visitors come, walk about, work at the bed, help the patient, sit in the chair, and
leave.
"""

import numpy as np
from jaxtyping import Float
from torch import Generator

from ..seeds import uniform
from . import body
from .room import Floor, Room
from .story import Actor, Event, Patient, Row

Array = np.ndarray
Stop = tuple[Float[Array, "2"], float | None, float]  # where, which way to look, how far to bow
MOST = 4  # people besides the patient
SITTING = 32.0  # seconds someone needs at most to sit down, sit and get up


class Company:
    """All others of one room; ``actors`` is the result."""

    def __init__(self, room: Room, floor: Floor, patient: Patient, *, generator: Generator) -> None:
        self.room, self.floor, self.patient, self.generator = room, floor, patient, generator
        count = 1 + int(self.draw(0, MOST))
        self.actors = [self._newcomer() for _ in range(count)]
        duties: list[list[tuple[float, float, Stop]]] = [[] for _ in self.actors]
        for event in patient.events:
            self._help(event, duties)
        sitters = [self._sitter(rest, duties) for rest in patient.rests]
        for k, actor in enumerate(self.actors):
            self._live(actor, duties[k], [start for who, start in filter(None, sitters) if who == k])

    def draw(self, low: float, high: float) -> float:
        return uniform(low, high, generator=self.generator)

    def _newcomer(self) -> Actor:
        """In the room from the start, or coming through the door later; some leave before the end."""
        seconds = self.patient.seconds
        since = 0.0 if self.draw(0, 1) < 0.4 else self.draw(0, 0.5) * seconds
        until = seconds + 1 if self.draw(0, 1) < 0.5 else max(since + 30, self.draw(0.5, 1) * seconds)
        place = self.room.entry if since else self.floor.anywhere(generator=self.generator)
        return Actor(
            self.draw(0.93, 1.07),
            [Row(since, float(place[0]), float(place[1]), self.draw(-np.pi, np.pi))],
            since=since,
            until=until,
        )

    def _help(self, event: Event, duties: list[list[tuple[float, float, Stop]]]) -> None:
        """Nobody to three of those present stand around the patient, from shortly before the event until shortly after."""
        free = [
            k for k, actor in enumerate(self.actors) if actor.since + 12 < event.start and event.end + 8 < actor.until
        ]
        order = sorted(free, key=lambda _: self.draw(0, 1))
        for k, stop in zip(order[: int(self.draw(0, 4))], self._around(event.kind < 2)):
            duties[k].append((event.start - self.draw(1, 4), event.end + self.draw(1, 4), stop))

    def _around(self, at_bed: bool) -> list[Stop]:
        """Three places around who gets out of bed or chair, looking at them."""
        room = self.room
        spot, angle = (room.beside, room.out_angle) if at_bed else (room.before, room.chair.facing)
        front, side = body.ahead(angle)[:2], body.leftward(angle)[:2]
        places = [spot + 0.62 * side, spot - 0.62 * side, spot + 0.7 * front]
        first = int(self.draw(0, 3))
        return [
            (p, float(np.arctan2(*(spot - 0.2 * front - p)[::-1])), 0.25) for p in (*places[first:], *places[:first])
        ]

    def _sitter(
        self, rest: tuple[float, float], duties: list[list[tuple[float, float, Stop]]]
    ) -> tuple[int, float] | None:
        """Who, if anyone, sits down in the chair while the patient is in bed, and when; they have no duty meanwhile."""
        start, end = rest[0] + 6, rest[1] - 3
        at = self.draw(start, max(start, end - SITTING))
        free = [
            k
            for k, actor in enumerate(self.actors)
            if actor.since + 10 < at
            and at + 50 < actor.until
            and not any(a < at + 50 and at - 15 < b for a, b, _ in duties[k])
        ]
        if end - at < SITTING or not free or self.draw(0, 1) > 0.7:
            return None
        return free[int(self.draw(0, len(free)))], at

    def _live(self, actor: Actor, duties: list[tuple[float, float, Stop]], sits: list[float]) -> None:
        """Follow the duties, sit when it is time to, and wander between."""
        appointments = sorted(
            [(start, end, stop) for start, end, stop in duties] + [(at, at, None) for at in sits], key=lambda a: a[0]
        )
        for start, end, stop in appointments:
            place = self.room.before if stop is None else stop[0]
            self._wander(actor, start, place)
            if stop is None:
                self._sit(actor)
            else:
                actor.stay(max(end, actor.now), angle=stop[1], lean=stop[2])
        self._wander(actor, actor.until, self.room.entry)
        actor.until = actor.now

    def _wander(self, actor: Actor, until: float, place: Float[Array, "2"]) -> None:
        """From one thing to do to the next, so as to be at ``place`` in time; in a hurry if need be."""
        while True:
            stop, pace, busy = self._errand(), self.draw(0.6, 1.1), self.draw(3, 18)
            there, back = self.floor.path(actor.here, stop[0]), self.floor.path(stop[0], place)
            if actor.now + length(there) / pace + busy + length(back) / 0.8 > until:
                break
            actor.go(there, actor.now + length(there) / pace)
            actor.stay(actor.now + busy, angle=stop[1], lean=stop[2])
        path = self.floor.path(actor.here, place)
        needed = length(path) / self.draw(0.7, 1.1)
        if until - needed > actor.now:
            actor.stay(until - needed)
        actor.go(path, max(until, actor.now + length(path) / 1.6))

    def _errand(self) -> Stop:
        """Something at the bed, from either side or its foot, or just somewhere."""
        bed = self.room.bed
        if self.draw(0, 1) < 0.5:
            return self.floor.anywhere(generator=self.generator), None, 0.0
        side = 1 if self.draw(0, 1) < 0.5 else -1
        place = bed.place + np.array([side * (bed.half[0] + 0.32), self.draw(-0.8, 0.7)])
        near = self.floor.middle(self.floor.cell(place))
        if np.linalg.norm(near - place) > 0.25:  # no room on that side
            near = bed.place - np.array([0, bed.half[1] + 0.45])
        return near, float(np.arctan2(*(bed.place - near)[::-1])), self.draw(0, 1)

    def _sit(self, actor: Actor) -> None:
        """Turn the back to the chair, sit for a while, get up."""
        chair, front = self.room.chair, body.ahead(self.room.chair.facing)[:2]
        back = body.sitting(chair.place - 0.06 * front, chair.facing, chair.seat, lean=-0.2)
        fore = body.sitting(chair.place + 0.12 * front, chair.facing, chair.seat, lean=0.5)
        risen = body.standing(self.room.before, chair.facing, actor.scale)
        actor.stay(actor.now + 1.5, angle=chair.facing)
        actor.act([(0, risen), (self.draw(1.2, 3), fore), (self.draw(1, 2), back), (self.draw(5, 18), back),
                   (self.draw(1, 2), fore), (self.draw(1.2, 3), risen)])  # fmt: skip


def length(path: Float[Array, "K 2"]) -> float:
    """Metres along a broken line."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def making_way(places: list[Float[Array, "T 2"]], *, apart: float = 0.5) -> list[Float[Array, "T 2"]]:
    """How each walker is shifted so as to keep ``apart`` metres from those before them in the list; the first stays."""
    settled, shifts = [places[0]], []
    for own in places[1:]:
        moved = own
        for other in settled:
            gap = moved - other
            far = np.linalg.norm(gap, axis=1, keepdims=True)
            way = np.where(far > 1e-3, gap / np.maximum(far, 1e-3), [1.0, 0.0])
            moved = np.where(far < apart, other + apart * way, moved)
        settled.append(moved)
        shifts.append(moved - own)
    return shifts
