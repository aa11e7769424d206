"""What moves: a clip frame by frame, and a flow as colour and as its two components."""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from .. import _check
from ..flow import colour_key, flow_to_colour
from .drawing import Picture
from .images import Mark, Panel, draw_panel, legend


def strip(
    clip: Shaped[Tensor, "*C T H W"],
    *,
    alt: str,
    fps: float | None = None,
    frames: Sequence[int] | None = None,
    marks: Sequence[Sequence[Mark]] = (),
    title: str = "",
    low: float | None = None,
    high: float | None = None,
) -> Picture:
    """Frames of a clip (T, H, W), (1, T, H, W) or (3, T, H, W) in a row, by default six spread evenly over it.

    ``fps`` names each by its time in seconds, else by its number. ``marks``: those of each frame shown. All frames are
    drawn at one grey scale, ``low`` black and ``high`` white, by default the least and greatest value of the clip.
    """
    *_, length, height, width = _check.tensor("clip", clip, "... T H W")
    chosen = torch.linspace(0, length - 1, min(6, length)).round().int().tolist() if frames is None else list(frames)
    chosen = [_check.index("a frame", index, length) for index in chosen]
    black = float(clip.min()) if low is None else low
    white = float(clip.max()) if high is None else high
    size = (11, 11 / len(chosen) * height / width + 0.9)
    figure, grid = plt.subplots(1, len(chosen), figsize=size, layout="constrained", squeeze=False)
    for k, (axes, index) in enumerate(zip(grid[0], chosen)):
        name = f"frame {index}" if fps is None else f"{index / fps:.2f} s"
        draw_panel(axes, Panel(clip[..., index, :, :], marks[k] if marks else (), black, white), name)
        axes.set(xticks=[], yticks=[], xlabel="", ylabel="")
    legend(figure)
    figure.suptitle(" · ".join(filter(None, (title, f"{width} × {height} pixels"))), fontsize=10)
    return Picture(figure, alt=alt)


def flow_field(
    flow: Float[Tensor, "2 H W"], *, alt: str, image: Float[Tensor, "*C H W"] | None = None, title: str = ""
) -> Picture:
    """A flow (dy, dx) in pixels: the image if given, direction as hue with its wheel, then each component.

    Components share one scale from blue, up or left, over white to red, down or right.
    """
    _check.tensor("flow", flow, "2 H W")
    height, width = flow.shape[1:]
    largest = float(flow.nan_to_num(0).abs().max().clamp(min=1e-6))
    fastest = float(torch.hypot(*flow.nan_to_num(0)).max().clamp(min=1e-6))
    panels = 3 + (image is not None)
    size = (11, 11 / (panels + 0.25) * height / width + 1.0)
    figure, grid = plt.subplots(1, panels, figsize=size, layout="constrained")
    axes = list(grid)
    if image is not None:
        draw_panel(axes.pop(0), Panel(image), "first image")
    colours = flow_to_colour(flow[None].cpu(), largest=fastest)[0]
    draw_panel(axes[0], Panel(colours), f"direction; fastest {fastest:.1f}")
    wheel = axes[0].inset_axes((0.02, 0.02, 0.2, 0.2 * width / height))
    wheel.imshow(colour_key(65).movedim(0, -1).numpy())
    wheel.axis("off")
    for place, component, name in zip(axes[1:], flow.cpu(), ("dy: down is positive", "dx: right is positive")):
        scale: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest, "interpolation": "nearest"}
        drawn = place.imshow(component.numpy(), extent=(0, width, height, 0), **scale)
        place.set(xlabel="x (pixels)", ylabel="y (pixels)")
        place.set_title(name, fontsize=10)
    figure.colorbar(drawn, ax=axes[1:], label="pixels a frame", shrink=0.8)
    if title:
        figure.suptitle(title, fontsize=11)
    return Picture(figure, alt=alt)
