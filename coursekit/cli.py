"""The terminal's door: each command a few lines over the room that does the work, which is imported only when asked
for.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

Record = Mapping[str, Any]


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
        if not isinstance(error, (ValueError, FileNotFoundError)) and not type(error).__module__.startswith(
            ("coursekit.", "coursegrade.")
        ):
            raise
        print(f"coursekit: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """All commands."""
    from coursegrade import commands as grading

    top = argparse.ArgumentParser(prog="coursekit", description="Medical Images: 3D and Video.")
    commands = top.add_subparsers(required=True, metavar="command")
    commands.add_parser("doctor", help="check this computer: each line ok, or what to do").set_defaults(run=doctor)
    _data_commands(commands.add_parser("data", help="the real images of the course"))
    grading.add(commands.add_parser("grade", help="release, grade and return an assignment"))
    _claims_commands(commands.add_parser("claims", help="the lecture's claims as experiments"))
    return top


def _data_commands(data: argparse.ArgumentParser) -> None:
    commands = data.add_subparsers(required=True, metavar="command")
    commands.add_parser("list", help="every file: size, origin, licence, cached or not").set_defaults(run=data_list)
    fetch = commands.add_parser("fetch", help="bring files into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="names as `coursekit data list` shows them, or all")
    fetch.set_defaults(run=data_fetch)
    commands.add_parser("verify", help="hash the files in the cache").set_defaults(run=data_verify)
    commands.add_parser("clean", help="remove the files from the cache").set_defaults(run=data_clean)


def _claims_commands(claims: argparse.ArgumentParser) -> None:
    commands = claims.add_subparsers(required=True, metavar="command")
    commands.add_parser("list", help="the names").set_defaults(run=claims_list)
    run = commands.add_parser("run", help="measure one claim and write its record")
    run.add_argument("name")
    run.add_argument("--seeds", type=int, default=6, metavar="N")
    run.add_argument("--jobs", type=int, default=1, metavar="N", help="seeds at a time, one thread each")
    run.set_defaults(run=claims_run)
    table = commands.add_parser("table", help="what came out, claim by claim")
    table.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    table.set_defaults(run=claims_table)


def doctor(_: argparse.Namespace) -> int:
    """Print the environment check; 1 if something that learning needs is missing."""
    from . import doctor as room

    lines = room.check()
    print(room.table(lines))
    return int(any(line.needed and not line.ok for line in lines))


def data_list(_: argparse.Namespace) -> None:
    """Print every file of the registry."""
    from .data import fetch

    show(
        [
            {**row._asdict(), "size": f"{row.size / 1e6:.1f} MB", "cached": "yes" if row.cached else "no"}
            for row in fetch.table()
        ]
    )


def data_fetch(options: argparse.Namespace) -> None:
    """Bring files into the cache."""
    from .data import fetch

    paths = fetch.fetch(options.names or None)
    print(f"{len(paths)} files are in {fetch.cache()}")


def data_verify(_: argparse.Namespace) -> int:
    """Hash what is in the cache; 1 if a file is not what it should be."""
    from .data import fetch

    checked = fetch.verify()
    show([{"name": one.name, "state": "ok" if one.ok else one.note} for one in checked])
    return int(not all(one.ok for one in checked))


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
    show([row for row in claims.table() if row["name"] == options.name])


def claims_table(options: argparse.Namespace) -> None:
    """Print the records of all claims."""
    from . import claims

    show(claims.table(), file=options.json)


def show(records: Iterable[Record], *, file: Path | None = None) -> None:
    """Print records as a table, one line each; write them as JSON too if a file is named."""
    rows = list(records)
    if file is not None:
        plain = [
            {key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()}
            for row in rows
        ]
        file.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    if not rows:
        print("nothing to show")
        return
    lines = [list(rows[0]), *([text(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines)]
    print("\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip() for line in lines))


def text(value: object) -> str:
    """A figure with four digits that count, anything else as it prints."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
