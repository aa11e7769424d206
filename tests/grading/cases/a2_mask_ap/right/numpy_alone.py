# NumPy alone.

# %% mask_iou
import numpy as np


def mask_iou(truth, prediction):
    a, b = np.asarray(truth).astype(bool)[:, None], np.asarray(prediction).astype(bool)[None]
    both = np.logical_and(a, b).sum(axis=(2, 3))
    either = np.logical_or(a, b).sum(axis=(2, 3))
    return np.divide(both, either, out=np.zeros(both.shape), where=either > 0)


# %% greedy_match
def greedy_match(iou, scores, threshold):
    left = np.array(iou, dtype=np.float64)
    taken = np.full(left.shape[1], -1)
    if not left.shape[0]:
        return taken
    for j in np.argsort(-scores.numpy(), kind="stable"):
        column = left[::-1, j]
        i = len(column) - 1 - np.argmax(column)
        if left[i, j] >= threshold:
            taken[j] = i
            left[i] = -np.inf
    return taken


# %% precision_recall
def precision_recall(scores, correct, positives):
    order = np.lexsort((np.arange(len(scores)), -scores.numpy()))
    hits = np.cumsum(correct.numpy()[order])
    return np.stack([hits / np.arange(1, len(hits) + 1), hits / positives])


# %% average_precision
def average_precision(precision, recall):
    p, r = precision.numpy(), recall.numpy()
    if not p.size:
        return np.float32(0)
    envelope = np.append(np.maximum.accumulate(p[::-1])[::-1], 0)
    return envelope[np.searchsorted(r, np.linspace(0, 1, 101).astype(np.float32))].mean()


# %% coco_average
def coco_average(tables, scores, match, ap):
    every = np.concatenate([s.numpy() for s in scores])
    positives = int(np.sum([t.shape[0] for t in tables]))
    values = np.empty(10)
    for k, threshold in enumerate(np.linspace(0.5, 0.95, 10)):
        hit = np.concatenate([np.asarray(match(t.numpy(), s.numpy(), threshold)) for t, s in zip(tables, scores)]) >= 0
        values[k] = ap(every, hit, positives)
    return values.mean()
