"""RoIAlign and RoIPool of all boxes at once are their definitions, box by box, in values and gradients."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from coursekit import testing
from coursekit.fast.sparse import dense_product, sparse_product
from coursekit.ops import roi

SIDES = st.tuples(st.integers(1, 9), st.integers(1, 9))
BINS = st.tuples(st.integers(1, 4), st.integers(1, 4))
DTYPES = st.sampled_from([torch.float32, torch.float64])


def scene(seed: int, size: tuple[int, int], *, count: int = 7, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Whole numbers with many ties on two maps, and boxes in eighths that also lie off the map and have no size."""
    g = testing.generator(seed)
    corners = torch.randint(-40, 140, (count, 2, 2), generator=g).sort(1).values.flatten(1) / 8
    corners[::5, 2:] = corners[::5, :2]
    image = torch.randint(2, (count, 1), generator=g)
    return torch.randint(-3, 4, (2, 3, *size), generator=g).to(dtype), torch.cat([image, corners], 1).to(dtype)


def one_by_one(definition, features: Tensor, regions: Tensor, size: tuple[int, int], **knobs: object) -> Tensor:
    pooled = [definition(features[int(image)], box, size, **knobs) for image, box in split(regions)]
    return torch.stack([features.new_zeros(features.shape[1], *size), *pooled])[1:]


def split(regions: Tensor) -> list[tuple[Tensor, Tensor]]:
    return [(row[0], row[1:]) for row in regions]


@settings(max_examples=40)
@given(st.integers(0, 9999), SIDES, BINS, st.integers(0, 70), st.integers(0, 3), st.booleans(), DTYPES)
def test_roi_align(
    seed: int, sides: tuple[int, int], bins: tuple[int, int], count: int, ratio: int, aligned: bool, dtype: torch.dtype
) -> None:
    features, regions = scene(seed, sides, count=count, dtype=dtype)
    knobs = {"spatial_scale": 0.5, "sampling_ratio": ratio, "aligned": aligned}
    expected = one_by_one(roi.roi_align_by_definition, features, regions, bins, **knobs)
    testing.assert_close(roi.roi_align(features, regions, bins, **knobs), expected)


@settings(max_examples=40)
@given(st.integers(0, 9999), SIDES, BINS, st.integers(0, 70), DTYPES)
def test_roi_pool(seed: int, sides: tuple[int, int], bins: tuple[int, int], count: int, dtype: torch.dtype) -> None:
    features, regions = scene(seed, sides, count=count, dtype=dtype)
    expected = one_by_one(roi.roi_pool_by_definition, features, regions, bins, spatial_scale=0.5)
    assert torch.equal(roi.roi_pool(features, regions, bins, spatial_scale=0.5), expected)


@pytest.mark.parametrize("ratio", [0, 2])
def test_gradients(ratio: int) -> None:
    """Without ties: the definition of RoIPool shares a gradient among equals, the engine gives it to the first."""
    features, regions = scene(3, (9, 7), dtype=torch.float64)
    features = torch.randn(features.shape, generator=testing.generator(4), dtype=torch.float64)
    for function, definition, knobs in (
        (roi.roi_align, roi.roi_align_by_definition, {"sampling_ratio": ratio}),
        (roi.roi_pool, roi.roi_pool_by_definition, {}),
    ):
        gradients = []
        for pool in (function, lambda *arguments, d=definition, **more: one_by_one(d, *arguments, **more)):
            leaf = features.clone().requires_grad_()
            pooled = pool(leaf, regions, (3, 2), spatial_scale=0.5, **knobs)
            gradients += torch.autograd.grad(pooled.square().sum(), leaf)
        testing.assert_close(*gradients)


def test_the_two_products_are_one() -> None:
    """Sparse on a CPU, dense on a GPU, some boxes at a time."""
    features = torch.randn(2, 3, 9, 11, dtype=torch.float64)
    weights = [
        (torch.randint(2, (k,)), torch.rand(k, 3, 9, dtype=torch.float64), torch.rand(k, 2, 11, dtype=torch.float64))
        for k in (4, 1, 6)
    ]
    for _, wy, wx in weights:
        wy[wy < 0.7], wx[wx < 0.7] = 0, 0  # some bins read nothing
    testing.assert_close(dense_product(features, weights, (3, 2)), sparse_product(features, weights, (3, 2)))
    assert dense_product(features, [], (3, 2)).shape == sparse_product(features, [], (3, 2)).shape == (0, 3, 3, 2)
