"""What is kept beside the gradebook: how each grading ended, every change of marks, and what was released."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from coursegrade.records import Record, record_from, to_json, write_whole


def records(course_dir: str | Path, assignment: str) -> dict[str, Record]:
    """How grading ended, by student, for everyone graded so far."""
    return {path.stem: _read_record(path) for path in sorted(Path(course_dir, "marks", assignment).glob("*.json"))}


def save_record(course_dir: str | Path, assignment: str, record: Record) -> None:
    """Keep one record; after a crash the file holds the old one or the new."""
    write_whole(_record_path(course_dir, assignment, record.student), to_json(record))


def append_history(course_dir: str | Path, assignment: str, entry: Mapping[str, Any]) -> None:
    """Add one line to ``marks/ASSIGNMENT.history.jsonl``; it is on the disk when this returns."""
    path = Path(course_dir, "marks", f"{assignment}.history.jsonl")
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 1))
        torn = file.read(1) not in (b"", b"\n")  # a crash cut the last line short: leave it, begin a new one
        file.write(b"\n" * torn + json.dumps(entry, ensure_ascii=True).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def history(course_dir: str | Path, assignment: str) -> list[dict[str, Any]]:
    """Every grading so far, oldest first; a line that a crash cut short is passed over."""
    path = Path(course_dir, "marks", f"{assignment}.history.jsonl")
    return list(_lines(path.read_text(encoding="utf-8"))) if path.exists() else []


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def keep_release(course_dir: str | Path, assignment: str, folder: Path) -> None:
    """Keep the notebooks of a folder as given to students, each version once."""
    for path in sorted(folder.glob("[!.]*.ipynb")):
        text = path.read_text(encoding="utf-8", errors="replace")
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        write_whole(Path(course_dir, "marks", f"{assignment}.released", path.stem, f"{digest}.ipynb"), text)


def kept_releases(course_dir: str | Path, assignment: str, notebook: str) -> list[Path]:
    """Every version of a notebook that was given to students."""
    return sorted(Path(course_dir, "marks", f"{assignment}.released", notebook).glob("[!.]*.ipynb"))


def record_of(course_dir: str | Path, assignment: str, student: str) -> Record | None:
    """How grading one student's submission ended; None if it never was."""
    path = _record_path(course_dir, assignment, student)
    return _read_record(path) if path.exists() else None


def _record_path(course_dir: str | Path, assignment: str, student: str) -> Path:
    return Path(course_dir, "marks", assignment, f"{student}.json")


def _read_record(path: Path) -> Record:
    try:
        return record_from(path.read_text(encoding="utf-8"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(
            f"expected the record of a grading in {path}, got other text: remove it and grade {path.stem} again"
        ) from error
