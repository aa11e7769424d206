"""What can be read in a hand-out of solutions, hidden tests, instructors' sheets and graders' cases, however wrapped.

Looked for are single long lines and pairs of lines, without regard to blanks and quotes, that the released notebooks
and the two packages do not have themselves. A notebook's JSON, outputs, pictures' texts, base64, compressed data,
archives and every object of a git history are unwrapped first.
"""

import base64
import binascii
import bz2
import gzip
import hashlib
import html
import io
import json
import lzma
import re
import subprocess
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

LONG_LINE, LONG_PAIR = 40, 30  # characters, blanks and quotes not counted: shorter ones anybody may write
MARKERS = ("BEGINSOLUTION", "BEGINHIDDENTESTS", "*VARIANT+")  # without blanks, as lines are compared
REGION = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)
BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
COLOURS_AND_LINE_NUMBERS = re.compile(r"\x1b\[[\d;]*m|^\s*(?:-*>)?\s*\d+\s(?=\s*\S)")  # of a traceback
TAG = re.compile(r"</?[a-z][^<>]*>")
BLANKS_AND_QUOTES = re.compile(r"[\s\"'`\\]+")
PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress, b"x": zlib.decompress}
NOT_PACKED = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def leaks(root: Path, folder: Path) -> list[str]:
    """What a folder's files and git history give away of the checkout ``root``, a sentence a file."""
    secret, public = secrets(root)
    found: dict[str, str] = {}
    seen = set()
    for name, data in contents(folder):
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            seen.add(digest)
            for where, text in texts(data, name):
                for line in given_away(text, secret, public):
                    found.setdefault(where, line)
    return [f"{where} gives away {line[:80]!r}." for where, line in found.items()]


def secrets(root: Path) -> tuple[set[str], set[str]]:
    """What must not be read anywhere; and every line that may."""
    packages = [path for package in ("coursekit", "coursegrade") for path in sorted((root / package).rglob("*.py"))]
    given = [path.read_text(encoding="utf-8") for path in packages]
    given += [cell for path in sorted(root.glob("assignments/*/*.ipynb")) for cell, _ in _cells(path)]
    kept = [path.read_text(encoding="utf-8") for path in sorted(root.glob("docs/assignments/*.md"))]
    kept += [path.read_text(encoding="utf-8") for path in sorted(root.glob("tests/grading/cases/**/*.py"))]
    for path in sorted(root.glob("solutions/*/*.ipynb")):
        for cell, is_written_answer in _cells(path):
            kept += [cell] if is_written_answer else REGION.findall(cell)
    public = {line for text in given for line in lines(text)}
    return {t for text in kept for t in telling(text)} - {t for text in given for t in telling(text)}, public


def _cells(path: Path) -> Iterator[tuple[str, bool]]:
    """The source of each cell, and whether the whole of it is an answer."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        answer = cell["metadata"].get("nbgrader", {}).get("solution", False)
        yield "".join(cell["source"]), answer and cell["cell_type"] == "markdown"


def lines(text: str) -> list[str]:
    """The lines of a text as they are compared: no blanks, quotes, colours, line numbers, empty ones."""
    split = text.replace("\\n", "\n").replace("<br>", "\n").splitlines()
    return [
        line for line in (BLANKS_AND_QUOTES.sub("", COLOURS_AND_LINE_NUMBERS.sub("", one)) for one in split) if line
    ]


def telling(text: str) -> Iterator[str]:
    """The long lines of a text, and its long pairs of lines."""
    of_text = lines(text)
    yield from (line for line in of_text if len(line) >= LONG_LINE)
    yield from (a + b for a, b in pairwise(of_text) if len(a + b) >= LONG_PAIR)


def given_away(text: str, secret: set[str], public: set[str]) -> Iterator[str]:
    """What of a text is secret, and its lines with an instructor's marker."""
    forms = {text, html.unescape(TAG.sub("", text))} if "<" in text or "&" in text else {text}
    for form in forms:
        yield from secret.intersection(telling(form))
        if any(marker in BLANKS_AND_QUOTES.sub("", form) for marker in MARKERS):
            yield from (line for line in lines(form) if any(m in line for m in MARKERS) and line not in public)


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and of a git repository every object, also those that no branch reaches."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".git/objects/"):
            yield name, path.read_bytes()
    if not (folder / ".git").is_dir():
        return
    listed = _git(folder, "rev-list", "--objects", "--all").decode().splitlines()
    names = dict(line.split(" ", 1) for line in listed if " " in line)
    stream = io.BytesIO(_git(folder, "cat-file", "--batch-all-objects", "--batch"))
    while header := stream.readline().split():
        identity, kind, size = header
        yield f"git's {kind.decode()} {names.get(identity.decode(), identity.decode())}", stream.read(int(size))
        stream.read(1)


def _git(folder: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True).stdout


def texts(data: bytes, where: str) -> Iterator[tuple[str, str]]:
    """Every text in some bytes, with where it was: unpacked and decoded as often as it takes."""
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for name in archive.namelist():
                yield from texts(archive.read(name), f"{where} › {name}")
        return
    for start, unpack in PACKED.items():
        if data.startswith(start):
            try:
                yield from texts(unpack(data), where)
                return
            except NOT_PACKED:
                continue
    if data.startswith(b"\x89PNG"):
        for payload in _beside_the_pixels(data):
            yield from texts(payload, where)
        return
    try:
        text = data.decode()
    except UnicodeDecodeError:  # what is written in binary data, also with two or four bytes a letter
        runs = [run for form in (data, data.replace(b"\0", b"")) for run in re.findall(rb"[\t-\r -~]{20,}", form)]
        text = b"\n".join(runs).decode()
    for piece in _strings(text):
        yield where, piece
        for coded in _coded(piece):
            yield from texts(coded, where)


def _strings(text: str) -> Iterable[str]:
    """The strings of a JSON text, those of a list joined; of any other text itself."""
    if not text.lstrip().startswith(("{", "[")):
        return [text]
    try:
        return _walk(json.loads(text))
    except ValueError:
        return [text]


def _walk(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield from _strings(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from (key, *_walk(inner))
    elif isinstance(value, list) and all(isinstance(inner, str) for inner in value):
        yield "".join(inner if inner.endswith("\n") else f"{inner}\n" for inner in value)
    elif isinstance(value, list):
        for inner in value:
            yield from _walk(inner)


def _coded(text: str) -> Iterator[bytes]:
    """What stands in a text in base64."""
    joined = text.replace("\n", "")
    for run in [joined] if BASE64.fullmatch(joined) else BASE64.findall(text):
        try:
            yield base64.b64decode(run[: len(run) // 4 * 4])
        except binascii.Error:
            continue


def _beside_the_pixels(png: bytes) -> Iterator[bytes]:
    """The chunks of a PNG that hold no pixels, also unpacked, and what follows on its end."""
    at = 8
    while at + 12 <= len(png):
        size, kind = int.from_bytes(png[at : at + 4], "big"), png[at + 4 : at + 8]
        payload = png[at + 8 : at + 8 + size]
        at += size + 12
        if kind != b"IDAT":
            yield payload
            for start in re.finditer(rb"x[\x01\x5e\x9c\xda]", payload):
                try:
                    yield zlib.decompress(payload[start.start() :])
                except zlib.error:
                    continue
        if kind == b"IEND":
            break
    yield png[at:]
