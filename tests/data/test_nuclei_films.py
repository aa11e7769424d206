"""The two films of moving nuclei: as described, and split so that no nucleus is in both parts."""

from pathlib import Path

import pytest

from coursekit.data import fetch, nuclei


def instances(film: nuclei.Movie) -> int:
    """In all frames together."""
    return sum(len(frame.unique()) - int((frame == 0).any()) for frame in film.labels)


@pytest.mark.parametrize(("name", "shape", "count"), [("hela", (20, 700, 1100), 3271), ("cho", (20, 5, 443, 512), 195)])
def test_a_film_is_the_one_described(name: str, shape: tuple[int, ...], count: int) -> None:
    film = nuclei.movie(name)
    assert tuple(film.labels.shape) == shape
    assert tuple(film.image.shape) == (1, *shape)
    assert (film.image.min(), film.image.max()) == (0, 1)
    assert instances(film) == count
    contrast = film.image[0][film.labels > 0].mean() / film.image[0][film.labels == 0].mean()
    assert contrast > 2, "the masks lie on what is bright"


def test_ids_stay_with_their_nucleus_in_one_film_only() -> None:
    assert nuclei.movie("cho").labels.unique().numel() - 1 == 11
    assert nuclei.movie("hela").labels.unique().numel() - 1 == 195  # of 3,271 instances


def test_no_nucleus_of_hela_is_in_both_parts() -> None:
    train, test = nuclei.movie("hela", split="train"), nuclei.movie("hela", split="test")
    assert (train.labels.shape[-1], test.labels.shape[-1]) == (687, 344)
    for left, right in zip(train.labels, test.labels):
        assert not set(left.unique().tolist()) & set(right.unique().tolist()) - {0}
    assert (instances(train), instances(test)) == (2200, 912)


def test_a_film_that_cannot_be_split_says_so(refuses) -> None:
    refuses("expected hela for a split by place, got cho", nuclei.movie, "cho", split="train")
    refuses("name", nuclei.movie, "yeast")


def test_without_the_files_nothing_stands_in(empty_cache: Path) -> None:
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch hela_image"):
        nuclei.movie("hela")
