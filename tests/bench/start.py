"""What an import costs, each in a cold process: ``import coursekit``, and the operations, against ``import torch``."""

import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.bench.timing import Row, compare

OURS = {
    "import": "import coursekit",
    "import of the operations": "import coursekit.ops.roi, coursekit.ops.boxes, coursekit.ops.conv, coursekit.losses",
}


def cold(code: str) -> Callable[[], object]:
    """Run ``code`` in a new Python."""
    return lambda: subprocess.run([sys.executable, "-c", code], check=True)


def rows(*, repeats: int = 5) -> Iterator[Row]:
    """The wall ratio is the figure: CPU seconds and memory are the children's, which the parent does not see."""
    for name, code in OURS.items():
        row = compare(
            name, "import torch", cold(code), cold("import torch"), max_error=0.0, sizes=code, repeats=repeats
        )
        yield replace(row, cpu_ratio=math.nan, memory_ratio=math.nan)
