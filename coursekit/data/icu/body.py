"""A person as a pose, a pose as thirteen joints, and the joints as ten spindles.

A pose is (9, 3): where the pelvis is, then eight directions: up the trunk, to the person's left, both thighs, both
shins, both arms (left first). Two poses are blended by blending the directions and making them unit length again, so
that no limb changes its length.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray
Pose = Float[Array, "9 3"]
Poses = Float[Array, "T 9 3"]

HEAD, NECK, PELVIS, SHOULDERS, HIPS, KNEES, FEET, HANDS = (
    0,
    1,
    2,
    (3, 4),
    (5, 6),
    (7, 8),
    (9, 10),
    (11, 12),
)  # left, right
PARTS = (  # from joint, to joint, radius in metres of a person of 1.75 m
    (HEAD, HEAD, 0.12),
    (NECK, PELVIS, 0.15),
    (3, 4, 0.09),
    (5, 6, 0.11),
    (5, 7, 0.085),
    (6, 8, 0.085),
    (7, 9, 0.065),
    (8, 10, 0.065),
    (3, 11, 0.05),
    (4, 12, 0.05),
)
HIP_HEIGHT = 0.95  # of a person of 1.75 m who stands
UP = np.array([0.0, 0.0, 1.0])


def joints(pose: Poses, scale: float) -> Float[Array, "T 13 3"]:
    """The joints of poses; ``scale`` 1 is a person of 1.75 m."""
    pelvis, up, left, *limbs = np.moveaxis(pose, 1, 0)
    thighs, shins, arms = limbs[:2], limbs[2:4], limbs[4:]
    up, left = up * scale, left * scale
    neck = pelvis + 0.48 * up
    shoulders = [neck - 0.04 * up + side * 0.19 * left for side in (1, -1)]
    hips = [pelvis + side * 0.09 * left for side in (1, -1)]
    knees = [hip + 0.42 * scale * thigh for hip, thigh in zip(hips, thighs)]
    feet = [knee + 0.42 * scale * shin for knee, shin in zip(knees, shins)]
    hands = [shoulder + 0.55 * scale * arm for shoulder, arm in zip(shoulders, arms)]
    return np.stack([neck + 0.2 * up, neck, pelvis, *shoulders, *hips, *knees, *feet, *hands], 1)


def unit(v: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """The same direction with length one."""
    scaled: Array = v / np.linalg.norm(v, axis=-1, keepdims=True)
    return scaled


def pose(pelvis: Array, up: Array, left: Array, thighs: Array, shins: Array, arms: Array) -> Float[Array, "... 9 3"]:
    """Poses with both sides alike; each argument (3,) or (T, 3)."""
    rows = np.broadcast_arrays(
        pelvis, *(unit(np.asarray(v, float)) for v in (up, left, thighs, thighs, shins, shins, arms, arms))
    )
    return np.stack(rows, -2)


def ahead(angle: float | Array) -> Array:
    """The horizontal direction at ``angle`` radians from x."""
    return np.stack(np.broadcast_arrays(np.cos(angle), np.sin(angle), 0.0), -1)


def leftward(angle: float | Array) -> Array:
    """The left of who looks along ``angle``."""
    return ahead(np.asarray(angle) + np.pi / 2)


def standing(place: Float[Array, "... 2"], angle: float | Array, scale: float, *, lean: float | Array = 0.0) -> Array:
    """Upright with hanging arms; ``lean`` 1 bows forward, hands at work on a bed."""
    lean = np.asarray(lean, float)[..., None]
    height = np.broadcast_to(HIP_HEIGHT * scale, np.shape(place)[:-1])
    pelvis = np.concatenate([place, height[..., None]], -1)
    front = ahead(angle)
    return pose(
        pelvis, UP + 0.7 * lean * front, leftward(angle), -UP - 0.1 * lean * front, -UP, -UP + 1.2 * lean * front
    )


def walking(
    place: Float[Array, "T 2"],
    angle: Float[Array, "T"],
    lean: Float[Array, "T"],
    phase: Float[Array, "T"],
    scale: float,
) -> Poses:
    """Standing poses with legs and arms swung by ``phase`` radians of the step, two steps a turn; phase 0 stands."""
    poses = standing(place, angle, scale, lean=lean)
    swing, front = 0.45 * np.sin(phase)[:, None], ahead(angle)
    for row, way in ((3, 1), (4, -1), (5, 0.5), (6, -0.5), (7, -0.8), (8, 0.8)):
        poses[:, row] = unit(poses[:, row] + way * swing * front)
    return poses


def sitting(place: Float[Array, "2"], angle: float, seat: float, *, lean: float = 0.0) -> Pose:
    """On a seat ``seat`` metres high, legs down; ``lean`` −0.2 against the back of a chair, 0.6 well forward."""
    front = ahead(angle)
    return pose(
        np.array([*place, seat + 0.1]),
        UP + lean * front,
        leftward(angle),
        front - 0.1 * UP,
        -UP,
        0.8 * front - 0.6 * UP,
    )


def lying(place: Float[Array, "2"], top: float, *, turned: float = 0.0, knees: float = 0.0) -> Pose:
    """On a bed whose surface is ``top`` metres high, head towards y; ``turned`` ±1 on the side, ``knees`` 1 with knees
    up.
    """
    pelvis, side = np.array([*place, top + 0.12 + 0.06 * abs(turned)]), np.array([1.0, 0.0, 0.0])
    left = side * (1 - abs(turned)) + UP * turned
    front = UP * (1 - abs(turned)) - side * turned  # where the belly points
    thighs = np.array([0.0, -1.0, 0.0]) + front * (0.9 * knees + 0.6 * abs(turned))
    shins = np.array([0.0, -1.0, 0.0]) - front * (0.9 * knees + 0.6 * abs(turned))
    return pose(
        pelvis, np.array([0.0, 1.0, 0.08]), left, thighs, shins, np.array([0.0, -1.0, 0.1]) + front * 0.3 * abs(turned)
    )


def sat_up(place: Float[Array, "2"], top: float) -> Pose:
    """In bed with the trunk upright and the legs along the mattress."""
    legs = np.array([0.0, -1.0, 0.0])
    return pose(
        np.array([*place, top + 0.12]), UP + 0.1 * legs, np.array([1.0, 0.0, 0.0]), legs, legs, 0.8 * legs - 0.5 * UP
    )


def between(keys: Float[Array, "K 9 3"], times: Float[Array, "K"], at: Float[Array, "T"]) -> Poses:
    """Poses at times ``at`` from keyed ones, a little slower near each key than between; held before the first and
    after the last.
    """
    after = np.clip(np.searchsorted(times, at, side="right"), 1, len(times) - 1)
    span = np.maximum(times[after] - times[after - 1], 1e-9)
    part = np.clip((at - times[after - 1]) / span, 0, 1)
    part = (part * (0.7 + 0.3 * part * (3 - 2 * part)))[:, None, None]
    blend: Array = keys[after - 1] * (1 - part) + keys[after] * part
    blend[:, 1:] = unit(blend[:, 1:])
    return blend
