"""Every check of the course, in order; the first that fails ends it. ``python3 course.py test`` runs this file.

Tests and notebooks run two at a time, each on one thread; the browser, whose moves are timed, runs alone.
Arguments go on to pytest: ``python3 course.py test --maxfail=1``.
"""

import importlib.metadata
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
REPORTS = ROOT / "build" / "tests"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
STAGES = {
    "lint": ["ruff", "check", "."],
    "format": ["ruff", "format", "--check", "."],
    "types": ["mypy"],
    "tests": ["pytest", "tests", "-m", "not browser"],
    "graders": ["coursekit", "grade", "selftest", "--variants", "3", "--json", "build/tests/graders.json"],
    "lectures": ["pytest", "lectures", "--nbval-lax", "--nbval-current-env"],
    "browser": ["pytest", "tests/browser", "-m", "browser"],
}
TWO_AT_A_TIME = ["-n", "2", "--dist", "loadfile"]  # a file, or a notebook and its kernel, to one process
ALONE = {"browser"}
COUNTS = ("tests", "failures", "errors", "skipped")


def run(stage: str, command: list[str], options: list[str]) -> tuple[int, dict[str, int]]:
    """Run one stage; its exit status, and pytest's counts if it was pytest."""
    report, environment = REPORTS / f"{stage}.xml", dict(os.environ)
    report.unlink(missing_ok=True)
    if command[0] == "pytest" and stage not in ALONE:
        command, environment["OMP_NUM_THREADS"] = [*command, *TWO_AT_A_TIME], "1"
    more = [f"--junitxml={report}", *options] if command[0] == "pytest" else []
    status = subprocess.run([sys.executable, "-m", *command, *more], cwd=ROOT, env=environment).returncode
    suite = ElementTree.parse(report).getroot().find("testsuite") if report.exists() else None
    return status, {key: int(suite.get(key, 0)) if suite is not None else 0 for key in COUNTS}


def notebooks_ran(report: Path) -> dict[str, dict[str, object]]:
    """``{lecture: {when, seconds, device, versions}}`` from nbval's report, for the site's status page."""
    suite, seconds = ElementTree.parse(report).getroot()[0], {}
    for case in suite.iter("testcase"):
        lecture = case.get("classname", "").removeprefix("lectures.").removesuffix(".ipynb")
        seconds[lecture] = seconds.get(lecture, 0.0) + float(case.get("time", 0))
    about = {"device": os.environ.get("COURSEKIT_DEVICE", "cpu"), "when": suite.get("timestamp", "")[:16]}
    about["versions"] = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in ("torch", "jupyterlab"))
    return {lecture: {**about, "seconds": round(total, 1)} for lecture, total in sorted(seconds.items())}


def closing(total: dict[str, int], seconds: float) -> str:
    """One line in the form in which pytest ends."""
    passed = total["tests"] - total["failures"] - total["errors"] - total["skipped"]
    parts = {"failed": total["failures"], "passed": passed, "skipped": total["skipped"], "errors": total["errors"]}
    return f"=== {', '.join(f'{n} {name}' for name, n in parts.items() if n) or 'no tests ran'} in {seconds:.2f}s ==="


def run_all(stages: dict[str, list[str]], options: list[str]) -> int:
    """Run the stages, tell how long each took, and end with the counts of all."""
    REPORTS.mkdir(parents=True, exist_ok=True)
    seconds, total, status = {}, dict.fromkeys(COUNTS, 0), 0
    for stage, command in stages.items():
        print(f"\n--- {stage}: {' '.join(command)}", flush=True)
        start = time.monotonic()
        status, counts = run(stage, command, options)
        seconds[stage] = time.monotonic() - start
        total = {key: total[key] + counts[key] for key in COUNTS}
        if status:
            break
        if stage == "lectures":
            (REPORTS / "status.json").write_text(json.dumps(notebooks_ran(REPORTS / "lectures.xml"), indent=1))
    print("\n--- summary")
    for stage in stages:
        outcome = "not run" if stage not in seconds else "failed" if status and stage == list(seconds)[-1] else "ok"
        print(f"{stage:10}{seconds.get(stage, 0):8.1f} s  {outcome}")
    print(closing(total, sum(seconds.values())))
    return status


if __name__ == "__main__":
    if (
        not any(map(shutil.which, BROWSERS))
        and subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"]).returncode
    ):
        sys.exit("The browser test needs Chromium: install it with the system's package manager and run this again.")
    sys.exit(run_all(STAGES, sys.argv[1:]))
