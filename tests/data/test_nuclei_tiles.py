"""Tiles to train on, and the data set of one image."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

from coursekit.data import nuclei
from coursekit.data.nuclei import CopyPaste, Nuclei
from coursekit.testing import generator


@pytest.fixture(scope="module")
def phantom() -> Nuclei:
    return nuclei.part(nuclei._phantom(""), "train")


def test_tiles_are_square_and_numbered_without_a_gap(phantom: Nuclei) -> None:
    for image, labels in CopyPaste(phantom, size=96, count=6, length=30):
        assert (image.shape, labels.shape) == ((1, 96, 96), (96, 96))
        assert labels.unique().tolist() == list(range(int(labels.max()) + 1))
        assert 0 <= image.min() < image.max() <= 1


def test_a_share_is_pasted_and_the_rest_is_cropped(phantom: Nuclei) -> None:
    """What is cropped holds values of the image alone; pasted backgrounds are shuffled, so no row of one is in the
    image.
    """
    rows = {
        tuple(r)
        for turned in (phantom.image[0], phantom.image[0].T)
        for r in turned.unfold(1, 3, 1).reshape(-1, 3).tolist()
    }

    def cropped(tile: nuclei.Tile) -> bool:
        top = tile.image[0, 0].unfold(0, 3, 3)  # (21, 3)
        return all(tuple(r.tolist()) in rows or tuple(r.flip(0).tolist()) in rows for r in top)

    for pasted, least, most in ((0.0, 20, 20), (0.5, 4, 16), (1.0, 0, 0)):
        tiles = CopyPaste(phantom, size=64, count=3, pasted=pasted, length=20)
        assert least <= sum(map(cropped, tiles)) <= most


def test_pasted_tiles_hold_the_wanted_count_or_what_there_is_room_for(phantom: Nuclei) -> None:
    assert {int(t.labels.max()) for t in CopyPaste(phantom, size=128, count=5, pasted=1.0, length=20)} == {5}
    small = CopyPaste(phantom, size=64, count=50, pasted=1.0, length=20)
    (most,) = {int(t.labels.max()) for t in small}
    assert 2 <= most < 10
    assert sum(float((t.labels > 0).float().mean()) for t in small) / 20 < 1 / 3


def test_an_image_without_free_nuclei_is_cropped() -> None:
    labels = torch.zeros(40, 40, dtype=torch.int64)
    labels[:20, :20], labels[:20, 20:] = 1, 2
    (tile,) = CopyPaste(Nuclei((labels > 0).float()[None], labels, "toy"), size=40, pasted=1.0, length=1)
    assert tile.labels.max() == 2
    assert torch.equal(tile.image[0] > 0, tile.labels > 0)


def test_an_image_so_crowded_that_no_background_is_left_is_cropped(refuses: Callable[..., None]) -> None:
    labels = torch.arange(1, 10).view(3, 1, 3, 1).expand(3, 16, 3, 16).reshape(48, 48)
    crowded = Nuclei(torch.rand(1, 48, 48), labels, "toy")
    assert nuclei.stamps(crowded) == ()
    assert [tile.labels.shape for tile in CopyPaste(crowded, size=32, pasted=1.0, length=3)] == [(32, 32)] * 3
    refuses("an image with background, got nuclei all over", nuclei.copy_paste, crowded, 2, generator=generator(0))


def test_items_depend_on_seed_and_index_alone_and_go_to_workers(phantom: Nuclei) -> None:
    data = CopyPaste(phantom, size=64, count=3, length=4, seed=1)
    again = pickle.loads(pickle.dumps(data))
    for index in (3, 0, 2, 1):
        assert torch.equal(data[index].image, again[index].image)
        assert torch.equal(data[index].labels, again[index].labels)
    assert not torch.equal(data[0].image, data[1].image)
    assert not torch.equal(data[0].image, CopyPaste(phantom, size=64, count=3, seed=2)[0].image)
    batch = default_collate(list(data))
    assert (type(batch), batch.image.shape, batch.labels.shape) == (nuclei.Tile, (4, 1, 64, 64), (4, 64, 64))


def test_no_tile_of_the_training_part_shows_the_test_part() -> None:
    """The test part is of one value, which no tile has."""
    image, labels = torch.rand(1, 256, 512, generator=generator(0)) * 0.5, torch.zeros(256, 512, dtype=torch.int64)
    labels[100:112, 100:112], labels[50:60, 400:410] = 1, 2
    image[:, :, 320:] = 0.9
    whole = Nuclei(image, labels, "toy")
    assert all(
        tile.image.max() < 0.9
        for tile in CopyPaste(nuclei.part(whole, "train"), size=64, count=1, length=40, pasted=0.3)
    )


def test_without_the_variable_the_one_image_stands_for_all(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COURSEKIT_DSB2018", raising=False)
    (only,) = list(nuclei.images(split="test"))
    assert (only.source, only.image.shape) == ("phantom", (1, 512, 160))


def test_bad_wishes_are_refused(phantom: Nuclei, refuses: Callable[..., None]) -> None:
    refuses("share of all tiles", CopyPaste, phantom, pasted=1.5)
    refuses("count > 0", CopyPaste, phantom, count=0)
    refuses("length > 0", CopyPaste, phantom, length=0)
    refuses("split to be one of", nuclei.images, split="val")
