"""What a depth camera sees: rays cast against boxes, a room's walls and spindles, and a sensor that errs.

World: metres, x and y along the walls, z up from the floor. Camera: x to the right of the image, y down, z along the
optical axis. A pixel's ray is (x, y, 1) times its depth: the depth along the axis, not the length of the ray.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy import ndimage
from torch import Generator

Array = np.ndarray
NEAR, FAR = 0.4, 8.0  # metres; what lies outside is missing
SIGMA = 0.001425  # noise a squared metre, in 1/m: 1.4 mm at 1 m, 3.6 cm at 5 m
FOCAL = 0.72  # focal length in widths of the image: 70 degrees across
JUMP = 1.12  # a neighbour so many times as far away lies behind an edge
LOST, LOST_AT_EDGE = 0.005, 0.75  # share of pixels without depth, anywhere and on the far side of an edge


class Camera(NamedTuple):
    """``place`` (3,) in metres; ``axes`` (3, 3), rows: right, down and forward of the camera in the world."""

    place: Float[Array, "3"]
    axes: Float[Array, "3 3"]

    def frame(self, points: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
        """World points in the camera's frame."""
        return np.asarray((points - self.place) @ self.axes.T)


class Box(NamedTuple):
    """An upright box along the walls, by its ``low`` and ``high`` corners (3,) in metres."""

    low: Float[Array, "3"]
    high: Float[Array, "3"]


def looking(place: Float[Array, "3"], target: Float[Array, "3"]) -> Camera:
    """A level camera at ``place`` that has ``target`` in the middle of its image."""
    forward = (target - place) / np.linalg.norm(target - place)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    return Camera(place, np.stack([right, np.cross(forward, right), forward]))


def rays(height: int, width: int) -> Float[Array, "H W 3"]:
    """The ray (x, y, 1) through the centre of each pixel."""
    x = (np.arange(width) + 0.5 - width / 2) / (FOCAL * width)
    y = (np.arange(height) + 0.5 - height / 2) / (FOCAL * width)
    return np.stack(np.broadcast_arrays(x[None, :], y[:, None], 1.0), -1)


def pixels(points: Float[Array, "... 3"], height: int, width: int) -> Float[Array, "... 2"]:
    """Where points of the camera's frame fall, (column, row); the upper left corner of the image is (0, 0)."""
    return np.asarray(points[..., :2] / points[..., 2:] * FOCAL * width + np.array([width / 2, height / 2]))


def slab(camera: Camera, box: Box, directions: Float[Array, "... 3"]) -> tuple[Array, Array]:
    """Depths at which rays enter and leave a box; a ray that misses it enters after it leaves."""
    along = directions @ camera.axes
    along = np.where(np.abs(along) < 1e-12, 1e-12, along)
    first, second = (box.low - camera.place) / along, (box.high - camera.place) / along
    return np.minimum(first, second).max(-1), np.maximum(first, second).min(-1)


def still(camera: Camera, walls: Box, furniture: Sequence[Box], size: tuple[int, int]) -> Float[Array, "H W"]:
    """Depth of the room without people, free of noise."""
    directions = rays(*size)
    depth = slab(camera, walls, directions)[1]
    for box in furniture:
        enter, leave = slab(camera, box, directions)
        depth = np.where((enter < leave) & (enter > 0), np.minimum(depth, enter), depth)
    return depth


def spindle(
    start: Float[Array, "N 3"], end: Float[Array, "N 3"], radius: float, directions: Float[Array, "N 3"]
) -> Float[Array, "N"]:
    """Depth at which each ray meets its spindle, an ellipsoid that ends ``radius`` beyond ``start`` and ``end``.

    All in the camera's frame, whose origin the rays leave; infinite where a ray misses. Space is stretched, along the
    axis and across it, until the spindle is a ball of radius 1: then a quadratic equation is left.
    """
    length = np.linalg.norm(end - start, axis=1)
    axis = (end - start) / np.maximum(length, 1e-9)[:, None]

    def stretched(v: Float[Array, "N 3"]) -> Float[Array, "N 3"]:
        more: Array = np.einsum("ni,ni->n", v, axis) * (1 / (length / 2 + radius) - 1 / radius)
        return np.asarray(v / radius + more[:, None] * axis)

    ray, middle = stretched(directions), stretched((start + end) / 2)
    a, b, c = (np.einsum("ni,ni->n", *pair) for pair in ((ray, ray), (ray, middle), (middle, middle)))
    inside = b * b - a * (c - 1)
    depth = (b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside > 0) & (depth > 0), depth, np.inf)


def paint(
    depth: Float[Array, "T H W"], owner: UInt8[Array, "T H W"], number: int, start: Array, end: Array, radius: float
) -> None:
    """Draw a spindle into ``depth``, in place, where it is nearest, and its owner's ``number`` into ``owner``.

    ``start`` and ``end`` (T, 3) in the camera's frame; a frame with NaN is left out. Only the pixels of a rectangle
    around the two end spheres are cast.
    """
    size = depth.shape[1:]
    in_front = np.minimum(start[:, 2], end[:, 2]) > radius + 0.05  # false for NaN
    ends = np.stack([start, end]).clip(min=[-np.inf, -np.inf, radius + 0.05])  # (2, T, 3)
    reach = radius * (1 + np.abs(ends[..., :2] / ends[..., 2:])) / (ends[..., 2:] - radius) * FOCAL * size[1]
    low, high = (pixels(ends, *size) - reach).min(0), (pixels(ends, *size) + reach).max(0)  # (T, 2): column, row
    rows, columns = (
        (low[:, [axis]] < np.arange(n) + 1) & (np.arange(n) < high[:, [axis]]) for axis, n in zip((1, 0), size)
    )
    cast = np.flatnonzero((in_front[:, None] & rows)[:, :, None] & columns[:, None, :])
    frame, row, column = np.unravel_index(cast, depth.shape)
    met = spindle(start[frame], end[frame], radius, rays(*size)[row, column])
    nearer = met < depth.flat[cast]
    depth.flat[cast[nearer]], owner.flat[cast[nearer]] = met[nearer], number


def sensed(depth: Float[Array, "T H W"], *, generator: Generator) -> Float[Array, "T H W"]:
    """What the sensor reports: noise, steps and holes, float32, 0 where depth is missing.

    Noise has the standard deviation ``SIGMA`` z² metres, and depth comes in steps of twice that, even in 1/z, as
    disparity is: the figures for a structured-light camera of Khoshelham and Elberink, Sensors 12, 2012. What is
    nearer or farther than the sensor reaches is missing, most pixels on the far side of an edge, and a few others.
    """
    shape = torch.Size(depth.shape)
    noise = torch.randn(shape, generator=generator).numpy()
    luck = torch.rand(shape, generator=generator).numpy()
    clean = np.minimum(depth, 2 * FAR).astype(np.float32)
    steps = np.round((1 / clean - np.float32(SIGMA) * noise) / np.float32(2 * SIGMA))
    seen = np.float32(1 / (2 * SIGMA)) / np.maximum(steps, 1)
    cross = ndimage.generate_binary_structure(2, 1)[None]  # a pixel and its four neighbours in the same frame
    nearest = ndimage.minimum_filter(clean, footprint=cross, mode="nearest")
    lost = np.where(clean > JUMP * nearest, LOST_AT_EDGE, LOST)
    return np.where((luck < lost) | (seen < NEAR) | (seen > FAR), np.float32(0), seen)
