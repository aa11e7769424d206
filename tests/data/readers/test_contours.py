"""Contours drawn by hand give back what was drawn, and readings that touch are of one nodule."""

import math

import numpy as np
import pytest
from scipy import ndimage
from scipy.spatial.distance import cdist

from coursekit.data.readers.contours import (
    RATINGS,
    Contour,
    Nodule,
    Reading,
    agreement,
    filled,
    grouped,
    sampled,
    signed_distance,
)
from tests.data.nodules_by_hand import RATED, ball, disc, picked, rim, scan_of

# --- drawn by hand ---


@pytest.mark.parametrize("radius", [1.0, 2.5, 7.3, 15.0])
def test_the_contours_own_pixels_are_not_the_nodules(radius: float) -> None:
    mask = disc(radius)
    within, line = filled(rim(mask), mask.shape)
    assert (within == mask).all()
    assert set(map(tuple, np.argwhere(line)[:, ::-1])) == set(map(tuple, rim(mask)))
    assert picked(rim(mask)[:-1]) == mask.sum()


def test_the_shape_is_trimmed_and_a_cube_is_centred() -> None:
    one = Nodule("p", "s", 0.5, 1.0, (ball(5.0),))
    assert not any(one.shape.transpose(0, axis)[[0, -1]].any() for axis in range(3))
    assert all(one.shape.transpose(0, axis)[1].any() for axis in range(3))
    for size in (16, 17):
        cube = one.at(1.0, size=size)
        assert cube.shape == (size,) * 3
        assert cube.nonzero().double().mean(0).tolist() == pytest.approx([(size - 1) / 2] * 3, abs=0.3)
    assert one.at(1.0, size=4).all()  # what lies outside is cut


def test_between_slices_the_outline_moves_and_beyond_the_last_it_closes() -> None:
    """A cylinder of three slices has the volume of three slabs; its ends come to a point at the next slice."""
    mask = disc(16)
    one = Nodule("p", "s", 0.5, 2.0, (Reading(tuple(Contour(2.0 * k, rim(mask)) for k in range(3)), RATED),))
    assert one.volume_ml == pytest.approx(mask.sum() * 0.25 * 3 * 2.0 / 1000, rel=0.02)
    per_slice = one.at(0.25, size=97).sum((1, 2)) * 0.25**2
    areas = [float(per_slice[48 + round(z / 0.25)]) for z in (0, 1, 2, 3, 3.75, 4.25)]  # z from the middle slice
    full = mask.sum() * 0.25
    assert areas == pytest.approx([full, full, full, full / 2, full / 8, 0], abs=6)
    field = signed_distance(np.stack([disc(10), disc(20)]), 0.5)
    fine = np.arange(0, 33, 0.1)
    middle = sampled(field, (2.0, 0.5, 0.5), [np.array([1.0]), fine, fine])
    assert (middle > 0).sum() * 0.01 == pytest.approx(math.pi * 7.5**2, rel=0.02)  # radius 5 mm, 7.5 mm, 10 mm


def test_a_hole_is_taken_out_with_its_rim() -> None:
    outer, hole = disc(20), disc(6)
    drawn = (Contour(0.0, rim(hole), False), Contour(0.0, rim(outer)))
    share = agreement([Reading(drawn, RATED)], 1.0).share[0]
    gone = hole | ndimage.binary_dilation(hole)
    assert share.sum() == outer.sum() - gone.sum()
    stray = Reading((*drawn, Contour(99.0, rim(hole), False), Contour(0.0, rim(hole) + 25, False)), RATED)
    assert (
        agreement([stray], 1.0).share.sum() <= share.sum()
    )  # a hole where nothing was drawn, and one that leaves the box


def test_half_of_the_readers_must_agree() -> None:
    small, large = ball(3.0), ball(6.0)
    volumes = {key: Nodule("p", "s", 0.5, 1.0, key).volume_ml for key in ((small,), (large,))}
    for readings, expected in [
        ((small, large), large),
        ((small, small, large), small),
        ((small, small, large, large), large),
    ]:
        one = Nodule("p", "s", 0.5, 1.0, readings)
        assert one.volume_ml == pytest.approx(volumes[(expected,)])
        assert one.diameter_mm == pytest.approx(np.mean([12 if r is large else 6 for r in readings]), abs=0.5)


def test_the_signed_distance_is_zero_at_the_outline() -> None:
    mask = np.zeros((2, 4, 9), bool)
    mask[0, :, 3:] = True
    field = signed_distance(mask, 0.5)
    assert field[0, 2, 1:8].tolist() == [
        -1.25,
        -0.75,
        -0.25,
        0.25,
        0.75,
        0.75,
        0.75,
    ]  # the background put around is near
    assert (field[1] == -np.inf).all()


def test_medians_and_ratings_are_by_name() -> None:
    rows = [
        (1, 2, 3, 4, 5, 1, 2, 3, 1),
        (5, 2, 3, 4, 5, 1, 2, 3, 2),
        (3, 2, 3, 4, 5, 1, 2, 3, 5),
        (3, 2, 3, 4, 5, 1, 2, 5, 4),
    ]
    one = Nodule("p", "s", 0.5, 1.0, tuple(ball(3.0, ratings=row) for row in rows))
    assert (one.malignancy, one.median("malignancy"), one.median("subtlety"), one.median("texture")) == (
        (1, 2, 5, 4),
        3.0,
        3.0,
        3.0,
    )
    assert (one.ratings.shape, len(one.readings), RATINGS[-1]) == ((4, 9), 4, "malignancy")


# --- which readings are of one nodule ---


def test_readings_that_touch_are_one_nodule_and_others_are_not() -> None:
    near, far = ball(3.0, shift=1), ball(3.0, shift=13)
    assert [len(one.readings) for one in grouped(scan_of(ball(3.0), near, ball(2.5)))] == [3]
    assert [len(one.readings) for one in grouped(scan_of(ball(3.0), near, ball(3.0, shift=30)))] == [2, 1]
    assert [len(one.readings) for one in grouped(scan_of(ball(3.0), ball(3.0, z0=-30.0), far))] == [
        2,
        1,
    ]  # sorted from foot to head
    assert grouped(scan_of()) == []


def test_groups_of_more_than_four_are_parted_by_a_smaller_distance_or_dropped() -> None:
    """Rims a pixel apart are joined at first; rims that share pixels stay joined at any distance."""
    left, right = ball(3.0), ball(3.0, shift=14)
    assert cdist(left.places, right.places).min() == 1  # pixels
    assert sorted(len(one.readings) for one in grouped(scan_of(*[left] * 3, *[right] * 2))) == [2, 3]
    assert [len(one.readings) for one in grouped(scan_of(*[left] * 2, *[right] * 2))] == [4]
    assert grouped(scan_of(*[left] * 5)) == []


def test_bad_calls_are_refused(refuses) -> None:
    one = Nodule("p", "s", 0.5, 1.0, (ball(5.0),))
    refuses("spacing_mm > 0", Nodule.at, one, 0.0)
    refuses("rating to be one of", Nodule.median, one, "size")
