"""The simulated intensive care rooms: each truth found by another route, from joints, solids or the depth itself."""

import hashlib
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations, pairwise
from typing import NamedTuple

import numpy as np
import pytest
import torch
from scipy import ndimage

from coursekit.data import icu
from coursekit.data.seeds import stream
from coursekit.data.simulated import depth_camera, people, room_story
from coursekit.data.simulated.room import HALF_BED, Room, furnished
from coursekit.metrics import temporal
from coursekit.testing import generator

HEAD, PELVIS = people.HEAD, people.PELVIS
SET = icu.rooms(split="train", count=6, minutes=5)
TIMES = np.arange(600) / 2


class Trace(NamedTuple):
    """How a video was made: depth without noise, who is seen where, and joints (P, T, 13, 3), patient first."""

    room: Room
    joints: np.ndarray
    clean: np.ndarray
    bodies: np.ndarray


@pytest.fixture(scope="module")
def videos() -> list[icu.Video]:
    return [SET[k] for k in range(len(SET))]


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    scenes = [SET.scene(k) for k in range(len(SET))]
    joints = [scene.joints(TIMES) for scene in scenes]
    return [Trace(scene.room, of, *scene.render(of, SET.size)) for scene, of in zip(scenes, joints)]


def empty(room: Room, size: tuple[int, int] = (48, 64)) -> np.ndarray:
    """The depth without people and noise."""
    return depth_camera.still(room.camera, room.walls, room.furniture, size)


def world(camera: depth_camera.Camera, depth: np.ndarray) -> np.ndarray:
    """The world point each pixel of a depth image shows."""
    return camera.place + depth_camera.rays(*depth.shape) @ camera.axes * depth[..., None]


# --- what comes out
# ------------------------------------------------------------------------------------------------------


def test_shapes_units_and_types(videos: list[icu.Video]) -> None:
    for video in videos:
        e = len(video.events)
        assert (video.depth.shape, video.depth.dtype) == ((1, 600, 48, 64), torch.float32)
        assert (video.people.shape, video.people.dtype) == ((600,), torch.int64)
        assert (video.events.shape, video.events.dtype) == ((e, 2), torch.float32)
        assert (video.classes.shape, video.helpers.shape) == ((e,), (e,))
        assert (video.targets.shape, video.targets.dtype) == ((600, 4), torch.bool)
        seen = video.depth[video.depth > 0]
        assert 0.4 <= seen.min() < seen.max() <= 8
        assert 0.5 < seen.numel() / video.depth.numel() < 0.995
        assert 0 <= video.people.min() < video.people.max() <= 5
    assert (SET.source, len(SET)) == ("phantom", 6)


def test_a_room_is_the_same_in_every_process_and_for_any_number_of_threads() -> None:
    code = (
        "import hashlib, torch; from coursekit.data import icu; torch.set_num_threads(2);"
        "v = icu.rooms(split='test', count=2, minutes=1, seed=3)[1];"
        "print(hashlib.sha256(b''.join(x.numpy().tobytes() for x in v)).hexdigest())"
    )
    elsewhere = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    torch.manual_seed(99)
    again = pickle.loads(pickle.dumps(icu.rooms(split="test", count=2, minutes=1, seed=3)))[1]
    assert hashlib.sha256(b"".join(x.numpy().tobytes() for x in again)).hexdigest() == elsewhere


def test_parts_and_seeds_share_no_room_and_more_rooms_begin_with_the_same() -> None:
    layouts = {}
    for seed in (0, 1):
        for split in ("train", "test"):
            some = icu.rooms(split=split, count=4, minutes=0.5, seed=seed)
            for k in range(len(some)):
                room = some.scene(k).room
                layouts[split, seed, k] = (*room.camera.place, *room.bed, *room.chair, *room.walls.high)
    rows = np.array(list(layouts.values()))
    apart = np.abs(rows[:, None] - rows).max(-1) + np.eye(len(rows))
    assert apart.min() > 0.01
    few, many = (icu.rooms(split="train", count=n, minutes=0.5, size=(16, 16)) for n in (2, 5))
    assert torch.equal(few[1].depth, many[1].depth)


def test_frame_rate_and_size_change_how_a_room_is_seen_and_not_what_happens() -> None:
    coarse, fine = (
        icu.rooms(split="train", count=1, minutes=2, fps=fps, size=size) for fps, size in ((1, (16, 24)), (4, (24, 36)))
    )
    joints = [some.scene(0).joints(np.arange(120 * some.fps) / some.fps) for some in (coarse, fine)]
    np.testing.assert_array_equal(joints[0], joints[1][:, ::4])
    assert torch.equal(coarse[0].events, fine[0].events)


def test_an_index_counts_from_either_end_and_a_loop_ends() -> None:
    few = icu.rooms(split="train", count=2, minutes=0.5, size=(16, 16))
    assert torch.equal(few[-1].depth, few[1].depth)
    assert len(list(few)) == 2
    with pytest.raises(IndexError, match="a room 0 … 1, got 2: the set has 2"):
        few[2]


# --- the events
# ----------------------------------------------------------------------------------------------------------


def most_often(joints: np.ndarray) -> np.ndarray:
    """The pose taken in most of the frames."""
    _, first, count = np.unique(joints.round(2).reshape(len(joints), -1), axis=0, return_index=True, return_counts=True)
    return joints[first[count.argmax()]]


def found_events(trace: Trace, fps: float) -> list[tuple[float, float, int]]:
    """Events from the patient's joints alone: moves between a resting pose, which is where most frames are, and
    standing upright.
    """
    joints, room = trace.joints[0], trace.room
    low = joints[:, HEAD, 2] < room.bed[2] + 0.45
    seated = (joints[:, PELVIS, 2] < room.chair[2] + 0.2) & (
        np.linalg.norm(joints[:, PELVIS, :2] - room.chair[:2], axis=1) < 0.5
    )
    height = joints[:, PELVIS, 2].max()
    trunk = joints[:, HEAD] - joints[:, PELVIS]
    upright = (joints[:, PELVIS, 2] > height - 0.002) & (trunk[:, 2] > 0.99999 * np.linalg.norm(trunk, axis=1))
    at_rest = [
        np.abs(joints - most_often(joints[near])).max((1, 2)) < 0.002 if near.any() else near for near in (low, seated)
    ]
    state = np.select([upright, *at_rest], [2, 0, 1], -1)  # 2 up, 0 in bed, 1 in the chair, −1 on the way
    anchors = np.flatnonzero(state >= 0)
    kinds = {(0, 2): 0, (2, 0): 1, (1, 2): 2, (2, 1): 3}
    return [
        ((a + 0.5) / fps, (b - 0.5) / fps, kinds[state[a], state[b]])
        for a, b in pairwise(anchors)
        if state[a] != state[b]
    ]


def test_a_detector_on_the_joints_finds_every_event_within_a_frame(
    videos: list[icu.Video], traces: list[Trace]
) -> None:
    for video, trace in zip(videos, traces):
        found = found_events(trace, SET.fps)
        assert [kind for *_, kind in found] == video.classes.tolist()
        np.testing.assert_allclose([span[:2] for span in found], video.events, atol=1 / SET.fps)


def test_activities_follow_each_other_as_they_must() -> None:
    """Out of bed only from bed, into it only when up: the state after each event is the one the next begins with."""
    leads = {0: ("bed", "up"), 1: ("up", "bed"), 2: ("chair", "up"), 3: ("up", "chair")}
    seen = torch.zeros(4, dtype=torch.int64)
    for k in range(20):
        room = furnished(generator=stream("t", k))
        script = room_story.Patient(room, 300, generator=stream("p", k)).events
        for one, after in pairwise(script):
            assert leads[one.kind][1] == leads[after.kind][0]
            assert one.end + 3 < after.start
        assert all(5 * 0.99 <= e.end - e.start <= room_story.LONGEST and 0 < e.start < e.end < 300 for e in script)
        seen += torch.tensor([e.kind for e in script]).bincount(minlength=4)
    assert seen.min() > 12


def test_targets_are_the_events_frame_by_frame(videos: list[icu.Video]) -> None:
    for video in videos:
        for t in range(0, 600, 7):
            now = {int(c) for (a, b), c in zip(video.events.tolist(), video.classes) if a <= t / 2 < b}
            assert video.targets[t].nonzero().flatten().tolist() == sorted(now)
    assert 0.05 < torch.stack([v.targets.any(1).float().mean() for v in videos]).mean() < 0.3


def test_events_go_into_the_metric_as_they_are(videos: list[icu.Video]) -> None:
    for activity in range(4):
        truth = [video.of(activity) for video in videos]
        runs = []  # the targets, read back as events
        for video in videos:
            edges = torch.diff(
                video.targets[:, activity].int(), prepend=torch.zeros(1).int(), append=torch.zeros(1).int()
            )
            runs.append(torch.stack([(edges == 1).nonzero().flatten(), (edges == -1).nonzero().flatten()], 1) / SET.fps)
        scores = [torch.ones(len(r)) for r in runs]
        assert temporal.average_precision(truth, runs, scores, threshold=0.8) == 1


def test_helpers_are_those_near_the_patient(videos: list[icu.Video], traces: list[Trace]) -> None:
    spread = set()
    for video, trace in zip(videos, traces):
        places = trace.joints[:, :, PELVIS, :2]
        far = np.linalg.norm(places[1:] - places[0], axis=-1)  # (P, T)
        for (start, end), helpers in zip(video.events.tolist(), video.helpers.tolist()):
            share = (far[:, math.ceil(start * 2) : math.ceil(end * 2)] < icu.NEARBY).mean(1)
            assert (share > 0.6).sum() <= helpers <= (share > 0.4).sum()
            spread.add(helpers)
    assert spread >= {0, 1, 2, 3}


def test_there_are_look_alikes_that_are_no_events(videos: list[icu.Video], traces: list[Trace]) -> None:
    """The patient sits up in bed and lies down again."""
    sat_up = 0
    for video, trace in zip(videos, traces):
        quiet = ~video.targets.any(1).numpy()
        joints, room = trace.joints[0], trace.room
        in_bed = np.abs(joints[:, PELVIS, :2] - room.bed[:2]) < HALF_BED
        sat_up += (quiet & in_bed.all(1) & (joints[:, HEAD, 2] > room.bed[2] + 0.7)).sum()
    assert sat_up > 40


# --- the depth
# -----------------------------------------------------------------------------------------------------------


def solid_at(points: np.ndarray, trace: Trace, frame: int) -> np.ndarray:
    """Whether each point (N, 3) of the world is inside a wall, a piece of furniture or a body: the definition, solid by
    solid.
    """
    room = trace.room

    def inside(box: depth_camera.Box, points: np.ndarray) -> np.ndarray:
        return ((points >= box.low) & (points <= box.high)).all(1)

    full = ~inside(room.walls, points)
    for box in room.furniture:
        full |= inside(box, points)
    for joints in trace.joints[:, frame]:
        for start, end, radius in people.PARTS if np.isfinite(joints).all() else ():
            reach = np.linalg.norm(joints[end] - joints[start])
            axis = (joints[end] - joints[start]) / max(reach, 1e-9)
            away = points - (joints[start] + joints[end]) / 2
            along = away @ axis
            across = np.linalg.norm(away - along[:, None] * axis, axis=1)
            full |= (along / (reach / 2 + radius)) ** 2 + (across / radius) ** 2 < 1
    return full


def test_depth_is_where_a_march_along_the_ray_meets_a_solid(traces: list[Trace]) -> None:
    trace, step = traces[0], 0.004
    steps = np.arange(0.05, 8, step)
    for frame in (170, 480):
        clean, owner = trace.clean[frame], trace.bodies[frame]
        bodies = np.argwhere(owner > 0)
        some = np.concatenate(
            [bodies[:: len(bodies) // 40], [(r, c) for r in range(2, 48, 9) for c in range(1, 64, 15)]]
        )
        assert len(bodies) > 90
        missed = 0
        for row, column in some:
            ray = depth_camera.rays(48, 64)[row, column] @ trace.room.camera.axes
            hit = solid_at(trace.room.camera.place + steps[:, None] * ray, trace, frame)
            missed += abs(steps[hit.argmax()] - step / 2 - clean[row, column]) > step
        assert missed <= 0.02 * len(some)  # a ray that grazes a body may slip between two steps


def test_pixels_go_back_to_the_places_they_show(traces: list[Trace]) -> None:
    for trace in traces:
        points = world(trace.room.camera, empty(trace.room))
        bed, floor = trace.room.bed, np.abs(points[..., 2]) < 1e-4
        over = (np.abs(points[..., :2] - bed[:2]) < HALF_BED - 0.05).all(-1) & (points[..., 2] > 0.4)
        assert floor.mean() > 0.1
        assert over.sum() > 40
        assert np.isclose(points[over][:, 2], bed[2], atol=1e-4).mean() > 0.5  # the rest is the pillow
        assert points[over][:, 2].max() < bed[2] + 0.3


def test_people_are_counted_as_islands_seen_from_above(traces: list[Trace], videos: list[icu.Video]) -> None:
    """What is nearer than the empty room, put on a map of the floor, falls into one island a person, where people stand
    apart.
    """
    checked = right = 0
    for video, trace in zip(videos, traces):
        still = empty(trace.room)
        for frame in range(0, 600, 5):
            places = trace.joints[:, frame, PELVIS, :2]
            places = places[np.isfinite(places[:, 0])]
            gaps = np.linalg.norm(places[:, None] - places, axis=-1) + 9 * np.eye(len(places))
            spots = depth_camera.pixels(trace.room.camera.frame(trace.joints[:, frame]), 48, 64)
            inside = ((spots > 0) & (spots < [64, 48])) | np.isnan(spots)
            if gaps.min() < 1.5 or not inside.all():
                continue
            clean = trace.clean[frame]
            points = world(trace.room.camera, clean)[still - clean > 0.06]
            ground = np.zeros((80, 80), int)
            np.add.at(ground, tuple((points[:, :2] / 0.1).astype(int).T + 10), 1)
            islands, count = ndimage.label(ndimage.binary_dilation(ground > 0, iterations=3))
            size = ndimage.sum_labels(ground, islands, range(1, count + 1))
            right += int((size >= 12).sum()) == int(video.people[frame])
            checked += 1
    assert checked > 60
    assert right / checked > 0.97


@pytest.mark.parametrize("far", [2.0, 4.5])
def test_noise_and_steps_grow_with_the_square_of_distance(far: float) -> None:
    seen = depth_camera.sensed(np.full((40, 48, 64), far), generator=generator(0))
    whole = seen[seen > 0].astype(np.float64)
    assert whole.std() == pytest.approx(
        0.001425 * far**2 * math.sqrt(1 + 4 / 12), rel=0.05
    )  # noise, and steps of twice that
    assert whole.mean() == pytest.approx(far, rel=2e-3)
    assert np.diff(np.unique(whole)).max() == pytest.approx(0.00285 * far**2, rel=0.12)
    assert (seen == 0).mean() == pytest.approx(0.005, rel=0.1)


def test_depth_is_missing_at_jumps_and_out_of_range() -> None:
    clean = np.full((200, 20, 20), 2.0)
    clean[:, :, 10:] = 3.0
    seen = depth_camera.sensed(clean, generator=generator(0))
    assert (seen[:, :, 10] == 0).mean() == pytest.approx(0.75, abs=0.02)  # the far side of the jump
    assert (seen[:, :, [9, 11]] == 0).mean() < 0.01
    for out in (0.3, 9.0, np.inf):
        assert (depth_camera.sensed(np.full((1, 4, 4), out), generator=generator(0)) == 0).all()


# --- the room and its people
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_the_camera_sees_bed_and_chair_and_one_can_walk_between_them(seed: int) -> None:
    room = furnished(generator=stream("t", seed))
    ends = [[*(room.bed[:2] + np.array([0, side * HALF_BED[1]])), room.bed[2]] for side in (-1, 1)]
    heads = [[*place, 1.75] for place in (room.beside, room.before)]
    for point in (*ends, *heads, [*room.chair[:2], 0.6]):
        right, down, forward = room.camera.axes @ (np.array(point) - room.camera.place)
        assert abs(right / forward) < math.tan(math.radians(35))  # 70 degrees across
        assert abs(down / forward) < 0.75 * math.tan(math.radians(35))
    assert 2.2 <= room.camera.place[2] <= 2.65
    assert room.camera.axes[2, 2] < -0.1  # looks down
    np.testing.assert_allclose(room.camera.axes @ room.camera.axes.T, np.eye(3), atol=1e-12)
    corners = np.array([*np.stack(np.meshgrid(*room.aisle.T), -1).reshape(-1, 2), room.entry, room.before, room.beside])
    assert (corners[:, 0] > room.bed[0] + HALF_BED[0] + 0.25).all()  # so a straight line between two misses the bed


def test_nobody_walks_through_furniture(traces: list[Trace]) -> None:
    inside = total = 0
    for trace in traces:
        staff = trace.joints[1:, :, PELVIS].reshape(-1, 3)
        staff = staff[staff[:, 2] > 0.85]  # who stands or walks
        for box in trace.room.furniture:
            inside += ((staff > box.low) & (staff < box.high))[:, :2].all(1).sum()
        total += len(staff)
    assert inside < 0.02 * total  # who makes way for others may be pushed against something


def test_limbs_keep_their_length_whatever_the_pose(traces: list[Trace]) -> None:
    for trace in traces[:3]:
        joints = trace.joints[0]
        for a, b in ((people.NECK, PELVIS), (5, 7), (6, 8), (7, 9), (8, 10), (3, 11)):
            length = np.linalg.norm(joints[:, a] - joints[:, b], axis=1)
            np.testing.assert_allclose(length, length[0], rtol=1e-5)


def test_people_are_seldom_in_the_same_place(traces: list[Trace]) -> None:
    far = [
        np.linalg.norm(one[:, PELVIS, :2] - other[:, PELVIS, :2], axis=1)
        for trace in traces
        for one, other in combinations(trace.joints, 2)
    ]
    together = np.concatenate(far)
    assert (together[np.isfinite(together)] < 0.3).mean() < 0.08


# --- the door
# ------------------------------------------------------------------------------------------------------------


def test_bad_calls_are_refused(refuses: Callable[..., None]) -> None:
    refuses("split to be one of 'train', 'test'", icu.rooms, split="val")
    refuses("count > 0", icu.rooms, split="train", count=0)
    refuses("minutes in", icu.rooms, split="train", minutes=0.0)
    refuses("fps in", icu.rooms, split="train", fps=30.0)
    refuses("size in", icu.rooms, split="train", size=(4, 64))
