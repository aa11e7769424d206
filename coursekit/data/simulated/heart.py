"""A beating ventricle whose volume is known at every moment, because the picture is made from the volume.

Shape
    z runs from the apex (0) along the long axis to the mitral plane (L), u across it, in mm. At every z the cavity is
    a disc of radius ``R · profile(z / L)``, on an axis that may bow sideways in the picture. Sliding discs sideways
    changes no volume (Cavalieri): V = π R² L · fullness exactly, so discs are exact for this heart, not for a real one.

Motion
    The volume is given, beat by beat; the length follows it, the radius from both. The wall is incompressible: what
    lies at radius r outside the cavity of radius a came from ``R_ref² = A² + λ (r² − a²)``, λ = L / L_ref, so a
    shrinking cavity has a thickening wall. :meth:`Heart.material` is that inverse map, from a place to its tissue.
"""

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy.interpolate import PchipInterpolator
from torch import Generator, Tensor

from ..seeds import uniform

EF_RANGE = (15.0, 75.0)
# cumulative share, mean and sd of the ejection fraction: normal, mildly and severely reduced
EF_GROUPS = ((0.55, 60.0, 6.0), (0.80, 45.0, 8.0), (1.0, 28.0, 7.0))
HALF_ANGLE = math.radians(42)  # of the sector
CALM, FADE = 15.0, 45.0  # mm outside the cavity that move with the wall, and over which the motion then dies out
JITTER = 0.12  # the longest beat less the shortest, as a share of the mean
BREATH_S, BREATH_MM = np.array([3.7, 4.3]), np.array([1.2, 0.8])  # period and reach of the heart's sway, (y, x)
PULL_MM = np.array([-1.0, 0.6])  # how far a full contraction pulls it, (y, x)


@dataclass(frozen=True)
class Heart:
    """One simulated patient at end diastole, and how it is looked at: mm, radians, seconds."""

    ef_percent: float
    edv_ml: float
    length: float  # apex to mitral plane
    widest: float  # where along the axis the ventricle is widest, as a share of its length
    bluntness: float  # exponent of the profile; 2 is an ellipse
    bow: float  # how far the middle of the axis is bent sideways
    shortening: float  # share of the long axis lost per share of the volume lost
    wall: float
    atrium: float  # length of the left atrium
    tilt: float
    apex: tuple[float, float]  # (y, x) from the top middle of the sector
    depth: float  # of the sector
    beat: float  # mean length of a beat
    systole: float  # from the R wave to the end of ejection
    quiet: tuple[float, float]  # isovolumic contraction and relaxation: the volume stays
    kick: float  # share of the filling that the atrium's contraction brings

    @property
    def esv_ml(self) -> float:
        return self.edv_ml * (1 - self.ef_percent / 100)

    @property
    def fullness(self) -> float:
        """Volume as a share of the cylinder around it: the integral of the profile squared, in closed form."""
        rest, p = (1 - self.widest) / self.widest, self.bluntness
        return 1 - self.widest / (p + 1) * (1 + math.pow(rest, p + 1))

    @property
    def ring(self) -> float:
        """The mitral ring's radius as a share of the largest."""
        return float(self.profile(torch.ones((), dtype=torch.float64)))

    def profile(self, s: Tensor) -> Tensor:
        """Radius at a share ``s`` of the axis, as a share of the largest: 0 at the apex and outside [0, 1]."""
        away = (1 - s / self.widest).abs() ** self.bluntness
        return (1 - away).clamp(min=0).sqrt() * ((s >= 0) & (s <= 1))

    def size_at(self, volume_ml: Tensor) -> tuple[Tensor, Tensor]:
        """Length and largest radius in mm of the cavity when it holds ``volume_ml``."""
        length = self.length * (1 - self.shortening * (1 - volume_ml / self.edv_ml))
        return length, (volume_ml * 1000 / (math.pi * self.fullness * length)).sqrt()

    def frame(self, y: Tensor, x: Tensor, sway: Tensor) -> tuple[Tensor, Tensor]:
        """(z, across) of places in the sector (mm from its top middle), a row a frame; ``sway`` (T, 2) in mm."""
        down, right = y - self.apex[0] - sway[:, :1], x - self.apex[1] - sway[:, 1:]  # (T, P)
        c, s = math.cos(self.tilt), math.sin(self.tilt)
        return c * down + s * right, c * right - s * down

    def centred(self, z: Tensor, across: Tensor, length: Tensor) -> Tensor:
        """Distance from the bowed axis, signed: positive towards the lateral wall."""
        return across - self.bow * torch.sin(math.pi * (z / length).clamp(0, 1)) ** 2

    def material(self, z: Tensor, u: Tensor, volume_ml: Tensor) -> tuple[Tensor, Tensor]:
        """Where the tissue now seen at (z, u) lies at end diastole. All (T, P); ``volume_ml`` (T, 1)."""
        length, radius = self.size_at(volume_ml)
        length0, radius0 = self.size_at(torch.tensor(self.edv_ml, dtype=volume_ml.dtype))
        back = length0 + self.atrium  # the atrium's far wall stays: the atrium fills while the ventricle empties
        below = ((z - length) / (back - length)).clamp(0, 1)  # 0 at the mitral plane, 1 at the far wall
        z0 = torch.where(z < length, z * (length0 / length), length0 + below * (back - length0))
        z0 = torch.where((z < 0) | (z > back), z, z0)
        stretch = 1 + (length / length0 - 1) * (1 + z / CALM).clamp(0, 1) * (1 - below)
        ring, profile = self.ring, self.profile(z / length)
        # the atrium is as wide as the ring, and less and less moved
        inner = torch.where(z > length, ring * torch.lerp(radius, radius0, below), radius * profile)
        inner0 = torch.where(z > length, ring * radius0, radius0 * profile)
        r = u.abs()
        wall = (inner0**2 + stretch * (r**2 - inner**2)).clamp(min=0).sqrt()
        r0 = torch.where(r < inner, r * inner0 / inner.clamp(min=1e-3), wall)
        away = ((r - inner - CALM) / FADE).clamp(0, 1)
        still = away * away * (3 - 2 * away)  # 0 near the heart, 1 far from it
        return torch.lerp(z0, z, still), torch.lerp(r0, r, still) * u.sign()


class Motion(NamedTuple):
    """What happens in a clip, frame by frame."""

    volume_ml: Float[Tensor, "T"]
    opening: Float[Tensor, "T"]  # of the mitral valve, 0 shut to 1 wide open
    sway: Float[Tensor, "T 2"]  # the whole heart's shift (y, x) in mm
    ed: Bool[Tensor, "T"]  # the frame nearest to each end diastole
    es: Bool[Tensor, "T"]


def draw(*, generator: Generator) -> Heart:
    """A patient at random. Ejection fraction, size, wall, rate and pose are drawn independently of each other."""
    between = partial(uniform, generator=generator)
    pick = between(0, 1)
    mean, sd = next((mean, sd) for share, mean, sd in EF_GROUPS if pick <= share)
    beat = 60 / _normal(75, 15, 50, 120, generator)
    heart = Heart(
        ef_percent=_normal(mean, sd, *EF_RANGE, generator),
        edv_ml=math.exp(_normal(math.log(115), 0.3, math.log(60), math.log(220), generator)),
        length=1.0,  # follows from the volume, below
        widest=between(0.55, 0.72),
        bluntness=between(2.0, 2.8),
        bow=between(-3, 5),
        shortening=between(0.2, 0.32),
        wall=between(7, 12),
        atrium=between(38, 55),
        tilt=between(-0.2, 0.2),
        apex=(between(22, 34), between(-6, 14)),
        depth=1.0,
        beat=beat,
        systole=0.36 * math.sqrt(beat),
        quiet=(between(0.05, 0.08), between(0.05, 0.09)),
        kick=between(0.15, 0.35),
    )
    slimness, behind = between(0.27, 0.35), between(12, 30)  # radius by length; mm seen behind the atrium
    length = math.pow(heart.edv_ml * 1000 / (math.pi * slimness**2 * heart.fullness), 1 / 3)
    return replace(heart, length=length, depth=heart.apex[0] + length + heart.atrium + behind)


def _normal(mean: float, sd: float, low: float, high: float, generator: Generator) -> float:
    """Drawn anew until it lies in [low, high]."""
    while True:
        value = mean + sd * float(torch.randn((), generator=generator, dtype=torch.float64))
        if low <= value <= high:
            return value


def motion(heart: Heart, *, frames: int, fps: float, generator: Generator) -> Motion:
    """A clip that starts anywhere in a beat. Beats differ by up to 6 % from the mean; all eject the same volume."""
    count = math.ceil(frames / fps / ((1 - JITTER / 2) * heart.beat)) + 2
    jitter = torch.rand(count, generator=generator, dtype=torch.float64).numpy()
    start_share = uniform(0, 1, generator=generator)
    phase = torch.rand(2, generator=generator, dtype=torch.float64).numpy()
    beats = heart.beat * (1 + JITTER * (jitter - 0.5))
    onsets = np.concatenate([[0], np.cumsum(beats)])  # R waves
    start = start_share * beats[0]
    times = start + np.arange(frames) / fps
    curve = _curve(heart, beats, onsets)
    emptied, filling = curve(times).clip(0, 1), -curve.derivative()(times)
    since = times - onsets[np.searchsorted(onsets, times, "right") - 1]  # the last R wave
    opening = (since > heart.systole + heart.quiet[1]) * (0.3 + 0.7 * (filling * 0.25).clip(0, 1))
    volume = heart.edv_ml - (heart.edv_ml - heart.esv_ml) * emptied
    sway = np.sin(2 * np.pi * (times[:, None] / BREATH_S + phase)) * BREATH_MM + emptied[:, None] * PULL_MM
    ed, es = torch.zeros(2, frames, dtype=torch.bool)
    for marks, middle in ((ed, heart.quiet[0] / 2), (es, heart.systole + heart.quiet[1] / 2)):
        nearest = np.rint((onsets + middle - start) * fps).astype(int)
        marks[nearest[(nearest >= 0) & (nearest < frames)]] = True
    return Motion(torch.from_numpy(volume), torch.from_numpy(opening).float(), torch.from_numpy(sway).float(), ed, es)


def _curve(heart: Heart, beats: np.ndarray, onsets: np.ndarray) -> PchipInterpolator:
    """The share of the stroke that has left, by time.

    Six corners a beat: still, ejection, still, rapid filling, rest, the atrium's kick. Isovolumic phases are level, so
    that a frame falls on each.
    """
    corners, shares = [], []
    relaxed = heart.systole + heart.quiet[1]
    for onset, length in zip(onsets, beats):
        early, late = min(0.18, 0.4 * (length - relaxed)), min(0.13, 0.35 * (length - relaxed))
        corners += [onset + t for t in (0, heart.quiet[0], heart.systole, relaxed, relaxed + early, length - late)]
        shares += [0, 0, 1, 1, heart.kick + 0.04, heart.kick]
    return PchipInterpolator([*corners, beats.sum()], [*shares, 0.0])


def masks(heart: Heart, moves: Motion, size: int) -> Bool[Tensor, "T H W"]:
    """The pixels whose centres lie in the cavity."""
    y, x = (a.flatten()[None] for a in pixels(heart, size))
    length, radius = heart.size_at(moves.volume_ml[:, None].float())
    z, across = heart.frame(y, x, moves.sway)
    inside = heart.centred(z, across, length).abs() <= radius * heart.profile(z / length)
    return (inside & (z >= 0) & (z <= length)).view(-1, size, size)


def pixels(heart: Heart, size: int) -> tuple[Tensor, Tensor]:
    """Centres (y, x) in mm of the pixels of a square as wide as the sector is deep, its top middle at 0."""
    centre = (torch.arange(size) + 0.5) * (heart.depth / size)
    y, x = torch.meshgrid(centre, centre - heart.depth / 2, indexing="ij")
    return y, x
