"""A folder of NIfTI volumes with their labels: ``images`` and ``labels``, or ``imagesTr`` and ``labelsTr`` as in the
Medical Segmentation Decathlon (Antonelli et al., Nature Communications 13, 2022). A label file has its image's name.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ... import _check
from .. import readers
from ..items import Items
from ..scan import Scan, aligned, from_nifti, oriented
from ..seeds import PARTS, Part, part_of

FOLDERS = (("images", "labels"), ("imagesTr", "labelsTr"))


class Pair(NamedTuple):
    """A volume and its labels on one grid, axes "SPL"; ``name`` is the file's without its ending."""

    image: Scan
    label: Scan
    name: str


class NiftiFolder(Items[Pair], what="a volume"):
    """The volumes of a folder, one subject a file, by name; ``split`` takes those whose name lies in that part.

    The images are listed at once and read when asked for. Refused: an image without label, and when read a file that is
    no volume of three axes, labels that do not lie on the grid of their image, and fractions as labels.
    """

    def __init__(self, place: Path, *, split: Part | None = None) -> None:
        _check.one_of("split", split, (None, *PARTS))
        layout = next((names for names in FOLDERS if (place / names[0]).exists()), FOLDERS[0])
        images, labels = (place / name for name in layout)
        readers.entry(images, "the folder of volumes", is_folder=True)
        # hidden files, such as the "._" twins that a Mac leaves, are none
        files = sorted(f for f in images.glob("[!.]*") if f.name.endswith((".nii", ".nii.gz")))
        for file in files:
            readers.entry(labels / file.name, f"the labels of {images.name}/{file.name}")
        self.images = [file for file in files if split in (None, part_of(_name(file)))]
        self.labels = [labels / file.name for file in self.images]
        if not self.images:
            which = f" whose name falls into the {split} part" if split else ""
            advice = "add subjects" if files else "copy them there"
            raise _check.refuse(f"a volume (.nii or .nii.gz) in {images}{which}", f"none among {len(files)}", advice)

    def __len__(self) -> int:
        return len(self.images)

    def item(self, index: int) -> Pair:
        with _naming(self.images[index]):
            image = from_nifti(self.images[index])
            _check.finite("the volume's values", image.values)
        with _naming(self.labels[index]):
            label = from_nifti(self.labels[index])
            whole = label.values.to(torch.int64)  # some programs store them as floating point
            if bool((whole != label.values).any()):
                raise _check.refuse("labels in whole numbers", "fractions", "give the labels, not a probability")
            aligned(image, label)
        return Pair(oriented(image), oriented(replace(label, values=whole)), _name(self.images[index]))


def _name(file: Path) -> str:
    return file.name.removesuffix(".gz").removesuffix(".nii")


@contextlib.contextmanager
def _naming(file: Path) -> Iterator[None]:
    """Say of every complaint which file it is about: image and labels have one name."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{file.parent.name}/{file.name}: {error}") from error
