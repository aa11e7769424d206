"""The conda route installs what pyproject.toml asks for: the same names, the same ranges."""

import re
import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
CONDA_NAMES = {"torch": "pytorch", "matplotlib": "matplotlib-base"}  # PyPI's name → conda-forge's


def split(requirement: str) -> tuple[str, str]:
    name, bounds = re.fullmatch(r"([\w.[\]-]+?)\s*([<>=!~].*)?", requirement).groups()
    return name, bounds or ""


def wanted() -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [one for group in project["optional-dependencies"].values() for one in group]
    named = dict(map(split, [*project["dependencies"], *extras]))
    return {CONDA_NAMES.get(name, name): bounds for name, bounds in named.items()} | {
        "python": project["requires-python"]
    }


def test_environment_and_pyproject_ask_for_the_same() -> None:
    *conda, last = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))["dependencies"]
    by_pip = [one for one in last["pip"] if one != "-e ."]
    assert "-e ." in last["pip"]
    assert "pip" in conda
    assert dict(map(split, [one for one in conda if one != "pip"] + by_pip)) == wanted()
