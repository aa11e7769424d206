"""A room of an intensive care unit: where bed, chair, door, equipment and camera are, and how one walks between them.

The head of the bed is at the wall y = length, its back to one side wall; the patient leaves it towards the other, where
the chair is. What stands at the walls leaves an aisle free, so that only the bed is ever in the way.
"""

import math
from collections.abc import Sequence
from functools import partial
from itertools import product
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from torch import Generator

from ... import _check
from ..seeds import uniform
from . import depth_camera
from .depth_camera import Box, Camera
from .people import ahead

Array = np.ndarray
Place = Float[Array, "2"]  # x and y in metres
TRIES = 2000
HALF_BED = np.array([0.48, 1.02])  # metres
AROUND = 0.3  # metres: so near to the bed one walks


class Room(NamedTuple):
    """``bed`` (3,) and ``chair`` (3,): x, y and height of mattress and seat; ``facing`` the way the chair looks.

    ``walls``, ``door`` (a recess) and ``furniture`` are boxes. ``beside`` and ``before`` are where the patient stands
    after leaving bed and chair; who leaves the bed looks along ``out``, 0 or π. Angles are in radians from x.
    ``entry`` lies inside the door, ``corner`` beside the foot of the bed, ``aisle`` (2, 2) are two corners of where one
    stands about.
    """

    bed: Float[Array, "3"]
    out: float
    beside: Place
    chair: Float[Array, "3"]
    facing: float
    before: Place
    walls: Box
    door: Box
    entry: Place
    furniture: tuple[Box, ...]
    camera: Camera
    corner: Place
    aisle: Float[Array, "2 2"]

    def anywhere(self, *, generator: Generator) -> Place:
        """A place to stand in the aisle."""
        x, y = (uniform(low, high, generator=generator) for low, high in self.aisle.T)
        return np.array([x, y])

    def path(self, start: Place, end: Place) -> Float[Array, "K 2"]:
        """Straight, or around the corner of the bed from its foot to its side."""
        at_foot = [abs(place[0] - self.bed[0]) < HALF_BED[0] + AROUND for place in (start, end)]
        return np.array([start, end] if at_foot[0] == at_foot[1] else [start, self.corner, end])


def length(path: Float[Array, "K 2"]) -> float:
    """Metres along a broken line."""
    return float(np.linalg.norm(np.diff(path, axis=0), axis=1).sum())


def furnished(*, generator: Generator) -> Room:
    """A room drawn at random, drawn again until its camera sees bed and chair and who stands beside them."""
    for _ in range(TRIES):
        room = _drawn(generator)
        beside = [[*place, z] for place in (room.beside, room.before) for z in (0.6, 0.9, 1.2, 1.75)]
        sides = np.array([*product((-0.9, 0, 0.9), (-1, 0, 1), [0.0])])
        on_bed = room.bed + sides * [*HALF_BED, 0] + [0, 0, 0.1]
        on_chair = room.chair + np.array([[0, 0, 0.1], [0, 0, 0.7]])
        points = room.camera.frame(np.concatenate([beside, on_bed, on_chair]))
        spots = depth_camera.pixels(points, 48, 64)
        in_view = (points[:, 2] > 0.8).all() and (spots > 1).all() and (spots < [63, 47]).all()
        crossed = [depth_camera.slab(room.camera, box, points) for box in room.furniture]  # a point is at depth 1
        hidden = np.any([(enter < leave) & (enter > 0) & (enter < 0.98) for enter, leave in crossed], 0)
        if in_view and hidden.mean() < 0.1:
            return room
    raise _check.refuse("a room that the camera sees", f"none in {TRIES}", "take another seed")


def _drawn(generator: Generator) -> Room:
    draw = partial(uniform, generator=generator)
    width, depth, height = draw(3.9, 4.8), draw(4.2, 5.2), draw(2.7, 3.0)
    mirrored = draw(0, 1) < 0.5

    def place(x: float, y: float) -> Place:
        """``x`` from the wall at the back of the bed."""
        return np.array([width - x if mirrored else x, y])

    out = math.pi if mirrored else 0.0
    behind, at_head, top = draw(0.65, 0.95), draw(0.1, 0.3), draw(0.5, 0.62)
    bed_x, bed_y = HALF_BED[0] + behind, depth - HALF_BED[1] - at_head
    bed = np.array([*place(bed_x, bed_y), top])
    seat, turned, gap, chair_y = draw(0.42, 0.5), draw(-0.5, 0.5), draw(0.45, 0.6), draw(0.35 * depth, depth - 0.7)
    chair, facing = np.array([*place(width - gap, chair_y), seat]), out + math.pi + turned
    wall, inward = (depth, -1) if draw(0, 1) < 0.5 else (0.0, 1)  # the door is beside the bed's head, or opposite
    door_x = draw(bed_x + HALF_BED[0] + 0.5, width - 1.2)
    monitor = (0, 0, 0, 1.1, 0.3, 0.3), (0, 0, 1.25, 1.6, 0.4, 0.15), (0, 0, 0, 1.3, 0.07, 0.07)
    furniture = [*_bed(bed), *_chair(chair, facing), *boxes(monitor, place(0.25, depth - 0.35))]
    for _ in range(1 + int(draw(0, 2))):  # a cupboard or trolley at a wall
        wide, deep, high = draw(0.4, 0.8), draw(0.35, 0.5), draw(0.7, 1.2)
        at_back = draw(0, 1) < 0.3
        y = draw(0.5, depth - 2.8) if at_back else draw(0.6, depth - 0.5)
        stand = place(deep / 2 if at_back else width - deep / 2, y)
        if np.linalg.norm(chair[:2] - stand) > 0.95:
            furniture += boxes([(0, 0, 0, high, deep, wide)], stand)
    camera = np.array([draw(0.15, width - 0.15), draw(0.08, 0.8), draw(2.2, 2.65)])
    astray = np.array([draw(-0.3, 0.3), draw(-0.4, 0.2), draw(-0.2, 0.3)])  # from between bed and chair
    target = np.array([*(0.6 * bed + 0.4 * chair)[:2], 0.55]) + astray
    half, side = np.array([width, depth, height]) / 2, bed_x + HALF_BED[0] + AROUND
    return Room(
        bed=bed,
        out=out,
        beside=bed[:2] + (HALF_BED[0] + 0.38) * ahead(out)[:2] - [0, 0.1],
        chair=chair,
        facing=facing,
        before=chair[:2] + 0.62 * ahead(facing)[:2],
        walls=Box(half, half),
        door=Box(np.array([*place(door_x, wall - 0.6 * inward), 1.05]), np.array([0.5, 0.6, 1.05])),
        entry=place(door_x, wall + 0.35 * inward),
        furniture=tuple(furniture),
        camera=depth_camera.looking(camera, target),
        corner=place(side, bed_y - HALF_BED[1] - AROUND),
        aisle=np.array([place(side, 0.9), place(width - 1.2, depth - 0.5)]),
    )


def boxes(parts: Sequence[Sequence[float]], place: Place, yaw: float = 0.0) -> list[Box]:
    """Furniture at ``place``, turned about it; a part: x, y of its middle, lower and upper end, sides along x and y."""
    middles = [place + x * ahead(yaw)[:2] + y * ahead(yaw + np.pi / 2)[:2] for x, y, *_ in parts]
    return [
        Box(np.array([*middle, (low + high) / 2]), np.array([a, b, high - low]) / 2, yaw)
        for middle, (_, _, low, high, a, b) in zip(middles, parts)
    ]


def _bed(bed: Float[Array, "3"]) -> list[Box]:
    (across, along), top = HALF_BED, bed[2]
    mattress, frame = (0, 0, top - 0.18, top, 2 * across, 2 * along), (0, 0, 0.12, top - 0.18, 0.77, 1.73)
    pillow = (0, along - 0.24, top, top + 0.09, 0.62, 0.36)
    head, foot = ((0, y, 0.3, top + high, 2 * across, 0.06) for y, high in ((along, 0.45), (-along, 0.2)))
    rails = ((side * across, 0.5, top, top + 0.25, 0.05, 0.7) for side in (-1, 1))
    return boxes([mattress, frame, pillow, head, foot, *rails], bed[:2])


def _chair(chair: Float[Array, "3"], facing: float) -> list[Box]:
    seat, back = (0.03, 0, 0.1, chair[2], 0.58, 0.56), (-0.29, 0, 0.1, chair[2] + 0.55, 0.1, 0.66)
    arms = ((0, y, 0.1, chair[2] + 0.2, 0.56, 0.07) for y in (-0.31, 0.31))
    return boxes([seat, back, *arms], chair[:2], facing)
