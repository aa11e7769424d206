"""The brain: each truth of the simulated PET by a second route, the template and the MRIs the right way up, phantoms in
their place.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch.utils.data import DataLoader

from coursekit.data import brain, fetch
from coursekit.data.brain import folder, lesions, scans, simulated, template, volumes
from coursekit.data.brain.lesions import Blob
from coursekit.data.scan import Scan, from_nifti, oriented, spaced, to_nifti
from coursekit.testing import assert_close

FULL = np.ones((3, 3, 3))


@pytest.fixture(autouse=True, scope="module")
def no_folder() -> Iterator[None]:
    """Whoever runs the tests may have named a folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("COURSEKIT_PET", raising=False)
        yield


@pytest.fixture(scope="module")
def fdg() -> brain.PetSet:
    return brain.pet(tracer="FDG", count=6)


@pytest.fixture(scope="module")
def fet() -> brain.PetSet:
    return brain.pet(tracer="FET", count=6)


def every(pets: brain.PetSet) -> Iterator[tuple[int, int, brain.Lesion]]:
    """Volume, number and record of each lesion."""
    for i, found in enumerate(pets.lesions):
        for number, lesion in enumerate(found, start=1):
            yield i, number, lesion


def sphere(radius_mm: float, at: tuple[int, int, int] = (12, 20, 40)) -> Blob:
    """A ball around the middle of an image voxel, in sub-voxels."""
    reach = 6
    step = simulated.VOXEL_MM / lesions.FINE
    size = (2 * reach + 1) * lesions.FINE
    mm = (np.indices((size,) * 3) - (size - 1) / 2) * step
    return Blob(np.sqrt((mm**2).sum(0)) <= radius_mm, np.array(at) - reach)


def test_shapes_types_and_units(fdg: brain.PetSet) -> None:
    assert (fdg.images.shape, fdg.images.dtype) == ((6, 1, 40, 64, 64), torch.float32)
    assert (fdg.masks.shape, fdg.masks.dtype) == ((6, 1, 40, 64, 64), torch.bool)
    assert (fdg.labels.shape, fdg.labels.dtype) == ((6, 40, 64, 64), torch.int64)
    assert (fdg.source, fdg.note, fdg.unit, fdg.tracer, fdg.split) == ("simulated", "", "SUV", "FDG", "train")
    assert torch.equal(fdg.masks[:, 0], fdg.labels > 0)
    np.testing.assert_allclose(fdg.spacing_mm, (4.25, 4.25, 4.25))
    assert fdg.voxel_ml == pytest.approx(0.425**3)
    assert fdg.images.min() >= 0
    assert {len(found) for found in fdg.lesions} > {0, 2}


def test_the_parts_have_the_papers_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = (np.zeros(volumes.SHAPE, np.float32), np.zeros(volumes.SHAPE, np.int64), ())
    monkeypatch.setattr(simulated, "_volume", lambda *_: empty)
    assert (len(brain.pet()), len(brain.pet(split="test"))) == (37, 11)


def test_lesions_are_as_many_as_connected_pieces(fdg: brain.PetSet) -> None:
    for i, found in enumerate(fdg.lesions):
        pieces, count = ndimage.label(fdg.masks[i, 0].numpy(), FULL)
        assert count == len(found) == int(fdg.labels[i].max())
        for number in range(1, count + 1):
            assert len(np.unique(fdg.labels[i].numpy()[pieces == number])) == 1


def test_volumes_in_voxels_agree_with_the_stated(fdg: brain.PetSet) -> None:
    stated, seen = [], []
    for i, number, lesion in every(fdg):
        assert lesions.LEAST_ML <= lesion.volume_ml <= lesions.MOST_ML
        stated.append(lesion.volume_ml)
        seen.append(int((fdg.labels[i] == number).sum()) * fdg.voxel_ml)
    ratio = np.array(seen) / np.array(stated)
    assert len(ratio) >= 8
    assert np.abs(ratio - 1).max() < 0.45  # the smallest have four voxels
    assert np.abs(ratio - 1)[np.array(stated) > 3].max() < 0.15
    assert sum(seen) == pytest.approx(sum(stated), rel=0.05)


def test_centres_in_voxels_lie_where_stated(fdg: brain.PetSet) -> None:
    for i, number, lesion in every(fdg):
        middle = np.array(ndimage.center_of_mass((fdg.labels[i] == number).numpy()))
        away = np.linalg.norm(fdg.label(i).world(middle[None])[0] - lesion.centre_mm)
        assert away < 1.3, lesion


def test_the_middle_of_a_large_lesion_has_the_stated_uptake(fdg: brain.PetSet, fet: brain.PetSet) -> None:
    """Three voxels from its surface the scanner's spread brings nothing in."""
    seen = 0
    for pets in (fdg, fet):
        for i, number, lesion in every(pets):
            core = ndimage.binary_erosion((pets.labels[i] == number).numpy(), iterations=2)
            if core.sum() >= 12:
                seen += 1
                assert float(pets.images[i, 0].numpy()[core].mean()) == pytest.approx(lesion.uptake, rel=0.1)
    assert seen >= 4


def test_a_ball_has_the_volume_and_centre_of_the_formula() -> None:
    ball = sphere(12.0)
    record = simulated._record(ball, 5.0)
    assert record.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.005)
    assert ball.share(4).sum() * 0.425**3 == pytest.approx(record.volume_ml)
    labels, taken = np.zeros((40, 64, 64), np.int64), np.zeros((40, 64, 64), bool)
    assert lesions._lay(labels, taken, ball, 1)
    assert (labels > 0).sum() * 0.425**3 == pytest.approx(
        record.volume_ml, rel=0.15
    )  # of a hundred voxels most lie at its surface
    np.testing.assert_allclose(
        record.centre_mm, Scan(torch.zeros(40, 64, 64), volumes.grid()).world(np.array([[12, 20, 40]]))[0]
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
        fine[tuple(slice(4 * w.start, 4 * w.stop) for w in one.window)] += one.fine
    assert fine.max() == 1
    assert not fine.astype(bool)[~mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)].any()
    assert ndimage.label(labels, FULL)[1] == 3


def test_a_lesion_too_near_another_is_not_laid() -> None:
    labels, taken = np.zeros((40, 64, 64), np.int64), np.zeros((40, 64, 64), bool)
    assert lesions._lay(labels, taken, sphere(10.0, (20, 30, 30)), 1)
    before = labels.copy()
    for near in ((20, 30, 35), (23, 33, 33), (20, 30, 30)):  # they reach 2.4 voxels each
        assert not lesions._lay(labels, taken, sphere(10.0, near), 2)
    assert (labels == before).all()
    assert lesions._lay(labels, taken, sphere(10.0, (20, 30, 37)), 2)


def test_both_grids_cover_the_same_box() -> None:
    """The anatomy is drawn at half the voxels: outer faces agree, and the middle is that of the brain."""
    for corner in ((0, 0, 0), (1, 1, 1)):
        faces = [
            volumes.grid(4.25 / k)[:3] @ [*(np.array(corner) * np.array(volumes.SHAPE) * k - 0.5), 1] for k in (1, 2, 4)
        ]
        np.testing.assert_allclose(faces[1:], [faces[0]] * 2, atol=1e-9)
    middle = volumes.grid()[:3] @ [*((np.array(volumes.SHAPE) - 1) / 2), 1]
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
    added = (simulated.implanted(before, [ball], [7.0]) - before).sum(dtype=np.float64) * (4.25 / 2) ** 3 / 1000
    assert added == pytest.approx(5.0 * ball.volume_ml(4.25), rel=1e-4)
    assert before.min() == before.max() == 2


def test_the_spread_of_a_point_has_its_width_and_keeps_its_total() -> None:
    point = np.zeros((41, 41, 41), np.float32)
    point[20, 20, 20] = 1
    spread = simulated.blurred(point, 6.0, 1.0)
    assert spread.sum(dtype=np.float64) == pytest.approx(1, abs=1e-3)
    assert spread[20, 20, 23] / spread[20, 20, 20] == pytest.approx(0.5, abs=0.01)  # half the maximum at half the width
    assert spread[23, 20, 20] == pytest.approx(spread[20, 20, 23])


def test_the_scanner_keeps_the_total_activity() -> None:
    activity = simulated.implanted(np.zeros((80, 128, 128), np.float32), [sphere(20.0)], [8.0])
    image = simulated.scanned(activity, sensitivity=50.0, rng=np.random.default_rng(0))
    assert image.sum(dtype=np.float64) * 8 == pytest.approx(activity.sum(dtype=np.float64), rel=0.01)
    quiet = simulated.scanned(activity, sensitivity=1e5, rng=np.random.default_rng(0))
    noise = (image - quiet)[ndimage.binary_erosion(quiet > 7.5)]
    weights = np.exp(-0.5 * (np.arange(-5, 6) / (simulated.FILTER_MM / 4.25 / 2.3548)) ** 2)
    left = (
        (weights / weights.sum()) ** 2
    ).sum() ** 1.5  # of Poisson's standard deviation after smoothing along three axes
    assert noise.std() == pytest.approx(np.sqrt(8 / 50) * left, rel=0.15)


def test_grey_matter_outshines_white_by_four_with_fdg_and_hardly_with_fet(fdg: brain.PetSet, fet: brain.PetSet) -> None:
    """Read back from the images themselves: their brightest and dimmest fifth of the brain, without the lesions."""
    contrast = {}
    for name, pets in (("FDG", fdg), ("FET", fet)):
        shares = []
        for i in range(len(pets)):
            inside = ndimage.binary_erosion(fdg.images[i, 0].numpy() > 2, iterations=3) & ~ndimage.binary_dilation(
                pets.masks[i, 0].numpy()
            )
            low, high = np.percentile(pets.images[i, 0].numpy()[inside], [10, 90])
            shares.append(high / low)
        contrast[name] = np.mean(shares)
    assert 1.8 < contrast["FDG"] < 4  # four, less what the spread mixes
    assert contrast["FET"] < 1.6
    assert contrast["FDG"] > 1.4 * contrast["FET"]


def test_the_brightest_healthy_place_with_fet_is_a_vein_as_bright_as_a_faint_lesion(fet: brain.PetSet) -> None:
    """Near the midline, behind or above: the sagittal sinus. A threshold that finds faint lesions marks it too."""
    for i in range(len(fet)):
        image = fet.images[i, 0].numpy()
        healthy = np.where(
            ndimage.binary_dilation(fet.masks[i, 0].numpy(), iterations=3), 0, ndimage.gaussian_filter(image, 0.7)
        )
        x, y, z = fet.scan(i).world(np.array([np.unravel_index(healthy.argmax(), healthy.shape)]))[0]
        assert abs(x) < 15
        assert y < -80 or z > 70
        assert healthy.max() > 1.45 * np.median(
            healthy[healthy > 0.5]
        )  # lesions begin at 1.5 before the scanner spreads them


def test_both_tracers_see_the_same_people(fdg: brain.PetSet, fet: brain.PetSet) -> None:
    assert torch.equal(fdg.labels, fet.labels)
    assert [[v[:2] for v in found] for found in fdg.lesions] == [[v[:2] for v in found] for found in fet.lesions]
    assert not torch.equal(fdg.images, fet.images)


def test_no_person_is_in_both_parts_and_more_people_change_none(fdg: brain.PetSet) -> None:
    test, fewer, other = (
        brain.pet(split=part, count=2, seed=seed) for part, seed in (("test", 0), ("train", 0), ("train", 1))
    )
    assert torch.equal(fewer.images, fdg.images[:2])
    assert torch.equal(fewer.labels, fdg.labels[:2])
    assert fewer.lesions == fdg.lesions[:2]
    everyone = torch.cat([fdg.images, test.images, other.images])
    outlines = (everyone > 2).flatten(1).float()
    for i in range(len(everyone)):
        for j in range(i):
            assert not torch.equal(outlines[i], outlines[j])
            assert float((outlines[i] - outlines[j]).abs().mean()) > 0.005  # another shape of head, not other noise


DIGEST = """
import hashlib, torch
from coursekit.data import brain
pets = brain.pet(tracer="FET", count=1, seed=5)
digest = hashlib.sha256(pets.images.numpy().tobytes() + pets.labels.numpy().tobytes() + repr(pets.lesions).encode()).hexdigest()
"""


def test_the_same_bits_in_another_process_with_other_threads() -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "3"}
    there = subprocess.run(
        [sys.executable, "-c", f"{DIGEST}print(digest)"], env=env, capture_output=True, text=True, check=True
    )
    threads, here = torch.get_num_threads(), {}
    torch.set_num_threads(1)
    exec(DIGEST, here)
    torch.set_num_threads(threads)
    assert there.stdout.strip() == here["digest"]


def test_a_set_travels_to_workers_and_stacks_into_batches(fdg: brain.PetSet) -> None:
    copy = pickle.loads(pickle.dumps(fdg))
    assert torch.equal(copy.images, fdg.images)
    assert copy.lesions == fdg.lesions
    batch = next(iter(DataLoader(fdg, batch_size=3)))
    assert isinstance(batch, brain.PetItem)
    assert_close(batch.image, fdg.images[:3])
    assert torch.equal(batch.mask[:, 0], batch.labels > 0)


def test_a_volume_goes_to_nifti_and_back(fdg: brain.PetSet, tmp_path: Path) -> None:
    to_nifti(fdg.scan(1), tmp_path / "pet.nii.gz")
    back = oriented(from_nifti(tmp_path / "pet.nii.gz"))
    assert (back.axes, back.unit) == ("SPL", "SUV")
    assert torch.equal(back.values, fdg.images[1, 0])
    np.testing.assert_allclose(back.affine, fdg.affine, atol=1e-4)


def test_arguments_are_checked(refuses) -> None:
    refuses("split to be one of 'train', 'test'", brain.pet, split="val")
    refuses("tracer to be one of 'FDG', 'FET'", brain.pet, tracer="FLT")
    refuses("count > 0", brain.pet, count=0)


def test_right_is_right_and_front_is_front_through_the_scanner() -> None:
    """A ball set at a place of the world is found in the columns of its side and the rows of its end."""
    for at, low in (((60.0, 0, 10), True), ((-60.0, 0, 10), False)):
        index = Scan(torch.zeros(volumes.SHAPE), volumes.grid()).index(np.array([at]))[0].round().astype(int)
        ball = sphere(10.0, tuple(int(n) for n in index))
        activity = simulated.implanted(np.zeros((80, 128, 128), np.float32), [ball], [9.0])
        image = simulated.scanned(activity, sensitivity=100.0, rng=np.random.default_rng(0))
        middle = np.array(ndimage.center_of_mass(image))
        assert (middle[2] < 31.5) == low  # axes SPL: columns begin at the patient's right
        np.testing.assert_allclose(Scan(torch.from_numpy(image), volumes.grid()).world(middle[None])[0], at, atol=2.2)


def test_the_template_lies_where_its_file_says() -> None:
    """Voxel by voxel against the file, read by nibabel alone."""
    ground = template.load(allow_phantom=False)
    file = nib.load(fetch.path("template_gm"))
    raw, back = np.asanyarray(file.dataobj) / 255, np.linalg.inv(file.affine)
    rng = np.random.default_rng(0)
    for at in np.stack([rng.integers(20, n - 20, 60) for n in ground.tissues.shape[1:]], 1):
        i, j, k = (back @ ground.affine @ [*at, 1])[:3]  # between eight voxels of the file
        eight = raw[int(i) : int(i) + 2, int(j) : int(j) + 2, int(k) : int(k) + 2]
        assert (i % 1, j % 1, k % 1) == (0.5, 0.5, 0.5)
        assert ground.tissues[0][tuple(at)] == pytest.approx(eight.mean(), abs=1e-6)


@pytest.mark.parametrize(
    "ground", [lambda: template.load(allow_phantom=False), template.phantom], ids=["template", "phantom"]
)
def test_the_cerebellum_is_low_and_behind_and_the_veins_behind(ground) -> None:
    one = ground()
    mm = template.places(one.affine, one.tissues.shape[1:])
    brain_share = one.tissues[:3].sum(0)
    assert brain_share.max() <= 1.0001
    assert Scan(torch.from_numpy(brain_share), one.affine).axes == "SPL"
    low = int(np.abs(mm[2, :, 0, 0] + 50).argmin())
    rows = (brain_share[low] * np.arange(brain_share.shape[1])[:, None]).sum() / brain_share[low].sum()
    assert rows > 0.55 * brain_share.shape[1]
    assert mm[1][low][brain_share[low] > 0.5].mean() < -40
    assert mm[1][(one.tissues[4] > 0) & (mm[2] < 0)].max() < -50
    assert abs(mm[0][brain_share > 0.5].mean()) < 1


def test_tissues_do_not_overlap_and_fill_a_human_volume() -> None:
    for ground, grey_ml, white_ml in ((template.load(), 900, 700), (template.phantom(), 700, 700)):
        shares = dict(zip(template.TISSUES, ground.tissues))
        for tissue in ("vessel", "bone", "scalp"):
            assert shares[tissue][shares["grey"] + shares["white"] > 0.9].max() == 0
        assert shares["grey"].sum() * 8e-3 == pytest.approx(grey_ml, rel=0.25)
        assert shares["white"].sum() * 8e-3 == pytest.approx(white_ml, rel=0.4)


def test_without_the_template_a_labelled_phantom(empty_cache: Path) -> None:
    pets = brain.pet(tracer="FDG", split="test", count=2)
    assert (pets.source, pets.images.shape, pets.labels.shape) == ("phantom", (2, 1, 40, 64, 64), (2, 40, 64, 64))
    assert "run coursekit data fetch template_t1" in pets.note
    for i, found in enumerate(pets.lesions):
        assert ndimage.label(pets.masks[i, 0].numpy(), FULL)[1] == len(found)
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch template_t1"):
        brain.pet(allow_phantom=False)


@pytest.mark.parametrize(("name", "slices", "volume_ml"), [("brain1", 25, 16.41), ("brain2", 23, 1.80)])
def test_the_real_mris_are_those_described(name: scans.Name, slices: int, volume_ml: float) -> None:
    one = brain.mri(name)
    assert (one.source, one.note, one.scan.unit) == ("real", "", "")
    assert (one.scan.values.shape, one.scan.values.dtype) == ((slices, 256, 256), torch.float32)
    assert (one.label.values.shape, one.label.values.dtype) == ((slices, 256, 256), torch.bool)
    assert one.scan.axes == one.label.axes == "SPL"
    np.testing.assert_allclose(one.scan.spacing_mm, (6.5, 0.78125, 0.78125))
    assert int(one.label.values.sum()) * one.label.voxel_ml == pytest.approx(volume_ml, abs=0.01)
    around = ndimage.binary_dilation(one.label.values.numpy(), FULL[None, 1], iterations=3) & ~one.label.values.numpy()
    assert (
        one.scan.values[one.label.values].mean() > 1.15 * one.scan.values[torch.from_numpy(around)].mean()
    )  # takes up contrast agent


@pytest.mark.parametrize("name", ["brain1", "brain2"])
def test_the_tumour_lies_where_itk_puts_it(name: scans.Name) -> None:
    file = sitk.ReadImage(str(fetch.path(f"{name}_label")))
    x, y, z = file.TransformContinuousIndexToPhysicalPoint(
        np.argwhere(sitk.GetArrayFromImage(file)).mean(0)[::-1].tolist()
    )
    label = brain.mri(name).label
    np.testing.assert_allclose(
        label.world(label.values.nonzero().double().mean(0)[None].numpy())[0], (-x, -y, z), atol=1e-6
    )
    assert -x < -30  # both lie on the patient's left


@pytest.mark.parametrize("name", ["brain1", "brain2"])
def test_nose_in_front_and_crown_on_top(name: scans.Name) -> None:
    """The air of nose and sinuses is the dark inside of a low head; its crown is small and holds no air."""
    values = brain.mri(name).scan.values.numpy()
    head = np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(v > 120, iterations=4)) for v in values])
    air = ndimage.binary_erosion(head, FULL[:1]) & (ndimage.gaussian_filter(values, (0, 2, 2)) < 60)
    low = slice(1, 5)
    assert np.argwhere(air[low]).mean(0)[1] < np.argwhere(head[low]).mean(0)[1] - 15
    assert head[-1].sum() < 0.6 * head[len(head) // 2].sum()
    assert air[low].sum() > 5 * air[-5:].sum()


def test_mris_are_split_by_person(refuses) -> None:
    assert brain.mri(split="train") is brain.mri("brain1")
    assert brain.mri(split="test") is brain.mri("brain2")
    assert brain.mri("brain2", split="test") is brain.mri("brain2")
    refuses("the name of a scan or its part, got name='brain1' and split='test'", brain.mri, "brain1", split="test")
    refuses("the name of a scan or its part", brain.mri)
    refuses("name to be one of", brain.mri, "brain3")
    refuses("split to be one of", brain.mri, split="val")


@pytest.mark.parametrize("name", ["brain1", "brain2"])
def test_without_the_mri_a_phantom_like_it(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch, name: scans.Name
) -> None:
    one = brain.mri(name)
    assert one.source == "phantom"
    assert f"run coursekit data fetch {name}_image" in one.note
    with pytest.raises(fetch.DataMissing, match=f"run coursekit data fetch {name}_image"):
        brain.mri(name, allow_phantom=False)
    monkeypatch.undo()
    real = brain.mri(name)
    for kind in ("scan", "label"):
        stand_in, true = getattr(one, kind), getattr(real, kind)
        assert (stand_in.values.shape, stand_in.values.dtype) == (true.values.shape, true.values.dtype)
        np.testing.assert_allclose(stand_in.affine, true.affine, atol=0.1)
    assert int(one.label.values.sum()) == pytest.approx(int(real.label.values.sum()), rel=0.1)
    middles = [m.label.world(m.label.values.nonzero().double().mean(0)[None].numpy())[0] for m in (one, real)]
    np.testing.assert_allclose(*middles, atol=2)


def test_normalised_puts_two_percentiles_at_nought_and_one(refuses) -> None:
    ramp = spaced(torch.arange(1000.0).reshape(10, 10, 10), (6.5, 1.0, 1.0), unit="HU")
    out = brain.normalised(ramp, low=10, high=90)
    assert out.unit == ""
    assert_close(out.values.flatten(), ((torch.arange(1000.0) - 99.9) / 799.2).clamp(0, 1), atol=1e-4)
    refuses(
        "percentiles 1 and 99.5 differ, got 4 for both",
        brain.normalised,
        spaced(torch.full((3, 3, 3), 4.0), (1.0, 1.0, 1.0)),
    )


@pytest.fixture
def nifti_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four subjects at 2 mm, axes RAS, two balls each: one of 12 mm radius, one of 8, of uptake 6 and 3 in a background
    of 1.
    """
    monkeypatch.setenv("COURSEKIT_PET", str(tmp_path))
    names = ["patient0", "patient1", "patient2", "patient5"]  # by their names the last falls into the test part
    shape, affine = (80, 90, 100), np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = (-70, -100, -60)
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
    mm = np.indices(shape) * 2.0 + np.array([-70, -100, -60])[:, None, None, None]
    far, near = (np.sqrt(((mm - np.array(c)[:, None, None, None]) ** 2).sum(0)) for c in ((30, 10, 20), (-30, -40, 60)))
    for k, name in enumerate(names):
        values = np.where(far < 12, 6.0, np.where(near < 8, 3.0, 1.0)).astype(np.float32)
        label = (
            ((far < 12) | (near < 8)).astype(np.uint8)
            if k
            else np.where(far < 12, 4, np.where(near < 8, 9, 0)).astype(np.uint8)
        )
        for kind, array in (("images", values), ("labels", label)):
            nib.save(nib.Nifti1Image(array, affine), tmp_path / kind / f"{name}.nii.gz")


def test_a_folder_of_real_volumes_takes_their_place(nifti_folder: None, refuses) -> None:
    train, test = brain.pet(), brain.pet(split="test")
    assert (train.source, len(train), len(test)) == ("real", 3, 1)
    assert "3 volumes of" in train.note
    assert train.images.shape[1:] == (1, 40, 64, 64)
    assert brain.pet(count=1).images.shape[0] == 1
    for i, found in enumerate(train.lesions):
        by_volume = sorted(found, key=lambda lesion: -lesion.volume_ml)
        for lesion, radius, uptake, centre in zip(
            by_volume, (12, 8), (6, 3), ((30, 10, 20), (-30, -40, 60)), strict=True
        ):
            assert lesion.volume_ml == pytest.approx(4 / 3 * np.pi * (radius / 10) ** 3, rel=0.08)
            assert lesion.uptake == pytest.approx(uptake)
            np.testing.assert_allclose(lesion.centre_mm, centre, atol=0.5)
        for number, lesion in enumerate(found, start=1):
            voxels = (train.labels[i] == number).numpy()
            assert voxels.sum() * train.voxel_ml == pytest.approx(lesion.volume_ml, rel=0.2)
            np.testing.assert_allclose(
                train.label(i).world(np.argwhere(voxels).mean(0)[None])[0], lesion.centre_mm, atol=1
            )
            assert float(train.images[i, 0].numpy()[voxels].max()) == pytest.approx(lesion.uptake, rel=0.05)
    refuses("99 volumes of the train part", brain.pet, count=99)


def test_numbers_in_a_label_file_are_lesions_even_if_they_touch() -> None:
    for stored, wanted in (
        ([9, 9, 4, 4, 0, 4], [2, 2, 1, 1, 0, 1]),
        ([1, 1, 0, 1, 0, 0], [1, 1, 0, 2, 0, 0]),
        ([0] * 6, [0] * 6),
    ):
        label = spaced(torch.tensor(stored).view(1, 1, 6), (2.0, 2.0, 2.0))
        assert folder._instances(label).ravel().tolist() == wanted


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 4.25, 6.0])
def test_a_finer_volume_is_blurred_to_the_variance_of_our_voxels(step: float) -> None:
    """A point in the file spreads to the variance of a box of 4.25 mm less that of the file's own, which it had before."""
    values = np.zeros((1, 1, 65), np.float32)
    values[0, 0, 32] = 1
    scan = spaced(torch.from_numpy(values), (8.0, 8.0, step), axes="SPL")
    read = folder._onto(values, scan, scan.affine)[0, 0]
    place = (np.arange(64) - 32) * step
    spread = float((read[:64] * place**2).sum() / read.sum())
    assert spread == pytest.approx(max(0.0, 4.25**2 - step**2) / 12, rel=0.1, abs=0.02)
