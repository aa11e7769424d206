"""Nuclei that move, of another kind than those in ``nuclei``: two films of the Cell Tracking Challenge with masks in
every frame.

The masks are the challenge's *erroneous* segmentation, a silver standard: ragged on dim nuclei, with pieces missing.
``hela`` is one film in two dimensions; its ids are new in every frame. ``cho`` is one of thin volumes, 5 planes deep,
whose distance the file does not state; most of its ids stay with their nucleus from frame to frame.
"""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
import tifffile
import torch
from jaxtyping import Float32, Int32
from torch import Tensor

from .. import _check
from . import fetch
from .nuclei import PARTS, Part

Name = Literal["hela", "cho"]


@dataclass(frozen=True, eq=False)
class Movie:
    """``image`` (1, T, H, W) for ``hela``, (1, T, D, H, W) for ``cho``, in [0, 1]; ``labels`` the same without the
    channel: 0 is background, else the file's own ids."""

    image: Float32[Tensor, "1 T *DHW"]
    labels: Int32[Tensor, "T *DHW"]
    name: str
    source: str = "real"

    @property
    def count(self) -> int:
        """Instances in all frames together."""
        return sum(len(frame.unique()) - int((frame == 0).any()) for frame in self.labels)


def movie(name: Name, *, split: Part | None = None) -> Movie:
    """``hela``, 20 frames of 700 × 1100 pixels, or ``cho``, 20 of 5 × 443 × 512 voxels; whole, or one part of it.

    Split by place as the image in ``nuclei``, never by frame: the left ten sixteenths train, the right five test, and
    no nucleus is in both in any frame. ``cho`` is refused a split, as a nucleus lies across the gap. Intensities are
    scaled so that the 1st percentile of the film is 0 and the 99.8th is 1. Raises ``DataMissing`` if a file cannot be
    had: no phantom stands in for it. Read once and kept.
    """
    _check.one_of("name", name, ("hela", "cho"))
    _check.one_of("split", split, [None, *PARTS])
    whole = _real(name, fetch.path(f"{name}_image"), fetch.path(f"{name}_labels"))
    if split is None:
        return whole
    if name == "cho":
        raise _check.refuse(
            "hela for a split by place", name, "take cho whole: a nucleus as wide as the gap lies in both parts"
        )
    start, stop = (whole.labels.shape[-1] * edge // 16 for edge in PARTS[split])
    return Movie(whole.image[..., start:stop], whole.labels[..., start:stop], name)


@lru_cache(maxsize=2)
def _real(name: Name, image: Path, labels: Path) -> Movie:
    raw = tifffile.imread(image)
    low, high = np.percentile(raw, [1, 99.8]).astype(np.float32)
    shown = torch.from_numpy(raw.astype(np.float32)).sub_(float(low)).div_(float(high - low)).clamp_(0, 1)
    return Movie(shown[None], torch.from_numpy(tifffile.imread(labels).astype(np.int32)), name)
