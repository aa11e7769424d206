"""What was handed in anywhere, brought to ``submitted/STUDENT/ASSIGNMENT``: nothing earlier is lost, nothing bad stops the rest."""

import hashlib
import os
import re
import tempfile
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.utils import parse_utc

from coursekit.grade.intake import look
from coursekit.grade.notebook import Unreadable, read_bytes, shown
from coursekit.grade.unpack import unpack, unpack_beside

CANVAS = re.compile(r"(?P<who>.+?)(?P<late>_LATE)?_(?P<id>\d+)_\d+_(?P<name>.+)")
MOODLE = re.compile(r"(?P<who>.+)_(?P<id>\d+)_assignsubmission_[a-z]+_?(?P<name>.*)")
EXCHANGE = re.compile(r"(?P<who>.+)\+(?P<what>[^+]+)\+(?P<when>\d{4}-\d\d-\d\d[ T]\d[^+]*)(?:\+[^+]*)?")
GRADESCOPE = "submission_metadata.yml"
MOST_BYTES = 500_000_000  # of one submission


@dataclass(frozen=True)
class Collected:
    """One submission that was looked at; without a student, something that could not be given to anyone."""

    student: str
    files: tuple[str, ...] = ()  # what is in ``submitted/STUDENT/ASSIGNMENT`` now
    note: str = ""  # sentences for the instructor


@dataclass(frozen=True)
class _Part:
    """A file or folder that belongs to a student."""

    who: str
    path: Path
    name: str = ""  # of a file, as the student named it
    id: str = ""  # what tells two of one name apart
    when: str = ""  # of the exchange: the newest counts
    note: str = ""


def collect(where: str | Path, assignment: str, course_dir: str | Path) -> list[Collected]:
    """Bring submissions to ``submitted/`` from a folder or zip: by student, from Canvas, Moodle, Gradescope, or nbgrader's inbound.

    A submission that differs from the one there replaces it; that one is kept in ``submitted/STUDENT/.earlier/``.
    """
    where, submitted = Path(where), Path(course_dir, "submitted")
    if not where.exists():
        raise ValueError(f"expected a folder or a zip of submissions, got {where}, which is not there: check the path")
    if not Path(course_dir, "solutions", assignment).is_dir():
        raise ValueError(f"expected an assignment of solutions/, got {assignment!r}: check its name")
    submitted.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".collect-", dir=submitted) as temporary:
        said, top = [], where
        if where.is_file():
            top = Path(temporary, "unpacked")
            top.mkdir()
            said = unpack(where, top)
        parts = list(_parts(_top(top, assignment), assignment))
        said += [part.note for part in parts if not part.who]
        students = _by_folder(part for part in parts if part.who)
        collected = [Collected("", (), sentence) for sentence in said]
        for student, (theirs, note) in students.items():
            stage = Path(temporary, "students", student)
            notes = [note, *(part.note for part in theirs), *_stage(theirs, stage)]
            collected.append(_store(stage, submitted / student, assignment, notes))
    return collected


def _entries(folder: Path) -> list[Path]:
    """What is visible in a folder, in a fixed order."""
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith((".", "__MACOSX")) and path.name != "Thumbs.db"]


def _top(root: Path, assignment: str) -> Path:
    """The folder whose entries are the submissions: often there is one more around it."""
    if (root / "inbound").is_dir():
        return root / "inbound"
    entries = _entries(root)
    if len(entries) != 1 or entries[0].is_symlink() or not entries[0].is_dir():
        return root
    inner = _entries(entries[0])
    export = any(e.name == GRADESCOPE or CANVAS.fullmatch(e.name) or MOODLE.fullmatch(e.name) or _exchange(e) for e in inner)
    students = bool(inner) and all(e.is_dir() and e.name != assignment for e in inner)
    return entries[0] if export or students else root


def _parts(top: Path, assignment: str) -> Iterator[_Part]:
    """Whose each entry is; entries of nobody come with a note and without a name."""
    submitters = _submitters(top / GRADESCOPE)
    newest: dict[str, list[_Part]] = {}
    for path in _entries(top):
        if path.is_symlink():
            yield _Part("", path, note=f"{shown(path.name)} is a link, which is not followed.")
        elif path.is_file():
            yield from _file(path)
        elif path.name in submitters:
            yield from _group(path, submitters[path.name])
        elif exchanged := _exchange(path):
            who, what, when = exchanged
            if what == assignment:
                newest.setdefault(who, []).append(_Part(who, path, when=when))
        elif moodle := MOODLE.fullmatch(path.name):
            yield _Part(moodle["who"], path, id=moodle["id"])
        elif path.is_dir():
            yield _Part(path.name, path / assignment if (path / assignment).is_dir() else path)
    for who, parts in newest.items():
        newer = max(parts, key=lambda part: (part.when, part.path.name))
        notes = [f"The newest of {len(parts)} was taken." if len(parts) > 1 else "", _owner(newer.path, who)]
        yield replace(newer, note=" ".join(filter(None, notes)))


def _file(path: Path) -> Iterator[_Part]:
    if canvas := CANVAS.fullmatch(path.name):
        late = "Handed in late." if canvas["late"] else ""
        yield _Part(f"{canvas['who']}_{canvas['id']}", path, canvas["name"], note=late)
    elif moodle := MOODLE.fullmatch(path.name):
        yield _Part(moodle["who"], path, moodle["name"] or path.name, moodle["id"])
    elif path.suffix.lower() == ".zip":
        yield _Part(path.stem, path, path.name)
    elif path.name != GRADESCOPE:
        yield _Part("", path, note=f"{shown(path.name)} does not say whose it is: put it into a folder named after the student.")


def _group(path: Path, people: list[str]) -> Iterator[_Part]:
    note = f"Handed in together by {', '.join(map(shown, people))}." if len(people) > 1 else ""
    for person in people:
        yield _Part(person, path, note=note)


def _exchange(path: Path) -> tuple[str, str, str] | None:
    """Student, assignment and time of a folder in nbgrader's exchange; a student's name may hold a plus."""
    pieces = EXCHANGE.fullmatch(path.name)
    try:
        return (pieces["who"], pieces["what"], parse_utc(pieces["when"]).isoformat(timespec="microseconds")) if pieces else None
    except (ValueError, OverflowError):
        return None


def _owner(path: Path, who: str) -> str:
    """What to say of an exchange folder that another user of the machine has written."""
    try:
        owner = path.owner()
    except (KeyError, NotImplementedError, OSError):
        owner = "an unknown user"
    return "" if owner == who else f"The folder in the exchange belongs to {owner}: see that it is {shown(who)}'s own."


def _submitters(path: Path) -> dict[str, list[str]]:
    """Who handed in what, from Gradescope's metadata: the e-mail address, else the student number, else the name."""
    found: dict[str, list[dict[str, str]]] = {}
    entry, inside = "", False
    try:
        lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    except Unreadable:
        return {}
    for line in lines:
        if top := re.match(r"([^\s:#-][^:]*):\s*$", line):
            entry, inside = top[1].strip("'\""), False
        elif key := re.match(r"  :?(\w+):", line):
            inside = key[1] == "submitters"
        elif inside and (value := re.match(r"\s+(-)?\s*:?(name|sid|email):\s*(.*?)\s*$", line)):
            people = found.setdefault(entry, [])
            if value[1] or not people:
                people.append({})
            people[-1][value[2]] = "" if value[3] in ("null", "~") else value[3].strip("'\"")
    named = {entry: [p.get("email") or p.get("sid") or p.get("name") or "" for p in people] for entry, people in found.items()}
    return {entry: list(filter(None, names)) for entry, names in named.items() if any(names)}


def _by_folder(parts: Iterable[_Part]) -> dict[str, tuple[list[_Part], str]]:
    """Parts by the name of the student's folder, sorted, with what there is to say of that name."""
    people: dict[str, dict[str, list[_Part]]] = {}
    for part in parts:
        people.setdefault(part.who, {}).setdefault(part.id, []).append(part)
    whole = {f"{who}_{i}" if len(ids) > 1 else who: theirs for who, ids in people.items() for i, theirs in ids.items()}
    folders: dict[str, tuple[list[_Part], str]] = {}
    for who in sorted(whole):
        first = name = safe_name(who)
        taken = {folder.casefold() for folder in folders}
        number = 1
        while name.casefold() in taken:
            number += 1
            name = f"{first}-{number}"
        told = f"{shown(who)} and another student have the same folder name {first}: this one is kept as {name}."
        folders[name] = whole[who], told if name != first else ""
    return dict(sorted(folders.items()))


def safe_name(who: str) -> str:
    """A folder's name for a student: letters and digits of any script and ``._-@``, none hidden, none too long."""
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "._-@" else "_" for c in unicodedata.normalize("NFC", who))
    return kept.encode()[:120].decode(errors="ignore").lstrip("._-").rstrip("._") or "unnamed"


def _stage(parts: list[_Part], stage: Path) -> list[str]:
    """Copy what belongs to a student into an empty folder, zips unpacked; what was left out, a sentence each."""
    stage.mkdir(parents=True)
    said, left = [], MOST_BYTES
    for part in parts:
        found = look(part.path) if part.path.is_dir() else None
        said += [f"{shown(name)} is a link or no file, and was left out." for name in (found.others if found else ())]
        for name in found.files if found else [part.name if part.name.strip(".") else part.path.name]:
            try:
                data = read_bytes(part.path / name if found else part.path)
            except Unreadable as error:
                said.append(str(error))
                continue
            left -= len(data)
            if left < 0:
                return [*said, f"It is larger than {MOST_BYTES // 10**6} MB: what is beyond that was left out."]
            target = stage / name
            if target.exists():
                said.append(f"{shown(name)} was handed in more than once: the last one was taken.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    archives = [path for path in sorted(stage.rglob("*")) if path.suffix.lower() == ".zip" and path.is_file()]
    return said + [sentence for archive in archives for sentence in unpack_beside(archive)]


def _store(stage: Path, home: Path, assignment: str, notes: list[str]) -> Collected:
    """Put what is staged into its place; an earlier submission that differs is moved aside first."""
    files, target = look(stage).files, home / assignment
    if not files:
        notes.append("There was no file in it.")
    elif os.path.lexists(target) and _content(target) == _content(stage):
        notes.append("It is the same as before.")
    else:
        home.mkdir(exist_ok=True)
        if os.path.lexists(target):
            notes.append(f"The earlier one is kept in {_put_aside(target).relative_to(home.parent.parent)}.")
        stage.replace(target)
    return Collected(home.name, files, " ".join(note for note in dict.fromkeys(notes) if note))


def _put_aside(target: Path) -> Path:
    """Move an earlier submission to ``.earlier/ASSIGNMENT-TIME``, the time being when it came; nbgrader looks into no such folder."""
    times = [path.lstat().st_mtime for path in (target, *target.rglob("*")) if not path.is_dir()] or [target.lstat().st_mtime]
    stamp = datetime.fromtimestamp(max(times), UTC).strftime("%Y%m%dT%H%M%SZ")
    aside = target.parent / ".earlier" / f"{target.name}-{stamp}"
    number = 1
    while os.path.lexists(aside):
        number += 1
        aside = aside.with_name(f"{target.name}-{stamp}-{number}")
    aside.parent.mkdir(exist_ok=True)
    return target.rename(aside)


def _content(folder: Path) -> list[tuple[str, str]]:
    """Names and digests of what is in a folder, links by their name alone."""
    paths = sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    digest = [hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() and not path.is_symlink() else "" for path in paths]
    return [(str(path.relative_to(folder)), d) for path, d in zip(paths, digest)]
