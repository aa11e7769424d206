"""The simulated hearts hold what they say, measured from the pictures; the real clip is cut, scaled and cleaned as
stated.
"""

import hashlib
import math
import pickle
import subprocess
import sys

import numpy as np
import pydicom
import pytest
import torch
from pydicom.data import get_testdata_file
from torch.utils.data import DataLoader

from coursekit.data import echo
from coursekit.data.fetch import DataMissing
from coursekit.data.seeds import stream
from coursekit.data.simulated import heart
from coursekit.testing import assert_close

CHILD = """
import hashlib, torch
from coursekit.data import echo
for threads in (1, 2):
    torch.set_num_threads(threads)
    item = echo.clips(split="test", size=64)[3]
    print(hashlib.sha256(b"".join(part.numpy().tobytes() for part in item)).hexdigest())
"""


def patient_of(data: echo.EchoSet, index: int) -> tuple[heart.Heart, heart.Motion]:
    """The simulated heart of an item, and how it moves, without its film."""
    generator = stream(data.seed, "echo", data.split, index)
    patient = heart.draw(generator=generator)
    return patient, heart.motion(patient, frames=data.frames, fps=data.fps, generator=generator)


def measured(size: int, *, count: int, every: int = 3) -> np.ndarray:
    """Error of each test clip's ejection fraction by discs on its masks, in points.

    Where the boundary falls between pixels one mask is off by a percent or so; so many frames are measured, and a
    straight line through volume against emptied share gives the two ends.
    """
    tests = echo.clips(split="test", size=size)
    errors = []
    for i in range(count):
        patient, whole = patient_of(tests, i)
        moves = heart.Motion(*(part[::every] for part in whole))
        volumes = echo.volume_by_discs(heart.masks(patient, moves, size), spacing_mm=patient.depth / size)
        emptied = (patient.edv_ml - moves.volume_ml) / (patient.edv_ml - patient.esv_ml)
        slope, full = np.polyfit(emptied.numpy(), volumes.numpy(), 1)
        errors.append(-100 * slope / full - patient.ef_percent)
    return np.array(errors)


def test_discs_on_the_masks_give_the_stated_fraction_of_every_test_clip() -> None:
    errors = measured(112, count=40)
    assert np.abs(errors).max() < 1
    assert np.abs(errors).mean() < 0.3


def test_at_64_pixels_the_masks_are_coarser() -> None:
    errors = measured(64, count=40, every=3)
    assert np.abs(errors).max() < 2
    assert np.abs(errors).mean() < 0.6


def test_more_finely_drawn_the_discs_agree_better() -> None:
    assert np.abs(measured(224, count=4, every=6)).max() < 0.35


def test_an_item_holds_what_it_says() -> None:
    item = echo.clips(split="train", size=64, frames=40)[0]
    assert (item.clip.shape, item.clip.dtype) == ((1, 40, 64, 64), torch.float32)
    assert (item.masks.shape, item.masks.dtype) == ((40, 64, 64), torch.bool)
    assert 0 <= item.clip.min() < 0.01
    assert 0.3 < item.clip.max() <= 1
    assert float(item.ef_percent) == pytest.approx(float(100 * (1 - item.esv_ml / item.edv_ml)), abs=1e-3)
    assert_close(
        echo.volume_by_discs(item.masks, spacing_mm=float(item.spacing_mm)), item.volume_ml.double(), rtol=0.06, atol=0
    )


def test_every_clip_has_an_end_diastole_and_an_end_systole_and_they_are_what_they_are_called() -> None:
    train = echo.clips(split="train")
    for i in range(120):
        patient, moves = patient_of(train, i)
        close = 0.01 * (patient.edv_ml - patient.esv_ml)
        assert moves.ed.any()
        assert moves.es.any()
        assert bool((moves.volume_ml[moves.ed] > patient.edv_ml - close).all())
        assert bool((moves.volume_ml[moves.es] < patient.esv_ml + close).all())


def test_masks_are_dark_and_the_septum_is_bright() -> None:
    ratios = []
    for i in range(10):
        item = echo.clips(split="test", frames=2)[i]
        mask, frame = item.masks[0], item.clip[0, 0]
        septum = torch.roll(mask, -5, 1) & ~torch.roll(mask, -1, 1)  # up to five pixels left of the cavity
        septum[: int(mask.any(1).nonzero()[0]) + 15] = False  # below the apex
        ratios.append(float(frame[septum].mean() / frame[mask].mean()))
    assert min(ratios) > 1.1
    assert np.median(ratios) > 2


def test_an_item_is_the_same_in_any_process_and_with_any_number_of_threads() -> None:
    told = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True, check=True).stdout
    item = echo.clips(split="test", size=64)[3]
    assert set(told.split()) == {hashlib.sha256(b"".join(part.numpy().tobytes() for part in item)).hexdigest()}


def test_items_depend_on_seed_split_and_index_and_splits_share_no_patient() -> None:
    parts = [echo.clips(split=split, count=40, seed=seed) for split in ("train", "val", "test") for seed in (0, 1)]
    patients = [patient_of(s, i)[0] for s in parts for i in range(40)]
    assert len({p.edv_ml for p in patients}) == len(patients)
    assert float(parts[0][5].ef_percent) == pytest.approx(patients[5].ef_percent)
    assert torch.equal(echo.clips(split="train", count=80)[39].clip, parts[0][39].clip)


def test_sets_go_to_workers_and_stack() -> None:
    small = echo.clips(split="train", count=4, frames=4, size=48)
    batch = next(iter(DataLoader(pickle.loads(pickle.dumps(small)), batch_size=4, num_workers=2)))
    assert batch.clip.shape == (4, 1, 4, 48, 48)
    assert_close(batch.clip[2], small[2].clip)
    assert len(list(small)) == 4
    assert_close(small[-1].clip, small[3].clip)


def bullet(length: float, radius: float, *, tilt: float = 0.0, size: int = 200) -> torch.Tensor:
    """Half an ellipsoid of revolution, apex up, turned about the middle of the picture."""
    y, x = np.mgrid[:size, :size] - size / 2
    down, right = math.cos(tilt) * y + math.sin(tilt) * x + length / 2, math.cos(tilt) * x - math.sin(tilt) * y
    return torch.from_numpy((down >= 0) & (down <= length) & ((1 - down / length) ** 2 + (right / radius) ** 2 <= 1))


@pytest.mark.parametrize("tilt", [0.0, 0.2, -0.3])
def test_discs_measure_half_an_ellipsoid(tilt: float) -> None:
    exact = 2 / 3 * math.pi * 40**2 * 120 * 0.5**3 / 1000
    mask = bullet(120, 40, tilt=tilt)
    assert float(echo.volume_by_discs(mask, spacing_mm=0.5)) == pytest.approx(exact, rel=0.01)
    traced = echo.tracing(mask)
    assert traced.shape == (21, 4)
    axis = traced[0, 2:] - traced[0, :2]
    assert float(axis.norm()) == pytest.approx(120, abs=1.5)
    assert float(torch.atan2(-axis[0], axis[1])) == pytest.approx(-tilt, abs=0.02)
    chords = traced[1:, 2:] - traced[1:, :2]
    assert float((chords @ axis).abs().max()) < 1e-6 * float(axis.norm() * chords.norm(dim=1).max())
    assert float(traced[0, 1]) < float(traced[0, 3])  # apex first


def test_a_tracing_by_hand() -> None:
    """A cylinder of 4 pixels across and 6 long with 3 chords, pixels of 10 mm: π/4 · 40² · 60 mm³."""
    by_hand = torch.tensor([[5.0, 0, 5, 6]] + [[3.0, y, 7, y] for y in (1, 3, 5)])
    assert echo.volume_of_tracing(by_hand, spacing_mm=10) == pytest.approx(math.pi / 4 * 1600 * 60 / 1000)
    cylinder = torch.zeros(10, 10, dtype=torch.bool)
    cylinder[1:9, 3:7] = True
    assert float(echo.volume_by_discs(cylinder, spacing_mm=1)) == pytest.approx(math.pi / 4 * 16 * 8 / 1000, rel=0.02)


def test_another_axis_gives_another_volume() -> None:
    """A square of 40 by 80 pixels is a cylinder along either side: π/4 · 40² · 80, and π/4 · 80² · 40."""
    mask = torch.zeros(100, 100, dtype=torch.bool)
    mask[10:90, 30:70] = True
    down, right = torch.tensor([50.0, 20, 50, 30]), torch.tensor([0.0, 50, 1, 50])
    traced = [echo.tracing(mask, axis=axis) for axis in (down, right)]
    assert_close(traced[0][:, [1, 3]], echo.tracing(mask)[:, [1, 3]], rtol=0, atol=1e-6)
    assert_close(traced[1][0], torch.tensor([29.5, 50, 69.5, 50]).double(), rtol=0, atol=1e-6)
    for tracing, volume in zip(traced, (40**2 * 80, 80**2 * 40)):
        assert echo.volume_of_tracing(tracing, spacing_mm=1) == pytest.approx(math.pi / 4 * volume / 1000)


def test_specks_beside_the_ventricle_do_not_count_and_nothing_holds_nothing() -> None:
    mask = bullet(120, 40)
    speckled = mask.clone()
    speckled[:6, :6] = True
    both = echo.volume_by_discs(torch.stack([mask, speckled, torch.zeros_like(mask)]), spacing_mm=0.5)
    assert float(both[0]) == float(both[1])
    assert float(both[2]) == 0
    assert both.shape == (3,)


def test_bad_calls_are_refused(refuses) -> None:
    refuses("split to be one of", echo.clips, split="valid")
    refuses("size of at least 32 pixels, got 16", echo.clips, split="train", size=16)
    refuses("frames and fps > 0", echo.clips, split="train", fps=0)
    refuses("count > 0", echo.clips, split="train", count=0)
    refuses("a mask with pixels", echo.tracing, torch.zeros(4, 4, dtype=torch.bool))
    refuses("length of axis > 0", echo.tracing, torch.ones(4, 4, dtype=torch.bool), axis=torch.ones(4))
    refuses("boolean", echo.volume_by_discs, torch.zeros(4, 4), spacing_mm=1.0)
    refuses("spacing_mm > 0", echo.volume_of_tracing, torch.zeros(3, 4), spacing_mm=0.0)
    refuses("at least one chord", echo.volume_of_tracing, torch.zeros(1, 4), spacing_mm=1.0)
    with pytest.raises(IndexError, match="got 240"):
        echo.clips(split="train")[240]


# --- the real clip ---


@pytest.fixture(scope="module")
def header() -> pydicom.Dataset:
    return pydicom.dcmread(get_testdata_file(echo.FILE, download=False))


def test_the_real_clip_is_what_the_file_holds(header: pydicom.Dataset) -> None:
    one = echo.real()
    assert (one.clip.shape, one.clip.dtype) == ((1, 30, 190, 190), torch.float32)
    assert one.fps == pytest.approx(30, rel=1e-3)
    rgb = torch.from_numpy(header.pixel_array).float() / 255  # pydicom's own conversion to colours
    grey = (rgb @ torch.tensor([0.299, 0.587, 0.114]))[:, 11:201, 76:266]
    assert float((one.clip[0] - grey)[:, one.sector].abs().max()) < 0.02
    assert 0.3 < float(one.clip.max()) < 1


def test_two_frames_repeat() -> None:
    film = echo.real().clip[0]
    assert [k for k in range(29) if torch.equal(film[k], film[k + 1])] == [10, 27]


def test_the_tags_describe_a_screen_twice_as_large(header: pydicom.Dataset) -> None:
    """The region reaches beyond the picture; halved, it frames the sector, and 19 cm, the depth burnt into the picture,
    is the sector's.
    """
    region = header.SequenceOfUltrasoundRegions[0]
    assert region.RegionLocationMaxX1 > header.Columns
    assert region.RegionLocationMaxY1 > header.Rows
    one = echo.real()
    assert one.spacing_mm == pytest.approx(2 * 10 * region.PhysicalDeltaX)
    assert one.spacing_mm * 190 == pytest.approx(190, abs=10)
    rows = one.sector.any(1).nonzero()[:, 0]
    assert abs(int(rows.max()) + 1 + 11 - region.RegionLocationMaxY1 / 2) < 8


def test_no_text_of_the_screen_is_left_and_no_heart_is_lost(header: pydicom.Dataset) -> None:
    """What is burnt in is bright and never changes; what is heart changes."""
    one, raw = echo.real(), torch.from_numpy(header.pixel_array[..., 0].copy()).float()
    film = raw[:, 11:201, 76:266]
    burnt = (film.std(0) < 0.5) & (film.mean(0) > 25)
    assert not (burnt & one.sector).any()
    assert bool((one.clip[0][:, ~one.sector] == 0).all())
    alive = film.std(0) > 2
    assert float((alive & one.sector).sum() / alive.sum()) > 0.97


def test_another_size_keeps_the_millimetres() -> None:
    small = echo.real(size=64)
    assert small.clip.shape == (1, 30, 64, 64)
    assert small.spacing_mm * 64 == pytest.approx(echo.real().spacing_mm * 190)
    assert float(small.clip.mean()) == pytest.approx(float(echo.real().clip.mean()), rel=0.03)


def test_without_the_file_one_sentence_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(echo, "get_testdata_file", lambda *a, **k: None)
    with pytest.raises(DataMissing, match=r"^expected examples_ybr_color.dcm .*, got no file: install pydicom anew"):
        echo.real(size=64)
