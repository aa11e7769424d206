"""Draw docs/images/data_clips.png: real videos, two pairs whose motion is known, and one clip of each action.

Run as ``python docs/figures/clips.py`` after ``coursekit data fetch street talking_head timelapse``.
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch
from torch import Tensor

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from coursekit import flow
from coursekit.data import clips

SEED = 4
OUT = Path(__file__).parents[1] / "images" / "data_clips.png"
SHOWN = [("street", 160), ("talking_head", 79), ("timelapse", 0), ("timelapse", 29)]


def show(axes: Axes, image: Tensor, title: str, **knobs: object) -> None:
    """An image (C, H, W), its axes in pixels; grey runs from 0 to 1 unless told."""
    limits = {"vmin": 0, "vmax": 1} | knobs
    axes.imshow(image.movedim(0, -1).numpy(), **({"cmap": "gray"} | limits))
    axes.set_title(title, fontsize=8)
    axes.tick_params(labelsize=6)


def videos(part: SubFigure) -> None:
    for axes, (name, k) in zip(part.subplots(1, len(SHOWN), width_ratios=[2.35, 1.22, 1, 1]), SHOWN):
        one = clips.video(name, gray=name != "talking_head", frames=k + 1)
        rate = "interval not stated" if one.fps is None else f"{k / one.fps:.1f} s"
        show(axes, one.clip[:, k], f"{one.source}: {name}\nframe {k}, {rate}")


def known(part: SubFigure) -> None:
    pair, stereo = clips.warped(kind="smooth", magnitude_px=6), clips.stereo(shrink=2)
    axes = part.subplots(1, 6, width_ratios=[1, 1, 1, 1, 1.48, 1.6])
    show(axes[0], pair.first, "street, first\nx, y in pixels")
    show(axes[1], pair.second, "second, moved by a\nsmooth field")
    show(axes[2], flow.flow_to_colour(pair.flow[None])[0], "its flow, up to 6 px")
    show(axes[3], flow.colour_key(65), "colour of a motion\nfrom the middle")
    axes[3].set_axis_off()
    show(axes[4], stereo.first, "stereo pair, left view,\nhalf resolution")
    disparity = torch.where(stereo.valid, -stereo.flow[1], torch.nan)[None]
    show(axes[5], disparity, "motion to the left\n(white: not valid)", cmap="viridis", vmin=3.5, vmax=30)
    part.colorbar(axes[5].images[0], ax=axes[5], shrink=0.8, label="pixels").ax.tick_params(labelsize=6)


def actions(part: SubFigure, *, steps: int = 8) -> None:
    one = clips.actions(split="train", count=16, seed=SEED)
    names = [name for pair in zip(*[iter(clips.MOTIONS)] * 2) for name in pair]
    grid = part.subplots(4, 2)
    for axes, name in zip(grid.flat, names):
        k = one.names.index(name)
        frames = one.clips[k, :, :: one.clips.shape[2] // steps]
        sheet = (
            torch.nn.functional.pad(frames, (0, 2), value=1).movedim(1, -2).flatten(-2)
        )  # side by side, two white pixels between
        show(axes, sheet, f"{name}: every second of 16 frames, 40 × 40 pixels")
        axes.set_axis_off()


def main() -> None:
    figure = plt.figure(figsize=(10, 8.4), layout="constrained")
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=[1.25, 1.5, 3])
    videos(top)
    known(middle)
    actions(bottom)
    figure.set_dpi(80)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    plt.imsave(OUT, (drawn // 12 * 12 + 3).clip(0, 255), pil_kwargs={"optimize": True})  # fewer levels, a smaller file
    plt.close(figure)


if __name__ == "__main__":
    main()
