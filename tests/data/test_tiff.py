"""TIFF gives back grey values as they are stored; all else is refused by name."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from coursekit.data import tiff

VALUES = np.random.default_rng(0).integers(0, 3000, (5, 16, 24)).astype(np.uint16)


@pytest.mark.parametrize("values", [VALUES, VALUES[0], VALUES > 1500, VALUES.astype(np.float32)])
@pytest.mark.parametrize("order", "<>")
def test_pages_become_one_array(tmp_path: Path, values: np.ndarray, order: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack", byteorder=order)
    np.testing.assert_array_equal(tiff.read(tmp_path / "a.tif", axes=values.ndim), values)


def test_what_is_no_grey_image_is_refused_by_name(tmp_path: Path, refuses: Callable[..., None]) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, VALUES, photometric="minisblack", compression="zlib")
    refuses(r"one image of 2 axes in a.tif, got 1 of shape \(5, 16, 24\)", tiff.read, path, axes=2)
    raw = path.read_bytes()
    flipped = bytearray(raw)
    flipped[len(raw) // 2] ^= 0x10
    for content in (b"", b"no image", raw[:20], raw[: len(raw) // 2], raw[:-100], flipped):
        path.write_bytes(content)
        refuses("in a.tif, got", tiff.read, path, axes=3)
    for photometric, values in (("miniswhite", VALUES[0]), ("rgb", np.zeros((16, 24, 3), np.uint8))):
        tifffile.imwrite(path, values, photometric=photometric)
        refuses("grey values, 0 for black, in a.tif", tiff.read, path, axes=values.ndim)
    with tifffile.TiffWriter(path) as writer:
        writer.write(VALUES[0], photometric="minisblack")
        writer.write(VALUES[0, :8].astype(np.float32), photometric="minisblack")
    refuses("one image of 2 axes in a.tif, got 2", tiff.read, path, axes=2)
    refuses("a TIFF in gone.tif", tiff.read, tmp_path / "gone.tif", axes=2)
