"""What is stored was printed with seed 0: with another, ``COURSEKIT_SEED=1``, assertions are checked and prints are not."""

import os

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("COURSEKIT_SEED", "0") != "0":
        for cell in (item for item in items if hasattr(item, "options")):
            cell.options["check"] = False
