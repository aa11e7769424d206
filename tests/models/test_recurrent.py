"""Cells against their equations and torch.nn; the CNN in front of them, jointly and in two steps."""

import pytest
import torch
from torch import Tensor, nn

from coursekit.models import recurrent
from coursekit.models.recurrent import CNNRNN, Recurrent, State
from coursekit.testing import assert_close, generator
from tests.tensors import fake_cuda, gradcheck

TWINS = {"rnn": nn.RNN, "lstm": nn.LSTM}


class Mean(nn.Module):
    """A frame network that can be done in the head: the mean of each channel."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3))


@pytest.mark.parametrize("cell", TWINS)
@pytest.mark.parametrize(("inputs", "hidden", "frames"), [(3, 5, 7), (1, 1, 1), (4, 2, 3)])
def test_equals_torch_on_copied_weights_and_in_its_gradients(cell: str, inputs: int, hidden: int, frames: int) -> None:
    torch.manual_seed(0)
    theirs = TWINS[cell](inputs, hidden, batch_first=True).double()
    ours = Recurrent(inputs, hidden, cell=cell).double()
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, frames, inputs, dtype=torch.float64, requires_grad=True)
    out, state = ours(x)
    expected, last = theirs(x)
    assert_close(out, expected)
    assert_close(state.hidden, (last[0] if cell == "lstm" else last)[0])
    if cell == "lstm":
        assert_close(state.cell, last[1][0])
    (gx,) = torch.autograd.grad(out.square().sum(), x, retain_graph=True)
    (ex,) = torch.autograd.grad(expected.square().sum(), x, retain_graph=True)
    assert_close(gx, ex)
    names = [name for name, _ in ours.named_parameters()]
    assert names == [name for name, _ in theirs.named_parameters()]
    for a, b in zip(
        torch.autograd.grad(out.sum(), list(ours.parameters())),
        torch.autograd.grad(expected.sum(), list(theirs.parameters())),
    ):
        assert_close(a, b)


@pytest.mark.parametrize("cell", TWINS)
def test_a_sequence_cut_in_two_and_handed_on_is_the_whole(cell: str) -> None:
    model, x = Recurrent(3, 4, cell=cell), torch.randn(2, 9, 3, generator=generator(1))
    first, state = model(x[:, :4])
    second, _ = model(x[:, 4:], state)
    assert_close(torch.cat([first, second], 1), model(x)[0])


def test_an_lstm_step_by_hand() -> None:
    large = 1e3  # σ is 0 or 1, tanh ±1
    state = State(torch.zeros(1, 1), torch.tensor([[0.3]]))
    keep = recurrent.lstm_step(torch.tensor([[-large, large, large, large]]), state)
    assert_close(keep.cell, torch.tensor([[0.3]]))
    assert_close(keep.hidden, torch.tensor([[0.3]]).tanh())
    write = recurrent.lstm_step(torch.tensor([[large, -large, -large, large]]), state)
    assert_close(write.cell, torch.tensor([[-1.0]]))
    hide = recurrent.lstm_step(torch.tensor([[large, large, large, -large]]), state)
    assert_close(hide.cell, torch.tensor([[1.3]]))
    assert hide.hidden.item() == 0
    assert gradcheck(
        lambda g, h, c: recurrent.lstm_step(g, State(h, c)).cell,
        torch.randn(2, 8),
        torch.randn(2, 2),
        torch.randn(2, 2),
    )


def test_the_rnn_forgets_where_the_lstm_can_keep() -> None:
    """d output / d first input over 60 frames: nearly nothing is left by a contracting RNN, an open LSTM keeps it."""
    frames, kept = 60, {}
    for cell in TWINS:
        model = Recurrent(1, 1, cell=cell)
        for name, p in model.named_parameters():
            nn.init.constant_(p, 0.4 if name.startswith("weight") else 0.0)
        if cell == "lstm":
            nn.init.constant_(model.bias_ih_l0[1:2], 8.0)  # the forget gate is open
        x = torch.zeros(1, frames, 1, requires_grad=True)
        (gradient,) = torch.autograd.grad(model(x)[0][0, -1, 0], x)
        kept[cell] = abs(gradient[0, 0, 0].item() / gradient[0, -1, 0].item())
    assert kept["rnn"] < 1e-12
    assert kept["lstm"] > 1e-2


def test_parameters_by_formula() -> None:
    for cell, (gates, _) in recurrent.CELLS.items():
        assert sum(p.numel() for p in Recurrent(5, 7, cell=cell).parameters()) == gates * 7 * (5 + 7 + 2)


def test_weights_start_within_one_by_the_root_of_hidden() -> None:
    assert 0.3 < Recurrent(3, 4).weight_hh_l0.abs().max() <= 0.5


def test_an_empty_sequence_gives_its_first_state() -> None:
    out, state = Recurrent(3, 4)(torch.zeros(2, 0, 3))
    assert out.shape == (2, 0, 4)
    assert state.hidden.abs().sum() == 0


@pytest.mark.parametrize(("frames", "height", "width"), [(5, 9, 7), (1, 4, 4)])
def test_cnn_rnn_is_its_two_parts(frames: int, height: int, width: int) -> None:
    model, clip = (
        CNNRNN(Mean(), width=3, classes=4, hidden=6),
        torch.randn(2, 3, frames, height, width, generator=generator(0)),
    )
    features = model.features(clip)
    assert_close(features, clip.mean((3, 4)).transpose(1, 2))
    assert_close(model(clip), model.classify(features))
    assert model(clip).shape == (2, 4)


def test_cnn_rnn_hears_the_order_of_frames() -> None:
    model, clip = CNNRNN(Mean(), width=1, classes=2), torch.randn(1, 1, 6, 3, 3, generator=generator(0))
    assert (model(clip) - model(clip.flip(2))).abs().max() > 1e-4


def test_cnn_rnn_learns_one_batch_by_heart() -> None:
    torch.manual_seed(0)
    clip = torch.randn(6, 1, 5, 4, 4, generator=generator(0)).cumsum(2)
    clip, label = torch.cat([clip, clip.flip(2)]), torch.arange(12) // 6
    frame = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten())
    model = CNNRNN(frame, width=32, classes=2, hidden=16)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(60):
        loss = nn.functional.cross_entropy(model(clip), label)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.05


def test_runs_where_its_input_lies_and_in_bfloat16() -> None:
    clip = torch.rand(1, 1, 3, 4, 4)
    with fake_cuda() as to_cuda:
        assert to_cuda(CNNRNN(Mean(), width=1, classes=2))(to_cuda(clip)).device.type == "cuda"
        assert to_cuda(CNNRNN(Mean(), width=1, classes=2, cell="rnn"))(to_cuda(clip)).device.type == "cuda"
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.isfinite(CNNRNN(Mean(), width=1, classes=2)(clip)).all()


def test_refuses_what_it_cannot_take(refuses) -> None:
    refuses("cell to be one of 'rnn', 'lstm'", lambda: Recurrent(1, 1, cell="gru"))
    refuses("x of shape", Recurrent.forward, Recurrent(3, 4), torch.zeros(1, 2, 5))
    refuses(
        "what frame_net gives of shape", CNNRNN.features, CNNRNN(Mean(), width=2, classes=2), torch.zeros(1, 1, 2, 3, 3)
    )
