"""Ejection fraction from a clip, from a single frame, and from the ventricle's outline beat by beat (lecture 16,
after Ouyang et al. 2020).

The simulated patients of a seed are other people than those of any other; their true fractions are known. A clip is
1.28 s: a beat, or two. Clip and single frame are given to the same network, from the same start, with the same
patients in each batch; both are shown what a frame differs from the mean of its clip by, which without a clip is
nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from scipy.signal import find_peaks, savgol_filter
from torch import Generator, Tensor, nn

from .. import losses, train
from ..data import echo
from ..data.echo.sets import Part
from ..data.seeds import stream
from ..metrics.overlap import dice
from ..metrics.regression import regression
from ..metrics.roc import roc
from ..models.echo import EFRegressor, ventricle_net
from ..models.unet import UNet
from . import Claim, Scores, by_measure

SPLITS: tuple[Part, ...] = ("train", "test")  # choices were made on "val", and on seeds below FRESH
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


class Patients(NamedTuple):
    """The clips of one split, stacked."""

    clips: Tensor  # (N, 1, T, H, W)
    masks: Tensor  # (N, T, H, W), bool
    ends: Tensor  # (N, T), bool: the frames nearest to end diastole and end systole
    ef_percent: Tensor  # (N,)


def patients(split: Part, count: int, *, seed: int, size: int = SIZE) -> Patients:
    """``count`` patients that no other split and no other seed has."""
    items = list(map(echo.clips(split=split, count=count, size=size, seed=seed).__getitem__, range(count)))
    clips, masks, ef = (
        torch.stack([getattr(item, name) for item in items]) for name in ("clip", "masks", "ef_percent")
    )
    return Patients(clips, masks, torch.stack([item.ed | item.es for item in items]), ef)


# --- regression: a clip, or one frame of it, to a number ---


def shown(clips: Tensor) -> Tensor:
    """Each frame, and what it differs from the mean of its clip by: (N, 2, T, H, W). A frame alone has nothing to
    differ from.
    """
    return torch.cat([clips, MOVING * (clips - clips.mean(2, keepdim=True))], 1)


def one_by_one(clips: Tensor) -> Tensor:
    """The frames of clips (N, 1, T, H, W) as clips of one frame: (N · T, 1, 1, H, W)."""
    return clips.transpose(1, 2).flatten(0, 1)[:, :, None]


def batches(learnt: Patients, *, single: bool, generator: Generator) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches of clips (or ``LOOKS`` frames of each), moved by up to ``SHIFT`` pixels and up to 20 % brighter
    or darker.
    """
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
    train.seed_everything(seed)
    net = EFRegressor(in_channels=2, widths=WIDTHS, mean_percent=float(learnt.ef_percent.mean())).to(train.device())
    drawn = batches(learnt, single=single, generator=stream(seed, "ef batches"))
    label = "one frame" if single else "clip"
    train.fit(net, drawn, loss_of, steps=steps, lr=LR, weight_decay=1e-2, label=label, show=show)
    return net


def from_clips(net: EFRegressor, clips: Tensor) -> Tensor:
    """What is said of a clip (N,): the mean over the ways to take every ``EVERY``-th frame."""
    said = [train.predict(net, shown(clips[:, :, first::EVERY]), size=10) for first in range(EVERY)]
    return torch.stack(said).mean(0)


def from_frames(net: EFRegressor, clips: Tensor) -> Tensor:
    """What is said of every eighth frame, alone: (N, T / 8)."""
    return train.predict(net, shown(one_by_one(clips[:, :, ::8])), size=64).view(len(clips), -1)


# --- outline: every frame to a mask, masks to volumes, volumes to a number ---


def moved(frames: Tensor, masks: Tensor, *, generator: Generator) -> tuple[Tensor, Tensor]:
    """A batch of frames up to 30 % brighter or darker, moved with their masks by up to twice ``SHIFT`` pixels."""
    gain = 0.7 + 0.6 * torch.rand(len(frames), 1, 1, 1, generator=generator)
    shift = torch.randint(-2 * SHIFT, 2 * SHIFT + 1, (2,), generator=generator).tolist()
    return (frames * gain).roll(shift, (2, 3)), masks.roll(shift, (1, 2))


def outline_loss(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    """Cross-entropy and Dice of the ventricle."""
    logits = net(batch[0])
    return losses.cross_entropy(logits, batch[1]) + losses.dice_loss(logits, batch[1], background=False)


def learn_outline(learnt: Patients, *, seed: int, steps: int = UNET_STEPS, show: bool = False) -> UNet:
    """A 2D U-Net on the frames at end diastole and end systole alone: those that are traced in a clinic."""
    images, masks = learnt.clips[:, 0][learnt.ends][:, None], learnt.masks[learnt.ends].long()
    generator = train.seed_everything(seed)
    net = ventricle_net().to(train.device())
    drawn = (
        moved(*pair, generator=generator)
        for pair in train.shuffled(images, masks, size=UNET_BATCH, generator=generator)
    )
    train.fit(net, drawn, outline_loss, steps=steps, lr=UNET_LR, label="outline", show=show)
    return net


def outline(net: UNet, clips: Tensor) -> Tensor:
    """The ventricle's mask in every frame: (N, T, H, W)."""
    inside = train.predict(net, clips.transpose(1, 2).flatten(0, 1), size=64).argmax(1) == 1
    return inside.view(len(clips), *clips.shape[2:])


def beat_by_beat(volume: Tensor) -> float:
    """EF in percent of a volume curve (T,): the mean over its dips of what is missing there from the fullest moment
    of the same beat.

    A running median of 3 frames takes outliers, a parabola through 5 frames the noise. A ratio has no unit: pixels do
    for millilitres.
    """
    curve = savgol_filter(ndimage.median_filter(volume.numpy(), 3), 5, 2)
    dips, _ = find_peaks(-curve, prominence=PROMINENCE * np.ptp(curve))
    if not len(dips):  # the clip begins or ends at the emptiest moment
        dips = np.array([curve.argmin()])
    edges = [0, *dips.tolist(), len(curve)]
    full = [curve[edges[k] : edges[k + 2]].max() for k in range(len(dips))]  # from the dip before to the dip after
    return float(np.mean([100 * (1 - curve[dip] / top) if top > 0 else 0.0 for dip, top in zip(dips, full)]))


def from_outlines(masks: Tensor) -> Tensor:
    """EF of each clip (N,) from its masks (N, T, H, W), volumes by discs."""
    return torch.tensor([beat_by_beat(curve) for curve in echo.volume_by_discs(masks, spacing_mm=1.0)])


def measures(truth: Tensor, said: Tensor) -> dict[str, float]:
    """Larger is better in all three; the area under the curve is that of finding fractions below ``REDUCED``."""
    errors = regression(truth, said.float())
    area = roc(truth < REDUCED, -said).auc
    return {"minus MAE, points": -errors.mae, "R2": errors.r2, f"AUC of EF < {REDUCED:.0f} %": area}


def ef_experiment(
    seed: int, *, counts: tuple[int, int] = COUNTS, size: int = SIZE, steps: int = STEPS, unet_steps: int = UNET_STEPS
) -> Scores:
    """Simulate patients, train on some, score every way to the ejection fraction on the others."""
    learnt, held_out = (patients(split, n, seed=seed, size=size) for split, n in zip(SPLITS, counts))
    clips, truth = held_out.clips, held_out.ef_percent
    one = from_frames(learn(learnt, seed=seed, single=True, steps=steps), clips)
    masks = outline(learn_outline(learnt, seed=seed, steps=unet_steps), clips)
    clip, outlines = from_clips(learn(learnt, seed=seed, single=False, steps=steps), clips), from_outlines(masks)
    arms = {
        "clip": clip,
        "single frame": one[:, 0],
        "single frames, their mean": one.mean(1),
        "outlines, beat by beat": outlines,
        "clip and outlines, their mean": (clip + outlines) / 2,
        "mean of the training set": torch.full_like(truth, float(learnt.ef_percent.mean())),
    }
    scores = by_measure({arm: measures(truth, said) for arm, said in arms.items()})
    scores["Dice at the ends of filling and ejection"] = {
        "outlines, beat by beat": float(dice(held_out.masks[held_out.ends], masks[held_out.ends]))
    }
    return scores


MEASURES = ("minus MAE, points", "R2", f"AUC of EF < {REDUCED:.0f} %")

CLAIMS = [
    Claim(
        name="ef_video_vs_frame",
        lecture="16",
        statement="The ejection fraction is read better from a clip than from a single frame.",
        comparisons=[
            *((measure, "clip", "single frame") for measure in MEASURES),
            ("minus MAE, points", "clip", "single frames, their mean"),
            *(
                ("minus MAE, points", arm, "mean of the training set")
                for arm in ("clip", "single frame", "outlines, beat by beat")
            ),
            *((measure, "outlines, beat by beat", "clip") for measure in MEASURES),
            *(
                ("minus MAE, points", "clip and outlines, their mean", alone)
                for alone in ("clip", "outlines, beat by beat")
            ),
        ],
        baseline=("minus MAE, points", "mean of the training set"),
        experiment=ef_experiment,
        asserted=len(MEASURES),
        simulated=("echo.clips",),
    )
]
