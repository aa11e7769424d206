"""A NIfTI folder, written by nibabel as others write it: first axis to the patient's Right or Left, labels of the same
name.
"""

import gzip
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from torch import Tensor

from coursekit.data.readers import nifti
from coursekit.data.readers.nifti import NiftiFolder
from coursekit.data.seeds import part_of

SIZE = (7, 5, 4)  # (W, H, D), as in the file
LPS = np.array([[-0.5, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 3.0, 30], [0, 0, 0, 1]])  # a CT's usual one, in RAS+ terms
RAS = np.diag([0.5, 0.8, 3.0, 1.0])
LIT = (5, 1, 2)


def write(file: Path, values: np.ndarray, affine: np.ndarray) -> None:
    file.parent.mkdir(exist_ok=True)
    nib.save(nib.Nifti1Image(values, affine), file)


def add(
    place: Path,
    name: str,
    *,
    affine: np.ndarray = RAS,
    folders: tuple[str, str] = ("images", "labels"),
    dtype: type = np.uint8,
) -> None:
    values, label = np.zeros(SIZE, np.int16), np.zeros(SIZE, dtype)
    values[LIT], label[LIT] = 900, 2
    write(place / folders[0] / f"{name}.nii.gz", values, affine)
    write(place / folders[1] / f"{name}.nii.gz", label, affine)


def lit(values: Tensor) -> np.ndarray:
    return np.array([np.unravel_index(int(values.argmax()), values.shape)])


@pytest.mark.parametrize("folders", nifti.FOLDERS)
@pytest.mark.parametrize("affine", [RAS, LPS], ids=["RAS", "LPS"])
def test_volume_and_labels_come_upright_and_in_place(
    tmp_path: Path, folders: tuple[str, str], affine: np.ndarray
) -> None:
    add(tmp_path, "spleen_10", affine=affine, folders=folders)
    ((image, label, name),) = list(NiftiFolder(tmp_path))
    assert (image.axes, label.axes, name) == ("SPL", "SPL", "spleen_10")
    assert (tuple(image.values.shape), image.spacing_mm) == ((4, 5, 7), pytest.approx((3.0, 0.8, 0.5)))
    place = affine @ [*LIT, 1]
    np.testing.assert_allclose(image.world(lit(image.values))[0], place[:3], atol=1e-5)
    np.testing.assert_allclose(label.world(lit(label.values))[0], place[:3], atol=1e-5)
    assert (label.values.dtype, int(label.values.max())) == (torch.int64, 2)


def test_names_are_split_whole_and_hidden_files_are_none(tmp_path: Path) -> None:
    names = [f"case_{k:02d}" for k in range(12)]
    for name in names:
        add(tmp_path, name)
    (tmp_path / "images" / "._case_00.nii.gz").write_bytes(b"a Mac left this")
    parts = {split: [pair.name for pair in NiftiFolder(tmp_path, split=split)] for split in ("train", "test")}
    assert parts == {split: [n for n in names if part_of(n) == split] for split in ("train", "test")}
    assert min(len(p) for p in parts.values()) > 0
    assert [pair.name for pair in NiftiFolder(tmp_path)] == names


def test_labels_stored_as_floating_point_are_read_as_integers(tmp_path: Path) -> None:
    add(tmp_path, "a", dtype=np.float32)
    assert NiftiFolder(tmp_path)[0].label.values.dtype == torch.int64


def test_labels_on_another_grid_are_refused_by_name(tmp_path: Path, refuses: Callable[..., None]) -> None:
    mirrored, turned, moved = RAS.copy(), RAS.copy(), RAS.copy()
    mirrored[0] = [-0.5, 0, 0, 3]  # the same box, counted from its other side
    turned[:2] = [[0, 0.8, 0, 0], [0.5, 0, 0, 0]]
    moved[2, 3] = 3
    for name, affine in (("mirrored", mirrored), ("turned", turned), ("moved", moved)):
        add(tmp_path, name)
        write(tmp_path / "labels" / f"{name}.nii.gz", np.zeros(SIZE, np.uint8), affine)
    add(tmp_path, "cut")
    write(tmp_path / "labels" / "cut.nii.gz", np.zeros((7, 5, 3), np.uint8), RAS)
    data = NiftiFolder(tmp_path)
    found = {file.name: k for k, file in enumerate(data.images)}

    def read(index: int) -> None:
        data[index]

    for name in ("mirrored", "turned", "moved"):
        refuses(rf"^labels/{name}.nii.gz: expected two volumes on one grid", read, found[f"{name}.nii.gz"])
    refuses(r"^labels/cut.nii.gz: expected two volumes of one shape", read, found["cut.nii.gz"])


def test_files_that_are_no_volume_are_refused_by_name(tmp_path: Path, refuses: Callable[..., None]) -> None:
    for name in ("a_four", "b_corrupt", "c_fraction"):
        add(tmp_path, name)
    write(tmp_path / "images" / "a_four.nii.gz", np.zeros((*SIZE, 2), np.int16), RAS)
    whole = (tmp_path / "labels" / "b_corrupt.nii.gz").read_bytes()
    (tmp_path / "labels" / "b_corrupt.nii.gz").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "labels" / "c_fraction.nii.gz", np.full(SIZE, 0.3, np.float32), RAS)
    data = NiftiFolder(tmp_path)

    def read(index: int) -> None:
        data[index]

    refuses("^images/a_four.nii.gz: expected three axes", read, 0)
    refuses("^labels/b_corrupt.nii.gz: expected a NIfTI volume", read, 1)
    refuses("^labels/c_fraction.nii.gz: expected labels in whole numbers", read, 2)
    (tmp_path / "images" / "b_corrupt.nii.gz").write_bytes(gzip.compress(b"no volume"))
    refuses("^images/b_corrupt.nii.gz: expected a NIfTI volume", read, 1)


def test_what_is_missing_is_named(tmp_path: Path, refuses: Callable[..., None]) -> None:
    refuses("the folder of volumes at images", NiftiFolder, tmp_path)
    (tmp_path / "images").mkdir()
    refuses("a volume .* got none among 0: copy them there", NiftiFolder, tmp_path)
    add(tmp_path, "a")
    add(tmp_path, "b")
    (tmp_path / "labels" / "b.nii.gz").unlink()
    refuses("the labels of images/b.nii.gz at b.nii.gz", NiftiFolder, tmp_path)
    (tmp_path / "images" / "b.nii.gz").unlink()
    other = "test" if part_of("a") == "train" else "train"
    refuses(f"falls into the {other} part, got none among 1: add subjects", NiftiFolder, tmp_path, split=other)
