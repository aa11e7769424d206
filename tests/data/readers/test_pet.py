"""A folder of PET in NIfTI, written here: its volumes and lesions on the grid of the simulated ones."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from coursekit.data import brain
from coursekit.data.readers import pet
from coursekit.data.scan import spaced


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
            assert voxels.sum() * train.label(i).voxel_ml == pytest.approx(lesion.volume_ml, rel=0.2)
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
        assert pet.numbered(label.values.numpy()).ravel().tolist() == wanted


@pytest.mark.parametrize("step", [0.5, 1.0, 2.0, 4.25, 6.0])
def test_a_finer_volume_is_blurred_to_the_variance_of_our_voxels(step: float) -> None:
    """A point in the file spreads to the variance of a box of 4.25 mm less the file's own, which it had before."""
    values = np.zeros((1, 1, 65), np.float32)
    values[0, 0, 32] = 1
    scan = spaced(torch.from_numpy(values), (8.0, 8.0, step), axes="SPL")
    read = pet.onto(values, scan, scan.affine)[0, 0]
    place = (np.arange(64) - 32) * step
    spread = float((read[:64] * place**2).sum() / read.sum())
    assert spread == pytest.approx(max(0.0, 4.25**2 - step**2) / 12, rel=0.1, abs=0.02)
