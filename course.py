#!/usr/bin/env python3
"""The course in one command: ``python3 course.py lab`` to learn, ``test`` or ``check`` (what a change touches) to test.

It needs Python and nothing else: it makes ``.venv`` beside this file, installs into it what the command needs,
fetches the data, and starts. A second run finds all that in place. On Windows say ``py course.py lab``.
"""

import functools
import hashlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

MINIMUM = (3, 11)  # the lines below also parse on 3.6, so that an older Python says so in one sentence
ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / "coursekit.json"  # what is installed; written last
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = BIN / ("python.exe" if os.name == "nt" else "python")
FIRST_PAGE = "lectures/00_start_here.ipynb"
UNREACHED = "NewConnection|name resolution|Max retries|timed out|getaddrinfo|ProxyError|unreachable|SSLError"
ADVICE = {  # what pip prints when it gives up → what to do about it
    "No space left|Errno 28|not enough space": "The disk is full: free about 8 GB and run this again.",
    UNREACHED: "No package index can be reached: connect to the network (or set PIP_INDEX_URL) and run this again.",
    "No matching distribution": "A package has no version for this Python or computer: take 64-bit Python 3.11–3.13.",
    "": "pip failed: mend what it says above and run this again.",
}
MEGABYTES = {"bytes": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}
RUNS = {  # the extras it needs, and what the environment's Python is given
    "grade": ("lab grade", "-m coursekit grade round"),
    "site": ("lab docs", "-m sphinx -qW -c docs . build/site"),
    "slides": ("lab docs", "docs/site/handouts.py slides build/slides"),
    "pdf": ("lab docs", "docs/site/handouts.py pdf build/pdf"),
    "student": ("lab grade", "-m deploy.student"),
}
say = functools.partial(print, "course:", flush=True)


def environment() -> dict:
    """The variables of a child: the environment's programs and kernels come first, and waiting threads soon sleep."""
    calm = {"GOMP_SPINCOUNT": "10000"}  # PyTorch's on Linux: else two notebooks that train hold each other up tenfold
    path = os.pathsep.join([str(BIN), os.environ.get("PATH", "")])  # nbgrader calls alembic by name
    own = {"PATH": path, "VIRTUAL_ENV": str(VENV), "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONUTF8": "1"}
    return {**calm, **os.environ, **own}


def run(*arguments: str) -> int:
    """Run the environment's Python in the course's folder and return its exit status."""
    return subprocess.run([str(PYTHON), *arguments], cwd=str(ROOT), env=environment()).returncode


def make_environment(*, anew: bool) -> None:
    """Make ``.venv`` unless a sound one is there."""
    pip = [str(PYTHON), "-m", "pip", "-V"]
    if not anew and PYTHON.exists() and subprocess.run(pip, capture_output=True).returncode == 0:
        return
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        sys.exit("This Python lacks its venv module: on Debian run `sudo apt install python3-venv`, then this again.")
    say("making .venv with Python " + sys.version.split()[0])
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", str(VENV)], capture_output=True, text=True)
    if made.returncode:
        advice = "The folder .venv could not be made: see that it can be written to and the disk is not full."
        sys.exit(made.stdout + made.stderr + advice)


def pip_install(extras: list) -> None:
    """Install the course with these extras, with one line of progress; explain a failure in one sentence."""
    command = [str(PYTHON), "-m", "pip", "install", "--progress-bar=off", "--retries=2", "-e", f".[{','.join(extras)}]"]
    options = {"cwd": str(ROOT), "env": environment(), "encoding": "utf-8", "errors": "replace"}
    lines, start = [], time.monotonic()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options) as pip:
        reader = threading.Thread(target=lambda: lines.extend(pip.stdout), daemon=True)
        reader.start()
        while reader.is_alive():
            reader.join(1.0)
            if sys.stdout.isatty():
                print(f"\r  {time.monotonic() - start:4.0f} s  {progress(lines):100.100}", end="\r", flush=True)
    if pip.returncode:
        advice = next(advice for pattern, advice in ADVICE.items() if re.search(pattern, "".join(lines)))
        sys.exit("".join(lines[-8:]) + advice)
    say(f"installed in {time.monotonic() - start:.0f} s; {progress(lines).split(';')[0]}")


def progress(lines: list) -> str:
    """What pip has downloaded so far, and what it does now, read from its output."""
    sizes = re.findall(r"Downloading \S+ \(([\d.]+) (\w+)\)", "".join(lines))
    megabytes = sum(float(size) * MEGABYTES[unit] for size, unit in sizes)
    steps = [line for line in lines if line.startswith(("Collecting", "  Downloading", "Installing", "Successfully"))]
    return f"{megabytes:.0f} MB downloaded; {''.join(steps[-1:]).strip():.70}"


def state() -> dict:
    """What an environment must have been made for: this Python, this folder, this pyproject.toml."""
    pyproject = hashlib.sha256((ROOT / "pyproject.toml").read_bytes()).hexdigest()
    return {"python": list(sys.version_info[:2]), "folder": str(ROOT), "pyproject": pyproject}


def install(*extras: str) -> None:
    """Bring ``.venv`` up to date with pyproject.toml and these extras; at once if the stamp says that it is."""
    here = state()
    stamp = json.loads(STAMP.read_text()) if STAMP.exists() and PYTHON.exists() else {}
    everything = sorted({*extras, *stamp.get("extras", [])})
    if {**here, "extras": everything} == stamp:
        return
    make_environment(anew=any(stamp.get(key, here[key]) != here[key] for key in ("python", "folder")))
    say(f"installing {', '.join(everything)} (PyTorch is large: some minutes the first time)")
    pip_install(everything)
    if run("-m", "ipykernel", "install", "--sys-prefix", "--name", "python3"):
        sys.exit("The kernel could not be registered: delete .venv and run this again.")
    STAMP.write_text(json.dumps({**here, "extras": everything}))


def lab(options: list) -> None:
    """Install, fetch the data, open JupyterLab on the first page. Options go on to JupyterLab."""
    install("lab", "grade")
    if run("-m", "coursekit", "data", "fetch"):
        say("going on without: a page fetches what it reads, and where it cannot, says what to run")
    places = [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{FIRST_PAGE}"]
    options = [*places, "--log-level=WARN", *options]
    if getattr(os, "geteuid", lambda: 1)() == 0:
        options.append("--allow-root")
    if sys.platform not in ("win32", "darwin") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        options.append("--no-browser")
    say("starting JupyterLab; Ctrl-C stops it")
    signal.signal(signal.SIGINT, lambda *_: None)  # Ctrl-C is JupyterLab's to answer
    sys.exit(run("-m", "jupyterlab", *options))


def test(name: str, options: list) -> None:
    """Install everything, fetch the data, run every check, or those of a change. Options go on to pytest."""
    install("lab", "grade", "test", "docs")
    if run("-m", "coursekit", "data", "fetch", "all"):
        sys.exit("The tests need the data: connect to the network and run this again.")
    sys.exit(run(f"tests/{name}.py", *options))


def module(extras: str, arguments: str, options: list) -> None:
    """Install what it needs and run a module or a file. Options go on to it."""
    install(*extras.split())
    sys.exit(run(*arguments.split(), *options))


def main() -> None:
    if sys.version_info[:2] < MINIMUM:
        version = sys.version.split()[0]
        sys.exit(f"This course needs Python 3.{MINIMUM[1]} or newer, this is {version}: install one from python.org.")
    tests = {"test": functools.partial(test, "everything"), "check": functools.partial(test, "check")}
    commands = {"lab": lab}
    if (ROOT / "solutions").is_dir():  # which students are not given
        commands.update(tests, **{name: functools.partial(module, *run) for name, run in RUNS.items()})
    if "".join(sys.argv[1:2]) not in commands:
        whats = " · … ".join(commands).replace("grade", "grade a1_roi").replace("pdf", "pdf 04")
        sys.exit("Say what to do: python3 course.py " + whats)
    commands[sys.argv[1]]([option for option in sys.argv[2:] if option != "--"])


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("\nStopped; the same command goes on from here.")
