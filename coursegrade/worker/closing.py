"""Closing what an assignment closes, before a student's process is forked: the name, the module, the operator."""

import contextlib
import importlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any, NoReturn

GRAPH = "torch.autograd.graph"


class Closed(PermissionError):
    """A student's code calls what it was to write itself: the name of that."""


def refuse(name: str) -> NoReturn:
    raise Closed(name)


def close(names: Sequence[str]) -> None:
    """Close modules, attributes and operators of these dotted names for this process and all that it forks."""
    modules = [name for name in names if not name.startswith("torch.")]
    sys.meta_path.insert(0, _Finder(modules))
    for name in names:
        if name.startswith("torch.ops."):
            _close_operators(name.removeprefix("torch.ops."))
    if GRAPH in names:
        _close_graph()
    for name in names:
        if "." in name and not name.startswith("torch.ops."):
            _close_attribute(name)


class _Inside(type):
    """What is read off a closed name is closed too."""

    def __getattr__(cls, name: str) -> type:
        return _below(f"{cls.__module__}.{cls.__name__}", name)


def _below(closed: str, name: str) -> type:
    """What stands under a closed name; what Python itself asks of a class or module is not there."""
    if name.startswith("__"):
        raise AttributeError(name)
    return stub(f"{closed}.{name}")


def stub(name: str) -> type:
    """A class that stands where a closed function or class stood: it can be imported and inherited from, not called."""

    def new(cls: type, *_: object, **__: object) -> NoReturn:
        refuse(name)

    return _Inside(name.rpartition(".")[2], (), {"__new__": new, "__module__": name.rpartition(".")[0]})


class _Stub(ModuleType):
    """A closed module: every name is there, none can be called."""

    __path__: list[str] = []  # noqa: RUF012

    def __getattr__(self, name: str) -> Any:
        return _below(self.__name__, name)


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stub for closed modules and all below them."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> importlib.machinery.ModuleSpec | None:
        closed = any(fullname == name or fullname.startswith(f"{name}.") for name in self.names)
        return importlib.machinery.ModuleSpec(fullname, self, is_package=True) if closed else None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        return _Stub(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it."""


def _close_attribute(name: str) -> None:
    owner, _, last = name.rpartition(".")
    with contextlib.suppress(ImportError, AttributeError):
        module = importlib.import_module(owner)
        if callable(getattr(module, last, None)):
            setattr(module, last, stub(name))


def _close_operators(name: str) -> None:
    """Replace the kernels of ``aten.grid_sampler`` and all operators whose names begin so; ``torchvision`` closes
    that whole library.
    """
    import torch

    space, _, beginning = name.partition(".")
    if space == "torchvision":
        with contextlib.suppress(Exception):
            importlib.import_module("torchvision.extension")
    library = _registration(space)
    for operator in torch._C._dispatch_get_all_op_names():
        full = operator.partition("::")[2]
        if operator.startswith(f"{space}::") and full.lstrip("_").startswith(beginning):
            library.impl(full, "CPU", _kernel(f"torch.ops.{space}.{full}"))
    if space == "aten":
        _close_decompositions(beginning)


def _registration(space: str) -> Any:
    """Of kernels for the operators of a library; kept by a reference that nobody can find: undone, the old ones would
    be back.
    """
    import ctypes

    import torch

    library = torch._C._dispatch_library("IMPL", space, "", __file__, 0)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(library))
    return library


def _close_graph() -> None:
    """No operator records how its result came about, so that no gradient goes back or forwards along such a record,
    whoever walks it and in whatever thread; and no switch turns that on.
    """
    import torch

    with contextlib.suppress(Exception):
        importlib.import_module("torchvision.extension")
    for name in ("_jit_set_profiling_executor", "_jit_set_profiling_mode"):  # to what writes a record of its own
        setattr(torch._C, name, stub(GRAPH))
    libraries: dict[str, Any] = {}
    for operator in torch._C._dispatch_get_all_op_names():
        space, _, name = operator.partition("::")
        if torch._C._dispatch_has_kernel_for_dispatch_key(operator, "Autograd"):
            library = libraries[space] = libraries.get(space) or _registration(space)
            library.impl(name, "Autograd", torch.library.fallthrough_kernel)


def _close_decompositions(beginning: str) -> None:
    """The same operators, written in Python inside torch."""
    from torch._decomp import decompositions, global_decomposition_table

    for table in global_decomposition_table.values():
        for operator in [op for op in table if op.name().removeprefix("aten::").lstrip("_").startswith(beginning)]:
            table[operator] = _kernel(f"torch.ops.aten.{operator.name().removeprefix('aten::')}")
    for name in [name for name in vars(decompositions) if name.lstrip("_").startswith(beginning)]:
        setattr(decompositions, name, _kernel(f"torch.ops.aten.{name}"))


def _kernel(name: str) -> Any:
    def kernel(*_: object, **__: object) -> NoReturn:
        refuse(name.partition(".default")[0])

    return kernel
