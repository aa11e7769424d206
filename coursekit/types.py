"""The axes, frames and units of the course, decided once.

Axes
    ``N`` boxes, instances, batch · ``K`` regions · ``C`` channels · ``D`` slices · ``H`` rows · ``W`` columns · ``T``
    frames. An image is ``(C, H, W)``, a volume ``(C, D, H, W)``, a clip ``(C, T, H, W)``; ``N`` in front is a batch.

Frames
    A box is ``(x1, y1, x2, y2)``, continuous and half-open: pixel (row i, column j) covers [j, j + 1) × [i, i + 1),
    its centre is ``(j + 0.5, i + 0.5)``, and the area of a box is ``(x2 - x1)(y2 - y1)`` with no "+ 1" (unlike
    Pascal VOC). Flow channels follow the axes: ``(dy, dx)`` in the plane, ``(dz, dy, dx)`` in a volume, in pixels.

Units
    ``spacing_mm`` follows the axes ``(D, H, W)``; ``fps`` frames a second; ``ef_percent`` 0–100; CT in HU (Hounsfield).
"""

from jaxtyping import Bool, Float, Integer
from torch import Tensor

Boxes = Float[Tensor, "N 4"]  # (x1, y1, x2, y2), one row a box
Scores = Float[Tensor, "N"]
Labels = Integer[Tensor, "N"]
Image = Float[Tensor, "C H W"]
Volume = Float[Tensor, "C D H W"]
Clip = Float[Tensor, "C T H W"]
FeatureMaps = Float[Tensor, "N C H W"]
Masks = Bool[Tensor, "N H W"]  # one plane an instance
LabelMap = Integer[Tensor, "H W"]  # 0 is background, 1 … n the instances

__all__ = ["Boxes", "Clip", "FeatureMaps", "Image", "LabelMap", "Labels", "Masks", "Scores", "Volume"]
