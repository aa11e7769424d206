"""The front door: importing is quick and light, rooms load by name."""

import subprocess
import sys

import pytest

import coursekit


def test_importing_coursekit_loads_neither_torch_nor_torchvision() -> None:
    code = "import sys, coursekit; print(sorted({'torch', 'torchvision', 'matplotlib'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_rooms_load_by_name_and_unknown_ones_are_attribute_errors() -> None:
    assert coursekit.types.Boxes is not None
    with pytest.raises(AttributeError, match="no attribute 'nosuchroom'"):
        coursekit.nosuchroom  # noqa: B018
