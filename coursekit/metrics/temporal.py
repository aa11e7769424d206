"""When did it happen: events as stretches of time, matched by temporal overlap.

An event is (start, end) in seconds, half-open, start <= end; two events that only touch do not overlap. One class at
a time: call once a class and average. This AP takes the area under the precision envelope at every recall (VOC 2010,
ActivityNet), not at 101 recalls.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from coursekit import _check

Videos = Sequence[Float[Tensor, "_ 2"]]  # the events of each


@dataclass(frozen=True, eq=False)
class EventMatch:
    """``match``: for each prediction the event it found, −1 for none. Divide last: sum the counts over videos first."""

    match: Integer[Tensor, "P"]
    true_positives: int
    false_positives: int
    false_negatives: int

    @property
    def sensitivity(self) -> float:
        """Share of events found; NaN without events."""
        events = self.true_positives + self.false_negatives
        return self.true_positives / events if events else math.nan

    @property
    def precision(self) -> float:
        """Share of predictions that found one; NaN without predictions."""
        predictions = self.true_positives + self.false_positives
        return self.true_positives / predictions if predictions else math.nan


def temporal_iou(truth: Float[Tensor, "E 2"], prediction: Float[Tensor, "P 2"]) -> Float[Tensor, "E P"]:
    """Seconds in both over seconds in either, of every pair; 0 for two events of no length."""
    for name, events in [("truth", truth), ("prediction", prediction)]:
        _check.tensor(name, events, "N 2", "pass one row (start, end) an event", of="numbers")
        _check.within(f"length of {name}", events[:, 1] - events[:, 0], 0, math.inf, "an event ends after it starts")
    dtype = _check.wide_dtype(truth, prediction)
    truth, prediction = truth.to(dtype), prediction.to(dtype)
    start = torch.maximum(truth[:, None, 0], prediction[None, :, 0])
    end = torch.minimum(truth[:, None, 1], prediction[None, :, 1])
    both = (end - start).clamp(min=0)  # (E, P)
    either = (truth[:, 1] - truth[:, 0])[:, None] + (prediction[:, 1] - prediction[:, 0])[None] - both
    return both / either.where(either > 0, 1)


def match_events(
    truth: Float[Tensor, "E 2"], prediction: Float[Tensor, "P 2"], scores: Float[Tensor, "P"], *, threshold: float = 0.5
) -> EventMatch:
    """Each prediction, best score first, takes the free event it overlaps most, if their IoU is >= ``threshold``.

    This is ActivityNet's rule; Pascal VOC's would not look at the second-best event. Ties are its too, those of
    ``argsort()[::-1]``: of equal scores the later prediction goes first, of equal overlaps the later event is taken.
    """
    _check.tensor("scores", scores, str(len(prediction)), "pass one score a prediction", of="numbers")
    _check_threshold(threshold)
    iou = temporal_iou(truth.double(), prediction.double()).cpu()
    match = torch.full((len(prediction),), -1)
    for p in _falling(scores.cpu()).tolist() if len(truth) else []:
        event = _falling(iou[:, p])[0]
        if _check.at_least(iou[event, p], threshold):
            match[p] = event
            iou[event] = -1
    hits = int((match >= 0).sum())
    return EventMatch(match.to(truth.device), hits, len(match) - hits, len(truth) - hits)


def _falling(values: Tensor) -> Tensor:
    """The order from the largest to the smallest, of equals the later first."""
    return values.argsort(stable=True).flip(0)


def _check_threshold(threshold: float) -> None:
    if not 0 < threshold <= 1:
        raise _check.refuse("threshold in (0, 1]", threshold, "0.5 is usual")


def average_precision(
    truth: Videos, prediction: Videos, scores: Sequence[Float[Tensor, "_"]], *, threshold: float = 0.5
) -> float:
    """AP of one class over several videos, matched within each video and ranked over all of them by score.

    NaN without any event, 0 with events and no prediction. For ActivityNet's mean AP average over 0.5, 0.55 … 0.95.
    """
    if not len(truth) == len(prediction) == len(scores):
        got = f"{len(truth)}, {len(prediction)}, {len(scores)}"
        raise _check.refuse("one entry a video, three times", got, "list every video")
    _check_threshold(threshold)
    events = sum(map(len, truth))
    if events == 0:
        return math.nan
    matches = [match_events(t, p, s, threshold=threshold).match.cpu() for t, p, s in zip(truth, prediction, scores)]
    order = _falling(torch.cat([s.cpu() for s in scores]))
    hit = (torch.cat(matches)[order] >= 0).double()
    precision = hit.cumsum(0) / torch.arange(1, len(hit) + 1)
    envelope = precision.flip(0).cummax(0).values.flip(0)  # the best precision at this recall or beyond
    return ((envelope * hit).sum() / events).item()
