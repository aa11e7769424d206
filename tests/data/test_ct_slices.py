"""Slices with nodules: each instance is where something was set in, or is the tumour that the CT came with."""

import numpy as np
import pytest
import torch
from scipy import ndimage

from coursekit.data.ct import scans
from coursekit.data.ct.nodule_slices import Slices, slices


@pytest.fixture(scope="module")
def found() -> Slices:
    return slices(split="test", count=40, size=96)


def test_shapes_boxes_and_patients(found: Slices) -> None:
    assert (found.source, found.scan, len(found)) == ("real", "lung2", 40)
    assert found.spacing_mm == pytest.approx((0.626953125, 0.626953125))
    assert (tuple(found.images.shape), found.images.dtype) == ((40, 1, 96, 96), torch.float32)
    assert (tuple(found.labels.shape), found.labels.dtype) == ((40, 96, 96), torch.int64)
    assert (float(found.images.min()) >= 0, float(found.images.max()) <= 1) == (True, True)
    counts = [int(item.labels.max()) for item in found]
    assert {0, 1, 2} <= set(counts)
    for item, count in zip(found, counts):
        assert item.boxes.shape == (count, 4)
        for label, (x1, y1, x2, y2) in enumerate(item.boxes.long().tolist(), start=1):
            rows, columns = (item.labels == label).nonzero().unbind(1)
            assert (int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())) == (
                y1,
                y2 - 1,
                x1,
                x2 - 1,
            )
            assert len(rows) >= 12


def place(image: np.ndarray, plane: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Where in the slice a square lies: the turn of it that, at some corner, equals the slice nearly everywhere."""
    for quarters in range(4):
        for mirrored in (False, True):
            square = np.rot90(image[:, ::-1] if mirrored else image, quarters)
            for r, c in np.argwhere(np.abs(plane[:-95, :-95] - square[0, 0]) < 1e-6):
                part = plane[r : r + 96, c : c + 96]
                if (np.abs(part[::5, ::5] - square[::5, ::5]) < 1e-6).mean() > 0.6:
                    return square, part, np.array([r, c, quarters, mirrored])
    return None


def test_outside_the_instances_a_square_is_the_scan_itself(found: Slices) -> None:
    ct = scans.load("lung2")
    checked = 0
    for k in range(12):
        plane = scans.window(ct.scan.values[found.planes[k]], **scans.LUNG).numpy()
        seen = place(found.images[k, 0].numpy(), plane)
        if seen is None:
            continue  # its first corner lies in a nodule
        square, part, (r, c, quarters, mirrored) = seen
        labels = found.labels[k].numpy()
        labels = np.rot90(labels[:, ::-1] if mirrored else labels, quarters)
        tumour = ct.label.values[found.planes[k], r : r + 96, c : c + 96].numpy()
        assert bool(tumour.any()) == bool(found.real[k])
        set_in = (labels > 0) & ~tumour
        changed = np.abs(square - part) > 0.02
        assert not changed[~ndimage.binary_dilation(labels > 0, iterations=12)].any()
        assert (square - part)[set_in].mean() > 0.1 if set_in.any() else not changed.any()
        checked += 1
    assert checked >= 10


def test_the_real_tumour_is_an_instance_where_it_is_in_view(found: Slices) -> None:
    assert 2 <= int(found.real.sum()) <= 16
    for k in found.real.nonzero()[:, 0].tolist():
        assert int((found.labels[k] == 1).sum()) >= 12


def test_the_same_again_and_what_is_refused(refuses, found: Slices) -> None:
    again = slices(split="test", count=3, size=96)
    assert torch.equal(again.images, found.images[:3])
    assert torch.equal(again.labels, found.labels[:3])
    assert not torch.equal(slices(split="test", count=3, size=96, seed=1).images, again.images)
    refuses("split to be one of", slices, split="all")
    refuses("a square of at most 512 pixels", slices, split="train", size=513)
    refuses("count and size > 0", slices, split="train", count=0)
