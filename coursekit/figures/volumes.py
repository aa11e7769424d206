"""A volume as three slices through one voxel, each to scale: a slice 5 mm thick looks 5 mm thick."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
from jaxtyping import Shaped
from torch import Tensor

from .. import _check
from .drawing import SKY, Picture
from .images import Outlines, Panel, draw_panel, legend, scale_bar

NAMES = ("axial", "coronal", "sagittal")  # of a volume whose axes are (D, H, W) with D from foot to head


def planes(
    volume: Shaped[Tensor, "D H W"],
    *,
    spacing_mm: tuple[float, float, float],
    alt: str,
    at: tuple[int, int, int] | None = None,
    masks: Sequence[Outlines] = (),
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    title: str = "",
) -> Picture:
    """The slices across D, H and W through voxel ``at``, by default the middle one, with crosshair and scale bar.

    ``masks``: ``Outlines`` whose masks are (N, D, H, W), of which each slice shows its own cut. ``low`` and ``high``,
    in ``unit``, are drawn black and white and named in the title.
    """
    sizes = _check.tensor("volume", volume, "D H W")
    wanted = [n // 2 for n in sizes] if at is None else at
    spot = [_check.index("a voxel", index, n) for index, n in zip(wanted, sizes)]
    millimetres = [n * mm for n, mm in zip(sizes, spacing_mm)]
    kept = [tuple(axis for axis in range(3) if axis != across) for across in range(3)]
    shares = [millimetres[columns] for _, columns in kept]
    tallest = max(millimetres[rows] for rows, _ in kept)
    figure, grid = plt.subplots(
        1, 3, figsize=(11, 11 * tallest / sum(shares) + 1.2), layout="constrained", width_ratios=shares
    )
    values = volume.detach().float().cpu()
    black = float(values.min()) if low is None else low
    white = float(values.max()) if high is None else high
    for across, (axes, (rows, columns)) in enumerate(zip(grid, kept)):
        cuts = [Outlines(m.masks.select(across + 1, spot[across]), m.label, m.colour, m.width) for m in masks]
        panel = Panel(values.select(across, spot[across]), cuts, black, white)
        draw_panel(axes, panel, f"{NAMES[across]}, slice {spot[across]}")
        axes.axhline(spot[rows] + 0.5, color=SKY, lw=0.7)
        axes.axvline(spot[columns] + 0.5, color=SKY, lw=0.7)
        axes.set(aspect=spacing_mm[rows] / spacing_mm[columns], xticks=[], yticks=[], xlabel="", ylabel="")
        scale_bar(axes, millimetres[columns])
    legend(figure)
    spacing = " × ".join(f"{mm:.3g}" for mm in spacing_mm)
    window = f"black {black:.4g}, white {white:.4g}{f' {unit}' if unit else ''}"
    figure.suptitle(" · ".join(filter(None, (title, f"voxel {spacing} mm", window))), fontsize=10)
    return Picture(figure, alt=alt)
