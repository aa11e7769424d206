"""What assignment a1_roi closes, its checks refuse under any name."""

from collections.abc import Callable
from pathlib import Path

import pytest

from coursegrade.cases import read_cases

ROOT = Path(__file__).parents[2]

CLOSED = {
    "torch.nn.functional.grid_sample": """
import torch.nn.functional as renamed


def bilinear(feature, y, x):
    height, width = feature.shape
    grid = torch.tensor([[[[2 * x / (width - 1) - 1, 2 * y / (height - 1) - 1]]]])
    return renamed.grid_sample(feature[None, None], grid, align_corners=True, padding_mode="border").reshape(())
""",
    "scipy.signal": """
def bilinear(feature, y, x):
    from scipy.signal import convolve2d

    top, left = min(int(y), feature.shape[0] - 2), min(int(x), feature.shape[1] - 2)
    down, right = y - top, x - left
    weights = [[down * right, down * (1 - right)], [(1 - down) * right, (1 - down) * (1 - right)]]
    return torch.tensor(convolve2d(feature[top : top + 2, left : left + 2].numpy(), weights, "valid")).reshape(())
""",
    "torchvision.ops.roi_pool": """
from torchvision.ops import roi_pool as renamed


def roi_pool(features, box, output_size, spatial_scale):
    return renamed(features[None], [box[None]], output_size, spatial_scale)[0]
""",
    "torch.ops.torchvision.roi_align": """
def roi_align(features, box, output_size, spatial_scale, sampling_ratio, aligned=True):
    regions = torch.cat([torch.zeros(1), box])[None]
    align = torch.ops.torchvision.roi_align
    return align(features[None], regions, spatial_scale, *output_size, sampling_ratio, aligned)[0]
""",
    "coursekit.fast.maxima.range_maximum": """
from coursekit.fast.maxima import range_maximum as renamed


def roi_pool(features, box, output_size, spatial_scale):
    cells = torch.tensor([[[0, 1]]])
    return renamed(features[None], torch.zeros(1).long(), cells, cells)[0]
""",
}


@pytest.mark.parametrize(
    ("answer", "closed"), list(zip(["bilinear", "bilinear", "roi_pool", "roi_align", "roi_pool"], CLOSED))
)
def test_closed_is_refused(assignment: Callable[[str], object], answer: str, closed: str) -> None:
    a1 = assignment("a1_roi")
    messages = a1.messages({answer: CLOSED[closed]})
    for cell in (cell for cell in a1.points if cell.startswith(answer)):
        assert f"{answer} calls {closed}" in messages[cell]


@pytest.mark.parametrize(
    ("mistake", "words"),
    [
        ("bilinear: weights of x and y swapped", "Swapped weights in `bilinear` then cost {:g} points"),
        ("snap_bins: halves to even", "halves rounded to even {:g}"),
        ("snap_bins: the +1 forgotten", 'the "+ 1" left out of `bins` {:g};'),
    ],
)
def test_the_sheet_says_what_an_early_mistake_costs(
    assignment: Callable[[str], object], mistake: str, words: str
) -> None:
    (case,) = [case for case in read_cases(ROOT, "a1_roi") if case.name == mistake]
    a1, sheet = assignment("a1_roi"), (ROOT / "docs" / "assignments" / "a1_roi.md").read_text(encoding="utf-8")
    assert words.format(sum(a1.points[cell] for cell in a1.lost(case.answers))) in sheet
