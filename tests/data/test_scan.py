"""A scan keeps its place: a lit voxel of known place is followed through every transform and through NIfTI."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coursekit.data.scan import Scan, aligned, cropped, from_nifti, oriented, resampled, spaced
from tests.data.nifti_by_library import to_nifti

LIT = (3, 2, 5)
OBLIQUE = np.array([[0.1, -0.2, 0.8, 10.0], [0.3, 0.9, 0.1, -20.0], [2.5, 0.0, -0.1, 5.0], [0, 0, 0, 1]])


def scan(affine: np.ndarray = OBLIQUE, dtype: torch.dtype = torch.int16) -> Scan:
    values = torch.arange(4 * 5 * 7).reshape(4, 5, 7).to(dtype)
    values[LIT] = 999
    return Scan(values, affine, "HU")


def place(one: Scan) -> np.ndarray:
    """The world coordinates of the lit voxel."""
    return one.world(np.array([np.unravel_index(int(one.values.argmax()), one.values.shape)]))[0]


@given(st.permutations(["LR", "AP", "SI"]), st.tuples(*[st.integers(0, 1)] * 3))
def test_oriented_moves_values_and_affine_together(pairs: list[str], ends: tuple[int, ...]) -> None:
    axes = "".join(pair[end] for pair, end in zip(pairs, ends))
    turned = oriented(scan(), axes)
    assert turned.axes == axes
    np.testing.assert_allclose(place(turned), place(scan()), atol=1e-9)
    back = oriented(turned, scan().axes)
    assert torch.equal(back.values, scan().values)
    np.testing.assert_allclose(back.affine, scan().affine, atol=1e-9)


def test_a_crop_keeps_its_place() -> None:
    part = cropped(scan(), (2, 1, 3), (2, 3, 4))
    assert part.values.shape == (2, 3, 4)
    np.testing.assert_allclose(place(part), place(scan()), atol=1e-9)


def test_resampling_keeps_the_outer_faces_and_a_linear_ramp() -> None:
    d, h, w = torch.meshgrid(*[torch.arange(float(n)) for n in (8, 10, 12)], indexing="ij")
    ramp = Scan(d + 10 * h + 100 * w, np.diag([2.0, 1.0, 0.5, 1.0]))
    fine = resampled(ramp, (1.0, 0.5, 1.0))
    assert fine.values.shape == (16, 20, 6)
    np.testing.assert_allclose(fine.spacing_mm, (1.0, 0.5, 1.0))
    for at in ((0, 0, 0), tuple(n - 1 for n in fine.values.shape)):
        edge = np.array([[a - 0.5 if a == 0 else a + 0.5 for a in at]])
        old = np.array([[-0.5 if a == 0 else n - 0.5 for a, n in zip(at, ramp.values.shape)]])
        np.testing.assert_allclose(fine.world(edge), ramp.world(old))
    inner = (7, 9, 2)
    index = ramp.index(fine.world(np.array([inner])))[0]
    assert float(fine.values[inner]) == pytest.approx(index[0] + 10 * index[1] + 100 * index[2])


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("dtype", [torch.int16, torch.uint8, torch.float32, torch.float64, torch.int32])
def test_nifti_gives_back_array_affine_and_unit(tmp_path: Path, suffix: str, dtype: torch.dtype) -> None:
    one = Scan(scan().values.clamp(max=200).to(dtype), OBLIQUE, "HU")
    to_nifti(one, tmp_path / f"a{suffix}")
    back = from_nifti(tmp_path / f"a{suffix}")
    assert back.values.dtype == dtype
    assert torch.equal(back.values, one.values)
    np.testing.assert_allclose(back.affine, OBLIQUE, atol=1e-5)  # NIfTI stores float32
    assert back.unit == "HU"
    seen = nib.load(tmp_path / f"a{suffix}")
    assert seen.shape == (7, 5, 4)
    assert seen.header.get_xyzt_units()[0] == "mm"


def test_spacing_of_voxels() -> None:
    one = spaced(torch.zeros(2, 3, 4), (5.0, 0.5, 0.25))
    assert one.axes == "SPL"
    np.testing.assert_allclose(one.spacing_mm, (5.0, 0.5, 0.25))


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_turned_volume_is_noticed(k: int, refuses) -> None:
    """The array turned by k quarters in a plane of equal sides: shapes agree, the affine tells."""
    affine = np.diag([2.0, 1.0, 1.0, 1.0])
    image = Scan(torch.rand(3, 6, 6), affine)
    turn = {1: [[0, -1], [1, 0]], 2: [[-1, 0], [0, -1]], 3: [[0, 1], [-1, 0]]}[k]
    other = affine.copy()
    other[1:3, 1:3] = turn
    refuses("one is turned, mirrored or moved", aligned, image, Scan(image.values.rot90(k, (1, 2)), other))
    aligned(image, Scan(torch.zeros(3, 6, 6, dtype=torch.uint8), affine.copy()))


def test_a_mirrored_moved_or_cut_volume_is_noticed(refuses) -> None:
    image = Scan(torch.rand(3, 6, 6), np.diag([2.0, 1.0, 1.0, 1.0]))
    mirrored, moved = image.affine.copy(), image.affine.copy()
    mirrored[:, 2], mirrored[2, 3] = -mirrored[:, 2], 5
    moved[0, 3] = 0.02
    refuses("against", aligned, image, Scan(image.values.flip(2), mirrored))
    refuses("corners 0.02 mm apart", aligned, image, Scan(image.values, moved))
    refuses("two volumes of one shape", aligned, image, cropped(image, (0, 0, 0), (3, 6, 5)))


def test_a_header_that_does_not_say_or_says_twice_is_refused(tmp_path: Path, refuses) -> None:
    image = nib.Nifti1Image(np.zeros((3, 4, 5), np.float32), None)
    nib.save(image, tmp_path / "a.nii")
    refuses("no sform and no qform", from_nifti, tmp_path / "a.nii")
    image.set_sform(np.diag([1, 1, 1, 1]), 1)
    image.set_qform(np.diag([-1, 1, 1, 1]), 1)
    nib.save(image, tmp_path / "b.nii")
    refuses("sform RAS, qform LAS", from_nifti, tmp_path / "b.nii")


def test_files_that_are_none_are_refused(tmp_path: Path, refuses) -> None:
    to_nifti(scan(), tmp_path / "a.nii.gz")
    whole = (tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.nii").write_text("no image")
    nib.save(nib.Nifti1Image(np.zeros((3, 4, 5, 2), np.float32), np.eye(4)), tmp_path / "four.nii")
    refuses("a NIfTI volume in cut.nii.gz", from_nifti, tmp_path / "cut.nii.gz")
    refuses("a NIfTI volume in text.nii", from_nifti, tmp_path / "text.nii")
    refuses("three axes in four.nii", from_nifti, tmp_path / "four.nii")


def test_bad_scans_and_calls_are_refused(refuses) -> None:
    refuses("an affine", Scan, torch.zeros(2, 2, 2), np.zeros((4, 4)))
    refuses("axes such as 'SPL'", oriented, scan(), "SPP")
    refuses("a box inside", cropped, scan(), (0, 0, 0), (9, 1, 1))
    refuses("spacing_mm > 0", resampled, scan(), (0.0, 1.0, 1.0))
