"""Three ways to see motion, against its truth: Lucas–Kanade, Horn–Schunck and TV-L1 on pairs of real texture (lecture
11).

Nothing is learnt here: the knobs are the defaults of ``coursekit.flow``, found on other pictures. A seed draws other
fields, magnitudes, places and noise. The pairs are of the test pictures of ``data.clips``.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import flow
from ..data import clips
from ..metrics.motion import motion_error
from . import Claim, Scores

METHODS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "zero flow": lambda first, second: torch.zeros_like(first).expand(-1, 2, -1, -1),
    "Lucas–Kanade": flow.lucas_kanade,
    "Horn–Schunck": flow.horn_schunck,
    "TV-L1": flow.tv_l1,
}
COUNT = 40  # pairs a seed and condition
NOISE = 0.01  # sd in both frames, of a range of 1
CONDITIONS: dict[str, dict[str, Any]] = {  # what is added to the motion
    "clean": {},
    "a tenth brighter": {"brightness": 0.1},
    "a patch in front": {"occlusion": 0.3},
    "ten times the noise": {"noise": 10 * NOISE},
}


def errors(pairs: clips.PairSet) -> dict[str, float]:
    """Mean end-point error in pixels of each method over the pairs, where the motion is known and visible; all pairs
    count alike.
    """
    first, second, truth, valid = (
        torch.stack([getattr(pair, name) for pair in pairs.frames]) for name in ("first", "second", "flow", "valid")
    )
    found = {name: method(first, second) for name, method in METHODS.items()}
    each = {
        name: [motion_error(t[None], f[None], valid=v[None]).end_point for t, f, v in zip(truth, x, valid)]
        for name, x in found.items()
    }
    return {name: sum(values) / len(values) for name, values in each.items()}


def removed(error: dict[str, float]) -> dict[str, float]:
    """Of the error of zero flow, the mean length of the motion, the share that a method removes: 1 is perfect, 0 no
    better than none.
    """
    return {name: 1 - value / error["zero flow"] for name, value in error.items()}


def flow_experiment(seed: int, *, count: int = COUNT) -> Scores:
    """Every method on the same pairs, condition by condition."""
    scores: Scores = {}
    for condition, knobs in CONDITIONS.items():
        error = errors(clips.pairs(split="test", count=count, seed=seed, **{"noise": NOISE} | knobs))
        scores[f"{condition}: share of the error removed"] = removed(error)
        scores[f"{condition}: end-point error, pixels"] = error
    return scores


def _named(condition: str) -> str:
    return f"{condition}: share of the error removed"


CLAIMS = [
    Claim(
        name="flow_methods",
        lecture="11",
        statement="Asking for a flow as smooth as the image allows (TV-L1) gives a smaller end-point error than one window at a time does.",
        comparisons=[
            (_named("clean"), "TV-L1", "Lucas–Kanade"),
            (_named("clean"), "TV-L1", "Horn–Schunck"),
            *(
                (_named(c), "TV-L1", other)
                for c in CONDITIONS
                if c != "clean"
                for other in ("Lucas–Kanade", "Horn–Schunck")
            ),
            *((_named("clean"), name, "zero flow") for name in METHODS if name != "zero flow"),
        ],
        baseline=(_named("clean"), "zero flow"),
        experiment=flow_experiment,
        simulated=("clips.pairs",),
    )
]
