"""Names make streams: the same ones the same, others others; and subjects their part."""

import subprocess
import sys

import torch

from coursekit.data.seeds import part_of, stream, uniform


def draw(*names: int | str) -> list[float]:
    return torch.rand(3, generator=stream(*names)).tolist()


def test_the_same_names_give_the_same_numbers_in_any_process() -> None:
    code = (
        "import torch; from coursekit.data.seeds import stream\n"
        "print(torch.rand(3, generator=stream(0, 'train', 7)).tolist())"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told.strip() == str(draw(0, "train", 7))


def test_other_names_give_other_numbers() -> None:
    names = [(0, "train", 7), (0, "test", 7), (1, "train", 7), (0, "train", 8), (0, "train", "7")]
    assert len({tuple(draw(*n)) for n in names}) == len(names)


def test_a_subject_has_one_part_and_the_share_is_kept() -> None:
    parts = [part_of(f"patient {i}") for i in range(2000)]
    assert parts == [part_of(f"patient {i}") for i in range(2000)]
    assert 0.22 < parts.count("test") / 2000 < 0.28


def test_uniform_numbers_fill_their_interval_and_stop_before_its_end() -> None:
    generator = stream(0, "uniform")
    drawn = [uniform(-2, 3, generator=generator) for _ in range(2000)]
    assert -2 <= min(drawn) < -1.9
    assert 2.9 < max(drawn) < 3
