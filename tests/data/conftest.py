"""What the tests of all data rooms share."""

from pathlib import Path

import pytest


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data cache in which nothing has been fetched."""
    monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    return tmp_path
