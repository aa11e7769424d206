"""Warping: read an image between its pixels, along a flow or through an affine map, in 2D and 3D by one body.

Frame
    A point is given in pixel indices in the order of the axes, ``(y, x)`` or ``(z, y, x)``: whole numbers are pixel
    centres, the first centre is 0, the last n − 1. (A box of ``coursekit.types`` counts 0.5 more there.)

Border rule
    ``"replicate"``: the point is moved to the nearest place inside ``[0, n − 1]``, so the edge pixel goes on for ever
    and the gradient with respect to a point outside is zero (``F.grid_sample``: ``padding_mode="border",
    align_corners=True``; ``scipy.ndimage.map_coordinates``: ``mode="nearest"``). ``"zeros"``: all pixels outside are
    0, so the image fades out within one pixel of its edge (``padding_mode="zeros"``; ``mode="grid-constant"``).

Direction
    Backward, as everywhere in the field: ``warp(image, flow)(x) = image(x + flow(x))``. The flow from a first to a
    second frame therefore warps the *second* onto the first.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Shaped
from torch import Tensor

from coursekit import _check

Images = Shaped[Tensor, "N C *size"]
Flow = Float[Tensor, "N ndim *size"]
BORDERS = ("replicate", "zeros")
MODES = ("linear", "nearest")


def grid(
    size: Sequence[int], *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None
) -> Float[Tensor, "ndim ..."]:
    """The index of every pixel: channel a of ``(ndim, *size)`` counts along axis a."""
    axes = [torch.arange(n, dtype=dtype, device=device) for n in size]
    return torch.stack(torch.meshgrid(*axes, indexing="ij"))


def sample(
    image: Images, points: Float[Tensor, "N ndim *out"], *, mode: str = "linear", border: str = "replicate"
) -> Shaped[Tensor, "N C *out"]:
    """Read ``image`` at ``points`` (pixel indices, one channel an axis), linearly between the 2^ndim pixels around.

    The weight of a pixel is the product over the axes of ``1 − |distance|``. ``mode="nearest"`` takes the nearest
    pixel (a half goes up) and admits any dtype: use it for label maps. Differentiable in the image and, if linear, in
    the points. Half precision is read in float32, and returned as it came. Raises ValueError if the ranks, batches or
    devices differ, a point is not finite, or the image is empty.

    The linear body is ``F.grid_sample``, which knows 2D and 3D but wants ``(x, y, z)`` and the image's *edges*, not
    its outer pixel centres, at −1 and 1 (``align_corners=False``): so axes of one pixel need no case of their own.
    From pixels to [−1, 1] and back is exact where an axis is a power of two, so the image is continued to one, by its
    border rule: a whole number reads its pixel, to the last bit.
    """
    _door(image, points, mode, border)
    if 0 in (*image.shape, *points.shape):
        return image.new_zeros(*image.shape[:2], *points.shape[2:])
    if mode == "nearest":
        return _nearest(image, points, border)
    dtype = _check.wide_dtype(image, points)
    size = [1 << (n - 1).bit_length() for n in image.shape[2:]]
    more = [end for n, m in zip(image.shape[2:], size) for end in (m - n, 0)][::-1]  # last axis first, nothing in front
    wide = F.pad(image.to(dtype), more, mode="replicate" if border == "replicate" else "constant")
    along = [points[:, a].to(dtype) * (2 / n) + (1 / n - 1) for a, n in enumerate(size)]
    places = torch.stack(along[::-1], dim=-1)  # (N, *out, ndim)
    places = places.reshape(len(places), *[1] * (len(size) - 1), -1, len(size))  # one long row, whatever out is
    padding = "border" if border == "replicate" else "zeros"
    values = F.grid_sample(wide, places, padding_mode=padding, align_corners=False)
    return values.reshape(*image.shape[:2], *points.shape[2:]).to(image.dtype)


def warp(image: Images, flow: Flow, *, mode: str = "linear", border: str = "replicate") -> Images:
    """``image`` read at ``x + flow(x)``: flow in pixels, channels ``(dy, dx)`` or ``(dz, dy, dx)``; see ``sample``."""
    size = _size_of(image)
    _check.floating("flow", flow)
    if size != flow.shape[2:]:
        raise _check.refuse(f"a flow of size {size}", tuple(flow.shape[2:]), "give one vector a pixel")
    points = flow + grid(size, dtype=_check.wide_dtype(flow), device=flow.device)
    return sample(image, points, mode=mode, border=border)


def affine_points(
    matrix: Float[Tensor, "N ndim ndim+1"],
    size: Sequence[int],
    *,
    out_size: Sequence[int] | None = None,
    spacing_mm: float | Sequence[float] = 1.0,
    out_spacing_mm: float | Sequence[float] | None = None,
) -> Float[Tensor, "N ndim *out"]:
    """Where in an input of ``size`` each pixel of the output is found, in pixel indices.

    ``matrix`` = [A | b] takes a place in the output to one in the input: ``q = A p + b``, both in mm from the middle
    of their image, in the order of the axes. ``spacing_mm`` follows the axes too, one number for all or one each;
    with the default 1, mm are pixels. The output has the size and spacing of the input unless told. So a volume with
    thick slices is rotated as the body would be, not as the array.
    """
    ndim = len(size)
    advice = "give [A | b] for each image, in the order of the axes"
    _check.tensor("matrix", matrix, f"N {ndim} {ndim + 1}", advice, of="numbers")
    old = _spacings("spacing_mm", spacing_mm, ndim)
    new = old if out_spacing_mm is None else _spacings("out_spacing_mm", out_spacing_mm, ndim)
    out_size = tuple(size if out_size is None else out_size)
    matrix = matrix.to(_check.wide_dtype(matrix))
    ratio = _column([t / s for s in old for t in new], matrix).view(ndim, ndim)  # of one spacing exactly 1
    turn = matrix[:, :, :-1] * ratio  # (N, ndim, ndim)
    shift = matrix[:, :, -1:] / _column(old, matrix) + _middle(size, matrix)  # (N, ndim, 1)
    pixels = grid(out_size, dtype=matrix.dtype, device=matrix.device).flatten(1)
    p = pixels - _middle(out_size, matrix)  # (ndim, pixels)
    q = shift + sum(turn[:, :, axis, None] * p[axis] for axis in range(ndim))  # (N, ndim, pixels)
    return q.reshape(len(matrix), ndim, *out_size)


def affine(
    image: Images,
    matrix: Float[Tensor, "N ndim ndim+1"],
    *,
    out_size: Sequence[int] | None = None,
    spacing_mm: float | Sequence[float] = 1.0,
    out_spacing_mm: float | Sequence[float] | None = None,
    mode: str = "linear",
    border: str = "replicate",
) -> Shaped[Tensor, "N C *out"]:
    """``image`` through the map of :func:`affine_points`, with the border rule of :func:`sample`."""
    size = _size_of(image)
    points = affine_points(matrix, size, out_size=out_size, spacing_mm=spacing_mm, out_spacing_mm=out_spacing_mm)
    return sample(image, points, mode=mode, border=border)


def affine_flow(matrix: Float[Tensor, "N ndim ndim+1"], size: Sequence[int]) -> Flow:
    """The flow, in pixels, of a shift, rotation or zoom about the image's middle: a motion whose truth is known."""
    points = affine_points(matrix, size)
    return (points - grid(size, dtype=points.dtype, device=points.device)).to(matrix.dtype)


def _size_of(image: object) -> tuple[int, ...]:
    """The spatial size of an image or volume, refused if it is neither."""
    if not isinstance(image, Tensor) or image.ndim not in (4, 5):
        got = tuple(image.shape) if isinstance(image, Tensor) else type(image).__name__
        expected = "an image of shape (N, C, H, W) or (N, C, D, H, W)"
        raise _check.refuse(expected, got, "add the axes in front with image[None]")
    return tuple(image.shape[2:])


def _door(image: Tensor, points: Tensor, mode: str, border: str) -> None:
    size = _size_of(image)
    _check.one_of("mode", mode, MODES)
    _check.one_of("border", border, BORDERS)
    _check.floating("points", points)
    if points.shape[:2] != (len(image), len(size)):
        expected = f"points of shape ({len(image)}, {len(size)}, ...)"
        raise _check.refuse(expected, tuple(points.shape), "give one coordinate an axis and one set an image")
    if mode == "linear":
        _check.floating("image", image)
    if 0 in size and points.numel():
        raise _check.refuse("an image with at least one pixel", tuple(image.shape), "there is nothing to read")
    _check.same_device(image=image, points=points)
    _check.finite("points", points)


def _nearest(image: Tensor, points: Tensor, border: str) -> Tensor:
    pixel = (points.detach().to(_check.wide_dtype(points)) + 0.5).floor()  # (N, ndim, *out)
    last = torch.tensor(image.shape[2:], device=points.device).sub(1).view(-1, *[1] * (points.ndim - 2))
    inside = ((pixel >= 0) & (pixel <= last)).all(1)  # (N, *out)
    index = pixel.clamp(min=0).minimum(last).long()
    each = torch.arange(len(image), device=image.device).view(-1, *[1] * (points.ndim - 2))
    values = image.movedim(1, -1)[(each, *index.unbind(1))].movedim(-1, 1)  # (N, C, *out)
    return values if border == "replicate" else values.where(inside[:, None], values.new_zeros(()))


def _column(numbers: Sequence[float], like: Tensor) -> Tensor:
    return torch.tensor(numbers, dtype=like.dtype, device=like.device)[:, None]


def _middle(size: Sequence[int], like: Tensor) -> Tensor:
    return _column([(n - 1) / 2 for n in size], like)  # (ndim, 1)


def _spacings(name: str, spacing: float | Sequence[float], ndim: int) -> tuple[float, ...]:
    values = tuple(spacing) if isinstance(spacing, Sequence) else (spacing,) * ndim
    _check.positive(name, values)
    if len(values) != ndim:
        raise _check.refuse(f"{name} with {ndim} numbers", values, "give one number an axis")
    return values
