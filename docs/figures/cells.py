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
    (hela, hela_ids), (cho, cho_ids) = nuclei.movie("hela"), nuclei.movie("cho")
    figure, grid = plt.subplots(1, 4, figsize=(14, 3.4), layout="constrained", width_ratios=(1.6, 1, 1, 1))
    views = (
        (hela[0, 0], hela_ids[0], "hela, frame 0"),
        (hela[0, 0, 250:450, 250:450], hela_ids[0, 250:450, 250:450], "hela, a piece of frame 0"),
        (cho[0, 0, 2], cho_ids[0, 2], "cho, frame 0, plane 2 of 5"),
        (cho[0, 19, 2], cho_ids[19, 2], "cho, frame 19, plane 2"),
    )
    for axes, (image, labels, title) in zip(grid, views):
        axes.imshow(image**0.6, cmap="gray", vmin=0, vmax=1)
        edge = find_boundaries(labels.numpy(), mode="inner").astype(float)
        axes.imshow(edge, cmap="autumn", alpha=edge * 0.9)
        axes.set_title(f"{title}", fontsize=9)
        axes.set_xlabel("x (pixels)", fontsize=8)
        axes.tick_params(labelsize=7)
    grid[0].set_ylabel("y (pixels)", fontsize=8)
    figure.savefig(OUT, dpi=80)


if __name__ == "__main__":
    main()
