"""What a depth camera sees: rays cast against boxes, a room's walls and spindles, and a sensor that errs.

World: metres, x and y along the walls, z up from the floor. Camera: x to the right of the image, y down, z along the
optical axis. A pixel's ray is (x, y, 1) times its depth, so what is stored is the depth along the axis, as depth
cameras give it, not the length of the ray.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from torch import Generator

Array = np.ndarray
NEAR, FAR = 0.4, 8.0  # metres; what lies outside is missing
SIGMA = 0.001425  # noise a squared metre, in 1/m: 1.4 mm at 1 m, 3.6 cm at 5 m
FOCAL = 0.72  # focal length in widths of the image: 70 degrees across


class Camera(NamedTuple):
    """``place`` (3,) in metres; ``axes`` (3, 3), rows: right, down and forward of the camera in the world."""

    place: Float[Array, "3"]
    axes: Float[Array, "3 3"]

    def frame(self, points: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
        """World points in the camera's frame."""
        turned: Array = (points - self.place) @ self.axes.T
        return turned

    def world(self, depth: Float[Array, "H W"]) -> Float[Array, "H W 3"]:
        """The world point each pixel of a depth image shows."""
        height, width = depth.shape
        points: Array = self.place + rays(height, width) @ self.axes * depth[..., None]
        return points


class Box(NamedTuple):
    """A box standing upright: ``centre`` and ``half`` its sides (3,) in metres, turned by ``yaw`` about the vertical."""

    centre: Float[Array, "3"]
    half: Float[Array, "3"]
    yaw: float = 0.0


def looking(place: Float[Array, "3"], target: Float[Array, "3"], *, roll: float = 0.0) -> Camera:
    """A camera at ``place`` that has ``target`` in the middle of its image; ``roll`` radians about the optical axis."""
    forward = (target - place) / np.linalg.norm(target - place)
    level = np.cross(forward, [0.0, 0.0, 1.0])
    level /= np.linalg.norm(level)
    down = np.cross(forward, level)
    right = np.cos(roll) * level + np.sin(roll) * down
    return Camera(place, np.stack([right, np.cross(forward, right), forward]))


def rays(height: int, width: int) -> Float[Array, "H W 3"]:
    """The ray (x, y, 1) through the centre of each pixel."""
    x = (np.arange(width) + 0.5 - width / 2) / (FOCAL * width)
    y = (np.arange(height) + 0.5 - height / 2) / (FOCAL * width)
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), -1)  # (H, W, 3)


def pixels(points: Float[Array, "N 3"], height: int, width: int) -> Float[Array, "N 2"]:
    """Where points of the camera's frame fall, (column, row), continuous; the upper left corner of the image is (0, 0)."""
    spots: Array = points[:, :2] / points[:, 2:] * FOCAL * width + np.array([width / 2, height / 2])
    return spots


def slab(camera: Camera, box: Box, directions: Float[Array, "... 3"]) -> tuple[Array, Array]:
    """Depths at which rays enter and leave a box; a ray that misses it enters after it leaves."""
    c, s = np.cos(box.yaw), np.sin(box.yaw)
    turn = np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]])  # world to the box's axes
    origin = turn @ (camera.place - box.centre)
    along = directions @ camera.axes @ turn.T
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)
    first, second = (-box.half - origin) / along, (box.half - origin) / along
    return np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)


def still(
    camera: Camera, room: Box, door: Box, furniture: tuple[Box, ...], size: tuple[int, int]
) -> Float[Array, "H W"]:
    """Depth of the room without people, free of noise. ``door`` is a recess behind an opening in the wall."""
    directions = rays(*size)
    enter, leave = slab(camera, door, directions)
    depth = slab(camera, room, directions)[1]
    through = (enter <= depth + 1e-6) & (leave > depth)  # where the ray leaves the room, the recess has begun
    depth = np.where(through, leave, depth)
    for box in furniture:
        enter, leave = slab(camera, box, directions)
        depth = np.where((enter < leave) & (enter > 0), np.minimum(depth, enter), depth)
    return depth


def spindle(
    start: Float[Array, "N 3"], end: Float[Array, "N 3"], radius: Float[Array, "N"], directions: Float[Array, "N 3"]
) -> Float[Array, "N"]:
    """Depth at which each ray meets its spindle: an ellipsoid of revolution that ends ``radius`` beyond ``start`` and
    ``end``.

    All in the camera's frame, whose origin the rays leave; infinite where a ray misses. The root of a quadratic
    equation: with the axis u, points of the surface have |p|² / r² − (p·u)² (1/r² − 1/l²) = 1 from the centre.
    """
    axis, middle = end - start, (start + end) / 2
    length = np.sqrt(dot(axis, axis))
    axis = axis / np.maximum(length, 1e-9)[:, None]
    flat = 1 / radius**2 - 1 / (length / 2 + radius) ** 2
    ray_u, mid_u = dot(directions, axis), dot(middle, axis)
    a = dot(directions, directions) / radius**2 - ray_u**2 * flat
    b = dot(directions, middle) / radius**2 - ray_u * mid_u * flat
    c = dot(middle, middle) / radius**2 - mid_u**2 * flat - 1
    inside = b * b - a * c
    depth: Array = np.where(inside > 0, (b - np.sqrt(np.maximum(inside, 0))) / a, np.inf)
    return np.where(depth > 0, depth, np.inf)


def dot(a: Float[Array, "N 3"], b: Float[Array, "N 3"]) -> Float[Array, "N"]:
    """Row by row."""
    products: Array = np.einsum("ni,ni->n", a, b)
    return products


def paint(
    depth: Float[Array, "T H W"], owner: UInt8[Array, "T H W"], name: int,
    start: Float[Array, "T 3"], end: Float[Array, "T 3"], radius: float,
) -> None:  # fmt: skip
    """Draw one spindle of each frame into ``depth``, in place, where it is nearest, and write ``name`` there into
    ``owner``.

    ``start`` and ``end`` in the camera's frame; a frame with NaN is left out. Only the pixels of a rectangle around
    the spindle are cast.
    """
    _, height, width = depth.shape
    seen = np.flatnonzero(np.minimum(start[:, 2], end[:, 2]) > radius + 0.05)  # false for NaN
    low, high = _window(start[seen], end[seen], radius, height, width)
    wide, tall = np.maximum(high - low, 0).T
    count = wide * tall
    which = np.repeat(np.arange(len(seen)), count)  # one entry a pixel of all rectangles together
    within = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count)
    row, column = within // wide[which] + low[which, 1], within % wide[which] + low[which, 0]
    frame = seen[which]
    met = spindle(start[frame], end[frame], np.full(len(frame), radius), rays(height, width)[row, column])
    index = (frame * height + row) * width + column  # no pixel twice
    nearer = met < depth.reshape(-1)[index]
    depth.reshape(-1)[index[nearer]] = met[nearer]
    owner.reshape(-1)[index[nearer]] = name


def _window(start: Array, end: Array, radius: float, height: int, width: int) -> tuple[Array, Array]:
    """First and one past the last (column, row) of a rectangle that holds the two end spheres, cut to the image; each
    (N, 2).
    """
    corners = []
    for point in (start, end):
        slope = np.abs(point[:, :2] / point[:, 2:])
        reach = radius * (1 + slope) / (point[:, 2:] - radius) * FOCAL * width
        corners.append((pixels(point, height, width), reach))
    low = np.minimum(*(middle - reach for middle, reach in corners))
    high = np.maximum(*(middle + reach for middle, reach in corners))
    limits = np.array([width, height])
    return np.clip(np.floor(low), 0, limits).astype(np.int64), np.clip(np.ceil(high), 0, limits).astype(np.int64)


def sensed(depth: Float[Array, "T H W"], *, generator: Generator) -> Float[Array, "T H W"]:
    """What the sensor reports: noise, steps and holes, float32, 0 where depth is missing.

    Noise has the standard deviation 0.001425 z² metres, and depth comes in steps of twice that, even in 1/z, as
    disparity is: the figures for a structured-light camera of Khoshelham and Elberink, Sensors 12, 2012. Missing:
    what is nearer than 0.4 or farther than 8 m, three of four pixels at a jump in depth, and 0.5 % of all others at
    random.
    """
    shape = torch.Size(depth.shape)
    noise = torch.randn(shape, generator=generator).numpy()
    luck = torch.rand(shape, generator=generator).numpy()
    clean = np.minimum(depth, 2 * FAR).astype(np.float32)
    steps = np.round((1 / clean - np.float32(SIGMA) * noise) / np.float32(2 * SIGMA))
    seen = np.float32(1 / (2 * SIGMA)) / np.maximum(steps, 1)
    missing = (luck < np.where(jumps(clean), np.float32(0.75), np.float32(0.005))) | (seen < NEAR) | (seen > FAR)
    return np.where(missing, np.float32(0), seen)


def jumps(depth: Float[Array, "T H W"]) -> Bool[Array, "T H W"]:
    """The far side of each jump: a neighbour in the row or column is nearer by more than 12 % of its depth."""
    edge = np.zeros(depth.shape, bool)
    for a, b in ((np.s_[:, 1:], np.s_[:, :-1]), (np.s_[:, :, 1:], np.s_[:, :, :-1])):
        edge[a] |= depth[a] > 1.12 * depth[b]
        edge[b] |= depth[b] > 1.12 * depth[a]
    return edge
