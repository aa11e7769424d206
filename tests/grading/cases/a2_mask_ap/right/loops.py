# Plain Python: loops, lists and numbers.

# %% mask_iou
def mask_iou(truth, prediction):
    table = []
    for a in truth.tolist():
        row = []
        for b in prediction.tolist():
            both = either = 0
            for line_a, line_b in zip(a, b):
                for p, q in zip(line_a, line_b):
                    both += p != 0 and q != 0
                    either += p != 0 or q != 0
            row.append(both / either if either else 0)
        table.append(row)
    return table


# %% greedy_match
def greedy_match(iou, scores, threshold):
    rows, sure = iou.tolist(), scores.tolist()
    taken = [-1 for _ in sure]
    for j in sorted(range(len(sure)), key=lambda j: -sure[j]):
        best = -1
        for i in range(len(rows)):
            if i in taken or rows[i][j] < threshold:
                continue
            if best == -1 or rows[i][j] >= rows[best][j]:
                best = i
        taken[j] = best
    return taken


# %% precision_recall
def precision_recall(scores, correct, positives):
    ranked = sorted(zip(scores.tolist(), correct.tolist()), key=lambda pair: pair[0], reverse=True)
    precision, recall, hits = [], [], 0
    for k, (_, hit) in enumerate(ranked):
        if hit:
            hits += 1
        precision.append(hits / (k + 1))
        recall.append(hits / positives)
    return precision, recall


# %% average_precision
def average_precision(precision, recall):
    points = list(zip(precision.tolist(), recall.tolist()))
    total = 0
    for level in range(101):
        best = 0
        for p, r in points:
            if r >= level / 100 and p > best:
                best = p
        total += best
    return total / 101


# %% coco_average
def coco_average(tables, scores, match, ap):
    results = []
    threshold = 50
    while threshold < 100:
        everything, hits, positives = [], [], 0
        for table, own in zip(tables, scores):
            positives += len(table)
            for score, row in zip(own.tolist(), match(table, own, threshold / 100)):
                everything.append(score)
                hits.append(int(row) != -1)
        results.append(ap(everything, hits, positives))
        threshold += 5
    return sum(results) / len(results)
