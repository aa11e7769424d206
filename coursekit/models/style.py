"""Style as statistics: an image gets the contrast, at every scale, of another kind of image; what is in it stays
where it is.

Hollandi et al. (nucleAIzer, bioRxiv 2019; Cell Systems 2020) learn image style transfer (pix2pix) to draw training
images in the style of those to be segmented. This is not that: nothing is learnt, and no texture is invented. An
image is split into bands from fine to coarse (the Laplacian pyramid of Burt and Adelson 1983), and each band gets the
mean and spread of the same band of the style, as adaptive instance normalisation does with features (Huang and
Belongie 2017, section 5). So brightness, contrast, blur and graininess move over; shapes, and therefore labels, do
not. The spread of a band grows with how much there is to see: choose styles about as full as the image.
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from .. import _check

Images = Float[Tensor, "N 1 H W"]
OtherImages = Float[Tensor, "M 1 A B"]  # of any number and size of their own
GRAINY = 2  # bands, the finest: where the noise of a camera shows


class Style(NamedTuple):
    """Mean and standard deviation of each band, finest first, the rest last, ``(N, bands)``; the darkest and brightest
    value ``(N,)``.
    """

    mean: Tensor
    std: Tensor
    low: Tensor
    high: Tensor


def blur(x: Images) -> Images:
    """Binomial weights (1, 4, 6, 4, 1) / 16 along rows and columns, the border repeated."""
    weight = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=x.dtype, device=x.device) / 16
    x = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), weight.view(1, 1, 5, 1))
    return F.conv2d(x, weight.view(1, 1, 1, 5))


def bands(image: Images, *, levels: int = 4) -> list[Tensor]:
    """``levels`` bands ``(N, 1, H / 2^i, W / 2^i)`` from fine to coarse, and the coarse image that is left; ``join``
    undoes it.

    Source: Burt and Adelson 1983.
    """
    _check_images("image", image, levels)
    found = []
    for _ in range(levels):
        coarse = blur(image)[..., ::2, ::2]
        found.append(image - _enlarge(coarse, image))
        image = coarse
    return [*found, image]


def _check_images(name: str, image: Tensor, levels: int) -> None:
    _check.tensor(name, image, "N 1 H W", "style one channel at a time")
    _check.floating(name, image)
    _check.finite(name, image)
    _check.positive("levels", levels)
    if min(image.shape[2:]) < 2**levels:
        raise _check.refuse(f"{name} of at least {2**levels} pixels a side", tuple(image.shape[2:]), "use fewer levels")


def join(pieces: list[Tensor]) -> Images:
    """The image whose ``bands`` these are."""
    *finer, image = pieces
    for band in reversed(finer):
        image = band + _enlarge(image, band)
    return image


def _enlarge(coarse: Tensor, like: Tensor) -> Tensor:
    """Twice the size, linearly between the pixels, to the size of ``like``."""
    rows, columns = (torch.arange(n, device=coarse.device) for n in like.shape[2:])
    for axis, place in ((2, rows), (3, columns)):
        last = coarse.shape[axis] - 1
        before, after = (
            coarse.index_select(axis, place // 2),
            coarse.index_select(axis, ((place + 1) // 2).clamp(max=last)),
        )
        coarse = (before + after) / 2
    return coarse


def style_of(image: Images, *, levels: int = 4) -> Style:
    """The style of each image. A group that looks alike has the mean of theirs: ``Style(*(x.mean(0, keepdim=True) for x
    in style))``.
    """
    pieces = bands(image, levels=levels)
    flat = [piece.flatten(1) for piece in pieces]
    whole = image.flatten(1)
    std = torch.stack([x.std(1, correction=0) for x in flat], 1)
    return Style(torch.stack([x.mean(1) for x in flat], 1), std, whole.amin(1), whole.amax(1))


def restyle(
    image: Images,
    style: OtherImages | Style,
    *,
    levels: int = 4,
    strength: float = 1.0,
    most: float = 4.0,
    generator: torch.Generator | None = None,
) -> Images:
    """``image (N, 1, H, W)`` with the band statistics of ``style``: N images of any size, or one for all, or a
    ``Style``.

    ``strength`` 0 … 1 goes from the image as it is to the style in full. No band is made more than ``most`` times
    stronger or weaker than the image's contrast as a whole would be: a smooth image has little to amplify but its
    rounding errors. With a ``generator`` what the two finest bands lack is filled with noise, not made of sharper
    edges: for styles that are grainy. Values end within the style's range. Differentiable in both images.
    """
    _check_images("image", image, levels)
    _check.within("strength", torch.tensor(strength), 0, 1, "0 leaves the image as it is")
    if most < 1:
        raise _check.refuse("most >= 1", most, "1 changes the contrast as a whole alone")
    if isinstance(style, Tensor):
        _check_images("style", style, levels)
        style = style_of(style, levels=levels)
    own, goal = style_of(image, levels=levels), style
    if goal.std.shape[0] not in (1, len(image)) or goal.std.shape[1] != levels + 1:
        expected = f"styles of {levels + 1} bands for {len(image)} images, or one for all"
        raise _check.refuse(expected, tuple(goal.std.shape), "use the same levels for both")
    gain, grain = _gains(own.std, goal.std, most, noisy=generator is not None)
    moved = [
        _column(gain, i) * (x - _column(own.mean, i)) + _column(goal.mean, i)
        for i, x in enumerate(bands(image, levels=levels))
    ]
    if generator is not None:
        moved[:GRAINY] = [x + _column(grain, i) * _noise(x, generator) for i, x in enumerate(moved[:GRAINY])]
    result = join(moved).clamp(_column(goal.low[:, None], 0), _column(goal.high[:, None], 0))
    return image + strength * (result - image)


def _gains(own: Tensor, goal: Tensor, most: float, *, noisy: bool) -> tuple[Tensor, Tensor]:
    """How much stronger each band becomes, and how much noise it lacks then, both (N, bands); a flat band stays flat."""
    tiny = torch.finfo(own.dtype).eps
    whole = (goal.square().sum(1, keepdim=True) / own.square().sum(1, keepdim=True).clamp(min=tiny**2)).sqrt()
    gain = (goal / own.clamp(min=tiny)).clamp(whole / most, whole * most)
    if noisy:
        gain = torch.cat([gain[:, :GRAINY].minimum(whole), gain[:, GRAINY:]], 1)
    return gain, (goal.square() - (gain * own).square()).clamp(min=0).sqrt()


def _column(x: Tensor, band: int) -> Tensor:
    """One number an image, as (N, 1, 1, 1)."""
    return x[:, band].view(-1, 1, 1, 1)


def _noise(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, device=generator.device, dtype=like.dtype).to(like.device)
