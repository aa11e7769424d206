"""Are lesions found in PET? A 3D U-Net on simulated FET of gliomas against a threshold (lecture 09, after
Blanc-Durand et al. 2018).

37 people to learn from, 11 others to be scored, the paper's numbers; every seed simulates other people. Segmentation
(Dice) and detection (lesions found, false alarms) are scored apart: half the voxels of a large lesion may outweigh
three small ones missed.
"""

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from .. import losses, train
from ..data import brain
from ..data.seeds import Part, stream
from ..metrics.overlap import dice
from ..models.unet import UNet
from . import Claim, Scores, by_measure

SPLITS: tuple[Part, ...] = ("train", "test")
CROP = (24, 32, 32)
STEPS, BATCH, LR = 400, 4, 3e-3
LEVELS = 60  # thresholds tried, evenly over the values of the training part
SIGMAS = (0.0, 0.7, 1.2)  # voxels: how much the image may be blurred before the threshold
SMALLEST = 4  # voxels, 0.3 mL: smaller findings are dropped, in all arms


def crops(images: Tensor, masks: Tensor, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of crops, mirrored left to right half the time: every other one around a voxel of a lesion, the
    rest anywhere.
    """
    generator = stream(seed, "pet crops")
    inside, space = masks[:, 0].nonzero(), images.shape[2:]
    while True:
        picked = []
        for k in range(BATCH):
            row = inside[torch.randint(len(inside), (), generator=generator)]
            volume = int(row[0]) if k % 2 else int(torch.randint(len(images), (), generator=generator))
            room = [n - c for n, c in zip(space, CROP)]
            anywhere = [int(torch.randint(r + 1, (), generator=generator)) for r in room]
            around = [min(max(int(at) - c // 2, 0), r) for at, c, r in zip(row[1:], CROP, room)]
            corner = around if k % 2 else anywhere
            d, h, w = (slice(a, a + c) for a, c in zip(corner, CROP))
            mirrored = [3] if torch.rand((), generator=generator) < 0.5 else []
            picked.append((images[volume, :, d, h, w].flip(mirrored), masks[volume, :, d, h, w].flip(mirrored)))
        yield torch.stack([x for x, _ in picked]), torch.stack([m for _, m in picked])[:, 0].long()


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy and Dice: lesions are few of the voxels, and Dice does not count the others."""
    logits = net(batch[0])
    return losses.cross_entropy(logits, batch[1]) + losses.dice_loss(logits, batch[1], background=False)


def learn(learnt: brain.PetSet, *, seed: int, steps: int = STEPS, show: bool = False) -> UNet:
    """A 3D U-Net of 85,162 parameters on the volumes, scaled by the spread of the training part."""
    train.seed_everything(seed)
    net = UNet(ndim=3, base=8, depth=2, padding="same").to(train.device())
    train.fit(
        net,
        crops(learnt.images / scale(learnt), learnt.masks, seed=seed),
        loss_of,
        steps=steps,
        lr=LR,
        label="3D U-Net",
        show=show,
    )
    return net


def scale(learnt: brain.PetSet) -> Tensor:
    """The standard deviation of the training images: what they are divided by."""
    return learnt.images.std()


class Cut(NamedTuple):
    """What needs no network: a Gaussian blur of ``sigma`` voxels, then a level, in SUV or relative to each volume's
    99th percentile.
    """

    sigma: float
    relative: bool
    level: float

    def __call__(self, images: Tensor) -> Tensor:
        """Volumes (N, 1, D, H, W) to masks (N, D, H, W)."""
        return rival(images, self.sigma, self.relative) > self.level


def threshold(learnt: brain.PetSet) -> Cut:
    """The blur, reference and level with the best Dice over all voxels of the training part."""
    truth, best = learnt.masks[:, 0], (-1.0, Cut(0.0, False, 0.0))
    for sigma, relative in itertools.product(SIGMAS, (False, True)):
        images = rival(learnt.images, sigma, relative)
        for level in torch.linspace(float(images.median()), float(images.max()), LEVELS + 2)[1:-1].tolist():
            best = max(best, (float(dice(truth, images > level)), Cut(sigma, relative, level)))
    return best[1]


def rival(images: Tensor, sigma: float, relative: bool) -> Tensor:
    """The images (N, D, H, W) that are cut at a level."""
    smooth = torch.from_numpy(ndimage.gaussian_filter(images[:, 0].numpy(), (0, sigma, sigma, sigma)))
    if not relative:
        return smooth
    tops = np.percentile(smooth.flatten(1).numpy(), 99, axis=1).astype(np.float32)
    return smooth / torch.from_numpy(tops).view(-1, 1, 1, 1)


def cleaned(masks: Tensor) -> Tensor:
    """The masks (N, D, H, W) without findings of fewer than ``SMALLEST`` voxels."""
    kept = np.zeros(masks.shape, bool)
    for i, mask in enumerate(masks.numpy()):
        parts, _ = ndimage.label(mask)
        kept[i] = (np.bincount(parts.ravel()) >= SMALLEST)[parts] & mask
    return torch.from_numpy(kept)


def measures(held_out: brain.PetSet, masks: Tensor) -> dict[str, float]:
    """Dice over all voxels, and its mean over volumes with a lesion; the share of lesions touched; findings that touch
    none, a volume.
    """
    found, alarms = 0, 0
    for labels, mask in zip(held_out.labels, masks):
        parts = torch.from_numpy(ndimage.label(mask.numpy())[0])
        found += int(labels[mask].unique().count_nonzero())
        alarms += int(parts.max()) - int(parts[labels > 0].unique().count_nonzero())
    total = sum(len(lesions) for lesions in held_out.lesions)
    each = [float(dice(t, m)) for t, m in zip(held_out.masks[:, 0], masks) if t.any()]
    return {
        "Dice": float(dice(held_out.masks[:, 0], masks)),
        "mean Dice of a volume": sum(each) / len(each),
        "lesion sensitivity": found / total,
        "minus false alarms a volume": -alarms / len(masks),
    }


def pet_experiment(seed: int, *, steps: int = STEPS, counts: tuple[int | None, int | None] = (None, None)) -> Scores:
    """Simulate people, train on some, score U-Net and threshold on the others."""
    learnt, held_out = (brain.pet(split=s, seed=seed, count=n) for s, n in zip(SPLITS, counts))
    logits = train.predict(learn(learnt, seed=seed, steps=steps), held_out.images / scale(learnt), size=4)
    arms = {"3D U-Net": logits.argmax(1) == 1, "threshold": threshold(learnt)(held_out.images)}
    return by_measure({arm: measures(held_out, cleaned(masks)) for arm, masks in arms.items()})


CLAIMS = [
    Claim(
        name="pet_lesions",
        lecture="09",
        statement="A 3D U-Net segments and finds lesions in FET-PET better than a threshold.",
        comparisons=[
            (measure, "3D U-Net", "threshold")
            for measure in ("Dice", "mean Dice of a volume", "lesion sensitivity", "minus false alarms a volume")
        ],
        baseline=("Dice", "threshold"),
        experiment=pet_experiment,
        asserted=4,
        simulated=("brain.pet",),
    )
]
