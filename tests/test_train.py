"""The loop learns, stops on a loss that is no number, and is the same twice."""

import itertools
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

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
        history = train.fit(model, line_batches(generator), squared_error, steps=300, lr=0.1, show=False)
        runs.append(([row["loss"] for row in history], model.weight.item()))
    assert runs[0] == runs[1]
    assert runs[0][0][-1] < 0.01 * runs[0][0][0]


def test_fit_names_the_batch_whose_loss_is_not_finite() -> None:
    bad = itertools.chain(
        [(torch.zeros(1, 1), torch.zeros(1, 1))] * 2, [(torch.full((1, 1), torch.nan), torch.zeros(1, 1))]
    )
    with pytest.raises(FloatingPointError, match="batch 2 is nan"):
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


def test_a_row_a_step_and_what_was_measured() -> None:
    calls = []

    def evaluate(model: nn.Module) -> dict[str, float]:
        assert not model.training
        calls.append(1)
        return {"weight": model.weight.item()}

    generator = train.seed_everything(0)
    model = nn.Linear(1, 1)
    history = train.fit(
        model, line_batches(generator), squared_error, steps=25, every=10, evaluate=evaluate, show=False
    )
    assert [row["step"] for row in history] == list(range(25))
    assert [row["step"] for row in history if "weight" in row] == [9, 19, 24]
    assert history[-1]["weight"] == model.weight.item()
    assert history[7]["lr"] == max(row["lr"] for row in history)  # the top of one cycle is at 30 %
    assert sorted(row["seconds"] for row in history) == [row["seconds"] for row in history]
    assert len(calls) == 3


def test_the_gradient_is_clipped() -> None:
    moved = []
    for clip in (None, 1e-12):  # AdamW divides by the gradient's size, except where that is below its eps of 1e-8
        torch.manual_seed(0)
        model = nn.Linear(1, 1)
        before = model.weight.item()
        train.fit(
            model, line_batches(train.seed_everything(0)), squared_error, steps=5, clip=clip, weight_decay=0, show=False
        )
        moved.append(abs(model.weight.item() - before))
    assert moved[1] < 0.01 * moved[0]


def test_bf16_computes_in_bf16_and_says_nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> None:
    seen = []
    model = nn.Linear(1, 1)
    model.register_forward_hook(lambda *hook: seen.append(hook[-1].dtype))
    train.fit(model, line_batches(train.seed_everything(0)), squared_error, steps=2, precision="bf16-mixed", show=False)
    assert seen == [torch.bfloat16] * 2
    assert model.weight.dtype == torch.float32
    assert capfd.readouterr().err == ""


# Trains with dropout, whose randomness is torch's own, and can be made to die in any step.
SCRIPT = """
import os, sys, torch
from pathlib import Path
from torch import nn
from coursekit import train

def batches(generator, dies):
    torch.rand(())  # as a DataLoader draws its seed
    step = 0
    while True:
        if step == dies:
            os._exit(9)
        x = torch.rand(8, 3, generator=generator)
        yield x, x.sum(1, keepdim=True)
        step += 1

generator = train.seed_everything(5)
model = nn.Sequential(nn.Linear(3, 16), nn.Dropout(0.2), nn.ReLU(), nn.Linear(16, 1))
loss = lambda m, b: (m(b[0]) - b[1]).square().mean()
settings = {"steps": 20, "lr": 0.01, "every": 6, "show": False, "checkpoint": Path(sys.argv[1])}
history = train.fit(model, batches(generator, int(sys.argv[2])), loss, **settings)
torch.save({"weights": model.state_dict(), "losses": [row["loss"] for row in history]}, sys.argv[3])
"""


def run_script(folder: Path, checkpoint: str, dies: int, out: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SCRIPT, str(folder / checkpoint), str(dies), str(folder / out)]
    return subprocess.run(command, capture_output=True, text=True)


def test_killed_and_resumed_is_never_stopped(tmp_path: Path) -> None:
    assert run_script(tmp_path, "a.ckpt", -1, "whole.pt").returncode == 0
    assert run_script(tmp_path, "b.ckpt", 4, "cut.pt").returncode == 9  # before the first checkpoint
    assert not (tmp_path / "b.ckpt").exists()
    assert run_script(tmp_path, "b.ckpt", 15, "cut.pt").returncode == 9
    assert run_script(tmp_path, "b.ckpt", -1, "cut.pt").returncode == 0
    whole, cut = (torch.load(tmp_path / name) for name in ("whole.pt", "cut.pt"))
    assert whole["losses"] == cut["losses"]
    assert all(torch.equal(whole["weights"][key], cut["weights"][key]) for key in whole["weights"])
    assert not list(tmp_path.glob("*.part"))


def test_a_kill_while_a_checkpoint_is_written_leaves_the_last_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, save = tmp_path / "c.ckpt", torch.save

    def half(what: object, to: Path) -> None:
        save(what, to)
        if torch.load(to)["history"][-1]["step"] > 5:
            to.write_bytes(to.read_bytes()[:100])
            raise KeyboardInterrupt

    def fit(steps: int) -> object:
        return train.fit(
            nn.Linear(1, 1),
            line_batches(train.seed_everything(0)),
            squared_error,
            steps=steps,
            every=5,
            checkpoint=place,
            show=False,
        )

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(KeyboardInterrupt):
        fit(20)
    assert len(torch.load(place)["history"]) == 5


def test_a_finished_run_is_read_not_trained(tmp_path: Path) -> None:
    def fit(stream: object) -> list[dict[str, float]]:
        model = nn.Linear(1, 1)
        return train.fit(model, stream, squared_error, steps=6, checkpoint=tmp_path / "d.ckpt", show=False)

    first = fit(line_batches(train.seed_everything(0)))
    assert fit(line_batches(train.seed_everything(0))) == first


def test_a_checkpoint_of_another_run_or_none_is_refused(tmp_path: Path, refuses) -> None:
    place = tmp_path / "e.ckpt"

    def fit(**knobs: float) -> None:
        batches = line_batches(train.seed_everything(0))
        train.fit(nn.Linear(1, 1), batches, squared_error, checkpoint=place, show=False, **{"steps": 3} | knobs)

    fit()
    refuses("remove e.ckpt or name another file", fit, lr=0.5)
    place.write_bytes(place.read_bytes()[:50])
    refuses("a checkpoint in e.ckpt", fit)


@pytest.mark.slow
def test_the_documented_script_trains_alike_on_one_process_and_on_two(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "gpu.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```python\n(.*?)^```", page, flags=re.MULTILINE | re.DOTALL)
    (command,) = re.findall(r"^torchrun (.*)$", page, flags=re.MULTILINE)
    *options, name = command.split()
    (tmp_path / name).write_text(script, encoding="utf-8")
    env = {**os.environ, "OMP_NUM_THREADS": "1", "COURSEKIT_DEVICE": "cpu"}
    ended = []
    for group in ([], ["-m", "torch.distributed.run", *options]):
        done = subprocess.run([sys.executable, *group, name], cwd=tmp_path, env=env, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        ended.append(torch.tensor(torch.load(tmp_path / "unet.pt")["losses"]))
        (tmp_path / "unet.pt").unlink()
    one, two = ended
    assert one[-1] < 0.8 * one[0]
    torch.testing.assert_close(one[:10], two[:10], rtol=1e-5, atol=0)  # with batch norm they are 1e-4 to 2e-3 apart
    torch.testing.assert_close(one, two, rtol=1e-2, atol=0)


def test_processes_share_a_batch_without_rest(refuses) -> None:
    pair = (torch.arange(6), {"boxes": [torch.zeros(n, 4) for n in range(6)]})
    numbers, fields = train.share(pair, 1, 2)
    assert numbers.tolist() == [1, 3, 5]
    assert [len(b) for b in fields["boxes"]] == [1, 3, 5]
    assert train.share(pair, 0, 1) is pair
    refuses("a batch that 4 processes can share", train.share, pair, 0, 4)


def test_shuffled_gives_each_sample_once_before_any_again(refuses) -> None:
    stream = train.shuffled(torch.arange(10), torch.arange(10) * 2, size=5, generator=torch.Generator().manual_seed(0))
    for _ in range(3):
        (a, twice_a), (b, _) = next(stream), next(stream)
        assert sorted([*a.tolist(), *b.tolist()]) == list(range(10))
        assert torch.equal(twice_a, 2 * a)
    refuses(
        "tensors of one length of at least 5",
        lambda: next(train.shuffled(torch.zeros(4), size=5, generator=torch.Generator())),
    )
    refuses(
        "tensors of one length",
        lambda: next(train.shuffled(torch.zeros(6), torch.zeros(7), size=5, generator=torch.Generator())),
    )


def test_predict_is_the_model_in_eval_mode_in_parts() -> None:
    model = nn.Sequential(nn.Linear(3, 2), nn.Dropout(0.9)).train()
    x = torch.rand(7, 3)
    torch.testing.assert_close(train.predict(model, x, size=3), model[0](x))
    assert not train.predict(model, x).requires_grad


class Killed(Exception):
    pass


def noisy_run(place: Path, make: Callable[[], Iterable[object]], noise: Callable[[], float], stop: int = -1) -> float:
    """The weight after 12 steps with a checkpoint every 5, killed before step ``stop``."""
    train.seed_everything(0)
    model, steps = nn.Linear(1, 1), itertools.count()

    def loss_of(net: nn.Module, batch: tuple[Tensor, ...]) -> Tensor:
        if next(steps) == stop:
            raise Killed
        return (net(batch[0]) + noise() - 1).square().mean()

    train.fit(model, make(), loss_of, steps=12, lr=0.1, every=5, checkpoint=place, show=False)
    return model.weight.item()


class Noisy(Dataset[tuple[Tensor]]):
    """Augments with all three global generators."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor]:
        return (torch.full((1,), index / 16) + 0.1 * torch.randn(1) + 0.1 * np.random.randn() + 0.1 * random.random(),)  # noqa: NPY002


def again_and_again(**knobs: object) -> Iterator[object]:
    """Three epochs and more: each draws its order anew."""
    while True:
        yield from DataLoader(Noisy(), 4, **knobs)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "noise",
    [lambda: torch.randn(()).item(), np.random.randn, lambda: random.gauss(0, 1)],
    ids=["torch", "numpy", "python"],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: again_and_again(shuffle=True),
        lambda: again_and_again(sampler=WeightedRandomSampler([1.0] * 16, 16)),
        lambda: again_and_again(shuffle=True, generator=torch.Generator().manual_seed(3)),
    ],
    ids=["shuffle", "sampler", "own generator"],
)
def test_resumed_in_any_epoch_is_never_stopped(
    tmp_path: Path, make: Callable[[], Iterable[object]], noise: Callable[[], float]
) -> None:
    whole = noisy_run(tmp_path / "a", make, noise)
    with pytest.raises(Killed):
        noisy_run(tmp_path / "b", make, noise, stop=8)
    assert noisy_run(tmp_path / "b", make, noise) == whole


def test_a_stream_that_is_not_the_first_runs_is_refused(tmp_path: Path, refuses) -> None:
    generator = torch.Generator().manual_seed(3)

    def make() -> Iterator[object]:
        return train.shuffled(torch.rand(16, 1), size=4, generator=generator)

    with pytest.raises(Killed):
        noisy_run(tmp_path / "a", make, float, stop=8)
    refuses("up to batch 4", noisy_run, tmp_path / "a", make, float)  # the generator went on


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path, refuses) -> None:
    def fit(model: nn.Module) -> object:
        batches = line_batches(train.seed_everything(0))
        return train.fit(model, batches, squared_error, steps=2, checkpoint=tmp_path / "a", show=False)

    fit(nn.Linear(1, 1))
    refuses("a checkpoint of this network", fit, nn.Sequential(nn.Linear(1, 1)))
