"""Draw docs/images/data_echo.png: the real clip beside simulated ones, tracings at end diastole and systole, volumes,
fractions.

Run as ``python docs/figures/echo.py``.
"""

from pathlib import Path

import matplotlib
import torch
from torch import Tensor

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from coursekit.data import echo

OUT = Path(__file__).parents[1] / "images" / "data_echo.png"
SHOWN = (12, 19)  # test patients
ORANGE, BLUE = "#ff7f0e", "#56b4e9"


def frame(axes: Axes, image: Tensor, spacing: float, title: str) -> None:
    """One frame (H, W), its sides in mm."""
    side = image.shape[0] * spacing
    axes.imshow(image.numpy(), cmap="gray", vmin=0, vmax=1, extent=(0, side, side, 0))
    axes.set_title(title, fontsize=8)
    axes.set_xticks([0, 50, 100, 150])
    axes.set_yticks([0, 50, 100, 150])
    axes.tick_params(labelsize=6)


def trace(axes: Axes, mask: Tensor, spacing: float, colour: str) -> None:
    """The outline of a mask, its long axis and its 20 chords."""
    at = (torch.arange(mask.shape[0]) + 0.5).numpy() * spacing
    axes.contour(at, at, mask.numpy(), [0.5], colors=colour, linewidths=1)
    for k, (x1, y1, x2, y2) in enumerate(((echo.tracing(mask) + 0.5) * spacing).tolist()):
        axes.plot([x1, x2], [y1, y2], color=colour, linewidth=1 if k == 0 else 0.4)


def real_row(part: SubFigure) -> None:
    one = echo.real(size=112)
    for axes, k in zip(part.subplots(1, 5), (0, 6, 12, 18, 24)):
        frame(axes, (one.clip[0, k] * 2).clamp(max=1), one.spacing_mm, f"real, {k / one.fps:.1f} s, light × 2")
    part.axes[0].set_ylabel("depth, mm", fontsize=7)


def simulated_row(part: SubFigure, item: echo.Echo) -> None:
    """End diastole and systole, bare and traced, and the filling valve."""
    ed, es = int(item.ed.nonzero()[0]), int(item.es.nonzero()[0])
    filling = int((item.volume_ml.diff()).argmax())
    spacing, ef = float(item.spacing_mm), float(item.ef_percent)
    axes = part.subplots(1, 5)
    frame(axes[0], item.clip[0, ed], spacing, f"simulated, EF {ef:.0f} %")
    frame(axes[1], item.clip[0, ed], spacing, f"end diastole, {item.edv_ml:.0f} mL")
    frame(axes[2], item.clip[0, es], spacing, "simulated, end systole")
    frame(axes[3], item.clip[0, es], spacing, f"end systole, {item.esv_ml:.0f} mL")
    frame(axes[4], item.clip[0, filling], spacing, "simulated, filling")
    trace(axes[1], item.masks[ed], spacing, ORANGE)
    trace(axes[3], item.masks[es], spacing, BLUE)
    axes[0].set_ylabel("depth, mm", fontsize=7)


def curves(axes: Axes, tests: echo.EchoSet) -> None:
    """Stated volume (line) and discs on the masks (dots), of the patients shown."""
    for k, colour in zip(SHOWN, (ORANGE, BLUE)):
        item = tests[k]
        time = torch.arange(len(item.volume_ml)) / tests.fps
        axes.plot(time, item.volume_ml, color=colour, label=f"EF {item.ef_percent:.0f} %")
        axes.plot(
            time, echo.volume_by_discs(item.masks, spacing_mm=float(item.spacing_mm)), ".", color=colour, markersize=4
        )
    axes.set_xlabel("time, s", fontsize=7)
    axes.set_ylabel("volume, mL", fontsize=7)
    axes.set_title("simulated: true volume (line), discs on the mask (dots)", fontsize=8)
    axes.set_ylim(0)
    axes.legend(fontsize=6, loc="lower right", ncols=3)


def fractions(axes: Axes) -> None:
    bins = torch.arange(15, 76, 5).tolist()
    parts = {
        split: [float(item.ef_percent) for item in echo.clips(split=split, count=count, size=32, frames=1)]
        for split, count in (("train", 240), ("test", 60))
    }
    labels = [f"{split}, {len(part)} patients" for split, part in parts.items()]
    axes.hist(list(parts.values()), bins, color=[BLUE, ORANGE], label=labels)
    axes.set_xlabel("ejection fraction, %", fontsize=7)
    axes.set_ylabel("patients", fontsize=7)
    axes.set_title("simulated: ejection fractions", fontsize=8)
    axes.legend(fontsize=6)


def main() -> None:
    figure = plt.figure(figsize=(8.6, 7.6), layout="constrained")
    rows = figure.subfigures(4, 1, height_ratios=[1, 1, 1, 1.15])
    tests = echo.clips(split="test")
    real_row(rows[0])
    for row, k in zip(rows[1:3], SHOWN):
        simulated_row(row, tests[k])
    left, right = rows[3].subplots(1, 2, width_ratios=[1.3, 1])
    curves(left, tests)
    fractions(right)
    for axes in (left, right):
        axes.tick_params(labelsize=6)
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
