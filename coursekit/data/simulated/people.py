"""A person of 1.75 m as a pose, a pose as thirteen joints, and the joints as ten spindles.

A pose is (9, 3): where the pelvis is, then eight directions: up the trunk, to the person's left, both thighs, both
shins, both arms (left first). Two poses are blended by blending the directions and making them unit length again, so
that no limb changes its length.
"""

import numpy as np
from jaxtyping import Float

Array = np.ndarray
Pose = Float[Array, "9 3"]
Poses = Float[Array, "T 9 3"]

HEAD, NECK, PELVIS = 0, 1, 2  # then left and right: shoulders 3 4, hips 5 6, knees 7 8, feet 9 10, hands 11 12
PARTS = (  # from joint, to joint, radius in metres
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
HIP_HEIGHT = 0.95  # metres, of who stands
UP = np.array([0.0, 0.0, 1.0])
LEFT_RIGHT = np.array([[1.0], [-1.0]])


def joints(poses: Poses) -> Float[Array, "T 13 3"]:
    """The joints of poses."""
    pelvis, up, left, *limbs = np.moveaxis(poses, 1, 0)
    neck = pelvis + 0.48 * up
    shoulders = [neck - 0.04 * up + side * 0.19 * left for side in (1, -1)]
    hips = [pelvis + side * 0.09 * left for side in (1, -1)]
    knees = [hip + 0.42 * thigh for hip, thigh in zip(hips, limbs[:2])]
    feet = [knee + 0.42 * shin for knee, shin in zip(knees, limbs[2:4])]
    hands = [shoulder + 0.55 * arm for shoulder, arm in zip(shoulders, limbs[4:])]
    return np.stack([neck + 0.2 * up, neck, pelvis, *shoulders, *hips, *knees, *feet, *hands], 1)


def unit(v: Float[Array, "... 3"]) -> Float[Array, "... 3"]:
    """The same directions with length one."""
    return np.asarray(v / np.linalg.norm(v, axis=-1, keepdims=True))


def pose(pelvis: Array, up: Array, left: Array, thighs: Array, shins: Array, arms: Array) -> Pose:
    """A pose; the limbs are (2, 3), left first, or (3,) where both sides are alike."""
    limbs = [np.broadcast_to(limb, (2, 3)) for limb in (thighs, shins, arms)]
    return np.concatenate([[pelvis], unit(np.concatenate([[up, left], *limbs]))])


def ahead(angle: float) -> Float[Array, "3"]:
    """The horizontal direction at ``angle`` radians from x."""
    return np.array([np.cos(angle), np.sin(angle), 0.0])


def standing(place: Float[Array, "2"], angle: float, *, lean: float = 0.0, stride: float = 0.0) -> Pose:
    """Upright with hanging arms; ``lean`` 1 bows forward, hands at work on a bed, ``stride`` ±1 is amid a step."""
    front, swing = ahead(angle), 0.45 * stride * LEFT_RIGHT
    thighs = -UP + (swing - 0.1 * lean) * front
    shins, arms = -UP + 0.5 * swing * front, -UP + (1.2 * lean - 0.8 * swing) * front
    return pose(np.array([*place, HIP_HEIGHT]), UP + 0.7 * lean * front, ahead(angle + np.pi / 2), thighs, shins, arms)


def sitting(place: Float[Array, "2"], angle: float, seat: float, *, lean: float = 0.0, legs_out: bool = False) -> Pose:
    """On a seat ``seat`` metres high; ``lean`` −0.2 against a back, 0.6 well forward. Legs hang, or lie on the seat."""
    front, pelvis = ahead(angle), np.array([*place, seat + 0.1])
    shins, arms = front if legs_out else -UP, 0.8 * front - 0.6 * UP
    return pose(pelvis, UP + lean * front, ahead(angle + np.pi / 2), front, shins, arms)


def lying(place: Float[Array, "2"], top: float) -> Pose:
    """On a bed whose surface is ``top`` metres high, head towards y."""
    across, along, pelvis = np.array([1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0]), np.array([*place, top + 0.12])
    return pose(pelvis, along + 0.08 * UP, across, -along, -along, 0.1 * UP - along)
