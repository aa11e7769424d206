"""New images out of one: real nuclei, cut out and laid on real background, with masks that are exact copies.

Idea: Ghiasi et al., Simple copy-paste is a strong data augmentation method for instance segmentation, CVPR 2021.
"""

from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from ... import _check
from ..items import Items
from ..nuclei import Images, Nuclei, Tile, boxes, crop, turn
from ..seeds import stream, uniform
from .phantoms import HALO, Stamp, blur, scatter


@lru_cache(maxsize=4)
def stamps(whole: Nuclei) -> tuple[Stamp, ...]:
    """The nuclei that lie whole in the image, a few pixels from any other, as light above the background with its rim.

    None of an image without background.
    """
    image, labels, rim = whole.image[0], whole.labels, HALO // 2
    height, width = labels.shape
    if not len(dark := _background(whole)):
        return ()
    level = dark.median()
    cut_out = []
    for label, (x1, y1, x2, y2) in enumerate(boxes(labels).long().tolist(), start=1):
        if min(x1, y1) < HALO or x2 > width - HALO or y2 > height - HALO:
            continue
        window = (slice(y1 - HALO, y2 + HALO), slice(x1 - HALO, x2 + HALO))
        mask, others = labels[window] == label, (labels[window] > 0) & (labels[window] != label)
        around = _grown(mask, rim)
        if not bool((around & others).any()):
            fading = blur(around.float(), sigma=HALO / 4) * ~others
            cut_out.append(Stamp((image[window] - level).clamp(min=0) * torch.where(mask, 1.0, fading), mask))
    return tuple(cut_out)


@lru_cache(maxsize=4)
def _background(whole: Nuclei) -> Tensor:
    """The values of all pixels away from nuclei."""
    return whole.image[0][~_grown(whole.labels > 0, HALO)]


def _grown(mask: Tensor, reach: int) -> Tensor:
    """The mask grown by ``reach`` pixels, diagonally too."""
    columns = F.max_pool2d(mask[None].float(), (2 * reach + 1, 1), 1, (reach, 0))
    return F.max_pool2d(columns, (1, 2 * reach + 1), 1, (0, reach))[0] > 0


def copy_paste(whole: Nuclei, count: int, *, size: int = 128, generator: Generator) -> Nuclei:
    """A new square image: ``count`` nuclei of ``whole``, drawn with replacement, turned, brightened or dimmed.

    The background is drawn pixel by pixel from the pixels of ``whole`` away from nuclei. Masks are exact copies,
    shared pixels excepted. There must be ``stamps`` of ``whole``.
    """
    originals, dark = stamps(whole), _background(whole)
    background = dark[torch.randint(len(dark), (size, size), generator=generator, device=dark.device)]

    def varied() -> Stamp:
        original = originals[int(uniform(0, len(originals), generator=generator))]
        light, mask = turn(original.light, original.mask, generator=generator)
        return Stamp(light * uniform(0.7, 1.4, generator=generator), mask)

    image, labels = scatter((varied() for _ in range(count)), background, generator=generator)
    return replace(whole, image=image.clamp(0, 1)[None], labels=labels, source=f"copy-paste of {whole.source}")


class CopyPaste(Items[Tile], what="a tile"):
    """``length`` tiles of ``size`` pixels of one image or of ``images``: a share ``pasted``, the rest by ``crop``.

    Pasted tiles hold ``count`` nuclei, fewer where these would cover more than a third of the tile; an image without a
    free nucleus is cropped instead. Item i depends on ``seed`` and i alone. Give it the training part: it copies.
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
        generator = stream(self.seed, "tiles", index)
        whole = self.images[int(uniform(0, len(self.images), generator=generator))]
        if uniform(0, 1, generator=generator) < self.pasted:
            areas = [int(stamp.mask.sum()) for stamp in stamps(whole)]
            room = self.size**2 * len(areas) // (3 * max(sum(areas), 1))  # by the mean area
            if room:
                tile = copy_paste(whole, min(self.count, room), size=self.size, generator=generator)
                return Tile(tile.image, tile.labels)
        tile = crop(whole, self.size, generator=generator)
        return Tile(tile.image.contiguous(), tile.labels.contiguous())
