"""EfficientNet-lite0: an ImageNet network small enough for a laptop, whose features serve other tasks.

Sixteen inverted residual blocks (Sandler et al. 2018): widen by a 1×1 convolution, look around channel by channel,
narrow again. The "lite" variant of Tan and Le 2019 has ReLU6 in place of swish and no squeeze-and-excitation. The
names of the layers, underscores included, are those of the published weights, so that they load as they are.
"""

from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from .. import _check

BLOCKS = [  # repeats, kernel, stride of the first, widening, channels out
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
]
SIZE = 224  # pixels, what it was trained on
SMALLEST = 32  # pixels: it halves its input five times
THREE = "give three channels; repeat a grey one three times"


def pad(kernel: int, stride: int) -> nn.Module:
    """TensorFlow's "SAME" rule for even sizes: at stride 2 one pixel more behind than in front."""
    if stride == 1:
        return nn.ZeroPad2d(kernel // 2)
    before, after = (kernel - 2) // 2, (kernel - 1) // 2
    return nn.ZeroPad2d((before, after, before, after))


def norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3, momentum=0.01)


class Block(nn.Module):
    """Widen, look around, narrow; the input is added where the shape stays: ``-> (N, outputs, H // stride, …)``."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, widening: int) -> None:
        super().__init__()
        wide = inputs * widening
        self.widens, self.adds = widening > 1, stride == 1 and inputs == outputs
        if self.widens:
            self._expand_conv, self._bn0 = nn.Conv2d(inputs, wide, 1, bias=False), norm(wide)
        self._pad = pad(kernel, stride)
        self._depthwise_conv, self._bn1 = nn.Conv2d(wide, wide, kernel, stride, groups=wide, bias=False), norm(wide)
        self._project_conv, self._bn2 = nn.Conv2d(wide, outputs, 1, bias=False), norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        wide = F.relu6(self._bn0(self._expand_conv(x))) if self.widens else x
        wide = F.relu6(self._bn1(self._depthwise_conv(self._pad(wide))))
        y: Tensor = self._bn2(self._project_conv(wide))
        return x + y if self.adds else y


class EfficientNetLite0(nn.Module):
    """Images ``(N, 3, H, W)`` made by ``prepare`` to logits ``(N, 1000)`` in ImageNet's order; 4,652,008 parameters.

    Any size of at least 32 pixels; 224 is what it was trained on. ``coursekit.ops.inflate.inflate`` makes it take clips
    ``(N, 3, T, H, W)``: a still clip then gives the image's logits.
    """

    def __init__(self, *, classes: int = 1000) -> None:
        super().__init__()
        _check.positive("classes", classes)
        self._pad = pad(3, 2)
        self._conv_stem, self._bn0 = nn.Conv2d(3, 32, 3, stride=2, bias=False), norm(32)
        blocks: list[Block] = []
        inputs = 32
        for repeats, kernel, stride, widening, outputs in BLOCKS:
            for i in range(repeats):
                blocks.append(Block(inputs, outputs, kernel=kernel, stride=1 if i else stride, widening=widening))
                inputs = outputs
        self._blocks = nn.ModuleList(blocks)
        self._conv_head, self._bn1 = nn.Conv2d(320, 1280, 1, bias=False), norm(1280)
        self._pool = nn.AdaptiveAvgPool2d(1)
        self._fc = nn.Linear(1280, classes)

    def features(self, x: Tensor) -> Float[Tensor, "N 1280"]:
        """What the classifier sees: the mean over the image, or once inflated over the clip, of 1280 features."""
        _check.floating("x", x)
        if x.ndim not in (4, 5) or x.shape[1] != 3:
            raise _check.refuse("x of shape (N, 3, H, W)", tuple(x.shape), THREE)
        if min(x.shape[-2:]) < SMALLEST:
            raise _check.refuse(f"images of at least {SMALLEST} pixels a side", tuple(x.shape[-2:]), "enlarge them")
        x = F.relu6(self._bn0(self._conv_stem(self._pad(x))))
        for block in self._blocks:
            x = block(x)
        x = F.relu6(self._bn1(self._conv_head(x)))
        return torch.flatten(self._pool(x), 1)

    def forward(self, x: Tensor) -> Float[Tensor, "N K"]:
        logits: Tensor = self._fc(self.features(x))
        return logits


def efficientnet_lite0(weights: Path | None = None) -> EfficientNetLite0:
    """The network in evaluation mode, with the published ImageNet weights of the file ``weights``, or untrained."""
    net = EfficientNetLite0()
    if weights is not None:
        net.load_state_dict(torch.load(weights, weights_only=True, map_location="cpu"))
    return net.eval()


def prepare(images: Num[Tensor, "N 3 H W"], *, size: int | None = SIZE) -> Float[Tensor, "N 3 H2 W2"]:
    """Colours 0 … 255 to what the network was trained on, (x − 127) / 128; the middle square, resized to ``size``.

    ``size=None`` keeps the image's own size and shape.
    """
    _, _, height, width = _check.tensor("images", images, "N 3 H W", THREE)
    _check.within("images", images, 0, 255, "scale grey levels to 0 … 255 first")
    x = images if images.is_floating_point() else images.float()
    if size is not None:
        _check.positive("size", size)
        side = min(height, width)
        x = x[..., (height - side) // 2 :, (width - side) // 2 :][..., :side, :side]
        x = F.interpolate(x, size=(size, size), mode="bilinear", antialias=True)
    return (x - 127) / 128
