"""What a record was made of and by: files and code by hash, versions, machine, threads of the measuring process."""

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from .. import _check, train
from ..data import fetch, readers
from ..data.registry import FILES

PACKAGES = ("coursekit", "torchvision", "numpy", "scipy", "scikit-image")
HOME = Path(__file__).parents[2]


def refuse_own_folders() -> None:
    """Raise ``ValueError`` where a variable puts one's own folder in the place of the registry's files."""
    own = [variable for variable in readers.VARIABLES if os.environ.get(variable)]
    if own:
        advice = f"unset {' and '.join(own)}, then run again"
        raise _check.refuse("a claim to be measured on the registry's files", f"{own[0]} set", advice)


def of_this_process() -> dict[str, Any]:
    """Of all that it has read and imported so far; ``fetch.path`` has checked the hashes of files."""
    machine = f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    return {
        "data": [
            {"file": name, "package": FILES[name].requirement, "sha256": sha256}
            for name, sha256 in fetch.sources_used().items()
        ],
        "code": code(),
        "machine": f"{machine}, {train.device().type}",
        "threads": torch.get_num_threads(),
        "versions": versions | {name: metadata.version(name) for name in PACKAGES},
    }


def code() -> dict[str, Any]:
    """``sha256`` over the imported files of coursekit; ``commit`` and ``dirty``: git's, None where this is no clone."""
    ours = [module.__file__ for name, module in sys.modules.items() if name.startswith("coursekit")]
    files = sorted({Path(file) for file in ours if file})
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(HOME).as_posix().encode() + b"\0" + file.read_bytes())
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", "coursekit")
    dirty = None if changed is None else bool(changed)
    return {"commit": commit, "dirty": dirty, "sha256": digest.hexdigest(), "files": len(files)}


def _git(*command: str) -> str | None:
    try:
        return subprocess.run(["git", *command], cwd=HOME, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
