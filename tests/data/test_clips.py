"""Moving pictures: the real videos as they are stored, pairs against their known motion, actions against what a frame
may tell.
"""

import hashlib
import inspect
import math
import pickle
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.optimize import least_squares
from skimage.data import stereo_motorcycle
from torch import Tensor
from torch.utils.data import DataLoader, default_collate

from coursekit.data import clips, fetch
from coursekit.data.simulated import action_clips, moving_pairs, photographs
from coursekit.ops.warp import warp
from coursekit.testing import generator

# --- the real videos
# -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "fps"), [("street", 25.0), ("talking_head", 29.97), ("timelapse", None)])
def test_the_real_videos_have_the_size_and_rate_of_their_files(name: clips.Name, fps: float | None) -> None:
    whole = clips.video(name)
    assert whole.clip.shape == (1, *clips.SHAPES[name])
    apart = whole.clip[0, :, ::8, ::8].diff(dim=0).abs().mean((1, 2))
    cuts = (apart > 0.15).nonzero().flatten() + 1  # where all changes at once
    assert cuts.tolist() == ([30, 76, 137, 187, 242] if name == "street" else [])  # as docs/data.md says
    assert whole.clip.dtype == torch.float32
    assert 0 <= whole.clip.min() < 0.1 < 0.9 < whole.clip.max() <= 1
    assert whole.fps == (None if fps is None else pytest.approx(fps, abs=0.001))
    if fps:
        with av.open(str(fetch.path(name))) as container:
            assert whole.fps == float(container.streams.video[0].average_rate)
    assert whole.source == "real"


def test_colour_size_and_length_of_a_video_are_chosen() -> None:
    one = clips.video("talking_head", gray=False, size=36, frames=5)
    assert one.clip.shape == (3, 5, 36, 44)
    full = clips.video("talking_head", gray=False, frames=5).clip
    blocks = torch.nn.functional.avg_pool2d(full[:, 0], 4)
    assert (one.clip[:, 0] - blocks).abs().mean() < 0.02
    gray = clips.video("talking_head", frames=5).clip
    torch.testing.assert_close(gray[0], 0.299 * full[0] + 0.587 * full[1] + 0.114 * full[2])
    cells = clips.video("timelapse", gray=False, frames=2).clip
    assert torch.equal(cells[0], cells[2])


def test_without_data_a_labelled_phantom_of_the_street_alone(empty_cache: Path) -> None:
    one = clips.video("street", frames=40, gray=False)
    assert one.clip.shape == (3, 40, 272, 640)
    assert (one.source, one.fps) == ("phantom", 25.0)
    change = one.clip.diff(dim=1).abs().mean((0, 2, 3))
    assert change.min() > 0.0005  # it moves
    assert change.max() < 0.05  # and is never cut
    assert torch.equal(one.clip[:, :3], clips.video("street", frames=3, gray=False).clip)
    for name in ("talking_head", "timelapse"):
        with pytest.raises(fetch.DataMissing, match=f"run coursekit data fetch {name}"):
            clips.video(name)


def test_bad_calls_for_a_video_are_refused(refuses) -> None:
    refuses("name to be one of 'street'", clips.video, "walk")
    refuses("at most 30 frames of timelapse, got 31", clips.video, "timelapse", frames=31)
    refuses("frames > 0", clips.video, "timelapse", frames=0)
    refuses("size > 0", clips.video, "timelapse", size=-3)


# --- stereo
# --------------------------------------------------------------------------------------------------------------


def apart(pair: clips.Pair, flow: Tensor) -> float:
    """Mean difference of the first frame and the second read along ``flow``, where the truth is valid."""
    return float((warp(pair.second[None], flow[None])[0] - pair.first)[:, pair.valid].abs().mean())


@pytest.mark.parametrize("shrink", [1, 3])
def test_the_stereo_pair_moves_to_the_left_by_its_disparity(shrink: int) -> None:
    pair = clips.stereo(shrink=shrink)
    assert pair.first.shape == (1, 500 // shrink, 741 // shrink)
    assert pair.flow.isfinite().all()
    assert not pair.flow[0].any()
    dx = pair.flow[1][pair.valid] * shrink
    assert -60 < dx.min() < -55
    assert -10 < dx.max() < -7
    right, wrong, none = (apart(pair, k * pair.flow) for k in (1, -1, 0))
    assert right < 0.03
    assert 4 * right < min(wrong, none)


def test_the_stereo_truth_is_found_by_looking_for_it() -> None:
    """Blocks of the left view, at places where the truth is flat, searched for along the row of the right view."""
    pair = clips.stereo()
    left, right, dx = pair.first[0], pair.second[0], pair.flow[1]
    found, truth = [], []
    for top in range(20, 470, 25):
        for x in range(90, 720, 35):
            window = (slice(top, top + 11), slice(x, x + 11))
            flat = pair.valid[window].all() and dx[window].max() - dx[window].min() < 1
            if flat and left[window].std() > 0.06:
                costs = [(right[top : top + 11, x - d : x - d + 11] - left[window]).abs().mean() for d in range(5, 65)]
                found.append(5 + int(torch.stack(costs).argmin()))
                truth.append(-float(dx[window].mean()))
    assert len(found) > 30
    errors = np.abs(np.array(found) - truth)
    assert np.median(errors) < 0.6
    assert (errors < 1.5).mean() > 0.85


def test_where_the_disparity_is_unknown_or_leaves_the_frame_nothing_is_valid() -> None:
    pair = clips.stereo()
    known = torch.from_numpy(stereo_motorcycle()[2]).isfinite()
    assert not pair.valid[~known].any()
    columns = torch.arange(741) + pair.flow[1]
    assert torch.equal(pair.valid, known & (columns >= 0))
    small = clips.stereo(shrink=2)
    assert 0.75 < float(small.valid.float().mean()) < float(pair.valid.float().mean())


# --- known motion
# ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scene", clips.SCENES["train"] + clips.SCENES["test"])
@pytest.mark.parametrize("kind", clips.KINDS)
def test_warping_the_second_frame_by_the_flow_gives_the_first(kind: str, scene: str) -> None:
    pair = clips.warped(kind=kind, scene=scene, magnitude_px=4, size=64)
    assert pair.source == "real"
    assert float(pair.flow.norm(dim=0).max()) == pytest.approx(4, abs=1e-4)
    right, wrong, swapped = apart(pair, pair.flow), apart(pair, -pair.flow), apart(pair, pair.flow.flip(0))
    assert right < 0.012  # the error of linear interpolation
    assert 4 * right < wrong
    assert kind == "zoom" or 2 * right < swapped  # of a square's zoom only the diagonal tells
    assert pair.valid.float().mean() > 0.8


@pytest.mark.parametrize("kind", clips.KINDS)
def test_the_better_the_interpolation_the_nearer_the_first_frame(kind: str) -> None:
    """Read by scipy at x + flow(x): what is left shrinks with the order of the spline, so the flow itself is exact."""
    pair = clips.warped(kind=kind, scene="motorcycle_left", magnitude_px=4)
    ends = np.indices(pair.valid.shape) + pair.flow.numpy()
    inner = ndimage.binary_erosion(pair.valid.numpy(), iterations=8)
    left = []
    for order in (0, 1, 3, 5):
        read = ndimage.map_coordinates(pair.second[0].double().numpy(), ends, order=order, mode="mirror")
        left.append(float(np.abs(read - pair.first[0].numpy())[inner].mean()))
    assert left[0] > 2 * left[1] > 8 * left[2] > 8 * left[3]
    assert left[3] < 1.5e-3


@pytest.mark.parametrize("kind", clips.KINDS)
def test_on_an_analytic_picture_both_frames_are_its_values(kind: str) -> None:
    """A picture of a plane wave stays one through any linear camera, so its phase in the second frame gives that of the
    first.
    """
    rows, columns = np.indices((300, 300))
    wave = 0.5 + 0.3 * np.cos(0.05 * rows + 0.11 * columns)
    flow = moving_pairs.motion(kind, 5.0, (60, 60), generator=generator(3))
    first, second = moving_pairs.exposed(wave, flow, generator=generator(4))
    y, x = np.indices((60, 60))

    def wave_at(p: list[float], y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return np.asarray(p[0] + p[1] * np.cos(p[2] * y + p[3] * x) + p[4] * np.sin(p[2] * y + p[3] * x))

    fit = least_squares(lambda p: (wave_at(p, y, x) - second).ravel(), [0.5, 0.2, 0.1, 0.22, 0.1])
    assert np.abs(fit.fun).max() < 1e-4
    assert np.abs(wave_at(fit.x, y + flow[0], x + flow[1]) - first).max() < 2e-4
    assert np.abs(wave_at(fit.x, y, x) - first).max() > 0.05


@pytest.mark.parametrize("kind", clips.KINDS)
def test_fields_are_what_they_are_called_and_never_fold(kind: str) -> None:
    for seed in range(40):
        field = moving_pairs.motion(kind, 8.0, (64, 80), generator=generator(seed))
        assert np.hypot(*field).max() == pytest.approx(8.0)
        dydy, dydx, dxdy, dxdx = (g for f in field for g in np.gradient(f))
        area = (1 + dydy) * (1 + dxdx) - dydx * dxdy
        assert area.min() > 0.1
        bends = max(float(np.ptp(g)) for g in (dydy, dydx, dxdy, dxdx))
        assert (bends > 0.01) == (kind == "smooth")  # all others are affine
        if kind == "rotation":
            np.testing.assert_allclose(area, 1, atol=1e-9)
            np.testing.assert_allclose(field[:, 31:33, 39:41].sum((1, 2)), 0, atol=1e-9)
        if kind == "zoom":
            assert np.abs(dydx).max() < 1e-12
            assert dydy[0, 0] == pytest.approx(dxdx[0, 0])
        if kind == "shift":
            assert np.ptp(field, axis=(1, 2)).max() < 1e-12


def test_noise_brightness_and_a_patch_change_the_frames_and_not_the_truth() -> None:
    plain, noisy = clips.warped(size=64), clips.warped(size=64, noise=0.05)
    assert torch.equal(plain.flow, noisy.flow)
    inside = (plain.second > 0.2) & (plain.second < 0.8)
    for a, b in ((plain.first, noisy.first), (plain.second, noisy.second)):
        assert float((b - a)[inside].std()) == pytest.approx(0.05, rel=0.2)
    bright = clips.warped(size=64, brightness=0.1)
    assert torch.equal(bright.first, plain.first)
    torch.testing.assert_close(bright.second, (plain.second * 1.1).clamp(max=1))
    covered = clips.warped(size=64, occlusion=0.1)
    changed = (covered.second != plain.second)[0]
    assert 0.07 < float(changed.float().mean()) < 0.11
    hidden = plain.valid & ~covered.valid
    assert 0.07 < float(hidden.float().mean()) < 0.16
    assert apart(covered, covered.flow) == pytest.approx(
        apart(plain, plain.flow), abs=0.001
    )  # nothing hidden is called valid


def test_bad_calls_for_a_pair_are_refused(refuses) -> None:
    refuses("kind to be one of 'shift'", clips.warped, kind="twirl")
    refuses("scene to be one of 'street'", clips.warped, scene="sea")
    refuses("magnitude_px at most 8, got 9", clips.warped, size=64, magnitude_px=9)
    refuses("fit into the picture", clips.warped, size=300)
    refuses("share of the frame", clips.warped, occlusion=0.9)
    refuses("split to be one of 'train', 'test'", clips.pairs, split="val")
    refuses("count > 0", clips.pairs, split="test", count=0)
    refuses("shrink > 0", clips.stereo, shrink=0)


def test_a_set_of_pairs_has_all_kinds_and_scenes_and_the_parts_share_no_picture() -> None:
    train, test = (clips.pairs(split=part, count=20, size=48) for part in ("train", "test"))
    for part, one in (("train", train), ("test", test)):
        assert {(p.kind, p.scene) for p in one} == {(k, s) for k in clips.KINDS for s in clips.SCENES[part]}
        assert all(1 <= float(p.flow.norm(dim=0).max()) <= 6.0001 for p in one)
    assert not {p.scene for p in train} & {p.scene for p in test}
    batch = default_collate([train[k] for k in range(3)])
    assert [tuple(x.shape) for x in batch[:4]] == [(3, 1, 48, 48), (3, 1, 48, 48), (3, 2, 48, 48), (3, 48, 48)]
    longer = clips.pairs(split="train", count=22, size=48)
    assert all(torch.equal(a, b) for k in range(20) for a, b in zip(train[k][:4], longer[k][:4]))
    other = clips.pairs(split="train", count=1, size=48, seed=1)
    assert not torch.equal(other[0].flow, train[0].flow)


def test_pairs_without_data_say_phantom(empty_cache: Path) -> None:
    for scene in ("street", "nuclei"):
        pair = clips.warped(scene=scene, size=48)
        assert pair.source == "phantom"
        assert apart(pair, pair.flow) < 0.02
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch timelapse"):
        clips.warped(scene="timelapse", size=48)


# --- actions
# -----------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many() -> clips.ActionSet:
    return clips.actions(split="train", count=960, frames=5, size=24, seed=5)


TWIN = {"left": "right", "up": "down", "clockwise": "anticlockwise", "grow": "shrink"}


def scenes(name: str, count: int = 6, size: int = 32) -> list[action_clips.Scene]:
    pictures = photographs.textures("train", True)
    return [action_clips.scene(name, pictures, size=size, generator=generator(k)) for k in range(count)]


@pytest.mark.parametrize("name", TWIN)
def test_a_clip_backwards_is_a_clip_of_its_twin(name: str) -> None:
    """What is drawn for the twin from the same stream, with the ground moving the other way, are the same frames, bit
    by bit.
    """
    one, twin = scenes(name), scenes(TWIN[name])
    for first, second in zip(one, twin):
        for kept in ("middle", "run", "pan", "outline", "ground", "skin"):
            assert torch.equal(getattr(first, kept), getattr(second, kept)), kept  # nothing drawn depends on the class
    backwards = action_clips.render([scene._replace(pan=-scene.pan) for scene in twin], frames=9, size=32)
    forwards = action_clips.render(one, frames=9, size=32)
    assert torch.equal(forwards, backwards.flip(2))
    assert (forwards - backwards).abs().amax((1, 2, 3, 4)).min() > 0.1  # order does matter


def test_all_that_a_frame_shows_is_even_whatever_the_class() -> None:
    """The four circles at the first, the middle and the last frame: each decile holds a tenth, so no frame tells the
    class.
    """
    drawn = scenes("left", 700, 16)
    middle, run = torch.stack([scene.middle for scene in drawn]), torch.stack([scene.run for scene in drawn])
    assert torch.stack([scene.pan for scene in drawn]).mean(0).abs().max() < 0.015
    for axis, sense in clips.MOTIONS.values():
        for time in (-0.5, 0.0, 0.5):
            state = torch.remainder(middle[:, axis] + sense * run * time, 1)
            deciles = torch.histc(state, 10, 0, 1) / len(state)
            assert (deciles - 0.1).abs().max() < 4 * math.sqrt(0.09 / len(state))


def guessed(features: Tensor, labels: Tensor, classes: int) -> tuple[float, float]:
    """Right answers of a nearest centroid and of a ridge regression, learnt on the first half and asked about the
    second.
    """
    x = (features - features.mean(0)) / features.std(0).clamp(min=1e-6)
    half = len(x) // 2
    a, b, y = x[:half], x[half:], labels[half:]
    centroids = torch.stack([a[labels[:half] == k].mean(0) for k in range(classes)])
    near = torch.cdist(b, centroids).argmin(1)
    targets = torch.nn.functional.one_hot(labels[:half], classes).double() - 1 / classes
    weights = torch.linalg.solve(a.T @ a + 30 * torch.eye(a.shape[1], dtype=a.dtype), a.T @ targets)
    return float((near == y).double().mean()), float(((b @ weights).argmax(1) == y).double().mean())


@pytest.mark.parametrize("frame", [0, 2, 4])
def test_one_frame_is_not_enough(many: clips.ActionSet, frame: int) -> None:
    one = many.clips[:, 0, frame].double()
    coarse = torch.nn.functional.avg_pool2d(one[:, None], 4).flatten(1)
    spread = torch.stack(
        [one.mean((1, 2)), one.std((1, 2)), one.diff(dim=1).abs().mean((1, 2)), one.diff(dim=2).abs().mean((1, 2))], 1
    )
    for right in guessed(torch.cat([coarse, spread], 1), many.labels, 8):
        assert abs(right - 1 / 8) < 4 * math.sqrt(1 / 8 * 7 / 8 / 480)


def test_frames_without_their_order_do_not_tell_twins(many: clips.ActionSet) -> None:
    """What is the same for any order of frames: their mean, their spread, their largest and smallest values."""
    seen = many.clips[:, 0].double()
    parts = [seen.mean(1), seen.std(1), seen.amax(1), seen.amin(1)]
    features = torch.cat([torch.nn.functional.avg_pool2d(p[:, None], 4).flatten(1) for p in parts], 1)
    for a in range(0, 8, 2):
        pair = many.labels // 2 == a // 2
        for right in guessed(features[pair], many.labels[pair] - a, 2):
            assert abs(right - 1 / 2) < 4 * math.sqrt(1 / 4 / 120)


def test_the_order_tells(many: clips.ActionSet) -> None:
    """The same judges are well above chance once they are given what changes from one frame to the next, along each
    axis.
    """
    seen = many.clips[:, 0].double()
    change = seen.diff(dim=1)[..., 1:-1, 1:-1]
    y = seen[:, :-1, 2:, 1:-1] - seen[:, :-1, :-2, 1:-1]
    x = seen[:, :-1, 1:-1, 2:] - seen[:, :-1, 1:-1, :-2]
    features = torch.stack([(change * y).mean((1, 2, 3)), (change * x).mean((1, 2, 3))], 1)
    moving = many.labels < 4
    for right in guessed(features[moving], many.labels[moving], 4):
        assert right > 0.5


def weighed(seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The sum of a frame and its centre of mass, down and across."""
    frames, axis = seen[:, 0].double(), torch.arange(float(seen.shape[-1]), dtype=torch.float64)
    mass = frames.sum((2, 3))
    return mass, (frames.sum(3) * axis).sum(2) / mass, (frames.sum(2) * axis).sum(2) / mass


@pytest.mark.parametrize("name", list(clips.MOTIONS))
def test_the_object_moves_as_its_class_says(name: str) -> None:
    """Measured on the picture: a round bright object over a dark ground, in the middle and far from where it wraps."""
    round_and_dark = {"outline": torch.zeros(2, 4), "middle": torch.full((4,), 0.5), "run": torch.tensor(0.3)}
    plain = [s._replace(ground=torch.zeros_like(s.ground), **round_and_dark) for s in scenes(name, 4)]
    whole = [s._replace(skin=torch.ones_like(s.skin)) for s in plain]
    sided = [s._replace(skin=torch.linspace(0, 1, s.skin.shape[-1]).expand_as(s.skin)) for s in plain]  # bright right
    area, y, x = weighed(action_clips.render(whole, frames=7, size=48))
    _, heavy_y, heavy_x = weighed(action_clips.render(sided, frames=7, size=48))
    heavy = torch.atan2(heavy_y - y, heavy_x - x)  # where the bright side is; clockwise on the screen, as y points down
    turned = torch.remainder(heavy[:, -1] - heavy[:, 0] + math.pi, 2 * math.pi) - math.pi
    change = {
        "y": y[:, -1] - y[:, 0],
        "x": x[:, -1] - x[:, 0],
        "turn": turned,
        "area": (area[:, -1] / area[:, 0]).log(),
    }
    sense = {
        "left": ("x", -1),
        "right": ("x", 1),
        "up": ("y", -1),
        "down": ("y", 1),
        "grow": ("area", 1),
        "shrink": ("area", -1),
    }
    moved, sign = (sense | {"clockwise": ("turn", 1), "anticlockwise": ("turn", -1)})[name]
    part = 0.3 * 6 / 7  # of the circle, from the first to the last frame
    expected = {"x": 48 * part, "y": 48 * part, "turn": 2 * math.pi * part, "area": 2 * part * math.log(0.28 / 0.13)}
    for what, value in change.items():
        truth = sign * expected[what] if what == moved else 0.0
        torch.testing.assert_close(value, torch.full_like(value, truth), atol=0.05, rtol=0.03)


def test_a_set_is_balanced_typed_and_collates() -> None:
    one = clips.actions(split="test", count=20, frames=6, size=32, gray=False)
    assert one.clips.shape == (20, 3, 6, 32, 32)
    assert one.labels.bincount().tolist() == [3, 3, 3, 3, 2, 2, 2, 2]
    assert (one.source, one.names) == ("phantom of real textures", tuple(clips.MOTIONS))
    assert 0 <= one.clips.min() < one.clips.max() <= 1
    loaded = next(iter(DataLoader(one, batch_size=4)))
    assert torch.equal(loaded.clip, one.clips[:4])
    assert loaded.label.tolist() == [0, 1, 2, 3]
    again = pickle.loads(pickle.dumps(one))
    assert torch.equal(again[7].clip, one[7].clip)


def test_clips_depend_on_seed_part_and_number_alone() -> None:
    few, more = (clips.actions(split="train", count=n, frames=4, size=20) for n in (5, 40))
    assert torch.equal(few.clips, more.clips[:5])
    for other in (
        clips.actions(split="test", count=5, frames=4, size=20),
        clips.actions(split="train", count=5, frames=4, size=20, seed=1),
    ):
        assert (other.clips - few.clips).abs().amax((1, 2, 3, 4)).min() > 0.05


def fingerprint() -> str:
    made = clips.actions(split="train", count=18, size=41)
    pairs = [clips.warped(kind=kind, scene="gravel", noise=0.02, occlusion=0.05)[:4] for kind in ("smooth", "affine")]
    video = clips.video("talking_head", size=48, frames=2)
    tensors = [made.clips, *(t for pair in pairs for t in pair), video.clip]
    return hashlib.sha256(b"".join(t.numpy().tobytes() for t in tensors)).hexdigest()


def test_any_process_and_thread_count_makes_the_same() -> None:
    imports = "import hashlib, torch\nfrom coursekit.data import clips\ntorch.set_num_threads(2)"
    code = f"{imports}\n{inspect.getsource(fingerprint)}\nprint(fingerprint())"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert fingerprint() == told
    finally:
        torch.set_num_threads(before)


def test_no_picture_gives_textures_to_both_parts() -> None:
    train, test = photographs.STILLS["train"], photographs.STILLS["test"]
    assert not set(train) & set(test)
    small = [
        [ndimage.zoom(photographs.textures(part, True)[k][0].numpy()[:256, :256], 1 / 8) for k in range(n)]
        for part, n in (("train", 6), ("test", 4))
    ]
    alike = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a in small[0] for b in small[1]]
    assert max(alike) < 0.6  # nor is one a copy of another under a second name


def test_textures_come_from_the_part_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pictures replaced by flat ones, dark in train and light in test, of which every patch shows where it was cut."""
    asked = []
    monkeypatch.setattr(clips, "textures", lambda split, gray: asked.append(split) or (torch.rand(1, 60, 60),))
    for part in ("train", "test", None):
        clips.actions(split=part, count=1, size=16)
    assert asked == ["train", "test", "train", "test"]


def test_bad_calls_for_actions_are_refused(refuses) -> None:
    refuses("split to be one of None, 'train', 'test'", clips.actions, split="val")
    refuses("a size of 16 to 160, got 161", clips.actions, split="train", size=161)
    refuses("frames, size, count > 0", clips.actions, split="train", frames=0)
    refuses("frames, size, count > 0", clips.actions, split="train", count=-1)


# --- clips whose class is what they show


def test_photographs_are_cut_left_to_learn_from_and_right_to_be_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[str, Tensor]] = []
    draw = clips.scene
    monkeypatch.setattr(
        clips, "scene", lambda name, parts, **knobs: drawn.append((name, *parts)) or draw(name, parts, **knobs)
    )
    wholes = photographs.textures("train", True) + photographs.textures("test", True)
    for split in ("train", "test"):
        made = clips.photographs(split=split, count=400, frames=1, size=16)
        assert made.names == (photographs.STILLS["train"] + photographs.STILLS["test"])[:8]
        assert made.labels.bincount().tolist() == [50] * 8
        for (_, part), label in zip(drawn, made.labels.tolist(), strict=True):
            wide, whole = part.shape[2], wholes[label]
            assert 0.4 < wide / whole.shape[2] <= 0.45
            assert torch.equal(part, whole[..., :wide] if split == "train" else whole[..., -wide:])
        motions = torch.tensor([list(clips.MOTIONS).index(name) for name, _ in drawn])
        table = torch.zeros(8, 8).index_put_((made.labels, motions), torch.tensor(1.0), accumulate=True)
        assert float(((table - 400 / 64) ** 2 / (400 / 64)).sum()) < 110  # chi-squared: 63 expected, deviation 11
        drawn.clear()


def test_photographs_depend_on_seed_part_and_number_alone() -> None:
    few, more = (clips.photographs(split="train", count=n, frames=4, size=20) for n in (5, 20))
    assert few.clips.shape == (5, 1, 4, 20, 20)
    assert torch.equal(few.clips, more.clips[:5])
    others = (
        clips.photographs(split=part, count=5, frames=4, size=20, seed=k) for part, k in (("test", 0), ("train", 1))
    )
    for other in others:
        assert (other.clips - few.clips).abs().amax((1, 2, 3, 4)).min() > 0.05


def test_bad_calls_for_photographs_are_refused(refuses) -> None:
    refuses("split to be one of 'train', 'test'", clips.photographs, split="val", count=1)
    refuses("a size of 16 to 96, got 97", clips.photographs, split="train", count=1, size=97)
    assert clips.photographs(split="test", count=8, frames=1, size=96).clips.shape == (8, 1, 1, 96, 96)
