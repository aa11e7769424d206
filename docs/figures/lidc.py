"""Draw docs/images/data_lidc.png: consensus shapes with the readers' outlines, how large and how suspicious they are.

Run as ``python docs/figures/lidc.py`` after ``coursekit data fetch all``.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from coursekit.data.ct import lidc
from coursekit.data.readers.contours import Nodule, Reading, agreement, sampled, signed_distance

OUT = Path(__file__).parents[1] / "images" / "data_lidc.png"
HALF_MM, STEP_MM = 12.0, 0.2
READERS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
BENIGN, UNSURE, MALIGNANT = "#56b4e9", "#bbbbbb", "#d55e00"
VIEWS = ("axial", "coronal", "sagittal")
AXIS = np.arange(-HALF_MM, HALF_MM + STEP_MM, STEP_MM)


def field(one: Nodule, readings: tuple[Reading, ...], middle: np.ndarray) -> np.ndarray:
    """The distance to the outline that these readers agree on, around ``middle`` (z, y, x in mm of the scan)."""
    share, z, y, x = agreement(readings, one.slice_mm)
    steps = np.array([one.slice_mm, one.pixel_mm, one.pixel_mm])
    corner = np.array([z, (y - 1) * one.pixel_mm, (x - 1) * one.pixel_mm])  # a pixel of background is put around
    return sampled(signed_distance(share >= 0.5, one.pixel_mm), steps, [AXIS + m - c for m, c in zip(middle, corner)])


def shape(grid: np.ndarray, one: Nodule, title: str) -> None:
    """Three views of the consensus, filled, with each reader's outline."""
    share, z, y, x = one.agreement
    inside = np.argwhere(share >= 0.5).mean(0) + np.array([0, y, x])
    middle = inside * (one.slice_mm, one.pixel_mm, one.pixel_mm) + np.array([z, 0, 0])
    fields = [field(one, one.readings, middle), *(field(one, (reading,), middle) for reading in one.readings)]
    at = len(AXIS) // 2
    for k, axes in enumerate(grid):
        cuts = [np.maximum(np.take(values, at, k), -99) for values in fields]  # far away where there is no slice
        axes.contourf(AXIS, AXIS, cuts[0], [0, 99], colors=["#d9d9d9"])
        for cut, colour in zip(cuts[1:], READERS):
            axes.contour(AXIS, AXIS, cut, [0], colors=colour, linewidths=0.9)
        axes.set_aspect("equal")
        axes.set_ylim(*((HALF_MM, -HALF_MM) if k == 0 else (-HALF_MM, HALF_MM)))
        axes.set_xticks([-10, 0, 10])
        axes.set_yticks([-10, 0, 10])
        axes.tick_params(labelsize=6)
        axes.set_ylabel(f"{VIEWS[k]}, mm", fontsize=7)
    grid[0].set_title(title, fontsize=7.5)
    grid[-1].set_xlabel("mm", fontsize=7)


def counts(diameters: Axes, ratings: Axes, everything: tuple[Nodule, ...]) -> None:
    size = np.array([one.diameter_mm for one in everything])
    median = np.array([one.median("malignancy") for one in everything])
    groups = [
        (median < 3, BENIGN, "median < 3"),
        (median == 3, UNSURE, "= 3, left out"),
        (median > 3, MALIGNANT, "> 3"),
    ]
    colours = [colour for _, colour, _ in groups]
    names = [f"{name}: {int(chosen.sum())}" for chosen, _, name in groups]
    diameters.hist([size[chosen] for chosen, *_ in groups], np.arange(3, 31), stacked=True, color=colours, label=names)
    diameters.set_xlabel("longest diameter in a slice, mean of the readers, mm", fontsize=7)
    diameters.legend(fontsize=7, title="malignancy", title_fontsize=7)
    values, number = np.unique(median, return_counts=True)
    shown = [BENIGN if value < 3 else MALIGNANT if value > 3 else UNSURE for value in values]
    ratings.bar(values, number, 0.4, color=shown, edgecolor="black", linewidth=0.4)
    ratings.set_xlabel("malignancy, median of three or four readers (1 unlikely … 5 likely)", fontsize=7)
    for axes in (diameters, ratings):
        axes.set_ylabel("nodules", fontsize=7)
        axes.tick_params(labelsize=6)
    diameters.set_title(f"{len(everything)} nodules of 3 to 30 mm with at least three readers", fontsize=8)


def main() -> None:
    figure = plt.figure(figsize=(12, 7.7), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(5.8, 2.3))
    everything = lidc.nodules()
    lobed = [one for one in everything if len(one.readings) == 4 and one.diameter_mm < 28]
    wanted = (
        ("lobulation", 1, 6, 9),
        ("sphericity", 5, 10, 14),
        ("lobulation", 4, 12, 18),
        ("spiculation", 4.5, 14, 20),
        ("texture", 1, 10, 20),
    )
    grid = top.subplots(3, len(wanted))
    for column, (rating, value, low, high) in enumerate(wanted):
        one = next(n for n in lobed if low < n.diameter_mm < high and n.median(rating) == value)
        said = f"malignancy {', '.join(map(str, one.malignancy))}"
        size = f"{one.diameter_mm:.1f} mm, {one.volume_ml:.2f} ml; slices {one.slice_mm:g} mm"
        shape(grid[:, column], one, f"{one.patient}: {rating} {value:g}\n{said}\n{size}")
    top.suptitle("grey: at least half of the readers agree; lines: each reader", fontsize=8)
    counts(*bottom.subplots(1, 2), everything)
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
