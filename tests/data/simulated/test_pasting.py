"""Tiles to train on, and the data set of one image."""

import itertools
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import default_collate

from coursekit.data import nuclei
from coursekit.data.nuclei import Nuclei
from coursekit.data.simulated import pasting, phantoms
from coursekit.data.simulated.pasting import CopyPaste
from coursekit.testing import assert_close, generator


@pytest.fixture(scope="module")
def phantom() -> Nuclei:
    return nuclei.part(Nuclei(*phantoms.nuclei(generator=generator(2018)), "phantom"), "train")


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


def test_an_image_so_crowded_that_no_background_is_left_is_cropped() -> None:
    labels = torch.arange(1, 10).view(3, 1, 3, 1).expand(3, 16, 3, 16).reshape(48, 48)
    crowded = Nuclei(torch.rand(1, 48, 48), labels, "toy")
    assert pasting.stamps(crowded) == ()
    assert [tile.labels.shape for tile in CopyPaste(crowded, size=32, pasted=1.0, length=3)] == [(32, 32)] * 3


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


def touches(labels: Tensor) -> set[int]:
    """Labels with a neighbouring pixel, diagonals included, of another label."""
    height, width = labels.shape
    padded, found = F.pad(labels, (1, 1, 1, 1)), set()
    for dy, dx in itertools.product(range(3), repeat=2):
        other = padded[dy : dy + height, dx : dx + width]
        found |= set(labels[(labels > 0) & (other > 0) & (labels != other)].tolist())
    return found


def test_stamps_are_whole_nuclei_that_lie_free() -> None:
    phantom = Nuclei(*phantoms.nuclei(generator=generator(2018)), "phantom")
    boxes, edge = nuclei.boxes(phantom.labels), phantoms.HALO
    free = (boxes[:, :2] >= edge).all(1) & (boxes[:, 2:] <= 512 - edge).all(1)
    areas = phantom.labels.flatten().bincount()[1:]
    wanted = {int(areas[k]) for k in range(125) if free[k] and k + 1 not in touches(phantom.labels)}
    cut = pasting.stamps(phantom)
    assert 20 < len(cut) < 125
    assert {int(stamp.mask.sum()) for stamp in cut} <= wanted
    for stamp in cut:
        assert stamp.light.min() >= 0
        assert stamp.light[stamp.mask].mean() > 4 * stamp.light[~stamp.mask].mean()


def test_a_stamp_holds_no_light_of_its_neighbour() -> None:
    """Two squares six pixels apart: near enough to reach into each other's stamp."""
    labels = torch.zeros(40, 60, dtype=torch.int64)
    labels[15:25, 15:25], labels[15:25, 31:41] = 1, 2
    whole = Nuclei((labels > 0).float()[None], labels, "toy")
    for light, mask in pasting.stamps(whole):
        assert_close(light, mask.float())
    assert pasting.copy_paste(whole, 6, size=80, generator=generator(0)).image.max() == 1  # gains above one saturate


def test_a_pasted_nucleus_keeps_mask_and_light() -> None:
    """One bright square on an empty background: what is pasted is that square, its light times the drawn gain."""
    image, labels = torch.full((1, 60, 60), 0.1), torch.zeros(60, 60, dtype=torch.int64)
    image[0, 20:30, 20:36], labels[20:30, 20:36] = 0.5, 1
    whole = Nuclei(image, labels, "toy", "a note")
    for seed in range(10):
        new = pasting.copy_paste(whole, 1, size=80, generator=generator(seed))
        (mask,) = nuclei.masks(new.labels)
        values = new.image[0][mask]
        assert 80 <= mask.sum() <= 160  # at least half of it is on the image
        assert values.max() - values.min() < 1e-6
        assert 0.1 + 0.4 * 0.7 <= values[0] <= 0.1 + 0.4 * 1.4
        assert_close(new.image[0][~mask], torch.full_like(new.image[0][~mask], 0.1))
    assert (new.source, new.note) == ("copy-paste of toy", "a note")


def test_copy_paste_counts_and_stays_in_range(phantom: Nuclei) -> None:
    for count in (0, 1, 12):
        new = pasting.copy_paste(phantom, count, size=128, generator=generator(count))
        assert (new.count, len(new.labels.unique())) == (count, count + 1)
        assert new.image.min() >= 0
        assert new.image.max() <= 1
