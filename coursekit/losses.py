"""The losses of the course. Each takes what the network says first (logits) and what is true second.

A mean over nothing (no labelled voxel, no box) is 0 with gradient 0, so that a batch without any does not stop the
training. NaN or infinite logits give a loss that is not finite: the training loop looks at that; those of unlabelled
voxels are not looked at and get no gradient. Finite ones, however sure, give a finite loss and gradient. Half
precision is computed, and losses returned, in float32: 65,505 voxels are more than float16 can count.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Integer
from scipy import ndimage
from torch import Tensor

from coursekit import _check

Logits = Float[Tensor, "N C *S"]
Truth = Integer[Tensor, "N *S"]
UNLABELLED = -1  # the label of a voxel nobody looked at
SMOOTH = 1e-5  # what Dice adds above and below, so that nothing predicted of nothing there is right

__all__ = ["UNLABELLED", "border_weights", "consistency", "cross_entropy", "dice_loss", "mask_loss", "smooth_l1"]


def cross_entropy(
    logits: Logits, truth: Truth, *, weight: Float[Tensor, "C"] | None = None, each: Float[Tensor, "N *S"] | None = None
) -> Float[Tensor, ""]:
    """Σ w(y) · −log softmax(logits)[y] / Σ w(y) over the labelled voxels y; the ``UNLABELLED`` weigh nothing.

    ``weight``: one number >= 0 a class, ``each``: one a voxel, 1 if not given; w is their product. A label outside
    0 … C − 1 raises ``ValueError``. Source: Ronneberger et al. 2015, equation 1 (weighted pixels); Çiçek et al. 2016,
    section 3 (weight 0 for unlabelled voxels).
    """
    classes, labelled = _labels(logits, truth)
    log_p = F.log_softmax(_where(labelled, logits), 1)  # (N, C, *S)
    own = log_p.gather(1, classes.unsqueeze(1)).squeeze(1)  # (N, *S): of the true class
    w = labelled.to(own.dtype)
    if weight is not None:
        _check.tensor("weight", weight, str(logits.shape[1]), "one weight a class")
        _check.finite("weight", weight)
        _check.within("weight", weight, 0, float("inf"), "a weight is at least 0")
        w = w * weight[classes]
    if each is not None:
        _check.tensor("each", each, " ".join(map(str, truth.shape)), "one weight a voxel, the shape of truth")
        _check.within("each", each, 0, float("inf"), "a weight is at least 0")
        w = w * each
    return _weighted_mean(-own, w)


def border_weights(
    masks: Bool[Tensor, "N H W"], *, balance: tuple[float, float] = (1.0, 1.0), w0: float = 10.0, sigma: float = 5.0
) -> Float[Tensor, "H W"]:
    """w_c + w0 exp(−(d1 + d2)² / 2σ²): what a pixel weighs, most in the background between cells that nearly touch.

    ``masks``: a plane a cell. d1, d2: pixels from here to the nearest and the second nearest cell. Inside a cell, and
    where there are not two, w_c alone, the ``balance`` of background and cells.
    Source: Ronneberger et al. 2015, section 3, equation 2 (w0 = 10, σ ≈ 5 pixels).
    """
    _check.tensor("masks", masks, "N H W", "one plane a cell", of="boolean")
    _check.positive("balance, w0 and sigma", (*balance, w0, sigma))
    inside = masks.any(0)
    w_c = torch.where(inside, float(balance[1]), float(balance[0]))
    seen = [mask for mask in masks.cpu() if mask.any()]
    if len(seen) < 2:
        return w_c
    distance = torch.stack([torch.from_numpy(ndimage.distance_transform_edt(~mask.numpy())) for mask in seen])
    d1, d2 = distance.topk(2, dim=0, largest=False).values.to(w_c)
    return w_c + w0 * torch.exp(-((d1 + d2) ** 2) / (2 * sigma**2)) * ~inside


def dice_loss(logits: Logits, truth: Truth, *, background: bool = True) -> Float[Tensor, ""]:
    """1 − mean over samples and classes of 2 Σ p g / (Σ p + Σ g), p the softmax, g the one-hot truth.

    Sums run over the labelled voxels. ``background=False`` leaves class 0 out of the mean. A class that is neither
    there nor predicted costs nothing; a sample without labels costs nothing. Source: Drozdzal et al. 2016.
    """
    classes, labelled = _labels(logits, truth)
    _check.positive("classes without the background", logits.shape[1] - (not background))
    logits = _where(labelled, logits)
    keep = labelled.unsqueeze(1).to(logits.dtype)  # (N, 1, *S)
    g = F.one_hot(classes, logits.shape[1]).movedim(-1, 1).to(logits.dtype) * keep  # (N, C, *S)
    p = logits.softmax(1) * keep
    p, g = (x.unsqueeze(-1).flatten(2)[:, 0 if background else 1 :] for x in (p, g))  # (N, C, voxels)
    dice = (2 * (p * g).sum(2) + SMOOTH) / (p.sum(2) + g.sum(2) + SMOOTH)  # (N, C)
    return _mean(1 - dice)


def smooth_l1(
    prediction: Float[Tensor, "*S"], truth: Float[Tensor, "*S"], *, beta: float = 1.0, reduction: str = "mean"
) -> Float[Tensor, ""]:
    """d² / 2β where d = |prediction − truth| < β, else d − β / 2: a parabola that goes on as its own tangent.

    ``reduction``: "mean" (0 of no values) or "sum". Source: Girshick 2015, equation 3 (β = 1); in Ren et al. 2015 1/9.
    """
    _check.floating("prediction", prediction)
    _check.same_shape("pair them one to one", prediction=prediction, truth=truth)
    _check.positive("beta", beta)
    _check.one_of("reduction", reduction, ("mean", "sum"))
    d = (_wide(prediction) - _wide(truth)).abs()
    loss = torch.where(d < beta, d * d / (2 * beta), d - beta / 2)
    return loss.sum() if reduction == "sum" else _mean(loss)


def mask_loss(logits: Float[Tensor, "K C M W"], truth: Tensor, labels: Integer[Tensor, "K"]) -> Float[Tensor, ""]:
    """Mean binary cross-entropy of each region's mask, on the plane of its true class alone: classes do not compete.

    ``truth`` (K, M, W): the mask resampled to the region, bool or 0 … 1. ``labels``: the class of each region, which
    picks the plane. Without regions the loss is 0. Source: He et al. 2017, section 3 (L_mask).
    """
    k, c, m, w = _check.tensor("logits", logits, "K C M W", "one plane a region and class", of="floating")
    _check.tensor("labels", labels, str(k), "one class a region", of="integer")
    _check.within("labels", labels, 0, c - 1, f"give classes 0 … {c - 1}")
    _check.tensor("truth", truth, f"{k} {m} {w}", "one mask a region, of the size of the logits")
    _check.same_device(logits=logits, truth=truth)
    own = _wide(logits[torch.arange(k, device=logits.device), labels.long()])  # (K, M, W)
    truth = truth.to(own.dtype)
    _check.within("truth", truth, 0, 1, "give 0 for no and 1 for yes")
    return _mean(F.binary_cross_entropy_with_logits(own, truth, reduction="none"))


def consistency(student: Logits, teacher: Logits, *, where: Bool[Tensor, "N *S"] | None = None) -> Float[Tensor, ""]:
    """Mean squared difference of the two softmax outputs; no gradient reaches the teacher.

    ``where``: the voxels to compare, e.g. the unlabelled ones; all if not given. The mean runs over voxels and classes.
    Source: Laine and Aila 2017 (Π-model); Tarvainen and Valpola 2017 (mean teacher).
    """
    _check.floating("student", student)
    _check.same_shape("pair them one to one", student=student, teacher=teacher)
    where = torch.ones_like(student[:, 0], dtype=torch.bool) if where is None else where
    _check.tensor("where", where, " ".join(map(str, student[:, 0].shape)), "one bool a voxel", of="boolean")
    ours, theirs = (_where(where, x).softmax(1) for x in (student, teacher.detach()))
    return _weighted_mean(((ours - theirs) ** 2).mean(1), where.to(ours.dtype))


def _labels(logits: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Check classes against logits; returns the classes (0 where there is none) and where there is one."""
    axes = "... N C" if logits.ndim == 2 else "... N C S"
    _check.tensor("logits", logits, axes, "pass (N, C, …), the classes on axis 1", of="floating")
    _check.integer("truth", truth)
    n, c, *space = logits.shape
    _check.tensor("truth", truth, " ".join(map(str, (n, *space))), "the shape of logits without its class axis")
    _check.same_device(logits=logits, truth=truth)
    labelled = truth.long() != UNLABELLED  # long first: as uint8, −1 would be 255
    classes = truth.long().where(labelled, 0)
    _check.within("truth", classes, 0, c - 1, f"give classes 0 … {c - 1}, or {UNLABELLED} for unlabelled")
    return classes, labelled


def _where(voxels: Bool[Tensor, "N *S"], logits: Logits) -> Logits:
    """The logits there and 0 elsewhere: whatever stood there gives neither loss nor gradient."""
    return _wide(logits).where(voxels.unsqueeze(1), 0)


def _wide(x: Tensor) -> Tensor:
    return x.to(_check.wide_dtype(x))


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """Σ w v / Σ w, and 0 where all weights are 0."""
    total = weight.sum()
    return (values.where(weight > 0, 0) * weight).sum() / total.where(total > 0, 1)


def _mean(values: Tensor) -> Tensor:
    """The mean, and 0 of nothing."""
    return values.sum() / max(values.numel(), 1)
