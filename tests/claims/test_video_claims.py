"""The claims about moving pictures in miniature, and what they count, by hand."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from scored import complete
from torch import Tensor, nn

from coursekit import train
from coursekit.claims import Scores, actions, cnn_rnn, inflation, video
from coursekit.data import clips
from coursekit.data.seeds import Part
from coursekit.data.simulated.action_clips import RADIUS
from coursekit.data.simulated.photographs import STILLS
from coursekit.models.recurrent import CNNRNN
from coursekit.ops.inflate import still_clip

TINY = {name: (start, 16, 1) for name, (start, _, _) in cnn_rnn.BUDGETS.items()}
EACH: dict[str, Callable[[int], Scores]] = {
    "video_architectures": partial(video.video_architectures, steps=1, count=16, test=8),
    "inflated_vs_random": partial(inflation.inflated_vs_random, steps=1, count=16, test=8),
    "inflated_by_appearance": partial(inflation.inflated_by_appearance, steps=1, test=8),
    "cnn_rnn_joint": partial(cnn_rnn.cnn_rnn_joint, budgets=TINY, test=8, still_steps=1),
}


@pytest.fixture(scope="module")
def few() -> actions.Labelled:
    return actions.drawn("train", seed=0, count=16, frames=8, gray=False)


@pytest.mark.parametrize("name", EACH)
def test_every_score_that_is_compared_is_measured_on_the_other_part(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[Part, int]] = []
    draw = actions.drawn
    monkeypatch.setattr(
        actions, "drawn", lambda split, *, seed, **knobs: asked.append((split, seed)) or draw(split, seed=seed, **knobs)
    )
    scores = EACH[name](3)
    complete(name, scores)
    assert asked == [("train", 3), ("test", 3)] * (3 if name == "inflated_by_appearance" else 1)
    assert not {*STILLS["train"]} & {*STILLS["test"]}
    assert next(iter(scores.values()))["majority class"] == 1 / 8


def test_arms_learn_from_the_same_batches(few: actions.Labelled, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Tensor] = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(1, 8)

        def forward(self, x: Tensor) -> Tensor:
            seen.append(x[:, 0, 0, 0, 0].clone())
            return self.head(x.mean((1, 2, 3, 4))[:, None])  # type: ignore[no-any-return]

    for seed in (0, 0, 1):
        assert actions.learn(Spy(), (few.clips,), few.labels, seed=seed, steps=3, size=4) > 0
    one, same, other = (torch.cat(seen[k : k + 3]) for k in (0, 3, 6))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_accuracy_and_majority_by_hand() -> None:
    first = nn.Linear(2, 2, bias=False)
    first.weight.data = torch.eye(2)
    x = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 2.0], [0.0, 0.5]])
    assert actions.right(first, (x,), torch.tensor([0, 1, 1, 3]), size=3) == {
        "accuracy": 0.5,
        "axis of motion right": 0.75,  # of twins, the other
    }
    learnt, asked = (actions.Labelled(x, torch.tensor(labels)) for labels in ([1, 1, 0], [1, 0, 0, 0]))
    assert actions.majority(learnt, asked) == {"accuracy": 0.25}
    assert actions.parameters(first) == 4
    assert actions.parameters(first.requires_grad_(False)) == 0


def test_kept_bytes_of_two_layers_by_hand() -> None:
    net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    x, labels = torch.rand(9, 3)[:4], torch.tensor([0, 1, 0, 1])
    frozen = nn.Sequential(nn.Linear(3, 5).requires_grad_(False), nn.ReLU(), nn.Linear(5, 2))
    loss = actions.kept_bytes(nn.Identity(), (torch.rand(4, 2, requires_grad=True),), labels)
    assert (
        actions.kept_bytes(net, (x,), labels) == 4 * (4 * 3 + 4 * 5) + loss
    )  # the input, and what the ReLU gives, once
    assert actions.kept_bytes(frozen, (x,), labels) == 4 * (4 * 5) + loss


def test_flow_follows_the_object() -> None:
    scene = torch.rand(1, 1, 20, 40, generator=torch.Generator().manual_seed(0))
    wide = nn.functional.interpolate(scene, size=(40, 80), mode="bicubic").clamp(0, 1)
    clip = torch.stack([wide[:, :, :, 20 - t : 52 - t] for t in range(4)], 2)[
        :, :, :, :32
    ]  # a pixel to the right each frame
    field = actions.flows(clip.repeat(9, 1, 1, 1, 1))
    assert field.shape == (9, 2, 3, 32, 32)
    inner = field[..., 6:-6, 6:-6].median(-1).values.median(-1).values
    torch.testing.assert_close(inner, torch.tensor([0.0, 1.0]).view(1, 2, 1).expand(9, 2, 3), atol=0.1, rtol=0)


def test_twins_stand_side_by_side() -> None:
    motions = list(clips.MOTIONS.values())
    for (axis, sense), (same_axis, other) in zip(motions[::2], motions[1::2]):
        assert (axis, sense) == (same_axis, -other)


def test_single_frame_sees_the_middle_alone(few: actions.Labelled) -> None:
    net = video.ARMS[video.FRAME]().eval()
    x = few.clips[:2, :1].repeat(1, 1, 2, 1, 1)
    other = x.flip(2)
    other[:, :, 8] = x[:, :, 8]
    assert torch.equal(net(x), net(other))


def test_the_multiplications_of_a_frame_are_those_of_its_three_convolutions_and_its_head(few: actions.Labelled) -> None:
    net, x = video.ARMS[video.FRAME]().to(train.device()), few.clips[:, :1]
    paid = video.cost(net, (x, actions.flows(x)), few.labels)
    by_hand = 9 * (1 * 16 * 16**2 + 16 * 24 * 8**2 + 24 * 32 * 4**2) + 32 * 8
    assert paid["multiply-adds a clip, M"] == by_hand / 1e6
    assert paid["parameters"] == 10920
    assert 0.5 < paid["kept for a step back, MiB"] < 5


# --- inflation ---


def test_inflated_arms_are_blind_to_the_sense_of_time_and_the_random_one_is_not(few: actions.Labelled) -> None:
    x = actions.prepared(few.clips[:2])
    for arm, blind in ((inflation.BEST, True), (inflation.UNTRAINED, True), (inflation.RANDOM, False)):
        trunk = inflation.TRUNKS[arm]().train()  # untrained layers would fade without the batch's statistics
        with torch.no_grad():
            forwards, backwards = trunk(x), trunk(x.flip(2)).flip(2)
        apart = float((forwards - backwards).norm() / forwards.norm())
        assert apart < 1e-3 if blind else apart > 0.1, arm


def test_the_inflated_trunk_gives_a_still_clip_what_the_2d_stages_give_the_image(few: actions.Labelled) -> None:
    image = actions.prepared(few.clips[:2])[:, :, 0]
    with torch.no_grad():
        flat = actions.lite_stages().eval()(image)
        deep = inflation.TRUNKS[inflation.BEST]().eval()(still_clip(image, 4))
    assert flat.shape == (2, 40, 4, 4)
    torch.testing.assert_close(deep, still_clip(flat, 4).contiguous(), atol=1e-3, rtol=1e-3)


def test_heads_share_their_start_and_trunks_their_size() -> None:
    nets = {arm: inflation.network(arm, seed=5) for arm in inflation.TRUNKS}
    sizes = {sum(p.numel() for p in net.parameters()) for net in nets.values()}
    assert len(sizes) == 1
    first, *others = ([p for name, p in net.named_parameters() if name.startswith("1.")] for net in nets.values())
    assert len(first) == 5
    assert all(torch.equal(a, b) for other in others for a, b in zip(first, other, strict=True))
    again = inflation.network(inflation.RANDOM, seed=5)
    assert all(torch.equal(a, b) for a, b in zip(nets[inflation.RANDOM].parameters(), again.parameters(), strict=True))


def test_the_nearest_class_is_that_of_the_nearest_mean(few: actions.Labelled) -> None:
    x, labels = actions.prepared(few.clips), few.labels
    net = inflation.nearest(x, labels)
    with torch.no_grad():
        features = actions.lite_stages().eval()(x[:, :, 4]).mean((2, 3))
        means = torch.stack([(features[k] + features[k + 8]) / 2 for k in range(8)])
        away = torch.cdist(features.double(), means.double())
        assert torch.equal(net(x).argmax(1), away.argmin(1))
    assert actions.parameters(net) == 0


def test_arms_are_asked_with_the_batch_statistics_of_the_clips_they_learnt_from(
    few: actions.Labelled, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[nn.Module] = []
    right = actions.right
    monkeypatch.setattr(actions, "right", lambda net, *rest: asked.append(net) or right(net, *rest))
    inflation.measured(few, few, seed=3, steps=1)
    norms = [[m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)] for net in asked[2:]]
    assert len(norms) == 2 * 4
    assert all(int(m.num_batches_tracked) == len(few.clips) // inflation.BATCH for net in norms for m in net)


def test_where_appearance_tells_more_clips_a_class_hold_the_fewer_and_all_arms_are_asked_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parts: list[tuple[actions.Labelled, ...]] = []
    monkeypatch.setattr(
        inflation,
        "measured",
        lambda *drawn, **_: (
            parts.append(drawn) or {key: {} for key in (inflation.ACCURACY, inflation.SEEN, inflation.SECONDS)}
        ),
    )
    scores = inflation.inflated_by_appearance(2, test=8)
    assert [learnt.labels.bincount().tolist() for learnt, _ in parts] == [[1] * 8, [5] * 8, [20] * 8]
    assert all(torch.equal(learnt.clips, parts[2][0].clips[: len(learnt.clips)]) for learnt, _ in parts)
    assert all(torch.equal(held_out.clips, parts[0][1].clips) for _, held_out in parts)
    assert list(scores)[:2] == ["accuracy, 1 a class", "accuracy on the training clips, 1 a class"]


# --- CNN and LSTM ---


def test_a_still_shows_its_object_where_it_is_said_to_be() -> None:
    images, shown = cnn_rnn.stills(0, count=70)
    again, _ = cnn_rnn.stills(1, count=70)
    assert images.shape == (70, 1, 32, 32)
    assert not torch.equal(images, again)
    torch.testing.assert_close(shown[:, :2] ** 2 + shown[:, 2:4] ** 2, torch.ones(70, 2))
    place = torch.remainder(torch.atan2(shown[:, 2:4], shown[:, :2]) / (2 * torch.pi), 1) * 32  # pixels down and across
    radius = 32 * RADIUS[0] * (RADIUS[1] / RADIUS[0]) ** shown[:, 4]
    pixels = torch.stack(torch.meshgrid(torch.arange(32.0), torch.arange(32.0), indexing="ij"))
    away = torch.remainder(pixels - place[:, :, None, None] + 16, 32) - 16
    inside = away.norm(dim=1) < 0.6 * radius[:, None, None]
    contrast = [abs(float(x[0][m].mean() - x[0][~m].mean())) for x, m in zip(images, inside)]
    elsewhere = [abs(float(x[0][m].mean() - x[0][~m].mean())) for x, m in zip(images, inside.roll(16, 1).roll(16, 2))]
    assert sum(contrast) > 1.5 * sum(elsewhere)  # textures have contrast of their own; with the axes swapped about 1


def test_stored_features_are_what_the_joint_network_sees_at_its_start(few: actions.Labelled) -> None:
    frames = cnn_rnn.learn_frames(1, count=16, steps=1)
    x, net = few.clips[:3, :1], cnn_rnn.network(1, frames=frames)
    features = cnn_rnn.stored(net, x)
    with torch.no_grad():
        torch.testing.assert_close(features[:, 2], frames.eval()(x[:, :, 2]))
        torch.testing.assert_close(
            cnn_rnn.FromStored(cnn_rnn.network(1, frames=frames)).eval()(features), net.eval()(x)
        )
    other = cnn_rnn.network(1)
    assert torch.equal(other.head.weight, net.head.weight)
    assert other.frame_net is not net.frame_net is not frames
    assert not torch.equal(other.frame_net[2].weight, net.frame_net[2].weight)  # type: ignore[index]


def test_in_two_steps_the_frames_network_stays_as_it_is(few: actions.Labelled) -> None:
    net = cnn_rnn.network(1)
    second = cnn_rnn.FromStored(net)
    features = cnn_rnn.stored(net, few.clips[:, :1])
    before = {name: x.clone() for name, x in net.state_dict().items()}
    actions.learn(second, (features,), few.labels, seed=0, steps=2, size=8)
    changed = {name for name, x in net.state_dict().items() if not torch.equal(x, before[name])}
    assert {name.split(".")[0] for name in changed} == {"memory", "head"}
    assert actions.parameters(second) == sum(
        x.numel() for name, x in net.named_parameters() if not name.startswith("frame_net")
    )


def test_every_budget_is_what_its_name_says_and_all_arms_of_it_start_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[Tensor] = []
    asked: list[tuple[int, ...]] = []

    def draw(split: Part, *, seed: int, count: int, frames: int) -> actions.Labelled:
        return actions.Labelled(torch.rand(count, 1, frames, 4, 4), torch.arange(count) % 8)

    def spy(build: Callable[[], CNNRNN], learnt: actions.Labelled, _: object, *, steps: int, **__: object) -> Scores:
        net, again = build(), build()
        assert net is not again
        assert all(torch.equal(a, b) for a, b in zip(net.parameters(), again.parameters(), strict=True))
        starts.append(next(net.frame_net.parameters()))
        asked.append((*learnt.clips.shape[:3], steps))
        assert learnt.labels.bincount().tolist() == [len(learnt.clips) // 8] * 8
        return {"accuracy": {}, cnn_rnn.KEPT: {"of budget": float(len(starts))}}

    monkeypatch.setattr(cnn_rnn, "compared", spy)
    monkeypatch.setattr(actions, "drawn", draw)
    monkeypatch.setattr(cnn_rnn, "learn_frames", lambda seed, **_: cnn_rnn.frame_network())
    scores = cnn_rnn.cnn_rnn_joint(4, test=8)
    for row, (name, (start, count, steps)) in zip(asked, cnn_rnn.BUDGETS.items(), strict=True):
        assert name == f"{start}, {count} clips, {steps} steps"
        assert row == (count, 3 if start == cnn_rnn.IMAGENET else 1, 8, steps)
    of_start = dict(zip([start for start, _, _ in cnn_rnn.BUDGETS.values()], starts))
    assert not torch.equal(of_start[cnn_rnn.LEARNT], of_start[cnn_rnn.RANDOM])
    assert torch.equal(of_start[cnn_rnn.IMAGENET], next(actions.lite_stages().parameters()))
    assert scores[cnn_rnn.KEPT] == {"of budget": 1.0}  # of the first


def test_what_is_kept_for_a_step_back_does_not_grow_with_the_set(few: actions.Labelled) -> None:
    twice = actions.Labelled(few.clips.repeat(2, 1, 1, 1, 1), few.labels.repeat(2))
    kept = []
    for part in (few, twice):
        net = nn.Sequential(nn.Flatten(), nn.Linear(few.clips[0].numel(), 8))
        row = cnn_rnn.measured(net, part, part, seed=0, steps=1, first_s=2.0)
        kept.append(row[cnn_rnn.KEPT])
        assert row["training, CPU s"] > 2
        assert row["training set, MiB"] == part.clips.nbytes / 2**20
    assert kept[0] == kept[1]
