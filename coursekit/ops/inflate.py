"""Inflation: a 2D network becomes a 3D one that gives a still clip the answer it gave the image.

A 2D kernel repeated along time and divided by its length sums, over equal frames, to the 2D kernel; every layer then
gives equal frames again, so the whole network does ("boring video", Carreira and Zisserman 2017, section 2.4). It
holds to the last frame only if the clip is continued by its own first and last frame; zeros in time would be frames
of black. All claims hold up to rounding.
"""

import copy
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from coursekit import _check


def still_clip(image: Float[Tensor, "N C H W"], frames: int) -> Float[Tensor, "N C {frames} H W"]:
    """The "boring video": ``frames`` times the same image, without a copy."""
    n, c, h, w = _check.tensor("image", image, "N C H W", "pass a batch of images")
    _check.positive("frames", frames)
    return image.unsqueeze(2).expand(n, c, frames, h, w)


def inflate_kernel(weight: Float[Tensor, "F C H W"], depth: int) -> Float[Tensor, "F C {depth} H W"]:
    """Replicate a 2D kernel ``depth`` times along time and divide by ``depth``; its sum stays."""
    _check.tensor("weight", weight, "F C H W", "pass the weight of a 2D convolution")
    _check.positive("depth", depth)
    return weight.unsqueeze(2).repeat(1, 1, depth, 1, 1) / depth


def pad_time(x: Float[Tensor, "N C T H W"], kernel: int, stride: int = 1) -> Float[Tensor, "N C padded H W"]:
    """Repeat the first and last frame so that a window of ``kernel`` frames at this stride gives ⌈T / stride⌉ frames.

    An odd frame goes behind (TensorFlow's "SAME" rule, which I3D follows, there with zeros).
    """
    frames = _check.tensor("x", x, "N C T H W", "pass a batch of clips")[2]
    for name, number in [("T", frames), ("kernel", kernel), ("stride", stride)]:
        _check.positive(name, number)
    missing = max(0, (-(-frames // stride) - 1) * stride + kernel - frames)
    if missing == 0:
        return x
    before = missing // 2
    index = torch.arange(-before, frames + missing - before, device=x.device).clamp(0, frames - 1)
    return x[:, :, index]


class _Padded(nn.Module):
    """Pads in time before the layer proper, whose own padding is in space alone."""

    kernel_size: Any
    stride: Any

    def forward(self, x: Float[Tensor, "N C T H W"]) -> Float[Tensor, "N K T2 H2 W2"]:
        y: Tensor = super().forward(pad_time(x, self.kernel_size[0], self.stride[0]))
        return y


class PaddedConv3d(_Padded, nn.Conv3d):
    """``nn.Conv3d`` over a clip continued by its first and last frame."""


class PaddedMaxPool3d(_Padded, nn.MaxPool3d):
    """``nn.MaxPool3d`` over a clip continued by its first and last frame."""


class PaddedAvgPool3d(_Padded, nn.AvgPool3d):
    """``nn.AvgPool3d`` over a clip continued by its first and last frame."""


def inflate(module: nn.Module, *, depth: int | None = None, stride_time: bool = False) -> nn.Module:
    """A 3D copy of a 2D layer or network, for clips ``(N, C, T, H, W)``: each still frame gives the image's answer.

    ``depth``: how many frames a kernel or pool spans; None: as many as it is wide (I3D's cubes). 1 × 1 kernels span
    one. ``stride_time``: strided layers skip frames too, as most of I3D's do; else every frame is kept. Names of
    parameters stay, and so does every mode and dtype; hooks do not. Adaptive pools take the whole clip to one frame.
    Up-convolutions and ``nn.Upsample`` leave time alone. Dropout drops channels of the whole clip.

    What a ``forward`` calls as a function is not seen: it must not depend on the number of axes (``F.relu``,
    ``torch.flatten(x, 1)``). A 2D layer with no known 3D twin is refused with ``ValueError``.
    """
    if not isinstance(module, nn.Module):
        raise _check.refuse("module to be an nn.Module", type(module).__name__, "for a tensor use inflate_kernel")
    _check.positive("depth", 1 if depth is None else depth)
    net = copy.deepcopy(module)
    twins: dict[nn.Module, nn.Module] = {}  # a layer used twice has one twin
    for name, layer in list(net.named_modules(remove_duplicate=False)):
        twins[layer] = twins.get(layer) or _twin(layer, depth, stride_time)
        if name and twins[layer] is not layer:
            net.set_submodule(name, twins[layer])
    return twins[net]


def inflate_state(state: Mapping[str, Tensor], like: nn.Module) -> dict[str, Tensor]:
    """Inflate the ``state_dict`` of a 2D network to fit ``like``, a 3D network with the same names.

    Each kernel with one axis fewer than its namesake is repeated along the missing first axis and divided.
    """
    wanted = like.state_dict()
    if wanted.keys() != state.keys():
        odd = sorted(wanted.keys() ^ state.keys())[0]
        raise _check.refuse("the same names in both networks", f"{odd!r} in only one", "build both by one body")
    inflated = dict(state)
    for name, x in state.items():
        size, shape = tuple(x.shape), tuple(wanted[name].shape)
        if size != shape:
            if x.ndim != 4 or (*shape[:2], *shape[3:]) != size:
                expected = f"{name} of shape {shape} without its time axis"
                raise _check.refuse(expected, size, "build both networks alike")
            inflated[name] = inflate_kernel(x, shape[2])
    return inflated


# --- the 3D twin of each 2D layer ---


def _twin(layer: nn.Module, depth: int | None, stride_time: bool) -> nn.Module:
    """The layer in 3D, or the layer itself where it does not look at the number of axes."""
    build = TWINS.get(type(layer))
    if build is None:
        if isinstance(layer, tuple(TWINS)) or ("2d" in type(layer).__name__ and not any(layer.children())):
            expected = "layers with a known 3D twin"
            raise _check.refuse(expected, type(layer).__name__, "replace this layer before inflating")
        return layer
    twin: nn.Module = build(layer, depth, stride_time)
    return twin.train(layer.training)


def _pair(value: Any) -> tuple[int, int]:
    """Rows and columns of a setting that torch takes as one number or two."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _window(layer: Any, depth: int | None, stride_time: bool) -> dict[str, Any]:
    """Kernel, stride and padding in 3D. Time is padded by ``_Padded``, so its own padding is 0."""
    kernel, stride = _pair(layer.kernel_size), _pair(layer.stride)
    frames, steps = 1 if max(kernel) == 1 else depth or max(kernel), max(stride) if stride_time else 1
    if isinstance(layer.padding, str):
        spans = [d * (k - 1) for d, k in zip(layer.dilation, kernel)] if layer.padding == "same" else [0, 0]
        if any(span % 2 for span in spans):
            raise _check.refuse("padding='same' with odd kernels", layer, "pad by hand, then use padding=0")
        padding = (spans[0] // 2, spans[1] // 2)
    else:
        padding = _pair(layer.padding)
    return {"kernel_size": (frames, *kernel), "stride": (steps, *stride), "padding": (0, *padding)}


def _one_frame(size: Any) -> tuple[int, Any, Any]:
    """Output of an adaptive pool: None keeps an axis as it is."""
    return (1, *size) if isinstance(size, tuple) else (1, size, size)


def _conv_knobs(layer: Any) -> dict[str, Any]:
    names = ("in_channels", "out_channels", "groups", "padding_mode")
    like = {"device": layer.weight.device, "dtype": layer.weight.dtype, "bias": False}
    return {**{name: getattr(layer, name) for name in names}, "dilation": (1, *layer.dilation), **like}


def _with_weights(twin: nn.Conv3d | nn.ConvTranspose3d, layer: Any) -> nn.Module:
    kernel = inflate_kernel(layer.weight.detach(), twin.kernel_size[0])
    twin.weight = nn.Parameter(kernel, requires_grad=layer.weight.requires_grad)
    twin.bias = layer.bias
    return twin


def _conv(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    return _with_weights(PaddedConv3d(**_conv_knobs(layer), **_window(layer, depth, stride_time)), layer)


def _up_conv(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    window = {**_window(layer, 1, False), "output_padding": (0, *_pair(layer.output_padding))}
    return _with_weights(nn.ConvTranspose3d(**_conv_knobs(layer), **window), layer)


def _max_pool(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    knobs = {"ceil_mode": layer.ceil_mode, "return_indices": layer.return_indices}
    return PaddedMaxPool3d(**_window(layer, depth, stride_time), dilation=(1, *_pair(layer.dilation)), **knobs)


def _avg_pool(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    window = _window(layer, depth, stride_time)
    divisor = layer.divisor_override and layer.divisor_override * window["kernel_size"][0]
    knobs = {"ceil_mode": layer.ceil_mode, "count_include_pad": layer.count_include_pad}
    return PaddedAvgPool3d(**window, **knobs, divisor_override=divisor)


def _norm(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    """Statistics and scale are one number a channel in both, so they move over as they are."""
    kind = nn.BatchNorm3d if isinstance(layer, nn.BatchNorm2d) else nn.InstanceNorm3d
    knobs = {name: getattr(layer, name) for name in ("eps", "momentum", "affine", "track_running_stats")}
    twin = kind(layer.num_features, **knobs)
    for name, parameter in layer.named_parameters():
        twin.register_parameter(name, parameter)
    for name, buffer in layer.named_buffers():
        twin.register_buffer(name, buffer)
    return twin


def _upsample(layer: Any, depth: int | None, stride_time: bool) -> nn.Module:
    modes = {"nearest": "nearest", "nearest-exact": "nearest-exact", "bilinear": "trilinear"}
    if layer.scale_factor is None or layer.mode not in modes:
        expected = "nn.Upsample by a scale_factor, nearest or bilinear"
        raise _check.refuse(expected, layer, "replace this layer before inflating")
    scale = layer.scale_factor if isinstance(layer.scale_factor, tuple) else (layer.scale_factor,) * 2
    return nn.Upsample(scale_factor=(1.0, *scale), mode=modes[layer.mode], align_corners=layer.align_corners)


TWINS: dict[type[nn.Module], Any] = {
    nn.Conv2d: _conv,
    nn.ConvTranspose2d: _up_conv,
    nn.MaxPool2d: _max_pool,
    nn.AvgPool2d: _avg_pool,
    nn.AdaptiveAvgPool2d: lambda layer, *_: nn.AdaptiveAvgPool3d(_one_frame(layer.output_size)),
    nn.AdaptiveMaxPool2d: lambda layer, *_: nn.AdaptiveMaxPool3d(_one_frame(layer.output_size)),
    nn.BatchNorm2d: _norm,
    nn.InstanceNorm2d: _norm,
    nn.Dropout2d: lambda layer, *_: nn.Dropout3d(layer.p, layer.inplace),
    nn.Upsample: _upsample,
    nn.ZeroPad2d: lambda layer, *_: nn.ZeroPad3d((*layer.padding, 0, 0)),
}
