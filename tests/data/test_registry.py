"""The table of files: complete, pinned, and the same as its page."""

import re
from pathlib import Path, PurePosixPath

import pytest

from coursekit.data.registry import DEFAULT, FILES, File

PAGE = Path(__file__).parents[2] / "docs" / "data.md"


@pytest.mark.parametrize("file", FILES.values(), ids=lambda f: f.name)
def test_a_file_is_pinned_and_its_source_is_told(file: File) -> None:
    assert re.fullmatch(r"[0-9a-f]{64}", file.sha256)
    assert file.size > 0
    assert re.fullmatch(r"[A-Za-z0-9-]+==\d+(\.\d+)+", file.requirement)
    assert not PurePosixPath(file.member).is_absolute()
    assert ".." not in PurePosixPath(file.member).parts
    assert all([file.licence, file.origin, file.citation, file.lesson])


def test_no_two_files_share_a_place_in_the_cache() -> None:
    assert len({(f.requirement, f.filename) for f in FILES.values()}) == len(FILES)


def test_the_default_set_is_small_and_registered() -> None:
    assert sum(FILES[name].size for name in DEFAULT) < 2e6


@pytest.mark.parametrize("file", FILES.values(), ids=lambda f: f.name)
def test_the_page_gives_every_file(file: File) -> None:
    (line,) = [
        line
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if f"`{file.name}`" in line and file.sha256 in line
    ]
    for fact in (file.package, file.version, file.member, f"{file.size:,}", file.lesson):
        assert fact in line


def test_the_page_gives_every_licence_origin_and_citation() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for file in FILES.values():
        for fact in (file.licence, file.origin, file.citation):
            assert fact in page, fact
