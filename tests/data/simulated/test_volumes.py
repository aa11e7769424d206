"""Harder volumes: noise and rims, on cubes and balls of known size and on the real volume."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from coursekit.data import nuclei
from coursekit.data.nuclei import Nuclei
from coursekit.data.simulated import volumes
from coursekit.testing import generator


def test_noise_is_what_was_asked_for_and_the_generators_alone() -> None:
    labels = torch.zeros(30, 64, 64, dtype=torch.int64)
    labels[:9, :9, :9] = 1
    whole = Nuclei((labels > 0).float()[None], labels, "toy", "", (1.0, 0.5, 0.5))
    one, same, other = (volumes.noisy(whole, sd=0.6, generator=generator(seed)) for seed in (1, 1, 2))
    added = one.image - whole.image
    assert float(added.std()) == pytest.approx(0.6, rel=0.01)
    assert abs(float(added.mean())) < 0.01
    assert torch.equal(one.image, same.image)
    assert not torch.equal(one.image, other.image)
    assert torch.equal(one.labels, whole.labels)
    assert one.source == "toy, noise of sd 0.6 added"


def test_only_the_rim_is_bright_also_between_neighbours() -> None:
    """Two cubes that touch, one at the border of the volume, where it has no rim. A voxel is 0.1 µm: the blur is wide,
    the core dark.
    """
    labels = torch.zeros(44, 40, 80, dtype=torch.int64)
    labels[8:36, :32, 8:40], labels[8:36, 8:32, 40:72] = 1, 2
    whole = Nuclei(torch.zeros(1, 44, 40, 80), labels, "toy", "", (0.4, 0.2, 0.2))
    made = volumes.rim(whole)
    line = made.image[0, 22, 18]  # across both
    assert line[[24, 56]].tolist() == pytest.approx([0.1, 0.1], abs=0.01)  # their middles
    assert line[[0, 79]].tolist() == pytest.approx([0.1, 0.1], abs=0.01)  # outside
    assert line[[9, 39, 40, 70]].min() > 0.4
    assert made.image[0, 22, 0, 24] == pytest.approx(0.1, abs=0.01)  # the side that the border cuts
    assert made.image[0, 9, 18, 24] > 0.3
    assert made.source == "rim of toy"
    assert torch.equal(made.labels, labels)


def test_the_rim_is_as_thick_as_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ball without blur to speak of: the bright voxels are those within a thickness of the surface, by the radius."""
    z, y, x = np.meshgrid(*[np.arange(-n, n + 1) * s for n, s in ((34, 0.5), (42, 0.4), (42, 0.4))], indexing="ij")
    radius = np.sqrt(z**2 + y**2 + x**2)
    labels = torch.from_numpy((radius < 15).astype(np.int64))
    monkeypatch.setattr(volumes, "RIM_UM", 5.0)
    made = volumes.rim(Nuclei(torch.zeros(1, *labels.shape), labels, "toy", "", (0.5, 0.4, 0.4)))
    bright = made.image[0].numpy() > 0.35
    assert bright.sum() == pytest.approx(((radius < 15) & (radius > 10)).sum(), rel=0.06)
    assert not bright[radius < 9].any()
    assert not bright[radius > 15.8].any()


def test_a_rim_hides_nuclei_from_a_threshold() -> None:
    """The best threshold: less than 0.72 by Dice, where the plain volume has more than 0.9."""
    real = nuclei.volume()

    def best(one: Nuclei) -> float:
        truth, image = one.labels > 0, one.image[0]
        levels = np.quantile(image.numpy(), np.linspace(0.5, 0.95, 10)).tolist()
        return max(float(2 * ((image > t) & truth).sum() / ((image > t).sum() + truth.sum())) for t in levels)

    assert best(real) > 0.9
    assert best(volumes.rim(real)) < 0.72
    assert best(volumes.noisy(real, generator=generator(0))) < 0.4


def test_bad_wishes_are_refused(refuses: Callable[..., None]) -> None:
    volume = Nuclei(torch.zeros(1, 3, 4, 4), torch.zeros(3, 4, 4, dtype=torch.int64), "toy", "", (1.0, 1.0, 1.0))
    refuses("sd >= 0", volumes.noisy, volume, sd=-1.0, generator=generator(0))
