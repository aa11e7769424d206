"""The claims about nodules in miniature, what their arms are shown, and their scores without learning by hand."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from coursekit import claims
from coursekit.claims import nodules as claim
from coursekit.data import ct
from coursekit.data.ct import lidc

VIEWS, THIN, MALIGNANCY = (claims.find(name) for name in ("nodule_views", "nodule_views_thin", "malignancy_from_shape"))


def cubes(count: int, size: int = 8) -> Tensor:
    return torch.rand(count, 1, size, size, size, generator=torch.Generator().manual_seed(0))


def names_of(one: claims.Claim) -> Iterator[tuple[str, str]]:
    for measure, better, worse in one.comparisons:
        yield from ((measure, better), (measure, worse))
    yield one.baseline


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, float | None], ct.Candidates]:
    """Every set that a claim draws, by its part and the thickness of its slices."""
    drawn: dict[tuple[str, float | None], ct.Candidates] = {}

    def watched(*, split: str, slice_mm: float | None = None, **knobs: object) -> ct.Candidates:
        drawn[split, slice_mm] = ct.nodules(split=split, slice_mm=slice_mm, **knobs)
        return drawn[split, slice_mm]

    monkeypatch.setattr(claim, "nodules", watched)
    return drawn


def test_views_in_miniature_scores_every_arm_on_the_other_ct(
    made: dict[tuple[str, float | None], ct.Candidates],
) -> None:
    scores = claim.nodule_views(3, steps=2, long={"2D": 3}, count=32, test_count=24)
    assert all(0 <= scores[measure][arm] <= 1 for measure, arm in names_of(VIEWS))
    assert made.keys() == {("train", None), ("test", None), ("test", 2.5)}
    assert all(
        set(made["train", None].patients).isdisjoint(one.patients)
        for (split, _), one in made.items()
        if split == "test"
    )
    short, long = scores["AUC, same epochs"], scores["AUC, same CPU"]
    assert short.keys() == long.keys()
    assert {arm for arm in short if short[arm] != long[arm]} <= {"2D"}  # what was not trained longer is what it was
    assert all(x >= 0 for measure in scores if measure.startswith("CPU") for x in scores[measure].values())


def test_thin_views_in_miniature_learn_and_score_at_both_thicknesses(
    made: dict[tuple[str, float | None], ct.Candidates],
) -> None:
    scores = claim.nodule_views_thin(3, steps=2, long={"2D": 3}, count=16, test_count=12)
    assert made.keys() == {("test", None), *((split, mm) for split in ("train", "test") for mm in (2.5, 5.0))}
    assert all(0 <= scores[measure][arm] <= 1 for measure, arm in names_of(THIN) if not measure.startswith("lead"))
    shapes = {key: {p for p, label in zip(one.patients, one.labels) if label} for key, one in made.items()}
    assert shapes["train", 2.5].isdisjoint(shapes["test", 2.5] | shapes["test", None])
    for mm, budget in (("2.5 mm", "same epochs"), ("5 mm", claim.THICKER)):
        arms = scores[f"AUC, {budget}"]
        assert scores[claim.LEAD][f"3D over 2D, {mm}"] == arms["3D"] - arms["2D"]
        assert scores[claim.LEAD][f"planes over copies, {mm}"] == arms["2.5D, joint"] - arms["2.5D, joint, copies"]
        assert scores[claim.OF_JOINT][mm] == arms["2.5D, joint"]
    assert claim.COPIES not in scores["AUC, same CPU"]  # it was not trained for that long
    own = made["test", 2.5]
    by_hand = claim.area(own.labels, claim.roundness(ct.window(own.patches, **ct.LUNG)))
    assert scores["AUC, same epochs"]["roundness"] == pytest.approx(by_hand, abs=1e-6)


def test_every_arm_looks_at_the_same_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[Tensor]] = {}
    starts: dict[str, list[Tensor]] = {}

    def spy(
        model: torch.nn.Module, batches: Iterator[claim.Batch], loss_of: object, *, steps: int, **_: object
    ) -> None:
        seen[arm] = [next(batches)[0] for _ in range(steps)]
        starts[arm] = [p.detach().clone() for p in model.parameters()]

    monkeypatch.setattr(claim.train, "fit", spy)
    learn = (cubes(40, 24), torch.arange(40) % 2)
    for arm in ("2D", "2.5D, two stages", "2.5D, joint", "2.5D, joint, copies", "3D"):
        claim.ARMS[arm](learn, learn[0][:8], seed=5, steps=4)
    assert len(seen) == 5
    shown = {
        "2D": lambda x: claim.planes(x, count=1),
        "2.5D, two stages": claim.planes,
        "2.5D, joint": claim.orthogonal_views,
        "2.5D, joint, copies": lambda x: torch.stack([x[:, :, 12]] * 3, 1),
    }
    for arm, look in shown.items():
        assert all(torch.equal(batch, look(cubes)) for batch, cubes in zip(seen[arm], seen["3D"], strict=True))
    for arm, other in (("2D", "2.5D, two stages"), ("2.5D, joint", "2.5D, joint, copies")):
        assert all(torch.equal(a, b) for a, b in zip(starts[arm], starts[other]))  # one network, from the same start


def test_turning_keeps_the_axial_plane_axial_and_changes_no_value() -> None:
    x = cubes(2)
    x[:, :, 3:5] += 2  # the two slices around the middle
    found = [claim.turned(x, generator=torch.Generator().manual_seed(seed)) for seed in range(200)]
    assert (
        len({one.numpy().tobytes() for one in found}) == 16
    )  # eight mirrors, with or without exchanging rows and columns
    for one in found:
        assert torch.equal(one.flatten(1).sort(1).values, x.flatten(1).sort(1).values)
        assert (one[:, :, 3:5] >= 2).all()


def test_three_planes_a_cube_all_have_its_label() -> None:
    labels = torch.arange(16) % 2
    bright = labels.float()[:, None, None, None, None].expand(-1, 1, 4, 4, 4).contiguous()
    seen, wanted = next(claim.batches(claim.planes, (bright, labels), seed=0))
    assert seen.shape == (48, 1, 4, 4)
    assert torch.equal(seen.amax((1, 2, 3)), wanted.float())  # a cube is as bright as its label says
    assert 0 < wanted.sum() < 48


def test_roundness_of_a_ball_a_tube_and_a_plate() -> None:
    d, h, w = (axis.double() - 11.5 for axis in torch.meshgrid(*[torch.arange(24)] * 3, indexing="ij"))
    squared = torch.stack([d**2 + h**2 + w**2, h**2 + w**2, d**2])  # from a point, a line along depth, a plane
    ball, tube, plate = claim.roundness(torch.exp(-squared / (2 * 2.5**2))[:, None]).tolist()
    # by the best scale s, of a ball of width σ = s√(2/3): s² σ³ / (σ² + s²)^(5/2)
    by_hand = max(s**2 * 2.5**3 / (2.5**2 + s**2) ** 2.5 for s in claim.SIGMAS)
    assert 0.7 * by_hand < ball < by_hand  # differences over two voxels are less than derivatives
    assert max(tube, plate) < 0.02 * ball
    assert claim.roundness(-torch.exp(-squared[:1] / 12)[:, None]).tolist()[0] < 0.02 * ball  # dark


def test_sensitivity_at_few_false_alarms_by_hand() -> None:
    scores = torch.tensor([9.0, 7, 5, 3, 8, 6.5, 6, 5.5, 4, 2, 1, 0.5])  # four nodules, then vessels
    truth = torch.tensor([1] * 4 + [0] * 8)
    # up to 1 vessel: 9 and 7 are found; up to 2: the same; up to 4: and 5; up to 8: all
    assert claim.sensitivity(truth, scores) == pytest.approx((2 + 2 + 3 + 4) / 16)


def test_every_cheaper_arm_is_also_trained_longer() -> None:
    assert set(claim.LONG) == set(claim.VIEWS) - {"3D"}
    assert all(n > claim.STEPS for n in claim.LONG.values())


# --- malignancy ---


def test_malignancy_in_miniature_scores_every_arm_on_other_patients() -> None:
    scores = claim.malignancy_from_shape(3, steps=2)
    assert all(0 <= scores[measure][arm] <= 1 for measure, arm in names_of(MALIGNANCY))
    assert scores["AUC"]["chance"] == 0.5
    assert scores["AUC"]["diameter"] == pytest.approx(0.92, abs=0.01)  # as docs/data.md has it
    assert scores["AUC, 5 to 11 mm"]["diameter"] == pytest.approx(0.77, abs=0.01)
    assert scores["AUC"]["other ratings"] == pytest.approx(0.95, abs=0.01)
    interval = scores["AUC, 3D CNN less diameter, 95 % over patients"]
    assert -1 <= interval["low"] < interval["high"] <= 1


def test_shapes_of_one_size_are_the_same_nodules_and_tell_no_size() -> None:
    learn, test = (
        lidc.malignancy(split=split, size=claim.SIZE, spacing_mm=claim.SHAPE_MM) for split in ("train", "test")
    )
    assert {one.patient for one in learn.nodules}.isdisjoint(one.patient for one in test.nodules)
    one_size = claim.of_one_size(test.nodules)
    assert len(test.nodules) == len(one_size) == len(test.masks)
    wide = one_size.bool().any(2).any(2).sum((1, 2)).double()  # columns that the nodule reaches
    assert float(wide.mean()) == pytest.approx(claim.ACROSS, rel=0.15)
    true_size = torch.stack([test.diameter_mm.double(), wide])
    assert abs(float(torch.corrcoef(true_size)[0, 1])) < 0.4
    both = [one.float().flatten(1).sum(1) for one in (test.masks, one_size)]
    volume = (
        both[0] * claim.SHAPE_MM**3 / (test.diameter_mm / claim.ACROSS) ** 3
    )  # the first, at the scale of the second
    assert float((volume / both[1]).median()) == pytest.approx(1, abs=0.02)
    assert float(torch.corrcoef(torch.stack([volume, both[1]]))[0, 1]) > 0.95


def test_patients_are_drawn_whole() -> None:
    patients = ("a", "a", "b", "c", "c", "c")
    drawn: list[list[int]] = []

    def lead(rows: Tensor) -> float:
        drawn.append(rows.tolist())
        return float(len(rows))

    found = claim.lead_over_patients(patients, lead, seed=0)
    assert found["low"] < 6 < found["high"]
    for rows in drawn:
        counts = [rows.count(i) for i in range(6)]
        assert counts[0] == counts[1]
        assert counts[3] == counts[4] == counts[5]
        assert counts[0] + counts[2] + counts[3] == 3  # as many patients as there are


@pytest.mark.parametrize("name", [VIEWS.name, THIN.name])
def test_equal_budgets_were_equal(name: str) -> None:
    scores = claims.load(name)["scores"]

    def mean(budget: str, arm: str) -> float:
        return sum(s[f"CPU seconds, {budget}"][arm] for s in scores) / len(scores)

    for arm in claim.LONG:
        assert mean("same epochs", arm) < 0.6 * mean("same epochs", "3D")
        assert mean("same CPU", arm) == pytest.approx(mean("same CPU", "3D"), rel=0.3)
