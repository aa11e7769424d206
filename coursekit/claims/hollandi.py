"""Images of another look, and boundaries drawn again: two ideas of Hollandi et al. 2020 (nucleAIzer), each asked
alone (lecture 05).

Style: a U-Net learns on a phantom, whose masks come for nothing, and is scored on the right of the real image. The
left of the real image lends its style, not its labels. Boundaries: Mask R-CNN and a refiner learn on the left of the
real image and are scored on its right.
"""

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Generator, Tensor, nn

from .. import losses, train
from ..data import nuclei
from ..data.seeds import stream
from ..data.simulated import phantoms
from ..metrics import overlap
from ..models.rcnn import Detections, Target, jitter
from ..models.refine import BoundaryRefiner, as_detected, grow
from ..models.style import restyle
from ..models.unet import UNet
from ..types import Image, Masks
from . import Claim, Scores, by_measure
from .nuclei import (
    BRIGHT,
    LOCAL,
    WATERSHED,
    as_detections,
    average_precision,
    convex_first,
    find,
    flooded,
    foreground,
    in_boxes,
    otsu,
    target,
    tiles,
    train_mask_rcnn,
    unlearnt,
    unlearnt_in_boxes,
)

SIZE = 128


# --- images of another look ---

Augment = Callable[[Tensor, Generator], Tensor]  # images (N, 1, S, S) to images whose labels are still true

STYLE_STEPS, STYLE_BATCH = 120, 4
PIECES, STYLES = 100, 60


def crops(whole: nuclei.Nuclei, *, count: int, seed: int) -> list[nuclei.Tile]:
    """Squares cut out of an image at random."""
    cut = (nuclei.crop(whole, SIZE, generator=stream(seed, "crops", i)) for i in range(count))
    return [nuclei.Tile(piece.image.contiguous(), piece.labels.contiguous()) for piece in cut]


def as_is(images: Tensor, generator: Generator) -> Tensor:
    """No augmentation but the turns that all arms have."""
    return images


def other_light(images: Tensor, generator: Generator) -> Tensor:
    """Each image up to twice as bright or half, its contrast bent by a gamma of 0.5 to 2, and noise of a standard
    deviation up to 0.1.
    """
    light, gamma, noise = torch.rand(3, len(images), 1, 1, 1, generator=generator).unbind()
    bent = (images * 2 ** (2 * light - 1)).clamp(0, 1) ** (2 ** (2 * gamma - 1))
    return (bent + 0.1 * noise * torch.randn(images.shape, generator=generator)).clamp(0, 1)


def other_style(styles: Tensor) -> Augment:
    """Each image moves by a random share of the way towards one of the ``styles (M, 1, A, B)``, drawn at random."""

    def augment(images: Tensor, generator: Generator) -> Tensor:
        drawn = torch.randint(len(styles), (len(images),), generator=generator)
        share = torch.rand(len(images), 1, 1, 1, generator=generator)
        return images + share * (restyle(images, styles[drawn], generator=generator) - images)

    return augment


def batches(pieces: list[nuclei.Tile], augment: Augment, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of images and where their nuclei are; which pieces and how they are turned does not depend on
    ``augment``.
    """
    drawn, changed = stream(seed, "pieces"), stream(seed, "augment")
    while True:
        at = torch.randint(len(pieces), (STYLE_BATCH,), generator=drawn).tolist()
        images, labels = zip(*(nuclei.turn(*pieces[i], generator=drawn) for i in at))
        yield augment(torch.stack(images), changed), (torch.stack(labels) > 0).long()


def train_unet(
    pieces: list[nuclei.Tile], augment: Augment, *, seed: int, steps: int = STYLE_STEPS, show: bool = False
) -> UNet:
    """Nucleus or background, from the start and on the pieces that belong to ``seed``."""
    train.seed_everything(seed)
    model = UNet(ndim=2, base=12, depth=3, padding="same").to(train.device())

    def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
        return losses.cross_entropy(net(batch[0]), batch[1])

    train.fit(model, batches(pieces, augment, seed=seed), loss_of, steps=steps, lr=3e-3, label="U-Net", show=show)
    return model


def segmented(held_out: nuclei.Nuclei, probability: Tensor) -> dict[str, float]:
    """AP of the nuclei that the watershed makes of a probability (H, W), and Dice of all together."""
    inside = probability > 0.5
    return scored(held_out, inside, as_detections(flooded(inside), probability))


def scored(held_out: nuclei.Nuclei, inside: Tensor, found: Detections) -> dict[str, float]:
    """AP of the nuclei found in a mask (H, W), and Dice of all together."""
    return average_precision(target(held_out.labels), found) | {
        "Dice": float(overlap.dice(held_out.labels > 0, inside))
    }


def style_scores(
    phantom: nuclei.Nuclei, learn: nuclei.Nuclei, held_out: nuclei.Nuclei, *, seed: int, steps: int, count: int
) -> Scores:
    """Train on the phantom with each augmentation, and once on ``learn``, whose labels no other arm sees; score on
    ``held_out``.
    """
    pieces, real = crops(phantom, count=count, seed=seed), crops(learn, count=count, seed=seed)
    styles = torch.stack([piece.image for piece in real[:STYLES]])
    plain, light, styled = (
        train_unet(pieces, a, seed=seed, steps=steps) for a in (as_is, other_light, other_style(styles))
    )
    own = train_unet(real, as_is, seed=seed, steps=steps)
    image = held_out.image
    likely = {
        "no augmentation": foreground(plain, image),
        "light augmentation": foreground(light, image),
        "style augmentation": foreground(styled, image),
        "test image restyled": foreground(plain, restyle(image[None], phantom.image[None])[0]),
        "target's own labels": foreground(own, image),
    }
    bright = {f"{name}, watershed": mask(image) for name, mask in BRIGHT.items()}
    untaught = {arm: scored(held_out, inside, convex_first(flooded(inside))) for arm, inside in bright.items()}
    return by_measure({arm: segmented(held_out, probability) for arm, probability in likely.items()} | untaught)


def style_experiment(seed: int, *, steps: int = STYLE_STEPS, count: int = PIECES) -> Scores:
    """From a phantom of its own to the right of the real image."""
    phantom = nuclei.Nuclei(*phantoms.nuclei(generator=stream(seed, "phantom")), source="phantom")
    return style_scores(
        phantom, nuclei.load(split="train"), nuclei.load(split="test"), seed=seed, steps=steps, count=count
    )


# --- boundaries drawn again ---

TILES = 200
RCNN_STEPS, REFINE_STEPS, REFINE_BATCH = 150, 300, 32
JITTER = 0.05  # how far off each side of a box is in training, in extents: about as far as Mask R-CNN's are
LIGHT = 0.4  # brighter or darker by up to this share in training

Lessons = tuple[Tensor, Tensor]  # what the refiner sees (K, 2, S, S), what it should say (K, S, S)


def lessons(refiner: BoundaryRefiner, pieces: list[nuclei.Tile], *, generator: Generator) -> Lessons:
    """Every nucleus of the pieces in a box a little off, its mask as a coarse head would give it there, and the true
    one.
    """
    seen, wanted = [], []
    for image, labels in pieces:
        exact, _, masks = target(labels)
        boxes = jitter(exact, amount=JITTER, generator=generator)
        seen.append(refiner.look(image, as_detected(masks, exact, boxes), boxes))
        wanted.append(refiner.targets(masks, boxes))
    return torch.cat(seen), torch.cat(wanted)


def train_refiner(
    pieces: list[nuclei.Tile], *, seed: int, steps: int = REFINE_STEPS, show: bool = False
) -> BoundaryRefiner:
    """Trained on the true masks of the pieces, made coarse: it never meets Mask R-CNN."""
    generator = train.seed_everything(seed)
    model = BoundaryRefiner()
    seen, wanted = lessons(model, pieces, generator=stream(seed, "lessons"))

    def loss_of(net: nn.Module, batch: Lessons) -> Tensor:
        crops, masks = batch
        light = 1 + LIGHT * (2 * torch.rand(len(crops), 1, 1, generator=generator).to(crops) - 1)
        return F.binary_cross_entropy_with_logits(net(torch.stack([crops[:, 0] * light, crops[:, 1]], 1)), masks)

    drawn = train.shuffled(seen, wanted, size=min(REFINE_BATCH, len(seen)), generator=generator)
    train.fit(model.to(train.device()), drawn, loss_of, steps=steps, lr=3e-3, label="refiner", show=show)
    return model


def refined(model: BoundaryRefiner, image: Image, found: Detections) -> Detections:
    """The same detections with their boundaries drawn again, on the CPU."""
    return found._replace(masks=model.cpu().eval().refine(image, found.masks, found.boxes))


def bright_in_the_box(image: Image, found: Detections, *, margin: float = 0.1) -> Detections:
    """The same detections, each mask what is brighter than Otsu's threshold of its box, a little grown: no learning
    after the box.
    """
    shape = (image.shape[1], image.shape[2])
    return found._replace(masks=in_boxes(grow(found.boxes, margin), shape, lambda window: otsu(image[:, *window])))


def matched(truth: Masks, found: Bool[Tensor, "M H W"]) -> Tensor:
    """IoU of each true mask with the one of ``found`` that fits it best."""
    return overlap.mask_iou(truth, found).amax(1) if len(found) else torch.zeros(len(truth))


def outlined(truth: Target, found: Detections) -> dict[str, float]:
    """AP, and the mean over true masks of the IoU with their best match."""
    return average_precision(truth, found) | {"mean IoU": float(matched(truth.masks, found.masks).mean())}


def refinement_experiment(
    seed: int, *, rcnn_steps: int = RCNN_STEPS, refine_steps: int = REFINE_STEPS, count: int = TILES
) -> Scores:
    """Train on the left of the image, find on its right, and score the same detections with several masks each, and the
    watershed.
    """
    learn, held_out = nuclei.load(split="train"), nuclei.load(split="test")
    pieces, image = tiles(learn, seed=seed, count=count), held_out.image
    found = find(train_mask_rcnn(pieces, seed=seed, steps=rcnn_steps), image)
    arms = {
        "Mask R-CNN": found,
        "Mask R-CNN + refiner": refined(train_refiner(pieces, seed=seed, steps=refine_steps), image, found),
        "bright in the box": bright_in_the_box(image, found),
    }
    arms |= {arm: found._replace(masks=masks) for arm, masks in unlearnt_in_boxes(image, found.boxes).items()}
    arms |= {arm: unlearnt(image)[arm] for arm in (WATERSHED, LOCAL)}
    truth = target(held_out.labels)
    return by_measure({arm: outlined(truth, masks) for arm, masks in arms.items()})


CLAIMS = [
    Claim(
        name="style_augmentation",
        lecture="05",
        statement="A U-Net that learns on a phantom outlines real nuclei better if its images are given the style of unlabelled real ones.",
        comparisons=[
            (measure, "style augmentation", other)
            for other in ("no augmentation", "light augmentation", WATERSHED, LOCAL)
            for measure in ("AP", "AP50", "Dice")
        ]
        + [
            ("AP", "target's own labels", "style augmentation"),
            ("AP", "test image restyled", "no augmentation"),
        ],
        baseline=("AP", WATERSHED, LOCAL),
        experiment=style_experiment,
        simulated=("simulated.phantoms.nuclei",),
    ),
    Claim(
        name="boundary_refinement",
        lecture="05",
        statement="Boundaries that a U-Net draws again, one instance at a time, are nearer to the truth than those of Mask R-CNN.",
        comparisons=[
            (measure, "Mask R-CNN + refiner", other)
            for other in ("Mask R-CNN", "bright in the box", "local threshold in the box")
            for measure in ("AP", "AP50", "AP75", "AP85", "AP90", "mean IoU")
        ],
        baseline=("AP", "bright in the box", "local threshold in the box", "watershed in the box", WATERSHED, LOCAL),
        experiment=refinement_experiment,
    ),
]
