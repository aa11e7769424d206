"""Vessels: tubes and balls of known place and size are found as such, and in the real CTs none touches what is
labelled.
"""

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial import cKDTree

from coursekit.data import ct
from coursekit.data.ct import ground
from coursekit.data.ct.ground import vessels
from coursekit.data.scan import Scan, spaced
from coursekit.data.seeds import Part

SHAPE = (60, 80, 90)
BALL, UPRIGHT, FLAT = (20.0, 20.0, 20.0), (30.0, 55.0, 25.0), (25.0, 40.0, 66.0)  # (d, h, w) in voxels of 1 mm


@pytest.fixture(scope="module")
def toy() -> Scan:
    """A ball of 7 mm, a tube of 6 mm along depth, a tube of 6 mm along the columns that ends in the lung, in noise."""
    d, h, w = (axis.astype(float) for axis in np.indices(SHAPE))
    distance = np.stack(
        [
            np.sqrt((d - BALL[0]) ** 2 + (h - BALL[1]) ** 2 + (w - BALL[2]) ** 2) - 3.5,
            np.hypot(h - UPRIGHT[1], w - UPRIGHT[2]) - 3 + 0.02 * np.abs(d - UPRIGHT[0]),  # thickest in the middle
            np.hypot(d - FLAT[0], h - FLAT[1]) - 3 + 0.02 * np.abs(w - FLAT[2]),
        ]
    ).min(0)
    noise = np.random.default_rng(0).normal(0, 20, SHAPE)
    values = -850 + 890 * np.clip(0.5 - distance, 0, 1) + noise
    return spaced(torch.from_numpy(values.astype(np.float32)), (1.0,) * 3, unit="HU")


EVERYWHERE = torch.ones(SHAPE, dtype=torch.bool)


def unlabelled(scan: Scan) -> Scan:
    return Scan(~EVERYWHERE, scan.affine)


def at(index: np.ndarray, place: tuple[float, float, float]) -> int:
    """The candidate at a place, within 2.5 mm."""
    apart = np.linalg.norm(index - place, axis=1)
    assert apart.min() < 2.5
    return int(apart.argmin())


def test_tubes_and_balls_of_known_place_and_size(toy: Scan) -> None:
    found = vessels(toy, EVERYWHERE, unlabelled(toy))
    index = toy.index(found.world)
    ball, upright, flat = (at(index, place) for place in (BALL, UPRIGHT, FLAT))
    np.testing.assert_allclose(found.diameter_mm[[upright, flat]], 6, rtol=0.2)
    assert 4.5 < found.diameter_mm[ball] < 7.5  # a ball of 7 mm answers like a tube of 7 √(2/3)
    distance = np.minimum(np.hypot(*(index - UPRIGHT).T[1:]), np.hypot(*(index - FLAT).T[:2]))
    assert (np.minimum(distance, np.linalg.norm(index - BALL, axis=1)) < 4).all()  # nothing out of the noise


def test_only_inside_only_of_the_size_and_away_from_the_label(toy: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    left = EVERYWHERE.clone()
    left[:, :, 45:] = False
    found = vessels(toy, left, unlabelled(toy))
    assert len(found.world)
    assert toy.index(found.world)[:, 2].max() <= 42
    label = torch.zeros(SHAPE, dtype=torch.bool)
    label[20, 20, 24] = True
    near = vessels(toy, EVERYWHERE, Scan(label, toy.affine))
    assert np.linalg.norm(toy.index(near.world) - [20, 20, 24], axis=1).min() >= 10
    assert len(near.world) == len(vessels(toy, EVERYWHERE, unlabelled(toy)).world) - 1
    monkeypatch.setattr(ground, "KEPT_MM", (9.0, 12.0))
    assert not len(vessels(toy, EVERYWHERE, unlabelled(toy)).world)


def test_a_lung_without_any(toy: Scan) -> None:
    assert not len(vessels(Scan(torch.full(SHAPE, -850.0), toy.affine), EVERYWHERE, unlabelled(toy)).world)


@pytest.mark.parametrize(("split", "least"), [("train", 400), ("test", 700)])
def test_hundreds_in_the_real_lungs_none_at_the_tumour(split: Part, least: int) -> None:
    lung = ground.of(split)
    chest, inside = lung.ct, lung.lungs
    assert lung.vessels is ground.of(split).vessels, "they are sought once"
    assert len(lung.vessels.world) >= least
    index = chest.scan.index(lung.vessels.world)
    nearest = tuple(np.round(index).astype(int).T)
    assert bool(inside[nearest].all())
    assert float(ndimage.map_coordinates(chest.scan.values.numpy(), index.T, order=1).min()) > -560
    z = np.unique(np.argwhere(chest.label.values.numpy())[:, 0])
    window = slice(z[0] - 3, z[-1] + 4)
    apart = ndimage.distance_transform_edt(~chest.label.values[window].numpy(), sampling=chest.scan.spacing_mm)
    there = (index[:, 0] >= window.start) & (index[:, 0] <= window.stop - 1)
    assert there.sum() > 20
    assert (
        apart[tuple(np.round(index[there] - [window.start, 0, 0]).astype(int).T)].min() > 7
    )  # 10 less the rounding of a place


@pytest.mark.parametrize("slice_mm", [2.5, 5.0])
def test_the_lungs_of_one_ct_share_no_voxel_of_a_cube_and_hold_hundreds_each(slice_mm: float) -> None:
    """Thick slices are means of two thin ones; nothing is set or taken at the tumour or near the plane between."""
    left, right = (ground.of(split, slice_mm=slice_mm) for split in ("train", "test"))
    assert left.ct.scan.spacing_mm == pytest.approx((slice_mm, 0.703125, 0.703125))
    assert left.ct.scan is right.ct.scan
    assert min(len(lung.vessels.world) for lung in (left, right)) >= 200
    free = [lung.free.nonzero()[:, 2] for lung in (left, right)]
    between = float(right.vessels.world[:, 0].min() - left.vessels.world[:, 0].max())
    assert (
        min(between, float(free[0].min() - free[1].max()) * 0.703125) >= 27.5
    )  # 12 mm of a cube and 2 of a shift, on either side, less a column
    assert left.vessels.world[:, 0].max() < right.vessels.world[:, 0].min()  # x grows to the patient's right
    lit = left.ct.scan.world(left.ct.label.values.nonzero().numpy())
    assert lit[:, 0].max() < right.vessels.world[:, 0].min()  # the tumour lies in the left lung
    assert cKDTree(lit).query(left.vessels.world)[0].min() >= 10
    assert not (left.free & left.ct.label.values).any()


def test_slices_of_5_mm_are_the_means_of_two_of_the_thin() -> None:
    whole, thick = ct.thin().scan, ground.of("train", slice_mm=5.0).ct.scan
    pairs = whole.values[:132].float().unflatten(0, (66, 2)).mean(1)
    assert float((thick.values - pairs).abs().max()) < 0.01
    np.testing.assert_allclose(thick.world(np.array([[3, 4, 5]])), whole.world(np.array([[6.5, 4, 5]])), atol=1e-3)
