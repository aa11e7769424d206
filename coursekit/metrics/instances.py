"""The objects of a whole data set in one table: what detection metrics compare.

Two ways in: tensors image by image, as detection networks take and give them, or the annotations of a COCO file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int64
from torch import Tensor

from coursekit import _check
from coursekit.metrics import rle
from coursekit.metrics.rle import RunLengths

KINDS = ("mask", "box")
Column = np.ndarray | None


@dataclass(frozen=True, eq=False)
class Instances:
    """N objects of many images, one row each. Kept in NumPy and float64, in which COCO's numbers are defined."""

    image: Int64[np.ndarray, "N"]
    label: Int64[np.ndarray, "N"]
    score: Float64[np.ndarray, "N"]  # 1 where none is given
    box: Float64[np.ndarray, "N 4"]  # (x, y, width, height): COCO's own form, so that the last bit agrees
    size: Float64[np.ndarray, "N"]  # area of the box or mask itself
    area: Float64[np.ndarray, "N"]  # of truth, the area that decides small, medium, large; predictions go by ``size``
    crowd: Bool[np.ndarray, "N"]  # a region of many objects: any number of detections may fall into it, unpunished
    masks: RunLengths | None  # None: the boxes are compared

    def __len__(self) -> int:
        return len(self.label)


def from_images(images: Sequence[Mapping[str, Tensor]], *, kind: str = "mask") -> Instances:
    """Gather per-image dictionaries; the place in the list is the image.

    ``labels`` (N,) and, for ``kind="box"``, ``boxes`` (N, 4) as (x1, y1, x2, y2) or, for ``kind="mask"``, boolean
    ``masks`` (N, H, W). Predictions add ``scores`` (N,). Truth may add ``iscrowd`` (N,) and ``area`` (N,), which
    defaults to the shape's own area. All that is there is read, on either side. Other keys are left alone.
    """
    _check.one_of("kind", kind, KINDS)
    shape = "masks" if kind == "mask" else "boxes"
    for place, image in enumerate(images):
        if missing := {"labels", shape} - image.keys():
            got = f"no {sorted(missing)[0]!r} in image {place}"
            raise _check.refuse(f"'labels' and '{shape}' in every image", got, "add it, empty if need be")
        _check_image(image, shape)
    scored = [("scores" in image) for image in images]
    if any(scored) and not all(scored):
        got = f"none in image {scored.index(False)}"
        raise _check.refuse("'scores' in every image or in none", got, "add them, empty if need be")
    label = _column(images, "labels", np.int64)
    return _table(
        image=np.repeat(np.arange(len(images)), [len(image["labels"]) for image in images]),
        label=np.zeros(0, np.int64) if label is None else label,
        score=_column(images, "scores", np.float64),
        crowd=_column(images, "iscrowd", np.bool_),
        area=_column(images, "area", np.float64),
        shapes=_join([rle.encode(image["masks"]) for image in images]) if kind == "mask" else _corners(images),
    )


def from_coco(annotations: Sequence[Mapping[str, object]], *, kind: str = "mask") -> Instances:
    """Read COCO's annotations or results: ``image_id``, ``category_id``, and ``bbox`` or run-length ``segmentation``.

    Results have a ``score``; their area is that of the box or mask compared (pycocotools takes the box's area for a
    mask that comes with a ``bbox`` too). Truth may have ``iscrowd`` and ``area``, and a ``score``, which says nothing
    of its role. An ``ignore`` field is not read: pycocotools overwrites it with ``iscrowd``.
    """
    _check.one_of("kind", kind, KINDS)
    shape = "segmentation" if kind == "mask" else "bbox"
    for field in ("image_id", "category_id", shape):
        if any(field not in a for a in annotations):
            raise _check.refuse(f"{field!r} in every annotation", "one without", "add it, or choose another kind=")

    def read(field: str, dtype: type, default: object = None) -> np.ndarray:
        return np.array([a.get(field, default) for a in annotations], dtype)

    segmentations: list[Any] = [a["segmentation"] for a in annotations if kind == "mask"]
    return _table(
        image=read("image_id", np.int64),
        label=read("category_id", np.int64),
        score=read("score", np.float64, np.nan) if any("score" in a for a in annotations) else None,
        crowd=read("iscrowd", np.bool_, False),
        area=read("area", np.float64, np.nan),
        shapes=rle.from_coco(segmentations) if kind == "mask" else read("bbox", np.float64).reshape(-1, 4),
    )


def _table(
    *, image: np.ndarray, label: np.ndarray, score: Column, crowd: Column, area: Column, shapes: RunLengths | np.ndarray
) -> Instances:
    """Fill in what was not given, and check what was. An area of NaN stands for the shape's own."""
    masks = shapes if isinstance(shapes, RunLengths) else None
    box = rle.boxes(shapes) if isinstance(shapes, RunLengths) else shapes
    size = rle.areas(shapes).astype(np.float64) if isinstance(shapes, RunLengths) else box[:, 2] * box[:, 3]
    score = np.ones(len(label)) if score is None else score
    if not np.isfinite(score).all():
        raise _check.refuse("finite scores", "NaN, infinity or a missing one", "give each a score, or none")
    if not (np.isfinite(box).all() and (box[:, 2:] >= 0).all()):
        expected = "finite boxes of width and height >= 0"
        raise _check.refuse(expected, "others", "order the corners, or pass x, y, width, height")
    area = size if area is None else np.where(np.isnan(area), size, area)
    crowd = np.zeros(len(label), np.bool_) if crowd is None else crowd
    return Instances(image, label, score, box, size, area, crowd, masks)


def _check_image(image: Mapping[str, Tensor], shape: str) -> None:
    n = _check.tensor("labels", image["labels"], "N", of="integer")[0]
    if shape == "masks":
        _check.tensor("masks", image["masks"], "N H W", "pass one plane an instance", of="boolean")
    else:
        _check.boxes("boxes", image["boxes"])
    for name in (shape, *({"scores", "iscrowd", "area"} & image.keys())):
        if len(image[name]) != n or (name != shape and image[name].ndim != 1):
            raise _check.refuse(f"{name} for each of {n} labels", tuple(image[name].shape), "pass one row an object")


def _column(images: Sequence[Mapping[str, Tensor]], name: str, dtype: type) -> Column:
    """One value an object over all images, None if no image has it; an image without it gives NaN or False."""
    if not any(name in image for image in images):
        return None
    empty = torch.nan if dtype is np.float64 else 0
    parts = [image[name] if name in image else torch.full(image["labels"].shape, empty) for image in images]
    parts = [p.double() if p.dtype == torch.bfloat16 else p for p in parts]  # NumPy has none
    return np.concatenate([p.detach().cpu().numpy().astype(dtype) for p in parts])


def _corners(images: Sequence[Mapping[str, Tensor]]) -> Float64[np.ndarray, "N 4"]:
    corners = np.concatenate([np.zeros((0, 4)), *(image["boxes"].detach().cpu().double().numpy() for image in images)])
    return np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], 1)


def _join(parts: Sequence[RunLengths]) -> RunLengths:
    none = np.zeros(0, np.int64)
    return RunLengths(
        np.concatenate([none.astype(np.int32), *(p.counts for p in parts)]),
        np.concatenate([none, *(p.runs for p in parts)]),
        np.concatenate([none.reshape(0, 2), *(p.sizes for p in parts)]),
    )
