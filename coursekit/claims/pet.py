"""Are lesions found in PET? A 3D U-Net on simulated FET against a threshold (lecture 09, after Blanc-Durand 2018).

37 people to learn from and 11 others to be scored, as on the slide (the paper: 26 and 11); each seed has others.
Segmentation and detection are scored apart: half the voxels of a large lesion may outweigh three small ones missed.
"""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from .. import train
from ..data import brain
from ..data.seeds import stream
from ..metrics.overlap import dice
from . import Scores, by_measure, claim, versus
from .training import SPLITS, cross_entropy_and_dice, trained, unet_3d

COUNTS = (37, 11)
CROP = (24, 32, 32)  # voxels
STEPS, BATCH, LR = 400, 4, 3e-3
LEVELS = 60  # thresholds tried, evenly over the values of the training part
SIGMAS = (0.0, 0.7, 1.2)  # voxels: how much the image may be blurred before the threshold
REFERENCES = (90, 95, 99)  # percentiles of a volume, to one of which levels are relative: doses differ
MEASURES = ("Dice", "mean Dice of a volume", "lesion sensitivity", "minus false alarms a volume")
SMALLEST = 4  # voxels, 0.3 mL: smaller findings are dropped, in all arms


def crops(images: Tensor, masks: Tensor, *, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of crops, half of them mirrored; every other one holds a voxel of a lesion, the rest anything."""
    generator = stream(seed, "pet crops")
    lesions, room = masks[:, 0].nonzero(), [n - c for n, c in zip(images.shape[2:], CROP)]

    def draw(count: int) -> int:
        return int(torch.randint(count, (), generator=generator))

    while True:
        seen, truth = [], []
        for k in range(BATCH):
            volume, *voxel = lesions[draw(len(lesions))].tolist()
            if k % 2 == 0:
                volume = draw(len(images))
            corner = [draw(r + 1) for r in room]
            if k % 2:
                corner = [min(max(at - c // 2, 0), r) for at, c, r in zip(voxel, CROP, room)]
            window = (volume, slice(None), *(slice(a, a + c) for a, c in zip(corner, CROP)))
            mirrored = [3] if torch.rand((), generator=generator) < 0.5 else []
            seen.append(images[window].flip(mirrored))
            truth.append(masks[window].flip(mirrored))
        yield torch.stack(seen), torch.stack(truth)[:, 0].long()


def threshold(learnt: brain.PetSet, held_out: brain.PetSet) -> Tensor:
    """What is found by a blur, a reference and a level, those of the best Dice over all voxels of the training part."""
    truth, best = learnt.masks[:, 0], (-1.0, 0.0, 0, 0.0)
    for sigma, reference in itertools.product(SIGMAS, REFERENCES):
        relative = blurred(learnt.images, sigma, reference)
        for level in torch.linspace(float(relative.median()), float(relative.max()), LEVELS).tolist():
            best = max(best, (float(dice(truth, relative > level)), sigma, reference, level))
    _, sigma, reference, level = best
    return blurred(held_out.images, sigma, reference) > level


def blurred(images: Tensor, sigma: float, reference: int) -> Tensor:
    """The images (N, 1, D, H, W) over a percentile of their own: (N, D, H, W)."""
    smooth = ndimage.gaussian_filter(images[:, 0].numpy(), (0, sigma, sigma, sigma))
    tops = np.percentile(smooth, reference, axis=(1, 2, 3), keepdims=True)
    return torch.from_numpy(smooth / tops.astype(np.float32))


def cleaned(masks: Tensor) -> Tensor:
    """The masks (N, D, H, W) without findings of fewer than ``SMALLEST`` voxels."""
    kept = np.zeros(masks.shape, bool)
    for i, mask in enumerate(masks.numpy()):
        parts, _ = ndimage.label(mask)
        kept[i] = (np.bincount(parts.ravel()) >= SMALLEST)[parts] & mask
    return torch.from_numpy(kept)


def measures(held_out: brain.PetSet, masks: Tensor) -> dict[str, float]:
    """Dice over all voxels and its mean over volumes with a lesion; lesions touched; findings that touch none."""
    touched, alarms = 0, 0
    for labels, mask in zip(held_out.labels, masks):
        parts = torch.from_numpy(ndimage.label(mask.numpy())[0])
        touched += int(labels[mask].unique().count_nonzero())
        alarms += int(parts.max()) - int(parts[labels > 0].unique().count_nonzero())
    truth, total = held_out.masks[:, 0], int(held_out.labels.amax((1, 2, 3)).sum())
    of_volumes = [float(dice(true, mask)) for true, mask in zip(truth, masks) if true.any()]
    return {
        "Dice": float(dice(truth, masks)),
        "mean Dice of a volume": sum(of_volumes) / len(of_volumes),
        "lesion sensitivity": touched / total,
        "minus false alarms a volume": -alarms / len(masks),
    }


@claim(
    lecture="09",
    statement="A 3D U-Net segments and finds lesions in FET-PET better than a threshold.",
    comparisons=versus("3D U-Net", "threshold", on=MEASURES),
    baseline=("Dice", "threshold"),
    asserted=len(MEASURES),
    simulated=("brain.pet",),
)
def pet_lesions(seed: int, *, steps: int = STEPS, counts: tuple[int, int] = COUNTS) -> Scores:
    """Simulate people, train on some, score U-Net and threshold on the others."""
    learnt, held_out = (brain.pet(split=s, seed=seed, count=n) for s, n in zip(SPLITS, counts))
    spread = learnt.images.std()
    drawn = crops(learnt.images / spread, learnt.masks, seed=seed)
    net = trained(unet_3d, drawn, cross_entropy_and_dice, seed=seed, steps=steps, lr=LR)
    logits = train.predict(net, held_out.images / spread, size=4)
    arms = {"3D U-Net": logits.argmax(1) == 1, "threshold": threshold(learnt, held_out)}
    return by_measure({arm: measures(held_out, cleaned(masks)) for arm, masks in arms.items()})
