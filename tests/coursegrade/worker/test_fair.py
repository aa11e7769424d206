"""Marks as a fair reader gives them: what a student defined counts where it stands, whatever is around it."""

import dataclasses
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from small_assignment import Grade, Graded, job, processes, untimed

from coursegrade.records import Job, Limits, Step
from coursegrade.worker import checks, layout
from coursegrade.worker.box import Box
from coursegrade.worker.remote import Remote
from coursekit import testing

RIGHT = {"double", "shout"}
HELPED = "def helper(x):\n    return 2 * x\ndef double(x):\n    return helper(x)"
LATER = {
    "a helper's name again": "def helper(x):\n    return 'another'",
    "a constant's name again": "FACTOR = 'another'",
    "another default dtype": "import torch\ntorch.set_default_dtype(torch.float64)",
    "%reset": "%reset -f",
    "a name deleted": "del helper, shout",
    "an answer's name again": "double = shout = 7",
    "a built-in gone": "import builtins\nstr.upper\ndel builtins.len",
    "its end": "import os\nos._exit(0)",
    "no end": "while True: pass",
    "other threads": "import torch\ntorch.set_num_threads(4)",
    "gradients off": "import torch\ntorch.set_grad_enabled(False)",
}


def last(own: str, answers: dict[str, str] | None = None, limits: Limits | None = None) -> Job:
    """A submission with a cell of the student's behind everything."""
    whole = job(answers, limits=limits)
    return dataclasses.replace(whole, steps=(*whole.steps, Step("own", own)))


@pytest.mark.parametrize("case", LATER)
def test_what_comes_later_costs_nothing(box: Box, case: str) -> None:
    answers = {
        "double": HELPED.replace("2 * x", "FACTOR * x + len([])") + "\nFACTOR = 2",
        "shout": (
            "import torch\ndef shout(text):\n"
            "    assert torch.zeros(1).dtype is torch.float32 and torch.is_grad_enabled()\n"
            "    return text.upper()"
        ),
    }
    graded = last(LATER[case], answers, Limits(call_s=2))
    came = Graded(graded, checks.grade(graded, box))
    assert came.passed == RIGHT, came.result


def test_a_hidden_check_leaves_nothing_that_a_visible_one_prints(grade: Grade) -> None:
    """It runs where it stands, but in a process of its own, and what comes behind it there is nobody's."""
    answers = {
        "shout": (
            "seen = []\ndef shout(text):\n    open('seen', 'a').write(text)\n    seen.append(text)\n"
            "    return text.upper()"
        )
    }
    came = grade(answers, own="import os\nprint(os.path.exists('seen'))")
    assert came.passed == RIGHT
    late = last("print(seen, open('seen').read())\nraise ValueError(str(seen))", answers)
    result = checks.grade(late, grade.box)  # type: ignore[attr-defined]
    assert result.cells[-1].output == "['a'] a\n"
    assert result.cells[-1].message == "ValueError: ['a'] (line 2 of the cell)"


def test_objects_that_a_visible_part_made_are_there_for_the_hidden_one(box: Box) -> None:
    """Theirs are gone with their process: the visible part makes them again."""
    make = "class Counter:\n    n = 0\n    def up(self):\n        self.n += 1\n        return self.n"
    test = (
        "c = Counter()\nassert c.up() == 1\n### BEGIN HIDDEN TESTS\nassert c.up() == 2, 'goes on'\n### END HIDDEN TESTS"
    )
    steps = (Step("answer", make, "o", ("Counter",)), Step("test", test, "t", points=1), Step("own", "Counter = None"))
    for answer, ok in ((make, True), (make.replace("self.n += 1", "self.n = 1"), False)):
        result = checks.grade(Job("a", "a", "s", (dataclasses.replace(steps[0], source=answer), *steps[1:])), box)
        assert (result.cells[1].ok, result.cells[1].hidden) == (ok, not ok), result


def test_a_helper_of_a_visible_part_calls_the_answer_as_it_was_there(box: Box) -> None:
    test = (
        "def twice(x):\n    return double(double(x))\nassert twice(1) == 4\n"
        "### BEGIN HIDDEN TESTS\nassert twice(3) == 12, 'twice'\n### END HIDDEN TESTS"
    )
    answer = Step("answer", "def double(x):\n    return 2 * x", "d", ("double",))
    steps = (
        answer,
        Step("test", test, "t", points=1),
        Step("own", "double = 7"),
        Step("test", "assert 1", "u", points=1),
    )
    result = checks.grade(Job("a", "a", "s", steps), box)
    assert all(cell.ok for cell in result.cells), result


RESCUED = {
    "a missing module": "from google.colab import drive",
    "a folder that is elsewhere": "drive.mount('/content/drive')",
    "!pip": "!pip install -q nothing",
    "%pip": "%pip install -q nothing",
    "a program": "import subprocess, sys\nsubprocess.check_call([sys.executable, '-m', 'pip', 'install', 'x'])",
    "input": "name = input('name? ')",
    "sys.exit": "import sys\nsys.exit()",
    "a magic that is not there": "%tensorflow_version 2.x",
    "%cd": "%cd /content/drive",
    "an assertion": "assert False, 'not yet'",
    "a file that is elsewhere": "with open('/content/data.txt') as f:\n    text = f.read()",
    "two of them": "import nothing_a\nimport nothing_b\nx = y",
    "Python 2": "print 'hello'",
    "words": "Here is my answer to exercise 1.",
    "%%time": "%%time\nimport nothing_a",
    "%%capture": "%%capture\n!pip install x\nimport nothing_a",
    "a conflict": "<<<<<<< HEAD",
}


@pytest.mark.parametrize("case", RESCUED)
def test_a_line_that_fails_costs_itself(grade: Grade, case: str) -> None:
    came = grade({"double": f"{RESCUED[case]}\nK = 2\ndef double(x):\n    return K * x\nprint('end')"})
    assert came.passed == RIGHT, came.cells
    assert "end" in came.cells["double"].output or case == "%%capture"


def test_what_went_on_after_an_error_is_said(grade: Grade) -> None:
    came = grade({"double": "import nothing_a\ndef double(x):\n    return 2 * x"})
    assert came.cells["double"].message == (
        "ModuleNotFoundError: No module named 'nothing_a'. What follows in the cell was run all the "
        "same (line 1 of the cell)"
    )
    assert (
        "all the same" not in grade({"double": "def double(x):\n    return 2 * x\nundefined"}).cells["double"].message
    )


def test_a_module_written_beside_the_notebook_is_imported(grade: Grade) -> None:
    came = grade(
        {"double": "import mine\nfrom mine import double"}, own="%%writefile mine.py\ndef double(x):\n    return 2 * x"
    )
    assert came.passed == RIGHT, came.cells
    again = grade({"double": "open('other.py', 'w').write('def f(x): return 2 * x')\nfrom other import f as double"})
    assert again.passed == RIGHT, again.cells


def test_any_float_type_goes_over(grade: Grade) -> None:
    types = ["bfloat16", "float16", "float32", "float64"]
    answers = {
        "double": (
            f"import torch\ndef double(x):\n"
            f"    return [(x * torch.ones(2, dtype=getattr(torch, t))).sum() for t in {types}][x % 4]"
        )
    }
    for k, name in enumerate(types):
        test = f"value = double({k})\nassert str(value.dtype) == 'torch.{name}' and value == {2 * k}"
        steps = (Step("answer", answers["double"], "d", ("double",)), Step("test", test, "t", points=1))
        (_, came) = checks.grade(Job("a", "a", "s", steps), grade.box).cells  # type: ignore[attr-defined]
        assert came.ok, came


LENT = {  # honest uses of a function that a check hands in, also after the call: by what came of it
    "at once": ("def use(f):\n    return [f(k) for k in range(3)]", "assert use(f) == [0, 2, 4]"),
    "a generator": ("def use(f):\n    yield from map(f, range(3))", "assert list(use(f)) == [0, 2, 4]"),
    "a function": ("def use(f):\n    return lambda x: f(x)", "g = use(f)\nassert g(1) == 2 and g(3) == 6"),
    "an object": (
        "class use:\n    def __init__(self, f):\n        self.f = f\n    def go(self, x):\n        return self.f(x)",
        "u = use(f)\nassert u.go(2) == 4 and u.f(3) == 6",
    ),
    "an object handed on": (
        "class Net:\n    def __init__(self, f):\n        self.f = f\n"
        "def use(f, net=None):\n    return net.f(1) if net else Net(f)",
        "assert use(None, use(f)) == 2",
    ),
    "an object that is given it later": (
        "class use:\n    def learn(self, f):\n        self.f = f\n    def go(self, x):\n        return self.f(x)",
        "u = use()\nu.learn(f)\nassert u.go(2) == 4\nu.f = abs\nassert u.go(-2) == 2",
    ),
}


@pytest.mark.parametrize("case", LENT)
def test_what_a_check_hands_in_is_used_as_it_should_be(box: Box, case: str) -> None:
    answer, test = LENT[case]
    lending = f"def f(x):\n    return 2 * x\n{test}\n### BEGIN HIDDEN TESTS\n{test}\n### END HIDDEN TESTS"
    steps = (Step("answer", answer, "u", ("use",)), Step("test", lending, "t", points=1))
    result = checks.grade(Job("a", "a", "s", steps), box)
    assert all(cell.ok for cell in result.cells), result
    assert not result.flags


# --- time ---


def test_what_a_lent_function_takes_is_not_the_call_s(box: Box) -> None:
    test = "import time\ndef f(x):\n    time.sleep(0.4)\n    return x\nassert use(f) == 3"
    answer = Step("answer", "def use(f):\n    return sum(f(1) for _ in range(3))", "u", ("use",))
    steps = (answer, Step("test", test, "t", points=1))
    (_, cell) = checks.grade(Job("a", "a", "s", steps, limits=Limits(call_s=1)), box).cells
    assert cell.ok, cell


def slow(seconds: float, *, first: str = "pass") -> dict[str, str]:
    """``double`` does ``first`` with small numbers and takes a while with others; ``shout`` takes a while."""
    return {
        "double": (
            f"import time\ndef double(x):\n    if x < 9:\n        {first}\n    time.sleep({seconds})\n    return 2 * x"
        ),
        "shout": f"import time\ndef shout(text):\n    time.sleep({seconds})\n    return text.upper()",
    }


def test_after_a_hang_a_call_has_its_full_time(grade: Grade) -> None:
    assert grade(slow(0.8, first="while True: pass"), call_s=1.6).passed == {"shout"}
    steps = [Step("test", f"assert double({k}) == {2 * k}", f"t{k}", points=1) for k in (3, 10)]
    whole = job(slow(0.8, first="while True: pass"), limits=Limits(call_s=1.6))
    cells = checks.grade(dataclasses.replace(whole, steps=(*whole.steps[:3], *steps)), grade.box).cells  # type: ignore[attr-defined]
    assert [cell.ok for cell in cells[3:]] == [False, True], cells
    assert cells[3].message == "It took longer than 1.6 s: look for a loop that does not end."


def test_who_hangs_on_and_on_leaves_the_others_their_time(box: Box) -> None:
    remote = Remote(box, Limits(call_s=10, total_s=120))
    remote.hung, remote.hung_s = {"double"}, 59.0
    assert remote._allowance("double") == 10
    remote.hung_s = 61.0
    assert (remote._allowance("double"), remote._allowance("shout")) == (2.5, 10)


@pytest.fixture
def crowded(box: Box) -> Iterator[None]:
    """The box gets a quarter of one processor."""
    everywhere = os.sched_getaffinity(0)
    one = {min(everywhere)}
    loop = "while True: pass"
    others = [subprocess.Popen([sys.executable, "-c", loop]) for _ in range(3)]
    for process in {*processes(box), *(other.pid for other in others)}:
        os.sched_setaffinity(process, one)
    yield
    for process in processes(box):
        os.sched_setaffinity(process, everywhere)
    for other in others:
        other.kill()
        other.wait()


CROWDED = {  # what a call does before it answers → what it says to a limit of 1 s
    "works": ("while time.thread_time() - start < 0.6: pass", ""),
    "loops": ("while True: pass", "It took longer than 1 s: look for a loop that does not end."),
    "sleeps": ("time.sleep(600)", "It took longer than 1 s: look for a loop that does not end."),
}


@pytest.mark.parametrize("case", CROWDED)
@pytest.mark.usefixtures("crowded")
def test_waiting_for_a_processor_is_not_the_call_s_time(box: Box, case: str) -> None:
    waits, message = CROWDED[case]
    answer = f"import time\ndef double(x):\n    start = time.thread_time()\n    {waits}\n    return 2 * x"
    cell = checks.grade(job({"double": answer}, limits=Limits(call_s=1, total_s=9)), box).cells[-2]
    assert (cell.ok, cell.message) == (not message, message)


TAKES_LONG = {
    "every cell": ("import time\ntime.sleep(600)", "def double(x):\n    return 2 * x"),
    "every call": ("", "import time\ndef double(x):\n    time.sleep(600)"),
    "ends each time": ("", "import os, time\ndef double(x):\n    time.sleep(0.2)\n    os._exit(1)"),
    "a crowd": (
        "",
        (
            "import os, time\ndef double(x):\n    for k in range(40):\n"
            "        if os.fork() == 0: time.sleep(600)\n    time.sleep(600)"
        ),
    ),
    "many small ones": (
        "",
        "class Slow:\n    def __iter__(self):\n        while True: yield 6\ndef double(x):\n    return Slow()",
    ),
}


@pytest.mark.parametrize("case", TAKES_LONG)
def test_the_whole_ends_on_time(box: Box, case: str) -> None:
    own, answer = TAKES_LONG[case]
    whole = job({"double": answer}, limits=Limits(call_s=1, total_s=5))
    tests = tuple(Step("test", "assert list(double(3)) == 6", f"t{k}", points=1) for k in range(30))
    owns = tuple(Step("own", own) for _ in range(30)) if own else ()
    start = time.monotonic()
    result = checks.grade(dataclasses.replace(whole, steps=(*owns, *whole.steps[:3], *tests)), box)
    assert time.monotonic() - start < 60  # a busy machine puts the end off
    assert not any(cell.ok for cell in result.cells[-30:])
    if case != "many small ones":
        assert result.cells[-1].message == "It did not run: the 5 s of the whole submission are used up.", result.cells[
            -1
        ]


LONG_LISTS = {
    "a flat one": "[0.5] * 1_600_000",
    "of pairs": "[[0.5, 1.5]] * 800_000",
    "of lists of one": "[[k] for k in range(400_000)]",
    "a range": "range(10**12)",
    "a dict of it": "{'a': [0.5] * 1_600_000}",
}


@pytest.mark.parametrize("case", LONG_LISTS)
def test_a_long_list_costs_the_checks_little_and_says_what_to_do(grade: Grade, case: str) -> None:
    start = time.process_time()
    came = grade({"double": f"def double(x):\n    return {LONG_LISTS[case]}"}, checked=True)
    assert time.process_time() - start < 5
    assert came.passed == {"shout"}
    assert (
        "expected at most 100,000 values in lists, tuples and dicts, got more: return a tensor or an array"
        in came.cells["double_test"].message
    )


def test_a_flat_list_is_compared_quickly() -> None:
    start = time.process_time()
    assert testing.check(lambda: [1.0] * 90_000, (), [1.0] * 90_000, hint="h")
    assert time.process_time() - start < 2


# --- words ---

WORDS = {  # an answer, under ``check`` → what is said of it
    "a generator": ("def double(x):\n    yield 6", "but it returned generator, not numbers"),
    "an object of the student's": (
        "class Circle: pass\ndef double(x):\n    return Circle()",
        "but it returned Circle, not numbers",
    ),
    "a function": ("def double(x):\n    return lambda: 6", "but it returned function, not numbers"),
    "no end": (
        "def double(x):\n    while True: pass",
        "but it took longer than 2 s: look for a loop that does not end\n",
    ),
    "a crash": (
        "import os\ndef double(x):\n    os._exit(1)",
        "but it ended the Python process (a crash, os._exit, or too little memory)\n",
    ),
    "a flood": (
        "def double(x):\n    while True: print('x' * 99999)",
        "but it printed more than 32 MB: look for a print in a loop that does not end\n",
    ),
    "a stub": (
        "def double(x):\n    raise NotImplementedError",
        "but it raised NotImplementedError: it is not written yet\n",
    ),
    "torch's own": ("import torch\ndef double(x):\n    return torch.ones(2, device='meta').item()", "but it raised"),
    "not implemented in words": (
        "def double(x):\n    raise NotImplementedError('no such kernel')",
        "but it raised NotImplementedError: no such kernel",
    ),
}


@pytest.mark.parametrize("case", WORDS)
def test_a_student_understands_what_is_said(grade: Grade, case: str) -> None:
    answer, words = WORDS[case]
    message = grade({"double": answer}, checked=True, call_s=2 if case == "no end" else 10).cells["double_test"].message
    assert words in message, message
    assert not any(odd in message for odd in ("Remote", "TimedOut", "Ended", "Flooded", "?.", "it it"))
    assert "not written yet" not in message or case == "a stub"


def test_a_hint_in_the_visible_part_is_told_for_the_hidden_one(box: Box) -> None:
    test = (
        "from coursekit.testing import check\n_hint = 'mind the sign'\n"
        "assert check(same, (1,), 1, hint=_hint)\n### BEGIN HIDDEN TESTS\n"
        "assert check(same, (-1,), -1, hint=_hint, hidden=True)\n### END HIDDEN TESTS"
    )
    steps = (Step("answer", "def same(x):\n    return abs(x)", "s", ("same",)), Step("test", test, "t", points=1))
    (_, came) = checks.grade(Job("a", "a", "s", steps), box).cells
    assert came.message == "A hidden check failed. Hint: mind the sign"


def test_a_text_of_the_instructors_keeps_its_lines(box: Box) -> None:
    given = Step("given", 'TEXT = """first\n%second\n!third\n"""')
    test = Step("test", "assert TEXT == 'first\\n%second\\n!third\\n'", "t", points=1)
    assert all(cell.ok for cell in untimed(checks.grade(Job("a", "a", "s", (given, test)), box)))


def test_the_library_is_found_whatever_changes_beside_it(harmless: Grade) -> None:
    """Its folder may be the course's own, where a gradebook's journal comes and goes; the box cannot list it."""
    os.utime(layout.TOP)
    came = harmless(own="from coursekit import testing")
    assert came.own.ok, came.own.message


OPEN_NEIGHBOURS = ("coursekit.ops.boxes", "coursekit.ops.nms", "coursekit.figures", "torchvision.transforms.v2")


@pytest.mark.parametrize("module", OPEN_NEIGHBOURS)
def test_what_lies_beside_something_closed_is_imported(harmless: Grade, module: str) -> None:
    """``coursekit.ops.roi`` and ``torchvision.ops`` are closed; Python lists a folder before it imports from it."""
    came = harmless({"double": f"import {module}\ndef double(x):\n    return 2 * x"})
    assert came.passed == {"double", "shout"}
    assert came.cells["double"].ok, came.cells["double"].message
