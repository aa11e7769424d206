"""COCO's evaluation of all images at once is its definitions, one image, label, threshold and size at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursekit.fast import coco
from coursekit.metrics.detection import (
    AREA_RANGES,
    IOU_THRESHOLDS,
    RECALL_LEVELS,
    average_precision_by_definition,
    coco_scores,
    match_by_definition,
)
from coursekit.metrics.instances import Instances, from_images
from coursekit.testing import generator


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 6), st.integers(0, 8))
def test_match(seed: int, truths: int, detections: int) -> None:
    """Two groups of overlaps with many ties, some of the truth ignored, some crowds, in three settings."""
    rng = np.random.default_rng(seed)
    iou = rng.integers(0, 5, (2, truths, detections)) / 4
    crowd = rng.random((2, truths)) < 0.2
    ignored = crowd[..., None] | (rng.random((2, truths, 3)) < 0.3)
    rank = np.concatenate([rng.permutation(detections) for _ in range(2)])
    group, t, d = (x.ravel() for x in np.mgrid[:2, :truths, :detections])
    close = iou[group, t, d] >= 0.25
    pairs = (group * truths + t)[close], (group * detections + d)[close], iou[group, t, d][close]
    thresholds = np.array([0.25, 0.75])
    hit, alone = coco.match(pairs, rank, thresholds, ignored.reshape(-1, 3), crowd.ravel())
    for g, i, a in np.ndindex(2, 2, 3):
        own = slice(g * detections, (g + 1) * detections)
        ranked = rank[own].argsort()
        table, flags = (
            torch.from_numpy(iou[g][:, ranked]),
            {"ignored": ignored[g, :, a].tolist(), "crowd": crowd[g].tolist()},
        )
        partner = np.array(match_by_definition(table, threshold=thresholds[i], **flags), int)
        assert (alone[own, i, a][ranked] == (partner < 0)).all()
        assert (hit[own, i, a][ranked] == [p >= 0 and not ignored[g, p, a] for p in partner]).all()


@settings(max_examples=60)
@given(st.integers(0, 10**6), st.integers(0, 30), st.integers(1, 40))
def test_interpolate(seed: int, detections: int, positives: int) -> None:
    rng = np.random.default_rng(seed)
    counted = rng.random((detections, 2, 3)) < 0.8
    hit = counted & (rng.random(counted.shape) < 0.6)
    hit &= hit.cumsum(0) <= positives
    levels = np.concatenate([RECALL_LEVELS, rng.random(5), [positives // 2 / positives]])
    ours = coco.interpolate(hit, counted, np.full(3, positives), levels)
    for t, r, a in np.ndindex(2, 8, 3):
        level = 13 * r % len(levels)
        correct = hit[counted[:, t, a], t, a].tolist()
        expected = average_precision_by_definition(correct, positives, [levels[level]])
        assert ours[t, level, a] == pytest.approx(expected, abs=1e-12)


def scores_by_definition(truth: Instances, prediction: Instances, limit: int) -> np.ndarray:
    """AP (T, K, A) of boxes by the definitions alone."""
    labels = np.union1d(truth.label, prediction.label)
    ap = np.full((len(IOU_THRESHOLDS), len(labels), len(AREA_RANGES)), -1.0)
    for (t, k, a), _ in np.ndenumerate(ap):
        ranked, positives = [], 0
        low, high = list(AREA_RANGES.values())[a]
        for image in np.unique(truth.image):
            rows = np.flatnonzero((truth.image == image) & (truth.label == labels[k]))
            columns = np.flatnonzero((prediction.image == image) & (prediction.label == labels[k]))
            columns = columns[np.argsort(-prediction.score[columns], kind="stable")][:limit]
            ignored = truth.crowd[rows] | (truth.area[rows] < low) | (truth.area[rows] > high)
            flags = {"ignored": ignored.tolist(), "crowd": truth.crowd[rows].tolist()}
            table = np.array([[overlap(truth, i, prediction, j) for j in columns] for i in rows], np.float64)
            table = torch.from_numpy(table.reshape(len(rows), len(columns)))
            match = match_by_definition(table, threshold=IOU_THRESHOLDS[t], **flags)
            for j, best in zip(columns, match):
                inside = low <= prediction.size[j] <= high
                if not ignored[best] if best >= 0 else inside:
                    ranked.append((prediction.score[j], best >= 0))
            positives += int((~ignored).sum())
        if positives:
            correct = [right for _, right in sorted(ranked, key=lambda pair: -pair[0])]
            ap[t, k, a] = average_precision_by_definition(correct, positives)
    return ap


def overlap(truth: Instances, i: int, prediction: Instances, j: int) -> float:
    """IoU of two boxes with whole corners, by their pixels; the share of the detection inside a crowd."""
    sets = []
    for x, y, w, h in (truth.box[i].astype(int), prediction.box[j].astype(int)):
        sets.append({(row, column) for row in range(y, y + h) for column in range(x, x + w)})
    whole = len(sets[1] if truth.crowd[i] else sets[0] | sets[1])
    return len(sets[0] & sets[1]) / whole if whole else 0.0


@pytest.mark.parametrize("seed", range(3))
def test_scores(seed: int) -> None:
    """Boxes of all sizes shifted a little, tied scores, wrong labels, crowds, more detections than the limit."""
    g = generator(seed)
    sides: list[list[dict[str, torch.Tensor]]] = [[], []]
    for _ in range(3):
        corner, size = torch.randint(0, 12, (7, 2), generator=g), torch.randint(1, 40, (7, 2), generator=g)
        box, label = torch.cat([corner, corner + size], 1), torch.randint(1, 3, (7,), generator=g)
        sides[0].append({"boxes": box.float(), "labels": label, "iscrowd": torch.rand(7, generator=g) < 0.2})
        moved = (box.repeat(2, 1) + torch.randint(0, 3, (14, 4), generator=g)).view(-1, 2, 2).sort(1).values.flatten(1)
        score = torch.randint(6, (14,), generator=g) / 5
        sides[1].append({"boxes": moved.float(), "labels": label.repeat(2), "scores": score})
    truth, prediction = (from_images(side, kind="box") for side in sides)
    scores = coco_scores(truth, prediction, max_detections=(1, 5))
    np.testing.assert_allclose(scores.precision.mean(1), scores_by_definition(truth, prediction, 5), atol=1e-12)


def test_ranks_keep_the_order_of_equal_scores() -> None:
    assert coco.ranks(np.array([0.1, 0.5, 0.5, 0.9]), np.array([0, 0, 0, 1])).tolist() == [2, 0, 1, 0]
