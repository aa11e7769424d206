"""The two films of moving nuclei are those described."""

from pathlib import Path

import pytest

from coursekit.data import fetch, nuclei


@pytest.mark.parametrize(("name", "shape", "count"), [("hela", (20, 700, 1100), 3271), ("cho", (20, 5, 443, 512), 195)])
def test_a_film_is_the_one_described(name: str, shape: tuple[int, ...], count: int) -> None:
    image, labels = nuclei.movie(name)
    assert tuple(labels.shape) == shape
    assert tuple(image.shape) == (1, *shape)
    assert (image.min(), image.max()) == (0, 1)
    assert sum(len(frame.unique()) - int((frame == 0).any()) for frame in labels) == count
    contrast = image[0][labels > 0].mean() / image[0][labels == 0].mean()
    assert contrast > 2, "the masks lie on what is bright"


def test_ids_stay_with_their_nucleus_in_one_film_only() -> None:
    assert nuclei.movie("cho")[1].unique().numel() - 1 == 11
    assert nuclei.movie("hela")[1].unique().numel() - 1 == 195  # of 3,271 instances


def test_without_the_files_nothing_stands_in(empty_cache: Path, refuses) -> None:
    refuses("name", nuclei.movie, "yeast")
    with pytest.raises(fetch.DataMissing, match="run coursekit data fetch hela_image"):
        nuclei.movie("hela")
