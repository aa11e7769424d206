"""COCO average precision of masks, from the run lengths of a COCO file to the twelve numbers, against pycocotools and
faster-coco-eval.

Each side starts from the dictionaries a file holds and does everything: index, decode, match, average. Settings: many
images of 80 labels, as COCO has them, and crowded images of one label, as microscopy has them. The inputs are
drawn from a seed; the scores are rounded, so that ties occur, and one truth in fifty is a crowd.
"""

import contextlib
import functools
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
import torch
from faster_coco_eval import COCO, COCOeval_faster

from coursekit.metrics import rle
from coursekit.metrics.detection import coco_scores
from coursekit.metrics.instances import from_coco
from tests.bench.timing import Row, compare

Annotations = list[dict[str, object]]


@dataclass(frozen=True)
class Setting:
    """A data set to draw: ``truths`` an image on average, each found about once, ``extra`` detections of nothing."""

    name: str
    images: int
    height: int
    width: int
    labels: int
    truths: int
    extra: int
    radius: float


SETTINGS = (
    Setting("500 images 480×640, 80 labels", 500, 480, 640, 80, 7, 20, 60.0),
    Setting("60 images 256×256, 1 label, crowded", 60, 256, 256, 1, 70, 20, 8.0),
)


def rows(*, seed: int = 1, repeats: int = 5) -> Iterator[Row]:
    """A row for each peer and setting, on one thread."""
    torch.set_num_threads(1)
    for setting in SETTINGS:
        truth, results = data_set(setting, np.random.default_rng(seed))
        ours = functools.partial(numbers, truth, results)
        for name, peer in PEERS.items():
            theirs = functools.partial(peer, setting, truth, results)
            error = float(np.abs(ours() - theirs()).max())
            yield compare(f"mask_ap/{name}", name, ours, theirs, max_error=error, sizes=setting.name, repeats=repeats)


def numbers(truth: Annotations, results: Annotations) -> np.ndarray:
    """Ours: dictionaries to the twelve numbers."""
    return np.array(list(coco_scores(from_coco(truth), from_coco(results)).numbers().values()))


def with_pycocotools(setting: Setting, truth: Annotations, results: Annotations) -> np.ndarray:
    """The same by pycocotools."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = pycocotools.coco.COCO()
        coco.dataset = _file(setting, truth)
        coco.createIndex()
        evaluation = pycocotools.cocoeval.COCOeval(coco, coco.loadRes(_copy(results)), "segm")
        return _twelve(evaluation)


def with_faster_coco_eval(setting: Setting, truth: Annotations, results: Annotations) -> np.ndarray:
    """The same by faster-coco-eval, its masks on one thread as ours."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(_file(setting, truth))
        return _twelve(COCOeval_faster(coco, coco.loadRes(_copy(results)), "segm", rle_iou_max_workers=1))


PEERS: dict[str, Callable[[Setting, Annotations, Annotations], np.ndarray]] = {
    "pycocotools": with_pycocotools,
    "faster_coco_eval": with_faster_coco_eval,
}


def data_set(setting: Setting, generator: np.random.Generator) -> tuple[Annotations, Annotations]:
    """Rough ellipses as truth; shifted copies, and ellipses of nothing, as results."""
    truth: Annotations = []
    results: Annotations = []
    for image in range(setting.images):
        count = int(generator.poisson(setting.truths))
        place = generator.uniform(0, 1, (count + setting.extra, 2)) * (setting.height, setting.width)
        radius = setting.radius * np.exp(generator.normal(0, 0.5, (count + setting.extra, 2)))
        label = generator.integers(1, setting.labels + 1, count + setting.extra)
        found = place + generator.normal(0, 0.15, place.shape) * radius
        true, guess = (_ellipses(setting, centre, radius, generator) for centre in (place[:count], found))
        score = generator.uniform(0, 1, count + setting.extra).round(2)
        crowd = generator.random(count) < 0.02
        for i, mask in enumerate(true):
            fields = {
                "image_id": image,
                "category_id": int(label[i]),
                "segmentation": mask["segmentation"],
                "area": mask["area"],
            }
            truth.append(fields | {"id": len(truth) + 1, "iscrowd": int(crowd[i])})
        for i, mask in enumerate(guess):
            fields = {"image_id": image, "category_id": int(label[i]), "segmentation": mask["segmentation"]}
            results.append(fields | {"score": float(score[i])})
    return truth, results


def _ellipses(setting: Setting, centre: np.ndarray, radius: np.ndarray, generator: np.random.Generator) -> Annotations:
    """One rough ellipse a row, written column by column as runs: no pixel is drawn."""
    out: Annotations = []
    for (cy, cx), (ry, rx) in zip(centre, radius):
        x = np.arange(max(int(cx - rx), 0), min(int(cx + rx) + 1, setting.width))
        half = ry * np.sqrt(np.maximum(1 - ((x + 0.5 - cx) / rx) ** 2, 0)) * generator.uniform(0.9, 1.1, len(x))
        top, bottom = (
            np.clip(cy + side, 0, setting.height).astype(np.int64) + x * setting.height for side in (-half, half)
        )
        edge = np.stack([top, bottom], 1).ravel()
        edge = edge[(np.diff(edge, prepend=-1) > 0) & (np.diff(edge, append=np.inf) > 0)]  # two runs that touch are one
        counts = np.diff(np.concatenate([[0], edge, [setting.height * setting.width]]))
        out.append(
            {
                "segmentation": {"size": [setting.height, setting.width], "counts": counts.tolist()},
                "area": float(counts[1::2].sum()),
            }
        )
    packed = rle.to_coco(rle.from_coco([mask["segmentation"] for mask in out]))  # type: ignore[misc]
    return [mask | {"segmentation": segmentation} for mask, segmentation in zip(out, packed)]


def _file(setting: Setting, truth: Annotations) -> dict[str, object]:
    images = [{"id": i, "height": setting.height, "width": setting.width} for i in range(setting.images)]
    return {"images": images, "annotations": _copy(truth), "categories": [{"id": i + 1} for i in range(setting.labels)]}


def _copy(annotations: Annotations) -> Annotations:
    """Fresh dictionaries: the peers write into theirs."""
    return [dict(a) for a in annotations]


def _twelve(evaluation: pycocotools.cocoeval.COCOeval | COCOeval_faster) -> np.ndarray:
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.asarray(evaluation.stats[:12], dtype=np.float64)
