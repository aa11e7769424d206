"""Flow as colours and as channels."""

import pytest
import torch
from torchvision.utils import flow_to_image

from coursekit import flow, testing
from tests.tensors import fake_cuda


def test_the_wheel_has_its_corners() -> None:
    wheel = flow.colour_wheel()
    assert wheel.shape == (55, 3)
    corners = {0: (1, 0, 0), 15: (1, 1, 0), 21: (0, 1, 0), 25: (0, 1, 1), 36: (0, 0, 1), 49: (1, 0, 1)}
    for index, colour in corners.items():
        assert wheel[index].tolist() == list(colour)
    assert (wheel.roll(-1, 0) - wheel).abs().max() <= 0.25 + 1e-6  # closed: no step longer than the shortest arc's


def test_colours_are_torchvisions() -> None:
    random = torch.randn(3, 2, 20, 21)
    expected = flow_to_image(random.flip(1)).float() / 255  # theirs: (dx, dy), scaled by the largest of the batch
    assert (flow.flow_to_colour(random) - expected).abs().max() < 2.1 / 255


def test_directions_and_speeds() -> None:
    right, down, still, fast = [0.0, 2.0], [2.0, 0.0], [0.0, 0.0], [0.0, 4.0]
    pixels = torch.tensor([right, down, still, fast]).T.reshape(1, 2, 1, 4)
    colours = flow.flow_to_colour(pixels, largest=2.0)[0, :, 0].T
    testing.assert_close(colours[0], torch.tensor([1.0, 0, 0]))
    assert colours[1, 0] == 1
    assert colours[1, 1] > 0.85  # yellow, a little red
    assert colours[1, 2] == 0
    testing.assert_close(colours[2], torch.ones(3))
    testing.assert_close(colours[3], torch.tensor([0.75, 0, 0]))
    half = flow.flow_to_colour(pixels)[0, :, 0, 0]
    testing.assert_close(half, torch.tensor([1.0, 0.5, 0.5]))  # half of the fastest: half way from white


def test_the_unknown_is_black_and_does_not_set_the_scale() -> None:
    pixels = torch.tensor([[0.0, 2.0], [torch.nan, 0.0], [0.0, torch.inf]]).T.reshape(1, 2, 1, 3)
    colours = flow.flow_to_colour(pixels)[0, :, 0].T
    testing.assert_close(colours, torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]))


def test_still_and_empty_fields() -> None:
    assert (flow.flow_to_colour(torch.zeros(2, 2, 3, 4)) == 1).all()
    assert flow.flow_to_colour(torch.zeros(0, 2, 3, 4)).shape == (0, 3, 3, 4)
    assert flow.flow_to_colour(torch.zeros(1, 2, 1, 1)).shape == (1, 3, 1, 1)


def test_the_key_shows_each_direction_where_it_points() -> None:
    key = flow.colour_key(65)
    testing.assert_close(key[:, 32, 64], torch.tensor([1.0, 0, 0]))
    testing.assert_close(key[:, 32, 32], torch.ones(3))
    testing.assert_close(key[:, 0, 0], torch.ones(3))  # outside the circle
    assert flow.colour_key(1).shape == (3, 1, 1)


def test_channels_clip_and_keep_within_rounding() -> None:
    x = torch.tensor([-30.0, -20, 0, 5, 20, 30]).view(1, 2, 1, 3)
    testing.assert_close(flow.to_channels(x).flatten(), torch.tensor([0, 0, 127.5, 159.375, 255, 255]))
    testing.assert_close(flow.to_channels(x, bound=40.0).flatten()[:3], torch.tensor([31.875, 63.75, 127.5]))
    volume = torch.randn(2, 3, 4, 5, 6, dtype=torch.float64)
    stored = flow.to_channels(volume).round() * (40 / 255) - 20  # back in pixels
    assert 0 < (stored - volume).abs().max() <= 20 / 255 + 1e-9  # as the docstring says


def test_devices_are_followed() -> None:
    with fake_cuda() as to_cuda:
        x = to_cuda(torch.zeros(2, 2, 4, 5))
        for result in (
            flow.flow_to_colour(x, largest=3.0),
            flow.flow_to_colour(x),
            flow.to_channels(x),
        ):
            assert result.device.type == "cuda"


@pytest.mark.parametrize("bad", [torch.zeros(2, 4, 5), torch.zeros(1, 3, 4, 5), torch.zeros(1, 3, 2, 4, 5)])
def test_only_a_plane_has_colours(refuses, bad: torch.Tensor) -> None:
    refuses("flow of shape", flow.flow_to_colour, bad)


def test_the_door(refuses) -> None:
    x = torch.zeros(1, 2, 3, 4)
    refuses("flow to be floating", flow.flow_to_colour, x.long())
    refuses("largest > 0", flow.flow_to_colour, x, largest=0.0)
    refuses("flow to be finite", flow.to_channels, x / 0)
    refuses("flow to be floating", flow.to_channels, x.long())
    refuses("bound > 0", flow.to_channels, x, bound=-1.0)
    refuses("size > 0", flow.colour_key, 0)
