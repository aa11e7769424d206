"""What a record was made of and by what: files and code by hash, versions, machine and threads, as the measuring
process sees them.
"""

import hashlib
import os
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import _check
from ..data import fetch, readers
from ..data.registry import FILES

PACKAGES = ("coursekit", "torchvision", "numpy", "scipy", "scikit-image")
HOME = Path(__file__).parents[2]


def refuse_own_folders() -> None:
    """Raise ``ValueError`` where a variable puts somebody's own folder in the place of the registry's files: no hash
    names that.
    """
    own = [variable for variable in readers.VARIABLES if os.environ.get(variable)]
    if own:
        raise _check.refuse(
            "a claim to be measured on the registry's files",
            f"{own[0]} set",
            f"unset {' and '.join(own)}, then run again",
        )


def provenance() -> dict[str, Any]:
    """Of all that this process has read and imported so far."""
    import torch

    from .. import train

    return {
        "data": data(),
        "code": code(),
        "machine": f"{platform.system()} {platform.machine()} {torch.backends.cpu.get_cpu_capability()}, {train.device().type}",
        "threads": torch.get_num_threads(),
        "versions": {"python": platform.python_version(), "torch": torch.__version__}
        | {name: metadata.version(name) for name in PACKAGES},
    }


def data() -> list[dict[str, str]]:
    """Each file of the registry that was read: ``{file, package, sha256}``; ``fetch.path`` has checked the hash."""
    return [
        {"file": name, "package": FILES[name].requirement, "sha256": sha256}
        for name, sha256 in fetch.sources_used().items()
    ]


def code() -> dict[str, Any]:
    """``sha256`` over the files of coursekit that are imported; ``commit`` and ``dirty``: git's, None where this is no
    clone.
    """
    files = sorted(
        {
            Path(module.__file__)
            for name, module in sys.modules.items()
            if name.startswith("coursekit") and module.__file__
        }
    )
    digest = hashlib.sha256()
    for file in files:
        digest.update(file.relative_to(HOME).as_posix().encode() + b"\0" + file.read_bytes())
    commit, changed = _git("rev-parse", "HEAD"), _git("status", "--porcelain", "--", "coursekit")
    return {
        "commit": commit,
        "dirty": None if changed is None else bool(changed),
        "sha256": digest.hexdigest(),
        "files": len(files),
    }


def _git(*command: str) -> str | None:
    try:
        return subprocess.run(["git", *command], cwd=HOME, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
