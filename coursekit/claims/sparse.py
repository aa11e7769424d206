"""How many slices must be annotated? A 3D U-Net that learns a real volume from a few of them (lecture 08).

One half of the confocal volume, across its rows, is learnt from, the other is scored. On the real image a blur and a
threshold do as well as any network, so the question is asked of a harder one with the same nuclei, of which only the
rims are bright: inside and outside must be told apart by shape. The arms differ in what is annotated alone.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from .. import losses, train
from ..data import nuclei
from ..data.seeds import stream
from ..data.simulated import volumes
from ..metrics.overlap import dice
from ..models.unet import UNet
from . import Scores, claim, versus
from .training import SPLITS, cross_entropy, trained, unet_3d

NOISE = {"real": 0.6, "rim": 0.2}  # sd, where 1 is the brightest
CROP = (16, 48, 48)
STEPS, BATCH, LR = 150, 2, 3e-3
SIGMAS = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0)  # voxels: how much the image may be blurred before the threshold
LEVELS = 30  # thresholds tried, between the median and the brightest
UNLABELLED = losses.UNLABELLED
Loss = Callable[[nn.Module, volumes.Patch], Tensor]


def halves(seed: int, *, kind: str) -> tuple[nuclei.Nuclei, nuclei.Nuclei]:
    """The noisy training and test part, "real" or "rim", every second plane: (1, 30, rows, 256)."""
    noisy = []
    for split in SPLITS:
        part = nuclei.volume(split=split)
        part = nuclei.thinned(volumes.rim(part) if kind == "rim" else part)
        noisy.append(volumes.noisy(part, sd=NOISE[kind], generator=stream(seed, "noise", split)))
    return noisy[0], noisy[1]


def batches(image: Tensor, target: Tensor, *, seed: int, planes: bool = False) -> Iterator[volumes.Patch]:
    """Endless batches of turned crops around annotated voxels; ``planes``: their planes one by one, as 2D images."""
    generator = stream(seed, "crops")
    while True:
        crop = volumes.crops(image, target, size=CROP, count=BATCH, generator=generator)
        yield volumes.Patch(crop.image.transpose(1, 2).flatten(0, 1), crop.target.flatten(0, 1)) if planes else crop


def learn(
    image: Tensor, target: Tensor, *, seed: int, steps: int = STEPS, loss: Loss = cross_entropy, ndim: int = 3
) -> UNet:
    """A network from the start of ``seed``; voxels that nobody has drawn weigh nothing (Çiçek et al. 2016)."""
    drawn = batches(image, target, seed=seed, planes=ndim == 2)
    return trained(partial(unet_3d, ndim=ndim), drawn, loss, seed=seed, steps=steps, lr=LR)


def score(net: UNet, part: nuclei.Nuclei) -> float:
    """Dice of nucleus against background in a whole part."""
    image = part.image.transpose(0, 1) if net.ndim == 2 else part.image[None]
    logits = train.predict(net, image, size=8)
    inside = logits.argmax(1).view(part.labels.shape) == 1
    return float(dice(part.labels > 0, inside))


THRESHOLD, FILLED = "blur and threshold", "blur, threshold and fill"


def unlearnt(learnt: nuclei.Nuclei, held_out: nuclei.Nuclei) -> dict[str, float]:
    """Dice of what needs no network: blur and cut, and the same with the holes of each plane filled, as of a rim."""
    return {THRESHOLD: threshold(learnt, held_out), FILLED: threshold(learnt, held_out, draw=filled)}


def threshold(
    learnt: nuclei.Nuclei, held_out: nuclei.Nuclei, *, draw: Callable[[Tensor], Tensor] = torch.clone
) -> float:
    """Dice on the held-out part of what ``draw`` makes of a blur that is cut, both as is best on the other part."""
    truth, best = learnt.labels > 0, (-1.0, 0.0, 0.0)
    for sigma in SIGMAS:
        smooth = blurred(learnt, sigma)
        for level in torch.linspace(float(smooth.quantile(0.5)), float(smooth.max()), LEVELS).tolist():
            best = max(best, (float(dice(truth, draw(smooth > level))), sigma, level))
    _, sigma, level = best
    return float(dice(held_out.labels > 0, draw(blurred(held_out, sigma) > level)))


def filled(mask: Tensor) -> Tensor:
    """A mask (D, H, W) with what each of its planes encloses."""
    return torch.from_numpy(np.stack([ndimage.binary_fill_holes(plane) for plane in mask.numpy()]))


def blurred(part: nuclei.Nuclei, sigma: float) -> Tensor:
    """Gaussian blur, ``sigma`` voxels in the plane and half of it across."""
    return torch.from_numpy(ndimage.gaussian_filter(part.image[0].numpy(), (sigma / 2, sigma, sigma)))


ALL, ALL_2D, ORTHOGONAL = "all 30 slices", "2D U-Net, all 30 slices", "3 orthogonal slices"
ANNOTATED = {  # arm → what is drawn
    "1 slice": partial(volumes.annotate, slices=1),
    **{f"{n} slices": partial(volumes.annotate, slices=n) for n in (2, 4, 8)},
    **{f"{n} orthogonal slices": partial(volumes.annotate, slices=n, planes="orthogonal") for n in (3, 6, 12)},
    ALL: partial(volumes.annotate, slices=30),
}


@claim(
    lecture="08",
    statement="A 3D U-Net learns a volume from a few annotated slices: four are better than one, and all thirty better "
    "still.",
    comparisons=[
        ("Dice", "4 slices", "1 slice"),
        ("Dice", ALL, "4 slices"),
        *versus("8 slices", "4 slices", FILLED, on=["Dice"]),
        *versus(ORTHOGONAL, "2 slices", "4 slices", on=["Dice"]),
        ("Dice", "6 orthogonal slices", "4 slices"),
        *versus("12 orthogonal slices", "8 slices", FILLED, on=["Dice"]),
        *versus(ALL, ALL_2D, THRESHOLD, FILLED, on=["Dice"]),
        *versus("4 slices", THRESHOLD, FILLED, on=["Dice"]),
        ("real image: Dice", ALL, THRESHOLD),
    ],
    baseline=("Dice", THRESHOLD, FILLED),
    asserted=2,
    simulated=("simulated.volumes.rim",),
)
def sparse_annotation(seed: int, *, steps: int = STEPS) -> Scores:
    """Train on what each arm annotates of one half, score on the other; on the real image, all slices alone."""
    learnt, held_out = halves(seed, kind="rim")
    targets = {arm: draw(learnt.labels) for arm, draw in ANNOTATED.items()}
    nets = {arm: learn(learnt.image, target, seed=seed, steps=steps) for arm, target in targets.items()}
    nets[ALL_2D] = learn(learnt.image, targets[ALL], seed=seed, steps=steps, ndim=2)
    rims = {arm: score(net, held_out) for arm, net in nets.items()} | unlearnt(learnt, held_out)
    learnt, held_out = halves(seed, kind="real")
    net = learn(learnt.image, targets[ALL], seed=seed, steps=steps)
    return {"Dice": rims, "real image: Dice": {ALL: score(net, held_out)} | unlearnt(learnt, held_out)}


WEIGHT, RAMP = 1.0, 60  # of the second opinion, and steps until it has it all
DECAY, VIEW_NOISE = 0.95, 0.3  # of the running mean a step; sd of what each view adds to the image
SURE = 0.9  # a pseudo-label's probability


class Teacher:
    """A loss that asks the network's running mean, on another noisy view, of unlabelled voxels (Tarvainen 2017).

    "consistency": for the same probabilities; "pseudo-labels": for the class of which that teacher is sure.
    """

    def __init__(self, *, kind: str, seed: int) -> None:
        self.kind, self.generator = kind, stream(seed, "teacher")
        self.step, self.mean = 0, unet_3d().to(train.device())

    def __call__(self, net: nn.Module, batch: volumes.Patch) -> Tensor:
        self._follow(net)
        mine, its = (batch.image + VIEW_NOISE * self._noise(batch.image) for _ in range(2))
        logits, unlabelled = net(mine), batch.target == UNLABELLED
        with torch.no_grad():
            teaching = self.mean(its)
        if self.kind == "consistency":
            rest = losses.consistency(logits, teaching, where=unlabelled)
        else:
            sure, label = teaching.softmax(1).max(1)
            rest = losses.cross_entropy(logits, torch.where(unlabelled & (sure > SURE), label, UNLABELLED))
        return losses.cross_entropy(logits, batch.target) + WEIGHT * min(1.0, self.step / RAMP) * rest

    def _noise(self, image: Tensor) -> Tensor:
        return torch.randn(image.shape, generator=self.generator).to(image.device)

    @torch.no_grad()
    def _follow(self, net: nn.Module) -> None:
        """Move the running mean towards the network; at the first step it is the network."""
        keep = DECAY if self.step else 0.0
        for mine, its in zip(self.mean.state_dict().values(), net.state_dict().values(), strict=True):
            mine.copy_(keep * mine + (1 - keep) * its if mine.is_floating_point() else its)
        self.step += 1


LABELLED, KINDS = "labelled voxels alone", ("consistency", "pseudo-labels")


@claim(
    lecture="08",
    statement="With two annotated slices, a loss on the unlabelled rest of the volume helps.",
    comparisons=[*(("Dice", kind, LABELLED) for kind in KINDS), *versus(LABELLED, THRESHOLD, FILLED, on=["Dice"])],
    baseline=("Dice", THRESHOLD, FILLED),
    simulated=("simulated.volumes.rim",),
)
def semi_supervised(seed: int, *, steps: int = STEPS) -> Scores:
    """Two annotated slices: without the rest of the volume, with consistency on it, with pseudo-labels on it."""
    learnt, held_out = halves(seed, kind="rim")
    target = ANNOTATED["2 slices"](learnt.labels)
    ways: dict[str, Loss] = {LABELLED: cross_entropy}
    ways |= {kind: Teacher(kind=kind, seed=seed) for kind in KINDS}
    nets = {arm: learn(learnt.image, target, seed=seed, steps=steps, loss=loss) for arm, loss in ways.items()}
    return {"Dice": {arm: score(net, held_out) for arm, net in nets.items()} | unlearnt(learnt, held_out)}
