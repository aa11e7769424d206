"""A room of an intensive care unit: where bed, chair, door, monitor and camera are.

The head of the bed is at the wall y = length, its back to the wall x = 0; the patient leaves it towards +x, where the
chair is, whose back is to the other wall. Between them an aisle is free, in which one walks in straight lines.
"""

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
from .people import UP

Array = np.ndarray
Place = Float[Array, "2"]  # x and y in metres
TRIES = 2000
HALF_BED = np.array([0.48, 1.02])  # metres
AROUND = 0.3  # metres: so near to the bed one walks


class Room(NamedTuple):
    """``bed`` (3,) and ``chair`` (3,): x, y and height of mattress and seat; ``walls`` and ``furniture`` are boxes.

    ``beside`` and ``before`` are where the patient stands after leaving bed and chair, ``entry`` lies inside the door,
    ``aisle`` (2, 2) are two corners of where one stands about.
    """

    bed: Float[Array, "3"]
    beside: Place
    chair: Float[Array, "3"]
    before: Place
    entry: Place
    aisle: Float[Array, "2 2"]
    walls: Box
    furniture: list[Box]
    camera: Camera

    def standing(self, across: float, along: float) -> Place:
        """A place in the aisle, by shares of its width and length."""
        return np.asarray(self.aisle[0] + [across, along] * (self.aisle[1] - self.aisle[0]))


def furnished(*, generator: Generator) -> Room:
    """A room drawn at random, drawn again until its camera sees bed and chair and who stands beside them."""
    for _ in range(TRIES):
        room = _drawn(generator)
        people = [[*place, z] for place in (room.beside, room.before) for z in (0.6, 1.75)]
        on_bed = room.bed + np.array([*product((-0.9, 0.9), (-1, 1), [0.0])]) * [*HALF_BED, 0]
        points = room.camera.frame(np.array([*people, *on_bed, room.chair, room.chair + 0.7 * UP]))
        spots = depth_camera.pixels(points, 48, 64)
        if (points[:, 2] > 0.8).all() and (spots > 1).all() and (spots < [63, 47]).all():
            return room
    raise _check.refuse("a room that the camera sees", f"none in {TRIES}", "take another seed")


def _drawn(generator: Generator) -> Room:
    draw = partial(uniform, generator=generator)
    width, length, height = draw(3.9, 4.8), draw(4.2, 5.2), draw(2.7, 3.0)
    behind, at_head, top = draw(0.65, 0.95), draw(0.1, 0.3), draw(0.5, 0.62)
    bed = np.array([HALF_BED[0] + behind, length - HALF_BED[1] - at_head, top])
    chair = np.array([width - draw(0.45, 0.6), draw(0.35 * length, length - 0.7), draw(0.42, 0.5)])
    aisle = np.array([[bed[0] + HALF_BED[0] + AROUND, 0.9], [width - 1.2, length - 0.5]])
    door = np.array([draw(aisle[0, 0] + 0.2, width - 1.2), length if draw(0, 1) < 0.5 else 0.0])
    monitor = (0, 0, 0.3, 0.3, 0, 1.1), (0, 0, 0.4, 0.15, 1.25, 1.6), (0, 0, 0.07, 0.07, 0, 1.3)
    at_walls = [*boxes([(0, 0, 1.0, 0.2, 0, 2.1)], door), *boxes(monitor, np.array([0.25, length - 0.35]))]
    place = np.array([draw(0.15, width - 0.15), draw(0.08, 0.8), draw(2.2, 2.65)])
    astray = np.array([draw(-0.3, 0.3), draw(-0.4, 0.2), draw(0.35, 0.85)])  # from between bed and chair
    camera = depth_camera.looking(place, (0.6 * bed + 0.4 * chair) * [1, 1, 0] + astray)
    mirror = -1 if draw(0, 1) < 0.5 else 1  # the bed is on the left of the picture, or on the right
    return Room(
        bed=bed,
        beside=bed[:2] + np.array([HALF_BED[0] + 0.38, -0.1]),
        chair=chair,
        before=chair[:2] - [0.62, 0],
        entry=np.array([door[0], door[1].clip(0.35, length - 0.35)]),
        aisle=aisle,
        walls=Box(np.zeros(3), np.array([width, length, height])),
        furniture=[*_bed_and_chair(bed, chair), *at_walls],
        camera=Camera(place, camera.axes * [[mirror], [1], [1]]),
    )


def boxes(parts: Sequence[Sequence[float]], place: Place) -> list[Box]:
    """Furniture at ``place``; a part: x, y of its middle, sides along x and y, lower and upper end."""
    x, y = place
    return [
        Box(np.array([x + dx - a / 2, y + dy - b / 2, low]), np.array([x + dx + a / 2, y + dy + b / 2, high]))
        for dx, dy, a, b, low, high in parts
    ]


def _bed_and_chair(bed: Float[Array, "3"], chair: Float[Array, "3"]) -> list[Box]:
    (across, along), top, seat_top = HALF_BED, bed[2], chair[2]
    mattress, frame = (0, 0, 2 * across, 2 * along, top - 0.18, top), (0, 0, 0.77, 1.73, 0.12, top - 0.18)
    pillow = (0, along - 0.24, 0.62, 0.36, top, top + 0.09)
    head, foot = ((0, y, 2 * across, 0.06, 0.3, top + high) for y, high in ((along, 0.45), (-along, 0.2)))
    rails = ((side * across, 0.5, 0.05, 0.7, top, top + 0.25) for side in (-1, 1))
    seat, back = (-0.03, 0, 0.58, 0.56, 0.1, seat_top), (0.29, 0, 0.1, 0.66, 0.1, seat_top + 0.55)
    arms = ((0, y, 0.56, 0.07, 0.1, seat_top + 0.2) for y in (-0.31, 0.31))
    return [*boxes([mattress, frame, pillow, head, foot, *rails], bed[:2]), *boxes([seat, back, *arms], chair[:2])]
