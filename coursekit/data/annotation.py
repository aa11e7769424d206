"""A few annotated slices of a volume, and crops to train on them.

What nobody looked at is ``UNLABELLED``; ``coursekit.losses`` gives it no weight. Slices are chosen evenly, without a
look at the labels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor

from .. import _check
from ..types import Volume
from . import seeds
from .items import Items
from .nuclei import turn
from .seeds import uniform

UNLABELLED = -1  # as in coursekit.losses; a test holds the two together

Planes = Literal["z", "orthogonal"]
Size = tuple[int, int, int]


class Patch(NamedTuple):
    """A crop with its annotation; ``crops`` puts N in front of both."""

    image: Float[Tensor, "*N 1 D H W"]
    target: Integer[Tensor, "*N D H W"]


def annotate(
    labels: Integer[Tensor, "D H W"] | Bool[Tensor, "D H W"], *, slices: int | Sequence[int], planes: Planes = "z"
) -> Integer[Tensor, "D H W"]:
    """The target an annotator leaves who draws in few slices: 1 in a nucleus, 0 outside, ``UNLABELLED`` in every
    slice not drawn in.

    ``planes="z"``: ``slices`` planes of constant depth, in the middles of as many equal parts of the depth
    (``evenly``), or those listed. ``"orthogonal"``: planes in all three directions; a number is dealt out in turn to
    (D, H, W), so that 3 are one plane each way, and a list of three gives the one index each way.
    """
    sizes = _check.tensor("labels", labels, "D H W")
    _check.one_of("planes", planes, ("z", "orthogonal"))
    drawn = torch.zeros(sizes, dtype=torch.bool, device=labels.device)
    for axis, chosen in enumerate(_chosen(sizes, slices, planes)):
        drawn.index_fill_(axis, torch.tensor(chosen, dtype=torch.int64, device=labels.device), True)
    return torch.where(drawn, (labels > 0).long(), UNLABELLED)


def _chosen(sizes: tuple[int, ...], slices: int | Sequence[int], planes: Planes) -> list[list[int]]:
    """The indices of the annotated planes along each axis."""
    if isinstance(slices, int):
        counts = [slices] if planes == "z" else [(slices + 2) // 3, (slices + 1) // 3, slices // 3]
        return [evenly(size, count) for size, count in zip(sizes, counts)]
    if planes == "orthogonal" and len(slices) != 3:
        raise _check.refuse(
            "one index along each of (D, H, W)", f"{len(slices)} of them", "list three, or give their number"
        )
    chosen = [list(slices)] if planes == "z" else [[index] for index in slices]
    for size, indices in zip(sizes, chosen):
        _check.within("slices", torch.tensor(indices), 0, size - 1, "number them from 0")
    return chosen


def evenly(size: int, count: int) -> list[int]:
    """``count`` of ``size`` indices: ⌊(k + ½) · size / count⌋, the middle of each of ``count`` equal parts. One is the
    middle.
    """
    _check.positive("slices", count, zero=True)
    if count > size:
        raise _check.refuse(f"at most {size} slices", count, "there are no more")
    return [(2 * k + 1) * size // (2 * count) for k in range(count)]


def crops(
    image: Volume,
    target: Integer[Tensor, "D H W"],
    *,
    size: Size,
    count: int,
    ignore: int = UNLABELLED,
    generator: Generator,
) -> Patch:
    """``count`` random crops (N, 1, *size) with their targets (N, *size), each with at least one annotated voxel.

    An annotated voxel is drawn, every one as likely, then a place of the crop that holds it; the crop is turned in
    its plane by quarters and mirrored half the time. It is never turned out of its plane: voxels and optics are
    coarser along the depth.
    """
    places = _annotated(image, target, size, ignore)
    _check.positive("count", count, zero=True)
    made = [_crop(image, target, places, size, generator) for _ in range(count)]
    empty = Patch(image.new_zeros(0, 1, *size), target.new_zeros(0, *size))
    return Patch(torch.stack([p.image for p in made]), torch.stack([p.target for p in made])) if made else empty


def _annotated(image: Tensor, target: Tensor, size: Size, ignore: int) -> Tensor:
    """The flat numbers of the annotated voxels, after a look at what came."""
    sizes = _check.tensor("target", target, "D H W")
    _check.tensor("image", image, "1 " + " ".join(map(str, sizes)), "one target a voxel")
    _check.positive("size", size)
    if size[1] != size[2]:
        raise _check.refuse("crops as high as wide", size, "they are turned by quarters")
    if any(wanted > there for wanted, there in zip(size, sizes)):
        raise _check.refuse(f"a crop no larger than {sizes}", size, "take a smaller one")
    places: Tensor = (target != ignore).flatten().nonzero().flatten()
    if not len(places):
        raise _check.refuse("a target with an annotated voxel", "none", "annotate a slice")
    return places


def _crop(image: Tensor, target: Tensor, places: Tensor, size: Size, generator: Generator) -> Patch:
    flat = int(places[int(uniform(0, len(places), generator=generator))])
    inside = (flat // target[0].numel(), flat // target.shape[2] % target.shape[1], flat % target.shape[2])
    first = [_start(at, wanted, there, generator) for at, wanted, there in zip(inside, size, target.shape)]
    window = tuple(slice(a, a + n) for a, n in zip(first, size))
    return Patch(*turn(image[:, *window], target[window], generator=generator))


def _start(at: int, wanted: int, there: int, generator: Generator) -> int:
    """Where a crop of ``wanted`` voxels that holds voxel ``at`` may begin, all places alike."""
    return int(uniform(max(0, at - wanted + 1), min(at, there - wanted) + 1, generator=generator))


class Patches(Items[Patch], what="a patch"):
    """``length`` crops of one annotated volume as a data set; item i depends on ``seed`` and i alone. See ``crops``."""

    def __init__(
        self,
        image: Volume,
        target: Integer[Tensor, "D H W"],
        *,
        size: Size = (16, 64, 64),
        length: int = 1000,
        ignore: int = UNLABELLED,
        seed: int = 0,
    ) -> None:
        _check.positive("length", length)
        self.places = _annotated(image, target, size, ignore)
        self.image, self.target, self.size, self.length, self.seed = image, target, size, length, seed

    def __len__(self) -> int:
        return self.length

    def item(self, index: int) -> Patch:
        image, target = _crop(
            self.image, self.target, self.places, self.size, seeds.stream(self.seed, "patches", index)
        )
        return Patch(image.contiguous(), target.contiguous())
