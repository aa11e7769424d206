"""The 2018 Data Science Bowl as its authors ship it: ``stage1_train/<ImageId>/images/<ImageId>.png`` and one mask a
nucleus in ``stage1_train/<ImageId>/masks/*.png``.

Source: Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods
16, 2019.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import PIL.Image
import torch
from jaxtyping import Bool, UInt8
from torch import Tensor

from ... import _check
from ...types import LabelMap
from .. import readers
from ..items import Items
from ..seeds import PARTS, part_of


class Sample(NamedTuple):
    """``grey`` (H, W) uint8 as stored, ``labels`` (H, W) int64 with 1 … n in the order of the mask files, ``note``:
    what was mended.
    """

    grey: UInt8[Tensor, "H W"]
    labels: LabelMap
    name: str
    note: str


class DSB2018(Items[Sample], what="an image"):
    """The images of ``stage1_train`` in the order of their ids; ``split`` takes those whose id lies in that part.

    ``fluorescence`` keeps the grey images on a dark ground and leaves out the stained tissue and bright-field ones;
    every image is opened once for that. Refused: a missing or unreadable file, and a mask of another size than its
    image. Mended, and said in ``note``: a pixel in two masks belongs to the first by name, and a mask left without a
    pixel is no nucleus.
    """

    def __init__(
        self, place: Path, *, split: Literal["train", "test"] | None = None, fluorescence: bool = True
    ) -> None:
        _check.one_of("split", split, (None, *PARTS))
        self.folder = readers.entry(place / "stage1_train", "the training images", is_folder=True)
        found = sorted(f.name for f in self.folder.iterdir() if f.is_dir() and not f.name.startswith("."))
        mine = [name for name in found if split in (None, part_of(name))]
        self.names = [name for name in mine if not fluorescence or _is_fluorescence(self._pixels(name))]
        if not self.names:
            wanted = ("a fluorescence image" if fluorescence else "an image") + (
                f" in the {split} part" if split else ""
            )
            raise _check.refuse(
                f"{wanted} of {self.folder}", f"none among {len(found)}", "copy the images there, one folder each"
            )

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Sample:
        name = self.names[index]
        grey = np.round(self._pixels(name).mean(2)).astype(np.uint8)
        masks = readers.entry(self.folder / name / "masks", f"the masks of {name}", is_folder=True)
        files = sorted(f for f in masks.glob("[!.]*") if f.suffix.lower() == ".png")
        labels, note = _instances((_mask(f, grey.shape) for f in files), grey.shape)
        return Sample(torch.from_numpy(grey), torch.from_numpy(labels), name, note)

    def _pixels(self, name: str) -> np.ndarray:
        """(H, W, C) without the alpha channel."""
        return _read(readers.entry(self.folder / name / "images" / f"{name}.png", "the image"))


def _read(file: Path) -> UInt8[np.ndarray, "H W C"]:
    """Grey as one channel, colours as three. The alpha channel, 255 throughout in this set, is left out; anything in
    it is refused.

    So are 16 bits a channel, which Pillow would cut to 8, and a checksum that does not fit, which it would not see.
    """
    with _check.reading("a PNG image", file), file.open("rb") as stream:
        depth = stream.read(25)[24]  # the first chunk is the header: after width and height the bits a channel
    if depth > 8:
        raise _check.refuse(
            f"an image of bytes in {file.name}", f"{depth} bits a channel", "scale it to 0 … 255 and save it again"
        )
    with _check.reading("a PNG image", file):
        with PIL.Image.open(file, formats=["PNG"]) as image:
            image.verify()
        with PIL.Image.open(file, formats=["PNG"]) as image:
            mode = image.mode
            pixels: np.ndarray = np.asarray(image.convert("LA" if mode in ("1", "L", "LA") else "RGBA"))
    if (pixels[..., -1] < 255).any():
        raise _check.refuse(
            f"an image without transparency in {file.name}", "alpha below 255", "flatten it and save it again"
        )
    return pixels[..., :-1]


def _is_fluorescence(pixels: np.ndarray) -> bool:
    """No colour, and most of it darker than half of the brightest."""
    return bool((pixels == pixels[..., :1]).all()) and 2 * float(np.median(pixels)) < float(pixels.max())


def _mask(file: Path, size: tuple[int, ...]) -> Bool[np.ndarray, "H W"]:
    lit: np.ndarray = _read(file).max(2) > 0
    if lit.shape != size:
        raise _check.refuse(
            f"a mask of the image's {size} pixels in {file.name}", lit.shape, "copy it again from its source"
        )
    return lit


def _instances(masks: Iterable[np.ndarray], size: tuple[int, ...]) -> tuple[np.ndarray, str]:
    """Labels 1 … n, and what was mended on the way."""
    labels = np.zeros(size, np.int64)
    shared, empty = 0, 0
    for mask in masks:
        own = mask & (labels == 0)
        shared += int(mask.sum() - own.sum())
        empty += not own.any()
        labels[own] = labels.max() + 1
    said = [(shared, "pixels in two masks went to the first"), (empty, "masks without a pixel of their own left out")]
    return labels, ", ".join(f"{number} {what}" for number, what in said if number)
