"""Events in time: overlap and matching by hand, average precision against its definition."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference.metric_loops import activity_net_loop, average_precision_loop

from coursekit.metrics import temporal as tm
from coursekit.testing import assert_close
from tests.tensors import fake_cuda


def events(n: int, g: torch.Generator) -> torch.Tensor:
    start = torch.rand(n, generator=g) * 10
    return torch.stack([start, start + 3 * torch.rand(n, generator=g)], 1)


def test_iou_by_hand() -> None:
    truth = torch.tensor([[0.0, 4.0], [4.0, 4.0]])
    prediction = torch.tensor([[2.0, 6.0], [4.0, 8.0], [0.0, 4.0], [4.0, 4.0]])
    assert_close(tm.temporal_iou(truth, prediction), torch.tensor([[1 / 3, 0, 1, 0], [0, 0, 0, 0]]))


@given(st.integers(0, 6), st.integers(0, 6), st.integers(0, 999))
@settings(max_examples=30)
def test_iou_laws(a: int, b: int, seed: int) -> None:
    g = torch.Generator().manual_seed(seed)
    x, y = events(a, g), events(b, g)
    iou = tm.temporal_iou(x, y)
    assert_close(iou, tm.temporal_iou(y, x).T)
    assert ((iou >= 0) & (iou <= 1)).all()
    assert_close(tm.temporal_iou(x, x).diagonal(), torch.ones(a))
    assert_close(tm.temporal_iou(x * 25, y * 25), iou, atol=1e-4)  # in frames as in seconds


def test_matching_by_hand() -> None:
    """The surest takes its best event; the next takes what is left of those it overlaps enough."""
    truth = torch.tensor([[0.0, 10.0], [2.0, 12.0], [20.0, 25.0]])
    prediction = torch.tensor([[0.0, 11.0], [0.0, 10.0], [0.0, 10.0], [30.0, 31.0]])
    record = tm.match_events(truth, prediction, torch.tensor([0.5, 0.9, 0.1, 0.8]))
    assert record.match.tolist() == [1, 0, -1, -1]
    assert (record.true_positives, record.false_positives, record.false_negatives) == (2, 2, 1)
    assert record.sensitivity == pytest.approx(2 / 3)
    assert record.precision == 0.5
    strict = tm.match_events(truth, prediction, torch.ones(4), threshold=1.0)
    assert strict.match.tolist() == [-1, -1, 0, -1]  # of equal scores the later goes first


def test_of_two_equal_overlaps_the_later_event_is_taken() -> None:
    truth, prediction = torch.tensor([[0.0, 2], [3, 5]]), torch.tensor([[1.0, 4], [3, 5]])
    scores = torch.tensor([0.8, 0.9])
    assert tm.match_events(truth, prediction, scores, threshold=0.2).match.tolist() == [0, 1]
    assert tm.match_events(truth, prediction, scores.flip(0), threshold=0.2).match.tolist() == [1, -1]


@given(st.integers(0, 9999), st.sampled_from([0.2, 0.25, 0.5]))
@settings(max_examples=100)
def test_average_precision_is_activity_nets_ties_included(seed: int, threshold: float) -> None:
    g = torch.Generator().manual_seed(seed)

    def whole(n: int) -> torch.Tensor:
        start = torch.randint(0, 6, (n,), generator=g)
        return torch.stack([start, start + torch.randint(1, 4, (n,), generator=g)], 1).double()

    truth, prediction = [whole(n) for n in (3, 4)], [whole(n) for n in (5, 6)]
    scores = [torch.randint(0, 3, (len(p),), generator=g) / 2 for p in prediction]
    expected = activity_net_loop(truth, prediction, scores, threshold)
    assert tm.average_precision(truth, prediction, scores, threshold=threshold) == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16])
def test_an_overlap_that_equals_the_threshold_counts(dtype: torch.dtype) -> None:
    """Of 1 s from 0.1 on, 0.7 s are found: in floating point less than 0.7, or more, as the numbers fall."""
    for place in (0.0, 0.1, 0.7, 33.3):
        truth, prediction = (torch.tensor([[place, place + n]], dtype=torch.float64) for n in (1.0, 0.7))
        assert tm.match_events(truth, prediction, torch.ones(1), threshold=0.7000000000000002).true_positives == 1
        assert tm.match_events(truth, prediction, torch.ones(1), threshold=0.7001).true_positives == 0
    long = torch.tensor([[0.0, 60000.0]], dtype=dtype)
    assert tm.temporal_iou(long, long / 2).item() == pytest.approx(0.5)
    assert tm.temporal_iou(long, long / 2).dtype == (dtype if dtype == torch.float64 else torch.float32)


def test_empty() -> None:
    none, some = torch.zeros(0, 2), torch.tensor([[0.0, 1.0]])
    nothing = tm.match_events(none, none, torch.zeros(0))
    assert math.isnan(nothing.sensitivity)
    assert math.isnan(nothing.precision)
    assert tm.match_events(none, some, torch.ones(1)).precision == 0
    assert tm.match_events(some, none, torch.zeros(0)).sensitivity == 0
    assert math.isnan(tm.average_precision([none], [some], [torch.ones(1)]))
    assert math.isnan(tm.average_precision([], [], []))
    assert tm.average_precision([some], [none], [torch.zeros(0)]) == 0


@given(st.integers(0, 9999), st.sampled_from([0.1, 0.3, 0.5]))
@settings(max_examples=50)
def test_average_precision_equals_its_definition(seed: int, threshold: float) -> None:
    g = torch.Generator().manual_seed(seed)
    truth, prediction = [events(n, g) for n in (3, 0, 2)], [events(n, g) for n in (4, 2, 5)]
    scores = [torch.rand(len(p), generator=g) for p in prediction]
    match = [tm.match_events(t, p, s, threshold=threshold).match.tolist() for t, p, s in zip(truth, prediction, scores)]
    expected = average_precision_loop(match, [s.tolist() for s in scores], 5)
    assert tm.average_precision(truth, prediction, scores, threshold=threshold) == pytest.approx(expected)


def test_average_precision_by_hand() -> None:
    """Right, wrong, right of two events: (1 + 2/3) / 2. A false alarm below all hits costs nothing."""
    truth = [torch.tensor([[0.0, 1.0], [5.0, 6.0]])]
    prediction = [torch.tensor([[0.0, 1.0], [2.0, 3.0], [5.0, 6.0], [8.0, 9.0]])]
    assert tm.average_precision(truth, prediction, [torch.tensor([0.9, 0.8, 0.7, 0.1])]) == pytest.approx(5 / 6)
    # the dip between two hits is filled by the better precision beyond it
    assert tm.average_precision(truth, prediction, [torch.tensor([0.8, 0.9, 0.7, 0.1])]) == pytest.approx(2 / 3)


def test_on_a_fake_gpu() -> None:
    x = torch.rand(3, 2).sort(1).values
    with fake_cuda() as to_cuda:
        assert tm.temporal_iou(to_cuda(x), to_cuda(x)).device.type == "cuda"


def test_bad_input(refuses) -> None:
    x, s = torch.tensor([[0.0, 1.0]]), torch.ones(1)
    refuses("an event ends after it starts", tm.temporal_iou, x, x.flip(1))
    refuses(r"one row \(start, end\)", tm.temporal_iou, x[0], x)
    refuses("prediction to be finite", tm.match_events, x, x / 0, s)
    refuses("floating point", tm.temporal_iou, x.long(), x)
    refuses("one score a prediction", tm.match_events, x, x, torch.ones(2))
    refuses("threshold in", tm.match_events, x, x, s, threshold=0.0)
    refuses("threshold in", tm.average_precision, [x], [x], [s], threshold=1.5)
    refuses("one entry a video", tm.average_precision, [x], [x], [])
