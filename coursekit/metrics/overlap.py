"""How much two masks share: Dice, intersection over union, and the table of all pairs.

With A the truth and B the prediction, ``IoU = |A ∩ B| / |A ∪ B|`` and ``Dice = 2 |A ∩ B| / (|A| + |B|)``; Dice = 2
IoU / (1 + IoU). Both are 0/0 when both masks are empty: the value then is the argument ``empty``. Results are
float64, so that an IoU of 7/10 is not below a threshold of 0.7. Any rank: ``(*, H, W)`` and ``(*, D, H, W)`` alike.

Source: Jaccard 1912; Dice, Ecology 26 (1945). Lecture 04.
"""

import torch
from jaxtyping import Bool, Float64, Integer
from torch import Tensor

from coursekit import _check

Mask = Bool[Tensor, "*space"]


def dice(truth: Mask, prediction: Mask, *, empty: float = 1.0) -> Float64[Tensor, ""]:
    """Dice coefficient of two masks.

    ``empty`` is the answer for two empty masks: 1 (nothing to find, nothing found) or NaN (leave it out of a mean).
    """
    shared, a, b = _counts(truth, prediction)
    return torch.where(a + b > 0, 2 * shared / (a + b).clamp(min=1), empty)


def iou(truth: Mask, prediction: Mask, *, empty: float = 1.0) -> Float64[Tensor, ""]:
    """Intersection over union of two masks; ``empty`` as in ``dice``."""
    shared, a, b = _counts(truth, prediction)
    return torch.where(a + b > 0, shared / (a + b - shared).clamp(min=1), empty)


def mask_iou(truth: Bool[Tensor, "N *space"], prediction: Bool[Tensor, "M *space"]) -> Float64[Tensor, "N M"]:
    """IoU of every true mask with every predicted one, as one matrix product; 0 for two empty masks."""
    for name, x in (("truth", truth), ("prediction", prediction)):
        _check.boolean(name, x)
    if not truth.ndim or truth.shape[1:] != prediction.shape[1:]:
        got = f"{tuple(truth.shape)} and {tuple(prediction.shape)}"
        raise _check.refuse("truth (N, H, W) and prediction (M, H, W)", got, "bring both to one grid")
    exact = torch.float32 if truth[:1].numel() < 2**24 else torch.float64  # counts below 2**24 are exact in float32
    a, b = (x.reshape(len(x), truth.shape[1:].numel()).to(exact) for x in (truth, prediction))
    shared = (a @ b.T).double()  # (N, M)
    return _table_iou(shared, a.sum(1).double(), b.sum(1).double())


def instance_iou(
    truth: Integer[Tensor, "*space"], prediction: Integer[Tensor, "*space"]
) -> tuple[Float64[Tensor, "N M"], Integer[Tensor, "N"], Integer[Tensor, "M"]]:
    """IoU of every pair of instances of two label maps (0 is background), in one pass over the voxels.

    Returns the table and the labels of its rows and columns, rising. Labels need not be consecutive.
    """
    _check.same_shape("bring both to one grid", truth=truth, prediction=prediction)
    for name, x in (("truth", truth), ("prediction", prediction)):
        _check.integer(name, x)
        _check.within(name, x, 0, torch.inf, "give the background 0 and the instances 1, 2, …")
    rows, a = _with_background(truth)
    columns, b = _with_background(prediction)
    pairs = a * len(columns) + b  # a number for each pair of labels
    table = pairs.bincount(minlength=len(rows) * len(columns)).reshape(len(rows), len(columns)).double()
    return _table_iou(table[1:, 1:], table[1:].sum(1), table[:, 1:].sum(0)), rows[1:], columns[1:]


def _counts(truth: Tensor, prediction: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Voxels in both, in truth, in prediction."""
    _check.same_shape("bring both to one grid", truth=truth, prediction=prediction)
    _check.boolean("truth", truth)
    _check.boolean("prediction", prediction)
    return (truth & prediction).sum().double(), truth.sum().double(), prediction.sum().double()


def _with_background(labels: Tensor) -> tuple[Tensor, Tensor]:
    """The labels that occur, 0 always first, and each voxel's place among them."""
    values, place = torch.unique(torch.cat([labels.new_zeros(1), labels.flatten()]), return_inverse=True)
    return values, place[1:]


def _table_iou(shared: Float64[Tensor, "N M"], a: Tensor, b: Tensor) -> Float64[Tensor, "N M"]:
    """From what they share, and the sizes of rows (N,) and columns (M,)."""
    return shared / (a[:, None] + b - shared).clamp(min=1)
