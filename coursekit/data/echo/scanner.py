"""What an ultrasound scanner would show of a heart: speckle that moves with the tissue, blurred along and across the
beam.

Tissue is a cloud of point scatterers: complex Gaussian noise times the echogenicity, drawn once a patient in the
heart's frame at end diastole and carried along by the heart's motion. It is read at the samples of each beam (range ×
angle), so a blur of constant angle is a resolution that worsens with depth; the envelope of blurred complex noise is
Rayleigh speckle. Then gain, shadow, haze near the probe, noise, logarithmic compression, and conversion from beams to
pixels.
"""

import math
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Generator, Tensor

from ...ops.warp import sample
from ..phantoms import uniform
from .heart import HALF_ANGLE, Heart, Motion, pixels

RANGE_SAMPLES = 1.25  # samples along a beam for each pixel of the picture's height
BLOOD = 0.012  # echogenicity; that of the septum is about 1
NEAR = 8.0  # mm: the probe's own echo, not shown
ABOVE = 45.0  # mm of tissue known above the apex


def sector(heart: Heart, size: int) -> Bool[Tensor, "H W"]:
    """The pixels the beams reach."""
    y, x = pixels(heart, size)
    r = torch.hypot(y, x)
    return (torch.atan2(x, y).abs() <= HALF_ANGLE) & (r >= NEAR) & (r <= heart.depth)


def film(
    heart: Heart, moves: Motion, size: int, *, keep: Tensor | None = None, generator: Generator
) -> Float[Tensor, "T H W"]:
    """The clip in [0, 1]. ``keep`` names frames: only they are computed, the same to the last bit as in the whole clip."""
    rows, beams = round(RANGE_SAMPLES * size), size
    look = _gain(heart, rows, beams, generator)  # (rows, beams)
    scatterers, cell = _scatterers(heart, size, generator)
    haze = _complex((1, rows, beams), generator) * _haze(heart, rows, generator)
    noise = _complex((len(moves.volume_ml), rows, beams), generator) * 0.012
    ceiling_db, span_db, gamma = (uniform(*ends, generator=generator) for ends in ((4, 12), (44, 56), (1.0, 2.0)))
    if keep is not None:
        moves, noise = Motion(*(part[keep] for part in moves)), noise[:, keep]
    field = _echoes(heart, moves, scatterers, cell, rows, beams) * look + haze + noise  # (2, T, rows, beams)
    field = _blur(_blur(field, 0.9, 2), math.radians(1.3) * beams / (2 * HALF_ANGLE), 3)
    level_db = 10 * torch.log10(field.square().sum(0) + 1e-9) - ceiling_db
    return _to_pixels((1 + level_db / span_db).clamp(0, 1) ** gamma, heart, size)


def _complex(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Complex Gaussian noise of mean square 1, its two parts in front."""
    return torch.randn(2, *shape, generator=generator) * math.sqrt(0.5)


def _polar(heart: Heart, rows: int, beams: int) -> tuple[Tensor, Tensor]:
    """Range (rows, 1) in mm and angle (1, beams) of the samples."""
    r = (torch.arange(rows) + 0.5) * (heart.depth / rows)
    angle = ((torch.arange(beams) + 0.5) / beams * 2 - 1) * HALF_ANGLE
    return r[:, None], angle[None]


def _gain(heart: Heart, rows: int, beams: int, generator: Generator) -> Tensor:
    """Amplitude by range and angle: what attenuation leaves, weak outer beams, and shadows of lung and rib on both
    sides.
    """
    r, angle = _polar(heart, rows, beams)
    degrees = torch.rad2deg(angle)
    decibel = uniform(-7, 3, generator=generator) * (r / heart.depth) - 5 * (angle / HALF_ANGLE) ** 4
    for side in (-1, 1):
        centre, width = side * uniform(24, 40, generator=generator), uniform(6, 12, generator=generator)
        decibel = decibel - uniform(2, 16, generator=generator) * torch.exp(-(((degrees - centre) / width) ** 2))
    return 10 ** (decibel / 20)


def _haze(heart: Heart, rows: int, generator: Generator) -> Tensor:
    """Amplitude of the echoes that hang near the probe and do not move, (rows, 1)."""
    r, _ = _polar(heart, rows, 1)
    strength, reach = uniform(0.2, 0.9, generator=generator), uniform(12, 24, generator=generator)
    return strength * torch.exp(-r / reach) + uniform(0.004, 0.02, generator=generator)


def _echoes(heart: Heart, moves: Motion, scatterers: Tensor, cell: float, rows: int, beams: int) -> Tensor:
    """What comes back along each beam, before blur: (2, T, rows, beams)."""
    r, angle = _polar(heart, rows, beams)
    y, x = ((r * f(angle)).flatten()[None] for f in (torch.cos, torch.sin))
    volume = moves.volume_ml[:, None].float()
    length, radius = heart.size_at(volume)
    z, across = heart.frame(y, x, moves.sway)
    z0, u0 = heart.material(z, heart.centred(z, across, length), volume)
    places = torch.stack([(z0 + ABOVE) / cell - 0.5, u0 / cell + (scatterers.shape[2] - 1) / 2])[None]  # (1, 2, T, P)
    seen = sample(scatterers[None], places)[0]  # (2, T, P)
    seen = seen + _valve(heart, z, across, length, radius, moves.opening[:, None])
    return seen.view(2, len(volume), rows, beams)


def _valve(heart: Heart, z: Tensor, across: Tensor, length: Tensor, radius: Tensor, opening: Tensor) -> Tensor:
    """Two leaflets hinged at the mitral ring: shut they meet near its middle, open they swing towards the apex."""
    ring = radius * heart.profile(torch.ones(()))
    total = torch.zeros_like(z)
    for side, share in ((-1, 1.25), (1, 0.75)):  # the septal leaflet is the longer
        reach, swing = share * ring, 0.2 + opening * 1.05  # radians out of the plane of the ring
        tip_z, tip_u = length - reach * torch.sin(swing), side * (ring - reach * torch.cos(swing))
        dz, du = tip_z - length, tip_u - side * ring
        along = (((z - length) * dz + (across - side * ring) * du) / (dz**2 + du**2)).clamp(0, 1)
        apart = torch.hypot(z - length - along * dz, across - side * ring - along * du)
        total = total + 0.4 * torch.exp(-((apart / 1.2) ** 2))
    return total


def _scatterers(heart: Heart, size: int, generator: Generator) -> tuple[Tensor, float]:
    """Scatterers in the heart's frame at end diastole, (2, Z, U), and their grid's spacing in mm."""
    cell = heart.depth / (RANGE_SAMPLES * size)
    shape = math.ceil((heart.depth + 25) / cell), 2 * math.ceil(0.8 * heart.depth / cell)
    fine = _echogenicity(heart, cell / 2, (2 * shape[0], 2 * shape[1]), generator)
    coarse = torch.from_numpy(fine.reshape(shape[0], 2, shape[1], 2).mean((1, 3)))
    return _complex(shape, generator) * coarse, cell


def _echogenicity(heart: Heart, step: float, shape: tuple[int, int], generator: Generator) -> np.ndarray:
    """Amplitude of tissue and blood in the apical four-chamber plane at end diastole, 1 for an average septum."""
    between = partial(uniform, generator=generator)
    z = ((np.arange(shape[0]) + 0.5) * step - ABOVE)[:, None]
    u = ((np.arange(shape[1]) + 0.5) * step - shape[1] * step / 2)[None]
    grain = torch.randn(*shape, generator=generator).numpy()
    patchy = ndimage.gaussian_filter(grain, 3.5 / step) * (7 / step * math.sqrt(math.pi))  # mean square 1
    length, wide = (float(v) for v in heart.size_at(torch.tensor(heart.edv_ml)))
    radius = wide * heart.profile(torch.from_numpy(z / length)).numpy()
    ventricle = np.abs(u) < radius
    wall = ndimage.distance_transform_edt(~ventricle) * step  # mm from the cavity
    thick = heart.wall + 0.6 * patchy
    right_wide, atrium_wide = between(15, 23), between(18, 24)
    right = _oval(
        z, u, 0.6 * length, -(wide + heart.wall + 0.45 * right_wide), 0.46 * length, right_wide, 0.12 * patchy
    )
    right &= (wall > thick) & (z < length - 5)
    left_atrium = _oval(
        z, u, length + 0.48 * heart.atrium, between(-2, 4), 0.52 * heart.atrium, atrium_wide, 0.1 * patchy
    ) & (z > length)
    right_atrium = _oval(z, u, length + 17, -atrium_wide - 21, 22, 19, 0.1 * patchy) & (z > length - 4)
    blood = ventricle | right | left_atrium | right_atrium
    outside = ndimage.distance_transform_edt(~blood) * step
    side = 0.5 + 0.5 * np.tanh(u / 12)  # 0 at the septum, 1 at the lateral wall
    near_apex = np.exp(-((z / 25) ** 2))
    muscle = between(0.6, 1.3) * (1 - side) + between(0.15, 0.6) * side
    muscle = muscle * (1 - near_apex) + between(0.2, 0.6) * near_apex
    tissue = np.where(wall < thick, muscle, between(0.15, 0.35) * np.exp(-outside / between(15, 40)))
    tissue = tissue * np.where(z > length + 3, 0.5, 1)
    back = np.exp(-(((outside - 6) / 6) ** 2)) * _rise((z - length - 0.75 * heart.atrium) / 8)
    tissue = tissue + between(0.7, 1.8) * back
    tissue = tissue + between(0, 0.8) * np.exp(-(((wall - thick - 1) / 1.5) ** 2)) * side * (z > 0) * (z < length)
    for at, strength in ((-1, between(0.5, 1.4)), (1, between(0.2, 0.8))):  # the fibrous ring
        tissue = tissue + strength * np.exp(-((z - length) ** 2 + (u - at * (wide * heart._ring + 3)) ** 2) / 30)
    inner = ndimage.distance_transform_edt(ventricle) * step
    rough = (
        between(0.1, 0.5) * np.exp(-inner / 2) * _rise(patchy) * (z < 0.8 * length)
    )  # trabeculae, counted to the cavity
    rough = rough + between(0, 0.4) * np.exp(
        -(((z - 0.6 * length) / 9) ** 2 + ((u - 0.7 * wide) / 3.5) ** 2)
    )  # a papillary muscle
    dark = BLOOD * between(0.5, 2.5)
    picture: np.ndarray = np.where(blood, dark + rough * ventricle, tissue * np.exp(0.5 * patchy)).astype(np.float32)
    return picture


def _rise(x: np.ndarray) -> np.ndarray:
    rise: np.ndarray = 1 / (1 + np.exp(-4 * x))
    return rise


def _oval(
    z: np.ndarray, u: np.ndarray, z_mid: float, u_mid: float, z_half: float, u_half: float, dents: np.ndarray
) -> np.ndarray:
    inside: np.ndarray = ((z - z_mid) / z_half) ** 2 + ((u - u_mid) / u_half) ** 2 < 1 + dents
    return inside


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


def _to_pixels(polar: Tensor, heart: Heart, size: int) -> Tensor:
    """Beams to pixels, black outside the sector: (T, rows, beams) to (T, H, W)."""
    y, x = pixels(heart, size)
    rows, beams = polar.shape[1:]
    row = torch.hypot(y, x) * (rows / heart.depth) - 0.5
    beam = (torch.atan2(x, y) / HALF_ANGLE + 1) / 2 * beams - 0.5
    seen = sample(polar[None], torch.stack([row, beam])[None])[0]  # (T, H, W): frames as channels
    return torch.where(sector(heart, size), seen, 0.0)
