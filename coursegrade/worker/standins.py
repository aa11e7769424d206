"""Stand-ins, outside the box, for what a student's notebook defines: what is done to them is done in the box."""

import functools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .remote import Remote


class RemoteFunction:
    """A name of the student's notebook as it was at one check; calling it calls it there."""

    def __init__(self, remote: "Remote", check: int, name: str) -> None:
        self._remote, self._target, self.__name__ = remote, (check, name), name

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        return self._remote.request("do", "call", self._target, list(arguments), keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._remote.request("do", "attribute", self._target, [name], {})


class RemoteObject:
    """An object that lives in the student's process: its methods, attributes, items and iteration work there.

    It may go on calling the functions that were lent to the call it comes from.
    """

    def __init__(self, remote: "Remote", number: int, what: str, lent: dict[int, Any]) -> None:
        known = {"_remote": remote, "_number": number, "_what": what, "_starts": remote.starts, "_lent": lent}
        vars(self).update(known, __name__=what)

    def _do(self, operation: str, /, *arguments: Any, **keywords: Any) -> Any:
        return self._remote.request("do", operation, self, list(arguments), keywords)

    def __call__(self, /, *arguments: Any, **keywords: Any) -> Any:
        return self._do("call", *arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._do("attribute", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("set", name, value)

    def __getitem__(self, key: Any) -> Any:
        return self._do("item", key)

    def __len__(self) -> int:
        return int(self._do("length"))

    def __iter__(self) -> Iterator[Any]:
        iterator = self._do("iterate")
        if not isinstance(iterator, RemoteObject):
            raise TypeError("its __iter__ gives no iterator")
        for _ in range(1_000_000):
            try:
                yield iterator._do("next")
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._do("next")

    def __repr__(self) -> str:
        return f"<{self._what} of the student>"


@functools.lru_cache(64)
def kind_of(what: str) -> type[RemoteObject]:
    """A class for the objects of one kind: ``type(x).__name__`` says what the student returned."""
    return type(what, (RemoteObject,), {}) if what.isidentifier() else RemoteObject


class Absent:
    """A name that the student's notebook does not have: calling it says why."""

    def __init__(self, name: str, why: str) -> None:
        self.__name__, self._why = name, why

    def __call__(self, /, *_: Any, **__: Any) -> Any:
        raise NameError(f"{self.__name__} is not there: {self._why}")


def stand_in(remote: "Remote", check: int, name: str, value: Any) -> Any:
    """Plain data as it is, and a function or class by its name."""
    return RemoteFunction(remote, check, name) if isinstance(value, RemoteObject) else value
