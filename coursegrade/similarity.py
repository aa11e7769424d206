"""Submissions that are alike beyond what the released stub explains, in pairs and groups: a list to look at, never a
verdict.

Winnowing (Schleimer, Wilkerson and Aiken, SIGMOD 2003) over normalised tokens, with what much of the class shares
counting little.
"""

import keyword
import re
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

GRAM = 12  # tokens that have to agree in a row
WINDOW = 4  # of so many grams one is kept: a common run of GRAM + WINDOW - 1 tokens is always found
EVIDENCE = 6.0  # weight of common fingerprints below which nothing is said
COMMON = 1 / 3  # a fingerprint that so much of the class has counts next to nothing
SMALL_CLASS = 12
# Python's own tokenizer stops at broken code. No part of this looks ahead twice, whatever a cell holds.
_STRING = r"""[rbuf]{0,2}(?:"{3}.*?"{3}|'{3}.*?'{3}|"[^"\n]*"|'[^'\n]*')"""
_OPERATOR = r"[-+*/%@&|^<>=!:]?=|->|\*\*|//|[^\w\s]"
_TOKEN = re.compile(
    rf"#[^\n]*|(?P<string>{_STRING})|(?P<number>\d[\w.]*)|(?P<name>[^\W\d]\w*)|(?P<operator>{_OPERATOR})",
    re.DOTALL | re.IGNORECASE,
)


@dataclass(frozen=True)
class Pair:
    """Two students: the weighted share of the shorter answer that the other has too, in so many fingerprints."""

    a: str
    b: str
    share: float
    common: int


def similar(answers: Mapping[str, str], *, stub: str = "", threshold: float = 0.6) -> list[Pair]:
    """Pairs of students whose code agrees in at least this share, most alike first.

    Names, numbers, strings, comments and layout do not count, nor does what stands in the stub; names after a dot do.
    """
    given = set(_grams(stub))
    prints = {student: frozenset(_winnow(_grams(code))) - given for student, code in answers.items()}
    spread = Counter(mark for marks in prints.values() for mark in marks)
    weights = {mark: _weight(count, len(prints)) for mark, count in spread.items()}
    pairs = [_pair(a, b, prints, weights) for a, b in _candidates(prints, weights, spread)]
    alike = [pair for pair in pairs if pair.share >= threshold]
    return sorted(alike, key=lambda pair: (-pair.share, -pair.common, pair.a, pair.b))


@dataclass(frozen=True)
class Group:
    """Students of whom each is alike to another of the group, and from which to which share."""

    students: tuple[str, ...]
    least: float
    most: float


def groups(pairs: Iterable[Pair]) -> list[Group]:
    """Pairs that hang together, the largest and most alike first."""
    together: list[list[Pair]] = []
    for pair in pairs:
        touching = [group for group in together if any({pair.a, pair.b} & {other.a, other.b} for other in group)]
        together = [group for group in together if group not in touching]
        together.append([pair, *(other for group in touching for other in group)])
    shares = [[pair.share for pair in group] for group in together]
    names = [tuple(sorted({name for pair in group for name in (pair.a, pair.b)})) for group in together]
    grouped = [Group(students, min(of), max(of)) for students, of in zip(names, shares)]
    return sorted(grouped, key=lambda group: (-len(group.students), -group.most, group.students))


def tokens(code: str) -> list[str]:
    """Python as tokens without what a copyist changes first; a string that begins a line is a docstring."""
    words, end = list[str](), 0
    for match in _TOKEN.finditer(code):
        kind, text, begins = match.lastgroup, match[0], end == 0 or "\n" in code[end : match.start()]
        end = match.end()
        if kind == "name":
            words.append(text if keyword.iskeyword(text) or words[-1:] == ["."] else "v")
        elif kind and not (kind == "string" and begins):
            words.append({"number": "0", "string": "s"}.get(kind, text))
    return words


def _grams(code: str) -> list[int]:
    words = tokens(code)
    return [zlib.crc32(" ".join(words[i : i + GRAM]).encode()) for i in range(len(words) - GRAM + 1)]


def _winnow(grams: list[int]) -> Iterator[int]:
    """The smallest of each window."""
    for start in range(max(1, len(grams) - WINDOW + 1)):
        yield from [min(grams[start : start + WINDOW])] if grams else []


def _weight(count: int, students: int) -> float:
    """1 for what two have, falling to next to nothing at a third of the class."""
    third = COMMON * max(students, SMALL_CLASS)
    return max(0.05, 1 - (count - 2) / third)


def _candidates(
    prints: Mapping[str, frozenset[int]], weights: Mapping[int, float], spread: Mapping[int, int]
) -> list[tuple[str, str]]:
    """Pairs with enough in common of what is not common to the class."""
    owners: dict[int, list[str]] = {}
    for student in sorted(prints):
        for mark in prints[student]:
            owners.setdefault(mark, []).append(student)
    most = COMMON * max(len(prints), SMALL_CLASS)
    evidence: dict[str, dict[str, float]] = {student: {} for student in prints}
    for mark, students in owners.items():
        if 1 < spread[mark] <= most:
            for position, a in enumerate(students):
                shared, weight = evidence[a], weights[mark]
                for b in students[position + 1 :]:
                    shared[b] = shared.get(b, 0.0) + weight
    return [(a, b) for a, shared in evidence.items() for b, weight in shared.items() if weight >= EVIDENCE]


def _pair(a: str, b: str, prints: Mapping[str, frozenset[int]], weights: Mapping[int, float]) -> Pair:
    common = prints[a] & prints[b]
    shorter = min(sum(weights[mark] for mark in prints[student]) for student in (a, b))
    return Pair(a, b, round(sum(weights[mark] for mark in common) / shorter, 3), len(common))
