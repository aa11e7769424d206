"""RoIAlign of all boxes at once: equal to ``ops.roi.roi_align_by_definition`` box by box.

All bins are one sparse matrix times the map: a row a bin, a column a cell, and in it the product of the bin's weights
along the two axes. The matrix does not depend on the features, so the gradient is its transpose times the gradient of
the bins. Stored are the columns and weights that are not zero; the product is a weighted sum of rows
(``embedding_bag``). A GPU prefers two dense products.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

AxisWeights = tuple[Tensor, Tensor, Tensor]  # of some boxes: the image's number (K,), weights (K, PH, H) and (K, PW, W)


def sparse_product(features: Tensor, weights: Sequence[AxisWeights], size: tuple[int, int]) -> Tensor:
    """Bins (K, C, PH, PW) from features (N, C, H, W) and the axis weights of all boxes, some boxes at a time."""
    pooled: Tensor = _SparseProduct.apply(features, weights, size)
    return pooled


def dense_product(features: Tensor, weights: Sequence[AxisWeights], size: tuple[int, int]) -> Tensor:
    """The same by two matrix products for some boxes at a time; no shape depends on a value."""
    n, c, h, w = features.shape
    rows = features.transpose(1, 2).reshape(n * h, c * w)
    pooled = [features.new_zeros(0, c, *size)]
    for image, wy, wx in weights:
        k = len(image)
        own = torch.arange(n, device=image.device) == image[:, None]  # (K, N)
        wide = (own[:, None, :, None] * wy[:, :, None, :]).reshape(-1, n * h)  # (K·PH, N·H)
        lines = (wide @ rows).reshape(k, -1, w)  # (K, PH·C, W)
        pooled.append((lines @ wx.mT).reshape(k, size[0], c, size[1]).transpose(1, 2))
    return torch.cat(pooled)


class _SparseProduct(torch.autograd.Function):
    """Forward some boxes at a time, so that the matrix stays in the cache; backward with its transpose, at once."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Sequence[AxisWeights], size: tuple[int, int]) -> Tensor:
        n, c, h, w = features.shape
        cells = features.permute(0, 2, 3, 1).contiguous().view(n * h * w, c)  # once, or every part copies it
        boxes = [len(image) for image, _, _ in weights]
        pooled = features.new_empty(sum(boxes), c, *size)
        matrices = []
        for part, (image, wy, wx) in zip(pooled.split(boxes), weights):
            matrix = _sparse_rows(image * (h * w), wy, wx)
            bins = _weighted_sums(cells, *matrix)  # (K·PH·PW, C)
            part.copy_(bins.view(len(image), *size, c).permute(0, 3, 1, 2))
            matrices.append(matrix)
        if ctx.needs_input_grad[0]:
            ctx.shape = features.shape
            ctx.save_for_backward(*(torch.cat(parts) for parts in zip(*matrices)))
        return pooled

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        n, c, h, w = ctx.shape
        if not len(grad):
            return grad.new_zeros(ctx.shape), None, None
        counts, columns, values = ctx.saved_tensors
        rows = torch.repeat_interleave(counts)
        by_column = columns.argsort(stable=True)
        bins = grad.flatten(2).mT.reshape(-1, c)  # (K·PH·PW, C)
        cells = _weighted_sums(bins, columns.bincount(minlength=n * h * w), rows[by_column], values[by_column])
        return cells.view(n, h, w, c).permute(0, 3, 1, 2), None, None


def _sparse_rows(first_cell: Tensor, wy: Tensor, wx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """For each bin (k, p, q), in this order, how many cells it reads; then all their columns; then all their weights.

    ``first_cell`` (K,) is the column of the first cell of the box's image. A bin reads some lines of cells, each with
    a weight of ``wy``, and of each line some cells, each with a weight of ``wx``.
    """
    shape = (len(wy), wy.shape[1], wx.shape[1])  # (K, PH, PW)
    in_y, in_x = wy != 0, wx != 0
    lines, cells = in_y.sum(2)[:, :, None], in_x.sum(2)[:, None, :]  # how many of each: (K, PH, 1), (K, 1, PW)
    first_line, first_of_line = (_running_start(count).expand(shape).flatten() for count in (lines, cells))
    box, _, y = in_y.nonzero().unbind(1)
    line_start, line_weight = first_cell[box] + y * wx.shape[2], wy[in_y]
    cell_x, cell_weight = in_x.nonzero()[:, 2], wx[in_x]

    bin_of, line = _runs(first_line, lines.expand(shape).flatten())
    line_of, cell = _runs(first_of_line[bin_of], cells.expand(shape).flatten()[bin_of])
    columns = line_start[line][line_of] + cell_x[cell]
    return (lines * cells).flatten(), columns.int(), line_weight[line][line_of] * cell_weight[cell]


def _running_start(count: Tensor) -> Tensor:
    """How many come before each, when ``count`` of each stand in one row."""
    return count.flatten().cumsum(0).view(count.shape) - count


def _runs(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Runs ``first[i], first[i] + 1 …`` of ``count[i]`` numbers in one row: whose each is, and the numbers."""
    owner = torch.repeat_interleave(count)
    shift = first - _running_start(count)
    return owner, shift[owner] + torch.arange(len(owner), device=owner.device)


def _weighted_sums(table: Tensor, counts: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Sum ``counts[i]`` weighted rows of the table for each i: a sparse matrix times a dense one."""
    offsets = _running_start(counts).to(rows.dtype)
    return torch.embedding_bag(table, rows, offsets, mode=0, per_sample_weights=weights)[0]
