"""A few annotated slices of a volume, and crops to train on them.

What nobody looked at is ``UNLABELLED``; ``coursekit.losses`` gives it no weight. Slices are chosen evenly, without a
look at the labels.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Bool, Float, Integer
from torch import Generator, Tensor

from ... import _check
from ...types import Volume
from ..nuclei import turn
from ..seeds import uniform

UNLABELLED = -1  # as in coursekit.losses; a test holds the two together


class Patch(NamedTuple):
    """Crops with their annotation."""

    image: Float[Tensor, "N 1 *DHW"]
    target: Integer[Tensor, "N *DHW"]


def annotate(
    labels: Integer[Tensor, "D H W"] | Bool[Tensor, "D H W"],
    *,
    slices: int | Sequence[int],
    planes: Literal["z", "orthogonal"] = "z",
) -> Integer[Tensor, "D H W"]:
    """The target an annotator leaves who draws in few slices: 1 in a nucleus, 0 outside, ``UNLABELLED`` elsewhere.

    ``planes="z"``: ``slices`` planes of constant depth, in the middles of as many equal parts of the depth
    (``evenly``), or those listed. ``"orthogonal"``: planes in all three directions; a number is dealt out in turn to
    (D, H, W), so that 3 are one plane each way, and a list of three gives the one index each way.
    """
    sizes = _check.tensor("labels", labels, "D H W")
    _check.one_of("planes", planes, ("z", "orthogonal"))
    if isinstance(slices, int):
        counts = [slices] if planes == "z" else [(slices + 2 - axis) // 3 for axis in range(3)]
        chosen = [evenly(size, count) for size, count in zip(sizes, counts)]
    elif planes == "orthogonal" and len(slices) != 3:
        raise _check.refuse("one index along each of (D, H, W)", f"{len(slices)}", "list three, or give their number")
    else:
        chosen = [list(slices)] if planes == "z" else [[index] for index in slices]
    drawn = torch.zeros(sizes, dtype=torch.bool, device=labels.device)
    for axis, indices in enumerate(chosen):
        _check.within("slices", torch.tensor(indices), 0, sizes[axis] - 1, "number them from 0")
        drawn.index_fill_(axis, torch.tensor(indices, dtype=torch.int64, device=labels.device), True)
    return torch.where(drawn, (labels > 0).long(), UNLABELLED)


def evenly(size: int, count: int) -> list[int]:
    """``count`` of ``size`` indices: ⌊(k + ½) · size / count⌋, the middle of each of ``count`` equal parts."""
    _check.positive("slices", count, zero=True)
    if count > size:
        raise _check.refuse(f"at most {size} slices", count, "there are no more")
    return [(2 * k + 1) * size // (2 * count) for k in range(count)]


def crops(
    image: Volume, target: Integer[Tensor, "D H W"], *, size: tuple[int, int, int], count: int, generator: Generator
) -> Patch:
    """``count`` random crops (N, 1, *size) with their targets (N, *size), each with at least one annotated voxel.

    An annotated voxel is drawn, every one as likely, then a place of the crop that holds it; the crop is turned in
    its plane by quarters and mirrored half the time. It is never turned out of its plane: voxels and optics are
    coarser along the depth.
    """
    sizes = _check.tensor("target", target, "D H W")
    _check.tensor("image", image, "1 " + " ".join(map(str, sizes)), "one target a voxel")
    _check.positive("size", size)
    _check.positive("count", count)
    if size[1] != size[2]:
        raise _check.refuse("crops as high as wide", size, "they are turned by quarters")
    if any(wanted > available for wanted, available in zip(size, sizes)):
        raise _check.refuse(f"a crop no larger than {sizes}", size, "take a smaller one")
    annotated = (target != UNLABELLED).flatten().nonzero().flatten()
    if not len(annotated):
        raise _check.refuse("a target with an annotated voxel", "none", "annotate a slice")
    images, targets = [], []
    for _ in range(count):
        chosen = int(annotated[int(uniform(0, len(annotated), generator=generator))])
        voxel = (chosen // (sizes[1] * sizes[2]), chosen // sizes[2] % sizes[1], chosen % sizes[2])
        window = []
        for at, wanted, available in zip(voxel, size, sizes):  # all places of the crop that hold the voxel alike
            first, last = max(0, at - wanted + 1), min(at, available - wanted)
            start = int(uniform(first, last + 1, generator=generator))
            window.append(slice(start, start + wanted))
        cropped, drawn = turn(image[:, *window], target[tuple(window)], generator=generator)
        images.append(cropped)
        targets.append(drawn)
    return Patch(torch.stack(images), torch.stack(targets))
