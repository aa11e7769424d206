"""Answers of a1_roi that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."""

NEAR = "y < -1 or y > height or x < -1 or x > width"
CLAMP = "y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)"
NEXT = "y1, x1 = min(y0 + 1, height - 1), min(x0 + 1, width - 1)"
AB = "a, b = y - y0, x - x0"
BILINEAR = [
    (
        "bilinear",
        "bilinear_inside",
        "y counts rows",
        [
            ("nearest neighbour", AB, "a, b = round(y - y0), round(x - x0)"),
            ("weights of x and y swapped", AB, "a, b = x - x0, y - y0"),
            ("weights the wrong way round", AB, "a, b = 1 - (y - y0), 1 - (x - x0)"),
            (
                "map indexed [x, y]",
                "height, width = feature.shape",
                "feature = feature.T\n    height, width = feature.shape",
            ),
            (
                "half a pixel subtracted here",
                CLAMP,
                "y, x = min(max(y - 0.5, 0), height - 1), min(max(x - 0.5, 0), width - 1)",
            ),
            (
                "rows only",
                "return (1 - a) * top + a * bottom",
                "return (1 - a) * feature[y0, x0] + a * feature[y1, x0]",
            ),
            ("columns only", "return (1 - a) * top + a * bottom", "return top"),
            ("mean of the four", AB, "a, b = 0.5, 0.5"),
            ("weights squared", AB, "a, b = (y - y0) ** 2, (x - x0) ** 2"),
            ("y, x rounded to the nearest neighbour first", "y0, x0 = int(y), int(x)", "y0, x0 = round(y), round(x)"),
            ("whole numbers", "return (1 - a) * top + a * bottom", "return ((1 - a) * top + a * bottom).round()"),
        ],
    ),
    (
        "bilinear",
        "bilinear_inside",
        "the map that is passed in",
        [
            ("cut at 0", "return (1 - a) * top + a * bottom", "return ((1 - a) * top + a * bottom).clamp(min=0)"),
            (
                "remembers the place, not the map",
                "    height, width = feature.shape\n",
                (
                    "    height, width = feature.shape\n"
                    "    feature = bilinear.__dict__.setdefault((height, width, y, x), feature)\n"
                ),
            ),
        ],
    ),
    (
        "bilinear",
        "bilinear_border",
        "first the test for 'too far out'",
        [
            ("no clamping", CLAMP, "y, x = float(y), float(x)"),
            ("nothing is too far out", NEAR, "False"),
            ("too far out in y only", NEAR, "y < -1 or y > height"),
            ("too far out in x only", NEAR, "x < -1 or x > width"),
            ("0 as soon as the map ends", NEAR, "not (0 <= y <= height - 1 and 0 <= x <= width - 1)"),
            ("0 half a cell beyond the map", NEAR, "not (-0.5 <= y <= height - 0.5 and -0.5 <= x <= width - 0.5)"),
            ("H - 1 and W - 1 for the limits", NEAR, "y < -1 or y > height - 1 or x < -1 or x > width - 1"),
            ("limits one cell too far", NEAR, "y < -2 or y > height + 1 or x < -2 or x > width + 1"),
            ("H and W swapped in the limits", NEAR, "y < -1 or y > width or x < -1 or x > height"),
            ("both must be too far out", NEAR, "(y < -1 or y > height) and (x < -1 or x > width)"),
            (
                "clamped before the test",
                "    if y < -1",
                "    y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)\n    if y < -1",
            ),
            (
                "zeros around the map",
                CLAMP,
                (
                    "y, x = y + 1, x + 1\n    feature = torch.nn.functional.pad(feature, (1, 2, 1, 2))\n"
                    "    height, width = feature.shape"
                ),
            ),
            (
                "mirrored at the border",
                CLAMP,
                "y, x = abs(y), abs(x)\n    y, x = height - 1 - abs(height - 1 - y), width - 1 - abs(width - 1 - x)",
            ),
            ("goes round the map", CLAMP, "y, x = y % height, x % width"),
            (
                "clamped to H and W",
                CLAMP,
                (
                    "y, x = min(max(y, 0), height), min(max(x, 0), width)\n    feature = "
                    "torch.nn.functional.pad(feature, (0, 1, 0, 1))\n    height, width = feature.shape"
                ),
            ),
        ],
    ),
    (
        "bilinear",
        "bilinear_border",
        "still count as near",
        [
            ("limits excluded", NEAR, "not (-1 < y < height and -1 < x < width)"),
            ("lower limits excluded", NEAR, "not (-1 < y <= height and -1 < x <= width)"),
            ("upper limits excluded", NEAR, "not (-1 <= y < height and -1 <= x < width)"),
        ],
    ),
    (
        "bilinear",
        "bilinear_border",
        "one row or one column",
        [
            (
                "next row always read",
                CLAMP + "\n    y0, x0 = int(y), int(x)\n    " + NEXT,
                CLAMP
                + (
                    "\n    y0, x0 = max(min(int(y), height - 2), 0), max(min(int(x), width - 2), 0)\n"
                    "    y1, x1 = y0 + 1, x0 + 1"
                ),
            )
        ],
    ),
]

ROUNDED = "torch.sign(scaled) * torch.floor(scaled.abs() + 0.5)"
BACK = "return left, top, right, bottom"
SNAP = [
    (
        "snap_bins",
        "snap_rounds",
        "scale first, then round",
        [
            ("floor", ROUNDED, "torch.floor(scaled)"),
            ("outwards", ROUNDED, "torch.cat([scaled[:2].floor(), scaled[2:].ceil()])"),
            ("halves to even", ROUNDED, "torch.round(scaled)"),
            ("halves down", ROUNDED, "torch.ceil(scaled - 0.5)"),
            ("halves towards zero", ROUNDED, "torch.sign(scaled) * torch.ceil(scaled.abs() - 0.5)"),
            ("towards zero", ROUNDED, "torch.trunc(scaled)"),
            ("no scale", "box * spatial_scale", "box"),
            ("divides by the scale", "box * spatial_scale", "box / spatial_scale"),
            ("scaled twice", "box * spatial_scale", "box * spatial_scale**2"),
            ("rounds before scaling", "box * spatial_scale", "torch.floor(box.round() * spatial_scale)"),
            (
                "only starts are scaled",
                "box * spatial_scale",
                "box * torch.tensor([spatial_scale, spatial_scale, 1, 1])",
            ),
            ("order y, x", BACK, "return top, left, bottom, right"),
            ("order x, x, y, y", BACK, "return left, right, top, bottom"),
            ("end excluded", BACK, "return left, top, right - 1, bottom - 1"),
            ("one past the end", BACK, "return left, top, right + 1, bottom + 1"),
            ("width and height for the end", BACK, "return left, top, right - left, bottom - top"),
        ],
    ),
    (
        "snap_bins",
        "snap_rounds",
        "negative coordinates round away from zero",
        [
            ("ceiling", ROUNDED, "torch.ceil(scaled)"),
            ("halves up", ROUNDED, "torch.floor(scaled + 0.5)"),
            ("int(x + 0.5)", ROUNDED, "torch.trunc(scaled + 0.5)"),
            ("sign lost", ROUNDED, "torch.floor(scaled.abs() + 0.5)"),
            ("cut at 0", ROUNDED, f"({ROUNDED}).clamp(min=0)"),
        ],
    ),
    (
        "snap_bins",
        "snap_rounds",
        "need not be a whole number of pixels wide",
        [("divides by whole pixels a cell", "box * spatial_scale", "box / max(int(1 / spatial_scale), 1)")],
    ),
]

N = "n = max(last - first + 1, 1)"
START, STOP = "first + i * n // count", "first - (-(i + 1) * n // count)"
PAIR = f"({START}, {STOP})"
BINS = [
    (
        "snap_bins",
        "bins_divide",
        "a bin starts at a floor and stops at a ceiling",
        [
            ("the +1 forgotten", "last - first + 1", "last - first"),
            ("floors at both ends", STOP, "first + (i + 1) * n // count"),
            ("ceilings at both ends", f"({START},", "(first - (-i * n // count),"),
            ("rounded at both ends", PAIR, "(first + round(i * n / count), first + round((i + 1) * n / count))"),
            ("ceiling and floor swapped", PAIR, "(first - (-i * n // count), first + (i + 1) * n // count)"),
            ("counts from 0", "(first + i * n // count, first - (", "(i * n // count, -("),
            ("ends included", STOP, f"{STOP} - 1"),
            (
                "bins of one size, the rest left over",
                PAIR,
                "(first + i * (n // count), first + (i + 1) * (n // count))",
            ),
            (
                "bins of one size, the rest in the last",
                PAIR,
                "(first + i * (n // count), first + (i + 1) * (n // count) + (n % count) * (i == count - 1))",
            ),
            ("bins of one size, rounded up", PAIR, "(first + i * -(-n // count), first + (i + 1) * -(-n // count))"),
            (
                "no shared cells",
                f"[{PAIR} for i in range(count)]",
                (
                    "[(int(c[0]), int(c[-1]) + 1) if len(c) else (first, first) for c in torch.arange(first, first "
                    "+ n).tensor_split(count)]"
                ),
            ),
            ("int + 1 for ceiling", PAIR, f"({START}, first + int((i + 1) * n / count) + 1)"),
            ("start and length", PAIR, f"({START}, {STOP} - ({START}))"),
        ],
    ),
    (
        "snap_bins",
        "bins_divide",
        "n is at least 1",
        [
            ("not at least one cell", N, "n = last - first + 1"),
            ("at least no cell", N, "n = max(last - first + 1, 0)"),
            ("at least one cell unless it is exactly none", N, "n = last - first + 1 if last - first + 1 >= 0 else 1"),
            ("one cell only where there is exactly none", N, "n = last - first + 1 or 1"),
            ("ends turned round", N, "n = abs(last - first) + 1\n    first = min(first, last)"),
            ("at least a cell for each bin", N, "n = max(last - first + 1, count)"),
            ("towards zero for floor", PAIR, f"(int(first + i * n / count), {STOP})"),
            ("ends cut at 0", PAIR, f"(max({START}, 0), max({STOP}, 0))"),
        ],
    ),
]

AMAX = "cells.amax(dim=(1, 2))"
CUT = "features[:, max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]"
LEFT = "left, top, right, bottom = snap(box, spatial_scale)"


def own(rounding):
    return LEFT, f"left, top, right, bottom = {rounding}.long().tolist()"


ZEROS = "features.new_zeros(features.shape[0], *output_size)"
ROI_POOL = [
    (
        "roi_pool",
        "roi_pool_max",
        "the maximum over columns",
        [
            ("mean for max", AMAX, "cells.mean(dim=(1, 2))"),
            ("sum for max", AMAX, "cells.sum(dim=(1, 2))"),
            ("minimum for max", AMAX, "cells.amin(dim=(1, 2))"),
            (
                "RoIAlign for RoIPool",
                AMAX,
                "torch.stack([bilinear(f, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2) for f in features])",
            ),
            ("first cell of the bin", AMAX, "cells[:, 0, 0]"),
            ("last row left out", "bins(top, bottom, output_size[0])", "bins(top, bottom - 1, output_size[0])"),
            ("last column left out", "bins(left, right, output_size[1])", "bins(left, right - 1, output_size[1])"),
            ("one row too many", "bins(top, bottom, output_size[0])", "bins(top, bottom + 1, output_size[0])"),
            ("rows and columns swapped", "pooled[:, i, j] =", "pooled[:, j, i] ="),
            ("x and y of the box swapped", "left, top, right, bottom = snap", "top, left, bottom, right = snap"),
            ("output_size taken as (columns, rows)", "output_size[1]", "output_size[0]"),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_max",
        "what does yours start from",
        [
            ("largest distance from 0", AMAX, "cells.abs().amax(dim=(1, 2))"),
            ("maximum starts at 0", AMAX, f"{AMAX}.clamp(min=0)"),
            ("maximum starts at -1", AMAX, f"{AMAX}.clamp(min=-1)"),
            ("maximum over channels", AMAX, "cells.max()"),
            ("first channel everywhere", AMAX, "cells[:1].amax(dim=(1, 2))"),
            ("last cell of the bin", AMAX, "cells[:, -1, -1]"),
            (
                "remembers the box, not the map",
                "    left, top",
                "    features = roi_pool.__dict__.setdefault((*box.tolist(), output_size), features)\n    left, top",
            ),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_max",
        "neighbours may share one",
        [
            (
                "a box of one cell is empty",
                LEFT,
                f"{LEFT}\n    if left == right or top == bottom:\n        return {ZEROS}",
            ),
            (
                "bins share no cell",
                "            cells =",
                (
                    "            y1, x1 = min(y1, top + (i + 1) * (bottom - top + 1) // output_size[0]), "
                    "min(x1, left + (j + 1) * (right - left + 1) // output_size[1])\n            cells ="
                ),
            ),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_scale",
        "multiply the box by spatial_scale",
        [
            ("no scale", LEFT, "left, top, right, bottom = snap(box, 1.0)"),
            ("scaled twice", "snap(box, spatial_scale)", "snap(box * spatial_scale, spatial_scale)"),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_scale",
        "then snap it as in Exercise 2",
        [
            ("scaled after snapping", "snap(box, spatial_scale)", "(int(v * spatial_scale) for v in snap(box, 1.0))"),
            (
                "divides by whole pixels a cell",
                "snap(box, spatial_scale)",
                "snap(box, 1 / max(int(1 / spatial_scale), 1))",
            ),
            ("floors on its own", *own("(box * spatial_scale)")),
            (
                "outwards on its own",
                *own("torch.cat([(box[:2] * spatial_scale).floor(), (box[2:] * spatial_scale).ceil()])"),
            ),
            ("halves to even on its own", *own("(box * spatial_scale).round()")),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_outside",
        "divide the whole box into bins first",
        [
            ("negative ends wrap", CUT, "features[:, max(y0, 0) : y1, max(x0, 0) : x1]"),
            (
                "zeros around the map",
                CUT,
                "torch.nn.functional.pad(features, (30, 30, 30, 30))[:, y0 + 30 : y1 + 30, x0 + 30 : x1 + 30]",
            ),
        ],
    ),
    (
        "roi_pool",
        "roi_pool_outside",
        "only then is a bin empty",
        [
            ("empty is -inf", ZEROS, "features.new_full((len(features), *output_size), -torch.inf)"),
            (
                "empty is the smallest of the map",
                ZEROS,
                "features.amin(dim=(1, 2))[:, None, None].repeat(1, *output_size)",
            ),
            (
                "a bin off the map takes the nearest cell",
                CUT,
                (
                    "features[:, max(min(y0, features.shape[1] - 1), 0) : max(y1, 1), max(min(x0, features.shape[2] "
                    "- 1), 0) : max(x1, 1)]"
                ),
            ),
            (
                "a bin partly off the map is empty",
                CUT,
                (
                    "features[:, y0 if y0 >= 0 else y1 : y1 if y1 <= features.shape[1] else y0, x0 if x0 >= "
                    "0 else x1 : x1 if x1 <= features.shape[2] else x0]"
                ),
            ),
            (
                "a box that leaves the map is empty",
                LEFT,
                (
                    f"{LEFT}\n    if left < 0 or top < 0 or right >= features.shape[2] or bottom >= "
                    f"features.shape[1]:\n        return {ZEROS}"
                ),
            ),
            (
                "box cut to the map first",
                LEFT,
                (
                    f"{LEFT}\n    left, top, right, bottom = max(left, 0), max(top, 0), min(right, "
                    "features.shape[2] - 1), min(bottom, features.shape[1] - 1)"
                ),
            ),
            ("left cut first", LEFT, f"{LEFT}\n    left = max(left, 0)"),
            ("negative indices wrap", CUT, "features[:, y0:y1, x0:x1]"),
            ("top cut first", LEFT, f"{LEFT}\n    top = max(top, 0)"),
            ("right cut first", LEFT, f"{LEFT}\n    right = min(right, features.shape[2] - 1)"),
            ("bottom cut first", LEFT, f"{LEFT}\n    bottom = min(bottom, features.shape[1] - 1)"),
            ("box moved onto the map", LEFT, f"{LEFT}\n    left, right = left - min(left, 0), right - min(left, 0)"),
        ],
    ),
]

SHIFT = "box * spatial_scale - (0.5 if aligned else 0.0)"
STEPS = "[(k + 0.5) / sampling_ratio for k in range(sampling_ratio)]"
MEAN = "sum(bilinear(feature, y, x) for y, x in points) / len(points)"
SMALL = "smallest = 0.0 if aligned else 1.0"
HEIGHT, WIDTH = (
    "bin_height = max(y2 - y1, smallest) / output_size[0]",
    "bin_width = max(x2 - x1, smallest) / output_size[1]",
)
ON_THE_MAP = """\
            height, width = features.shape[1:]
            points = [(y, x) for y, x in points if -1 <= y <= height and -1 <= x <= width] or [(-9, -9)]"""
PIXELS = (
    "x1, y1, x2, y2 = box.tolist()\n    x2, y2 = (x2, y2) if aligned else (max(x2, x1 + 1), "
    "max(y2, y1 + 1))\n    x1, y1, x2, y2 = (v * spatial_scale - (0.5 if aligned else 0.0) "
    "for v in (x1, y1, x2, y2))\n    smallest = 0.0"
)
FULLSHIFT = f"x1, y1, x2, y2 = ({SHIFT}).tolist()\n    {SMALL}"
GRID = "points = [(y1 + (i + v) * bin_height, x1 + (j + u) * bin_width) for v in steps for u in steps]"


def far(limits):
    return (
        GRID,
        GRID
        + (
            f"\n            height, width = features.shape[1:]\n"
            f"            points = [(y, x) if {limits} else (-9, -9) for y, x in points]"
        ),
    )


ROI_ALIGN = [
    (
        "roi_align",
        "roi_align_mean",
        "average the points of a bin",
        [
            ("RoIPool for RoIAlign", SHIFT, "(box * spatial_scale).round()"),
            ("box snapped", SHIFT, "torch.tensor(snap(box, spatial_scale)) - (0.5 if aligned else 0.0)"),
            ("points rounded", "bilinear(feature, y, x)", "bilinear(feature, round(y), round(x))"),
            ("bins of whole cells", WIDTH, "bin_width = max(x2 - x1, smallest) // output_size[1]"),
            ("first channel everywhere", "enumerate(features)", "enumerate(features[:1].expand_as(features))"),
            (
                "mean of the channels",
                "enumerate(features)",
                "enumerate(features.mean(0, keepdim=True).expand_as(features))",
            ),
            ("points on a diagonal", "for v in steps for u in steps", "for v, u in zip(steps, steps)"),
            (
                "remembers the box, not the map",
                "    x1, y1",
                (
                    "    features = roi_align.__dict__.setdefault((*box.tolist(), output_size, aligned), features)\n"
                    "    x1, y1"
                ),
            ),
        ],
    ),
    (
        "roi_align",
        "roi_align_mean",
        "the value at its middle",
        [
            ("sum for mean", MEAN, "sum(bilinear(feature, y, x) for y, x in points)"),
            ("max for mean", MEAN, "max(bilinear(feature, y, x) for y, x in points)"),
            ("shifted although not aligned", SHIFT, "box * spatial_scale - 0.5"),
            ("aligned the wrong way round", SHIFT, "box * spatial_scale - (0.0 if aligned else 0.5)"),
            ("x and y swapped", "bilinear(feature, y, x)", "bilinear(feature, x, y)"),
            ("rows and columns swapped", "pooled[channel, i, j] =", "pooled[channel, j, i] ="),
            ("output_size taken as (columns, rows)", "    x1, y1", "    output_size = output_size[::-1]\n    x1, y1"),
            ("the last cell included", HEIGHT, "bin_height = max(y2 - y1 + 1, smallest) / output_size[0]"),
            ("width for height", HEIGHT, "bin_height = max(x2 - x1, smallest) / output_size[0]"),
            ("end for size", HEIGHT, "bin_height = max(y2, smallest) / output_size[0]"),
        ],
    ),
    (
        "roi_align",
        "roi_align_half_pixel",
        "subtract half a cell from all four",
        [
            ("no half-pixel shift", SHIFT, "box * spatial_scale"),
            ("shifted the other way", SHIFT, "box * spatial_scale + (0.5 if aligned else 0.0)"),
            ("shifted by a whole cell", SHIFT, "box * spatial_scale - (1.0 if aligned else 0.0)"),
            ("shifted in x only", SHIFT, "box * spatial_scale - torch.tensor([0.5, 0, 0.5, 0]) * aligned"),
            ("shifted in y only", SHIFT, "box * spatial_scale - torch.tensor([0, 0.5, 0, 0.5]) * aligned"),
            ("left and top shifted only", SHIFT, "box * spatial_scale - torch.tensor([0.5, 0.5, 0, 0]) * aligned"),
            ("right and bottom shifted only", SHIFT, "box * spatial_scale - torch.tensor([0, 0, 0.5, 0.5]) * aligned"),
            (
                "box drawn in by half a cell",
                SHIFT,
                "box * spatial_scale - torch.tensor([-0.5, -0.5, 0.5, 0.5]) * aligned",
            ),
            ("not aligned if nothing is said", "aligned: bool = True", "aligned: bool = False"),
        ],
    ),
    (
        "roi_align",
        "roi_align_half_pixel",
        "whatever spatial_scale is",
        [
            ("shifted before scaling", SHIFT, "(box - (0.5 if aligned else 0.0)) * spatial_scale"),
            (
                "divides by whole pixels a cell",
                SHIFT,
                "box / max(int(1 / spatial_scale), 1) - (0.5 if aligned else 0.0)",
            ),
        ],
    ),
    (
        "roi_align",
        "roi_align_points",
        "one point lies in the middle",
        [
            ("points at the corners of bins", STEPS, "[k / sampling_ratio for k in range(sampling_ratio)]"),
            ("points at thirds", STEPS, "[(k + 1) / (sampling_ratio + 1) for k in range(sampling_ratio)]"),
            ("points from edge to edge", STEPS, "[k / max(sampling_ratio - 1, 1) for k in range(sampling_ratio)]"),
            ("middle of the bin alone", STEPS, "[0.5]"),
            ("sampling ratio ignored", STEPS, "[0.25, 0.75]"),
            (
                "sampling ratio counts all points",
                STEPS,
                "[(k + 0.5) / round(sampling_ratio**0.5) for k in range(round(sampling_ratio**0.5))]",
            ),
            (
                "points as many as the bin is wide",
                STEPS,
                "[(k + 0.5) / max(round(bin_width + 0.49), 1) for k in range(max(round(bin_width + 0.49), 1))]",
            ),
            (
                "points of the whole box in each bin",
                GRID,
                (
                    "points = [(y1 + (i + v) * bin_height, x1 + (v * output_size[1]) * bin_width) for v in steps "
                    "for u in steps]"
                ),
            ),
            ("no scale", SHIFT, "box - (0.5 if aligned else 0.0)"),
            ("scaled twice", SHIFT, "box * spatial_scale**2 - (0.5 if aligned else 0.0)"),
            ("divides by the scale", SHIFT, "box / spatial_scale - (0.5 if aligned else 0.0)"),
        ],
    ),
    (
        "roi_align",
        "roi_align_points",
        "how many points a side",
        [
            (
                "at most two points a side",
                STEPS,
                "[(k + 0.5) / min(sampling_ratio, 2) for k in range(min(sampling_ratio, 2))]",
            )
        ],
    ),
    (
        "roi_align",
        "roi_align_small",
        "width and height at least 1 cell",
        [
            ("at least 1 also when aligned", SMALL, "smallest = 1.0"),
            ("at least 1 only when aligned", SMALL, "smallest = 1.0 if aligned else 0.0"),
            ("never at least 1", SMALL, "smallest = 0.0"),
            ("at least 1 pixel of the input", FULLSHIFT, PIXELS),
            ("at least one cell's worth of scale", SMALL, "smallest = 0.0 if aligned else spatial_scale"),
            ("at least 1 in width only", HEIGHT, "bin_height = (y2 - y1) / output_size[0]"),
            ("at least 1 in height only", WIDTH, "bin_width = (x2 - x1) / output_size[1]"),
            (
                "at least 1, the middle stays",
                SMALL,
                (
                    f"{SMALL}\n    if not aligned:\n"
                    f"        x1, y1 = min(x1, (x1 + x2 - 1) / 2), min(y1, (y1 + y2 - 1) / 2)"
                ),
            ),
            (
                "at least 1, right and bottom stay",
                SMALL,
                f"{SMALL}\n    if not aligned:\n        x1, y1 = min(x1, x2 - 1), min(y1, y2 - 1)",
            ),
        ],
    ),
    (
        "roi_align",
        "roi_align_small",
        "counted in cells of the map",
        [
            (
                "at least 1 for each bin",
                f"{HEIGHT}\n    {WIDTH}",
                (
                    "bin_height = max((y2 - y1) / output_size[0], smallest)\n"
                    "    bin_width = max((x2 - x1) / output_size[1], smallest)"
                ),
            ),
            (
                "both at least 1 if one is smaller",
                SMALL,
                f"{SMALL}\n    if not aligned and min(x2 - x1, y2 - y1) < 1:\n        x2, y2 = x1 + 1, y1 + 1",
            ),
            ("a box of no size gives 0", SMALL, f"{SMALL}\n    if x2 <= x1 or y2 <= y1:\n        return {ZEROS}"),
        ],
    ),
    (
        "roi_align",
        "roi_align_outside",
        "do not cut the box",
        [
            ("points off the map left out", GRID, f"{GRID}\n{ON_THE_MAP}"),
            ("box cut to the map", "box * spatial_scale -", "(box * spatial_scale).clamp(min=0) -"),
            (
                "points moved onto the map",
                GRID,
                (
                    f"{GRID}\n            points = [(min(max(y, 0), features.shape[1] - 1), min(max(x, 0), "
                    "features.shape[2] - 1)) for y, x in points]"
                ),
            ),
            (
                "a box that leaves the map is 0",
                SMALL,
                (
                    f"{SMALL}\n    if x1 < -1 or y1 < -1 or x2 > features.shape[2] or y2 > features.shape[1]:\n"
                    f"        return {ZEROS}"
                ),
            ),
        ],
    ),
    (
        "roi_align",
        "roi_align_outside",
        "counts as 0 in the mean",
        [
            (
                "right and bottom cut to the map",
                SMALL,
                f"{SMALL}\n    x2, y2 = min(x2, features.shape[2]), min(y2, features.shape[1])",
            ),
            (
                "right and bottom cut to the last cell",
                SMALL,
                f"{SMALL}\n    x2, y2 = min(x2, features.shape[2] - 1), min(y2, features.shape[1] - 1)",
            ),
            ("a point off the map is 0 at once", *far("0 <= y <= height - 1 and 0 <= x <= width - 1")),
            ("lower limits excluded", *far("-1 < y and -1 < x")),
            ("upper limits excluded", *far("y < height and x < width")),
            ("H and W swapped in the limits", *far("y <= width and x <= height")),
        ],
    ),
]

ERROR = "torch.tensor(snap(box, spatial_scale), dtype=box.dtype) / spatial_scale - box"
SNAPPED = "torch.tensor(snap(box, spatial_scale), dtype=box.dtype)"
S = "box * spatial_scale"
SNAPPING_ERROR = [
    (
        "snapping_error",
        "snapping_error_pixels",
        "snapped to 1 cell",
        [
            ("in cells", ERROR, f"{SNAPPED} - {S}"),
            ("sign reversed", ERROR, f"box - {SNAPPED} / spatial_scale"),
            ("absolute value", ERROR, f"({ERROR}).abs()"),
            ("multiplied by the scale", ERROR, f"{SNAPPED} * spatial_scale - box"),
            ("not taken back to the input", ERROR, f"{SNAPPED} - box"),
            ("share of a cell", ERROR, f"({ERROR}) * spatial_scale"),
            ("sum of the four", ERROR, f"({ERROR}).sum()"),
            ("width and height only", ERROR, f"({ERROR})[2:] - ({ERROR})[:2]"),
            ("floor for round", SNAPPED, f"torch.floor({S})"),
            ("last cell counted whole", SNAPPED, f"({SNAPPED} + torch.tensor([0, 0, 1, 1]))"),
            ("middle of the cell", SNAPPED, f"({SNAPPED} + 0.5)"),
            ("whole pixels only", ERROR, f"({ERROR}).round()"),
            ("order y, x", ERROR, f"({ERROR})[[1, 0, 3, 2]]"),
        ],
    ),
    (
        "snapping_error",
        "snapping_error_pixels",
        "half a cell goes away from zero",
        [
            ("halves to even on its own", SNAPPED, f"torch.round({S})"),
            ("halves up on its own", SNAPPED, f"torch.floor({S} + 0.5)"),
            ("halves towards zero on its own", SNAPPED, f"torch.sign({S}) * torch.ceil(({S}).abs() - 0.5)"),
            ("halves down on its own", SNAPPED, f"torch.ceil({S} - 0.5)"),
            ("whole pixels a cell", ERROR, f"{SNAPPED} * max(int(1 / spatial_scale), 1) - box"),
        ],
    ),
    (
        "snapping_error",
        "snapping_error_pixels",
        "divide the snapped coordinates by the scale",
        [
            ("int(x + 0.5) on its own", SNAPPED, f"torch.trunc({S} + 0.5)"),
            ("cut at 0", ERROR, f"({SNAPPED} / spatial_scale).clamp(min=0) - box"),
        ],
    ),
]

WRONG = [*BILINEAR, *SNAP, *BINS, *ROI_POOL, *ROI_ALIGN, *SNAPPING_ERROR]
