"""A submission as it was handed in, read into jobs: whatever is in the folder, nothing raises and nothing is run."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from coursegrade.align import align
from coursegrade.notebook import Unreadable, parse, read_bytes, shown
from coursegrade.people import SECRET, STAMP, Origin, read_origin
from coursegrade.records import Job
from coursegrade.source import Source

MOST_FILES = 1_000
MOST_BYTES = 1_000_000_000  # of a submission that its SHA-256 covers
IGNORED = {"__MACOSX", "__pycache__", "Thumbs.db"}  # and whatever is hidden


@dataclass(frozen=True)
class Reading:
    """What a submission holds.

    ``problem`` says to the student what could not be read. Of an assignment with several notebooks the others still
    are jobs.
    """

    jobs: tuple[Job, ...] = ()  # one a notebook
    remarks: tuple[str, ...] = ()  # what was put right, a sentence each, for the student
    flags: tuple[str, ...] = ()  # what the instructor should look at
    problem: str = ""
    sha: str = ""  # SHA-256 of the files handed in


@dataclass(frozen=True)
class Folder:
    """What is in a folder."""

    root: Path
    files: tuple[str, ...]  # regular files, relative, sorted
    others: tuple[str, ...]  # links, and folders named like a notebook


def read(folder: str | Path, source: Source, *, student: str) -> Reading:
    """Read ``submitted/STUDENT/ASSIGNMENT`` against its source."""
    root = Path(folder)
    if problem := _closed(root):
        return Reading(problem=f"Nothing of {source.assignment} could be read, as {problem}.")
    contents, origin = contents_of(root), read_origin(root)
    jobs, remarks, problems, taken = [], list(origin.left_out), [], []
    links = [name for name in contents.others if os.path.islink(root / name)]
    flags = [f"There is a link among the files, which was not followed: {shown(name)}." for name in links]
    for name in source.notebooks:
        lead = f"{name}: " if len(source.notebooks) > 1 else ""
        try:
            file, about_file = _pick(contents, name, list(source.notebooks))
            taken.append(file)
            job, about_cells, raised = _read_one(contents.root / file, file, source, name, student)
        except Unreadable as error:
            problems.append(str(error))
            continue
        jobs.append(job)
        remarks += [lead + sentence for sentence in (*about_file, *about_cells)]
        flags += [f"{sentence[:-1]} (in {name})." if lead else sentence for sentence in raised]
    if jobs and (beside := _beside(contents, source, taken)):
        advice = "put what your answers need into the notebook"
        remarks.append(f"Beside the notebook you handed in {beside}, which was not read: {advice}.")
        flags.append(f"Other files were handed in beside the notebook and were not read: {beside}.")
    if not jobs:
        problems = [*origin.left_out, *(problems if contents.files or not origin.left_out else ())]
    return Reading(tuple(jobs), tuple(remarks), tuple(flags), " ".join(problems), _sha(contents, origin))


def _beside(folder: Folder, source: Source, taken: list[str]) -> str:
    """What else was handed in and is no notebook."""
    known = {*source.files, *taken, STAMP, SECRET}
    files = [file for file in folder.files if file not in known and not file.endswith(".ipynb")]
    return ", ".join(map(shown, files[:5])) + (f" and {len(files) - 5} more" if len(files) > 5 else "")


def _closed(root: Path) -> str:
    if os.path.islink(root):
        return "its folder is a link: hand in the files themselves"
    if not os.path.isdir(root):
        return "it has no folder: hand in your notebook"
    if not os.access(root, os.R_OK | os.X_OK):
        return "its folder cannot be opened: ask your instructor to look at the permissions"
    return ""


def _read_one(path: Path, file: str, source: Source, name: str, student: str) -> tuple[Job, list[str], list[str]]:
    cells, remarks = parse(file, read_bytes(path))
    aligned = align(cells, source.notebooks[name], source.gone.get(name, ()))
    if not aligned.matched:
        advice = "hand in the released notebook with your answers in it"
        raise Unreadable(f"{shown(file)} has none of the cells of {name}: {advice}.")
    return Job(source.assignment, name, student, aligned.steps, source.closed), remarks + aligned.remarks, aligned.flags


def contents_of(root: Path) -> Folder:
    """What there is, to a depth of 5 and a number of 1,000; links are listed and not followed."""
    files: list[str] = []
    others: list[str] = []
    for path, folders, names in os.walk(root):
        inside = Path(path).relative_to(root)
        kept, names = ([n for n in sorted(group) if n not in IGNORED and n[0] != "."] for group in (folders, names))
        folders[:] = kept if len(inside.parts) < 5 else []  # os.walk enters no link
        for name in (*names[:MOST_FILES], *kept[:MOST_FILES]):
            mode = _mode(Path(path, name))
            if stat.S_ISREG(mode):
                files.append(str(inside / name))
            elif stat.S_ISLNK(mode) or name.endswith(".ipynb"):
                others.append(str(inside / name))
        if len(files) + len(others) >= MOST_FILES:
            break
    return Folder(root, tuple(sorted(files)[:MOST_FILES]), tuple(sorted(others)[:MOST_FILES]))


def _mode(path: Path) -> int:
    try:
        return path.lstat().st_mode
    except OSError:
        return 0


def _pick(folder: Folder, name: str, wanted: list[str]) -> tuple[str, list[str]]:
    """The file to take for a notebook, and what to say of that."""
    right, names = f"{name}.ipynb", {f"{other}.ipynb" for other in wanted}
    free = [file for file in folder.files if file not in names]
    beside = [shown(file) for file in free if file.endswith(".ipynb")]
    if right in folder.files:
        remark = f"Beside {right} you handed in other notebooks, which were not read: {', '.join(beside[:5])}."
        return right, [remark] if beside else []
    if right in folder.others:
        kind = "a link" if os.path.islink(folder.root / right) else "a folder"
        raise Unreadable(f"{right} is {kind}, not a notebook: hand in the file itself.")
    for candidates in _candidates(free, name, alone=len(wanted) == 1):
        exact = [file for file in candidates if os.path.basename(file) == right]
        if len(exact) == 1 or len(candidates) == 1:
            taken = (exact or candidates)[0]
            return taken, [f"You handed in {shown(taken)}; it was taken as {right}."]
        if candidates:
            several = ", ".join(shown(file) for file in candidates[:5])
            unclear = f"{right} is not there, and which of these is meant is not clear ({several})"
            raise Unreadable(f"{unclear}: hand in one, named {right}.")
    raise Unreadable(_nothing(folder, right))


def _candidates(free: list[str], name: str, *, alone: bool) -> Iterator[list[str]]:
    """Files that may be meant, in groups, the likelier first; beside other notebooks they begin like the right name."""
    fits = [file for file in free if alone or os.path.basename(file).lower().startswith(name.lower())]
    top = [file for file in fits if os.sep not in file]
    yield [file for file in top if file.lower().endswith(".ipynb")]
    yield [file for file in top if re.search(r"\.ipynb\.\w+$|\.json$", file, flags=re.IGNORECASE) or file == name]
    yield [file for file in fits if os.sep in file and file.lower().endswith(".ipynb")]


def _nothing(folder: Folder, right: str) -> str:
    """What was handed in instead of a notebook."""
    instead = [shown(file) for file in (*folder.files, *folder.others)]
    if not instead:
        return f"Nothing was handed in: {right} is expected."
    zipped = instead[0].endswith(".zip")
    how = "unpack it and hand in the notebook itself" if zipped else "hand in the notebook itself, the .ipynb file"
    return f"{right} is not there, but {', '.join(instead[:5])}: {how}."


def _sha(folder: Folder, origin: Origin) -> str:
    """SHA-256 over names and contents; of what is beyond all limits, and of links, over the names alone."""
    digest, left = hashlib.sha256(), MOST_BYTES
    if origin.late or origin.left_out:
        digest.update(repr((origin.late, origin.left_out)).encode())
    for name in (*folder.files, *folder.others):
        digest.update(os.fsencode(name) + b"\0")
        try:
            data = read_bytes(folder.root / name) if name in folder.files and left > 0 else b""
        except Unreadable:
            data = b""
        left -= len(data)
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()
