"""Non-maximum suppression against torchvision, on one thread: boxes spread out, and crowded around objects."""

from collections.abc import Iterator
from itertools import product

import torch
import torchvision
from torch import Tensor

from coursekit.ops.nms import batched_nms
from tests.bench.timing import Row, compare, one_thread

SEED = 2024
SIZE = torch.tensor([1333.0, 800.0])


def rows() -> Iterator[Row]:
    """1,000 to 20,000 boxes of 1, 3 and 80 classes at IoU 0.5; plain suppression is the row of one class."""
    with one_thread():
        for crowded, count, classes in product((False, True), (1000, 2000, 5000, 10_000, 20_000), (1, 3, 80)):
            yield _suppress(count, classes, crowded)


def scene(count: int, *, crowded: bool) -> tuple[Tensor, Tensor]:
    """Boxes of 16 to 245 pixels a side with scores; ``crowded``: fifty around each object, moved by 8 % of its size."""
    g = torch.Generator().manual_seed(SEED + count)
    objects = count // 50 if crowded else count
    centre, size = (
        torch.rand(objects, 2, generator=g) * SIZE,
        torch.empty(objects, 2).uniform_(2.8, 5.5, generator=g).exp(),
    )
    boxes = torch.cat([centre - size / 2, centre + size / 2], 1)
    if crowded:
        own = torch.randint(objects, (count,), generator=g)
        boxes = boxes[own] + torch.randn(count, 4, generator=g) * 0.08 * size[own].repeat(1, 2)
    low, high = torch.minimum(boxes[:, :2], boxes[:, 2:]), torch.maximum(boxes[:, :2], boxes[:, 2:])
    return torch.cat([low, high], 1), torch.rand(count, generator=g)


def _suppress(count: int, classes: int, crowded: bool) -> Row:
    boxes, scores = scene(count, crowded=crowded)
    labels = torch.randint(classes, (count,), generator=torch.Generator().manual_seed(SEED))
    ours, theirs = (f(boxes, scores, labels, 0.5) for f in (batched_nms, torchvision.ops.batched_nms))
    return compare(
        "batched_nms",
        "torchvision",
        lambda: batched_nms(boxes, scores, labels, 0.5),
        lambda: torchvision.ops.batched_nms(boxes, scores, labels, 0.5),
        max_error=float(len(set(ours.tolist()) ^ set(theirs.tolist()))),  # boxes kept by one alone
        sizes=f"{count} boxes, {classes} classes, {'crowded' if crowded else 'spread'}, {len(ours)} kept",
    )
