"""Phantom nuclei in three dimensions: masks against geometry, the image against its masks."""

import hashlib
import math
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import ndimage
from torch import Tensor

from coursekit.data import phantoms3d
from coursekit.data.phantoms3d import Ellipsoid
from coursekit.testing import generator

SMALL = (40, 128, 128)


def small(seed: int = 0, *, count: int = 4, touching: float = 0.3) -> tuple[Tensor, Tensor]:
    return phantoms3d.nuclei(count=count, size=SMALL, touching=touching, generator=generator(seed))


def neighbours(labels: np.ndarray) -> int:
    """How many labels share a face with an earlier one."""
    faces = ndimage.generate_binary_structure(3, 1)
    grown = (
        ndimage.binary_dilation(labels == k, faces) & (labels > 0) & (labels < k) for k in range(2, labels.max() + 1)
    )
    return sum(bool(other.any()) for other in grown)


@pytest.mark.parametrize("spacing", [(0.29, 0.26, 0.26), (1.0, 0.3, 0.4)])
@pytest.mark.parametrize("angle", [0.0, 0.7])
def test_an_ellipsoid_has_its_volume_and_its_extent(spacing: tuple[float, float, float], angle: float) -> None:
    """4/3 π abc; unturned, its box in µm is as long as its axes."""
    semi = (4.2, 5.1, 7.3)
    mask = Ellipsoid(semi, angle).mask(spacing_um=spacing)
    volume = mask.sum() * math.prod(spacing)
    assert volume == pytest.approx(4 / 3 * math.pi * math.prod(semi), rel=0.01)
    along = [np.flatnonzero(mask.any(tuple({0, 1, 2} - {axis}))) for axis in range(3)]
    if not angle:
        for hit, half, step in zip(along, semi, spacing):
            assert (hit[-1] - hit[0] + 1) * step == pytest.approx(2 * half, abs=step)
    assert all(hit[0] >= 1 and hit[-1] <= size - 2 for hit, size in zip(along, mask.shape))  # a free voxel all round


def test_a_turn_moves_the_long_axis() -> None:
    mask = Ellipsoid((4, 5, 7), math.pi / 2).mask(spacing_um=(0.5, 0.25, 0.25))
    assert mask.any((0, 2)).sum() > mask.any((0, 1)).sum() + 10


def test_lobes_are_three_and_add_little_volume() -> None:
    """A radius of 1 + l cos 3φ in the plane: its extremes are there, and the middle section's area is π ab (1 + l²/2)."""
    semi, lobes = (5.0, 6.0, 6.0), 0.2
    mask = Ellipsoid(semi, lobes=lobes).mask(spacing_um=(0.5, 0.05, 0.05))
    plane = mask[mask.shape[0] // 2]
    y, x = (np.argwhere(plane) - np.array(plane.shape) // 2).T * 0.05
    around = np.arctan2(y, x)
    for turn in range(6):
        near = np.abs((around - turn * math.pi / 3 + math.pi) % (2 * math.pi) - math.pi) < 0.02
        assert np.hypot(y, x)[near].max() == pytest.approx(6 * (1 + lobes * (-1) ** turn), abs=0.1)
    assert plane.sum() * 0.05**2 == pytest.approx(math.pi * 36 * (1 + lobes**2 / 2), rel=0.01)


def test_labels_are_whole_pieces_counted_by_their_cores() -> None:
    """Touching nuclei are one piece of foreground; voxels all of whose neighbours have their label are a piece a
    nucleus.
    """
    _, labels = phantoms3d.nuclei(count=8, size=(40, 160, 160), touching=0.6, generator=generator(3))
    ids, faces = labels.numpy(), ndimage.generate_binary_structure(3, 1)
    assert np.unique(ids).tolist() == list(range(9))
    core = (ids > 0) & (ndimage.minimum_filter(ids, footprint=faces) == ndimage.maximum_filter(ids, footprint=faces))
    assert ndimage.label(core)[1] == 8
    assert ndimage.label(ids > 0)[1] == 8 - neighbours(ids) < 8


@pytest.mark.parametrize(("touching", "meeting"), [(0.0, 0), (1.0, 3)])
def test_touching_is_what_was_asked_for(touching: float, meeting: int) -> None:
    for seed in range(6):
        _, labels = small(seed, touching=touching)
        assert neighbours(labels.numpy()) == meeting


def test_nuclei_lie_at_least_half_in_the_volume_and_hide_little() -> None:
    for seed in range(4):
        _, labels = small(seed, count=4, touching=1.0)
        smallest = 4 / 3 * math.pi * 3.75 * 5.5 * 0.65 * 5.5 / math.prod(phantoms3d.SPACING_UM)
        assert labels.flatten().bincount()[1:].min() > (0.5 - 0.02) * smallest * 0.97


def test_no_nucleus_lies_on_both_sides_of_the_gap() -> None:
    apart = (60, 66)
    for seed in range(6):
        _, labels = phantoms3d.nuclei(count=4, size=(40, 128, 128), apart=apart, generator=generator(seed))
        before, after = labels[:, : apart[0]].unique().tolist(), labels[:, apart[1] :].unique().tolist()
        assert set(before) & set(after) == {0}


def test_the_image_shows_the_labels() -> None:
    image, labels = small()
    assert (image.shape, image.dtype, labels.shape, labels.dtype) == ((1, *SMALL), torch.float32, SMALL, torch.int64)
    assert image.min() >= 0
    assert image.max() <= 1
    background = image[0][labels == 0]
    dimmest = min(float(image[0][labels == k].mean()) for k in range(1, 5))
    assert dimmest > background.mean() + 2 * background.std()


def test_the_blur_is_worse_along_the_depth() -> None:
    """A point's second moments are the squares of the standard deviations given in µm."""
    point = np.zeros((41, 61, 61))
    point[20, 30, 30] = 1
    seen = phantoms3d.blurred(point, phantoms3d.PSF_UM, (0.1, 0.05, 0.05)).astype(float)
    assert seen.sum() == pytest.approx(1, rel=1e-4)
    for axis, (sigma, step) in enumerate(zip(phantoms3d.PSF_UM, (0.1, 0.05, 0.05))):
        profile = seen.sum(tuple({0, 1, 2} - {axis}))
        place = (np.arange(len(profile)) - len(profile) // 2) * step
        assert math.sqrt((profile * place**2).sum()) == pytest.approx(sigma, rel=0.04)  # cut at three of them
    assert phantoms3d.PSF_UM[0] > 2 * phantoms3d.PSF_UM[1]


def told(volume: tuple[Tensor, Tensor]) -> str:
    return hashlib.sha256(b"".join(x.numpy().tobytes() for x in volume)).hexdigest()


CODE = """
import hashlib, torch
from coursekit.data import phantoms3d
made = phantoms3d.nuclei(count=4, size=(40, 128, 128), generator=torch.Generator().manual_seed(5))
print(hashlib.sha256(b"".join(x.numpy().tobytes() for x in made)).hexdigest())
"""


def test_the_generator_decides_every_bit_in_any_process_and_thread_count() -> None:
    before = torch.get_num_threads()
    try:
        seen = set()
        for threads in (1, 2):
            torch.set_num_threads(threads)
            seen.add(told(small(5)))
    finally:
        torch.set_num_threads(before)
    seen.add(subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True).stdout.strip())
    assert len(seen) == 1
    assert told(small(6)) not in seen


def test_no_nuclei_is_background() -> None:
    image, labels = phantoms3d.nuclei(count=0, size=(10, 30, 20), generator=generator(0))
    assert image.shape == (1, 10, 30, 20)
    assert not labels.any()


def test_bad_wishes_are_refused(refuses: Callable[..., None]) -> None:
    refuses("room for", phantoms3d.nuclei, count=40, size=(30, 64, 64), generator=generator(0))
    refuses("touching in", phantoms3d.nuclei, count=2, touching=1.5, generator=generator(0))
    refuses("size > 0", phantoms3d.nuclei, size=(0, 4, 4), generator=generator(0))
    refuses("count >= 0", phantoms3d.nuclei, count=-1, generator=generator(0))
    refuses("semi_um > 0", lambda: Ellipsoid((0.0, 1.0, 1.0)).mask())
