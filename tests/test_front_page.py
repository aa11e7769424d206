"""The page to enter by: one text in three places, every room on it, nothing on it that is not there."""

import re
import subprocess
import sys
from pathlib import Path

import coursekit

HOME = Path(coursekit.__file__).parent
PAGE = (HOME / "README.md").read_text(encoding="utf-8")


def test_it_is_the_docstring_and_what_the_package_prints() -> None:
    printed = subprocess.run([sys.executable, "-m", "coursekit"], capture_output=True, text=True, check=True).stdout
    assert coursekit.__doc__ == PAGE == printed.removesuffix("\n")


def test_it_names_every_room() -> None:
    rooms = {path.name for path in HOME.iterdir() if path.is_dir() and path.name != "__pycache__"}
    rooms |= {path.name for path in HOME.glob("*.py")} - {"__init__.py", "__main__.py"}
    assert rooms == {name.strip("/") for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE) for name in words(row)}


def test_what_it_names_is_there() -> None:
    for name in words(PAGE):
        if name.endswith((".py", "/")):
            places = [HOME.parent / name, HOME / name, *HOME.glob(f"*/{name}")]
            assert any(place.exists() for place in places), name


def words(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)
