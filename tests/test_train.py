"""The loop learns, stops on a loss that is no number, and is the same twice."""

import itertools

import pytest
import torch
from torch import Tensor, nn

from coursekit import train


def line_batches(generator: torch.Generator) -> object:
    while True:
        x = torch.rand(8, 1, generator=generator)
        yield x, 3 * x + 1


def squared_error(model: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    x, y = batch
    return (model(x) - y).square().mean()


def test_fit_learns_a_line_and_repeats_itself() -> None:
    runs = []
    for _ in range(2):
        generator = train.seed_everything(3)
        model = nn.Linear(1, 1)
        losses = train.fit(model, line_batches(generator), squared_error, steps=300, lr=0.1, show=False)
        runs.append((losses, model.weight.item()))
    assert runs[0] == runs[1]
    assert runs[0][0][-1] < 0.01 * runs[0][0][0]


def test_fit_names_the_step_whose_loss_is_not_finite() -> None:
    bad = itertools.chain([(torch.zeros(1, 1), torch.zeros(1, 1))] * 2, [(torch.full((1, 1), torch.nan), torch.zeros(1, 1))])
    with pytest.raises(FloatingPointError, match="step 2 is nan"):
        train.fit(nn.Linear(1, 1), bad, squared_error, steps=5, show=False)


def test_fit_says_when_batches_run_out() -> None:
    with pytest.raises(ValueError, match="expected 5 batches, got 1"):
        train.fit(nn.Linear(1, 1), [(torch.zeros(1, 1), torch.zeros(1, 1))], squared_error, steps=5, show=False)


def test_progress_goes_to_stdout_only(capfd: pytest.CaptureFixture[str]) -> None:
    assert list(train.progress(range(3), total=3, label="three")) == [0, 1, 2]
    out, err = capfd.readouterr()
    assert "three" in out
    assert err == ""


def test_device_and_seed_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COURSEKIT_SEED", "7")
    assert train.seed_from_environment() == 7
    monkeypatch.setenv("COURSEKIT_SEED", "seven")
    with pytest.raises(ValueError, match="whole number, got 'seven'"):
        train.seed_from_environment()
    monkeypatch.setenv("COURSEKIT_DEVICE", "cpu")
    assert train.device() == torch.device("cpu")
    monkeypatch.setenv("COURSEKIT_DEVICE", "abacus")
    with pytest.raises(ValueError, match="usable device, got 'abacus'"):
        train.device()
