"""The real data of the course: ``registry.toml``, read as records.

Every file lies inside a package on PyPI, whose released versions cannot change, and is known by the sha256 of its
bytes, so that a copy from any mirror is the same copy. What is known of origin and licence is said file by file; what
the package does not state is said to be unstated. The reader's page is ``docs/data.md``.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class File:
    """One file inside one released archive."""

    name: str
    package: str
    version: str
    member: str  # path inside the wheel; inside a source archive the same below its top folder
    size: int  # bytes
    sha256: str
    licence: str  # of the package, as the package states it
    origin: str  # where the data came from before the package, as far as it is known
    citation: str
    lesson: str  # the lectures that use it
    sdist: bool = False  # take the source archive: the only one that holds it, or the smaller one

    @property
    def filename(self) -> str:
        return PurePosixPath(self.member).name

    @property
    def requirement(self) -> str:
        """What pip is asked for: an exact version."""
        return f"{self.package}=={self.version}"


_TABLE = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
SETS: dict[str, tuple[str, ...]] = {name: tuple(files) for name, files in _TABLE["sets"].items()}  # read together
DEFAULT = SETS["nuclei 2D"]  # what the first lectures open with
FILES: dict[str, File] = {}
for _package in _TABLE["packages"]:
    for _file in _package.pop("files"):  # what a file says of itself goes before what is said of all in its package
        FILES[_file["name"]] = File(**{**_package, **_file})
