"""Submissions that mean no harm: what is broken costs what it breaks, and what a notebook usually does works."""

import ast
import dataclasses
import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch
from small_assignment import HONEST, Grade, Graded, job, untimed

from coursegrade.records import CellResult, Job, Limits, Result, Step, result_from
from coursegrade.worker import checks, suspicion
from coursegrade.worker.box import Box
from coursekit.testing import generator

RIGHT = {"double", "shout"}
WORKS = {  # an own cell → what it prints, if that matters
    "%matplotlib inline": (
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('shown')"
    ),
    "!ls": "!ls\nfiles = !ls\nprint('shown')",
    "%%time": "%%time\nprint('shown')",
    "%timeit": "%timeit -n1 -r1 1 + 1\nprint('shown')",
    "await": "import asyncio\nawait asyncio.sleep(0.01)\nprint('shown')",
    "exit": "exit()\nprint('shown')",
    "quit": "quit()\nprint('shown')",
    "warnings": "import warnings, sys\nwarnings.warn('careful')\nsys.stderr.write('noise')\nprint('shown')",
    "a bar": "from tqdm import tqdm\nfor _ in tqdm(range(3)): pass\nprint('shown')",
    "bytes": "import os\nos.write(1, b'\\xff\\xfe\\x00')\nprint('shown')",
    "a process": (
        "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(sum(p.map(abs, [1, -2])), 'shown')"
    ),
    "a thread": "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\nprint('shown')",
    "training": (
        "import torch\nnet = torch.nn.Linear(3, 1)\nopt = torch.optim.Adam(net.parameters())\n"
        "for _ in range(3):\n    opt.zero_grad()\n    net(torch.ones(2, 3)).sum().backward()\n"
        "    opt.step()\nprint('shown')"
    ),
    "two workers": (
        "import torch\nfrom torch.utils.data import DataLoader\n"
        "print(sum(x.sum().item() for x in DataLoader(torch.arange(8.0), batch_size=2, num_workers=2)), "
        "'shown')"
    ),
    "a last value": "print('shown')\n1 + 1",
    "a file": "open('notes.txt', 'w').write('shown')\nprint(open('notes.txt').read())",
}
ONLY_BUBBLEWRAP = {"a process", "two workers"}  # their queues live in /dev/shm
BROKEN = {
    "os._exit": ("import os\nos._exit(3)", "crashed"),
    "segfault": ("import ctypes\nctypes.string_at(0)", "crashed"),
    "abort": ("import os\nos.abort()", "crashed"),
    "input": ("input('name?')", ""),
    "sys.exit": ("def stop():\n    import sys\n    sys.exit(0)\nstop()", ""),
    "syntax": ("def f(:\n  pass", ""),
    "indentation": ("  x = 1\n y = 2", ""),
    "null": ("x = '\0'", ""),
    "relative import": ("from . import nothing", ""),
    "missing module": ("import tensorflow_nothing", ""),
    "no magic": ("%nothing_like_this", ""),
    "a program": ("import subprocess\nsubprocess.run(['ls'])", ""),
    "recursion": ("def f(n): return f(n + 1)\nf(0)", ""),
    "an error without words": ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", ""),
    "a surrogate": ("raise ValueError('\\ud800')", ""),
}


@pytest.mark.parametrize("case", WORKS)
def test_what_notebooks_do_works(grade: Grade, box: Box, case: str) -> None:
    came = grade(own=WORKS[case])
    if box.kind != "bubblewrap" and case in ONLY_BUBBLEWRAP:
        assert "Permission" in came.own.message or came.own.ok
    else:
        assert came.own.ok, came.own.message
        assert "shown" in came.own.output
    assert came.passed == RIGHT
    assert all(cell.ok for cell in came.cells.values())


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_cell_costs_itself(grade: Grade, case: str) -> None:
    code, fatal = BROKEN[case]
    came = grade(own=code)
    assert not came.own.ok
    assert came.own.message
    assert came.own.fatal == fatal
    assert came.passed == RIGHT


LEFTOVER = {  # what stands below a right answer in its cell → how it ends the process
    "a loop": ("while True:\n    pass", "timed out"),
    "%timeit": ("%timeit -n 1 -r 99 double(__import__('time').sleep(1) or 1)", "timed out"),
    "os._exit": ("import os\nos._exit(3)", "crashed"),
}


@pytest.mark.parametrize("case", LEFTOVER)
def test_what_a_cell_defines_outlives_what_ends_its_process(grade: Grade, case: str) -> None:
    leftover, fatal = LEFTOVER[case]
    defines = "import functools\nTIMES = (1, -2)\n\n\n@functools.cache\ndef double(x):\n    return -TIMES[1] * x\n"
    came = grade({"double": f"{defines}\n{leftover}\n"}, call_s=1.6)
    assert came.cells["double"].fatal == fatal
    assert came.passed == RIGHT


def test_a_definition_that_ends_the_process_runs_no_more(grade: Grade) -> None:
    came = grade({"double": "class Endless:\n    while True:\n        pass\n"}, call_s=1.6)
    assert came.passed == {"shout"}
    assert came.result.wall_s < 15


def test_a_broken_answer_says_why(grade: Grade) -> None:
    came = grade({"double": "def double(x:\n    return", "shout": "def shout(text):\n    raise NotImplementedError"})
    assert came.passed == set()
    assert "SyntaxError" in came.cells["double"].message
    assert "its cell stops with SyntaxError" in came.cells["double_test"].message
    assert came.cells["shout"].ok
    assert came.cells["shout_test"].message.startswith("NotImplementedError")


def test_what_visible_checks_print_is_the_students_to_see(grade: Grade) -> None:
    came = grade({"double": "print('cell')\ndef double(x):\n    print('call', x)\n    return 2 * x"})
    assert (came.cells["double"].output, came.cells["double_test"].output) == ("cell\n", "call 3\n")


def test_a_hidden_check_shows_the_instructors_words(grade: Grade) -> None:
    came = grade({"double": "def double(x):\n    return 6", "shout": "def shout(text):\n    return 'A'"})
    assert came.cells["double_test"].message == "A hidden check failed. Hint: large ones too"
    assert came.cells["shout_test"].message == "A hidden check failed. Hint: all of them"
    assert came.cells["shout_test"].hidden


def test_given_cells_that_use_answers_stop_nothing(box: Box) -> None:
    whole = job()
    steps = (
        *whole.steps[:3],
        Step("given", "picture = double(3)\nLATE = 5\n%time\nraise ValueError"),
        *whole.steps[3:],
    )
    came = Graded(dataclasses.replace(whole, steps=steps), checks.grade(dataclasses.replace(whole, steps=steps), box))
    assert came.passed == RIGHT


OBJECTS = """
class Counter:
    def __init__(self, start): self.n = start
    def up(self, by=1):
        self.n += by
        return self.n
    def __getitem__(self, k): return k * 10
    def __len__(self): return 3
def count(n):
    for k in range(n): yield k
def apply(f, x): return f(x) + 1
"""
USES = """
c = Counter(4)
assert c.up() == 5 and c.up(by=2) == 7 and c.n == 7 and c[2] == 20 and len(c) == 3
c.n = 1
assert c.up() == 2
assert list(count(3)) == [0, 1, 2]
assert apply(lambda x: x * 2, 4) == 9
try:
    apply(lambda x: x.nothing, 4)
except ValueError:
    pass
"""


def test_objects_generators_and_functions_passed_in(box: Box) -> None:
    steps = (Step("answer", OBJECTS, "o", ("Counter", "count", "apply")), Step("test", USES, "t", points=1))
    result = checks.grade(Job("a", "a", "s", steps), box)
    assert result.cells[1].ok, result.cells[1].message


def test_the_same_every_time_also_beside_a_busy_neighbour(box: Box) -> None:
    answers = {
        "double": (
            "import random, torch\ndef double(x):\n"
            "    print(torch.rand(2), random.random(), {'a', 'b'}, hash('a'))\n    return 2 * x"
        ),
        "shout": "import torch\ndef shout(text):\n    return str(torch.rand(3))",
    }
    came = [untimed(checks.grade(job(answers), box)) for _ in range(12)]
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as hog:
        came += [untimed(checks.grade(job(answers), box)) for _ in range(8)]
        hog.kill()
    assert len(set(came)) == 1
    assert str(torch.rand(2, generator=generator(0))) in came[0][3].output


@pytest.fixture(scope="module")
def unsafe() -> Iterator[Box]:
    made = Box("none", closed=("torchvision.ops",))
    yield made
    made.close()


def test_the_unsafe_kind_grades_too(unsafe: Box) -> None:
    assert untimed(checks.grade(job(), unsafe)) == HONEST
    gone = Graded(
        job({"double": "import os\nos._exit(1)"}), checks.grade(job({"double": "import os\nos._exit(1)"}), unsafe)
    )
    assert gone.passed == {"shout"}
    assert gone.cells["double"].fatal == "crashed"
    assert (
        untimed(checks.grade(job(own="import time, os\nos.fork()\ntime.sleep(9)", limits=Limits(call_s=1)), unsafe))[
            1
        ].fatal
        == "timed out"
    )
    assert untimed(checks.grade(job(), unsafe)) == HONEST


def test_a_worker_answers_line_by_line() -> None:
    """Its checks may print and crash: one line a job, whatever happens."""
    loud = dataclasses.replace(
        job(), steps=(*job().steps, Step("test", "import os; os.write(1, b'noise'); os._exit(1)", "t", points=1))
    )
    jobs = [job(), loud, job(own="print('x')")]
    lines = "".join(json.dumps(dataclasses.asdict(j)) + "\n" for j in jobs)
    ended = subprocess.run(
        [sys.executable, "-m", "coursegrade.worker", "none"], input=lines, capture_output=True, text=True, timeout=120
    )
    first, lost, third = (result_from(json.loads(line)) for line in ended.stdout.splitlines())
    assert untimed(first) == HONEST
    assert lost.cells[-1].fatal == "crashed"
    assert lost.flags == ("The checks did not come to an end: look at this submission by hand.",)
    assert all(cell.ok for cell in third.cells)
    assert third.cells[1] == CellResult(output="x\n", seconds=third.cells[1].seconds)


SUSPECT = {
    "import ctypes": "uses ctypes",
    "from os import fork as f\nf()": "uses os.fork",
    "import os as o\no.kill(1, 9)": "uses os.kill",
    "import os\ngetattr(os, '_exit')(0)": "uses os._exit",
    "import sys\nsys._getframe(1)": "uses sys._getframe",
    "import gc\ngc.get_objects()": "uses gc.get_objects",
    "import importlib\nimportlib.import_module('x')": "uses importlib.import_module",
    "eval('1' + '2')": "runs code that it puts together (eval)",
    "open('/proc/self/mem')": "mentions /proc/",
    "().__class__.__base__.__subclasses__()": "reads __subclasses__",
    "from torchvision.ops import roi_align": "names torchvision.ops.roi_align, which the assignment closes",
    "import torch.nn.functional as F\nF.grid_sample(1, 2)": "names torch.nn.functional.grid_sample, which the",
}
HARMLESS = """
import os, sys, time, math, random, importlib
%matplotlib inline
!pip install x
import numpy as np
import torch.nn.functional as F
from pathlib import Path
print(sys.version, os.path.join('a', 'b'), time.time(), os.cpu_count(), eval('1 + 1'), sys.argv)
net = torch.nn.Sequential().eval()
x.exec = 3
"""


@pytest.mark.parametrize("code", SUSPECT)
def test_what_no_exercise_needs_is_flagged(code: str) -> None:
    flags = suspicion.suspicions(job({"double": code}))
    assert [flag for flag in flags if flag.startswith(f"The answer double {SUSPECT[code]}")], flags
    assert all(flag.endswith(".") for flag in flags)


MAGICS = {
    "a string's lines": '%matplotlib inline\nx = """\n% of it\n! careful\n"""',
    "alone in a loop": "for k in x:\n    !ls\n    %time f(k)\ny = 1",
    "their answers": "x = !ls\ny, z = %sql\nx?\n?y",
    "over a cell": "%%time\n%matplotlib inline\nx = 1",
}


@pytest.mark.parametrize("case", MAGICS)
def test_a_cell_with_magics_is_read_without_them_alone(case: str) -> None:
    code = f"{MAGICS[case]}\nimport ctypes"
    texts = [
        node.value
        for node in ast.walk(suspicion.tree(code))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    assert texts == (["\n% of it\n! careful\n"] if case == "a string's lines" else [])
    assert suspicion.suspicions(job(own=code)) == [
        "A cell the student added (cell 2) uses ctypes: no exercise needs it."
    ]


def test_many_magics_take_no_time() -> None:
    start = time.process_time()
    assert suspicion.suspicions(job(own="!ls\n" * 12_000)) == []
    assert time.process_time() - start < 5


def test_what_is_closed_is_named_once() -> None:
    flags = suspicion.suspicions(job({"double": "import torch\ntorch.ops.torchvision.roi_align.default(x)"}))
    assert flags == ["The answer double names torch.ops.torchvision.roi_align.default, which the assignment closes."]


def test_honest_code_is_not_flagged() -> None:
    assert suspicion.suspicions(job({"double": HARMLESS}, own=HARMLESS)) == []
    assert suspicion.suspicions(job({"double": "def f(:"})) == []
    assert suspicion.suspicions(job(own="import ctypes")) == [
        "A cell the student added (cell 2) uses ctypes: no exercise needs it."
    ]
    assert Result(()).flags == ()


def test_comparing_in_a_cell_of_one_s_own_is_one_kind_remark() -> None:
    code = "import torchvision.ops as ops\nfrom torchvision.ops import nms\nops.roi_align(1)\nops.nms(2)"
    (flag,) = suspicion.suspicions(job({"double": "def double(x): return 2 * x"}, own=code))
    assert flag.startswith(
        "A cell the student added (cell 2) compares with what the assignment closes, which is no "
        "offence unless an answer"
    )
    assert flag.endswith(" calls it: torchvision.ops.nms, torchvision.ops.roi_align.")
