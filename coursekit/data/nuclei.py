"""Fluorescent nuclei: one real image and one real confocal volume, each split by place, and two real films.

Training and test part are two areas with a gap between them, never random patches. An image with 125 nuclei and a
volume with 20 are very little: a figure from them says how methods compare there, not how well they do elsewhere. The
labels of volume and films are a silver standard (docs/data.md).

Whoever has more names a folder: COURSEKIT_DSB2018 that of the 2018 Data Science Bowl, COURSEKIT_NUCLEI3D one of own
volumes. Then ``images`` and ``volumes`` give them all, split by image, and ``load`` and ``volume`` the first by name.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
import tifffile
import torch
from jaxtyping import Float, Integer
from scipy import ndimage
from torch import Generator, Tensor

from .. import _check
from ..types import Boxes, Image, LabelMap, Masks
from . import fetch, readers
from .items import Items
from .readers import dsb2018, nifti
from .seeds import PARTS, Part, uniform
from .simulated import phantoms

CUT = {2: (-1, {"train": (0, 10), "test": (11, 16)}), 3: (-2, {"train": (0, 7), "test": (8, 16)})}
# by rank: an image is cut across its columns, a volume across its rows, at sixteenths
SPACING_UM = (0.29, 0.26, 0.26)  # of the real volume, (D, H, W)
Instances = Integer[Tensor, "*DHW"]  # 0 is background, 1 … n the instances


@dataclass(frozen=True, eq=False)
class Nuclei:
    """An image or a volume with its instances.

    ``image`` (1, H, W) or (1, D, H, W) float32 in [0, 1]; ``labels`` without the channel, int64, 0 background, 1 … n
    the nuclei without a gap in the numbers; ``source`` "real", "phantom" or "copy-paste of …": show it in the title of
    a figure; ``note`` says what to run for the real image, or what was done to the labels; ``spacing_um`` the distance
    of a volume's voxels along (D, H, W).
    """

    image: Float[Tensor, "C *DHW"]  # C = 1
    labels: Instances
    source: str
    note: str = ""
    spacing_um: tuple[float, float, float] | None = None

    def __post_init__(self) -> None:
        sizes = _check.tensor("labels", self.labels, "D H W" if self.spacing_um else "H W")
        _check.tensor("image", self.image, " ".join(map(str, (1, *sizes))), "one channel, and one label a pixel")
        _check.positive("spacing_um", self.spacing_um or 1)

    @property
    def count(self) -> int:
        return int(self.labels.max()) if self.labels.numel() else 0


class Tile(NamedTuple):
    """A square piece to train on: ``image`` (1, S, S), ``labels`` (S, S), 1 … n without a gap."""

    image: Image
    labels: LabelMap


class Images(Items[Nuclei], what="an image"):
    """Whole images or volumes with their nuclei, one an item; they may differ in size."""

    def __init__(self, stored: Nuclei | dsb2018.DSB2018 | nifti.NiftiFolder) -> None:
        self.stored = stored

    def __len__(self) -> int:
        return 1 if isinstance(self.stored, Nuclei) else len(self.stored)

    def item(self, index: int) -> Nuclei:
        if isinstance(self.stored, Nuclei):
            return self.stored
        sample = self.stored[index]
        if isinstance(sample, nifti.Pair):
            d, h, w = (1000 * step for step in sample.image.spacing_mm)
            image, labels = _scaled(sample.image.values.numpy()), relabel(sample.label.values)
            return Nuclei(image, labels, "real", f"{sample.name} of COURSEKIT_NUCLEI3D", (d, h, w))
        note = f"{sample.name} of the 2018 Data Science Bowl" + (f": {sample.note}" if sample.note else "")
        return Nuclei(_scaled(sample.grey.numpy()), sample.labels, "real", note)


_bowl = lru_cache(maxsize=4)(dsb2018.DSB2018)  # remembered: it opens every image to see whether it is of fluorescence


def load(*, split: Part | None = None) -> Nuclei:
    """The real image (512, 512) with 125 nuclei, whole or one part; a phantom of that shape if it cannot be had.

    Intensities are scaled so that the 1st percentile of the whole image is 0 and the 99.8th is 1, and cut there: a
    few dividing nuclei saturate. Raises ``ValueError`` instead of the phantom inside ``fetch.no_standins``.
    """
    _check.one_of("split", split, (None, *PARTS))
    if readers.folder("COURSEKIT_DSB2018"):
        return images(split=split)[0]

    def real() -> Nuclei:
        image, ids = (tifffile.imread(fetch.path(f"nuclei2d_{kind}")) for kind in ("image", "labels"))
        return Nuclei(_scaled(image), relabel(torch.from_numpy(ids.astype(np.int64))), "real")

    def phantom(note: str) -> Nuclei:
        image, labels = phantoms.nuclei(generator=torch.Generator().manual_seed(2018))
        return Nuclei(image, labels, "phantom", note)

    whole = fetch.real_or(phantom, real)
    return whole if split is None else part(whole, split)


def images(*, split: Part | None = None) -> Images:
    """The fluorescence images of COURSEKIT_DSB2018 that lie in a part; without it the one image of ``load``."""
    _check.one_of("split", split, (None, *PARTS))
    place = readers.folder("COURSEKIT_DSB2018")
    return Images(_bowl(place, split=split) if place else load(split=split))


def volume(*, split: Part | None = None) -> Nuclei:
    """The real volume (60, 256, 256) with 20 nuclei, voxels 0.29 × 0.26 × 0.26 µm, whole or one part.

    Scaled as the image of ``load``; the labels are ``mended``. Raises ``DataMissing`` if it cannot be had.
    """
    _check.one_of("split", split, (None, *PARTS))
    if readers.folder("COURSEKIT_NUCLEI3D"):
        return volumes(split=split)[0]
    image, ids = (tifffile.imread(fetch.path(f"nuclei3d_{kind}")) for kind in ("image", "labels"))
    labels = mended(before := torch.from_numpy(ids.astype(np.int64)))
    filled, dropped = int((labels > before).sum()), int((labels < before).sum())
    note = f"{filled:,} voxels of holes filled, {dropped} loose voxels dropped"
    whole = Nuclei(_scaled(image), relabel(labels), "real", note, SPACING_UM)
    return whole if split is None else part(whole, split)


def volumes(*, split: Part | None = None) -> Images:
    """The volumes of COURSEKIT_NUCLEI3D that lie in a part; without it the one of ``volume``."""
    _check.one_of("split", split, (None, *PARTS))
    place = readers.folder("COURSEKIT_NUCLEI3D")
    return Images(nifti.NiftiFolder(place, split=split) if place else volume(split=split))


def movie(name: Literal["hela", "cho"]) -> tuple[Float[Tensor, "1 T *DHW"], Integer[Tensor, "T *DHW"]]:
    """Nuclei that move, image in [0, 1] and the file's own ids: ``hela`` in 2D, ``cho`` in 3D, 20 frames each.

    The masks are the Cell Tracking Challenge's *erroneous* segmentation: ragged on dim nuclei, with pieces missing. Ids
    of ``hela`` are new in every frame; most of ``cho`` stay with their nucleus. Raises ``DataMissing`` without it.
    """
    _check.one_of("name", name, ("hela", "cho"))
    image, ids = (tifffile.imread(fetch.path(f"{name}_{kind}")) for kind in ("image", "labels"))
    return _scaled(image), torch.from_numpy(ids.astype(np.int32))


def _scaled(values: np.ndarray) -> Float[Tensor, "1 *DHW"]:
    """In [0, 1] between the 1st and the 99.8th percentile."""
    low, high = np.percentile(values, [1, 99.8]).astype(np.float32)
    return torch.from_numpy((values.astype(np.float32) - low) / max(float(high - low), 1e-12)).clamp(0, 1)[None]


def part(whole: Nuclei, split: Part) -> Nuclei:
    """The training or the test part: ten and five sixteenths of an image's columns, seven and eight of a volume's rows.

    A nucleus cut by the border of a part stays, cut, as at the edge of any image: every lit pixel keeps its label. An
    image with a nucleus in both parts is refused.
    """
    _check.one_of("split", split, PARTS)
    axis, sixteenths = CUT[whole.labels.ndim]

    def cut(x: Tensor, name: str) -> Tensor:
        start, stop = (x.shape[axis] * edge // 16 for edge in sixteenths[name])
        return x.narrow(axis, start, stop - start)

    train, test = (set(cut(whole.labels, name).unique().tolist()) - {0} for name in PARTS)
    if both := train & test:
        advice = "take one whose gap is wider than its nuclei, or split by image"
        raise _check.refuse("a gap that no nucleus crosses", f"{len(both)} nuclei in both parts", advice)
    return replace(whole, image=cut(whole.image, split), labels=relabel(cut(whole.labels, split)))


def relabel(labels: Instances) -> Instances:
    """Number the instances 1 … n in the order of their ids; 0 stays background."""
    _check.tensor("labels", labels, "... H W", of="integer")
    _check.within("labels", labels, 0, 2**62, "instances are numbered from 1, background is 0")
    with_zero = torch.cat([labels.new_zeros(1), labels.flatten()])  # so that 0 is the first of the ids
    index: Tensor = with_zero.unique(return_inverse=True)[1]
    return index[1:].view(labels.shape)


def without_specks(labels: LabelMap, least: int) -> LabelMap:
    """Instances of fewer than ``least`` pixels become background, the others are numbered anew."""
    area = labels.flatten().bincount()
    return relabel(torch.where(area[labels] < least, 0, labels))


def masks(labels: LabelMap) -> Masks:
    """One boolean plane an instance, (N, H, W); plane k holds label k + 1."""
    _check.tensor("labels", labels, "H W", of="integer")
    count = int(labels.max()) if labels.numel() else 0
    return labels == torch.arange(1, count + 1, device=labels.device)[:, None, None]


def boxes(labels: LabelMap) -> Boxes:
    """The tightest half-open box (x1, y1, x2, y2) around each instance, (N, 4) float32. Refuses an unused number."""
    _check.tensor("labels", labels, "H W", of="integer")
    windows = ndimage.find_objects(labels.cpu().numpy()) if labels.numel() else []
    if None in windows:
        unused = f"no pixel of {1 + windows.index(None)}"
        raise _check.refuse("labels numbered 1 … n without a gap", unused, "relabel them first")
    corners = [[columns.start, rows.start, columns.stop, rows.stop] for rows, columns in windows]
    return torch.tensor(corners, dtype=torch.float32, device=labels.device).view(-1, 4)


def crop(whole: Nuclei, size: int, *, least: int = 16, generator: Generator) -> Nuclei:
    """A random square of ``size`` pixels, turned or mirrored; remnants below ``least`` pixels are background."""
    _check.positive("size", size)
    height, width = whole.labels.shape
    if size > min(height, width):
        raise _check.refuse(f"a crop no larger than {min(height, width)}", size, "take a smaller one")
    top, left = (int(uniform(0, n - size + 1, generator=generator)) for n in (height, width))
    window = (slice(top, top + size), slice(left, left + size))
    image, labels = turn(whole.image[:, *window], whole.labels[window], generator=generator)
    return replace(whole, image=image, labels=without_specks(labels, least))


def turn(*arrays: Tensor, generator: Generator) -> tuple[Tensor, ...]:
    """Turn by a random number of quarters and mirror half the time, all ``(..., H, W)`` alike: values stay exact."""
    quarters = int(uniform(0, 4, generator=generator))
    mirror = uniform(0, 1, generator=generator) < 0.5
    turned = (torch.rot90(x, quarters, (-2, -1)) for x in arrays)
    return tuple(x.flip(-1) if mirror else x for x in turned)


def mended(labels: Integer[Tensor, "D H W"]) -> Integer[Tensor, "D H W"]:
    """Each nucleus in one piece, its largest, with its cavities filled; ids stay as they are.

    Pieces hang together over faces of voxels; of pieces of one size the first in reading order is kept. A cavity is
    background that the nucleus encloses on all sides; a hole that opens to the border of the volume stays.
    """
    ids = labels.numpy().copy()
    for label, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is None:
            continue
        inside = ids[box]
        pieces, _ = ndimage.label(inside == label)
        largest = pieces == 1 + np.bincount(pieces.ravel())[1:].argmax()
        inside[(pieces > 0) & ~largest] = 0
        inside[ndimage.binary_fill_holes(largest) & (inside == 0)] = label
    return torch.from_numpy(ids)


def thinned(whole: Nuclei) -> Nuclei:
    """Every second plane of a volume, the first included, as ``spacing_um`` then says."""
    _check.tensor("labels", whole.labels, "D H W")
    d, h, w = whole.spacing_um or SPACING_UM
    return replace(whole, image=whole.image[:, ::2], labels=relabel(whole.labels[::2]), spacing_um=(2 * d, h, w))
