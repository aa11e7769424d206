"""What ``coursekit grade …`` takes: each command a few lines over the module that does the work."""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import coursegrade


def add(grade: argparse.ArgumentParser) -> None:
    """Hang every command of ``coursekit grade`` on its parser."""
    commands = grade.add_subparsers(required=True, metavar="command")

    def command(name: str, what: str, run: Callable[[argparse.Namespace], int | None]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=what)
        added.set_defaults(run=run if name == "doctor" else partial(in_course, run), step=name)
        return added

    steps = {
        "release": "build assignments/ from solutions/",
        "feedback": "a page for each student",
        "report": "marks, misconceptions, flagged and similar submissions, as a page",
        "round": "release, run, feedback, export and report in one go",
    }
    all_of_them: dict[str, Any] = {"nargs": "*", "metavar": "ASSIGNMENT", "help": "all handed in if none is named"}
    for name, what in steps.items():
        several = all_of_them if name == "round" else {"nargs": "+", "metavar": "ASSIGNMENT"}
        command(name, what, one_step).add_argument("names", **several)
    collect_command = command("collect", "bring submissions into submitted/", collect)
    collect_command.add_argument("name", metavar="ASSIGNMENT")
    sources = "a folder, a zip of Canvas, Moodle or Gradescope, or nbgrader's exchange"
    collect_command.add_argument("where", type=Path, metavar="FROM", help=sources)
    run_command = command("run", "grade what was handed in", run)
    run_command.add_argument("names", **all_of_them)
    run_command.add_argument("--student", action="append", metavar="NAME", help="only this one; may be repeated")
    at_a_time = "submissions at a time; one a processor if not said"
    run_command.add_argument("--jobs", type=int, default=0, metavar="N", help=at_a_time)
    run_command.add_argument("--again", action="store_true", help="also what has not changed since it was graded")
    scheduler = "a Dask scheduler whose workers do the work"
    run_command.add_argument("--scheduler", default="", metavar="tcp://…", help=scheduler)
    unsafe = "run students' code without a sandbox, with your own rights"
    run_command.add_argument("--unsafe", action="store_true", help=unsafe)
    export_command = command("export", "marks as a table", export)
    export_command.add_argument("name", metavar="ASSIGNMENT")
    export_command.add_argument("--layout", choices=("plain", "canvas", "moodle", "json"), default="plain")
    question = "do right answers score full, and does each planted mistake lose the test about it?"
    selftest_command = command("selftest", question, selftest)
    selftest_command.add_argument("names", nargs="*", metavar="ASSIGNMENT", help="all if none is named")
    selftest_command.add_argument("--json", type=Path, metavar="FILE", help="also write the counts here")
    variants = "draw the hidden inputs so many times"
    selftest_command.add_argument("--variants", type=int, default=0, metavar="N", help=variants)
    variant_command = command("variant", "draw the hidden inputs anew, for next year's class, and release", variant)
    variant_command.add_argument("name", metavar="ASSIGNMENT")
    variant_command.add_argument("--seed", type=int, required=True, metavar="N", help="what they are drawn from")
    command("doctor", "which sandbox works here, or what to do", doctor)


def in_course(run: Callable[[argparse.Namespace], int | None], options: argparse.Namespace) -> int | None:
    """Run a command, or refuse it in one sentence where this folder is no course."""
    coursegrade.course()
    return run(options)


def one_step(options: argparse.Namespace) -> None:
    """One step of grading, or all of them, for each assignment."""
    for name in options.names or coursegrade.handed_in():
        written = getattr(coursegrade, "round_trip" if options.step == "round" else options.step)(name)
        if isinstance(written, Path):
            print(f"wrote {written}")
        elif options.step == "feedback":
            print(f"wrote {len(written)} pages into feedback/")


def collect(options: argparse.Namespace) -> None:
    """Bring submissions in; a line for each."""
    for submission in coursegrade.collect(options.where, options.name, "."):
        print(f"{submission.student or 'not taken'}: {submission.note or ', '.join(submission.files)}")


def run(options: argparse.Namespace) -> None:
    """Grade; a line for each student."""
    settings = {"jobs": options.jobs, "again": options.again, "scheduler": options.scheduler, "unsafe": options.unsafe}
    names = options.names or coursegrade.handed_in()
    graded = list[Any]()
    for name in names:
        if len(names) > 1:
            print(name)
        graded += coursegrade.run(name, only=options.student, **settings)
    if not graded:
        place = f"submitted/STUDENT/{names[0]}/"
        print(f"nothing to grade: put notebooks into {place}, or bring them in with `coursekit grade collect`")


def export(options: argparse.Namespace) -> None:
    """Write the table of marks."""
    print(f"wrote {coursegrade.export(options.name, layout=options.layout)}")


def selftest(options: argparse.Namespace) -> int:
    """Try the graders; 1 if an assignment is not fit to be graded."""
    tried = coursegrade.selftest(options.names, variants=options.variants)
    counts = ("planted", "caught", "right", "accepted")
    rows = {fitness.assignment: {count: getattr(fitness, count) for count in counts} for fitness in tried}
    if options.json is not None:
        options.json.write_text(json.dumps({"assignments": rows}, indent=1) + "\n", encoding="utf-8")
    width = max(map(len, ("assignment", *rows)))
    print("  ".join(["assignment".ljust(width), *counts, "fit"]))
    for fitness in tried:
        figures = [str(value).ljust(len(count)) for count, value in rows[fitness.assignment].items()]
        print("  ".join([fitness.assignment.ljust(width), *figures, "yes" if fitness.fit else "NO"]))
    for sentence in (sentence for fitness in tried for sentence in fitness.sentences):
        print(sentence)
    return int(not all(fitness.fit for fitness in tried))


def variant(options: argparse.Namespace) -> None:
    """Draw the hidden inputs anew."""
    print(f"wrote {coursegrade.variant(options.name, seed=options.seed)}")


def doctor(_: argparse.Namespace) -> int:
    """1 if no sandbox works."""
    from . import doctor as room

    safe, lines = room.check()
    print("\n".join(lines))
    return int(not safe)
