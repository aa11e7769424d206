"""Assignment a2_mask_ap: what it closes, its nuclei, its last look, its sheet for instructors, and other variants."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from coursegrade.cases import read_cases
from coursekit.claims import nuclei as nuclei_experiment
from coursekit.data import nuclei
from coursekit.metrics import overlap

ROOT = Path(__file__).parents[2]
NAME = "a2_mask_ap"
CLOSED = {
    "coursekit.metrics.overlap.mask_iou": """
from coursekit.metrics.overlap import mask_iou as renamed


def mask_iou(truth, prediction):
    return renamed(truth.bool(), prediction.bool())
""",
    "pycocotools.mask.encode": """
import numpy as np
import pycocotools.mask as renamed


def mask_iou(truth, prediction):
    codes = [renamed.encode(np.asfortranarray(x.bool().byte().permute(1, 2, 0).numpy())) for x in (truth, prediction)]
    return renamed.iou(*codes, [0] * len(prediction))
""",
    "torchvision.ops.boxes.masks_to_boxes": """
from torchvision import ops


def mask_iou(truth, prediction):
    return ops.box_iou(ops.masks_to_boxes(truth.bool()), ops.masks_to_boxes(prediction.bool()))
""",
    "coursekit.metrics.matching.match_greedy": """
from coursekit.metrics import matching


def greedy_match(iou, scores, threshold):
    taken = torch.full((len(scores),), -1)
    pairs = getattr(matching, "match_" + "greedy")(iou, scores, threshold=threshold)
    taken[pairs.prediction] = pairs.truth
    return taken
""",
    "coursekit.metrics.detection.precision_recall": """
def precision_recall(scores, correct, positives):
    from coursekit.metrics.detection import precision_recall as renamed

    curve = renamed(scores, correct, positives=positives)
    return curve.precision, curve.recall
""",
}


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_is_refused(assignment: Callable[[str], Any], closed: str) -> None:
    a2 = assignment(NAME)
    (answer,) = re.findall(r"^def (\w+)", CLOSED[closed], re.MULTILINE)
    cell = {"mask_iou": "iou_pairs", "greedy_match": "match_order", "precision_recall": "curve_counts"}[answer]
    assert f"{answer} calls {closed}" in a2.messages({answer: CLOSED[closed]}, only=cell)[cell]


def test_what_the_checks_hand_in_is_not_called_by_the_student(assignment: Callable[[str], Any]) -> None:
    """The last exercise is given the library's functions, so it can be solved when no exercise before it is."""
    a2 = assignment(NAME)
    stubs = {name: stub for name, stub in a2.stubs.items() if name != "coco_average"}
    assert {test for test in a2.points if test.startswith("coco")}.isdisjoint(a2.lost(stubs))


@pytest.mark.parametrize("exercise", ["mask_iou", "greedy_match", "precision_recall", "average_precision"])
def test_each_exercise_is_paid_once(assignment: Callable[[str], Any], exercise: str) -> None:
    a2 = assignment(NAME)
    lost = a2.lost({exercise: a2.stubs[exercise]})
    assert lost
    assert sum(a2.points[test] for test in lost) == _points(a2, exercise)


def _points(a2: Any, exercise: str) -> float:
    begin = {"mask_iou": "iou", "greedy_match": "match", "precision_recall": "curve", "average_precision": "ap"}
    return sum(p for test, p in a2.points.items() if test.startswith(f"{begin[exercise]}_"))


@pytest.mark.parametrize(
    "mistake", ["recall of those that are found", "recall first", "precision over the true masks", "not sorted"]
)
def test_one_mistake_costs_one_cell(assignment: Callable[[str], Any], mistake: str) -> None:
    (case,) = [case for case in read_cases(ROOT, NAME) if case.name == f"precision_recall: {mistake}"]
    assert assignment(NAME).lost(case.answers) == {case.test}


def test_the_table_of_nuclei_is_that_of_the_real_image(assignment: Callable[[str], Any]) -> None:
    part = nuclei.load(split="test")
    assert part.source == "real"
    truth = nuclei_experiment.target(part.labels)
    pieces = nuclei_experiment.unlearnt(part.image)[nuclei_experiment.WATERSHED]
    order = torch.stack([mask.flatten().nonzero()[0, 0] for mask in pieces.masks]).argsort()
    given: dict[str, Any] = {"torch": torch}
    exec(assignment(NAME).source("nuclei"), given)
    table = overlap.mask_iou(truth.masks, pieces.masks)[:, order].float()
    torch.testing.assert_close(given["NUCLEI_TABLE"], table, rtol=0, atol=6e-5)
    torch.testing.assert_close(given["NUCLEI_SCORES"], pieces.scores[order], rtol=0, atol=6e-5)


def test_the_last_look_shows_both_numbers(assignment: Callable[[str], Any]) -> None:
    a2 = assignment(NAME)
    notebook, shown = a2.looked_at("setup", *a2.answers, "look")
    (picture,) = shown
    hits, alarms, missed = map(int, re.findall(r"(\d+) (?:pieces|false|nuclei)", picture.alt))
    assert (hits + alarms, hits + missed) == (len(notebook["pieces"].masks), len(notebook["truth"].masks))
    assert abs(float(notebook["yours"]) - notebook["library"]) < 1e-6
