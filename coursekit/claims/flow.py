"""Lucas–Kanade, Horn–Schunck and TV-L1 on pairs of real texture, against the true motion (lecture 11).

Nothing is learnt: the knobs are the defaults of ``coursekit.flow``, found on other pictures. A seed draws other
fields, magnitudes, places and noise.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .. import flow
from ..data import clips
from ..metrics.motion import motion_error
from . import Scores, claim, versus

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
RIVALS = ("Lucas–Kanade", "Horn–Schunck")
CLEAN, *HARDER = SHARES = [f"{condition}: share of the error removed" for condition in CONDITIONS]


def errors(pairs: list[clips.Pair]) -> dict[str, float]:
    """Mean end-point error in pixels of each method over the pairs, where the motion is known and visible."""
    first, second = (torch.stack([getattr(pair, name) for pair in pairs]) for name in ("first", "second"))
    mean_error = {}
    for name, method in METHODS.items():
        of_pairs = [
            motion_error(pair.flow[None], estimate[None], valid=pair.valid[None]).end_point
            for pair, estimate in zip(pairs, method(first, second))
        ]
        mean_error[name] = sum(of_pairs) / len(of_pairs)
    return mean_error


@claim(
    lecture="11",
    statement="Asking for a flow as smooth as the image allows (TV-L1) gives a smaller end-point error than one window "
    "at a time does.",
    comparisons=[
        *versus("TV-L1", *RIVALS, on=[CLEAN]),
        *((measure, "TV-L1", rival) for measure in HARDER for rival in RIVALS),
        *((CLEAN, method, "zero flow") for method in (*RIVALS, "TV-L1")),
    ],
    baseline=(CLEAN, "zero flow"),
    simulated=("clips.pairs",),
)
def flow_methods(seed: int, *, count: int = COUNT) -> Scores:
    """Every method on the same pairs, condition by condition; of the error of zero flow, the mean motion, 1 is removed
    by a perfect method, 0 by one no better."""
    scores: Scores = {}
    for share, (condition, knobs) in zip(SHARES, CONDITIONS.items()):
        error = errors(clips.pairs(split="test", count=count, seed=seed, **{"noise": NOISE} | knobs))
        removed = {name: 1 - value / error["zero flow"] for name, value in error.items()}
        scores |= {share: removed, f"{condition}: end-point error, pixels": error}
    return scores
