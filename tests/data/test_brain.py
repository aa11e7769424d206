"""The brain: each truth of the simulated PET by a second route, the template and the MRIs the right way up."""

import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from coursekit.data import brain, fetch
from coursekit.data.scan import spaced
from coursekit.data.simulated import pet as simulated
from coursekit.testing import assert_close

FULL = np.ones((3, 3, 3))


@pytest.fixture(scope="module")
def pets() -> brain.PetSet:
    return brain.pet(count=6)


def test_shapes_types_and_units(pets: brain.PetSet) -> None:
    assert (pets.images.shape, pets.images.dtype) == ((6, 1, 40, 64, 64), torch.float32)
    assert (pets.masks.shape, pets.masks.dtype) == ((6, 1, 40, 64, 64), torch.bool)
    assert (pets.labels.shape, pets.labels.dtype) == ((6, 40, 64, 64), torch.int64)
    assert torch.equal(pets.masks[:, 0], pets.labels > 0)
    assert pets.images.min() >= 0
    assert set(pets.labels.amax((1, 2, 3)).tolist()) >= {0, 1, 2}


def test_the_parts_have_the_sizes_of_the_lectures_slide(monkeypatch: pytest.MonkeyPatch) -> None:
    empty = (np.zeros(simulated.SHAPE, np.float32), np.zeros(simulated.SHAPE, np.int64))
    monkeypatch.setattr(brain, "person", lambda *_: empty)
    assert (len(brain.pet().images), len(brain.pet(split="test").images)) == (37, 11)


def test_lesions_are_as_many_as_connected_pieces(pets: brain.PetSet) -> None:
    for labels in pets.labels.numpy():
        pieces, count = ndimage.label(labels > 0, FULL)
        assert count == labels.max()
        for number in range(1, count + 1):
            assert len(np.unique(labels[pieces == number])) == 1
            assert (labels == number).sum() >= simulated.LEAST


def test_the_brightest_healthy_place_with_fet_is_a_vein_as_bright_as_a_faint_lesion(pets: brain.PetSet) -> None:
    """Above or behind: a sinus. A threshold that finds faint lesions marks it too."""
    for i in range(len(pets.images)):
        image = pets.images[i, 0].numpy()
        healthy = np.where(
            ndimage.binary_dilation(pets.masks[i, 0].numpy(), iterations=3), 0, ndimage.gaussian_filter(image, 0.7)
        )
        place = np.unravel_index(healthy.argmax(), healthy.shape)  # axes SPL
        up, back, _ = (np.array(place) - (np.array(simulated.SHAPE) - 1) / 2) * simulated.VOXEL_MM
        assert back > 35 or up > 55  # of the brain's middle
        assert healthy.max() > 1.45 * np.median(
            healthy[healthy > 0.5]
        )  # lesions begin at 1.5 before the scanner spreads them


def test_no_person_is_in_both_parts_and_more_people_change_none(pets: brain.PetSet) -> None:
    test, fewer, other = (
        brain.pet(split=part, count=2, seed=seed) for part, seed in (("test", 0), ("train", 0), ("train", 1))
    )
    assert torch.equal(fewer.images, pets.images[:2])
    assert torch.equal(fewer.labels, pets.labels[:2])
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
digest = hashlib.sha256(arrays).hexdigest()
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


def test_arguments_are_checked(refuses) -> None:
    refuses("split to be one of 'train', 'test'", brain.pet, split="val")
    refuses("count > 0", brain.pet, count=0)


@pytest.mark.parametrize("load", [brain.pet, lambda: brain.mri("brain1")], ids=["template_t1", "brain1_image"])
def test_without_the_files_one_sentence_says_what_to_run(
    empty_cache: Path, load: Callable[[], object], request: pytest.FixtureRequest
) -> None:
    simulated.template.cache_clear()
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
    assert int(one.label.values.sum()) * math.prod(one.label.spacing_mm) / 1000 == pytest.approx(volume_ml, abs=0.01)
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
