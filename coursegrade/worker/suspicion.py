"""What an instructor should look at in a student's cells: names that no exercise needs, and names that the assignment
closes.

It reads, it proves nothing: the box keeps what it keeps, whatever the code looks like.
"""

import ast
import re
from collections.abc import Iterator

from ..records import Job, Step

MAGIC = re.compile(r"([ \t]*)(?:[%!?]|[\w, ]+=[ \t]*[%!]|[^#]*\?[ \t]*\Z)")  # a line that is no Python, but IPython's
CELL_MAGIC = re.compile(r"\A\s*%%.*")  # what stands below may be Python
MOST_MAGICS = 50  # of a cell
NEEDLESS = (
    *("ctypes", "cffi", "subprocess", "socket", "pty", "_posixsubprocess", "_thread", "marshal"),
    *("os.fork", "os.forkpty", "os.kill", "os.killpg", "os._exit", "os.abort", "os.system", "os.popen"),
    *("os.execv", "os.execve", "os.execl", "os.execvp", "os.posix_spawn", "os.spawnl", "os.spawnv"),
    *("os.environ", "os.getenv", "os.setsid", "os.ptrace", "os.dup2"),
    *("sys._getframe", "sys._current_frames", "sys.settrace", "sys.setprofile"),
    *("sys.modules", "sys.meta_path", "sys.addaudithook"),
    *("threading.settrace", "threading.setprofile", "inspect.currentframe", "inspect.stack"),
    *("gc.get_objects", "gc.get_referrers", "gc.get_referents"),
    *("importlib.util", "importlib.machinery", "importlib.reload", "importlib.import_module"),
    *("torch._C", "torch._decomp", "torch._refs", "__import__", "builtins"),
)
INSIDES = (
    "__subclasses__", "__globals__", "__code__", "__closure__", "__builtins__", "gi_frame", "tb_frame", "f_back",
    "grad_fn", "next_functions", "_execution_engine",
)  # fmt: skip
PLACES = ("/proc/", "/dev/shm", ".pyc", "gradebook.db", "solutions/", "sitecustomize")
PLAIN = (ast.Constant, ast.UnaryOp, ast.unaryop, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.expr_context)
MOST = 20
CLOSES = ", which the assignment closes."


def tree(source: str) -> ast.Module:
    """A cell's statements without magics: where Python stops at a line that looks like one. Lines of strings stay."""
    lines = CELL_MAGIC.sub("", source).split("\n")
    for _ in range(MOST_MAGICS):
        try:
            return ast.parse("\n".join(lines))
        except SyntaxError as error:
            at = (error.lineno or 0) - 1
            if not (0 <= at < len(lines) and (magic := MAGIC.match(lines[at]))):
                raise
            lines[at] = f"{magic[1]}pass"
    return ast.parse("\n".join(lines))


def definitions(source: str) -> str:
    """What a cell that ended its process is good for: imports, functions, classes, plain values, on their own lines."""
    try:
        body = tree(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    kept = {n for statement in body if _defines(statement) for n in _lines(statement)}
    lines = CELL_MAGIC.sub("", source).split("\n")
    return "\n".join(line if n in kept else "" for n, line in enumerate(lines, 1))


def _defines(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value:
        return all(isinstance(node, PLAIN) for node in ast.walk(statement.value))
    return isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Import | ast.ImportFrom)


def _lines(statement: ast.stmt) -> range:
    first = min(node.lineno for node in (statement, *getattr(statement, "decorator_list", ())))
    return range(first, (statement.end_lineno or first) + 1)


def suspicions(job: Job) -> list[str]:
    """A sentence for each thing to look at."""
    sentences = list[str]()
    for k, step in enumerate(job.steps):
        remarks = list(dict.fromkeys(_in_cell(step, job.closed))) if step.kind in ("answer", "own") else []
        if step.kind == "own":
            sentences += [f"A cell the student added (cell {k + 1}) {remark}" for remark in _kindly(remarks)]
        else:
            sentences += [f"The answer {step.grade_id} {remark}" for remark in remarks]
    return sentences[:MOST]


def _kindly(remarks: list[str]) -> list[str]:
    """What is said of a cell beside the answers: that it compares with what is closed is one remark, and no offence."""
    closed = sorted({sentence.split()[1].rstrip(",") for sentence in remarks if sentence.endswith(CLOSES)})
    kind = "compares with what the assignment closes, which is no offence unless an answer calls it"
    others = [sentence for sentence in remarks if not sentence.endswith(CLOSES)]
    return [*others, f"{kind}: {', '.join(closed)}."] if closed else others


def _in_cell(step: Step, closed: tuple[str, ...]) -> Iterator[str]:
    try:
        parsed = tree(step.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    known = dict(_imports(parsed))
    names = dict.fromkeys([*imported(parsed), *(name for node in ast.walk(parsed) for name in _named(node, known))])
    for name in names:
        if needless := _under(name, NEEDLESS):
            yield f"uses {needless}: no exercise needs it."
        if _under(name, closed) and not any(longer.startswith(f"{name}.") for longer in names):
            yield f"names {name}{CLOSES}"
    for node in ast.walk(parsed):
        yield from _odd(node)


def _under(name: str, names: tuple[str, ...]) -> str:
    return next((n for n in names if name == n or name.startswith(f"{n}.")), "")


def imported(parsed: ast.AST) -> Iterator[str]:
    """Modules and names that are imported, as dotted names."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _imports(parsed: ast.AST) -> Iterator[tuple[str, str]]:
    """What a name means after the imports of this cell."""
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            for alias in node.names:
                top = alias.name.partition(".")[0]
                yield (alias.asname, alias.name) if alias.asname else (top, top)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((alias.asname or alias.name, f"{node.module}.{alias.name}") for alias in node.names)


def _named(node: ast.AST, known: dict[str, str]) -> Iterator[str]:
    """The dotted name that an expression is: ``o.fork`` after ``import os as o``, or ``getattr(os, "fork")``."""
    if isinstance(node, ast.Attribute):
        yield from (f"{owner}.{node.attr}" for owner in _named(node.value, known))
    elif isinstance(node, ast.Name):
        yield known.get(node.id, node.id)
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "getattr":
        match node.args:
            case [owner, ast.Constant(value=str(name)), *_]:
                yield from (f"{whole}.{name}" for whole in _named(owner, known))


def _odd(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Attribute) and node.attr in INSIDES:
        yield f"reads {node.attr}, the inside of Python's objects."
    if isinstance(node, ast.Constant) and isinstance(node.value, str) and len(node.value) < 300:
        yield from (f"mentions {place}: no exercise needs it." for place in PLACES if place in node.value)
    match node:
        case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" as name), args=[first, *_]):
            if not isinstance(first, ast.Constant):
                yield f"runs code that it puts together ({name})."
