"""What a NIfTI file says of itself is believed where it is sound; what is not is refused by name, and nothing of
nibabel gets out.
"""

import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from coursekit.data.scan import Scan, aligned, from_nifti, spaced
from tests.data.nifti_by_library import to_nifti

VALUES = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
AFFINE = np.diag([-1.0, -2.0, 3.0, 1.0])
Refuses = Callable[..., None]


def write(
    path: Path, values: np.ndarray = VALUES, *, kind: type = nib.Nifti1Image, header: object = None, unit: str = "mm"
) -> Path:
    image = kind(values, AFFINE, header)
    image.set_sform(AFFINE, 1)
    image.set_qform(AFFINE, 1)
    image.header.set_xyzt_units(unit)
    nib.save(image, path)
    return path


def patched(path: Path, place: int, form: str, *values: float) -> Path:
    raw = bytearray(path.read_bytes())
    raw[place : place + struct.calcsize(form)] = struct.pack(form, *values)
    path.write_bytes(raw)
    return path


def holds(path: Path, values: np.ndarray = VALUES, step: float = 1.0) -> None:
    scan = from_nifti(path)
    np.testing.assert_array_equal(scan.values.double().numpy().transpose(2, 1, 0), values)
    np.testing.assert_allclose(scan.affine[:, [2, 1, 0, 3]], np.diag([step, step, step, 1]) @ AFFINE, rtol=1e-6)


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
def test_every_byte_order_and_type_is_read(tmp_path: Path, dtype: str, order: str) -> None:
    header = nib.Nifti1Header(endianness=order)
    header.set_data_dtype(dtype)
    values = VALUES.astype(dtype)
    if dtype[0] == "u":
        values[0, 0, 0] = np.iinfo(dtype).max if dtype != "u8" else 2**62
    path = write(tmp_path / "a.nii", values, header=header)
    assert nib.load(path).header.endianness == order
    assert torch.equal(
        from_nifti(path).values.permute(2, 1, 0), torch.from_numpy(values.astype("f8" if dtype[0] == "f" else "i8"))
    )


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nii.bz2", "a.img", "a.hdr", "two.nii", "two.nii.gz"])
def test_every_form_of_the_file_is_read(tmp_path: Path, name: str) -> None:
    kinds = {".hdr": nib.Nifti1Pair, ".img": nib.Nifti1Pair}
    kind = nib.Nifti2Image if name.startswith("two") else kinds.get(name[1:], nib.Nifti1Image)
    holds(write(tmp_path / name, kind=kind))
    holds(write(tmp_path / f"t{name}", VALUES[..., None], kind=kind))  # a single frame is a volume


@pytest.mark.parametrize(("unit", "step"), [("mm", 1), ("unknown", 1), ("micron", 1e-3), ("meter", 1e3)])
def test_lengths_are_in_the_unit_of_the_header(tmp_path: Path, unit: str, step: float) -> None:
    holds(write(tmp_path / "a.nii", unit=unit), step=step)


def test_an_unknown_unit_is_refused_and_microscopy_is_no_broken_affine(tmp_path: Path, refuses: Refuses) -> None:
    refuses(
        "m, mm or µm as the unit of length in a.nii, got code 7",
        from_nifti,
        patched(write(tmp_path / "a.nii"), 123, "<B", 7),
    )
    fine = spaced(torch.zeros(2, 3, 4), (2.9e-4, 2.6e-4, 2.6e-4))
    to_nifti(fine, tmp_path / "fine.nii")
    np.testing.assert_allclose(from_nifti(tmp_path / "fine.nii").spacing_mm, fine.spacing_mm, rtol=1e-6)
    moved = fine.affine.copy()
    moved[0, 3] += 2.6e-4
    refuses("two volumes on one grid", aligned, fine, Scan(fine.values, moved))
    refuses("an affine", Scan, fine.values, fine.affine * [[1], [1], [0], [1]])


def test_values_are_scaled_as_the_header_says(tmp_path: Path, refuses: Refuses) -> None:
    path = patched(write(tmp_path / "a.nii"), 112, "<2f", 2.0, -5.0)
    holds(path, VALUES * 2.0 - 5)
    holds(patched(path, 112, "<2f", 0.0, 7.0))  # a slope of 0 or none: as stored
    holds(patched(path, 112, "<2f", np.nan, 7.0))
    refuses("a NIfTI volume in a.nii, got HeaderDataError", from_nifti, patched(path, 112, "<2f", 2.0, np.nan))


def test_a_quaternion_a_hair_too_long_is_scaled(tmp_path: Path, refuses: Refuses) -> None:
    path = patched(write(tmp_path / "a.nii"), 256, "<3f", 0.0, 0.001, 1.0)
    holds(path)
    refuses(
        "one orientation in a.nii, got sform LPS, qform RPI", from_nifti, patched(path, 256, "<3f", 1.0, 0.001, 0.0)
    )
    for parts in ((1.0, 1.0, 1.0), (np.nan, 0.0, 1.0)):
        refuses("an orientation in a.nii", from_nifti, patched(path, 256, "<3f", *parts))


@pytest.mark.parametrize(
    "sform", [(0.0,) * 12, (np.nan,) * 12, (1.0, 0, 0, 0, 2.0, 0, 0, 0, 0, 0, 1, 0), (np.inf, *(0.0,) * 11)]
)
def test_an_affine_that_is_no_place_is_refused(tmp_path: Path, refuses: Refuses, sform: tuple[float, ...]) -> None:
    path = patched(patched(write(tmp_path / "a.nii"), 280, "<12f", *sform), 252, "<h", 0)
    refuses("in a.nii, got", from_nifti, path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.img.gz", "a.nii.bz2"])
def test_a_flipped_bit_or_a_missing_end_of_what_is_compressed_is_seen(
    tmp_path: Path, refuses: Refuses, name: str
) -> None:
    values = np.random.default_rng(0).integers(0, 3000, (20, 20, 20)).astype(np.int16)
    kind = nib.Nifti1Pair if "img" in name else nib.Nifti1Image
    path = write(tmp_path / name, values, kind=kind)
    raw = path.read_bytes()
    for place in (*range(500, len(raw) - 10, 997), len(raw) - 6):  # the last in the checksum
        flipped = bytearray(raw)
        flipped[place] ^= 0x10
        path.write_bytes(flipped)
        refuses(rf"a NIfTI volume in {name}, got \w+ .*: copy it again", from_nifti, path)
    for left in (0, 1, 20, len(raw) // 2, len(raw) - 9, len(raw) - 2):
        path.write_bytes(raw[:left])
        refuses(f"a NIfTI volume in {name}", from_nifti, path)


def test_a_volume_as_small_as_the_first_look_names_its_damage(tmp_path: Path, refuses: Refuses) -> None:
    raw = write(tmp_path / "a.nii.gz").read_bytes()
    (tmp_path / "a.nii.gz").write_bytes(raw[:-8])
    refuses("in a.nii.gz, got EOFError", from_nifti, tmp_path / "a.nii.gz")


def test_voxels_do_not_begin_in_the_header(tmp_path: Path, refuses: Refuses) -> None:
    for k, (kind, place, form) in enumerate([(nib.Nifti1Image, 108, "<f"), (nib.Nifti2Image, 168, "<q")]):
        path = patched(write(tmp_path / f"{k}.nii", kind=kind), place, form, 0)
        refuses(f"a NIfTI volume in {k}.nii, got ValueError .voxels that begin in the header", from_nifti, path)


@pytest.mark.parametrize("step", [0.0, -2.0, np.nan])
def test_a_qform_needs_its_spacing_and_is_left_out_beside_a_sound_sform(
    tmp_path: Path, refuses: Refuses, step: float
) -> None:
    path = patched(write(tmp_path / "a.nii"), 80, "<f", step)
    holds(path)
    refuses("a.nii to say its orientation, got a qform without the pixdim", from_nifti, patched(path, 254, "<h", 0))


def test_what_is_no_volume_is_refused_by_name(tmp_path: Path, refuses: Refuses) -> None:
    whole = write(tmp_path / "whole.nii").read_bytes()
    (tmp_path / "folder.nii").mkdir()
    files = {
        "empty.nii": b"",
        "text.nii.gz": b"text",
        "short.nii": whole[:-3],
        "header.nii": whole[:200],
        "plain.nii.gz": whole,
    }
    files |= {"zipped.nii": gzip.compress(whole), "csv.nii": b"a,b\n1,2\n" * 100}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    for name in (*files, "folder.nii", "missing.nii", "missing.nii.gz", "a.png"):
        refuses(f"a NIfTI volume in {name}", from_nifti, tmp_path / name)
    alone = write(tmp_path / "alone.hdr", kind=nib.Nifti1Pair)
    alone.with_suffix(".img").unlink()
    refuses("a NIfTI volume in alone.hdr", from_nifti, alone)


def test_what_is_no_volume_of_numbers_is_refused_by_name(tmp_path: Path, refuses: Refuses) -> None:
    colour = np.zeros((2, 3, 4), [("R", "u1"), ("G", "u1"), ("B", "u1")])
    for name, values, got in (
        ("colour", colour, "real numbers"),
        ("complex", VALUES.astype("c8"), "real numbers"),
        ("plane", VALUES[0], "three axes"),
        ("film", np.zeros((2, 3, 4, 5), "i2"), "three axes"),
        ("vector", np.zeros((2, 3, 4, 1, 3), "i2"), "three axes"),
    ):
        refuses(f"{got} .*in {name}.nii", from_nifti, write(tmp_path / f"{name}.nii", values))
    header = nib.Nifti1Header()
    header.set_data_dtype("u8")
    refuses(
        "real numbers .*in huge.nii",
        from_nifti,
        write(tmp_path / "huge.nii", np.full((2, 3, 4), 2**63, "u8"), header=header),
    )
    nib.save(nib.Spm99AnalyzeImage(VALUES, AFFINE), tmp_path / "old.img")
    refuses("a NIfTI volume in old.img, got Spm", from_nifti, tmp_path / "old.img")
