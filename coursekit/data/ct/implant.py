"""Set a nodule of known shape into a real CT, so that every voxel's share of nodule is known.

What a scanner would have seen there is mixed voxel by voxel: share × nodule + (1 − share) × what was there. The share
is the volume of the shape within the voxel, exact for any spacing, so a thick slice blurs the nodule as it blurs a
real one; then a Gaussian stands for the scanner's point spread. The nodule gets a density, a little mottling, and the
noise that the mixing took away from the place.

Left out: the nodule pushes nothing aside, pulls no pleura, and no vessel leads to it; calcium and cavities are not
imitated.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Shaped
from scipy import ndimage
from torch import Generator, Tensor

from ... import _check
from ..scan import AXES, Scan
from .readings import Nodule

# By the median of the readers' rating of texture, 1 ground glass … 5 solid: where the HU of a nodule is drawn from.
# Chosen by us.
HU_OF_TEXTURE = {1: (-680.0, -500.0), 2: (-600.0, -400.0), 3: (-450.0, -200.0), 4: (-200.0, 0.0), 5: (-50.0, 100.0)}
BLUR_MM = 0.5  # standard deviation of the point spread in the plane, a full width at half maximum of 1.2 mm
MOTTLE_HU, MOTTLE_MM = 15.0, 1.5  # standard deviation and width of the density's slow changes within a nodule
INSIDE = 0.5  # the share of a voxel from which on it counts as nodule

Triple = tuple[float, float, float]


class Implanted(NamedTuple):
    """A scan with a nodule in it: ``occupancy`` (D, H, W) float32, each voxel's share of nodule; ``mask`` where it is
    at least a half.
    """

    scan: Scan
    occupancy: Float32[Tensor, "D H W"]
    mask: Bool[Tensor, "D H W"]
    hu: float


class Patch(NamedTuple):
    """``values`` (D, H, W) in HU with the nodule in it, ``occupancy`` (D, H, W) each voxel's share of nodule."""

    values: Float32[Tensor, "D H W"]
    occupancy: Float32[Tensor, "D H W"]


# --- the share of each voxel
# ---------------------------------------------------------------------------------------------


def occupancy(
    shape: Bool[Tensor, "d h w"],
    shape_mm: float,
    size: tuple[int, int, int],
    spacing_mm: Triple,
    *,
    centre: Triple,
    blur_mm: float = 0.0,
) -> Float32[Tensor, "D H W"]:
    """The share of each voxel of a grid that the shape fills: exact overlaps of boxes, then a Gaussian of ``blur_mm``.

    ``shape`` lies on an isotropic grid of ``shape_mm``, and its middle at ``centre``, an index of the grid that may
    lie between voxels. All of the shape that lies within the grid is counted, so occupancy × voxel is its volume.
    """
    _check.tensor("shape", shape, "d h w")
    _check.boolean("shape", shape)
    _check.positive("spacing_mm", (shape_mm, *spacing_mm))
    _check.positive("blur_mm", blur_mm, zero=True)
    share = shape.numpy().astype(np.float64)
    for axis, (count, step, middle) in enumerate(zip(size, spacing_mm, centre)):
        edges = (np.arange(count + 1) - 0.5 - middle) * step / shape_mm + share.shape[
            axis
        ] / 2  # in voxels of the shape
        share = _binned(share, edges, axis) * shape_mm / step
    if blur_mm:
        share = ndimage.gaussian_filter(share, [blur_mm / step for step in spacing_mm], mode="constant")
    return torch.from_numpy(share.clip(0, 1).astype(np.float32))


def _binned(values: np.ndarray, edges: np.ndarray, axis: int) -> np.ndarray:
    """The sum of the values between neighbouring edges along an axis, values being constant within their voxel."""
    first = np.moveaxis(values, axis, 0)
    total = np.concatenate([np.zeros_like(first[:1]), np.cumsum(first, 0)])
    place = edges.clip(0, len(first))
    low = np.minimum(place.astype(np.int64), len(first) - 1)
    upto = total[low] + (place - low)[:, None, None] * first[low]
    between: np.ndarray = np.moveaxis(np.diff(upto, axis=0), 0, axis)
    return between


def turned(shape: Shaped[Tensor, "d h w"], *, generator: Generator) -> Shaped[Tensor, "_ _ _"]:
    """One of the 48 ways to lay the axes of a cube, drawn at random: no voxel changes its value."""
    order = torch.randperm(3, generator=generator).tolist()
    mirrored = [axis for axis in range(3) if int(torch.randint(2, (1,), generator=generator))]
    return shape.permute(order).flip(mirrored)


# --- what the scanner sees
# -----------------------------------------------------------------------------------------------


def noise_of(values: Float[Tensor, "D H W"]) -> float:
    """The standard deviation of the noise, in HU, by the median over the voxels of |voxel − mean of its two
    neighbours in the row|.

    The difference cancels slow changes, and vessels and edges hardly move a median. Noise that is alike in neighbours
    is underrated.
    """
    _check.tensor("values", values, "D H W")
    if values.shape[2] < 3 or not values.numel():
        return 0.0
    row = values.double().numpy()
    rough = row[..., 1:-1] - (row[..., :-2] + row[..., 2:]) / 2
    return float(
        np.median(np.abs(rough)) * 1.4826 / np.sqrt(1.5)
    )  # of white noise: a median absolute deviation, variance 1 + 2/4


def hu_of(nodule: Nodule, *, generator: Generator) -> float:
    """A density by the readers' median texture: solid −50 … 100 HU, mixed and ground glass lower (``HU_OF_TEXTURE``)."""
    low, high = HU_OF_TEXTURE[int(np.clip(np.floor(nodule.median("texture") + 0.5), 1, 5))]
    return low + (high - low) * float(torch.rand(1, generator=generator, dtype=torch.float64))


def _mixed(
    values: np.ndarray, share: np.ndarray, spacing_mm: Triple, hu: float, noise: float, generator: Generator
) -> np.ndarray:
    """share × nodule + (1 − share) × values, and noise so that its variance in all stays: (1 − share)² of it is left by
    the mixing.
    """
    white = torch.randn((2, *values.shape), generator=generator, dtype=torch.float64).numpy()
    mottle = _coloured(white[0], MOTTLE_MM, spacing_mm) * MOTTLE_HU
    grain = _coloured(white[1], BLUR_MM, spacing_mm) * noise
    mixed: np.ndarray = values + share * (hu + mottle - values) + np.sqrt(share * (2 - share)) * grain
    return mixed


def _coloured(white: np.ndarray, width_mm: float, spacing_mm: Triple) -> np.ndarray:
    """White noise smoothed to a width, of standard deviation 1 again."""
    steps = [width_mm / step for step in spacing_mm]
    gain = [_kept(step) for step in steps]
    smooth: np.ndarray = ndimage.gaussian_filter(white, steps, mode="wrap") / np.prod(gain)
    return smooth


def _kept(sigma: float) -> float:
    """The standard deviation that a Gaussian of ``sigma`` voxels leaves of white noise along one axis."""
    impulse = np.zeros(8 * int(np.ceil(sigma)) + 9)
    impulse[len(impulse) // 2] = 1
    return float(np.linalg.norm(ndimage.gaussian_filter1d(impulse, sigma)))


# --- into a patch, into a scan
# -------------------------------------------------------------------------------------------


def implant_patch(
    patch_hu: Float[Tensor, "D H W"],
    spacing_mm: float | Triple,
    nodule: Nodule,
    *,
    generator: Generator,
    centre: Triple | None = None,
    hu: float | None = None,
    noise: float | None = None,
    blur_mm: float = BLUR_MM,
    turn: bool = False,
) -> Patch:
    """Set a nodule into a patch that is already cut, at its middle or at ``centre``: the quick way, with no question
    whether it fits.

    ``hu`` is drawn by the nodule's texture and ``noise`` (standard deviation in HU) estimated from the patch, if not
    given; ``turn`` lays the nodule in one of 48 ways. What lies outside the patch is cut.
    """
    size = _check.tensor("patch_hu", patch_hu, "D H W")
    _check.floating("patch_hu", patch_hu)
    steps: Triple = (spacing_mm,) * 3 if isinstance(spacing_mm, int | float) else spacing_mm
    shape = turned(nodule.shape, generator=generator) if turn else nodule.shape
    middle = centre or ((size[0] - 1) / 2, (size[1] - 1) / 2, (size[2] - 1) / 2)
    share = occupancy(shape, nodule.shape_mm, (size[0], size[1], size[2]), steps, centre=middle, blur_mm=blur_mm)
    density = hu_of(nodule, generator=generator) if hu is None else hu
    level = noise_of(patch_hu) if noise is None else noise
    values = _mixed(patch_hu.double().numpy(), share.numpy().astype(np.float64), steps, density, level, generator)
    return Patch(torch.from_numpy(values.astype(np.float32)), share)


def implant(
    scan: Scan,
    nodule: Nodule,
    centre: Triple,
    *,
    generator: Generator,
    lungs: Bool[Tensor, "D H W"] | None = None,
    taken: Bool[Tensor, "D H W"] | None = None,
    hu: float | None = None,
    noise: float | None = None,
    blur_mm: float = BLUR_MM,
    turn: bool = False,
) -> Implanted:
    """Set a nodule into a scan with its middle at the index ``centre`` (d, h, w); ``scan.index`` gives it for a place
    in the world.

    Other arguments as in :func:`implant_patch`. The scan is left as it is, the new one is float32. Raises
    ``ValueError`` if the nodule does not lie within the volume, if any voxel at least half filled lies outside
    ``lungs`` (None allows it) or on ``taken``, the labels of other nodules, and if the scan's axes are not SPL, those
    of the shapes.
    """
    if scan.axes != AXES:
        raise _check.refuse(f"a scan with axes {AXES}", scan.axes, "turn it with oriented first")
    shape = turned(nodule.shape, generator=generator) if turn else nodule.shape
    box = _box(scan, shape, nodule.shape_mm, centre, 4 * blur_mm)
    local = tuple(c - part.start for c, part in zip(centre, box))
    size = tuple(part.stop - part.start for part in box)
    share = occupancy(shape, nodule.shape_mm, size, scan.spacing_mm, centre=local, blur_mm=blur_mm)
    for name, allowed in (
        ("inside the lungs", lungs),
        ("beside the nodules already there", None if taken is None else ~taken),
    ):
        _allowed(name, share >= INSIDE, allowed, scan, box)
    density = hu_of(nodule, generator=generator) if hu is None else hu
    values = scan.values.float().clone()
    level = noise_of(values[box]) if noise is None else noise
    mixed = _mixed(
        values[box].double().numpy(), share.numpy().astype(np.float64), scan.spacing_mm, density, level, generator
    )
    values[box] = torch.from_numpy(mixed.astype(np.float32))
    filled = torch.zeros_like(values)
    filled[box] = share
    return Implanted(Scan(values, scan.affine, scan.unit), filled, filled >= INSIDE, density)


def _box(scan: Scan, shape: Tensor, shape_mm: float, centre: Triple, margin_mm: float) -> tuple[slice, slice, slice]:
    """The voxels around a nodule, cut at the faces of the volume, within which the nodule itself must lie."""
    half = [n * shape_mm / 2 for n in shape.shape]
    reach = [(h / step, (h + margin_mm) / step) for h, step in zip(half, scan.spacing_mm)]
    sides = list(zip(centre, reach, scan.values.shape))
    if any(c - inner < -0.5 or c + inner > n - 0.5 for c, (inner, _), n in sides):
        got = f"a nodule of {' × '.join(f'{2 * h:.0f}' for h in half)} mm at {tuple(round(c, 1) for c in centre)}"
        raise _check.refuse(f"a nodule inside the volume {tuple(scan.values.shape)}", got, "move it from the edge")
    d, h, w = (
        slice(max(0, int(np.floor(c - outer))), min(n, int(np.ceil(c + outer)) + 1)) for c, (_, outer), n in sides
    )
    return d, h, w


def _allowed(where: str, mask: Tensor, allowed: Tensor | None, scan: Scan, box: tuple[slice, slice, slice]) -> None:
    if allowed is None:
        return
    if allowed.shape != scan.values.shape or allowed.dtype != torch.bool:
        raise _check.refuse(
            f"a bool mask of shape {tuple(scan.values.shape)}",
            f"{allowed.dtype} {tuple(allowed.shape)}",
            "pass one on its grid",
        )
    outside = int((mask & ~allowed[box]).sum())
    if outside:
        raise _check.refuse(f"a nodule {where}", f"{outside} voxels that are not", "choose another place")
