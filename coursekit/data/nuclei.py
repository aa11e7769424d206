"""Fluorescent nuclei in two dimensions: one real image of the 2018 Data Science Bowl, split by place.

There is one image with 125 nuclei, so training and test part are two areas of it with a gap between them, never
random patches: the left five eighths train, the right five sixteenths test, one sixteenth is left out. That is very
little; a figure from it says how the methods compare on this image, not how well they do elsewhere.

Whoever has the whole set names its folder in COURSEKIT_DSB2018. Then ``images`` gives all its fluorescence images,
split by image, and ``load`` the first of them by name: one image stands for the set wherever a lesson looks at one.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from .. import _check
from ..types import Boxes, Image, LabelMap, Masks
from . import fetch, phantoms, readers, seeds, tiff
from .items import Items
from .readers import dsb2018

Part = Literal["train", "test"]
PARTS = {"train": (0, 10), "test": (11, 16)}  # in sixteenths of the width


@dataclass(frozen=True, eq=False)
class Nuclei:
    """An image with its instances.

    ``image`` (1, H, W) float32 in [0, 1]; ``labels`` (H, W) int64, 0 background, 1 … n the nuclei without a gap in
    the numbers; ``source`` "real", "phantom" or "copy-paste of …": show it in the title of a figure; ``note`` says
    what to run for the real image.
    """

    image: Image
    labels: LabelMap
    source: str
    note: str = ""

    @property
    def count(self) -> int:
        return int(self.labels.max()) if self.labels.numel() else 0


def load(*, split: Part | None = None, allow_phantom: bool = True) -> Nuclei:
    """The real image, whole or one part of it; a phantom of the same shape if it has not been fetched.

    Intensities are scaled so that the 1st percentile of the whole image is 0 and the 99.8th is 1, and cut there: a
    few dividing nuclei saturate. Raises ``DataMissing`` if the image has not been fetched and ``allow_phantom`` is
    false. With COURSEKIT_DSB2018 set: the first of ``images(split=split)``.
    """
    _check.one_of("split", split, [None, *PARTS])
    if readers.folder("COURSEKIT_DSB2018"):
        return images(split=split)[0]
    whole = fetch.real_or(_phantom, _real, allow_phantom=allow_phantom)
    return whole if split is None else part(whole, split)


def _real() -> Nuclei:
    raw = tiff.read(fetch.path("nuclei2d_image"), axes=2)
    ids = tiff.read(fetch.path("nuclei2d_labels"), axes=2).astype(np.int64)
    return Nuclei(_scaled(raw), relabel(torch.from_numpy(ids)), "real")


def _scaled(raw: np.ndarray) -> Image:
    """(1, H, W) in [0, 1] between the 1st and the 99.8th percentile."""
    low, high = np.percentile(raw, [1, 99.8]).astype(np.float32)
    return torch.from_numpy((raw.astype(np.float32) - low) / max(float(high - low), 1e-12)).clamp(0, 1)[None]


def _phantom(note: str) -> Nuclei:
    """Always the same one."""
    image, labels = phantoms.nuclei(generator=torch.Generator().manual_seed(2018))
    return Nuclei(image, labels, "phantom", note)


class Images(Items[Nuclei], what="an image"):
    """Whole images with their nuclei, one an item; they may differ in size."""

    def __init__(self, whole: Nuclei | dsb2018.DSB2018) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return 1 if isinstance(self.whole, Nuclei) else len(self.whole)

    def item(self, index: int) -> Nuclei:
        if isinstance(self.whole, Nuclei):
            return self.whole
        grey, labels, name, mended = self.whole[index]
        note = f"{name} of the 2018 Data Science Bowl" + (f": {mended}" if mended else "")
        return Nuclei(_scaled(grey.numpy()), labels, "real", note)


def images(*, split: Part | None = None, allow_phantom: bool = True) -> Images:
    """All images of a part: the fluorescence images of COURSEKIT_DSB2018, split by image; without it the one that
    ``load`` gives.
    """
    _check.one_of("split", split, [None, *PARTS])
    place = readers.folder("COURSEKIT_DSB2018")
    return Images(_bowl(place, split) if place else load(split=split, allow_phantom=allow_phantom))


@lru_cache(maxsize=4)
def _bowl(place: Path, split: Part | None) -> dsb2018.DSB2018:
    """Remembered, as every image is opened once to see whether it is of fluorescence."""
    return dsb2018.DSB2018(place, split=split)


def part(whole: Nuclei, split: Part) -> Nuclei:
    """The training or the test part of an image.

    A nucleus cut by the border of a part stays, cut, as at the edge of any image: every lit pixel keeps its label.
    The gap is to be wider than the nuclei, so that none is in both parts; an image where one is, is refused.
    """
    _check.one_of("split", split, list(PARTS))
    width = whole.labels.shape[1]
    pieces = {name: whole.labels[:, width * a // 16 : width * b // 16] for name, (a, b) in PARTS.items()}
    both = set(pieces["train"].unique().tolist()) & set(pieces["test"].unique().tolist()) - {0}
    if both:
        raise _check.refuse(
            "a gap wider than the nuclei",
            f"{len(both)} nuclei in both parts",
            "use an image at least 32 nucleus radii wide",
        )
    start, stop = (width * edge // 16 for edge in PARTS[split])
    return replace(whole, image=whole.image[:, :, start:stop], labels=relabel(pieces[split]))


def relabel(labels: LabelMap) -> LabelMap:
    """Number the instances 1 … n in the order of their ids; 0 stays background."""
    _check.tensor("labels", labels, "H W")
    _check.integer("labels", labels)
    _check.within("labels", labels, 0, 2**62, "instances are numbered from 1, background is 0")
    with_zero = torch.cat([labels.new_zeros(1), labels.flatten()])  # so that 0 is the first of the ids
    index: Tensor = with_zero.unique(return_inverse=True)[1]
    return index[1:].view(labels.shape)


def masks(labels: LabelMap, *, count: int | None = None) -> Masks:
    """One boolean plane an instance, (N, H, W); plane k holds label k + 1. ``count`` is the highest label, looked up if
    not given.
    """
    _check.tensor("labels", labels, "H W")
    _check.integer("labels", labels)
    if count is None:
        count = int(labels.max()) if labels.numel() else 0
    return labels == torch.arange(1, count + 1, device=labels.device)[:, None, None]


def boxes(labels: LabelMap, *, count: int | None = None) -> Boxes:
    """The tightest half-open box (x1, y1, x2, y2) around each instance, (N, 4) float32. A number without pixels is
    refused.
    """
    planes = masks(labels, count=count)
    (x1, x2), (y1, y2) = _extent(planes.any(1)), _extent(planes.any(2))
    corners = torch.stack([x1, y1, x2, y2], 1).float()
    _check.boxes("boxes of the labels (relabel first if a number is unused)", corners)
    return corners


def _extent(hit: Tensor) -> tuple[Tensor, Tensor]:
    """First true and one past the last true of each row of (N, L); a row without any gets (L, 0)."""
    length = hit.shape[1]
    padded = F.pad(hit, (0, 1))  # so that there is a column even in an empty image
    place = torch.arange(length + 1, device=hit.device)
    return torch.where(padded, place, length).amin(1), torch.where(padded, place + 1, 0).amax(1)


def crop(whole: Nuclei, size: int, *, least: int = 16, generator: Generator) -> Nuclei:
    """A random square of ``size`` pixels, turned or mirrored at random; remnants of fewer than ``least`` pixels become
    background.
    """
    _check.positive("size", size)
    height, width = whole.labels.shape
    if size > min(height, width):
        raise _check.refuse(f"a crop no larger than {min(height, width)}", size, "take a smaller one")
    top, left = (int(seeds.uniform(0, n - size + 1, generator=generator)) for n in (height, width))
    window = (slice(top, top + size), slice(left, left + size))
    image, labels = turn(whole.image[:, *window], whole.labels[window], generator=generator)
    area = torch.bincount(labels.flatten())
    return replace(whole, image=image, labels=relabel(torch.where(area[labels] < least, 0, labels)))


def turn(*arrays: Tensor, generator: Generator) -> tuple[Tensor, ...]:
    """Turn by a random number of quarters and mirror half the time, all ``(..., H, W)`` alike: no value changes, so
    masks stay exact.
    """
    quarters, mirror = (
        int(seeds.uniform(0, 4, generator=generator)),
        seeds.uniform(0, 1, generator=generator) < 0.5,
    )
    turned = (torch.rot90(x, quarters, (-2, -1)) for x in arrays)
    return tuple(x.flip(-1) if mirror else x for x in turned)


@lru_cache(maxsize=4)
def stamps(whole: Nuclei) -> tuple[phantoms.Stamp, ...]:
    """Cut nuclei out as light above the background, with their blurred rim: all that lie whole in the image, a few
    pixels from any other. None of an image without background."""
    halo, image, labels = phantoms.HALO, whole.image[0], whole.labels
    height, width = labels.shape
    if not len(dark := _background(whole)):
        return ()
    level = dark.median()
    found = []
    for label, (x1, y1, x2, y2) in enumerate(boxes(labels).long().tolist(), start=1):
        window = (slice(y1 - halo, y2 + halo), slice(x1 - halo, x2 + halo))
        if min(x1, y1) < halo or x2 > width - halo or y2 > height - halo:
            continue
        mask, others = labels[window] == label, (labels[window] > 0) & (labels[window] != label)
        if not bool((_near(mask, halo // 2) & others).any()):
            rim = phantoms.blur(_near(mask, halo // 2).float(), sigma=halo / 4) * ~others
            found.append(phantoms.Stamp((image[window] - level).clamp(min=0) * torch.where(mask, 1.0, rim), mask))
    return tuple(found)


@lru_cache(maxsize=4)
def _background(whole: Nuclei) -> Tensor:
    """The values of all pixels away from nuclei."""
    return whole.image[0][~_near(whole.labels > 0, phantoms.HALO)]


def _near(mask: Tensor, reach: int) -> Tensor:
    """The mask grown by ``reach`` pixels, diagonally too."""
    columns = F.max_pool2d(mask[None].float(), (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(columns, (1, 2 * reach + 1), 1, (0, reach))[0] > 0


def copy_paste(whole: Nuclei, count: int, *, size: int = 128, touching: float = 0.3, generator: Generator) -> Nuclei:
    """A new image: ``count`` nuclei of ``whole``, drawn with replacement, turned, brightened or dimmed, on its
    background.

    The background is drawn pixel by pixel from the pixels of ``whole`` away from nuclei. Masks are exact copies,
    shared pixels excepted. Idea: Ghiasi et al., Simple copy-paste is a strong data augmentation method for instance
    segmentation, CVPR 2021.
    """
    _check.positive("size", size)
    cut, dark = stamps(whole), _background(whole)
    if not len(dark):
        raise _check.refuse("an image with background", "nuclei all over", "pass a larger part of the image")
    if not cut:
        raise _check.refuse(
            "an image with nuclei away from its edge and from each other", "none", "pass a larger part of the image"
        )
    background = dark[torch.randint(len(dark), (size, size), generator=generator, device=dark.device)]
    chosen = (_varied(cut[int(seeds.uniform(0, len(cut), generator=generator))], generator) for _ in range(count))
    image, labels = phantoms.scatter(chosen, background, touching=touching, generator=generator)
    return Nuclei(image.clamp(0, 1)[None], labels, f"copy-paste of {whole.source}", whole.note)


def _varied(stamp: phantoms.Stamp, generator: Generator) -> phantoms.Stamp:
    light, mask = turn(stamp.light, stamp.mask, generator=generator)
    return phantoms.Stamp(light * seeds.uniform(0.7, 1.4, generator=generator), mask)


class Tile(NamedTuple):
    """A square piece to train on: ``image`` (1, S, S), ``labels`` (S, S), 1 … n without a gap."""

    image: Image
    labels: LabelMap


class CopyPaste(Items[Tile], what="a tile"):
    """``length`` tiles of ``size`` pixels made of one image or of ``images``: a share ``pasted`` by ``copy_paste``,
    the rest by ``crop``.

    Pasted tiles hold ``count`` nuclei, fewer where these would cover more than a third of the tile; an image without
    a nucleus that lies free is cropped instead. Item i depends on ``seed`` and i alone. Give it the training part:
    what it holds is copied, not invented.
    """

    def __init__(
        self,
        whole: Nuclei | Images,
        *,
        size: int = 128,
        count: int = 12,
        pasted: float = 0.5,
        length: int = 1000,
        seed: int = 0,
    ) -> None:
        _check.positive("count", count)
        _check.positive("length", length)
        _check.within("pasted", torch.tensor(pasted), 0, 1, "it is a share of all tiles")
        self.images = whole if isinstance(whole, Images) else Images(whole)
        self.size, self.count, self.pasted, self.length, self.seed = size, count, pasted, length, seed

    def __len__(self) -> int:
        return self.length

    def item(self, index: int) -> Tile:
        generator = seeds.stream(self.seed, "tiles", index)
        whole = self.images[int(seeds.uniform(0, len(self.images), generator=generator))]
        count = self._room(whole) if seeds.uniform(0, 1, generator=generator) < self.pasted else 0
        made = (
            copy_paste(whole, count, size=self.size, generator=generator)
            if count
            else crop(whole, self.size, generator=generator)
        )
        return Tile(made.image.contiguous(), made.labels.contiguous())

    def _room(self, whole: Nuclei) -> int:
        """How many nuclei to paste: by the mean area of those that can be."""
        areas = [int(stamp.mask.sum()) for stamp in stamps(whole)]
        return min(self.count, self.size**2 * len(areas) // (3 * max(sum(areas), 1)))
