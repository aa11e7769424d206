"""RoIAlign against RoIPool: the same mask branch on the same nuclei, only the RoI operation differs (lecture 03)."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data import nuclei
from ..models.rcnn import MaskBranch, RoIOp, jitter, mask_targets
from ..ops import roi
from ..ops.paste import paste
from . import Scores, by_measure, claim, versus
from . import nuclei as counting
from .training import trained

Batch = tuple[Tensor, list[Tensor], Tensor]  # images (N, 1, S, S), boxes [(L, 4)] * N, mask targets (K, 2R, 2R)

ROI_OPS: dict[str, RoIOp] = {
    "RoIPool": roi.roi_pool,
    "RoIAlign, aligned=False": partial(roi.roi_align, sampling_ratio=2, aligned=False),
    "RoIAlign": partial(roi.roi_align, sampling_ratio=2, aligned=True),
}
STRIDES = (4, 8, 16)
THRESHOLDS = (0.5, 0.75, 0.85)
STEPS, BATCH, SIZE, RESOLUTION = 300, 4, 128, 28  # crops in a batch, pixels of their side and of a mask's
JITTER = 0.05  # of the box's extent: a decent proposal
ELLIPSE = "ellipse in the box"


def instances(sample: nuclei.Nuclei) -> tuple[Tensor, Tensor]:
    """Boxes ``(L, 4)`` and masks ``(L, H, W)`` of the nuclei of at least ``SMALLEST`` pixels."""
    boxes, _, masks = counting.target(sample.labels)
    return boxes, masks


def batches(sample: nuclei.Nuclei, *, seed: int) -> Iterator[Batch]:
    """Endless batches of turned crops, 30 % brighter or darker, with jittered boxes and their mask targets."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        images, boxes, targets = [], [], []
        for _ in range(BATCH):
            piece = nuclei.crop(sample, SIZE, least=counting.SMALLEST, generator=generator)
            exact, masks = instances(piece)
            boxes.append(jitter(exact, amount=JITTER, generator=generator))
            targets.append(mask_targets(masks, boxes[-1], RESOLUTION))
            gain = 0.7 + 0.6 * torch.rand((), generator=generator)
            images.append(piece.image * gain)
        yield torch.stack(images), boxes, torch.cat(targets)


def mask_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean binary cross-entropy over the pixels of the masks (He et al. 2017, section 3)."""
    images, boxes, targets = batch
    return F.binary_cross_entropy_with_logits(model(images, boxes), targets)


def train_branch(
    roi_op: RoIOp, sample: nuclei.Nuclei, *, stride: int, seed: int, steps: int = STEPS, show: bool = False
) -> MaskBranch:
    """A mask branch trained from a start and on batches that ``seed`` alone decides, whatever ``roi_op`` is."""
    build, drawn = partial(MaskBranch, roi_op, stride=stride), batches(sample, seed=seed)
    return trained(build, drawn, mask_loss, seed=seed, steps=steps, lr=3e-3, show=show)


@torch.no_grad()
def predict(model: MaskBranch, image: Tensor, boxes: Tensor) -> Tensor:
    """Masks ``(L, H, W)`` for ``boxes (L, 4)`` in ``image (1, H, W)``: predicted in the box, pasted, cut at 0.5."""
    where = next(model.parameters()).device
    probability = model.eval()(image[None].to(where), [boxes.to(where)]).sigmoid().cpu()  # (L, 2R, 2R)
    return paste(probability, boxes, (image.shape[-2], image.shape[-1])) > 0.5  # (L, H, W)


def iou(truth: Tensor, predicted: Tensor) -> Tensor:
    """Mask IoU ``(L,)`` of pairs of masks ``(L, H, W)``."""
    return (truth & predicted).sum((1, 2)) / (truth | predicted).sum((1, 2)).clamp(min=1)


def ellipses(boxes: Tensor, shape: torch.Size) -> Tensor:
    """The ellipse inscribed in each box, as masks ``(L, H, W)``: the guess that needs no learning."""
    x, y = torch.arange(shape[1]) + 0.5, torch.arange(shape[0])[:, None] + 0.5
    x1, y1, x2, y2 = boxes[:, :, None, None].unbind(1)
    return ((2 * x - x1 - x2) / (x2 - x1)) ** 2 + ((2 * y - y1 - y2) / (y2 - y1)) ** 2 <= 1


def share(stride: int, threshold: float) -> str:
    """The name of a measure."""
    return f"stride {stride}: share of masks with IoU > {threshold}"


def measures(ious: Tensor, stride: int) -> dict[str, float]:
    """Mean IoU and the share of masks above each threshold, named by stride."""
    shares = {share(stride, t): float((ious > t).float().mean()) for t in THRESHOLDS}
    return {f"stride {stride}: mean IoU": float(ious.mean())} | shares


STRICT = share(8, 0.75)  # the claim itself
OTHERS = [share(stride, t) for stride in STRIDES for t in THRESHOLDS if share(stride, t) != STRICT]


@claim(
    lecture="03",
    statement="With everything else equal, RoIAlign gives better masks than RoIPool, by more at an overlap of 0.85 "
    "than at 0.75.",
    comparisons=[
        *versus("RoIAlign", "RoIPool", "RoIAlign, aligned=False", on=[STRICT, *OTHERS]),
        *versus("RoIAlign", counting.IN_BOX[0], on=[share(8, t) for t in THRESHOLDS]),
    ],
    baseline=(STRICT, ELLIPSE, *counting.IN_BOX),
)
def roi_align_vs_roi_pool(seed: int, *, steps: int = STEPS) -> Scores:
    """Train every RoI operation at every stride on the left of the image, score the masks on the right."""
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    image, (exact, truth) = held_out.image, instances(held_out)
    proposals = jitter(exact, amount=JITTER, generator=torch.Generator().manual_seed(10_000 + seed))
    untaught = {ELLIPSE: ellipses(proposals, held_out.labels.shape)} | counting.unlearnt_in_boxes(image, proposals)
    scores: Scores = {}
    for stride in STRIDES:
        branches = {op: train_branch(ROI_OPS[op], learn, stride=stride, seed=seed, steps=steps) for op in ROI_OPS}
        arms = {op: predict(branch, image, proposals) for op, branch in branches.items()} | untaught
        scores |= by_measure({arm: measures(iou(truth, masks), stride) for arm, masks in arms.items()})
    return scores


@claim(
    lecture="03, 04",
    statement="Mask R-CNN as a whole has a higher AP with RoIAlign than with RoIPool, by more at an overlap of 0.85 "
    "than at 0.5.",
    comparisons=[
        *versus("RoIAlign", "RoIPool", on=["AP", "AP50", "AP75", "AP85", "AP90"]),
        *(("AP", op, other) for op in ("RoIAlign", "RoIPool") for other in counting.FLOODS),
    ],
    baseline=("AP", counting.COMPONENTS, *counting.FLOODS),
)
def mask_rcnn_roi_op(seed: int, *, steps: int = 150, count: int = 200) -> Scores:
    """Train the whole Mask R-CNN with each operation on the left of the image, score what it finds on the right."""
    pieces, image, truth = counting.real_task(seed=seed, count=count)
    arms = {
        op: counting.find(counting.train_mask_rcnn(pieces, seed=seed, steps=steps, roi_op=ROI_OPS[op]), image)
        for op in ("RoIPool", "RoIAlign")
    } | counting.unlearnt(image)
    return by_measure({arm: counting.average_precision(truth, detections) for arm, detections in arms.items()})
