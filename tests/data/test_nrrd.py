"""NRRD keeps its place: a voxel lit at a known place of the world, through a header written by hand, and the real files."""

from pathlib import Path

import numpy as np
import pytest
import torch

from coursekit.data import fetch, nrrd

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
    scan = nrrd.read(written(tmp_path, space=space), unit="HU")
    assert (scan.axes, scan.unit, scan.values.dtype) == ("SPL", "HU", torch.int16)
    assert scan.values.shape == (5, 3, 4)  # up, along y, along x
    np.testing.assert_allclose(scan.spacing_mm, (2, 3, 0.5))
    place = np.array([10 + 0.5 * 1, 20 - 3 * 2, 30 + 2 * 4.0])  # in the file's own space
    sign = -1 if space.startswith("left") else 1
    np.testing.assert_allclose(scan.world(scan.values.nonzero().numpy())[0], place * [sign, sign, 1])


def test_axes_can_be_chosen(tmp_path: Path) -> None:
    assert nrrd.read(written(tmp_path), axes="RAS").values.shape == (4, 3, 5)


def test_files_that_are_no_volume_are_refused(tmp_path: Path, refuses) -> None:
    with pytest.raises(FileNotFoundError):
        nrrd.read(tmp_path / "none.nrrd")
    text = written(tmp_path).read_bytes()
    (tmp_path / "cut.nrrd").write_bytes(text[:-50])
    (tmp_path / "text.nrrd").write_text("no volume")
    for name in ("cut", "text"):
        refuses(f"an NRRD volume in {name}.nrrd, got one that cannot be read", nrrd.read, tmp_path / f"{name}.nrrd")
    flat = text.replace(b"dimension: 3", b"dimension: 2").replace(b"sizes: 5 4 3", b"sizes: 5 12")
    flat = flat.replace(b" (0,-3,0)", b"").replace(b"kinds: domain ", b"kinds: ").replace(b"space: left-posterior-superior\n", b"")
    lines = [line for line in flat.split(b"\n") if not line.startswith((b"space directions", b"space origin"))]
    (tmp_path / "flat.nrrd").write_bytes(b"\n".join(lines))
    refuses("three axes and one channel in flat.nrrd, got 2 axes", nrrd.read, tmp_path / "flat.nrrd")


def test_a_file_without_a_place_is_refused(tmp_path: Path, refuses) -> None:
    lines = written(tmp_path).read_bytes().replace(b"space directions: " + TURNED.encode(), b"spacings: 1 1 1").split(b"\n")
    (tmp_path / "b.nrrd").write_bytes(b"\n".join(x for x in lines if not x.startswith((b"space: ", b"space origin"))))
    refuses("b.nrrd to say its orientation", nrrd.read, tmp_path / "b.nrrd")


@pytest.mark.parametrize("name", ["brain1", "brain2", "lung1", "lung2"])
def test_the_real_files_lie_as_their_headers_say(name: str) -> None:
    image, label = (nrrd.read(fetch.path(f"{name}_{part}")) for part in ("image", "label"))
    assert image.axes == label.axes == "SPL"
    assert image.values.shape == label.values.shape
    np.testing.assert_allclose(image.affine, label.affine)
