"""Nodules in 2D, 2.5D and 3D, and whether their shape says how malignant they look (lectures 06 and 07)."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

from .. import train
from ..data import fetch
from ..data.ct import LUNG, Candidates, lidc, nodules, window
from ..data.readers.contours import Nodule
from ..data.seeds import stream
from ..metrics.froc import NO_LESION, froc
from ..metrics.regression import bootstrap
from ..metrics.roc import roc
from ..models.efficientnet_lite import efficientnet_lite0, prepare
from ..models.nodule import NoduleNet, PatchFeatures
from ..models.views import JointViews, as_photograph, fit_linear, orthogonal_views, view_features
from . import Scores, claim, versus
from .training import SPLITS, trained

Batch = tuple[Tensor, Tensor]  # cubes (N, 1, S, S, S), labels (N,)
Look = Callable[[Tensor], Tensor]  # cubes to what a network sees of them
Budgets = Mapping[str, Mapping[str, int]]  # by name, the steps of every arm

TRAIN, TEST, SIZE, BATCH = 576, 400, 24, 16  # candidates, millimetres a side
EPOCHS, LR = 10, 3e-3
STEPS = EPOCHS * TRAIN // BATCH
TWO_STAGES, JOINT = "2.5D, two stages", "2.5D, joint"
LONG = {"2D": 2300, TWO_STAGES: 1400, JOINT: 1400}  # as long as 3D: a step took 6, 10, 10 and 39 ms
IMAGENET_SIZE, IMAGENET_L2 = 64, 100.0  # pixels a plane is enlarged to
SIGMAS = (1.5, 2.5, 3.5)  # voxels, the scales at which something may be round

SHAPE_MM, SHAPE_STEPS = 1.25, 468  # 24 voxels of it hold all of 30 mm; 12 epochs
ONE_SIZE, ACROSS = 16, 11  # voxels a side, and of those the diameter takes, when all nodules are made of one size
SMALL = (5.0, 11.0)  # mm, where size alone says little


# --- nodule or vessel ---


def planes(cubes: Tensor, *, count: int = 3) -> Tensor:
    """The middle planes as images of their own, axial first: (N · ``count``, 1, S, S)."""
    return orthogonal_views(cubes)[:, :count].flatten(0, 1)


def copies(cubes: Tensor) -> Tensor:
    """The axial plane three times, (N, 3, 1, S, S): as many numbers as of three planes, less what the others show."""
    return orthogonal_views(cubes)[:, :1].expand(-1, 3, -1, -1, -1)


def turned(cubes: Tensor, *, generator: torch.Generator) -> Tensor:
    """A batch mirrored along none to three axes and, or not, the two axes of its slices exchanged, all cubes alike."""
    *mirror, exchange = (torch.rand(4, generator=generator) < 0.5).tolist()
    cubes = cubes.flip([axis for axis, chosen in zip((2, 3, 4), mirror) if chosen])
    return cubes.transpose(3, 4) if exchange else cubes


def batches(look: Look, learn: Batch, *, seed: int) -> Iterator[Batch]:
    """Endless batches of what ``look`` shows of turned cubes; where that is several planes a cube, all have its label.

    The first steps are the same for all arms.
    """
    generator = stream(seed, "batches")
    for cubes, labels in train.shuffled(*learn, size=BATCH, generator=generator):
        seen = look(turned(cubes, generator=generator))
        yield seen, labels.repeat_interleave(len(seen) // len(labels))


def margin(logits: Tensor) -> Tensor:
    """How much more a nodule than not: (N,)."""
    return logits[:, 1] - logits[:, 0]


def end_to_end(
    build: Callable[[], nn.Module], look: Look, learn: Batch, test: Tensor, *, seed: int, steps: int
) -> Tensor:
    """What a network says of ``test`` that has learnt from what ``look`` shows."""
    net = trained(build, batches(look, learn, seed=seed), seed=seed, steps=steps, lr=LR)
    return margin(train.predict(net, look(test)))


flat_network = partial(NoduleNet, ndim=2, size=SIZE)


def joint_network() -> JointViews:
    """One 2D network for three planes and what weighs its features: all is trained together."""
    features = PatchFeatures(ndim=2, size=SIZE)
    return JointViews(features, width=features.hidden)


def cubic_network(size: int = SIZE) -> NoduleNet:
    """3D, channels last: with that, its convolutions take about half the time here."""
    net = NoduleNet(size=size)
    for weights in net.parameters():
        if weights.ndim == 5:
            weights.data = weights.data.contiguous(memory_format=torch.channels_last_3d)
    return net


def two_stages(learn: Batch, test: Tensor, *, seed: int, steps: int) -> Tensor:
    """2.5D: a 2D network learns each of three planes by itself; then its features of all three are weighed."""
    net = trained(flat_network, batches(planes, learn, seed=seed), seed=seed, steps=steps, lr=LR)
    return weighed(partial(train.predict, net.features), learn, test)


def imagenet(learn: Batch, test: Tensor, **_: int) -> Tensor:
    """2.5D in two stages after Ciompi et al. 2015: what a network of photographs sees in three planes, weighed."""
    net = efficientnet_lite0(fetch.path("imagenet_weights")).to(train.device())

    def features(planes: Tensor) -> Tensor:
        photographs = prepare(as_photograph(planes, low=0, high=1), size=IMAGENET_SIZE)
        return net.features(photographs.to(train.device())).to(planes.device)

    return weighed(features, learn, test, l2=IMAGENET_L2)


def weighed(features: Callable[[Tensor], Tensor], learn: Batch, test: Tensor, *, l2: float = 1.0) -> Tensor:
    """The second stage: logistic regression on the features of three planes."""
    seen, unseen = (view_features(features, orthogonal_views(cubes)) for cubes in (learn[0], test))
    return margin(fit_linear(seen, learn[1], l2=l2)(unseen))


def roundness(cubes: Tensor) -> Tensor:
    """How much a ball and no tube lies in the inner 8 mm: the largest λ₃² / |λ₁| over place and scale, (N,).

    λ₁ ≤ λ₂ ≤ λ₃ are the second derivatives along the axes in which they are extreme: of a bright ball all three are
    below zero, of a tube λ₃ is zero. Nothing learnt. Source: Li, Sone and Doi 2003, Medical Physics 30(8).
    """
    answers, near = [], slice(cubes.shape[-1] // 2 - 6, cubes.shape[-1] // 2 + 6)  # and 2 voxels for the differences
    for sigma in SIGMAS:
        smooth = torch.from_numpy(gaussian_filter(cubes[:, 0].numpy(), (0, sigma, sigma, sigma), truncate=3))
        slopes = torch.gradient(smooth[:, near, near, near], dim=(1, 2, 3))
        curved = torch.stack([torch.stack(torch.gradient(slope, dim=(1, 2, 3)), -1) for slope in slopes], -1)
        least, _, most = torch.linalg.eigvalsh(curved[:, 2:-2, 2:-2, 2:-2]).unbind(-1)  # (N, 8, 8, 8) each
        answers.append(sigma**2 * (most.clamp(max=0) ** 2 / least.abs().clamp(min=1e-9)).amax((1, 2, 3)))
    return torch.stack(answers).amax(0)


def area(truth: Tensor, scores: Tensor) -> float:
    """Under the ROC curve."""
    return roc(truth.bool(), scores.double()).auc


def sensitivity(truth: Tensor, scores: Tensor) -> float:
    """The share of nodules above a threshold, the mean at 1, 2, 4 and 8 vessels above it: FROC of a single scan."""
    hits = torch.where(truth > 0, truth.cumsum(0) - 1, NO_LESION)
    return froc([int(truth.sum())], [hits], [scores.double()], rates=(1, 2, 4, 8)).average


VIEWS: dict[str, Callable[..., Tensor]] = {
    "2D": partial(end_to_end, flat_network, partial(planes, count=1)),
    TWO_STAGES: two_stages,
    JOINT: partial(end_to_end, joint_network, orthogonal_views),
    "3D": partial(end_to_end, cubic_network, nn.Identity()),
}
PHOTOGRAPHS, COPIES, ROUND = "2.5D, ImageNet", "2.5D, joint, copies", "roundness"
ARMS = VIEWS | {PHOTOGRAPHS: imagenet, COPIES: partial(end_to_end, joint_network, copies)}
PAIRS = [  # 3D against 2D first: that is the claim
    *((arm, "2D") for arm in ("3D", JOINT, TWO_STAGES)),
    *(("3D", arm) for arm in (JOINT, TWO_STAGES)),
    (JOINT, TWO_STAGES),
    *((arm, ROUND) for arm in ("3D", JOINT, "2D")),
]
BUDGETS, THICKER = ("same epochs", "same CPU"), "same epochs, 5 mm"
UNLEARNT = (f"AUC, {BUDGETS[0]}", ROUND)
THIN = 2.5  # mm, the slices of the CT with thin ones
THICKNESS = ("2.5 mm", "5 mm")
LEAD, OF_JOINT = "lead in AUC, same epochs", f"AUC of {JOINT}, same epochs"
LED = {"3D over 2D": ("3D", "2D"), "planes over copies": (JOINT, COPIES)}


def timed(arm: Callable[..., Tensor], *args: Any, **knobs: Any) -> tuple[Tensor, float]:
    """What an arm says of the test candidates, and the CPU seconds of its training and its answer."""
    start = time.process_time()
    return arm(*args, **knobs), time.process_time() - start


def compared(parts: Iterable[Candidates], budgets: Budgets, *, seed: int) -> Scores:
    """The arms after the steps of each of ``budgets``; one that a later budget leaves out is as it was before.

    ``parts``: what is learnt from, the test part, and candidates of another CT, which are scored too.
    """
    learning, held_out, elsewhere = parts
    learn = window(learning.patches, **LUNG), learning.labels
    test = window(torch.cat([held_out.patches, elsewhere.patches]), **LUNG)
    VIEWS["2D"](learn, test, seed=seed, steps=1)  # a first call loads what torch needs, which is no arm's time
    answers = {ROUND: timed(roundness, test)}
    own, other = held_out.labels, elsewhere.labels
    scores: Scores = {}
    for budget, steps in budgets.items():
        answers.pop(COPIES, None)  # a control, at one budget
        answers |= {arm: timed(ARMS[arm], learn, test, seed=seed, steps=n) for arm, n in steps.items()}
        scores[f"AUC, {budget}"] = {arm: area(own, x[: len(own)]) for arm, (x, _) in answers.items()}
        scores[f"FROC, {budget}"] = {arm: sensitivity(own, x[: len(own)]) for arm, (x, _) in answers.items()}
        scores[f"other CT, {budget}"] = {arm: area(other, x[len(own) :]) for arm, (x, _) in answers.items()}
        scores[f"CPU seconds, {budget}"] = {arm: seconds for arm, (_, seconds) in answers.items()}
    return scores


@claim(
    lecture="06, 07",
    statement="A network that sees the whole cube tells nodules from vessels better than one of a slice; three planes "
    "lie between.",
    comparisons=[
        *((f"AUC, {budget}", *pair) for budget in BUDGETS for pair in (*PAIRS, ("2D", PHOTOGRAPHS))),
        *((f"other CT, {budget}", "3D", "2D") for budget in BUDGETS),
    ],
    baseline=UNLEARNT,
    simulated=("ct.nodules",),
)
def nodule_views(
    seed: int, *, steps: int = STEPS, long: Mapping[str, int] = LONG, count: int = TRAIN, test_count: int = TEST
) -> Scores:
    """Every look at the same candidates of the training CT, for the same epochs and, where that is less than 3D takes,
    for the same CPU; the test CT is scored, with slices of 5 mm as the first, and a lung of the one with thin slices.
    """
    draw = partial(nodules, size=SIZE, seed=seed)
    own = (draw(split=split, count=n) for split, n in zip(SPLITS, (count, test_count)))
    thin = draw(split="test", count=test_count, slice_mm=THIN)
    return compared((*own, thin), dict(zip(BUDGETS, (dict.fromkeys([*VIEWS, PHOTOGRAPHS], steps), long))), seed=seed)


@claim(
    lecture="06, 07",
    statement="With slices of 2.5 mm, a network that sees the whole cube tells nodules from vessels better than one of "
    "a slice.",
    comparisons=[
        *((f"AUC, {budget}", *pair) for budget in BUDGETS for pair in PAIRS),
        *((f"{what}, {b}", "3D", arm) for what in ("FROC", "other CT") for b in BUDGETS for arm in ("2D", JOINT)),
        *((f"AUC, {budget}", JOINT, COPIES) for budget in (BUDGETS[0], THICKER)),
        (f"AUC, {THICKER}", "3D", "2D"),
        *((LEAD, *(f"{led}, {mm}" for mm in THICKNESS)) for led in LED),
        (OF_JOINT, *THICKNESS),
    ],
    baseline=UNLEARNT,
    simulated=("ct.nodules",),
)
def nodule_views_thin(
    seed: int, *, steps: int = STEPS, long: Mapping[str, int] = LONG, count: int = TRAIN, test_count: int = TEST
) -> Scores:
    """The same looks, and as a control one that joins copies of a plane, at candidates of the left lung of one CT,
    scored on its right lung and on a CT of 5 mm; and once more when its own slices are 5 mm, the means of two.
    """
    draw = partial(nodules, size=SIZE, seed=seed)
    thick_ct = draw(split="test", count=test_count)
    thin: Budgets = dict(zip(BUDGETS, (dict.fromkeys([*VIEWS, COPIES], steps), long)))
    thick: Budgets = {THICKER: dict.fromkeys(("2D", JOINT, COPIES, "3D"), steps)}
    scores: Scores = {}
    for slice_mm, budgets in {THIN: thin, 2 * THIN: thick}.items():
        own = (draw(split=split, count=n, slice_mm=slice_mm) for split, n in zip(SPLITS, (count, test_count)))
        scores |= compared((*own, thick_ct), budgets, seed=seed)
    at = dict(zip(THICKNESS, (scores[UNLEARNT[0]], scores[f"AUC, {THICKER}"])))
    leads = {f"{led}, {mm}": auc[a] - auc[b] for led, (a, b) in LED.items() for mm, auc in at.items()}
    return scores | {LEAD: leads, OF_JOINT: {mm: auc[JOINT] for mm, auc in at.items()}}


# --- malignant or benign, by the shape alone ---

CNN, ONE_SIZED, DIAMETER, RATINGS = "3D CNN", "3D CNN, all of one size", "diameter", "other ratings"
AUCS = ("AUC", "AUC, 5 to 11 mm")


def of_one_size(nodules: Sequence[Nodule]) -> Tensor:
    """Masks (N, 1, S, S, S) of the nodules, scaled to be equally wide."""
    return torch.stack([nodule.at(nodule.diameter_mm / ACROSS, size=ONE_SIZE) for nodule in nodules])[:, None].float()


def lead_over_patients(patients: Sequence[str], lead: Callable[[Tensor], float], *, seed: int) -> dict[str, float]:
    """The 95 % interval of ``lead(rows)`` when patients are drawn with replacement, each with all their nodules."""
    rows = [torch.tensor([i for i, other in enumerate(patients) if other == who]) for who in sorted(set(patients))]

    def lead_of(drawn: Tensor) -> float:
        return lead(torch.cat([rows[i] for i in drawn.tolist()]))

    interval = bootstrap(lead_of, torch.arange(len(rows)), generator=stream(seed, "patients"), repeats=500)
    return {"low": interval.low, "high": interval.high}


@claim(
    lecture="07",
    statement="A 3D CNN reads malignancy from the shape: it tells more than the diameter does.",
    comparisons=[
        *versus(CNN, DIAMETER, on=AUCS),
        ("AUC", CNN, ONE_SIZED),
        *versus(ONE_SIZED, "chance", on=AUCS),
        *versus(RATINGS, CNN, on=AUCS),
    ],
    baseline=("AUC", DIAMETER),
)
def malignancy_from_shape(seed: int, *, steps: int = SHAPE_STEPS) -> Scores:
    """A 3D CNN on the masks, in mm and all of one size, and what needs no picture, on the patients of the test part.

    The patients are the same for every seed, which draws the start and the batches: the interval over seeds is that
    of training alone. That of the patients is in the scores of each seed.
    """
    learn, test = (lidc.malignancy(split=split, size=SIZE, spacing_mm=SHAPE_MM) for split in SPLITS)
    malignant, truth = learn.malignant.long(), test.malignant
    patients = [nodule.patient for nodule in test.nodules]
    cubic = partial(end_to_end, look=nn.Identity(), seed=seed, steps=steps)
    one_sized = (of_one_size(learn.nodules), malignant)
    answers = {
        CNN: cubic(cubic_network, learn=(learn.masks.float(), malignant), test=test.masks.float()),
        ONE_SIZED: cubic(partial(cubic_network, ONE_SIZE), learn=one_sized, test=of_one_size(test.nodules)),
        DIAMETER: test.diameter_mm,
        RATINGS: margin(fit_linear(learn.ratings, malignant)(test.ratings)),
        "chance": torch.zeros(len(truth)),
    }
    small = (test.diameter_mm >= SMALL[0]) & (test.diameter_mm <= SMALL[1])

    def lead(rows: Tensor) -> float:
        return area(truth[rows], answers[CNN][rows]) - area(truth[rows], answers[DIAMETER][rows])

    return {
        "AUC": {arm: area(truth, x) for arm, x in answers.items()},
        "AUC, 5 to 11 mm": {arm: area(truth[small], x[small]) for arm, x in answers.items()},
        "AUC, 3D CNN less diameter, 95 % over patients": lead_over_patients(patients, lead, seed=seed),
    }
