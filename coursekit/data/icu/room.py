"""A room of an intensive care unit: where bed, chair, door, equipment and camera are, and how one walks between them.

The head of the bed is at the wall y = length, and the patient leaves it towards ``out``, +1 or −1 along x, where the
chair is.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra
from torch import Generator

from ... import _check
from ..seeds import uniform
from . import depth
from .body import ahead
from .depth import Box, Camera

Array = np.ndarray
CELL, CLEARANCE = 0.2, 0.24  # metres: grid of the floor, and how near to furniture one walks
TRIES = 2000
SMALLEST = 0.05  # share of the image that the mattress fills


class Bed(NamedTuple):
    """``place`` (2,) its middle, ``half`` (2,) half its sides, ``top`` the height of the mattress, all in metres;
    ``out`` ±1.
    """

    place: Float[Array, "2"]
    half: Float[Array, "2"]
    top: float
    out: int


class Chair(NamedTuple):
    """``place`` (2,) its middle and ``seat`` its height in metres; ``facing`` in radians from x."""

    place: Float[Array, "2"]
    seat: float
    facing: float


@dataclass(frozen=True, eq=False)
class Room:
    """``walls``, ``door`` (a recess) and ``furniture`` as boxes; ``beside`` (2,) and ``before`` (2,) are where the
    patient stands after leaving bed and chair; ``entry`` (2,) lies inside the door."""

    walls: Box
    door: Box
    bed: Bed
    chair: Chair
    furniture: tuple[Box, ...]
    camera: Camera
    entry: Float[Array, "2"]

    @property
    def beside(self) -> Float[Array, "2"]:
        place: Array = self.bed.place + np.array([self.bed.out * (self.bed.half[0] + 0.38), -0.1])
        return place

    @property
    def before(self) -> Float[Array, "2"]:
        place: Array = self.chair.place + 0.62 * ahead(self.chair.facing)[:2]
        return place

    @property
    def out_angle(self) -> float:
        """Where who leaves the bed looks, in radians from x."""
        return 0.0 if self.bed.out > 0 else math.pi


def furnished(*, generator: Generator) -> Room:
    """A room drawn at random, drawn again until its camera sees bed and chair and every place in it can be walked to."""
    for _ in range(TRIES):
        room = _drawn(generator)
        floor = Floor(room)
        if floor.joined and in_view(room) and unhidden(room):
            return room
    raise _check.refuse("a room that the camera sees", f"none in {TRIES}", "take another seed")


def _drawn(g: Generator) -> Room:
    width, length, height = (
        uniform(3.9, 4.8, generator=g),
        uniform(4.2, 5.2, generator=g),
        uniform(2.7, 3.0, generator=g),
    )
    walls = Box(np.array([width, length, height]) / 2, np.array([width, length, height]) / 2)
    bed = _bed(width, length, g)
    chair = _chair(bed, width, length, g)
    door, entry = _door(bed, width, length, g)
    boxes = (*_bed_boxes(bed), *_chair_boxes(chair), *_equipment(bed, chair, width, length, g))
    return Room(walls, door, bed, chair, boxes, _camera(bed, chair, width, g), entry)


def _bed(width: float, length: float, g: Generator) -> Bed:
    half = np.array([uniform(0.45, 0.5, generator=g), 1.02])
    out = 1 if uniform(0, 1, generator=g) < 0.5 else -1
    margin = half[0] + uniform(0.65, 0.95, generator=g)  # from the wall at its back
    x = margin if out > 0 else width - margin
    return Bed(
        np.array([x, length - half[1] - uniform(0.1, 0.3, generator=g)]), half, uniform(0.5, 0.62, generator=g), out
    )


def _chair(bed: Bed, width: float, length: float, g: Generator) -> Chair:
    wall = width if bed.out > 0 else 0.0
    x = wall - bed.out * uniform(0.45, 0.6, generator=g)
    y = uniform(0.35 * length, length - 0.7, generator=g)
    turn = uniform(-0.5, 0.5, generator=g)
    return Chair(np.array([x, y]), uniform(0.42, 0.5, generator=g), (math.pi if bed.out > 0 else 0.0) + turn)


def _door(bed: Bed, width: float, length: float, g: Generator) -> tuple[Box, Float[Array, "2"]]:
    """In the wall opposite the bed's head, or in the wall beyond the foot of the bed: the recess, and the place inside."""
    if uniform(0, 1, generator=g) < 0.6:
        x = uniform(0.7, width - 0.7, generator=g)
        return Box(np.array([x, -0.6, 1.05]), np.array([0.5, 0.6, 1.05])), np.array([x, 0.35])
    wall = width if bed.out > 0 else 0.0
    y = uniform(0.65, 0.22 * length, generator=g)
    return Box(np.array([wall + bed.out * 0.6, y, 1.05]), np.array([0.6, 0.5, 1.05])), np.array(
        [wall - bed.out * 0.35, y]
    )


def _box(x: float, y: float, low: float, high: float, wide: float, deep: float, yaw: float = 0.0) -> Box:
    """Sides ``wide`` along x and ``deep`` along y, before it is turned, from ``low`` to ``high`` above the floor."""
    return Box(np.array([x, y, (low + high) / 2]), np.array([wide, deep, high - low]) / 2, yaw)


def _bed_boxes(bed: Bed) -> tuple[Box, ...]:
    (x, y), (across, along) = bed.place, bed.half
    mattress = _box(x, y, bed.top - 0.18, bed.top, 2 * across, 2 * along)
    frame = _box(x, y, 0.12, bed.top - 0.18, 1.6 * across, 1.7 * along)
    pillow = _box(x, y + along - 0.24, bed.top, bed.top + 0.09, 1.3 * across, 0.36)
    head = _box(x, y + along + 0.03, 0.3, bed.top + 0.45, 2 * across, 0.06)
    foot = _box(x, y - along - 0.03, 0.3, bed.top + 0.2, 2 * across, 0.06)
    rails = [_box(x + side * (across + 0.02), y + 0.5, bed.top, bed.top + 0.25, 0.05, 0.7) for side in (-1, 1)]
    return mattress, frame, pillow, head, foot, *rails


def _chair_boxes(chair: Chair) -> tuple[Box, ...]:
    def part(forward: float, left: float, low: float, high: float, deep: float, wide: float) -> Box:
        x, y = chair.place + forward * ahead(chair.facing)[:2] + left * ahead(chair.facing + math.pi / 2)[:2]
        return _box(x, y, low, high, deep, wide, chair.facing)

    seat, back = part(0.03, 0, 0.1, chair.seat, 0.58, 0.56), part(-0.29, 0, 0.1, chair.seat + 0.55, 0.1, 0.66)
    return seat, back, *(part(0.0, side * 0.31, 0.1, chair.seat + 0.2, 0.56, 0.07) for side in (-1, 1))


def _equipment(bed: Bed, chair: Chair, width: float, length: float, g: Generator) -> tuple[Box, ...]:
    """A monitor on its pole at the head of the bed, a cupboard or trolley or two at the walls."""
    x = bed.place[0] - bed.out * (bed.half[0] + 0.25)
    y = length - uniform(0.25, 0.45, generator=g)
    boxes = [_box(x, y, 0.0, 1.1, 0.3, 0.3), _box(x, y, 1.25, 1.6, 0.4, 0.15), _box(x, y, 0.0, 1.3, 0.07, 0.07)]
    for _ in range(1 + int(uniform(0, 2, generator=g))):
        wide, deep, high = (
            uniform(0.4, 0.8, generator=g),
            uniform(0.35, 0.5, generator=g),
            uniform(0.7, 1.2, generator=g),
        )
        wall = wide / 2 + 0.02
        x = wall if uniform(0, 1, generator=g) < 0.5 else width - wall
        y = uniform(0.6, length - 0.5, generator=g)
        if np.linalg.norm(chair.place - [x, y]) > 0.95:
            boxes.append(_box(x, y, 0.0, high, wide, deep))
    return tuple(boxes)


def _camera(bed: Bed, chair: Chair, width: float, g: Generator) -> Camera:
    """Under the ceiling, towards the foot of the bed or at the wall on the side of the chair, looking between bed and
    chair.
    """
    height = uniform(2.2, 2.65, generator=g)
    if uniform(0, 1, generator=g) < 0.65:
        x, y = uniform(0.15, width - 0.15, generator=g), uniform(0.08, 1.2, generator=g)
    else:
        x, y = (width - 0.12 if bed.out > 0 else 0.12), uniform(0.1, 1.8, generator=g)
    middle = 0.6 * bed.place + 0.4 * chair.place
    astray = np.array([uniform(low, high, generator=g) for low, high in ((-0.3, 0.3), (-0.4, 0.2), (-0.2, 0.3))])
    return depth.looking(
        np.array([x, y, height]), np.array([*middle, 0.55]) + astray, roll=uniform(-0.06, 0.06, generator=g)
    )


def in_view(room: Room) -> bool:
    """Whether an image of 3 : 4 holds the corners of the mattress, the chair, and who stands beside either, the
    mattress not too small.
    """
    corners = room.bed.place + np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]]) * room.bed.half
    points = [[*corner, room.bed.top] for corner in corners]
    points += [[*place, z] for place in (room.chair.place, room.beside, room.before) for z in (0.05, 1.2)]
    points += [[*place, 1.75] for place in (room.beside, room.before)]
    framed = room.camera.frame(np.array(points))
    spot = depth.pixels(framed, 48, 64)
    (x, y), (to_x, to_y) = spot[:4].T, np.roll(spot[:4], 1, 0).T
    share = abs(float((x * to_y - y * to_x).sum())) / 2 / (48 * 64)
    return bool((framed[:, 2] > 0.8).all() and (spot > 1).all() and (spot < [63, 47]).all()) and share > SMALLEST


def unhidden(room: Room) -> bool:
    """Whether furniture hides at most a tenth of a grid of points on the mattress, of the seat and of bodies beside
    either.
    """
    bed, grid = room.bed, np.linspace(-0.8, 0.8, 5)
    points = [
        [bed.place[0] + u * bed.half[0], bed.place[1] + v * bed.half[1], bed.top + 0.15] for u in grid for v in grid
    ]
    points += [[*place, z] for place in (room.chair.place, room.beside, room.before) for z in (0.6, 0.8, 1.0, 1.2)]
    rays = np.array(points) - room.camera.place  # reaches its point at depth 1
    rays = rays @ room.camera.axes.T
    hidden = np.zeros(len(rays), bool)
    for box in room.furniture:
        enter, leave = depth.slab(room.camera, box, rays)
        hidden |= (enter < leave) & (enter > 0) & (enter < 0.98)
    return bool(hidden[:25].mean() <= 0.1 and hidden[25:].mean() <= 0.1)


class Floor:
    """The free floor of a room as a grid of cells; ``joined`` says whether beside the bed, before the chair and the
    door are connected.
    """

    def __init__(self, room: Room) -> None:
        self.free = _free(room)
        self.graph = _neighbours(self.free)
        reach = dijkstra(self.graph, indices=self.cell(room.entry))
        self.free &= np.isfinite(reach).reshape(self.free.shape)  # corners that furniture cuts off are no floor
        self.cells = np.flatnonzero(self.free)
        away = [
            np.linalg.norm(self.middle(self.cell(place)) - place) for place in (room.entry, room.beside, room.before)
        ]
        self.joined = bool(max(away) < 0.35)

    def middle(self, cell: int | Array) -> Float[Array, "... 2"]:
        """The place of a cell, (x, y) in metres."""
        return (np.stack(np.divmod(cell, self.free.shape[1]), -1) + 0.5) * CELL

    def anywhere(self, *, generator: Generator) -> Float[Array, "2"]:
        """The middle of a cell drawn at random."""
        return self.middle(int(self.cells[int(uniform(0, len(self.cells), generator=generator))]))

    def cell(self, place: Float[Array, "2"]) -> int:
        """The free cell nearest to a place."""
        free = np.flatnonzero(self.free)
        return int(free[((self.middle(free) - place) ** 2).sum(1).argmin()])

    def path(self, start: Float[Array, "2"], end: Float[Array, "2"]) -> Float[Array, "K 2"]:
        """A short way from place to place around the furniture, as the corners of a broken line."""
        first, last = self.cell(start), self.cell(end)
        before = dijkstra(self.graph, indices=first, return_predecessors=True)[1]
        cells = [last]
        while cells[-1] != first:
            cells.append(int(before[cells[-1]]))
        points = [start, *self.middle(np.array(cells[::-1])), end]
        return np.array(self._straightened(points))

    def _straightened(self, points: list[Array]) -> list[Array]:
        """Leave out every corner that can be cut."""
        kept, here = [points[0]], 0
        while here < len(points) - 1:
            far = [k for k in range(len(points) - 1, here + 1, -1) if self.clear(points[here], points[k])]
            here = far[0] if far else here + 1
            kept.append(points[here])
        return kept

    def clear(self, start: Float[Array, "2"], end: Float[Array, "2"]) -> bool:
        """Whether the straight line between two places crosses free cells alone."""
        steps = max(2, math.ceil(float(np.linalg.norm(end - start)) / 0.05))
        line = start + np.linspace(0, 1, steps)[:, None] * (end - start)
        i, j = np.clip((line / CELL).astype(int), 0, np.array(self.free.shape) - 1).T
        return bool(self.free[i, j].all())


def _free(room: Room) -> Bool[Array, "X Y"]:
    counts = np.ceil(2 * room.walls.half[:2] / CELL).astype(int)
    places = (np.stack(np.meshgrid(*map(np.arange, counts), indexing="ij"), -1) + 0.5) * CELL  # (X, Y, 2)
    free = np.asarray(((places > CLEARANCE) & (places < 2 * room.walls.half[:2] - CLEARANCE)).all(-1))
    for box in room.furniture:
        c, s = math.cos(box.yaw), math.sin(box.yaw)
        away = np.abs((places - box.centre[:2]) @ np.array([[c, -s], [s, c]])) - box.half[:2]
        free = free & (np.linalg.norm(np.maximum(away, 0), axis=-1) > CLEARANCE)
    return free


def _neighbours(free: Bool[Array, "X Y"]) -> csr_matrix:
    """Steps between free cells that share a side or a corner, weighed by their length."""
    index, links = np.arange(free.size).reshape(free.shape), []
    for a, b, far in (
        (np.s_[1:, :], np.s_[:-1, :], 1.0),
        (np.s_[:, 1:], np.s_[:, :-1], 1.0),
        (np.s_[1:, 1:], np.s_[:-1, :-1], math.sqrt(2)),
        (np.s_[1:, :-1], np.s_[:-1, 1:], math.sqrt(2)),
    ):
        both = free[a] & free[b]
        links.append(np.stack([index[a][both], index[b][both], np.full(both.sum(), far)]))
    rows, columns, weights = np.concatenate(links, 1)
    ends = (rows.astype(int), columns.astype(int))
    graph = coo_matrix((weights, ends), shape=(free.size, free.size)).tocsr()
    return graph + graph.T
