"""The five architectures: what each looks at, odd sizes, learning, device."""

import pytest
import torch
from torch import Tensor, nn

from coursekit.models import video
from coursekit.models.video import ARCHITECTURES
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda

FLOW = {"two-stream", "3D-fused two-stream", "two-stream 3D"}


def clip(frames: int = 7, height: int = 21, width: int = 26, n: int = 2) -> tuple[Tensor, Tensor]:
    g = generator(0)
    return torch.randn(n, 1, frames, height, width, generator=g), torch.randn(
        n, 2, frames - 1, height, width, generator=g
    )


def net(name: str, **knobs: object) -> nn.Module:
    torch.manual_seed(0)
    return ARCHITECTURES[name](4, widths=(4, 6), **knobs)


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("size", [(7, 21, 26), (2, 9, 5), (16, 32, 32)])
def test_logits_also_for_odd_and_short_clips(name: str, size: tuple[int, int, int]) -> None:
    for model in (net(name).train(), net(name).eval()):
        assert model(*clip(*size)).shape == (2, 4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_what_is_looked_at_matters_and_nothing_else(name: str) -> None:
    model, (rgb, flow) = net(name).eval(), clip()
    with torch.no_grad():
        base = model(rgb, flow)
        assert (model(rgb + torch.randn(rgb.shape, generator=generator(1)), flow) - base).abs().max() > 1e-4
        moved = (model(rgb, flow + torch.randn(flow.shape, generator=generator(2))) - base).abs().max()
    assert (moved > 1e-4) == (name in FLOW)


def test_only_the_single_frame_stream_is_deaf_to_time() -> None:
    """Frames in another order, flow held still: the LSTM and the 3D networks notice."""
    rgb, flow = clip()
    flow = flow[:, :, :1].expand(flow.shape)
    order = torch.tensor([0, 4, 2, 3, 1, 5, 6])
    with torch.no_grad():
        for name in ARCHITECTURES:
            model = net(name, **({"looks": 1} if name == "two-stream" else {})).eval()
            change = (model(rgb[:, :, order], flow) - model(rgb, flow)).abs().max()
            assert (change > 1e-5) == (name != "two-stream"), name


def test_parameters_by_formula() -> None:
    w, classes = (4, 6), 4

    def body(c: int, taps: int) -> int:
        return taps * (c * w[0] + w[0] * w[1]) + 2 * sum(w)

    head = (w[1] + 1) * classes
    hidden = 32
    expected = {
        "LSTM over RGB": body(1, 9) + 4 * hidden * (w[1] + hidden + 2) + (hidden + 1) * classes,
        "3D over RGB": body(1, 27) + head,
        "two-stream": body(1, 9) + body(16, 9) + 2 * head,
        "3D-fused two-stream": body(1, 9) + body(8, 9) + 27 * 2 * w[1] * w[1] + 2 * w[1] + head,
        "two-stream 3D": body(1, 27) + body(2, 27) + 2 * head,
    }
    assert {name: sum(p.numel() for p in net(name).parameters()) for name in ARCHITECTURES} == expected


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_learns_one_batch_by_heart(name: str) -> None:
    model, (rgb, flow), label = net(name), clip(6, 16, 16, n=4), torch.arange(4)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)
    for _ in range(80):
        loss = nn.functional.cross_entropy(model(rgb, flow), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_frames_are_spread_and_flow_is_stacked_around_them() -> None:
    assert video.spread(16, 3) == [2, 8, 13]
    assert video.spread(5, 1) == [2]
    assert video.spread(4, 4) == [0, 1, 2, 3]
    flow = torch.arange(6.0).view(1, 1, 6, 1, 1).repeat(1, 2, 1, 1, 1)
    flow[:, 1] += 100
    assert_close(video.flow_stack(flow, 3, 4)[0, :, 0, 0], torch.tensor([1.0, 101, 2, 102, 3, 103, 4, 104]))
    assert_close(video.flow_stack(flow, 0, 4)[0, ::2, 0, 0], torch.tensor([0.0, 0, 0, 1]))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_runs_where_its_input_lies_and_in_bfloat16(name: str) -> None:
    rgb, flow = clip()
    with fake_cuda() as to_cuda:
        assert to_cuda(net(name))(to_cuda(rgb), to_cuda(flow)).device.type == "cuda"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(net(name).eval()(rgb, flow)).all()


def test_refuses_what_it_cannot_take(refuses) -> None:
    rgb, flow = clip()
    refuses("flow beside rgb", lambda: net("two-stream")(rgb))
    refuses("one field", lambda: net("two-stream 3D")(rgb, flow[:, :, 1:]))
    refuses("rgb of shape", video.Clip3D.forward, net("3D over RGB"), rgb[0])
    refuses("1 to 4 frames", video.spread, 4, 5)
