"""LUNA16 on a miniature in its own layout: places are turned from LPS to RAS, and what is amiss is said in one
sentence.
"""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from coursekit.data.readers import luna16

UID = "1.3.6.1.4.1.14519.5.2.1.6279.6001.100225287222365663678666836860"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two scans in two subsets, one of them stored from head to foot, and the tables with the challenge's own column
    names.
    """
    for k, turned in enumerate((False, True)):
        image = sitk.GetImageFromArray(np.arange(3 * 4 * 5, dtype=np.int16).reshape(3, 4, 5) - 1000)
        image.SetSpacing((0.7, 0.7, 2.5))
        image.SetOrigin((-195.5, -180.0, -378.25))
        if turned:
            image.SetDirection((1, 0, 0, 0, 1, 0, 0, 0, -1))
        (tmp_path / f"subset{k}").mkdir()
        sitk.WriteImage(image, str(tmp_path / f"subset{k}" / f"{UID}{k}.mhd"))
    (tmp_path / "candidates.csv").write_text(
        f"seriesuid,coordX,coordY,coordZ,class\n{UID}0,-56.08,-67.85,-311.92,0\n{UID}1,53.21,-244.41,-245.17,1\n"
    )
    return tmp_path


def test_scans_of_all_subsets_lie_where_itk_says(folder: Path) -> None:
    found = luna16.series(folder)
    assert list(found) == [f"{UID}0", f"{UID}1"]
    for path in found.values():
        scan, image = luna16.scan(path), sitk.ReadImage(str(path))
        assert (scan.axes, scan.unit, scan.values.dtype) == ("SPL", "HU", torch.float32)
        x, y, z = image.TransformIndexToPhysicalPoint((4, 1, 2))
        at = tuple(np.round(scan.index(np.array([[-x, -y, z]]))[0]).astype(int))
        assert float(scan.values[at]) == image[4, 1, 2]


def test_tables_become_ras(folder: Path) -> None:
    first, second = luna16.proposals(folder)
    assert (first.nodule, second.nodule, second.series) == (False, True, f"{UID}1")
    np.testing.assert_allclose(second.world, [-53.21, 244.41, -245.17])
    (folder / "candidates_V2.csv").write_text(f"seriesuid,coordX,coordY,coordZ,class\n{UID}0,1,2,3,1\n")
    assert len(luna16.proposals(folder)) == 1


def test_what_is_amiss_is_said_in_one_sentence(folder: Path, refuses) -> None:
    path = folder / "subset0" / f"{UID}0.mhd"
    raw = path.with_suffix(".raw")
    raw.write_bytes(raw.read_bytes()[:10])
    refuses("a volume that ITK reads in", luna16.scan, path)
    raw.unlink()
    refuses("the voxels of .* nothing there", luna16.scan, path)
    refuses("scans at subset", luna16.series, folder / "subset0")
    (folder / "candidates.csv").write_text("seriesuid,x,y,z,class\n")
    refuses("none named coordX, coordY, coordZ", luna16.proposals, folder)
    (folder / "candidates.csv").write_text(f"seriesuid,coordX,coordY,coordZ,class,coordX\n{UID}0,1,2,3,1,9\n")
    refuses("every column once in candidates.csv", luna16.proposals, folder)
    (folder / "candidates.csv").write_text(f"seriesuid,coordX,coordY,coordZ,class\n{UID}0,1,two,3,1\n")
    refuses("a number as coordY in candidates.csv", luna16.proposals, folder)
    (folder / "candidates.csv").write_text(f"seriesuid,coordX,coordY,coordZ,class\n{UID}0,1,2,3,7\n")
    refuses("class in candidates.csv to be one of", luna16.proposals, folder)
    (folder / "candidates.csv").unlink()
    refuses("the candidates at candidates.csv", luna16.proposals, folder)
