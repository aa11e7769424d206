"""Masks by the lengths of their runs, many at once: as if each were ``metrics.rle.decode_by_definition`` of them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int32, Int64, Integer

from coursekit import _check

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
        return running_total(self.counts * self.foreground)

    def parts(self) -> Iterator["RunLengths"]:
        """The masks in their order, some at a time, uncopied: what is worked out about a part is forgotten with it."""
        for part in blocks(self.runs, RUNS):
            runs = self.runs[part]
            first = self.starts[part.start]
            yield RunLengths(self.counts[first : first + runs.sum()], runs, self.sizes[part])

    def take(self, index: Ints) -> "RunLengths":
        """The masks with these numbers, in this order."""
        rows = ragged(self.starts[index], self.runs[index])
        return RunLengths(self.counts[rows], self.runs[index], self.sizes[index])


def running_total(x: Integer[np.ndarray, "R"]) -> Int64[np.ndarray, "S"]:
    """Sums of the first 0, 1, … R values."""
    total = np.zeros(len(x) + 1, np.int64)
    np.cumsum(x, out=total[1:])
    return total


def ragged(starts: Ints, lengths: Ints) -> Int64[np.ndarray, "Q"]:
    """``[s, s + 1, … s + n - 1]`` for every start s and length n, one after another."""
    ends = np.cumsum(lengths)
    return np.asarray(np.arange(ends[-1] if len(ends) else 0) + np.repeat(starts - ends + lengths, lengths))


def blocks(costs: Ints, budget: int) -> Iterator[slice]:
    """Cut a list into slices of about ``budget`` cost each, at least one item a slice."""
    total = np.cumsum(costs)
    start = 0
    while start < len(costs):
        limit = budget + (total[start - 1] if start else 0)
        stop = max(int(np.searchsorted(total, limit, "right")), start + 1)
        yield slice(start, stop)
        start = stop


def areas(rle: RunLengths) -> Int64[np.ndarray, "N"]:
    """Foreground pixels of each mask."""
    inside = [part.before[part.starts + part.runs] - part.before[part.starts] for part in rle.parts()]
    return np.concatenate([np.zeros(0, np.int64), *inside])


def boxes(rle: RunLengths) -> Float64[np.ndarray, "N 4"]:
    """The tightest ``(x, y, width, height)`` around each mask; zeros for an empty one."""
    return np.concatenate([np.zeros((0, 4)), *map(_boxes, rle.parts())])


def _boxes(rle: RunLengths) -> Float64[np.ndarray, "N 4"]:
    run = np.flatnonzero(rle.foreground & (rle.counts > 0))
    number = np.diff(np.searchsorted(run, rle.starts + rle.runs), prepend=0)  # how many of them each mask has
    full = np.flatnonzero(number)
    out = np.zeros((len(rle), 4))
    if not len(full):
        return out
    number, height = number[full], rle.sizes[full, 0]
    last = np.cumsum(number) - 1
    first = last + 1 - number
    pixel = running_total(rle.counts)
    begin = pixel[run] - np.repeat(pixel[rle.starts[full]], number)  # counted from the mask's own first pixel
    heights = np.repeat(height, number)
    top = begin % heights
    bottom = top + rle.counts[run]
    several = bottom > heights  # the run goes on in the next column: it meets the upper and the lower border
    y = np.minimum.reduceat(np.where(several, 0, top), first)
    y_end = np.maximum.reduceat(np.where(several, heights, bottom), first)
    x = begin[first] // height
    x_end = (begin[last] + rle.counts[run[last]] - 1) // height + 1
    out[full] = np.stack([x, y, x_end - x, y_end - y], 1)
    return out


def intersections(a: RunLengths, b: RunLengths, pair_a: Ints, pair_b: Ints) -> Int64[np.ndarray, "P"]:
    """Pixels shared by mask ``pair_a[i]`` of ``a`` and mask ``pair_b[i]`` of ``b`` (equal sizes), for every i.

    Let F(t) be the number of a's foreground pixels before pixel t: a line of slope 0 or 1 from run end to run end. A
    run ``[s, e)`` of b then shares ``F(e) - F(s)`` pixels with a. One interpolation serves all pairs.
    """
    axis = running_total(a.counts).astype(np.float64)  # exact below 2**53
    foreground = a.before.astype(np.float64)
    shared = np.zeros(len(pair_a), np.int64)
    for part in blocks(b.runs[pair_b], RUNS):
        own = b.take(pair_b[part])
        segments = own.runs // 2  # a segment is a background run and the foreground run after it
        end = running_total(own.counts)
        shift = axis[a.starts[pair_a[part]]] - end[own.starts]
        ends = end[1 + ragged(own.starts, 2 * segments)] + np.repeat(shift, 2 * segments)
        before = np.interp(ends, axis, foreground).reshape(-1, 2)
        total = running_total((before[:, 1] - before[:, 0]).astype(np.int64))
        stop = np.cumsum(segments)
        shared[part] = total[stop] - total[stop - segments]
    return shared


def read_text(texts: Sequence[bytes]) -> tuple[Int32[np.ndarray, "R"], Int64[np.ndarray, "N"]]:
    """Lengths of all runs, and how many each text holds: ``metrics.rle.read_by_definition`` of each."""
    size = np.array([len(t) for t in texts], np.int64)
    parts = [_read_block(b"".join(texts[part]), size[part]) for part in blocks(size, RUNS)]
    counts, runs = zip((np.zeros(0, np.int32), np.zeros(0, np.int64)), *parts)
    return np.concatenate(counts), np.concatenate(runs)


def _read_block(text: bytes, size: Int64[np.ndarray, "N"]) -> tuple[Int32[np.ndarray, "R"], Int64[np.ndarray, "N"]]:
    """Characters to numbers, five bits at a time, then numbers to lengths, for N texts joined."""
    code = np.frombuffer(text, np.uint8) - np.uint8(48)
    ends = np.flatnonzero(code < 32)  # bit 5: another character follows
    if (code > 63).any() or (code[np.cumsum(size)[size > 0] - 1] > 31).any():
        raise _check.refuse("COCO's six-bit text", "other characters or a cut text", "write it with to_coco")
    length = np.diff(ends, prepend=-1)
    starts = ends - length + 1
    value = (code[starts] & 31).astype(np.int64)
    for k in range(1, int(length.max(initial=1))):
        longer = np.flatnonzero(length > k)
        value[longer] |= (code[starts[longer] + k] & 31).astype(np.int64) << 5 * k
    value -= (code[ends] & 16).astype(np.int64) << 5 * (length - 1) + 1  # bit 4 of the last character is the sign
    runs = np.diff(np.searchsorted(ends, np.cumsum(size)), prepend=0)
    # from its fourth run on, a mask's value is the difference from the run two before: add up every other value
    total = np.zeros(len(value) + 2, np.int64)  # total[i + 2] = value[i] + total[i], over all masks
    total[2::2] = np.cumsum(value[0::2])
    total[3::2] = np.cumsum(value[1::2])
    start = np.repeat(np.cumsum(runs) - runs, runs)
    place = np.arange(len(value)) - start  # in the mask
    chain_start = start + np.minimum(place, 2 - place % 2)  # places 0, 1 and 2 begin a chain each
    return clip_to_32_bits(total[2:] - total[chain_start]), runs


def clip_to_32_bits(counts: Int64[np.ndarray, "R"]) -> Int32[np.ndarray, "R"]:
    """To 32 bits; what does not fit becomes a length that no image has."""
    return np.asarray(np.clip(counts, -1, 2**31 - 1), np.int32)
