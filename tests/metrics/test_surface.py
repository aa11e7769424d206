"""Surface distances against a loop, MONAI and scikit-image, and answers known by construction."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice
from reference.metric_loops import distances_loop, surface_loop
from skimage.metrics import hausdorff_distance

from coursekit.metrics import surface as sf
from coursekit.testing import assert_close
from tests.tensors import fake_cuda


def blobs(shape: tuple[int, ...], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two overlapping smooth blobs."""
    g = torch.Generator().manual_seed(seed)
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij"))
    out = []
    for _ in range(2):
        centre, radii = torch.rand(len(shape), generator=g) * 0.6 - 0.3, 0.3 + 0.4 * torch.rand(len(shape), generator=g)
        view = (-1, *[1] * len(shape))
        out.append((((grid - centre.view(view)) / radii.view(view)) ** 2).sum(0) < 1)
    return out[0], out[1]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=3), st.integers(0, 9999))
@settings(max_examples=50)
def test_distances_equal_the_loop(shape: list[int], seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    truth, prediction = (torch.rand(shape, generator=g) > 0.4 for _ in range(2))
    spacing = (2.5, 0.7, 1.1)[: len(shape)]
    assert sf.surface(truth).nonzero().tolist() == [list(v) for v in surface_loop(truth)]
    there, back = sf.surface_distances(truth, prediction, spacing_mm=spacing)
    a, b = distances_loop(truth, prediction, spacing)
    assert_close(there, torch.tensor(a, dtype=torch.float64))
    assert_close(back, torch.tensor(b, dtype=torch.float64))


@pytest.mark.filterwarnings("ignore:monai.metrics.utils:FutureWarning")
@pytest.mark.parametrize("shape", [(40, 31), (20, 24, 28)])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_record_equals_monai(shape: tuple, seed: int) -> None:
    truth, prediction = blobs(shape, seed)
    spacing = (3.0, 0.8, 1.3)[: len(shape)]
    ours = sf.surface_record(truth, prediction, spacing_mm=spacing, tolerance_mm=2.0)
    pair = (prediction[None, None], truth[None, None])
    theirs = [
        compute_hausdorff_distance(*pair, include_background=True, spacing=spacing),
        compute_hausdorff_distance(*pair, include_background=True, spacing=spacing, percentile=95),
        compute_average_surface_distance(*pair, include_background=True, spacing=spacing, symmetric=True),
        compute_surface_dice(*pair, [2.0], include_background=True, spacing=spacing),
    ]
    values = [ours.hausdorff_mm, ours.hd95_mm, ours.assd_mm, ours.surface_dice]
    assert_close(torch.tensor(values), torch.cat(theirs).flatten().float())


def test_hausdorff_equals_scikit_image_on_surfaces() -> None:
    truth, prediction = blobs((18, 20, 22), 5)
    ours = sf.surface_record(truth, prediction, spacing_mm=(1, 1, 1)).hausdorff_mm
    assert ours == pytest.approx(hausdorff_distance(sf.surface(truth).numpy(), sf.surface(prediction).numpy()))


@pytest.mark.parametrize("spacing", [0.1, 0.7, 0.9])
def test_a_distance_that_equals_the_tolerance_is_within_it_wherever_the_masks_lie(spacing: float) -> None:
    for place in (0, 3, 9, 17):
        truth, moved = torch.zeros(40, 4, dtype=torch.bool), torch.zeros(40, 4, dtype=torch.bool)
        truth[place : place + 10], moved[place + 3 : place + 13] = True, True
        for tolerance, dice in ((round(3 * spacing, 1), 1.0), (2.99 * spacing, 0.75)):
            record = sf.surface_record(truth, moved, spacing_mm=(spacing, spacing), tolerance_mm=tolerance)
            assert (record.surface_dice == 1) == (dice == 1)


def test_a_known_shift() -> None:
    """Two points three slices of 2.5 mm apart; a square moved by one of its 0.5 mm columns."""
    truth, prediction = torch.zeros(5, 4, 4, dtype=torch.bool), torch.zeros(5, 4, 4, dtype=torch.bool)
    truth[1, 2, 2], prediction[4, 2, 2] = True, True
    record = sf.surface_record(truth, prediction, spacing_mm=(2.5, 0.5, 0.5), tolerance_mm=7.5)
    assert record == sf.SurfaceRecord(7.5, 7.5, 7.5, 1.0, 7.5, 1, 1)
    square = torch.zeros(6, 8, dtype=torch.bool)
    square[1:4, 1:4] = True
    record = sf.surface_record(square, square.roll(1, 1), spacing_mm=(4.0, 0.5), tolerance_mm=0.4)
    # eight border pixels each; five of each lie on the other's border, the other column is one pixel off, as is the
    # hole's rim
    assert record.hausdorff_mm == 0.5
    assert record.truth_voxels == record.predicted_voxels == 8
    assert record.surface_dice == pytest.approx(8 / 16)
    assert record.assd_mm == pytest.approx(8 * 0.5 / 16)


def test_hd95_is_the_larger_direction() -> None:
    """One far voxel in the prediction: the truth sees nothing of it, the prediction's 95th percentile does."""
    truth = torch.zeros(60, dtype=torch.bool)
    truth[0] = True
    prediction = truth.clone()
    prediction[[10, 50]] = True
    record = sf.surface_record(truth, prediction, spacing_mm=(1.0,))
    assert record.hd95_mm == pytest.approx(np.percentile([0, 10, 50], 95))
    assert sf.surface_record(prediction, truth, spacing_mm=(1.0,)).hd95_mm == pytest.approx(record.hd95_mm)


def test_empty_masks() -> None:
    none, one = torch.zeros(3, 3, dtype=torch.bool), torch.ones(3, 3, dtype=torch.bool)
    knobs = {"spacing_mm": (1.0, 1.0), "tolerance_mm": 1.0}
    assert sf.surface_record(none, none, **knobs) == sf.SurfaceRecord(0, 0, 0, 1.0, 1.0, 0, 0)
    missed, invented = sf.surface_record(one, none, **knobs), sf.surface_record(none, one, **knobs)
    assert missed == sf.SurfaceRecord(math.inf, math.inf, math.inf, 0.0, 1.0, 8, 0)
    assert (invented.truth_voxels, invented.predicted_voxels, invented.surface_dice) == (0, 8, 0.0)
    assert sf.surface_record(none[:0], none[:0], **knobs).surface_dice == 1.0


@given(st.integers(0, 999), st.floats(0.1, 9))
@settings(max_examples=20)
def test_laws(seed: int, scale: float) -> None:
    """Symmetric; 0 for equal masks; a unit twice as small doubles every distance; percentiles and means stay below the
    maximum.
    """
    truth, prediction = blobs((9, 8, 7), seed)
    spacing = (1.0, 2.0, 0.5)
    there = sf.surface_record(truth, prediction, spacing_mm=spacing)
    back = sf.surface_record(prediction, truth, spacing_mm=spacing)
    assert (there.hausdorff_mm, there.hd95_mm) == (back.hausdorff_mm, back.hd95_mm)
    assert there.assd_mm == pytest.approx(back.assd_mm)
    assert sf.surface_record(truth, truth, spacing_mm=spacing).hausdorff_mm == 0
    wide = sf.surface_record(truth, prediction, spacing_mm=tuple(s * scale for s in spacing))
    assert wide.assd_mm == pytest.approx(scale * there.assd_mm)
    assert max(there.hd95_mm, there.assd_mm) <= there.hausdorff_mm


def test_views_and_a_fake_gpu() -> None:
    mask = torch.rand(4, 5, 6) > 0.3
    assert_close(sf.surface(mask.permute(2, 0, 1)), sf.surface(mask).permute(2, 0, 1))
    with fake_cuda() as to_cuda:
        assert sf.surface(to_cuda(mask)).device.type == "cuda"


def test_bad_input(refuses) -> None:
    mask = torch.ones(3, 4, dtype=torch.bool)
    refuses("spacing_mm > 0", sf.surface_record, mask, mask, spacing_mm=(1.0, -0.5))
    refuses("spacing_mm > 0", sf.surface_record, mask, mask, spacing_mm=(1.0, math.nan))
    refuses("give one an axis", sf.surface_record, mask, mask, spacing_mm=(1.0, 1.0, 1.0))
    refuses("resample one to the other", sf.surface_distances, mask, mask[:2], spacing_mm=(1.0, 1.0))
    refuses("prediction to be boolean", sf.surface_distances, mask, mask.float(), spacing_mm=(1.0, 1.0))
    refuses("tolerance_mm >= 0", sf.surface_record, mask, mask, spacing_mm=(1.0, 1.0), tolerance_mm=-1.0)
