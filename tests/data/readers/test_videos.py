"""A folder of class-named folders of videos, written here as UCF-101 and HMDB-51 unpack; each file shows its number as
its grey.
"""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from coursekit.data import clips, seeds
from coursekit.data.readers import videos

CLASSES = ("ApplyEyeMakeup", "Basketball", "YoYo")


def write(path: Path, grays: list[int], *, size: tuple[int, int] = (48, 64), fps: int = 25) -> None:
    """A video of one frame for each grey."""
    path.parent.mkdir(parents=True, exist_ok=True)
    codec = "mpeg4" if path.suffix == ".avi" else "libx264"
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=Fraction(fps))
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        container.start_encoding()  # writes a header even if no frame follows
        for gray in grays:
            picture = np.full((*size, 3), gray, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes, six films each, two clips a film; beside them what unpacking leaves."""
    root = tmp_path_factory.mktemp("UCF-101")
    for c, name in enumerate(CLASSES):
        for film in range(1, 7):
            for clip in (1, 2):
                write(root / name / f"v_{name}_g{film:02d}_c{clip:02d}.avi", [60 * c + 8 * film] * 3)
    (root / "readme.txt").write_text("no class")
    (root / "YoYo" / "Thumbs.db").write_text("no video")
    (root / "YoYo" / "._v_YoYo_g01_c01.avi").write_text("no video either")
    (root / ".cache").mkdir()
    return root


def read(root: Path, **knobs: Any) -> videos.Chosen:
    """As ``clips.actions`` reads by default."""
    usual = {"split": None, "count": None, "frames": 16, "size": 40, "gray": True, "seed": 0}
    return videos.read(root, **(usual | knobs))


def whole_of(path: Path) -> list[videos.Picture]:
    return videos.decode(path, range(videos.length_of(path)))


def names_of(chosen: videos.Chosen) -> list[str]:
    return [p.stem for p in chosen.clips.paths]


def test_all_films_are_found_with_the_class_of_their_folder(ucf: Path) -> None:
    chosen = read(ucf)
    assert chosen.names == CLASSES
    assert len(chosen.clips) == 36
    assert [p.parent.name for p in chosen.clips.paths] == [CLASSES[k] for k in chosen.labels.tolist()]
    for k in (0, 17, 35):
        clip = chosen.clips[k]
        assert (clip.shape, clip.dtype) == ((1, 16, 40, 40), torch.float32)
        film = int(chosen.clips.paths[k].stem[-6:-4])
        assert float(clip.mean()) * 255 == pytest.approx(60 * int(chosen.labels[k]) + 8 * film, abs=3)


def test_the_parts_share_no_film(ucf: Path) -> None:
    train, test = (read(ucf, split=part) for part in ("train", "test"))
    films = [{name[:-4] for name in names_of(one)} for one in (train, test)]
    assert films[0]
    assert films[1]
    assert not films[0] & films[1]
    assert len(train.clips) + len(test.clips) == 36
    assert all(seeds.part_of(name) == "test" for name in films[1])
    assert names_of(test) == [s for s in names_of(read(ucf)) if s[:-4] in films[1]]


@pytest.mark.parametrize(
    ("stem", "name", "film"),
    [
        ("v_ApplyEyeMakeup_g08_c01", "ApplyEyeMakeup", "v_ApplyEyeMakeup_g08"),
        ("v_ApplyEyeMakeup_g08_c12", "ApplyEyeMakeup", "v_ApplyEyeMakeup_g08"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_0", "brush_hair", "April_09"),
        ("April_09_brush_hair_u_nm_np1_ba_goo_2", "brush_hair", "April_09"),
        ("my own film", "walk", "my own film"),
    ],
)
def test_the_film_of_a_clip_is_read_from_its_name(stem: str, name: str, film: str) -> None:
    assert videos.subject_of(Path("root", name, f"{stem}.avi")) == film


def test_a_few_are_drawn_evenly_and_by_seed(ucf: Path) -> None:
    few = read(ucf, count=9, seed=1)
    assert few.labels.bincount().tolist() == [3, 3, 3]
    assert len(set(names_of(few))) == 9
    assert names_of(few) == names_of(read(ucf, count=9, seed=1)) == names_of(read(ucf, count=12, seed=1))[:9]
    assert names_of(few) != names_of(read(ucf, count=9, seed=2))
    assert len(read(ucf, count=1000).clips) == 36


@pytest.mark.parametrize("suffix", [".avi", ".mp4"])
def test_frames_are_taken_from_the_whole_length(tmp_path: Path, suffix: str) -> None:
    grays = [10 + 8 * k for k in range(24)]
    path = tmp_path / f"ramp{suffix}"
    write(path, grays, fps=12)
    assert videos.length_of(path) == 24
    pictures = whole_of(path)
    np.testing.assert_allclose([f.mean() for f in pictures], grays, atol=4)
    four = videos.Clips((path,), 4, 40, True)[0]
    np.testing.assert_allclose(
        255 * four.mean((0, 2, 3)), [grays[k] for k in (3, 9, 15, 21)], atol=4
    )  # of each quarter the middle
    more = videos.Clips((path,), 48, 40, True)[0]
    np.testing.assert_allclose(
        255 * more.mean((0, 2, 3)), [g for g in grays for _ in (0, 1)], atol=4
    )  # a short video repeats frames
    assert videos.Clips((path,), 4, 40, False)[0].shape == (3, 4, 40, 40)


def test_the_middle_square_is_kept(tmp_path: Path) -> None:
    picture = np.zeros((48, 144, 3), np.uint8)
    picture[:, 48:96] = (255, 0, 0)
    with av.open(str(tmp_path / "red.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 144, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="bgr0")))
        container.mux(stream.encode())
    clip = videos.Clips((tmp_path / "red.mkv",), 2, 48, False)[0]
    assert clip.shape == (3, 2, 48, 48)
    assert clip.mean((1, 2, 3)).tolist() == [1, 0, 0]
    assert videos.as_clip([picture], gray=True).amax() == pytest.approx(0.299)
    assert videos.as_clip([picture], size=5).shape == (1, 1, 5, 15)
    assert videos.as_clip([picture[:, :1]], size=7).shape == (1, 1, 336, 7)


def test_the_variable_turns_actions_to_the_folder(ucf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_VIDEOS", str(ucf))
    one = clips.actions(split="train", frames=4, size=24, gray=False)
    assert (one.source, one.names) == ("real", CLASSES)
    assert len(one) == len(read(ucf, split="train").clips)
    batch = next(
        iter(DataLoader(one, batch_size=5, num_workers=1, multiprocessing_context="spawn"))
    )  # a fork of ITK's threads hangs
    assert batch.clip.shape == (5, 3, 4, 24, 24)
    assert torch.equal(batch.clip[3], one[3].clip)
    assert torch.equal(batch.label, one.labels[:5])


# --- what is not as it should be
# -------------------------------------------------------------------------------------------


def test_folders_without_videos_or_classes_are_refused(tmp_path: Path, refuses) -> None:
    refuses("at least two classes of videos", read, tmp_path)
    write(tmp_path / "walk" / "a.avi", [5])
    refuses(r"at least two classes of videos in .*, got \['walk'\]", read, tmp_path)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("to come")
    refuses("in class run, got none: fill the folder", read, tmp_path)
    refuses("class folders at gone", read, tmp_path / "gone")


def test_a_part_without_a_film_is_refused(tmp_path: Path, refuses) -> None:
    for name in ("walk", "run"):
        film = next(k for k in range(99) if seeds.part_of(f"v_{name}_g{k:02d}") == "train")
        write(tmp_path / name / f"v_{name}_g{film:02d}_c01.avi", [5])
    refuses("videos of the part 'test' in .*, got none", read, tmp_path, split="test")


def test_files_that_are_no_videos_are_refused_by_name(tmp_path: Path, refuses) -> None:
    (tmp_path / "text.avi").write_text("no video at all")
    (tmp_path / "empty.mp4").write_bytes(b"")
    write(tmp_path / "whole.mp4", [9] * 30)
    (tmp_path / "cut.mp4").write_bytes((tmp_path / "whole.mp4").read_bytes()[:600])
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    for name in ("text.avi", "empty.mp4", "cut.mp4", "sound.mp4"):
        refuses(f"a video in {name}", videos.length_of, tmp_path / name)
        refuses(f"a video in {name}", whole_of, tmp_path / name)
        refuses(f"a video in {name}", videos.Clips.__getitem__, videos.Clips((tmp_path / name,), 4, 16, True), 0)


def test_a_video_without_or_with_too_few_frames_is_refused(tmp_path: Path, refuses) -> None:
    for name, what in (("none.avi", "frames"), ("none.mp4", "a video")):  # a header without a frame
        write(tmp_path / name, [])
        for read in (videos.length_of, whole_of):
            refuses(f"expected {what} in {name}, got", read, tmp_path / name)
    write(tmp_path / "three.avi", [5, 6, 7])
    refuses("6 frames in three.avi, got 1 of the 2 wanted", videos.decode, tmp_path / "three.avi", [0, 5])


# --- what is shown
# ---------------------------------------------------------------------------------------------------------


def remuxed(
    source: Path, target: Path, change: Callable[[int, bytes], bytes], *, earlier: Fraction = Fraction(0)
) -> Path:
    """The packets copied, changed, and put so many seconds before 0, which an MP4 hides by an edit list."""
    options = {"avoid_negative_ts": "disabled"} if target.suffix == ".mp4" else {}
    with av.open(str(source)) as inside, av.open(str(target), "w", options=options) as out:
        stream = out.add_stream_from_template(inside.streams.video[0])
        for k, packet in enumerate(p for p in inside.demux(video=0) if p.dts is not None):
            copy = av.Packet(change(k, bytes(packet)))
            back = int(earlier / packet.time_base)
            copy.pts, copy.dts, copy.time_base, copy.is_keyframe = (
                packet.pts - back,
                packet.dts - back,
                packet.time_base,
                packet.is_keyframe,
            )
            copy.stream = stream
            out.mux(copy)
    return target


def test_frames_are_those_that_are_shown(tmp_path: Path) -> None:
    grays = [10 + 4 * k for k in range(48)]
    write(tmp_path / "whole.mp4", grays)
    cut = remuxed(tmp_path / "whole.mp4", tmp_path / "cut.mp4", lambda _, data: data, earlier=Fraction(30, 25))
    assert videos.length_of(cut) == len(whole_of(cut)) < 48
    assert (
        abs(float(videos.Clips((cut,), 1, 40, True)[0].mean()) * 255 - grays[30 + 9]) < 6
    )  # the middle of the last eighteen
    with av.open(str(tmp_path / "whole.webm"), "w") as container:
        stream = container.add_stream("libvpx", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for gray in grays:
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), gray, np.uint8), format="rgb24"))
            )
        container.mux(stream.encode())
    hidden = remuxed(
        tmp_path / "whole.webm",
        tmp_path / "hidden.webm",
        lambda k, d: bytes([d[0] & ~0x10]) + d[1:] if k in (10, 47) else d,
    )
    assert videos.length_of(hidden) == len(whole_of(hidden)) == 46


def test_pictures_are_upright_and_of_square_pixels(tmp_path: Path, refuses) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:24] = 255  # bright above
    frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
    for name, shape in (("square", Fraction(1)), ("wide", Fraction(2))):
        with av.open(str(tmp_path / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
            stream.codec_context.sample_aspect_ratio = shape
            container.mux(stream.encode(frame))
            container.mux(stream.encode())
    assert whole_of(tmp_path / "square.mp4")[0].shape == (48, 64, 3)
    assert whole_of(tmp_path / "wide.mp4")[0].shape == (48, 128, 3)
    raw = (tmp_path / "square.mp4").read_bytes()
    plain, turned = (
        struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 2**30),
        struct.pack(">9i", 0, 65536, 0, -65536, 0, 0, 0, 0, 2**30),
    )
    at = raw.rindex(b"tkhd")
    (tmp_path / "turned.mp4").write_bytes(raw[:at] + raw[at:].replace(plain, turned, 1))
    (seen,) = whole_of(tmp_path / "turned.mp4")
    assert seen.shape == (64, 48, 3)
    assert (
        seen[:, 30:].mean() > 200 > 50 > seen[:, :18].mean()
    )  # a quarter clockwise, as players show it: what was above is right


def test_a_mirrored_film_is_refused(tmp_path: Path, refuses) -> None:
    write(tmp_path / "plain.mp4", [9, 9])
    raw = (tmp_path / "plain.mp4").read_bytes()
    plain, mirrored = (struct.pack(">9i", side * 65536, 0, 0, 0, 65536, 0, 0, 0, 2**30) for side in (1, -1))
    at = raw.rindex(b"tkhd")
    (tmp_path / "mirrored.mp4").write_bytes(raw[:at] + raw[at:].replace(plain, mirrored, 1))
    refuses("frames that are not mirrored in mirrored.mp4", whole_of, tmp_path / "mirrored.mp4")


def test_a_cover_is_no_film_and_sound_alone_is_none(tmp_path: Path, refuses) -> None:
    write(tmp_path / "film.mp4", [9 + k for k in range(8)])
    with av.open(str(tmp_path / "film.mp4")) as inside, av.open(str(tmp_path / "two.mkv"), "w") as out:
        cover = out.add_stream("mjpeg", rate=25)
        cover.height, cover.width, cover.pix_fmt = 16, 16, "yuvj420p"
        film = out.add_stream_from_template(inside.streams.video[0])
        out.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((16, 16, 3), np.uint8), format="rgb24")))
        for packet in inside.demux(video=0):
            if packet.dts is not None:
                packet.stream = film
                out.mux(packet)
        out.mux(cover.encode())
    assert videos.length_of(tmp_path / "two.mkv") == 8
    assert whole_of(tmp_path / "two.mkv")[0].shape == (48, 64, 3)
    with av.open(str(tmp_path / "sound.avi"), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.rate = 8000
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    refuses("a video in sound.avi, got ValueError .sound alone", videos.length_of, tmp_path / "sound.avi")


@pytest.mark.parametrize("name", ["film.mkv", "film.webm"])
def test_a_matroska_that_ends_early_is_refused(tmp_path: Path, refuses, name: str) -> None:
    with av.open(str(tmp_path / name), "w") as container:
        stream = container.add_stream("libvpx" if name.endswith("webm") else "ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for picture in np.random.default_rng(0).integers(0, 255, (30, 48, 64, 3), np.uint8):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    assert videos.length_of(tmp_path / name) == 30
    raw = (tmp_path / name).read_bytes()
    for share in (0.5, 0.96):
        (tmp_path / name).write_bytes(raw[: int(share * len(raw))])
        refuses(f"a video in {name}, got EOFError .* of 1.200 s", videos.length_of, tmp_path / name)


def test_a_film_that_ends_early_or_changes_size_or_is_deep_is_refused(tmp_path: Path, refuses) -> None:
    write(tmp_path / "whole.avi", [9 + k for k in range(60)])
    raw = (tmp_path / "whole.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(raw[: len(raw) * 2 // 3])
    refuses("a video in cut.avi", videos.length_of, tmp_path / "cut.avi")
    with av.open(str(tmp_path / "deep.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "gray16le"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64), 3007, np.uint16), format="gray16le")))
        container.mux(stream.encode())
    refuses("a video in deep.mkv, got ValueError .pixels as gray16le", whole_of, tmp_path / "deep.mkv")
    (tmp_path / "folder.mp4").mkdir()
    refuses("the video at folder.mp4 in .*, got a folder", whole_of, tmp_path / "folder.mp4")
    refuses("the video at gone.mp4 in .*, got nothing there", videos.length_of, tmp_path / "gone.mp4")
