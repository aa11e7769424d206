"""(2+1)D convolutions against torchvision's on copied weights; the regressor and the ventricle's U-Net."""

import pytest
import torch
from torch import nn
from torchvision.models.video import resnet

from coursekit.models import echo
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda


@pytest.mark.parametrize(("inputs", "outputs", "stride"), [(8, 8, 1), (4, 12, 2), (3, 5, 1)])
def test_a_block_equals_torchvisions_on_copied_weights(inputs: int, outputs: int, stride: int) -> None:
    torch.manual_seed(0)
    around = None
    if stride != 1 or inputs != outputs:
        around = nn.Sequential(nn.Conv3d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm3d(outputs))
    theirs = resnet.BasicBlock(inputs, outputs, resnet.Conv2Plus1D, stride, around)
    ours = echo.ResidualBlock(inputs, outputs, stride=stride)
    ours.load_state_dict(dict(zip(ours.state_dict(), theirs.state_dict().values(), strict=True)))
    x = torch.randn(2, inputs, 5, 9, 7, generator=generator(0))
    assert_close(ours(x), theirs(x))
    assert_close(ours.eval()(x), theirs.eval()(x))


@pytest.mark.parametrize(("inputs", "outputs"), [(16, 16), (16, 32), (64, 128)])
def test_apart_has_about_the_parameters_of_together(inputs: int, outputs: int) -> None:
    middle = echo.middle_width(inputs, outputs)
    apart = 9 * inputs * middle + 3 * middle * outputs
    assert 0.97 < apart / (27 * inputs * outputs) <= 1
    assert sum(p.numel() for p in echo.Conv2Plus1D(inputs, outputs, middle).parameters()) == apart + 2 * middle


@pytest.mark.parametrize("size", [(8, 32, 32), (5, 33, 47), (1, 16, 16)])
def test_one_number_a_clip_and_the_mean_before_training(size: tuple[int, int, int]) -> None:
    said = echo.EFRegressor(mean_percent=57.5)(torch.rand(3, 1, *size))
    assert_close(said, torch.full((3,), 57.5))


def test_parameters_by_formula() -> None:
    a, b = 4, 6
    stem = 25 * a + 2 * a + 3 * a * a + 2 * a

    def block(i: int, o: int, around: bool) -> int:
        m = echo.middle_width(i, o)
        one, two = 9 * i * m + 2 * m + 3 * m * o + 2 * o, 9 * o * m + 2 * m + 3 * m * o + 2 * o
        return one + two + (i * o + 2 * o if around else 0)

    model = echo.EFRegressor(widths=(a, b))
    assert sum(p.numel() for p in model.parameters()) == stem + block(a, a, False) + block(a, b, True) + b + 1


def test_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    model, clip, truth = echo.EFRegressor(widths=(4, 8)), torch.rand(4, 1, 6, 16, 16), torch.tensor([25.0, 40, 55, 70])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(80):
        loss = (model(clip) - truth).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 2


def test_the_ventricle_net_answers_for_every_pixel() -> None:
    assert echo.ventricle_net()(torch.rand(2, 1, 45, 52)).shape == (2, 2, 45, 52)


def test_runs_where_its_input_lies_and_in_bfloat16() -> None:
    clip = torch.rand(1, 1, 4, 16, 16)
    with fake_cuda() as to_cuda:
        assert to_cuda(echo.EFRegressor(widths=(4, 6)))(to_cuda(clip)).device.type == "cuda"
        assert to_cuda(echo.ventricle_net())(to_cuda(clip)[:, :, 0]).device.type == "cuda"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(echo.EFRegressor(widths=(4, 6)).eval()(clip)).all()


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses("clip of shape", echo.EFRegressor.forward, echo.EFRegressor(), torch.zeros(1, 1, 8, 8))
    refuses("inputs and outputs > 0", echo.middle_width, 0, 3)
