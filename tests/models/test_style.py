"""Style as band statistics: an exact pyramid, what moves over and what stays, on known and on real images."""

import pytest
import torch
from skimage.filters import threshold_otsu
from torch import Tensor

from coursekit.data import nuclei
from coursekit.models import style
from coursekit.models.style import bands, join, restyle, style_of
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda, gradcheck


def rough(*size: int, seed: int = 0) -> Tensor:
    """Something with structure at all scales, in float64."""
    x = torch.randn(*size, generator=generator(seed), dtype=torch.float64)
    return x + 3 * style.blur(x) + 5 * style.blur(style.blur(x)) + 10


@pytest.mark.parametrize("size", [(64, 64), (37, 50), (17, 16)])
def test_bands_add_up_to_the_image(size: tuple[int, int]) -> None:
    x = rough(2, 1, *size)
    pieces = bands(x)
    assert len(pieces) == 5
    assert pieces[-1].shape[-1] == -(-size[1] // 16)
    assert_close(join(pieces), x)


def test_a_ramp_lies_in_the_coarse_image_alone() -> None:
    ramp = torch.arange(64, dtype=torch.float64).expand(1, 1, 64, 64)
    assert all(piece[..., 8:-8, 8:-8].abs().max() < 1e-12 for piece in bands(ramp)[:2])


def test_an_image_in_its_own_style_stays() -> None:
    x = rough(3, 1, 40, 33)
    assert_close(restyle(x, x), x)


def test_the_statistics_of_the_style_move_over() -> None:
    image = rough(2, 1, 64, 64)
    grainy = (
        0.3 * rough(2, 1, 80, 96, seed=1)
        + 2
        + 0.5 * torch.randn(2, 1, 80, 96, generator=generator(2), dtype=torch.float64)
    )
    found, goal, before = style_of(restyle(image, grainy)), style_of(grainy), style_of(image)
    assert_close(found.mean[:, -1], goal.mean[:, -1], rtol=0.02)
    gap = (
        (found.std[:, :3] / goal.std[:, :3]).log().abs()
    )  # splitting again is not exact: neighbouring bands share something
    assert gap.max() < 0.25
    assert (before.std[:, :3] / goal.std[:, :3]).log().abs().max() > 0.7


def test_brightness_and_contrast_of_the_image_do_not_matter() -> None:
    x, other = rough(1, 1, 48, 48), rough(1, 1, 48, 48, seed=3)
    assert_close(restyle(4 * x - 7, other), restyle(x, other))


def test_missing_grain_is_filled_with_noise() -> None:
    """A smooth image in a grainy style: with a generator flat parts become grainy, without one edges sharper."""
    smooth = torch.zeros(1, 1, 64, 64, dtype=torch.float64)
    smooth[..., 20:44, 20:44] = 1.0
    smooth = style.blur(smooth)
    grainy = smooth + 0.2 * torch.randn(1, 1, 64, 64, generator=generator(0), dtype=torch.float64)
    sharp, noisy = restyle(smooth, grainy), restyle(smooth, grainy, generator=generator(1))
    corner = (..., slice(0, 12), slice(0, 12))
    assert sharp[corner].std() < 0.02
    assert noisy[corner].std().item() == pytest.approx(grainy[corner].std().item(), rel=0.4)
    assert torch.equal(noisy, restyle(smooth, grainy, generator=generator(1)))


def test_one_style_for_all() -> None:
    style_image, x = rough(1, 1, 32, 32), rough(2, 1, 32, 32, seed=1)
    assert_close(restyle(x, style_image), torch.cat([restyle(x[i : i + 1], style_image) for i in (0, 1)]))


def test_labels_stay_true_on_real_nuclei() -> None:
    """A threshold finds the same nuclei as before in an image made darker, blurred and grainy."""
    real = nuclei.load(split="train")
    image = real.image[None]
    other = (
        style.blur(style.blur(image.roll(100, 2))) * 0.5 + 0.2 + 0.02 * torch.randn(image.shape, generator=generator(0))
    )
    found = [threshold_otsu(x.clamp(0, 0.5).numpy()) for x in (image, restyle(image, other))]
    masks = [x[0, 0].clamp(0, 0.5) > t for x, t in zip((image, restyle(image, other)), found)]
    truth = real.labels > 0
    dice = [2 * (m & truth).sum() / (m.sum() + truth.sum()) for m in masks]
    assert dice[0] > 0.8
    assert dice[1] > dice[0] - 0.03


def test_differentiable_in_both_images() -> None:
    assert gradcheck(restyle, rough(1, 1, 16, 16), rough(1, 1, 17, 16, seed=1))


def test_flat_images_stay_finite() -> None:
    flat, x = torch.full((1, 1, 32, 32), 3.0), rough(1, 1, 32, 32).float()
    assert_close(restyle(x, flat), flat)
    assert restyle(flat, x).isfinite().all()


def test_runs_where_its_input_lies_and_in_half_precision() -> None:
    x, one = rough(2, 1, 32, 32).float(), rough(1, 1, 40, 32).float()
    with fake_cuda() as to_cuda:
        assert restyle(to_cuda(x), to_cuda(one)).device.type == "cuda"
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (restyle(x, x) - x).abs().max() < 0.5


def test_refuses_what_it_cannot_take(refuses) -> None:
    x = torch.rand(2, 1, 32, 32)
    refuses(r"image of shape \(N, 1, H, W\)", restyle, torch.rand(1, 3, 32, 32), x)
    refuses("at least 16 pixels a side", restyle, x[..., :15], x)
    refuses("image to be finite", restyle, x * torch.nan, x)
    refuses("image to be floating point", bands, (x * 255).byte())
    refuses("expected one style, or 2, got 3", restyle, x, torch.rand(3, 1, 32, 32))
    refuses("most >= 1", restyle, x, x, most=0.5)
