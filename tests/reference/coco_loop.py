"""COCO's average precision by plain loops, one detection, one truth, one recall at a time."""

import numpy as np

THRESHOLDS = [0.5 + 0.05 * i for i in range(10)]
AREAS = [(0, 1e10), (0, 32**2), (32**2, 96**2), (96**2, 1e10)]


def overlap(truth: dict, detection: dict) -> float:
    """IoU of two boolean masks; the share of the detection inside a crowd."""
    a, b = truth["mask"], detection["mask"]
    whole = b.sum() if truth["crowd"] else (a | b).sum()
    return float((a & b).sum() / whole) if whole else 0.0


def match_image(
    truths: list[dict], detections: list[dict], threshold: float, area: tuple[float, float]
) -> tuple[list, int]:
    """(score, outcome) of each detection of one image and label, and the number of truths to find. Outcome None: not
    counted.
    """

    def outside(thing: dict) -> bool:
        return thing["area"] < area[0] or thing["area"] > area[1]

    taken, outcomes = set(), []
    for detection in detections:
        best, best_iou = None, 0.0
        for want_ignored in (False, True):
            for i, truth in enumerate(truths):
                ignored = truth["crowd"] or truth["ignore"] or outside(truth)
                if ignored != want_ignored or (i in taken and not truth["crowd"]):
                    continue
                iou = overlap(truth, detection)
                if iou >= min(threshold, 1 - 1e-10) and iou >= best_iou:
                    best, best_iou = i, iou
            if best is not None:
                outcomes.append((detection["score"], None if want_ignored else True))
                taken.add(best)
                break
        else:
            outcomes.append((detection["score"], None if outside(detection) else False))
    return outcomes, sum(not (t["crowd"] or t["ignore"] or outside(t)) for t in truths)


def average_precision(outcomes: list[tuple], positives: int) -> tuple[float, float]:
    """Mean precision at 101 recalls, and the last recall, of (score, right or wrong) pairs. −1 without truth."""
    if not positives:
        return -1.0, -1.0
    hits, seen, curve = 0, 0, []
    for _, right in sorted((o for o in outcomes if o[1] is not None), key=lambda o: -o[0]):
        hits, seen = hits + right, seen + 1
        curve.append((hits / positives, hits / seen))
    at = [max((p for r, p in curve if r >= level), default=0.0) for level in np.linspace(0, 1, 101)]
    return sum(at) / 101, hits / positives


def coco_loop(images: list[tuple[list[dict], list[dict]]], *, limit: int = 100) -> tuple[np.ndarray, np.ndarray]:
    """AP and recall ``(T, K, A)``: thresholds, labels (rising, those of any truth or detection), area ranges."""
    labels = sorted({thing["label"] for image in images for side in image for thing in side})
    ap = np.full((10, len(labels), 4), np.nan)
    recall = ap.copy()
    for t, threshold in enumerate(THRESHOLDS):
        for k, label in enumerate(labels):
            for a, area in enumerate(AREAS):
                outcomes, positives = [], 0
                for truths, detections in images:
                    ranked = sorted((d for d in detections if d["label"] == label), key=lambda d: -d["score"])[:limit]
                    found, n = match_image([g for g in truths if g["label"] == label], ranked, threshold, area)
                    outcomes, positives = outcomes + found, positives + n
                ap[t, k, a], recall[t, k, a] = average_precision(outcomes, positives)
    return ap, recall
