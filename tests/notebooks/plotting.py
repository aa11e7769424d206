"""Which lines of a notebook's code plot: those of statements that touch matplotlib or ``coursekit.figures``."""

import ast
from collections.abc import Iterator, Sequence

LIBRARIES = ("matplotlib", "coursekit.figures", "mpl_toolkits")


def plotting_lines(cells: Sequence[str]) -> list[set[int]]:
    """For each cell the numbers of its lines that plot. A name that holds a figure, an axis or a function that draws
    makes a statement plotting wherever it is read, also in a later cell; ``import`` lines count as neither.
    """
    names: set[str] = set()
    lines = []
    for source in cells:
        plots: set[int] = set()
        for statement in ast.parse(source).body:
            plots |= _plots(statement, names)
        lines.append(plots)
    return lines


def code_lines(source: str) -> set[int]:
    """Numbers of the lines that are neither blank nor a comment nor an import."""
    tree = ast.parse(source)
    imports = {n for s in ast.walk(tree) if isinstance(s, ast.Import | ast.ImportFrom) for n in _lines(s)}
    written = {n for n, line in enumerate(source.splitlines(), 1) if line.strip() and not line.lstrip().startswith("#")}
    return written - imports


def _plots(statement: ast.stmt, names: set[str]) -> set[int]:
    if isinstance(statement, ast.Import | ast.ImportFrom):
        names |= set(_from_libraries(statement))
        return set()
    parts = [child for child in ast.iter_child_nodes(statement) if isinstance(child, ast.stmt)]
    if not parts:
        stored = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        if not _reads(statement, names):
            names -= stored
            return set()
        names |= stored
        return _lines(statement)
    body = set(range(statement.lineno, parts[0].lineno))
    if isinstance(statement, ast.For) and _reads(statement.iter, names):
        names |= {n.id for n in ast.walk(statement.target) if isinstance(n, ast.Name)}
    inner = set().union(*(_plots(part, names) for part in parts))
    if isinstance(statement, ast.FunctionDef) and inner:
        names.add(statement.name)
    head = body if len(inner) * 2 > len(_lines(statement) - body) else set()  # the line that opens a plotting block
    return inner | head


def _from_libraries(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    for alias in statement.names:
        module = getattr(statement, "module", None)
        full = f"{module}.{alias.name}" if module else alias.name
        if full.startswith(LIBRARIES):
            yield (alias.asname or alias.name).split(".")[0]


def _reads(node: ast.AST, names: set[str]) -> bool:
    return any(isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load) and n.id in names for n in ast.walk(node))


def _lines(node: ast.stmt) -> set[int]:
    return set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
