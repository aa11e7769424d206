"""The two CTs lie where their files say, windows saturate as said, patches keep their place, and the lungs are the
lungs.
"""

import math
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from coursekit.data import fetch, itk
from coursekit.data.ct import ground, scans
from coursekit.data.ct.lung_mask import lungs
from coursekit.data.scan import Scan, resampled, spaced
from coursekit.data.seeds import PARTS, Part, stream
from coursekit.data.simulated import chest as phantom
from coursekit.testing import assert_close

SMALL = phantom.Plan((24, 160, 160), (8.0, 1.8, 1.8), 20.0, (0.3, 0.2, 0.35))


@pytest.fixture(scope="module")
def chest() -> Scan:
    return phantom.chest(SMALL, generator=stream(0, "chest"))[0]


@pytest.mark.parametrize(
    ("name", "shape", "pixel", "voxels"),
    [("lung1", (48, 512, 512), 0.5703125, 837), ("lung2", (61, 512, 512), 0.626953125, 24644)],
)
def test_the_real_ones_lie_where_itk_says(name: scans.Name, shape: tuple[int, ...], pixel: float, voxels: int) -> None:
    ct = scans.load(name)
    assert (ct.source, ct.note, ct.scan.unit, ct.scan.axes) == ("real", "", "HU", "SPL")
    assert (tuple(ct.scan.values.shape), ct.scan.values.dtype) == (shape, torch.float32)
    assert (tuple(ct.label.values.shape), ct.label.values.dtype, int(ct.label.values.sum())) == (
        shape,
        torch.bool,
        voxels,
    )
    assert ct.scan.spacing_mm == pytest.approx((5, pixel, pixel))
    image = sitk.ReadImage(str(fetch.path(f"{name}_image")))
    for d, h, w in [(0, 0, 0), (20, 300, 200), tuple(n - 1 for n in shape)]:
        x, y, z = image.TransformIndexToPhysicalPoint((w, h, d))
        place = np.array([[-x, -y, z]])  # LPS to RAS
        at = tuple(np.round(ct.scan.index(place)[0]).astype(int))
        np.testing.assert_allclose(ct.scan.world(np.array([at])), place, atol=1e-6)
        assert float(ct.scan.values[at]) == image[w, h, d]


def test_other_directions_and_a_damaged_file(tmp_path: Path, refuses) -> None:
    image = sitk.GetImageFromArray(np.arange(24, dtype=np.uint16).reshape(2, 3, 4))
    image.SetSpacing((0.5, 2.0, 3.0))
    image.SetOrigin((1.0, -2.0, 7.0))
    image.SetDirection((0, 0, 1, 1, 0, 0, 0, 1, 0))
    sitk.WriteImage(image, str(tmp_path / "turned.mhd"))
    scan = itk.read(tmp_path / "turned.mhd")
    x, y, z = image.TransformIndexToPhysicalPoint((3, 1, 1))
    np.testing.assert_allclose(scan.world(np.array([[1, 1, 3]]))[0], [-x, -y, z])
    assert (int(scan.values[1, 1, 3]), scan.spacing_mm) == (19, (3.0, 2.0, 0.5))
    (tmp_path / "broken.nrrd").write_text("NRRD0004\n")
    refuses("a volume that ITK reads in broken.nrrd", itk.read, tmp_path / "broken.nrrd")
    refuses("reads in none.nrrd, got no file", itk.read, tmp_path / "none.nrrd")
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 4), np.uint8)), str(tmp_path / "flat.nrrd"))
    refuses("one volume in flat.nrrd", itk.read, tmp_path / "flat.nrrd")


def test_without_data_a_labelled_phantom_of_the_same_shape(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = phantom.PLANS["lung1"]
    assert (plan.shape, plan.spacing_mm) == ((48, 512, 512), (5.0, 0.5703125, 0.5703125))
    monkeypatch.setitem(phantom.PLANS, "lung1", SMALL)
    scans._phantom.cache_clear()
    ct = scans.load("lung1")
    scans._phantom.cache_clear()
    assert (ct.source, ct.scan.unit, ct.scan.axes) == ("phantom", "HU", "SPL")
    assert "run coursekit data fetch lung1_image" in ct.note
    assert (ct.scan.values.dtype, ct.label.values.dtype) == (torch.float32, torch.bool)
    ball = 4 / 3 * np.pi * 10**3 / 1000
    assert float(ct.label.values.sum()) * math.prod(ct.label.spacing_mm) / 1000 == pytest.approx(ball, rel=0.1)
    assert float(ct.scan.values[ct.label.values].mean()) == pytest.approx(phantom.TUMOUR, abs=3)
    with fetch.no_standins(), pytest.raises(ValueError, match="run coursekit data fetch lung1_image"):
        scans.load("lung1")


def test_one_patient_trains_and_the_other_tests(refuses) -> None:
    assert scans.SPLIT == {"train": "lung1", "test": "lung2"}
    assert ground.of("train").ct is scans.load("lung1")
    assert ground.of("test").ct is scans.load("lung2")
    refuses("split to be one of 'train', 'test'", ground.of, "val")
    refuses("name to be one of 'lung1', 'lung2'", scans.load, "lung3")


def test_windows_saturate_at_both_ends(refuses) -> None:
    hu = torch.tensor([-2000, -1350, -600, 150, 3000])
    assert_close(scans.window(hu, **scans.LUNG), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert_close(
        scans.window(hu.double(), **scans.centred(-600, 750)), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]).double()
    )
    assert scans.SOFT_TISSUE == {"low": -160, "high": 240}
    refuses("high - low > 0", scans.window, hu, low=1.0, high=1.0)
    refuses("width > 0", scans.centred, 0, 0)


def test_bytes_and_three_channels(refuses) -> None:
    shown = torch.tensor([[0.0, 0.001, 0.5, 0.999, 1.0]])
    assert scans.to_bytes(shown).tolist() == [[0, 0, 128, 255, 255]]
    assert scans.to_bytes(shown).dtype == torch.uint8
    refuses("shown in .0, 1.", scans.to_bytes, shown * 2)
    refuses("shown to be floating point", scans.to_bytes, torch.ones(2, dtype=torch.int64))
    image = torch.rand(2, 1, 3, 4)
    assert_close(scans.three_channels(image), torch.cat([image] * 3, 1))
    assert scans.three_channels(image[0]).shape == (3, 3, 4)
    refuses("image of shape", scans.three_channels, torch.rand(2, 3, 4))


# --- patches ---


def ramp() -> Scan:
    d, h, w = torch.meshgrid(*[torch.arange(float(n)) for n in (6, 20, 24)], indexing="ij")
    return Scan(100 * d + 10 * h + w, np.diag([1.0, 1, 1, 1]) @ spaced(d, (4.0, 0.5, 0.8)).affine, "HU")


def test_a_patch_reads_linearly_and_keeps_its_place() -> None:
    scan = ramp()
    index = np.array([2.3, 9.1, 11.7])
    read = scans.patch(scan, scan.world(index[None])[0], 5, spacing_mm=0.9)
    assert (read.values.shape, read.values.dtype, read.axes, read.unit) == ((5, 5, 5), torch.float32, "SPL", "HU")
    np.testing.assert_allclose(read.spacing_mm, (0.9,) * 3)
    np.testing.assert_allclose(read.world(np.array([[2, 2, 2]])), scan.world(index[None]), atol=1e-9)
    every = np.argwhere(np.ones(read.values.shape))
    old = scan.index(read.world(every))
    np.testing.assert_allclose(read.values.flatten(), old @ [100, 10, 1], rtol=1e-5)


def test_a_patch_equals_the_resampled_scan() -> None:
    scan = ramp()
    scan = Scan(torch.randn(scan.values.shape, generator=stream(1)), scan.affine)
    whole = resampled(scan, (1.0,) * 3)
    read = scans.patch(scan, whole.world(np.array([[10, 5, 9]]))[0], 7)
    assert_close(read.values, whole.values[7:14, 2:9, 6:13], rtol=1e-4, atol=1e-4)


def test_outside_the_scan_there_is_the_nearest_voxel(refuses) -> None:
    scan = ramp()
    corner, far = (scan.world(np.array([index]))[0] for index in ((0.0, 0.0, 0.0), (100.0, -50.0, 3.0)))
    assert float(scans.patch(scan, corner, 5).values.min()) == 0
    assert scans.patch(scan, far, 3, spacing_mm=0.8).values.unique().tolist() == [502, 503, 504]
    refuses("size > 0", scans.patch, scan, corner, 0)
    refuses("spacing_mm > 0", scans.patch, scan, corner, 3, spacing_mm=-1.0)


# --- lungs ---


def test_the_lungs_of_a_phantom(chest: Scan, refuses) -> None:
    share = [(np.arange(n) + 0.5) * 2 / n - 1 for n in SMALL.shape]
    truth = phantom.lung_of(share, -1) | phantom.lung_of(share, 1)
    found = lungs(chest).numpy()
    dice = 2 * (found & truth).sum() / (found.sum() + truth.sum())
    assert dice > 0.96
    assert not found[-4, 86:88, 79:81].any()  # the trachea
    assert float(chest.values[-4, 86:88, 79:81].mean()) < -900
    refuses("a chest with air in it", lungs, spaced(chest.values.clamp(min=0), SMALL.spacing_mm))


@pytest.mark.parametrize("split", PARTS)
def test_the_lungs_of_the_real_ones(split: Part) -> None:
    ct, found = ground.of(split).ct, ground.of(split).lungs
    litres = float(found.sum()) * math.prod(ct.scan.spacing_mm) / 1e6
    assert 2 < litres < 6
    values = ct.scan.values
    assert float((values[found] < -500).float().mean()) > 0.9
    assert not bool(found[:, [0, -1]].any() or found[:, :, [0, -1]].any())
    left, right = found[..., 256:].sum(), found[..., :256].sum()
    assert 0.6 < float(left / right) < 1.1  # the right lung is the larger
    if split == "train":
        assert float(found[ct.label.values].float().mean()) > 0.95  # the nodule lies inside
        assert not bool(found[43, 260:300, 240:265].any())  # the trachea above the lungs
    else:
        assert not bool(found[:8, 100:220].any())  # air in the stomach
        assert not bool(found[40, 245:265, 250:270].any())  # the trachea
