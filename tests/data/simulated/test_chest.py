"""The phantom chest: its parts are where they are said to be, and its vessels fill lung alone and taper."""

import numpy as np
import pytest
import torch

from coursekit.data.scan import aligned
from coursekit.data.seeds import stream
from coursekit.data.simulated.chest import LUNG, TUMOUR, Plan, chest, lung_of, vessels_of

PLAN = Plan((24, 160, 160), (8.0, 1.8, 1.8), 20.0, (0.3, 0.2, 0.35))


def test_its_parts_have_their_density_and_the_same_names_make_the_same_chest() -> None:
    scan, tumour = chest(PLAN, generator=stream(0, "chest"))
    aligned(scan, tumour)
    assert (tuple(scan.values.shape), scan.values.dtype, scan.unit, scan.axes) == (
        PLAN.shape,
        torch.float32,
        "HU",
        "SPL",
    )
    assert float(scan.values[tumour.values].mean()) == pytest.approx(TUMOUR, abs=3)
    share = [(np.arange(n) + 0.5) * 2 / n - 1 for n in PLAN.shape]
    assert float(scan.values[torch.from_numpy(lung_of(share, 1))].median()) == pytest.approx(LUNG, abs=10)
    assert torch.equal(chest(PLAN, generator=stream(0, "chest"))[0].values, scan.values)


def test_vessels_lie_in_the_lung_reach_all_over_it_and_are_wider_at_the_hilum() -> None:
    steps, shape = np.array(PLAN.spacing_mm), np.array(PLAN.shape)
    grid = [(np.arange(n) + 0.5) * step - n * step / 2 for n, step in zip(shape, steps)]
    lung = lung_of([axis * 2 / (n * step) for axis, n, step in zip(grid, shape, steps)], 1)
    hilum = shape * steps / 2 * [0, 0.1, 0.16]
    mask = vessels_of(lung, grid, hilum, stream(0, "tree"))
    assert not mask[~lung].any()
    far = np.linalg.norm(np.stack(np.meshgrid(*grid, indexing="ij"), -1) - hilum, axis=-1)
    near, apart, rim = (mask[lung & (far >= low) & (far < low + 40)].mean() for low in (0, 40, 80))
    assert near > 2 * apart
    assert apart > rim > 0
