"""Nuclei in a volume whose masks are known, because the volume is made from them.

A layer of lobed ellipsoids, as in a confocal stack of cultured cells: each nucleus has its brightness, a grainy
texture, and a mask that is the voxels whose centres lie inside. The optics blur it, more along the depth than across,
and noise is added last, so no mask moves. Computed in numpy from numbers the generator draws: the same bits whatever
the number of threads.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float32, Integer
from scipy import ndimage
from torch import Generator, Tensor

from .. import _check
from ..types import Volume
from .seeds import uniform

Spacing = tuple[float, float, float]
SPACING_UM: Spacing = (0.29, 0.26, 0.26)  # (D, H, W), that of the real volume
PSF_UM: Spacing = (0.5, 0.16, 0.16)  # standard deviation of the blur: worse along the depth
GRAIN_UM = 0.35  # standard deviation of the texture's grain
TRIES = 600  # places tried for one nucleus before the field counts as full


@dataclass(frozen=True)
class Ellipsoid:
    """``semi_um`` half axes (z, y, x) before the turn by ``angle`` in the plane; ``lobes`` deepens three lobes, 0 is a
    true ellipsoid.
    """

    semi_um: Spacing
    angle: float = 0.0
    lobes: float = 0.0
    phase: float = 0.0

    def mask(self, *, spacing_um: Spacing = SPACING_UM) -> Bool[np.ndarray, "D H W"]:
        """The voxels whose centres lie inside, centred in an odd-sided box with at least one free voxel on each side."""
        _check.positive("semi_um", self.semi_um)
        _check.positive("spacing_um", spacing_um)
        long = (1 + abs(self.lobes)) * max(self.semi_um[1:])
        reach = [math.ceil(r / step) + 1 for r, step in zip((self.semi_um[0], long, long), spacing_um)]
        z, y, x = (np.arange(-n, n + 1) * step for n, step in zip(reach, spacing_um))
        y, x = y[:, None], x[None]
        u = (x * math.cos(self.angle) + y * math.sin(self.angle)) / self.semi_um[2]
        v = (y * math.cos(self.angle) - x * math.sin(self.angle)) / self.semi_um[1]
        plane, height = u**2 + v**2, (z[:, None, None] / self.semi_um[0]) ** 2
        square = plane + height  # squared distance from the centre, 1 on the ellipsoid
        wave = self.lobes * np.cos(3 * np.arctan2(v, u) + self.phase)  # (H, W), fades towards the poles
        inside: np.ndarray = square < (1 + wave * plane / np.maximum(square, 1e-12)) ** 2
        return inside


def draw(*, generator: Generator) -> Ellipsoid:
    """A nucleus of a flat layer: 11–15 µm long, 7–14 µm wide, 7.5–9.5 µm high, lobes up to 5 % deep."""
    long = uniform(5.5, 7.5, generator=generator)
    wide = long * uniform(0.65, 0.95, generator=generator)
    high = uniform(3.75, 4.75, generator=generator)
    angle, phase = uniform(0, math.pi, generator=generator), uniform(0, 2 * math.pi, generator=generator)
    return Ellipsoid((high, wide, long), angle, uniform(0, 0.05, generator=generator), phase)


def nuclei(
    *,
    count: int = 20,
    size: tuple[int, int, int] = (60, 256, 256),
    spacing_um: Spacing = SPACING_UM,
    touching: float = 0.3,
    apart: tuple[int, int] | None = None,
    generator: Generator,
) -> tuple[Volume, Integer[Tensor, "D H W"]]:
    """A phantom of confocal nuclei in [0, 1] with exact masks: image (1, D, H, W) float32, labels (D, H, W) int64, 1
    … count.

    Centres lie in a layer around the middle depth; nuclei may be cut by the sides of the volume, not by more than
    half. A share ``touching`` of them is put against an earlier one and may lie up to a fiftieth under it, which
    keeps the shared voxels; all others keep a free voxel around them. ``apart=(a, b)``: no nucleus has voxels both in
    rows before a and in rows from b on. Raises ``ValueError`` when the field is full.

    It leaves out dividing and dying nuclei, nucleoli, debris, light from other layers, and everything a person labels
    wrongly.
    """
    _check.positive("count", count, zero=True)
    _check.positive("size", size)
    _check.within("touching", torch.tensor(touching), 0, 1, "it is a share of all nuclei")
    labels = np.zeros(size, np.int64)
    for label in range(1, count + 1):
        mask = draw(generator=generator).mask(spacing_um=spacing_um)
        _place(labels, mask, label, touching=touching, apart=apart, generator=generator)
    image = _seen(labels, count, spacing_um, generator)
    return torch.from_numpy(image)[None].to(generator.device), torch.from_numpy(labels).to(generator.device)


def _place(
    labels: np.ndarray,
    mask: np.ndarray,
    label: int,
    *,
    touching: float,
    apart: tuple[int, int] | None,
    generator: Generator,
) -> None:
    """Write ``label`` where the mask fits."""
    against = label > 1 and uniform(0, 1, generator=generator) < touching
    grown = ndimage.binary_dilation(mask)  # the box has room for it
    taken = np.argwhere(labels > 0) if against else None
    for _ in range(TRIES):
        corner = _corner(labels.shape, mask.shape, taken, generator)
        on, of = _overlap(labels.shape, mask.shape, corner)
        if _fits(labels[on] > 0, mask[of], grown[of], int(mask.sum()), against) and not _spans(
            mask[of], corner[1], apart
        ):
            labels[on][mask[of] & (labels[on] == 0)] = label
            return
    raise _check.refuse(f"room for {label} nuclei", f"a volume of {labels.shape} that is full", "ask for fewer")


def _corner(
    size: tuple[int, ...], box: tuple[int, ...], taken: np.ndarray | None, generator: Generator
) -> tuple[int, int, int]:
    """Where to try the first corner of the box: its centre in the layer, anywhere across or half a nucleus from a voxel
    of another.
    """
    depth = round(size[0] * uniform(0.46, 0.6, generator=generator))
    if taken is None:
        row, column = (int(uniform(0, n, generator=generator)) for n in size[1:])
    else:
        _, row, column = taken[int(uniform(0, len(taken), generator=generator))].tolist()
        turn, away = uniform(0, 2 * math.pi, generator=generator), uniform(0.3, 0.55, generator=generator)
        row, column = row + round(away * box[1] * math.sin(turn)), column + round(away * box[2] * math.cos(turn))
    return depth - box[0] // 2, row - box[1] // 2, column - box[2] // 2


def _overlap(
    size: tuple[int, ...], box: tuple[int, ...], corner: tuple[int, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of the volume under the box, and the part of the box in the volume."""
    first = [max(start, 0) for start in corner]
    last = [max(a, min(start + n, limit)) for a, start, n, limit in zip(first, corner, box, size)]
    on = tuple(slice(a, b) for a, b in zip(first, last))
    return on, tuple(slice(a - start, b - start) for a, b, start in zip(first, last, corner))


def _fits(taken: np.ndarray, mask: np.ndarray, grown: np.ndarray, whole: int, against: bool) -> bool:
    """At least half in the volume; touching and at most a fiftieth hidden if it should touch, else apart."""
    if not (2 * int(mask.sum()) >= whole and bool((grown & taken).any()) == against):
        return False
    return 50 * int((mask & taken).sum()) <= whole


def _spans(mask: np.ndarray, start: int, apart: tuple[int, int] | None) -> bool:
    """Whether a mask, its box from row ``start`` of the volume on, lies on both sides of the rows to keep it apart
    from.
    """
    if apart is None:
        return False
    rows = np.flatnonzero(mask.any((0, 2))) + max(start, 0)
    return bool(rows.size) and bool(rows[0] < apart[0]) and bool(rows[-1] >= apart[1])


def _seen(labels: np.ndarray, count: int, spacing_um: Spacing, generator: Generator) -> Float32[np.ndarray, "D H W"]:
    """The image of the labels: light with grain, blurred, in a haze, with noise."""
    brightness = np.array(
        [0.0, *(0.3 + 0.25 * uniform(0, 1, generator=generator) ** 2 for _ in range(count))], np.float32
    )
    grain, noise = (
        torch.randn(labels.shape, generator=generator, device=generator.device).cpu().numpy() for _ in range(2)
    )
    fine = ndimage.gaussian_filter(grain, [GRAIN_UM / step for step in spacing_um])
    light = brightness[labels] * np.exp(0.4 * fine / max(float(fine.std()), 1e-6) - 0.1)
    light = blurred(light, PSF_UM, spacing_um)
    image = 0.045 + light + 0.15 * blurred(light, (2.5, 2.0, 2.0), spacing_um)
    seen: np.ndarray = (image + noise * (0.02 + 0.04 * image)).clip(0, 1).astype(np.float32)
    return seen


def blurred(values: np.ndarray, sigma_um: Spacing, spacing_um: Spacing) -> Float32[np.ndarray, "D H W"]:
    """Gaussian blur of standard deviations in µm, cut at three of them; the volume goes on beyond its sides as it ends
    there.
    """
    sigma = [s / step for s, step in zip(sigma_um, spacing_um)]
    read: np.ndarray = ndimage.gaussian_filter(values.astype(np.float32), sigma, mode="nearest", truncate=3)
    return read
