"""Boxes: what they cover, how they are written, how a network names them, and which of them to keep.

A box is ``(x1, y1, x2, y2)``, continuous and half-open, in pixels; see ``coursekit.types`` for the frame. Boxes in
half precision are computed in float32: boxes come back in half, areas and overlaps in float32.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.types import Boxes

FORMATS = ("xyxy", "xywh", "cxcywh")
Weights = tuple[float, float, float, float]
EVEN: Weights = (1.0, 1.0, 1.0, 1.0)


def area(boxes: Boxes) -> Float[Tensor, "N"]:
    """The area of each box, (x2 − x1)(y2 − y1), in pixels²."""
    _check.boxes("boxes", boxes)
    return _area(boxes.to(_check.wide_dtype(boxes)))


def _area(boxes: Tensor) -> Tensor:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def iou(boxes: Boxes, others: Float[Tensor, "M 4"]) -> Float[Tensor, "N M"]:
    """Intersection over union of every box with every other; 0 where both are empty. Differentiable."""
    _check.boxes("boxes", boxes)
    _check.boxes("others", others)
    _check.same_device(boxes=boxes, others=others)
    dtype = _check.wide_dtype(boxes, others)
    boxes, others = boxes.to(dtype), others.to(dtype)
    low = torch.maximum(boxes[:, None, :2], others[None, :, :2])  # (N, M, 2)
    high = torch.minimum(boxes[:, None, 2:], others[None, :, 2:])
    shared = (high - low).clamp(min=0).prod(-1)  # (N, M)
    union = _area(boxes)[:, None] + _area(others)[None] - shared
    return shared / torch.where(union > 0, union, 1)


def convert(boxes: Boxes, *, source: str = "xyxy", target: str = "xyxy") -> Boxes:
    """Rewrite boxes: ``"xyxy"`` (corners), ``"xywh"`` (first corner and size: COCO), ``"cxcywh"`` (centre and size)."""
    _check.tensor("boxes", boxes, "N 4", "pass one row of four numbers a box", of="numbers")
    _check.one_of("source", source, FORMATS)
    _check.one_of("target", target, FORMATS)
    first, second = boxes.to(_check.wide_dtype(boxes)).split(2, 1)
    if source == target:
        return boxes.clone()
    size = second - first if source == "xyxy" else second
    if _check.has_values(size) and bool((size < 0).any()):
        got = f"a size of {float(size.min()):g}"
        raise _check.refuse("boxes of width and height >= 0", got, f"check that they are written as {source}")
    low = first - size / 2 if source == "cxcywh" else first
    high = second if source == "xyxy" else low + size
    halves = {"xyxy": (low, high), "xywh": (low, size), "cxcywh": (low + size / 2, size)}[target]
    return torch.cat(halves, 1).to(boxes.dtype)


def clip(boxes: Boxes, size: tuple[int, int]) -> Boxes:
    """Cut boxes to an image of ``size`` (H, W); one that lies outside becomes an empty box on the border."""
    _check.boxes("boxes", boxes)
    _check.positive("size", size, zero=True)
    height, width = size
    x, y = boxes[:, 0::2].clamp(0, width), boxes[:, 1::2].clamp(0, height)
    return torch.stack([x, y], 2).flatten(1)  # (N, 4): x1, y1, x2, y2


def encode(boxes: Boxes, anchors: Boxes, *, weights: Weights = EVEN) -> Float[Tensor, "N 4"]:
    """The offsets (dx, dy, dw, dh) that lead from each anchor to its box, times the weights.

    dx = (x − x_a) / w_a, dw = log(w / w_a) with centres x and sizes w: Ren et al., "Faster R-CNN", equation 2.
    Boxes and anchors must have a positive width and height.
    """
    _same_count(boxes, anchors, "boxes")
    given, dtype = torch.promote_types(boxes.dtype, anchors.dtype), _check.wide_dtype(boxes, anchors)
    boxes, anchors = boxes.to(dtype), anchors.to(dtype)
    centre, size = _centre_and_size("boxes", boxes)
    anchor_centre, anchor_size = _centre_and_size("anchors", anchors)
    offsets = torch.cat([(centre - anchor_centre) / anchor_size, (size / anchor_size).log()], 1)
    return (offsets * offsets.new_tensor(weights)).to(given)


def decode(
    offsets: Float[Tensor, "N 4"], anchors: Boxes, *, weights: Weights = EVEN, max_log_scale: float = math.log(62.5)
) -> Boxes:
    """The boxes that the offsets lead to: ``decode(encode(boxes, anchors), anchors)`` gives the boxes back.

    dw and dh are held at ``max_log_scale``, log(1000 / 16), so that an untrained network's exp cannot overflow.
    """
    _check.tensor("offsets", offsets, "N 4", "pass one row (dx, dy, dw, dh) an anchor", of="numbers")
    _same_count(offsets, anchors, "offsets")
    _check.boxes("anchors", anchors)
    given, dtype = torch.promote_types(offsets.dtype, anchors.dtype), _check.wide_dtype(offsets, anchors)
    offsets, anchors = offsets.to(dtype), anchors.to(dtype)
    shift, log_scale = (offsets / offsets.new_tensor(weights)).split(2, 1)
    low, high = anchors.split(2, 1)
    centre = (low + high) / 2 + shift * (high - low)
    half = (high - low) * log_scale.clamp(max=max_log_scale).exp() / 2
    return torch.cat([centre - half, centre + half], 1).to(given)


def _same_count(rows: Tensor, anchors: Tensor, name: str) -> None:
    _check.same_device(**{name: rows, "anchors": anchors})
    if len(rows) != len(anchors):
        got = f"{len(rows)} and {len(anchors)}"
        raise _check.refuse(f"as many {name} as anchors", got, "pair them first, row by row")


def _centre_and_size(name: str, boxes: Tensor) -> tuple[Tensor, Tensor]:
    _check.boxes(name, boxes)
    low, high = boxes.split(2, 1)
    if _check.has_values(boxes) and bool((low == high).any()):
        expected = f"{name} of positive width and height"
        raise _check.refuse(expected, "an empty box", "drop empty boxes: they have no logarithm")
    return (low + high) / 2, high - low


def anchors(
    feature_size: tuple[int, int],
    *,
    stride: float,
    sizes: Sequence[float],
    ratios: Sequence[float] = (0.5, 1.0, 2.0),
    device: torch.device | str | None = None,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "A 4"]:
    """The boxes a region proposal network starts from: every size with every ratio, at every feature cell's centre.

    ``sizes`` are √area in input pixels, ``ratios`` height over width, ``stride`` input pixels a cell. Row order: cell
    by cell in reading order, then size, then ratio. Faster R-CNN, section 3.1.1. Neither clipped nor rounded
    (torchvision rounds them and centres them on the cell's corner).
    """
    _check.positive("feature_size", feature_size)
    _check.positive("stride", stride)
    _check.positive("sizes", sizes)
    _check.positive("ratios", ratios)
    wide = torch.promote_types(dtype, torch.float32)
    root = torch.tensor(ratios, device=device, dtype=wide).sqrt()
    side = torch.tensor(sizes, device=device, dtype=wide)[:, None]
    half = torch.stack([side / root, side * root], 2).flatten(0, 1) / 2  # (sizes · ratios, 2): width, height
    y, x = ((torch.arange(n, device=device, dtype=wide) + 0.5) * stride for n in feature_size)
    centre = torch.stack(torch.meshgrid(x, y, indexing="xy"), 2).view(-1, 1, 2)  # (H·W, 1, 2)
    return torch.cat([centre - half, centre + half], 2).flatten(0, 1).to(dtype)
