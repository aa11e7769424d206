"""What was handed in anywhere, brought to ``submitted/``: nothing earlier is lost, nothing bad stops the rest."""

import hashlib
import os
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from nbgrader.utils import parse_utc

from coursegrade.intake import contents_of
from coursegrade.notebook import Unreadable, read_bytes, shown
from coursegrade.people import Origin, homes, keep_origin, numbered, read_origin
from coursegrade.unpack import Refusal, unpack, unpack_beside

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

    who: Origin | None
    path: Path
    name: str = ""  # of a file, as the student named it
    when: str = ""  # handed in, where the platform says it
    late: bool = False
    note: str = ""  # for the instructor


def collect(where: str | Path, assignment: str, course_dir: str | Path) -> list[Collected]:
    """Bring submissions to ``submitted/`` from a folder or zip: by student, from Canvas, Moodle, Gradescope, or
    nbgrader's inbound.

    A submission that differs from the one there replaces it; that one is kept in ``submitted/STUDENT/.earlier/``.
    Whoever is named in it has a folder afterwards, also where nothing could be taken; who it is, and what was left
    out, is kept beside it.
    """
    where, submitted = Path(where), Path(course_dir, "submitted")
    if not where.exists():
        raise ValueError(f"expected a folder or a zip of submissions, got {where}, which is not there: check the path")
    if not Path(course_dir, "solutions", assignment).is_dir():
        raise ValueError(f"expected an assignment of solutions/, got {assignment!r}: check its name")
    wanted = {path.name for path in Path(course_dir, "solutions", assignment).glob("*.ipynb")}
    submitted.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".collect-", dir=submitted) as temporary:
        refusals: list[Refusal] = []
        top = where
        if where.is_file():
            top = Path(temporary, "unpacked")
            top.mkdir()
            refusals = unpack(where, top)
        refused = {refusal.path: refusal.reason for refusal in refusals if refusal.path}
        parts = list(_parts(_top(top, assignment), assignment))
        sentences = [*(refusal.sentence for refusal in refusals), *(part.note for part in parts if not part.who)]
        people: dict[Origin, list[_Part]] = {}
        for part in parts:
            if part.who:
                people.setdefault(part.who, []).append(part)
        collected = [Collected("", (), sentence) for sentence in dict.fromkeys(sentences)]
        for who, (student, note) in sorted(homes(people, submitted, assignment).items(), key=lambda item: item[1][0]):
            stage = Path(temporary, "students", student)
            left_out = _stage(people[who], stage, refused, wanted)
            when, late = max(part.when for part in people[who]), any(part.late for part in people[who])
            origin = replace(who, handed_in=when, late=late, left_out=tuple(dict.fromkeys(left_out)))
            notes = [note, *(part.note for part in people[who]), *left_out]
            collected.append(_store(stage, submitted / student / assignment, origin, notes))
    return collected


def _entries(folder: Path) -> list[Path]:
    """What is visible in a folder, in a fixed order."""
    paths = [path for path in sorted(folder.iterdir()) if path.name != "Thumbs.db"]
    return [path for path in paths if not path.name.startswith((".", "__MACOSX"))]


def _top(root: Path, assignment: str) -> Path:
    """The folder whose entries are the submissions: often there is one more around it."""
    if (root / "inbound").is_dir():
        return root / "inbound"
    entries = _entries(root)
    if len(entries) != 1 or entries[0].is_symlink() or not entries[0].is_dir():
        return root
    inner = _entries(entries[0])
    names = [entry.name for entry in inner]
    export = any(name == GRADESCOPE or CANVAS.fullmatch(name) or MOODLE.fullmatch(name) for name in names)
    export = export or any(map(_exchange, inner))
    students = bool(inner) and all(e.is_dir() and e.name != assignment for e in inner)
    return entries[0] if export or students else root


def _parts(top: Path, assignment: str) -> Iterator[_Part]:
    """Whose each entry is; entries of nobody come with a note and without a name."""
    groups = _groups(top / GRADESCOPE)
    newest: dict[str, list[_Part]] = {}
    for path in _entries(top):
        if path.is_symlink():
            yield _Part(None, path, note=f"{shown(path.name)} is a link, which is not followed.")
        elif path.is_file():
            yield from _file(path)
        elif path.name in groups:
            yield from _together(path, *groups[path.name])
        elif exchanged := _exchange(path):
            who, what, when = exchanged
            if what == assignment:
                newest.setdefault(who, []).append(_Part(Origin("exchange", who), path, when=when))
        elif moodle := MOODLE.fullmatch(path.name):
            yield _Part(Origin("moodle", moodle["who"], moodle["id"]), path)
        elif path.is_dir():
            yield _Part(Origin(name=path.name), path / assignment if (path / assignment).is_dir() else path)
    for who, parts in newest.items():
        yield _of_exchange(who, parts)


def _of_exchange(who: str, parts: list[_Part]) -> _Part:
    """A student's newest in the exchange; what another user wrote in their name counts only where nothing else is."""
    others = [part for part in parts if _owner(part.path) != who]
    counted = [part for part in parts if part not in others] or parts
    newest = max(counted, key=lambda part: (part.when, part.path.name))
    notes = [f"The newest of {len(counted)} was taken."] if len(counted) > 1 else []
    for owner in dict.fromkeys(_owner(part.path) for part in others):
        if newest in others:
            notes.append(f"The folder in the exchange belongs to {owner}: see that it is {shown(who)}'s own.")
        else:
            notes.append(f"A folder of this name in the exchange belongs to {owner} and was left out.")
    return replace(newest, note=" ".join(notes))


def _file(path: Path) -> Iterator[_Part]:
    if canvas := CANVAS.fullmatch(path.name):
        who, late = Origin("canvas", canvas["who"], canvas["id"]), bool(canvas["late"])
        yield _Part(who, path, canvas["name"], late=late, note="Handed in late." if late else "")
    elif moodle := MOODLE.fullmatch(path.name):
        yield _Part(Origin("moodle", moodle["who"], moodle["id"]), path, moodle["name"] or path.name)
    elif path.suffix.lower() == ".zip":
        yield _Part(Origin(name=path.stem), path, path.name)
    elif path.name != GRADESCOPE:
        advice = "put it into a folder named after the student"
        yield _Part(None, path, note=f"{shown(path.name)} does not say whose it is: {advice}.")


def _together(path: Path, people: list[Origin], when: str) -> Iterator[_Part]:
    labels = ", ".join(shown(person.label) for person in people)
    for person in people:
        yield _Part(person, path, when=when, note=f"Handed in together by {labels}." if len(people) > 1 else "")


def _exchange(path: Path) -> tuple[str, str, str] | None:
    """Student, assignment and time of a folder in nbgrader's exchange; a student's name may hold a plus."""
    pieces = EXCHANGE.fullmatch(path.name)
    when = _time(pieces["when"]) if pieces else ""
    return (pieces["who"], pieces["what"], when) if pieces and when else None


def _owner(path: Path) -> str:
    """The user of this machine who wrote a folder."""
    try:
        return path.owner()
    except (KeyError, NotImplementedError, OSError):
        return "an unknown user"


def _groups(path: Path) -> dict[str, tuple[list[Origin], str]]:
    """Who handed in what, and when, from Gradescope's metadata."""
    groups: dict[str, list[dict[str, str]]] = {}
    times: dict[str, str] = {}
    entry, inside = "", False
    try:
        lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    except Unreadable:
        return {}
    for line in lines:
        if top := re.match(r"([^\s:#-][^:]*):\s*$", line):
            entry, inside = top[1].strip("'\""), False
        elif key := re.match(r"  :?(\w+):\s*(.*?)\s*$", line):
            inside = key[1] == "submitters"
            if key[1] == "created_at":
                times[entry] = _time(key[2].strip("'\""))
        elif inside and (value := re.match(r"\s+(-)?\s*:?(name|sid|email):\s*(.*?)\s*$", line)):
            people = groups.setdefault(entry, [])
            if value[1] or not people:
                people.append({})
            people[-1][value[2]] = "" if value[3] in ("null", "~") else value[3].strip("'\"")
    persons: dict[str, list[Origin]] = {}
    for entry, people in groups.items():
        persons[entry] = [_of_gradescope(person) for person in people if any(person.values())]
    alike = Counter(person for people in persons.values() for person in people if not (person.email or person.sid))
    for entry, origins in persons.items():
        persons[entry] = [replace(person, id=entry) if alike[person] > 1 else person for person in origins]
    return {entry: (people, times.get(entry, "")) for entry, people in persons.items() if people}


def _of_gradescope(person: Mapping[str, str]) -> Origin:
    return Origin("gradescope", person.get("name", ""), email=person.get("email", ""), sid=person.get("sid", ""))


def _time(text: str) -> str:
    """A time in UTC, or nothing where it is none."""
    try:
        return str(parse_utc(text).isoformat(timespec="microseconds"))
    except (ValueError, OverflowError):
        return ""


def _stage(parts: list[_Part], stage: Path, refused: Mapping[Path, str], wanted: Collection[str]) -> list[str]:
    """Copy what belongs to a student into an empty folder, zips unpacked; what was left out, a sentence each."""
    stage.mkdir(parents=True)
    left_out, room = list[str](), MOST_BYTES
    for part in parts:
        folder = contents_of(part.path) if part.path.is_dir() else None
        others = folder.others if folder else ()
        left_out += [f"{shown(name)} is a link or no file, and was left out." for name in others]
        for name in folder.files if folder else [part.name if part.name.strip(".") else part.path.name]:
            path = part.path / name if folder else part.path
            if path in refused:
                left_out.append(f"{shown(name)} was not unpacked: {refused[path]}.")
                continue
            try:
                data = read_bytes(path)
            except Unreadable as error:
                left_out.append(str(error))
                continue
            room -= len(data)
            if room < 0:
                return [*left_out, f"It is larger than {MOST_BYTES // 10**6} MB: what is beyond that was left out."]
            target = stage / _own_name(name, part, parts, wanted)
            if target.exists():
                left_out.append(f"{shown(name)} was handed in more than once: the last one was taken.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    archives = [path for path in sorted(stage.rglob("*")) if path.suffix.lower() == ".zip" and path.is_file()]
    return left_out + [sentence for archive in archives for sentence in unpack_beside(archive)]


def _own_name(name: str, part: _Part, parts: list[_Part], wanted: Collection[str]) -> str:
    """A file's name as the student gave it: Canvas puts ``-1`` to what is handed in again."""
    plain = re.sub(r"-\d+(\.ipynb)$", r"\1", name)
    canvas = part.who is not None and part.who.platform == "canvas"
    return plain if canvas and plain in wanted and plain not in {other.name for other in parts} else name


def _store(stage: Path, target: Path, origin: Origin, notes: list[str]) -> Collected:
    """Put what is staged into its place; an earlier submission that differs is moved aside first."""
    files, exists = contents_of(stage).files, os.path.lexists(target)
    if not files and not origin.left_out:
        notes.append("There was no file in it.")
    same = exists and _content(target) == _content(stage)
    takes_its_place = not same and bool(files or origin.left_out or not exists)
    if same:
        notes.append("It is the same as before.")
        before = read_origin(target)
        if before.platform == origin.platform:
            origin = replace(origin, late=before.late, handed_in=before.handed_in)
    elif takes_its_place:
        target.parent.mkdir(exist_ok=True)
        if exists:
            notes.append(f"The earlier one is kept in {_put_aside(target).relative_to(target.parents[2])}.")
        stage.replace(target)
    if same or takes_its_place:
        keep_origin(target, origin)
    return Collected(target.parent.name, files, " ".join(dict.fromkeys(filter(None, notes))))


def _put_aside(target: Path) -> Path:
    """Move an earlier submission to ``.earlier/ASSIGNMENT-WHEN_IT_CAME``, into which nbgrader does not look."""
    times = [path.lstat().st_mtime for path in (target, *target.rglob("*")) if not path.is_dir()]
    stamp = datetime.fromtimestamp(max(times or [target.lstat().st_mtime]), UTC).strftime("%Y%m%dT%H%M%SZ")
    earlier = target.parent / ".earlier"
    earlier.mkdir(exist_ok=True)
    names = numbered(f"{target.name}-{stamp}")
    return target.rename(next(earlier / name for name in names if not os.path.lexists(earlier / name)))


def _content(folder: Path) -> list[tuple[str, str]]:
    """Names and digests of what is in a folder, links by their name alone."""
    content = []
    for path in sorted(path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir()):
        regular = path.is_file() and not path.is_symlink()
        digest = hashlib.sha256(path.read_bytes()).hexdigest() if regular else ""
        content.append((str(path.relative_to(folder)), digest))
    return content
