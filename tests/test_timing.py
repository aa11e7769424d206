"""The bench itself: it ranks two functions rightly and sees memory."""

import sys

import pytest

from tests.bench import timing


def test_compare_sees_ten_times_the_work() -> None:
    row = timing.compare(
        "a", "b", lambda: sum(range(20_000)), lambda: sum(range(400_000)), max_error=0.0, sizes="toy", repeats=5
    )
    assert row.ratio_min <= row.ratio <= row.ratio_max
    assert row.ratio > 2


@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
def test_peak_memory_sees_an_allocation() -> None:
    assert 60 < timing.peak_mib(lambda: bytearray(b"x") * (64 << 20)) < 140
