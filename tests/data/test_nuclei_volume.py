"""Nuclei in three dimensions: mending on cubes drawn by hand, the split and the numbers on the real volume."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from coursekit.data import fetch, nuclei
from coursekit.data.nuclei import Nuclei
from coursekit.data.seeds import part_of
from coursekit.testing import assert_close


def cube(*corners: tuple[int, int, int, int, int], size: tuple[int, int, int] = (9, 32, 20)) -> torch.Tensor:
    """Labels with a cube for each (label, z, y, x, side)."""
    labels = torch.zeros(size, dtype=torch.int64)
    for label, z, y, x, side in corners:
        labels[z : z + side, y : y + side, x : x + side] = label
    return labels


def volume(labels: torch.Tensor) -> Nuclei:
    return Nuclei((labels > 0).float()[None], labels, "toy", "", (1.0, 0.5, 0.5))


@pytest.fixture(scope="module")
def real() -> Nuclei:
    return nuclei.volume()


def test_the_real_volume_is_the_one_described(real: Nuclei) -> None:
    raw = tifffile.imread(fetch.path("nuclei3d_image")).astype(float)
    low, high = np.percentile(raw, [1, 99.8])
    assert_close(real.image[0], torch.from_numpy(((raw - low) / (high - low)).clip(0, 1)).float())
    assert (real.source, real.count, real.spacing_um) == ("real", 20, (0.29, 0.26, 0.26))
    assert real.labels.unique().tolist() == list(range(21))
    inside = real.labels > 0
    assert real.image[0][inside].mean() > 4 * real.image[0][~inside].mean()  # labels lie on the nuclei


def test_what_was_mended_in_the_real_labels(real: Nuclei) -> None:
    """Six nuclei with cavities, seven voxels loose in three labels: counted here from the file."""
    raw = tifffile.imread(fetch.path("nuclei3d_labels")).astype(np.int64)
    assert real.note == "2,188 voxels of holes filled, 7 loose voxels dropped"
    before = [ndimage.label(raw == k)[1] for k in range(1, 21)]
    after = [ndimage.label(real.labels.numpy() == k)[1] for k in range(1, 21)]
    assert sum(n > 1 for n in before) == 3
    assert after == [1] * 20
    clean = real.labels.numpy()
    assert (((clean != raw) & (raw == 0)).sum(), ((clean != raw) & (raw > 0)).sum()) == (2188, 7)


def test_no_real_nucleus_is_in_both_parts(real: Nuclei) -> None:
    train, test = nuclei.part(real, "train"), nuclei.part(real, "test")
    assert set(real.labels[:, :112].unique().tolist()) & set(real.labels[:, 128:].unique().tolist()) == {0}
    assert (train.count, test.count) == (10, 10)
    assert_close(train.image, real.image[:, :, :112])
    assert_close(test.image, real.image[:, :, 128:])
    assert torch.equal(train.labels > 0, real.labels[:, :112] > 0)


def test_a_nucleus_in_both_parts_is_refused(refuses: Callable[..., None]) -> None:
    """Of 32 rows 14 train and 16 test; rows 14 and 15 are left out."""
    assert nuclei.part(volume(cube((4, 0, 10, 0, 6))), "train").labels.shape == (9, 14, 20)
    assert nuclei.part(volume(cube((4, 0, 14, 0, 6))), "test").count == 1
    refuses("no nucleus crosses, got 1 nuclei in both", nuclei.part, volume(cube((4, 0, 13, 0, 4))), "train")
    refuses("split to be one of None, 'train', 'test'", nuclei.volume, split="val")


def test_thinned_keeps_planes_and_says_so() -> None:
    thin = nuclei.thinned(volume(cube((2, 1, 0, 0, 1), (5, 2, 4, 4, 3))))
    assert thin.image.shape == (1, 5, 32, 20)
    assert (thin.spacing_um, thin.count) == ((2.0, 0.5, 0.5), 1)  # the nucleus of plane 1 alone is gone


def test_own_volumes_come_from_the_folder_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"case_{k:02d}" for k in range(12)]
    ids = np.zeros((10, 8, 6), np.uint8)  # (W, H, D)
    ids[2:5, 1:3, 3], ids[7:9, 5:7, 1] = 2, 9
    for folder, values in (("images", np.where(ids > 0, 1000, -20).astype(np.int16)), ("labels", ids)):
        (tmp_path / folder).mkdir()
        for name in names:
            nib.save(nib.Nifti1Image(values, np.diag([-0.002, -0.003, 0.005, 1])), tmp_path / folder / f"{name}.nii.gz")
    monkeypatch.setenv("COURSEKIT_NUCLEI3D", str(tmp_path))
    for split in ("train", "test"):
        mine = nuclei.volumes(split=split)
        assert [one.note.split()[0] for one in mine] == [name for name in names if part_of(name) == split]
        first = nuclei.volume(split=split)
        assert (first.note, first.source, first.count) == (mine[0].note, "real", 2)
        assert first.spacing_um == pytest.approx((5.0, 3.0, 2.0), rel=1e-5)
        assert_close(first.image, (first.labels > 0).float()[None])
        assert first.labels[1, 5, 7] == 2  # LPS as in the file: no axis is turned, the depth comes first


def test_without_data_nothing_stands_in(empty_cache: Path) -> None:
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch nuclei3d_image"):
        nuclei.volume()


def test_cavities_are_filled_and_only_the_largest_piece_is_kept() -> None:
    labels = cube((3, 1, 1, 1, 5), (0, 3, 3, 3, 1), (3, 7, 7, 7, 1), (8, 1, 10, 1, 5))
    assert torch.equal(nuclei.mended(labels), cube((3, 1, 1, 1, 5), (8, 1, 10, 1, 5)))
    assert labels[3, 3, 3] == 0  # what came in stays as it was


def test_mending_leaves_open_holes_and_other_nuclei_alone() -> None:
    tunnel = cube((3, 0, 1, 1, 5))
    tunnel[:, 3, 3] = 0
    nested = cube((3, 1, 1, 1, 5), (5, 3, 3, 3, 1))
    for labels in (tunnel, nested, torch.zeros(2, 3, 4, dtype=torch.int64)):
        assert torch.equal(nuclei.mended(labels), labels)
    corner = cube((3, 1, 1, 1, 3), (3, 4, 4, 4, 1))  # over a corner alone
    assert torch.equal(nuclei.mended(corner), cube((3, 1, 1, 1, 3)))


def test_bad_volumes_are_refused(refuses: Callable[..., None]) -> None:
    labels = cube((1, 0, 0, 0, 2))
    refuses("image of shape", Nuclei, torch.zeros(2, 9, 32, 20), labels, "toy", "", (1.0, 1.0, 1.0))
    refuses("labels of shape", Nuclei, torch.zeros(1, 9, 32, 20), labels, "toy")
    refuses("spacing_um > 0", Nuclei, torch.zeros(1, 9, 32, 20), labels, "toy", "", (0.0, 1.0, 1.0))


def test_without_a_folder_the_one_volume_stands_for_all(real: Nuclei) -> None:
    (only,) = list(nuclei.volumes(split="train"))
    assert torch.equal(only.image, nuclei.part(real, "train").image)
