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

from coursekit.data.ct import ground, lidc
from coursekit.data.readers.contours import RATINGS, Nodule
from coursekit.data.scan import Scan, spaced
from coursekit.data.simulated import nodules_in_ct as making
from coursekit.data.simulated.nodules_in_ct import Grown, grown, noise_of, occupancy, turned
from coursekit.testing import assert_close, generator
from tests.data.nodules_by_hand import RATED
from tests.data.nodules_by_hand import ball as reading_of

GRIDS = [(1.0, 1.0, 1.0), (5.0, 0.57, 0.63), (2.5, 0.7, 0.7), (0.4, 0.9, 0.5)]


def ball(radius_mm: float, shape_mm: float = 0.5) -> torch.Tensor:
    axis = torch.arange(-30, 31) * shape_mm
    return axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 < radius_mm**2


def nodule(texture: int = 5) -> Nodule:
    rated = tuple(texture if name == "texture" else value for name, value in zip(RATINGS, RATED))
    return Nodule("p", "s", 0.5, 1.0, tuple(reading_of(radius, ratings=rated) for radius in (3.0, 3.5, 4.0)))


def lung(*, noise: float = 30.0, size: tuple[int, int, int] = (20, 96, 96)) -> Scan:
    values = -850 + noise * torch.randn(size, generator=generator(5))
    return spaced(values, (5.0, 0.6, 0.6), unit="HU")


# --- the share of each voxel ---


@pytest.mark.parametrize("spacing", GRIDS)
@pytest.mark.parametrize("blur", [0.0, 0.5])
def test_occupancy_has_the_volume_of_the_shape_and_its_place(spacing: tuple[float, float, float], blur: float) -> None:
    for shape in (ball(6.0), nodule().shape, ball(2.0)):
        size = tuple(math.ceil(40 / step) for step in spacing)
        centre = np.array(size) / 2 + (0.3, -0.21, 0.77)
        share = occupancy(shape, spaced(torch.empty(size), spacing), centre, blur_mm=blur)
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
    share = occupancy(ball(radius, 0.25), spaced(torch.empty(size), spacing), np.array(centre), shape_mm=0.25).numpy()
    axes = [(((np.arange(n * parts) + 0.5) / parts - 0.5) - c) * step for n, c, step in zip(size, centre, spacing)]
    points = axes[0][:, None, None] ** 2 + axes[1][:, None] ** 2 + axes[2] ** 2 < radius**2
    slow = points.reshape(7, parts, 24, parts, 20, parts).mean((1, 3, 5))
    assert np.abs(share - slow).max() < 0.08
    assert np.abs(share - slow).mean() < 0.004
    assert ((share > 0.02) & (share < 0.98)).sum() > 100  # there are parts of voxels


def test_what_lies_outside_the_grid_is_cut() -> None:
    def share(size: tuple[int, int, int], *centre: float) -> torch.Tensor:
        return occupancy(ball(5.0), spaced(torch.empty(size), (1.0,) * 3), np.array(centre))

    assert_close(share((20, 40, 40), -0.5, 19.5, 19.5), share((40, 40, 40), 19.5, 19.5, 19.5)[20:], atol=1e-6)
    assert share((5, 5, 5), 90.0, 2.0, 2.0).sum() == 0


def test_turned_is_one_of_48_and_moves_no_voxel() -> None:
    shape = torch.arange(24).view(2, 3, 4)
    seen = {
        tuple([*t.shape, *t.flatten().tolist()])
        for t in (turned(shape, generator=generator(seed)) for seed in range(600))
    }
    assert len(seen) == 48


# --- what the scanner sees ---


@pytest.mark.parametrize("sigma", [0.0, 8.0, 40.0])
def test_noise_is_estimated_beside_slopes_and_vessels(sigma: float) -> None:
    values = sigma * torch.randn(24, 24, 24, generator=generator(1)) + 20.0 * torch.arange(24)
    values[:, 5, 3:9] += 700
    values[10:14, 12, :] += 500
    assert noise_of(values) == pytest.approx(sigma, rel=0.06, abs=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.5, 1.0])
def test_the_noise_keeps_its_power_whatever_the_share(share: float) -> None:
    values = 20 + 30 * torch.randn(40, 40, 40, generator=generator(2)).double().numpy()
    white = torch.randn(2, 40, 40, 40, generator=generator(3)).double().numpy()
    mixed = making.mixed(values, np.full_like(values, share), (1.0, 1.0, 1.0), 20.0, 30.0, white)
    assert mixed.mean() == pytest.approx(20, abs=2)
    assert mixed.std() == pytest.approx(math.hypot(30, share * making.MOTTLE_HU), rel=0.04)


def test_density_follows_the_readers_texture() -> None:
    for texture, (low, high) in making.HU_OF_TEXTURE.items():
        drawn = [making.hu_of(texture, generator=generator(seed)) for seed in range(60)]
        assert low <= min(drawn) < low + 0.2 * (high - low)
        assert high - 0.2 * (high - low) < max(drawn) <= high
    assert list(making.HU_OF_TEXTURE) == [1, 2, 3, 4, 5]


# --- into a scan ---


def set_in(scan: Scan, seed: int = 1, **changed: object) -> Grown | None:
    free = torch.ones_like(scan.values, dtype=torch.bool)
    call = {"free": free, "nodule": nodule(), "index": np.array([9.3, 47.6, 50.2]), "reach_mm": (np.inf,) * 3}
    return grown(scan, **call | changed, generator=generator(seed))


def test_a_scan_gets_its_nodule_and_nothing_else_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "hu_of", lambda texture, generator: 40.0)
    scan, one = lung(), nodule()
    before = scan.values.clone()
    made = set_in(scan)
    assert torch.equal(scan.values, before)
    assert (made.scan.unit, made.scan.values.dtype, made.scan.axes) == ("HU", torch.float32, "SPL")
    np.testing.assert_array_equal(made.scan.affine, scan.affine)
    assert torch.equal(made.scan.values[made.occupancy == 0], before[made.occupancy == 0])
    assert float(made.occupancy.double().sum()) * math.prod(scan.spacing_mm) / 1000 == pytest.approx(
        one.volume_ml, rel=0.02
    )
    middle = np.array(ndimage.center_of_mass(made.occupancy.numpy()))
    assert np.abs((middle - [9.3, 47.6, 50.2]) * scan.spacing_mm).max() < 1.5
    cube = spaced(-850 + 20 * torch.randn(32, 32, 32, generator=generator(1)), (1.0,) * 3, unit="HU")
    made = set_in(cube, index=np.array([15.5, 15.5, 15.5]))
    assert made.scan.values[made.occupancy > 0.99].mean() == pytest.approx(40, abs=10)
    edge = (made.occupancy > 0.4) & (made.occupancy < 0.6)
    assert made.scan.values[edge].mean() == pytest.approx((40 - 850) / 2, abs=40)  # partial volume
    again, other = (set_in(cube, seed, index=np.array([15.5, 15.5, 15.5])) for seed in (1, 2))
    assert torch.equal(again.scan.values, made.scan.values)
    assert not torch.equal(other.occupancy, made.occupancy)  # laid another way


def test_where_it_does_not_fit_there_is_none() -> None:
    scan = lung()
    half = torch.ones_like(scan.values, dtype=torch.bool)
    half[..., :48] = False
    assert set_in(scan, free=half) is None
    assert set_in(scan, free=half, index=np.array([9.3, 47.6, 70.2])) is not None
    assert set_in(Scan(scan.values + 300, scan.affine, "HU")) is None  # not air enough


def test_a_piece_is_cut_at_the_faces_and_keeps_its_place() -> None:
    scan = lung()
    made = set_in(scan, index=np.array([1.0, 50.0, 90.5]), reach_mm=(6.0, 3.0, 6.0))
    assert made.box == (slice(0, 4), slice(45, 56), slice(80, 96))
    np.testing.assert_allclose(made.scan.world(np.zeros((1, 3))), scan.world(np.array([[0, 45, 80]])))
    untouched = made.occupancy == 0
    assert torch.equal(made.scan.values[untouched], scan.values[made.box][untouched])


def test_real_nodules_go_into_the_real_lung_and_not_into_its_wall() -> None:
    here = ground.of("train")
    one = next(n for n in lidc.nodules(split="train") if 8 < n.diameter_mm < 12 and n.median("texture") == 5)
    near = (slice(20, 34), slice(150, 330), slice(60, 200))
    deep = ndimage.distance_transform_edt(here.free[near].numpy(), sampling=here.ct.scan.spacing_mm)
    place = np.add(np.unravel_index(deep.argmax(), deep.shape), [20, 150, 60])
    scan, call = here.ct.scan, {"free": here.free, "nodule": one, "reach_mm": (30.0,) * 3}
    made = set_in(scan, 4, index=place, **call)
    assert float(made.occupancy.double().sum()) * math.prod(scan.spacing_mm) / 1000 == pytest.approx(
        one.volume_ml, rel=0.02
    )
    mask = made.occupancy >= 0.5
    assert made.scan.values[mask].mean() > scan.values[made.box][mask].mean() + 400
    wall = np.argwhere(~here.free[near].numpy())[0] + [20, 150, 60]
    assert set_in(scan, 4, index=wall, **call) is None


def test_another_process_with_two_threads_makes_the_same() -> None:
    code = (
        "import torch; torch.set_num_threads(2)\n"
        "from tests.data.simulated.test_nodules_in_ct import digest; print(digest())"
    )
    made = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    )
    assert made.stdout.strip() == digest()


def digest() -> str:
    made = set_in(lung(), 7)
    return hashlib.sha256(made.scan.values.numpy().tobytes() + made.occupancy.numpy().tobytes()).hexdigest()
