"""One look or two: the proposals of a Faster R-CNN with RoIPool, against what its second stage makes of them (lecture
02).

Both arms are one network, trained once a seed on tiles of the left of the real image; the boxes are scored on its
right.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..data import nuclei
from ..metrics import detection, instances
from ..models.rcnn import MaskRCNN
from ..models.rpn import propose
from ..ops.nms import nms
from ..ops.roi import roi_pool
from ..types import Boxes, Image
from . import Claim, Scores, by_measure
from .nuclei import COMPONENTS, LOCAL, LOSSES, WATERSHED, mask_rcnn, target, tiles, train_mask_rcnn, unlearnt

STEPS = 150


class Scored(NamedTuple):
    """Boxes of one image, best first."""

    boxes: Boxes
    scores: Float[Tensor, "N"]


def faster_rcnn() -> MaskRCNN:
    """Lecture 05's network with RoIPool. Trained without a mask loss it is a Faster R-CNN; what its mask head draws
    means nothing.
    """
    return mask_rcnn(roi_pool)


def train_faster_rcnn(pieces: list[nuclei.Tile], *, seed: int, steps: int = STEPS, show: bool = False) -> MaskRCNN:
    """Trained from the start, both stages at once, on all losses but that of the masks."""
    return train_mask_rcnn(pieces, seed=seed, steps=steps, roi_op=roi_pool, parts=LOSSES[:-1], show=show)


@torch.no_grad()
def first_stage(model: MaskRCNN, image: Image) -> Scored:
    """The proposals as detections, on the CPU: duplicates suppressed as strictly as the detector does, no more kept
    than it keeps.
    """
    images = image[None].to(next(model.parameters()).device)
    raw = model.eval().rpn(model.backbone(images))
    ((boxes, scores),) = propose(raw, (images.shape[-2], images.shape[-1]), keep=model.proposals)
    kept = nms(boxes, scores, model.nms_threshold)[: model.most]
    return Scored(boxes[kept].cpu(), scores[kept].cpu())


@torch.no_grad()
def both_stages(model: MaskRCNN, image: Image) -> Scored:
    """What the detector finds, on the CPU."""
    (found,) = model.eval()(image[None].to(next(model.parameters()).device))
    return Scored(found.boxes.cpu(), found.scores.cpu())


def measures(truth: Boxes, found: Scored) -> dict[str, float]:
    """Box AP as COCO has it."""
    tables = [
        instances.from_images(
            [{"labels": torch.ones(len(boxes), dtype=torch.int64), "boxes": boxes} | extra], kind="box"
        )
        for boxes, extra in ((truth, {}), (found.boxes, {"scores": found.scores}))
    ]
    scores = detection.coco_scores(*tables).numbers()
    return {name: scores[name] for name in ("AP", "AP50", "AP75")}


def second_stage_experiment(seed: int, *, steps: int = STEPS, count: int = 200) -> Scores:
    """Train both stages on the left of the image; on the right score the first alone, both, and what needs no learning."""
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    image = held_out.image
    model = train_faster_rcnn(tiles(learn, seed=seed, count=count), seed=seed, steps=steps)
    arms = {"proposals alone": first_stage(model, image), "both stages": both_stages(model, image)}
    arms |= {arm: Scored(found.boxes, found.scores) for arm, found in unlearnt(image).items()}
    truth = target(held_out.labels).boxes
    return by_measure({arm: measures(truth, found) for arm, found in arms.items()})


CLAIMS = [
    Claim(
        name="second_stage",
        lecture="02",
        statement="Looking at each proposed region a second time gives boxes that fit nuclei better than the proposals alone do.",
        comparisons=[
            (measure, "both stages", other)
            for other in ("proposals alone", COMPONENTS, LOCAL)
            for measure in ("AP", "AP50", "AP75")
        ],
        baseline=("AP", COMPONENTS, WATERSHED, LOCAL),
        experiment=second_stage_experiment,
    )
]
