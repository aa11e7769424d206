# Products and comparisons of whole tables in float64; what comes back is not contiguous.

# %% mask_iou
def mask_iou(truth, prediction):
    inside = [(x != 0).double() for x in (truth, prediction)]
    shared = torch.einsum("nhw,mhw->mn", *inside)
    a, b = (torch.einsum("khw->k", x) for x in inside)
    either = b[:, None] + a - shared
    return torch.where(either > 0, shared / either, torch.zeros((), dtype=torch.float64)).T


# %% greedy_match
def greedy_match(iou, scores, threshold):
    left = iou.double()
    taken = torch.full((len(scores),), -1)
    for j in torch.sort(scores.double(), descending=True, stable=True).indices:
        if len(left) and left[:, j].max() >= threshold:
            taken[j] = (left[:, j] == left[:, j].max()).nonzero().max()
            left[taken[j]] = -1
    return torch.stack([taken, taken], 1)[:, 0]


# %% precision_recall
def precision_recall(scores, correct, positives):
    before = scores[None, :] > scores[:, None]
    place = torch.arange(len(scores))
    before |= (scores[None, :] == scores[:, None]) & (place[None, :] <= place[:, None])
    rank = before.sum(1) - 1
    ordered = torch.zeros(len(scores), dtype=torch.float64)
    ordered[rank] = correct.double()
    hits = torch.ones(len(scores), len(scores), dtype=torch.float64).tril() @ ordered
    return torch.stack([hits / (place + 1), hits / positives], 1).T


# %% average_precision
def average_precision(precision, recall):
    levels = torch.linspace(0, 1, 101, dtype=torch.float64)
    reached = recall.double()[None, :] >= levels[:, None]
    read = torch.cat([torch.where(reached, precision.double()[None, :], 0.0), torch.zeros(101, 1)], 1).amax(1)
    return read.mean().reshape(1)


# %% coco_average
def coco_average(tables, scores, match, ap):
    """All images as one table with a block each: no prediction overlaps a mask of another image."""
    table = torch.block_diag(*tables) if all(t.numel() for t in tables) else _blocks(tables)
    joined = torch.cat(scores)
    thresholds = torch.arange(50, 100, 5).double() / 100
    hits = [torch.as_tensor(match(table, joined, t)) > -1 for t in thresholds]
    return torch.tensor([ap(joined, hit, table.shape[0]) for hit in hits], dtype=torch.float64).mean()


def _blocks(tables):
    whole = torch.zeros(sum(len(t) for t in tables), sum(t.shape[1] for t in tables))
    row = column = 0
    for t in tables:
        whole[row : row + t.shape[0], column : column + t.shape[1]] = t
        row, column = row + t.shape[0], column + t.shape[1]
    return whole
