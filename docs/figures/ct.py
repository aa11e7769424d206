"""Draw docs/images/data_ct.png: the two CTs with their tumours and vessels found in them, and candidates of both
classes in three views.

Run as ``python docs/figures/ct.py`` after ``coursekit data fetch all``.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import SubFigure

from coursekit.data import ct
from coursekit.data.ct import ground

OUT = Path(__file__).parents[1] / "images" / "data_ct.png"
COLUMNS = 8
ORANGE, BLUE = "#ff7f0e", "#56b4e9"


def plane(axes: Axes, here: ground.Ground, axis: int) -> None:
    """The slice or the coronal plane through the tumour, sides in mm; tumour outlined, vessels within 5 mm marked."""
    scan, label = here.ct.scan, here.ct.label.values
    at = int(np.round(label.nonzero().float().mean(0)[axis]))
    cut = tuple(at if k == axis else slice(None) for k in range(3))
    rows, columns = (k for k in range(3) if k != axis)
    size, step = scan.values.shape, scan.spacing_mm
    extent = (
        0,
        size[columns] * step[columns],
        *((size[rows] * step[rows], 0) if axis == 0 else (0, size[rows] * step[rows])),
    )
    shown = ct.window(scan.values[cut], **ct.LUNG).numpy()
    axes.imshow(shown, cmap="gray", vmin=0, vmax=1, extent=extent, origin="upper" if axis == 0 else "lower")
    y, x = ((np.arange(size[k]) + 0.5) * step[k] for k in (rows, columns))
    axes.contour(x, y, label[cut].numpy(), [0.5], colors=ORANGE, linewidths=1)
    index = scan.index(here.vessels.world)
    places = (index[np.abs(index[:, axis] - at) * step[axis] < 5] + 0.5) * step
    axes.plot(places[:, columns], places[:, rows], "+", color=BLUE, markersize=3, markeredgewidth=0.7)
    axes.set_xlabel("right to left, mm", fontsize=7)
    axes.set_ylabel("front to back, mm" if axis == 0 else "up, mm", fontsize=7)
    axes.tick_params(labelsize=6)
    part = "lung1, train" if here is ground.of("train") else "lung2, test"
    axes.set_title(f"{part} ({here.ct.source}), {('axial', 'coronal')[axis]}", fontsize=8)


def row(figure: SubFigure, found: ct.Candidates, label: int, what: str) -> None:
    """The first few candidates of a class in three views."""
    chosen = (found.labels == label).nonzero()[:COLUMNS, 0].tolist()
    grid = figure.subplots(3, COLUMNS)
    extent = (0, 24, 24, 0)
    for column, k in enumerate(chosen):
        patch = ct.window(found.patches[k, 0], **ct.LUNG).numpy()
        for axes, view in zip(grid[:, column], (patch[12], patch[:, 12], patch[:, :, 12])):
            axes.imshow(view, cmap="gray", vmin=0, vmax=1, extent=extent)
            axes.set_xticks([0, 24] if axes is grid[2, column] else [])
            axes.set_yticks([0, 24] if column == 0 else [])
            axes.tick_params(labelsize=6)
        grid[2, column].set_xlabel("mm", fontsize=6, labelpad=-6)
    for axes, name in zip(grid[:, 0], ("axial", "coronal", "sagittal")):
        axes.set_ylabel(f"{name}, mm", fontsize=6)
    figure.suptitle(what, fontsize=8)


def main() -> None:
    figure = plt.figure(figsize=(11, 5.9), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.15, 1))
    grid = top.subplots(1, 4)
    for column, split in enumerate(("train", "test")):
        for axis in (0, 1):
            plane(grid[2 * column + axis], ground.of(split), axis)
    left, right = bottom.subfigures(1, 2)
    found = ct.nodules(split="train", count=2 * COLUMNS, seed=1)
    row(left, found, 1, f"nodules set in ({found.source} shapes)")
    row(right, found, 0, "vessels")
    figure.savefig(OUT, dpi=86)


if __name__ == "__main__":
    main()
