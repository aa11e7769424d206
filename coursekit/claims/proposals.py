"""One look or two: a Faster R-CNN's proposals against what its second stage makes of them (lecture 02).

Both arms are one network, trained on tiles of the left of the real image; the boxes are scored on its right.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..metrics import detection, instances
from ..models.rcnn import MaskRCNN
from ..models.rpn import propose
from ..ops.nms import nms
from ..ops.roi import roi_pool
from ..types import Boxes, Image
from . import Scores, by_measure, claim, versus
from .nuclei import COMPONENTS, FLOODS, Tiles, find, mask_rcnn, real_task, train_mask_rcnn, unlearnt

STEPS = 150
MEASURES = ("AP", "AP50", "AP75")


class Scored(NamedTuple):
    """Boxes of one image, best first."""

    boxes: Boxes
    scores: Float[Tensor, "N"]


def faster_rcnn() -> MaskRCNN:
    """Lecture 05's network with RoIPool; trained without a mask loss, what its mask head draws means nothing."""
    return mask_rcnn(roi_pool)


def train_faster_rcnn(pieces: Tiles, *, seed: int, steps: int = STEPS, show: bool = False) -> MaskRCNN:
    """Trained from the start, both stages at once, on all losses but that of the masks."""
    return train_mask_rcnn(pieces, seed=seed, steps=steps, roi_op=roi_pool, masks=False, show=show)


@torch.no_grad()
def first_stage(model: MaskRCNN, image: Image) -> Scored:
    """The proposals as detections, on the CPU: duplicates suppressed and as many kept as the detector does."""
    images = image[None].to(next(model.parameters()).device)
    raw = model.eval().rpn(model.backbone(images))
    ((boxes, scores),) = propose(raw, (images.shape[-2], images.shape[-1]), keep=model.proposals)
    kept = nms(boxes, scores, model.nms_threshold)[: model.most]
    return Scored(boxes[kept].cpu(), scores[kept].cpu())


def both_stages(model: MaskRCNN, image: Image) -> Scored:
    """What the detector finds, on the CPU."""
    detections = find(model, image, smallest=0)
    return Scored(detections.boxes, detections.scores)


def measures(truth: Boxes, proposed: Scored) -> dict[str, float]:
    """Box AP as COCO has it."""
    classes = [torch.ones(len(boxes), dtype=torch.int64) for boxes in (truth, proposed.boxes)]
    true = instances.from_images([{"labels": classes[0], "boxes": truth}], kind="box")
    rows = {"labels": classes[1], "boxes": proposed.boxes, "scores": proposed.scores}
    ranked = instances.from_images([rows], kind="box")
    numbers = detection.coco_scores(true, ranked).numbers()
    return {name: numbers[name] for name in MEASURES}


@claim(
    lecture="02",
    statement="Looking at each proposed region a second time gives boxes that fit nuclei better than the proposals "
    "alone do.",
    comparisons=versus("both stages", "proposals alone", COMPONENTS, *FLOODS, on=MEASURES),
    baseline=("AP", COMPONENTS, *FLOODS),
)
def second_stage(seed: int, *, steps: int = STEPS, count: int = 200) -> Scores:
    """Both stages learn on the left of the image; on its right the first, both, and what is not learnt are scored."""
    pieces, image, truth = real_task(seed=seed, count=count)
    model = train_faster_rcnn(pieces, seed=seed, steps=steps)
    arms = {"proposals alone": first_stage(model, image), "both stages": both_stages(model, image)}
    arms |= {arm: Scored(pieces.boxes, pieces.scores) for arm, pieces in unlearnt(image).items()}
    return by_measure({arm: measures(truth.boxes, scored) for arm, scored in arms.items()})
