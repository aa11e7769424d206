"""Regions of interest: from a box of any size to a fixed grid of features.

RoIPool snaps the box to the cells of the feature map and takes the largest value of each bin (Girshick 2015, "Fast
R-CNN", section 2.1). RoIAlign snaps nothing: it reads the map between the cells and averages (He et al. 2017, "Mask
R-CNN", section 3).

One sentence holds all of RoIAlign: every output value is a weighted sum of cells, and the weights do not depend on
the features. For one box and one channel F that is ``W_y F W_xᵀ`` (``roi_align_dense``); for all boxes it is one
sparse matrix times the map, and the gradient is its transpose times the gradient (``roi_align``).

Positions are in cells of the feature map, and cell h sits at position h.
"""

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Integer
from torch import Tensor, nn

from coursekit import _check
from coursekit.ops.range_maximum import range_maximum
from coursekit.ops.sparse import sparse_product
from coursekit.types import Boxes, FeatureMaps, Image

Regions = Tensor | Sequence[Tensor]  # (K, 5) with the image's number in front, or one (L, 4) an image
CHUNK = 64  # boxes worked on at a time: what they need stays in the cache


# --- reading between the cells
# -------------------------------------------------------------------------------------------


def bilinear(features: Image, y: Float[Tensor, "..."], x: Float[Tensor, "..."]) -> Float[Tensor, "C ..."]:
    """Read a map at positions between its cells: each value is a weighted mean of the four cells around it.

    ``y`` and ``x`` have one shape; the result has it after C. RoIAlign's border rule: up to one cell outside
    the nearest border cell is read, further out the value is 0. Differentiable in features and positions.
    """
    _, height, width = _check.tensor("features", features, "C H W")
    if y.shape != x.shape:
        raise _check.refuse(
            "y and x of one shape", f"{tuple(y.shape)} and {tuple(x.shape)}", "pass one y and one x a point"
        )
    for name, tensor in {"features": features, "y": y, "x": x}.items():
        _check.floating(name, tensor)
        _check.finite(name, tensor)
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

    The hat max(0, 1 − |y − h|) is linear interpolation; each sample fills two cells. The border rule is ``bilinear``'s.
    """
    low, high, part, counts = _neighbours(positions, size)
    weights = positions.new_zeros(*positions.shape[:-1], size)
    return weights.scatter_add(-1, low, (1 - part) * counts).scatter_add(-1, high, part * counts)


# --- RoIAlign
# ------------------------------------------------------------------------------------------------------------


def roi_align_dense(
    features: Image,
    box: Float[Tensor, "4"],
    output_size: int | tuple[int, int],
    *,
    spatial_scale: float = 1.0,
    sampling_ratio: int = 0,
    aligned: bool = True,
) -> Float[Tensor, "C PH PW"]:
    """RoIAlign of one box as it is defined: two small matrices, W_y F W_xᵀ. See ``roi_align``; this one is
    differentiable in the box.
    """
    _check.tensor("box", box, "4")
    _, size = _door(features[None], [box[None]], output_size, spatial_scale)
    dtype = _check.wide_dtype(features, box)
    weights_y, weights_x = _weights(
        box[None].to(dtype), size, features.shape[1:], spatial_scale, sampling_ratio, aligned
    )
    return (weights_y[0] @ features.to(dtype) @ weights_x[0].mT).to(features.dtype)  # (C, PH, PW)


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
    dtype = _check.wide_dtype(features)
    with torch.no_grad():
        corners, image = regions[:, 1:].to(dtype), regions[:, 0].long()
        knobs = (size, features.shape[2:], spatial_scale, sampling_ratio, aligned)
        weights = [(image[k], *_weights(corners[k], *knobs)) for k in _chunks(len(regions))]
    with torch.autocast(features.device.type, enabled=False):
        multiply = sparse_product if features.device.type == "cpu" else _dense_product
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


# --- RoIPool
# -------------------------------------------------------------------------------------------------------------


def snapped_bins(
    boxes: Boxes, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0
) -> tuple[Integer[Tensor, "N PH 2"], Integer[Tensor, "N PW 2"]]:
    """RoIPool's bins as whole cells, half-open ``[first, last)``: rows of cells (N, PH, 2) and columns of cells (N,
    PW, 2).

    The corners are rounded to the nearest cell (halves away from 0) and both end cells belong to the box, so that it
    spans at least one cell; each bin is then widened to whole cells, so neighbouring bins may share one. Not clipped
    to the map.
    """
    _check.boxes("boxes", boxes)
    _check.positive("spatial_scale", spatial_scale)
    return _snapped_bins(boxes.to(_check.wide_dtype(boxes)), _pair(output_size), spatial_scale)


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
    wide = boxes.to(_check.wide_dtype(boxes))
    near, far = _rounded(wide * spatial_scale).split(2, 1)
    snapped = torch.cat([near, far + 1], 1) / spatial_scale
    return ((snapped - wide) * wide.new_tensor([-1.0, -1.0, 1.0, 1.0])).to(boxes.dtype)


def roi_pool(
    features: FeatureMaps, boxes: Regions, output_size: int | tuple[int, int], *, spatial_scale: float = 1.0
) -> Float[Tensor, "K C PH PW"]:
    """Snap each box to whole cells, divide it into PH × PW bins of whole cells, and take the largest value of each.

    Arguments as in ``roi_align``. A bin outside the map gives 0. Equal to ``torchvision.ops.roi_pool`` to the last
    bit. Differentiable once, in the features: the gradient of a bin goes to its largest cell, the first in reading
    order of equals.

    The result is laid out channels last. How the largest values are found: ``coursekit.ops.range_maximum``. The
    backward pass sorts every channel and is slower than torchvision's, which keeps the position of each largest
    value.
    """
    regions, size = _door(features, boxes, output_size, spatial_scale)
    dtype = _check.wide_dtype(features)
    rows, columns = _snapped_bins(regions[:, 1:].to(dtype).detach(), size, spatial_scale)
    image = regions[:, 0].long()
    return range_maximum(features, image, rows, columns)


# --- the door, and the modules
# -------------------------------------------------------------------------------------------


def _pair(size: int | tuple[int, int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    _check.positive("output_size", (height, width))
    return height, width


def _door(
    features: Tensor, boxes: Regions, output_size: int | tuple[int, int], scale: float
) -> tuple[Tensor, tuple[int, int]]:
    """Check what both operations take; return the regions as (K, 5) and the output size as (PH, PW)."""
    n, _, h, w = _check.tensor("features", features, "N C H W")
    _check.floating("features", features)
    _check.finite("features", features)
    _check.positive("the sides of the feature map", (h, w))
    _check.positive("spatial_scale", scale)
    regions = boxes if isinstance(boxes, Tensor) else _numbered(features, boxes)
    _check.tensor(
        "boxes", regions, "K 5", "put the image's number in front of each box, or pass a list with one (L, 4) an image"
    )
    _check.same_device(features=features, boxes=regions)
    _check.boxes("boxes", regions[:, 1:])
    _check.within("the image numbers of boxes", regions[:, 0], 0, n - 1, "number the images of the batch from 0")
    if _check.has_values(regions) and bool((regions[:, 0] % 1 != 0).any()):
        raise _check.refuse(
            "whole image numbers in front of boxes", "a fraction", "number the images of the batch from 0"
        )
    return regions, _pair(output_size)


def _numbered(features: Tensor, boxes: Sequence[Tensor]) -> Tensor:
    if len(boxes) != len(features):
        raise _check.refuse(
            f"one tensor of boxes an image, {len(features)} in all",
            len(boxes),
            "pass an empty (0, 4) where there are none",
        )
    for b in boxes:
        _check.tensor("each tensor of boxes", b, "L 4", "pass one row (x1, y1, x2, y2) a box")
    wide = [b.to(_check.wide_dtype(b)) for b in boxes]  # in half, image 2049 is 2048
    return torch.cat([torch.cat([torch.full_like(b[:, :1], i), b], 1) for i, b in enumerate(wide)])


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
        self,
        output_size: int | tuple[int, int],
        *,
        spatial_scale: float = 1.0,
        sampling_ratio: int = 0,
        aligned: bool = True,
    ) -> None:
        super().__init__()
        self.output_size, self.spatial_scale = output_size, spatial_scale
        self.sampling_ratio, self.aligned = sampling_ratio, aligned

    def forward(self, features: Tensor, boxes: Regions) -> Tensor:
        return roi_align(
            features,
            boxes,
            self.output_size,
            spatial_scale=self.spatial_scale,
            sampling_ratio=self.sampling_ratio,
            aligned=self.aligned,
        )
