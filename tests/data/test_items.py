"""Item i of every data set is the same whoever counted: Python, numpy or torch; beyond the end is said alike."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import Subset

from coursekit.data import clips, ct, echo, icu, nuclei
from coursekit.data.seeds import stream
from coursekit.data.simulated.pasting import CopyPaste

SETS: dict[str, Callable[[], Any]] = {
    "echo": lambda: echo.clips(split="train", count=4, size=40, frames=4),
    "rooms": lambda: icu.rooms(split="train", count=4, minutes=0.5, fps=1),
    "actions": lambda: clips.actions(split=None, count=4, frames=2, size=16),
    "images": lambda: nuclei.images(),
    "tiles": lambda: CopyPaste(nuclei.load(), size=64, count=2, length=4),
    "slices": lambda: ct.slices(split="train", count=4, size=64),
}
REAL = {"slices"}  # what has no stand-in


def alike(first: object, second: object) -> bool:
    if not isinstance(first, tuple):
        return first is second or (isinstance(first, Tensor) and isinstance(second, Tensor) and equal(first, second))
    return isinstance(second, tuple) and all(map(alike, first, second))


def equal(first: Tensor, second: Tensor) -> bool:
    return torch.equal(first.nan_to_num(-1), second.nan_to_num(-1))


@pytest.mark.parametrize("name", SETS)
def test_an_item_is_the_same_for_every_kind_of_number(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name not in REAL:
        monkeypatch.setenv("COURSEKIT_DATA", str(tmp_path))
    data = SETS[name]()
    last = len(data) - 1
    item = data[last]
    for index in (np.int64(last), np.uint16(last), torch.tensor(last), -1, np.int32(-1)):
        assert alike(data[index], item), repr(index)
    assert alike(Subset(data, np.array([last]))[0], item)  # type: ignore[arg-type]
    for beyond in (len(data), -len(data) - 1, np.int64(len(data))):
        with pytest.raises(IndexError, match=f"^expected a.* 0 … {last}, got {beyond}: the set has {len(data)}$"):
            data[beyond]
    with pytest.raises(ValueError, match="a whole one, got bool: ask for one item"):
        data[True]


def test_a_stream_is_named_by_value(tmp_path: Path, refuses: Callable[..., None]) -> None:
    def drawn(*names: Any) -> float:
        return float(torch.rand((), generator=stream(*names)))

    assert drawn(0, "train", 7) == drawn(np.int64(0), np.str_("train"), torch.tensor(7)) != drawn(0, "train", "7")
    refuses("to name a stream, got .0.5,.: give the seed as a whole number", stream, 0.5)
