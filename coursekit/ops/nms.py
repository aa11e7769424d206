"""Non-maximum suppression: of boxes that overlap too much, keep the one with the highest score.

Girshick et al. 2014, "Rich feature hierarchies", section 2.3. Lecture 02.
"""

import torch
from jaxtyping import Integer
from torch import Tensor

from coursekit import _check
from coursekit.fast.suppression import survivors, survivors_by_label
from coursekit.ops.boxes import iou
from coursekit.types import Boxes, Labels, Scores


def nms_by_definition(boxes: Boxes, scores: Scores, iou_threshold: float) -> Integer[Tensor, "M"]:
    """From the highest score to the lowest: keep a box if it overlaps no kept box by more than the threshold."""
    overlap = iou(boxes, boxes).tolist()
    kept: list[int] = []
    for i in scores.argsort(descending=True, stable=True).tolist():
        if all(overlap[i][j] <= iou_threshold for j in kept):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def nms(boxes: Boxes, scores: Scores, iou_threshold: float) -> Integer[Tensor, "M"]:
    """The numbers of the boxes to keep, highest score first, of equals the first: ``nms_by_definition``, quickly.

    A box goes if its IoU with a kept one is above (not at) the threshold. Equal to ``torchvision.ops.nms``, ties
    included. How many stay depends on the values, so there is no result for a FakeTensor.
    """
    boxes = _door(boxes, iou_threshold, scores=scores)
    order = scores.argsort(descending=True, stable=True)
    return order[survivors(boxes[order], iou_threshold).sort().values]


def batched_nms(boxes: Boxes, scores: Scores, labels: Labels, iou_threshold: float) -> Integer[Tensor, "M"]:
    """``nms`` within each label: boxes of different labels leave each other alone.

    Equal to torchvision's class-by-class result (for 1,000 boxes and fewer torchvision shifts the classes apart
    instead, and its IoU is then rounded a little differently).
    """
    boxes = _door(boxes, iou_threshold, scores=scores, labels=labels)
    _check.integer("labels", labels)
    order = scores.argsort(descending=True, stable=True)
    return order[survivors_by_label(boxes[order], labels[order], iou_threshold).sort().values]


def _door(boxes: Tensor, threshold: float, **per_box: Tensor) -> Tensor:
    """The boxes in the dtype to compute in."""
    count = _check.boxes("boxes", boxes)
    for name, tensor in per_box.items():
        if _check.tensor(name, tensor, "N") != (count,):
            raise _check.refuse(f"one of {name} a box, {count} in all", len(tensor), "pair them first, row by row")
    _check.numbers("scores", per_box["scores"])
    _check.same_device(boxes=boxes, **per_box)
    if not 0 <= threshold <= 1:
        raise _check.refuse("iou_threshold in [0, 1]", threshold, "0.5 and 0.7 are common")
    return boxes.to(_check.wide_dtype(boxes))
