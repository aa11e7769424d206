"""The largest value of many windows of a map with four look-ups each: RoIPool, ``ops.roi.roi_pool_by_definition``.

Every window is covered by four smaller ones whose sides are powers of two, and the largest values of those are made
once for all, each size from the last by one comparison: a sparse table (Bender and Farach-Colton 2000, "The LCA
problem revisited", section 3) in two dimensions.
"""

from collections.abc import Iterator
from functools import reduce
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from coursekit import _check

PART = 512  # windows looked up at a time: their values stay in the cache


def range_maximum(features: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """The largest value of each window, (K, C, PH, PW), of features (N, C, H, W); 0 for a window outside the map.

    ``rows`` (K, PH, 2) and ``columns`` (K, PW, 2) hold half-open ranges of cells of the map ``image`` (K,).
    The result is laid out channels last. The gradient goes to the largest cell, the first in reading order of equals.
    """
    pooled: Tensor = _RangeMaximum.apply(features, image, rows, columns)
    return pooled


class _RangeMaximum(torch.autograd.Function):
    """Forward with the values; backward with their ranks, which also tell the cell."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        cells = features.permute(0, 2, 3, 1).contiguous()
        ctx.save_for_backward(cells, image, rows, columns)
        largest, empty = _window_maxima(cells, image, rows, columns)  # (K·PH·PW, C)
        largest.masked_fill_(empty[:, None], 0)
        return largest.view(len(image), rows.shape[1], columns.shape[1], cells.shape[3]).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cells, image, rows, columns = ctx.saved_tensors
        n, h, w, c = cells.shape
        count = n * h * w
        order = cells.view(count, c).argsort(dim=0, descending=True, stable=True)  # of equals the first leads
        falling = torch.arange(count - 1, -1, -1, device=order.device, dtype=torch.int32)[:, None].expand_as(order)
        ranks = torch.empty_like(falling).scatter_(0, order, falling)  # the largest value has the highest rank
        best, empty = _window_maxima(ranks.view(n, h, w, c), image, rows, columns)
        cell = order.gather(0, count - 1 - best)  # (K·PH·PW, C)
        bins = grad.permute(0, 2, 3, 1).reshape(-1, c).masked_fill(empty[:, None], 0)
        gradient = grad.new_zeros(count, c).scatter_add_(0, cell, bins)
        return gradient.view(n, h, w, c).permute(0, 3, 1, 2), None, None, None


def _window_maxima(cells: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """The largest cell of each bin (K·PH·PW, C), from maps (N, H, W, C), and which bins are empty."""
    _, height, width, channels = cells.shape
    shape = (len(image), rows.shape[1], columns.shape[1])
    top, bottom = (e.expand(shape).flatten() for e in rows.clamp(0, height)[:, :, None].unbind(-1))
    left, right = (e.expand(shape).flatten() for e in columns.clamp(0, width)[:, None].unbind(-1))
    empty = (bottom <= top) | (right <= left)
    top, left = top.clamp(max=height - 1), left.clamp(max=width - 1)
    bottom, right = torch.maximum(bottom, top + 1), torch.maximum(right, left + 1)
    first = image[:, None, None].expand(shape).flatten()
    largest = cells.new_empty(len(first), channels)
    for bins, table in _tables(cells, bottom - top, right - left):
        tall, wide = height + 1 - table.shape[1], width + 1 - table.shape[2]
        y = torch.stack([top, bottom - tall], 1)[bins]  # (B, 2): the windows flush with both ends
        x = torch.stack([left, right - wide], 1)[bins]
        line_start = (first[bins, None] * table.shape[1] + y) * table.shape[2]
        places = (line_start[:, :, None] + x[:, None]).flatten(1)  # (B, 4)
        for part, four in zip(bins.split(PART), places.split(PART)):
            values = [table.flatten(0, 2).index_select(0, place) for place in four.unbind(1)]
            largest.index_copy_(0, part, reduce(torch.maximum, values))
    return largest, empty


def _tables(cells: Tensor, tall: Tensor, wide: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """For each size of window that some bins need: those bins, and the window's largest value wherever it fits."""
    if not len(tall) or not _check.has_values(tall):  # one group of all bins has the same shapes
        yield torch.arange(len(tall), device=tall.device), cells
        return
    level_y, level_x = (side.double().frexp().exponent - 1 for side in (tall, wide))  # the largest power that fits
    for a in range(int(level_y.max()) + 1):
        table, own = cells, level_x[level_y == a]
        for b in range(int(own.max()) + 1 if len(own) else 0):
            yield ((level_y == a) & (level_x == b)).nonzero()[:, 0], table
            table = _doubled(table, 2, 1 << b)
        cells = _doubled(cells, 1, 1 << a)


def _doubled(table: Tensor, axis: int, step: int) -> Tensor:
    """Double the window along an axis: the larger of two windows side by side."""
    size = max(0, table.shape[axis] - step)
    return torch.maximum(table.narrow(axis, 0, size), table.narrow(axis, table.shape[axis] - size, size))
