"""The 2018 Data Science Bowl as its authors ship it: ``stage1_train/<ImageId>/images/<ImageId>.png`` and beside it
``masks/*.png``, one mask a nucleus.

Caicedo et al., Nucleus segmentation across imaging experiments: the 2018 Data Science Bowl, Nature Methods 16, 2019.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8
from torch import Tensor

from ... import _check
from ...types import LabelMap
from .. import readers
from ..items import Items
from ..seeds import PARTS, Part, part_of


class Sample(NamedTuple):
    """``grey`` as stored, ``labels`` 1 … n in the order of the mask files, ``note``: what was mended."""

    grey: UInt8[Tensor, "H W"]
    labels: LabelMap
    name: str
    note: str


class DSB2018(Items[Sample], what="an image"):
    """The images of ``stage1_train`` in the order of their ids; ``split`` takes those of that part.

    ``fluorescence`` keeps grey images on a dark ground alone, no stained tissue or bright field; each is opened for
    that. Refused: a missing or unreadable file, and a mask of another size than its image. Mended, and said in
    ``note``: a pixel in two masks belongs to the first by name, and a mask left without a pixel is no nucleus.
    """

    def __init__(self, place: Path, *, split: Part | None = None, fluorescence: bool = True) -> None:
        _check.one_of("split", split, (None, *PARTS))
        self.folder = readers.entry(place / "stage1_train", "the training images", is_folder=True)
        stored = sorted(f.name for f in self.folder.iterdir() if f.is_dir() and not f.name.startswith("."))
        mine = [name for name in stored if split in (None, part_of(name))]
        self.names = [name for name in mine if not fluorescence or _is_fluorescence(self._pixels(name))]
        if not self.names:
            wanted = "a fluorescence image" + (f" in the {split} part" if split else "")
            got, advice = f"none among {len(stored)}", "copy the images there, one folder each"
            raise _check.refuse(f"{wanted} of {self.folder}", got, advice)

    def __len__(self) -> int:
        return len(self.names)

    def item(self, index: int) -> Sample:
        name = self.names[index]
        grey = np.round(self._pixels(name).mean(2)).astype(np.uint8)
        masks = readers.entry(self.folder / name / "masks", f"the masks of {name}", is_folder=True)
        labels = np.zeros(grey.shape, np.int64)
        shared = empty = 0
        for file in sorted(f for f in masks.glob("[!.]*") if f.suffix.lower() == ".png"):
            mask = _read(file).max(2) > 0
            if mask.shape != grey.shape:
                wanted = f"a mask of the image's {grey.shape} pixels in {file.name}"
                raise _check.refuse(wanted, mask.shape, "copy it again from its source")
            own = mask & (labels == 0)
            shared += int(mask.sum() - own.sum())
            empty += not own.any()
            labels[own] = labels.max() + 1
        notes = [f"{shared} pixels in two masks went to the first"] if shared else []
        notes += [f"{empty} masks without a pixel of their own left out"] if empty else []
        return Sample(torch.from_numpy(grey), torch.from_numpy(labels), name, ", ".join(notes))

    def _pixels(self, name: str) -> np.ndarray:
        """(H, W, C) without the alpha channel."""
        return _read(readers.entry(self.folder / name / "images" / f"{name}.png", "the image"))


def _read(file: Path) -> UInt8[np.ndarray, "H W C"]:
    """Grey as one channel, colours as three; the alpha channel, 255 throughout in this set, is left out.

    Refused: anything in the alpha channel, 16 bits a channel, which Pillow would cut to 8, and a checksum that does not
    fit, which it would not see.
    """
    with _check.reading("a PNG image", file), file.open("rb") as stream:
        depth = stream.read(25)[24]  # the first chunk is the header: after width and height the bits a channel
    if depth > 8:
        got, advice = f"{depth} bits a channel", "scale it to 0 … 255 and save it again"
        raise _check.refuse(f"an image of bytes in {file.name}", got, advice)
    with _check.reading("a PNG image", file):
        with PIL.Image.open(file, formats=["PNG"]) as image:
            image.verify()
        with PIL.Image.open(file, formats=["PNG"]) as image:
            mode = image.mode
            pixels: np.ndarray = np.asarray(image.convert("LA" if mode in ("1", "L", "LA") else "RGBA"))
    if (pixels[..., -1] < 255).any():
        wanted = f"an image without transparency in {file.name}"
        raise _check.refuse(wanted, "alpha below 255", "flatten it and save it again")
    return pixels[..., :-1]


def _is_fluorescence(pixels: np.ndarray) -> bool:
    """No colour, and most of it darker than half of the brightest."""
    return bool((pixels == pixels[..., :1]).all()) and 2 * float(np.median(pixels)) < float(pixels.max())
