"""Photographs that lie inside scikit-image, which is always installed: the texture of what moves in a known way."""

from functools import lru_cache
from importlib import resources

import numpy as np
from jaxtyping import Float
from skimage.io import imread
from torch import Tensor

from ..readers.videos import Picture, as_clip
from ..seeds import Part

# PNG alone: every decoder gives the same values. Train and test have no picture in common.
STILLS: dict[Part, tuple[str, ...]] = {
    "train": ("astronaut", "camera", "coffee", "coins", "gravel", "ihc"),
    "test": ("brick", "chelsea", "grass", "motorcycle_left"),
}
SIDE = 256  # shorter side of a texture in pixels


def still(name: str) -> Picture:
    """The picture as it is stored, (H, W) or (H, W, 3), 0–255."""
    with resources.as_file(resources.files("skimage.data") / f"{name}.png") as path:
        picture: Picture = np.array(imread(path))
    return picture[..., :3] if picture.ndim == 3 else picture


@lru_cache(maxsize=4)
def textures(split: Part, gray: bool) -> tuple[Float[Tensor, "C H W"], ...]:
    """All pictures of one part, their shorter side brought to ``SIDE`` pixels, in [0, 1]."""
    return tuple(as_clip([still(name)], gray=gray, size=SIDE)[:, 0] for name in STILLS[split])
