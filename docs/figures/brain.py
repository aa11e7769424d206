"""Draw docs/images/data_brain.png: the template, two simulated people in FET-PET, and the two real MRIs.

Run as ``python docs/figures/brain.py`` after ``coursekit data fetch all``.
"""

from pathlib import Path

import matplotlib
import numpy as np
import torch

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

from coursekit.data import brain
from coursekit.data.scan import Scan, spaced
from coursekit.data.simulated import pet as simulated

PEOPLE = (1, 4)
OUT = Path(__file__).parents[1] / "images" / "data_brain.png"
PLANES = ("axial", "coronal", "sagittal")
SIDES = (("right to left", "front to back"), ("right to left", "up"), ("front to back", "up"))


def plane(
    axes: Axes, scan: Scan, label: Scan | None, at: tuple[int, int, int], k: int, title: str, **knobs: object
) -> None:
    """One of three planes through the voxel ``at``, sides in mm, lesions outlined."""
    cut = tuple(at[k] if axis == k else slice(None) for axis in range(3))
    rows, columns = (n for axis, n in enumerate(scan.values.shape) if axis != k)
    down, across = (step for axis, step in enumerate(scan.spacing_mm) if axis != k)
    origin = "upper" if k == 0 else "lower"
    extent = (0, columns * across, rows * down, 0) if k == 0 else (0, columns * across, 0, rows * down)
    axes.imshow(scan.values[cut].numpy(), origin=origin, extent=extent, **knobs)
    if label is not None and bool(label.values[cut].any()):
        y, x = ((np.arange(n) + 0.5) * step for n, step in ((rows, down), (columns, across)))
        axes.contour(x, y, label.values[cut].numpy() > 0, [0.5], colors="#ff7f0e", linewidths=1)
    axes.set_title(title, fontsize=8)
    axes.set_xlabel(f"{SIDES[k][0]}, mm", fontsize=7)
    axes.set_ylabel(f"{SIDES[k][1]}, mm", fontsize=7)
    axes.tick_params(labelsize=6)


def middle(label: Scan) -> tuple[int, int, int]:
    """The voxel in the middle of the largest lesion."""
    values = label.values.long()
    largest = values.flatten().bincount()[1:].argmax() + 1
    d, h, w = (values == largest).nonzero().double().mean(0).round().long().tolist()
    return d, h, w


def main() -> None:
    figure, grid = plt.subplots(3, 6, figsize=(12, 6.6), layout="constrained")
    tissues, affine = simulated.template()
    shares = dict(zip(simulated.UPTAKE, tissues))
    for axes, (name, parts) in zip(
        grid[0, 3:], (("outside", ("vessel", "bone", "scalp")), ("grey", ("grey",)), ("white", ("white",)))
    ):
        values = sum((j + 1) / len(parts) * shares[part] for j, part in enumerate(parts))
        title = "drawn: veins, bone, scalp" if name == "outside" else f"{name} matter, share of voxel"
        plane(
            axes,
            Scan(torch.from_numpy(values), affine),
            None,
            (42, 58, 49),
            0,
            title,
            cmap="gray",
            vmin=0,
            vmax=1,
        )
    tissue = Scan(torch.from_numpy(shares["grey"] + 0.35 * shares["white"]), affine)
    for k, axes in enumerate(grid[0, :3]):
        plane(
            axes,
            tissue,
            None,
            (42, 58, 44),
            k,
            f"template, {PLANES[k]}",
            cmap="gray",
            vmin=0,
            vmax=1,
        )
    pets = brain.pet(count=max(PEOPLE) + 1)
    for person, row in zip(PEOPLE, (grid[1, :3], grid[1, 3:])):
        scan, label = (
            spaced(x[person], (simulated.VOXEL_MM,) * 3, unit="SUV") for x in (pets.images[:, 0], pets.labels)
        )
        for k, axes in enumerate(row):
            title = f"FET (simulated), {PLANES[k]}"
            plane(
                axes,
                scan,
                label,
                middle(label),
                k,
                title,
                cmap="gray_r",
                vmin=0,
                vmax=3,
            )
        figure.colorbar(row[-1].images[0], ax=row[-1], shrink=0.6).set_label("SUV", fontsize=7)
    for name, row in (("brain1", grid[2, :3]), ("brain2", grid[2, 3:])):
        one = brain.mri(name)
        for k, axes in enumerate(row):
            title = f"MRI {name} (real), {PLANES[k]}"
            plane(axes, brain.normalised(one.scan), one.label, middle(one.label), k, title, cmap="gray", vmin=0, vmax=1)
    figure.savefig(OUT, dpi=84)


if __name__ == "__main__":
    main()
