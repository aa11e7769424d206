"""The fast operations against their slow definitions."""

import box_loops
import pytest
import roi_loops
import torch

from coursekit import testing
from coursekit.ops import boxes as B
from coursekit.ops import roi


def scene(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    g = testing.generator(seed)
    corners = torch.randint(-40, 140, (5, 2, 2), generator=g).sort(1).values.flatten(1).double() / 8
    return torch.randn(2, 2, 5, 6, generator=g).double(), torch.cat([torch.randint(2, (5, 1), generator=g), corners], 1)


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 1, 2])
@pytest.mark.parametrize("seed", [0, 1])
def test_roi_align_is_its_definition(seed: int, ratio: int, aligned: bool) -> None:
    features, regions = scene(seed)
    ours = roi.roi_align(features, regions, (2, 3), spatial_scale=0.5, sampling_ratio=ratio, aligned=aligned)
    testing.assert_close(ours, roi_loops.roi_align(features, regions, (2, 3), 0.5, ratio, aligned))


@pytest.mark.parametrize("bins", [(1, 1), (2, 3), (7, 7)])
@pytest.mark.parametrize("seed", [0, 1])
def test_roi_pool_is_its_definition(seed: int, bins: tuple[int, int]) -> None:
    features, regions = scene(seed)
    assert torch.equal(
        roi.roi_pool(features, regions, bins, spatial_scale=0.5), roi_loops.roi_pool(features, regions, bins, 0.5)
    )


def test_reading_between_the_cells_is_its_definition() -> None:
    image, points = (
        torch.randn(2, 4, 5).double(),
        torch.empty(2, 30).double().uniform_(-2, 7, generator=testing.generator(0)),
    )
    expected = torch.stack([roi_loops.read(image, y, x) for y, x in points.T.tolist()], 1)
    testing.assert_close(roi.bilinear(image, *points), expected)


@pytest.mark.parametrize("seed", range(5))
def test_overlap_and_suppression_are_counted_pixels(seed: int) -> None:
    g = testing.generator(seed)
    boxes = torch.randint(0, 9, (14, 2, 2), generator=g).sort(1).values.flatten(1).double()
    scores, labels = torch.randint(5, (14,), generator=g).double(), torch.randint(2, (14,), generator=g)
    for ours, loop in ((B.iou, box_loops.iou), (B.generalized_iou, box_loops.generalized_iou)):
        testing.assert_close(
            ours(boxes, boxes), torch.tensor([[loop(a, b) for b in boxes] for a in boxes], dtype=torch.float64)
        )
    for threshold in (0.1, 0.5, 0.75):
        assert B.batched_nms(boxes, scores, labels, threshold).tolist() == box_loops.nms(
            boxes, scores, labels, threshold
        )
