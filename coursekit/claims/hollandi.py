"""Images of another look, boundaries drawn again: two ideas of Hollandi et al. 2020, each asked alone (lecture 05a).

Style: a U-Net learns on a phantom, whose masks come for nothing, and is scored on the right of the real image; the
left lends its style, not its labels. Boundaries: Mask R-CNN and a refiner learn on the left.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from .. import train
from ..data import nuclei
from ..data.seeds import stream
from ..data.simulated import phantoms
from ..metrics import overlap
from ..models.rcnn import Detections, Target, jitter
from ..models.refine import BoundaryRefiner, as_detected, grow
from ..models.style import restyle
from ..models.unet import UNet
from ..types import Image
from . import Scores, by_measure, claim, versus
from . import nuclei as counting
from .nuclei import Tiles
from .training import trained, unet_2d

LR, STYLED = 3e-3, "style augmentation"


# --- images of another look ---

Augment = Callable[[Tensor, Generator], Tensor]  # images (N, 1, S, S) to images whose labels are still true

STYLE_STEPS, STYLE_BATCH = 120, 4
PIECES, STYLES = 100, 60


def crops(whole: nuclei.Nuclei, *, count: int, seed: int) -> Tiles:
    """Squares cut out of an image at random."""
    squares = (nuclei.crop(whole, counting.SIZE, generator=stream(seed, "crops", i)) for i in range(count))
    return [nuclei.Tile(square.image.contiguous(), square.labels.contiguous()) for square in squares]


def as_is(images: Tensor, generator: Generator) -> Tensor:
    """No augmentation but the turns that all arms have."""
    return images


def other_light(images: Tensor, generator: Generator) -> Tensor:
    """Each image up to twice as bright or half, bent by a gamma of 0.5 to 2, with noise of an sd up to 0.1."""
    light, gamma, noise = torch.rand(3, len(images), 1, 1, 1, generator=generator).unbind()
    grain = torch.randn(images.shape, generator=generator)
    bent = (images * 2 ** (2 * light - 1)).clamp(0, 1) ** (2 ** (2 * gamma - 1))
    return (bent + 0.1 * noise * grain).clamp(0, 1)


def other_style(styles: Tensor) -> Augment:
    """Each image moves by a random share of the way towards one of the ``styles (M, 1, A, B)``, drawn at random."""

    def augment(images: Tensor, generator: Generator) -> Tensor:
        drawn = torch.randint(len(styles), (len(images),), generator=generator)
        share = torch.rand(len(images), 1, 1, 1, generator=generator)
        return images + share * (restyle(images, styles[drawn], generator=generator) - images)

    return augment


def batches(pieces: Tiles, augment: Augment, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of images and where their nuclei are; ``augment`` changes neither the choice nor the turns."""
    drawn, changed = stream(seed, "pieces"), stream(seed, "augment")
    while True:
        at = torch.randint(len(pieces), (STYLE_BATCH,), generator=drawn).tolist()
        images, labels = zip(*(nuclei.turn(*pieces[i], generator=drawn) for i in at))
        yield augment(torch.stack(images), changed), (torch.stack(labels) > 0).long()


def train_unet(pieces: Tiles, augment: Augment, *, seed: int, steps: int = STYLE_STEPS, show: bool = False) -> UNet:
    """Nucleus or background, from the start and on the pieces that belong to ``seed``."""
    drawn = batches(pieces, augment, seed=seed)
    return trained(unet_2d, drawn, seed=seed, steps=steps, lr=LR, label="U-Net", show=show)


def segmented(held_out: nuclei.Nuclei, probability: Tensor) -> dict[str, float]:
    """AP of the nuclei that the watershed makes of a probability (H, W), and Dice of all together."""
    inside = probability > 0.5
    return scored(held_out, inside, counting.as_detections(counting.flooded(inside), probability))


def scored(held_out: nuclei.Nuclei, inside: Tensor, pieces: Detections) -> dict[str, float]:
    """AP of the pieces of a mask ``inside`` (H, W), and Dice of all together."""
    dice = float(overlap.dice(held_out.labels > 0, inside))
    return counting.average_precision(counting.target(held_out.labels), pieces) | {"Dice": dice}


@claim(
    lecture="05a",
    statement="A U-Net that learns on a phantom outlines real nuclei better if its images are given the style of "
    "unlabelled real ones.",
    comparisons=[
        *versus(STYLED, "no augmentation", "light augmentation", *counting.FLOODS, on=["AP", "AP50", "Dice"]),
        ("AP", "target's own labels", STYLED),
        ("AP", "test image restyled", "no augmentation"),
    ],
    baseline=("AP", *counting.FLOODS),
    simulated=("simulated.phantoms.nuclei",),
)
def style_augmentation(seed: int, *, steps: int = STYLE_STEPS, count: int = PIECES) -> Scores:
    """Each augmentation learns on a phantom, one arm on the real image's left; all are scored on its right."""
    phantom = nuclei.Nuclei(*phantoms.nuclei(generator=stream(seed, "phantom")), source="phantom")
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    pieces, real = crops(phantom, count=count, seed=seed), crops(learn, count=count, seed=seed)
    styles = torch.stack([piece.image for piece in real[:STYLES]])
    augments = (as_is, other_light, other_style(styles))
    plain, light, styled = (train_unet(pieces, augment, seed=seed, steps=steps) for augment in augments)
    own = train_unet(real, as_is, seed=seed, steps=steps)
    image = held_out.image
    likely = {
        "no augmentation": counting.foreground(plain, image),
        "light augmentation": counting.foreground(light, image),
        STYLED: counting.foreground(styled, image),
        "test image restyled": counting.foreground(plain, restyle(image[None], phantom.image[None])[0]),
        "target's own labels": counting.foreground(own, image),
    }
    pieces_of = counting.unlearnt(image)
    untaught = {arm: scored(held_out, bright(image), pieces_of[arm]) for arm, bright in counting.FLOODS.items()}
    return by_measure({arm: segmented(held_out, probability) for arm, probability in likely.items()} | untaught)


# --- boundaries drawn again ---

RCNN_STEPS, REFINE_STEPS, REFINE_BATCH = 150, 300, 32
JITTER = 0.05  # how far off each side of a box is in training, in extents: about as far as Mask R-CNN's are
LIGHT = 0.4  # brighter or darker by up to this share in training
MARGIN = 0.1  # of a box's extent, by which it grows before Otsu's threshold looks at it

Lessons = tuple[Tensor, Tensor]  # what the refiner sees (K, 2, S, S), what it should say (K, S, S)


def lessons(refiner: BoundaryRefiner, pieces: Tiles, *, generator: Generator) -> Lessons:
    """Every nucleus in a box a little off, its mask as a coarse head would give it there, and the true one."""
    seen, wanted = [], []
    for image, labels in pieces:
        exact, _, masks = counting.target(labels)
        boxes = jitter(exact, amount=JITTER, generator=generator)
        seen.append(refiner.look(image, as_detected(masks, exact, boxes), boxes))
        wanted.append(refiner.targets(masks, boxes))
    return torch.cat(seen), torch.cat(wanted)


def train_refiner(pieces: Tiles, *, seed: int, steps: int = REFINE_STEPS, show: bool = False) -> BoundaryRefiner:
    """Trained on the true masks of the pieces, made coarse: it never meets Mask R-CNN."""
    generator = torch.Generator().manual_seed(seed)
    seen, wanted = lessons(BoundaryRefiner(), pieces, generator=stream(seed, "lessons"))

    def loss_of(net: nn.Module, batch: Lessons) -> Tensor:
        crops, masks = batch
        light = 1 + LIGHT * (2 * torch.rand(len(crops), 1, 1, generator=generator).to(crops) - 1)
        return F.binary_cross_entropy_with_logits(net(torch.stack([crops[:, 0] * light, crops[:, 1]], 1)), masks)

    drawn = train.shuffled(seen, wanted, size=min(REFINE_BATCH, len(seen)), generator=generator)
    return trained(BoundaryRefiner, drawn, loss_of, seed=seed, steps=steps, lr=LR, label="refiner", show=show)


def refined(model: BoundaryRefiner, image: Image, detections: Detections) -> Detections:
    """The same detections with their boundaries drawn again, on the CPU."""
    return detections._replace(masks=model.cpu().eval().refine(image, detections.masks, detections.boxes))


def bright_in_the_box(image: Image, detections: Detections) -> Detections:
    """The same detections, each mask what is brighter than Otsu's threshold of its box, a little grown."""
    masks = counting.in_boxes(image, grow(detections.boxes, MARGIN), lambda window: counting.otsu(image[:, *window]))
    return detections._replace(masks=masks)


def outlined(truth: Target, detections: Detections) -> dict[str, float]:
    """AP, and the mean over true masks of the IoU with the one found that fits best."""
    fits = overlap.mask_iou(truth.masks, detections.masks)  # (N, M)
    best = fits.amax(1) if len(detections.masks) else fits.sum(1)
    return counting.average_precision(truth, detections) | {"mean IoU": float(best.mean())}


BRIGHT_IN_BOX = "bright in the box"
OUTLINES = ("AP", "AP50", "AP75", "AP85", "AP90", "mean IoU")


@claim(
    lecture="05a",
    statement="Boundaries that a U-Net draws again, one instance at a time, are nearer to the truth than those of "
    "Mask R-CNN.",
    comparisons=versus("Mask R-CNN + refiner", "Mask R-CNN", BRIGHT_IN_BOX, counting.IN_BOX[0], on=OUTLINES),
    baseline=("AP", BRIGHT_IN_BOX, *counting.IN_BOX, *counting.FLOODS),
)
def boundary_refinement(
    seed: int, *, rcnn_steps: int = RCNN_STEPS, refine_steps: int = REFINE_STEPS, count: int = counting.TILES
) -> Scores:
    """Mask R-CNN's detections with several masks in them, and the watershed."""
    pieces, image, truth = counting.real_task(seed=seed, count=count)
    found = counting.find(counting.train_mask_rcnn(pieces, seed=seed, steps=rcnn_steps), image)
    arms = {
        "Mask R-CNN": found,
        "Mask R-CNN + refiner": refined(train_refiner(pieces, seed=seed, steps=refine_steps), image, found),
        BRIGHT_IN_BOX: bright_in_the_box(image, found),
    }
    arms |= {arm: found._replace(masks=masks) for arm, masks in counting.unlearnt_in_boxes(image, found.boxes).items()}
    arms |= {arm: counting.unlearnt(image)[arm] for arm in counting.FLOODS}
    return by_measure({arm: outlined(truth, detections) for arm, detections in arms.items()})
