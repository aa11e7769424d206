"""Stored outputs are those of seed 0: with another, ``COURSEKIT_SEED=1``, assertions are checked, prints are not."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("COURSEKIT_SEED", "0") != "0":
        for cell in (item for item in items if hasattr(item, "options")):
            cell.options["check"] = False
