"""``python -m tests.bench ops|grade [--json FILE]``, from the top of the checkout."""

import argparse
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from coursekit.cli import show
from tests import bench
from tests.bench.timing import Row


def main() -> int:
    """Measure every operation that has a peer, or grading against plain nbgrader; print rows as they come."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench", description="Speed against the named peers, as ratios in one run."
    )
    parser.add_argument("suite", choices=("ops", "grade"))
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the rows here")
    options = parser.parse_args()
    try:
        records = [asdict(row) for row in rows()] if options.suite == "ops" else [grading()]
    except ModuleNotFoundError as error:
        peer = f"expected every peer to be installed, got no module {error.name}"
        print(f"{peer}: `pip install -e '.[lab,grade,test]'` brings them", file=sys.stderr)
        return 1
    show(records, file=options.json)
    return 0


def rows() -> Iterator[Row]:
    """The rows of every module of ``tests.bench`` that has a function ``rows``."""
    for module in pkgutil.iter_modules(bench.__path__):
        if module.name != "__main__":
            for row in getattr(importlib.import_module(f"{bench.__name__}.{module.name}"), "rows", tuple)():
                print(f"{row.name} against {row.peer}: {row.ratio:.2f}", file=sys.stderr, flush=True)
                yield row


def grading() -> dict[str, object]:
    """The one row of grading."""
    from tests.bench import grade

    return grade.measure()


if __name__ == "__main__":
    sys.exit(main())
