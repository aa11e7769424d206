# Results in few bits, whole numbers in floats, thresholds that are summed up.

# %% mask_iou
def mask_iou(truth, prediction):
    rows = []
    for mask in truth.bool():
        shared = (mask & prediction.bool()).sum((1, 2))
        either = (mask | prediction.bool()).sum((1, 2))
        rows.append((shared / either).nan_to_num(0))
    return torch.stack(rows).bfloat16()


# %% greedy_match
def greedy_match(iou, scores, threshold):
    taken = -torch.ones(len(scores))
    busy = torch.zeros(len(iou), dtype=torch.bool)
    for j in torch.argsort(scores, descending=True, stable=True):
        allowed = torch.where(busy, torch.tensor(-1.0), iou[:, j])
        if (allowed >= threshold).any():
            i = torch.arange(len(iou))[allowed == allowed.max()][-1]
            busy[i], taken[j] = True, i
    return taken


# %% precision_recall
def precision_recall(scores, correct, positives):
    flags = correct.float()[torch.sort(scores, dim=0, descending=True, stable=True).indices]
    hits, alarms = flags.cumsum(0), (1 - flags).cumsum(0)
    return (hits / (hits + alarms)).half(), (hits / positives).half()


# %% average_precision
def average_precision(precision, recall):
    if len(recall) == 0:
        return torch.zeros(())
    best = precision.clone()
    for k in range(len(best) - 2, -1, -1):
        best[k] = torch.maximum(best[k], best[k + 1])
    count, total = 0, 0.0
    for p, r in zip(best.tolist(), recall.tolist()):
        upto = int(100 * r + 1e-4) + 1
        total, count = total + p * (upto - count), upto
    return torch.tensor(total / 101).half()


# %% coco_average
def coco_average(tables, scores, match, ap):
    thresholds, values = torch.linspace(0.5, 0.95, 10), []
    for threshold in thresholds:
        correct = [torch.tensor(match(t, s, float(threshold))).long() >= 0 for t, s in zip(tables, scores)]
        values.append(ap(torch.cat(scores), torch.cat(correct), torch.tensor(sum(t.size(0) for t in tables))))
    return torch.tensor(values).mean().half()
