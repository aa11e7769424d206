"""The nuclei: on an image of known numbers, on the phantom, and on the real image where the index can be reached."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch

from coursekit.data import fetch, nuclei
from coursekit.data.nuclei import Nuclei
from coursekit.data.simulated import pasting, phantoms
from coursekit.testing import assert_close, generator


@pytest.fixture
def toy_files(empty_cache: Path, monkeypatch: pytest.MonkeyPatch) -> np.ndarray:
    """An image of 32 × 64 that counts from 0 to 999 and back, and ids with gaps, in place of the real files."""
    image = (np.arange(32 * 64) % 1000).reshape(32, 64).astype(np.uint16)
    ids = np.zeros((32, 64), np.uint16)
    ids[2:5, 3:9], ids[10:12, 50:55], ids[20:22, 38:42] = 7, 183, 20  # left, right, cut by column 40
    tifffile.imwrite(empty_cache / "image.tif", image)
    tifffile.imwrite(empty_cache / "labels.tif", ids)
    monkeypatch.setattr(fetch, "path", lambda name: empty_cache / f"{name.removeprefix('nuclei2d_')}.tif")
    return image


@pytest.fixture(scope="module")
def phantom() -> Nuclei:
    return Nuclei(*phantoms.nuclei(generator=generator(2018)), "phantom", "a note")


def test_without_data_a_labelled_phantom_of_the_same_shapes(empty_cache: Path) -> None:
    whole = nuclei.load()
    assert whole.source == "phantom"
    assert "run coursekit data fetch nuclei2d_image" in whole.note
    assert (whole.image.shape, whole.image.dtype) == ((1, 512, 512), torch.float32)
    assert (whole.labels.shape, whole.labels.dtype, whole.count) == ((512, 512), torch.int64, 125)
    assert nuclei.load(split="train").image.shape == (1, 512, 320)
    assert nuclei.load(split="test").image.shape == (1, 512, 160)
    assert nuclei.load(split="test").source == "phantom"


def test_the_files_are_scaled_by_percentile_and_renumbered(toy_files: np.ndarray) -> None:
    whole = nuclei.load()
    low, high = np.percentile(toy_files, [1, 99.8])
    assert_close(whole.image[0], torch.from_numpy(((toy_files - low) / (high - low)).clip(0, 1)).float())
    assert (whole.image.min(), whole.image.max()) == (0, 1)
    assert (whole.source, whole.note, whole.count) == ("real", "", 3)
    assert [int(whole.labels[at]) for at in ((0, 0), (2, 3), (20, 38), (10, 50))] == [0, 1, 2, 3]


def test_parts_are_cut_by_place_and_a_nucleus_at_the_border_is_cut(toy_files: np.ndarray) -> None:
    train, test = nuclei.load(split="train"), nuclei.load(split="test")
    whole = nuclei.load()
    assert_close(train.image, whole.image[:, :, :40])
    assert_close(test.image, whole.image[:, :, 44:])
    assert (train.count, test.count) == (2, 1)
    assert_close(
        nuclei.boxes(train.labels), torch.tensor([[3.0, 2, 9, 5], [38, 20, 40, 22]])
    )  # the second is cut at 40
    assert_close(nuclei.boxes(test.labels), torch.tensor([[6.0, 10, 11, 12]]))


def test_a_nucleus_in_both_parts_is_refused(refuses) -> None:
    labels = torch.zeros(8, 64, dtype=torch.int64)
    labels[2, 39:45] = 1
    refuses(
        "a gap that no nucleus crosses, got 1 nuclei in both parts",
        nuclei.part,
        Nuclei(torch.zeros(1, 8, 64), labels, "toy"),
        "train",
    )
    labels[2, 44] = 0
    assert nuclei.part(Nuclei(torch.zeros(1, 8, 64), labels, "toy"), "train").count == 1


def test_an_unknown_part_is_refused(refuses) -> None:
    refuses("split to be one of None, 'train', 'test'", nuclei.load, split="val")


def test_relabel_closes_gaps_and_keeps_the_background() -> None:
    assert nuclei.relabel(torch.tensor([[0, 9, 4], [4, 0, 183]])).tolist() == [[0, 2, 1], [1, 0, 3]]
    assert nuclei.relabel(torch.tensor([[9, 4]])).tolist() == [[2, 1]]  # no background at all
    assert nuclei.relabel(torch.zeros(3, 0, dtype=torch.int32)).shape == (3, 0)


def test_bad_labels_are_refused(refuses) -> None:
    refuses("labels of shape", nuclei.relabel, torch.zeros(2, dtype=torch.int64))
    refuses("integer", nuclei.masks, torch.zeros(2, 2))
    refuses("background is 0", nuclei.relabel, torch.tensor([[-1, 0]]))
    refuses("no pixel of 1: relabel them first", nuclei.boxes, torch.tensor([[0, 2]]))


def test_masks_and_boxes_of_labels_drawn_by_hand() -> None:
    labels = torch.tensor([[1, 1, 0, 0], [0, 1, 0, 2], [0, 0, 0, 0]])
    assert nuclei.masks(labels).tolist() == [(labels == 1).tolist(), (labels == 2).tolist()]
    assert_close(
        nuclei.boxes(labels), torch.tensor([[0.0, 0, 2, 2], [3, 1, 4, 2]])
    )  # half-open: one pixel has area one
    assert nuclei.masks(labels.zero_()).shape == (0, 3, 4)
    assert nuclei.boxes(labels).shape == (0, 4)
    assert nuclei.boxes(labels[:0]).shape == (0, 4)


def test_boxes_meet_their_slow_definition(phantom: Nuclei) -> None:
    labels = phantom.labels.T  # not contiguous
    for k, (x1, y1, x2, y2) in enumerate(nuclei.boxes(labels).tolist(), start=1):
        pixels = [(r, c) for r, c in (labels == k).nonzero().tolist()]
        rows, columns = [r for r, _ in pixels], [c for _, c in pixels]
        assert (x1, y1, x2, y2) == (min(columns), min(rows), max(columns) + 1, max(rows) + 1)


def test_a_crop_keeps_image_and_labels_together(phantom: Nuclei) -> None:
    """The image is made of the labels, so the two agree wherever the crop went."""
    drawn = Nuclei(phantom.labels[None] / 125, phantom.labels, "toy")
    for seed in range(20):
        one = nuclei.crop(drawn, 65, least=0, generator=generator(seed))
        ids = (one.image[0] * 125).round().long()
        assert one.image.shape == (1, 65, 65)
        assert torch.equal(nuclei.relabel(ids), one.labels)


def test_crops_reach_every_corner_and_every_turn() -> None:
    places = torch.arange(9).view(1, 3, 3)
    whole = Nuclei(places / 9, torch.zeros(3, 3, dtype=torch.int64), "toy")
    seen = {
        tuple((nuclei.crop(whole, 2, generator=generator(seed)).image * 9).round().flatten().tolist())
        for seed in range(400)
    }
    assert len(seen) == 4 * 8  # four places, eight turns and mirrors


def test_small_remnants_become_background() -> None:
    labels = torch.zeros(6, 6, dtype=torch.int64)
    labels[0, :3], labels[3:5, :2] = 1, 2
    whole = Nuclei(torch.zeros(1, 6, 6), labels, "toy")
    assert nuclei.crop(whole, 6, least=4, generator=generator(0)).labels.flatten().bincount().tolist() == [32, 4]
    assert nuclei.crop(whole, 6, least=3, generator=generator(0)).count == 2


def test_a_crop_larger_than_the_image_is_refused(refuses, phantom: Nuclei) -> None:
    refuses("no larger than 512, got 513", nuclei.crop, phantom, 513, generator=generator(0))


def test_randomness_is_the_generators_alone(phantom: Nuclei) -> None:
    for make in (
        lambda seed: nuclei.crop(phantom, 64, generator=generator(seed)),
        lambda seed: pasting.copy_paste(phantom, 4, size=96, generator=generator(seed)),
    ):
        first, again, other = make(1), make(1), make(2)
        assert torch.equal(first.image, again.image)
        assert torch.equal(first.labels, again.labels)
        assert not torch.equal(first.image, other.image)


@pytest.mark.network
def test_the_real_image_is_the_one_described(empty_cache: Path) -> None:
    fetch.fetch(progress=False)
    whole, train, test = nuclei.load(), nuclei.load(split="train"), nuclei.load(split="test")
    assert (whole.source, whole.image.shape, whole.count) == ("real", (1, 512, 512), 125)
    assert (train.source, train.count, test.count) == ("real", 89, 35)
    assert set(whole.labels[:, :320].unique().tolist()) & set(whole.labels[:, 352:].unique().tolist()) == {0}
    inside = whole.labels > 0
    assert whole.image[0][inside].mean() > 3 * whole.image[0][~inside].mean()  # labels lie on the nuclei
    assert len(pasting.stamps(train)) > 20
