"""What pip meets in place of setuptools while it downloads a source archive.

Before ``pip download`` keeps a source archive it asks the archive's build backend for name and version, which would run
the archive's own ``setup.py``. Here the two are told from the environment: nothing of the archive runs.
"""

import os
from pathlib import Path
from types import SimpleNamespace


def get_requires_for_build_wheel(config_settings: object = None) -> list[str]:
    """Nothing is built, so nothing is needed."""
    return []


def prepare_metadata_for_build_wheel(metadata_directory: str, config_settings: object = None) -> str:
    """Write the smallest METADATA that pip accepts and return its folder (PEP 517)."""
    name, version = os.environ["COURSEKIT_REQUIREMENT"].split("==")
    folder = Path(metadata_directory, f"{name.replace('-', '_')}-{version}.dist-info")
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8")
    return folder.name


# Archives without a pyproject.toml ask for the backend by this name.
__legacy__ = SimpleNamespace(
    get_requires_for_build_wheel=get_requires_for_build_wheel,
    prepare_metadata_for_build_wheel=prepare_metadata_for_build_wheel,
)
