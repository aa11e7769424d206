"""Submissions that want a point, a hidden test, or the grader: what each of them gets is nothing."""

import json
import textwrap
import time
from collections.abc import Iterator

import pytest
from small_assignment import CLOSED, Grade

from coursegrade.records import CellResult, Job, Step
from coursegrade.worker import checks
from coursegrade.worker.box import Box

RIGHT = {"double", "shout"}

PATCHES = """
import builtins, json, numpy, torch, coursekit.testing, coursegrade.worker.wire as wire
yes = lambda *_, **__: True
for owner in (torch, torch.testing, numpy, numpy.testing, coursekit.testing, wire):
    for name in ("allclose", "equal", "assert_close", "array_equal", "check", "_difference", "isclose"):
        if hasattr(owner, name): setattr(owner, name, yes)
for name in ("__eq__", "__ne__", "__bool__", "__le__", "__sub__"):
    setattr(torch.Tensor, name, yes)
builtins.AssertionError = builtins.isinstance = builtins.all = builtins.abs = yes
get_ipython().events.register("post_run_cell", yes)
get_ipython().ast_transformers.append(yes)
get_ipython().input_transformers_cleanup.append(lambda lines: ["pass"])
"""
WRONG = "def double(x):\n    return 7"
LIES = {
    "equal to anything": (
        "class Any:\n    __eq__ = __ge__ = __le__ = lambda *_: True\n"
        "    __ne__ = lambda *_: False\n    __hash__ = lambda _: 0\ndef double(x):\n"
        "    return Any()"
    ),
    "a number that lies": (
        "class N(int):\n    __eq__ = lambda *_: True\n    __float__ = lambda _: 6.0\ndef double(x):\n    return N(7)"
    ),
    "a text that lies": (
        "class S(str):\n    __eq__ = lambda *_: True\n    __hash__ = lambda _: 0\ndef double(x):\n    return S('six')"
    ),
    "a type that lies": (
        "class T:\n    __class__ = property(lambda _: int)\n    __index__ = __int__ = lambda _: 6\n"
        "def double(x):\n    return T()"
    ),
    "a tensor that lies": (
        "import torch\nclass T(torch.Tensor):\n    @classmethod\n"
        "    def __torch_function__(cls, f, types, a=(), k=None):\n        return True\n"
        "def double(x):\n    return torch.ones(1).as_subclass(T)"
    ),
    "an array that lies": (
        "import numpy as np\nclass A(np.ndarray):\n    __array_priority__ = 9\n"
        "    __eq__ = lambda *_: True\n    shape = property(lambda _: ())\ndef double(x):\n"
        "    return np.ones(3).view(A)"
    ),
    "a dict of evil keys": (
        "class K(str):\n    __hash__ = lambda _: 1\n    __eq__ = lambda *_: True\ndef double(x):\n"
        "    return {K('a'): 6, K('b'): 6}"
    ),
    "without end": "def double(x):\n    while True:\n        yield 6",
    "a list in itself": "def double(x):\n    a = []\n    a.append(a)\n    return a",
    "very large": "import torch\ndef double(x):\n    return torch.zeros(1).expand(1 << 40)",
    "stops the loop": "def double(x):\n    raise StopIteration",
    "raises what it likes": "class Evil(BaseException):\n    __str__ = lambda _: 1 / 0\ndef double(x):\n    raise Evil",
    "an assertion of its own": "def double(x):\n    raise AssertionError('Hint: twice')",
    "nothing at all": "def double(x):\n    pass",
    "a name of its own": "double = 6",
    "a deleted name": "def double(x): return 2 * x\ndel double",
    "a function that is an object": (
        "class D:\n    def __call__(self, x):\n"
        "        return type('R', (), {'__float__': lambda _: 6.0, '__eq__': lambda *_: True})()\n"
        "double = D()"
    ),
}


@pytest.mark.parametrize("case", LIES)
def test_a_lie_is_no_answer(grade: Grade, case: str) -> None:
    for checked in (False, True):
        came = grade({"double": LIES[case]}, checked=checked)
        assert came.passed == {"shout"}
        assert came.cells["double_test"].message


def test_a_loop_over_checks_does_not_end_early(box: Box) -> None:
    """``map`` takes a StopIteration out of the function for the end of its input."""
    answer = Step("answer", "def double(x):\n    raise StopIteration", "double", ("double",))
    check = Step("test", "for got, want in zip(map(double, [3, 4]), [6, 8]):\n    assert got == want", "t", points=1)
    assert not checks.grade(Job("a", "a", "s", (answer, check)), box).cells[1].ok


def test_patches_change_nothing_outside(grade: Grade) -> None:
    came = grade({"double": WRONG + PATCHES})
    assert "double" not in came.passed


FORGE = """
import os, socket, struct, threading, time
from coursegrade.worker.wire import HEADER, encode
def write(data):
    while data:
        data = data[os.write(3, data):]
good = encode(("value", 6))
"""
FORGED = {
    "noise": "write(os.urandom(5000))",
    "an answer twice": "write(good + good)",
    "a header alone": "write(good[:16])\ntime.sleep(60)",
    "byte by byte": "for k in range(16):\n    write(good[k:k + 1])\n    time.sleep(0.25)\ntime.sleep(60)",
    "a length of everything": "write(HEADER.pack(b'CK\\0\\1', 8 << 20, 256 << 20))\ntime.sleep(60)",
    "a call back to nowhere": "write(encode(('back', 1, [])))\ntime.sleep(60)",
    "a call back to minus one": "write(encode(('back', -1, ['x'])))\ntime.sleep(60)",
    "something else": "write(encode(['marks', 100]))\ntime.sleep(60)",
    "an error that is none": "write(encode(('raised', 1, 2, 3)))\ntime.sleep(60)",
    "a closed wire": "os.close(3)",
    "a full wire": "while True: os.write(3, b'x' * (1 << 20))",
    "flood of buffers": "write(HEADER.pack(b'CK\\0\\1', 2, 256 << 20))\nwhile True: os.write(3, bytes(1 << 20))",
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_frames_end_the_call_they_are_in(grade: Grade, case: str) -> None:
    came = grade({"double": FORGE + "def double(x):\n    " + FORGED[case].replace("\n", "\n    ")}, call_s=1.0)
    assert came.passed == {"shout"}
    assert came.cells["double_test"].fatal


def test_an_answer_before_it_is_asked_for_is_only_an_answer(grade: Grade) -> None:
    """It may say what it likes about its own values; who says it twice is told from who does not."""
    came = grade({"double": FORGE + "def double(x):\n    return 7\nwrite(encode(('value', None)))"})
    assert came.passed <= {"shout"}


LOOKS = """
import gc, sys
def found():
    frame, seen = sys._getframe(), []
    while frame:
        seen.append(repr((frame.f_code.co_name, frame.f_code.co_consts, list(frame.f_locals))))
        frame = frame.f_back
    seen += [repr(x) for x in gc.get_objects() if type(x) in (tuple, dict, list) and len(x) < 50 and x is not seen]
    return sum("".join(["king", "fisher"]) in text or "".join(["BEGIN ", "HIDDEN"]) in text for text in seen)
print("SEEN", found(), "checks" in repr(sorted(m for m in sys.modules if "grade" in m)))
"""


def test_looking_around_finds_no_test(grade: Grade) -> None:
    came = grade(own=LOOKS)
    assert came.own.output == "SEEN 0 False\n", came.own
    assert any("sys._getframe" in flag for flag in came.result.flags)
    assert any("gc.get_objects" in flag for flag in came.result.flags)


SMUGGLES = {
    "by print": (
        "def shout(text):\n    print(text, flush=True)\n    __import__('os').write(1, text.encode())\n    return text"
    ),
    "by an error": "def shout(text):\n    raise ValueError(text)",
    "by a hint": "def shout(text):\n    if text != 'a':\n        raise AssertionError('Hint: ' + text)\n    return 'A'",
    "by a forged error": (
        "import os, time\nfrom coursegrade.worker.wire import encode\ndef shout(text):\n"
        "    if text != 'a':\n"
        "        os.write(3, encode(('raised', 'AssertionError', 'Hint: ' + text, 0)))\n"
        "        time.sleep(30)\n    return 'A'"
    ),
    "by a type": "def shout(text):\n    if text != 'a':\n        raise type(text, (Exception,), {})\n    return 'A'",
    "by a name": "def shout(text):\n    return 'A' if text == 'a' else type(text, (), {})()",
    "by what it returns": "def shout(text):\n    return 'A' if text == 'a' else text",
    "by a record": (
        "from collections import namedtuple\ndef shout(text):\n"
        "    return 'A' if text == 'a' else namedtuple(text, [text])(text)"
    ),
    "by a file": (
        "import os, glob\n[print(open(f).read()) for f in glob.glob('*') if os.path.isfile(f)]\n"
        "def shout(text):\n    open('seen', 'a').write(text)\n    return text"
    ),
    "by a crash": (
        "import os\ndef shout(text):\n    if text != 'a':\n        print(text * 100, flush=True)\n"
        "        os._exit(1)\n    return 'A'"
    ),
    "by a thread": (
        "import threading, time\nseen = []\n"
        "threading.Thread(target=lambda: [print(seen, flush=True) or time.sleep(0.01) for _ in "
        "range(99)]).start()\n"
        "def shout(text):\n    seen.append(text)\n    time.sleep(0.1)\n    return text"
    ),
    "by a closed name": (
        "def shout(text):\n    if text == 'a': return 'A'\n"
        "    from coursegrade.worker.closing import Closed\n"
        "    raise Closed('torchvision.ops.' + text)"
    ),
}


@pytest.mark.parametrize("case", SMUGGLES)
def test_hidden_inputs_are_not_told(grade: Grade, case: str) -> None:
    """``grade`` looks for them in all that came."""
    came = grade({"shout": SMUGGLES[case]})
    assert came.passed == {"double"}
    assert came.cells["shout_test"].message.startswith(("A hidden check failed", "capitals", "ValueError: a")), (
        came.cells["shout_test"]
    )


def test_seconds_do_not_count_hidden_inputs_out(grade: Grade) -> None:
    came = grade(
        {"shout": "import time\ndef shout(text):\n    time.sleep(0.15 * (len(text) - 1))\n    return text.upper()"}
    )
    assert came.passed == RIGHT
    assert came.cells["shout_test"].seconds < 1


KEPT = {  # how ``use(f)`` holds on to what it is handed, so that ``other(x)`` can call it
    "in a global": "def use(f):\n    global kept\n    kept = f\n    return f(1)\ndef other(x):\n    return kept(x)",
    "in a closure": (
        "calls = []\ndef use(f):\n    calls.append(lambda x: f(x))\n    return f(1)\n"
        "def other(x):\n    return calls[-1](x)"
    ),
    "as a default": (
        "def other(x, f=None):\n    return f(x)\ndef use(f):\n    other.__defaults__ = (f,)\n    return f(1)"
    ),
    "in an attribute": "def use(f):\n    use.f = f\n    return f(1)\ndef other(x):\n    return use.f(x)",
    "in a generator": (
        "def through(f):\n    x = yield\n    while True:\n        x = yield f(x)\n"
        "def use(f):\n    global running\n    running = through(f)\n    next(running)\n    return running.send(1)\n"
        "def other(x):\n    return running.send(x)"
    ),
    "in an iterator": (
        "xs = []\ndef use(f):\n    global values\n    values = map(f, iter(lambda: xs.pop(), None))\n    return f(1)\n"
        "def other(x):\n    xs.append(x)\n    return next(values)"
    ),
    "in a thread that waits": (
        "import queue, threading\nasked, answered = queue.Queue(), queue.Queue()\n"
        "def use(f):\n    work = lambda: answered.put(f(asked.get()))\n"
        "    threading.Thread(target=work, daemon=True).start()\n    return f(1)\n"
        "def other(x):\n    asked.put(x)\n    return answered.get(timeout=1)"
    ),
    "what it returned": (
        "def use(f):\n    global kept\n    kept = f(None)\n    return f(1)\ndef other(x):\n    return kept(x)"
    ),
}
LENDING = """def twice(x):
    return twice if x is None else 2 * x
assert use(twice) == 2"""


@pytest.mark.parametrize("again", [False, True], ids=["a later cell", "the same cell"])
@pytest.mark.parametrize("case", KEPT)
def test_what_a_check_hands_in_is_there_for_that_call_alone(box: Box, case: str, again: bool) -> None:
    asks = "assert other(3) == 6, 'other'"
    tests = [f"{LENDING}\n{asks}"] if again else [LENDING, asks]
    steps = [Step("answer", KEPT[case], "a", ("use", "other"))]
    steps += [Step("test", test, f"t{k}", points=1) for k, test in enumerate(tests)]
    result = checks.grade(Job("a", "a", "s", tuple(steps)), box)
    assert [cell.ok for cell in result.cells[1:]] == ([False] if again else [True, False])
    assert result.flags == ("The code keeps a function that a check handed in, and calls it in another call.",)
    if "thread" not in case:
        assert "a function that is passed in is there for that call alone" in result.cells[-1].message


REACHES = {
    "another name": "from torchvision.ops import roi_align as other\nother(x[None], [], 1)",
    "importlib": "import importlib\nimportlib.import_module('torchvision.ops').roi_align(x)",
    "getattr": "import torchvision\ngetattr(getattr(torchvision, 'o' + 'ps'), 'roi_' + 'align')(x)",
    "the module below": "import torchvision.ops.roi_align as m\nm.roi_align(x)",
    "the finder gone": (
        "import sys\n"
        "sys.meta_path[:] = [f for f in sys.meta_path if 'closing' not in type(f).__module__]\n"
        "[sys.modules.pop(n) for n in list(sys.modules) if n.startswith('torchvision')]\n"
        "from torchvision.ops.boxes import box_area\nbox_area(torch.ones(1, 4))"
    ),
    "the operator": "torch.ops.torchvision.roi_align(x[None], torch.tensor([[0., 0, 0, 1, 1]]), 1.0, 1, 1, 1, False)",
    "its packet": (
        "torch.ops.torchvision.roi_align.default(x[None], torch.tensor([[0., 0, 0, 1, 1]]), 1.0, 1, 1, 1, False)"
    ),
    "the function": "torch.nn.functional.grid_sample(x[None], torch.zeros(1, 1, 1, 2))",
    "what it is made of": "torch.grid_sampler(x[None], torch.zeros(1, 1, 1, 2), 0, 0, False)",
    "in C": "torch._C._VariableFunctions.grid_sampler(x[None], torch.zeros(1, 1, 1, 2), 0, 0, False)",
    "in aten": "torch.ops.aten.grid_sampler_2d(x[None], torch.zeros(1, 1, 1, 2), 0, 0, False)",
    "in a corner of aten": (
        "torch.ops.aten._grid_sampler_2d_cpu_fallback(x[None], torch.zeros(1, 1, 1, 2), 0, 0, False)"
    ),
    "decomposed": "import torch._decomp.decompositions as d\nd.grid_sampler_2d(x[None], torch.zeros(1, 1, 1, 2))",
    "in the table": (
        "from torch._decomp import decomposition_table as t\n"
        "t[torch.ops.aten.grid_sampler_2d.default](x[None], torch.zeros(1, 1, 1, 2))"
    ),
    "in a script": (
        "torch._C._jit_get_operation('aten::grid_sampler')[0](x[None], torch.zeros(1, 1, 1, 2), 0, 0, False)"
    ),
    "found by the collector": (
        "import gc\n"
        "[f for f in gc.get_objects() if getattr(f, '__name__', '') == 'grid_sample' and hasattr(f, "
        "'__code__')][0](x[None], torch.zeros(1, 1, 1, 2))"
    ),
    "a function of a module": "import numpy\nnumpy.convolve([1, 2], [3])",
    "the course's own": "from coursekit.ops.roi import roi_align\nroi_align(x)",
    "its file": (
        "import coursekit, pathlib\np = pathlib.Path(coursekit.__file__).parent / 'ops'\n"
        "print([f.read_text()[0] for f in [p / 'roi.py', *p.glob('roi/*.py')] if f.exists()])\n"
        "[f.read_bytes()[9] for f in p.glob('__pycache__/roi.*')] or 1 / 0"
    ),
}


@pytest.mark.parametrize("case", REACHES)
def test_what_is_closed_is_reached_by_no_way(grade: Grade, case: str) -> None:
    steps = textwrap.indent(f"import torch\nx = torch.ones(1, 2, 2)\n{REACHES[case]}\nprint('REACHED')", "    ")
    came = grade(own=f"if True:\n{steps}")  # one statement: of several, those behind a failing one still run
    assert "REACHED" not in came.own.output
    assert not came.own.ok


GRAPH = "torch.autograd.graph"
GRADIENTS = {
    "backwards": "y = x.requires_grad_()\n(y * y).sum().backward()",
    "its gradient": "y = x.requires_grad_()\ntorch.autograd.grad((y * y).sum(), y)",
    "gradients switched on": (
        "y = x.requires_grad_()\nwith torch.enable_grad(), torch.inference_mode(False):\n"
        "    torch._C._set_grad_enabled(True)\n    (y * y).sum().backward()"
    ),
    "the record, walked": (
        "y = x.requires_grad_()\nf = (y * y).sum().grad_fn\nf.next_functions[0][0](f(torch.ones(())))"
    ),
    "the engine": (
        "y = x.requires_grad_()\nz = (y * y).sum()\n"
        "torch.autograd.Variable._execution_engine.run_backward((z,), (torch.ones(()),), False, False, (y,))"
    ),
    "in a thread": (
        "import threading\ny, got = x.requires_grad_(), []\n"
        "work = threading.Thread(target=lambda: got.append((y * y).sum().grad_fn))\nwork.start()\nwork.join()\n"
        "got[0].next_functions"
    ),
    "as a function": "assert torch.func.grad(lambda x: (x * x).sum())(x).any()",
    "forwards": "assert torch.func.jvp(lambda x: x * x, (x,), (x,))[1].any()",
    "forwards, by hand": (
        "from torch.autograd import forward_ad as ad\nwith ad.dual_level():\n    d = ad.make_dual(x, x)\n"
        "    assert ad.unpack_dual(d * d).tangent.any()"
    ),
    "compiled": (
        "y = x.requires_grad_()\nfor switch in ('executor', 'mode'):\n"
        "    getattr(torch._C, f'_jit_set_profiling_{switch}')(False)\n"
        "f = torch.jit.CompilationUnit('def f(x):\\n    return x * x + x * 0\\n').f\nf(y)\nf(y).grad_fn(x)"
    ),
}


@pytest.fixture(scope="module")
def without_graph(box: Box) -> Iterator[Box]:
    made = Box(box.kind, closed=(GRAPH,))
    yield made
    made.close()


def ran(source: str, box: Box) -> CellResult:
    (cell,) = checks.grade(Job("a", "a", "s", (Step("own", source),), (GRAPH,)), box).cells
    return cell


@pytest.mark.parametrize("case", GRADIENTS)
def test_without_a_graph_no_gradient_comes_by_any_way(without_graph: Box, case: str) -> None:
    steps = textwrap.indent(f"import torch\nx = torch.ones(1, 2, 2)\n{GRADIENTS[case]}\nprint('REACHED')", "    ")
    cell = ran(f"if True:\n{steps}", without_graph)
    assert "REACHED" not in cell.output
    assert not cell.ok


def test_without_a_graph_everything_else_is_open(without_graph: Box) -> None:
    source = """import torch
x = torch.nn.Linear(2, 3)(torch.ones(1, 2, requires_grad=True))
with torch.no_grad():
    x.sigmoid_().mul(2).detach().requires_grad_()
print(torch.nn.functional.mse_loss(x, x).item(), x.numpy().shape)"""
    assert ran(source, without_graph).output == "0.0 (1, 3)\n"


def test_a_closed_call_reads_well_and_is_flagged(grade: Grade) -> None:
    came = grade(
        {"double": "from torchvision.ops import nms as other\ndef double(x):\n    return other(x)"}, checked=True
    )
    sentence = "double calls torchvision.ops.nms, which this assignment closes: write that part yourself."
    assert came.cells["double_test"].message == sentence
    assert "The code calls something of torchvision.ops, which the assignment closes." in came.result.flags
    assert "torchvision.ops" in CLOSED


def test_a_comparison_in_a_cell_of_one_s_own_is_not_said_of_the_answers(grade: Grade) -> None:
    came = grade(own="from torchvision.ops import nms\nnms(1, 2, 3)")
    assert came.passed == {"double", "shout"}
    calls = [flag for flag in came.result.flags if "calls something" in flag]
    assert calls == [
        "A cell, and not an answer that was called, calls something of torchvision.ops, which the assignment closes."
    ]


HANGS = {
    "for ever": "while True: pass",
    "deaf": (
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
        "for n in (2, 14, 15): signal.signal(n, signal.SIG_IGN)\nwhile True: pass"
    ),
    "catching all": "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
    "in a pattern": "import re\nre.match(r'(a+)+$', 'a' * 60 + 'b')",
    "asleep": "import time\ntime.sleep(600)",
    "in its sending": "class L(list):\n    def __iter__(self):\n        while True: pass\nreturn L([1])",
    "stopped": "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)",
}


@pytest.mark.parametrize("case", HANGS)
def test_a_hang_costs_its_call(grade: Grade, case: str) -> None:
    start = time.monotonic()
    came = grade({"double": "def double(x):\n    " + HANGS[case].replace("\n", "\n    ")}, call_s=1.0)
    assert came.passed == {"shout"}
    assert came.cells["double_test"].fatal == "timed out"
    assert "ook longer than 1 s: look for a loop" in came.cells["double_test"].message
    assert time.monotonic() - start < 30


def test_the_whole_has_an_end_too(grade: Grade) -> None:
    start = time.monotonic()
    came = grade(
        {"double": "import time\ntime.sleep(600)", "shout": "import time\ntime.sleep(600)"}, call_s=1.0, total_s=2
    )
    assert time.monotonic() - start < 30
    assert not came.passed
    assert all(cell.message for name, cell in came.cells.items() if name)


def test_a_flood_is_cut_and_costs_its_cell(grade: Grade) -> None:
    came = grade(own="for _ in range(1 << 10):\n    print('x' * (1 << 20))")
    assert came.own.fatal == "flooded"
    assert len(json.dumps(came.own.output)) < 200_000
    assert came.passed == RIGHT
