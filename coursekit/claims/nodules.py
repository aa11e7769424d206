"""Nodules in two, two and a half and three dimensions, and whether their shape says how malignant they look (lectures
06 and 07).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .. import train
from ..data import fetch
from ..data.ct import lidc, nodules
from ..data.seeds import Part, stream
from ..metrics.regression import bootstrap
from ..metrics.roc import roc
from ..models.efficientnet_lite import efficientnet_lite0, prepare
from ..models.nodule import NoduleNet, PatchFeatures
from ..models.views import JointViews, as_photograph, fit_linear, orthogonal_views, view_features
from . import Claim, Scores

Net = TypeVar("Net", bound=nn.Module)
Batch = tuple[Tensor, Tensor]  # cubes (N, 1, S, S, S), labels (N,)

TRAIN, TEST, SIZE, BATCH = 576, 400, 24, 16  # candidates, millimetres a side
EPOCHS, LR = 15, 3e-3
STEPS = EPOCHS * TRAIN // BATCH
LONG = {
    "2D": 4000,
    "2.5D, two stages": 2240,
    "2.5D, joint": 2080,
}  # as long as the 3D network: a step took 5, 9, 9.5 and 32 ms
IMAGENET_SIZE, IMAGENET_L2 = 64, 100.0  # pixels a plane is enlarged to

SHAPE_MM, SHAPE_STEPS = 1.25, 468  # 24 voxels of it hold all of 30 mm; 12 epochs
ONE_SIZE, ACROSS = 16, 11  # voxels a side, and of those the diameter takes, when all nodules are made of one size
SMALL = (5.0, 11.0)  # mm, where size alone says little


# --- nodule or vessel
# ----------------------------------------------------------------------------------------------------


def axial(cubes: Tensor) -> Tensor:
    """The slice through the middle: (N, 1, S, S)."""
    return orthogonal_views(cubes)[:, 0]


def turned(cubes: Tensor, *, generator: torch.Generator) -> Tensor:
    """A batch mirrored along none to three axes and, or not, with the two axes of its slices exchanged, all cubes
    alike.
    """
    draw = torch.rand(4, generator=generator).tolist()
    cubes = cubes.flip([axis for axis, chance in zip((2, 3, 4), draw) if chance < 0.5])
    return cubes.transpose(3, 4) if draw[3] < 0.5 else cubes


def batches(cubes: Tensor, labels: Tensor, *, generator: torch.Generator) -> Iterator[Batch]:
    """Endless batches of cubes, turned: the first steps are the same for all arms."""
    for some, what in train.shuffled(cubes, labels, size=BATCH, generator=generator):
        yield turned(some, generator=generator), what


def fitted(model: Net, look: Callable[[Tensor], Tensor], learn: Batch, *, seed: int, steps: int) -> Net:
    """Trained on what ``look`` shows of each batch; where that is several planes a cube, all have its label."""

    def loss_of(net: nn.Module, batch: Batch) -> Tensor:
        seen = look(batch[0])
        return F.cross_entropy(net(seen), batch[1].repeat_interleave(len(seen) // len(batch[1])))

    train.fit(
        model.to(train.device()),
        batches(*learn, generator=stream(seed, "batches")),
        loss_of,
        steps=steps,
        lr=LR,
        show=False,
    )
    return model


def margin(logits: Tensor) -> Tensor:
    """How much more a nodule than not: (N,)."""
    return logits[:, 1] - logits[:, 0]


def flat(learn: Batch, test: Tensor, *, seed: int, steps: int) -> Tensor:
    """2D: the axial slice alone."""
    train.seed_everything(seed)
    model = fitted(NoduleNet(ndim=2, size=SIZE), axial, learn, seed=seed, steps=steps)
    return margin(train.predict(model, axial(test)))


def two_stages(learn: Batch, test: Tensor, *, seed: int, steps: int) -> Tensor:
    """2.5D: a 2D network learns each of three planes by itself and is frozen, then a linear classifier weighs its
    features of all three.
    """
    train.seed_everything(seed)
    model = fitted(
        NoduleNet(ndim=2, size=SIZE), lambda x: orthogonal_views(x).flatten(0, 1), learn, seed=seed, steps=steps
    )
    return weighed(partial(train.predict, model.features), learn, test)


def joint(learn: Batch, test: Tensor, *, seed: int, steps: int) -> Tensor:
    """2.5D: one 2D network looks at three planes, and all is trained together."""
    train.seed_everything(seed)
    features = PatchFeatures(ndim=2, size=SIZE)
    model = fitted(JointViews(features, width=features.hidden), orthogonal_views, learn, seed=seed, steps=steps)
    return margin(train.predict(model, orthogonal_views(test)))


def cubic(learn: Batch, test: Tensor, *, seed: int, steps: int) -> Tensor:
    """3D: the whole cube. With channels last, convolutions in 3D take about half the time here, so the 3D network gets
    that.
    """
    train.seed_everything(seed)
    model = NoduleNet(size=test.shape[-1])
    for weights in model.parameters():
        if weights.ndim == 5:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last_3d)
    return margin(train.predict(fitted(model, nn.Identity(), learn, seed=seed, steps=steps), test))


def imagenet(learn: Batch, test: Tensor) -> Tensor:
    """2.5D in two stages as Ciompi et al. 2015 had them: what a network trained on photographs sees in three planes,
    weighed linearly.
    """
    net = efficientnet_lite0(fetch.path("imagenet_weights")).to(train.device())

    def features(planes: Tensor) -> Tensor:
        photographs = prepare(as_photograph(planes, low=0, high=1), size=IMAGENET_SIZE)
        return net.features(photographs.to(train.device())).to(planes.device)

    return weighed(features, learn, test, l2=IMAGENET_L2)


def weighed(features: Callable[[Tensor], Tensor], learn: Batch, test: Tensor, *, l2: float = 1.0) -> Tensor:
    """The second stage: logistic regression on the features of three planes."""
    seen, unseen = (view_features(features, orthogonal_views(cubes)) for cubes in (learn[0], test))
    return margin(fit_linear(seen, learn[1], l2=l2)(unseen))


def contrast(cubes: Tensor) -> Tensor:
    """How much brighter the inner 4 mm are than the shell from 6 to 9 mm: one number, nothing learnt, (N,)."""
    axis = torch.arange(cubes.shape[-1]) - (cubes.shape[-1] - 1) / 2
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    inner, around = radius < 4, (radius > 6) & (radius < 9)
    return cubes[:, 0, inner].mean(1) - cubes[:, 0, around].mean(1)


def area(truth: Tensor, scores: Tensor) -> float:
    """Under the ROC curve."""
    return roc(truth.bool(), scores.double()).auc


Trained = Callable[..., Tensor]
VIEWS: dict[str, Trained] = {"2D": flat, "2.5D, two stages": two_stages, "2.5D, joint": joint, "3D": cubic}


def timed(arm: Callable[[], Tensor]) -> tuple[Tensor, float]:
    """What an arm says of the test candidates, and the CPU seconds of its training and its answer."""
    start = time.process_time()
    return arm(), time.process_time() - start


def views_experiment(
    seed: int, *, steps: int = STEPS, long: Mapping[str, int] = LONG, count: int = TRAIN, test_count: int = TEST
) -> Scores:
    """Every look at the same candidates of the training CT, once for the same epochs and once for the same CPU;
    scored on the test CT.

    The 3D network, the ImageNet features and the contrast are the same in both budgets.
    """
    learning = nodules(split="train", count=count, size=SIZE, seed=seed)
    held_out = nodules(split="test", count=test_count, size=SIZE, seed=seed)
    learn, test = (learning.windowed(), learning.labels), held_out.windowed()
    timed(lambda: flat(learn, test, seed=seed, steps=1))  # a first call loads what torch needs, which is no arm's time
    short = {name: timed(partial(arm, learn, test, seed=seed, steps=steps)) for name, arm in VIEWS.items()}
    short |= {"2.5D, ImageNet": timed(partial(imagenet, learn, test)), "contrast": timed(partial(contrast, test))}
    longer = short | {name: timed(partial(VIEWS[name], learn, test, seed=seed, steps=n)) for name, n in long.items()}
    scores: Scores = {}
    for budget, arms in {"same epochs": short, "same CPU": longer}.items():
        scores[f"AUC, {budget}"] = {name: area(held_out.labels, found) for name, (found, _) in arms.items()}
        scores[f"CPU seconds, {budget}"] = {name: seconds for name, (_, seconds) in arms.items()}
    return scores


# --- malignant or benign, by the shape alone
# -----------------------------------------------------------------------------


class Shapes(NamedTuple):
    """``set`` as the data room has it; ``one_size`` (N, 1, S, S, S) the same nodules, each at the scale that makes all
    equally wide.
    """

    set: lidc.Malignancy
    one_size: Tensor
    patients: tuple[str, ...]


def shapes(split: Part) -> Shapes:
    """All nodules of a part that the readers lean to one side on."""
    chosen = [one for one in lidc.nodules(split=split) if one.median_malignancy != 3]
    scaled = torch.stack([one.at(one.diameter_mm / ACROSS, size=ONE_SIZE) for one in chosen])[:, None]
    return Shapes(
        lidc.malignancy(split=split, size=SIZE, spacing_mm=SHAPE_MM), scaled, tuple(one.patient for one in chosen)
    )


def by_numbers(learn: Tensor, malignant: Tensor, test: Tensor) -> Tensor:
    """Logistic regression on a few numbers a nodule."""
    return margin(fit_linear(learn, malignant.long())(test))


def lead_over_patients(patients: Sequence[str], lead: Callable[[Tensor], float], *, seed: int) -> dict[str, float]:
    """The 95 % interval of ``lead(rows)`` when the patients are drawn again with replacement, each with all their
    nodules.
    """
    rows = [torch.tensor([i for i, other in enumerate(patients) if other == one]) for one in sorted(set(patients))]
    found = bootstrap(
        lambda who: lead(torch.cat([rows[i] for i in who.tolist()])),
        torch.arange(len(rows)),
        generator=stream(seed, "patients"),
        repeats=500,
    )
    return {"low": found.low, "high": found.high}


def malignancy_experiment(seed: int, *, steps: int = SHAPE_STEPS) -> Scores:
    """A 3D CNN on the masks, in mm and all of one size, and what needs no picture, on the patients of the test part.

    The patients are the same for every seed, which draws the start and the batches: the interval over seeds is that
    of training alone. That of the patients is in the scores of each seed.
    """
    (learn, learn_sized, _), (test, test_sized, patients) = shapes("train"), shapes("test")
    malignant = learn.malignant.long()
    found = {
        "3D CNN": cubic((learn.masks.float(), malignant), test.masks.float(), seed=seed, steps=steps),
        "3D CNN, all of one size": cubic((learn_sized.float(), malignant), test_sized.float(), seed=seed, steps=steps),
        "diameter": test.diameter_mm,
        "other ratings": by_numbers(learn.ratings, malignant, test.ratings),
        "chance": torch.zeros(len(test)),
    }
    small = (test.diameter_mm >= SMALL[0]) & (test.diameter_mm <= SMALL[1])
    scores = {
        "AUC": {name: area(test.malignant, one) for name, one in found.items()},
        "AUC, 5 to 11 mm": {name: area(test.malignant[small], one[small]) for name, one in found.items()},
    }

    def lead(rows: Tensor) -> float:
        return area(test.malignant[rows], found["3D CNN"][rows]) - area(test.malignant[rows], test.diameter_mm[rows])

    return scores | {"AUC, 3D CNN less diameter, 95 % over patients": lead_over_patients(patients, lead, seed=seed)}


def _views_comparisons() -> list[tuple[str, str, str]]:
    """3D against 2D at the same epochs first: that is the claim."""
    pairs = [
        ("3D", "2D"),
        ("2.5D, joint", "2D"),
        ("2.5D, two stages", "2D"),
        ("3D", "2.5D, joint"),
        ("3D", "2.5D, two stages"),
    ]
    pairs += [("2.5D, joint", "2.5D, two stages"), ("2D", "2.5D, ImageNet"), ("2D", "contrast")]
    return [(f"AUC, {budget}", *pair) for budget in ("same epochs", "same CPU") for pair in pairs]


CLAIMS = [
    Claim(
        name="nodule_views",
        lecture="06, 07",
        statement="A network that sees the whole cube tells nodules from vessels better than one of a slice; three planes lie between.",
        comparisons=_views_comparisons(),
        baseline=("AUC, same epochs", "contrast"),
        experiment=views_experiment,
        simulated=("ct.nodules",),
    ),
    Claim(
        name="malignancy_from_shape",
        lecture="07",
        statement="A 3D CNN reads malignancy from the shape: it tells more than the diameter does.",
        comparisons=[
            ("AUC", "3D CNN", "diameter"),
            ("AUC, 5 to 11 mm", "3D CNN", "diameter"),
            ("AUC", "3D CNN", "3D CNN, all of one size"),
            ("AUC", "3D CNN, all of one size", "chance"),
            ("AUC, 5 to 11 mm", "3D CNN, all of one size", "chance"),
            ("AUC", "other ratings", "3D CNN"),
            ("AUC, 5 to 11 mm", "other ratings", "3D CNN"),
        ],
        baseline=("AUC", "diameter"),
        experiment=malignancy_experiment,
    ),
]
