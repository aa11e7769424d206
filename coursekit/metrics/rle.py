"""Masks as run lengths: COCO's form, which keeps a mask in as many numbers as it has column crossings.

A mask ``(H, W)`` is read down its columns (column-major) and written as the lengths of its runs, background first, so
the first length may be 0. COCO files hold those lengths as text: six bits a character, each length as the difference
from the one before the last (``LEB128`` with 5 payload bits; pycocotools ``maskApi.c``). It works in NumPy.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and the COCO API. Lecture 04.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from coursekit import _check
from coursekit.fast.runs import RunLengths, areas, boxes, clip_to_32_bits, intersections, read_text
from coursekit.types import Masks

__all__ = ["RunLengths", "areas", "boxes", "decode", "encode", "from_coco", "intersections", "to_coco"]


def encode_by_definition(mask: Bool[Tensor, "H W"]) -> list[int]:
    """The lengths of the runs down the columns, background first."""
    pixels = mask.T.flatten().tolist()
    lengths = [len(list(run)) for _, run in itertools.groupby(pixels)]
    return lengths if pixels and not pixels[0] else [0, *lengths]


def decode_by_definition(lengths: Sequence[int], size: tuple[int, int]) -> Bool[Tensor, "H W"]:
    """The mask (H, W): every second run is foreground."""
    pixels = [number % 2 == 1 for number, length in enumerate(lengths) for _ in range(length)]
    return torch.tensor(pixels, dtype=torch.bool).reshape(size[1], size[0]).T


def write_by_definition(lengths: Sequence[int]) -> bytes:
    """COCO's text: from the fourth length on the difference from the one two before, five bits a character."""
    text = bytearray()
    for place, length in enumerate(lengths):
        rest = length - (lengths[place - 2] if place > 2 else 0)
        more = True
        while more:
            low, rest = rest & 31, rest >> 5
            more = rest != (-1 if low & 16 else 0)  # the highest of the five bits is the sign of the last
            text.append(48 + low + 32 * more)
    return bytes(text)


def read_by_definition(text: bytes) -> list[int]:
    """The lengths of COCO's text."""
    lengths: list[int] = []
    value, bits = 0, 0
    for code in (character - 48 for character in text):
        value, bits = value | (code & 31) << bits, bits + 5
        if not code & 32:  # the last character of a number
            value -= (code & 16) << bits - 4  # its sign
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value, bits = 0, 0
    return lengths


def encode(masks: Masks) -> RunLengths:
    """Run lengths of boolean masks ``(N, H, W)``, on any device: ``encode_by_definition`` of each."""
    n, h, w = _check.tensor("masks", masks, "N H W", "pass one plane an instance", of="boolean")
    flat = masks.transpose(1, 2).reshape(n, w * h)  # column-major
    edge = torch.ones(n, w * h + 1, dtype=torch.bool, device=masks.device)  # a run always ends at the last pixel
    edge[:, :-1] = flat.diff(dim=1, prepend=flat.new_zeros(n, 1)) if w * h else flat
    row, end = (x.cpu().numpy() for x in edge.nonzero(as_tuple=True))
    runs = np.bincount(row, minlength=n)
    counts = np.diff(end, prepend=0)
    first = np.cumsum(runs) - runs
    counts[first] = end[first]
    return RunLengths(counts.astype(np.int32), runs, np.tile(np.array([[h, w]]), (n, 1)))


def decode(rle: RunLengths) -> Masks:
    """Boolean masks ``(N, H, W)`` of run lengths that share one size."""
    if not len(rle) or (rle.sizes != rle.sizes[0]).any():
        got = f"{len(rle)} masks of several"
        raise _check.refuse("masks of one size, at least one", got, "decode them one size at a time")
    h, w = rle.sizes[0].tolist()
    pixels = np.repeat(rle.foreground, rle.counts)
    return torch.from_numpy(pixels.reshape(len(rle), w, h)).transpose(1, 2)


def from_coco(segmentations: Sequence[Mapping[str, object]]) -> RunLengths:
    """Read COCO's ``{"size": [H, W], "counts": text, bytes or list of lengths}``, one a mask."""
    try:
        raw, size = zip(*((s["counts"], s["size"]) for s in segmentations)) if segmentations else ((), ())
    except (TypeError, KeyError):
        expected = "segmentations {'size', 'counts'}"
        raise _check.refuse(expected, "another form", "turn polygons into run lengths first") from None
    lists = [c for c in raw if isinstance(c, list)]
    texts = [c.encode() if isinstance(c, str) else c for c in raw if isinstance(c, str | bytes)]
    if len(lists) + len(texts) < len(raw):
        raise _check.refuse("counts as text, bytes or a list", "another type", "pass what a COCO file holds")
    counts, runs = read_text(texts)
    counts = np.concatenate([counts, *(clip_to_32_bits(np.array(c, np.int64)) for c in lists)])
    runs = np.concatenate([runs, np.array([len(c) for c in lists], np.int64)])
    order = np.argsort([isinstance(c, list) for c in raw], kind="stable")  # texts first, then lists
    rle = RunLengths(counts, runs, np.array(size, np.int64).reshape(-1, 2)[order])
    sound = (rle.runs > 0).all() and (rle.counts >= 0).all()
    if not sound or (np.add.reduceat(rle.counts, rle.starts, dtype=np.int64) != rle.sizes.prod(1)).any():
        raise _check.refuse("run lengths >= 0 that add up to H × W", "others", "check the size (H, W) of each mask")
    return rle.take(np.argsort(order)) if lists else rle


def to_coco(rle: RunLengths) -> list[dict[str, object]]:
    """COCO's dictionaries with compressed counts, byte for byte what pycocotools writes."""
    lengths = np.split(rle.counts, rle.starts[1:])
    texts = [write_by_definition(own.tolist()) for own in lengths if len(rle)]
    return [{"size": size, "counts": text} for size, text in zip(rle.sizes.tolist(), texts)]
