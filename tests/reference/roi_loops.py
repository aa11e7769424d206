"""RoIPool and RoIAlign as their papers tell them: one box, one bin, one cell at a time."""

import math

import torch
from torch import Tensor


def read(image: Tensor, y: float, x: float) -> Tensor:
    """All channels of (C, H, W) at one position: the hat max(0, 1 − |y − h|) of every cell."""
    _, height, width = image.shape
    total = torch.zeros_like(image[:, 0, 0])
    if not (-1 <= y <= height and -1 <= x <= width):
        return total
    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)
    for i in range(height):
        for j in range(width):
            total += max(0.0, 1 - abs(y - i)) * max(0.0, 1 - abs(x - j)) * image[:, i, j]
    return total


def roi_align(
    features: Tensor, boxes: Tensor, bins: tuple[int, int], scale: float, ratio: int, aligned: bool
) -> Tensor:
    out = features.new_zeros(len(boxes), features.shape[1], *bins)
    for k, (n, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (c * scale - (0.5 if aligned else 0.0) for c in corners)
        height, width = y2 - y1, x2 - x1
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        bin_h, bin_w = height / bins[0], width / bins[1]
        rows, columns = ratio or math.ceil(bin_h), ratio or math.ceil(bin_w)
        for p in range(bins[0]):
            for q in range(bins[1]):
                points = [(i, j) for i in range(rows) for j in range(columns)]
                for i, j in points:
                    y, x = y1 + bin_h * (p + (i + 0.5) / rows), x1 + bin_w * (q + (j + 0.5) / columns)
                    out[k, :, p, q] += read(features[int(n)], y, x) / len(points)
    return out


def roi_pool(features: Tensor, boxes: Tensor, bins: tuple[int, int], scale: float) -> Tensor:
    out = features.new_zeros(len(boxes), features.shape[1], *bins)
    for k, (n, *corners) in enumerate(boxes.tolist()):
        x1, y1, x2, y2 = (math.floor(c * scale + 0.5) if c >= 0 else math.ceil(c * scale - 0.5) for c in corners)
        bin_h, bin_w = (y2 - y1 + 1) / bins[0], (x2 - x1 + 1) / bins[1]
        for p in range(bins[0]):
            for q in range(bins[1]):
                rows = range(max(0, y1 + math.floor(p * bin_h)), max(0, y1 + math.ceil((p + 1) * bin_h)))
                columns = range(max(0, x1 + math.floor(q * bin_w)), max(0, x1 + math.ceil((q + 1) * bin_w)))
                cells = features[int(n)][:, rows.start : rows.stop, columns.start : columns.stop]
                if cells.numel():
                    out[k, :, p, q] = cells.amax((1, 2))
    return out
