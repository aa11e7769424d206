"""The base of every data set here: what a ``DataLoader`` asks of one, and one way to count."""

from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar, SupportsIndex, TypeVar

from torch.utils.data import Dataset

from .. import _check

T = TypeVar("T", covariant=True)


class Items(Dataset[T]):
    """Items 0 … ``len`` − 1, each made when it is asked for. ``what`` names one in a complaint: "a clip".

    A subclass, ``class Windows(Items[Window], what="a window")``, says ``__len__`` and ``item``. An index may come from
    Python, numpy or torch; −1 is the last. Raises ``IndexError`` beyond the end, ``ValueError`` for what is no number.
    """

    what: ClassVar[str] = "an item"

    def __init_subclass__(cls, *, what: str | None = None) -> None:
        super().__init_subclass__()
        cls.what = what or cls.what

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def item(self, index: int) -> T:
        """The item of a number that lies within the set."""

    def __getitem__(self, index: SupportsIndex) -> T:
        return self.item(_check.index(self.what, index, len(self)))

    def __iter__(self) -> Iterator[T]:
        return map(self.item, range(len(self)))
