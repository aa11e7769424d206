"""Git, asked in a folder."""

import os
import shutil
import subprocess
from pathlib import Path


def git(folder: Path, *arguments: str, **variables: str) -> bytes:
    """What git prints. Raises ValueError with what it complains of."""
    if shutil.which("git") is None:
        raise ValueError("expected the program git on PATH, got none: install it and run this again")
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, env={**os.environ, **variables})
    if done.returncode:
        raise ValueError(f"git {arguments[0]}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
