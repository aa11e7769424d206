"""Draw docs/images/data_nuclei3d.png: the real volume in three planes, made harder, and slices as annotated.

Run as ``python docs/figures/nuclei3d.py`` after ``coursekit data fetch nuclei3d_image nuclei3d_labels``.
"""

from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from torch import Tensor

from coursekit.data import nuclei
from coursekit.data.nuclei import Nuclei
from coursekit.data.seeds import stream
from coursekit.data.simulated import volumes

OUT = Path(__file__).parents[1] / "images" / "data_nuclei3d.png"
ORANGE, BLUE = "#E69F00", "#56B4E9"
TARGET = ListedColormap(["#BBBBBB", "black", ORANGE])  # unlabelled, background, nucleus
AXES = "zyx"


def show(
    axes: Axes, values: Tensor, spacing_um: tuple[float, float, float], cut: int, title: str, **knobs: object
) -> None:
    """A plane of constant index along axis ``cut``, both sides in µm."""
    rows, columns = (axis for axis in range(3) if axis != cut)
    high, wide = (values.shape[k] * spacing_um[axis] for k, axis in enumerate((rows, columns)))
    axes.imshow(values.numpy(), extent=(0, wide, high, 0), **({"cmap": "gray", "vmin": 0, "vmax": 0.7} | knobs))
    axes.set_title(title, fontsize=9)
    axes.set_xlabel(f"{AXES[columns]} (µm)", fontsize=8)
    axes.set_ylabel(f"{AXES[rows]} (µm)", fontsize=8)
    axes.tick_params(labelsize=7)


def outlined(axes: Axes, one: Nuclei, cut: int, at: int, title: str, **knobs: object) -> None:
    """The plane with the outline of each nucleus."""
    show(axes, one.image[0].select(cut, at), one.spacing_um, cut, title, **knobs)
    labels = one.labels.select(cut, at).numpy()
    y, x = (
        (np.arange(n) + 0.5) * one.spacing_um[axis] for n, axis in zip(labels.shape, (a for a in range(3) if a != cut))
    )
    for k in np.unique(labels[labels > 0]):
        axes.contour(x, y, labels == k, [0.5], colors=ORANGE, linewidths=0.7)


def main() -> None:
    figure, grid = plt.subplots(3, 4, figsize=(12, 8.2), layout="constrained", height_ratios=[1, 0.32, 1])
    whole = nuclei.volume()
    rim = volumes.rim(whole)
    noisy, noisy_rim = (volumes.noisy(one, generator=stream(0, "figure")) for one in (whole, rim))
    wide = {"vmin": -1, "vmax": 2}
    shown = [(whole, {}), (noisy, wide), (rim, {}), (noisy_rim, wide)]
    for (one, knobs), column, at in zip(shown, grid.T, (150, 150, 150, 150)):
        outlined(column[0], one, 0, 34, one.source, **knobs)
        outlined(column[1], one, 1, at, f"y = {at * one.spacing_um[1]:.0f} µm", **knobs)
    grid[0, 0].axhspan(112 * 0.26, 128 * 0.26, color=BLUE, alpha=0.45)
    outlined(grid[2, 0], whole, 2, 150, "real, x = 39 µm")
    outlined(grid[2, 1], whole, 0, 22, "real, z = 6 µm: labels fray at the poles")
    for axes, (slices, planes) in zip(grid[2, 2:], ((4, "z"), (3, "orthogonal"))):
        target = volumes.annotate(whole.labels, slices=slices, planes=planes)
        cut, at = (2, 150) if planes == "z" else (0, 24)
        title = f"{slices} slices, planes={planes!r}\nin the plane {AXES[cut]} = {at * whole.spacing_um[cut]:.0f} µm"
        show(
            axes,
            target.select(cut, at),
            whole.spacing_um,
            cut,
            title,
            cmap=TARGET,
            vmin=-1,
            vmax=1,
            interpolation="nearest",
        )
    figure.set_dpi(80)
    figure.canvas.draw()
    drawn = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    plt.imsave(OUT, drawn // 16 * 17, pil_kwargs={"optimize": True})  # fewer levels, a smaller file
    plt.close(figure)


if __name__ == "__main__":
    main()
