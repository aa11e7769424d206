"""Submissions from anywhere arrive under the student's name; zips cannot reach out, and nothing handed in earlier is
lost.
"""

import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from nbgrader.apps import NbGraderAPI
from traitlets.config import Config

from coursegrade import collecting
from coursegrade import unpack as unpacking
from coursegrade.collecting import Collected, collect
from coursegrade.people import read_origin, safe_name

Members = dict[str, bytes | str]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A course directory."""
    root = tmp_path / "course"
    (root / "solutions" / "a1").mkdir(parents=True)
    (root / "solutions" / "a1" / "a1.ipynb").touch()
    return root


@pytest.fixture
def where(tmp_path: Path) -> Path:
    (tmp_path / "handed").mkdir()
    return tmp_path / "handed"


def put(folder: Path, members: Members) -> Path:
    for name, content in members.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def zipped(members: Members) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return out.getvalue()


def there(home: Path, student: str) -> dict[str, str]:
    folder = home / "submitted" / student / "a1"
    return {
        str(p.relative_to(folder)): p.read_text("utf-8", "replace") for p in sorted(folder.rglob("*")) if p.is_file()
    }


def by_student(found: list[Collected]) -> dict[str, str]:
    assert len({c.student for c in found if c.student}) == len([c for c in found if c.student])
    for c in found:
        assert not c.note or c.note.endswith(".")
        assert "\n" not in c.note
    return {c.student: c.note for c in found}


def notes(found: list[Collected]) -> list[str]:
    """What could not be given to a student."""
    return [c.note for c in found if not c.student]


CANVAS: Members = {
    "lovelaceada_12345_67890_a1.ipynb": "ada",
    "noetheremmy_LATE_222_333_a1-1.ipynb": "emmy",
    "noetheremmy_LATE_222_334_data.csv": "1",
    "de_la_cruzana_77_88_my_99_100_file.ipynb": "ana",
}
MOODLE: Members = {
    "Ada Lovelace_1234567_assignsubmission_file_/a1.ipynb": "ada",
    "Ada Lovelace_1234567_assignsubmission_onlinetext_/onlinetext.html": "text",
    "Zoë Müller_7654321_assignsubmission_file_/a1.ipynb": "zoe",
    "Li Wei_1_assignsubmission_file_/a1.ipynb": "one",
    "Li Wei_2_assignsubmission_file_/a1.ipynb": "two",
    "Kurt G_5_assignsubmission_file_a1.ipynb": "flat",
}
METADATA = """---
submission_101:
  :submitters:
  - :name: Ada Lovelace
    :sid: '11'
    :email: ada@x.edu
  - :name: Emmy Noether
    :sid: "12"
    :email: emmy@x.edu
  :created_at: 2024-01-01 10:00:00.0 Z
  :results:
    tests:
    - name: intruder
  :history:
  - :id: 7
    :name: somebody
submission_102:
  :submitters:
  - :name: Kurt
    :sid:
    :email: null
  :status: processed
"""
GRADESCOPE: Members = {
    "assignment_9_export/submission_metadata.yml": METADATA,
    "assignment_9_export/submission_101/a1.ipynb": "both",
    "assignment_9_export/submission_102/a1.ipynb": "kurt",
}
EXCHANGE: Members = {
    "inbound/ada+a1+2024-01-02 10:00:00.000000 UTC+abc/a1.ipynb": "old",
    "inbound/ada+a1+2024-01-02 10:00:00.500000 UTC+abd/a1.ipynb": "new",
    "inbound/ada+a1+2024-01-02 10:00:00.500000 UTC+abd/timestamp.txt": "2024-01-02",
    "inbound/ada+a2+2024-02-02 10:00:00.000000 UTC+abc/a2.ipynb": "other",
    "inbound/plus+sign+a1+2024-01-01 10:00:00.000000 UTC/a1.ipynb": "plus",
    "inbound/bad+a1+2024-99-99 10:00:00.000000 UTC+abc/a1.ipynb": "bad",
}
BY_STUDENT: Members = {
    "ada/a1.ipynb": "ada",
    "emmy/a1/a1.ipynb": "emmy",
    "emmy/a2/a2.ipynb": "other",
    "kurt.zip": zipped({"a1.ipynb": "kurt"}),
}


@pytest.mark.parametrize("how", ["folder", "zip"])
@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            CANVAS,
            {
                "de_la_cruzana_77": {"my_99_100_file.ipynb": "ana"},
                "lovelaceada_12345": {"a1.ipynb": "ada"},
                "noetheremmy_222": {"a1.ipynb": "emmy", "data.csv": "1"},
            },
        ),
        (
            MOODLE,
            {
                "Ada_Lovelace": {"a1.ipynb": "ada", "onlinetext.html": "text"},
                "Zoë_Müller": {"a1.ipynb": "zoe"},
                "Li_Wei_1": {"a1.ipynb": "one"},
                "Li_Wei_2": {"a1.ipynb": "two"},
                "Kurt_G": {"a1.ipynb": "flat"},
            },
        ),
        (
            GRADESCOPE,
            {"ada@x.edu": {"a1.ipynb": "both"}, "emmy@x.edu": {"a1.ipynb": "both"}, "Kurt": {"a1.ipynb": "kurt"}},
        ),
        (EXCHANGE, {"ada": {"a1.ipynb": "new", "timestamp.txt": "2024-01-02"}, "plus_sign": {"a1.ipynb": "plus"}}),
        (BY_STUDENT, {"ada": {"a1.ipynb": "ada"}, "emmy": {"a1.ipynb": "emmy"}, "kurt": {"a1.ipynb": "kurt"}}),
    ],
    ids=["canvas", "moodle", "gradescope", "exchange", "by student"],
)
def test_layouts(home: Path, where: Path, how: str, members: Members, expected: dict[str, dict[str, str]]) -> None:
    source = put(where, members)
    if how == "zip":
        source = where.parent / "all.zip"
        source.write_bytes(zipped(members))
    found = collect(source, "a1", home)
    students = [c.student for c in found if c.student and not c.student.startswith("bad")]
    assert students == sorted(expected)
    assert {student: there(home, student) for student in students} == expected
    assert collect(source, "a1", home) == [
        Collected(c.student, c.files, " ".join(filter(None, [c.note, "It is the same as before."]))) if c.files else c
        for c in found
    ]
    assert not [p for p in (home / "submitted").iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("members", [CANVAS, MOODLE, {"ada/a1.ipynb": "ada", "emmy/a1/a1.ipynb": "emmy"}])
def test_one_more_folder_around(home: Path, where: Path, members: Members) -> None:
    plain = collect(put(where / "plain", members), "a1", home)
    around = collect(
        put(where / "around", {f"submissions/{name}": content for name, content in members.items()}), "a1", home
    )
    assert [(c.student, c.files) for c in around] == [(c.student, c.files) for c in plain]


def test_a_single_student(home: Path, where: Path) -> None:
    collect(put(where, {"ada/a1/a1.ipynb": "ada"}), "a1", home)
    assert there(home, "ada") == {"a1.ipynb": "ada"}


def test_what_is_told_of_a_submission(home: Path, where: Path) -> None:
    assert by_student(collect(put(where / "c", CANVAS), "a1", home))["noetheremmy_222"] == "Handed in late."
    gradescope = by_student(collect(put(where / "g", GRADESCOPE), "a1", home))
    assert gradescope == {"Kurt": ""} | dict.fromkeys(
        ["ada@x.edu", "emmy@x.edu"], "Handed in together by ada@x.edu, emmy@x.edu."
    )
    exchange = by_student(collect(put(where / "e", EXCHANGE), "a1", home))["ada"]
    assert exchange.startswith("The newest of 2 was taken.")
    assert "The folder in the exchange belongs to" in exchange


def test_what_another_user_put_into_the_exchange_counts_only_where_nothing_else_is(
    home: Path, where: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "owner", lambda path: "eve" if path.name.endswith("+eves") else "ada")
    own = {"inbound/ada+a1+2024-01-02 10:00:00.000000 UTC+abc/a1.ipynb": "own"}
    forged = {"inbound/ada+a1+2099-01-01 10:00:00.000000 UTC+eves/a1.ipynb": "forged"}
    told = by_student(collect(put(where / "forged", forged), "a1", home))
    assert told == {"ada": "The folder in the exchange belongs to eve: see that it is ada's own."}
    told = by_student(collect(put(where / "both", own | forged), "a1", home))
    assert told["ada"].startswith("A folder of this name in the exchange belongs to eve and was left out.")
    assert there(home, "ada") == {"a1.ipynb": "own"}


@pytest.mark.parametrize(
    ("who", "folder"),
    [
        ("Ada Lovelace", "Ada_Lovelace"),
        ("Zoe\u0308", "Zoë"),
        ("अदिति", "अदिति"),
        ("../../etc", "etc"),
        (".hidden", "hidden"),
        ("a/b\\c", "a_b_c"),
        ("a*[b]?", "a__b"),
        ("x@y.edu", "x@y.edu"),
        ("...", "unnamed"),
        ("\n\0", "unnamed"),
        ("é" * 300, "é" * 60),
    ],
)
def test_names_become_safe_folders(who: str, folder: str) -> None:
    assert safe_name(who) == folder


def test_two_of_one_folder_name_are_told_apart(home: Path, where: Path) -> None:
    found = collect(put(where, {"Ada L/a1.ipynb": "1", "Ada_L/a1.ipynb": "2", "ada_l/a1.ipynb": "3"}), "a1", home)
    told = by_student(found)
    assert {s: there(home, s)["a1.ipynb"] for s in told} == {"Ada_L": "1", "Ada_L-2": "2", "ada_l-3": "3"}
    assert told["Ada_L-2"] == "Ada_L and another student have the same folder name Ada_L: this one is kept as Ada_L-2."


def test_two_of_one_name_stay_two(home: Path, where: Path) -> None:
    """Also when one of them hands in again alone, and when there was one at first."""

    def handed(*ids: int) -> list[str]:
        members: Members = {f"Li Wei_{n}_assignsubmission_file_/a1.ipynb": f"of {n}" for n in ids}
        return [c.student for c in collect(put(where / "-".join(map(str, ids)), members), "a1", home) if c.student]

    assert handed(1) == ["Li_Wei"]
    assert handed(1, 2) == ["Li_Wei", "Li_Wei_2"]
    assert handed(2) == ["Li_Wei_2"]
    assert handed(1) == ["Li_Wei"]
    assert handed(3) == ["Li_Wei_3"]
    assert {student: there(home, student)["a1.ipynb"] for student in ("Li_Wei", "Li_Wei_2", "Li_Wei_3")} == {
        "Li_Wei": "of 1",
        "Li_Wei_2": "of 2",
        "Li_Wei_3": "of 3",
    }


def test_moodle_numbers_people_anew_in_each_assignment(home: Path, where: Path) -> None:
    (home / "solutions" / "a2").mkdir()

    members = {"Ada L_11": "ada", "Li Wei_12": "one", "Li Wei_13": "two"}
    for assignment, plus in (("a1", 0), ("a2", 40)):
        renumbered: Members = {}
        for who, content in members.items():
            name, _, number = who.rpartition("_")
            renumbered[f"{name}_{int(number) + plus}_assignsubmission_file_/a1.ipynb"] = content
        told = by_student(collect(put(where / f"{assignment}-all", renumbered), assignment, home))
        if assignment == "a1":
            assert told == {"Ada_L": "", "Li_Wei_12": "", "Li_Wei_13": ""}
    assert set(told) == {"Ada_L", "Li_Wei_52", "Li_Wei_53"}
    assert told["Li_Wei_52"].startswith("Which of Li_Wei_12, Li_Wei_13 this is, Moodle does not say")


def test_one_folder_name_stays_with_one_student(home: Path, where: Path) -> None:
    collect(put(where / "all", {"Ada L/a1.ipynb": "1", "Ada_L/a1.ipynb": "2"}), "a1", home)
    collect(put(where / "second", {"Ada_L/a1.ipynb": "2 again", "x/a1.ipynb": ""}), "a1", home)
    assert there(home, "Ada_L") == {"a1.ipynb": "1"}
    assert there(home, "Ada_L-2") == {"a1.ipynb": "2 again"}


def test_a_renamed_folder_stays_the_student_s(home: Path, where: Path) -> None:
    collect(put(where / "a", {"lovelaceada_12_67_a1.ipynb": "1"}), "a1", home)
    (home / "submitted" / "lovelaceada_12").rename(home / "submitted" / "ada")
    (home / "solutions" / "a2").mkdir()
    assert [c.student for c in collect(put(where / "b", {"lovelaceada_12_99_a2.ipynb": "2"}), "a2", home)] == ["ada"]


def test_two_nameless_of_gradescope_are_two(home: Path, where: Path) -> None:
    people = "".join(f"submission_{n}:\n  :submitters:\n  - :name: Kurt\n    :email: null\n" for n in (1, 2))
    put(where, {"submission_metadata.yml": people, "submission_1/a1.ipynb": "one", "submission_2/a1.ipynb": "two"})
    assert set(by_student(collect(where, "a1", home))) == {"Kurt_submission_1", "Kurt_submission_2"}


def test_who_it_is_and_when_is_kept(home: Path, where: Path) -> None:
    def kept(student: str) -> tuple[str, ...]:
        origin = read_origin(home / "submitted" / student / "a1")
        return (
            origin.platform,
            origin.name,
            origin.id,
            origin.email,
            origin.handed_in[:16],
            "late" if origin.late else "",
        )

    collect(put(where / "c", CANVAS), "a1", home)
    collect(put(where / "m", MOODLE), "a1", home)
    collect(put(where / "g", GRADESCOPE), "a1", home)
    collect(put(where / "e", EXCHANGE), "a1", home)
    assert kept("noetheremmy_222") == ("canvas", "noetheremmy", "222", "", "", "late")
    assert kept("Li_Wei_2") == ("moodle", "Li Wei", "2", "", "", "")
    assert kept("ada@x.edu") == ("gradescope", "Ada Lovelace", "", "ada@x.edu", "2024-01-01T10:00", "")
    assert kept("ada") == ("exchange", "ada", "", "", "2024-01-02T10:00", "")
    collect(
        put(where / "again", {"noetheremmy_222_335_a1.ipynb": "emmy", "noetheremmy_222_335_data.csv": "1"}), "a1", home
    )
    assert kept("noetheremmy_222")[-1] == "late", "the same files, which came late"


def test_canvas_s_own_number_is_no_name(home: Path, where: Path) -> None:
    collect(
        put(where, {"a_1_2_a1-3.ipynb": "", "b_2_3_a1-1.ipynb": "1", "b_2_3_a1.ipynb": "0", "c_3_4_notes-1.ipynb": ""}),
        "a1",
        home,
    )
    assert [sorted(there(home, who)) for who in ("a_1", "b_2", "c_3")] == [
        ["a1.ipynb"],
        ["a1-1.ipynb", "a1.ipynb"],
        ["notes-1.ipynb"],
    ]


def test_an_earlier_submission_is_kept(home: Path, where: Path) -> None:
    for content in ("first", "second", "third"):
        found = collect(put(where, {"ada/a1.ipynb": content}), "a1", home)
        os.utime(home / "submitted" / "ada" / "a1" / "a1.ipynb", (1_700_000_000, 1_700_000_000))
    assert there(home, "ada") == {"a1.ipynb": "third"}
    earlier = home / "submitted" / "ada" / ".earlier"
    kept = {p.name: (p / "a1.ipynb").read_text() for p in earlier.iterdir()}
    assert kept == {"a1-20231114T221320Z": "first", "a1-20231114T221320Z-2": "second"}
    assert by_student(found)["ada"] == "The earlier one is kept in submitted/ada/.earlier/a1-20231114T221320Z-2."


def test_nbgrader_does_not_see_what_is_kept(home: Path, where: Path) -> None:
    for content in ("first", "second"):
        collect(put(where, {"ada/a1.ipynb": content}), "a1", home)
    (home / "submitted" / ".collect-left-by-a-crash" / "a1").mkdir(parents=True)
    api = NbGraderAPI(config=Config({"CourseDirectory": {"root": str(home)}}))
    assert (home / "submitted" / "ada" / ".earlier").is_dir()
    assert api.get_submitted_students("a1") == {"ada"}
    assert api.get_submitted_students("*") == {"ada"}


def test_what_a_crash_would_leave_is_hidden(home: Path, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    stage = collecting._stage

    def record(*arguments: Any) -> list[str]:
        seen.extend(path.name for path in (home / "submitted").iterdir())
        return stage(*arguments)

    monkeypatch.setattr(collecting, "_stage", record)
    collect(put(where, {"ada/a1.ipynb": "work"}), "a1", home)
    assert [name.startswith(".") for name in seen] == [True]


def test_an_empty_submission_replaces_nothing(home: Path, where: Path) -> None:
    collect(put(where, {"ada/a1.ipynb": "work"}), "a1", home)
    (where / "ada" / "a1.ipynb").unlink()
    assert by_student(collect(where, "a1", home)) == {"ada": "There was no file in it."}
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_an_earlier_link_is_moved_not_followed(home: Path, where: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", {"a1.ipynb": "untouched"})
    (home / "submitted" / "ada").mkdir(parents=True)
    (home / "submitted" / "ada" / "a1").symlink_to(tmp_path / "elsewhere")
    collect(put(where, {"ada/a1.ipynb": "work"}), "a1", home)
    assert there(home, "ada") == {"a1.ipynb": "work"}
    assert (tmp_path / "elsewhere" / "a1.ipynb").read_text() == "untouched"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes that lie in folders")
def test_links_pipes_and_litter_are_left(home: Path, where: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    litter = {
        "ada/.DS_Store": "",
        "ada/__MACOSX/x": "",
        "ada/.ipynb_checkpoints/a1.ipynb": "",
        "ada/._a1.ipynb": "",
        "__MACOSX/y": "",
    }
    put(where, {"ada/a1.ipynb": "work", **litter})
    (where / "ada" / "link").symlink_to(tmp_path / "secret")
    (where / "emmy").symlink_to(tmp_path)
    os.mkfifo(where / "ada" / "pipe.ipynb")
    found = collect(where, "a1", home)
    assert there(home, "ada") == {"a1.ipynb": "work"}
    assert (
        by_student(found)["ada"]
        == "link is a link or no file, and was left out. pipe.ipynb is a link or no file, and was left out."
    )
    assert notes(found) == ["emmy is a link, which is not followed."]


def test_files_of_nobody_are_told(home: Path, where: Path) -> None:
    found = collect(put(where, {"a1.ipynb": "whose?", "ada/a1.ipynb": "ada"}), "a1", home)
    assert notes(found) == ["a1.ipynb does not say whose it is: put it into a folder named after the student."]
    assert there(home, "ada")


def test_one_file_twice(home: Path, where: Path) -> None:
    found = collect(put(where, {"xy_1_2_a1.ipynb": "first", "xy_1_3_a1.ipynb": "second"}), "a1", home)
    assert by_student(found) == {"xy_1": "a1.ipynb was handed in more than once: the last one was taken."}
    assert there(home, "xy_1") == {"a1.ipynb": "second"}


def test_a_name_that_is_no_name(home: Path, where: Path) -> None:
    collect(put(where, {"xy_1_2_..": "up"}), "a1", home)
    assert there(home, "xy_1") == {"xy_1_2_..": "up"}


def test_a_submission_has_a_size(home: Path, where: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collecting, "MOST_BYTES", 1_000_000)
    put(where, {"ada/a1.ipynb": "work", "ada/b.bin": bytes(2_000_000), "emmy/a1.ipynb": "work"})
    assert by_student(collect(where, "a1", home)) == {
        "ada": "It is larger than 1 MB: what is beyond that was left out.",
        "emmy": "",
    }
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_the_door(home: Path, where: Path, refuses: Callable[..., None]) -> None:
    refuses("expected a folder or a zip of submissions, got", collect, where / "gone", "a1", home)
    refuses("expected an assignment of solutions/, got 'a9'", collect, where, "a9", home)
    (where / "x.pdf").write_bytes(b"%PDF")
    assert notes(collect(where / "x.pdf", "a1", home)) == [
        "x.pdf is not a zip archive that can be opened: pack or download it again."
    ]


# ---- zips


def entry(name: str, *, mode: int = 0, encrypted: bool = False) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name)
    member.external_attr = mode << 16
    member.compress_type = zipfile.ZIP_DEFLATED
    member.flag_bits |= 1 if encrypted else 0
    return member


def archive(path: Path, *members: tuple[zipfile.ZipInfo | str, bytes | str]) -> Path:
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        warnings.filterwarnings("ignore", message="Duplicate name")
        for member, content in members:
            file.writestr(member, content)
    return path


GOOD = ("ada/a1.ipynb", "work")


@pytest.mark.parametrize(
    "name",
    [
        "../up.txt",
        "ada/../../../up.txt",
        "HERE/up.txt",
        "/HERE/up.txt",
        "..\\up.txt",
        "ada\\..\\..\\up.txt",
        "C:\\up.txt",
        "C:up.txt",
    ],
)
def test_names_that_lead_out(home: Path, tmp_path: Path, name: str) -> None:
    """HERE is the test's own folder: should the unpacker be broken, it still writes nowhere else."""
    found = collect(archive(tmp_path / "all.zip", (name.replace("HERE", str(tmp_path)), "canary"), GOOD), "a1", home)
    (note,) = notes(found)
    assert "was not unpacked: its name leads out of the archive; hand in the file itself." in note
    assert there(home, "ada") == {"a1.ipynb": "work"}
    assert not [p for p in tmp_path.rglob("*up.txt")]


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (entry("ada/link", mode=stat.S_IFLNK | 0o777), "it is a link or a device, not a file"),
        (entry("ada/pipe", mode=stat.S_IFIFO | 0o666), "it is a link or a device, not a file"),
        (entry("ada/" + "n" * 300), "it is damaged, or its name cannot be used here"),
    ],
)
def test_members_that_are_refused(home: Path, tmp_path: Path, member: zipfile.ZipInfo, reason: str) -> None:
    found = collect(archive(tmp_path / "all.zip", (member, "target"), GOOD), "a1", home)
    assert [f"was not unpacked: {reason}; hand" in note for note in notes(found)] == [True]
    assert there(home, "ada") == {"a1.ipynb": "work"}


def patched(path: Path, name: str, offset: int, value: int) -> Path:
    """The archive with a field of one member's two headers changed; offsets are those of the local header."""
    data = bytearray(path.read_bytes())
    for magic, shift in ((b"PK\x03\x04", 0), (b"PK\x01\x02", 2)):
        length = 30 if shift == 0 else 46
        at = next(
            i
            for i in range(len(data))
            if data[i : i + 4] == magic and data[i + length : i + length + len(name)] == name.encode()
        )
        struct.pack_into("<H", data, at + offset + shift, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("offset", "value", "reason"),
    [(6, 1, "it is encrypted; pack it without a password"), (8, 14, "it is packed by another method")],
)
def test_encrypted_and_strangely_packed(home: Path, tmp_path: Path, offset: int, value: int, reason: str) -> None:
    path = patched(archive(tmp_path / "all.zip", ("emmy/a1.ipynb", "x"), GOOD), "emmy/a1.ipynb", offset, value)
    found = collect(path, "a1", home)
    assert [reason in note for note in notes(found)] == [True]
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_a_member_larger_than_it_says(home: Path, tmp_path: Path) -> None:
    path = patched(archive(tmp_path / "all.zip", ("emmy/a1.ipynb", bytes(1000)), GOOD), "emmy/a1.ipynb", 22, 10)
    (note,) = notes(collect(path, "a1", home))
    assert "it is damaged, or its name cannot be used here; hand it in again." in note
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_a_damaged_member(home: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", ("emmy/a1.ipynb", os.urandom(1000)), GOOD)
    data = bytearray(path.read_bytes())
    data[200] ^= 0xFF
    path.write_bytes(data)
    (note,) = notes(collect(path, "a1", home))
    assert (
        note
        == "all.zip: emmy/a1.ipynb was not unpacked: it is damaged, or its name cannot be used here; hand it in again."
    )
    assert there(home, "ada") == {"a1.ipynb": "work"}
    path.write_bytes(data[:100])
    assert notes(collect(path, "a1", home)) == [
        "all.zip is not a zip archive that can be opened: pack or download it again."
    ]


def test_a_name_twice_in_a_zip(home: Path, tmp_path: Path) -> None:
    found = collect(archive(tmp_path / "all.zip", ("ada/a1.ipynb", "first"), GOOD), "a1", home)
    assert notes(found) == ["all.zip: ada/a1.ipynb is in it more than once: the last one was taken."]
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_a_bomb(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS", 1_000_000)
    path = archive(tmp_path / "all.zip", ("emmy/zeros", bytes(20_000_000)), GOOD)
    found = collect(path, "a1", home)
    (note,) = notes(found)
    assert note.startswith("all.zip: emmy/zeros was not unpacked: it grows too large when unpacked; clear all outputs")
    assert there(home, "ada") == {"a1.ipynb": "work"}


def test_a_bomb_of_many_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS", 1_000_000)
    path = archive(tmp_path / "all.zip", *[(f"{n}", bytes(900_000)) for n in range(20)])
    said = {refusal.path for refusal in unpacking.unpack(path, tmp_path / "out")}
    written = sum(p.stat().st_size for p in (tmp_path / "out").rglob("*"))
    assert written <= max(1_000_000, unpacking.RATIO * path.stat().st_size)
    assert len(said) == 20 - written // 900_000 > 0
    monkeypatch.setattr(unpacking, "MOST_MEMBERS", 10)
    (refusal,) = unpacking.unpack(path, tmp_path / "none")
    assert refusal.sentence == "all.zip has 20 members, and at most 10 are unpacked."


REFUSED = {
    "canvas": ("emmy_LATE_7_8_a1.ipynb", "emmy_7"),
    "moodle": ("Emmy N_7_assignsubmission_file_/a1.ipynb", "Emmy_N"),
    "moodle, flat": ("Emmy N_7_assignsubmission_file_a1.ipynb", "Emmy_N"),
    "gradescope": ("export/submission_102/a1.ipynb", "Kurt"),
    "by student": ("emmy/a1/a1.ipynb", "emmy"),
    "a zip a student": ("emmy.zip", "emmy"),
    "a long name": (f"emmy_7_8_{'n' * 260}.ipynb", "emmy_7"),
    "out of the folder": ("emmy/../../a1.ipynb", "emmy"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_whoever_is_named_in_a_zip_is_there_afterwards(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(unpacking, "ALWAYS", 1_000_000)
    name, student = REFUSED[kind]
    export = name.startswith("export")
    good = "export/submission_101/a1.ipynb" if export else "ada_1_2_a1.ipynb" if name.startswith("emmy_") else GOOD[0]
    more = [("export/submission_metadata.yml", METADATA)] if export else []
    found = collect(archive(tmp_path / "all.zip", (name, bytes(20_000_000)), (good, "work"), *more), "a1", home)
    assert student in by_student(found)
    folder = home / "submitted" / student / "a1"
    assert list(folder.iterdir()) == []
    (sentence,) = read_origin(folder).left_out
    assert " was not unpacked: it" in sentence
    assert sentence in by_student(found)[student]
    assert collect(tmp_path / "all.zip", "a1", home)[-1].student in by_student(found)


def test_an_empty_folder_is_a_hand_in_too(home: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", ("emmy/", ""), GOOD)
    assert by_student(collect(path, "a1", home)) == {"ada": "", "emmy": "There was no file in it."}
    assert (home / "submitted" / "emmy" / "a1").is_dir()


def test_a_refused_one_takes_the_place_of_an_earlier_one(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(archive(tmp_path / "all.zip", GOOD), "a1", home)
    monkeypatch.setattr(unpacking, "ALWAYS", 1_000_000)
    collect(archive(tmp_path / "all.zip", (GOOD[0], bytes(20_000_000)), ("bob/a1.ipynb", "")), "a1", home)
    assert there(home, "ada") == {}
    assert len(list((home / "submitted" / "ada" / ".earlier").iterdir())) == 1


def test_names_of_any_script_in_a_zip(home: Path, tmp_path: Path) -> None:
    path = archive(tmp_path / "all.zip", ("Zoë/a1.ipynb", "zoe"), ("李/a1.ipynb", "li"))
    assert [c.student for c in collect(path, "a1", home)] == ["Zoë", "李"]
    unmarked = patched(archive(tmp_path / "old.zip", ("Zoë/b.ipynb", "zoe")), "Zo", 6, 0)
    assert [c.student for c in collect(unmarked, "a1", home)] == ["Zoë"]


def test_a_student_s_own_zip(home: Path, where: Path) -> None:
    inner = zipped({"hw/a1.ipynb": "inside", "hw/.x": "", "../up": "canary", "deeper.zip": zipped({"z.txt": "1"})})
    found = collect(put(where, {"xy_1_2_work.zip": inner, "zz_1_2_a1.ipynb": "plain"}), "a1", home)
    assert there(home, "xy_1")["hw/a1.ipynb"] == "inside"
    assert "work.zip" not in there(home, "xy_1")
    assert (
        by_student(found)["xy_1"]
        == "work.zip: ../up was not unpacked: its name leads out of the archive; hand in the file itself."
    )
    assert by_student(found)["zz_1"] == ""


def test_a_student_s_broken_zip_stays_a_zip(home: Path, where: Path) -> None:
    found = collect(put(where, {"ada/work.zip": b"PK broken"}), "a1", home)
    assert there(home, "ada") == {"work.zip": "PK broken"}
    assert by_student(found) == {"ada": "work.zip is not a zip archive that can be opened: pack or download it again."}


def test_beside_a_zip_the_file_wins(home: Path, where: Path) -> None:
    found = collect(
        put(where, {"ada/a1.ipynb": "beside", "ada/w.zip": zipped({"a1.ipynb": "inside", "b": "b"})}), "a1", home
    )
    assert there(home, "ada") == {"a1.ipynb": "beside", "b": "b"}
    assert by_student(found)["ada"] == "a1.ipynb is both in w.zip and beside it: the one beside it was taken."
