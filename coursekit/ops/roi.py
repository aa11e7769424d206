"""Regions of interest: from a box of any size to a fixed grid of features.

RoIPool snaps the box to the cells of the feature map and takes the largest value of each bin (Girshick 2015, "Fast R-CNN",
section 2.1). RoIAlign snaps nothing: it reads the map between the cells and averages (He et al. 2017, "Mask R-CNN", section 3).

One sentence holds all of RoIAlign: every output value is a weighted sum of cells, and the weights do not depend on the features.
For one box and one channel F that is ``W_y F W_xᵀ`` (``roi_align_dense``); for all boxes it is one sparse matrix times the map,
and the gradient is its transpose times the gradient (``roi_align``).

Positions are in cells of the feature map, and cell h sits at position h.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from coursekit import _check
from coursekit.types import Boxes, FeatureMaps, Image

Regions = Tensor | Sequence[Tensor]  # (K, 5) with the image's number in front, or one (L, 4) an image
CHUNK = 64  # boxes worked on at a time: what they need stays in the cache


# --- reading between the cells -------------------------------------------------------------------------------------------


def bilinear(features: Image, y: Float[Tensor, "..."], x: Float[Tensor, "..."]) -> Float[Tensor, "C ..."]:
    """Read a map at positions between its cells: each value is a weighted mean of the four cells around it.

    ``y`` and ``x`` have one shape; the result has it after C. RoIAlign's border rule: up to one cell outside
    the nearest border cell is read, further out the value is 0. Differentiable in features and positions.
    """
    _, height, width = _check.tensor("features", features, "C H W")
    if y.shape != x.shape:
        raise _check.refuse("y and x of one shape", f"{tuple(y.shape)} and {tuple(x.shape)}", "pass one y and one x a point")
    for name, tensor in {"features": features, "y": y, "x": x}.items():
        _check.floating(name, tensor)
        _check.finite(name, tensor)
    _check.same_device(features=features, y=y, x=x)
    top, bottom, dy, in_y = _neighbours(y, height)
    left, right, dx, in_x = _neighbours(x, width)
    upper = features[:, top, left] * (1 - dx) + features[:, top, right] * dx  # (C, ...)
    lower = features[:, bottom, left] * (1 - dx) + features[:, bottom, right] * dx
    return (upper * (1 - dy) + lower * dy) * (in_y & in_x)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cell below a position, the cell above it, how far it is from the first, and whether it counts at all."""
    counts = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.detach().long()
    return low, (low + 1).clamp(max=size - 1), position - low, counts


def hat_weights(positions: Float[Tensor, "*K P S"], size: int) -> Float[Tensor, "*K P {size}"]:
    """The weight of each of ``size`` cells in the sum of a bin's S samples: w[p, h] = Σ_s max(0, 1 − |y_ps − h|).

    The hat max(0, 1 − |y − h|) is linear interpolation; each sample fills two cells. The border rule is ``bilinear``'s.
    """
    low, high, part, counts = _neighbours(positions, size)
    weights = positions.new_zeros(*positions.shape[:-1], size)
    return weights.scatter_add(-1, low, (1 - part) * counts).scatter_add(-1, high, part * counts)


# --- RoIAlign ------------------------------------------------------------------------------------------------------------


def roi_align_dense(
    features: Image,
    box: Float[Tensor, "4"],
    output_size: int | tuple[int, int],
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Float[Tensor, "C PH PW"]:
    """RoIAlign of one box as it is defined: two small matrices, W_y F W_xᵀ. See ``roi_align``; this one is differentiable in the box."""
    _check.tensor("box", box, "4")
    _, size = _door(features[None], [box[None]], output_size, spatial_scale)
    weights_y, weights_x = _weights(box[None], size, features.shape[1:], spatial_scale, sampling_ratio, aligned)
    return weights_y[0] @ features @ weights_x[0].mT  # (C, PH, PW)


def roi_align(
    features: FeatureMaps,
    boxes: Regions,
    output_size: int | tuple[int, int],
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Float[Tensor, "K C PH PW"]:
    """Cut each box into PH × PW bins and average the features at a few points of each, read between the cells.

    ``boxes`` is (K, 5), the image's number then x1, y1, x2, y2 in input pixels, or a list with one (L, 4) an image;
    ``spatial_scale`` is cells per input pixel (1/16 at stride 16). ``sampling_ratio`` points are read along each side
    of a bin; 0 reads one per cell, rounded up. ``aligned=True`` puts the centre of cell 0 at half a cell (the frame of
    ``coursekit.types``); ``False`` is the published first version, half a cell off and never smaller than one cell.
    A box of zero size read with ``sampling_ratio=0`` has no point to read and gives 0 when aligned.

    Differentiable once, in the features alone. Half precision is computed in float32 and given back in half.
    """
    regions, size = _door(features, boxes, output_size, spatial_scale)
    dtype = torch.promote_types(features.dtype, torch.float32)
    with torch.no_grad():
        corners, image = regions[:, 1:].to(dtype), regions[:, 0].long()
        knobs = (size, features.shape[2:], spatial_scale, sampling_ratio, aligned)
        weights = [(image[k], *_weights(corners[k], *knobs)) for k in _chunks(len(regions))]
    with torch.autocast(features.device.type, enabled=False):
        multiply = _SparseProduct.apply if features.device.type == "cpu" else _dense_product
        return multiply(features.to(dtype), weights, size).to(features.dtype)


def _weights(
    corners: Tensor, bins: tuple[int, int], cells: Sequence[int], scale: float, ratio: int, aligned: bool
) -> tuple[Tensor, Tensor]:
    """W_y (K, PH, H) and W_x (K, PW, W) of each box: the mean of the hats of each bin's samples."""
    x1, y1, x2, y2 = (corners * scale - (0.5 if aligned else 0.0)).unbind(1)
    least = 0.0 if aligned else 1.0
    return (
        _axis_weights(y1, (y2 - y1).clamp(min=least), bins[0], cells[0], ratio),
        _axis_weights(x1, (x2 - x1).clamp(min=least), bins[1], cells[1], ratio),
    )


def _axis_weights(start: Tensor, length: Tensor, bins: int, cells: int, ratio: int) -> Tensor:
    width = (length / bins)[:, None]  # (K, 1)
    count = torch.full_like(width, ratio) if ratio > 0 else width.detach().ceil()
    sample = torch.arange(_most(count), device=start.device)  # (S,)
    within = (sample + 0.5) * width / count.clamp(min=1)  # (K, S)
    edges = start[:, None] + torch.arange(bins, device=start.device) * width  # (K, P)
    positions = torch.where(sample < count, within, torch.inf)[:, None, :] + edges[:, :, None]  # (K, P, S)
    return hat_weights(positions, cells) / count.clamp(min=1)[:, :, None]


def _most(count: Tensor) -> int:
    """The largest of the counts; 1 where there is no value to look at, as no shape of the result depends on it."""
    return int(count.max()) if len(count) and _check.has_values(count) else 1


def _chunks(count: int) -> Iterator[slice]:
    return (slice(first, first + CHUNK) for first in range(0, count, CHUNK))


def _dense_product(features: Tensor, weights: list[tuple[Tensor, Tensor, Tensor]], size: tuple[int, int]) -> Tensor:
    """All boxes by two matrix products a chunk: what a GPU likes, and no shape depends on a value."""
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
    """The matrix of all boxes (a row an output bin, a column a cell) times the map, as sums of weighted rows (``embedding_bag``)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weights: list[tuple[Tensor, Tensor, Tensor]], size: tuple[int, int]) -> Tensor:
        n, c, h, w = features.shape
        cells = features.permute(0, 2, 3, 1).contiguous().view(n * h * w, c)  # once, or every chunk copies it
        pooled = features.new_empty(sum(len(image) for image, _, _ in weights), c, *size)
        matrices = []
        for chunk, (image, wy, wx) in zip(_chunks(len(pooled)), weights):
            counts, columns, values = _sparse_rows(image * (h * w), wy, wx)
            bins = _weighted_sums(cells, counts, columns, values)  # (K·PH·PW, C)
            pooled[chunk] = bins.view(len(image), -1, c).mT.view(-1, c, *size)
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
    """The rows of the matrix, one a bin (k, p, q): how many cells each has, their columns, and the weights w_y[k, p, h] · w_x[k, q, w]."""
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


# --- RoIPool -------------------------------------------------------------------------------------------------------------


def snapped_bins(
    boxes: Boxes, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0
) -> tuple[Integer[Tensor, "N PH 2"], Integer[Tensor, "N PW 2"]]:
    """RoIPool's bins as whole cells, half-open ``[first, last)``: rows of cells (N, PH, 2) and columns of cells (N, PW, 2).

    The corners are rounded to the nearest cell (halves away from 0) and both end cells belong to the box, so that it
    spans at least one cell; each bin is then widened to whole cells, so neighbouring bins may share one. Not clipped to the map.
    """
    _check.boxes("boxes", boxes)
    _check.positive("spatial_scale", spatial_scale)
    return _snapped_bins(boxes, _pair(output_size), spatial_scale)


def _snapped_bins(corners: Tensor, size: tuple[int, int], scale: float) -> tuple[Tensor, Tensor]:
    x1, y1, x2, y2 = _rounded(corners * scale).unbind(1)
    return _snapped_axis(y1, y2, size[0]), _snapped_axis(x1, x2, size[1])


def _rounded(x: Tensor) -> Tensor:
    """Round halves away from zero (``torch.round`` takes them to the even neighbour)."""
    whole = x.trunc()
    return whole + ((x - whole).abs() >= 0.5) * x.sign()


def _snapped_axis(first: Tensor, last: Tensor, bins: int) -> Tensor:
    width = ((last - first + 1) / bins)[:, None]  # (K, 1), in cells
    edge = torch.arange(bins + 1, device=first.device)
    edges = torch.stack([(edge[:-1] * width).floor(), (edge[1:] * width).ceil()], 2)  # (K, P, 2)
    return (edges + first[:, None, None]).long()


def snapping_error(boxes: Boxes, *, spatial_scale: float = 1.0) -> Float[Tensor, "N 4"]:
    """How far RoIPool moves each edge (x1, y1, x2, y2) outwards (negative: inwards), in input pixels.

    The snapped box runs from the near side of its first cell to the far side of its last.
    """
    _check.boxes("boxes", boxes)
    _check.positive("spatial_scale", spatial_scale)
    near, far = _rounded(boxes * spatial_scale).split(2, 1)
    snapped = torch.cat([near, far + 1], 1) / spatial_scale
    return (snapped - boxes) * boxes.new_tensor([-1.0, -1.0, 1.0, 1.0])


def roi_pool(
    features: FeatureMaps, boxes: Regions, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0
) -> Float[Tensor, "K C PH PW"]:
    """Snap each box to whole cells, divide it into PH × PW bins of whole cells, and take the largest value of each.

    Arguments as in ``roi_align``. A bin outside the map gives 0. Equal to ``torchvision.ops.roi_pool`` to the last bit.
    Differentiable once, in the features: the gradient of a bin goes to its largest cell, the first in reading order of equals.

    Every bin is the largest of four windows whose sides are powers of two, and these are made once for all boxes: a sparse
    table (Bender and Farach-Colton 2000, "The LCA problem revisited", section 3) of two dimensions. The backward pass
    does the same with the ranks of the values, and is slower than torchvision's, which keeps the position of each largest value.
    """
    regions, size = _door(features, boxes, output_size, spatial_scale)
    dtype = torch.promote_types(features.dtype, torch.float32)
    rows, columns = _snapped_bins(regions[:, 1:].to(dtype).detach(), size, spatial_scale)
    image = regions[:, 0].long()
    pooled: Tensor = _RangeMaximum.apply(features, image, rows, columns)
    return pooled


class _RangeMaximum(torch.autograd.Function):
    """The largest value of each bin, and the way back to the cell that holds it."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
        cells = features.permute(0, 2, 3, 1).contiguous()
        ctx.save_for_backward(cells, image, rows, columns)
        largest, empty = _range_maximum(cells, image, rows, columns)  # (K·PH·PW, C)
        largest.masked_fill_(empty[:, None], 0)
        return largest.view(len(image), rows.shape[1], columns.shape[1], -1).permute(0, 3, 1, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        cells, image, rows, columns = ctx.saved_tensors
        n, h, w, c = cells.shape
        order = cells.view(-1, c).argsort(dim=0, descending=True, stable=True)  # of equals the first in reading order leads
        places = torch.arange(n * h * w - 1, -1, -1, device=order.device)[:, None].expand_as(order)
        ranks = torch.empty_like(order).scatter_(0, order, places).view(n, h, w, c)  # the largest value has the highest rank
        best, empty = _range_maximum(ranks, image, rows, columns)
        cell = order.gather(0, n * h * w - 1 - best)  # (K·PH·PW, C)
        bins = grad.permute(0, 2, 3, 1).reshape(-1, c).masked_fill(empty[:, None], 0)
        return grad.new_zeros(n * h * w, c).scatter_add_(0, cell, bins).view(n, h, w, c).permute(0, 3, 1, 2), None, None, None


def _range_maximum(cells: Tensor, image: Tensor, rows: Tensor, columns: Tensor) -> tuple[Tensor, Tensor]:
    """The largest cell of each bin (K·PH·PW, C), from maps (N, H, W, C), and which bins are empty."""
    _, height, width, channels = cells.shape
    shape = (len(image), rows.shape[1], columns.shape[1])
    top, bottom = (e.expand(shape).flatten() for e in rows.clamp(0, height)[:, :, None].unbind(-1))
    left, right = (e.expand(shape).flatten() for e in columns.clamp(0, width)[:, None].unbind(-1))
    empty = (bottom <= top) | (right <= left)
    top, left = top.clamp(max=height - 1), left.clamp(max=width - 1)
    bottom, right = torch.maximum(bottom, top + 1), torch.maximum(right, left + 1)
    base = image[:, None, None].expand(shape).flatten() * height
    largest = cells.new_empty(len(base), channels)
    for bins, tall, wide, table in _windows(cells, bottom - top, right - left):
        high, low = (base[bins] + top[bins]) * width, (base[bins] + bottom[bins] - tall) * width
        near, far = left[bins], right[bins] - wide
        largest[bins] = torch.stack([table[high + near], table[high + far], table[low + near], table[low + far]]).amax(0)
    return largest, empty


def _windows(cells: Tensor, tall: Tensor, wide: Tensor) -> Iterator[tuple[Tensor, int, int, Tensor]]:
    """For each size of window that some bins need: those bins, its two sides, and the largest value of the window at every cell."""
    level = torch.stack([tall, wide], 1).log2().long()
    for a in range(_most(level[:, 0]) + 1):
        table = cells
        for b in range(_most(level[:, 1]) + 1):
            bins = (level == torch.tensor([a, b], device=level.device)).all(1).nonzero()[:, 0]
            yield bins, 1 << a, 1 << b, table.flatten(0, 2)
            table = _wider(table, 2, 1 << b)
        cells = _wider(cells, 1, 1 << a)


def _wider(table: Tensor, axis: int, step: int) -> Tensor:
    """Double the window along an axis; a window that would leave the map keeps what it has."""
    size = table.shape[axis]
    if step >= size:
        return table
    both = torch.maximum(table.narrow(axis, 0, size - step), table.narrow(axis, step, size - step))
    return torch.cat([both, table.narrow(axis, size - step, step)], axis)


# --- the door, and the modules -------------------------------------------------------------------------------------------


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    _check.positive("output_size", (height, width))
    return height, width


def _door(features: Tensor, boxes: Regions, output_size: int | tuple[int, int], scale: float) -> tuple[Tensor, tuple[int, int]]:
    """Check what both operations take; return the regions as (K, 5) and the output size as (PH, PW)."""
    n, _, h, w = _check.tensor("features", features, "N C H W")
    _check.floating("features", features)
    _check.finite("features", features)
    _check.positive("the sides of the feature map", (h, w))
    _check.positive("spatial_scale", scale)
    regions = boxes if isinstance(boxes, Tensor) else _numbered(features, boxes)
    _check.tensor("boxes", regions, "K 5", "put the image's number in front of each box, or pass a list with one (L, 4) an image")
    _check.same_device(features=features, boxes=regions)
    _check.boxes("boxes", regions[:, 1:])
    _check.within("the image numbers of boxes", regions[:, 0], 0, n - 1, "number the images of the batch from 0")
    return regions, _pair(output_size)


def _numbered(features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    if len(boxes) != len(features):
        raise _check.refuse(
            f"one tensor of boxes an image, {len(features)} in all", len(boxes), "pass an empty (0, 4) where there are none"
        )
    for b in boxes:
        _check.tensor("each tensor of boxes", b, "L 4", "pass one row (x1, y1, x2, y2) a box")
    return torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(boxes)])


class RoIPool(nn.Module):
    """``roi_pool`` as a layer."""

    def __init__(self, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale

    def forward(self, features: Tensor, boxes: Regions) -> Tensor:
        return roi_pool(features, boxes, self.output_size, spatial_scale=self.spatial_scale)


class RoIAlign(nn.Module):
    """``roi_align`` as a layer."""

    def __init__(
        self, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0, sampling_ratio: int = 0, aligned: bool = True
    ) -> None:
        super().__init__()
        self.output_size, self.knobs = output_size, {"spatial_scale": spatial_scale, "sampling_ratio": sampling_ratio, "aligned": aligned}

    def forward(self, features: Tensor, boxes: Regions) -> Tensor:
        return roi_align(features, boxes, self.output_size, **self.knobs)
