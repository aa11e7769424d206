"""The terminal's door: each command a few lines over the room that does the work, which is imported only when asked for."""

import argparse
import importlib
import json
import math
import os
import pkgutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
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
        if not isinstance(error, (ValueError, FileNotFoundError)) and not type(error).__module__.startswith("coursekit."):
            raise
        print(f"coursekit: {error}", file=sys.stderr)
        return 1


def parser() -> argparse.ArgumentParser:
    """All commands."""
    top = argparse.ArgumentParser(prog="coursekit", description="Medical Images: 3D and Video.")
    commands = top.add_subparsers(required=True, metavar="command")
    commands.add_parser("doctor", help="check this computer: each line ok, or what to do").set_defaults(run=doctor)
    _data_commands(commands.add_parser("data", help="the real images of the course"))
    _grade_commands(commands.add_parser("grade", help="release, grade and return an assignment"))
    _claims_commands(commands.add_parser("claims", help="the lecture's claims as experiments"))
    bench = commands.add_parser("bench", help="speed against the named peers")
    bench.add_argument("suite", choices=("ops", "grade"))
    bench.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    bench.set_defaults(run=run_bench)
    return top


def _data_commands(data: argparse.ArgumentParser) -> None:
    commands = data.add_subparsers(required=True, metavar="command")
    commands.add_parser("list", help="every file: size, origin, licence, cached or not").set_defaults(run=data_list)
    fetch = commands.add_parser("fetch", help="bring files into the cache")
    fetch.add_argument("names", nargs="*", metavar="NAME", help="names as `coursekit data list` shows them, or all")
    fetch.set_defaults(run=data_fetch)
    commands.add_parser("verify", help="hash the files in the cache").set_defaults(run=data_verify)
    commands.add_parser("clean", help="remove the files from the cache").set_defaults(run=data_clean)


def _grade_commands(grade: argparse.ArgumentParser) -> None:
    commands = grade.add_subparsers(required=True, metavar="command")

    def command(name: str, what: str, run: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what)
        added.set_defaults(run=run, step=name)
        return added

    steps = {
        "release": "build assignments/ from solutions/",
        "feedback": "a page for each student",
        "report": "marks, misconceptions, flagged and similar submissions, as a page",
        "round": "release, run, feedback, export and report in one go",
    }
    for name, what in steps.items():
        command(name, what, grade_step).add_argument("name", metavar="ASSIGNMENT", help="for example a1_roi")
    collect = command("collect", "bring submissions into submitted/", grade_collect)
    collect.add_argument("name", metavar="ASSIGNMENT")
    collect.add_argument("where", type=Path, metavar="FROM", help="a folder, a zip of Canvas, Moodle or Gradescope, or nbgrader's exchange")
    run = command("run", "grade what was handed in", grade_run)
    run.add_argument("name", metavar="ASSIGNMENT")
    run.add_argument("--student", action="append", metavar="NAME", help="only this one; may be repeated")
    run.add_argument("--jobs", type=int, default=0, metavar="N", help="submissions at a time; one a processor if not said")
    run.add_argument("--again", action="store_true", help="also what has not changed since it was graded")
    run.add_argument("--scheduler", default="", metavar="tcp://…", help="a Dask scheduler whose workers do the work")
    run.add_argument("--unsafe", action="store_true", help="run students' code without a sandbox, with your own rights")
    export = command("export", "marks as a table", grade_export)
    export.add_argument("name", metavar="ASSIGNMENT")
    export.add_argument("--layout", choices=("plain", "canvas", "moodle", "json"), default="plain")
    selftest = command("selftest", "do right answers score full, and does each planted mistake lose the test about it?", grade_selftest)
    selftest.add_argument("names", nargs="*", metavar="ASSIGNMENT", help="all if none is named")
    selftest.add_argument("--json", type=Path, metavar="FILE", help="also write the counts here")
    command("doctor", "which sandbox works here, or what to do", grade_doctor)


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

    show([{**row._asdict(), "size": f"{row.size / 1e6:.1f} MB", "cached": "yes" if row.cached else "no"} for row in fetch.table()])


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


def grade_step(options: argparse.Namespace) -> None:
    """One step of grading, or all of them."""
    from . import grade

    step = options.step
    made = getattr(grade, "round_trip" if step == "round" else step)(options.name)
    if isinstance(made, Path):
        print(f"wrote {made}")
    elif step == "feedback":
        print(f"wrote {len(made)} pages into feedback/")


def grade_collect(options: argparse.Namespace) -> None:
    """Bring submissions in; a line for each."""
    from . import grade

    for one in grade.collect(options.where, options.name, "."):
        print(f"{one.student or 'not taken'}: {one.note or ', '.join(map(str, one.files))}")


def grade_run(options: argparse.Namespace) -> None:
    """Grade; a line for each student."""
    from . import grade

    settings = {"jobs": options.jobs, "again": options.again, "scheduler": options.scheduler, "unsafe": options.unsafe}
    if not grade.run(options.name, only=options.student, **settings):
        print(f"nothing to grade: put notebooks into submitted/STUDENT/{options.name}/, or bring them in with `coursekit grade collect`")


def grade_export(options: argparse.Namespace) -> None:
    """Write the table of marks."""
    from . import grade

    print(f"wrote {grade.export(options.name, layout=options.layout)}")


def grade_selftest(options: argparse.Namespace) -> int:
    """Try the graders; 1 if an assignment is not fit to be graded."""
    from . import grade

    tried = grade.selftest(options.names)
    counts = ("planted", "caught", "right", "accepted")
    if options.json is not None:
        rows = {one.assignment: {count: getattr(one, count) for count in counts} for one in tried}
        options.json.write_text(json.dumps({"assignments": rows}, indent=1) + "\n", encoding="utf-8")
    show({key: value for key, value in asdict(one).items() if key != "missed"} | {"fit": "yes" if one.fit else "NO"} for one in tried)
    for sentence in (sentence for one in tried for sentence in one.sentences):
        print(sentence)
    return int(not all(one.fit for one in tried))


def grade_doctor(_: argparse.Namespace) -> int:
    """1 if no sandbox works."""
    from .grade import doctor as room

    safe, lines = room.check()
    print("\n".join(lines))
    return int(not safe)


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


def run_bench(options: argparse.Namespace) -> None:
    """Measure every operation that has a peer, or grading against plain nbgrader; print rows as they come."""
    if options.suite == "grade":
        from .bench import grade

        row = grade.measure()
        show([row])
        if options.json is not None:
            options.json.write_text(json.dumps(row, indent=1) + "\n", encoding="utf-8")
        return
    show([asdict(row) for row in bench_rows()], file=options.json)


def bench_rows() -> Iterator[Any]:
    """The rows of every module in ``coursekit.bench`` that has a function ``rows``."""
    from . import bench

    for module in pkgutil.iter_modules(bench.__path__):
        found = getattr(importlib.import_module(f"{bench.__name__}.{module.name}"), "rows", None)
        for row in found() if found else ():
            print(f"{row.name} against {row.peer}: {row.ratio:.2f}", file=sys.stderr, flush=True)
            yield row


def show(records: Iterable[Record], *, file: Path | None = None) -> None:
    """Print records as a table, one line each; write them as JSON too if a file is named."""
    rows = list(records)
    if file is not None:
        plain = [{key: None if isinstance(v, float) and not math.isfinite(v) else v for key, v in row.items()} for row in rows]
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
