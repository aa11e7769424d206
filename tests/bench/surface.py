"""Surface distances and Dice against MONAI and scikit-image, in 2D and 3D; settings and shapes fixed beforehand.

MONAI is asked for the four figures of ``surface_record`` in its own four calls, then for the Hausdorff distance
alone. scikit-image has the Hausdorff distance alone, without spacing, and is given the surfaces: it would else search
every voxel of the masks.
"""

import warnings
from collections.abc import Callable, Iterator

import monai.metrics as mm
import torch
from skimage.metrics import hausdorff_distance
from torch import Tensor

from coursekit.metrics.overlap import dice
from coursekit.metrics.surface import surface, surface_record
from tests.bench.timing import Row, compare

SHAPES = [(256, 256), (64, 64, 64), (40, 160, 160)]
SPACING = (2.0, 0.8, 0.8)


def blobs(shape: tuple[int, ...], *, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A wavy blob, and the same moved and grown a little, as a good segmentation is off."""
    grid = torch.stack(torch.meshgrid(*[torch.linspace(-1, 1, n) for n in shape], indexing="ij"))  # (ndim, *shape)
    phase = 6 * torch.rand(len(shape), generator=generator).view(-1, *[1] * len(shape))
    wave = 0.1 * torch.sin(9 * grid + phase).sum(0)
    return (grid**2).sum(0).sqrt() + wave < 0.6, ((grid - 0.03) ** 2).sum(0).sqrt() + wave < 0.63


def rows(*, repeats: int = 9) -> Iterator[Row]:
    """Four rows a shape of ``SHAPES``, on one thread."""
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "monai.metrics.utils", FutureWarning)
    for shape in SHAPES:
        truth, prediction = blobs(shape, generator=torch.Generator().manual_seed(0))
        yield from _rows(truth, prediction, SPACING[-len(shape) :], repeats)


def _rows(truth: Tensor, prediction: Tensor, spacing: tuple[float, ...], repeats: int) -> Iterator[Row]:
    knobs = {"include_background": True, "spacing": spacing}
    pair = (prediction[None, None], truth[None, None])
    ones = (1.0,) * truth.ndim

    def ours() -> list[float]:
        record = surface_record(truth, prediction, spacing_mm=spacing)
        return [record.hausdorff_mm, record.hd95_mm, record.assd_mm, record.surface_dice]

    def monai() -> list[float]:
        hausdorff, hd95 = (mm.compute_hausdorff_distance(*pair, percentile=p, **knobs) for p in (None, 95))
        assd = mm.compute_average_surface_distance(*pair, symmetric=True, **knobs)
        return [x.item() for x in (hausdorff, hd95, assd, mm.compute_surface_dice(*pair, [1.0], **knobs))]

    def monai_hausdorff() -> list[float]:
        return [mm.compute_hausdorff_distance(*pair, **knobs).item()]

    def ours_unit() -> list[float]:
        return [surface_record(truth, prediction, spacing_mm=ones).hausdorff_mm]

    def scikit_image() -> list[float]:
        return [hausdorff_distance(surface(truth).numpy(), surface(prediction).numpy())]

    def ours_dice() -> list[float]:
        return [dice(truth, prediction).item()]

    def monai_dice() -> list[float]:
        return [mm.compute_dice(*pair).item()]

    def row(name: str, peer: str, a: Callable[[], list[float]], b: Callable[[], list[float]]) -> Row:
        error = max(abs(x - y) for x, y in zip(a(), b()))
        return compare(name, peer, a, b, max_error=error, sizes=str(tuple(truth.shape)), repeats=repeats)

    yield row("surface distance", "MONAI, four figures", ours, monai)
    yield row("surface distance", "MONAI, Hausdorff alone", ours, monai_hausdorff)
    yield row("surface distance", "scikit-image, Hausdorff alone", ours_unit, scikit_image)
    yield row("dice", "MONAI", ours_dice, monai_dice)
