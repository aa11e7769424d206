"""Moving pictures: real videos, pairs of frames with known motion, and clips whose class lies in the motion alone."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import tifffile
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from skimage.data import stereo_motorcycle
from torch import Generator, Tensor

from .. import _check
from ..ops.warp import affine
from ..types import Clip, Image
from . import fetch, nuclei, readers
from .items import Items
from .readers import videos
from .readers.videos import Clips, Picture, as_clip, decode
from .seeds import Part, stream, uniform
from .simulated.action_clips import MOTIONS, render, scene
from .simulated.moving_pairs import KINDS, covered, exposed, inside, motion
from .simulated.photographs import STILLS, still, textures

__all__ = ["KINDS", "MOTIONS", "SCENES", "ActionSet", "Pair", "Video", "actions", "pairs", "photographs", "stereo"]
__all__ += ["video", "warped"]

Name = Literal["street", "talking_head", "timelapse"]
SHAPES = {"street": (250, 272, 640), "talking_head": (120, 144, 176), "timelapse": (30, 511, 511)}  # (T, H, W)
FPS = {"street": 25.0, "talking_head": 30000 / 1001, "timelapse": None}
# No picture is in both parts.
SCENES: dict[Part, tuple[str, ...]] = {
    "train": ("street", "nuclei", "gravel", "coffee"),
    "test": ("timelapse", "motorcycle_left", "brick", "chelsea"),
}
FRAMES: dict[Name, int] = {"street": 160, "timelapse": 0}  # which frame of a film
MAGNITUDE_PX = (1.0, 6.0)  # of the pairs of a set: longest vectors


class Video(NamedTuple):
    """``clip`` (C, T, H, W) float32 in [0, 1]; ``fps`` frames a second, None where the file does not state it;
    ``source`` is "real" or "phantom"."""

    clip: Clip
    fps: float | None
    name: str
    source: str


def video(name: Name, *, gray: bool = True, size: int | None = None, frames: int | None = None) -> Video:
    """One of the real videos; for the street, if it has not been fetched, a photograph under a swaying camera.

    ``"street"`` 250 frames of 272 × 640, 25 a second, six shots from a hand-held camera; ``"talking_head"`` 120 of
    144 × 176, 29.97 a second; ``"timelapse"`` 30 of 511 × 511, living cells in grey, its interval not stated.
    ``gray=False`` gives three channels (equal ones for the cells). ``size`` brings the shorter side to so many
    pixels; ``frames`` keeps the first so many. Raises ``DataMissing`` if one of the other two has not been fetched,
    ``ValueError`` for more frames than there are.
    """
    _check.one_of("name", name, list(SHAPES))
    count = SHAPES[name][0] if frames is None else frames
    _check.positive("frames", count)
    _check.positive("size", [] if size is None else size)
    if count > SHAPES[name][0]:
        raise _check.refuse(f"at most {SHAPES[name][0]} frames of {name}", count, "take fewer")
    path = _path(name)
    clip = as_clip(_frames(name, path, range(count)), gray=gray, size=size)
    return Video(clip, FPS[name], name, "real" if path else "phantom")


def _path(name: Name) -> Path | None:
    """Where the file lies; None for the stand-in."""
    if name == "street":
        return fetch.real_or(lambda _: None, lambda: fetch.path(name))
    return fetch.path(name)


def _frames(name: Name, path: Path | None, wanted: range) -> list[Picture]:
    """The frames as they are stored."""
    if path is None:
        return [_swaying(k) for k in wanted]
    if name == "timelapse":
        return list(tifffile.imread(path)[wanted.start : wanted.stop])
    return decode(path, wanted, as_stored=True)


@lru_cache(maxsize=4)
def _frame(name: Name, path: Path | None) -> Picture:
    return _frames(name, path, range(FRAMES[name], FRAMES[name] + 1))[0]


def _swaying(k: int) -> Picture:
    """The stand-in for a frame of the street: one photograph, seen by a camera that sways."""
    photograph = torch.from_numpy(still("coffee")).movedim(-1, 0)[None].float()
    down, across = 10 * math.sin(k / 5), 60 * math.sin(k / 40)  # pixels of the photograph
    matrix = torch.tensor([[[0.6, 0, down], [0, 0.6, across]]])
    seen = affine(photograph, matrix, out_size=SHAPES["street"][1:])
    return seen[0].movedim(0, -1).round().to(torch.uint8).numpy()


class Pair(NamedTuple):
    """``first`` and ``second`` (1, H, W) in [0, 1]; ``flow`` (2, H, W), (dy, dx) in pixels, from first to second.

    ``valid`` (H, W): the truth is known and its end point is seen in the second frame; elsewhere the flow may be 0.
    ``kind`` of motion, ``scene``, ``source`` "real" or "phantom" of the picture.
    """

    first: Image
    second: Image
    flow: Float[Tensor, "2 H W"]
    valid: Bool[Tensor, "H W"]
    kind: str
    scene: str
    source: str


def stereo(*, shrink: int = 1) -> Pair:
    """The motorcycle of Middlebury 2014, left view first: from there to the right view it moves 7 to 60 pixels left.

    500 × 741 pixels; ``shrink`` takes means of ``shrink`` × ``shrink`` pixels and divides the motion, and blocks
    across which the truth jumps by a pixel of theirs become invalid. The truth also covers what one camera sees and
    the other does not, so that even the true flow brings some wrong pixels (docs/data.md says how many). Source:
    Scharstein et al., High-resolution stereo datasets with subpixel-accurate ground truth, GCPR 2014.
    """
    _check.positive("shrink", shrink)
    *views, shift_px = stereo_motorcycle()
    left, right = F.avg_pool2d(as_clip(views).transpose(0, 1), shrink)  # (1, H, W) each
    disparity = torch.from_numpy(shift_px)
    known = disparity.isfinite()
    in_blocks = disparity.where(known, torch.zeros_like(disparity))[None] / shrink
    high, low = F.max_pool2d(in_blocks, shrink)[0], -F.max_pool2d(-in_blocks, shrink)[0]
    whole = F.max_pool2d((~known)[None].float(), shrink)[0] == 0
    shift = F.avg_pool2d(in_blocks, shrink)[0] * whole
    flow = torch.stack([torch.zeros_like(shift), -shift])
    return Pair(left, right, flow, whole & (high - low < 1) & inside(flow), "stereo", "motorcycle", "real")


def warped(
    *,
    kind: str = "smooth",
    scene: str = "street",
    magnitude_px: float = 4.0,
    size: int = 96,
    noise: float = 0.0,
    brightness: float = 0.0,
    occlusion: float = 0.0,
    generator: Generator | None = None,
) -> Pair:
    """A real picture read twice, at places and at moved places, so that the motion is known exactly.

    ``kind``: ``"shift"``, ``"rotation"`` or ``"zoom"`` about the middle, ``"affine"``, or ``"smooth"`` (three slow
    waves an axis). ``magnitude_px`` is the longest vector of the frame, at most an eighth of its side so that nothing
    folds. Both frames are read with a cubic spline from the blurred picture of about twice the resolution, through
    one and the same tilted camera: neither is sharper than the other. ``noise`` is the standard deviation of what is
    added to both; ``brightness`` 0.1 makes the second a tenth brighter; ``occlusion`` is the share of the second
    frame that a patch covers, and what vanishes behind it is not valid. Raises ``ValueError`` for an unknown kind or
    scene, or a frame larger than the picture.
    """
    _check.one_of("kind", kind, KINDS)
    _check.one_of("scene", scene, SCENES["train"] + SCENES["test"])
    _check.positive("size", size)
    _check.positive("magnitude_px, noise", (magnitude_px, noise), zero=True)
    _check.within("occlusion", torch.tensor(occlusion), 0, 0.5, "it is a share of the frame")
    _check.within("brightness", torch.tensor(brightness), -1, 1, "0.1 makes the second frame a tenth brighter")
    if magnitude_px > size / 8:
        raise _check.refuse(f"magnitude_px at most {size / 8:g}", magnitude_px, "move less or take a larger size")
    generator = stream(0, "warped", kind, scene) if generator is None else generator
    if scene == "nuclei":
        whole = nuclei.load()
        grey, source = whole.image[0], whole.source
    else:
        path = _path(scene) if scene in FRAMES else None
        stored = _frame(scene, path) if scene in FRAMES else still(scene)
        grey, source = as_clip([stored])[0, 0], "phantom" if scene in FRAMES and path is None else "real"
    picture = grey.double().numpy()  # (H, W)
    field = motion(kind, magnitude_px, (size, size), generator=generator)
    first, second = (torch.from_numpy(x).float() for x in exposed(picture, field, generator=generator))
    flow = torch.from_numpy(field).float()
    second, valid = covered(second, flow, occlusion, generator=generator)
    frames = (first, (second * (1 + brightness)).clamp(0, 1))
    noisy = [(frame + noise * torch.randn(frame.shape, generator=generator)).clamp(0, 1)[None] for frame in frames]
    return Pair(noisy[0], noisy[1], flow, valid, kind, scene, source)


def pairs(*, split: Part, count: int = 40, size: int = 96, seed: int = 0, **disturbance: float) -> list[Pair]:
    """``count`` pairs as of :func:`warped`: kinds in turn, then the scenes of the part, moved by 1 to 6 pixels.

    The scenes of train and test have no picture in common. Pair i is the same whatever ``count`` is. ``noise``,
    ``brightness`` and ``occlusion`` are passed on. Raises ``ValueError`` for frames of fewer than 48 pixels.
    """
    _check.one_of("split", split, list(SCENES))
    _check.positive("count", count)
    several = []
    for i in range(count):
        generator = stream(seed, "pairs", split, i)
        kind, scene = KINDS[i % len(KINDS)], SCENES[split][i // len(KINDS) % len(SCENES[split])]
        magnitude = uniform(*MAGNITUDE_PX, generator=generator)
        pair = warped(kind=kind, scene=scene, magnitude_px=magnitude, size=size, generator=generator, **disturbance)
        several.append(pair)
    return several


class Action(NamedTuple):
    """An item: clip (C, T, H, W) float32 in [0, 1], label () int64."""

    clip: Clip
    label: Integer[Tensor, ""]


@dataclass(frozen=True, eq=False)
class ActionSet(Items[Action], what="a clip"):
    """``clips`` (N, C, T, H, W), or videos decoded when asked for; ``labels`` (N,) into ``names``.

    ``source`` is "phantom of real textures" or "real".
    """

    clips: Tensor | Clips
    labels: Integer[Tensor, "N"]
    names: tuple[str, ...]
    source: str

    def __len__(self) -> int:
        return len(self.labels)

    def item(self, index: int) -> Action:
        return Action(self.clips[index], self.labels[index])


def actions(
    *, split: Part | None, count: int | None = None, frames: int = 16, size: int = 40, gray: bool = True, seed: int = 0
) -> ActionSet:
    """``count`` clips (1 or 3, frames, size, size), 512 unless told; clip i is of class i mod 8 of ``MOTIONS``.

    Textures of train and test are cut from different photographs; each clip is drawn from a stream of its own by seed,
    part and number, so a longer set begins with it. With ``COURSEKIT_VIDEOS`` naming a folder of class-named folders
    the clips are real: ``count`` is the most to take (``readers.videos``), and appearance may tell the class.
    """
    _check.one_of("split", split, [None, "train", "test"])
    _check.positive("frames, size, count", (frames, size, 1 if count is None else count))
    root = readers.folder("COURSEKIT_VIDEOS")
    if root is not None:
        chosen = videos.read(root, split=split, count=count, frames=frames, size=size, gray=gray, seed=seed)
        return ActionSet(*chosen, "real")
    if not 16 <= size <= 160:
        raise _check.refuse("a size of 16 to 160", size, "resize the clips for more")
    pictures = textures(split, gray) if split else textures("train", gray) + textures("test", gray)
    names = tuple(MOTIONS)
    scenes = [
        scene(names[i % len(names)], pictures, size=size, generator=stream(seed, "actions", split or "all", i))
        for i in range(512 if count is None else count)
    ]
    labels = torch.arange(len(scenes)) % len(names)
    return ActionSet(render(scenes, frames=frames, size=size), labels, names, "phantom of real textures")


def photographs(*, split: Part, count: int, frames: int = 16, size: int = 40, seed: int = 0) -> ActionSet:
    """``count`` clips (1, frames, size, size) whose class is what they show: clip i photograph i mod 8, in grey.

    Object and ground are pieces of it, from its left for train and its right for test, a tenth of its width apart.
    The motion is any of ``MOTIONS``, by chance.
    """
    _check.one_of("split", split, ["train", "test"])
    if not 16 <= size <= 96:
        raise _check.refuse("a size of 16 to 96", size, "resize the clips for more")
    names, wholes = (STILLS["train"] + STILLS["test"])[:8], textures("train", True) + textures("test", True)
    scenes = []
    for i in range(count):
        generator = stream(seed, "photographs", split, i)
        motion = list(MOTIONS)[int(uniform(0, len(MOTIONS), generator=generator))]
        whole = wholes[i % len(names)]
        wide = 9 * whole.shape[2] // 20
        part = whole[..., :wide] if split == "train" else whole[..., -wide:]
        scenes.append(scene(motion, [part], size=size, generator=generator))
    labels = torch.arange(count) % len(names)
    return ActionSet(render(scenes, frames=frames, size=size), labels, names, "phantom of real textures")
