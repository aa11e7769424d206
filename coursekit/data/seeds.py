"""Randomness that depends on names alone: the same item in any process, order, worker or thread count."""

import hashlib
import operator
from typing import Any, Literal, SupportsIndex

import torch

from .. import _check

Part = Literal["train", "test"]
PARTS = ("train", "test")


def stream(*names: SupportsIndex | str) -> torch.Generator:
    """A CPU generator of its own for what is named, e.g. ``stream(seed, "train", index)``; neighbours share nothing.

    A number is its value, be it Python's, numpy's or torch's. Raises ``ValueError`` for one that is not whole.
    """
    digest = hashlib.blake2b(repr(tuple(map(_plain, names))).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def _plain(name: Any) -> int | str:
    """Python's own: numpy and torch write theirs otherwise."""
    try:
        return str(name) if isinstance(name, str) else int(operator.index(name))
    except TypeError as error:
        raise _check.refuse(
            "whole numbers and words to name a stream", repr(name), "give the seed as a whole number"
        ) from error


def part_of(subject: str, *, test_share: float = 0.25) -> Part:
    """The part a patient, scan or film belongs to, by its name alone: all that comes of one subject lies in one part,
    and adding subjects moves none. About ``test_share`` of many subjects are in the test part."""
    _check.within("test_share", torch.tensor(test_share), 0, 1, "it is a share of all subjects")
    digest = hashlib.blake2b(subject.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "little") < test_share * 2**64 else "train"


def uniform(low: float, high: float, *, generator: torch.Generator) -> float:
    """One number from [low, high)."""
    return low + (high - low) * float(torch.rand((), generator=generator, device=generator.device))
