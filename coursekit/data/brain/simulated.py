"""PET of brain tumours, simulated: the template's tissues, deformed into a new person, lesions implanted, seen by a
simple scanner.

The sizes are those of Blanc-Durand et al., Automatic lesion detection and segmentation of 18F-FET PET in gliomas: a
full 3D U-Net convolutional neural network study, PLoS ONE 13(4), 2018: 37 volumes train, 11 test, each 64 × 64 × 40.
Theirs are patients; ours are not.
"""

import math
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from scipy import ndimage

from ... import _check
from ...ops import warp
from .. import readers
from ..scan import Affine
from ..seeds import Part, stream
from . import folder, lesions, template
from .lesions import Blob
from .template import TISSUES, Template
from .volumes import SHAPE, VOXEL_MM, Lesion, PetSet, Tracer, grid

COUNTS: dict[Part, int] = {"train": 37, "test": 11}
PSF_MM = 5.5  # full width at half maximum
FILTER_MM = 5.0  # of the smoothing after reconstruction
NUMBER = (0.1, 0.45, 0.3, 0.15)  # chance of 0, 1, 2, 3 lesions
# SUV of each tissue in the mean person, in the order of TISSUES; the lesions' ratio to grey matter from and to; counts
# per voxel and SUV
UPTAKE: dict[Tracer, dict[str, float]] = {
    "FDG": {"grey": 8.0, "white": 2.0, "fluid": 0.5, "deep": 1.5, "vessel": 1.5, "bone": 0.6, "scalp": 0.9},
    "FET": {"grey": 1.0, "white": 0.8, "fluid": 0.5, "deep": 0.1, "vessel": 2.2, "bone": 0.8, "scalp": 1.2},
}
RATIO: dict[Tracer, tuple[float, float]] = {"FDG": (1.0, 2.0), "FET": (1.5, 3.5)}
SENSITIVITY: dict[Tracer, float] = {"FDG": 10.0, "FET": 50.0}


def pet(
    *,
    split: Part = "train",
    tracer: Tracer = "FDG",
    seed: int = 0,
    count: int | None = None,
    allow_phantom: bool = True,
) -> PetSet:
    """Simulated PET of ``count`` people (37 to train, 11 to test) with none to three lesions each.

    A person is made from ``(seed, split, index)`` alone: none is in both parts, more people change no earlier one,
    and both tracers see the same people and lesions. ``"FET"``: a flat background, lesions at 1.5 to 3.5 times the
    grey matter, veins and scalp bright too. ``"FDG"``: grey matter at four times the white, lesions at 1 to 2 times
    the grey, so that some hide beside the cortex; none takes up less than its surroundings. With ``COURSEKIT_PET``
    set, the real volumes of that folder, see :func:`.folder.pet`; ``tracer`` is then your word for them. Raises
    ``DataMissing`` if the template has not been fetched and ``allow_phantom`` is false.
    """
    _check.one_of("split", split, list(COUNTS))
    _check.one_of("tracer", tracer, list(UPTAKE))
    if count is not None:
        _check.positive("count", count)
    real = readers.folder("COURSEKIT_PET")
    if real is not None:
        return folder.pet(real, split=split, tracer=tracer, count=count)
    ground = template.load(allow_phantom=allow_phantom)
    made = [_volume(ground, split, tracer, seed, i) for i in range(COUNTS[split] if count is None else count)]
    images, labels = (torch.from_numpy(np.stack(arrays)) for arrays in ([m[0] for m in made], [m[1] for m in made]))
    found, affines = tuple(m[2] for m in made), np.stack([grid()] * len(made))
    source = "simulated" if ground.source == "real" else "phantom"
    return PetSet(images[:, None], labels[:, None] > 0, labels, found, affines, tracer, split, source, ground.note)


def _numpy(*names: int | str) -> np.random.Generator:
    """A numpy generator for what is named: numpy's arithmetic does not depend on the number of threads."""
    return np.random.default_rng(stream("pet", *names).initial_seed())


def _volume(
    ground: Template, split: Part, tracer: Tracer, seed: int, index: int
) -> tuple[np.ndarray, np.ndarray, tuple[Lesion, ...]]:
    """Image, labels and lesions of one person."""
    person, dose = _numpy(seed, split, index), _numpy(seed, split, index, tracer)
    suv = {tissue: value * math.exp(0.05 * dose.standard_normal()) for tissue, value in UPTAKE[tracer].items()}
    scale = math.exp(0.1 * dose.standard_normal())  # of the whole person
    activity = np.tensordot([scale * suv[t] for t in TISSUES], ground.tissues, 1)
    brain = ground.tissues[: len(template.INSIDE)].sum(0)
    activity, brain = _deformed(np.stack([activity, brain]).astype(np.float32), ground.affine, person)
    activity *= _gain(activity.shape, person)
    blobs, labels = lesions.scatter(int(person.choice(4, p=NUMBER)), brain > 0.5, voxel_mm=VOXEL_MM, rng=person)
    uptakes = [scale * suv["grey"] * dose.uniform(*RATIO[tracer]) for _ in blobs]
    image = scanned(implanted(activity, blobs, uptakes), sensitivity=SENSITIVITY[tracer], rng=dose)
    return image, labels, tuple(map(_record, blobs, uptakes))


def _record(blob: Blob, uptake: float) -> Lesion:
    x, y, z = (float(v) for v in grid()[:3] @ [*blob.centre(), 1])
    return Lesion((x, y, z), blob.volume_ml(VOXEL_MM), uptake)


def _deformed(
    maps: Float[np.ndarray, "C D H W"], affine: Affine, rng: np.random.Generator
) -> Float[np.ndarray, "C D2 H2 W2"]:
    """The template's maps in the shape of a new person, at half the image's voxels.

    Scaled by up to about a tenth, tilted by a few degrees, moved by a few mm, bent smoothly by about 2.5 mm. What the
    template does not show below its last plane is that plane again.
    """
    shape = np.linalg.inv(
        lesions.rotation(rng.normal(0, [0.05, 0.02, 0.02])) @ np.diag(rng.normal(1, 0.035, 3))
    ).astype(np.float32)
    bent = np.float32(2.5) * np.stack([_smooth(rng) for _ in range(3)]).reshape(3, -1)
    source = shape @ (_places() - rng.normal(0, 2, (3, 1)).astype(np.float32)) + bent
    back = np.linalg.inv(affine).astype(np.float32)
    index = (back[:3, :3] @ source + back[:3, 3:]).reshape(1, 3, *(2 * n for n in SHAPE))
    read = warp.sample(torch.from_numpy(maps)[None], torch.from_numpy(index))
    moved: np.ndarray = read[0].numpy()
    return moved


@lru_cache(maxsize=1)
def _places() -> Float[np.ndarray, "3 voxels"]:
    """RAS+ mm of every voxel at half the image's voxels."""
    return template.places(grid(VOXEL_MM / 2), tuple(2 * n for n in SHAPE)).reshape(3, -1)


def _smooth(rng: np.random.Generator) -> Float[np.ndarray, "D2 H2 W2"]:
    """A smooth random field of about unit size at half the image's voxels, its bumps some 5 cm wide."""
    coarse = ndimage.zoom(rng.standard_normal((5, 8, 8)), 4, order=3, grid_mode=True, mode="nearest")
    field = F.interpolate(torch.from_numpy(coarse.astype(np.float32))[None, None], scale_factor=4, mode="trilinear")[
        0, 0
    ]
    fine: np.ndarray = field.numpy()
    return fine


def _gain(shape: tuple[int, ...], rng: np.random.Generator) -> Float[np.ndarray, "D2 H2 W2"]:
    """Uptake differs from place to place by about 6 %, and one half of the head takes up a little more than the other."""
    side = np.linspace(-1, 1, shape[2], dtype=np.float32)
    gain: np.ndarray = np.exp(0.06 * _smooth(rng) + 0.04 * np.float32(rng.standard_normal()) * side)
    return gain


def implanted(
    activity: Float[np.ndarray, "D2 H2 W2"], blobs: list[Blob], uptakes: list[float]
) -> Float[np.ndarray, "D2 H2 W2"]:
    """The activity with each blob's uptake in place of what was there, by the share of the voxel that it fills."""
    out = activity.copy()
    for blob, uptake in zip(blobs, uptakes):
        window = tuple(slice(2 * w.start, 2 * w.stop) for w in blob.window)
        share = blob.share(lesions.FINE // 2)
        out[window] = (1 - share) * out[window] + share * np.float32(uptake)
    return out


def blurred(activity: Float[np.ndarray, "D H W"], fwhm_mm: float, voxel_mm: float) -> Float[np.ndarray, "D H W"]:
    """Gaussian of a full width at half maximum: what the scanner spreads, no more and no less, except across the edge
    of the image.
    """
    sigma = fwhm_mm / voxel_mm / math.sqrt(8 * math.log(2))
    spread: np.ndarray = ndimage.gaussian_filter(activity, sigma, mode="constant")
    return spread


def scanned(
    activity: Float[np.ndarray, "D2 H2 W2"], *, sensitivity: float, rng: np.random.Generator
) -> Float[np.ndarray, "D H W"]:
    """What a simple scanner makes of the activity, in the same unit: spread, binned, counted, smoothed.

    The Gaussian spread of 5.5 mm stands for positron range and detectors, ``sensitivity`` counts in a voxel per SUV
    for dose and time, and the Gaussian of 5 mm for the filter after reconstruction; together 7.4 mm. Counts are
    Poisson in the image, not in the projections.
    """
    true = template.block_mean(blurred(activity, PSF_MM, VOXEL_MM / 2), 2)
    counts = rng.poisson(true.clip(0) * sensitivity).astype(np.float32)
    return blurred(counts / np.float32(sensitivity), FILTER_MM, VOXEL_MM)
