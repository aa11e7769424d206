"""Simulated PET in its parts: lesions and scanner against formulas, the template against its file."""

import nibabel as nib
import numpy as np
import pytest
import torch
from scipy import ndimage

from coursekit.data import fetch
from coursekit.data.scan import Scan
from coursekit.data.simulated import lesions, pet
from coursekit.data.simulated.lesions import Blob

FULL = np.ones((3, 3, 3))


def sphere(radius_mm: float, at: tuple[int, int, int] = (12, 20, 40)) -> Blob:
    """A ball around the middle of an image voxel, in sub-voxels."""
    reach = 6
    step = pet.VOXEL_MM / lesions.FINE
    size = (2 * reach + 1) * lesions.FINE
    mm = (np.indices((size,) * 3) - (size - 1) / 2) * step
    return Blob(np.sqrt((mm**2).sum(0)) <= radius_mm, np.array(at) - reach)


def test_a_ball_has_the_volume_and_centre_of_the_formula() -> None:
    ball = sphere(12.0)
    record = pet.record(ball, 5.0)
    assert record.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.005)
    assert lesions.block_mean(ball.fine, 4).sum() * 0.425**3 == pytest.approx(record.volume_ml)
    labels, taken = np.zeros((40, 64, 64), np.int64), np.zeros((40, 64, 64), bool)
    assert lesions.lay(labels, taken, ball, 1)
    assert (labels > 0).sum() * 0.425**3 == pytest.approx(
        record.volume_ml, rel=0.15
    )  # of a hundred voxels most lie at its surface
    np.testing.assert_allclose(
        record.centre_mm, Scan(torch.zeros(40, 64, 64), pet.grid()).world(np.array([[12, 20, 40]]))[0]
    )


@pytest.mark.parametrize("volume_ml", [0.3, 4.0, 30.0])
def test_a_blob_is_one_piece_of_its_volume_at_its_place(volume_ml: float) -> None:
    rng = np.random.default_rng(1)
    for _ in range(2):
        centre = np.array([20.3, 30.7, 33.1])
        one = lesions.blob(volume_ml, centre, voxel_mm=4.25, rng=rng)
        assert ndimage.label(one.fine)[1] == 1
        assert ndimage.label(~np.pad(one.fine, 1))[1] == 1  # no hole
        assert 0.9 * volume_ml < one.volume_ml(4.25) < 1.05 * volume_ml
        assert np.linalg.norm(one.centre() - centre) * 4.25 < 0.4 * 10 * (3 * volume_ml / (4 * np.pi)) ** (1 / 3)


def test_lesions_lie_in_the_brain_and_apart() -> None:
    mask = np.zeros((80, 128, 128), bool)
    mask[20:60, 40:90, 40:90] = True
    found, labels = lesions.scatter(3, mask, voxel_mm=4.25, rng=np.random.default_rng(0))
    assert len(found) == 3
    fine = np.zeros((160, 256, 256), int)
    for one in found:
        fine[one.window(4)] += one.fine
    assert fine.max() == 1
    assert not fine.astype(bool)[~mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)].any()
    assert ndimage.label(labels, FULL)[1] == 3


def test_a_lesion_too_near_another_is_not_laid() -> None:
    labels, taken = np.zeros((40, 64, 64), np.int64), np.zeros((40, 64, 64), bool)
    assert lesions.lay(labels, taken, sphere(10.0, (20, 30, 30)), 1)
    before = labels.copy()
    for near in ((20, 30, 35), (23, 33, 33), (20, 30, 30)):  # they reach 2.4 voxels each
        assert not lesions.lay(labels, taken, sphere(10.0, near), 2)
    assert (labels == before).all()
    assert lesions.lay(labels, taken, sphere(10.0, (20, 30, 37)), 2)


def test_both_grids_cover_the_same_box() -> None:
    """The anatomy is drawn at half the voxels: outer faces agree, and the middle is that of the brain."""
    for corner in ((0, 0, 0), (1, 1, 1)):
        faces = [pet.grid(4.25 / k)[:3] @ [*(np.array(corner) * np.array(pet.SHAPE) * k - 0.5), 1] for k in (1, 2, 4)]
        np.testing.assert_allclose(faces[1:], [faces[0]] * 2, atol=1e-9)
    middle = pet.grid()[:3] @ [*((np.array(pet.SHAPE) - 1) / 2), 1]
    np.testing.assert_allclose(middle, (0, -17, 13), atol=1e-9)


def test_too_many_lesions_are_refused(refuses, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesions, "TRIES", 3)
    mask = np.zeros((40, 40, 40), bool)
    mask[18:24, 18:24, 18:24] = True
    refuses("room for 4 lesions, got", lesions.scatter, 4, mask, voxel_mm=4.25, rng=np.random.default_rng(0))
    assert lesions.scatter(0, mask, voxel_mm=4.25, rng=np.random.default_rng(0))[0] == []


def test_implanting_adds_the_uptake_times_the_volume() -> None:
    ball = sphere(10.0)
    before = np.full((80, 128, 128), 2.0, np.float32)
    added = (pet.implanted(before, [ball], [7.0]) - before).sum(dtype=np.float64) * (4.25 / 2) ** 3 / 1000
    assert added == pytest.approx(5.0 * ball.volume_ml(4.25), rel=1e-4)
    assert before.min() == before.max() == 2


def test_the_spread_of_a_point_has_its_width_and_keeps_its_total() -> None:
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1
    spread = pet.blurred(point, 6.0, 1.0)
    assert spread.sum(dtype=np.float64) == pytest.approx(1, abs=1e-3)
    assert spread[20, 20, 23] / spread[20, 20, 20] == pytest.approx(0.5, abs=0.01)  # half the maximum at half the width
    assert spread[23, 20, 20] == pytest.approx(spread[20, 20, 23])


def test_the_scanner_keeps_the_total_activity() -> None:
    activity = pet.implanted(np.zeros((80, 128, 128), np.float32), [sphere(20.0)], [8.0])
    image = pet.scanned(activity, sensitivity=50.0, rng=np.random.default_rng(0))
    assert image.sum(dtype=np.float64) * 8 == pytest.approx(activity.sum(dtype=np.float64), rel=0.01)
    quiet = pet.scanned(activity, sensitivity=1e5, rng=np.random.default_rng(0))
    noise = (image - quiet)[ndimage.binary_erosion(quiet > 7.5)]
    weights = np.exp(-0.5 * (np.arange(-5, 6) / (pet.FILTER_MM / 4.25 / 2.3548)) ** 2)
    left = (
        (weights / weights.sum()) ** 2
    ).sum() ** 1.5  # of Poisson's standard deviation after smoothing along three axes
    assert noise.std() == pytest.approx(np.sqrt(8 / 50) * left, rel=0.15)


def test_right_is_right_and_front_is_front_through_the_scanner() -> None:
    """A ball set at a place of the world is found in the columns of its side and the rows of its end."""
    for at, low in (((60.0, 0, 10), True), ((-60.0, 0, 10), False)):
        index = Scan(torch.zeros(pet.SHAPE), pet.grid()).index(np.array([at]))[0].round().astype(int)
        ball = sphere(10.0, tuple(int(n) for n in index))
        activity = pet.implanted(np.zeros((80, 128, 128), np.float32), [ball], [9.0])
        image = pet.scanned(activity, sensitivity=100.0, rng=np.random.default_rng(0))
        middle = np.array(ndimage.center_of_mass(image))
        assert (middle[2] < 31.5) == low  # axes SPL: columns begin at the patient's right
        np.testing.assert_allclose(Scan(torch.from_numpy(image), pet.grid()).world(middle[None])[0], at, atol=2.2)


def test_the_template_lies_where_its_file_says() -> None:
    """Voxel by voxel against the file, read by nibabel alone."""
    tissues, affine = pet.template()
    file = nib.load(fetch.path("template_gm"))
    raw, back = np.asanyarray(file.dataobj) / 255, np.linalg.inv(file.affine)
    rng = np.random.default_rng(0)
    for at in np.stack([rng.integers(20, n - 20, 60) for n in tissues.shape[1:]], 1):
        i, j, k = (back @ affine @ [*at, 1])[:3]  # between eight voxels of the file
        eight = raw[int(i) : int(i) + 2, int(j) : int(j) + 2, int(k) : int(k) + 2]
        assert (i % 1, j % 1, k % 1) == (0.5, 0.5, 0.5)
        assert tissues[0][tuple(at)] == pytest.approx(eight.mean(), abs=1e-6)


def test_the_cerebellum_is_low_and_behind_and_the_veins_behind() -> None:
    tissues, affine = pet.template()
    mm = pet.places(affine, tissues.shape[1:])
    brain_share = tissues[:3].sum(0)
    assert brain_share.max() <= 1.0001
    assert Scan(torch.from_numpy(brain_share), affine).axes == "SPL"
    low = int(np.abs(mm[2, :, 0, 0] + 50).argmin())
    rows = (brain_share[low] * np.arange(brain_share.shape[1])[:, None]).sum() / brain_share[low].sum()
    assert rows > 0.55 * brain_share.shape[1]
    assert mm[1][low][brain_share[low] > 0.5].mean() < -40
    assert mm[1][(tissues[4] > 0) & (mm[2] < 0)].max() < -50
    assert abs(mm[0][brain_share > 0.5].mean()) < 1


def test_tissues_do_not_overlap_and_fill_a_human_volume() -> None:
    shares = dict(zip(pet.UPTAKE, pet.template()[0]))
    for tissue in ("vessel", "bone", "scalp"):
        assert shares[tissue][shares["grey"] + shares["white"] > 0.9].max() == 0
    assert shares["grey"].sum() * 8e-3 == pytest.approx(900, rel=0.25)
    assert shares["white"].sum() * 8e-3 == pytest.approx(700, rel=0.4)
