"""Copied code is found whatever was renamed; the stub, the class's common idiom and short answers are not held against
anyone.
"""

import random

import pytest

from coursegrade.similarity import Group, Pair, groups, similar, tokens

STUB = """
def area(width, height):
    '''The area of a rectangle.'''
    raise NotImplementedError


def helper(a, b, c):
    return a.sum(b, c)
"""
LINES = [
    "x = q[{}] + b",
    "for i in range({}): x += i",
    "y = box.{}(x)",
    "if x > {}: x = -x",
    "z = [k * {} for k in q]",
    "d = dict(a={})",
]


def answer(seed: int, lines: int = 30) -> str:
    draw = random.Random(seed)
    methods = ["floor", "ceil", "mean", "sum", "clamp", "abs", "sign", "stack"]
    return STUB + "\n".join(draw.choice(LINES).format(draw.choice(methods)) for _ in range(lines)) + "\n"


def disguised(code: str) -> str:
    code = code.replace("x", "kappa").replace("    ", "  ").replace("range", "span")
    return "# all mine\n" + code.replace("\n", "  # hm\n\n")


@pytest.fixture(scope="module")
def honest() -> dict[str, str]:
    return {f"s{seed}": answer(seed) for seed in range(30)}


def test_renamed_and_laid_out_anew_is_found(honest: dict[str, str]) -> None:
    (pair,) = similar(honest | {"copyist": disguised(honest["s3"])}, stub=STUB)
    assert (pair.a, pair.b) == ("copyist", "s3")
    assert pair.share > 0.95


def test_a_copied_part_is_found(honest: dict[str, str]) -> None:
    """Half of a longer answer: what counts is the share of the shorter."""
    found = similar(honest | {"copyist": honest["s3"] + answer(99, 40)}, stub=STUB)
    assert [(pair.a, pair.b) for pair in found] == [("copyist", "s3")]


def test_broken_code_is_compared_all_the_same(honest: dict[str, str]) -> None:
    broken = honest["s3"].replace("def area(width, height):", "def area(width, height:") + "x = '''"
    assert [(pair.a, pair.b) for pair in similar(honest | {"copyist": broken}, stub=STUB)] == [("copyist", "s3")]


def test_honest_answers_are_not_listed(honest: dict[str, str]) -> None:
    assert similar(honest, stub=STUB) == []


def test_the_stub_explains_itself() -> None:
    assert similar({"ada": STUB * 5, "bob": STUB * 5}, stub=STUB * 5) == []
    assert len(similar({"ada": STUB * 5, "bob": STUB * 5})) == 1


def test_what_the_class_shares_counts_little(honest: dict[str, str]) -> None:
    idiom = answer(7, 12).removeprefix(STUB)
    assert similar({name: code + idiom for name, code in honest.items()}, stub=STUB) == []


def test_nothing_is_alike_to_nothing() -> None:
    assert similar({}) == []
    assert similar({"ada": "", "bob": "", "cy": "x = 1"}) == []


def test_tokens_forget_what_a_copyist_changes() -> None:
    assert (
        " ".join(tokens("def f(a):\n  'doc'\n  return a.sum(1, 'x')  # why"))
        == "def v ( v ) : return v . sum ( 0 , s )"
    )
    assert tokens("x = (1, 'a'") == ["v", "=", "(", "0", ",", "s"]


def test_pairs_that_hang_together_are_one_group() -> None:
    pairs = [Pair("a", "b", 0.9, 9), Pair("c", "d", 0.8, 8), Pair("b", "e", 0.7, 7), Pair("x", "y", 0.95, 3)]
    assert groups(pairs) == [
        Group(("a", "b", "e"), 0.7, 0.9),
        Group(("x", "y"), 0.95, 0.95),
        Group(("c", "d"), 0.8, 0.8),
    ]
    assert groups([*pairs, Pair("e", "c", 0.6, 6)])[0] == Group(("a", "b", "c", "d", "e"), 0.6, 0.9)
