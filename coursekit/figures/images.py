"""Images in a row, or three slices of a volume, each with what was found: areas, outlines of masks, boxes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ipywidgets
import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Integer, Shaped
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap, to_rgba
from matplotlib.figure import Figure
from torch import Tensor

from .. import _check
from .drawing import BLUE, GREEN, LINES, ORANGE, PURPLE, SKY, VERMILLION, YELLOW, Picture, interactive

SCALE_BARS_MM = (1, 2, 5, 10, 20, 50, 100)
PLANES = ("axial", "coronal", "sagittal")  # of a volume whose axes are (D, H, W) with D from foot to head
KEPT = ((1, 2), (0, 2), (0, 1))  # the axes that are the rows and columns of each


@dataclass(frozen=True, eq=False)
class Outlines:
    """The outline of each mask (N, H, W), in a colour with a line of its own; (N, D, H, W) in ``planes``."""

    masks: Shaped[Tensor, "N *D H W"]
    label: str = ""
    colour: str = ORANGE
    width: float = 1.5

    def draw(self, axes: Axes) -> None:
        """One contour a mask, half way between inside and outside, within its box: whole images fill gigabytes."""
        line = LINES.get(self.colour, "-")
        for mask in self.masks.cpu():
            y, x = mask.nonzero(as_tuple=True)
            if len(y):
                top, left = int(y.min()), int(x.min())
                own = mask[top : int(y.max()) + 1, left : int(x.max()) + 1].float()
                inside = F.pad(own, (1, 1, 1, 1)).numpy()  # so that what touches the edge is closed
                grid = (np.arange(n) + start - 0.5 for n, start in zip(inside.shape[::-1], (left, top)))
                axes.contour(*grid, inside, [0.5], colors=self.colour, linewidths=self.width, linestyles=line)
        axes.plot([], [], color=self.colour, lw=self.width, ls=line, label=self.label)


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes (N, 4) as x1, y1, x2, y2 in pixels, in a colour with a line of its own."""

    boxes: Float[Tensor, "N 4"]
    label: str = ""
    colour: str = ORANGE
    width: float = 1.5

    def draw(self, axes: Axes) -> None:
        """One closed line a box."""
        look: dict[str, Any] = {"color": self.colour, "lw": self.width, "ls": LINES.get(self.colour, "-")}
        for x1, y1, x2, y2 in self.boxes.tolist():
            axes.plot([x1, x2, x2, x1, x1], [y1, y1, y2, y2, y1], **look)
        axes.plot([], [], marker="s", ms=8, mfc="none", **look, label=self.label)


@dataclass(frozen=True, eq=False)
class Areas:
    """A label map (H, W), 0 outside: each instance see-through in a colour, its rim opaque, which parts neighbours."""

    labels: Integer[Tensor, "H W"]
    label: str = ""
    opacity: float = 0.4
    colours: Sequence[str] = (ORANGE, SKY, GREEN, YELLOW, PURPLE, VERMILLION, BLUE)

    def draw(self, axes: Axes) -> None:
        """As one image over the other."""
        numbers = self.labels.cpu()
        wide = numbers[None].float()
        rim = F.max_pool2d(wide, 3, 1, 1)[0] != -F.max_pool2d(-wide, 3, 1, 1)[0]
        palette = torch.tensor([to_rgba(colour) for colour in self.colours])
        painted = palette[(numbers.long() - 1) % len(palette)]  # (H, W, 4)
        painted[..., 3] = torch.where(rim, 1.0, self.opacity) * (numbers > 0)
        axes.imshow(painted.numpy(), extent=(0, numbers.shape[1], numbers.shape[0], 0), interpolation="nearest")
        axes.plot([], [], "s", ms=10, color=self.colours[0], label=self.label)


Mark = Outlines | Boxes | Areas  # its ``label`` is its line in the legend, none if empty


@dataclass(frozen=True, eq=False)
class Panel:
    """One image with its marks. ``low`` is drawn black and ``high`` white; by default the least and greatest value.

    ``image``: (H, W) or (1, H, W) grey, (3, H, W) RGB in [0, 1].
    """

    image: Shaped[Tensor, "*C H W"]
    marks: Sequence[Mark] = ()
    low: float | None = None
    high: float | None = None


def pictures(
    panels: Mapping[str, Panel | Tensor] | Sequence[Panel | Tensor],
    *,
    alt: str,
    title: str = "",
    columns: int = 4,
    width: float = 11.0,
    spacing_mm: float | None = None,
) -> Picture:
    """Images beside each other, by title, at one scale; marks with a label are named in one legend below.

    Axes count pixels; with ``spacing_mm`` (of a pixel, both ways) they give way to a scale bar. ``width`` in inches.
    Raises ValueError without images, for another rank of image, or without ``alt``.
    """
    named = panels.items() if isinstance(panels, Mapping) else [("", panel) for panel in panels]
    images = [(name, panel if isinstance(panel, Panel) else Panel(panel)) for name, panel in named]
    if not images:
        raise _check.refuse("at least one image", "none", "pass them by title")
    columns = min(columns, len(images))
    rows = -(-len(images) // columns)
    tall = max(panel.image.shape[-2] / panel.image.shape[-1] for _, panel in images)
    size = (width, rows * (width / columns * tall + 0.45) + 0.4 * bool(title) + 0.5)
    figure, grid = plt.subplots(rows, columns, figsize=size, layout="compressed", squeeze=False)
    for axes in grid.flat[len(images) :]:
        axes.axis("off")
    for axes, (name, panel) in zip(grid.flat, images):
        draw_panel(axes, panel, name, spacing_mm)
    legend(figure)
    if title:
        figure.suptitle(title, fontsize=11)
    return Picture(figure, alt=alt)


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

    Each is to scale, a slice 5 mm thick looks 5 mm thick, and D grows upwards. ``masks``: ``Outlines`` whose masks are
    (N, D, H, W), of which each slice shows its own cut. ``low`` and ``high``, in ``unit``, are drawn black and white
    and named in the title.
    """
    sizes = _check.tensor("volume", volume, "D H W")
    wanted = [n // 2 for n in sizes] if at is None else at
    spot = [_check.index("a voxel", index, n) for index, n in zip(wanted, sizes)]
    millimetres = [n * mm for n, mm in zip(sizes, spacing_mm)]
    shares = [millimetres[columns] for _, columns in KEPT]
    tallest = max(millimetres[rows] for rows, _ in KEPT)
    size = (11, 11 * tallest / sum(shares) + 1.2)
    figure, grid = plt.subplots(1, 3, figsize=size, layout="constrained", width_ratios=shares)
    values = volume.detach().float().cpu()
    black = float(values.min()) if low is None else low
    white = float(values.max()) if high is None else high
    for across, (axes, (rows, columns)) in enumerate(zip(grid, KEPT)):
        cuts = [Outlines(m.masks.select(across + 1, spot[across]), m.label, m.colour, m.width) for m in masks]
        panel = Panel(values.select(across, spot[across]), cuts, black, white)
        draw_panel(axes, panel, f"{PLANES[across]}, slice {spot[across]}")
        axes.axhline(spot[rows] + 0.5, color=SKY, lw=0.7)
        axes.axvline(spot[columns] + 0.5, color=SKY, lw=0.7)
        axes.set(aspect=spacing_mm[rows] / spacing_mm[columns], xticks=[], yticks=[], xlabel="", ylabel="")
        axes.yaxis.set_inverted(across == 0)  # else the head would be at the bottom
        scale_bar(axes, millimetres[columns])
    legend(figure)
    spacing = " × ".join(f"{mm:.3g}" for mm in spacing_mm)
    window = f"black {black:.4g}, white {white:.4g}{f' {unit}' if unit else ''}"
    figure.suptitle(" · ".join(filter(None, (title, f"voxel {spacing} mm", window))), fontsize=10)
    return Picture(figure, alt=alt)


def browse(
    volume: Shaped[Tensor, "D H W"],
    *,
    spacing_mm: tuple[float, float, float],
    at: tuple[int, int, int] | None = None,
    labels: Shaped[Tensor, "D H W"] | None = None,
    low: float | None = None,
    high: float | None = None,
    unit: str = "",
    title: str = "",
) -> ipywidgets.VBox:
    """``planes`` under sliders: the voxel at the crosshair of all three, level and width of the window, an overlay.

    Half of ``width`` below ``level`` is black, half of it above white; they begin as ``low`` and ``high`` say.
    ``labels``, 0 outside, have the colours of ``Areas``. It needs a kernel: show ``planes`` beside it.
    """
    figure = planes(volume, spacing_mm=spacing_mm, at=at, low=low, high=high, title=title, alt="slices").figure
    name = figure.get_suptitle().rsplit(" · ", 1)[0]
    black, white = figure.axes[0].images[0].get_clim()
    least, most = min(black, float(volume.min())), max(white, float(volume.max()))
    span = max(most - least, 1e-6)
    step = 10.0 ** np.floor(np.log10(span / 100))
    sliders: dict[str, ipywidgets.Widget] = {
        plane: ipywidgets.IntSlider(index % n, min=0, max=n - 1, description=plane)
        for plane, index, n in zip(PLANES, at or [n // 2 for n in volume.shape], volume.shape)
    }
    sliders["level"] = ipywidgets.FloatSlider((black + white) / 2, min=least, max=most, step=step, description="level")
    sliders["width"] = ipywidgets.FloatSlider(white - black, min=step, max=span, step=step, description="width")
    if labels is not None:
        _check.tensor("labels", labels, " ".join(map(str, volume.shape)), "one number a voxel")
        sliders["overlay"] = ipywidgets.Checkbox(True, description="overlay")
        for axes in figure.axes:
            painted = axes.imshow([[0]], ListedColormap(Areas.colours), aspect=axes.get_aspect(), alpha=Areas.opacity)
            painted.set(extent=axes.images[0].get_extent(), clim=(0, len(Areas.colours)), interpolation="nearest")

    def update(level: float, width: float, overlay: bool = False, **place: int) -> str:
        voxel = [place[plane] for plane in PLANES]
        for across, (axes, (rows, columns)) in enumerate(zip(figure.axes, KEPT)):
            axes.images[0].set_data(volume.select(across, voxel[across]).float().cpu().numpy())
            axes.images[0].set_clim(level - width / 2, level + width / 2)
            if labels is not None:
                numbers = labels.select(across, voxel[across]).int().cpu().numpy()
                axes.images[1].set_data(np.ma.masked_array((numbers - 1) % len(Areas.colours), numbers == 0))
                axes.images[1].set_visible(overlay and bool(numbers.any()))
            axes.lines[0].set_ydata([voxel[rows] + 0.5] * 2)
            axes.lines[1].set_xdata([voxel[columns] + 0.5] * 2)
            axes.set_title(f"{PLANES[across]}, slice {voxel[across]}", fontsize=10)
        number = "" if labels is None else f", label {labels[*voxel]:g}"
        crosshair = f"at the crosshair {volume[*voxel]:.4g} {unit}".strip() + number
        window = f"black {level - width / 2:.4g}, white {level + width / 2:.4g} {unit}".strip()
        figure.suptitle(f"{name} · {window} · {crosshair}", fontsize=10)
        return f"Slices through voxel {voxel} of {list(volume.shape)}; {window}; {crosshair}."

    *moved, picture = interactive(figure, update, **sliders).children
    return ipywidgets.VBox([ipywidgets.HBox(moved[:3]), ipywidgets.HBox(moved[3:]), picture])


def draw_panel(axes: Axes, panel: Panel, title: str = "", spacing_mm: float | None = None) -> None:
    """One panel onto axes of one's own, pixel j over [j, j + 1)."""
    channels = _check.tensor("image", panel.image, "... H W")[:-2]
    if channels not in ((), (1,), (3,)):
        raise _check.refuse("an image (H, W), (1, H, W) or (3, H, W)", tuple(panel.image.shape), "pass one image")
    height, wide = panel.image.shape[-2:]
    seen = panel.image.detach().float().cpu().numpy()
    seen = np.moveaxis(seen, 0, -1) if channels == (3,) else seen.reshape(height, wide)
    look: dict[str, Any] = {"cmap": "gray", "vmin": panel.low, "vmax": panel.high, "interpolation": "nearest"}
    axes.imshow(seen, extent=(0, wide, height, 0), **look)
    for mark in panel.marks:
        mark.draw(axes)
    axes.set(xlim=(0, wide), ylim=(height, 0))
    axes.set_title(title, fontsize=10)
    if spacing_mm is None:
        axes.set(xlabel="x (pixels)", ylabel="y (pixels)")
    else:
        axes.set(xticks=[], yticks=[])
        scale_bar(axes, wide * spacing_mm)


def scale_bar(axes: Axes, width_mm: float) -> None:
    """A bar of a round length, about a quarter of the width, below the picture and named there."""
    length = max([mm for mm in SCALE_BARS_MM if mm <= width_mm / 4] or [SCALE_BARS_MM[0]])
    share = length / width_mm
    axes.plot([0, share], [-0.04, -0.04], transform=axes.transAxes, color="black", lw=3, clip_on=False)
    axes.text(share + 0.02, -0.04, f"{length} mm", transform=axes.transAxes, va="center", fontsize=9)


def legend(figure: Figure) -> None:
    """One entry for each label in the figure, below it."""
    entries = [axes.get_legend_handles_labels() for axes in figure.axes]
    keys = {label: handle for handles, labels in entries for handle, label in zip(handles, labels)}
    if keys:
        figure.legend(keys.values(), keys.keys(), loc="outside lower center", ncols=min(len(keys), 4), frameon=False)
