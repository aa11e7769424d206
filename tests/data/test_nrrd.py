"""NRRD keeps its place: a voxel lit at a known place of the world, through a header written by hand, and the real
files.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from coursekit.data import fetch, itk
from coursekit.data.scan import oriented

HEADER = """NRRD0004
type: short
dimension: 3
space: {space}
sizes: 5 4 3
space directions: {directions}
kinds: domain domain domain
endian: little
encoding: raw
space origin: (10,20,30)

"""
TURNED = "(0,0,2) (0.5,0,0) (0,-3,0)"  # the fastest axis goes up, the next along x, the slowest against y
LIT = (2, 1, 4)  # as (slowest, middle, fastest)


def written(folder: Path, *, space: str = "left-posterior-superior", directions: str = TURNED) -> Path:
    """A file without any library: voxel LIT is 7, all others 0."""
    values = np.zeros((3, 4, 5), "<i2")
    values[LIT] = 7
    (folder / "a.nrrd").write_bytes(HEADER.format(space=space, directions=directions).encode() + values.tobytes())
    return folder / "a.nrrd"


@pytest.mark.parametrize("space", ["left-posterior-superior", "right-anterior-superior"])
def test_a_lit_voxel_is_found_where_the_header_puts_it(tmp_path: Path, space: str) -> None:
    scan = oriented(itk.read(written(tmp_path, space=space), unit="HU"))
    assert (scan.axes, scan.unit, scan.values.dtype) == ("SPL", "HU", torch.int16)
    assert scan.values.shape == (5, 3, 4)  # up, along y, along x
    np.testing.assert_allclose(scan.spacing_mm, (2, 3, 0.5))
    place = np.array([10 + 0.5 * 1, 20 - 3 * 2, 30 + 2 * 4.0])  # in the file's own space
    sign = -1 if space.startswith("left") else 1
    np.testing.assert_allclose(scan.world(scan.values.nonzero().numpy())[0], place * [sign, sign, 1])


def test_files_that_are_no_volume_are_refused(tmp_path: Path, refuses) -> None:
    text = written(tmp_path).read_bytes()
    (tmp_path / "cut.nrrd").write_bytes(text[:-50])
    (tmp_path / "text.nrrd").write_text("no volume")
    for name in ("cut", "text", "missing"):
        refuses(f"a volume that ITK reads in {name}.nrrd", itk.read, tmp_path / f"{name}.nrrd")


def changed(folder: Path, old: str, new: str) -> Path:
    path = written(folder)
    text = path.read_bytes()
    assert old.encode() in text
    path.write_bytes(text.replace(old.encode(), new.encode()))
    return path


def test_lengths_are_in_the_files_unit_and_values_in_its_byte_order(tmp_path: Path, refuses) -> None:
    scan = itk.read(changed(tmp_path, "encoding: raw", 'encoding: raw\nspace units: "um" "um" "um"'))
    np.testing.assert_allclose(oriented(scan).spacing_mm, (2e-3, 3e-3, 5e-4))
    assert int(itk.read(changed(tmp_path, "endian: little", "endian: big")).values.max()) == 7 * 256
    for word in ("µm", "μm", "UM", "microns", "Micrometers", "micrometer"):
        scan = itk.read(changed(tmp_path, "encoding: raw", f'encoding: raw\nspace units: "{word}" "{word}" "{word}"'))
        np.testing.assert_allclose(oriented(scan).spacing_mm, (2e-3, 3e-3, 5e-4))
    mixed = changed(tmp_path, "encoding: raw", 'encoding: raw\nspace units: "mm" "um" "mm"')
    refuses("a unit of length .* a.nrrd, got ValueError .lengths in mm and um", itk.read, mixed)
    refuses(
        "a unit of length", itk.read, changed(tmp_path, "encoding: raw", 'encoding: raw\nspace units: "ft" "ft" "ft"')
    )


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("space: left-posterior-superior", "space: scanner-xyz", "an anatomical space in a.nrrd, got scanner-xyz"),
        ("space: left-posterior-superior", "space dimension: 3", "an anatomical space in a.nrrd, got none"),
        (f"space directions: {TURNED}\n", "", "space directions in a.nrrd, got none"),
        ("(0.5,0,0)", "none", "space directions in a.nrrd"),
        ("(0.5,0,0)", "(0,0,0)", "a volume that ITK reads in a.nrrd"),
        ("(0.5,0,0)", "(0,0,3)", "a volume that ITK reads in a.nrrd"),
        ("type: short", "type: block", "a volume that ITK reads in a.nrrd"),
    ],
)
def test_a_header_without_a_place_is_refused(tmp_path: Path, refuses, old: str, new: str, says: str) -> None:
    refuses(says, itk.read, changed(tmp_path, old, new))


@pytest.mark.parametrize("name", ["a.nrrd", "a.mha", "a.mhd"])
def test_a_flipped_bit_or_a_missing_end_of_what_is_compressed_is_seen(tmp_path: Path, refuses, name: str) -> None:
    values = np.random.default_rng(0).integers(0, 3000, (20, 20, 20)).astype(np.uint16)
    sitk.WriteImage(sitk.GetImageFromArray(values), str(tmp_path / name), useCompression=True)
    assert torch.equal(itk.read(tmp_path / name).values, torch.from_numpy(values.astype(np.int32)))
    voxels = tmp_path / ("a.zraw" if name == "a.mhd" else name)
    raw = voxels.read_bytes()
    for place in (*range(700, len(raw), 2999), len(raw) - 2):
        flipped = bytearray(raw)
        flipped[place] ^= 0x10
        voxels.write_bytes(flipped)
        refuses(f"in {voxels.name}, got .*: copy it again", itk.read, tmp_path / name)
    for left in (0, len(raw) // 2, len(raw) - 2):
        voxels.write_bytes(raw[:left])
        refuses(f"in {voxels.name}, got", itk.read, tmp_path / name)


def test_lines_before_compressed_voxels_are_skipped(tmp_path: Path) -> None:
    values = np.arange(60, dtype="<i2")
    (tmp_path / "a.gz").write_bytes(b"two\nlines\n" + gzip.compress(values.tobytes()))
    header = (
        HEADER.format(space="left-posterior-superior", directions=TURNED)
        .rstrip()
        .replace("encoding: raw", "encoding: gzip")
    )
    (tmp_path / "a.nhdr").write_text(f"{header}\nline skip: 2\ndata file: a.gz\n\n")
    assert itk.read(tmp_path / "a.nhdr").values.flatten().tolist() == values.tolist()


@pytest.mark.parametrize("name", ["a.mha", "a.mhd"])
def test_metaimage_with_too_few_voxels_under_a_sound_checksum_is_refused(tmp_path: Path, refuses, name: str) -> None:
    sitk.WriteImage(
        sitk.GetImageFromArray(np.arange(60, dtype=np.int16).reshape(3, 4, 5)),
        str(tmp_path / name),
        useCompression=True,
    )
    voxels = tmp_path / ("a.zraw" if name == "a.mhd" else name)
    header, whole = (b"", voxels.read_bytes()) if name == "a.mhd" else voxels.read_bytes().split(b"LOCAL\n")
    short = zlib.compress(zlib.decompress(whole)[:40])
    text = (tmp_path / name).read_bytes() if name == "a.mhd" else header + b"LOCAL\n"
    for stored, size, says in (
        (short, len(short), "120 bytes of voxels in a"),
        (whole, len(whole) - 9, "CompressedDataSize is"),
    ):
        new = text.replace(b"CompressedDataSize = %d" % len(whole), b"CompressedDataSize = %d" % size)
        assert size == len(whole) or new != text
        (tmp_path / name).write_bytes(new if name == "a.mhd" else new + stored)
        if name == "a.mhd":
            voxels.write_bytes(stored)
        refuses(says, itk.read, tmp_path / name)


def test_metaimage_says_its_unit_its_spacing_and_its_scaling(tmp_path: Path, refuses) -> None:
    image = sitk.GetImageFromArray(np.full((2, 3, 4), 2**31 + 5, np.uint32))
    image.SetSpacing((1, 2, 3))
    path = tmp_path / "a.mhd"
    sitk.WriteImage(image, str(path))
    text = path.read_text()
    path.write_text(text.replace("ElementSpacing", "DistanceUnits = um\nElementSpacing"))
    np.testing.assert_allclose(itk.read(path).spacing_mm, (3e-3, 2e-3, 1e-3))
    assert int(itk.read(path).values.max()) == 2**31 + 5
    for old, new, says in (
        ("ElementSpacing = 1 2 3\n", "", "ElementSpacing in a.mhd, got none"),
        ("ElementSpacing = 1 2 3", "ElementSpacing = 0 2 3", "a volume that ITK reads in a.mhd"),
        (
            "ElementSpacing",
            "ElementToIntensityFunctionSlope = 2\nElementSpacing",
            "voxels stored without scaling in a.mhd",
        ),
        ("a.raw", "b.raw", "the voxels of a.mhd at b.raw"),
        ("ElementDataFile = a.raw", "ElementDataFile", "neither NRRD nor MetaImage"),
        ("TransformMatrix", "Note", "a TransformMatrix in a.mhd, got none"),
        ("MET_UINT", "MET_FOO", "a volume that ITK reads in a.mhd"),
    ):
        assert old in text
        path.write_text(text.replace(old, new))
        refuses(says, itk.read, path)
    one = text.replace("a.raw", "LOCAL").replace("ElementSpacing", "HeaderSize = 3\nElementSpacing").encode()
    (tmp_path / "a.mha").write_bytes(one + b"abc" + (tmp_path / "a.raw").read_bytes())
    refuses("no HeaderSize in a.mha", itk.read, tmp_path / "a.mha")
    (tmp_path / "folder.mhd").mkdir()
    refuses("a volume that ITK reads in folder.mhd", itk.read, tmp_path / "folder.mhd")


@pytest.mark.parametrize("name", ["brain1", "brain2", "lung1", "lung2"])
def test_the_real_files_lie_as_their_headers_say(name: str) -> None:
    image, label = (oriented(itk.read(fetch.path(f"{name}_{part}"))) for part in ("image", "label"))
    assert image.axes == label.axes == "SPL"
    assert image.values.shape == label.values.shape
    np.testing.assert_allclose(image.affine, label.affine)
