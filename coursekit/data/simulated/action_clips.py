"""Clips whose class lies in the motion alone: a textured object moves over a textured ground, and no frame says how.

Place down and across, turn and size of the object run on circles (what leaves on one side comes back on the other,
after the largest comes the smallest) and are drawn evenly for the middle of the clip; the class says which one runs
on, and in which sense. So every frame has the same distribution in all classes, and a clip played backwards is a clip
of its twin (left and right …): one frame tells nothing, frames without their order leave twins apart undecided. The
price: in two fifths of the clips of ``grow`` the object springs back to its smallest once.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from ...ops.warp import grid, sample
from ..seeds import uniform

PLACE_Y, PLACE_X, TURN, SIZE = range(4)
# class -> which of the four numbers runs on, and in which sense: down, right and clockwise on the screen are positive
MOTIONS = {
    "left": (PLACE_X, -1.0), "right": (PLACE_X, 1.0),
    "up": (PLACE_Y, -1.0), "down": (PLACE_Y, 1.0),
    "clockwise": (TURN, 1.0), "anticlockwise": (TURN, -1.0),
    "grow": (SIZE, 1.0), "shrink": (SIZE, -1.0),
}  # fmt: skip
RADIUS = (0.13, 0.28)  # smallest and largest, in sides of the frame
RUN = (0.3, 0.6)  # how much of its circle the running number covers in a clip
PAN = 0.15  # the ground moves up to so many sides of the frame in a clip, up or down and across, whatever the class
REACH = 1.6  # the object's texture covers so many radii
CONTRAST = 0.2  # the object is so much lighter or darker than the ground
CHUNK = 16  # clips rendered at a time


class Scene(NamedTuple):
    """What one clip is rendered from. Lengths in sides of the frame, circles from 0 to 1."""

    motion: Tensor  # (4,): 1 or −1 for the number that runs on, else 0
    middle: Tensor  # (4,): place down, place across, turn, size, in the middle of the clip
    run: Tensor  # (): how much of its circle the running number covers
    pan: Tensor  # (2,): how far the ground moves
    outline: Tensor  # (2, 4): cosine and sine parts of the radius around the object, two to five lobes
    ground: Tensor  # (C, P, P)
    skin: Tensor  # (C, Q, Q)


def scene(name: str, pictures: Sequence[Float[Tensor, "C _ _"]], *, size: int, generator: Generator) -> Scene:
    """Draw a clip of the class ``name``; what is drawn does not depend on the class."""
    axis, sense = MOTIONS[name]
    motion = torch.zeros(4)
    motion[axis] = sense
    level = uniform(0.35, 0.65, generator=generator)
    lighter = uniform(0, 1, generator=generator) < 0.5
    level_of_object = level + (CONTRAST if lighter else -CONTRAST)
    return Scene(
        motion,
        middle=torch.rand(4, generator=generator),
        run=torch.tensor(uniform(*RUN, generator=generator)),
        pan=(2 * torch.rand(2, generator=generator) - 1) * PAN,
        outline=torch.randn(2, 4, generator=generator) * 0.09,
        ground=_patch(pictures, math.ceil(size * (1 + PAN)) + 2, level, generator),
        skin=_patch(pictures, math.ceil(2 * REACH * RADIUS[1] * size) + 1, level_of_object, generator),
    )


def _patch(pictures: Sequence[Tensor], side: int, level: float, generator: Generator) -> Tensor:
    """Of three squares of one picture the one that varies most, with its mean at ``level`` and a deviation of 0.15.

    A square that hardly varies is amplified no more than threefold.
    """
    picture = pictures[int(uniform(0, len(pictures), generator=generator))]
    tried = []
    for _ in range(3):
        top, left = (int(uniform(0, n - side + 1, generator=generator)) for n in picture.shape[1:])
        tried.append(picture[:, top : top + side, left : left + side].double())
    best = max(tried, key=lambda square: float(square.std()))
    return ((best - best.mean()) * (0.15 / best.std().clamp(min=0.05)) + level).clamp(0, 1).float()


def render(scenes: Sequence[Scene], *, frames: int, size: int) -> Float[Tensor, "N C T H W"]:
    """Time runs from −1/2 to 1/2 of the clip, so the twin's clip is this one backwards, bit by bit."""
    time = (torch.arange(frames) - (frames - 1) / 2) / frames  # (T,)
    pixels = grid((size, size))  # (2, H, W)
    clips = []
    for start in range(0, len(scenes), CHUNK):
        many = Scene(*(torch.stack(values) for values in zip(*scenes[start : start + CHUNK])))
        panned = many.pan[:, :, None] * (size * time)  # (N, 2, T)
        margin = (many.ground.shape[-1] - size) / 2
        ground = sample(many.ground, pixels[None, :, None] + margin - panned[..., None, None])
        state = many.middle[:, None] + (many.motion * many.run[:, None])[:, None] * time[:, None]  # (N, T, 4)
        skin, cover = _object(many, pixels, state, size)
        clips.append(ground + cover * (skin - ground))
    return torch.cat(clips)


def _object(many: Scene, pixels: Tensor, state: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The object's texture (N, C, T, H, W) and how much of each pixel it covers (N, 1, T, H, W).

    Radius and turn are computed in double precision, as a float's last bit depends on how many go at once.
    """
    centre = (state[..., :2] * size).movedim(-1, 1)[..., None, None]  # (N, 2, T, 1, 1)
    away = torch.remainder(pixels[None, :, None] - centre + size / 2, size) - size / 2  # from the nearest of its images
    (small, large), turn = RADIUS, 2 * math.pi * state[..., TURN].double()
    grown = torch.remainder(state[..., SIZE], 1).double() * math.log(large / small)
    radius, cos, sin = (x.float()[..., None, None] for x in (size * small * grown.exp(), turn.cos(), turn.sin()))
    y = (cos * away[:, 0] - sin * away[:, 1]) / radius  # (N, T, H, W): in radii, turned back
    x = (sin * away[:, 0] + cos * away[:, 1]) / radius
    far = (y * y + x * x).sqrt()
    sin, cos = y / far.clamp(min=1e-6), x / far.clamp(min=1e-6)
    rim, c, s = torch.ones_like(cos), cos, sin  # the radius in each direction, and cosine and sine of k angles
    for k in range(many.outline.shape[-1]):
        c, s = c * cos - s * sin, s * cos + c * sin
        a, b = (many.outline[:, part, k].view(-1, 1, 1, 1) for part in (0, 1))
        rim = rim + a * c + b * s
    cover = ((rim.clamp(0.6, 1.4) - far) * radius + 0.5).clamp(0, 1)  # the rim fades within a pixel
    half = (many.skin.shape[-1] - 1) / 2
    return sample(many.skin, torch.stack([y, x], 1) * (half / REACH) + half), cover[:, None]
