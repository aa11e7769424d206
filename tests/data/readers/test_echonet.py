"""EchoNet-Dynamic in miniature, written here in its layout: the list names no suffix, the tracings do; two traced
frames a video.
"""

import csv
import math
from pathlib import Path

import av
import numpy as np
import pytest
import torch

from coursekit.data import echo
from coursekit.data.readers import echonet

NAMES = {"0X1A": "TRAIN", "0X2B": "VAL", "0X3C": "TEST", "0X4D": "TRAIN"}
LENGTH, ED, ES = 40, 6, 20
RADIUS = {ED: 20.0, ES: 12.0}


def write_video(path: Path, frames: int = LENGTH) -> None:
    """Grey ramps of 112 × 112 whose level counts the frames, as motion JPEG."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.width = stream.height = 112
        stream.pix_fmt = "yuvj420p"
        for k in range(frames):
            picture = np.full((112, 112, 3), 20 + 5 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def write_csv(path: Path, columns: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream).writerows([columns, *rows])


def segments(frame: int) -> list[list[float]]:
    """A disc of the frame's radius around (50, 56): its axis from top to bottom, then 20 chords."""
    r = RADIUS[frame]
    heights = r * np.linspace(-0.95, 0.95, 20)
    chords = [[50 - w, 56 + h, 50 + w, 56 + h] for h in heights for w in [math.sqrt(r**2 - h**2)]]
    return [[50, 56 - r, 50, 56 + r], *chords]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "Videos").mkdir()
    for name in NAMES:
        write_video(tmp_path / "Videos" / f"{name}.avi")
    rows = [[name, 78.4, 21.6, 100.0, 112, 112, 50, LENGTH, part] for name, part in NAMES.items()]
    write_csv(tmp_path / "FileList.csv", list(echonet.LIST), rows)
    traced = [
        [f"{name}.avi", *s, frame] for name in NAMES if name != "0X4D" for frame in (ES, ED) for s in segments(frame)
    ]
    write_csv(tmp_path / "VolumeTracings.csv", list(echonet.TRACINGS), traced)
    monkeypatch.setenv("COURSEKIT_ECHONET", str(tmp_path))
    return tmp_path


def edit(path: Path, old: str, new: str, count: int = -1) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, count))


def test_the_list_and_the_tracings_find_each_other(place: Path) -> None:
    train = echonet.studies(place, split="train")
    assert [s.path.name for s in train] == ["0X1A.avi", "0X4D.avi"]
    assert [s.path.stem for s in echonet.studies(place)] == list(NAMES)
    first = train[0]
    assert (first.ef_percent, first.esv_ml, first.edv_ml, first.fps, first.frames) == (78.4, 21.6, 100.0, 50, LENGTH)
    assert (first.ed_frame, first.es_frame) == (ED, ES)
    assert (train[1].ed_frame, train[1].traced) == (None, {})


def test_a_video_is_decoded_in_grey_and_in_order(place: Path) -> None:
    film = echonet.video(echonet.studies(place)[0])
    assert (film.shape, film.dtype) == ((LENGTH, 112, 112), torch.uint8)
    assert float((film.float().mean((1, 2)) - (20 + 5 * torch.arange(LENGTH))).abs().max()) < 4


def test_a_mask_is_the_traced_disc(place: Path) -> None:
    study = echonet.studies(place)[0]
    y, x = torch.meshgrid(torch.arange(112), torch.arange(112), indexing="ij")
    for frame, radius in RADIUS.items():
        got, disc = echonet.mask(study, frame), torch.hypot(x - 50.0, y - 56.0) <= radius
        assert float(got.sum() / disc.sum()) == pytest.approx(1, abs=0.05)
        assert float((got & disc).sum() / got.sum()) > 0.98
    assert float(echo.volume_of_tracing(torch.from_numpy(study.traced[ED]), spacing_mm=1.0)) == pytest.approx(
        4 / 3 * math.pi * 20**3 / 1000, rel=0.01
    )


def test_the_variable_puts_the_data_set_in_place_of_the_simulation(place: Path) -> None:
    train = echo.clips(split="train", frames=16)
    assert (len(train), train.source) == (2, "EchoNet-Dynamic")
    assert [float(item.ef_percent) for item in train] == pytest.approx([78.4, 78.4])
    assert [len(echo.clips(split=split)) for split in ("val", "test")] == [1, 1]
    item = train[0]
    assert item.clip.shape == (1, 16, 112, 112)
    level = (item.clip[0].mean((1, 2)) * 255 - 20) / 5  # the number of the frame
    assert float((level.diff() - 2).abs().max()) < 1.5  # every second of 50 a second
    assert float(level[-1] - level[0]) == pytest.approx(30, abs=1)
    assert torch.equal(train[0].clip, item.clip)
    assert math.isnan(item.spacing_mm)
    assert float(item.edv_ml) == 100


def test_traced_frames_of_a_stretch_are_marked(place: Path) -> None:
    seen = set()
    for seed in range(12):
        item = echo.clips(split="train", frames=16, fps=50, seed=seed)[0]
        start = round(float((item.clip[0, 0].mean() * 255 - 20) / 5))
        for marks, frame, volume in ((item.ed, ED, 100.0), (item.es, ES, 21.6)):
            assert marks.nonzero()[:, 0].tolist() == ([frame - start] if 0 <= frame - start < 16 else [])
            for at in marks.nonzero()[:, 0].tolist():
                seen.add(frame)
                assert float(item.volume_ml[at]) == pytest.approx(volume)
                assert float(item.masks[at].sum()) == pytest.approx(math.pi * RADIUS[frame] ** 2, rel=0.05)
        untraced = ~(item.ed | item.es)
        assert bool(item.volume_ml[untraced].isnan().all())
        assert not item.masks[untraced].any()
    assert seen == {ED, ES}


def test_a_short_video_goes_on_in_black(place: Path) -> None:
    item = echo.clips(split="test", frames=32)[0]
    assert float(item.clip[0, 19].mean()) > 0.5
    assert float(item.clip[0, 20:].abs().max()) == 0


def test_frames_and_masks_of_other_sizes(place: Path) -> None:
    item = echo.clips(split="train", size=64, frames=LENGTH, fps=50)[0]
    assert (item.clip.shape, item.masks.shape) == ((1, LENGTH, 64, 64), (LENGTH, 64, 64))
    assert float(item.clip[0, ED].mean() * 255) == pytest.approx(20 + 5 * ED, abs=4)
    for frame, radius in RADIUS.items():
        assert float(item.masks[frame].sum()) == pytest.approx(math.pi * (radius * 64 / 112) ** 2, rel=0.1)


def test_a_set_without_tracings_has_clips_without_masks(place: Path) -> None:
    write_csv(place / "VolumeTracings.csv", list(echonet.TRACINGS), [])
    item = echo.clips(split="train", frames=LENGTH, fps=50)[0]
    assert not item.masks.any()
    assert not (item.ed | item.es).any()


def test_missing_files_and_columns_are_refused(place: Path, refuses) -> None:
    (place / "Videos" / "0X2B.avi").unlink()
    refuses("the video at 0X2B.avi", echonet.studies, place)
    assert len(echonet.studies(place, split="test")) == 1
    edit(place / "FileList.csv", "NumberOfFrames", "Frames")
    refuses("none named NumberOfFrames", echonet.studies, place)
    edit(place / "VolumeTracings.csv", "X2", "x_2")
    refuses("in VolumeTracings.csv, got none named X2", echonet.studies, place)
    (place / "VolumeTracings.csv").unlink()
    refuses("VolumeTracings.csv at", echonet.studies, place)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("112,112,50,40,TRAIN", "112,112,50,0,TRAIN", "got 0 frames of 112 × 112 at 50"),
        ("112,112,50,40,TRAIN", "112,0,50,40,TRAIN", "got 40 frames of 112 × 0 at 50"),
        ("78.4", "178.4", "an EF in percent for .*, EF 178.4"),
        ("78.4", "-8", "an EF in percent for .*, EF -8"),
        ("78.4", "n/a", "a number as EF in FileList.csv, got 'n/a'"),
        ("VAL", "HOLDOUT", "Split in FileList.csv, got 'HOLDOUT'"),
        ("112,112,50,40,TRAIN", "112,112,50,15,TRAIN", "got one of frame 20"),
    ],
)
def test_bad_rows_of_the_list_are_refused(place: Path, refuses, old: str, new: str, says: str) -> None:
    edit(place / "FileList.csv", old, new, 1)
    refuses(says, echonet.studies, place)


def test_bad_tracings_are_refused(place: Path, refuses) -> None:
    write_csv(place / "VolumeTracings.csv", list(echonet.TRACINGS), [["0X1A.avi", 1, 2, 3, 4, 5]])
    refuses("at least two chords for frame 5", echonet.studies, place)
    refuses("split to be one of", echonet.studies, place, split="TRAIN")
    write_csv(place / "VolumeTracings.csv", list(echonet.TRACINGS), [["0X1A.avi", 1, 2, 3, 4, LENGTH]])
    refuses(f"got one of frame {LENGTH}", echonet.studies, place)
    (untraced,) = echonet.studies(place, split="test")
    refuses("a traced frame of 0X3C.avi", echonet.mask, untraced, 3)


def test_videos_that_do_not_fit_are_refused(place: Path, refuses) -> None:
    first, second, third, _ = echonet.studies(place)
    write_video(first.path, 30)
    refuses("40 frames in 0X1A.avi, got 30", echonet.video, first)
    second.path.write_bytes(b"no film")
    refuses("a video in 0X2B.avi", echonet.video, second)
    with av.open(str(third.path), "w") as container:  # sound alone
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
    refuses("a video in 0X3C.avi", echonet.video, third)
    edit(place / "FileList.csv", "112,112,50,40,TRAIN", "112,96,50,40,TRAIN")
    refuses("frames of 112 × 96", echonet.video, echonet.studies(place, split="train")[1])


def test_a_split_without_rows_is_refused(place: Path, refuses) -> None:
    edit(place / "FileList.csv", "VAL", "TEST")
    refuses("rows for split 'val'", echo.clips, split="val")


def trace(place: Path, rows: list[list[float]]) -> echonet.Study:
    write_csv(place / "VolumeTracings.csv", list(echonet.TRACINGS), [["0X1A.avi", *row, ED] for row in rows])
    return echonet.studies(place)[0]


def test_chords_from_either_end_in_any_order_and_twice_alike_are_one_tracing(place: Path) -> None:
    plain = segments(ED)
    wanted = echonet.mask(echonet.studies(place)[0], ED)
    swapped = [[*row[2:], *row[:2]] if k in (3, 7, 8, 15) else row for k, row in enumerate(plain)]
    others = [*plain[:1], *(row[2:] + row[:2] for row in plain[1:])]
    axis_turned = [plain[0][2:] + plain[0][:2], *plain[1:]]
    for rows in (
        swapped,
        others,
        [plain[0], *plain[:0:-1]],
        plain * 2,
        plain + swapped,
        plain + axis_turned,
        plain + plain[5:6],
    ):
        study = trace(place, rows)
        assert torch.equal(echonet.mask(study, ED), wanted)
        assert len(study.traced[ED]) == len(plain)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda rows: rows + segments(ES), "one tracing|one along it|two that differ"),
        (lambda rows: rows + [[a, b, a + 60, b] for a, b, _, _ in rows[1:]], "two that differ"),
        (lambda rows: rows + rows[:1] + [[a - 1, b, c + 1, d] for a, b, c, d in rows[1:]], "got two that differ"),
        (lambda rows: [[5, 5, 5, 5], *rows[1:]], "a long axis of frame 6 .*, got two ends in one place"),
        (
            lambda rows: [*rows[:5], [50, 57, 50, 57], *rows[5:]],
            "chords across the long axis of .*, or one without length",
        ),
        (lambda rows: [*rows[:5], [50, 40, 51, 70], *rows[5:]], "chords across the long axis of .*, got one along it"),
        (lambda rows: rows[:2], "at least two chords"),
        (lambda rows: rows[1:], "chords across|at least|along"),
    ],
)
def test_tracings_that_contradict_themselves_are_refused(place: Path, refuses, change, says: str) -> None:
    refuses(f"({says}).*: mend VolumeTracings.csv", trace, place, change(segments(ED)))


@pytest.mark.parametrize("name", ["FileList.csv", "VolumeTracings.csv"])
def test_tables_that_are_none_are_refused_by_name(place: Path, refuses, name: str) -> None:
    path = place / name
    whole = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + whole)  # with a byte order mark, as spreadsheets write it
    assert echonet.studies(place)[0].ed_frame == ED
    for content in (
        b"",
        whole.decode().encode("utf-16"),
        whole.replace(b",", b";"),
        whole + b"0X1A,1\n",
        whole + b"0X1A" + b",1" * 30,
        whole + b"\xe9",
    ):
        path.write_bytes(content)
        refuses(f"in {name}, got .*: take the table as shipped", echonet.studies, place)
    path.write_bytes(
        whole.replace(b",6\r\n", b",6.5\r\n") if name[0] == "V" else whole.replace(b"112,112", b"112.5,112", 1)
    )
    refuses(f"a whole number as .* in {name}", echonet.studies, place)
    path.unlink()
    path.mkdir()
    refuses(f"{name} at {name} in .*, got a folder", echonet.studies, place)


def test_a_video_in_two_splits_is_refused(place: Path, refuses) -> None:
    edit(place / "FileList.csv", "0X2B,", "0X1A,", 1)
    refuses("one row of 0X1A in FileList.csv, got 2", echonet.studies, place)
