"""Draw docs/images/data_nuclei2d.png: the real image with its split, a copied and pasted tile, and the phantom.

Run as ``python docs/figures/nuclei2d.py`` after ``coursekit data fetch nuclei2d_image nuclei2d_labels``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from torch import Tensor

from coursekit.data import nuclei
from coursekit.data.seeds import stream
from coursekit.data.simulated import pasting, phantoms

OUT = Path(__file__).parents[1] / "images" / "data_nuclei2d.png"
ORANGE, BLUE = "#E69F00", "#56B4E9"


def show(axes: Axes, image: Tensor, labels: Tensor, title: str) -> None:
    """An image (1, H, W) with the outline of each nucleus."""
    axes.imshow(image[0].numpy(), cmap="gray", vmin=0, vmax=0.8)
    for mask in nuclei.masks(labels):
        axes.contour(mask.numpy(), [0.5], colors=ORANGE, linewidths=0.5)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("x (pixels)", fontsize=8)
    axes.set_ylabel("y (pixels)", fontsize=8)
    axes.tick_params(labelsize=7)


def main() -> None:
    figure = plt.figure(figsize=(10.5, 5.6), layout="constrained")
    figure.set_layout_engine("constrained", hspace=0.08, h_pad=0.08, w_pad=0.1)
    grid = figure.add_gridspec(2, 3, width_ratios=[2.1, 1, 1])
    whole = nuclei.load()
    axes = figure.add_subplot(grid[:, 0])
    show(axes, whole.image, whole.labels, f"{whole.source}: train | gap | test, {whole.count} nuclei outlined")
    axes.axvspan(319.5, 351.5, color=BLUE, alpha=0.45)
    train = nuclei.load(split="train")
    tiles = pasting.CopyPaste(train, pasted=1.0, seed=1)
    for k in range(2):
        show(figure.add_subplot(grid[k, 1]), *tiles[k], f"copy-paste of {train.source}, tile {k}")
    crop = nuclei.crop(train, 128, generator=stream(2, "figure"))
    show(figure.add_subplot(grid[0, 2]), crop.image, crop.labels, f"{crop.source}: a crop of train")
    image, labels = phantoms.nuclei(generator=stream(0, "figure"))
    show(
        figure.add_subplot(grid[1, 2]),
        image[:, :128, :128],
        nuclei.relabel(labels[:128, :128]),
        "phantom, a corner of it",
    )
    figure.set_dpi(80)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    plt.imsave(OUT, drawn // 16 * 17, pil_kwargs={"optimize": True})  # fewer levels, a smaller file
    plt.close(figure)


if __name__ == "__main__":
    main()
