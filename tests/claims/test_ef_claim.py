"""The claim on ejection fractions in miniature, its scores on numbers of known answer, and its reading of a volume
curve.
"""

import math
from collections import Counter

import pytest
import torch
from scored import complete
from torch import Tensor

from coursekit.claims import ef as claim
from coursekit.data import echo
from coursekit.data.seeds import stream


@pytest.fixture(scope="module")
def few() -> claim.Patients:
    return claim.patients("val", 12, seed=3, size=32)


def beats(*ejected: float, noise: float = 0.0) -> Tensor:
    """A volume curve of 100 mL and of one dip a beat, 14 frames each."""
    t = torch.arange(14 * len(ejected), dtype=torch.float64)
    size = torch.tensor(ejected).double().repeat_interleave(14)
    curve = 100 - size / 2 * (1 - torch.cos(2 * math.pi * t / 14))
    return curve + noise * torch.randn(len(t), generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize(
    ("curve", "percent"), [(beats(60, 60), 60), (beats(60, 40), 50), (beats(60, 60)[:10], 60), (beats(30, noise=1), 30)]
)
def test_each_beat_counts_once(curve: Tensor, percent: float) -> None:
    assert claim.beat_by_beat(curve) == pytest.approx(percent, abs=3)


def test_one_lost_frame_and_a_ripple_are_no_beats() -> None:
    lost = beats(60, 60)
    lost[14] = 0
    assert claim.beat_by_beat(lost) == pytest.approx(60, abs=3)
    ripple = beats(60)
    ripple[1:3] -= 5
    assert claim.beat_by_beat(ripple) == pytest.approx(60, abs=3)


def test_a_clip_cut_at_an_end_of_systole_and_one_of_nothing_have_a_fraction() -> None:
    assert claim.beat_by_beat(beats(60, 60)[7:15]) == pytest.approx(60, abs=3)
    assert claim.beat_by_beat(torch.zeros(32, dtype=torch.float64)) == 0


def test_the_true_outlines_give_the_true_fraction() -> None:
    people = claim.patients("val", 10, seed=3)
    assert claim.measures(people.ef_percent, claim.from_outlines(people.masks))["minus MAE, points"] > -3


def test_the_mean_of_the_training_set_is_scored_by_hand() -> None:
    scores = claim.measures(torch.tensor([30.0, 40.0, 60.0, 70.0]), torch.full((4,), 50.0))
    assert scores == {"minus MAE, points": -15, "R2": 0, "AUC of EF < 50 %": 0.5}
    assert claim.measures(torch.tensor([30.0, 60.0]), torch.tensor([35.0, 55.0]))["AUC of EF < 50 %"] == 1


def test_clip_and_frame_see_the_same_patients_in_each_batch(few: claim.Patients) -> None:
    marked = few._replace(ef_percent=torch.arange(12.0))
    pair = [claim.batches(marked, single=single, generator=stream(0, "test")) for single in (False, True)]
    for _ in range(3):
        (clips, ef), (frames, same) = next(pair[0]), next(pair[1])
        assert clips.shape == (claim.BATCH, 2, 16, 32, 32)
        assert frames.shape == (claim.BATCH * claim.LOOKS, 2, 1, 32, 32)
        assert Counter(same.tolist()) == {who: claim.LOOKS for who in ef.tolist()}


def test_a_frame_alone_shows_no_difference_and_comes_from_its_patient(few: claim.Patients) -> None:
    still = torch.arange(12.0).view(-1, 1, 1, 1, 1)
    marked = few._replace(clips=still.expand(few.clips.shape), ef_percent=torch.arange(12.0))
    frames, who = next(claim.batches(marked, single=True, generator=stream(0, "test")))
    assert not frames[:, 1].any()
    ratio = frames[:, 0].mean((1, 2, 3)) / who.clamp(min=1)
    assert ((ratio[who > 0] > 0.79) & (ratio[who > 0] < 1.21)).all()
    clips, _ = next(claim.batches(few, single=False, generator=stream(0, "test")))
    assert clips[:, 1].mean(1).abs().max() < 1e-5
    assert clips[:, 1].abs().max() > 0.1


def test_both_networks_start_alike(few: claim.Patients, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim.train, "fit", lambda *_, **__: None)
    a, b = (claim.learn(few, seed=5, single=single).state_dict() for single in (False, True))
    assert all(torch.equal(a[name], b[name]) for name in a)
    other = claim.learn(few, seed=6, single=True).state_dict()
    assert not all(torch.equal(a[name], other[name]) for name in a)


def test_a_frame_and_its_mask_move_together(few: claim.Patients) -> None:
    masks = few.masks[:, 0].long()
    frames, after = claim.moved(masks[:, None].float(), masks, generator=stream(0, "test"))
    assert torch.equal(frames[:, 0] > 0, after == 1)
    assert not torch.equal(after, masks)


def test_nobody_is_both_learnt_from_and_scored() -> None:
    people = [
        [float(item.ef_percent) for item in echo.clips(split=split, count=30, seed=seed, size=32, frames=1)]
        for split in ("train", "val", "test")
        for seed in (100, 101)
    ]
    together = [person for part in people for person in part]
    assert len(set(together)) == len(together)
    assert set(claim.SPLITS) == {"train", "test"}


def test_every_score_that_is_compared_is_measured() -> None:
    scores = claim.ef_video_vs_frame(0, counts=(16, 12), size=32, steps=2, unet_steps=2)
    complete("ef_video_vs_frame", scores)
    assert len(scores) == 4
