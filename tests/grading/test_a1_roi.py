"""The grader of a1_roi is software: right answers score full, each misconception loses the cell that is about it."""

from collections.abc import Callable

import pytest

BILINEAR = [
    ("nearest neighbour", "a, b = y - y0, x - x0", "a, b = round(y - y0), round(x - x0)", "bilinear_inside"),
    ("weights of x and y swapped", "a, b = y - y0, x - x0", "a, b = x - x0, y - y0", "bilinear_inside"),
    ("weights the wrong way round", "a, b = y - y0, x - x0", "a, b = 1 - (y - y0), 1 - (x - x0)", "bilinear_inside"),
    ("map indexed [x, y]", "height, width = feature.shape", "feature = feature.T\n    height, width = feature.shape", "bilinear_inside"),
    (
        "half a pixel subtracted here",
        "y0, x0 = int(y), int(x)",
        "y, x = max(y - 0.5, 0), max(x - 0.5, 0)\n    y0, x0 = int(y), int(x)",
        "bilinear_inside",
    ),
    ("one axis only", "return (1 - a) * top + a * bottom", "return top", "bilinear_inside"),
    ("no clamping", "y, x = min(max(y, 0), height - 1), min(max(x, 0), width - 1)", "y, x = float(y), float(x)", "bilinear_border"),
    ("nothing is too far out", "y < -1 or y > height or x < -1 or x > width", "False", "bilinear_border"),
    (
        "0 as soon as the map ends",
        "y < -1 or y > height or x < -1 or x > width",
        "not (0 <= y <= height - 1 and 0 <= x <= width - 1)",
        "bilinear_border",
    ),
    ("limits excluded", "y < -1 or y > height or x < -1 or x > width", "not (-1 < y < height and -1 < x < width)", "bilinear_border"),
    (
        "H and W swapped in the limits",
        "y < -1 or y > height or x < -1 or x > width",
        "y < -1 or y > width or x < -1 or x > height",
        "bilinear_border",
    ),
]
ROUNDED = "torch.sign(scaled) * torch.floor(scaled.abs() + 0.5)"
SNAP = [
    ("floor", ROUNDED, "torch.floor(scaled)", "snap_rounds"),
    ("halves to even", ROUNDED, "torch.round(scaled)", "snap_rounds"),
    ("halves up", ROUNDED, "torch.floor(scaled + 0.5)", "snap_rounds"),
    ("towards zero", ROUNDED, "torch.trunc(scaled)", "snap_rounds"),
    ("no scale", "box * spatial_scale", "box", "snap_rounds"),
    ("divides by the scale", "box * spatial_scale", "box / spatial_scale", "snap_rounds"),
    ("rounds before scaling", "box * spatial_scale", "torch.floor(box.round() * spatial_scale)", "snap_rounds"),
    ("order y, x", "return left, top, right, bottom", "return top, left, bottom, right", "snap_rounds"),
    ("end excluded", "return left, top, right, bottom", "return left, top, right - 1, bottom - 1", "snap_rounds"),
    ("the +1 forgotten", "last - first + 1", "last - first", "bins_divide"),
    ("floors at both ends", "first - (-(i + 1) * n // count)", "first + (i + 1) * n // count", "bins_divide"),
    ("ceilings at both ends", "(first + i * n // count,", "(first - (-i * n // count),", "bins_divide"),
    ("counts from 0", "(first + i * n // count, first - (", "(i * n // count, -(", "bins_divide"),
    ("not at least one cell", "max(last - first + 1, 1)", "last - first + 1", "bins_divide"),
    ("ends included", "first - (-(i + 1) * n // count)", "first - (-(i + 1) * n // count) - 1", "bins_divide"),
    (
        "all bins of one size",
        "(first + i * n // count, first - (-(i + 1) * n // count))",
        "(first + i * (n // count), first + (i + 1) * (n // count))",
        "bins_divide",
    ),
]
AMAX = "cells.amax(dim=(1, 2))"
CUT = "features[:, max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]"
ROI_POOL = [
    ("mean for max", AMAX, "cells.mean(dim=(1, 2))", "roi_pool_max"),
    ("sum for max", AMAX, "cells.sum(dim=(1, 2))", "roi_pool_max"),
    ("maximum starts at 0", AMAX, f"{AMAX}.clamp(min=0)", "roi_pool_max"),
    ("maximum over channels", AMAX, "cells.max()", "roi_pool_max"),
    ("RoIAlign for RoIPool", AMAX, "torch.stack([bilinear(f, (y0 + y1 - 1) / 2, (x0 + x1 - 1) / 2) for f in features])", "roi_pool_max"),
    ("last cell left out", "bins(top, bottom, output_size[0])", "bins(top, bottom - 1, output_size[0])", "roi_pool_max"),
    ("rows and columns swapped", "pooled[:, i, j] =", "pooled[:, j, i] =", "roi_pool_max"),
    ("x and y of the box swapped", "left, top, right, bottom = snap", "top, left, bottom, right = snap", "roi_pool_max"),
    ("no scale", "snap(box, spatial_scale)", "snap(box, 1.0)", "roi_pool_scale"),
    ("scaled twice", "snap(box, spatial_scale)", "snap(box * spatial_scale, spatial_scale)", "roi_pool_scale"),
    ("negative indices wrap", CUT, "features[:, y0:y1, x0:x1]", "roi_pool_outside"),
    (
        "empty is -inf",
        "features.new_zeros(features.shape[0], *output_size)",
        "features.new_full((len(features), *output_size), -torch.inf)",
        "roi_pool_outside",
    ),
    (
        "box cut to the map first",
        "snap(box, spatial_scale)",
        "snap(box.clamp(min=0), spatial_scale)\n    right, bottom = min(right, features.shape[2] - 1), min(bottom, features.shape[1] - 1)",
        "roi_pool_outside",
    ),
]
SHIFT = "box * spatial_scale - (0.5 if aligned else 0.0)"
STEPS = "[(k + 0.5) / sampling_ratio for k in range(sampling_ratio)]"
MEAN = "sum(bilinear(feature, y, x) for y, x in points) / len(points)"
ON_THE_MAP = """\
            height, width = features.shape[1:]
            points = [(y, x) for y, x in points if -1 <= y <= height and -1 <= x <= width] or [(-9, -9)]"""
ROI_ALIGN = [
    ("RoIPool for RoIAlign", SHIFT, "(box * spatial_scale).round()", "roi_align_mean"),
    ("sum for mean", MEAN, "sum(bilinear(feature, y, x) for y, x in points)", "roi_align_mean"),
    ("max for mean", MEAN, "max(bilinear(feature, y, x) for y, x in points)", "roi_align_mean"),
    ("shifted although not aligned", SHIFT, "box * spatial_scale - 0.5", "roi_align_mean"),
    ("x and y swapped", "bilinear(feature, y, x)", "bilinear(feature, x, y)", "roi_align_mean"),
    ("rows and columns swapped", "pooled[channel, i, j] =", "pooled[channel, j, i] =", "roi_align_mean"),
    ("first channel everywhere", "enumerate(features)", "enumerate(features[:1].expand_as(features))", "roi_align_mean"),
    ("points on a diagonal", "for v in steps for u in steps", "for v, u in zip(steps, steps)", "roi_align_mean"),
    ("no half-pixel shift", SHIFT, "box * spatial_scale", "roi_align_half_pixel"),
    ("shifted before scaling", SHIFT, "(box - (0.5 if aligned else 0.0)) * spatial_scale", "roi_align_half_pixel"),
    ("shifted the other way", SHIFT, "box * spatial_scale + (0.5 if aligned else 0.0)", "roi_align_half_pixel"),
    ("shifted in x only", SHIFT, "box * spatial_scale - torch.tensor([0.5, 0, 0.5, 0]) * aligned", "roi_align_half_pixel"),
    ("points at the corners of bins", STEPS, "[k / sampling_ratio for k in range(sampling_ratio)]", "roi_align_points"),
    ("points at thirds", STEPS, "[(k + 1) / (sampling_ratio + 1) for k in range(sampling_ratio)]", "roi_align_points"),
    ("sampling ratio ignored", STEPS, "[0.25, 0.75]", "roi_align_points"),
    ("no scale", SHIFT, "box - (0.5 if aligned else 0.0)", "roi_align_points"),
    ("at least 1 also when aligned", "0.0 if aligned else 1.0", "1.0", "roi_align_small"),
    ("never at least 1", "0.0 if aligned else 1.0", "0.0", "roi_align_small"),
    ("points off the map left out", "for v in steps for u in steps]", f"for v in steps for u in steps]\n{ON_THE_MAP}", "roi_align_outside"),
    ("box cut to the map", "box * spatial_scale -", "(box * spatial_scale).clamp(min=0) -", "roi_align_outside"),
]  # fmt: skip
ERROR = "torch.tensor(snap(box, spatial_scale), dtype=box.dtype) / spatial_scale - box"
SNAPPED = "torch.tensor(snap(box, spatial_scale), dtype=box.dtype)"
SNAPPING_ERROR = [
    ("in cells", ERROR, f"{SNAPPED} - box * spatial_scale", "snapping_error_pixels"),
    ("sign reversed", ERROR, f"box - {SNAPPED} / spatial_scale", "snapping_error_pixels"),
    ("absolute value", ERROR, f"({ERROR}).abs()", "snapping_error_pixels"),
    ("multiplied by the scale", ERROR, f"{SNAPPED} * spatial_scale - box", "snapping_error_pixels"),
    ("floor for round", SNAPPED, "torch.floor(box * spatial_scale)", "snapping_error_pixels"),
    ("last cell counted whole", SNAPPED, f"({SNAPPED} + torch.tensor([0, 0, 1, 1]))", "snapping_error_pixels"),
    ("whole pixels only", ERROR, f"({ERROR}).round()", "snapping_error_pixels"),
    ("order y, x", ERROR, f"({ERROR})[[1, 0, 3, 2]]", "snapping_error_pixels"),
]
WRONG = [
    *(("bilinear", *case) for case in BILINEAR),
    *(("snap_bins", *case) for case in SNAP),
    *(("roi_pool", *case) for case in ROI_POOL),
    *(("roi_align", *case) for case in ROI_ALIGN),
    *(("snapping_error", *case) for case in SNAPPING_ERROR),
]
# Which graded cells hang on an answer, through the functions that call each other.
ABOUT = {
    "bilinear": ("bilinear", "roi_align"),
    "snap_bins": ("snap", "bins", "roi_pool", "snapping"),
    "roi_pool": ("roi_pool",),
    "roi_align": ("roi_align",),
    "snapping_error": ("snapping",),
}

# Matrix products, float64, results that are not contiguous.
FIRST = {
    "bilinear": """
def bilinear(feature, y, x):
    def weights(n, t):
        near = 1.0 if -1 <= t <= n else 0.0
        return near * torch.relu(1 - (torch.arange(n, dtype=torch.float64) - min(max(t, 0), n - 1)).abs())

    return torch.einsum("i,ij,j->", weights(feature.shape[0], y), feature.double(), weights(feature.shape[1], x)).reshape(1)
""",
    "snap_bins": """
import math


def snap(box, spatial_scale):
    return torch.tensor([math.copysign(math.floor(abs(v) + 0.5), v) for v in (box.double() * spatial_scale).tolist()])


def bins(first, last, count):
    size = max(last - first + 1, 1) / count
    return torch.tensor([[first + math.floor(i * size), first + math.ceil((i + 1) * size)] for i in range(count)])
""",
    "roi_pool": """
def roi_pool(features, box, output_size, spatial_scale):
    def member(n, first, last, count):
        cells = torch.arange(n)
        return torch.stack([(cells >= start) & (cells < stop) for start, stop in bins(first, last, count)])

    left, top, right, bottom = [int(v) for v in snap(box, spatial_scale)]
    rows = member(features.shape[1], top, bottom, output_size[0])
    columns = member(features.shape[2], left, right, output_size[1])
    inside = rows[:, None, :, None] & columns[None, :, None, :]
    spread = torch.where(inside[..., None], features.double().permute(1, 2, 0), -torch.inf)
    pooled = spread.amax(dim=(2, 3))
    return torch.where(pooled.isinf(), 0.0, pooled).permute(2, 0, 1)
""",
    "roi_align": """
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    start = box.double()[[1, 0]] * spatial_scale - 0.5 * aligned
    size = (box.double()[[3, 2]] - box.double()[[1, 0]]) * spatial_scale
    size = size if aligned else size.clamp(min=1)

    def averaged(axis, cells):
        steps = (torch.arange(output_size[axis] * sampling_ratio) + 0.5) / (output_size[axis] * sampling_ratio)
        points = start[axis] + steps * size[axis]
        near = ((points >= -1) & (points <= cells)).double()
        hats = torch.relu(1 - (points.clamp(0, cells - 1)[:, None] - torch.arange(cells)).abs()) * near[:, None]
        return hats.reshape(output_size[axis], sampling_ratio, cells).mean(1)

    rows, columns = averaged(0, features.shape[1]), averaged(1, features.shape[2])
    return torch.einsum("ph,chw,qw->qpc", rows, features.double(), columns).permute(2, 1, 0)
""",
    "snapping_error": """
def snapping_error(box, spatial_scale):
    cells = box / (1 / spatial_scale)
    return (torch.where(cells < 0, -1, 1) * (cells.abs() + 0.5).floor() - cells) / spatial_scale
""",
}
# Plain Python and NumPy: loops, lists, numbers.
SECOND = {
    "bilinear": """
import numpy as np


def bilinear(feature, y, x):
    values = feature.numpy()
    height, width = values.shape
    if not (-1 <= y <= height and -1 <= x <= width):
        return 0
    total = 0.0
    y, x = np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)
    for i in range(height):
        for j in range(width):
            total += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * values[i, j]
    return total
""",
    "snap_bins": """
def snap(box, spatial_scale):
    scaled = box.numpy() * spatial_scale
    return np.trunc(scaled + np.copysign(0.5, scaled))


def bins(first, last, count):
    pairs = []
    cells = last - first + 1 if last >= first else 1
    for i in range(count):
        stop, rest = divmod((i + 1) * cells, count)
        pairs.append([first + (i * cells) // count, first + stop + (rest > 0)])
    return pairs
""",
    "roi_pool": """
def roi_pool(features, box, output_size, spatial_scale):
    left, top, right, bottom = (int(v) for v in snap(box, spatial_scale))
    result = []
    for channel in features.tolist():
        rows = []
        for y0, y1 in bins(top, bottom, output_size[0]):
            row = []
            for x0, x1 in bins(left, right, output_size[1]):
                cells = [channel[y][x] for y in range(y0, y1) for x in range(x0, x1) if 0 <= y < len(channel) and 0 <= x < len(channel[0])]
                row.append(max(cells, default=0))
            rows.append(row)
        result.append(rows)
    return result
""",
    "roi_align": """
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    x1, y1, x2, y2 = (float(v) * spatial_scale - aligned / 2 for v in box)
    height, width = y2 - y1, x2 - x1
    if not aligned:
        height, width = max(height, 1), max(width, 1)
    r, (ph, pw) = sampling_ratio, output_size
    fine = np.zeros((len(features), ph * r, pw * r))
    for c in range(len(features)):
        for i in range(ph * r):
            for j in range(pw * r):
                fine[c, i, j] = bilinear(features[c], y1 + (i + 0.5) * height / (ph * r), x1 + (j + 0.5) * width / (pw * r))
    return fine.reshape(len(features), ph, r, pw, r).mean((2, 4))
""",
    "snapping_error": """
def snapping_error(box, spatial_scale):
    error = []
    for value, cell in zip(box.tolist(), snap(box, spatial_scale)):
        error.append(float(cell) * round(1 / spatial_scale) - value)
    return error
""",
}


@pytest.fixture(scope="module")
def a1(assignment: Callable[[str], object]) -> object:
    return assignment("a1_roi")


def test_solution_scores_full(a1) -> None:
    assert a1.lost({}) == set()
    assert sum(a1.points.values()) == 85  # and 15 for the written answer


def test_stub_scores_nothing(a1) -> None:
    assert a1.lost(a1.stubs) == set(a1.points)


@pytest.mark.parametrize("answers", [FIRST, SECOND], ids=["matrix form, float64", "loops, numpy and lists"])
def test_written_differently_scores_full(a1, answers: dict[str, str]) -> None:
    assert set(answers) == set(a1.answers)
    assert a1.lost(answers) == set()


@pytest.mark.parametrize(("answer", "name", "old", "new", "cell"), WRONG, ids=[f"{w[0]}: {w[1]}" for w in WRONG])
def test_misconception_loses_the_cell_about_it(a1, answer: str, name: str, old: str, new: str, cell: str) -> None:
    right = a1.answers[answer]
    assert old in right
    lost = a1.lost({answer: right.replace(old, new)})
    assert cell in lost
    assert all(other.startswith(ABOUT[answer]) for other in lost)


@pytest.mark.parametrize("answer", ABOUT)
def test_at_least_six_misconceptions_an_exercise(answer: str) -> None:
    assert sum(case[0] == answer for case in WRONG) >= 6


CLOSED = {
    "torch.nn.functional.grid_sample": """
import torch.nn.functional as renamed


def bilinear(feature, y, x):
    height, width = feature.shape
    grid = torch.tensor([[[[2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1]]]])
    return renamed.grid_sample(feature[None, None], grid, align_corners=True, padding_mode="border").reshape(())
""",
    "torchvision.ops.roi_pool": """
from torchvision.ops import roi_pool as renamed


def roi_pool(features, box, output_size, spatial_scale):
    return renamed(features[None], [box[None]], output_size, spatial_scale)[0]
""",
    "torch.ops.torchvision.roi_align": """
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    regions = torch.cat([torch.zeros(1), box])[None]
    return torch.ops.torchvision.roi_align(features[None], regions, spatial_scale, *output_size, sampling_ratio, aligned)[0]
""",
}


@pytest.mark.parametrize(("answer", "closed"), zip(["bilinear", "roi_pool", "roi_align"], CLOSED))
def test_closed_is_refused(a1, answer: str, closed: str) -> None:
    messages = a1.messages({answer: CLOSED[closed]})
    for cell in (cell for cell in a1.points if cell.startswith(answer)):
        assert f"{answer} calls {closed}" in messages[cell]
