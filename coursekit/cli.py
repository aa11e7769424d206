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

    def add(to: Any, name: str, run: Callable[[argparse.Namespace], int | None], text: str) -> argparse.ArgumentParser:
        command: argparse.ArgumentParser = to.add_parser(name, help=text)
        command.set_defaults(run=run)
        return command

    top = argparse.ArgumentParser(prog="coursekit", description="Medical Images: 3D and Video.")
    rooms = top.add_subparsers(required=True, metavar="command")
    add(rooms, "doctor", doctor, "check this computer: each line ok, or what to do")
    room = rooms.add_parser("data", help="the real images of the course")
    data = room.add_subparsers(required=True, metavar="command")
    add(data, "list", data_list, "every file: size, origin, licence, cached or not")
    fetch = add(data, "fetch", data_fetch, "bring files into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="names as `coursekit data list` shows them, or all")
    add(data, "verify", data_verify, "hash the files in the cache")
    add(data, "clean", data_clean, "remove the files from the cache")
    grading.add(rooms.add_parser("grade", help="release, grade and return an assignment"))
    room = rooms.add_parser("claims", help="the lecture's claims as experiments")
    claims = room.add_subparsers(required=True, metavar="command")
    add(claims, "list", claims_list, "the names")
    run = add(claims, "run", claims_run, "measure one claim and write its record")
    run.add_argument("name")
    run.add_argument("--seeds", type=int, default=6, metavar="N")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at a time, one thread each")
    table = add(claims, "table", claims_table, "what came out, claim by claim")
    table.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    return top


def doctor(_: argparse.Namespace) -> int:
    """Print the environment check; 1 if something that learning needs is missing."""
    from . import doctor as room

    lines = room.check()
    print(room.table(lines))
    return int(any(line.needed and not line.ok for line in lines))


def data_list(_: argparse.Namespace) -> None:
    """Print every file of the registry."""
    from .data import fetch

    files = [row._asdict() for row in fetch.table()]
    show(row | {"size": f"{row['size'] / 1e6:.1f} MB", "cached": "yes" if row["cached"] else "no"} for row in files)


def data_fetch(options: argparse.Namespace) -> None:
    """Bring files into the cache."""
    from .data import fetch

    paths = fetch.fetch(options.names or None)
    print(f"{len(paths)} files are in {fetch.cache()}")


def data_verify(_: argparse.Namespace) -> int:
    """Hash what is in the cache; 1 if a file is not what it should be."""
    from .data import fetch

    checked = fetch.verify()
    show({"name": file.name, "state": "ok" if file.ok else file.note} for file in checked)
    return int(not all(file.ok for file in checked))


def data_clean(_: argparse.Namespace) -> None:
    """Empty the cache."""
    from .data import fetch

    print(f"{fetch.clean() / 1e6:.0f} MB freed in {fetch.cache()}")


def claims_list(_: argparse.Namespace) -> None:
    """Print the claims' names."""
    from . import claims

    print("\n".join(claims.names()))


def claims_run(options: argparse.Namespace) -> None:
    """Measure one claim over seeds."""
    from . import claims

    claims.run(options.name, seeds=options.seeds, jobs=options.jobs)
    show(row for row in claims.table() if row["name"] == options.name)


def claims_table(options: argparse.Namespace) -> None:
    """Print the records of all claims."""
    from . import claims

    show(claims.table(), file=options.json)


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
