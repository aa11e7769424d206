"""Counting needs instances: a semantic mask of touching nuclei, cut up in several ways, against Mask R-CNN (lectures
01 and 05).

All arms learn from the same tiles of the left of the real image and are scored on its right: 35 nuclei, of which many
touch.
"""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.filters import threshold_local, threshold_otsu
from skimage.measure import regionprops
from skimage.segmentation import watershed
from torch import Generator, Tensor, nn

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
from . import Claim, Scores, by_measure

Batch = tuple[Tensor, list[Target]]  # images (N, 1, S, S), the nuclei of each

SMALLEST = 20  # pixels: less than this is no nucleus, in the truth and in what is found
TILES, SIZE, BATCH = 200, 128, 4
RCNN_STEPS, UNET_STEPS = 300, 200
ANCHORS = ((14.0, 22.0), (32.0, 44.0))  # √area in pixels at strides 4 and 8: the training nuclei span 10 to 50
LOSSES = (
    "objectness",
    "rpn_box",
    "class",
    "box",
    "mask",
)  # where and what of the proposals, then of the regions, then which pixels
ROI_ALIGN = partial(roi_align, sampling_ratio=2)
STRICT = {"AP85": detection.IOU_THRESHOLDS[7], "AP90": detection.IOU_THRESHOLDS[8]}
APART = 6  # pixels between two seeds of the watershed
BLUR, AROUND = 1.0, 51  # pixels: what a local threshold smooths away, and the side of the neighbourhood it looks at


def target(labels: LabelMap) -> Target:
    """The nuclei of a label map of at least ``SMALLEST`` pixels, all of class 1."""
    masks = nuclei.masks(labels)
    large = masks.sum((1, 2)) >= SMALLEST
    return Target(nuclei.boxes(labels)[large], torch.ones(int(large.sum()), dtype=torch.int64), masks[large])


def tiles(whole: nuclei.Nuclei, *, seed: int, count: int = TILES) -> list[nuclei.Tile]:
    """Half cut out of the image, half made of its nuclei by copy and paste: the training set of every arm."""
    made = CopyPaste(whole, size=SIZE, length=count, seed=seed)
    return [made[i] for i in range(count)]


def batches(pieces: list[nuclei.Tile], *, generator: Generator, size: int = BATCH) -> Iterator[Batch]:
    """Endless batches of tiles drawn with replacement, turned, up to 40 % brighter or darker."""
    while True:
        images, targets = [], []
        for at in torch.randint(len(pieces), (size,), generator=generator).tolist():
            image, labels = nuclei.turn(*pieces[at], generator=generator)
            images.append(image * (0.6 + 0.8 * torch.rand((), generator=generator)))
            targets.append(target(labels))
        yield torch.stack(images), targets


def mask_rcnn(roi_op: RoIOp = ROI_ALIGN) -> MaskRCNN:
    """The course's own backbone, anchors of the size of nuclei."""
    return MaskRCNN(small_pyramid(1), roi_op, sizes=ANCHORS, ratios=(0.6, 1.0, 1.6))


def train_mask_rcnn(
    pieces: list[nuclei.Tile],
    *,
    seed: int,
    steps: int = RCNN_STEPS,
    roi_op: RoIOp = ROI_ALIGN,
    parts: Sequence[str] = LOSSES,
    show: bool = False,
) -> MaskRCNN:
    """Trained from the start on the sum of its losses, or of those named, on batches that belong to ``seed``, whatever
    ``roi_op`` is.
    """
    generator = train.seed_everything(seed)
    model, sampler = mask_rcnn(roi_op).to(train.device()), stream(seed, "regions")

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        found: dict[str, Tensor] = net(*batch, generator=sampler)
        return torch.stack([found[name] for name in parts]).sum()

    label = "Mask R-CNN" if "mask" in parts else "Faster R-CNN"
    train.fit(
        model, batches(pieces, generator=generator), loss_of, steps=steps, lr=3e-3, clip=5.0, label=label, show=show
    )
    return model


def train_unet(pieces: list[nuclei.Tile], *, seed: int, steps: int = UNET_STEPS, show: bool = False) -> UNet:
    """Nucleus or background, pixel by pixel: it never hears of instances."""
    generator = train.seed_everything(seed)
    model = UNet(ndim=2, base=12, depth=3, padding="same").to(train.device())

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        images, targets = batch
        inside = torch.stack([t.masks.any(0) for t in targets]).long()
        return losses.cross_entropy(net(images), inside)

    train.fit(model, batches(pieces, generator=generator), loss_of, steps=steps, lr=3e-3, label="U-Net", show=show)
    return model


# --- from a semantic mask to instances ---


def foreground(model: UNet, image: Image) -> Tensor:
    """The probability (H, W) of being inside a nucleus."""
    return train.predict(model, image[None])[0].softmax(0)[1]


def components(inside: Tensor) -> LabelMap:
    """Each connected part, diagonals included, is taken for one nucleus."""
    return torch.from_numpy(ndimage.label(inside.numpy(), structure=np.ones((3, 3)))[0].astype(np.int64))


def flooded(inside: Tensor) -> LabelMap:
    """Watershed of the distance to the background: each peak of it, ``APART`` pixels from any other, is taken for one
    nucleus.
    """
    distance = ndimage.gaussian_filter(ndimage.distance_transform_edt(inside.numpy()), 1.0)
    parts = ndimage.label(inside.numpy())[0]
    seeds = np.zeros(distance.shape, np.int64)
    for number, (y, x) in enumerate(
        peak_local_max(distance, min_distance=APART, labels=parts, exclude_border=False), start=1
    ):
        seeds[y, x] = number
    return torch.from_numpy(watershed(-distance, seeds, mask=inside.numpy()).astype(np.int64))


def as_detections(labels: LabelMap, probability: Tensor) -> Detections:
    """A label map as detections: the mean probability of a nucleus is its score."""
    boxes, classes, masks = target(nuclei.relabel(labels))
    score = (masks * probability).sum((1, 2)) / masks.sum((1, 2)).clamp(min=1)
    order = score.argsort(descending=True, stable=True)
    return Detections(boxes[order], score[order], classes[order], masks[order])


# --- what needs no learning ---


def otsu(image: Image) -> Tensor:
    """Brighter than Otsu's threshold: the mask that needs no learning."""
    return image[0] > float(threshold_otsu(image[0].numpy()))


def locally_bright(image: Image) -> Tensor:
    """Smoothed, brighter than its neighbourhood and than half of Otsu's threshold: dim nuclei are found beside bright
    ones.

    Of the masks tried on the training part, Otsu's among them, the one whose watershed has the highest AP there.
    """
    smooth = ndimage.gaussian_filter(image[0].numpy(), BLUR)
    return torch.from_numpy((smooth > threshold_local(smooth, AROUND)) & (smooth > threshold_otsu(smooth) / 2))


BRIGHT: dict[str, Callable[[Image], Tensor]] = {"threshold": otsu, "local threshold": locally_bright}
COMPONENTS, WATERSHED, LOCAL = "threshold, components", "threshold, watershed", "local threshold, watershed"


def unlearnt(image: Image) -> dict[str, Detections]:
    """Components and watershed of Otsu's mask, and the watershed of the local threshold's, as detections."""
    floods = {f"{name}, watershed": convex_first(flooded(bright(image))) for name, bright in BRIGHT.items()}
    return {COMPONENTS: convex_first(components(otsu(image)))} | floods


def convex_first(pieces: LabelMap) -> Detections:
    """Pieces as detections: the score is the solidity, area over that of the convex hull, for nuclei have no dents and
    joined ones do.
    """
    solidity = torch.zeros(int(pieces.max()) + 1)
    for piece in regionprops(pieces.numpy()):
        if piece.area >= SMALLEST:
            solidity[piece.label] = float(piece.solidity)
    return as_detections(pieces, solidity[pieces])


def in_boxes(boxes: Boxes, shape: tuple[int, int], draw: Callable[[tuple[slice, slice]], Tensor]) -> Masks:
    """What ``draw`` makes of the window (h, w) of each box, whole pixels, empty elsewhere: (N, H, W)."""
    masks = torch.zeros(len(boxes), *shape, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes.round().long().clamp(min=0).tolist()):
        window = (slice(y1, min(y2, shape[0])), slice(x1, min(x2, shape[1])))
        mask[window] = draw(window)
    return masks


def unlearnt_in_boxes(image: Image, boxes: Boxes) -> dict[str, Masks]:
    """Once a box is given: what the local threshold finds in it, and of the pieces of its watershed the one that fills
    most of it.
    """
    bright = locally_bright(image)
    pieces = flooded(bright)

    def largest(window: tuple[slice, slice]) -> Tensor:
        area = pieces[window].flatten().bincount(minlength=2)
        return pieces[window] == 1 + area[1:].argmax()

    shape = (image.shape[1], image.shape[2])
    ways = {"local threshold in the box": bright.__getitem__, "watershed in the box": largest}
    return {arm: in_boxes(boxes, shape, draw) for arm, draw in ways.items()}


# --- scores ---


def find(model: MaskRCNN, image: Image, *, least: float = 0.0) -> Detections:
    """What Mask R-CNN finds with a score of at least ``least`` and ``SMALLEST`` pixels, on the CPU."""
    where = next(model.parameters()).device
    with torch.no_grad():
        (found,) = model.eval()(image[None].to(where))
    kept = (found.scores >= least) & (found.masks.sum((1, 2)) >= SMALLEST)
    return Detections(*(x[kept].cpu() for x in found))


def average_precision(truth: Target, found: Detections) -> dict[str, float]:
    """AP as COCO has it: over all thresholds, at IoU 0.5 and 0.75, and at the strict end."""
    scores = detection.coco_scores(instances.from_images([truth._asdict()]), instances.from_images([found._asdict()]))
    numbers = {name: scores.numbers()[name] for name in ("AP", "AP50", "AP75")}
    return numbers | {name: scores.average_precision(iou=t) for name, t in STRICT.items()}


def measures(truth: Target, found: Detections) -> dict[str, float]:
    """AP, how near the count is (1 is exact, 0 is off by all), and Dice of all nuclei together.

    Count and Dice take detections that are more likely a nucleus than not; AP takes all.
    """
    sure = found.masks[found.scores >= 0.5]
    off = abs(len(sure) - len(truth.boxes)) / len(truth.boxes)
    dice = float(overlap.dice(truth.masks.any(0), sure.any(0)))
    return average_precision(truth, found) | {"count": 1 - off, "Dice": dice}


def counting_experiment(
    seed: int, *, rcnn_steps: int = RCNN_STEPS, unet_steps: int = UNET_STEPS, count: int = TILES
) -> Scores:
    """Train U-Net and Mask R-CNN on the left of the image; score three ways to instances, and those without learning,
    on the right.
    """
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    pieces, truth, image = tiles(learn, seed=seed, count=count), target(held_out.labels), held_out.image
    probability = foreground(train_unet(pieces, seed=seed, steps=unet_steps), image)
    inside = probability > 0.5
    arms = {
        "U-Net, components": as_detections(components(inside), probability),
        "U-Net, watershed": as_detections(flooded(inside), probability),
        "Mask R-CNN": find(train_mask_rcnn(pieces, seed=seed, steps=rcnn_steps), image),
    } | unlearnt(image)
    return by_measure({arm: measures(truth, found) for arm, found in arms.items()})


CLAIMS = [
    Claim(
        name="instances_vs_components",
        lecture="01, 05",
        statement="Connected parts of a semantic mask are not the nuclei: Mask R-CNN finds these better, and their number.",
        comparisons=[
            ("AP50", "Mask R-CNN", "U-Net, components"),
            ("count", "Mask R-CNN", "U-Net, components"),
            ("AP75", "Mask R-CNN", "U-Net, components"),
            ("AP50", "U-Net, watershed", "U-Net, components"),
            ("AP50", "Mask R-CNN", "U-Net, watershed"),
            ("AP75", "Mask R-CNN", "U-Net, watershed"),
            ("Dice", "Mask R-CNN", "U-Net, components"),
            *((measure, "Mask R-CNN", other) for other in (WATERSHED, LOCAL) for measure in ("AP50", "AP75")),
        ],
        asserted=2,
        baseline=("AP50", COMPONENTS, WATERSHED, LOCAL),
        experiment=counting_experiment,
    )
]
