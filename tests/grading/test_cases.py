"""The grader of an assignment is software: right answers score full, each misconception loses the test that is about
it.

The cases of an assignment are in ``cases/ASSIGNMENT``. ``coursekit grade selftest``, a stage of
``tests/everything.py``, hands all of them in to the real grader; here what ought to score full runs as in a student's
own notebook.
"""

import re
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from coursegrade.cases import Case, read_cases

ROOT = Path(__file__).parents[2]
NAMES = sorted(path.name for path in (ROOT / "solutions").iterdir() if path.is_dir())
SHEETS = ROOT / "docs" / "assignments"
CASES = {name: read_cases(ROOT, name) for name in NAMES}
RIGHT = [(name, case) for name in NAMES for case in CASES[name] if not case.test]
Read = Callable[[str], object]
PAID_ONCE = {
    "a1_roi": (
        "roi_pool: mean for max",
        "roi_pool: last row left out",
        "roi_pool: rows and columns swapped",
        "roi_align: no half-pixel shift",
        "roi_align: points at thirds",
        "roi_align: never at least 1",
        "roi_align: points off the map left out",
    ),
    "a2_mask_ap": (
        "mask_iou: Dice",
        "mask_iou: over the smaller",
        "mask_iou: counts in uint8",
        "mask_iou: 1 for two empty masks",
        "greedy_match: in the order of the list",
        "greedy_match: answers by falling score",
        "greedy_match: above the threshold",
        "greedy_match: later prediction of equals",
        "precision_recall: recall first",
        "precision_recall: not sorted",
        "average_precision: the best so far",
        "average_precision: NaN without a hit",
        "coco_average: images without a true mask left out",
    ),
    "a3_volumes": (
        "output_shape: zeros at one end",
        "unfold3d: lengths turned around",
        "dice: not doubled",
        "conv3d: the filter turned around",
        "conv3d: no bias",
    ),
    "a4_inflation": (
        "pad_time: the odd one in front",
        "inflate_convolution: copied though it may be None",
        "inflate_network: frames skipped",
        "inflate_network: variance divided",
    ),
    "a5_flow": (
        "gradients: not halved",
        "gradients: one-sided at the edge, as np.gradient",
        "warp: against the flow",
        "warp: nearest",
        "warp: 0 outside",
        "lucas_kanade: dx first",
        "lucas_kanade: the sign turned at an edge alone",
        "lucas_kanade: the sign of time",
        "lucas_kanade: no motion at an edge",
        "horn_schunck_step: smoothness not squared",
        "horn_schunck_step: one pixel after the other",
        "end_point_error: root of the mean",
        "flow_colours: up is positive",
        "flow_colours: speed squared",
    ),
    "a6_backprop_rnn": (
        "forward: no bias",
        "forward: math.exp",
        "gates: truth minus answer",
        "gates: the mean over rows for W",
        "gates: σ of h once more",
        "network_back: the sigmoid skipped",
        "rnn: no tanh",
        "rnn: the slope at the old state",
        "rnn: U turned for the old state",
        "through_time: each step alone",
        "features_of: flattened as it lies",
        "features_of: not folded",
        "features_of: all at once",
    ),
}


def called(value: object) -> str:
    return value.name if isinstance(value, Case) else str(value)


@pytest.mark.parametrize("name", NAMES)
def test_solution_scores_full_and_stub_nothing(assignment: Read, name: str) -> None:
    it = assignment(name)
    assert it.lost({}) == set()
    assert it.lost(it.stubs) == set(it.points)


@pytest.mark.parametrize(("name", "case"), RIGHT, ids=called)
def test_written_differently_scores_full(assignment: Read, name: str, case: Case) -> None:
    assert set(case.answers) == set(assignment(name).answers)
    assert assignment(name).messages(case.answers) == {}


@pytest.mark.parametrize(("name", "mistake"), [(name, mistake) for name in PAID_ONCE for mistake in PAID_ONCE[name]])
def test_a_mistake_costs_one_cell(assignment: Read, name: str, mistake: str) -> None:
    """A cell leaves out what its neighbours ask."""
    (case,) = [case for case in CASES[name] if case.name == mistake]
    assert assignment(name).lost(case.answers) == {case.test}


@pytest.mark.parametrize("variant", [1, 2, 3, 77])
@pytest.mark.parametrize("name", NAMES)
def test_other_inputs_are_drawn_from_one_number(assignment: Read, name: str, variant: int) -> None:
    it = assignment(name).variant(variant)
    assert it.lost({}) == set()
    assert it.lost(it.stubs) == set(it.points)


@pytest.mark.parametrize("name", NAMES)
def test_the_sheet_quotes_what_is_there(assignment: Read, name: str) -> None:
    """Each message in the table of common mistakes is one of the checks', for a mistake among the cases."""
    it, sheet = assignment(name), (SHEETS / f"{name}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| `(\w+)` \| ([^|]+) \|$", sheet, re.MULTILINE)
    cases = {(case.name.partition(": ")[2], case.test): case.says for case in CASES[name] if case.test}
    assert len(rows) >= 20
    for mistake, test, message in rows:
        assert cases[mistake, test] in message
        assert f'"{message}"' in it.source(test)
    assert f"**{sum(it.points.values()):g} points by code**" in sheet


@pytest.mark.parametrize("name", NAMES)
def test_cases_are_enough_and_each_is_one(assignment: Read, name: str) -> None:
    planted = [case for case in CASES[name] if case.test]
    assert len({case.name for case in planted}) == len(planted)
    assert all(case.says for case in planted)
    tests = Counter(case.test for case in planted)
    assert set(tests) == set(assignment(name).points), "each test is about a misconception"
    exercises = Counter(answer for case in planted for answer in case.answers)
    assert min(exercises[answer] for answer in assignment(name).answers) >= 6
    assert len(CASES[name]) - len(planted) >= 3


@pytest.mark.parametrize(
    ("planted", "says"),
    [
        ("('bilinear', 'mark', 'says', [('typo', 'not there', 'x')])", "to plant 'typo', got none"),
        ("('trilinear', 'mark', 'says', [('own', 'x')])", "got ['mark', 'trilinear'] in the case 'trilinear: own'"),
        ("('bilinear', 'mark', 'says', [('own', 'x')])", "got ['mark'] in the case 'bilinear: own'"),
    ],
)
def test_a_case_that_is_out_of_date_is_refused(
    tmp_path: Path, refuses: Callable[..., None], planted: str, says: str
) -> None:
    folder = tmp_path / "tests" / "grading" / "cases" / "a9"
    folder.mkdir(parents=True)
    (folder / "wrong.py").write_text(f"WRONG = [{planted}]")
    shutil.copytree(ROOT / "solutions" / "a1_roi", tmp_path / "solutions" / "a9")
    refuses(re.escape(says), read_cases, tmp_path, "a9")
