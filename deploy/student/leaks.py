"""What can be read in a hand-out of solutions, hidden tests, instructors' sheets and graders' cases, however wrapped.

Looked for is, from each of their lines on, what is long enough to tell and stands neither in a released notebook nor in
the two packages; of sheets and cases two lines at least, as a single one may be anybody's. A notebook's JSON, outputs,
pictures' texts, base64, compressed data, archives and every object of a git history are unwrapped first.
"""

import base64
import binascii
import bz2
import functools
import gzip
import hashlib
import html
import io
import json
import lzma
import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from .git import git

LONG = 40  # characters, blanks and quotes not counted: what is shorter anybody may write
START = 24  # of them by which a secret is looked up
MARKERS = ("BEGINSOLUTION", "BEGINHIDDENTESTS", "*VARIANT+")
REGION = re.compile(r"### BEGIN (?:SOLUTION|HIDDEN TESTS)\n(.*?)### END", re.DOTALL)
BASE64 = re.compile(r"[A-Za-z0-9+/]{40,}={0,2}")
COLOUR = re.compile(r"\x1b\[[\d;]*m")
LINE_NUMBER = re.compile(r"^\s*(?:-*>)?\s*\d+\s(?=\s*\S)")  # of a traceback
TAG = re.compile(r"</?[a-z][^<>]*>")
NOT_COMPARED = re.compile(r"[\s\"'`\\]+")
PACKED = {b"\x1f\x8b": gzip.decompress, b"BZh": bz2.decompress, b"\xfd7zXZ": lzma.decompress, b"x": zlib.decompress}
NOT_PACKED = (OSError, EOFError, zlib.error, lzma.LZMAError, ValueError)


def leaks(root: Path, folder: Path) -> list[str]:
    """What a folder's files and git history give away of the checkout ``root``, a sentence a file."""
    secret, allowed = secrets(root)
    found: dict[str, str] = {}
    seen = set()
    for name, data in contents(folder):
        digest = hashlib.sha256(data).digest()
        if digest not in seen:
            seen.add(digest)
            for where, text in texts(data, name):
                for line in given_away(text, secret, allowed):
                    found.setdefault(where, line)
    return [f"{where} gives away {line[:80]!r}." for where, line in found.items()]


Secrets = dict[str, list[str]]  # by how they start


@functools.cache
def secrets(root: Path) -> tuple[Secrets, frozenset[str]]:
    """What must not be read anywhere, and the lines with an instructor's marker that may: the grader's own."""
    packages = [path for package in ("coursekit", "coursegrade") for path in sorted((root / package).rglob("*.py"))]
    given = [path.read_text(encoding="utf-8") for path in packages]
    given += [cell for path in sorted(root.glob("assignments/*/*.ipynb")) for cell, _ in _cells(path)]
    aside = [*sorted(root.glob("docs/assignments/*.md")), *sorted(root.glob("tests/grading/cases/**/*.py"))]
    telling = {stretch for text in regions(root) for stretch in stretches(text, least=1)}
    telling |= {stretch for path in aside for stretch in stretches(path.read_text(encoding="utf-8"), least=2)}
    by_start: Secrets = {}
    for secret in sorted(telling):
        by_start.setdefault(secret[:START], []).append(secret)
    known = {secret for text in given for secret in occurring("".join(lines(text)), by_start)}
    by_start = {start: left for start, of in by_start.items() if (left := [one for one in of if one not in known])}
    return by_start, frozenset(line for text in given for line in lines(text) if any(m in line for m in MARKERS))


def regions(root: Path) -> list[str]:
    """Every solution, hidden test and written answer of a checkout."""
    cells = [cell for path in sorted(root.glob("solutions/*/*.ipynb")) for cell in _cells(path)]
    return [text for cell, is_written in cells for text in ([cell] if is_written else REGION.findall(cell))]


def stretches(text: str, *, least: int) -> Iterator[str]:
    """From each line of a text on as many lines, at least so many, as are long together."""
    of_text = lines(text)
    for at in range(len(of_text)):
        for end in range(at + least, len(of_text) + 1):
            if len(stretch := "".join(of_text[at:end])) >= LONG:
                yield stretch
                break


def _cells(path: Path) -> Iterator[tuple[str, bool]]:
    """The source of each cell, and whether the whole of it is an answer."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        answer = cell["metadata"].get("nbgrader", {}).get("solution", False)
        yield "".join(cell["source"]), answer and cell["cell_type"] == "markdown"


def lines(text: str) -> list[str]:
    """The lines of a text as they are compared: without blanks, quotes, colours, line numbers; none that is empty."""
    split = text.replace("\\n", "\n").replace("<br>", "\n").splitlines()
    return [line for line in (NOT_COMPARED.sub("", LINE_NUMBER.sub("", COLOUR.sub("", one))) for one in split) if line]


def given_away(text: str, secret: Secrets, allowed: frozenset[str]) -> Iterator[str]:
    """What of a text is secret, and its lines with an instructor's marker."""
    for form in {text, html.unescape(TAG.sub("", text))} if "<" in text or "&" in text else {text}:
        of_text = lines(form)
        yield from occurring("".join(of_text), secret)
        yield from (line for line in of_text if any(marker in line for marker in MARKERS) and line not in allowed)


def occurring(text: str, secret: Secrets) -> Iterator[str]:
    """The secrets that stand in a text without blanks."""
    for at in range(len(text) - LONG + 1):
        for one in secret.get(text[at : at + START], ()):
            if text.startswith(one, at):
                yield one


def contents(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder, and of a git repository every object, also those that no branch reaches."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not name.startswith(".git/objects/"):
            yield name, path.read_bytes()
    if not (folder / ".git").is_dir():
        return
    listed = git(folder, "rev-list", "--objects", "--all").decode().splitlines()
    names = dict(line.split(" ", 1) for line in listed if " " in line)
    stream = io.BytesIO(git(folder, "cat-file", "--batch-all-objects", "--batch"))
    while header := stream.readline().split():
        identity, kind, size = header
        yield f"git's {kind.decode()} {names.get(identity.decode(), identity.decode())}", stream.read(int(size))
        stream.read(1)


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
        text = data.decode().replace("\0", "")
    except UnicodeDecodeError:  # what is written in binary data, also with two or four bytes a letter
        runs = [run for form in (data, data.replace(b"\0", b"")) for run in re.findall(rb"[\t-\r -~]{20,}", form)]
        text = b"\n".join(runs).decode()
    for piece in _strings(text):
        coded = list(_coded(piece))
        if len(coded) != 1 or len(piece) > 2 * len(coded[0]):  # it is more than that
            yield where, piece
        for inside in coded:
            yield from texts(inside, where)


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
