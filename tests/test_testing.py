"""The shared test tools find what they are for."""

import pytest
import torch

from coursekit import testing


def test_fake_cuda_follows_devices_and_raises_on_a_mix() -> None:
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.rand(1, 3, 8, 8)
    with testing.fake_cuda() as to_cuda:
        y = to_cuda(layer)(to_cuda(x))
        assert y.device.type == "cuda"
        assert y.shape == (1, 4, 6, 6)
        with pytest.raises(RuntimeError, match="device"):
            y + torch.zeros(1, 4, 6, 6)


def test_assert_close_knows_the_dtype() -> None:
    one = torch.ones(1, dtype=torch.float64)
    testing.assert_close(one.float() + 1e-6, one.float())
    with pytest.raises(AssertionError):
        testing.assert_close(one + 1e-6, one)


def test_gradcheck_finds_a_wrong_gradient() -> None:
    assert testing.gradcheck(torch.sin, torch.rand(3))
    with pytest.raises(RuntimeError, match="Jacobian"):
        testing.gradcheck(lambda x: x.detach() * x, torch.rand(3))


def test_generators_are_their_own() -> None:
    a, b = testing.generator(1), testing.generator(1)
    assert torch.rand(1, generator=a) == torch.rand(1, generator=b)
