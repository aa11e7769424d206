"""A valid U-Net as its figure says: every step written out with functions, the crop by indices."""

import torch
import torch.nn.functional as F
from torch import Tensor


def unet_plain(state: dict[str, Tensor], x: Tensor, depth: int) -> Tensor:
    """The logits of a ``UNet`` with ``padding="valid"`` and ``norm="none"`` from its weights alone."""
    flat = x.ndim == 4
    conv, up_conv, pool = (
        (F.conv2d, F.conv_transpose2d, F.max_pool2d) if flat else (F.conv3d, F.conv_transpose3d, F.max_pool3d)
    )

    def two(x: Tensor, part: str) -> Tensor:
        for i in (0, 1):
            x = conv(x, state[f"{part}.{i}.0.weight"], state[f"{part}.{i}.0.bias"]).clamp(min=0)
        return x

    bridges = []
    for level in range(depth):
        bridges.append(two(x, f"down.{level}"))
        x = pool(bridges[-1], 2)
    x = two(x, f"down.{depth}")
    for level in range(depth - 1, -1, -1):
        x = up_conv(x, state[f"up_conv.{level}.weight"], stride=2)
        bridge = bridges[level]
        for axis in range(2, x.ndim):
            cut = (bridge.shape[axis] - x.shape[axis]) / 2
            assert cut == int(cut), "half a pixel off centre"
            bridge = bridge.index_select(axis, torch.arange(int(cut), bridge.shape[axis] - int(cut)))
        x = two(torch.cat([bridge, x], 1), f"up.{level}")
    return conv(x, state["logits.weight"], state["logits.bias"])
