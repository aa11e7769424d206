"""Nuclei in three dimensions: cleaning and rims on cubes drawn by hand, the split and the numbers on the real volume."""

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import tifffile
import torch
from scipy import ndimage

from coursekit.data import fetch, nuclei3d
from coursekit.data.nuclei3d import NucleiVolume
from coursekit.data.seeds import part_of
from coursekit.testing import assert_close, generator


def cube(*corners: tuple[int, int, int, int, int], size: tuple[int, int, int] = (9, 32, 20)) -> torch.Tensor:
    """Labels with a cube for each (label, z, y, x, side)."""
    labels = torch.zeros(size, dtype=torch.int64)
    for label, z, y, x, side in corners:
        labels[z : z + side, y : y + side, x : x + side] = label
    return labels


def volume(labels: torch.Tensor) -> NucleiVolume:
    return NucleiVolume((labels > 0).float()[None], labels, (1.0, 0.5, 0.5), "toy")


@pytest.fixture(scope="module")
def real() -> NucleiVolume:
    return nuclei3d.load(allow_phantom=False)


def test_without_data_a_labelled_phantom_of_the_same_shapes(empty_cache: Path) -> None:
    whole = nuclei3d.load()
    assert whole.source == "phantom"
    assert "run coursekit data fetch nuclei3d_image" in whole.note
    assert (whole.image.shape, whole.image.dtype) == ((1, 60, 256, 256), torch.float32)
    assert (whole.labels.shape, whole.labels.dtype, whole.count) == ((60, 256, 256), torch.int64, 20)
    train, test = (nuclei3d.part(whole, split) for split in ("train", "test"))
    assert train.image.shape == (1, 60, 112, 256)
    assert test.image.shape == (1, 60, 128, 256)
    assert min(train.count, test.count) >= 7
    assert train.count + test.count <= 20  # none counted twice


def test_without_data_and_phantom_the_error_says_what_to_run(empty_cache: Path) -> None:
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch nuclei3d_image"):
        nuclei3d.load(allow_phantom=False)


def test_the_real_volume_is_the_one_described(real: NucleiVolume) -> None:
    raw = tifffile.imread(fetch.path("nuclei3d_image")).astype(float)
    low, high = np.percentile(raw, [1, 99.8])
    assert_close(real.image[0], torch.from_numpy(((raw - low) / (high - low)).clip(0, 1)).float())
    assert (real.source, real.count, real.spacing_um) == ("real", 20, (0.29, 0.26, 0.26))
    assert real.labels.unique().tolist() == list(range(21))
    inside = real.labels > 0
    assert real.image[0][inside].mean() > 4 * real.image[0][~inside].mean()  # labels lie on the nuclei


def test_what_cleaning_changed_in_the_real_labels(real: NucleiVolume) -> None:
    """Six nuclei with cavities, seven voxels loose in three labels: counted here from the file."""
    raw = tifffile.imread(fetch.path("nuclei3d_labels")).astype(np.int64)
    assert real.note == "2,188 voxels of holes filled in 6 nuclei, 7 loose voxels dropped"
    before = [ndimage.label(raw == k)[1] for k in range(1, 21)]
    after = [ndimage.label(real.labels.numpy() == k)[1] for k in range(1, 21)]
    assert sum(n > 1 for n in before) == 3
    assert after == [1] * 20
    clean = real.labels.numpy()
    assert (((clean != raw) & (raw == 0)).sum(), ((clean != raw) & (raw > 0)).sum()) == (2188, 7)
    as_is = nuclei3d.load(cleaned=False, allow_phantom=False)
    assert (as_is.labels.numpy() == raw).all()
    assert as_is.note == "labels as in the file"


def test_no_real_nucleus_is_in_both_parts(real: NucleiVolume) -> None:
    train, test = nuclei3d.part(real, "train"), nuclei3d.part(real, "test")
    assert set(real.labels[:, :112].unique().tolist()) & set(real.labels[:, 128:].unique().tolist()) == {0}
    assert (train.count, test.count) == (10, 10)
    assert_close(train.image, real.image[:, :, :112])
    assert_close(test.image, real.image[:, :, 128:])
    assert torch.equal(train.labels > 0, real.labels[:, :112] > 0)


def test_a_nucleus_in_both_parts_is_refused(refuses: Callable[..., None]) -> None:
    """Of 32 rows 14 train and 16 test; rows 14 and 15 are left out."""
    assert nuclei3d.part(volume(cube((4, 0, 10, 0, 6))), "train").labels.shape == (9, 14, 20)
    assert nuclei3d.part(volume(cube((4, 0, 14, 0, 6))), "test").count == 1
    refuses("no nucleus crosses, got 1 nuclei in both", nuclei3d.part, volume(cube((4, 0, 13, 0, 4))), "train")
    refuses("split to be one of None, 'train', 'test'", nuclei3d.load, split="val")


def test_cavities_are_filled_and_only_the_largest_piece_is_kept() -> None:
    labels = cube((3, 1, 1, 1, 5), (0, 3, 3, 3, 1), (3, 7, 7, 7, 1), (8, 1, 10, 1, 5))
    out, filled, dropped = nuclei3d.clean(labels)
    assert torch.equal(out, cube((3, 1, 1, 1, 5), (8, 1, 10, 1, 5)))
    assert (filled, dropped) == ({3: 1}, {3: 1})
    assert labels[3, 3, 3] == 0  # what came in stays as it was


def test_cleaning_leaves_open_holes_and_other_nuclei_alone() -> None:
    tunnel = cube((3, 0, 1, 1, 5))
    tunnel[:, 3, 3] = 0
    assert torch.equal(nuclei3d.clean(tunnel).labels, tunnel)
    nested = cube((3, 1, 1, 1, 5), (5, 3, 3, 3, 1))
    assert torch.equal(nuclei3d.clean(nested).labels, nested)
    corner = cube((3, 1, 1, 1, 3), (3, 4, 4, 4, 1))  # over a corner alone
    assert nuclei3d.clean(corner).dropped == {3: 1}
    nothing = nuclei3d.clean(torch.zeros(2, 3, 4, dtype=torch.int64))
    assert (nothing.filled, nothing.dropped) == ({}, {})


def test_thinned_keeps_planes_and_says_so() -> None:
    thin = nuclei3d.thinned(volume(cube((2, 1, 0, 0, 1), (5, 2, 4, 4, 3))), 2)
    assert thin.image.shape == (1, 5, 32, 20)
    assert (thin.spacing_um, thin.count) == ((2.0, 0.5, 0.5), 1)  # the nucleus of plane 1 alone is gone


def test_noise_is_what_was_asked_for_and_the_generators_alone() -> None:
    whole = volume(cube((1, 0, 0, 0, 9), size=(30, 64, 64)))
    one, same, other = (nuclei3d.noisy(whole, sd=0.6, generator=generator(seed)) for seed in (1, 1, 2))
    added = one.image - whole.image
    assert float(added.std()) == pytest.approx(0.6, rel=0.01)
    assert abs(float(added.mean())) < 0.01
    assert torch.equal(one.image, same.image)
    assert not torch.equal(one.image, other.image)
    assert torch.equal(one.labels, whole.labels)
    assert one.source == "toy, noise of sd 0.6 added"


def test_only_the_rim_is_bright_also_between_neighbours() -> None:
    """Two cubes that touch, one at the border of the volume, where it has no rim. A voxel is 0.1 µm: the blur is wide,
    the core dark.
    """
    labels = torch.zeros(44, 40, 80, dtype=torch.int64)
    labels[8:36, :32, 8:40], labels[8:36, 8:32, 40:72] = 1, 2
    whole = NucleiVolume(torch.zeros(1, 44, 40, 80), labels, (0.4, 0.2, 0.2), "toy")
    made = nuclei3d.rim(whole, thickness_um=0.8)
    line = made.image[0, 22, 18]  # across both
    assert line[[24, 56]].tolist() == pytest.approx([0.1, 0.1], abs=0.01)  # their middles
    assert line[[0, 79]].tolist() == pytest.approx([0.1, 0.1], abs=0.01)  # outside
    assert line[[9, 39, 40, 70]].min() > 0.4
    assert made.image[0, 22, 0, 24] == pytest.approx(0.1, abs=0.01)  # the side that the border cuts
    assert made.image[0, 9, 18, 24] > 0.3
    assert made.source == "rim of toy"
    assert torch.equal(made.labels, labels)


def test_the_rim_is_as_thick_as_said() -> None:
    """A ball without blur to speak of: the bright voxels are those within a thickness of the surface, by the radius."""
    z, y, x = np.meshgrid(*[np.arange(-n, n + 1) * s for n, s in ((34, 0.5), (42, 0.4), (42, 0.4))], indexing="ij")
    radius = np.sqrt(z**2 + y**2 + x**2)
    labels = torch.from_numpy((radius < 15).astype(np.int64))
    made = nuclei3d.rim(NucleiVolume(torch.zeros(1, *labels.shape), labels, (0.5, 0.4, 0.4), "toy"), thickness_um=5)
    bright = made.image[0].numpy() > 0.35
    assert bright.sum() == pytest.approx(((radius < 15) & (radius > 10)).sum(), rel=0.06)
    assert not bright[radius < 9].any()
    assert not bright[radius > 15.8].any()


def test_a_rim_hides_nuclei_from_a_threshold(real: NucleiVolume) -> None:
    """The best threshold: less than 0.72 by Dice, where the plain volume has more than 0.9."""

    def best(one: NucleiVolume) -> float:
        truth, image = one.labels > 0, one.image[0]
        levels = np.quantile(image.numpy(), np.linspace(0.5, 0.95, 10)).tolist()
        return max(float(2 * ((image > t) & truth).sum() / ((image > t).sum() + truth.sum())) for t in levels)

    assert best(real) > 0.9
    assert best(nuclei3d.rim(real)) < 0.72
    assert best(nuclei3d.noisy(real, generator=generator(0))) < 0.4


def test_bad_volumes_are_refused(refuses: Callable[..., None]) -> None:
    labels = cube((1, 0, 0, 0, 2))
    refuses("image of shape", NucleiVolume, torch.zeros(2, 9, 32, 20), labels, (1.0, 1.0, 1.0), "toy")
    refuses("spacing_um > 0", NucleiVolume, torch.zeros(1, 9, 32, 20), labels, (0.0, 1.0, 1.0), "toy")
    refuses("sd >= 0", nuclei3d.noisy, volume(labels), sd=-1.0, generator=generator(0))
    refuses("thickness_um > 0", nuclei3d.rim, volume(labels), thickness_um=0.0)
    refuses("background is 0", nuclei3d.clean, labels - 1)


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
        mine = nuclei3d.volumes(split=split)
        assert [one.note.split()[0] for one in mine] == [name for name in names if part_of(name) == split]
        first = nuclei3d.load(split=split)
        assert (first.note, first.source, first.count) == (mine[0].note, "real", 2)
        assert first.spacing_um == pytest.approx((5.0, 3.0, 2.0), rel=1e-5)
        assert_close(first.image, (first.labels > 0).float()[None])
        assert first.labels[1, 5, 7] == 2  # LPS as in the file: no axis is turned, the depth comes first


def test_without_a_folder_the_one_volume_stands_for_all(empty_cache: Path) -> None:
    one = nuclei3d.volumes(split="train")
    assert len(one) == len(list(one)) == 1
    assert one[0].source == "phantom"
