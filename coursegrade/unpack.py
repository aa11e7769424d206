"""Zip archives from strangers: nothing leaves the folder or grows without limit, and what is refused is said."""

import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from coursegrade.notebook import shown

MOST_MEMBERS = 50_000
LARGEST_MEMBER = 250_000_000  # bytes, unpacked
RATIO = 200  # unpacked to packed; a notebook has 5 to 20
ALWAYS = 50_000_000  # bytes that no ratio forbids
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, RuntimeError, OSError, ValueError)


class Refused(Exception):
    """Why a member is not unpacked: what follows on a colon, for whoever packed it."""


@dataclass(frozen=True)
class Refusal:
    """What is to be said of an archive; where a member was refused, the empty file in its place and why."""

    sentence: str
    path: Path | None = None
    reason: str = ""


@dataclass
class _Room:
    """The bytes that may still be written."""

    left: int


def unpack(archive: Path, into: Path) -> list[Refusal]:
    """Unpack into a folder, an empty file in the place of each refused member; what was refused."""
    name = shown(archive.name)
    try:
        room = _Room(max(ALWAYS, RATIO * archive.stat().st_size))
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            if len(members) > MOST_MEMBERS:
                return [Refusal(f"{name} has {len(members)} members, and at most {MOST_MEMBERS} are unpacked.")]
            refusals = [(member, refusal) for member in members for refusal in _member(file, member, into, room)]
    except BROKEN:
        return [Refusal(f"{name} is not a zip archive that can be opened: pack or download it again.")]
    placed: dict[Refusal, None] = {}
    for member, refusal in refusals:
        placed[replace(refusal, path=_placeholder(member, into)) if refusal.reason else refusal] = None
    return [replace(refusal, sentence=f"{name}: {refusal.sentence}") for refusal in placed]


def unpack_beside(archive: Path) -> list[str]:
    """Put a zip's content in its place. Files that are there already stay; so does a zip that gives nothing."""
    inner = archive.with_name(f".{archive.name[:50]}.unpacked")
    refusals = unpack(archive, inner)
    sentences = [refusal.sentence for refusal in refusals]
    for refusal in refusals:
        if refusal.path:
            refusal.path.unlink()
    files = sorted(path for path in inner.rglob("*") if path.is_file())
    if files:
        archive.unlink()
    for path in files:
        target = archive.parent / path.relative_to(inner)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            taken = target.exists()
        except OSError:
            taken = True
        if taken:
            both = f"{shown(target.name)} is both in {shown(archive.name)} and beside it"
            sentences.append(f"{both}: the one beside it was taken.")
        else:
            path.replace(target)
    shutil.rmtree(inner, ignore_errors=True)
    return sentences


def _member(file: zipfile.ZipFile, member: zipfile.ZipInfo, into: Path, room: _Room) -> Iterator[Refusal]:
    """Unpack one member; what is to be said of it."""
    name = shown(member.filename)
    try:
        inside = _inside(member)
        if member.filename.endswith(("/", "\\")) or not inside.parts:
            (into / inside).mkdir(parents=True, exist_ok=True)
            return
        again = (into / inside).is_file()
        _copy(file, member, into / inside, room)
        if again:
            yield Refusal(f"{name} is in it more than once: the last one was taken.")
    except Refused as error:
        yield Refusal(f"{name} was not unpacked: {error}.", reason=str(error))
    except BROKEN:
        reason = "it is damaged, or its name cannot be used here; hand it in again"
        yield Refusal(f"{name} was not unpacked: {reason}.", reason=reason)


def _placeholder(member: zipfile.ZipInfo, into: Path) -> Path | None:
    """An empty file for a refused member, so that its owner is known; none where its name leads out at once."""
    if _path(member).is_absolute():
        return None
    parts = _path(member).parts
    inside = (*parts[: parts.index("..")], parts[-1]) if ".." in parts[1:-1] else parts
    path = into.joinpath(*(part.encode()[:100].decode(errors="ignore") for part in inside))
    if not inside or ".." in inside or ":" in inside[0] or path.exists():
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    except (OSError, ValueError):
        return None
    return path


def _path(member: zipfile.ZipInfo) -> PurePosixPath:
    return PurePosixPath(_name(member).replace("\\", "/"))


def _inside(member: zipfile.ZipInfo) -> PurePosixPath:
    """Where in the folder a member goes."""
    path = _path(member)
    if path.is_absolute() or ".." in path.parts or (path.parts and ":" in path.parts[0]):
        raise Refused("its name leads out of the archive; hand in the file itself")
    if stat.S_IFMT(member.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise Refused("it is a link or a device, not a file; hand in the file itself")
    if member.flag_bits & 1:
        raise Refused("it is encrypted; pack it without a password")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise Refused("it is packed by another method than the usual one of zip; hand in the file itself")
    return path


def _name(member: zipfile.ZipInfo) -> str:
    """A member's name, also where it is UTF-8 and not marked so."""
    if member.flag_bits & 0x800:
        return member.filename
    try:
        return member.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return member.filename


def _copy(file: zipfile.ZipFile, member: zipfile.ZipInfo, path: Path, room: _Room) -> None:
    """Write a member. zipfile lets no more than its ``file_size`` come out, so that number is what is limited."""
    if member.file_size > min(room.left, LARGEST_MEMBER, max(ALWAYS, RATIO * member.compress_size)):
        raise Refused("it grows too large when unpacked; clear all outputs of a notebook, save it and hand it in again")
    room.left -= member.file_size
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(".unpacking")
    try:
        with file.open(member) as packed, part.open("wb") as out:
            shutil.copyfileobj(packed, out)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
