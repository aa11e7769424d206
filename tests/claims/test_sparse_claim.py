"""Sparse annotation in miniature: the arms differ in what is drawn and in nothing else; the losses on the unlabelled
rest.
"""

from dataclasses import replace

import pytest
import torch
from scored import complete
from torch import nn

from coursekit.claims import sparse as claim
from coursekit.claims.training import cross_entropy
from coursekit.data import nuclei
from coursekit.data.simulated import volumes
from coursekit.losses import UNLABELLED
from coursekit.testing import assert_close, generator

Halves = tuple[nuclei.Nuclei, nuclei.Nuclei]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "CROP", (8, 16, 16))


@pytest.fixture(scope="module")
def rims() -> Halves:
    return claim.halves(0, kind="rim")


def test_the_halves_have_no_row_in_common_and_noise_of_their_own() -> None:
    whole = nuclei.volume()
    learnt, held_out = claim.halves(0, kind="real")
    assert learnt.image.shape[1] == 30
    assert learnt.image.shape[2] + held_out.image.shape[2] < whole.image.shape[2]
    clean = nuclei.thinned(nuclei.volume(split="test"))
    assert float((held_out.image - clean.image).std()) == pytest.approx(claim.NOISE["real"], rel=0.02)
    again, other = claim.halves(0, kind="real")[0], claim.halves(1, kind="real")[0]
    assert torch.equal(again.image, learnt.image)
    assert not torch.equal(other.image, learnt.image)


def test_every_arm_starts_alike_and_draws_what_it_says(rims: Halves) -> None:
    learnt, _ = rims
    drawn = {arm: (draw(learnt.labels) != UNLABELLED) for arm, draw in claim.ANNOTATED.items()}
    assert drawn["all 30 slices"].all()
    singles = [int(drawn[f"{n} slice{'s' * (n > 1)}"].flatten(1).all(1).sum()) for n in (1, 2, 4, 8)]
    assert singles == [1, 2, 4, 8]
    for n in (3, 6, 12):
        whole = [drawn[f"{n} orthogonal slices"].all(a).all(b - 1) for a, b in ((1, 2), (0, 2), (0, 1))]
        assert [int(planes.sum()) for planes in whole] == 3 * [n // 3]
    starts = [
        claim.learn(learnt.image, draw(learnt.labels), seed=4, steps=2, loss=lambda n, b: 0 * n(b.image).sum())
        for draw in claim.ANNOTATED.values()
    ]
    first = starts[0].state_dict()["down.0.0.0.weight"]
    assert all(torch.allclose(net.state_dict()["down.0.0.0.weight"], first) for net in starts)


def test_planes_are_the_crops_cut_apart(rims: Halves) -> None:
    learnt, _ = rims
    target = volumes.annotate(learnt.labels, slices=30)
    deep, flat = (next(claim.batches(learnt.image, target, seed=0, planes=p)) for p in (False, True))
    assert flat.image.shape == (claim.BATCH * 8, 1, 16, 16)
    assert torch.equal(flat.image[3, 0], deep.image[0, 0, 3])
    assert torch.equal(flat.target[8 + 5], deep.target[1, 5])


def test_blur_and_threshold_solves_what_brightness_solves() -> None:
    learnt, held_out = (nuclei.thinned(nuclei.volume(split=s)) for s in claim.SPLITS)
    lit = [replace(part, image=(part.labels > 0).float()[None] + 0.01) for part in (learnt, held_out)]
    assert claim.threshold(*lit) > 0.97


def test_what_a_plane_encloses_is_filled_and_no_more() -> None:
    box = torch.zeros(3, 8, 8, dtype=torch.bool)
    box[:, 1:7, 1:7] = True
    rim = box.clone()
    rim[:, 2:6, 2:6] = False
    assert torch.equal(claim.filled(rim), box)
    rim[1, 1, 3] = False  # open in one plane
    assert torch.equal(claim.filled(rim)[[0, 2]], box[[0, 2]])
    assert torch.equal(claim.filled(rim)[1], rim[1])


class Constant(nn.Module):
    """Says the same of every voxel, whatever it sees."""

    def __init__(self, logits: tuple[float, float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(logits))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.logits.view(1, 2, 1, 1, 1).expand(len(x), 2, *x.shape[2:])


def test_the_teacher_is_the_running_mean_and_speaks_of_unlabelled_voxels_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "unet_3d", lambda: Constant((9.0, 9.0)))
    monkeypatch.setattr(claim, "RAMP", 1)
    monkeypatch.setattr(claim, "DECAY", 0.5)
    teacher = claim.Teacher(kind="pseudo-labels", seed=0)
    net, image = Constant((0.0, 4.0)), torch.rand(1, 1, 2, 2, 2, generator=generator(0))
    labelled = volumes.Patch(image, torch.ones(1, 2, 2, 2, dtype=torch.int64))
    rest = volumes.Patch(image, torch.full((1, 2, 2, 2), UNLABELLED))
    assert_close(teacher(net, labelled), cross_entropy(net, labelled))
    assert teacher.mean.logits.tolist() == [0.0, 4.0]
    assert_close(teacher(net, labelled), cross_entropy(net, labelled))  # nothing is left to speak of
    assert_close(teacher(net, rest), cross_entropy(net, labelled))  # the teacher is 98 % sure of class 1
    with torch.no_grad():
        net.logits.copy_(torch.tensor([0.0, 0.0]))
    unsure = claim.Teacher(kind="pseudo-labels", seed=0)
    assert unsure(net, rest) == 0
    agree = claim.Teacher(kind="consistency", seed=0)
    agree(net, rest)
    assert agree(net, rest) == 0
    assert [round(x, 4) for x in teacher.mean.logits.tolist()] == [0.0, 4.0]


@pytest.mark.parametrize("name", ["sparse_annotation", "semi_supervised"])
def test_every_score_that_is_compared_is_measured(name: str, rims: Halves, monkeypatch: pytest.MonkeyPatch) -> None:
    learnt, held_out = (replace(p, image=p.image[..., :64, :64], labels=p.labels[..., :64, :64]) for p in rims)
    asked: list[str] = []
    monkeypatch.setattr(claim, "halves", lambda seed, *, kind: asked.append(kind) or (learnt, held_out))
    monkeypatch.setattr(claim, "SIGMAS", (2.0,))
    monkeypatch.setattr(claim, "LEVELS", 4)
    complete(name, getattr(claim, name)(0, steps=2))
    assert asked == (["rim", "real"] if name == "sparse_annotation" else ["rim"])
