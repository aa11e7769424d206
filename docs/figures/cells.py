"""Draw docs/images/data_cells.png: frames of both films of moving nuclei with the outlines of their masks.

Run as ``python docs/figures/cells.py``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from skimage.segmentation import find_boundaries

from coursekit.data import nuclei

OUT = Path(__file__).parents[1] / "images" / "data_cells.png"


def main() -> None:
    hela, cho = nuclei.movie("hela"), nuclei.movie("cho")
    figure, grid = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained", width_ratios=(1.6, 1, 1, 1))
    views = (
        (hela.image[0, 0], hela.labels[0], "hela, frame 0; the gap is shaded"),
        (hela.image[0, 0, 250:450, 250:450], hela.labels[0, 250:450, 250:450], "hela, a piece of frame 0"),
        (cho.image[0, 0, 2], cho.labels[0, 2], "cho, frame 0, plane 2 of 5"),
        (cho.image[0, 19, 2], cho.labels[19, 2], "cho, frame 19, plane 2"),
    )
    for axes, (image, labels, title) in zip(grid, views):
        axes.imshow(image**0.6, cmap="gray", vmin=0, vmax=1)
        edge = find_boundaries(labels.numpy(), mode="inner").astype(float)
        axes.imshow(edge, cmap="autumn", alpha=edge * 0.9)
        axes.set_title(f"{title}", fontsize=9)
        axes.set_xlabel("x (pixels)", fontsize=8)
        axes.tick_params(labelsize=7)
    width = hela.labels.shape[-1]
    grid[0].axvspan(width * 10 // 16, width * 11 // 16, color="#56b4e9", alpha=0.5)
    grid[0].set_ylabel("y (pixels)", fontsize=8)
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
