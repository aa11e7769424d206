"""NRRD keeps its place: a voxel lit at a known place of the world, through a header written by hand, and the real files."""

from pathlib import Path

import numpy as np
import pytest
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


@pytest.mark.parametrize("name", ["brain1", "brain2", "lung1", "lung2"])
def test_the_real_files_lie_as_their_headers_say(name: str) -> None:
    image, label = (oriented(itk.read(fetch.path(f"{name}_{part}"))) for part in ("image", "label"))
    assert image.axes == label.axes == "SPL"
    assert image.values.shape == label.values.shape
    np.testing.assert_allclose(image.affine, label.affine)
