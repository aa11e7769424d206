"""Masks as run lengths: COCO's form, which keeps a mask in as many numbers as it has column crossings.

A mask ``(H, W)`` is read down its columns (column-major) and written as the lengths of its runs, background first, so
the first length may be 0. COCO files hold those lengths as text: six bits a character, each length as the difference
from the one before the last (``LEB128`` with 5 payload bits; pycocotools ``maskApi.c``). Evaluation works on the CPU
in NumPy.

Source: Lin et al., "Microsoft COCO: Common Objects in Context", ECCV 2014, and the COCO API. Lecture 04.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int32, Int64, Integer

from coursekit import _check
from coursekit.types import Masks

Ints = Int64[np.ndarray, "P"]
RUNS = 1 << 16  # runs worked on in one go: small enough for the cache


@dataclass(frozen=True, eq=False)
class RunLengths:
    """N masks, their runs one after another. The masks need not share a size."""

    counts: Int32[np.ndarray, "R"]  # lengths of all runs; every mask starts with background
    runs: Int64[np.ndarray, "N"]  # how many of them belong to each mask, at least one
    sizes: Int64[np.ndarray, "N 2"]  # (H, W)

    def __len__(self) -> int:
        return len(self.runs)

    @cached_property
    def starts(self) -> Int64[np.ndarray, "N"]:
        """Where in ``counts`` each mask begins."""
        return np.asarray(np.cumsum(self.runs) - self.runs)

    @cached_property
    def foreground(self) -> Bool[np.ndarray, "R"]:
        """Whether a run is foreground: every second one of its mask."""
        odd = np.zeros(len(self.counts), np.bool_)
        odd[1::2] = True
        return np.asarray(odd ^ np.repeat(self.starts % 2 == 1, self.runs))

    @cached_property
    def before(self) -> Int64[np.ndarray, "S"]:
        """Foreground pixels before each run, and after the last, counted from the first mask on."""
        return _running_total(self.counts * self.foreground)

    def parts(self) -> Iterator["RunLengths"]:
        """The masks in their order, some at a time, uncopied: what is worked out about a part is forgotten with it."""
        for part in blocks(self.runs, RUNS):
            runs = self.runs[part]
            first = self.starts[part.start]
            yield RunLengths(self.counts[first : first + runs.sum()], runs, self.sizes[part])

    def take(self, index: Ints) -> "RunLengths":
        """The masks with these numbers, in this order."""
        return RunLengths(
            self.counts[ragged(self.starts[index], self.runs[index])], self.runs[index], self.sizes[index]
        )


def ragged(starts: Ints, lengths: Ints) -> Int64[np.ndarray, "Q"]:
    """``[s, s + 1, … s + n - 1]`` for every start s and length n, one after another."""
    ends = np.cumsum(lengths)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths))


def encode(masks: Masks) -> RunLengths:
    """Run lengths of boolean masks ``(N, H, W)``, on any device."""
    n, h, w = _check.tensor("masks", masks, "N H W", "pass one plane an instance")
    _check.boolean("masks", masks)
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
        raise _check.refuse(
            "masks of one size, at least one", f"{len(rle)} masks of several", "decode them one size at a time"
        )
    h, w = rle.sizes[0].tolist()
    pixels = np.repeat(rle.foreground, rle.counts)
    return torch.from_numpy(pixels.reshape(len(rle), w, h)).transpose(1, 2)


def areas(rle: RunLengths) -> Int64[np.ndarray, "N"]:
    """Foreground pixels of each mask."""
    inside = [part.before[part.starts + part.runs] - part.before[part.starts] for part in rle.parts()]
    return np.concatenate([np.zeros(0, np.int64), *inside])


def boxes(rle: RunLengths) -> Float64[np.ndarray, "N 4"]:
    """The tightest ``(x, y, width, height)`` around each mask; zeros for an empty one."""
    return np.concatenate([np.zeros((0, 4)), *map(_boxes, rle.parts())])


def _boxes(rle: RunLengths) -> Float64[np.ndarray, "N 4"]:
    inside = np.flatnonzero(rle.foreground & (rle.counts > 0))
    stop = np.searchsorted(inside, rle.starts + rle.runs)  # in ``inside``, where each mask ends
    full = np.flatnonzero(np.diff(stop, prepend=0))
    out = np.zeros((len(rle), 4))
    if not len(full):
        return out
    number, height = np.diff(stop, prepend=0)[full], rle.sizes[full, 0]
    first, last = stop[full] - number, stop[full] - 1
    origin = (np.cumsum(_pixels(rle.sizes)) - _pixels(rle.sizes))[full]
    begin = (np.cumsum(rle.counts) - rle.counts)[inside] - np.repeat(origin, number)
    top = begin % np.repeat(height, number)
    over = top + rle.counts[inside] - np.repeat(height, number) > 0  # the run goes on in the next column
    bottom = np.where(over, np.repeat(height, number), top + rle.counts[inside])
    y, y2 = np.minimum.reduceat(np.where(over, 0, top), first), np.maximum.reduceat(bottom, first)
    x, x2 = begin[first] // height, (begin[last] + rle.counts[inside[last]] - 1) // height + 1
    out[full] = np.stack([x, y, x2 - x, y2 - y], 1)
    return out


def intersections(a: RunLengths, b: RunLengths, pair_a: Ints, pair_b: Ints) -> Int64[np.ndarray, "P"]:
    """Pixels shared by mask ``pair_a[i]`` of ``a`` and mask ``pair_b[i]`` of ``b`` (equal sizes), for every i.

    Let F(t) be the number of a's foreground pixels before pixel t: a line of slope 0 or 1 from run end to run end. A
    run ``[s, e)`` of b then shares ``F(e) - F(s)`` pixels with a. One interpolation serves all pairs: masks follow
    each other on one axis.
    """
    axis = _running_total(a.counts).astype(np.float64)  # exact below 2**53
    foreground = a.before.astype(np.float64)
    shared = np.zeros(len(pair_a), np.int64)
    for part in blocks(b.runs[pair_b], RUNS):
        own = b.take(pair_b[part])
        segments = own.runs // 2  # a segment is a background run and the foreground run after it
        end = _running_total(own.counts)
        shift = axis[a.starts[pair_a[part]]] - end[own.starts]
        at = end[1 + ragged(own.starts, 2 * segments)] + np.repeat(shift, 2 * segments)
        before = np.interp(at, axis, foreground).reshape(-1, 2)
        total = _running_total((before[:, 1] - before[:, 0]).astype(np.int64))
        stop = np.cumsum(segments)
        shared[part] = total[stop] - total[stop - segments]
    return shared


def blocks(costs: Ints, budget: int) -> Iterator[slice]:
    """Cut a list into slices of about ``budget`` cost each, at least one item a slice."""
    total = np.cumsum(costs)
    start = 0
    while start < len(costs):
        limit = budget + (total[start - 1] if start else 0)
        stop = max(int(np.searchsorted(total, limit, "right")), start + 1)
        yield slice(start, stop)
        start = stop


def from_coco(segmentations: Sequence[Mapping[str, object]]) -> RunLengths:
    """Read COCO's ``{"size": [H, W], "counts": text, bytes or list of lengths}``, one a mask."""
    try:
        raw, size = zip(*((s["counts"], s["size"]) for s in segmentations)) if segmentations else ((), ())
    except (TypeError, KeyError):
        raise _check.refuse(
            "segmentations {'size', 'counts'}", "another form", "turn polygons into run lengths first"
        ) from None
    sizes = np.array(size, np.int64).reshape(-1, 2)
    lists = np.array([isinstance(c, list) for c in raw], bool)
    plain = [c for c in raw if isinstance(c, list)]
    text = [c.encode() if isinstance(c, str) else c for c in raw if isinstance(c, str | bytes)]
    if len(plain) + len(text) < len(raw):
        raise _check.refuse("counts as text, bytes or a list", "another type", "pass what a COCO file holds")
    counts, runs = _read_text(text)
    if not plain:
        return _valid(RunLengths(counts, runs, sizes))
    counts = np.concatenate([counts, *(_narrow(np.array(c, np.int64)) for c in plain)])
    runs = np.concatenate([runs, np.array([len(c) for c in plain], np.int64)])
    order = np.argsort(lists, kind="stable")  # texts first, then lists
    return _valid(RunLengths(counts, runs, sizes[order])).take(np.argsort(order))


def to_coco(rle: RunLengths) -> list[dict[str, object]]:
    """COCO's dictionaries with compressed counts, byte for byte what pycocotools writes."""
    text = _write_text(rle)
    return [{"size": size, "counts": t} for size, t in zip(rle.sizes.tolist(), text)]


def _read_text(text: Sequence[bytes]) -> tuple[Int32[np.ndarray, "R"], Int64[np.ndarray, "N"]]:
    """Lengths of all runs, and how many each text holds."""
    size = np.array([len(t) for t in text], np.int64)
    parts = [_read_block(b"".join(text[part]), size[part]) for part in blocks(size, RUNS)]
    counts, runs = zip((np.zeros(0, np.int32), np.zeros(0, np.int64)), *parts)
    return np.concatenate(counts), np.concatenate(runs)


def _read_block(text: bytes, size: Int64[np.ndarray, "N"]) -> tuple[Int32[np.ndarray, "R"], Int64[np.ndarray, "N"]]:
    """Six-bit characters to signed numbers, numbers to lengths, for N texts joined."""
    code = np.frombuffer(text, np.uint8) - np.uint8(48)
    ends = np.flatnonzero(code < 32)  # bit 5: another character follows
    if (code > 63).any() or (code[np.cumsum(size)[size > 0] - 1] > 31).any():
        raise _check.refuse(
            "counts in COCO's six-bit text", "other characters or a cut text", "write them with to_coco"
        )
    length = np.diff(ends, prepend=-1)
    starts = ends - length + 1
    value = (code[starts] & 31).astype(np.int64)
    for k in range(1, int(length.max(initial=1))):
        longer = np.flatnonzero(length > k)
        value[longer] |= (code[starts[longer] + k] & 31).astype(np.int64) << 5 * k
    value -= (code[ends] & 16).astype(np.int64) << 5 * (length - 1) + 1  # bit 4 of the last character is the sign
    runs = np.diff(np.searchsorted(ends, np.cumsum(size)), prepend=0)
    return _narrow(_undo_differences(value, runs)), runs


def _undo_differences(value: Int64[np.ndarray, "R"], runs: Int64[np.ndarray, "N"]) -> Int64[np.ndarray, "R"]:
    """From the fourth run on a value is the difference from the run two before: add up every other value, mask by mask."""
    total = np.zeros(len(value) + 2, np.int64)
    total[2::2] = np.cumsum(value[0::2])
    total[3::2] = np.cumsum(value[1::2])
    start = np.repeat(np.cumsum(runs) - runs, runs)
    place = np.arange(len(value)) - start
    mine = total[2:] - total[start + np.minimum(place, 2 - (place & 1))]  # less what came before the mask's own chain
    return np.asarray(mine)


def _narrow(counts: Int64[np.ndarray, "R"]) -> Int32[np.ndarray, "R"]:
    """To 32 bits; what does not fit becomes a length that ``_valid`` refuses."""
    return np.asarray(np.clip(counts, -1, 2**31 - 1), np.int32)


def _write_text(rle: RunLengths) -> list[bytes]:
    """The inverse of ``_read_text``, one character of every number a turn."""
    place = np.arange(len(rle.counts)) - np.repeat(rle.starts, rle.runs)
    value = rle.counts.copy()
    value[place > 2] -= rle.counts[np.flatnonzero(place > 2) - 2]
    texts = [bytearray() for _ in range(len(rle))]
    for owner, x in zip(np.repeat(np.arange(len(rle)), rle.runs).tolist(), value.tolist()):
        more = True
        while more:
            low, x = x & 31, x >> 5
            more = x != (-1 if low & 16 else 0)
            texts[owner].append(48 + low + 32 * more)
    return [bytes(t) for t in texts]


def _valid(rle: RunLengths) -> RunLengths:
    """Refuse lengths that are negative or do not fill the image."""
    sound = (rle.runs > 0).all() and (rle.counts >= 0).all()
    if not sound or (np.add.reduceat(rle.counts, rle.starts, dtype=np.int64) != _pixels(rle.sizes)).any():
        raise _check.refuse("run lengths >= 0 that add up to H × W", "others", "check the size (H, W) of each mask")
    return rle


def _pixels(sizes: Int64[np.ndarray, "N 2"]) -> Int64[np.ndarray, "N"]:
    return np.asarray(sizes[:, 0] * sizes[:, 1])


def _running_total(x: Integer[np.ndarray, "R"]) -> Int64[np.ndarray, "S"]:
    """Sums of the first 0, 1, … R values."""
    total = np.zeros(len(x) + 1, np.int64)
    np.cumsum(x, out=total[1:])
    return total
