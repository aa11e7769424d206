"""All of RoIAlign as one sparse matrix: a row an output bin, a column a feature cell, times the features of the cells.

A row is the product of a bin's weights along the two axes. It is never unfolded to full width: what is stored are the
columns and weights that are not zero, and the product is a weighted sum of rows of the feature table
(``embedding_bag``). The matrix does not depend on the features, so the gradient is the transposed matrix times the
gradient of the bins.
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


class _SparseProduct(torch.autograd.Function):
    """Forward with the matrix, some boxes at a time so that it stays in the cache; backward with its transpose, at
    once.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: Sequence[AxisWeights], size: tuple[int, int]) -> Tensor:
        n, c, h, w = features.shape
        cells = features.permute(0, 2, 3, 1).contiguous().view(n * h * w, c)  # once, or every chunk copies it
        pooled = features.new_empty(sum(len(image) for image, _, _ in weights), c, *size)
        matrices = []
        for part, (image, wy, wx) in zip(pooled.split([len(image) for image, _, _ in weights]), weights):
            counts, columns, values = _sparse_rows(image * (h * w), wy, wx)
            bins = _weighted_sums(cells, counts, columns, values)  # (K·PH·PW, C)
            part.copy_(bins.view(len(image), *size, c).permute(0, 3, 1, 2))
            matrices.append((counts, columns, values))
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


def _sparse_rows(base: Tensor, wy: Tensor, wx: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The rows of the matrix, one a bin (k, p, q): how many cells each has, their columns, and the weights w_y[k, p, h]
    · w_x[k, q, w].
    """
    width = wx.shape[2]
    in_y, in_x = wy != 0, wx != 0
    count_y, count_x = in_y.sum(2)[:, :, None], in_x.sum(2)[:, None, :]  # (K, PH, 1), (K, 1, PW)
    first_y, first_x = (n.flatten().cumsum(0).view(n.shape) - n for n in (count_y, count_x))
    shape = (len(wy), wy.shape[1], wx.shape[1])
    box, _, line = in_y.nonzero().unbind(1)
    start, weight, x, weight_x = base[box] + line * width, wy[in_y], in_x.nonzero()[:, 2], wx[in_x]
    bins, y_entry = _runs(first_y.expand(shape).flatten(), count_y.expand(shape).flatten())
    lines, x_entry = _runs(first_x.expand(shape).flatten()[bins], count_x.expand(shape).flatten()[bins])
    columns = start[y_entry][lines] + x[x_entry]
    return (count_y * count_x).flatten(), columns.int(), weight[y_entry][lines] * weight_x[x_entry]


def _runs(first: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """Runs ``first[i], first[i] + 1 …`` of ``count[i]`` numbers, one after the other: whose each is, and the numbers."""
    owner = torch.repeat_interleave(count)
    shift = first - count.cumsum(0) + count
    return owner, shift[owner] + torch.arange(len(owner), device=owner.device)


def _weighted_sums(table: Tensor, counts: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Sum ``counts[i]`` weighted rows of the table for each i: a sparse matrix times a dense one."""
    offsets = (counts.cumsum(0) - counts).to(rows.dtype)
    return torch.embedding_bag(table, rows, offsets, mode=0, per_sample_weights=weights)[0]
