"""Draw docs/images/data_thin.png: the thin-slice CT with its four readers' outlines, and what a program takes for
organs there.

Run as ``python docs/figures/thin.py``.
"""

from pathlib import Path

import matplotlib
import numpy as np

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from coursekit.data import ct

OUT = Path(__file__).parents[1] / "images" / "data_thin.png"
READERS = ("#56b4e9", "#e69f00", "#009e73", "#cc79a7")
HALF = 60  # pixels around the mass


def main() -> None:
    thin, organs = ct.thin(), ct.organs()
    z, y, x = (round(float(c)) for c in thin.label.values.nonzero().float().mean(0))
    near = (slice(y - HALF, y + HALF), slice(x - HALF, x + HALF))
    step = thin.scan.spacing_mm[1]
    columns, rows = (np.arange(c - HALF, c + HALF) * step for c in (x, y))
    figure, grid = plt.subplots(1, 4, figsize=(13, 3.7), layout="constrained")
    wide = (0, 512 * step, 512 * step, 0)
    extent = (columns[0] - step / 2, columns[-1] + step / 2, rows[-1] + step / 2, rows[0] - step / 2)
    grid[0].imshow(ct.window(thin.scan.values[z], **ct.SOFT_TISSUE), cmap="gray", vmin=0, vmax=1, extent=wide)
    for axes, view in zip(grid[1:], (ct.LUNG, ct.SOFT_TISSUE, ct.SOFT_TISSUE)):
        axes.imshow(ct.window(thin.scan.values[z], **view)[near], cmap="gray", vmin=0, vmax=1, extent=extent)
    for mask, colour in zip(thin.readers, READERS):
        for axes in grid[1:3]:
            axes.contour(columns, rows, mask[z][near].numpy(), [0.5], colors=colour, linewidths=1)
    lobe = next(number for number, name in organs.names.items() if name == "lung_lower_lobe_left")
    grid[3].contourf(
        columns, rows, (organs.label.values[z] == lobe)[near].numpy(), [0.5, 1.5], colors=["#56b4e9"], alpha=0.35
    )
    grid[3].contour(columns, rows, thin.label.values[z][near].numpy(), [0.5], colors="#e69f00", linewidths=1.2)
    titles = (
        f"LIDC-IDRI-0001 ({thin.source})",
        "four readers, lung window",
        "the same, soft tissue",
        "blue: “left lower lobe”, by a program",
    )
    for axes, title in zip(grid, titles):
        axes.set_title(title, fontsize=9)
        axes.set_xlabel("right to left, mm", fontsize=8)
        axes.tick_params(labelsize=7)
    grid[0].set_ylabel("front to back, mm", fontsize=8)
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
