"""Clips whose class lies in the motion alone: a textured object moves over a textured ground, and no frame says how.

What a frame shows of the object is four numbers, each on a circle: its place down and across (what leaves on one side
comes back on the other), its turn, and its size (after the largest comes the smallest). All four are drawn evenly for
the middle of the clip, whatever the class; the class says which one runs on, and in which sense. Hence

- every frame, the first and the last too, has the same distribution in all classes: a network that sees one frame can
only guess; - a clip of a class, played backwards, is a clip of its twin (left and right, grow and shrink …), picture
by picture: a network
  that sees all frames without their order cannot tell twins, and is right at most half the time.

It needs the circles: if an object only grew, the last frame would show a larger one than the first. So in two fifths
of the clips of ``grow`` the object springs back to its smallest once.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, SupportsIndex

import torch
from jaxtyping import Float, Integer
from torch import Generator, Tensor
from torch.utils.data import Dataset

from ... import _check
from ...ops.warp import grid, sample
from ...types import Clip
from .. import readers
from ..readers import videos
from ..readers.videos import Clips
from ..seeds import Part, stream, uniform
from .stills import textures

PLACE_Y, PLACE_X, TURN, SIZE = range(4)
# class -> which of the four numbers runs on, and in which sense; down, right and, on the screen, clockwise are up the
# circle
MOTIONS = {
    "left": (PLACE_X, -1.0),
    "right": (PLACE_X, 1.0),
    "up": (PLACE_Y, -1.0),
    "down": (PLACE_Y, 1.0),
    "clockwise": (TURN, 1.0),
    "anticlockwise": (TURN, -1.0),
    "grow": (SIZE, 1.0),
    "shrink": (SIZE, -1.0),
}
TWIN = {"left": "right", "up": "down", "clockwise": "anticlockwise", "grow": "shrink"}
TWIN |= {b: a for a, b in TWIN.items()}
RADIUS = (0.13, 0.28)  # smallest and largest, in sides of the frame
RUN = (0.3, 0.6)  # how much of its circle the running number covers in a clip
PAN = 0.15  # the ground moves up to so many sides of the frame in a clip, up or down and across, whatever the class
REACH = 1.6  # the object's texture covers so many radii
CHUNK = 16  # clips rendered at a time


class Action(NamedTuple):
    """An item: clip (C, T, H, W) float32 in [0, 1], label () int64."""

    clip: Clip
    label: Integer[Tensor, ""]


class Scene(NamedTuple):
    """What one clip is rendered from; stacked along a first axis N for many. Lengths in sides of the frame, circles
    from 0 to 1.
    """

    motion: Tensor  # (4,): 1 or −1 for the number that runs on, else 0
    middle: Tensor  # (4,): place down, place across, turn, size, in the middle of the clip
    run: Tensor  # (): how much of its circle the running number covers
    pan: Tensor  # (2,): how far the ground moves
    outline: Tensor  # (2, 4): cosine and sine parts of the radius around the object, two to five lobes
    ground: Tensor  # (C, P, P)
    skin: Tensor  # (C, Q, Q)


@dataclass(frozen=True, eq=False)
class ActionSet(Dataset[Action]):
    """``set[i]`` is an :class:`Action`. ``clips`` (N, C, T, H, W), or videos decoded when asked for; ``labels`` (N,)
    into ``names``.

    ``source`` "phantom of real textures" or "real"; ``fps`` None: rendered clips have none, the films of a folder may
    differ.
    """

    clips: Tensor | Clips
    labels: Integer[Tensor, "N"]
    names: tuple[str, ...]
    split: Part | None
    source: str
    note: str = ""
    fps: float | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: SupportsIndex) -> Action:
        index = _check.index("a clip", index, len(self))
        return Action(self.clips[index], self.labels[index])


def actions(
    *,
    split: Part | None = None,
    count: int | None = None,
    classes: Sequence[str] | None = None,
    frames: int = 16,
    size: int = 40,
    gray: bool = True,
    seed: int = 0,
) -> ActionSet:
    """``count`` clips (1 or 3, frames, size, size), their classes in turn: clip i is of class i mod the number of
    classes.

    ``classes`` are names out of ``MOTIONS``, all eight unless told; ``count`` is 512 unless told. Textures of train
    and test are cut from different photographs; each clip is drawn from a stream of its own by seed, part and number,
    so it is the same in a longer set. With ``COURSEKIT_VIDEOS`` naming a folder of class-named folders the clips are
    real: there ``classes`` are folders, all unless told, and ``count`` is the most to take, all unless told
    (``readers.videos``).
    """
    _check.one_of("split", split, [None, "train", "test"])
    _check.positive("frames, size", (frames, size))
    _check.positive("count", 1 if count is None else count, zero=True)
    root = readers.folder("COURSEKIT_VIDEOS")
    if root is not None:
        found = videos.read(
            root, split=split, classes=classes, count=count, frames=frames, size=size, gray=gray, seed=seed
        )
        note = f"videos of {root.name}, split by film; appearance may tell the class"
        return ActionSet(found.clips, found.labels, found.names, split, "real", note)
    names = tuple(MOTIONS if classes is None else classes)
    drawn = _drawn(names, split, 512 if count is None else count, size, gray, seed)
    clips = [render(_stacked(drawn[k : k + CHUNK]), frames=frames, size=size) for k in range(0, len(drawn), CHUNK)]
    empty = torch.zeros(0, 1 if gray else 3, frames, size, size)
    labels = torch.arange(len(drawn)) % len(names)
    return ActionSet(
        torch.cat(clips or [empty]),
        labels,
        names,
        split,
        "phantom of real textures",
        "set COURSEKIT_VIDEOS for real films",
    )


def _drawn(names: tuple[str, ...], split: Part | None, count: int, size: int, gray: bool, seed: int) -> list[Scene]:
    _check.positive("the number of classes", len(names))
    for name in names:
        _check.one_of("a class", name, list(MOTIONS))
    if not 16 <= size <= 160:
        raise _check.refuse("a size of 16 to 160", size, "resize the clips for more")
    pictures = textures(split, gray) if split else textures("train", gray) + textures("test", gray)
    return [
        scene(names[i % len(names)], pictures, size=size, generator=stream(seed, "actions", split or "all", i))
        for i in range(count)
    ]


def scene(name: str, pictures: Sequence[Float[Tensor, "C _ _"]], *, size: int, generator: Generator) -> Scene:
    """Draw a clip of the class ``name``; what is drawn does not depend on the class."""
    axis, sense = MOTIONS[name]
    motion = torch.zeros(4)
    motion[axis] = sense
    level = uniform(0.35, 0.65, generator=generator)
    contrast = 0.2 if uniform(0, 1, generator=generator) < 0.5 else -0.2
    return Scene(
        motion,
        middle=torch.rand(4, generator=generator),
        run=torch.tensor(uniform(*RUN, generator=generator)),
        pan=(2 * torch.rand(2, generator=generator) - 1) * PAN,
        outline=torch.randn(2, 4, generator=generator) * 0.09,
        ground=_patch(pictures, math.ceil(size * (1 + PAN)) + 2, level, generator),
        skin=_patch(pictures, math.ceil(2 * REACH * RADIUS[1] * size) + 1, level + contrast, generator),
    )


def _patch(pictures: Sequence[Tensor], side: int, level: float, generator: Generator) -> Tensor:
    """A square of one picture, the one of three tried that varies most, with its mean at ``level`` and a standard
    deviation of 0.15.

    A square that hardly varies is amplified no more than threefold.
    """
    picture = pictures[int(uniform(0, len(pictures), generator=generator))]
    tried = []
    for _ in range(3):
        top, left = (int(uniform(0, n - side + 1, generator=generator)) for n in picture.shape[1:])
        tried.append(picture[:, top : top + side, left : left + side].double())
    best = max(tried, key=lambda p: float(p.std()))
    return ((best - best.mean()) * (0.15 / best.std().clamp(min=0.05)) + level).clamp(0, 1).float()


def _stacked(scenes: Sequence[Scene]) -> Scene:
    return Scene(*(torch.stack(values) for values in zip(*scenes)))


def render(scenes: Scene, *, frames: int, size: int) -> Float[Tensor, "N C T H W"]:
    """The clips of stacked scenes. Time runs from −1/2 to 1/2 of the clip, so the twin's clip is this one backwards,
    bit by bit.
    """
    time = (torch.arange(frames) - (frames - 1) / 2) / frames  # (T,)
    state = scenes.middle[:, None] + (scenes.motion * scenes.run[:, None])[:, None] * time[:, None]  # (N, T, 4)
    pixels = grid((size, size))  # (2, H, W)
    ground = _on_ground(scenes, pixels, time, size)
    skin, cover = _on_object(scenes, pixels, state, size)
    return ground + cover * (skin - ground)


def _on_ground(scenes: Scene, pixels: Tensor, time: Tensor, size: int) -> Float[Tensor, "N C T H W"]:
    moved = scenes.pan[:, :, None] * (size * time)  # (N, 2, T)
    margin = (scenes.ground.shape[-1] - size) / 2
    return sample(scenes.ground, pixels[None, :, None] + margin - moved[..., None, None])


def _on_object(scenes: Scene, pixels: Tensor, state: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """The object's texture (N, C, T, H, W) and how much of each pixel it covers (N, 1, T, H, W)."""
    centre = (state[..., :2] * size).movedim(-1, 1)[..., None, None]  # (N, 2, T, 1, 1)
    away = torch.remainder(pixels[None, :, None] - centre + size / 2, size) - size / 2  # from the nearest of its images
    radius, cos, sin = _pose(state, size)  # (N, T, 1, 1)
    y, x = (
        (cos * away[:, 0] - sin * away[:, 1]) / radius,
        (sin * away[:, 0] + cos * away[:, 1]) / radius,
    )  # in radii, turned back
    far = (y * y + x * x).sqrt()  # (N, T, H, W)
    rim = _outline(scenes.outline, y / far.clamp(min=1e-6), x / far.clamp(min=1e-6))
    cover = ((rim - far) * radius + 0.5).clamp(0, 1)  # the rim fades within a pixel
    half = (scenes.skin.shape[-1] - 1) / 2
    return sample(scenes.skin, torch.stack([y, x], 1) * (half / REACH) + half), cover[:, None]


def _pose(state: Tensor, size: int) -> list[Tensor]:
    """Radius in pixels, cosine and sine of the turn; in double precision, as a float's last bit depends on how many go
    at once.
    """
    small, large = RADIUS
    turn, grown = 2 * math.pi * state[..., TURN].double(), torch.remainder(state[..., SIZE], 1).double()
    radius = size * small * torch.exp(grown * math.log(large / small))
    return [value.float()[..., None, None] for value in (radius, turn.cos(), turn.sin())]


def _outline(outline: Tensor, sin: Tensor, cos: Tensor) -> Tensor:
    """The radius of the object in each direction, 1 on average: (N, T, H, W). Cosine and sine of k angles come by
    multiplying.
    """
    rim, c, s = torch.ones_like(cos), cos, sin
    for k in range(outline.shape[-1]):
        c, s = c * cos - s * sin, s * cos + c * sin
        a, b = (outline[:, part, k].view(-1, 1, 1, 1) for part in (0, 1))
        rim = rim + a * c + b * s
    return rim.clamp(0.6, 1.4)
