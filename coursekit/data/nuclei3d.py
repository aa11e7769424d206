"""Fluorescent nuclei in three dimensions: one real confocal volume with 20 nuclei, split by place.

As with the image in ``nuclei``, training and test part are two areas of one volume with a gap between them: rows
0–111 train, rows 128–255 test, the 16 rows (4.2 µm) between are left out. Ten nuclei lie in each part and none in
both. That is very little; a figure from it says how methods compare on this volume. Its labels are a silver standard:
see ``clean`` and docs/data.md.
"""

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Integer, Num
from scipy import ndimage
from torch import Generator, Tensor

from .. import _check
from ..types import Volume
from . import fetch, nuclei, phantoms3d, readers, tiff
from .items import Items
from .readers import nifti

Part = Literal["train", "test"]
PARTS = {"train": (0, 7), "test": (8, 16)}  # in sixteenths of the rows
LabelVolume = Integer[Tensor, "D H W"]  # 0 is background, 1 … n the instances


@dataclass(frozen=True, eq=False)
class NucleiVolume:
    """A volume with its instances.

    ``image`` (1, D, H, W) float32, [0, 1] before noise is added; ``labels`` (D, H, W) int64, 0 background, 1 … n the
    nuclei without a gap in the numbers; ``spacing_um`` the distance of voxels along (D, H, W) in µm; ``source``
    "real", "phantom" or "rim of …": show it in the title of a figure; ``note`` says what to run for the real volume,
    or what was done to its labels.
    """

    image: Volume
    labels: LabelVolume
    spacing_um: tuple[float, float, float]
    source: str
    note: str = ""

    def __post_init__(self) -> None:
        d, h, w = _check.tensor("labels", self.labels, "D H W")
        _check.tensor("image", self.image, f"1 {d} {h} {w}", "one channel, and one label a voxel")
        _check.positive("spacing_um", self.spacing_um)

    @property
    def count(self) -> int:
        return int(self.labels.max()) if self.labels.numel() else 0


def load(*, split: Part | None = None, cleaned: bool = True, allow_phantom: bool = True) -> NucleiVolume:
    """The real volume (60, 256, 256), voxels 0.29 × 0.26 × 0.26 µm, whole or one part; a phantom of the same shape if
    it is not fetched.

    Intensities are scaled so that the 1st percentile of the whole volume is 0 and the 99.8th is 1, and cut there: a
    dividing nucleus saturates. ``cleaned``: the labels after ``clean``, with what it changed in ``note``; else as in
    the file, renumbered. Raises ``DataMissing`` if the volume has not been fetched and ``allow_phantom`` is false.
    With COURSEKIT_NUCLEI3D set: the first of ``volumes(split=split)``, its labels as they are.
    """
    _check.one_of("split", split, [None, *PARTS])
    if readers.folder("COURSEKIT_NUCLEI3D"):
        return volumes(split=split)[0]
    whole = fetch.real_or(_phantom, lambda: _real(cleaned), allow_phantom=allow_phantom)
    return whole if split is None else part(whole, split)


def _real(cleaned: bool) -> NucleiVolume:
    raw = tiff.read(fetch.path("nuclei3d_image"), axes=3)
    labels = torch.from_numpy(tiff.read(fetch.path("nuclei3d_labels"), axes=3).astype(np.int64))
    note = "labels as in the file"
    if cleaned:
        labels, filled, dropped = clean(labels)
        note = f"{sum(filled.values()):,} voxels of holes filled in {len(filled)} nuclei, {sum(dropped.values())} loose voxels dropped"
    return NucleiVolume(
        _scaled(torch.from_numpy(raw.astype(np.float32))), relabel(labels), phantoms3d.SPACING_UM, "real", note
    )


def _scaled(values: Num[Tensor, "D H W"]) -> Volume:
    """(1, D, H, W) in [0, 1] between the 1st and the 99.8th percentile."""
    array = values.numpy()
    low, high = np.percentile(array, [1, 99.8]).astype(np.float32)
    scaled = (array.astype(np.float32) - low) / max(float(high - low), 1e-12)
    return torch.from_numpy(scaled.clip(0, 1).astype(np.float32))[None]


def _phantom(note: str) -> NucleiVolume:
    """Always the same one; no nucleus reaches across the gap of the split."""
    image, labels = phantoms3d.nuclei(apart=(112, 128), generator=torch.Generator().manual_seed(2018))
    return NucleiVolume(image, labels, phantoms3d.SPACING_UM, "phantom", note)


class Volumes(Items[NucleiVolume], what="a volume"):
    """Whole volumes with their labels, one an item; they may differ in size and spacing."""

    def __init__(self, whole: NucleiVolume | nifti.NiftiFolder) -> None:
        self.whole = whole

    def __len__(self) -> int:
        return 1 if isinstance(self.whole, NucleiVolume) else len(self.whole)

    def item(self, index: int) -> NucleiVolume:
        return self.whole if isinstance(self.whole, NucleiVolume) else _own(self.whole[index])


def volumes(*, split: Part | None = None, allow_phantom: bool = True) -> Volumes:
    """All volumes of a part: those of the folder COURSEKIT_NUCLEI3D, split by subject; without it the one that ``load``
    gives.
    """
    _check.one_of("split", split, [None, *PARTS])
    place = readers.folder("COURSEKIT_NUCLEI3D")
    return Volumes(nifti.NiftiFolder(place, split=split) if place else load(split=split, allow_phantom=allow_phantom))


def _own(pair: nifti.Pair) -> NucleiVolume:
    """Someone's own volume: scaled as the real one, its labels renumbered 1 … n in the order of the file's."""
    d, h, w = (1000 * step for step in pair.image.spacing_mm)
    return NucleiVolume(
        _scaled(pair.image.values), relabel(pair.label.values), (d, h, w), "real", f"{pair.name} of COURSEKIT_NUCLEI3D"
    )


def part(whole: NucleiVolume, split: Part) -> NucleiVolume:
    """The training or the test part of a volume, cut across its rows.

    A nucleus cut by the border of a part stays, cut, as at the edge of any volume. A volume with a nucleus in both
    parts is refused.
    """
    _check.one_of("split", split, list(PARTS))
    rows = whole.labels.shape[1]
    pieces = {name: whole.labels[:, rows * a // 16 : rows * b // 16] for name, (a, b) in PARTS.items()}
    both = set(pieces["train"].unique().tolist()) & set(pieces["test"].unique().tolist()) - {0}
    if both:
        raise _check.refuse(
            "a gap that no nucleus crosses", f"{len(both)} nuclei in both parts", "split by volume, or cut it elsewhere"
        )
    start, stop = (rows * edge // 16 for edge in PARTS[split])
    return replace(whole, image=whole.image[:, :, start:stop], labels=relabel(pieces[split]))


def relabel(labels: LabelVolume) -> LabelVolume:
    """Number the instances 1 … n in the order of their ids; 0 stays background."""
    _check.tensor("labels", labels, "D H W")
    return nuclei.relabel(labels.flatten(1)).view(labels.shape)


class Cleaned(NamedTuple):
    """Labels and what was changed, in voxels by id; an id that was left alone is in neither table."""

    labels: LabelVolume
    filled: dict[int, int]
    dropped: dict[int, int]


def clean(labels: LabelVolume) -> Cleaned:
    """Fill the cavities of each nucleus and keep its largest piece; ids stay as they are.

    A cavity is background that the nucleus encloses on all sides; a hole that opens to the border of the volume
    stays. Pieces hang together over faces of voxels, not over edges; of pieces of one size the first in reading order
    is kept.
    """
    _check.tensor("labels", labels, "D H W")
    _check.integer("labels", labels)
    _check.within("labels", labels, 0, 2**31 - 1, "instances are numbered from 1, background is 0")
    out = labels.cpu().numpy().copy()
    filled: dict[int, int] = {}
    dropped: dict[int, int] = {}
    for label, box in enumerate(ndimage.find_objects(out.astype(np.int32)), start=1):
        if box is not None:
            _clean_one(out[box], label, filled, dropped)
    return Cleaned(torch.from_numpy(out).to(labels.device), filled, dropped)


def _clean_one(labels: np.ndarray, label: int, filled: dict[int, int], dropped: dict[int, int]) -> None:
    """Clean one label in place, in the box around it."""
    mask = labels == label
    pieces, count = ndimage.label(mask)
    if count > 1:
        loose = mask & (pieces != 1 + np.bincount(pieces.ravel())[1:].argmax())
        dropped[label] = int(loose.sum())
        labels[loose] = 0
    hole = ndimage.binary_fill_holes(labels == label) & (labels == 0)
    if hole.any():
        filled[label] = int(hole.sum())
        labels[hole] = label


def thinned(volume: NucleiVolume, step: int = 2) -> NucleiVolume:
    """Every ``step``-th plane, the first included: a quicker volume, and one of coarser depth, as ``spacing_um`` then
    says.
    """
    _check.positive("step", step)
    d, h, w = volume.spacing_um
    return replace(
        volume, image=volume.image[:, ::step], labels=relabel(volume.labels[::step]), spacing_um=(d * step, h, w)
    )


def noisy(volume: NucleiVolume, *, sd: float = 0.6, generator: Generator) -> NucleiVolume:
    """The volume with Gaussian noise of standard deviation ``sd`` in its units, where 1 is the brightest; it is not
    cut to [0, 1].

    So that the brightness of one voxel does not tell nucleus from background: a threshold chosen on the training part
    reaches Dice 0.36 on the test part, and 0.94 without noise. After Gaussian smoothing by two voxels it reaches 0.94
    again: show that baseline, or take ``rim``.
    """
    _check.positive("sd", sd, zero=True)
    noise = torch.randn(volume.image.shape, generator=generator, device=generator.device).to(volume.image)
    return replace(volume, image=volume.image + sd * noise, source=f"{volume.source}, noise of sd {sd:g} added")


def rim(volume: NucleiVolume, *, thickness_um: float = 0.8) -> NucleiVolume:
    """A harder volume with the same labels: only the rim of each nucleus is bright, its inside is as dark as the
    background.

    Drawn from the labels, as if the envelope were stained: 0.6 in the outer ``thickness_um`` of a nucleus, 0.1
    elsewhere, blurred like the phantom. Where the border of the volume cuts a nucleus there is no rim. A threshold
    chosen on the training part reaches Dice 0.67 on the test part, 0.69 after smoothing by three voxels, 0.81 after
    six.
    """
    _check.positive("thickness_um", thickness_um)
    ids = volume.labels.cpu().numpy()
    depth = ndimage.distance_transform_edt(~_boundary(ids), sampling=volume.spacing_um)  # 0 in the outermost voxels
    bright = (ids > 0) & (depth < thickness_um)
    image = phantoms3d.blurred(np.where(bright, 0.6, 0.1), phantoms3d.PSF_UM, volume.spacing_um)
    return replace(
        volume, image=torch.from_numpy(image)[None].to(volume.image.device), source=f"rim of {volume.source}"
    )


def _boundary(ids: np.ndarray) -> np.ndarray:
    """The voxels of nuclei that share a face with another label or with background; all voxels if there is none."""
    found = np.zeros(ids.shape, bool)
    for axis in range(3):
        before, after = np.moveaxis(ids, axis, 0)[:-1], np.moveaxis(ids, axis, 0)[1:]
        differs, seen = before != after, np.moveaxis(found, axis, 0)
        seen[:-1] |= differs & (before > 0)
        seen[1:] |= differs & (after > 0)
    return found if found.any() else np.ones(ids.shape, bool)
