"""What an ultrasound scanner would show of a heart: speckle that moves with the tissue, blurred along and across it.

Tissue is a cloud of point scatterers: complex Gaussian noise times the echogenicity, drawn once a patient in the
heart's frame at end diastole and carried along by its motion. It is read at the samples of each beam (range × angle),
so a blur of constant angle is a resolution that worsens with depth; the envelope of blurred complex noise is Rayleigh
speckle. Then gain, shadow, haze near the probe, noise, logarithmic compression, and from beams to pixels.
"""

import math
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Generator, Tensor

from ...ops.warp import sample
from ..seeds import uniform
from .heart import HALF_ANGLE, Heart, Motion, pixels

RANGE_SAMPLES = 1.25  # samples along a beam for each pixel of the picture's height
NEAR_MM = 8.0  # the probe's own echo, not shown
ABOVE_MM, BELOW_MM = 45.0, 25.0  # of tissue known above the apex and, with it, beyond the sector
NOISE = 0.012  # of the receiver, an amplitude as all that has no unit here; an average septum is 1
BLUR_SAMPLES, BLUR_DEGREES = 0.9, 1.3  # sd along the beam and across it
PATCH_MM = 3.5  # sd of what makes tissue uneven

# Drawn a patient, in this order: mm where the name says so, else amplitudes.
ECHOES = {
    "right_mm": (15, 23),  # half width of the right ventricle
    "atrium_mm": (18, 24),  # half width of the left atrium
    "shift_mm": (-2, 4),  # of the left atrium, towards the lateral wall
    "septum": (0.6, 1.3),
    "lateral": (0.15, 0.6),
    "apex": (0.2, 0.6),
    "around": (0.15, 0.35),  # what lies outside the muscle, and the distance over which it fades
    "around_mm": (15, 40),
    "behind": (0.7, 1.8),  # the wall behind the atria
    "pericardium": (0, 0.8),
    "septal_ring": (0.5, 1.4),  # the mitral valve's fibrous ring at the septum and at the lateral wall
    "lateral_ring": (0.2, 0.8),
    "trabeculae": (0.1, 0.5),
    "papillary": (0, 0.4),  # the muscle that holds the valve
    "blood": (0.5, 2.5),  # times BLOOD
}
BLOOD = 0.012
WALL_DENTS_MM, RIGHT_DENTS, ATRIUM_DENTS = 0.6, 0.12, 0.1  # unevenness of the muscle's outside and of the chambers
RIGHT_ATRIUM_MM = (22, 19)  # half length and half width
LATERAL_MM, APICAL_MM = 12, 25  # over which the muscle turns from septum to lateral wall, and from apex to base
BASE_MM, BASE = 3, 0.5  # so far beyond the mitral plane tissue is weaker
BEHIND_MM, BEHIND_RISE_MM = 6, 8  # depth of the wall behind the atria, and over which it begins
SHEET_MM, SHEET_SD_MM = 1, 1.5  # the pericardium outside the muscle
RING_MM, RING_MM2 = 3, 30  # the fibrous ring outside the cavity, and its width squared
TRABECULAE_MM, PAPILLARY_MM = 2, (9, 3.5)  # reach into the cavity; half length and half width
LEAFLET, LEAFLET_MM = 0.4, 1.2  # of the mitral valve: amplitude and width
LEAFLETS = ((-1, 1.25), (1, 0.75))  # side and length in radii of the ring: the septal one is the longer
SHUT, SWING = 0.2, 1.05  # radians between leaflet and ring when shut, and how far it opens


def film(
    heart: Heart, moves: Motion, size: int, *, keep: Tensor | None = None, generator: Generator
) -> Float[Tensor, "T H W"]:
    """The clip in [0, 1]. ``keep`` names frames: they alone are computed, to the last bit as in the whole clip."""
    rows, beams = round(RANGE_SAMPLES * size), size
    between = partial(uniform, generator=generator)
    r = ((torch.arange(rows) + 0.5) * (heart.depth / rows))[:, None]  # mm
    angle = (((torch.arange(beams) + 0.5) / beams * 2 - 1) * HALF_ANGLE)[None]
    gain = _gain(r / heart.depth, angle, generator)
    scatterers, cell = _scatterers(heart, size, generator)
    haze = _complex((1, rows, beams), generator)
    near, near_mm, everywhere = between(0.2, 0.9), between(12, 24), between(0.004, 0.02)
    haze = haze * (near * torch.exp(-r / near_mm) + everywhere)  # hangs near the probe and does not move
    noise = _complex((len(moves.volume_ml), rows, beams), generator) * NOISE
    ceiling_db, span_db, gamma = between(4, 12), between(44, 56), between(1.0, 2.0)
    if keep is not None:
        moves, noise = Motion(*(part[keep] for part in moves)), noise[:, keep]
    y, x = ((r * f(angle)).flatten()[None] for f in (torch.cos, torch.sin))
    echoes = _echoes(heart, moves, y, x, scatterers, cell).view(2, -1, rows, beams)
    field = echoes * gain + haze + noise  # (2, T, rows, beams)
    field = _blur(_blur(field, BLUR_SAMPLES, 2), math.radians(BLUR_DEGREES) * beams / (2 * HALF_ANGLE), 3)
    level_db = 10 * torch.log10(field.square().sum(0) + 1e-9) - ceiling_db
    return _to_pixels((1 + level_db / span_db).clamp(0, 1) ** gamma, heart, size)


def _complex(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Complex Gaussian noise of mean square 1, its two parts in front."""
    return torch.randn(2, *shape, generator=generator) * math.sqrt(0.5)


def _gain(depth: Tensor, angle: Tensor, generator: Generator) -> Float[Tensor, "rows beams"]:
    """Amplitude: what attenuation leaves by share of the depth, weak outer beams, shadows of lung and rib."""
    between = partial(uniform, generator=generator)
    decibel = between(-7, 3) * depth - 5 * (angle / HALF_ANGLE) ** 4
    for side in (-1, 1):
        centre, width, shadow = between(24, 40), between(6, 12), between(2, 16)  # degrees, degrees, dB
        decibel = decibel - shadow * torch.exp(-(((torch.rad2deg(angle) - side * centre) / width) ** 2))
    return 10 ** (decibel / 20)


def _echoes(
    heart: Heart, moves: Motion, y: Tensor, x: Tensor, scatterers: Tensor, cell: float
) -> Float[Tensor, "2 T P"]:
    """What comes back from places in mm, before blur."""
    volume = moves.volume_ml[:, None].float()
    length, radius = heart.size_at(volume)
    z, across = heart.frame(y, x, moves.sway)
    z0, u0 = heart.material(z, heart.centred(z, across, length), volume)
    places = torch.stack([(z0 + ABOVE_MM) / cell - 0.5, u0 / cell + (scatterers.shape[2] - 1) / 2])  # (2, T, P)
    seen = sample(scatterers[None], places[None])[0]
    return seen + _valve(heart, z, across, length, radius, moves.opening[:, None])


def _valve(heart: Heart, z: Tensor, across: Tensor, length: Tensor, radius: Tensor, opening: Tensor) -> Tensor:
    """Two leaflets hinged at the mitral ring: shut they meet near its middle, open they swing towards the apex."""
    ring = radius * heart.profile(torch.ones(()))
    total = torch.zeros_like(z)
    for side, share in LEAFLETS:
        reach, swing = share * ring, SHUT + opening * SWING
        tip_z, tip_u = length - reach * torch.sin(swing), side * (ring - reach * torch.cos(swing))
        dz, du = tip_z - length, tip_u - side * ring
        along = (((z - length) * dz + (across - side * ring) * du) / (dz**2 + du**2)).clamp(0, 1)
        apart = torch.hypot(z - length - along * dz, across - side * ring - along * du)
        total = total + LEAFLET * torch.exp(-((apart / LEAFLET_MM) ** 2))
    return total


def _scatterers(heart: Heart, size: int, generator: Generator) -> tuple[Float[Tensor, "2 Z U"], float]:
    """Scatterers in the heart's frame at end diastole, and their grid's spacing in mm."""
    cell = heart.depth / (RANGE_SAMPLES * size)
    rows, columns = math.ceil((heart.depth + BELOW_MM) / cell), 2 * math.ceil(0.8 * heart.depth / cell)
    fine = _echogenicity(heart, cell / 2, (2 * rows, 2 * columns), generator)
    coarse = torch.from_numpy(fine.reshape(rows, 2, columns, 2).mean((1, 3)))
    return _complex((rows, columns), generator) * coarse, cell


class _Plane(NamedTuple):
    """The apical four-chamber plane at end diastole, lengths in mm."""

    z: np.ndarray  # (Z, 1), from the apex
    u: np.ndarray  # (1, U), from the axis
    step: float  # of a cell
    uneven: np.ndarray  # (Z, U), mean square 1
    echo: dict[str, float]
    length: float  # of the ventricle
    radius: float

    def distance(self, mask: np.ndarray) -> np.ndarray:
        return np.asarray(ndimage.distance_transform_edt(~mask) * self.step)

    def oval(self, z: float, u: float, half: tuple[float, float]) -> np.ndarray:
        """Squared distance from (z, u) in units of the half axes: below 1 inside."""
        return np.asarray(((self.z - z) / half[0]) ** 2 + ((self.u - u) / half[1]) ** 2)


def _echogenicity(heart: Heart, step: float, shape: tuple[int, int], generator: Generator) -> np.ndarray:
    """Amplitude of tissue and blood, 1 for an average septum."""
    grain = torch.randn(*shape, generator=generator).numpy()
    echo = {part: uniform(*ends, generator=generator) for part, ends in ECHOES.items()}
    uneven = ndimage.gaussian_filter(grain, PATCH_MM / step) * (2 * PATCH_MM / step * math.sqrt(math.pi))
    z = ((np.arange(shape[0]) + 0.5) * step - ABOVE_MM)[:, None]
    u = ((np.arange(shape[1]) + 0.5) * step - shape[1] * step / 2)[None]
    length, radius = (float(v) for v in heart.size_at(torch.tensor(heart.edv_ml)))
    plane = _Plane(z, u, step, uneven, echo, length, radius)
    ventricle = np.abs(u) < radius * heart.profile(torch.from_numpy(z / length)).numpy()
    outside = plane.distance(ventricle) - (heart.wall + WALL_DENTS_MM * uneven)  # of the muscle
    blood = ventricle | _other_chambers(plane, heart, outside > 0)
    tissue = _tissue(plane, heart, outside, plane.distance(blood)) * np.exp(0.5 * uneven)
    dark = BLOOD * echo["blood"] + _rough(plane, plane.distance(~ventricle)) * ventricle
    return np.asarray(np.where(blood, dark, tissue), np.float32)


def _other_chambers(plane: _Plane, heart: Heart, free: np.ndarray) -> np.ndarray:
    """The blood of the right ventricle, where the left one leaves it ``free``, and of both atria."""
    _, _, _, uneven, echo, length, radius = plane
    right_u = -(radius + heart.wall + 0.45 * echo["right_mm"])
    right = plane.oval(0.6 * length, right_u, (0.46 * length, echo["right_mm"])) < 1 + RIGHT_DENTS * uneven
    left_half, dented = (0.52 * heart.atrium, echo["atrium_mm"]), 1 + ATRIUM_DENTS * uneven
    left_atrium = plane.oval(length + 0.48 * heart.atrium, echo["shift_mm"], left_half) < dented
    right_atrium = plane.oval(length + 17, -echo["atrium_mm"] - 21, RIGHT_ATRIUM_MM) < dented
    below = plane.z - length  # the mitral plane; the tricuspid valve lies a little higher
    return np.asarray((right & free & (below < -5)) | (left_atrium & (below > 0)) | (right_atrium & (below > -4)))


def _tissue(plane: _Plane, heart: Heart, outside: np.ndarray, from_blood: np.ndarray) -> np.ndarray:
    """Muscle, what surrounds it, the wall behind the atria, pericardium, fibrous ring."""
    z, u, _, _, echo, length, radius = plane
    below = z - length
    lateral, apical = 0.5 + 0.5 * np.tanh(u / LATERAL_MM), np.exp(-((z / APICAL_MM) ** 2))  # 0 to 1
    muscle = echo["septum"] * (1 - lateral) + echo["lateral"] * lateral
    muscle = muscle * (1 - apical) + echo["apex"] * apical
    around = echo["around"] * np.exp(-from_blood / echo["around_mm"])
    behind = np.exp(-(((from_blood - BEHIND_MM) / BEHIND_MM) ** 2))
    behind = behind * _rise((below - 0.75 * heart.atrium) / BEHIND_RISE_MM)
    sheet = np.exp(-(((outside - SHEET_MM) / SHEET_SD_MM) ** 2))
    tissue = np.where(outside < 0, muscle, around)
    tissue *= np.where(below > BASE_MM, BASE, 1)
    tissue += echo["behind"] * behind
    tissue += echo["pericardium"] * sheet * lateral * (z > 0) * (below < 0)
    for side, strength in ((-1, echo["septal_ring"]), (1, echo["lateral_ring"])):
        ring = side * (radius * heart.ring + RING_MM)
        tissue += strength * np.exp(-(below**2 + (u - ring) ** 2) / RING_MM2)
    return tissue


def _rough(plane: _Plane, inside: np.ndarray) -> np.ndarray:
    """What is counted to the cavity: trabeculae on its wall and a papillary muscle."""
    trabeculae = plane.echo["trabeculae"] * np.exp(-inside / TRABECULAE_MM) * _rise(plane.uneven)
    papillary = np.exp(-plane.oval(0.6 * plane.length, 0.7 * plane.radius, PAPILLARY_MM))
    return np.asarray(trabeculae * (plane.z < 0.8 * plane.length) + plane.echo["papillary"] * papillary)


def _rise(x: np.ndarray) -> np.ndarray:
    """From 0 to 1 around x = 0."""
    return np.asarray(1 / (1 + np.exp(-4 * x)))


def _blur(x: Tensor, sigma: float, axis: int) -> Tensor:
    """Gaussian along one axis, scaled so that white noise keeps its power."""
    reach = max(1, math.ceil(2.5 * sigma))
    bell = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / sigma) ** 2)
    weights = (bell / bell.square().sum().sqrt()).tolist()
    n = x.shape[axis]
    padded = torch.cat([x.narrow(axis, 0, 1)] * reach + [x] + [x.narrow(axis, n - 1, 1)] * reach, axis)
    total: Tensor = weights[0] * padded.narrow(axis, 0, n)
    for k, weight in enumerate(weights[1:], start=1):
        total += weight * padded.narrow(axis, k, n)
    return total


def _to_pixels(polar: Float[Tensor, "T rows beams"], heart: Heart, size: int) -> Float[Tensor, "T H W"]:
    """Beams to pixels, black where no beam reaches."""
    y, x = pixels(heart, size)
    rows, beams = polar.shape[1:]
    r, angle = torch.hypot(y, x), torch.atan2(x, y)
    row, beam = r * (rows / heart.depth) - 0.5, (angle / HALF_ANGLE + 1) / 2 * beams - 0.5
    picture = sample(polar[None], torch.stack([row, beam])[None])[0]  # frames as channels
    reached = (angle.abs() <= HALF_ANGLE) & (r >= NEAR_MM) & (r <= heart.depth)
    return torch.where(reached, picture, 0.0)
