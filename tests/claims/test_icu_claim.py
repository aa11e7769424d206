"""The claim on events in miniature, its scores on events of known answer, and its way from numbers to events."""

import pytest
import torch
from scored import complete
from torch import Tensor

from coursekit import train
from coursekit.claims import icu as claim
from coursekit.data import icu
from coursekit.data.seeds import stream


@pytest.fixture(scope="module")
def few() -> claim.Rooms:
    return claim.rooms("train", 4, seed=3)


def test_events_are_stretches_above_the_level() -> None:
    said = torch.tensor([0, 0.6, 0.7, 0.9, 0, 0, 0.8, 0.8, 0, 0.5, 0.5, 0.5, 0.5])
    events, scores = claim.Cut(1, 0.4)(said)
    assert events.tolist() == [[1, 4], [9, 13]]  # two seconds are too short
    assert scores.tolist() == pytest.approx([0.9, 0.5])
    assert claim.Cut(1, 0.55)(said)[0].tolist() == [[1, 4]]
    none, of_none = claim.Cut(1, 0.95)(said)
    assert (none.shape, of_none.shape) == ((0, 2), (0,))
    assert claim.Cut(9, 0.3)(said)[0].shape == (1, 2)  # smoothed into one


def test_the_truth_has_a_precision_of_one_and_nothing_has_none(few: claim.Rooms) -> None:
    truth, cut = few.going_on.float(), claim.Cut(1, 0.5)
    assert claim.measures(few, truth, cut) == dict.fromkeys(claim.EVENTS, 1)
    assert claim.measures(few, truth * 0, cut) == dict.fromkeys(claim.EVENTS, 0)


def test_a_missed_event_and_a_false_alarm_are_counted(few: claim.Rooms) -> None:
    said, cut = few.going_on.float(), claim.Cut(1, 0.5)
    total = sum(len(video.events) for video in few.videos)
    start, end = few.videos[0].events[0].round().int().tolist()
    kind = int(few.videos[0].classes[0])
    said[0, start - 1 : end + 2, kind] = 0
    free = int((~few.going_on[1, :, kind]).float().unfold(0, 12, 1).sum(1).argmax())  # twelve seconds without
    said[1, free + 3 : free + 9, kind] = 1
    point = claim.measures(few, said, cut)
    assert point["event sensitivity"] == pytest.approx((total - 1) / total)
    assert point["event precision"] == pytest.approx((total - 1) / total)


def test_the_cut_is_the_best_of_the_rooms_set_apart(few: claim.Rooms) -> None:
    said = 0.15 * few.going_on.float() + 0.06  # 0.06 everywhere, 0.21 during events
    cut = claim.choose(few, said)
    assert 0.06 < cut.level < 0.21
    assert claim.measures(few, said, cut)["event AP"] == 1


def test_what_is_shown_is_near_and_new() -> None:
    depth = torch.full((20, 4, 6), 4.0)
    depth[3:6, 1, 1] = 3.0  # someone passes
    depth[:, 2, 2] = 0.0  # never seen
    depth[7, 0, 0] = 0.0  # a hole
    seen = claim.shown(depth)
    assert seen.shape == (20, 2, 4, 6)
    assert seen[4, :, 1, 1].tolist() == pytest.approx([1 / 3, 1])
    assert seen[7, :, 0, 0].tolist() == pytest.approx([1 / 4, 0])
    assert seen[7, :, 2, 2].tolist() == pytest.approx([1 / 4, 0])


def test_change_is_scored_by_hand(few: claim.Rooms) -> None:
    still = few._replace(seen=torch.zeros_like(few.seen))
    moves = few._replace(seen=still.seen.clone())
    moves.seen[0, 10:, 1] = 0.5
    said = claim.restless(moves, moves)
    assert said.shape == (4, 300, 4)
    assert said[0, 10].tolist() == [1, 1, 1, 1]
    assert said.sum() == 4
    moves.seen[0, 10:, 1] = 0.25
    assert claim.restless(still._replace(seen=moves.seen * 2), moves)[0, 10, 0] == 0.5


def test_one_frame_at_a_time_sees_one_and_the_other_sees_a_minute(few: claim.Rooms) -> None:
    clip = few.seen[:1, :100]
    other = clip.clone()
    other[:, 50] += 1
    for time, reach in ((True, sum(2 * d for d in claim.DILATIONS)), (False, 0)):
        net = claim.Watcher(time=time).eval()
        changed = (net(clip)[0] - net(other)[0]).abs().amax(2)[0] > 0
        assert changed.nonzero().flatten().tolist() == list(range(50 - reach, 50 + reach + 1))


def test_both_networks_look_alike_at_the_start_and_at_the_same_windows(
    few: claim.Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Tensor] = []
    monkeypatch.setattr(train, "fit", lambda net, batches, *_, **__: drawn.append(next(batches)[0]))
    a, b = (claim.learn(few, seed=5, time=time).state_dict() for time in (True, False))
    assert torch.equal(*drawn)
    looks = [name for name in a if not name.startswith("over_time")]
    assert all(torch.equal(a[name], b[name]) for name in looks)
    other = claim.learn(few, seed=6, time=True).state_dict()
    assert not all(torch.equal(a[name], other[name]) for name in looks)


def test_a_window_is_of_one_room_and_has_its_truth(few: claim.Rooms) -> None:
    clock = torch.arange(300.0) + 1000 * torch.arange(4.0)[:, None]
    marked = few._replace(seen=clock.view(4, 300, 1, 1, 1).expand(few.seen.shape), people=clock.long())
    seen, going_on, people = next(claim.windows(marked, generator=stream(0, "test")))
    assert seen.shape == (claim.BATCH, claim.LENGTH, 2, *claim.SIZE)
    assert torch.equal(seen[:, :, 0, 0, 0].long(), people)
    assert (people.diff(dim=1) == 1).all()
    assert torch.equal(going_on.bool(), few.going_on[people // 1000, people % 1000])


def test_windows_are_moved_and_half_of_them_mirrored(few: claim.Rooms) -> None:
    slope = torch.arange(32.0).expand(few.seen.shape)
    seen, _, _ = next(claim.windows(few._replace(seen=slope), generator=stream(1, "test")))
    rises = seen[:, 0, 0, 12].diff(dim=1).median(1).values
    assert set(rises.tolist()) == {1, -1}
    assert len(set(seen[:, 0, 0, 12, 16].tolist())) > 2


def test_no_room_is_learnt_from_and_scored() -> None:
    scripts = [
        icu.rooms(split=split, count=3, seed=seed)[i].events.flatten()
        for split in ("train", "test")
        for seed in (100, 101)
        for i in range(3)
    ]
    assert len({tuple(script.tolist()) for script in scripts}) == len(scripts)
    assert set(claim.SPLITS) == {"train", "test"}


def test_every_score_that_is_compared_is_measured(few: claim.Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt, chosen = [], []
    learn, choose = claim.learn, claim.choose
    monkeypatch.setattr(claim, "rooms", lambda split, count, **_: few.part(slice(0, count)))
    monkeypatch.setattr(claim, "learn", lambda made, **knobs: (learnt.append(made), learn(made, **knobs))[1])
    monkeypatch.setattr(claim, "choose", lambda made, said: (chosen.append(made), choose(made, said))[1])
    scores = claim.icu_events(0, counts=(4, 2), apart=1, steps=2)
    assert all(torch.equal(made.seen, few.seen[:3]) for made in learnt)
    assert all(torch.equal(made.seen, few.seen[3:]) for made in chosen)
    complete("icu_events", scores)
    assert scores["people counted right"]["no network"] == float(
        (few.people[:2] == few.people[:3].flatten().mode().values).float().mean()
    )
