"""The brain: each truth of the simulated PET by a second route, the template and the MRIs the right way up."""

import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage
from torch.utils.data import DataLoader

from coursekit.data import brain, fetch
from coursekit.data.scan import from_nifti, oriented, spaced
from coursekit.data.simulated import lesions
from coursekit.data.simulated import pet as simulated
from coursekit.testing import assert_close
from tests.data.nifti_by_library import to_nifti

FULL = np.ones((3, 3, 3))


@pytest.fixture(scope="module")
def pets() -> brain.PetSet:
    return brain.pet(count=6)


def every(pets: brain.PetSet) -> Iterator[tuple[int, int, brain.Lesion]]:
    """Volume, number and record of each lesion."""
    for i, found in enumerate(pets.lesions):
        for number, lesion in enumerate(found, start=1):
            yield i, number, lesion


def test_shapes_types_and_units(pets: brain.PetSet) -> None:
    assert (pets.images.shape, pets.images.dtype) == ((6, 1, 40, 64, 64), torch.float32)
    assert (pets.masks.shape, pets.masks.dtype) == ((6, 1, 40, 64, 64), torch.bool)
    assert (pets.labels.shape, pets.labels.dtype) == ((6, 40, 64, 64), torch.int64)
    assert pets.scan(0).unit == "SUV"
    assert torch.equal(pets.masks[:, 0], pets.labels > 0)
    np.testing.assert_allclose(pets.scan(0).spacing_mm, (4.25, 4.25, 4.25))
    assert pets.images.min() >= 0
    assert {len(found) for found in pets.lesions} > {0, 2}


def test_the_parts_have_the_sizes_of_the_lectures_slide(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = (np.zeros(simulated.SHAPE, np.float32), np.zeros(simulated.SHAPE, np.int64), ())
    monkeypatch.setattr(brain, "person", lambda *_: empty)
    assert (len(brain.pet()), len(brain.pet(split="test"))) == (37, 11)


def test_lesions_are_as_many_as_connected_pieces(pets: brain.PetSet) -> None:
    for i, found in enumerate(pets.lesions):
        pieces, count = ndimage.label(pets.masks[i, 0].numpy(), FULL)
        assert count == len(found) == int(pets.labels[i].max())
        for number in range(1, count + 1):
            assert len(np.unique(pets.labels[i].numpy()[pieces == number])) == 1


def test_volumes_in_voxels_agree_with_the_stated(pets: brain.PetSet) -> None:
    stated, seen = [], []
    for i, number, lesion in every(pets):
        assert lesions.LEAST_ML <= lesion.volume_ml <= lesions.MOST_ML
        stated.append(lesion.volume_ml)
        seen.append(int((pets.labels[i] == number).sum()) * pets.label(i).voxel_ml)
    ratio = np.array(seen) / np.array(stated)
    assert len(ratio) >= 8
    assert np.abs(ratio - 1).max() < 0.45  # the smallest have four voxels
    assert np.abs(ratio - 1)[np.array(stated) > 3].max() < 0.15
    assert sum(seen) == pytest.approx(sum(stated), rel=0.05)


def test_centres_in_voxels_lie_where_stated(pets: brain.PetSet) -> None:
    for i, number, lesion in every(pets):
        middle = np.array(ndimage.center_of_mass((pets.labels[i] == number).numpy()))
        away = np.linalg.norm(pets.label(i).world(middle[None])[0] - lesion.centre_mm)
        assert away < 1.3, lesion


def test_the_middle_of_a_large_lesion_has_the_stated_uptake(pets: brain.PetSet) -> None:
    """Three voxels from its surface the scanner's spread brings nothing in."""
    seen = 0
    for i, number, lesion in every(pets):
        core = ndimage.binary_erosion((pets.labels[i] == number).numpy(), iterations=2)
        if core.sum() >= 12:
            seen += 1
            assert float(pets.images[i, 0].numpy()[core].mean()) == pytest.approx(lesion.uptake, rel=0.1)
    assert seen >= 2


def test_the_brightest_healthy_place_with_fet_is_a_vein_as_bright_as_a_faint_lesion(pets: brain.PetSet) -> None:
    """Near the midline, behind or above: the sagittal sinus. A threshold that finds faint lesions marks it too."""
    for i in range(len(pets)):
        image = pets.images[i, 0].numpy()
        healthy = np.where(
            ndimage.binary_dilation(pets.masks[i, 0].numpy(), iterations=3), 0, ndimage.gaussian_filter(image, 0.7)
        )
        x, y, z = pets.scan(i).world(np.array([np.unravel_index(healthy.argmax(), healthy.shape)]))[0]
        assert abs(x) < 15
        assert y < -80 or z > 70
        assert healthy.max() > 1.45 * np.median(
            healthy[healthy > 0.5]
        )  # lesions begin at 1.5 before the scanner spreads them


def test_no_person_is_in_both_parts_and_more_people_change_none(pets: brain.PetSet) -> None:
    test, fewer, other = (
        brain.pet(split=part, count=2, seed=seed) for part, seed in (("test", 0), ("train", 0), ("train", 1))
    )
    assert torch.equal(fewer.images, pets.images[:2])
    assert torch.equal(fewer.labels, pets.labels[:2])
    assert fewer.lesions == pets.lesions[:2]
    everyone = torch.cat([pets.images, test.images, other.images])
    outlines = (everyone > 0.5).flatten(1).float()
    for i in range(len(everyone)):
        for j in range(i):
            assert not torch.equal(outlines[i], outlines[j])
            assert float((outlines[i] - outlines[j]).abs().mean()) > 0.005  # another shape of head, not other noise


DIGEST = """
import hashlib, torch
from coursekit.data import brain
pets = brain.pet(count=1, seed=5)
arrays = pets.images.numpy().tobytes() + pets.labels.numpy().tobytes()
digest = hashlib.sha256(arrays + repr(pets.lesions).encode()).hexdigest()
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


def test_a_set_travels_to_workers_and_stacks_into_batches(pets: brain.PetSet) -> None:
    copy = pickle.loads(pickle.dumps(pets))
    assert torch.equal(copy.images, pets.images)
    assert copy.lesions == pets.lesions
    batch = next(iter(DataLoader(pets, batch_size=3)))
    assert isinstance(batch, brain.PetItem)
    assert_close(batch.image, pets.images[:3])
    assert torch.equal(batch.mask[:, 0], batch.labels > 0)


def test_a_volume_goes_to_nifti_and_back(pets: brain.PetSet, tmp_path: Path) -> None:
    to_nifti(pets.scan(1), tmp_path / "pet.nii.gz")
    back = oriented(from_nifti(tmp_path / "pet.nii.gz"))
    assert (back.axes, back.unit) == ("SPL", "SUV")
    assert torch.equal(back.values, pets.images[1, 0])
    np.testing.assert_allclose(back.affine, pets.scan(1).affine, atol=1e-4)


def test_arguments_are_checked(refuses) -> None:
    refuses("split to be one of 'train', 'test'", brain.pet, split="val")
    refuses("count > 0", brain.pet, count=0)


@pytest.mark.parametrize("load", [brain.pet, lambda: brain.mri("brain1")], ids=["template_t1", "brain1_image"])
def test_without_the_files_one_sentence_says_what_to_run(
    empty_cache: Path, load: Callable[[], object], request: pytest.FixtureRequest
) -> None:
    with pytest.raises(fetch.DataMissing, match=f"run coursekit data fetch {request.node.callspec.id}"):
        load()


@pytest.mark.parametrize(("name", "slices", "volume_ml"), [("brain1", 25, 16.41), ("brain2", 23, 1.80)])
def test_the_real_mris_are_those_described(name: str, slices: int, volume_ml: float) -> None:
    one = brain.mri(name)
    assert one.scan.unit == ""
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
def test_the_tumour_lies_where_itk_puts_it(name: str) -> None:
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
def test_nose_in_front_and_crown_on_top(name: str) -> None:
    """The air of nose and sinuses is the dark inside of a low head; its crown is small and holds no air."""
    values = brain.mri(name).scan.values.numpy()
    head = np.stack([ndimage.binary_fill_holes(ndimage.binary_closing(v > 120, iterations=4)) for v in values])
    air = ndimage.binary_erosion(head, FULL[:1]) & (ndimage.gaussian_filter(values, (0, 2, 2)) < 60)
    low = slice(1, 5)
    assert np.argwhere(air[low]).mean(0)[1] < np.argwhere(head[low]).mean(0)[1] - 15
    assert head[-1].sum() < 0.6 * head[len(head) // 2].sum()
    assert air[low].sum() > 5 * air[-5:].sum()


def test_an_mri_is_read_once(refuses) -> None:
    assert brain.mri("brain1") is brain.mri("brain1")
    refuses("name to be one of", brain.mri, "brain3")


def test_normalised_puts_two_percentiles_at_nought_and_one(refuses) -> None:
    ramp = spaced(torch.arange(1000.0).reshape(10, 10, 10), (6.5, 1.0, 1.0), unit="HU")
    out = brain.normalised(ramp)
    assert out.unit == ""
    assert_close(out.values.flatten(), ((torch.arange(1000.0) - 9.99) / 984.015).clamp(0, 1), atol=1e-4)
    refuses(
        "percentiles 1 and 99.5 differ, got 4 for both",
        brain.normalised,
        spaced(torch.full((3, 3, 3), 4.0), (1.0, 1.0, 1.0)),
    )
