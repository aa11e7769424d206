"""Nodule or vessel: the classes differ in what is at the middle, and in nothing of how they were made."""

import os
import pickle
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from scipy import ndimage

from coursekit.data import fetch
from coursekit.data.ct import candidates, ground, lidc, scans
from coursekit.data.ct.candidates import Candidates, nodules, read_patch
from coursekit.data.scan import spaced
from coursekit.data.seeds import part_of, stream
from coursekit.data.simulated import chest as phantom
from coursekit.data.simulated import nodules_in_ct

WHOLE = fetch.path("lidc")
PLAN = phantom.Plan((24, 160, 160), (8.0, 1.8, 1.8), 20.0, (0.3, 0.2, 0.35))


@pytest.fixture(scope="module")
def real() -> Candidates:
    return nodules(split="train", count=300)


@pytest.fixture
def small(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Nothing is fetched, and the phantom chests are small."""
    for name in ("lung1", "lung2"):
        monkeypatch.setitem(phantom.PLANS, name, PLAN)
    scans._phantom.cache_clear()
    yield empty_cache
    scans._phantom.cache_clear()
    ground._made.cache_clear()


def auc(score: np.ndarray, label: np.ndarray) -> float:
    """The chance that a nodule scores above a vessel, by comparing all pairs."""
    apart = score[label == 1][:, None] - score[label == 0]
    return float((apart > 0).mean() + (apart == 0).mean() / 2)


def test_the_real_set(real: Candidates) -> None:
    assert (real.source, len(real.labels)) == ("real", 300)
    assert (tuple(real.patches.shape), real.patches.dtype) == ((300, 1, 24, 24, 24), torch.int16)
    assert real.labels.bincount().tolist() == [150, 150]
    assert 0.3 < float(real.labels[:150].float().mean()) < 0.7  # in random order
    assert {p for p, one in zip(real.patients, real.labels) if not one} == {"lung1"}
    shapes = [p for p, one in zip(real.patients, real.labels) if one]
    assert all(part_of(p) == "train" for p in shapes)
    sizes = real.diameter_mm[real.labels == 1]
    assert bool(((sizes >= 4) & (sizes <= 12)).all())
    values = real.patches.float()
    assert bool(((values > -1100) & (values < 3100)).all())


def cues(patches: np.ndarray) -> dict[str, np.ndarray]:
    """What a classifier could use without a look at the middle: noise, blur, edge, surroundings, position."""
    side = patches.shape[-1]
    axis = np.abs(np.arange(side) - (side - 1) / 2)
    shell = np.maximum(np.maximum(axis[:, None, None], axis[:, None]), axis) > side / 2 - 3
    corners = [patches[:, a, b, c] for a in ends(side) for b in ends(side) for c in ends(side)]
    rough = [np.abs(np.diff(patches, 2, axis=k)) for k in (1, 3)]
    return {
        "noise in the corners": np.median([corner.std((1, 2, 3)) for corner in corners], axis=0),
        "noise all over": np.median(rough[1], (1, 2, 3)),
        "blur in depth": np.median(rough[0], (1, 2, 3)) / np.median(rough[1], (1, 2, 3)),
        "mean of the shell": patches[:, shell].mean(1),
        "median of the shell": np.median(patches[:, shell], 1),
        "spread of the shell": patches[:, shell].std(1),
        "bright share of the shell": (patches[:, shell] > -500).mean(1),
        "darkest voxel": patches.min((1, 2, 3)),
        "fraction of a HU": np.abs(patches - patches.round()).mean((1, 2, 3)),
        "brightest voxel at the middle": patches[:, 6:-6, 6:-6, 6:-6].max((1, 2, 3)),
    }


def ends(side: int) -> tuple[slice, slice]:
    return slice(0, 6), slice(side - 6, side)


@pytest.mark.parametrize("slice_mm", [None, 2.5, 5.0])
def test_no_trivial_cue_tells_the_classes_apart(real: Candidates, slice_mm: float | None) -> None:
    drawn = nodules(split="train", count=300, slice_mm=slice_mm) if slice_mm else real
    patches, labels = drawn.patches[:, 0].double().numpy(), drawn.labels.numpy()
    found = {name: auc(score, labels) for name, score in cues(patches).items()}
    assert {name: value for name, value in found.items() if not 0.35 < value < 0.65} == {}


def test_the_candidate_lies_off_the_middle_alike_in_both_classes() -> None:
    """Seen on balls in emptiness: the place of the ball is the shift, whatever the class."""
    d, h, w = (axis.astype(np.float32) for axis in np.indices((41, 41, 41)))
    ball = np.clip(3.5 - np.sqrt((d - 20) ** 2 + (h - 20) ** 2 + (w - 20) ** 2), 0, 1)
    scan = spaced(torch.from_numpy(ball), (1.0,) * 3)
    centre = scan.world(np.array([[20, 20, 20]]))[0]
    places = (
        np.array([ndimage.center_of_mass(read_patch(scan, centre, 24, generator=stream(0, k))) for k in range(200)])
        - 11.5
    )
    assert np.abs(places).max() < 2.01
    np.testing.assert_allclose(places.mean(0), 0, atol=0.3)
    np.testing.assert_allclose(places.std(0), 4 / np.sqrt(12), atol=0.15)


def test_turns_and_mirrors_reach_all_sixteen_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidates, "SHIFT_MM", 0.0)
    scan = spaced(torch.arange(6.0**3).reshape(6, 6, 6), (1.0,) * 3)
    centre = scan.world(np.array([[2.5, 2.5, 2.5]]))[0]
    seen = {read_patch(scan, centre, 6, generator=stream(k)).tobytes() for k in range(150)}
    expected = {np.rot90(f, k, (1, 2)).tobytes() for k in range(4) for f in _flips(scan.values.numpy())}
    assert seen == expected
    assert len(seen) == 16


def _flips(values: np.ndarray) -> list[np.ndarray]:
    return [np.flip(values, axes) for axes in ((), (0,), (2,), (0, 2))]


def test_the_middle_holds_what_the_label_says(real: Candidates) -> None:
    """By an independent route: nodules replace air beside vessels, so where the scan itself is read again there is
    none.
    """
    ct = scans.load("lung1")
    for k in range(60):
        again = scans.patch(ct.scan, real.world[k], 24).values.numpy()
        made = real.patches[k, 0].numpy()
        close = np.sort(again.ravel()), np.sort(made.ravel().astype(float))
        changed = np.abs(close[1].mean() - close[0].mean())
        middle = float(ct.scan.values[tuple(np.round(ct.scan.index(real.world[k][None])[0]).astype(int))])
        if real.labels[k]:
            assert again[8:16, 8:16, 8:16].mean() < close[1].max()
            assert (
                made[8:16, 8:16, 8:16].max() > again[11:13, 11:13, 11:13].mean() + 150
            )  # denser than what it replaced
        else:
            assert changed < 60  # the same tissue up to the shift
            assert middle > -600


def test_the_same_in_any_process_order_or_thread_count() -> None:
    first = nodules(split="train", count=12, size=12, seed=3)
    threads = torch.get_num_threads()
    torch.set_num_threads(2 if threads == 1 else 1)
    again = nodules(split="train", count=12, size=12, seed=3)
    torch.set_num_threads(threads)
    assert torch.equal(first.patches, again.patches)
    assert first.patients == again.patients
    other = nodules(split="train", count=12, size=12, seed=4)
    assert not torch.equal(first.patches, other.patches)
    loaded = pickle.loads(pickle.dumps(first))
    assert torch.equal(loaded.patches, first.patches)


def test_without_the_cts_a_labelled_phantom_and_without_shapes_none(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch lidc"):
        nodules(split="train", count=4)
    monkeypatch.setattr(lidc, "whole", partial(lidc._grouped, WHOLE))
    parts = {split: nodules(split=split, count=9, size=10) for split in ("train", "test")}
    for split, part in parts.items():
        assert (part.source, part.labels.bincount().tolist()) == ("phantom", [5, 4])
        assert "run coursekit data fetch lung" in part.note
        assert {p for p, one in zip(part.patients, part.labels) if not one} == {scans.SPLIT[split]}


def test_what_is_refused(refuses, monkeypatch: pytest.MonkeyPatch) -> None:
    refuses("split to be one of", nodules, split="val")
    refuses("count and size > 0", nodules, split="train", count=0)
    monkeypatch.setattr(candidates, "TRIES", 3)
    monkeypatch.setattr(nodules_in_ct, "PARENCHYMA", -2000.0)
    refuses("room for a nodule of", nodules, split="train", count=2, size=8)


# --- LUNA16 ---


@pytest.fixture
def luna_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two scans a part, with a bright ball at each nodule, in the layout of LUNA16."""
    series = [
        name
        for part in ("train", "test")
        for name in [f"1.3.6.{k}" for k in range(40) if part_of(f"1.3.6.{k}") == part][:2]
    ]
    nodule, other = [], []
    (tmp_path / "subset0").mkdir()
    for k, uid in enumerate(series):
        values = np.full((30, 40, 44), -900, np.int16)
        values[14:17, 19:22, 29:32] = 100  # at the index (x, y, z) = (30, 20, 15)
        image = sitk.GetImageFromArray(values)
        image.SetOrigin((-100.0 + k, -90.0, -50.0))
        image.SetSpacing((0.8, 0.8, 1.25))
        sitk.WriteImage(image, str(tmp_path / "subset0" / f"{uid}.mhd"))
        nodule.append((uid, *image.TransformIndexToPhysicalPoint((30, 20, 15))))
        other += [(uid, *image.TransformIndexToPhysicalPoint((12, 12, 10 + j))) for j in range(3)]
    rows = [f"{','.join(map(str, row))},{value}" for row, value in [(r, 1) for r in nodule] + [(r, 0) for r in other]]
    (tmp_path / "candidates.csv").write_text("\n".join(["seriesuid,coordX,coordY,coordZ,class", *rows]) + "\n")
    monkeypatch.setenv("COURSEKIT_LUNA16", str(tmp_path))
    return tmp_path


def test_luna16_takes_the_place_of_both_classes(luna_folder: Path) -> None:
    for split in ("train", "test"):
        found = nodules(split=split, count=8, size=12, seed=1)
        assert (found.source, found.note, found.labels.sum()) == ("real", f"LUNA16 in {luna_folder.name}", 4)
        assert all(part_of(uid) == split for uid in found.patients)
        middle = found.patches[:, 0, 4:8, 4:8, 4:8].amax((1, 2, 3))
        assert torch.equal(middle > 0, found.labels == 1)
        assert bool(found.diameter_mm.isnan().all())


def test_luna16_without_a_nodule_or_another_of_the_part(luna_folder: Path, refuses) -> None:
    for path in (luna_folder / "subset0").iterdir():
        if part_of(path.stem) == "test":
            os.remove(path)
    refuses("candidates of both classes, got none of one", nodules, split="test", count=2)
    table = luna_folder / "candidates.csv"
    table.write_text("".join(line for line in table.read_text().splitlines(True) if not line.endswith(",0\n")))
    refuses("candidates of both classes, got none of one", nodules, split="train", count=2)


def test_the_shapes_are_lidc_s_own(real: Candidates) -> None:
    known = {one.patient for one in lidc.nodules(split="train", diameter_mm=(4, 12))}
    assert {p for p, one in zip(real.patients, real.labels) if one} <= known
