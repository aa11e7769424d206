"""From the mask of a region back to the mask of the image: RoIAlign's way home."""

import torch
from jaxtyping import Float
from torch import Tensor

from coursekit import _check
from coursekit.ops.roi import hat_weights
from coursekit.types import Boxes


def paste(masks: Float[Tensor, "K R S"], boxes: Boxes, size: tuple[int, int]) -> Float[Tensor, "K H W"]:
    """Stretch each mask (R, S) over its box (x1, y1, x2, y2) and read it at the centres of an image's pixels (H, W).

    Between the mask's cells the value is interpolated, W_y M W_xᵀ as in ``coursekit.ops.roi``; a pixel whose centre
    lies outside is 0. Half-open, as all boxes here: a box (2, 3, 5, 7) fills columns 2–4 and rows 3–6, one from x =
    0.5 to 2.5 columns 0 and 1. Differentiable in the masks and boxes. Source: He et al. 2017, "Mask R-CNN", section 3
    (the mask is resized to the region's size).
    """
    count, rows, columns = _check.tensor("masks", masks, "K R S", of="floating")
    if _check.boxes("boxes", boxes) != count:
        raise _check.refuse(f"{count} boxes", len(boxes), "pass one box a mask")
    _check.positive("size", size)
    _check.same_device(masks=masks, boxes=boxes)
    dtype = _check.wide_dtype(masks, boxes)
    x1, y1, x2, y2 = boxes.to(dtype).unbind(1)
    image = _stretch(y1, y2, rows, size[0]) @ masks.to(dtype) @ _stretch(x1, x2, columns, size[1]).mT  # (K, H, W)
    return image.to(masks.dtype)


def _stretch(first: Tensor, last: Tensor, cells: int, pixels: int) -> Tensor:
    """How much each cell of the mask counts for each pixel, along one axis: (K, pixels, cells)."""
    centre = torch.arange(pixels, device=first.device) + 0.5
    length = (last - first).clamp(min=torch.finfo(first.dtype).tiny)
    part = (centre - first[:, None]) / length[:, None]  # 0 … 1 within the box
    inside = (centre >= first[:, None]) & (centre < last[:, None])
    positions = torch.where(inside, part, -torch.inf) * cells - 0.5
    return hat_weights(positions[..., None], cells)
