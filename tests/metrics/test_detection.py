"""COCO's numbers against pycocotools, plain loops, laws and answers known by hand."""

import contextlib
import copy
import io

import numpy as np
import pycocotools.coco
import pycocotools.cocoeval
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as mask_api

from coursekit.metrics import rle
from coursekit.metrics.detection import coco_scores, precision_recall
from coursekit.metrics.instances import from_coco, from_images

NAMES = [
    "AP",
    "AP50",
    "AP75",
    "AP_small",
    "AP_medium",
    "AP_large",
    "AR_1",
    "AR_10",
    "AR_100",
    "AR_small",
    "AR_medium",
    "AR_large",
]


def blob(rng, height, width, radius):
    y, x = np.ogrid[:height, :width]
    (cy, cx), (ry, rx) = rng.uniform(0, 1, 2) * (height, width), rng.uniform(0.5, radius, 2)
    return ((y + 0.5 - cy) / ry) ** 2 + ((x + 0.5 - cx) / rx) ** 2 <= 1


def annotation(mask, image, label, **more):
    coded = mask_api.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {
        "image_id": image,
        "category_id": label,
        "segmentation": coded,
        "bbox": mask_api.toBbox(coded).tolist(),
    } | more


def pixels(annotation):
    return rle.decode(rle.from_coco([annotation["segmentation"]]))[0].numpy()


def draw(seed, *, images=4, labels=3, truths=8, detections=14, size=(60, 70), radius=14.0, crowd=0.15):
    """Truth and results of a made-up COCO file: shifted copies, wrong labels, tied scores, empty masks and images."""
    rng = np.random.default_rng(seed)
    truth, results = [], []
    for image in range(0, 3 * images, 3):
        here = [
            (blob(rng, *size, radius) & (rng.random() > 0.05), int(rng.integers(1, labels + 1)))
            for _ in range(rng.integers(truths + 1))
        ]
        for mask, label in here:
            area = float(mask.sum() * (1 if rng.random() < 0.7 else rng.uniform(1, 60)))
            truth.append(
                annotation(mask, image, label, id=len(truth) + 1, iscrowd=int(rng.random() < crowd), area=area)
            )
        for _ in range(rng.integers(detections + 1)):
            mask, label = (
                here[rng.integers(len(here))] if here and rng.random() < 0.7 else (blob(rng, *size, radius), 1)
            )
            mask = np.roll(mask, tuple(rng.integers(-3, 4, 2)), (0, 1)) if rng.random() < 0.7 else mask
            label = int(rng.integers(1, labels + 1)) if rng.random() < 0.1 else label
            results.append(
                annotation(mask, image, label, score=float(rng.integers(5) / 5 if rng.random() < 0.8 else rng.random()))
            )
    return truth, results


def pycocotools_evaluation(truth, results, kind, *, images=4, labels=3):
    """COCOeval after all its steps. Results lose their box for masks, or it would decide their size class."""
    unused = "bbox" if kind == "mask" else "segmentation"
    results = [{k: v for k, v in r.items() if k != unused} for r in results]
    with contextlib.redirect_stdout(io.StringIO()):
        coco, found = pycocotools.coco.COCO(), pycocotools.coco.COCO()
        size = {"height": 1, "width": 1}  # read, but not used for run lengths
        coco.dataset = {
            "images": [{"id": i} | size for i in range(0, 3 * images, 3)],
            "categories": [{"id": k + 1} for k in range(labels)],
            "annotations": copy.deepcopy(truth),
        }
        coco.createIndex()
        found = coco.loadRes(results) if results else found
        evaluation = pycocotools.cocoeval.COCOeval(coco, found, "segm" if kind == "mask" else "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


def assert_equal_to_pycocotools(truth, results, kind, *, images=4, labels=3):
    theirs = pycocotools_evaluation(truth, results, kind, images=images, labels=labels)
    ours = coco_scores(from_coco(truth, kind=kind), from_coco(results, kind=kind))
    assert list(ours.numbers()) == NAMES
    np.testing.assert_allclose(list(ours.numbers().values()), theirs.stats, rtol=0, atol=1e-12)
    at = np.array(ours.labels, int) - 1
    np.testing.assert_array_equal(ours.precision, theirs.eval["precision"][..., -1][:, :, at])
    np.testing.assert_array_equal(ours.recall, theirs.eval["recall"][:, at])
    missing = np.setdiff1d(np.arange(labels), at)
    assert (
        theirs.eval["precision"][:, :, missing] == -1
    ).all()  # a label without truth or results is undefined there too


@pytest.mark.parametrize("kind", ["mask", "box"])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"images": 1, "labels": 1},
        {"images": 7, "labels": 20},
        {"crowd": 0.7, "radius": 25.0},
        {"radius": 5.0, "truths": 30, "detections": 300, "images": 2, "labels": 1},  # more than 100 an image and label
        {"size": (200, 150), "radius": 90.0},  # all three size classes
        {"truths": 0},
        {"detections": 0},
    ],
    ids=lambda setting: ",".join(map(str, setting)) or "plain",
)
def test_equals_pycocotools(setting, seed, kind):
    truth, results = draw(seed, **setting)
    sizes = {name: setting[name] for name in ("images", "labels") if name in setting}
    assert_equal_to_pycocotools(truth, results, kind, **sizes)


def test_boxes_with_fractions_equal_pycocotools():
    rng = np.random.default_rng(3)
    box = rng.uniform(0, 50, (40, 4)) + np.array([0, 0, 5, 5])
    near = box + rng.normal(0, 2, (40, 4))
    image, label = 3 * rng.integers(0, 4, 40), rng.integers(1, 4, 40)
    rows = list(zip(image.tolist(), label.tolist(), box.tolist(), near.tolist()))
    truth = [
        {"id": n + 1, "image_id": i, "category_id": k, "bbox": b, "iscrowd": n % 7 == 0, "area": b[2] * b[3]}
        for n, (i, k, b, _) in enumerate(rows)
    ]
    results = [
        {"image_id": i, "category_id": k, "bbox": b, "score": 0.5 + 0.01 * n} for n, (i, k, _, b) in enumerate(rows)
    ]
    assert_equal_to_pycocotools(truth, results, "box")


def test_uncompressed_truth_reads_the_same():
    truth, results = draw(5)
    plain = copy.deepcopy(truth)
    for a in plain[::2]:
        flat = pixels(a).ravel(order="F").astype(int)
        edges = np.flatnonzero(np.diff(flat, prepend=0))
        a["segmentation"] = {"size": a["segmentation"]["size"], "counts": np.diff([0, *edges, flat.size]).tolist()}
        a["segmentation"]["counts"] = [int(c) for c in a["segmentation"]["counts"]]
    one, two = (coco_scores(from_coco(t), from_coco(results)).numbers() for t in (truth, plain))
    assert one == two


def per_image(truth, results):
    """The same objects as per-image dictionaries of tensors."""
    out = []
    for side, extra in ((truth, ("iscrowd", "area")), (results, ("score",))):
        images = []
        for image in range(0, 12, 3):
            here = [a for a in side if a["image_id"] == image]
            masks = np.array([pixels(a) for a in here], bool).reshape(-1, 60, 70)
            x, y, w, h = torch.tensor([a["bbox"] for a in here], dtype=torch.float64).reshape(-1, 4).T
            entry = {
                "labels": torch.tensor([a["category_id"] for a in here], dtype=torch.int64),
                "masks": torch.from_numpy(masks),
            }
            entry["boxes"] = torch.stack([x, y, x + w, y + h], 1)
            for name in extra:
                if all(name in a for a in side):
                    entry[{"score": "scores"}.get(name, name)] = torch.tensor([a[name] for a in here])
            images.append(entry)
        out.append(images)
    return out


@pytest.mark.parametrize("kind", ["mask", "box"])
def test_tensors_and_coco_files_agree(kind):
    truth, results = draw(11)
    a, b = (from_images(side, kind=kind) for side in per_image(truth, results))
    assert (
        coco_scores(a, b).numbers() == coco_scores(from_coco(truth, kind=kind), from_coco(results, kind=kind)).numbers()
    )


def squares(*corners, labels=None, **more):
    """One image of boxes (x1, y1, x2, y2)."""
    boxes = torch.tensor(corners, dtype=torch.float32).reshape(-1, 4)
    labels = torch.ones(len(boxes), dtype=torch.int64) if labels is None else torch.tensor(labels)
    return {"boxes": boxes, "labels": labels} | {k: torch.tensor(v) for k, v in more.items()}


def score(truth, prediction):
    return coco_scores(from_images(truth, kind="box"), from_images(prediction, kind="box"))


def test_known_answers():
    truth = [squares((0, 0, 10, 10), (20, 0, 30, 10))]
    hit_then_miss = [squares((0, 0, 10, 10), (50, 50, 60, 60), scores=[0.9, 0.8])]
    numbers = score(truth, hit_then_miss).numbers()
    assert numbers["AP"] == pytest.approx(51 / 101)  # precision 1 at recalls 0 … 0.50, then 0
    assert numbers["AR_1"] == numbers["AR_100"] == 0.5
    assert numbers["AP_medium"] == numbers["AR_large"] == -1
    miss_then_hit = [squares((0, 0, 10, 10), (50, 50, 60, 60), scores=[0.8, 0.9])]
    assert score(truth, miss_then_hit).numbers()["AP"] == pytest.approx(51 / 101 / 2)


def test_a_crowd_takes_any_number_of_detections():
    truth = [squares((0, 0, 10, 10), (20, 0, 60, 40), iscrowd=[False, True])]
    inside = [squares((0, 0, 10, 10), (22, 2, 30, 10), (30, 20, 40, 30), scores=[0.5, 0.9, 0.8])]
    assert score(truth, inside).numbers()["AP"] == pytest.approx(1)
    no_crowd = [squares((0, 0, 10, 10))]
    assert score(no_crowd, inside).numbers()["AP"] == pytest.approx(1 / 3)


def test_a_crowd_is_open_to_later_turns_too():
    """Three detections want one truth inside a crowd: the first takes it, the others fall into the crowd, none is
    wrong.
    """
    truth = [squares((0, 0, 10, 10), (0, 0, 30, 30), iscrowd=[False, True])]
    three = [squares((0, 0, 10, 10), (0, 0, 10, 9), (0, 0, 10, 8), (50, 50, 60, 60), scores=[0.9, 0.8, 0.7, 0.6])]
    again = [squares((20, 0, 30, 10)), squares((20, 0, 30, 10), scores=[0.5])]
    scores = score([*truth, again[0]], [*three, again[1]])
    assert scores.average_precision() == pytest.approx((51 + 50 * 2 / 3) / 101)  # one wrong of three counted


def test_both_ends_belong_to_a_size_class():
    truth = [squares((0, 0, 32, 32), (100, 0, 196, 96))]
    numbers = score(truth, [squares((0, 0, 32, 32), scores=[0.5])]).numbers()
    assert numbers["AR_small"] == 1
    assert numbers["AR_medium"] == 0.5  # both are medium too
    assert numbers["AR_large"] == 0


def test_a_threshold_of_one_forgives_rounding():
    """0.1 + 0.3 - 0.1 is not 0.3: the IoU of a box with itself may fall short of 1 by a rounding."""
    rng = np.random.default_rng(0)
    box = {"image_id": 0, "category_id": 1}
    for n, row in enumerate(rng.uniform(0.1, 9, (50, 4)).tolist()):
        side = [box | {"bbox": row, "image_id": n}]
        truth, found = from_coco(side, kind="box"), from_coco([side[0] | {"score": 0.5}], kind="box")
        assert coco_scores(truth, found, iou_thresholds=[1.0]).average_recall() == 1


def test_a_threshold_is_found_by_its_value():
    """linspace writes 0.9 as 0.8999999999999999, arange 0.7 as 0.7000000000000002."""
    truth, perfect = [squares((0, 0, 10, 10))], [squares((0, 0, 10, 10), scores=[0.9])]
    for t in np.linspace(0.5, 0.95, 10).round(2).tolist():
        assert score(truth, perfect).average_precision(iou=t) == pytest.approx(1)
    steps = np.arange(0.5, 1, 0.05).tolist()
    tables = [from_images(side, kind="box") for side in (truth, [squares((0, 0, 10, 7), scores=[0.9])])]
    seven = coco_scores(*tables, iou_thresholds=steps)
    assert seven.numbers()["AP50"] == pytest.approx(1)
    assert seven.numbers()["AP75"] == 0
    assert seven.average_precision(iou=0.7) == pytest.approx(1)
    assert seven.average_recall(iou=0.75) == 0


def test_a_score_in_the_truth_does_not_make_it_a_result():
    """Crowds and areas stay: as with pycocotools, which never reads the score of a truth."""
    truth = [
        {"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 40, 40], "area": 900.0, "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 1, "bbox": [50, 50, 40, 40], "area": 1600.0, "iscrowd": 1},
    ]
    results = [
        {"image_id": 1, "category_id": 1, "bbox": b, "score": s}
        for b, s in (([0, 0, 40, 40], 0.9), ([60, 60, 10, 10], 0.8))
    ]
    plain = coco_scores(from_coco(truth, kind="box"), from_coco(results, kind="box")).numbers()
    assert plain["AP_small"] == pytest.approx(1)
    loud = from_coco([a | {"score": 1.0} for a in truth], kind="box")
    dressed = from_coco([r | {"area": 1.0, "iscrowd": 1} for r in results], kind="box")
    assert coco_scores(loud, dressed).numbers() == plain
    image = squares((0, 0, 40, 40), (50, 50, 90, 90), iscrowd=[0, 1], area=[900.0, 1600.0])
    found = squares((0, 0, 40, 40), (60, 60, 70, 70), scores=[0.9, 0.8])
    half = {"scores": torch.ones(2, dtype=torch.bfloat16)}
    assert score([image | half], [found | {"area": torch.ones(2), "iscrowd": torch.ones(2)}]).numbers() == plain


def test_no_truth_is_minus_one_and_no_detection_zero():
    none, some = [squares()], [squares((0, 0, 5, 5))]
    assert set(score(none, [squares((0, 0, 5, 5), scores=[0.5])]).numbers().values()) == {-1.0}
    numbers = score(some, [squares(scores=[])]).numbers()
    assert numbers["AP"] == numbers["AR_100"] == 0
    assert numbers["AP_large"] == -1
    assert set(score([], []).numbers().values()) == {-1.0}


def test_one_label_and_one_threshold_can_be_read():
    truth = [squares((0, 0, 10, 10), (20, 0, 30, 10), labels=[1, 5])]
    scores = score(truth, [squares((0, 0, 10, 6), scores=[0.9])])
    assert scores.labels == (1, 5)
    assert scores.average_precision(label=1, iou=0.6) == pytest.approx(1)
    assert scores.average_precision(label=1, iou=0.65) == 0
    assert scores.average_precision(label=1) == pytest.approx(0.3)  # 0.50, 0.55 and 0.60 of ten
    assert scores.average_recall(label=5) == 0


@st.composite
def scenes(draw_one):
    seed = draw_one(st.integers(0, 10**6))
    return draw(seed, images=2, labels=2, truths=4, detections=6, size=(20, 25), radius=8.0)


@settings(max_examples=25)
@given(scenes(), st.integers(0, 100))
def test_laws(scene, seed):
    truth, results = scene
    base = coco_scores(from_coco(truth), from_coco(results)).numbers()
    assert all(v == -1 or 0 <= v <= 1 + 1e-12 for v in base.values())
    louder = [r | {"score": 3 + 2 * r["score"]} for r in results]  # only the order of scores counts
    assert coco_scores(from_coco(truth), from_coco(louder)).numbers() == base
    everything_found = [
        {k: a[k] for k in ("image_id", "category_id", "segmentation")} | {"score": 0.5}
        for a in truth
        if a["segmentation"]
    ]
    own = from_coco(
        [
            {k: v for k, v in a.items() if k != "area"} | {"iscrowd": 0}
            for a in truth
            if mask_api.area(a["segmentation"])
        ]
    )
    perfect = coco_scores(own, from_coco([r for r in everything_found if mask_api.area(r["segmentation"])])).numbers()
    assert all(v == -1 or v == pytest.approx(1) for name, v in perfect.items() if name not in ("AR_1", "AR_10"))
    distinct = [r | {"score": s} for r, s in zip(results, np.random.default_rng(seed).permutation(len(results)) / 99)]
    shuffled = [distinct[i] for i in np.random.default_rng(seed).permutation(len(results))]
    assert (
        coco_scores(from_coco(truth), from_coco(shuffled)).numbers()
        == coco_scores(from_coco(truth), from_coco(distinct)).numbers()
    )


@settings(max_examples=25)
@given(st.integers(0, 10**6))
def test_boxes_and_their_filled_masks_score_the_same(seed):
    rng = np.random.default_rng(seed)
    images = []
    for scored in (False, True):
        corner = rng.integers(0, 12, (6, 2))
        box = np.concatenate([corner, corner + rng.integers(1, 8, (6, 2))], 1)
        masks = torch.zeros(6, 20, 20, dtype=torch.bool)
        for mask, (x1, y1, x2, y2) in zip(masks, box):
            mask[y1:y2, x1:x2] = True
        entry = {
            "labels": torch.from_numpy(rng.integers(1, 3, 6)),
            "masks": masks,
            "boxes": torch.from_numpy(box).float(),
        }
        images.append([entry | ({"scores": torch.from_numpy(rng.random(6))} if scored else {})])
    by_box, by_mask = (
        coco_scores(*(from_images(side, kind=kind) for side in images)).numbers() for kind in ("box", "mask")
    )
    assert by_box == by_mask


def test_curve_is_the_picture_of_coco_ap():
    scores, correct = torch.tensor([0.9, 0.2, 0.6, 0.6]), torch.tensor([True, True, False, True])
    curve = precision_recall(scores, correct, positives=4)
    assert curve.recall.tolist() == [0.25, 0.25, 0.5, 0.75]
    assert curve.precision.tolist() == pytest.approx([1, 1 / 2, 2 / 3, 3 / 4])
    assert curve.envelope.tolist() == [1, 0.75, 0.75, 0.75]
    assert curve.average_precision() == pytest.approx((26 * 1 + 50 * 0.75) / 101)
    assert precision_recall(torch.zeros(0), torch.zeros(0, dtype=torch.bool), positives=2).average_precision() == 0


def test_curve_agrees_with_coco_scores():
    rng = np.random.default_rng(0)
    for _ in range(20):
        n, found = 12, rng.random(12) < 0.6
        truth = [squares(*[(30 * i, 0, 30 * i + 20, 20) for i in range(n)])]
        boxes = [(30 * i, 0 if hit else 50, 30 * i + 20, 20 if hit else 70) for i, hit in enumerate(found)]
        scores = torch.from_numpy(rng.integers(0, 6, n) / 6)
        ap = score(truth, [squares(*boxes) | {"scores": scores}]).average_precision(iou=0.5)
        assert precision_recall(scores, torch.from_numpy(found), positives=n).average_precision() == pytest.approx(
            ap, abs=1e-12
        )


def test_refusals(refuses):
    one = {
        "labels": torch.tensor([1]),
        "boxes": torch.tensor([[0.0, 0, 1, 1]]),
        "masks": torch.ones(1, 2, 2, dtype=torch.bool),
    }
    refuses("kind to be one of", from_images, [one], kind="polygon")
    refuses("'labels' and 'masks' in every image", from_images, [{"labels": one["labels"]}])
    refuses("labels to be an integer", from_images, [one | {"labels": torch.tensor([1.0])}])
    refuses("masks to be boolean", from_images, [one | {"masks": torch.ones(1, 2, 2)}])
    refuses("masks of shape", from_images, [one | {"masks": torch.ones(1, 1, 2, 2, dtype=torch.bool)}])
    refuses("scores for each of 1 labels", from_images, [one | {"scores": torch.zeros(2)}])
    refuses("x1 <= x2", from_images, [one | {"boxes": torch.tensor([[2.0, 0, 1, 1]])}], kind="box")
    refuses("finite scores", from_images, [one | {"scores": torch.tensor([float("nan")])}])
    refuses("'scores' in every image or in none", from_images, [one | {"scores": torch.zeros(1)}, one])
    refuses("'bbox' in every annotation", from_coco, [{"image_id": 1, "category_id": 1}], kind="box")
    annotation = {"image_id": 1, "category_id": 1, "bbox": [0.0, 0, 1, 1]}
    refuses("finite scores", from_coco, [annotation | {"score": 1.0}, annotation], kind="box")
    refuses("width and height >= 0", from_coco, [annotation | {"bbox": [0.0, 0, -1, 1]}], kind="box")
    by_mask, by_box = from_images([one]), from_images([one], kind="box")
    refuses("masks against masks", coco_scores, by_mask, by_box)
    larger = from_images([one | {"masks": torch.ones(1, 3, 2, dtype=torch.bool)}])
    refuses("masks of one size in image 0", coco_scores, by_mask, larger)
    refuses("iou_thresholds", coco_scores, by_mask, by_mask, iou_thresholds=[0.0])
    refuses("iou_thresholds", coco_scores, by_mask, by_mask, iou_thresholds=[])
    refuses("max_detections", coco_scores, by_mask, by_mask, max_detections=[0])
    refuses("area to be one of", lambda: coco_scores(by_mask, by_mask).average_precision(area="tiny"))
    refuses("limit to be one of", lambda: coco_scores(by_mask, by_mask).average_recall(limit=7))
    yes = torch.tensor([True])
    refuses("positives > 0", precision_recall, torch.zeros(1), yes, positives=0)
    refuses("at most 1 correct", precision_recall, torch.zeros(2), torch.tensor([True, True]), positives=1)
    refuses(r"correct of shape \(2,\), got \(1,\): pass one flag", precision_recall, torch.zeros(2), yes, positives=1)
