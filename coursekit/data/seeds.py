"""Randomness that depends on names alone: the same item in any process, order, worker or thread count."""

import hashlib
import operator
from typing import Literal, SupportsIndex

import torch

from .. import _check

Part = Literal["train", "test"]
PARTS = ("train", "test")
TEST_SHARE = 0.25  # of all subjects


def stream(*names: SupportsIndex | str) -> torch.Generator:
    """A CPU generator of its own for what is named, e.g. ``stream(seed, "train", index)``; neighbours share nothing.

    A number is its value, be it Python's, numpy's or torch's. Raises ``ValueError`` for one that is not whole.
    """
    try:  # Python's own numbers: numpy and torch write theirs otherwise
        plain = tuple(str(name) if isinstance(name, str) else int(operator.index(name)) for name in names)
    except TypeError as error:
        expected = "whole numbers and words to name a stream"
        raise _check.refuse(expected, repr(names), "give the seed as a whole number") from error
    digest = hashlib.blake2b(repr(plain).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def part_of(subject: str) -> Part:
    """The part a patient, scan or film belongs to, by its name alone: all that comes of one subject lies in one part,
    and adding subjects moves none. About ``TEST_SHARE`` of many subjects are in the test part."""
    digest = hashlib.blake2b(subject.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "little") < TEST_SHARE * 2**64 else "train"


def uniform(low: float, high: float, *, generator: torch.Generator) -> float:
    """One number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))
