"""Convolution by unfolding against ``F.conv3d``, forward, one thread.

Unfolding writes prod(kernel) copies of the input to memory and reads them back; torch's fast path works on blocks
that stay in the cache. So ours takes some 3 to 9 times as long and up to 12 times the memory, and more still with one
group a channel, where the matrix product is of one row. Only at batch 1 on a small map, where torch unfolds too, are
the two level.
"""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from coursekit.ops.conv import conv3d
from tests.bench.timing import Row, compare

SIZES = [  # input, weight, stride, groups
    ((1, 16, 32, 32, 32), (32, 16, 3, 3, 3), 1, 1),
    ((2, 16, 32, 32, 32), (32, 16, 3, 3, 3), 1, 1),
    ((1, 3, 16, 112, 112), (64, 3, 7, 7, 7), 2, 1),
    ((2, 64, 8, 14, 14), (64, 1, 3, 3, 3), 1, 64),
    ((2, 256, 4, 7, 7), (64, 256, 1, 1, 1), 1, 1),
]


def rows(*, repeats: int = 5) -> Iterator[Row]:
    """One row a size of ``SIZES``, on one thread."""
    torch.set_num_threads(1)
    for size, kernel, stride, groups in SIZES:
        g = torch.Generator().manual_seed(0)
        x, weight = torch.randn(size, generator=g), torch.randn(kernel, generator=g) / 100
        ours, theirs = (
            partial(f, x, weight, stride=stride, padding=kernel[-1] // 2, groups=groups) for f in (conv3d, F.conv3d)
        )
        error = (ours() - theirs()).abs().max().item()
        sizes = f"{size} ∗ {kernel}, stride {stride}, groups {groups}"
        yield compare(
            "conv3d by unfolding", "torch F.conv3d", ours, theirs, max_error=error, sizes=sizes, repeats=repeats
        )
