"""Ejection fraction from a clip, a single frame, and the ventricle's outline (lecture 16, after Ouyang et al. 2020).

The simulated patients of a seed are other people than those of any other. A clip is 1.28 s: a beat, or two. Clip and
single frame are given to the same network, from the same start, with the same patients in each batch; both are shown
what a frame differs from the mean of its clip by, which without a clip is nothing.
"""

from collections.abc import Iterator
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.signal import find_peaks, savgol_filter
from torch import Generator, Tensor, nn

from .. import train
from ..data import echo
from ..data.seeds import stream
from ..metrics.overlap import dice
from ..metrics.regression import regression
from ..metrics.roc import roc
from ..models.echo import EFRegressor, ventricle_net
from ..models.unet import UNet
from . import Scores, by_measure, claim, versus
from .training import SPLITS, cross_entropy_and_dice, trained

COUNTS = (400, 100)
SIZE, EVERY = 64, 2  # pixels; the clip's network sees every second of the 32 frames
WIDTHS = (8, 16, 32)
STEPS, BATCH, LR = 340, 8, 5e-3
LOOKS = 2  # frames of each clip in a batch of the single-frame network
SHIFT = 3  # pixels: how far a clip is moved while training
MOVING = 4.0  # what a frame differs from the mean of its clip by is small: shown so many times larger
UNET_STEPS, UNET_BATCH, UNET_LR = 280, 16, 5e-3
REDUCED = 50.0  # percent: a fraction below is called reduced
PROMINENCE = 0.15  # of the curve's range: a smaller dip is no end of systole


MAE, R2, AUC = MEASURES = ("minus MAE, points", "R2", f"AUC of EF < {REDUCED:.0f} %")
CLIP, FRAME, FRAMES = "clip", "single frame", "single frames, their mean"
OUTLINES, BOTH, MEAN = "outlines, beat by beat", "clip and outlines, their mean", "mean of the training set"


class Patients(NamedTuple):
    """The clips of one split, stacked."""

    clips: Tensor  # (N, 1, T, H, W)
    masks: Tensor  # (N, T, H, W), bool
    ends: Tensor  # (N, T), bool: the frames nearest to end diastole and end systole
    ef_percent: Tensor  # (N,)


def patients(split: echo.Part, count: int, *, seed: int, size: int = SIZE) -> Patients:
    """``count`` patients that no other split and no other seed has."""
    clips = echo.clips(split=split, count=count, size=size, seed=seed)
    items = [(c.clip, c.masks, c.ed | c.es, c.ef_percent) for c in map(clips.__getitem__, range(count))]
    return Patients(*map(torch.stack, zip(*items)))


def shown(clips: Tensor) -> Tensor:
    """Each frame, and what it differs from the mean of its clip by: nothing, where it is alone; (N, 2, T, H, W)."""
    return torch.cat([clips, MOVING * (clips - clips.mean(2, keepdim=True))], 1)


def one_by_one(clips: Tensor) -> Tensor:
    """The frames of clips (N, 1, T, H, W), each as a clip of its own: (N · T, 1, 1, H, W)."""
    return clips.transpose(1, 2).flatten(0, 1)[:, :, None]


def batches(learnt: Patients, *, single: bool, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of clips, or ``LOOKS`` frames of each, moved by up to ``SHIFT`` pixels and 20 % in brightness."""
    for clips, ef in train.shuffled(learnt.clips, learnt.ef_percent, size=BATCH, generator=generator):
        shift = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
        gain = 0.8 + 0.4 * torch.rand(len(clips), 1, 1, 1, 1, generator=generator)
        order = torch.randperm(clips.shape[2], generator=generator)
        moved = clips.roll(shift, (3, 4)) * gain
        if single:
            yield shown(one_by_one(moved[:, :, order[:LOOKS]])), ef.repeat_interleave(LOOKS)
        else:
            yield shown(moved[:, :, int(order[0]) % EVERY :: EVERY]), ef


def loss_of(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Mean squared error, in units of 10 points."""
    off: Tensor = (net(batch[0]) - batch[1]) / 10
    return off.square().mean()


def learn(learnt: Patients, *, seed: int, single: bool, steps: int = STEPS, show: bool = False) -> EFRegressor:
    """The regressor of a clip, or of one frame; it starts from the training set's mean."""
    build = partial(EFRegressor, in_channels=2, widths=WIDTHS, mean_percent=float(learnt.ef_percent.mean()))
    drawn = batches(learnt, single=single, generator=stream(seed, "ef batches"))
    return trained(build, drawn, loss_of, seed=seed, steps=steps, lr=LR, weight_decay=1e-2, show=show)


def from_clips(net: EFRegressor, clips: Tensor) -> Tensor:
    """What is said of a clip (N,): the mean over the ways to take every ``EVERY``-th frame."""
    ways = [train.predict(net, shown(clips[:, :, first::EVERY]), size=10) for first in range(EVERY)]
    return torch.stack(ways).mean(0)


def moved(frames: Tensor, masks: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
    """A batch of frames up to 30 % brighter or darker, moved with their masks by up to twice ``SHIFT`` pixels."""
    gain = 0.7 + 0.6 * torch.rand(len(frames), 1, 1, 1, generator=generator)
    shift = torch.randint(-2 * SHIFT, 2 * SHIFT + 1, (2,), generator=generator).tolist()
    return (frames * gain).roll(shift, (2, 3)), masks.roll(shift, (1, 2))


def learn_outline(learnt: Patients, *, seed: int, steps: int = UNET_STEPS, show: bool = False) -> UNet:
    """A 2D U-Net on the frames at end diastole and end systole alone: those that are traced in a clinic."""
    images, masks = learnt.clips[:, 0][learnt.ends][:, None], learnt.masks[learnt.ends].long()
    generator = torch.Generator().manual_seed(seed)
    pairs = train.shuffled(images, masks, size=UNET_BATCH, generator=generator)
    drawn = (moved(*pair, generator=generator) for pair in pairs)
    return trained(ventricle_net, drawn, cross_entropy_and_dice, seed=seed, steps=steps, lr=UNET_LR, show=show)


def beat_by_beat(volume: Tensor) -> float:
    """EF in percent of a volume curve (T,) in any unit: what its dips miss of the beat's fullest, on average."""
    curve = savgol_filter(ndimage.median_filter(volume.numpy(), 3), 5, 2)  # takes outliers, then noise
    dips, _ = find_peaks(-curve, prominence=PROMINENCE * np.ptp(curve))
    if not len(dips):  # the clip begins or ends at the emptiest moment
        dips = np.array([curve.argmin()])
    edges = [0, *dips.tolist(), len(curve)]
    full = [curve[edges[k] : edges[k + 2]].max() for k in range(len(dips))]  # from the dip before to the dip after
    return float(np.mean([100 * (1 - curve[dip] / top) if top > 0 else 0.0 for dip, top in zip(dips, full)]))


def from_outlines(masks: Tensor) -> Tensor:
    """EF of each clip (N,) from its masks (N, T, H, W), volumes by discs."""
    return torch.tensor([beat_by_beat(curve) for curve in echo.volume_by_discs(masks, spacing_mm=1.0)])


def measures(truth: Tensor, predicted: Tensor) -> dict[str, float]:
    """Larger is better in all three; the area under the curve is that of finding fractions below ``REDUCED``."""
    errors = regression(truth, predicted.float())
    return {MAE: -errors.mae, R2: errors.r2, AUC: roc(truth < REDUCED, -predicted).auc}


@claim(
    lecture="16",
    statement="The ejection fraction is read better from a clip than from a single frame.",
    comparisons=[
        *versus(CLIP, FRAME, on=MEASURES),
        (MAE, CLIP, FRAMES),
        *((MAE, arm, MEAN) for arm in (CLIP, FRAME, OUTLINES)),
        *versus(OUTLINES, CLIP, on=MEASURES),
        *versus(BOTH, CLIP, OUTLINES, on=[MAE]),
    ],
    baseline=(MAE, MEAN),
    asserted=len(MEASURES),
    simulated=("echo.clips",),
)
def ef_video_vs_frame(
    seed: int, *, counts: tuple[int, int] = COUNTS, size: int = SIZE, steps: int = STEPS, unet_steps: int = UNET_STEPS
) -> Scores:
    """Simulate patients, train on some, score every way to the ejection fraction on the others."""
    learnt, held_out = (patients(split, n, seed=seed, size=size) for split, n in zip(SPLITS, counts))
    clips, truth, ends = held_out.clips, held_out.ef_percent, held_out.ends
    clip = from_clips(learn(learnt, seed=seed, single=False, steps=steps), clips)
    every_eighth, every = one_by_one(clips[:, :, ::8]), clips.transpose(1, 2).flatten(0, 1)
    of_frame = learn(learnt, seed=seed, single=True, steps=steps)
    frames = train.predict(of_frame, shown(every_eighth), size=64).view(len(clips), -1)
    logits = train.predict(learn_outline(learnt, seed=seed, steps=unet_steps), every, size=64)
    masks = (logits.argmax(1) == 1).view(held_out.masks.shape)
    arms = {CLIP: clip, FRAME: frames[:, 0], FRAMES: frames.mean(1), OUTLINES: from_outlines(masks)}
    arms[BOTH] = (clip + arms[OUTLINES]) / 2
    arms[MEAN] = torch.full_like(truth, float(learnt.ef_percent.mean()))
    dice_at_ends = {OUTLINES: float(dice(held_out.masks[ends], masks[ends]))}
    scores = by_measure({arm: measures(truth, predicted) for arm, predicted in arms.items()})
    return scores | {"Dice at the ends of filling and ejection": dice_at_ends}
