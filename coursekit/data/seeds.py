"""Randomness that depends on names alone: the same item in any process, order, worker or thread count."""

import hashlib
from typing import Literal

import torch

from .. import _check

Part = Literal["train", "test"]
PARTS = ("train", "test")


def stream(*names: int | str) -> torch.Generator:
    """A CPU generator of its own for what is named, e.g. ``stream(seed, "train", index)``; neighbours share nothing."""
    digest = hashlib.blake2b(repr(names).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)


def part_of(subject: str, *, test_share: float = 0.25) -> Part:
    """The part a patient, scan or film belongs to, by its name alone: all that comes of one subject lies in one part, and
    adding subjects moves none. About ``test_share`` of many subjects are in the test part."""
    _check.within("test_share", torch.tensor(test_share), 0, 1, "it is a share of all subjects")
    digest = hashlib.blake2b(subject.encode(), digest_size=8).digest()
    return "test" if int.from_bytes(digest, "little") < test_share * 2**64 else "train"
