"""Phantoms: what the truth says is what the image shows."""

import math

import pytest
import torch

from coursekit.data.simulated import phantoms
from coursekit.data.simulated.phantoms import Stamp
from coursekit.testing import assert_close, generator


def square(side: int) -> Stamp:
    return Stamp(torch.ones(side, side), torch.ones(side, side, dtype=torch.bool))


def neighbours(labels: torch.Tensor) -> int:
    """How many labels touch an earlier one, diagonals included."""
    count = 0
    for label in range(2, int(labels.max()) + 1):
        grown = torch.nn.functional.max_pool2d((labels == label)[None].float(), 3, 1, 1)[0] > 0
        count += bool((grown & (labels > 0) & (labels < label)).any())
    return count


def test_a_nucleus_is_what_its_size_says() -> None:
    """Area of the ellipse within the drawn range, in one piece, narrower than the gap of the split."""
    for seed in range(50):
        light, mask = phantoms.nucleus(generator=generator(seed))
        rows, columns = mask.any(1).sum(), mask.any(0).sum()
        assert math.pi * 10 * 5 * 0.97 < mask.sum() < math.pi * 15 * 15 * 0.85 * 1.03
        assert max(rows, columns) <= 32
        assert mask[mask.shape[0] // 2, mask.shape[1] // 2]
        assert light[mask].mean() > 5 * light[~mask].mean()


def test_the_stamp_holds_nearly_all_light_of_its_nucleus() -> None:
    """Nothing is cut at the edge of the stamp."""
    for seed in range(20):
        light, _ = phantoms.nucleus(generator=generator(seed))
        edge = torch.cat([light[0], light[-1], light[:, 0], light[:, -1]])
        assert edge.max() < 1e-4 * light.max()


def test_blur_of_a_point_is_the_gaussian_and_keeps_the_sum() -> None:
    point = torch.zeros(31, 31, dtype=torch.float64)
    point[15, 15] = 2
    out = phantoms.blur(point, sigma=2.0)
    assert_close(out.sum(), torch.tensor(2.0, dtype=torch.float64))
    assert_close(out[15, 18] / out[15, 15], torch.tensor(math.exp(-9 / 8), dtype=torch.float64))
    assert_close(out, out.T)


def test_light_adds_and_the_earlier_nucleus_keeps_shared_pixels() -> None:
    image, labels = torch.zeros(6, 6), torch.zeros(6, 6, dtype=torch.int64)
    phantoms._lay(image, labels, square(3), (0, 0), 1)
    phantoms._lay(image, labels, square(3), (2, 2), 2)
    phantoms._lay(image, labels, square(3), (5, -2), 3)  # mostly off the image
    assert image[2, 2] == 2
    assert labels[2, 2] == 1
    assert labels.flatten().bincount().tolist() == [36 - 9 - 8 - 1, 9, 8, 1]
    assert image.sum() == 9 + 9 + 1


@pytest.mark.parametrize("touching", [0.0, 1.0])
def test_touching_is_what_was_asked_for(touching: float) -> None:
    _, labels = phantoms.nuclei(count=12, size=(200, 180), touching=touching, generator=generator(3))
    assert neighbours(labels) == (11 if touching else 0)


def test_touching_nuclei_hide_at_most_a_tenth() -> None:
    stamps = [square(10) for _ in range(15)]
    image, labels = phantoms.scatter(stamps, torch.zeros(120, 120), touching=0.5, generator=generator(1))
    assert 0 < neighbours(labels) < 14
    inside = [int((labels == k).sum()) for k in range(1, 16)]
    assert min(inside) >= 50 - 10  # at most half off the image, at most a tenth hidden
    assert image.max() <= 3


def test_at_least_half_of_a_nucleus_is_on_the_image() -> None:
    """On a small image, where a corner would often leave a quarter."""
    for seed in range(60):
        _, labels = phantoms.scatter([square(11)], torch.zeros(16, 16), generator=generator(seed))
        assert (labels == 1).sum() >= 61


def test_the_image_shows_the_labels() -> None:
    image, labels = phantoms.nuclei(generator=generator(0))
    assert (image.shape, labels.shape, int(labels.max())) == ((1, 512, 512), (512, 512), 125)
    assert labels.unique().tolist() == list(range(126))
    assert image.min() >= 0
    assert image.max() <= 1
    background = image[0][labels == 0]
    dimmest = min(float(image[0][labels == k].mean()) for k in range(1, 126))
    assert dimmest > background.mean() + background.std()


def test_the_generator_decides_everything() -> None:
    made = [phantoms.nuclei(count=5, size=(96, 96), generator=generator(seed)) for seed in (4, 4, 5)]
    (one, labels), (same, same_labels), (other, _) = made
    assert torch.equal(one, same)
    assert torch.equal(labels, same_labels)
    assert not torch.equal(one, other)


def test_no_nuclei_is_background() -> None:
    image, labels = phantoms.nuclei(count=0, size=(40, 30), generator=generator(0))
    assert image.shape == (1, 40, 30)
    assert not labels.any()


def test_bad_wishes_are_refused(refuses) -> None:
    refuses("room for", phantoms.nuclei, count=40, size=(64, 64), generator=generator(0))
    refuses("touching in", phantoms.nuclei, count=2, touching=1.5, generator=generator(0))
    refuses("size > 0", phantoms.nuclei, size=(0, 4), generator=generator(0))
    refuses("count >= 0", phantoms.nuclei, count=-1, generator=generator(0))


def test_a_speck_that_can_touch_none_lies_apart() -> None:
    speck = Stamp(torch.ones(3, 3), torch.ones(3, 3, dtype=torch.bool))
    for seed in range(8):
        _, labels = phantoms.scatter(
            [speck] * 9, torch.zeros(64, 64), touching=1.0, generator=torch.Generator().manual_seed(seed)
        )
        assert labels.max() == 9
