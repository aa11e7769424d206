"""Answers of a3_volumes that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."""

ROOM = "room = [n + 2 * p - k for n, k, p in zip(size, kernel, padding)]"
STEPS = "return tuple(r // s + 1 if r >= 0 else 0 for r, s in zip(room, stride))"
OUTPUT_SHAPE = [
    (
        "output_shape",
        "shape_steps",
        "for each axis with its own numbers; zeros are added at both ends",
        [
            ("zeros at one end", ROOM, "room = [n + p - k for n, k, p in zip(size, kernel, padding)]"),
            ("no 1 added", STEPS, "return tuple(r // s if r >= 0 else 0 for r, s in zip(room, stride))"),
            ("padding left out", ROOM, "room = [n - k for n, k in zip(size, kernel)]"),
            (
                "fits only without the zeros",
                STEPS,
                "return tuple(r // s + 1 if k <= n else 0 for r, s, n, k in zip(room, stride, size, kernel))",
            ),
            ("always the same size", STEPS, "return size"),
            ("the filter not taken off", ROOM, "room = [n + 2 * p for n, p in zip(size, padding)]"),
            ("padding taken off", ROOM, "room = [n - 2 * p - k for n, k, p in zip(size, kernel, padding)]"),
            ("one kernel for all axes", ROOM, "room = [n + 2 * p - kernel[0] for n, p in zip(size, padding)]"),
            (
                "rows, columns, depth",
                STEPS,
                "steps = [r // s + 1 for r, s in zip(room, stride)]\n    return steps[1:] + steps[:1]",
            ),
            (
                "one axis twice",
                STEPS,
                "steps = [r // s + 1 for r, s in zip(room, stride)]\n    return steps[0], steps[1], steps[1]",
            ),
        ],
    ),
    (
        "output_shape",
        "shape_steps",
        "with a filter of another length and other zeros along each axis",
        [
            (
                "only the sizes that are shown",
                STEPS,
                "if stride == (1, 1, 1) and size[0] not in (16, 10, 2):\n        return size\n    " + STEPS,
            ),
        ],
    ),
    (
        "output_shape",
        "shape_stride",
        "divide by the stride, round down, then add 1",
        [
            ("rounded up", STEPS, "return tuple(-(-r // s) + 1 if r >= 0 else 0 for r, s in zip(room, stride))"),
            (
                "to the nearest",
                STEPS,
                "return tuple(round(r / s + 0.001) + 1 if r >= 0 else 0 for r, s in zip(room, stride))",
            ),
            (
                "1 added before the division",
                STEPS,
                "return tuple((r + 1) // s if r >= 0 else 0 for r, s in zip(room, stride))",
            ),
            ("no stride", STEPS, "return tuple(max(r + 1, 0) for r in room)"),
            ("not a whole number", STEPS, "return tuple(r / s + 1 if r >= 0 else 0 for r, s in zip(room, stride))"),
            ("at least one step", STEPS, "return tuple(max(r // s + 1, 1) for r, s in zip(room, stride))"),
            (
                "an error where it does not fit",
                STEPS,
                (
                    "if min(room) < 0:\n        raise ValueError('too small')\n"
                    "    return tuple(r // s + 1 for r, s in zip(room, stride))"
                ),
            ),
        ],
    ),
    (
        "output_shape",
        "shape_stride",
        "another stride along each axis",
        [
            (
                "strides turned around",
                STEPS,
                (
                    "return tuple(r // s + 1 if r >= 0 else 0 for r, s in zip(room, stride[::-1] if "
                    "len(set(stride)) == 3 and stride != (1, 2, 3) else stride))"
                ),
            )
        ],
    ),
    (
        "output_shape",
        "shape_stride",
        "the zeros lengthen the axis first",
        [
            (
                "zeros added to the steps",
                STEPS,
                "return tuple((r - 2 * p) // s + 1 + 2 * p if r >= 0 else 0 for r, s, p in zip(room, stride, padding))",
            ),
        ],
    ),
    (
        "output_shape",
        "shape_stride",
        "whatever the stride: 0, not 1 and not less than 0",
        [
            ("less than no steps", STEPS, "return tuple(r // s + 1 for r, s in zip(room, stride))"),
            (
                "cut towards zero",
                STEPS,
                "return tuple(max(int(r / s) + (r != -1 or s > 1), 0) for r, s in zip(room, stride))",
            ),
            (
                "nothing at all if one axis is short",
                STEPS,
                (
                    "steps = tuple(r // s + 1 if r >= 0 else 0 for r, s in zip(room, stride))\n"
                    "    return steps if steps.count(0) < 2 else (0, 0, 0)"
                ),
            ),
        ],
    ),
]

PLACES = "places = out[0] * out[1] * out[2]"
WEIGHTS = "weights = filters * channels * kernel[0] * kernel[1] * kernel[2]"
PARAMETERS = '"parameters": weights + filters * bias'
WORK = '"multiply_adds": places * weights'
BYTES = '"output_bytes": places * filters * bytes_each'
LAYER_COST = [
    (
        "layer_cost",
        "cost_weights",
        "each filter has a weight for each channel and each place in it",
        [
            ("bias always", PARAMETERS, '"parameters": weights + filters'),
            ("bias never", PARAMETERS, '"parameters": weights'),
            ("one bias in all", PARAMETERS, '"parameters": weights + bias'),
            ("a bias a weight", PARAMETERS, '"parameters": weights * (1 + bias)'),
            ("a single filter", PARAMETERS, '"parameters": weights // filters + bias'),
            ("a filter of two axes", WEIGHTS, "weights = filters * channels * kernel[1] * kernel[2]"),
            ("a weight at each place of the output", PARAMETERS, '"parameters": places * weights + filters * bias'),
            ("another name", PARAMETERS, '"weights": weights + filters * bias'),
            ("lengths added", WEIGHTS, "weights = filters * channels * sum(kernel)"),
        ],
    ),
    (
        "layer_cost",
        "cost_weights",
        "several channels, filters that are no cubes",
        [
            ("channels left out", WEIGHTS, "weights = filters * kernel[0] * kernel[1] * kernel[2]"),
            ("a cube", WEIGHTS, "weights = filters * channels * kernel[0] ** 3"),
            ("a bias a channel and filter", PARAMETERS, '"parameters": weights + filters * channels * bias'),
        ],
    ),
    (
        "layer_cost",
        "cost_work",
        "every weight once at each place; the bias multiplies nothing",
        [
            ("bias among the multiply-adds", WORK, '"multiply_adds": places * (weights + filters * bias)'),
            ("FLOPs", WORK, '"multiply_adds": 2 * places * weights'),
            ("one place", WORK, '"multiply_adds": weights'),
            ("channels not in the work", WORK, '"multiply_adds": places * weights // channels'),
            ("filters not in the work", WORK, '"multiply_adds": places * weights // filters'),
            ("filters twice", WORK, '"multiply_adds": places * weights * filters'),
            ("places of a plane", PLACES, "places = out[1] * out[2]"),
        ],
    ),
    (
        "layer_cost",
        "cost_work",
        "each filter writes one number at each place, and a number has bytes_each bytes",
        [
            ("numbers for bytes", BYTES, '"output_bytes": places * filters'),
            ("input's channels for filters", BYTES, '"output_bytes": places * channels * bytes_each'),
            ("bits", BYTES, '"output_bytes": 8 * places * filters * bytes_each'),
            ("one filter's output", BYTES, '"output_bytes": places * bytes_each'),
            ("MB", BYTES, '"output_bytes": places * filters * bytes_each / 1e6'),
            ("with the weights", BYTES, '"output_bytes": (places * filters + weights) * bytes_each'),
        ],
    ),
    (
        "layer_cost",
        "cost_work",
        "with or without a bias",
        [("no work without a bias", WORK, '"multiply_adds": places * weights if bias else 0')],
    ),
    (
        "layer_cost",
        "cost_work",
        "other layers and types",
        [("always four bytes", BYTES, '"output_bytes": places * filters * 4')],
    ),
]

UNFOLD = "blocks = blocks.unfold(1 + axis, kernel[axis], stride[axis])"
ROWS = "return blocks.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(0, 3)"
UNFOLD3D = [
    (
        "unfold3d",
        "unfold_blocks",
        "a column is one block, flattened",
        [
            ("blocks in rows", ROWS, "return blocks.permute(1, 2, 3, 0, 4, 5, 6).flatten(3).flatten(0, 2)"),
            ("reshaped, not permuted", ROWS, "return blocks.reshape(len(x) * kernel[0] * kernel[1] * kernel[2], -1)"),
            ("columns of the block first", ROWS, "return blocks.permute(0, 6, 5, 4, 1, 2, 3).flatten(4).flatten(0, 3)"),
            ("blocks that do not overlap", UNFOLD, "blocks = blocks.unfold(1 + axis, kernel[axis], kernel[axis])"),
            (
                "the filter turned around",
                ROWS,
                "return blocks.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(0, 3).flip(0)",
            ),
            ("not flattened", ROWS, "return blocks"),
            (
                "padded",
                UNFOLD,
                (
                    "blocks = torch.nn.functional.pad(blocks, [0, 0] * (blocks.ndim - 2 - axis) + "
                    "[1, 1])\n        blocks = blocks.unfold(1 + axis, kernel[axis], stride[axis])"
                ),
            ),
            (
                "places turned around",
                ROWS,
                "return blocks.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(0, 3).flip(1)",
            ),
            (
                "the first block only",
                ROWS,
                "return blocks.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(0, 3)[:, :1]",
            ),
        ],
    ),
    (
        "unfold3d",
        "unfold_blocks",
        "a filter of another length along each axis, and a stride along each",
        [
            ("no stride", UNFOLD, "blocks = blocks.unfold(1 + axis, kernel[axis], 1)"),
            ("one stride", UNFOLD, "blocks = blocks.unfold(1 + axis, kernel[axis], stride[0])"),
            ("strides turned around", UNFOLD, "blocks = blocks.unfold(1 + axis, kernel[axis], stride[2 - axis])"),
            ("lengths turned around", UNFOLD, "blocks = blocks.unfold(1 + axis, kernel[2 - axis], stride[axis])"),
        ],
    ),
    (
        "unfold3d",
        "unfold_channels",
        "all channels of a block stand in one column",
        [
            ("the first channel only", "blocks = x", "blocks = x[:1]"),
            ("a column a channel", ROWS, "return blocks.permute(4, 5, 6, 0, 1, 2, 3).flatten(3).flatten(0, 2)"),
            ("channels innermost", ROWS, "return blocks.permute(4, 5, 6, 0, 1, 2, 3).flatten(4).flatten(0, 3)"),
            ("channels added up", "blocks = x", "blocks = x.sum(0, keepdim=True)"),
            ("an axis for the channels", ROWS, "return blocks.permute(0, 4, 5, 6, 1, 2, 3).flatten(4).flatten(1, 3)"),
            ("channels turned around", "blocks = x", "blocks = x.flip(0)"),
        ],
    ),
    (
        "unfold3d",
        "unfold_channels",
        "three channels or more",
        [
            ("two channels", "blocks = x", "blocks = x[:2]"),
        ],
    ),
]

PADDED = "padded[:, d : d + depth, h : h + rows, w : w + columns] = x"
PRODUCT = "y = weight.flatten(1) @ unfold(padded, kernel, stride)"
BIAS = "y = y + bias[:, None]"
LAID = "return y.reshape(len(weight), *out)"
CONV3D = [
    (
        "conv3d",
        "conv_filters",
        "row of weights times column, then the filter's own bias",
        [
            ("no bias", BIAS, ""),
            ("one bias for all", BIAS, "y = y + bias.mean()"),
            (
                "bias at each weight",
                PRODUCT,
                "y = (weight + bias.view(-1, 1, 1, 1, 1)).flatten(1) @ unfold(padded, kernel, stride)",
            ),
            ("mean for sum", PRODUCT, "y = weight.flatten(1) @ unfold(padded, kernel, stride) / weight[0].numel()"),
            ("a matrix, not volumes", LAID, "return y"),
            ("filters added up", LAID, "return y.reshape(len(weight), *out).sum(0, keepdim=True)"),
            ("the first filter only", LAID, "return y.reshape(len(weight), *out)[:1]"),
            ("bias taken off", BIAS, "y = y - bias[:, None]"),
            ("a batch of one", LAID, "return y.reshape(1, len(weight), *out)"),
            ("no negative numbers", LAID, "return y.reshape(len(weight), *out).clamp(max=50)"),
        ],
    ),
    (
        "conv3d",
        "conv_filters",
        "the filter is not turned around",
        [
            (
                "the filter turned around",
                PRODUCT,
                "y = weight.flip((2, 3, 4)).flatten(1) @ unfold(padded, kernel, stride)",
            ),
            (
                "the filter turned around along columns",
                PRODUCT,
                "y = weight.flip(4).flatten(1) @ unfold(padded, kernel, stride)",
            ),
            ("negative numbers cut off", PRODUCT, "y = weight.relu().flatten(1) @ unfold(padded, kernel, stride)"),
        ],
    ),
    (
        "conv3d",
        "conv_filters",
        "a filter adds up over all channels",
        [
            ("the first channel only", PRODUCT, "y = weight[:, :1].flatten(1) @ unfold(padded[:1], kernel, stride)"),
            ("mean over the channels", PRODUCT, "y = weight.flatten(1) @ unfold(padded, kernel, stride) / len(x)"),
            (
                "filter and channel exchanged",
                PRODUCT,
                "y = weight.transpose(0, 1).reshape(len(weight), -1) @ unfold(padded, kernel, stride)",
            ),
            (
                "the first channel's weights for all",
                PRODUCT,
                "y = weight[:, :1].expand_as(weight).flatten(1) @ unfold(padded, kernel, stride)",
            ),
        ],
    ),
    (
        "conv3d",
        "conv_border",
        "zeros at both ends of an axis",
        [
            ("no padding", PADDED, "padded = x"),
            (
                "zeros in front only",
                PADDED,
                PADDED + "\n    padded = padded[:, : d + depth, : h + rows, : w + columns]",
            ),
            ("zeros behind only", PADDED, PADDED + "\n    padded = padded[:, d:, h:, w:]"),
            ("the edge repeated", PADDED, "padded = torch.nn.functional.pad(x, (w, w, h, h, d, d), mode='replicate')"),
            ("ones for zeros", PADDED, "padded += 1\n    " + PADDED),
            (
                "no stride",
                PRODUCT,
                "stride, out = (1, 1, 1), [n - k + 1 for n, k in zip(padded.shape[1:], kernel)]\n    " + PRODUCT,
            ),
            (
                "stride of the filter's length",
                PRODUCT,
                "stride = kernel\n"
                "    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], kernel, "
                "stride)]\n    " + PRODUCT,
            ),
            (
                "padding turned around",
                "(d, h, w), (depth, rows, columns) = padding, x.shape[1:]",
                "(w, h, d), (depth, rows, columns) = padding, x.shape[1:]",
            ),
            ("the volume at the start", PADDED, "padded[:, :depth, :rows, :columns] = x"),
        ],
    ),
    (
        "conv3d",
        "conv_border",
        "padding and stride may differ from axis to axis",
        [
            (
                "columns' stride for all but depth",
                PRODUCT,
                "stride = (stride[0], stride[2], stride[2])\n"
                "    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], kernel, "
                "stride)]\n    " + PRODUCT,
            ),
            (
                "no zeros above and below",
                PRODUCT,
                "padded = padded[:, d : d + depth]\n"
                "    out = [(n - k) // s + 1 for n, k, s in zip(padded.shape[1:], kernel, "
                "stride)]\n    " + PRODUCT,
            ),
        ],
    ),
]

FIRST = "n = n - 4\n        for _ in range(pools):\n            n = n // 2 - 4"
DOWN = "n = n // 2 - 4"
UP = "n = 2 * n - 4"
UNET_OUTPUT = [
    (
        "unet_output",
        "unet_sizes",
        "write all sizes down, one layer after the other",
        [
            ("padded convolutions", "answer.append(n)", "answer = list(size)"),
            ("one convolution a level", FIRST, FIRST.replace("4", "2")),
            ("only the way down", "n = 2 * n - 4", "pass"),
            ("no convolutions on the way up", UP, "n = 2 * n"),
            (
                "no convolutions at the bottom",
                "for _ in range(pools):\n            n = 2 * n - 4",
                "n = n + 4\n        for _ in range(pools):\n            n = 2 * n - 4",
            ),
            (
                "a level too few on the way up",
                "for _ in range(pools):\n            n = 2 * n - 4",
                "for _ in range(pools - 1):\n            n = 2 * n - 4",
            ),
            ("convolutions before the up-convolution", UP, "n = 2 * (n - 4)"),
            ("one axis for all", "return tuple(answer)", "return (answer[0],) * 3"),
            ("the convolutions at the start left out", "n = n - 4\n        for _", "for _"),
            ("a last convolution that takes two", "answer.append(n)", "answer.append(n - 2)"),
            ("a filter takes three", DOWN, "n = n // 2 - 6"),
        ],
    ),
    (
        "unet_output",
        "unet_sizes",
        "other numbers of pools",
        [
            ("always the paper's three, but for one", "answer = []", "pools = 1 if pools == 1 else 3\n    answer = []"),
            ("at least one pool", "answer = []", "pools = max(pools, 1)\n    answer = []"),
            ("at most four pools", "answer = []", "pools = min(pools, 4)\n    answer = []"),
            (
                "88 off with more than one",
                "answer.append(n)",
                "answer.append(n if pools < 2 else size[len(answer)] - 88)",
            ),
        ],
    ),
]
ODD = "if n % 2:\n                return False"
LEFT = "if n < 1:\n            return False"
UNET_FITS = [
    (
        "unet_fits",
        "unet_even",
        "follow each axis down: even before each pool",
        [
            ("even at the start only", ODD, "if any(m % 2 for m in size):\n                return False"),
            ("what is left does not matter", LEFT, "pass"),
            ("even does not matter", ODD, "pass"),
            (
                "a multiple of what the pools divide by",
                "for n in size:",
                "return all(n % 2**pools == 0 and n > 12 * 2**pools - 8 for n in size)\n    for n in size:",
            ),
            ("the first axis only", "for n in size:", "for n in size[:1]:"),
            ("the last axis only", "for n in size:", "for n in size[-1:]:"),
            ("the axes added up", "for n in size:", "for n in [sum(size) // 3]:"),
            ("always", "for n in size:", "return True\n    for n in size:"),
            ("the other way around", "return True", "return None"),
        ],
    ),
    (
        "unet_fits",
        "unet_even",
        "an answer of a single voxel is one",
        [
            ("one pool and three only", "for n in size:", "pools = 3 if pools > 1 else 1\n    for n in size:"),
            (
                "even at the first pool only",
                ODD,
                "if _ == 0 and n % 2 or pools == 3 and n % 2:\n                return False",
            ),
            ("more than a voxel", LEFT, "if n < 2:\n            return False"),
            ("even at the end too", LEFT, "if n < 1 or n % 2:\n            return False"),
            ("no pool never fits", "for n in size:", "if not pools:\n        return False\n    for n in size:"),
        ],
    ),
]
NEXT = "return tuple(next(n for n, answer in enumerate(answers) if answer >= w) for w in wanted)"
SMALLEST_INPUT = [
    (
        "smallest_input",
        "unet_tile",
        "the first place in the list whose answer is at least what is wanted",
        [
            ("exactly what is wanted", NEXT, NEXT.replace(">=", "==")),
            ("more than wanted", NEXT, NEXT.replace(">=", ">")),
            ("the answers for the inputs", NEXT, "return tuple(min(a for a in answers if a >= w) for w in wanted)"),
            ("the first that fits", NEXT, NEXT.replace("answer >= w", "answer > 0")),
            (
                "the last",
                NEXT,
                "return tuple(max(n for n, answer in enumerate(answers) if answer >= w) for w in wanted)",
            ),
            (
                "the nearest",
                NEXT,
                "return tuple(min(range(len(answers)), key=lambda n: abs(answers[n] - w)) for w in wanted)",
            ),
            (
                "one size for all axes",
                NEXT,
                "return (next(n for n, answer in enumerate(answers) if answer >= max(wanted)),) * 3",
            ),
            ("counted from 1", NEXT, NEXT.replace("next(n for", "next(n + 1 for")),
            ("what is wanted read as the input", NEXT, "return tuple(answers[w] for w in wanted)"),
            (
                "a sorted list",
                NEXT,
                "import bisect\n\n    return tuple(bisect.bisect_left(sorted(answers), w) for w in wanted)",
            ),
        ],
    ),
    (
        "smallest_input",
        "unet_tile",
        "networks with other pools",
        [
            ("even sizes only", NEXT, NEXT.replace("answer >= w", "answer >= w and n % 2 == 0")),
            ("16 more, rounded to even", NEXT, "return tuple(16 + w + w % 2 for w in wanted)"),
            (
                "the first hundred places",
                NEXT,
                "return tuple(next((n for n, a in enumerate(answers[:100]) if a >= w), 99) for w in wanted)",
            ),
        ],
    ),
]

LABELLED = "labelled = target != -1"
NONE = "if not labelled.any():\n        return 0.0"
Z = "z = logits.movedim(1, -1)[labelled].double()"
OWN = "own = z.logsumexp(1) - z[torch.arange(len(y)), y]"
MEAN = "return own.mean()"
ALL = "labelled = torch.ones_like(target).bool()"
MASKED_LOSS = [
    (
        "masked_loss",
        "loss_labelled",
        "the unlabelled weigh nothing",
        [
            ("unlabelled as background", LABELLED, "target = target.clamp(min=0)\n    " + ALL),
            ("-1 as the last class", LABELLED, ALL),
            ("over all voxels", MEAN, "return own.sum() / target.numel()"),
            ("a sum", MEAN, "return own.sum()"),
            ("background unlabelled too", LABELLED, "labelled = target > 0"),
            ("probabilities, no logarithm", OWN, "own = 1 - z.softmax(1)[torch.arange(len(y)), y]"),
            ("the sign forgotten", OWN, "own = z[torch.arange(len(y)), y] - z.logsumexp(1)"),
            ("logits taken for logarithms of probabilities", OWN, "own = -z[torch.arange(len(y)), y]"),
            ("base 2", OWN, "own = (z.logsumexp(1) - z[torch.arange(len(y)), y]) / 0.6931472"),
            ("one number a voxel", MEAN, "return own"),
            ("the mean of all probabilities", OWN, "own = z.logsumexp(1) - z.mean(1)"),
            ("sigmoid", OWN, "own = -torch.nn.functional.logsigmoid(z[torch.arange(len(y)), y])"),
        ],
    ),
    (
        "masked_loss",
        "loss_labelled",
        "real volumes with more classes",
        [
            ("two classes", Z, "z = logits.movedim(1, -1)[labelled].double()[:, :2]\n    target = target.clamp(max=1)"),
            ("the first plane only", LABELLED, "logits, target = logits[:, :, :1], target[:, :1]\n    " + LABELLED),
        ],
    ),
    (
        "masked_loss",
        "loss_batch",
        "one mean over all labelled voxels of the batch",
        [
            (
                "mean of the samples' means",
                MEAN,
                (
                    "count = labelled.flatten(1).sum(1)\n"
                    "    return sum(part.mean() for part in own.split(count.tolist()) if len(part)) "
                    "/ (count > 0).sum()"
                ),
            ),
            ("the first sample only", LABELLED, "logits, target = logits[:1], target[:1]\n    " + LABELLED),
            (
                "sum over the batch of means",
                MEAN,
                (
                    "count = labelled.flatten(1).sum(1)\n"
                    "    return sum(part.mean() for part in own.split(count.tolist()) if len(part))"
                ),
            ),
            ("over the samples", MEAN, "return own.sum() / len(logits)"),
        ],
    ),
    (
        "masked_loss",
        "loss_batch",
        "the exponential of a large logit overflows",
        [
            (
                "exponentials by hand",
                OWN,
                (
                    "p = z.float().exp() / z.float().exp().sum(1, keepdim=True)\n"
                    "    own = -p[torch.arange(len(y)), y].log()"
                ),
            ),
            ("a small number added", OWN, "own = -(z.softmax(1)[torch.arange(len(y)), y] + 1e-8).log()"),
            ("at most 10", OWN, OWN + "\n    own = own.clamp(max=10)"),
            ("logits cut at 50", Z, Z + ".clamp(-50, 50)"),
        ],
    ),
    (
        "masked_loss",
        "loss_batch",
        "samples with unlike shares of labelled voxels",
        [("a sample without labels ends it", NONE, "if not labelled.flatten(1).any(1).all():\n        return 0.0")],
    ),
    (
        "masked_loss",
        "loss_batch",
        "labels may come as int8, int16 or int32",
        [
            (
                "labels as they come",
                "y = target[labelled].long()\n    " + OWN,
                "y = target[labelled]\n    own = z.logsumexp(1) - z.gather(1, y[:, None])[:, 0]",
            ),
        ],
    ),
    (
        "masked_loss",
        "loss_batch",
        "logits of several hundred",
        [
            ("half precision for the large ones", OWN, "z = z.clamp(max=250)\n    " + OWN),
        ],
    ),
    (
        "masked_loss",
        "loss_nothing",
        "no labelled voxel: 0",
        [
            ("0 / 0", NONE, ""),
            ("an error for no label", NONE, "assert labelled.any()"),
            ("NaN for no label", NONE, "if not labelled.any():\n        return float('nan')"),
            ("1 for no label", NONE, "if not labelled.any():\n        return 1.0"),
            ("None for no label", NONE, "if not labelled.any():\n        return None"),
            (
                "log K for no label",
                NONE,
                "if not labelled.any():\n        return torch.tensor(logits.shape[1]).float().log()",
            ),
        ],
    ),
    (
        "masked_loss",
        "loss_nothing",
        "0 times NaN is NaN",
        [
            (
                "weights of 0 and 1",
                "y = target[labelled].long()",
                (
                    "w = labelled.double()\n"
                    "    own = -(logits.double().log_softmax(1).gather(1, "
                    "target.clamp(min=0).long()[:, None])[:, 0])\n"
                    "    return (own * w).sum() / w.sum()\n    y = target[labelled].long()"
                ),
            ),
            ("an error for NaN", LABELLED, "assert not logits.isnan().any()\n    " + LABELLED),
            ("always 0", MEAN, "return 0.0"),
        ],
    ),
    (
        "masked_loss",
        "loss_nothing",
        "whole volumes without a label",
        [("looks before it asks", NONE, "if not labelled.any():\n        return 0 * logits.mean()")],
    ),
    (
        "masked_loss",
        "loss_nothing",
        "infinite or NaN at unlabelled voxels, of either sign",
        [("NaN only", LABELLED, "if (logits == float('-inf')).any():\n        return 0.0\n    " + LABELLED)],
    ),
]

A_B = "a, b = truth != 0, prediction != 0"
SHARED = "shared = (a & b).sum()"
RATIO = "return 2 * shared / both"
EMPTY = "if both == 0:\n        return 1.0"
DICE = [
    (
        "dice",
        "dice_shared",
        "twice the voxels in both",
        [
            ("IoU", RATIO, "return shared / (both - shared)"),
            ("not doubled", RATIO, "return shared / both"),
            ("over either", RATIO, "return 2 * shared / (a | b).sum()"),
            ("over the truth", RATIO, "return shared / a.sum()"),
            ("over the prediction", RATIO, "return shared / b.sum()"),
            ("over the smaller", RATIO, "return shared / min(a.sum(), b.sum())"),
            ("equal voxels", RATIO, "return (a == b).double().mean()"),
            ("the distance", RATIO, "return 1 - 2 * shared / both"),
            ("whole numbers", RATIO, "return 2 * shared // both"),
            ("in either for in both", SHARED, "shared = (a | b).sum()"),
            ("percent", RATIO, "return 200 * shared / both"),
        ],
    ),
    (
        "dice",
        "dice_shared",
        "larger volumes, whole",
        [
            (
                "mean over the slices",
                RATIO,
                (
                    "per = [2 * (s & t).sum() / (s.sum() + t.sum()).clamp(min=1) for s, t in zip(a, "
                    "b)]\n    per = [p for p, s, t in zip(per, a, b) if s.any() or t.any()]\n"
                    "    return sum(per) / len(per) if len(per) > 3 else 2 * shared / both"
                ),
            ),
            ("the first slices", A_B, "a, b = truth[:5] != 0, prediction[:5] != 0"),
        ],
    ),
    (
        "dice",
        "dice_shared",
        "masks of several types",
        [
            (
                "values for voxels",
                A_B,
                (
                    "a, b = truth != 0, prediction != 0\n    if truth.dtype != torch.bool:\n"
                    "        return 2 * (truth.double() * prediction).sum() / (truth.double().sum() "
                    "+ prediction.double().sum())"
                ),
            ),
            ("above 0", A_B, "a, b = truth > 0, prediction > 0"),
            ("above a half", A_B, "a, b = truth != 0, prediction.double() > 0.5"),
            ("1 is in", A_B, "a, b = truth == 1, prediction == 1"),
            ("bits for voxels", SHARED, "shared = (truth.int() & prediction.int()).bool().sum()"),
            (
                "counts in bytes",
                "both = a.sum() + b.sum()",
                "both = (a.sum() + b.sum()).byte().int() if truth.dtype == torch.uint8 else a.sum() + b.sum()",
            ),
        ],
    ),
    (
        "dice",
        "dice_empty",
        "two empty masks agree",
        [
            ("0 / 0", EMPTY, ""),
            ("0 for two empty masks", EMPTY, EMPTY.replace("1.0", "0.0")),
            ("NaN for two empty masks", EMPTY, EMPTY.replace("1.0", "float('nan')")),
            ("1 as soon as one is empty", EMPTY, "if not a.any() or not b.any():\n        return 1.0"),
            ("NaN as soon as one is empty", EMPTY, "if not a.any() or not b.any():\n        return float('nan')"),
            ("1 where the truth is empty", EMPTY, "if not a.any():\n        return 1.0"),
            ("an error for an empty mask", EMPTY, "assert a.any() and b.any()"),
            ("at least one voxel", EMPTY, "both = both.clamp(min=1)"),
            (
                "1 added above and below",
                EMPTY + "\n    " + SHARED + "\n    " + RATIO,
                SHARED + "\n    return (2 * shared + 1) / (both + 1)",
            ),
        ],
    ),
    (
        "dice",
        "dice_empty",
        "more for a mask and itself than for two that share nothing",
        [("nothing but the empty masks", RATIO, "return 0.0")],
    ),
    (
        "dice",
        "dice_empty",
        "a number added above or below must not show",
        [
            (
                "a little added above and below",
                EMPTY + "\n    " + SHARED + "\n    " + RATIO,
                SHARED + "\n    return (2 * shared + 5e-3) / (both + 5e-3)",
            ),
            ("a single voxel counts as none", EMPTY, "if both <= 2:\n        return 1.0"),
        ],
    ),
]

PAIRS = "for j in range(i):"
VALUE = "pairs.append(dice(readers[i], readers[j]))"
RESULT = "return sum(pairs) / len(pairs)"
AGREEMENT = [
    (
        "agreement",
        "readers",
        "each pair of different readers once",
        [
            ("paired with oneself", PAIRS, "for j in range(i + 1):"),
            ("all pairs, oneself too", PAIRS, "for j in range(len(readers)):"),
            ("neighbours only", PAIRS, "for j in range(max(i - 1, 0), i):"),
            ("all with the first", PAIRS, "for j in range(min(i, 1)):"),
            ("a sum", RESULT, "return sum(pairs)"),
            ("the worst pair", RESULT, "return min(pairs)"),
            ("the best pair", RESULT, "return max(pairs)"),
            ("the middle pair", RESULT, "return sorted(pairs)[len(pairs) // 2]"),
            ("over the readers", RESULT, "return sum(pairs) / len(readers)"),
            (
                "against the majority",
                "pairs = []",
                (
                    "most = readers.sum(0) * 2 >= len(readers)\n"
                    "    return sum(dice(r, most) for r in readers) / len(readers)\n    pairs = []"
                ),
            ),
            (
                "all that all share",
                "pairs = []",
                "return len(readers) * readers.all(0).sum() / readers.sum()\n    pairs = []",
            ),
            ("all masks at once", "pairs = []", "return dice(readers[:-1], readers[1:])\n    pairs = []"),
            ("one number a pair", RESULT, "return pairs"),
            ("distance", VALUE, "pairs.append(1 - dice(readers[i], readers[j]))"),
            ("slice by slice", VALUE, "pairs += [dice(s[None], t[None]) for s, t in zip(readers[i], readers[j])]"),
        ],
    ),
    (
        "agreement",
        "readers",
        "two readers, or five, or some who drew nothing",
        [
            ("always six pairs, or three", RESULT, "return sum(pairs) / (3 if len(readers) == 3 else 6)"),
            ("the first four", PAIRS, "for j in range(i if i < 4 else 0):"),
            (
                "readers who drew nothing left out",
                "pairs = []",
                "readers = [r for r in readers if r.any()]\n    pairs = []",
            ),
        ],
    ),
]

WRONG = (
    OUTPUT_SHAPE
    + LAYER_COST
    + UNFOLD3D
    + CONV3D
    + UNET_OUTPUT
    + UNET_FITS
    + SMALLEST_INPUT
    + MASKED_LOSS
    + DICE
    + AGREEMENT
)
