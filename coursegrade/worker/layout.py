"""What a student's code may read, wherever the course, its environment and gradebook lie, and what is covered of it."""

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path

SYSTEM = (
    *("/usr/bin", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/bin", "/lib", "/lib64"),
    *("/usr/share/fonts", "/usr/share/zoneinfo", "/etc/fonts", "/etc/localtime", "/etc/ssl"),
    *("/etc/ld.so.cache", "/etc/alternatives"),
)
TOP = Path(__file__).parents[2]  # where both packages lie, often beside solutions/ and the gradebook
LIBRARY = (TOP / "coursegrade", TOP / "coursekit")  # all that is shown of it
MOST_PROBES = 200  # of one folder


def readable() -> list[Path]:
    """The folders that Python needs, and the two packages: not the prefix nor their parent, where a course may lie."""
    paths = sysconfig.get_paths()
    places = {paths[name] for name in ("stdlib", "purelib", "platlib")}
    places |= {f"{sys.base_prefix}/lib", *map(str, LIBRARY)}
    return sorted({path for place in places for path in (Path(place), Path(place).resolve()) if path.is_dir()})


def programs() -> list[Path]:
    """Python itself, each link on the way to it, and what tells it its environment."""
    steps = [Path(sys.executable), Path(sys.prefix, "pyvenv.cfg")]
    for path in steps:  # which grows by where a link leads
        if path.is_symlink():
            steps.append(path.parent / path.readlink())
    return [step for step in steps if step.exists()]


def closed_off(private: Sequence[str]) -> list[Path]:
    """The private places; ValueError where one of them is itself what a student's code needs."""
    seen = [place.resolve() for place in (*map(Path, SYSTEM), *readable())]
    places = sorted({Path(path).resolve() for path in private})
    if needed := [str(place) for place in places if place in seen]:
        raise ValueError(
            f"expected the course and its gradebook beside what Python needs, got {needed[0]}, "
            "which students' code must be able to read: move the course, or make the environment elsewhere"
        )
    return [place for place in places if place.exists()]


def covered(closed: Sequence[str], private: Sequence[str]) -> set[Path]:
    """Every path at which something closed or private would be seen in what is readable, through links too."""
    away = [path.resolve() for path in (*hidden(closed), *closed_off(private))]
    near = [(place, place.resolve()) for place in (*map(Path, SYSTEM), *readable())]
    return {place / path.relative_to(real) for path in away for place, real in near if real in path.parents}


def probes(private: Sequence[str]) -> list[str]:
    """What lies in the private places and is not needed: what a box around a student's code must not show."""
    needed = [path for place in (*readable(), *programs()) for path in (place, place.resolve())]
    inside = list[Path]()
    for place in map(Path, private):
        inside += sorted(place.iterdir())[:MOST_PROBES] if place.is_dir() else [place]

    def is_needed(path: Path) -> bool:
        return any(path == other or path in other.parents or other in path.parents for other in needed)

    return [str(path) for path in inside if not is_needed(path) and os.access(path, os.R_OK)]


def shown(path: str) -> bool:
    """Whether this process can read a file, or see what is in a folder."""
    try:
        if os.path.isdir(path):
            os.listdir(path)
        else:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def hidden(closed: Sequence[str]) -> list[Path]:
    """The files of the modules that an assignment closes: of coursekit those that the box shows, not others."""
    files = list[Path]()
    for name in closed:
        top, *parts = name.split(".")
        spec = None if top == "torch" else importlib.util.find_spec(top)
        if spec is None or spec.origin is None:
            continue
        base = Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin).with_suffix("")
        place = (TOP / top if top == "coursekit" else base).joinpath(*parts)
        compiled = place.parent.glob(f"__pycache__/{place.name}.*.pyc")
        files += [path for path in (place, place.with_suffix(".py"), *compiled) if path.exists()]
    return files
