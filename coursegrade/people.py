"""Who handed something in, as the learning platform says it: kept in ``submitted/STUDENT/.ASSIGNMENT.json``."""

import itertools
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from coursegrade.notebook import shown
from coursegrade.records import write_whole

STAMP = "timestamp.txt"  # in which nbgrader's exchange keeps when something was handed in
SECRET = "submission_secret.txt"  # and by which its student finds what comes back


@dataclass(frozen=True)
class Origin:
    """One hand-in as its platform names it. Nothing in it is read out of a folder's name later on."""

    platform: str = ""  # canvas, moodle, gradescope or exchange; empty for a folder of the student's name
    name: str = ""  # of the student
    id: str = ""  # Canvas's number of the student; Moodle's of the participant, which is another one in each assignment
    email: str = ""
    sid: str = ""  # the student number that Gradescope shows
    handed_in: str = ""  # when, where the platform says it
    late: bool = False  # the platform says so
    left_out: tuple[str, ...] = ()  # what of it could not be taken, a sentence each for the student

    @property
    def label(self) -> str:
        """What the student's folder is called, made safe; of Moodle's people the number is added where it is needed."""
        if self.platform == "gradescope":
            return self.email or self.sid or "_".join(filter(None, [self.name, self.id]))
        return f"{self.name}_{self.id}" if self.platform == "canvas" else self.name


def read_origin(folder: Path) -> Origin:
    """Of ``submitted/STUDENT/ASSIGNMENT``; one that says nothing where nothing was kept."""
    try:
        data = json.loads(_path(folder).read_text(encoding="utf-8"))
        return Origin(**{**data, "left_out": tuple(data["left_out"])})
    except (OSError, ValueError, TypeError, KeyError):
        return Origin()


def keep_origin(folder: Path, origin: Origin) -> None:
    """Keep it beside the folder, so that it goes where the student's folder goes."""
    write_whole(_path(folder), json.dumps(asdict(origin), indent=1, ensure_ascii=False) + "\n")


def origins(submitted: Path) -> dict[str, dict[str, Origin]]:
    """Everything kept, by student's folder and assignment."""
    paths = [path for path in submitted.glob("[!.]*/.*.json") if path.name != "..json"]
    known: dict[str, dict[str, Origin]] = {}
    for path in paths:
        assignment = path.name[1:].removesuffix(".json")
        known.setdefault(path.parent.name, {})[assignment] = read_origin(path.with_name(assignment))
    return known


def _path(folder: Path) -> Path:
    return folder.with_name(f".{folder.name}.json")


def safe_name(who: str) -> str:
    """A folder's name for a student: letters and digits of any script and ``._-@``, none hidden, none too long."""
    letters = unicodedata.normalize("NFC", who)
    kept = "".join(c if unicodedata.category(c)[0] in "LMN" or c in "._-@" else "_" for c in letters)
    return kept.encode()[:120].decode(errors="ignore").lstrip("._-").rstrip("._") or "unnamed"


def homes(people: Iterable[Origin], submitted: Path, assignment: str) -> dict[Origin, tuple[str, str]]:
    """The folder of each, theirs already or new and nobody's, and what there is to say of its name."""
    people = sorted(people, key=lambda person: (person.name, person.id))
    known = origins(submitted)
    existing = {path.name for path in submitted.glob("[!.]*") if path.is_dir()}
    namesakes = Counter((person.platform, person.name) for person in people)
    given: dict[Origin, tuple[str, str]] = {}
    for person in people:
        theirs = [folder for folder, kept in known.items() if _same(person, kept, assignment)]
        if theirs:
            given[person] = theirs[0], ""
    for person in people:
        if person not in given:
            others = {folder for folder, kept in known.items() if _other(person, kept, assignment)}
            taken = {name.casefold() for name, _ in given.values()}
            first, note = _wish(person, known, assignment, alone=namesakes[person.platform, person.name] == 1)
            name = next(name for name in numbered(first) if _free(name, taken, others, existing))
            both = f"{shown(person.label)} and another student have the same folder name {first}"
            given[person] = name, f"{both}: this one is kept as {name}." if name != first else note
    return given


def _same(person: Origin, kept: dict[str, Origin], assignment: str) -> bool:
    """Whether a folder is certainly this person's; Moodle's numbers tell only within an assignment, its names never."""
    if person.platform == "moodle":
        same = kept.get(assignment, Origin())
        return (person.platform, person.id) == (same.platform, same.id)
    return any(_identity(person) == _identity(origin) for origin in kept.values())


def _other(person: Origin, kept: dict[str, Origin], assignment: str) -> bool:
    """Whether a folder is certainly of somebody else on the same platform."""
    alike = {name: origin for name, origin in kept.items() if origin.platform == person.platform}
    if person.platform == "moodle":
        return assignment in alike or any(origin.name != person.name for origin in alike.values())
    return bool(alike) and not _same(person, alike, assignment)


def _identity(origin: Origin) -> tuple[str, str]:
    return origin.platform, origin.id or origin.email or origin.sid or origin.name


def _wish(person: Origin, known: dict[str, dict[str, Origin]], assignment: str, *, alone: bool) -> tuple[str, str]:
    """The folder name to begin with. Of several people with one name on Moodle each gets the number too."""
    if person.platform != "moodle":
        return safe_name(person.label), ""
    who = ("moodle", person.name)
    named = sorted(folder for folder, kept in known.items() if any((o.platform, o.name) == who for o in kept.values()))
    before = [folder for folder in named if assignment not in known[folder]]
    if alone and len(named) <= 1 and named == before:
        return named[0] if named else safe_name(person.name), ""
    which = f"Which of {', '.join(before)} this is, Moodle does not say, as its numbers are of one assignment"
    return safe_name(f"{person.name}_{person.id}"), f"{which}: rename the folder." if before else ""


def numbered(first: str) -> Iterator[str]:
    """A name, and the same with ``-2``, ``-3``, … behind it."""
    yield first
    yield from (f"{first}-{number}" for number in itertools.count(2))


def _free(name: str, taken: set[str], others: set[str], existing: set[str]) -> bool:
    """Whether a folder can be this person's, also where capital letters do not count."""
    if name.casefold() in taken or name in others:
        return False
    return name in existing or name.casefold() not in {folder.casefold() for folder in existing}
