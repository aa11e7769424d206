"""Style as statistics: an image gets the contrast, at every scale, of another; what is in it stays where it is.

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
from torch import Generator, Tensor

from .. import _check

Images = Float[Tensor, "N 1 H W"]
OtherImages = Float[Tensor, "M 1 A B"]  # of any number and size of their own
LEVELS = 4  # how often an image is halved
GRAINY = 2  # bands, the finest: where the noise of a camera shows


def blur(x: Images) -> Images:
    """Binomial weights (1, 4, 6, 4, 1) / 16 along rows and columns, the border repeated."""
    weight = torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0], dtype=x.dtype, device=x.device) / 16
    x = F.conv2d(F.pad(x, (2, 2, 2, 2), mode="replicate"), weight.view(1, 1, 5, 1))
    return F.conv2d(x, weight.view(1, 1, 1, 5))


def bands(image: Images) -> list[Tensor]:
    """``LEVELS`` bands ``(N, 1, H / 2^i, W / 2^i)``, finest first, and the coarse image left; ``join`` undoes it.

    Source: Burt and Adelson 1983.
    """
    _check_images("image", image)
    pieces = []
    for _ in range(LEVELS):
        coarse = blur(image)[..., ::2, ::2]
        pieces.append(image - _enlarge(coarse, image))
        image = coarse
    return [*pieces, image]


def join(pieces: list[Tensor]) -> Images:
    """The image whose ``bands`` these are."""
    *finer, image = pieces
    for band in reversed(finer):
        image = band + _enlarge(image, band)
    return image


def _enlarge(coarse: Tensor, like: Tensor) -> Tensor:
    """Twice the size, linearly between the pixels, to the size of ``like``."""
    for axis in (2, 3):
        place = torch.arange(like.shape[axis], device=coarse.device)
        before = coarse.index_select(axis, place // 2)
        after = coarse.index_select(axis, ((place + 1) // 2).clamp(max=coarse.shape[axis] - 1))
        coarse = (before + after) / 2
    return coarse


def _check_images(name: str, image: Tensor) -> None:
    _check.tensor(name, image, "N 1 H W", "style one channel at a time", of="numbers")
    if min(image.shape[2:]) < 2**LEVELS:
        expected = f"{name} of at least {2**LEVELS} pixels a side"
        raise _check.refuse(expected, tuple(image.shape[2:]), "enlarge it, or take larger crops")


class Style(NamedTuple):
    """Mean and spread of each band, finest first, the coarse rest last ``(N, bands)``; darkest and brightest value."""

    mean: Float[Tensor, "N bands"]
    std: Float[Tensor, "N bands"]
    low: Float[Tensor, "N"]
    high: Float[Tensor, "N"]


def style_of(image: Images) -> Style:
    """The style of each image."""
    flat, whole = [piece.flatten(1) for piece in bands(image)], image.flatten(1)
    mean, std = torch.stack([x.mean(1) for x in flat], 1), torch.stack([x.std(1, correction=0) for x in flat], 1)
    return Style(mean, std, whole.amin(1), whole.amax(1))


def restyle(image: Images, style: OtherImages, *, most: float = 4.0, generator: Generator | None = None) -> Images:
    """``image (N, 1, H, W)`` with the band statistics of ``style``: N images of any size, or one for all.

    No band is made more than ``most`` times stronger or weaker than the image's contrast as a whole would be: a smooth
    image has only rounding errors to amplify. With a ``generator`` what the two finest bands lack is filled with noise,
    not made of sharper edges: for grainy styles. Values end within the style's range. Differentiable in both images.
    """
    _check_images("image", image)
    _check_images("style", style)
    if most < 1:
        raise _check.refuse("most >= 1", most, "1 changes the contrast as a whole alone")
    if len(style) not in (1, len(image)):
        raise _check.refuse(f"one style, or {len(image)}", len(style), "give one an image, or one for all")
    own, goal = style_of(image), style_of(style)
    tiny, strength = torch.finfo(image.dtype).eps, [x.std.square().sum(1, keepdim=True) for x in (goal, own)]
    whole = (strength[0] / strength[1].clamp(min=tiny**2)).sqrt()  # of the contrast as a whole: (N, 1)
    gain = (goal.std / own.std.clamp(min=tiny)).clamp(whole / most, whole * most)  # of each band, a flat one stays flat
    if generator is not None:
        gain = torch.cat([gain[:, :GRAINY].minimum(whole), gain[:, GRAINY:]], 1)
    grain = (goal.std.square() - (gain * own.std).square()).clamp(min=0).sqrt()  # the noise that a band then lacks
    restyled = []
    for i, band in enumerate(bands(image)):
        band = _column(gain[:, i]) * (band - _column(own.mean[:, i])) + _column(goal.mean[:, i])
        if generator is not None and i < GRAINY:
            noise = torch.randn(band.shape, generator=generator, device=generator.device, dtype=band.dtype)
            band = band + _column(grain[:, i]) * noise.to(band.device)
        restyled.append(band)
    return join(restyled).clamp(_column(goal.low), _column(goal.high))


def _column(x: Float[Tensor, "N"]) -> Float[Tensor, "N 1 1 1"]:
    """One number an image."""
    return x.view(-1, 1, 1, 1)
