"""A beating ventricle whose volume is known at every moment, because the picture is made from the volume.

Shape
    A body of revolution: z runs from the apex (0) along the long axis to the mitral plane (L), u across it, in mm. Its
    radius is ``R · profile(z / L)``, so V = π R² L · FULLNESS: the method of discs is exact here, not for a real heart.

Motion
    The volume is given; the length follows it, the radius from both. The wall is incompressible: what lies at radius r
    outside the cavity of radius a came from ``r0² = a0² + λ (r² − a²)``, λ = L / L0, so a shrinking cavity has a
    thickening wall. :meth:`Heart.material` is that inverse map, from a place to its tissue at end diastole (0).
"""

import math
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.interpolate import PchipInterpolator
from torch import Generator, Tensor

from ..seeds import uniform

HALF_ANGLE = math.radians(42)  # of the sector
WIDEST = 0.63  # where along its axis the ventricle is widest, as a share of its length
RING = math.sqrt(1 - (1 / WIDEST - 1) ** 2)  # the mitral ring's radius as a share of the largest
FULLNESS = 1 - WIDEST / 3 * (1 + (1 / WIDEST - 1) ** 3)  # of the cylinder around it: the profile squared, integrated
CALM_MM, FADE_MM = 15.0, 45.0  # outside the cavity: what moves with the wall, and over what the motion then dies out
SYSTOLE = 0.36  # s from the R wave to the end of ejection at a beat of 1 s; it goes with the beat's root (Bazett 1920)
ISOVOLUMIC_S = 0.07  # before ejection and after it the valves are shut and the volume stays
EARLY, LATE = 0.35, 0.3  # shares of diastole: the early filling, and the atrium's kick at the end
KICK = 0.25  # of the stroke: what that kick brings
BEHIND_MM = 20.0  # seen behind the atrium


def profile(s: Tensor) -> Tensor:
    """Radius at a share ``s`` of the axis, as a share of the largest: 0 at the apex and outside [0, 1]."""
    return (1 - (1 - s / WIDEST) ** 2).clamp(min=0).sqrt() * ((s >= 0) & (s <= 1))


@dataclass(frozen=True)
class Heart:
    """One simulated patient at end diastole, and how it is looked at: mm, radians, seconds."""

    ef_percent: float
    edv_ml: float
    slimness: float  # largest radius, as a share of the length
    shortening: float  # share of the long axis lost per share of the volume lost
    wall: float
    atrium: float  # length of the left atrium
    tilt: float
    apex: tuple[float, float]  # (y, x) from the top middle of the sector
    beat: float

    @property
    def esv_ml(self) -> float:
        return self.edv_ml * (1 - self.ef_percent / 100)

    @property
    def length(self) -> float:
        return math.cbrt(self.edv_ml * 1000 / (math.pi * self.slimness**2 * FULLNESS))

    @property
    def depth(self) -> float:
        """Of the sector: as deep as the heart needs."""
        return self.apex[0] + self.length + self.atrium + BEHIND_MM

    def size_at(self, volume_ml: Tensor) -> tuple[Tensor, Tensor]:
        """Length and largest radius of the cavity when it holds ``volume_ml``."""
        length = self.length * (1 - self.shortening * (1 - volume_ml / self.edv_ml))
        return length, (volume_ml * 1000 / (math.pi * FULLNESS * length)).sqrt()

    def frame(self, y: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """(z, u) of places in the sector, in mm from its top middle."""
        down, right = y - self.apex[0], x - self.apex[1]
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        return c * down + s * right, c * right - s * down

    def material(self, z: Tensor, u: Tensor, volume_ml: Tensor) -> tuple[Tensor, Tensor]:
        """Where the tissue now seen at (z, u) lies at end diastole, (T, P); ``volume_ml`` is (T, 1).

        Of the axis the mitral plane moves, apex and far wall of the atrium stay: it fills while the ventricle empties.
        """
        length, radius = self.size_at(volume_ml)
        length0, radius0 = self.length, self.slimness * self.length
        back = length0 + self.atrium
        above, below = z / length, (back - z) / (back - length)  # 1 at the mitral plane, 0 at what stays
        z0 = z + (length0 - length) * torch.minimum(above, below).clamp(min=0)
        narrowing = torch.lerp(torch.ones(()).to(z), radius / radius0, below.clamp(0, 1))
        cavity0 = radius0 * torch.where(above < 1, profile(above), RING)
        cavity, r = narrowing * cavity0, u.abs()
        wall = (cavity0**2 + length / length0 * (r**2 - cavity**2)).clamp(min=0).sqrt()
        r0 = torch.where(r < cavity, r / narrowing, wall)
        moved = (1 - (r - cavity - CALM_MM) / FADE_MM).clamp(0, 1)  # 1 near the heart, 0 far from it
        return torch.lerp(z, z0, moved), torch.lerp(r, r0, moved) * u.sign()


class Motion(NamedTuple):
    """What happens in a clip, frame by frame."""

    volume_ml: Float[Tensor, "T"]
    opening: Float[Tensor, "T"]  # of the mitral valve, 0 shut to 1 wide open
    ed: Bool[Tensor, "T"]  # the frame nearest to each end diastole
    es: Bool[Tensor, "T"]


def draw(*, generator: Generator) -> Heart:
    """A patient at random: fraction, size, wall, rate and pose are drawn independently of each other."""
    between = partial(uniform, generator=generator)
    return Heart(
        ef_percent=15 + 60 * math.sqrt(between(0, 1)),  # mean 55, standard deviation 14
        edv_ml=between(70, 190),
        slimness=between(0.27, 0.35),
        shortening=between(0.2, 0.32),
        wall=between(7, 12),
        atrium=between(38, 55),
        tilt=between(-0.2, 0.2),
        apex=(between(22, 34), between(-6, 14)),
        beat=60 / between(50, 110),
    )


def motion(heart: Heart, *, frames: int, fps: float, generator: Generator) -> Motion:
    """A clip that starts anywhere in a beat; all beats are alike."""
    start = uniform(0, heart.beat, generator=generator)
    since = (start + np.arange(frames) / fps) % heart.beat  # the R wave
    systole = SYSTOLE * math.sqrt(heart.beat)
    relaxed = systole + ISOVOLUMIC_S
    diastole = heart.beat - relaxed
    level = [relaxed + EARLY * diastole, heart.beat - LATE * diastole]
    corners = [0, ISOVOLUMIC_S, systole, relaxed, *level, heart.beat]
    curve = PchipInterpolator(corners, [0, 0, 1, 1, KICK, KICK, 0])  # share of the stroke that has left
    emptied, filling = curve(since), -curve.derivative()(since)
    volume = torch.from_numpy(heart.edv_ml - (heart.edv_ml - heart.esv_ml) * emptied)
    opening = (since > relaxed) * (0.3 + 0.7 * (filling / 4).clip(0, 1))  # wide at four strokes a second
    ends = np.array([[0], [systole]]) + ISOVOLUMIC_S / 2
    late = (since - ends + heart.beat / 2) % heart.beat - heart.beat / 2  # from the nearest end of each kind
    ed, es = torch.from_numpy((late >= -0.5 / fps) & (late < 0.5 / fps))
    return Motion(volume, torch.from_numpy(opening).float(), ed, es)


def masks(heart: Heart, moves: Motion, size: int) -> Bool[Tensor, "T H W"]:
    """The pixels whose centres lie in the cavity."""
    y, x = (a.flatten()[None] for a in pixels(heart, size))
    length, radius = heart.size_at(moves.volume_ml[:, None].float())
    z, u = heart.frame(y, x)
    return (u.abs() < radius * profile(z / length)).view(-1, size, size)


def pixels(heart: Heart, size: int) -> tuple[Tensor, Tensor]:
    """Centres (y, x) in mm of the pixels of a square as wide as the sector is deep, its top middle at 0."""
    centre = (torch.arange(size) + 0.5) * (heart.depth / size)
    y, x = torch.meshgrid(centre, centre - heart.depth / 2, indexing="ij")
    return y, x
