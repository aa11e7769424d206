"""Simulated PET in its parts: lesions and scanner against formulas, the template against its file."""

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from coursekit.data import fetch
from coursekit.data.scan import Scan
from coursekit.data.simulated import pet

FULL = np.ones((3, 3, 3))


def ball(radius_mm: float) -> np.ndarray:
    return np.linalg.norm(pet.places(), axis=0) <= radius_mm


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(3))
def test_lesions_lie_in_the_brain_and_apart_and_are_what_the_labels_say(seed: int) -> None:
    brain = ball(50.0)
    ratio, labels = pet.lesions(3, brain, rng(seed))
    assert labels.max() == 3 == ndimage.label(labels, FULL)[1]
    assert not (ratio > 0)[~brain].any()
    pieces, count = ndimage.label(ratio > 0)
    assert count == 3
    for piece in range(1, 4):
        share = (pieces == piece).reshape(40, 2, 64, 2, 64, 2).mean((1, 3, 5))
        (number,) = np.unique(labels[share >= 0.5])
        assert number > 0
        np.testing.assert_array_equal(labels == number, share >= 0.5)
        uptake = np.unique(ratio[pieces == piece])
        assert uptake.size == 1
        assert pet.RATIO[0] <= uptake[0] <= pet.RATIO[1]


def test_a_brain_may_have_no_lesion() -> None:
    ratio, labels = pet.lesions(0, ball(50.0), rng())
    assert not ratio.any()
    assert not labels.any()


def test_a_lesion_without_roughness_or_stretch_has_the_volume_of_a_ball(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LESION_STRETCH", "LESION_ROUGH"):
        monkeypatch.setattr(pet, name, 0.0)
    monkeypatch.setattr(pet, "RADIUS_MM", (12.0, 12.0))
    ratio, labels = pet.lesions(1, np.ones(pet.HALF_SHAPE, bool), rng(1))
    assert (ratio > 0).sum() * pet.HALF_MM**3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.03)
    assert (labels > 0).sum() * pet.VOXEL_MM**3 == pytest.approx(4 / 3 * np.pi * 12**3, rel=0.1)


def test_the_middle_of_a_large_lesion_has_the_uptake_of_its_ratio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pet, "RADIUS_MM", (17.0, 19.0))
    ratio, labels = pet.lesions(2, ball(60.0), rng(4))
    image = pet.scanned(np.where(ratio > 0, ratio, 1.0), rng())
    for number in (1, 2):
        core = ndimage.binary_erosion(labels == number, iterations=2)
        assert core.sum() >= 12  # three voxels from its surface the scanner's spread brings nothing in
        assert image[core].mean() == pytest.approx(pet.block_mean(ratio)[core].mean(), rel=0.1)


def test_the_spread_of_a_point_has_its_width_and_keeps_its_total() -> None:
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1
    spread = pet.blurred(point, 6.0, 1.0)
    assert spread.sum(dtype=np.float64) == pytest.approx(1, abs=1e-3)
    assert spread[20, 20, 23] / spread[20, 20, 20] == pytest.approx(0.5, abs=0.01)  # half the maximum at half the width
    assert spread[23, 20, 20] == pytest.approx(spread[20, 20, 23])


def test_the_scanner_keeps_the_total_activity_and_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    activity = 8.0 * ball(20.0)
    image = pet.scanned(activity, rng())
    assert image.sum(dtype=np.float64) * 8 == pytest.approx(activity.sum(), rel=0.01)
    monkeypatch.setattr(pet, "SENSITIVITY", 1e5)
    quiet = pet.scanned(activity, rng())
    noise = (image - quiet)[ndimage.binary_erosion(quiet > 7.5)]
    weights = np.exp(-0.5 * (np.arange(-5, 6) / (pet.FILTER_MM / 4.25 / 2.3548)) ** 2)
    left = ((weights / weights.sum()) ** 2).sum() ** 1.5  # of Poisson's standard deviation after smoothing three axes
    assert noise.std() == pytest.approx(np.sqrt(8 / 50) * left, rel=0.15)


@pytest.mark.parametrize("at", [(60.0, 0.0, 10.0), (-60.0, 0.0, 10.0), (0.0, -70.0, 40.0)])
def test_a_person_has_right_and_front_and_up_where_the_template_has_them(
    monkeypatch: pytest.MonkeyPatch, at: tuple[float, ...]
) -> None:
    """A ball at a place of the world is found in the columns of its side and the rows of its end."""
    for name in ("STRETCH", "SHIFT_MM", "BEND_MM"):
        monkeypatch.setattr(pet, name, 0.0)
    tissues, affine = pet.template()
    grid = np.argwhere(np.ones(tissues.shape[1:]))
    away = np.linalg.norm(Scan(torch.from_numpy(tissues[0]), affine).world(grid) - at, axis=1)
    (activity,) = pet.deformed((9.0 * (away < 10)).reshape(1, *tissues.shape[1:]), rng())
    middle = np.array(ndimage.center_of_mass(pet.scanned(activity, rng())))
    up, back, left = (middle - (np.array(pet.SHAPE) - 1) / 2) * pet.VOXEL_MM
    np.testing.assert_allclose(np.array([-left, -back, up]) + pet.MIDDLE_MM, at, atol=0.5)


def test_random_fields_have_unit_size_and_people_another_shape() -> None:
    field = pet.smooth(pet.BUMPS_MM, rng())
    assert field.shape == pet.HALF_SHAPE
    assert field.std() == pytest.approx(1, abs=0.05)
    one, other = (pet.deformed(pet.template()[0][:1], rng(seed)) for seed in (0, 1))
    assert np.abs(one - other).mean() > 0.02


def test_the_template_lies_where_its_file_says() -> None:
    """Voxel by voxel against the file, read by nibabel alone."""
    tissues, affine = pet.template()
    file = nib.load(fetch.path("template_gm"))
    raw, back = np.asanyarray(file.dataobj) / 255, np.linalg.inv(file.affine)
    draw = rng()
    for at in np.stack([draw.integers(20, n - 20, 60) for n in tissues.shape[1:]], 1):
        i, j, k = (back @ affine @ [*at, 1])[:3]  # between voxels of the file
        near = np.array(raw[int(i) : int(i) + 2, int(j) : int(j) + 2, int(k) : int(k) + 2])
        for part in (i % 1, j % 1, k % 1):
            near = (1 - part) * near[0] + part * near[1]
        assert tissues[0][tuple(at)] == pytest.approx(float(near), abs=1e-6)


def test_the_cerebellum_is_low_and_behind_and_the_veins_behind() -> None:
    tissues, affine = pet.template()
    brain_share = tissues[:3].sum(0)
    place = Scan(torch.from_numpy(brain_share), affine)
    mm = place.world(np.argwhere(np.ones(brain_share.shape))).T.reshape(3, *brain_share.shape)
    assert brain_share.max() <= 1.0001
    assert place.axes == "SPL"
    low = int(np.abs(mm[2, :, 0, 0] + 50).argmin())
    rows = (brain_share[low] * np.arange(brain_share.shape[1])[:, None]).sum() / brain_share[low].sum()
    assert rows > 0.55 * brain_share.shape[1]
    assert mm[1][low][brain_share[low] > 0.5].mean() < -40
    assert mm[1][(tissues[3] > 0) & (mm[2] < 0)].max() < -50
    assert abs(mm[0][brain_share > 0.5].mean()) < 1


def test_tissues_do_not_overlap_and_fill_a_human_volume() -> None:
    shares = dict(zip(pet.UPTAKE, pet.template()[0]))
    for tissue in ("vessel", "bone", "scalp"):
        assert shares[tissue][shares["grey"] + shares["white"] > 0.9].max() == 0
    assert shares["grey"].sum() * 8e-3 == pytest.approx(900, rel=0.25)
    assert shares["white"].sum() * 8e-3 == pytest.approx(700, rel=0.4)
