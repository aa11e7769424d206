"""What an ultrasound scanner shows of a heart: speckle that moves with the tissue, blurred along and across its beams.

Tissue is a cloud of point scatterers: complex Gaussian noise times the echogenicity, drawn once a patient in the
heart's frame at end diastole and carried along by its motion. It is read at the samples of each beam (range × angle),
so a blur of constant angle is a resolution that worsens with depth; the envelope of blurred complex noise is Rayleigh
speckle. Then haze near the probe, noise, logarithmic compression, and from beams to pixels.

Amplitudes have no unit: an average septum is 1. Lengths are in mm.
"""

import math
from functools import partial

import numpy as np
import torch
from jaxtyping import Float
from scipy import ndimage
from torch import Generator, Tensor

from ...ops.warp import sample
from ..seeds import uniform
from .heart import HALF_ANGLE, RING, Heart, Motion, pixels, profile

RANGE_SAMPLES = 1.25  # samples along a beam for each pixel of the picture's height
NEAR_MM = 8.0  # the probe's own echo, not shown
ABOVE_MM, BELOW_MM = 45.0, 25.0  # of tissue known above the apex and, with it, beyond the sector
NOISE = 0.015  # of the receiver
BLUR_SAMPLES, BLUR_DEGREES = 0.9, 1.3  # sd along the beam and across it
TURN_MM = 12  # over which the muscle turns from septum to lateral wall
AROUND_MM = 25  # from the blood: over which what lies outside the muscle fades
SHEET_MM = 6  # thickness of the bright wall behind the atria
RIGHT_ATRIUM_MM = (22, 19)  # half length and half width
LEAFLET, LEAFLET_MM = 0.4, 1.2  # of the mitral valve: amplitude and width
LEAFLETS = ((-1, 1.25), (1, 0.75))  # side and length in radii of the ring: the septal one is the longer
SHUT, SWING = 0.2, 1.05  # radians between leaflet and ring when shut, and how far it opens


def film(heart: Heart, moves: Motion, size: int, *, generator: Generator) -> Float[Tensor, "T H W"]:
    """The clip in [0, 1]."""
    rows, beams = round(RANGE_SAMPLES * size), size
    step = heart.depth / rows  # mm along a beam, and of the grid of scatterers
    between = partial(uniform, generator=generator)
    depth_db, edge_db = between(-7, 3), between(5, 12)  # what the deepest sample gains and the outermost beam loses
    haze, haze_mm = between(0.2, 0.9), between(12, 24)  # hangs near the probe and does not move
    ceiling_db, span_db, gamma = between(4, 12), between(44, 56), between(1.0, 2.0)
    scatterers = _scatterers(heart, step, generator)
    still = _complex((1, rows, beams), generator)
    noise = _complex((len(moves.volume_ml), rows, beams), generator)
    r = ((torch.arange(rows) + 0.5) * step)[:, None]
    angle = (((torch.arange(beams) + 0.5) / beams * 2 - 1) * HALF_ANGLE)[None]
    gain = 10 ** ((depth_db * r / heart.depth - edge_db * (angle / HALF_ANGLE) ** 4) / 20)
    y, x = ((r * f(angle)).flatten()[None] for f in (torch.cos, torch.sin))
    echoes = _echoes(heart, moves, y, x, scatterers, step).view(2, -1, rows, beams)
    field = echoes * gain + haze * torch.exp(-r / haze_mm) * still + NOISE * noise  # (2, T, rows, beams)
    blur = BLUR_SAMPLES, math.radians(BLUR_DEGREES) * beams / (2 * HALF_ANGLE)
    power = 4 * math.pi * blur[0] * blur[1]  # by which the blur weakens white noise
    blurred = torch.from_numpy(ndimage.gaussian_filter(field.numpy(), (0, 0, *blur), mode="nearest"))
    level_db = 10 * torch.log10(power * blurred.square().sum(0) + 1e-9) - ceiling_db
    return _to_pixels((1 + level_db / span_db).clamp(0, 1) ** gamma, heart, size)


def _complex(shape: tuple[int, ...], generator: Generator) -> Tensor:
    """Complex Gaussian noise of mean square 1, its two parts in front."""
    return torch.randn(2, *shape, generator=generator) * math.sqrt(0.5)


def _scatterers(heart: Heart, step: float, generator: Generator) -> Float[Tensor, "2 Z U"]:
    """Scatterers in the heart's frame at end diastole, on a grid of so many mm."""
    rows, columns = math.ceil((heart.depth + BELOW_MM) / step), 2 * math.ceil(0.8 * heart.depth / step)
    z = ((np.arange(rows) + 0.5) * step - ABOVE_MM)[:, None]
    u = ((np.arange(columns) + 0.5) * step - columns * step / 2)[None]
    echogenicity = _echogenicity(heart, z, u, step, generator)
    return _complex((rows, columns), generator) * torch.from_numpy(echogenicity).float()


def _echogenicity(heart: Heart, z: np.ndarray, u: np.ndarray, step: float, generator: Generator) -> np.ndarray:
    """Amplitude of tissue and blood in the apical four-chamber plane; ``z`` (Z, 1) from the apex, ``u`` (1, U)."""
    between = partial(uniform, generator=generator)
    septum, lateral, around, behind = between(0.6, 1.3), between(0.2, 0.7), between(0.15, 0.35), between(0.7, 1.8)
    blood = between(0.006, 0.03)
    right_mm, atrium_mm = between(15, 23), between(18, 24)  # half widths of right ventricle and left atrium
    length, radius = heart.length, heart.slimness * heart.length
    below = z - length  # the mitral plane
    distance = partial(ndimage.distance_transform_edt, sampling=step)

    def oval(middle_z: float, middle_u: float, half_z: float, half_u: float) -> np.ndarray:
        return np.asarray(((z - middle_z) / half_z) ** 2 + ((u - middle_u) / half_u) ** 2 < 1)

    left = np.abs(u) < radius * profile(torch.from_numpy(z / length)).numpy()
    outside = distance(~left) - heart.wall  # of the muscle
    right = oval(0.6 * length, -radius - heart.wall - 0.45 * right_mm, 0.46 * length, right_mm) & (outside > 0)
    left_atrium = oval(length + 0.48 * heart.atrium, 0, 0.52 * heart.atrium, atrium_mm)
    right_atrium = oval(length + 17, -atrium_mm - 21, *RIGHT_ATRIUM_MM)
    cavities = left | right & (below < -5) | left_atrium & (below > 0) | right_atrium & (below > -4)
    from_blood = distance(~cavities)
    muscle = septum + (lateral - septum) * (0.5 + 0.5 * np.tanh(u / TURN_MM))
    tissue = np.where((outside < 0) & (below < 0), muscle, around * np.exp(-from_blood / AROUND_MM))
    tissue[(from_blood < SHEET_MM) & (below > heart.atrium / 2)] += behind
    return np.where(cavities, blood, tissue)


def _echoes(
    heart: Heart, moves: Motion, y: Tensor, x: Tensor, scatterers: Tensor, step: float
) -> Float[Tensor, "2 T P"]:
    """What comes back from places in mm, before blur: tissue, blood and the two leaflets of the mitral valve.

    They hang on the ring: shut they meet near its middle, open they swing towards the apex.
    """
    volume = moves.volume_ml[:, None].float()
    length, radius = heart.size_at(volume)
    z, u = heart.frame(y, x)
    z0, u0 = heart.material(z, u, volume)
    places = torch.stack([(z0 + ABOVE_MM) / step - 0.5, u0 / step + (scatterers.shape[2] - 1) / 2])  # (2, T, P)
    echoes = sample(scatterers[None], places[None])[0]
    ring, swing = radius * RING, SHUT + moves.opening[:, None] * SWING
    for side, share in LEAFLETS:
        hinge_z, hinge_u = z - length, u - side * ring  # from the hinge to each place
        tip_z, tip_u = -share * ring * torch.sin(swing), -side * share * ring * torch.cos(swing)
        along = ((hinge_z * tip_z + hinge_u * tip_u) / (share * ring) ** 2).clamp(0, 1)
        apart = torch.hypot(hinge_z - along * tip_z, hinge_u - along * tip_u)
        echoes = echoes + LEAFLET * torch.exp(-((apart / LEAFLET_MM) ** 2))
    return echoes


def _to_pixels(polar: Float[Tensor, "T rows beams"], heart: Heart, size: int) -> Float[Tensor, "T H W"]:
    """Beams to pixels, black where no beam reaches."""
    y, x = pixels(heart, size)
    rows, beams = polar.shape[1:]
    r, angle = torch.hypot(y, x), torch.atan2(x, y)
    row, beam = r * (rows / heart.depth) - 0.5, (angle / HALF_ANGLE + 1) / 2 * beams - 0.5
    picture = sample(polar[None], torch.stack([row, beam])[None])[0]  # frames as channels
    reached = (angle.abs() <= HALF_ANGLE) & (r >= NEAR_MM) & (r <= heart.depth)
    return torch.where(reached, picture, 0.0)
