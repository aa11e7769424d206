"""The terminal's door: each command a few lines over the room that does the work, imported only when asked for."""

import argparse
import json
import math
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. What the course itself complains about is one sentence and status 1, without a traceback."""
    options = parser().parse_args(arguments)
    try:
        status = int(options.run(options) or 0)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read us, such as head, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        ours = type(error).__module__.startswith(("coursekit.", "coursegrade."))
        if not ours and not isinstance(error, (ValueError, FileNotFoundError)):
            raise
        print(f"coursekit: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """All commands."""
    from coursegrade import commands as grading

    top = argparse.ArgumentParser(prog="coursekit", description="Medical Images: 3D and Video.")
    rooms = top.add_subparsers(required=True, metavar="command")

    def room(
        name: str, run: Callable[[argparse.Namespace], int | None], text: str
    ) -> "argparse._SubParsersAction[Any]":
        own = rooms.add_parser(name, help=text)
        own.set_defaults(run=run)
        return own.add_subparsers(required=True, dest="command", metavar="command")

    check = rooms.add_parser("doctor", help="check this computer: each line ok, or what to do")
    check.set_defaults(run=doctor)
    files = room("data", data, "the real images of the course")
    files.add_parser("list", help="every file: size, origin, licence, cached or not")
    fetch = files.add_parser("fetch", help="bring files into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="names as `coursekit data list` shows them, or all")
    files.add_parser("verify", help="hash the files in the cache")
    files.add_parser("clean", help="remove the files from the cache")
    grading.add(rooms.add_parser("grade", help="release, grade and return an assignment"))
    experiments = room("claims", claims, "the lecture's claims as experiments")
    experiments.add_parser("list", help="the names")
    run = experiments.add_parser("run", help="measure one claim and write its record")
    run.add_argument("name")
    run.add_argument("--seeds", type=int, default=6, metavar="N")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at a time, one thread each")
    table = experiments.add_parser("table", help="what came out, claim by claim")
    table.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    return top


def doctor(_: argparse.Namespace) -> int:
    """Print the environment check; 1 if something that learning needs is missing."""
    from . import doctor as room

    lines = room.check()
    print(room.table(lines))
    return int(any(line.needed and not line.ok for line in lines))


def data(options: argparse.Namespace) -> int:
    """List the registry's files, or fetch, hash or remove those of the cache; 1 if one is not what it should be."""
    from .data import fetch, registry

    rows: list[dict[str, str]] = []
    if options.command == "list":
        noted = ("requirement", "lesson", "licence", "origin")  # fields of the registry
        for file in registry.FILES.values():
            own = {"size": f"{file.size / 1e6:.1f} MB", "cached": "yes" if fetch.is_cached(file) else "no"}
            rows.append({"name": file.name} | own | {field: getattr(file, field) for field in noted})
        show(rows)
    elif options.command == "fetch":
        print(f"{len(fetch.fetch(options.names or None))} files are in {fetch.cache()}")
    elif options.command == "clean":
        print(f"{fetch.clean() / 1e6:.0f} MB freed in {fetch.cache()}")
    else:
        notes = fetch.verify()
        show({"name": name, "state": note or "ok"} for name, note in notes.items())
        return int(any(notes.values()))
    return 0


def claims(options: argparse.Namespace) -> None:
    """Print the claims' names, measure one over seeds, or print the records."""
    from . import claims as room

    if options.command == "list":
        print("\n".join(room.names()))
    elif options.command == "run":
        room.run(options.name, seeds=options.seeds, jobs=options.jobs)
        show(row for row in room.table() if row["name"] == options.name)
    else:
        show(room.table(), file=options.json)


def show(records: Iterable[Mapping[str, Any]], *, file: Path | None = None) -> None:
    """Print records as a table, figures with four digits that count; write them as JSON too if a file is named."""
    rows = list(records)
    if file is not None:
        plain = [{k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in r.items()} for r in rows]
        file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    if not rows:
        print("nothing to show")
        return
    lines = [list(rows[0])]
    lines += [[f"{v:.4g}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows]
    widths = [max(map(len, column)) for column in zip(*lines)]
    print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines))
