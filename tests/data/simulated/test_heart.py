"""Simulated hearts and what a scanner shows of them: volume, beats, motion and speckle, each by another route."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from coursekit.data.seeds import stream
from coursekit.data.simulated import heart, ultrasound
from coursekit.testing import assert_close


def test_the_stated_volume_is_that_of_the_solid_counted_in_voxels() -> None:
    """Discs stacked along the axis, voxel by voxel of 1 mm³: no formula of the module but the profile."""
    patient = heart.draw(generator=stream("voxels"))
    for volume in (patient.edv_ml, patient.esv_ml):
        length, radius = (float(v) for v in patient.size_at(torch.tensor(volume, dtype=torch.float64)))
        z, y, x = np.meshgrid(np.arange(0.5, 130), np.arange(-49.5, 50), np.arange(-49.5, 50), indexing="ij")
        widths = radius * heart.profile(torch.from_numpy(z / length)).numpy()
        assert ((x**2 + y**2) < widths**2).sum() / 1000 == pytest.approx(volume, rel=0.01)


def test_beats_have_the_stated_length_and_fill_and_empty_the_ventricle() -> None:
    patient = heart.draw(generator=stream("beats"))
    moves = heart.motion(patient, frames=4000, fps=200, generator=stream("beats", 1))
    for marks, volume in ((moves.ed, patient.edv_ml), (moves.es, patient.esv_ml)):
        gaps = marks.nonzero()[:, 0].diff() / 200
        assert len(gaps) >= 4000 / 200 / patient.beat - 2
        assert float((gaps - patient.beat).abs().max()) < 0.006
        assert_close(moves.volume_ml[marks], torch.full_like(moves.volume_ml[marks], volume))
    assert float(moves.volume_ml.min()) == pytest.approx(patient.esv_ml)
    assert float(moves.volume_ml.max()) == pytest.approx(patient.edv_ml)
    filling = moves.volume_ml.diff() > 0.01
    assert not moves.opening[1:][moves.volume_ml.diff() < -0.01].any()  # shut while it ejects
    assert float(torch.maximum(moves.opening[1:], moves.opening[:-1])[filling].min()) >= 0.3


def test_patients_vary_as_people_do_and_fraction_and_volume_independently() -> None:
    hearts = [heart.draw(generator=stream("many", i)) for i in range(1500)]
    ef, edv, rate = (
        np.array([f(h) for h in hearts]) for f in (lambda h: h.ef_percent, lambda h: h.edv_ml, lambda h: 60 / h.beat)
    )
    assert 15 <= ef.min() < 19
    assert 74 < ef.max() <= 75
    assert 53 < ef.mean() < 57
    assert 13 < ef.std() < 15
    assert 50 <= rate.min() < 53
    assert rate.max() <= 110
    wall, depth = np.array([h.wall for h in hearts]), np.array([h.depth for h in hearts])
    assert np.abs(np.corrcoef([ef, edv, wall, depth, rate])[0, 1:]).max() < 0.09  # 3.5 standard errors


def test_tissue_is_carried_along_and_its_wall_keeps_its_volume() -> None:
    """At end diastole nothing has moved, the cavity's edge comes from the cavity's edge, and a ring of the wall keeps
    2πr dr dz.
    """
    patient = heart.draw(generator=stream("tissue"))
    z, u = torch.rand(1, 500).double() * 60 + 5, (torch.rand(1, 500).double() - 0.5) * 60
    full, empty = torch.tensor([[patient.edv_ml]]).double(), torch.tensor([[patient.esv_ml]]).double()
    for got, want in zip(patient.material(z, u, full), (z, u)):
        assert_close(got, want, rtol=1e-5, atol=1e-4)
    (long0, wide0), (long, wide) = patient.size_at(full), patient.size_at(empty)
    s = torch.linspace(0.05, 0.95, 30).double()[None]
    z0, u0 = patient.material(s * long, wide * heart.profile(s), empty)
    assert_close(z0, s * long0, rtol=1e-4, atol=1e-3)
    assert_close(u0, wide0 * heart.profile(s), rtol=1e-4, atol=1e-3)
    r = (wide * heart.profile(s) + torch.linspace(0.5, 12, 30)[None]).requires_grad_()
    _, r0 = patient.material(s * long, r, empty)
    growth = torch.autograd.grad(r0.sum(), r)[0]
    assert_close(growth * r0 * (long0 / long), r.detach() * torch.ones_like(growth), rtol=1e-4, atol=1e-3)


def test_speckle_moves_with_the_tissue_and_not_on_its_own() -> None:
    patient = heart.draw(generator=stream("speckle"))
    still_heart = heart.Motion(torch.full((2,), patient.edv_ml).double(), *torch.zeros(3, 2))
    seen = ultrasound.film(patient, still_heart, 112, generator=stream("speckle", 1))
    band = seen[:, 30:90, 30:80].flatten(1)
    assert float(torch.corrcoef(band)[0, 1]) > 0.9
    (y, x), step = patient.apex, patient.depth / 112
    aside = replace(patient, apex=(y, x + 3 * step))
    moved = ultrasound.film(aside, still_heart, 112, generator=stream("speckle", 1))
    follow = [
        float(torch.corrcoef(torch.stack([seen[0, 30:90, 30:80], moved[0, 30:90, 30 + k : 80 + k]]).flatten(1))[0, 1])
        for k in range(6)
    ]
    assert int(np.argmax(follow)) == 3
