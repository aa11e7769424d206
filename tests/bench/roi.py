"""RoIAlign and RoIPool against torchvision, on one thread: 256 channels, boxes from 20 to 400 pixels in an 800 × 1088
image.
"""

from collections.abc import Iterator
from itertools import product

import torch
import torchvision
from torch import Tensor

from coursekit.ops import roi
from tests.bench.timing import Function, Row, compare, one_thread

MAPS = ((50, 68), (100, 136))
PEER = "torchvision"
SEED = 2024


def rows() -> Iterator[Row]:
    """Forward and backward, forward alone, and RoIPool forward; RoIAlign with 2 points a bin's side and with one a
    cell.
    """
    with one_thread():
        for cells, count, bins, ratio in product(MAPS, (512, 1000), (7, 14), (2, 0)):
            yield _align("roi_align", cells, count, bins, ratio, backward=True)
        for cells, count, bins, ratio in product(MAPS, (100, 512, 1000), (7, 14), (2, 0)):
            yield _align("roi_align_forward", cells, count, bins, ratio, backward=False)
        for cells, count, bins in product(MAPS, (512, 1000), (7, 14)):
            yield _pool(cells, count, bins)


def scene(cells: tuple[int, int], count: int) -> tuple[Tensor, Tensor, float]:
    """A feature map, regions (K, 5) cut to the image, and cells per pixel."""
    g = torch.Generator().manual_seed(SEED + count)
    scale = cells[0] / 800
    size = torch.tensor([cells[1], cells[0]]) / scale
    centre, half = (
        torch.rand(count, 2, generator=g) * size,
        torch.empty(count, 2).uniform_(3.0, 6.0, generator=g).exp() / 2,
    )
    corners = torch.cat([(centre - half).clamp(min=0), torch.minimum(centre + half, size)], 1)
    return torch.randn(1, 256, *cells, generator=g), torch.cat([torch.zeros(count, 1), corners], 1), scale


def _align(name: str, cells: tuple[int, int], count: int, bins: int, ratio: int, *, backward: bool) -> Row:
    features, regions, scale = scene(cells, count)
    features.requires_grad_(backward)
    upstream = torch.randn(count, 256, bins, bins, generator=torch.Generator().manual_seed(SEED))

    def run(pooled: Tensor) -> Tensor:
        return torch.autograd.grad(pooled, features, upstream)[0] if backward else pooled

    def ours() -> Tensor:
        return run(roi.roi_align(features, regions, bins, spatial_scale=scale, sampling_ratio=ratio))

    def theirs() -> Tensor:
        return run(torchvision.ops.roi_align(features, regions, bins, scale, ratio, True))

    return _row(name, ours, theirs, f"{_sizes(cells, count, bins)}, {ratio or 'adaptive'} points")


def _pool(cells: tuple[int, int], count: int, bins: int) -> Row:
    features, regions, scale = scene(cells, count)
    return _row(
        "roi_pool",
        lambda: roi.roi_pool(features, regions, bins, spatial_scale=scale),
        lambda: torchvision.ops.roi_pool(features, regions, bins, scale),
        _sizes(cells, count, bins),
    )


def _row(name: str, ours: Function, theirs: Function, sizes: str) -> Row:
    a, b = ours(), theirs()
    assert isinstance(a, Tensor)
    assert isinstance(b, Tensor)
    error = float((a - b).abs().max() / b.abs().max())
    del a, b
    return compare(name, PEER, ours, theirs, max_error=error, sizes=sizes, repeats=5)


def _sizes(cells: tuple[int, int], count: int, bins: int) -> str:
    return f"map {cells[0]}×{cells[1]}, {count} boxes, {bins}×{bins}"
