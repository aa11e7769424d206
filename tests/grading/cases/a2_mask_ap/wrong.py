"""Answers of a2_mask_ap that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."""

A = "a = (truth != 0).flatten(1).double()"
B = "b = (prediction != 0).flatten(1).double()"
SHARED = "shared = a @ b.T"
EITHER = "either = a.sum(1)[:, None] + b.sum(1)[None, :] - shared"
TABLE = "return shared / either.clamp(min=1)"
BOX = """
    def box(mask):
        rows, columns = mask.any(1).nonzero()[[0, -1], 0], mask.any(0).nonzero()[[0, -1], 0]
        filled = torch.zeros_like(mask)
        filled[rows[0] : rows[1] + 1, columns[0] : columns[1] + 1] = True
        return filled
"""
MASK_IOU = [
    (
        "mask_iou",
        "iou_pairs",
        "pixels in both, over pixels in either",
        [
            ("Dice", TABLE, "return 2 * shared / (either + shared).clamp(min=1)"),
            ("over the true mask", EITHER, "either = a.sum(1)[:, None] + 0 * shared"),
            ("over the prediction", EITHER, "either = b.sum(1)[None, :] + 0 * shared"),
            ("over the smaller", EITHER, "either = torch.minimum(a.sum(1)[:, None], b.sum(1)[None, :])"),
            ("over the larger", EITHER, "either = torch.maximum(a.sum(1)[:, None], b.sum(1)[None, :])"),
            ("the shared part counted twice", EITHER, "either = a.sum(1)[:, None] + b.sum(1)[None, :]"),
            ("over the image", EITHER, "either = torch.full_like(shared, a.shape[1])"),
            ("the shared pixels alone", TABLE, "return shared"),
            ("one pixel too many", TABLE, "return (shared + 1) / (either + 1)"),
            ("predictions in rows", TABLE, "return (shared / either.clamp(min=1)).T"),
            ("as areas, not per instance", TABLE, "return (a.any(0) & b.any(0)).sum() / (a.any(0) | b.any(0)).sum()"),
            ("equal pixels over all", SHARED, "return (a[:, None] == b[None]).double().mean(2)"),
            ("each mask with its own number only", TABLE, "return (shared / either.clamp(min=1)).diag()"),
            ("hit or not", TABLE, "return (shared / either.clamp(min=1) >= 0.5).double()"),
            ("whole numbers", TABLE, "return (shared / either.clamp(min=1)).long()"),
        ],
    ),
    (
        "mask_iou",
        "iou_pairs",
        "a set of single pixels, no box",
        [
            (
                "IoU of boxes",
                A + "\n    " + B,
                BOX.strip()
                + (
                    "\n\n    a = torch.stack([box(m) for m in truth != 0]).flatten(1).double()\n"
                    "    b = torch.stack([box(m) for m in prediction != 0]).flatten(1).double()"
                ),
            ),
            (
                "the first row only",
                A + "\n    " + B,
                "a, b = (truth != 0)[:, 0].double(), (prediction != 0)[:, 0].double()",
            ),
            (
                "the height taken for the width",
                A + "\n    " + B,
                (
                    "side = min(truth.shape[1:])\n"
                    "    a, b = ((x != 0)[:, :side, : 2 * side].flatten(1).double() for x in (truth, "
                    "prediction))"
                ),
            ),
            (
                "remembers the first masks",
                A,
                "truth, prediction = mask_iou.__dict__.setdefault('first', (truth, prediction))\n    " + A,
            ),
        ],
    ),
    (
        "mask_iou",
        "iou_values",
        "whether its value is not 0",
        [
            ("values for pixels", A + "\n    " + B, "a, b = truth.flatten(1).double(), prediction.flatten(1).double()"),
            ("only 255 is in", A, "a = (truth == 255).flatten(1).double()"),
            ("only 255 is in, of predictions", B, "b = (prediction == 255).flatten(1).double()"),
            ("only 1 is in", B, "b = (prediction == 1).flatten(1).double()"),
            ("above half of 255", B, "b = (prediction > 127).flatten(1).double()"),
            ("divided by 255", B, "b = (prediction / 255).flatten(1).double()"),
            (
                "equal values for shared pixels",
                SHARED,
                "shared = ((truth[:, None] == prediction[None]) & (truth[:, None] != 0)).flatten(2).sum(2).double()",
            ),
            (
                "bits for pixels",
                SHARED,
                "shared = (truth[:, None].int() & prediction[None].int()).bool().flatten(2).sum(2).double()",
            ),
        ],
    ),
    (
        "mask_iou",
        "iou_values",
        "a small type such as uint8 cannot hold the counts",
        [
            (
                "counts in uint8",
                SHARED,
                "shared = ((truth != 0).flatten(1).byte() @ (prediction != 0).flatten(1).byte().T).double()",
            ),
            (
                "areas in uint8",
                EITHER,
                "either = (a.byte().sum(1, dtype=torch.uint8)[:, None].double() + b.sum(1)[None, :] - shared)",
            ),
        ],
    ),
    (
        "mask_iou",
        "iou_values",
        "how large a value is does not matter",
        [
            ("cut to whole numbers", A, "a = truth.long().bool().flatten(1).double()"),
            ("above a half", B, "b = (prediction > 0.5).flatten(1).double()"),
            ("bytes", B, "b = prediction.byte().bool().flatten(1).double()"),
        ],
    ),
    (
        "mask_iou",
        "iou_empty",
        "two empty masks: 0",
        [
            ("0 / 0", TABLE, "return shared / either"),
            ("1 for two empty masks", TABLE, "return torch.where(either > 0, shared / either.clamp(min=1), 1.0)"),
            ("smoothed", TABLE, "return (shared + 1e-6) / (either + 1e-6)"),
            ("an error for an empty mask", SHARED, "assert (a.sum(1) > 0).all()\n    shared = a @ b.T"),
            ("1 where either is empty", TABLE, "return torch.where(shared > 0, shared / either.clamp(min=1), 1.0)"),
            ("empty masks left out", SHARED, "a, b = a[a.sum(1) > 0], b[b.sum(1) > 0]\n    shared = a @ b.T"),
        ],
    ),
    (
        "mask_iou",
        "iou_empty",
        "no prediction at all",
        [
            (
                "stacks what is not there",
                TABLE,
                "return torch.stack([column / e.clamp(min=1) for column, e in zip(shared.T, either.T)], 1)",
            ),
            (
                "a column of zeros",
                SHARED,
                "b = b if len(b) else torch.zeros(1, a.shape[1]).double()\n    shared = a @ b.T",
            ),
            ("nothing at all", SHARED, "if not len(b):\n        return []\n    shared = a @ b.T"),
        ],
    ),
    (
        "mask_iou",
        "iou_empty",
        "change no other place of the table",
        [
            (
                "all 0 as soon as one is empty",
                SHARED,
                (
                    "if (a.sum(1) == 0).any() or (b.sum(1) == 0).any():\n"
                    "        return torch.zeros(len(a), len(b))\n    shared = a @ b.T"
                ),
            ),
            (
                "0 in the whole column",
                TABLE,
                (
                    "table = shared / either.clamp(min=1)\n"
                    "    table[:, ((either == 0) | (a.sum(1) == 0)[:, None]).any(0)] = 0\n"
                    "    return table"
                ),
            ),
        ],
    ),
]

ORDER = "scores.argsort(descending=True, stable=True).tolist()"
FREE = "for i in free if iou[i, j] >= threshold"
BEST = "taken[j] = max(candidates)[1]"
GONE = "free.remove(taken[j])"
END = "    return taken"
LOOP = f"""    for j in {ORDER}:
        candidates = [(float(iou[i, j]), i) {FREE}]
        if candidates:
            {BEST}
            {GONE}
"""
PAIRS = "pairs = sorted(((float(iou[i, j]), i, j) for i in free for j in range(len(scores))), reverse=True)"
OPTIMAL = """    from scipy.optimize import linear_sum_assignment

    allowed = torch.where(iou >= threshold, 1 + iou.double(), 0.0)
    for i, j in zip(*linear_sum_assignment(allowed.numpy(), maximize=True)):
        taken[j] = int(i) if iou[i, j] >= threshold else -1
"""
TRUTHS_CHOOSE = """    open = set(range(len(scores)))
    for i in range(len(iou)):
        candidates = [(float(iou[i, j]), j) for j in open if iou[i, j] >= threshold]
        if candidates:
            taken[max(candidates)[1]] = i
            open.remove(max(candidates)[1])
"""
GREEDY_MATCH = [
    (
        "greedy_match",
        "match_order",
        "the highest score chooses first",
        [
            ("in the order of the list", ORDER, "range(len(scores))"),
            ("lowest score first", ORDER, "scores.argsort(stable=True).tolist()"),
            (
                "largest IoU first",
                LOOP,
                f"    {PAIRS}\n    for overlap, i, j in pairs:\n"
                "        if overlap >= threshold and i in free and taken[j] < 0:\n"
                "            taken[j] = i\n            free.remove(i)\n",
            ),
            ("best assignment in all", LOOP, OPTIMAL),
            ("true masks choose", LOOP, TRUTHS_CHOOSE),
            ("answers by falling score", END, f"    return [taken[j] for j in {ORDER}]"),
            (
                "which prediction each true mask has",
                END,
                "    return [taken.index(i) if i in taken else -1 for i in range(len(iou))]",
            ),
            ("hit or not", END, "    return [int(i >= 0) for i in taken]"),
            ("rows counted from 1", END, "    return [i + 1 for i in taken]"),
            (
                "the IoU instead of the row",
                END,
                "    return [float(iou[i, j]) if i >= 0 else -1 for j, i in enumerate(taken)]",
            ),
            ("0 for none", "[-1] * len(scores)", "[0] * len(scores)"),
            ("the number of true masks for none", "[-1] * len(scores)", "[len(iou)] * len(scores)"),
            ("None for none", "[-1] * len(scores)", "[None] * len(scores)"),
            ("pairs alone", END, "    return [(i, j) for j, i in enumerate(taken) if i >= 0]"),
        ],
    ),
    (
        "greedy_match",
        "match_order",
        "work through a larger table by hand",
        [
            ("two true masks at most", "set(range(len(iou)))", "set(range(min(len(iou), 2)))"),
            ("three predictions at most", ORDER, f"{ORDER}[:3]"),
            (
                "remembers the scores, not the table",
                "    free = set",
                "    iou = greedy_match.__dict__.setdefault(len(scores), iou)\n    free = set",
            ),
        ],
    ),
    (
        "greedy_match",
        "match_free",
        "a taken mask is gone for all that come later",
        [
            ("the worst that is enough", BEST, "taken[j] = min(candidates)[1]"),
            ("a true mask as often as one likes", GONE, "pass"),
            (
                "only its best true mask, free or not",
                f"[(float(iou[i, j]), i) {FREE}]",
                "[(float(iou[i, j]), i) for i in range(len(iou)) if iou[i, j] >= threshold]\n"
                "        candidates = [max(candidates)] if candidates and max(candidates)[1] in free else []",
            ),
            (
                "later ones take it over",
                GONE,
                "taken[:] = [-1 if k != j and i == taken[j] else i for k, i in enumerate(taken)]",
            ),
        ],
    ),
    (
        "greedy_match",
        "match_free",
        "finds no free mask spends none",
        [
            (
                "stops at the first that finds none",
                "        if candidates:",
                "        if not candidates:\n            break\n        if candidates:",
            ),
            (
                "spends its best true mask in any case",
                f"        candidates = [(float(iou[i, j]), i) {FREE}]",
                "        candidates = [(float(iou[i, j]), i) for i in free]\n"
                "        if candidates and max(candidates)[0] < threshold:\n"
                "            free.remove(max(candidates)[1])\n"
                "        candidates = [c for c in candidates if c[0] >= threshold]",
            ),
            (
                "spends what it is below the threshold with",
                "        if candidates:",
                (
                    "        if not candidates and free:\n"
                    "            free.remove(max(free, key=lambda i: float(iou[i, j])))\n"
                    "        if candidates:"
                ),
            ),
        ],
    ),
    (
        "greedy_match",
        "match_free",
        "looks at all the free ones, and takes the best",
        [
            ("the first free one that is enough", BEST, "taken[j] = candidates[0][1]"),
            (
                "its two best true masks only",
                FREE,
                "for i in iou[:, j].topk(min(2, len(iou))).indices.tolist() if i in free and iou[i, j] >= threshold",
            ),
        ],
    ),
    (
        "greedy_match",
        "match_limits",
        "an IoU of exactly the threshold is enough",
        [
            ("a threshold of its own, 0.6", FREE, "for i in free if iou[i, j] >= 0.6"),
            ("above the threshold", ">= threshold", "> threshold"),
            ("no threshold", ">= threshold", ">= 0"),
            ("above 0", ">= threshold", "> 0"),
            ("earlier true mask of equals", BEST, "taken[j] = max(candidates, key=lambda c: (c[0], -c[1]))[1]"),
            ("later prediction of equals", ORDER, "scores.argsort(stable=True).flip(0).tolist()"),
        ],
    ),
    (
        "greedy_match",
        "match_limits",
        "the threshold is the one that is passed in",
        [
            ("always 0.5", ">= threshold", ">= 0.5"),
            ("half at least", ">= threshold", ">= min(threshold, 0.5)"),
            ("never above three quarters", ">= threshold", ">= min(threshold, 0.75)"),
        ],
    ),
    (
        "greedy_match",
        "match_limits",
        "many equal numbers at once",
        [
            (
                "a sort that is not stable",
                ORDER,
                "sorted(range(len(scores)), key=lambda j: (-float(scores[j]), j if j < 2 else -j))",
            ),
            (
                "earlier true mask among more than two",
                BEST,
                (
                    "taken[j] = max(candidates)[1] if len(candidates) < 3 else max(candidates, "
                    "key=lambda c: (c[0], -c[1]))[1]"
                ),
            ),
        ],
    ),
    (
        "greedy_match",
        "match_limits",
        "an image may have no true mask",
        [
            (
                "the best of no rows",
                "    free = set",
                "    highest = iou.max(0).values\n    free = set",
            ),
            ("nothing without true masks", "    free = set", "    if not len(iou):\n        return []\n    free = set"),
            ("the best of no columns", "    free = set", "    iou.reshape(len(iou), -1)[0]\n    free = set"),
        ],
    ),
]

SORTED = "correct[scores.argsort(descending=True, stable=True)]"
CURVE = "return hits / torch.arange(1, len(hits) + 1), hits / positives"
FIRST = "torch.arange(1, len(hits) + 1)"
PRECISION_RECALL = [
    (
        "precision_recall",
        "curve_counts",
        "hits among the first k",
        [
            ("recall first", CURVE, f"return hits / positives, hits / {FIRST}"),
            ("recall of those that are found", "hits / positives", "hits / hits[-1].clamp(min=1)"),
            ("recall over the predictions", "hits / positives", "hits / len(hits)"),
            ("precision over the true masks", FIRST, "positives"),
            ("precision over all predictions", FIRST, "len(hits)"),
            ("one too few", FIRST, "torch.arange(len(hits)).clamp(min=1)"),
            ("one too many", FIRST, "torch.arange(2, len(hits) + 2)"),
            ("hits over false alarms", FIRST, f"({FIRST} - hits).clamp(min=1)"),
            ("each prediction alone", ".cumsum(0)", ".clone()"),
            ("the end of the list alone", CURVE, "return hits[-1:] / len(hits), hits[-1:] / positives"),
            ("numbers of hits", CURVE, f"return {FIRST}, hits"),
            ("the false alarms for the hits", SORTED, f"(~{SORTED})"),
            (
                "the best precision beyond, already here",
                CURVE,
                f"precision = hits / {FIRST}\n    return precision.flip(0).cummax(0).values.flip(0), hits / positives",
            ),
            (
                "after the hits only",
                CURVE,
                f"at = hits.diff(prepend=hits[:1] * 0) > 0\n    return (hits / {FIRST})[at], (hits / positives)[at]",
            ),
            ("F1 for precision", CURVE, f"return 2 * hits / ({FIRST} + positives), hits / positives"),
            (
                "a point before the first",
                CURVE,
                f"return torch.cat([torch.ones(1), hits / {FIRST}]), torch.cat([torch.zeros(1), hits / positives])",
            ),
            ("from the end of the list", CURVE, f"return (hits / {FIRST}).flip(0), (hits / positives).flip(0)"),
        ],
    ),
    (
        "precision_recall",
        "curve_counts",
        "one value after each prediction",
        [
            ("ten predictions at most", CURVE, f"return (hits / {FIRST})[:10], (hits / positives)[:10]"),
            (
                "stops at full recall",
                CURVE,
                f"return (hits / {FIRST})[hits < positives], (hits / positives)[hits < positives]",
            ),
        ],
    ),
    (
        "precision_recall",
        "curve_order",
        "sort by falling score and take the flags along",
        [
            ("not sorted", SORTED, "correct"),
            ("lowest score first", SORTED, "correct[scores.argsort(stable=True)]"),
            ("equal scores the other way round", SORTED, "correct[scores.argsort(stable=True).flip(0)]"),
            ("hits first", SORTED, "correct.sort(descending=True).values"),
            (
                "back in the order of the input",
                CURVE,
                (
                    "back = scores.argsort(descending=True, stable=True).argsort()\n"
                    f"    return (hits / {FIRST})[back], (hits / positives)[back]"
                ),
            ),
            ("the places of the places", "stable=True)]", "stable=True).argsort()]"),
            (
                "hits before false alarms of equal score",
                SORTED,
                "correct[torch.tensor(sorted(range(len(scores)), key=lambda k: (-scores[k], ~correct[k])))]",
            ),
            (
                "false alarms before hits of equal score",
                SORTED,
                (
                    "correct[torch.tensor(sorted(range(len(scores)), key=lambda k: (-scores[k], "
                    "correct[k])), dtype=torch.long)]"
                ),
            ),
        ],
    ),
    (
        "precision_recall",
        "curve_order",
        "a score is any number",
        [
            ("scores cut at 0", SORTED, "correct[scores.clamp(min=0).argsort(descending=True, stable=True)]"),
            ("by distance from 0", SORTED, "correct[scores.abs().argsort(descending=True, stable=True)]"),
            ("cut at 1", SORTED, "correct[scores.clamp(max=1).argsort(descending=True, stable=True)]"),
        ],
    ),
    (
        "precision_recall",
        "curve_order",
        "the sort has to be a stable one",
        [
            (
                "stable for a few only",
                SORTED,
                (
                    "correct[torch.tensor(sorted(range(len(scores)), key=lambda k: (-scores[k], k if "
                    "k < 16 else -k)), dtype=torch.long)]"
                ),
            ),
        ],
    ),
    (
        "precision_recall",
        "curve_counts",
        "a list without predictions",
        [
            ("asks for the last", CURVE, f"hits[-1]\n    {CURVE}"),
            (
                "a point for nothing",
                CURVE,
                "if not len(hits):\n        return torch.zeros(1), torch.zeros(1)\n    " + CURVE,
            ),
        ],
    ),
]

REACHED = "precision[recall >= step / 100]"
ADD = "total += float(reached.max()) if len(reached) else 0.0"
WALK = f"""    total = 0.0
    for step in range(101):
        reached = {REACHED}
        {ADD}
    return total / 101"""
ZERO = "    if not len(recall):\n        return 0.0\n"
STEP = "torch.cat([recall[:1], recall.diff()])"
ENVELOPE = "precision.flip(0).cummax(0).values.flip(0)"
AVERAGE_PRECISION = [
    (
        "average_precision",
        "ap_envelope",
        "the largest precision of all points",
        [
            (
                "no envelope: the first point that gets there",
                ADD,
                "total += float(reached[0]) if len(reached) else 0.0",
            ),
            ("the last point that gets there", ADD, "total += float(reached[-1]) if len(reached) else 0.0"),
            ("the smallest that gets there", ADD, "total += float(reached.min()) if len(reached) else 0.0"),
            ("the mean of those that get there", ADD, "total += float(reached.mean()) if len(reached) else 0.0"),
            ("looks back", REACHED, "precision[recall <= step / 100]"),
            ("beyond, not at", REACHED, "precision[recall > step / 100]"),
            ("the best of all", WALK, ZERO + "    return float(precision.max())"),
            ("the mean of the points", WALK, ZERO + "    return float(precision.mean())"),
            (
                "the mean at the hits",
                WALK,
                ZERO + "    return float(precision[recall.diff(prepend=recall[:1] * 0) > 0].mean())",
            ),
            ("the area, no envelope", WALK, ZERO + f"    return float(({STEP} * precision).sum())"),
            (
                "straight lines between points",
                WALK,
                ZERO + "    import numpy as np\n\n    levels = np.arange(101) / 100\n"
                "    return float(np.interp(levels, recall.numpy(), precision.numpy(), right=0).mean())",
            ),
            ("trapezoids", WALK, "    return float(torch.trapezoid(precision, recall))"),
            (
                "the best so far",
                ADD,
                "total += float(precision.cummax(0).values[recall >= step / 100][0]) if len(reached) else 0.0",
            ),
            ("precision at the end", WALK, ZERO + "    return float(precision[-1])"),
            ("precision times recall at the end", WALK, ZERO + "    return float(precision[-1] * recall[-1])"),
        ],
    ),
    (
        "average_precision",
        "ap_envelope",
        "no straight lines between points, none left out",
        [
            (
                "five points at most",
                "    total = 0.0",
                "    precision, recall = precision[:5], recall[:5]\n    total = 0.0",
            ),
            (
                "looks ahead two points",
                ADD,
                "total += float(reached[:3].max()) if len(reached) else 0.0",
            ),
        ],
    ),
    (
        "average_precision",
        "ap_levels",
        "0 and 1 are levels too",
        [
            ("every second level", WALK, WALK.replace("range(101)", "range(0, 101, 2)").replace("/ 101", "/ 51")),
            ("eleven levels", WALK, WALK.replace("101", "11").replace("100", "10")),
            ("level 0 left out", WALK, WALK.replace("range(101)", "range(1, 101)").replace("/ 101", "/ 100")),
            ("level 1 left out", WALK, WALK.replace("range(101)", "range(100)").replace("/ 101", "/ 100")),
            ("hundred levels from 0 to 1", WALK, WALK.replace("101", "100").replace("/ 100]", "/ 99]")),
            ("a thousand levels", WALK, WALK.replace("101", "1001").replace("/ 100]", "/ 1000]")),
            ("divided by 100", "total / 101", "total / 100"),
            ("the sum", "total / 101", "total"),
            ("per cent", "total / 101", "100 * total / 101"),
            (
                "levels never reached left out",
                WALK,
                WALK.replace(ADD, f"{ADD}\n        count = count + bool(len(reached)) if step else 1").replace(
                    "/ 101", "/ max(count, 1)"
                ),
            ),
            ("exact area", WALK, ZERO + f"    return float(({STEP} * {ENVELOPE}).sum())"),
            ("the last value for levels never reached", "else 0.0", "else float(precision[-1])"),
        ],
    ),
    (
        "average_precision",
        "ap_levels",
        "how many levels does a recall",
        [
            ("levels rounded", REACHED, "precision[(100 * recall).round() >= step]"),
        ],
    ),
    (
        "average_precision",
        "ap_levels",
        "a curve without points",
        [
            (
                "NaN for no points",
                "    total = 0.0",
                "    if not len(recall):\n        return float('nan')\n    total = 0.0",
            ),
            ("-1 for no points", "    total = 0.0", "    if not len(recall):\n        return -1.0\n    total = 0.0"),
            ("asks for the last", "    total = 0.0", "    recall[-1]\n    total = 0.0"),
        ],
    ),
    (
        "average_precision",
        "ap_levels",
        "false alarms after the last hit change nothing",
        [
            (
                "pulled down by the tail",
                "total / 101",
                "total / 101 * (1.0 if len(recall) < 100 else float((recall < recall[-1]).double().mean()))",
            ),
            (
                "NaN without a hit",
                "    total = 0.0",
                (
                    "    if len(recall) and not recall[-1] and len(recall) > 2:\n"
                    "        return float('nan')\n    total = 0.0"
                ),
            ),
        ],
    ),
]

POSITIVES = "positives = sum(len(table) for table in tables)"
THRESHOLDS = "range(50, 100, 5)"
TAKEN = "taken = [match(table, s, threshold / 100) for table, s in zip(tables, scores)]"
CORRECT = "correct = [row >= 0 for rows in taken for row in rows]"
AP = "total += float(ap(torch.cat(scores), torch.tensor(correct), positives))"
MEAN = "return total / 10"
ONE_BY_ONE = (
    "rows = [[row >= 0 for row in rows] for rows in taken]\n"
    "        aps = [float(ap(s, torch.tensor(r).bool(), len(t))) if len(t) else 0.0 "
    "for t, s, r in zip(tables, scores, rows)]\n"
    "        total += "
)
COCO_AVERAGE = [
    (
        "coco_average",
        "coco_thresholds",
        "0.50, 0.55, … 0.95 are ten thresholds",
        [
            ("mean of eleven, up to 1.00", MEAN, "return total / 11"),
            ("AP50", f"for threshold in {THRESHOLDS}:", "for threshold in [50] * 10:"),
            ("AP75", f"for threshold in {THRESHOLDS}:", "for threshold in [75] * 10:"),
            ("0.95 left out", f"    for threshold in {THRESHOLDS}:", "    for threshold in range(50, 95, 5):"),
            ("0.95 left out, mean of nine", "total / 10", "total / 9"),
            ("0.50 left out", THRESHOLDS, "range(55, 105, 5)"),
            ("from 0.05 to 0.50", THRESHOLDS, "range(5, 55, 5)"),
            ("steps of a tenth", THRESHOLDS, "[50, 50, 60, 60, 70, 70, 80, 80, 90, 90]"),
            ("per cent for thresholds", "threshold / 100", "min(threshold, 1)"),
            ("the sum of the ten", MEAN, "return total"),
            (
                "the best of the ten",
                AP,
                "total = max(total, 10 * float(ap(torch.cat(scores), torch.tensor(correct), positives)))",
            ),
            (
                "the product",
                AP,
                "total = (total or 10) * float(ap(torch.cat(scores), torch.tensor(correct), positives))",
            ),
            ("0.5 and 0.75 alone", f"for threshold in {THRESHOLDS}:", "for threshold in [50, 75] * 5:"),
        ],
    ),
    (
        "coco_average",
        "coco_thresholds",
        "match anew at each threshold",
        [
            (
                "matched once, at 0.5",
                TAKEN + "\n        " + CORRECT,
                "taken = [match(table, s, 0.5) for table, s in zip(tables, scores)]\n"
                "        correct = [r >= 0 and bool(t[r, j] >= threshold / 100) for t, rows in "
                "zip(tables, taken) for j, r in enumerate(rows)]",
            ),
            (
                "hits of the threshold before are skipped",
                CORRECT,
                "correct = [row >= 0 for rows in taken for row in rows]\n"
                "        hits = globals().setdefault('hits', {})\n"
                "        correct = [c and (threshold == 50 or hits.get(k, False)) for k, c in enumerate(correct)]\n"
                "        hits.update({k: c if threshold == 50 else hits.get(k, False) for k, c in enumerate(correct)})",
            ),
        ],
    ),
    (
        "coco_average",
        "coco_thresholds",
        "every prediction takes part",
        [
            (
                "three predictions of an image at most",
                TAKEN,
                "tables, scores = [t[:, :3] for t in tables], [s[:3] for s in scores]\n        " + TAKEN,
            ),
        ],
    ),
    (
        "coco_average",
        "coco_images",
        "neither a mean over images nor image by image",
        [
            (
                "what touches nothing left out",
                AP,
                "near = torch.cat([t.amax(0) > 0 if len(t) else s > 9 for t, s in zip(tables, scores)])\n"
                "        total += float(ap(torch.cat(scores)[near], torch.tensor(correct)[near], positives))",
            ),
            ("mean of the images' APs", AP, ONE_BY_ONE + "sum(aps) / len(aps)"),
            (
                "mean weighted by true masks",
                AP,
                ONE_BY_ONE + "sum(a * len(t) for a, t in zip(aps, tables)) / positives",
            ),
            ("the best image", AP, ONE_BY_ONE + "max(aps)"),
            (
                "the first image alone",
                TAKEN,
                "tables, scores = tables[:1], scores[:1]\n        positives = len(tables[0])\n        " + TAKEN,
            ),
            ("true masks of the last image", POSITIVES, "positives = len(tables[-1])"),
            (
                "true masks of an image, on average",
                AP,
                "total += float(ap(torch.cat(scores), torch.tensor(correct), positives)) / len(tables)",
            ),
            ("true masks counted as predictions", POSITIVES, "positives = sum(table.shape[1] for table in tables)"),
            ("image after image, not by score", "torch.cat(scores)", "-torch.arange(len(correct)).double()"),
            (
                "scores by rank in the image",
                "torch.cat(scores)",
                "torch.cat([s.argsort().argsort().double() for s in scores])",
            ),
            (
                "scores relative to the image's best",
                "torch.cat(scores)",
                "torch.cat([s / s.max() if len(s) else s for s in scores])",
            ),
            (
                "false alarms left out",
                AP,
                (
                    "at = torch.tensor(correct).bool()\n"
                    "        total += float(ap(torch.cat(scores)[at], torch.tensor(correct)[at], "
                    "positives))"
                ),
            ),
            (
                "as many true masks as hits",
                AP,
                "total += float(ap(torch.cat(scores), torch.tensor(correct), max(sum(correct), 1)))",
            ),
            ("a mean over images and thresholds", MEAN, "return total / 10 / len(tables)"),
        ],
    ),
    (
        "coco_average",
        "coco_images",
        "false alarms on an image without a true mask count",
        [
            (
                "images without a true mask left out",
                POSITIVES,
                "kept = [k for k, t in enumerate(tables) if len(t)]\n"
                "    tables, scores = [tables[k] for k in kept], [scores[k] for k in kept]\n    " + POSITIVES,
            ),
            (
                "images without a prediction left out",
                POSITIVES,
                "kept = [k for k, s in enumerate(scores) if len(s)]\n"
                "    tables, scores = [tables[k] for k in kept], [scores[k] for k in kept]\n    " + POSITIVES,
            ),
            ("asks for the best of nothing", POSITIVES, "[t.max() for t in tables]\n    " + POSITIVES),
        ],
    ),
    (
        "coco_average",
        "coco_images",
        "every prediction keeps its own score",
        [
            (
                "three images at most",
                POSITIVES,
                "tables, scores = tables[:3], scores[:3]\n    " + POSITIVES,
            ),
            (
                "ten predictions at most",
                AP,
                (
                    "top = torch.cat(scores).argsort(descending=True)[:10]\n"
                    "        total += float(ap(torch.cat(scores)[top], torch.tensor(correct)[top], "
                    "positives))"
                ),
            ),
        ],
    ),
    (
        "coco_average",
        "coco_nuclei",
        "those of low score too",
        [
            (
                "the ten surest alone",
                AP,
                (
                    "top = torch.cat(scores).argsort(descending=True)[:10]\n"
                    "        total += float(ap(torch.cat(scores)[top], torch.tensor(correct)[top], "
                    "positives))"
                ),
            ),
            (
                "scores below 0.9 dropped",
                AP,
                (
                    "sure = torch.cat(scores) >= 0.9\n"
                    "        total += float(ap(torch.cat(scores)[sure], torch.tensor(correct)[sure], "
                    "positives))"
                ),
            ),
            ("taken as sorted", "torch.cat(scores)", "-torch.arange(len(correct)).double()"),
            (
                "nuclei that nothing touches left out",
                POSITIVES,
                "positives = sum(int((t > 0).any(1).sum()) for t in tables)",
            ),
            ("AP75 of the nuclei", f"for threshold in {THRESHOLDS}:", "for threshold in [75] * 10:"),
        ],
    ),
    (
        "coco_average",
        "coco_nuclei",
        "each call is made anew",
        [
            (
                "remembers the nuclei",
                MEAN,
                (
                    "if len(tables[0]) == 35:\n"
                    "        total = coco_average.__dict__.setdefault('nuclei', total)\n"
                    "    return total / 10"
                ),
            ),
        ],
    ),
]

WRONG = MASK_IOU + GREEDY_MATCH + PRECISION_RECALL + AVERAGE_PRECISION + COCO_AVERAGE
