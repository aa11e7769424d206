"""Pasting a mask: exact boxes, agreement with grid_sample, and the way back through RoIAlign."""

import pytest
import torch
import torch.nn.functional as F

from coursekit import testing
from coursekit.ops.paste import paste
from coursekit.ops.roi import roi_align
from tests.tensors import fake_cuda, gradcheck

BOXES = torch.tensor([[2.0, 3.0, 5.0, 7.0], [1.3, 0.2, 9.8, 8.1], [-3.0, -2.0, 4.0, 20.0]])


def test_a_full_mask_fills_its_half_open_box() -> None:
    image = paste(torch.ones(1, 4, 4), BOXES[:1], (10, 8))[0]
    assert image[3:7, 2:5].eq(1).all()
    assert image.sum() == 12


@pytest.mark.parametrize(("first", "last"), [(0.5, 2.5), (1.5, 4.5), (0.5, 3.0), (1.0, 3.5), (0.7, 0.9), (-0.5, 1.5)])
def test_a_pixel_whose_centre_is_the_far_edge_is_outside(first: float, last: float) -> None:
    filled = [i for i in range(6) if first <= i + 0.5 < last]
    image = paste(torch.ones(1, 3, 3), torch.tensor([[first, 0.0, last, 2.0]]), (2, 6))[0]
    assert image[0].nonzero()[:, 0].tolist() == filled
    assert (
        paste(torch.ones(1, 3, 3), torch.tensor([[0.0, first, 2.0, last]]), (6, 2))[0, :, 0].nonzero()[:, 0].tolist()
        == filled
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_masks_are_laid_where_their_boxes_are(dtype: torch.dtype) -> None:
    masks, box = torch.rand(1, 5, 7).to(dtype), torch.tensor([[2049.0, 1.3, 2060.0, 8.1]])
    image = paste(masks, box, (9, 2070))
    assert image.dtype == dtype
    assert torch.equal(image, paste(masks.float(), box, (9, 2070)).to(dtype))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_inside_the_box_it_is_bilinear_resizing(dtype: torch.dtype) -> None:
    masks = torch.rand(3, 5, 7, dtype=dtype)
    y, x = torch.meshgrid(torch.arange(12, dtype=dtype) + 0.5, torch.arange(11, dtype=dtype) + 0.5, indexing="ij")
    for mask, box, image in zip(masks, BOXES.to(dtype), paste(masks, BOXES.to(dtype), (12, 11))):
        x1, y1, x2, y2 = box
        u, v = (x - x1) / (x2 - x1), (y - y1) / (y2 - y1)
        grid = torch.stack([u, v], -1)[None].to(dtype) * 2 - 1
        expected = F.grid_sample(mask[None, None], grid, padding_mode="border", align_corners=False)[0, 0]
        testing.assert_close(image, expected * ((u >= 0) & (u <= 1) & (v >= 0) & (v <= 1)))


def test_roi_align_reads_back_what_was_pasted_linearly() -> None:
    ramp = torch.linspace(0, 1, 8, dtype=torch.float64).expand(1, 8, 8)
    box = torch.tensor([[4.0, 4.0, 36.0, 36.0]], dtype=torch.float64)
    image = paste(ramp, box, (40, 40))[:, None]
    back = roi_align(image, [box], 8, sampling_ratio=4)[0, 0]
    testing.assert_close(back[1:-1, 1:-1], ramp[0, 1:-1, 1:-1])


def test_gradient_device_empty_and_degenerate() -> None:
    assert gradcheck(lambda m: paste(m, BOXES.double(), (6, 5)), torch.rand(3, 2, 3))
    assert paste(torch.zeros(0, 4, 4), torch.zeros(0, 4), (6, 5)).shape == (0, 6, 5)
    assert paste(torch.ones(1, 4, 4), torch.tensor([[2.0, 2.0, 2.0, 2.0]]), (4, 4)).sum() == 0
    with fake_cuda() as to_cuda:
        assert paste(to_cuda(torch.rand(3, 4, 4)), to_cuda(BOXES), (6, 5)).device.type == "cuda"


def test_refuses_what_does_not_fit(refuses) -> None:
    refuses("expected 3 boxes, got 1", paste, torch.rand(3, 4, 4), BOXES[:1], (5, 5))
    refuses("masks of shape", paste, torch.rand(4, 4), BOXES, (5, 5))
    refuses("size > 0", paste, torch.rand(3, 4, 4), BOXES, (0, 5))
