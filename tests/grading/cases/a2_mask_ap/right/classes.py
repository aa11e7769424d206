# Classes and helpers; the functions asked for are methods, a partial, and objects that can be called.

# %% mask_iou
from dataclasses import dataclass, field
from functools import partial


@dataclass(frozen=True)
class Pixels:
    """A mask as the set of its pixels."""

    where: frozenset

    @classmethod
    def of(cls, mask):
        return cls(frozenset(map(tuple, mask.nonzero().tolist())))

    def iou(self, other):
        either = self.where | other.where
        return len(self.where & other.where) / len(either) if either else 0.0


def mask_iou(truth, prediction):
    columns = [Pixels.of(mask) for mask in prediction]
    return torch.tensor([[Pixels.of(mask).iou(other) for other in columns] for mask in truth])


# %% greedy_match
@dataclass
class Matcher:
    free: list = field(default_factory=list)

    def choose(self, overlaps, threshold):
        enough = [i for i in self.free if overlaps[i] >= threshold]
        if not enough:
            return -1
        best = max(reversed(enough), key=lambda i: overlaps[i])
        self.free.remove(best)
        return best

    @classmethod
    def run(cls, iou, scores, threshold):
        matcher = cls(list(range(iou.shape[0])))
        ranked = sorted(enumerate(scores), key=lambda item: float(item[1]), reverse=True)
        chosen = {j: matcher.choose(iou[:, j].tolist(), threshold) for j, _ in ranked}
        return tuple(chosen[j] for j in sorted(chosen))


greedy_match = Matcher.run


# %% precision_recall
class Counter:
    def __init__(self, positives):
        self.hits, self.seen, self.positives = 0, 0, positives

    def see(self, hit):
        self.hits, self.seen = self.hits + bool(hit), self.seen + 1
        return self.hits / self.seen, self.hits / self.positives


def precision_recall(scores, correct, positives):
    counter = Counter(positives)
    curve = [counter.see(correct[k]) for k in torch.sort(-scores, stable=True)[1]]
    return torch.tensor([p for p, _ in curve], dtype=torch.float16), torch.tensor([r for _, r in curve])


# %% average_precision
class Stairs:
    def __init__(self, levels):
        self.levels = levels

    def __call__(self, precision, recall):
        best, read, k = 0.0, 0.0, len(recall)
        for level in reversed(self.levels):
            while k and recall[k - 1] >= level:
                k -= 1
                best = max(best, float(precision[k]))
            read += best
        return read / len(self.levels)


average_precision = Stairs([step / 100 for step in range(101)])


# %% coco_average
def _at(threshold, tables, scores, match, ap):
    listed = [
        (score, taken >= 0)
        for table, own in zip(tables, scores)
        for score, taken in zip(own, match(table, own, threshold))
    ]
    listed.sort(key=lambda item: float(item[0]), reverse=True)
    return ap([float(score) for score, _ in listed], [hit for _, hit in listed], sum(map(len, tables)))


def _mean(function, values, *arguments):
    return sum(function(value, *arguments) for value in values) / len(values)


coco_average = partial(_mean, _at, [0.5 + 0.05 * step for step in range(10)])
