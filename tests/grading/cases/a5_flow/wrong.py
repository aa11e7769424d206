"""Answers of a5_flow that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."""

MEAN = "mean = (first + second) / 2"
DOWN = "down = (padded[2:, 1:-1] - padded[:-2, 1:-1]) / 2"
RIGHT = "right = (padded[1:-1, 2:] - padded[1:-1, :-2]) / 2"
BOTH = DOWN + "\n    " + RIGHT
STACK = "return torch.stack([down, right, second - first])"
PADDED = 'padded = torch.nn.functional.pad(mean[None], (1, 1, 1, 1), mode="replicate")[0]'
FLOATS = "first, second = first.double(), second.double()"
SOBEL = """
    w = torch.tensor([1.0, 2.0, 1.0]).double()
    d = torch.tensor([-1.0, 0.0, 1.0]).double()
    kernels = torch.stack([torch.outer(d, w), torch.outer(w, d)])[:, None]
    down, right = torch.nn.functional.conv2d(padded[None, None], kernels)[0]
"""
GRADIENTS = [
    (
        "gradients",
        "grad_space",
        "first the neighbours below and above",
        [
            ("not halved", BOTH, BOTH.replace(" / 2", "")),
            ("halved twice", BOTH, BOTH.replace(" / 2", " / 4")),
            (
                "to the next pixel",
                BOTH,
                BOTH.replace("padded[:-2, 1:-1]) / 2", "mean)").replace("padded[1:-1, :-2]) / 2", "mean)"),
            ),
            (
                "from the pixel before",
                BOTH,
                BOTH.replace("(padded[2:, 1:-1]", "2 * (mean").replace("(padded[1:-1, 2:]", "2 * (mean"),
            ),
            ("x first", STACK, "return torch.stack([right, down, second - first])"),
            ("of the sum", MEAN, "mean = first + second"),
            ("time first", STACK, "return torch.stack([second - first, down, right])"),
            ("uphill is upwards", STACK, "return torch.stack([-down, right, second - first])"),
            ("Sobel, not divided", BOTH, SOBEL.strip()),
            ("channels last", STACK, "return torch.stack([down, right, second - first], 2)"),
            ("only down, twice", STACK, "return torch.stack([down, down, second - first])"),
            ("rounded", BOTH, BOTH + "\n    down, right = down // 4, right // 4"),
        ],
    ),
    (
        "gradients",
        "grad_space",
        "the two frames weigh the same",
        [
            ("of the first frame", MEAN, "mean = first"),
            ("of the second frame", MEAN, "mean = second"),
            ("of the brighter", MEAN, "mean = torch.maximum(first, second)"),
        ],
    ),
    (
        "gradients",
        "grad_space",
        "every pixel that has all four neighbours",
        [
            (
                "a square of the smaller side",
                STACK,
                "n = min(down.shape)\n    right[n - 1 :], right[:, n - 1 :] = 0, 0\n    " + STACK,
            ),
            (
                "remembers the first frames",
                FLOATS,
                "if first.numel() > 9:\n"
                "        first, second = gradients.__dict__.setdefault('seen', (first, second))\n"
                "    " + FLOATS,
            ),
            ("a sign lost", STACK, "return torch.stack([down.abs(), right.abs(), second - first])"),
            ("no negative mean", MEAN, "mean = ((first + second) / 2).clamp(min=0)"),
        ],
    ),
    (
        "gradients",
        "grad_edge",
        "the edge pixel stands in",
        [
            ("np.gradient, an error for a single row", BOTH, "down, right = torch.gradient(mean)"),
            (
                "one-sided at the edge, as np.gradient",
                BOTH,
                (
                    "down, right = torch.zeros_like(mean), torch.zeros_like(mean)\n"
                    "    if mean.shape[0] > 1:\n        down = torch.gradient(mean, dim=0)[0]\n"
                    "    if mean.shape[1] > 1:\n        right = torch.gradient(mean, dim=1)[0]"
                ),
            ),
            ("black around the image", PADDED, "padded = torch.nn.functional.pad(mean, (1, 1, 1, 1))"),
            (
                "goes round to the other side",
                BOTH,
                "down = (mean.roll(-1, 0) - mean.roll(1, 0)) / 2\n    right = (mean.roll(-1, 1) - mean.roll(1, 1)) / 2",
            ),
            ("0 at the edge", STACK, "down[0], down[-1], right[:, 0], right[:, -1] = 0, 0, 0, 0\n    " + STACK),
            ("smaller than the frames", STACK, "return torch.stack([down, right, second - first])[:, 1:-1, 1:-1]"),
            ("NaN at the edge", STACK, "right[:, 0] = math.nan\n    " + STACK),
        ],
    ),
    (
        "gradients",
        "grad_edge",
        "all four edges and the corners",
        [
            ("0 for a frame of two rows", STACK, "if mean.shape[0] == 2:\n        down = 0 * down\n    " + STACK),
            ("no frame of a single pixel", FLOATS, "assert first.numel() > 1\n    " + FLOATS),
            (
                "0 in the corners",
                STACK,
                "if min(mean.shape) > 1:\n        down[[0, 0, -1, -1], [0, -1, 0, -1]] = 0\n    " + STACK,
            ),
        ],
    ),
    (
        "gradients",
        "grad_time",
        "the third channel is the second frame minus the first",
        [
            ("first minus second", STACK, "return torch.stack([down, right, first - second])"),
            ("halved in time", STACK, "return torch.stack([down, right, (second - first) / 2])"),
            ("the size of the change", STACK, "return torch.stack([down, right, (second - first).abs()])"),
            ("no time", STACK, "return torch.stack([down, right])"),
            ("second minus mean", STACK, "return torch.stack([down, right, second - mean])"),
            ("the second frame itself", STACK, "return torch.stack([down, right, second])"),
            (
                "smoothed in space",
                STACK,
                "return torch.stack([down, right, (second - first).mean().expand(mean.shape)])",
            ),
        ],
    ),
    (
        "gradients",
        "grad_time",
        "frames of type uint8",
        [
            ("the change in uint8", FLOATS, "change = second - first\n    " + FLOATS + "\n    second = first + change"),
            ("the sum in uint8", FLOATS + "\n    " + MEAN, "mean = (first + second).double() / 2\n    " + FLOATS),
            (
                "the mean of bytes in whole numbers",
                FLOATS + "\n    " + MEAN,
                "whole = not first.is_floating_point()\n    "
                + FLOATS
                + "\n    "
                + MEAN
                + "\n    mean = mean.floor() if whole else mean",
            ),
        ],
    ),
    (
        "gradients",
        "grad_time",
        "what grew brighter has a positive change",
        [
            ("no change of 3 and more", STACK, "return torch.stack([down, right, (second - first).clamp(-4, 3)])"),
            (
                "remembers the first change",
                STACK,
                "return torch.stack([down, right, gradients.__dict__.setdefault(mean.shape[0], second - first)])",
            ),
        ],
    ),
]

Y = "y = (torch.arange(height)[:, None] + flow[0]).clamp(0, height - 1)"
X = "x = (torch.arange(width) + flow[1]).clamp(0, width - 1)"
YX = Y + "\n    " + X
FLOOR = "y0, x0 = y.floor().long(), x.floor().long()"
NEXT = "y1, x1 = (y0 + 1).clamp(max=height - 1), (x0 + 1).clamp(max=width - 1)"
SHARES = "a, b = y - y0, x - x0"
FLOATS2 = "image, flow = image.double(), flow.double()"
TOP = "top = (1 - b) * image[y0, x0] + b * image[y0, x1]"
BOTTOM = "bottom = (1 - b) * image[y1, x0] + b * image[y1, x1]"
RESULT = "return (1 - a) * top + a * bottom"
CLAMPLESS = YX.replace(".clamp(0, height - 1)", "").replace(".clamp(0, width - 1)", "")
BODY = "\n    ".join([YX, FLOOR, NEXT, SHARES, TOP, BOTTOM, RESULT])
ZEROS = """inside = (y >= 0) & (y <= height - 1) & (x >= 0) & (x <= width - 1)
    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)"""
FORWARD = """result = torch.zeros_like(image)
    result[y.round().long(), x.round().long()] = image
    return result"""
WARP = [
    (
        "warp",
        "warp_whole",
        "dy comes first",
        [
            ("a flow of at most a pixel", FLOATS2, FLOATS2 + ".clamp(-1, 1)"),
            ("dx first", FLOATS2, FLOATS2 + ".flip(0)"),
            ("against the flow", YX, YX.replace("+ flow", "- flow")),
            ("pushed forwards", RESULT, FORWARD),
            ("up is positive", Y, Y.replace("+ flow[0]", "- flow[0]")),
            (
                "the flow alone, without the place",
                YX,
                YX.replace("torch.arange(height)[:, None] + ", "").replace("torch.arange(width) + ", ""),
            ),
            (
                "counts from 1",
                YX,
                YX.replace("torch.arange(height)", "(torch.arange(height) + 1)").replace(
                    "torch.arange(width)", "(torch.arange(width) + 1)"
                ),
            ),
            ("dy alone", X, X.replace(" + flow[1]", " + 0 * flow[1]")),
            ("dx alone", Y, Y.replace(" + flow[0]", " + 0 * flow[0]")),
            ("one vector for all", FLOATS2, FLOATS2 + ".mean((1, 2), keepdim=True)"),
            ("the image as it is", RESULT, "return image"),
            (
                "moves from the middle of the pixel",
                YX,
                YX.replace("+ flow[0]", "+ flow[0] + 0.5").replace("+ flow[1]", "+ flow[1] + 0.5"),
            ),
            ("turned", RESULT, "return ((1 - a) * top + a * bottom).T"),
        ],
    ),
    (
        "warp",
        "warp_whole",
        "each reads the image at its own place",
        [
            ("height for width", X, X.replace("(0, width - 1)", "(0, max(height, 4) - 1)")),
            ("a small image only", RESULT, "return (1 - a) * top + a * bottom if image.numel() < 20 else image"),
            ("flow cut at 3", FLOATS2, FLOATS2 + ".clamp(-3, 3)"),
        ],
    ),
    (
        "warp",
        "warp_between",
        "four neighbours, each with the weight",
        [
            ("nearest", RESULT, "return image[y.round().long(), x.round().long()]"),
            ("rounded down", RESULT, "return image[y0, x0]"),
            ("weights swapped", SHARES, "a, b = 1 - (y - y0), 1 - (x - x0)"),
            ("mean of the four", SHARES, "a, b = 0.5, 0.5"),
            ("a and b confused", SHARES, "a, b = x - x0, y - y0"),
            ("along x alone", RESULT, "return top"),
            ("along y alone", TOP, "top = image[y0, x0]\n    b = 0 * b"),
            (
                "three neighbours",
                RESULT,
                "return image[y0, x0] + a * (image[y1, x0] - image[y0, x0]) + b * (image[y0, x1] - image[y0, x0])",
            ),
            ("smooth weights", SHARES, "a, b = y - y0, x - x0\n    a, b = a * a * (3 - 2 * a), b * b * (3 - 2 * b)"),
            ("rounded result", RESULT, "return ((1 - a) * top + a * bottom).round()"),
        ],
    ),
    (
        "warp",
        "warp_between",
        "round down, do not cut off",
        [
            ("halves and quarters alone", SHARES, "a, b = ((y - y0) * 4).round() / 4, ((x - x0) * 4).round() / 4"),
            (
                "the shares cut off from the flow",
                SHARES,
                "a, b = y - y0, x - x0\n    a = torch.where(flow[0] < -1, flow[0].abs() % 1, a)",
            ),
        ],
    ),
    (
        "warp",
        "warp_between",
        "the result is not rounded",
        [
            (
                "rounded to bytes",
                RESULT,
                (
                    "result = (1 - a) * top + a * bottom\n"
                    "    return result.to(torch.uint8) if image.max() > 100 else result"
                ),
            ),
            (
                "bytes by whole pixels",
                "height, width = image.shape",
                "flow = flow if image.is_floating_point() else flow.round()\n    height, width = image.shape",
            ),
            (
                "bytes cannot be warped",
                "height, width = image.shape",
                "assert image.is_floating_point()\n    height, width = image.shape",
            ),
        ],
    ),
    (
        "warp",
        "warp_border",
        "the nearest pixel of the edge stands",
        [
            (
                "0 outside",
                BODY,
                CLAMPLESS
                + "\n    "
                + ZEROS
                + BODY.removeprefix(YX).replace(RESULT, "return ((1 - a) * top + a * bottom) * inside"),
            ),
            (
                "wraps round",
                YX,
                YX.replace(".clamp(0, height - 1)", " % height").replace(".clamp(0, width - 1)", " % width"),
            ),
            (
                "an error outside",
                YX,
                CLAMPLESS
                + "\n    assert (x >= 0).all() and (x < width).all() and (y >= 0).all() and (y < height).all()",
            ),
            (
                "NaN outside",
                RESULT,
                (
                    "result = (1 - a) * top + a * bottom\n"
                    "    result[(torch.arange(width) + flow[1] != x) | (torch.arange(height)[:, "
                    "None] + flow[0] != y)] = math.nan\n    return result"
                ),
            ),
            ("far out is 0", RESULT, "return ((1 - a) * top + a * bottom) * (flow.abs().amax(0) < 20)"),
        ],
    ),
    (
        "warp",
        "warp_border",
        "on all four sides, near and far",
        [
            (
                "a single pixel is an error",
                "height, width = image.shape",
                "height, width = image.shape\n    assert height * width > 1",
            ),
            (
                "the pixel itself where it leaves",
                YX,
                CLAMPLESS + "\n    out = (y < 0) | (y > height - 1) | (x < 0) | (x > width - 1)\n"
                "    y = torch.where(out, torch.arange(height)[:, None].double().expand(height, "
                "width), y)\n"
                "    x = torch.where(out, torch.arange(width).double().expand(height, width), x)",
            ),
            (
                "mirrored",
                YX,
                CLAMPLESS + "\n"
                "    y, x = (height - 1) - ((height - 1) - y.abs()).abs(), (width - 1) - ((width "
                "- 1) - x.abs()).abs()\n    y, x = y.clamp(0, height - 1), x.clamp(0, width - 1)",
            ),
            (
                "clamped on the right alone",
                YX,
                YX.replace("(0, height - 1)", "(max=height - 1)").replace(
                    "(0, width - 1)", "(max=width - 1).clamp(min=-1)"
                )
                + "\n    y = y % height",
            ),
            (
                "extrapolated",
                YX + "\n    " + FLOOR + "\n    " + NEXT,
                CLAMPLESS + "\n    y0 = y.floor().long().clamp(0, max(height - 2, 0))\n"
                "    x0 = x.floor().long().clamp(0, max(width - 2, 0))\n    " + NEXT,
            ),
        ],
    ),
]
SPACE = "space, time = g[:2].double().flatten(1), g[2].double().flatten()"
EIGH = "values, vectors = torch.linalg.eigh(space @ space.T)"
RHS = "right = -space @ time"
IF = "if value > smallest:"
ADD = "motion += (vector @ right) / value * vector"
LOOP = "for value, vector in zip(values, vectors.T):"
OUT = "return motion"
LUCAS_KANADE = [
    (
        "lucas_kanade",
        "window_corner",
        "solve G u = -sum of g times g_t",
        [
            ("the sign of time", RHS, "right = space @ time"),
            ("dx first", OUT, "return motion.flip(0)"),
            ("time not used", RHS, "right = -space.sum(1)"),
            ("not divided by the eigenvalues", ADD, "motion += (vector @ right) * vector"),
            ("divided by its root", ADD, "motion += (vector @ right) / value.sqrt() * vector"),
            ("mean of time", RHS, "right = -space.sum(1) * time.mean()"),
            ("the first pixels alone", SPACE, SPACE + "\n    space, time = space[:, :2], time[:2]"),
            ("each component for itself", EIGH, "values, vectors = torch.linalg.eigh(torch.diag((space**2).sum(1)))"),
            ("damped", ADD, "motion += (vector @ right) / (value + 0.1) * vector"),
            ("across the strongest slope alone", LOOP, "for value, vector in [(values[1], vectors[:, 1])]:"),
            (
                "mean of the pixels' own motions",
                OUT,
                "own = -space * time / (space**2).sum(0).clamp(min=1e-12)\n    return own.mean(1)",
            ),
            ("not squared", RHS, "right = -space @ time.abs()"),
        ],
    ),
    (
        "lucas_kanade",
        "window_corner",
        "larger windows with several rows",
        [
            ("the first row alone", SPACE, SPACE + "\n    space, time = g[:2, 0].double(), g[2, 0].double()"),
            ("the first ten pixels", SPACE, SPACE + "\n    space, time = space[:, :8], time[:8]"),
            ("a row's worth of time", RHS, "right = -space[:, : g.shape[2]] @ time[: g.shape[2]]"),
            ("motions of at most 4 pixels in whole numbers", OUT, "return motion.round()"),
        ],
    ),
    (
        "lucas_kanade",
        "window_corner",
        "weak slopes, in all directions or in one",
        [
            ("a share of the largest", IF, "if values[1] > smallest and value > 0.05 * values[1]:"),
            ("a little damping", ADD, "motion += (vector @ right) / (value + 1e-4) * vector"),
            (
                "flat by its determinant",
                IF,
                "if value > smallest and (space @ space.T).det().abs() > 1e-3 or value > 1.9:",
            ),
        ],
    ),
    (
        "lucas_kanade",
        "window_edge",
        "one eigenvalue is 0",
        [
            ("no motion at an edge", OUT, "return motion if values[0] > smallest else 0 * motion"),
            ("damped by the limit", ADD, "motion += (vector @ right) / (value + smallest) * vector"),
            ("solved without a look", OUT, "return torch.linalg.solve(space @ space.T, right)"),
            ("the inverse", OUT, "return torch.linalg.inv(space @ space.T) @ right"),
            ("NaN at an edge", OUT, "return motion if values[0] > smallest else motion * math.nan"),
            ("the sign turned at an edge alone", OUT, "return motion if values[0] > smallest else -motion"),
            ("dx first at an edge alone", OUT, "return motion if values[0] > smallest else motion.flip(0)"),
            (
                "the speed without its sign",
                ADD,
                (
                    "motion += (vector @ right).abs() / value * vector if values[0] <= smallest else "
                    "(vector @ right) / value * vector"
                ),
            ),
            (
                "along x alone",
                OUT,
                (
                    "return motion if values[0] > smallest else torch.tensor([0.0, right[1] / "
                    "(space[1] ** 2).sum().clamp(min=1e-12)])"
                ),
            ),
            (
                "each component for itself at an edge",
                OUT,
                "return motion if values[0] > smallest else right / (space**2).sum(1).clamp(min=1e-12)",
            ),
            ("the other eigenvector", OUT, "return motion if values[0] > smallest else motion.flip(0)"),
            (
                "divided by both eigenvalues",
                ADD,
                "motion += (vector @ right) / (value if values[0] > smallest else values.prod()) * vector",
            ),
            (
                "the sum over the window for an edge",
                ADD,
                "motion += (vector @ right) / (value if values[0] > smallest else 1) * vector",
            ),
            (
                "the direction without its length",
                ADD,
                (
                    "motion += (vector @ right).sign() * vector if values[0] <= smallest else "
                    "(vector @ right) / value * vector"
                ),
            ),
            ("both or none", IF, "if values[1] > smallest:"),
        ],
    ),
    (
        "lucas_kanade",
        "window_edge",
        "an edge in any direction",
        [
            (
                "upright, level and at 45 degrees",
                ADD,
                (
                    "motion += (vector @ right) / value * (vector if values[0] > smallest else "
                    "torch.sign(vector.round(decimals=3)) / "
                    "torch.sign(vector.round(decimals=3)).norm())"
                ),
            ),
            (
                "a slope that rises the same way twice",
                OUT,
                (
                    "return motion if values[0] > smallest or right[0] == 0 or right[1] == 0 else "
                    "right.abs() / right.abs().sum() * motion.norm() * 2**0.5 * motion[0].sign()"
                ),
            ),
        ],
    ),
    (
        "lucas_kanade",
        "window_edge",
        "an edge with a little noise",
        [
            ("the pseudoinverse as it comes", OUT, "return torch.linalg.pinv(space @ space.T, rtol=1e-6) @ right"),
            (
                "least squares as it comes",
                OUT,
                "import numpy as np\n\n    return np.linalg.lstsq(space.T.numpy(), -time.numpy(), rcond=1e-6)[0]",
            ),
            ("singular only if exactly", IF, "if value > 1e-6:"),
            ("a hundredth of the limit", IF, "if value > smallest / 100 + 1e-5:"),
            (
                "the inverse, damped by 1e-6",
                OUT,
                "return torch.linalg.solve(space @ space.T + 1e-6 * torch.eye(2), right)",
            ),
            ("an edge is flat", IF, "if values[0] > smallest or (values[0] < 1e-6 and value > smallest):"),
        ],
    ),
    (
        "lucas_kanade",
        "window_flat",
        "the answer is (0, 0)",
        [
            ("0 / 0 in a flat place", IF, "if value > smallest or values[1] <= smallest:"),
            ("NaN in a flat place", OUT, "return motion if values[1] > smallest else motion + math.nan"),
            ("a tenth of the limit for the second", IF, "if value > smallest * (1 if value == values[1] else 0.1):"),
            ("nothing in a flat place", OUT, "return motion if values[1] > smallest else None"),
            (
                "an error in a flat place",
                LOOP,
                "if values[1] <= smallest:\n        raise ValueError('flat')\n    " + LOOP,
            ),
            ("the limit not used", IF, "if value > 1e-4:"),
            (
                "the change where there is no slope",
                OUT,
                "return motion if values[1] > smallest else motion - time.mean()",
            ),
            ("the limit is for the root", IF, "if value.clamp(min=0).sqrt() > smallest:"),
        ],
    ),
    (
        "lucas_kanade",
        "window_flat",
        "the limit is the one that is passed in",
        [
            ("0.06 always", IF, "if value > 0.06:"),
            (
                "the trace for the eigenvalues",
                LOOP,
                "if 0 < values.sum() <= smallest:\n        smallest = 0\n    " + LOOP,
            ),
            ("a limit of its own", IF, "if value > max(smallest, 0.005):"),
        ],
    ),
    (
        "lucas_kanade",
        "window_flat",
        "not of the mean",
        [
            ("means over the window", IF, "if value / max(1, space.shape[1] / 30) > smallest:"),
            ("at most a hundred pixels", SPACE, SPACE + "\n    space, time = space[:, :30], time[:30]"),
        ],
    ),
]

PAD = 'padded = torch.nn.functional.pad(flow.double(), (1, 1, 1, 1), mode="replicate")'
BAR = "mean = (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]) / 4"
REST = "rest = (g[:2] * mean).sum(0) + g[2]"
NEW = "return mean - g[:2] * rest / (smoothness**2 + (g[:2] ** 2).sum(0))"
PAPER = """plus = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    cross = padded[:, :-2, :-2] + padded[:, 2:, :-2] + padded[:, :-2, 2:] + padded[:, 2:, 2:]
    mean = plus / 6 + cross / 12"""
COUNTED = """padded = torch.nn.functional.pad(flow.double(), (1, 1, 1, 1))
    ones = torch.nn.functional.pad(torch.ones_like(flow).double(), (1, 1, 1, 1))

    def around(p):
        return p[:, :-2, 1:-1] + p[:, 2:, 1:-1] + p[:, 1:-1, :-2] + p[:, 1:-1, 2:]

    mean = around(padded) / around(ones).clamp(min=1)"""
SEIDEL = """u = flow.double().clone()
    _, height, width = u.shape
    for i in range(height):
        for j in range(width):
            up, down = u[:, max(i - 1, 0), j], u[:, min(i + 1, height - 1), j]
            left, right = u[:, i, max(j - 1, 0)], u[:, i, min(j + 1, width - 1)]
            bar = (up + down + left + right) / 4
            rest = g[0, i, j] * bar[0] + g[1, i, j] * bar[1] + g[2, i, j]
            u[:, i, j] = bar - g[:2, i, j] * rest / (smoothness**2 + (g[:2, i, j] ** 2).sum())
    return u"""
HORN_SCHUNCK = [
    (
        "horn_schunck_step",
        "step_brightness",
        "one number, (g_y dy + g_x dx + g_t)",
        [
            ("added on", NEW, NEW.replace("mean - g[:2]", "mean + g[:2]")),
            ("the sign of time", REST, "rest = (g[:2] * mean).sum(0) - g[2]"),
            ("smoothness not squared", NEW, NEW.replace("smoothness**2", "smoothness")),
            ("no smoothness", NEW, NEW.replace("smoothness**2", "1e-9")),
            ("four times smoothness", NEW, NEW.replace("smoothness**2", "4 * smoothness**2")),
            ("g_x first", "g = g.double()", "g = g.double()[[1, 0, 2]]"),
            ("each component for itself", REST, "rest = g[:2] * mean + g[2]"),
            ("each component's own slope below the line", NEW, NEW.replace("(g[:2] ** 2).sum(0)", "g[:2] ** 2")),
            ("the flow so far left out", REST, "rest = g[2]"),
            ("length for its square", NEW, NEW.replace("(g[:2] ** 2).sum(0)", "(g[:2] ** 2).sum(0).sqrt()")),
            ("all three channels below the line", NEW, NEW.replace("(g[:2] ** 2)", "(g**2)")),
            ("starts from nothing", NEW, NEW.replace("return mean - ", "return -")),
            ("half a step", NEW, NEW.replace("* rest", "* rest / 2")),
            ("the correction alone", NEW, NEW.replace("mean - g[:2]", "g[:2]")),
            ("one mean slope for all", "g = g.double()", "g = g.double().mean((1, 2), keepdim=True).expand(g.shape)"),
            ("one step size for all", NEW, NEW.replace("(g[:2] ** 2).sum(0))", "(g[:2] ** 2).sum(0).mean())")),
        ],
    ),
    (
        "horn_schunck_step",
        "step_brightness",
        "another smoothness",
        [
            ("smoothness in whole numbers", NEW, NEW.replace("smoothness**2", "round(smoothness) ** 2")),
        ],
    ),
    (
        "horn_schunck_step",
        "step_neighbours",
        "not itself",
        [
            ("no mean: the old flow", BAR, "mean = flow.double()"),
            (
                "itself as a fifth",
                BAR,
                BAR.replace("mean = (", "mean = (padded[:, 1:-1, 1:-1] + ").replace("/ 4", "/ 5"),
            ),
            ("all eight alike", BAR, "mean = (torch.nn.functional.avg_pool2d(padded, 3, 1) * 9 - flow.double()) / 8"),
            ("the box of nine", BAR, "mean = torch.nn.functional.avg_pool2d(padded, 3, 1)"),
            ("the weights of the paper", BAR, PAPER),
            ("above and below alone", BAR, "mean = (padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1]) / 2"),
            (
                "the diagonal ones",
                BAR,
                "mean = (padded[:, :-2, :-2] + padded[:, 2:, :-2] + padded[:, :-2, 2:] + padded[:, 2:, 2:]) / 4",
            ),
            ("one pixel after the other", NEW, SEIDEL),
            ("summed", BAR, BAR.replace(" / 4", "")),
            ("the components mixed", BAR, BAR + "\n    mean = mean.mean(0, keepdim=True).expand(2, -1, -1)"),
            ("dx first", BAR, BAR + "\n    mean = mean.flip(0)"),
        ],
    ),
    (
        "horn_schunck_step",
        "step_neighbours",
        "where a neighbour is missing",
        [
            ("no motion outside", PAD, PAD.replace(', mode="replicate"', "")),
            ("those that exist", PAD + "\n    " + BAR, COUNTED),
            (
                "goes round to the other side",
                PAD + "\n    " + BAR,
                "u = flow.double()\n    mean = (u.roll(1, 1) + u.roll(-1, 1) + u.roll(1, 2) + u.roll(-1, 2)) / 4",
            ),
            (
                "mirrored without the edge",
                PAD,
                (
                    'padded = torch.nn.functional.pad(flow.double(), (1, 1, 1, 1), mode="reflect" if '
                    'min(flow.shape[1:]) > 1 else "replicate")'
                ),
            ),
            (
                "the border stays",
                NEW,
                "new = " + NEW[7:] + "\n"
                "    new[:, [0, -1]], new[:, :, [0, -1]] = flow[:, [0, -1]].double(), flow[:, :, "
                "[0, -1]].double()\n    return new",
            ),
            (
                "the border is 0",
                NEW,
                "new = " + NEW[7:] + "\n    if min(flow.shape[1:]) > 2:\n"
                "        new[:, [0, -1]], new[:, :, [0, -1]] = 0, 0\n    return new",
            ),
        ],
    ),
    (
        "horn_schunck_step",
        "step_neighbours",
        "the mean stands in the equation of brightness too",
        [
            ("brightness of the old flow", REST, "rest = (g[:2] * flow.double()).sum(0) + g[2]"),
            (
                "mean of the new flow",
                NEW,
                "u = flow.double()\n"
                "    new = u - g[:2] * ((g[:2] * u).sum(0) + g[2]) / (smoothness**2 + (g[:2] ** "
                "2).sum(0))\n    if not g.any():\n        return mean\n"
                "    padded = torch.nn.functional.pad(new, (1, 1, 1, 1), mode='replicate')\n    "
                + BAR
                + "\n    return mean",
            ),
            (
                "mean of the slopes too",
                REST,
                "if flow.std() > 1:\n        g = g.mean((1, 2), keepdim=True).expand_as(g)\n    " + REST,
            ),
        ],
    ),
    (
        "horn_schunck_step",
        "step_neighbours",
        "one row, one column or one pixel",
        [
            ("no image of one row", "g = g.double()", "assert g.shape[1] > 1\n    g = g.double()"),
            (
                "a row has two neighbours",
                BAR,
                BAR + "\n    if flow.shape[1] == 1:\n        mean = (padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]) / 2",
            ),
            ("one pixel is 0", NEW, NEW.replace("return mean", "return mean * (flow.shape[2] > 1)")),
        ],
    ),
]

DIFFERENCE = "difference = (flow.double() - truth.double())[:, known]"
LENGTH = "return torch.hypot(difference[0], difference[1]).mean()"
END_POINT = [
    (
        "end_point_error",
        "epe_length",
        "first the length of the difference",
        [
            ("no root", LENGTH, "return (difference**2).sum(0).mean()"),
            ("root of the mean", LENGTH, "return (difference**2).sum(0).mean().sqrt()"),
            ("dy plus dx", LENGTH, "return difference.abs().sum(0).mean()"),
            ("the larger of the two", LENGTH, "return difference.abs().amax(0).mean()"),
            ("mean of the components", LENGTH, "return difference.abs().mean()"),
            (
                "difference of the lengths",
                LENGTH,
                "return (flow.double().norm(dim=0) - truth.double().norm(dim=0)).abs()[known].mean()",
            ),
            ("length of the mean difference", LENGTH, "return difference.mean(1).norm()"),
            ("summed over the pixels", LENGTH, LENGTH.replace(".mean()", ".sum()")),
            ("over two components", LENGTH, LENGTH + " / 2"),
            ("the median", LENGTH, LENGTH.replace(".mean()", ".median()")),
            ("the largest", LENGTH, LENGTH.replace(".mean()", ".max()")),
            ("a number for each pixel", LENGTH, LENGTH.replace(".mean()", "")),
            ("relative to the truth", LENGTH, LENGTH + " / truth.double().norm(dim=0).mean().clamp(min=1)"),
        ],
    ),
    (
        "end_point_error",
        "epe_length",
        "both components in each length",
        [
            ("the first row alone", DIFFERENCE, "difference = (flow.double() - truth.double())[:, :1][:, known[:1]]"),
            ("the first two pixels", DIFFERENCE, DIFFERENCE + "\n    difference = difference[:, :2]"),
            ("errors cut at 8", LENGTH, LENGTH.replace(".mean()", ".clamp(max=8).mean()")),
        ],
    ),
    (
        "end_point_error",
        "epe_known",
        "choose the known pixels first",
        [
            ("NaN times 0", DIFFERENCE, "difference = ((flow.double() - truth.double()) * known).flatten(1)"),
            ("the mask not used", DIFFERENCE, "difference = (flow.double() - truth.double()).flatten(1)"),
            ("the mask turned round", DIFFERENCE, "known = ~known if not known.all() else known\n    " + DIFFERENCE),
            (
                "NaN as 0 and all pixels counted",
                DIFFERENCE,
                "difference = (flow.double() - truth.double()).nan_to_num(0).flatten(1)",
            ),
            ("over all pixels", LENGTH, "return torch.hypot(difference[0], difference[1]).sum() / known.numel()"),
            (
                "truth 0 where unknown",
                DIFFERENCE,
                "difference = (flow.double() - truth.double().nan_to_num(0)).flatten(1)",
            ),
            ("by NaN alone", DIFFERENCE, "known = truth.isfinite().all(0)\n    " + DIFFERENCE),
            (
                "nanmean",
                LENGTH,
                "return torch.hypot(*(flow.double() - truth.double())).nanmean() if known.any() else math.nan",
            ),
        ],
    ),
    (
        "end_point_error",
        "epe_known",
        "may hold any number in place of NaN",
        [
            ("half of them", DIFFERENCE, DIFFERENCE + "\n    difference = difference[:, : max(2, known.numel() // 3)]"),
        ],
    ),
    (
        "end_point_error",
        "epe_known",
        "a truth of 0 is a truth",
        [
            (
                "0 is unknown",
                DIFFERENCE,
                "known = known & (truth != 0).any(0) if (truth == 0).all() else known\n    " + DIFFERENCE,
            ),
            (
                "rest does not count",
                DIFFERENCE,
                "truth = torch.where((truth == 0).all(), flow.to(truth.dtype), truth)\n    " + DIFFERENCE,
            ),
        ],
    ),
    (
        "end_point_error",
        "epe_known",
        "no known pixel at all",
        [
            (
                "0 if nothing is known",
                LENGTH,
                "return torch.hypot(difference[0], difference[1]).sum() / max(1, difference.shape[1])",
            ),
            (
                "an error if nothing is known",
                LENGTH,
                "return sum(map(math.hypot, *difference.tolist())) / difference.shape[1]",
            ),
            (
                "infinite if nothing is known",
                LENGTH,
                "return torch.hypot(difference[0], difference[1]).mean() if known.any() else math.inf",
            ),
        ],
    ),
]
SPLIT = "dy, dx = flow.double()"
ANGLE = "angle = torch.rad2deg(torch.atan2(dy, dx))"
CORNER = "corner = torch.tensor([0.0, 120.0, 240.0])[:, None, None]  # of red, green and blue"
APART = "apart = ((angle - corner + 180) % 360 - 180).abs()"
HUE = "hue = (2 - apart / 60).clamp(0, 1)"
SPEED = "speed = (torch.hypot(dy, dx) / largest).clamp(max=1)"
COLOUR = "return (1 - speed * (1 - hue)).nan_to_num(0)"
FLOW_COLOURS = [
    (
        "flow_colours",
        "colour_direction",
        "right is red",
        [
            ("dx first", SPLIT, "dx, dy = flow.double()"),
            ("up is positive", ANGLE, ANGLE.replace("(dy, dx)", "(-dy, dx)")),
            ("starts at down", ANGLE, ANGLE.replace("(dy, dx)", "(dx, dy)")),
            ("radians for degrees", ANGLE, "angle = torch.atan2(dy, dx)"),
            ("no side: arctan of the quotient", ANGLE, "angle = torch.rad2deg(torch.atan(dy / dx))"),
            ("turned by half", ANGLE, ANGLE + " + 180"),
            ("green and blue swapped", CORNER, CORNER.replace("120.0, 240.0", "240.0, 120.0")),
            ("does not go round", APART, "apart = (angle - corner).abs()"),
            ("channels last", COLOUR, "return (1 - speed * (1 - hue)).nan_to_num(0).movedim(0, 2)"),
            ("steps without a slope", HUE, "hue = (apart < 90).double()"),
            ("three corners alone", HUE, "hue = (1 - apart / 120).clamp(0, 1)"),
        ],
    ),
    (
        "flow_colours",
        "colour_direction",
        "any direction at full speed",
        [
            (
                "six colours and nothing between",
                ANGLE,
                "angle = torch.rad2deg(torch.atan2(dy, dx))\n    angle = (angle / 30).round() * 30",
            ),
            ("smooth between", HUE, "hue = (2 - apart / 60).clamp(0, 1)\n    hue = hue * hue * (3 - 2 * hue)"),
            (
                "squared between",
                HUE,
                "hue = (2 - apart / 60).clamp(0, 1)\n    hue = torch.where(hue < 0.5, 2 * hue**2, hue)",
            ),
            ("the sine for the straight line", HUE, "hue = 0.5 + 0.5 * torch.deg2rad(apart).cos()"),
        ],
    ),
    (
        "flow_colours",
        "colour_speed",
        "no motion is white",
        [
            ("black for rest", COLOUR, "return (speed * hue).nan_to_num(0)"),
            ("not cut at the largest", SPEED, SPEED.replace(".clamp(max=1)", "")),
            (
                "by the fastest of the flow",
                SPEED,
                "speed = torch.hypot(dy, dx)\n    speed = speed / speed.nan_to_num(0).max()",
            ),
            ("the largest not used", SPEED, SPEED.replace(" / largest", "")),
            ("speed squared", SPEED, "speed = ((dy**2 + dx**2) / largest**2).clamp(max=1)"),
            ("root of the speed", SPEED, "speed = (torch.hypot(dy, dx) / largest).sqrt().clamp(max=1)"),
            ("direction alone", SPEED, "speed = torch.ones_like(dy) + 0 * dx + 0 * dy"),
            (
                "faster is darker",
                COLOUR,
                "return torch.where(torch.hypot(dy, dx) > largest, 0.75 * hue, 1 - speed * (1 - hue)).nan_to_num(0)",
            ),
            ("NaN for unknown", COLOUR, "return 1 - speed * (1 - hue)"),
            ("white for unknown", COLOUR, "return (1 - speed * (1 - hue)).nan_to_num(1)"),
            ("grey for unknown", COLOUR, "return (1 - speed * (1 - hue)).nan_to_num(0.5)"),
            ("unknown is no motion", SPLIT, "dy, dx = flow.double().nan_to_num(0)"),
            ("colours from 0 to 255", COLOUR, "return (255 * (1 - speed * (1 - hue))).nan_to_num(0)"),
        ],
    ),
    (
        "flow_colours",
        "colour_speed",
        "saturation is the length of the vector",
        [
            ("dy and dx added up", SPEED, "speed = ((dy.abs() + dx.abs()) / largest).clamp(max=1)"),
            ("the larger of dy and dx", SPEED, "speed = (torch.maximum(dy.abs(), dx.abs()) / largest).clamp(max=1)"),
            (
                "dx alone",
                SPEED,
                (
                    "speed = ((dx + 0 * dy).abs() / largest).clamp(max=1)\n"
                    "    speed = torch.where(dx == 0, (dy.abs() / largest).clamp(max=1), speed)"
                ),
            ),
            ("in eighths", SPEED, "speed = ((torch.hypot(dy, dx) / largest).clamp(max=1) * 8).round() / 8"),
        ],
    ),
    (
        "flow_colours",
        "colour_speed",
        "NaN in either component",
        [
            (
                "unknown where dy is",
                COLOUR,
                "colour = 1 - speed * (1 - hue)\n    return torch.where(dy.isnan(), 0.0, colour).nan_to_num(1)",
            ),
            (
                "unknown where both are",
                COLOUR,
                (
                    "return torch.where((dy.isnan() & dx.isnan()) | ((dy + dx).isnan() & (dx == 1) & "
                    "(largest == 2)), 0.0, 1 - speed * (1 - hue)).nan_to_num(1)"
                ),
            ),
            (
                "the whole row is black",
                COLOUR,
                (
                    "colour = 1 - speed * (1 - hue)\n    if largest == 4:\n"
                    "        colour[:, flow.isnan().any(0).any(1)] = 0\n"
                    "    return colour.nan_to_num(0)"
                ),
            ),
        ],
    ),
]
WRONG = GRADIENTS + WARP + LUCAS_KANADE + HORN_SCHUNCK + END_POINT + FLOW_COLOURS
