"""RoIAlign against RoIPool: the same mask branch on the same real nuclei, only the RoI operation differs (lecture 03)."""

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import train
from ..data import nuclei
from ..models.rcnn import MaskBranch, RoIOp, jitter, mask_targets
from ..ops import roi
from ..ops.paste import paste
from . import Claim, Scores, by_measure
from .nuclei import (
    COMPONENTS,
    LOCAL,
    SMALLEST,
    WATERSHED,
    average_precision,
    find,
    target,
    tiles,
    train_mask_rcnn,
    unlearnt,
    unlearnt_in_boxes,
)

Batch = tuple[Tensor, list[Tensor], Tensor]  # images (N, 1, S, S), boxes [(L, 4)] * N, mask targets (K, 2R, 2R)

ROI_OPS: dict[str, RoIOp] = {
    "RoIPool": roi.roi_pool,
    "RoIAlign, aligned=False": partial(roi.roi_align, sampling_ratio=2, aligned=False),
    "RoIAlign": partial(roi.roi_align, sampling_ratio=2, aligned=True),
}
STRIDES = (4, 8, 16)
THRESHOLDS = (0.5, 0.75, 0.85)
JITTER = 0.05  # of the box's extent: a decent proposal


def instances(sample: nuclei.Nuclei) -> tuple[Tensor, Tensor]:
    """Boxes ``(L, 4)`` and masks ``(L, H, W)`` of the nuclei of at least ``SMALLEST`` pixels."""
    boxes, _, masks = target(sample.labels)
    return boxes, masks


def batches(
    sample: nuclei.Nuclei, *, generator: torch.Generator, count: int = 4, size: int = 128, resolution: int = 28
) -> Iterator[Batch]:
    """Endless batches of turned crops, 30 % brighter or darker, with jittered boxes and their mask targets."""
    while True:
        images: list[Tensor] = []
        boxes: list[Tensor] = []
        targets: list[Tensor] = []
        for _ in range(count):
            piece = nuclei.crop(sample, size, least=SMALLEST, generator=generator)
            exact, masks = instances(piece)
            boxes.append(jitter(exact, amount=JITTER, generator=generator))
            targets.append(mask_targets(masks, boxes[-1], resolution))
            images.append(piece.image * (0.7 + 0.6 * torch.rand((), generator=generator)))
        yield torch.stack(images), boxes, torch.cat(targets)


def mask_loss(model: nn.Module, batch: Batch) -> Tensor:
    """Mean binary cross-entropy over the pixels of the masks (He et al. 2017, section 3)."""
    where = next(model.parameters()).device
    images, boxes, targets = batch
    return F.binary_cross_entropy_with_logits(model(images.to(where), [b.to(where) for b in boxes]), targets.to(where))


def train_branch(
    roi_op: RoIOp, sample: nuclei.Nuclei, *, stride: int, seed: int, steps: int = 300, show: bool = False
) -> MaskBranch:
    """A mask branch trained from the start and on the batches that belong to ``seed``, whatever ``roi_op`` is."""
    generator = train.seed_everything(seed)
    model = MaskBranch(roi_op, stride=stride).to(train.device())
    train.fit(model, batches(sample, generator=generator), mask_loss, steps=steps, lr=3e-3, show=show)
    return model


@torch.no_grad()
def predict(model: MaskBranch, image: Tensor, boxes: Tensor) -> Tensor:
    """Masks ``(L, H, W)`` for ``boxes (L, 4)`` in ``image (1, H, W)``: predicted in the box, pasted into the image, cut
    at 0.5.
    """
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


def measures(ious: Tensor, stride: int) -> dict[str, float]:
    """Mean IoU and the share of masks above each threshold, named by stride."""
    shares = {f"stride {stride}: share of masks with IoU > {t}": float((ious > t).float().mean()) for t in THRESHOLDS}
    return {f"stride {stride}: mean IoU": float(ious.mean())} | shares


def roi_align_experiment(seed: int, *, steps: int = 300) -> Scores:
    """Train every RoI operation at every stride on the left of the image, score the masks on the right."""
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    exact, truth = instances(held_out)
    proposals = jitter(exact, amount=JITTER, generator=torch.Generator().manual_seed(10_000 + seed))
    untaught = {"ellipse in the box": ellipses(proposals, held_out.labels.shape)} | unlearnt_in_boxes(
        held_out.image, proposals
    )
    scores: Scores = {}
    for stride in STRIDES:
        predicted = {
            name: predict(train_branch(op, learn, stride=stride, seed=seed, steps=steps), held_out.image, proposals)
            for name, op in ROI_OPS.items()
        }
        for arm, masks in (predicted | untaught).items():
            for measure, value in measures(iou(truth, masks), stride).items():
                scores.setdefault(measure, {})[arm] = value
    return scores


def whole_experiment(seed: int, *, steps: int = 150, count: int = 200) -> Scores:
    """Train the whole Mask R-CNN with each operation on the left of the image, score what it finds on the right."""
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    pieces, image = tiles(learn, seed=seed, count=count), held_out.image
    found = {
        name: find(train_mask_rcnn(pieces, seed=seed, steps=steps, roi_op=ROI_OPS[name]), image)
        for name in ("RoIPool", "RoIAlign")
    }
    truth = target(held_out.labels)
    return by_measure(
        {arm: average_precision(truth, detections) for arm, detections in (found | unlearnt(image)).items()}
    )


def _comparisons() -> list[tuple[str, str, str]]:
    """Strict overlap at stride 8 first: that is the claim. Last, RoIAlign against what needs no learning in the same
    boxes.
    """
    order = [(8, 0.75), *((s, t) for s in STRIDES for t in THRESHOLDS if (s, t) != (8, 0.75))]
    named = [f"stride {s}: share of masks with IoU > {t}" for s, t in order]
    against = [(n, "RoIAlign", other) for other in ("RoIPool", "RoIAlign, aligned=False") for n in named]
    return against + [
        (f"stride 8: share of masks with IoU > {t}", "RoIAlign", "local threshold in the box") for t in THRESHOLDS
    ]


CLAIMS = [
    Claim(
        name="roi_align_vs_roi_pool",
        lecture="03",
        statement="With everything else equal, RoIAlign gives better masks than RoIPool, by more at an overlap of 0.85 than at 0.75.",
        comparisons=_comparisons(),
        baseline=(
            "stride 8: share of masks with IoU > 0.75",
            "ellipse in the box",
            "local threshold in the box",
            "watershed in the box",
        ),
        experiment=roi_align_experiment,
    ),
    Claim(
        name="mask_rcnn_roi_op",
        lecture="03, 04",
        statement="Mask R-CNN as a whole has a higher AP with RoIAlign than with RoIPool, by more at an overlap of 0.85 than at 0.5.",
        comparisons=[(measure, "RoIAlign", "RoIPool") for measure in ("AP", "AP50", "AP75", "AP85", "AP90")]
        + [("AP", arm, other) for arm in ("RoIAlign", "RoIPool") for other in (WATERSHED, LOCAL)],
        baseline=("AP", COMPONENTS, WATERSHED, LOCAL),
        experiment=whole_experiment,
    ),
]
