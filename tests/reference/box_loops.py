"""Overlap and non-maximum suppression by counting: boxes with whole corners cover whole pixels."""

from torch import Tensor


def pixels(box: Tensor) -> set[tuple[int, int]]:
    x1, y1, x2, y2 = map(int, box.tolist())
    return {(y, x) for y in range(y1, y2) for x in range(x1, x2)}


def iou(a: Tensor, b: Tensor) -> float:
    union = pixels(a) | pixels(b)
    return len(pixels(a) & pixels(b)) / len(union) if union else 0.0


def generalized_iou(a: Tensor, b: Tensor) -> float:
    both = [[f(u, v) for u, v in zip(a.tolist(), b.tolist())] for f in (min, max)]
    hull = (both[1][2] - both[0][0]) * (both[1][3] - both[0][1])
    return iou(a, b) - ((hull - len(pixels(a) | pixels(b))) / hull if hull else 0.0)


def nms(boxes: Tensor, scores: Tensor, labels: Tensor, threshold: float) -> list[int]:
    kept: list[int] = []
    for i in sorted(range(len(boxes)), key=lambda i: -float(scores[i])):
        if all(labels[i] != labels[j] or iou(boxes[i], boxes[j]) <= threshold for j in kept):
            kept.append(i)
    return kept
