"""What takes the place of missing files, in every loader alike, and the account of the files that were read."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coursekit.data import clips, ct, fetch, nuclei

LOADERS: dict[str, Callable[[], object]] = {
    "nuclei": nuclei.load,
    "nuclei of images": nuclei.images,
    "ct": lambda: ct.load("lung1"),
    "ct of a part": lambda: ct.nodules(split="train", count=4),
    "video": lambda: clips.video("street", frames=2),
}


@pytest.mark.parametrize("load", LOADERS.values(), ids=LOADERS)
def test_where_real_data_are_asked_for_no_stand_in_comes(empty_cache: Path, load: Callable[[], object]) -> None:
    with (
        fetch.no_standins(),
        pytest.raises(ValueError, match=r"^expected .*, got no file: .*\(a stand-in must not") as caught,
    ):
        load()
    assert "\n" not in str(caught.value)


def test_the_rule_ends_with_its_block_also_after_an_error_and_may_be_nested(empty_cache: Path) -> None:
    with fetch.no_standins():
        with pytest.raises(ValueError, match="stand-in"), fetch.no_standins():
            nuclei.load()
        with pytest.raises(ValueError, match="stand-in"):
            nuclei.load()
    assert nuclei.load().source == "phantom"


def test_a_worker_process_obeys_it_too(empty_cache: Path) -> None:
    code = "from coursekit.data import nuclei; print(nuclei.load().source)"
    with fetch.no_standins():
        inside = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=os.environ)
    assert inside.returncode == 1
    assert "ValueError: expected nuclei2d_image" in inside.stderr


def test_what_was_read_is_remembered_with_its_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_used", {})
    nuclei.load()
    ct.load("lung2")
    ct.load("lung2")  # kept from before: it counts all the same
    assert fetch.sources_used() == {
        name: fetch.FILES[name].sha256 for name in ("lung2_image", "lung2_label", "nuclei2d_image", "nuclei2d_labels")
    }


def test_a_stand_in_is_no_source(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_used", {})
    nuclei.load()
    assert fetch.sources_used() == {}
