"""The thin-slice CT: that it is the one its readers read, how far they agree, and what a program makes of it."""

import itertools
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from matplotlib.path import Path as Outline
from scipy import ndimage

from coursekit.data import ct, fetch
from coursekit.data.scan import aligned


@pytest.fixture(scope="module")
def thin() -> ct.Thin:
    return ct.thin()


def test_it_is_the_scan_described(thin: ct.Thin) -> None:
    scan = thin.scan
    assert (tuple(scan.values.shape), scan.values.dtype, scan.unit) == ((133, 512, 512), torch.int16, "HU")
    assert (scan.spacing_mm, scan.axes) == ((2.5, 0.703125, 0.703125), "SPL")
    np.testing.assert_allclose(scan.world(np.array([[0, 0, 0]]))[0], [166, 171.7, -340], atol=1e-3)
    assert scan.values.min() == -2048  # outside the circle
    assert scan.values[:, 0, 0].eq(-2048).all()
    aligned(scan, thin.label)


def test_four_readings_land_on_the_mass(thin: ct.Thin) -> None:
    """Soft tissue within, and darker lung around it: were rows or slices mirrored or shifted, that would not hold."""
    assert (thin.nodule.patient, thin.nodule.malignancy, thin.readers.shape[0]) == ("LIDC-IDRI-0001", (5, 5, 5, 4), 4)
    mask, values = thin.label.values, thin.scan.values
    shell = torch.from_numpy(ndimage.binary_dilation(mask.numpy(), np.ones((1, 3, 3)), 6)) & ~mask

    def contrast(scan: torch.Tensor) -> float:
        return float(scan[mask].float().mean() - scan[shell].float().mean())

    assert contrast(values) > 250
    moved = [
        *(values.flip(axis) for axis in range(3)),
        *(values.roll(step, axis) for axis, step in itertools.product(range(3), (-8, 8))),
    ]
    assert max(map(contrast, moved)) < 0.75 * contrast(values)


def test_the_volumes_of_the_readers_and_of_their_consensus(thin: ct.Thin) -> None:
    """Contours run through the first pixels outside (see ``readings``), so these leave them out."""
    voxel = math.prod(thin.scan.spacing_mm)
    assert [round(float(mask.sum()) * voxel) for mask in thin.readers] == [7298, 5701, 6124, 6795]
    assert round(float(thin.label.values.sum()) * voxel) == 6709


def test_pylidcs_masks_of_the_same_contours(thin: ct.Thin) -> None:
    """It takes what matplotlib counts inside, which is a part of the contour itself: 2 to 7 % more. The masks lie in
    one another.
    """
    voxel, start = math.prod(thin.scan.spacing_mm), thin.scan.affine[2, 3]
    place = np.stack(np.meshgrid(np.arange(512), np.arange(512)), -1).reshape(-1, 2)
    masks = np.zeros(tuple(thin.readers.shape), bool)
    for mask, reading in zip(masks, thin.nodule.readings):
        for contour in reading.contours:
            mask[round((contour.z_mm - start) / 2.5)] |= (
                Outline(contour.points).contains_points(place).reshape(512, 512)
            )
    assert [round(float(mask.sum()) * voxel) for mask in masks] == [7466, 5837, 6251, 7302]
    assert round(float((masks.sum(0) >= 2).sum()) * voxel) == 6979
    assert not (thin.readers.numpy() & ~masks).any()


def test_how_far_the_readers_agree(thin: ct.Thin) -> None:
    dice = [2 * float((a & b).sum()) / float(a.sum() + b.sum()) for a, b in itertools.combinations(thin.readers, 2)]
    assert (round(min(dice), 2), round(max(dice), 2)) == (0.84, 0.90)


def test_a_program_takes_the_tumour_for_lung(thin: ct.Thin) -> None:
    organs = ct.organs()
    assert (len(organs.names), organs.label.values.dtype) == (89, torch.uint8)
    names = [organs.names.get(number, "") for number in organs.label.values[thin.label.values].tolist()]
    assert names.count("lung_lower_lobe_left") / len(names) > 0.999


def test_without_the_files_nothing_stands_in(empty_cache: Path) -> None:
    for load in (ct.thin, ct.organs):
        with pytest.raises(fetch.DataMissing, match="run coursekit data fetch thin_"):
            load()


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read as Linux counts it")
def test_it_takes_less_than_two_gigabytes() -> None:
    code = (
        "from pathlib import Path; from coursekit.data import ct; ct.thin(), ct.organs();"
        # getrusage would count the process that started it
        "print(Path('/proc/self/status').read_text().split('VmHWM:')[1].split()[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 2e6
