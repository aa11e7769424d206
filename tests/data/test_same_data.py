"""The same seed gives the same data as when the records were made: every set's first and last item, by hash.

``python -m tests.data.test_same_data`` writes the file anew; a change of it is a change of data, and asks for new
records.
"""

import hashlib
import json
import platform
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from coursekit.data import brain, clips, ct, echo, icu, nuclei
from coursekit.data.ct import lidc
from coursekit.data.seeds import stream
from coursekit.data.simulated import pasting, phantoms, volumes

WRITTEN = Path(__file__).with_name("same_data.json")
MACHINE = f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}"
SAMPLES = 32

SETS: dict[str, Callable[[], Any]] = {
    "echo": lambda: echo.clips(split="train", count=4, size=40, frames=4),
    "echo held out": lambda: echo.clips(split="test", count=2, size=64, frames=4),
    "rooms": lambda: icu.rooms(split="train", count=3, minutes=1, fps=2),
    "rooms held out": lambda: icu.rooms(split="test", count=3, minutes=1, fps=2),
    "actions": lambda: clips.actions(split=None, count=16, frames=4, size=32),
    "photographs": lambda: clips.photographs(split="test", count=8, frames=4, size=32),
    "pairs": lambda: clips.pairs(split="train", count=8, size=64),
    "pairs held out and stereo": lambda: [clips.stereo(shrink=8), clips.pairs(split="test", count=8, size=48)[7]],
    "tiles": lambda: pasting.CopyPaste(nuclei.load(split="train"), size=64, count=4, length=4),
    "volumes": lambda: [
        volumes.rim(nuclei.volume(split="train")),
        volumes.noisy(nuclei.volume(split="test"), generator=stream(1)),
    ],
    "few slices": lambda: [volumes.annotate(nuclei.volume(split="train").labels, slices=4)],
    "patches": lambda: [patch(0), patch(3)],
    "pet": lambda: TensorDataset(*brain.pet(split="train", count=2)),
    "pet held out": lambda: TensorDataset(*brain.pet(split="test", count=2)),
    "candidates": lambda: shown(ct.nodules(split="train", count=8)),
    "candidates held out": lambda: shown(ct.nodules(split="test", count=8)),
    "slices": lambda: ct.slices(split="train", count=8, size=64),
    "slices held out": lambda: ct.slices(split="test", count=8, size=64),
    "malignancy": lambda: drawn(masks(lidc.malignancy(split="train")), 4, stream(0, "malignancy", "train")),
    "nuclei of phantoms": lambda: [phantoms.nuclei(count=20, size=(192, 192), generator=stream(3))],
}  # fmt: skip


def patch(index: int) -> tuple[Tensor, ...]:
    """A crop of all that is annotated, without the axis of crops."""
    image, target = torch.rand(1, 8, 20, 20, generator=stream(2)), torch.ones(8, 20, 20).long()
    generator = stream(0, "patches", index)
    return tuple(x[0] for x in volumes.crops(image, target, size=(2, 4, 4), count=1, generator=generator))


def shown(data: ct.Candidates) -> TensorDataset:
    """What a network is shown of each candidate, and its size."""
    return TensorDataset(ct.window(data.patches, **ct.LUNG), data.labels, data.diameter_mm)


def masks(data: lidc.Malignancy) -> TensorDataset:
    """What a network may be shown of each nodule."""
    return TensorDataset(data.masks.float(), data.malignant.float(), data.diameter_mm, data.ratings)


def drawn(data: Any, count: int, generator: torch.Generator) -> list[Any]:
    """Some items, without replacement."""
    return [data[i] for i in torch.randperm(len(data), generator=generator)[:count].tolist()]


def arrays(item: object) -> Iterator[np.ndarray]:
    """Every number in an item: tensors, arrays, floats, in tuples and records, in order."""
    if isinstance(item, Tensor | np.ndarray | int | float):
        yield np.ascontiguousarray(item)
    elif isinstance(item, tuple | list):
        for part in item:
            yield from arrays(part)
    elif isinstance(item, dict):
        yield from arrays(list(item.values()))
    elif hasattr(item, "__dataclass_fields__"):
        yield from arrays([getattr(item, name) for name in item.__dataclass_fields__])


def fingerprint(data: Any) -> dict[str, Any]:
    """Of the first and the last item: a hash of all numbers, and some of them, spread evenly, to compare on other
    machines.
    """
    digest, values = hashlib.sha256(), []
    for item in (data[0], data[len(data) - 1]):
        for array in arrays(item):
            digest.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
            flat = array.astype(np.float64).ravel()
            values += flat[np.linspace(0, len(flat) - 1, min(SAMPLES, len(flat))).astype(int)].tolist()
    assert values
    return {"sha256": digest.hexdigest(), "values": [None if np.isnan(v) else float(f"{v:.6g}") for v in values]}


@pytest.mark.parametrize("name", SETS)
def test_the_same_seed_gives_the_same_data(name: str) -> None:
    written = json.loads(WRITTEN.read_text())
    now, before = fingerprint(SETS[name]()), written["sets"][name]
    if written["machine"] == MACHINE:
        assert now["sha256"] == before["sha256"]
    assert len(now["values"]) == len(before["values"])
    same = np.isclose(
        np.array(now["values"], float), np.array(before["values"], float), rtol=1e-4, atol=1e-4, equal_nan=True
    )
    assert same.mean() > 0.98  # another processor rounds otherwise: a voxel at a threshold may differ


if __name__ == "__main__":
    lines = [f'  "{name}": {json.dumps(fingerprint(build()))}' for name, build in SETS.items()]
    WRITTEN.write_text(f'{{"machine": "{MACHINE}", "sets": {{\n' + ",\n".join(lines) + "\n}}\n")
