"""How many slices must be annotated? A 3D U-Net that learns a real volume from a few of them (lecture 08).

One half of the confocal volume, across its rows, is learnt from, the other is scored. On the real image a blur and a
threshold do as well as any network, so the question is asked of a harder one with the same nuclei, of which only the
rims are bright: inside and outside look alike and must be told apart by shape. Every arm has the same network from
the same start and differs in what is annotated.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from .. import losses, train
from ..data import nuclei
from ..data.seeds import Part, stream
from ..data.simulated import annotation, volumes
from ..metrics.overlap import dice
from ..models.unet import UNet
from . import Claim, Scores

NOISE = {"real": 0.6, "rim": 0.2}  # sd, where 1 is the brightest
SPLITS: tuple[Part, ...] = ("train", "test")
CROP = (16, 48, 48)
STEPS, BATCH, LR = 150, 2, 3e-3
SIGMAS = (0.5, 1.0, 2.0, 3.0, 4.5, 6.0)  # voxels: how much the threshold's rival image may be blurred
UNLABELLED = losses.UNLABELLED
Loss = Callable[[nn.Module, annotation.Patch], Tensor]


def halves(seed: int, *, kind: str) -> tuple[nuclei.Nuclei, nuclei.Nuclei]:
    """The noisy training and test part, every second plane: (1, 30, rows, 256) of 0.58 × 0.26 × 0.26 µm; ``kind``
    "real" or "rim".
    """
    parts = []
    for split in SPLITS:
        part = nuclei.volume(split=split)
        part = nuclei.thinned(volumes.rim(part) if kind == "rim" else part)
        parts.append(volumes.noisy(part, sd=NOISE[kind], generator=stream(seed, "noise", split)))
    return parts[0], parts[1]


def network(*, ndim: int = 3) -> UNet:
    """85,162 parameters in 3D: two pools, so that a nucleus fits into what a voxel of the bottom sees."""
    return UNet(ndim=ndim, base=8, depth=2, padding="same")


def batches(image: Tensor, target: Tensor, *, seed: int, planes: bool = False) -> Iterator[annotation.Patch]:
    """Endless batches of turned crops around annotated voxels; ``planes``: the crops' planes one by one, as 2D images."""
    generator = stream(seed, "crops")
    while True:
        crop = annotation.crops(image, target, size=CROP, count=BATCH, generator=generator)
        yield annotation.Patch(crop.image.transpose(1, 2).flatten(0, 1), crop.target.flatten(0, 1)) if planes else crop


def supervised(net: nn.Module, batch: annotation.Patch) -> Tensor:
    """Cross-entropy where someone has drawn; all other voxels weigh nothing (Çiçek et al. 2016)."""
    return losses.cross_entropy(net(batch.image), batch.target)


def learn(
    image: Tensor, target: Tensor, *, seed: int, steps: int = STEPS, loss: Loss = supervised, ndim: int = 3
) -> UNet:
    """A network trained from the start of ``seed`` on the annotated voxels of ``target``."""
    train.seed_everything(seed)
    net = network(ndim=ndim).to(train.device())
    train.fit(net, batches(image, target, seed=seed, planes=ndim == 2), loss, steps=steps, lr=LR, show=False)
    return net


def score(net: UNet, part: nuclei.Nuclei) -> float:
    """Dice of nucleus against background in a whole part."""
    image = part.image.transpose(0, 1) if net.ndim == 2 else part.image[None]
    logits = train.predict(net, image, size=8)
    inside = logits.argmax(1).view(part.labels.shape) == 1
    return float(dice(part.labels > 0, inside))


Draw = Callable[[Tensor], Tensor]
THRESHOLD, FILLED = "blur and threshold", "blur, threshold and fill"


def unlearnt(learnt: nuclei.Nuclei, held_out: nuclei.Nuclei) -> dict[str, float]:
    """Dice of what needs no network: blur and cut, and the same with the holes of each plane filled, as of a rim.

    How much blur and which level is chosen on the whole training part. A watershed would part touching nuclei, which
    Dice does not see.
    """
    return {THRESHOLD: threshold(learnt, held_out), FILLED: threshold(learnt, held_out, draw=filled)}


def threshold(learnt: nuclei.Nuclei, held_out: nuclei.Nuclei, *, draw: Draw = torch.clone) -> float:
    """Dice of what ``draw`` makes of a blur that is cut, on the held-out part, with the blur and the level that are
    best on the other.
    """
    truth = learnt.labels > 0
    _, sigma, level = max(
        (float(dice(truth, draw(smooth > level))), sigma, level)
        for sigma in SIGMAS
        for smooth in [blurred(learnt, sigma)]
        for level in torch.linspace(float(smooth.quantile(0.5)), float(smooth.max()), 30).tolist()
    )
    return float(dice(held_out.labels > 0, draw(blurred(held_out, sigma) > level)))


def filled(mask: Tensor) -> Tensor:
    """A mask (D, H, W) with what each of its planes encloses."""
    return torch.from_numpy(np.stack([ndimage.binary_fill_holes(plane) for plane in mask.numpy()]))


def blurred(part: nuclei.Nuclei, sigma: float) -> Tensor:
    """Gaussian blur, ``sigma`` voxels in the plane and half of it across."""
    return torch.from_numpy(ndimage.gaussian_filter(part.image[0].numpy(), (sigma / 2, sigma, sigma)))


ALL = "all 30 slices"
ANNOTATED = {  # arm → what is drawn
    "1 slice": partial(annotation.annotate, slices=1),
    "2 slices": partial(annotation.annotate, slices=2),
    "4 slices": partial(annotation.annotate, slices=4),
    "3 orthogonal slices": partial(annotation.annotate, slices=3, planes="orthogonal"),
    ALL: partial(annotation.annotate, slices=30),
}


def slices_experiment(seed: int, *, steps: int = STEPS) -> Scores:
    """Train on what each arm annotates of one half; Dice on the other half. On the real image: all slices alone, and
    the threshold.
    """
    learnt, held_out = halves(seed, kind="rim")
    found = {
        arm: score(learn(learnt.image, draw(learnt.labels), seed=seed, steps=steps), held_out)
        for arm, draw in ANNOTATED.items()
    }
    every = ANNOTATED[ALL](learnt.labels)
    found[f"2D U-Net, {ALL}"] = score(learn(learnt.image, every, seed=seed, steps=steps, ndim=2), held_out)
    scores = {"Dice": found | unlearnt(learnt, held_out)}
    learnt, held_out = halves(seed, kind="real")
    net = learn(learnt.image, every, seed=seed, steps=steps)
    return scores | {"real image: Dice": {ALL: score(net, held_out)} | unlearnt(learnt, held_out)}


# --- what the unlabelled rest is good for ---


class Teacher:
    """A loss with a second opinion on unlabelled voxels: the network's running mean, on another noisy view
    (Tarvainen, Valpola 2017).

    ``kind``: "consistency" asks for the same probabilities, "pseudo-labels" for the class of which the teacher is at
    least 90 % sure. Weighs nothing at first and ``weight`` after ``ramp`` steps. In 2D or 3D.
    """

    def __init__(
        self, *, kind: str, seed: int, weight: float = 1.0, ramp: int = 60, decay: float = 0.95, noise: float = 0.3
    ) -> None:
        self.kind, self.weight, self.ramp, self.decay, self.noise = kind, weight, ramp, decay, noise
        self.generator, self.step, self.mean = stream(seed, "teacher"), 0, network().to(train.device())

    def __call__(self, net: nn.Module, batch: annotation.Patch) -> Tensor:
        self._follow(net)
        views = [
            batch.image + self.noise * torch.randn(batch.image.shape, generator=self.generator).to(batch.image.device)
            for _ in range(2)
        ]
        said = net(views[0])
        with torch.no_grad():
            told = self.mean(views[1])
        share = self.weight * min(1.0, self.step / self.ramp)
        return losses.cross_entropy(said, batch.target) + share * self._rest(said, told, batch.target == UNLABELLED)

    def _rest(self, said: Tensor, told: Tensor, where: Tensor) -> Tensor:
        if self.kind == "consistency":
            return losses.consistency(said, told, where=where)
        sure, label = told.softmax(1).max(1)
        return losses.cross_entropy(said, torch.where(where & (sure > 0.9), label, UNLABELLED))

    @torch.no_grad()
    def _follow(self, net: nn.Module) -> None:
        """Move the running mean towards the network; at the first step it is the network."""
        keep = self.decay if self.step else 0.0
        for mine, its in zip(self.mean.state_dict().values(), net.state_dict().values(), strict=True):
            mine.copy_(keep * mine + (1 - keep) * its if mine.is_floating_point() else its)
        self.step += 1


def rest_experiment(seed: int, *, steps: int = STEPS, slices: int = 2) -> Scores:
    """Two annotated slices: without the rest of the volume, with consistency on it, with pseudo-labels on it."""
    learnt, held_out = halves(seed, kind="rim")
    target = annotation.annotate(learnt.labels, slices=slices)
    ways: dict[str, Loss] = {
        "labelled voxels alone": supervised,
        "consistency": Teacher(kind="consistency", seed=seed),
        "pseudo-labels": Teacher(kind="pseudo-labels", seed=seed),
    }
    found = {
        arm: score(learn(learnt.image, target, seed=seed, steps=steps, loss=loss), held_out)
        for arm, loss in ways.items()
    }
    return {"Dice": found | unlearnt(learnt, held_out)}


CLAIMS = [
    Claim(
        name="sparse_annotation",
        lecture="08",
        statement="A 3D U-Net learns a volume from a few annotated slices: four are better than one, and all thirty better still.",
        comparisons=[
            ("Dice", "4 slices", "1 slice"),
            ("Dice", ALL, "4 slices"),
            ("Dice", "3 orthogonal slices", "2 slices"),
            ("Dice", "3 orthogonal slices", "4 slices"),
            ("Dice", ALL, f"2D U-Net, {ALL}"),
            *(("Dice", arm, other) for arm in (ALL, "4 slices") for other in (THRESHOLD, FILLED)),
            ("real image: Dice", ALL, THRESHOLD),
        ],
        baseline=("Dice", THRESHOLD, FILLED),
        experiment=slices_experiment,
        asserted=2,
        simulated=("simulated.volumes.rim",),
    ),
    Claim(
        name="semi_supervised",
        lecture="08",
        statement="With two annotated slices, a loss on the unlabelled rest of the volume helps.",
        comparisons=[
            ("Dice", "consistency", "labelled voxels alone"),
            ("Dice", "pseudo-labels", "labelled voxels alone"),
            *(("Dice", "labelled voxels alone", other) for other in (THRESHOLD, FILLED)),
        ],
        baseline=("Dice", THRESHOLD, FILLED),
        experiment=rest_experiment,
        simulated=("simulated.volumes.rim",),
    ),
]
