"""Regions of interest: from a box of any size to a fixed grid of features.

RoIPool snaps the box to the cells of the feature map and takes the largest value of each bin (Girshick 2015, "Fast
R-CNN", section 2.1). RoIAlign snaps nothing: it reads the map between the cells at a few points of each bin and
averages (He et al. 2017, "Mask R-CNN", section 3). Each is here once as its definition, for one box, and once for all
boxes, where ``coursekit.fast.maxima`` and ``coursekit.fast.sparse`` do the work.

One sentence holds all of RoIAlign: an output value is a weighted sum of cells, the weights independent of the features.

Positions are in cells of the feature map, and the value of cell h is read at position h. A box counts from the edge of
cell 0, half a cell before that value, hence the 0.5 that ``aligned=True`` takes off.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from coursekit import _check
from coursekit.fast.maxima import range_maximum
from coursekit.fast.sparse import AxisWeights, dense_product, sparse_product
from coursekit.types import Boxes, FeatureMaps, Image

Size = int | tuple[int, int]
Regions = Tensor | Sequence[Tensor]  # (K, 5) with the image's number in front, or one (L, 4) an image
CHUNK = 64  # boxes worked on at a time: what they need stays in the cache


# --- reading between the cells ---


def bilinear(features: Image, y: Float[Tensor, "..."], x: Float[Tensor, "..."]) -> Float[Tensor, "C ..."]:
    """Read a map at positions between its cells: each value is a weighted mean of the four cells around it.

    ``y`` and ``x`` have one shape; the result has it after C. RoIAlign's border rule: up to one cell outside
    the nearest border cell is read, further out the value is 0. Differentiable in features and positions.
    """
    _, height, width = _check.tensor("features", features, "C H W")
    _check.same_shape("pass one y and one x a point", y=y, x=x)
    for name, tensor in {"features": features, "y": y, "x": x}.items():
        _check.numbers(name, tensor)
    _check.same_device(features=features, y=y, x=x)
    given, dtype = features.dtype, _check.wide_dtype(features, y, x)
    features = features.to(dtype)
    top, bottom, dy, in_y = _neighbours(y.to(dtype), height)
    left, right, dx, in_x = _neighbours(x.to(dtype), width)
    upper = features[:, top, left] * (1 - dx) + features[:, top, right] * dx  # (C, ...)
    lower = features[:, bottom, left] * (1 - dx) + features[:, bottom, right] * dx
    return ((upper * (1 - dy) + lower * dy) * (in_y & in_x)).to(given)


def _neighbours(position: Tensor, size: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The cell below a position, the cell above it, how far it is from the first, and whether it counts at all."""
    counts = (position >= -1) & (position <= size)
    position = position.clamp(0, size - 1)
    low = position.detach().long()
    return low, (low + 1).clamp(max=size - 1), position - low, counts


def hat_weights(positions: Float[Tensor, "*K P S"], size: int) -> Float[Tensor, "*K P {size}"]:
    """The weight of each of ``size`` cells in the sum of a bin's S samples: w[p, h] = Σ_s max(0, 1 − |y_ps − h|).

    The hat max(0, 1 − |y − h|) is linear interpolation; each sample fills two cells. A sample at
    most one cell outside the map counts as one on its border, one further out not at all, as in ``bilinear``.
    """
    low, high, part, counts = _neighbours(positions, size)
    weights = positions.new_zeros(*positions.shape[:-1], size)
    return weights.scatter_add(-1, low, (1 - part) * counts).scatter_add(-1, high, part * counts)


# --- RoIAlign ---


def roi_align_by_definition(
    features: Image,
    box: Float[Tensor, "4"],
    output_size: Size,
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Float[Tensor, "C PH PW"]:
    """RoIAlign of one box: two small matrices, W_y F W_xᵀ. Differentiable in the features and the box."""
    _, (bins_y, bins_x) = _door(features[None], [box[None]], output_size, spatial_scale)
    dtype = _check.wide_dtype(features, box)
    x1, y1, x2, y2 = box.to(dtype) * spatial_scale - (0.5 if aligned else 0.0)
    height, width = y2 - y1, x2 - x1
    if not aligned:
        height, width = height.clamp(min=1), width.clamp(min=1)
    w_y = bin_weights(y1, height, bins_y, features.shape[1], sampling_ratio)  # (PH, H)
    w_x = bin_weights(x1, width, bins_x, features.shape[2], sampling_ratio)  # (PW, W)
    return (w_y @ features.to(dtype) @ w_x.T).to(features.dtype)


def bin_weights(start: Tensor, length: Tensor, bins: int, cells: int, points: int) -> Float[Tensor, "*K P H"]:
    """How much each cell counts for each bin of a stretch of an axis: the mean of the hats of the bin's points.

    ``points`` are spread evenly in a bin; 0: one per cell it is long, rounded up.
    """
    bin_length = (length / bins)[..., None]  # (*K, 1)
    count = torch.full_like(bin_length, points) if points > 0 else bin_length.detach().ceil()
    # no shape of the result depends on the largest count, so where there is no value to look at 1 will do
    most = int(count.max()) if count.numel() and _check.has_values(count) else 1
    point = torch.arange(most, device=start.device)  # (S,)
    within = (point + 0.5) * bin_length / count.clamp(min=1)  # (*K, S)
    within = torch.where(point < count, within, torch.inf)  # a shorter bin has fewer points
    first = start[..., None] + torch.arange(bins, device=start.device) * bin_length  # (*K, P)
    return hat_weights(within[..., None, :] + first[..., :, None], cells) / count.clamp(min=1)[..., None]


def roi_align(
    features: FeatureMaps,
    boxes: Regions,
    output_size: Size,
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
    dtype = _check.wide_dtype(features)

    def axis_weights(part: Tensor) -> AxisWeights:
        x1, y1, x2, y2 = (part[:, 1:].to(dtype) * spatial_scale - (0.5 if aligned else 0.0)).unbind(1)
        height, width = ((last - first).clamp(min=0 if aligned else 1) for first, last in ((y1, y2), (x1, x2)))
        w_y = bin_weights(y1, height, size[0], features.shape[2], sampling_ratio)  # (K, PH, H)
        w_x = bin_weights(x1, width, size[1], features.shape[3], sampling_ratio)  # (K, PW, W)
        return part[:, 0].long(), w_y, w_x

    with torch.no_grad():
        weights = [axis_weights(part) for part in regions.split(CHUNK) if len(part)]
    with torch.autocast(features.device.type, enabled=False):
        product = sparse_product if features.device.type == "cpu" else dense_product
        return product(features.to(dtype), weights, size).to(features.dtype)


# --- RoIPool ---


def roi_pool_by_definition(
    features: Image, box: Float[Tensor, "4"], output_size: Size, *, spatial_scale: float = 1.0
) -> Float[Tensor, "C PH PW"]:
    """RoIPool of one box: the largest value of each bin of whole cells, 0 for a bin outside the map."""
    channels, height, width = features.shape
    rows, columns = snapped_bins(box[None], output_size, spatial_scale=spatial_scale)
    pooled = features.new_zeros(channels, rows.shape[1], columns.shape[1])
    for p, (top, bottom) in enumerate(rows[0].clamp(0, height).tolist()):
        for q, (left, right) in enumerate(columns[0].clamp(0, width).tolist()):
            if top < bottom and left < right:
                pooled[:, p, q] = features[:, top:bottom, left:right].amax((1, 2))
    return pooled


def snapped_bins(
    boxes: Boxes, output_size: Size, *, spatial_scale: float = 1.0
) -> tuple[Integer[Tensor, "N PH 2"], Integer[Tensor, "N PW 2"]]:
    """RoIPool's bins as whole cells, half-open ``[first, last)``: of rows (N, PH, 2) and of columns (N, PW, 2).

    The corners are rounded to the nearest cell (halves away from 0) and both end cells belong to the box, so that it
    spans at least one cell; each bin is then widened to whole cells: neighbours may share one. Not clipped to the map.
    """
    _check.boxes("boxes", boxes)
    _check.positive("spatial_scale", spatial_scale)
    size = _pair(output_size)
    x1, y1, x2, y2 = _rounded(boxes.to(_check.wide_dtype(boxes)) * spatial_scale).unbind(1)
    return _snapped_axis(y1, y2, size[0]), _snapped_axis(x1, x2, size[1])


def _rounded(x: Tensor) -> Tensor:
    """Round halves away from zero (``torch.round`` takes them to the even neighbour)."""
    whole = x.trunc()
    return whole + ((x - whole).abs() >= 0.5) * x.sign()


def _snapped_axis(first: Tensor, last: Tensor, bins: int) -> Tensor:
    bin_length = ((last - first + 1) / bins)[:, None]  # (K, 1), in cells
    edge = torch.arange(bins + 1, device=first.device)
    edges = torch.stack([(edge[:-1] * bin_length).floor(), (edge[1:] * bin_length).ceil()], 2)  # (K, P, 2)
    return (edges + first[:, None, None]).long()


def snapping_error(boxes: Boxes, *, spatial_scale: float = 1.0) -> Float[Tensor, "N 4"]:
    """How far RoIPool moves each edge (x1, y1, x2, y2) outwards (negative: inwards), in input pixels.

    The snapped box runs from the near side of its first cell to the far side of its last.
    """
    _check.boxes("boxes", boxes)
    _check.positive("spatial_scale", spatial_scale)
    wide = boxes.to(_check.wide_dtype(boxes))
    near, far = _rounded(wide * spatial_scale).split(2, 1)
    snapped = torch.cat([near, far + 1], 1) / spatial_scale
    return ((snapped - wide) * wide.new_tensor([-1.0, -1.0, 1.0, 1.0])).to(boxes.dtype)


def roi_pool(
    features: FeatureMaps, boxes: Regions, output_size: Size, *, spatial_scale: float = 1.0
) -> Float[Tensor, "K C PH PW"]:
    """Snap each box to whole cells, divide it into PH × PW bins of whole cells, and take the largest value of each.

    Arguments as in ``roi_align``. A bin outside the map gives 0. Equal to ``torchvision.ops.roi_pool`` to the last
    bit. Differentiable once, in the features: the gradient of a bin goes to its largest cell, the first in reading
    order of equals. The result is laid out channels last. The backward pass sorts every channel and is slower than
    torchvision's, which keeps the position of each largest value.
    """
    regions, size = _door(features, boxes, output_size, spatial_scale)
    corners = regions[:, 1:].to(_check.wide_dtype(features)).detach()
    rows, columns = snapped_bins(corners, size, spatial_scale=spatial_scale)
    return range_maximum(features, regions[:, 0].long(), rows, columns)


# --- the door ---


def _pair(size: Size) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    _check.positive("output_size", (height, width))
    return height, width


def _door(features: Tensor, boxes: Regions, output_size: Size, scale: float) -> tuple[Tensor, tuple[int, int]]:
    """Check what both operations take; return the regions as (K, 5) and the output size as (PH, PW)."""
    n, _, h, w = _check.tensor("features", features, "N C H W", of="numbers")
    _check.positive("the sides of the feature map", (h, w))
    _check.positive("spatial_scale", scale)
    if not isinstance(boxes, Tensor):
        if len(boxes) != len(features):
            expected = f"one tensor of boxes an image, {len(features)} in all"
            raise _check.refuse(expected, len(boxes), "pass an empty (0, 4) where there are none")
        for b in boxes:
            _check.tensor("each tensor of boxes", b, "L 4", "pass one row (x1, y1, x2, y2) a box")
        wide = [b.to(_check.wide_dtype(b)) for b in boxes]  # in half, image 2049 is 2048
        boxes = torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(wide)])
    advice = "put the image's number in front of each box, or pass a list with one (L, 4) an image"
    _check.tensor("boxes", boxes, "K 5", advice)
    _check.same_device(features=features, boxes=boxes)
    _check.boxes("boxes", boxes[:, 1:])
    _check.within("the image numbers of boxes", boxes[:, 0], 0, n - 1, "number the images of the batch from 0")
    if _check.has_values(boxes) and bool((boxes[:, 0] % 1 != 0).any()):
        expected = "whole image numbers in front of boxes"
        raise _check.refuse(expected, "a fraction", "number the images of the batch from 0")
    return boxes, _pair(output_size)
