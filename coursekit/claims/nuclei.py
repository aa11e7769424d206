"""Counting needs instances: a semantic mask of touching nuclei, cut up, against Mask R-CNN (lectures 01 and 05a).

All arms learn from the same tiles of the left of the real image and are scored on the 35 nuclei of its right.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_local, threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import watershed
from torch import Tensor, nn

from .. import losses, train
from ..data import nuclei
from ..data.seeds import stream
from ..data.simulated.pasting import CopyPaste
from ..metrics import detection, instances, overlap
from ..models.pyramid import small_pyramid
from ..models.rcnn import Detections, MaskRCNN, RoIOp, Target
from ..models.unet import UNet
from ..ops.roi import roi_align
from ..types import Boxes, Image, LabelMap, Masks
from . import Scores, by_measure, claim, versus
from .training import trained, unet_2d

Tiles = list[nuclei.Tile]
Batch = tuple[Tensor, list[Target]]  # images (N, 1, S, S), the nuclei of each

SMALLEST = 20  # pixels: less than this is no nucleus, in the truth and in what is found
TILES, SIZE, BATCH = 200, 128, 4
RCNN_STEPS, UNET_STEPS, LR = 300, 200, 3e-3
ANCHORS = ((14.0, 22.0), (32.0, 44.0))  # √area in pixels at strides 4 and 8: the training nuclei span 10 to 50
RATIOS = (0.6, 1.0, 1.6)
LOSSES = ("objectness", "rpn_box", "class", "box", "mask")  # of the proposals, of the regions, of their pixels
ALIGN = partial(roi_align, sampling_ratio=2)
STRICT = {"AP85": detection.IOU_THRESHOLDS[7], "AP90": detection.IOU_THRESHOLDS[8]}
APART = 6  # pixels between two seeds of the watershed
BLUR, AROUND = 1.0, 51  # pixels: what a local threshold smooths away, and the side of the neighbourhood it looks at


def target(labels: LabelMap) -> Target:
    """The nuclei of a label map of at least ``SMALLEST`` pixels, all of class 1."""
    large = nuclei.without_specks(labels, SMALLEST)  # first: planes of thousands of specks fill gigabytes
    masks = nuclei.masks(large)
    return Target(nuclei.boxes(large), torch.ones(len(masks), dtype=torch.int64), masks)


def tiles(whole: nuclei.Nuclei, *, seed: int, count: int = TILES) -> Tiles:
    """Half cut out of the image, half made of its nuclei by copy and paste: the training set of every arm."""
    pasted = CopyPaste(whole, size=SIZE, length=count, seed=seed)
    return [pasted[i] for i in range(count)]


def real_task(*, seed: int, count: int) -> tuple[Tiles, Image, Target]:
    """Tiles of the left of the real image to learn from, and its right with its nuclei to be scored on."""
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    return tiles(learn, seed=seed, count=count), held_out.image, target(held_out.labels)


def batches(pieces: Tiles, *, seed: int) -> Iterator[Batch]:
    """Endless batches of tiles drawn with replacement, turned, up to 40 % brighter or darker."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        images, targets = [], []
        for at in torch.randint(len(pieces), (BATCH,), generator=generator).tolist():
            image, labels = nuclei.turn(*pieces[at], generator=generator)
            gain = 0.6 + 0.8 * torch.rand((), generator=generator)
            images.append(image * gain)
            targets.append(target(labels))
        yield torch.stack(images), targets


def mask_rcnn(roi_op: RoIOp = ALIGN) -> MaskRCNN:
    """The course's own backbone, anchors of the size of nuclei."""
    return MaskRCNN(small_pyramid(1), roi_op, sizes=ANCHORS, ratios=RATIOS)


def train_mask_rcnn(
    pieces: Tiles, *, seed: int, steps: int = RCNN_STEPS, roi_op: RoIOp = ALIGN, masks: bool = True, show: bool = False
) -> MaskRCNN:
    """Trained on the sum of its losses, that of ``masks`` or not, from a start and on batches that ``seed`` decides."""
    terms, sampler = LOSSES if masks else LOSSES[:-1], stream(seed, "regions")

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        values: dict[str, Tensor] = net(*batch, generator=sampler)
        return torch.stack([values[term] for term in terms]).sum()

    build, label = partial(mask_rcnn, roi_op), "Mask R-CNN" if masks else "Faster R-CNN"
    knobs: dict[str, Any] = {"steps": steps, "lr": LR, "clip": 5.0, "label": label, "show": show}
    return trained(build, batches(pieces, seed=seed), loss_of, seed=seed, **knobs)


def train_unet(pieces: Tiles, *, seed: int, steps: int = UNET_STEPS, borders: bool = False, show: bool = False) -> UNet:
    """Nucleus or background, pixel by pixel: it never hears of instances, but of the ``borders`` between them."""
    balance = balanced(pieces)

    def loss(net: nn.Module, batch: Batch) -> Tensor:
        images, masks = batch[0], [separated(t.masks) if borders else t.masks for t in batch[1]]
        truth = torch.stack([mask.any(0) for mask in masks]).long()
        each = torch.stack([losses.border_weights(m, balance=balance) for m in masks]) if borders else None
        return losses.cross_entropy(net(images), truth, each=each)

    return trained(unet_2d, batches(pieces, seed=seed), loss, seed=seed, steps=steps, lr=LR, label="U-Net", show=show)


def separated(masks: Masks) -> Masks:
    """The masks (N, H, W) without the pixels that have another's around them: background parts what touched."""
    reach = F.max_pool2d(masks[:, None].float(), 3, stride=1, padding=1)  # each mask and one pixel around it
    return masks & (reach.sum((0, 1)) < 2)


def balanced(pieces: Tiles) -> tuple[float, float]:
    """Weights of background and nuclei with which both weigh the same over all tiles, a pixel 1 on average."""
    share = float(torch.stack([(labels > 0).float().mean() for _, labels in pieces]).mean())
    return 0.5 / (1 - share), 0.5 / share


# --- from a semantic mask to instances ---


def foreground(model: UNet, image: Image) -> Tensor:
    """The probability (H, W) of being inside a nucleus."""
    return train.predict(model, image[None])[0].softmax(0)[1]


def components(inside: Tensor) -> LabelMap:
    """Each connected part, diagonals included, is taken for one nucleus."""
    return torch.from_numpy(ndimage.label(inside.numpy(), structure=np.ones((3, 3)))[0].astype(np.int64))


def flooded(inside: Tensor) -> LabelMap:
    """Watershed of the distance to the background: each of its peaks, ``APART`` pixels from others, is one nucleus."""
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside.numpy()), 1.0)
    parts, _ = ndimage.label(inside.numpy())
    peaks = peak_local_max(distance, min_distance=APART, labels=parts, exclude_border=False)
    seeds = np.zeros(distance.shape, np.int64)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return torch.from_numpy(watershed(-distance, seeds, mask=inside.numpy()).astype(np.int64))


def as_detections(labels: LabelMap, probability: Tensor) -> Detections:
    """A label map as detections: the mean probability of a nucleus is its score."""
    boxes, classes, masks = target(labels)
    score = (masks * probability).sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)
    order = score.argsort(descending=True, stable=True)
    return Detections(boxes[order], score[order], classes[order], masks[order])


# --- what needs no learning ---


def otsu(image: Image) -> Tensor:
    """Brighter than Otsu's threshold: the mask that needs no learning."""
    return image[0] > float(threshold_otsu(image[0].numpy()))


def locally_bright(image: Image) -> Tensor:
    """Smoothed, brighter than its neighbourhood and than half of Otsu's threshold: the best on the training part."""
    smooth = ndimage.gaussian_filter(image[0].numpy(), BLUR)
    return torch.from_numpy((smooth > threshold_local(smooth, AROUND)) & (smooth > threshold_otsu(smooth) / 2))


COMPONENTS, WATERSHED, LOCAL = "threshold, components", "threshold, watershed", "local threshold, watershed"
FLOODS: dict[str, Callable[[Image], Tensor]] = {WATERSHED: otsu, LOCAL: locally_bright}
IN_BOX = ("local threshold in the box", "watershed in the box")


def unlearnt(image: Image) -> dict[str, Detections]:
    """Components and watershed of Otsu's mask, and the watershed of the local threshold's, as detections."""
    floods = {arm: convex_first(flooded(bright(image))) for arm, bright in FLOODS.items()}
    return {COMPONENTS: convex_first(components(otsu(image)))} | floods


def convex_first(pieces: LabelMap) -> Detections:
    """Pieces as detections, scored by area over that of the convex hull: nuclei have no dents and joined ones do."""
    solidity = torch.zeros(int(pieces.max()) + 1)
    for piece in regionprops(pieces.numpy()):
        if piece.area >= SMALLEST:
            solidity[piece.label] = float(piece.solidity)
    return as_detections(pieces, solidity[pieces])


def in_boxes(image: Image, boxes: Boxes, draw: Callable[[tuple[slice, slice]], Tensor]) -> Masks:
    """What ``draw`` makes of the window (h, w) of each box, whole pixels, empty elsewhere: (N, H, W)."""
    _, height, width = image.shape
    masks = torch.zeros(len(boxes), height, width, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.round().long().clamp(min=0).tolist()):
        window = (slice(y1, min(y2, height)), slice(x1, min(x2, width)))
        mask[window] = draw(window)
    return masks


def unlearnt_in_boxes(image: Image, boxes: Boxes) -> dict[str, Masks]:
    """In a box that is given: what the local threshold finds, and of its watershed the piece that fills most of it."""
    bright = locally_bright(image)
    pieces = flooded(bright)

    def largest(window: tuple[slice, slice]) -> Tensor:
        area = pieces[window].flatten().bincount(minlength=2)
        return pieces[window] == 1 + area[1:].argmax()

    return {arm: in_boxes(image, boxes, draw) for arm, draw in zip(IN_BOX, (bright.__getitem__, largest))}


# --- scores ---


@torch.no_grad()
def find(model: MaskRCNN, image: Image, *, smallest: int = SMALLEST) -> Detections:
    """What Mask R-CNN finds of at least ``smallest`` pixels, on the CPU."""
    (detections,) = model.eval()(image[None].to(next(model.parameters()).device))
    kept = detections.masks.sum((1, 2)) >= smallest
    return Detections(*(x[kept].cpu() for x in detections))


def average_precision(truth: Target, detections: Detections) -> dict[str, float]:
    """AP as COCO has it: over all thresholds, at IoU 0.5 and 0.75, and at the strict end."""
    scores = detection.coco_scores(*(instances.from_images([x._asdict()]) for x in (truth, detections)))
    numbers = {name: scores.numbers()[name] for name in ("AP", "AP50", "AP75")}
    return numbers | {name: scores.average_precision(iou=t) for name, t in STRICT.items()}


def measures(truth: Target, detections: Detections) -> dict[str, float]:
    """AP of all detections; of those more likely a nucleus than not, how near their count is (1 is exact), and Dice."""
    sure = detections.masks[detections.scores >= 0.5]
    off = abs(len(sure) - len(truth.boxes)) / len(truth.boxes)
    dice = float(overlap.dice(truth.masks.any(0), sure.any(0)))
    return average_precision(truth, detections) | {"count": 1 - off, "Dice": dice}


@claim(
    lecture="01, 05a",
    statement="Connected parts of a semantic mask are not the nuclei: Mask R-CNN finds these better, and their number.",
    comparisons=[
        *versus("Mask R-CNN", "U-Net, components", on=["AP50", "count", "AP", "AP75", "Dice"]),
        *versus("U-Net, border weights", "U-Net, components", on=["AP50", "count", "AP", "AP75", "Dice"]),
        *versus("U-Net, watershed", "U-Net, components", "U-Net, border weights", on=["AP50", "count", "AP"]),
        *versus("Mask R-CNN", "U-Net, watershed", "U-Net, border weights", on=["AP50", "count", "AP", "AP75"]),
        *versus("Mask R-CNN", *FLOODS, on=["AP50", "AP75"]),
    ],
    baseline=("AP50", COMPONENTS, *FLOODS),
    asserted=2,
)
def instances_vs_components(
    seed: int, *, rcnn_steps: int = RCNN_STEPS, unet_steps: int = UNET_STEPS, count: int = TILES
) -> Scores:
    """Four ways to instances, learnt on the left of the image, and those without learning, scored on its right."""
    pieces, image, truth = real_task(seed=seed, count=count)
    unets = [train_unet(pieces, seed=seed, steps=unet_steps, borders=borders) for borders in (False, True)]
    plain, parted = (foreground(net, image) for net in unets)
    arms = {
        "U-Net, components": as_detections(components(plain > 0.5), plain),
        "U-Net, border weights": as_detections(components(parted > 0.5), parted),
        "U-Net, watershed": as_detections(flooded(plain > 0.5), plain),
        "Mask R-CNN": find(train_mask_rcnn(pieces, seed=seed, steps=rcnn_steps), image),
    } | unlearnt(image)
    return by_measure({arm: measures(truth, detections) for arm, detections in arms.items()})
