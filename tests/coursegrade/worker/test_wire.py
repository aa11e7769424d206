"""The wire: what goes in comes out to the bit, and no bytes at all crash, stall or fool the reader."""

import json
import math
import struct
import subprocess
import sys
import time
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from coursegrade.worker import wire
from coursegrade.worker.wire import HEADER, MAGIC, NUMBERS, TENSORS, Malformed, decode, encode


class Found(NamedTuple):
    """What a student's function may return."""

    value: Any
    of: Any = ()


def frame(tree: Any, buffers: tuple[bytes, ...] = (), lengths: Any = None) -> bytes:
    """A frame put together by hand."""
    text = (
        tree
        if isinstance(tree, bytes)
        else json.dumps([tree, [len(b) for b in buffers] if lengths is None else lengths]).encode()
    )
    return HEADER.pack(MAGIC, len(text), sum(map(len, buffers))) + text + b"".join(buffers)


def same(a: Any, b: Any) -> bool:
    """Equal to the bit, types and signs of zero included."""
    if isinstance(a, torch.Tensor):
        raw = [x.contiguous().as_strided((x.numel(),), (1,)).view(torch.uint8) for x in (a, b)] if a.numel() else (a, b)
        return type(b) is torch.Tensor and a.dtype == b.dtype and a.shape == b.shape and torch.equal(*raw)
    if isinstance(a, np.ndarray | np.generic):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if type(a) is not type(b) and not hasattr(a, "_fields"):
        return False
    if isinstance(a, float):
        return struct.pack("d", a) == struct.pack("d", b) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, set | frozenset):  # which may hold what is no number
        return sorted(map(repr, a)) == sorted(map(repr, b))
    if isinstance(a, list | tuple):
        return len(a) == len(b) and getattr(a, "_fields", ()) == getattr(b, "_fields", ()) and all(map(same, a, b))
    if isinstance(a, dict):
        return all(map(same, a.items(), b.items())) and len(a) == len(b)
    return bool(a == b)


KEYS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**200), 2**200)
    | st.text(max_size=5)
    | st.floats(allow_nan=False)
    | st.binary(max_size=5)
)
LEAVES = (
    KEYS
    | st.floats()
    | st.complex_numbers(allow_nan=False)
    | st.sampled_from([getattr(torch, name) for name in TENSORS])
)


def _array(name: str, shape: list[int], raw: bytes) -> np.ndarray:
    """Zeros and ones in every byte: a truth value is one or the other."""
    return (
        np.resize(np.frombuffer(raw, np.uint8) & 1, (math.prod(shape), np.dtype(name).itemsize))
        .view(name)
        .reshape(shape)
    )


SHAPES = st.lists(st.integers(0, 3), min_size=1, max_size=4)
ARRAYS = st.builds(_array, st.sampled_from(NUMBERS), SHAPES, st.binary(min_size=1, max_size=40))
DATA = st.recursive(
    LEAVES | ARRAYS | ARRAYS.map(torch.from_numpy),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(KEYS, inner, max_size=4),
        st.builds(Found, inner, inner),
    ),
    max_leaves=12,
)


@given(DATA)
@settings(max_examples=300)
def test_what_goes_in_comes_out_to_the_bit(value: Any) -> None:
    assert same(value, decode(encode(value)))


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_of_every_type(name: str) -> None:
    bits = torch.randint(0, 2 if name == "bool" else 256, (3, 4, 64), dtype=torch.uint8).view(getattr(torch, name))
    for tensor in (
        bits,
        bits[0, 0, 0],
        bits.mT,
        bits[::2, 1:, ::2],
        bits[0, :1, 0],  # a single number that is far from the next
        bits[:0],
        bits.new_empty(0, 5),
        bits.expand(2, *bits.shape),
    ):
        assert same(tensor, decode(encode(tensor)))


def test_what_is_no_plain_data_becomes_plain_or_is_refused() -> None:
    assert decode(encode(torch.ones(2, requires_grad=True))).requires_grad is False
    assert type(decode(encode(torch.nn.Parameter(torch.ones(2))))) is torch.Tensor
    assert torch.equal(decode(encode(torch.tensor([1j]).conj())), torch.tensor([-1j]))
    assert torch.equal(decode(encode(torch.eye(2).to_sparse())), torch.eye(2))
    assert decode(encode(np.zeros((2, 2), ">f4"))).dtype == np.float32
    assert decode(encode({1, (2, "a")})) == {1, (2, "a")}
    assert decode(encode(range(3))) == [0, 1, 2]
    assert decode(encode("half a pair \ud83d")) == "half a pair ?"
    state = torch.Generator().manual_seed(3)
    torch.rand(700, generator=state)
    assert torch.equal(torch.rand(9, generator=decode(encode(state))), torch.rand(9, generator=state))
    for strange in (object(), {object(): 1}, {torch.ones(1): 1}, {frozenset()}):
        with pytest.raises(TypeError, match="expected"):
            encode(strange)
    endless: list[Any] = []
    endless.append(endless)
    for large in (endless, 1 << 5000, dict.fromkeys(range(20_000)), "x" * (9 << 20), torch.zeros(1).expand(70 << 20)):
        with pytest.raises(ValueError, match="expected"):
            encode(large)


MALFORMED: dict[str, bytes] = {
    "nothing": b"",
    "another version": b"CK\x00\x02" + bytes(12),
    "a pickle": b"\x80\x04K\x01." + bytes(11),
    "cut off": frame(["list", 1])[:-1],
    "longer than it says": frame(["list", 1]) + b"x",
    "a text too long to read": HEADER.pack(MAGIC, 2**31, 0),
    "buffers too long to read": HEADER.pack(MAGIC, 2, 2**63) + b"[]",
    "no JSON": frame(b"[1,"),
    "no pair": frame(b"[1]"),
    "an object at the top": frame(b'{"a": 1, "b": []}'),
    "a string at the top": frame(b'"ab"'),
    "bytes that are no text": frame(b"[\xff\xfe, []]"),
    "nested beyond the parser": frame(b"[" * 200_000),
    "nested too deep": frame(json.loads('["list", ' * 60 + "1" + "]" * 60)),
    "an object": frame({"a": 1}),
    "no tag": frame([]),
    "a tag that is a list": frame([["list"], 1]),
    "a tag that is unknown": frame(["pickle", 0], (b"x",)),
    "a tag that is a method": frame(["__class__"]),
    "a number of many digits": frame(b"[" + b"9" * 5000 + b", []]"),
    "a number beyond 64 bits": frame(b"[99999999999999999999, []]"),
    "a large number that is small": frame(["int", "0x5"]),
    "a large number that is too large": frame(["int", "0x" + "f" * 4000]),
    "a large number with an underscore": frame(["int", "0x_" + "f" * 40]),
    "a large number that is a number": frame(["int", 2**62]),
    "a complex of strings": frame(["complex", "1", 2.0]),
    "a complex of too little": frame(["complex", 1.0]),
    "a dict of no pairs": frame(["dict", 1]),
    "a dict of strings": frame(["dict", "ab"]),
    "a dict of triples": frame(["dict", [1, 2, 3]]),
    "a key twice": frame(["dict", [1, 2], [1.0, 3]]),
    "a key that is a list": frame(["dict", [["list"], 1]]),
    "a key that is a tensor": frame(["dict", [["tensor", "bool", [1], 0], 1]], (b"\x01",)),
    "a key that is an object": frame(["dict", [["handle", 1, "x"], 1]]),
    "a member twice": frame(["set", 1, True]),
    "a member that is a dict": frame(["set", ["dict"]]),
    "too many members": frame(["set", *range(10_001)]),
    "too many keys in all": frame(["list", *(["dict", *([k, 0] for k in range(2000))] for _ in range(6))]),
    "members of one hash": frame(["set", *(["int", hex((2**61 - 1) * (k + 9))] for k in range(10_001))]),
    "a record whose fields are a text": frame(["record", "R", "a b", [1, 2]]),
    "a record that lacks a value": frame(["record", "R", ["a", "b"], [1]]),
    "a record of one field twice": frame(["record", "R", ["a", "a"], [1, 2]]),
    "a record that is called something": frame(["record", "__class__", ["a"], [1]]),
    "a record with a keyword": frame(["record", "R", ["class"], [1]]),
    "a record that is code": frame(["record", "R", ["a=print(1)"], [1]]),
    "a record with a name of code": frame(["record", "R(object): pass\nclass S", ["a"], [1]]),
    **{
        f"a record with {n}": frame(["record", "R", [n], [1]])
        for n in ("__eq__", "count", "index", "_replace", "_fields", "__class__")
    },
    "too many kinds of records": frame(["list", *(["record", f"R{k}", ["a"], [1]] for k in range(200))]),
    "a type that is unknown": frame(["tensor", "quint8", [1], 0], (b"x",)),
    "a type of objects": frame(["array", "object", [1], 0], (bytes(8),)),
    "a type that is a list": frame(["array", ["float32"], [1], 0], (bytes(4),)),
    "an array of bfloat16": frame(["array", "bfloat16", [1], 0], (bytes(2),)),
    "a shape that is larger": frame(["tensor", "float32", [2], 0], (bytes(4),)),
    "a shape that is smaller": frame(["tensor", "float32", [0], 0], (bytes(4),)),
    "a shape of minus one": frame(["tensor", "float32", [-1], 0], (bytes(4),)),
    "a shape of two negatives": frame(["tensor", "float32", [-1, -1], 0], (bytes(4),)),
    "a shape of truth values": frame(["tensor", "float32", [True], 0], (bytes(4),)),
    "a shape of fractions": frame(["tensor", "float32", [1.0], 0], (bytes(4),)),
    "a shape that overflows": frame(["tensor", "float32", [2**32, 2**32], 0], (b"",)),
    "a shape that overflows to nothing": frame(["tensor", "float32", [2**39, 2**39, 0], 0], (b"",)),
    "a shape of many axes": frame(["tensor", "float32", [1] * 99, 0], (bytes(4),)),
    "a truth value of two": frame(["tensor", "bool", [1], 0], (b"\x02",)),
    "a buffer that is not there": frame(["bytes", 0]),
    "a buffer of minus one": frame(["bytes", -1], (b"x",)),
    "a buffer that is true": frame(["list", ["bytes", 0], ["bytes", True]], (b"x", b"y")),
    "a buffer for two": frame(["list", ["bytes", 0], ["bytes", 0]], (b"x",)),
    "buffers out of order": frame(["list", ["bytes", 1], ["bytes", 0]], (b"x", b"y")),
    "a buffer for nobody": frame(1, (b"x",)),
    "lengths that are more": frame(["bytes", 0], (b"x",), [2]),
    "lengths that cancel": frame(["bytes", 0], (b"x",), [2, -1]),
    "lengths of truth values": frame(["bytes", 0], (b"x",), [True]),
    "lengths that are an object": frame(["bytes", 0], (b"x",), {"0": 1}),
    "a generator of the wrong size": frame(["generator", 0], (bytes(20),)),
    "a generator of a few bytes": frame(["generator", 0], (b"x",)),
    "a dtype that is none": frame(["dtype", "load"]),
    "a handle where there are none": frame(["handle", 0, "x"]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_is_no_frame_is_malformed(case: str) -> None:
    start = time.process_time()
    with pytest.raises(Malformed):
        decode(MALFORMED[case])
    assert time.process_time() - start < 5


@pytest.mark.parametrize("number", [-1.5, True, "1", None, 2**40, ["int", "0xffffffffffffffffff"]])
def test_a_handle_is_a_number(number: Any) -> None:
    with pytest.raises(Malformed):
        decode(frame(["handle", number, "x"]), lookup=lambda *_: object())


def test_a_generator_cannot_read_beyond_its_state() -> None:
    raw = bytearray(torch.Generator().get_state().numpy().tobytes())
    struct.pack_into("=iiQ", raw, 8, 624, 1, 624)  # torch accepts both numbers, and would read 624 words too far
    with pytest.raises(Malformed, match="beyond"):
        decode(frame(["generator", 0], (bytes(raw),)))


LONGEST = """
import resource, time
from coursegrade.worker.wire import HEADER, MAGIC, Malformed, decode
def used():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
held = used()
for text in (
    b'[["list"' + b",1" * 4_000_000 + b"],[]]",
    b'[["list"' + b',["list"]' * 800_000 + b"],[]]",
    b"[1,[" + b",".join([b"0"] * 4_000_000) + b"]]",
    b'[["list"' + b',["record","R",["a"],[1]]' * 300_000 + b"],[]]",
    b'[["list"' + b',["bytes",0]' * 600_000 + b"],[1]]",
):
    start = time.process_time()
    try:
        decode(HEADER.pack(MAGIC, len(text), 0) + text)
    except Malformed:
        pass
    assert time.process_time() - start < 20, text[:30]
    assert used() - held < 1000, text[:30]
"""


def test_the_longest_texts_cost_seconds_and_bounded_memory() -> None:
    """In a process of its own, without this run's checks of types at each call."""
    ended = subprocess.run([sys.executable, "-c", LONGEST], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


VALID = [
    encode(x)
    for x in (
        ["a", 1.5, None],
        {"k": (1, 2**70)},
        Found(torch.ones(2, 3), np.arange(4)),
        {1, 2},
        b"bytes",
        1j,
        torch.Generator(),
    )
]


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A valid frame in which a few bytes are changed, taken out or put in; its header often says the right lengths
    again.
    """
    raw = bytearray(draw(st.sampled_from(VALID)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw) - 1))
        raw[at : at + draw(st.integers(0, 3))] = draw(
            st.binary(max_size=3) | st.sampled_from([b"[", b"]", b",", b'"', b"-", b"1e9", b"NaN"])
        )
    if draw(st.booleans()) and len(raw) > HEADER.size:
        text = min(struct.unpack_from("!I", raw, 4)[0], len(raw) - HEADER.size)
        HEADER.pack_into(raw, 0, MAGIC, text, len(raw) - HEADER.size - text)
    return bytes(raw)


TREES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats()
    | st.sampled_from([*wire._Reader.TAGS, "list", "dict", "record", "float32", "0x1"]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@given(
    st.one_of(
        mutated(),
        st.builds(frame, TREES, st.lists(st.binary(max_size=9), max_size=3).map(tuple)),
        st.binary(max_size=60),
    )
)
@settings(max_examples=1500)
def test_no_bytes_crash_the_reader_and_what_it_reads_is_plain(data: bytes) -> None:
    try:
        value = decode(data, lookup=lambda number, what: what)
    except Malformed:
        return
    again = decode(encode(value))
    assert same(value, again) or isinstance(value, torch.Generator)
