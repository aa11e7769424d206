"""Setting nodules into a CT: shares of voxels against supersampling, volumes, noise, and what is refused."""

import hashlib
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import ndimage

from coursekit.data import ct, seeds
from coursekit.data.ct import implant as making
from coursekit.data.ct import lidc, nodule_phantom
from coursekit.data.ct.implant import implant, implant_patch, noise_of, occupancy, turned
from coursekit.data.ct.readings import RATINGS, Nodule, Reading
from coursekit.data.scan import Scan, oriented, spaced
from coursekit.testing import assert_close, generator

GRIDS = [(1.0, 1.0, 1.0), (5.0, 0.57, 0.63), (2.5, 0.7, 0.7), (0.4, 0.9, 0.5)]


def ball(radius_mm: float, shape_mm: float = 0.5) -> torch.Tensor:
    axis = torch.arange(-30, 31) * shape_mm
    return axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < radius_mm**2


def nodule(texture: int = 5, seed: int = 3) -> Nodule:
    made = nodule_phantom._nodule("p", seeds.stream(seed), 0)
    row = [3] * 9
    row[RATINGS.index("texture")] = texture
    return Nodule("p", "s", made.pixel_mm, made.slice_mm, tuple(Reading(r.contours, tuple(row)) for r in made.readings))


def lung(*, noise: float = 30.0, size: tuple[int, int, int] = (20, 96, 96)) -> Scan:
    values = -850 + noise * torch.randn(size, generator=generator(5))
    return spaced(values, (5.0, 0.6, 0.6), unit="HU")


# --- the share of each voxel
# ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("blur", [0.0, 0.5])
def test_occupancy_has_the_volume_of_the_shape_and_its_place(spacing: tuple[float, float, float], blur: float) -> None:
    for shape in (ball(6.0), nodule().shape, ball(2.0)):
        size = tuple(math.ceil(40 / step) for step in spacing)
        centre = tuple(n / 2 + shift for n, shift in zip(size, (0.3, -0.21, 0.77)))
        share = occupancy(shape, 0.5, size, spacing, centre=centre, blur_mm=blur)
        volume = float(share.double().sum()) * math.prod(spacing)
        assert volume == pytest.approx(float(shape.sum()) * 0.125, rel=1e-5)
        middle = np.array(ndimage.center_of_mass(share.numpy())) - centre
        offset = np.array(ndimage.center_of_mass(shape.numpy())) - (np.array(shape.shape) - 1) / 2
        assert (np.abs(middle * spacing - offset * 0.5) < 0.15 * np.array(spacing)).all()
        assert share.min() >= 0
        assert share.max() <= 1


def test_occupancy_of_a_ball_is_what_points_in_the_voxels_say() -> None:
    """512 points a voxel, each asked whether it lies in the ball: no grid of the shape in between."""
    spacing, size, centre, radius, parts = (5.0, 0.8, 1.1), (7, 24, 20), (3.2, 11.7, 9.4), 7.0, 8
    share = occupancy(ball(radius, 0.25), 0.25, size, spacing, centre=centre).numpy()
    axes = [(((np.arange(n * parts) + 0.5) / parts - 0.5) - c) * step for n, c, step in zip(size, centre, spacing)]
    points = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 < radius**2
    slow = points.reshape(7, parts, 24, parts, 20, parts).mean((1, 3, 5))
    assert np.abs(share - slow).max() < 0.08
    assert np.abs(share - slow).mean() < 0.004
    assert ((share > 0.02) & (share < 0.98)).sum() > 100  # there are parts of voxels


def test_what_lies_outside_the_grid_is_cut() -> None:
    whole = occupancy(ball(5.0), 0.5, (40, 40, 40), (1.0, 1.0, 1.0), centre=(19.5, 19.5, 19.5))
    half = occupancy(ball(5.0), 0.5, (20, 40, 40), (1.0, 1.0, 1.0), centre=(-0.5, 19.5, 19.5))
    assert_close(half, whole[20:], atol=1e-6)
    assert occupancy(ball(5.0), 0.5, (5, 5, 5), (1.0, 1.0, 1.0), centre=(90.0, 2.0, 2.0)).sum() == 0


def test_turned_is_one_of_48_and_moves_no_voxel() -> None:
    shape = torch.arange(24).view(2, 3, 4)
    seen = {
        tuple([*t.shape, *t.flatten().tolist()])
        for t in (turned(shape, generator=generator(seed)) for seed in range(600))
    }
    assert len(seen) == 48


# --- what the scanner sees
# -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sigma", [0.0, 8.0, 40.0])
def test_noise_is_estimated_beside_slopes_and_vessels(sigma: float) -> None:
    values = sigma * torch.randn(24, 24, 24, generator=generator(1)) + 20.0 * torch.arange(24)
    values[:, 5, 3:9] += 700
    values[10:14, 12, :] += 500
    assert noise_of(values) == pytest.approx(sigma, rel=0.06, abs=1e-3)
    assert noise_of(values[..., :2]) == 0


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_the_noise_keeps_its_power_whatever_the_share(share: float) -> None:
    values = 20 + 30 * torch.randn(40, 40, 40, generator=generator(2)).double().numpy()
    mixed = making._mixed(values, np.full_like(values, share), (1.0, 1.0, 1.0), 20.0, 30.0, generator(3))
    assert mixed.mean() == pytest.approx(20, abs=2)
    assert mixed.std() == pytest.approx(math.hypot(30, share * making.MOTTLE_HU), rel=0.04)


def test_density_follows_the_readers_texture() -> None:
    for texture, (low, high) in making.HU_OF_TEXTURE.items():
        drawn = [making.hu_of(nodule(texture), generator=generator(seed)) for seed in range(60)]
        assert low <= min(drawn) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(drawn) <= high
    assert list(making.HU_OF_TEXTURE) == [1, 2, 3, 4, 5]


def test_a_patch_gets_its_nodule_and_nothing_else_changes() -> None:
    patch = -850 + 20 * torch.randn(32, 32, 32, generator=generator(1))
    before = patch.clone()
    one = nodule()
    made = implant_patch(patch, 1.0, one, generator=generator(2), hu=40.0)
    assert torch.equal(patch, before)
    assert torch.equal(made.values[made.occupancy == 0], patch[made.occupancy == 0])
    assert float(made.occupancy.double().sum()) / 1000 == pytest.approx(one.volume_ml, rel=0.02)
    assert made.values[made.occupancy > 0.99].mean() == pytest.approx(40, abs=10)
    edge = (made.occupancy > 0.4) & (made.occupancy < 0.6)
    assert made.values[edge].mean() == pytest.approx((40 - 850) / 2, abs=40)  # partial volume
    moved = implant_patch(patch, 1.0, one, generator=generator(2), hu=40.0, centre=(10.0, 20.0, 16.0))
    assert (
        torch.cdist(moved.occupancy.nonzero().double().mean(0)[None], torch.tensor([[10.0, 20.0, 16.0]]).double()) < 1
    )
    other = implant_patch(patch, 1.0, one, generator=generator(3), turn=True)
    assert other.occupancy.double().sum() == pytest.approx(float(made.occupancy.double().sum()), rel=1e-4)
    assert not torch.equal(other.occupancy, made.occupancy)


# --- into a scan
# ---------------------------------------------------------------------------------------------------------


def test_a_scan_gets_its_nodule_with_mask_and_share() -> None:
    scan, one = lung(), nodule()
    before = scan.values.clone()
    made = implant(scan, one, (9.3, 47.6, 50.2), generator=generator(1), hu=0.0)
    assert torch.equal(scan.values, before)
    assert (made.scan.unit, made.hu, made.scan.values.dtype) == ("HU", 0.0, torch.float32)
    assert torch.equal(made.scan.values[made.occupancy == 0], before[made.occupancy == 0])
    assert torch.equal(made.mask, made.occupancy >= 0.5)
    assert float(made.occupancy.double().sum()) * scan.voxel_ml == pytest.approx(one.volume_ml, rel=0.02)
    assert made.scan.values[made.occupancy > 0.97].mean() == pytest.approx(0, abs=40)
    place = scan.index(scan.world(np.array([[9.3, 47.6, 50.2]])))[0]
    middle = np.array(ndimage.center_of_mass(made.occupancy.numpy()))
    assert np.abs((middle - place) * scan.spacing_mm).max() < 1.5
    again = implant(scan, one, (9.3, 47.6, 50.2), generator=generator(1), hu=0.0)
    assert torch.equal(again.scan.values, made.scan.values)


def test_places_that_do_not_fit_are_refused(refuses) -> None:
    scan, one = lung(), nodule()
    everywhere = torch.ones_like(scan.values, dtype=torch.bool)
    half = everywhere.clone()
    half[..., :48] = False
    call = {"generator": generator(0)}
    for centre in ((0.0, 48.0, 48.0), (10.0, 48.0, 94.0), (10.0, -5.0, 48.0)):
        refuses("a nodule inside the volume", implant, scan, one, centre, **call)
    refuses("a nodule inside the lungs", implant, scan, one, (10.0, 48.0, 48.0), lungs=half, **call)
    refuses("beside the nodules already there", implant, scan, one, (10.0, 48.0, 48.0), taken=half, **call)
    refuses("a bool mask of shape", implant, scan, one, (10.0, 48.0, 48.0), lungs=half[1:], **call)
    refuses("axes SPL, got RAS", implant, oriented(scan, "RAS"), one, (10.0, 10.0, 10.0), **call)
    assert implant(scan, one, (10.0, 48.0, 48.0), lungs=everywhere, taken=~everywhere, **call).mask.any()


def test_bad_input_is_refused(refuses) -> None:
    refuses(
        "shape to be boolean", occupancy, ball(3.0).float(), 0.5, (9, 9, 9), (1.0, 1.0, 1.0), centre=(4.0, 4.0, 4.0)
    )
    refuses("spacing_mm > 0", occupancy, ball(3.0), 0.5, (9, 9, 9), (1.0, 0.0, 1.0), centre=(4.0, 4.0, 4.0))
    refuses("patch_hu of shape", implant_patch, torch.zeros(9, 9), 1.0, nodule(), generator=generator(0))
    refuses(
        "floating point", implant_patch, torch.zeros(9, 9, 9, dtype=torch.int16), 1.0, nodule(), generator=generator(0)
    )


def test_real_nodules_go_into_the_real_lung_and_not_into_its_wall(refuses) -> None:
    scan = ct.load("lung1", allow_phantom=False).scan
    box = (slice(20, 34), slice(150, 330), slice(60, 200))
    air = torch.zeros(scan.values.shape, dtype=torch.bool)
    air[box] = torch.from_numpy(ndimage.binary_closing(scan.values[box].numpy() < -500, iterations=3))
    deep = ndimage.distance_transform_edt(air[box].numpy(), sampling=scan.spacing_mm)
    place = tuple(float(a + b) for a, b in zip(np.unravel_index(deep.argmax(), deep.shape), (20, 150, 60)))
    one = next(n for n in lidc.nodules(split="train") if 8 < n.diameter_mm < 12 and n.median("texture") == 5)
    made = implant(scan, one, place, lungs=air, generator=generator(4))
    assert float(made.occupancy.double().sum()) * scan.voxel_ml == pytest.approx(one.volume_ml, rel=0.02)
    assert made.scan.values[made.mask].mean() > scan.values[made.mask].mean() + 400
    wall = tuple(float(c) for c in np.argwhere(~air[box].numpy())[0] + (22, 160, 70))
    refuses("a nodule inside the lungs", implant, scan, one, wall, lungs=air, generator=generator(4))


def test_another_process_with_two_threads_makes_the_same() -> None:
    code = "import torch; torch.set_num_threads(2)\nfrom tests.data.test_ct_implant import digest; print(digest())"
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert made.stdout.strip() == digest()


def digest() -> str:
    made = implant_patch(
        -850 + 30 * torch.randn(24, 24, 24, generator=generator(1)), 1.0, nodule(), generator=generator(2), turn=True
    )
    scan = implant(lung(), nodule(), (9.0, 40.0, 40.0), generator=generator(7)).scan.values
    hashed = hashlib.sha256(made.values.numpy().tobytes() + made.occupancy.numpy().tobytes() + scan.numpy().tobytes())
    return hashed.hexdigest()
