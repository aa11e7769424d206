"""From the bytes of a notebook to its cells, whatever they are; nothing is run and outputs are never kept."""

import json
import os
import re
import stat
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

LARGEST = 200_000_000  # bytes of a file
MOST_VALUES = 5_000_000  # of JSON in a file: what bounds the memory that reading it takes
MOST_CELLS = 2_000
LONGEST = 500_000  # characters of a cell
# A statement at the left margin, and what goes on with the one before: no beginning.
BEGINS = re.compile(r"^(?![#)\]}]|(?:else|elif|except|finally)\b)\S", re.MULTILINE)
AGAIN = "open it in JupyterLab, save it and hand it in again."


class Unreadable(ValueError):
    """Why something handed in cannot be read: one sentence for the student."""


@dataclass(frozen=True)
class Cell:
    """What grading needs of a cell."""

    cell_type: str
    source: str
    id: str = ""
    marks: dict[str, Any] = field(default_factory=dict)  # nbgrader's metadata

    @property
    def grade_id(self) -> str:
        """nbgrader's name of the cell; empty without one."""
        name = self.marks.get("grade_id")
        return name if isinstance(name, str) else ""


def pieces(source: str) -> list[str]:
    """A cell's statements, cut at the left margin; decorators and ``else:`` stay with what they belong to."""
    starts = [match.start() for match in BEGINS.finditer(source)]
    starts = [at for at, before in zip(starts, [-1, *starts[:-1]]) if before < 0 or source[before] != "@"]
    return [source[start:end] for start, end in zip([0, *starts[1:]], [*starts[1:], len(source)])]


def shown(name: str) -> str:
    """A file's name as it can stand in a sentence."""
    plain = "".join(c if c.isprintable() else "?" for c in name)
    return plain if len(plain) <= 80 else f"{plain[:50]}…{plain[-29:]}"


def plain(source: str) -> str:
    """A cell's text without what editors change on their own."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def read_bytes(path: Path) -> bytes:
    """The content of a regular file; links are not followed, pipes not waited for."""
    name = shown(path.name)
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
        with open(descriptor, "rb") as file:
            about = os.fstat(descriptor)
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable(f"{name} is not a file: hand in the notebook itself.")
            if about.st_size > LARGEST:
                raise Unreadable(_too_large(name, f"{about.st_size / 1e6:.0f} MB"))
            return file.read(about.st_size)
    except OSError as error:
        advice = "ask your instructor to look at the file's permissions"
        raise Unreadable(f"{name} cannot be opened ({error.strerror}): {advice}.") from None


def parse(name: str, data: bytes) -> tuple[list[Cell], list[str]]:
    """The cells of a notebook, and what was remarkable, a sentence each; raises ``Unreadable``."""
    name = shown(name)
    text, remarks = _decode(name, data)
    notebook = _json(name, text)
    if not isinstance(notebook, dict):
        raise Unreadable(f"{name} holds data, but no notebook: {AGAIN}")
    if "cells" not in notebook and isinstance(notebook.get("worksheets"), list):
        advice = "save it with a current JupyterLab next time"
        remarks.append(f"{name} is in an old notebook format and was converted: {advice}.")
    raw = _raw_cells(notebook)
    if raw is None:
        raise Unreadable(f"{name} has no list of cells, so it is no notebook: {AGAIN}")
    if len(raw) > MOST_CELLS:
        advice = "delete what is not part of your answers"
        raise Unreadable(f"{name} has {len(raw)} cells, and at most {MOST_CELLS} are read: {advice}.")
    cells = [_cell(item) for item in raw if isinstance(item, dict)]
    if long := [cell for cell in cells if len(cell.source) > LONGEST]:
        cells = [replace(cell, source="") if cell in long else cell for cell in cells]
        remarks.append(f"{name} has cells of more than {LONGEST:,} characters ({len(long)}); they were read as empty.")
    if len(cells) < len(raw):
        remarks.append(f"{name} held {len(raw) - len(cells)} entries that are not cells; they were left out.")
    if kernel := _foreign(notebook.get("metadata")):
        remarks.append(f"{name} was saved for the kernel {kernel!r}; it was graded with Python.")
    return cells, remarks


def _decode(name: str, data: bytes) -> tuple[str, list[str]]:
    if not data.strip(b" \t\r\n\0"):
        raise Unreadable(f"{name} is empty: save your notebook and hand it in again.")
    encoding: str = json.detect_encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        text, encoding = data.decode("latin-1"), "latin-1"
    used = {"utf-8": "", "utf-8-sig": "with a byte-order mark"}.get(encoding, f"as {encoding}")
    return text, [f"{name} was saved {used} instead of plain UTF-8; it was read all the same."] if used else []


def _json(name: str, text: str) -> Any:
    if sum(text.count(mark) for mark in "[{,") > MOST_VALUES:
        raise Unreadable(_too_large(name, "millions of values"))
    try:
        return json.loads(text, object_hook=lambda item: None if "output_type" in item else item)
    except (RecursionError, MemoryError):
        raise Unreadable(f"{name} is nested too deeply to be a notebook: {AGAIN}") from None
    except json.JSONDecodeError as error:
        raise Unreadable(f"{name} {_why_not_json(text, error)}") from None
    except ValueError:  # a whole number of thousands of digits
        raise Unreadable(f"{name} is not a notebook: {AGAIN}") from None


def _why_not_json(text: str, error: json.JSONDecodeError) -> str:
    start = text[:1000].lstrip().lower()
    if conflict := re.search(r"^(<{7}|>{7})", text, flags=re.MULTILINE):
        line = text.count("\n", 0, conflict.start()) + 1
        return f"has the marks of a merge conflict (line {line}): decide for one version, then {AGAIN}"
    if start.startswith(("<!doctype", "<html")):
        return "is a web page, not a notebook: download the .ipynb file itself and hand it in."
    for magic, kind in (("pk\x03\x04", "a zip archive"), ("%pdf", "a PDF"), ("\x89png", "a picture")):
        if start.startswith(magic):
            return f"is {kind} under the name of a notebook: hand in the .ipynb file itself."
    if error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated"):
        return f"breaks off in the middle, as after an interrupted upload: {AGAIN}"
    return f"is not a notebook (line {error.lineno} is not valid JSON): {AGAIN}"


def _raw_cells(notebook: dict[str, Any]) -> list[Any] | None:
    """The list of cells; of format 3 those of all worksheets."""
    if "cells" in notebook:
        return notebook["cells"] if isinstance(notebook["cells"], list) else None
    sheets = notebook.get("worksheets")
    if not isinstance(sheets, list):
        return None
    lists = [sheet.get("cells") for sheet in sheets if isinstance(sheet, dict)]
    return [cell for cells in lists if isinstance(cells, list) for cell in cells]


def _cell(raw: dict[str, Any]) -> Cell:
    metadata = raw.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    kind, name = raw.get("cell_type"), raw.get("id")
    return Cell(
        cell_type={"code": "code", "raw": "raw"}.get(kind if isinstance(kind, str) else "", "markdown"),
        source=_source(raw.get("source", raw.get("input"))),
        id=name if isinstance(name, str) else "",
        marks=marks if isinstance(marks, dict) else {},
    )


def _source(value: Any) -> str:
    """A cell's text from a string or a list of them, in characters that can be written to a file."""
    lines = value if isinstance(value, list) else [value]
    text = "".join(line for line in lines if isinstance(line, str))
    return text.replace("\r\n", "\n").replace("\r", "\n").encode("utf-8", "replace").decode("utf-8")


def _foreign(metadata: Any) -> str:
    """The name of the kernel if it is not for Python."""
    spec = metadata.get("kernelspec") if isinstance(metadata, dict) else None
    if not isinstance(spec, dict):
        return ""
    name, language = (str(spec.get(key) or "") for key in ("name", "language"))
    python = language.lower().startswith("python") if language else "py" in name.lower() or not name
    return "" if python else shown(name or language)


def _too_large(name: str, size: str) -> str:
    why = f"{name} is too large to read ({size}), probably because of its outputs"
    return f"{why}: clear all outputs, save it and hand it in again."
