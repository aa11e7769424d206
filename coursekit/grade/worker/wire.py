"""What passes between the checks and a student's process: plain data in a documented format, version 1; never pickle.

A frame is ``b"CK\\x00\\x01"``, the length of a JSON text (uint32, big-endian), the total length of the buffers (uint64), the text, the
buffers. The text is ``[tree, lengths]``. In a tree ``null``, booleans, numbers and strings stand for themselves; everything else is a
list that begins with its tag:

    ["list", …]  ["tuple", …]  ["set", …]  ["dict", [key, value], …]  ["int", "hex"]  ["complex", re, im]  ["bytes", buffer]
    ["array", dtype, shape, buffer]  ["tensor", dtype, shape, buffer]  ["dtype", name]  ["generator", buffer]
    ["record", name, [field, …], [value, …]]  ["handle", number, "what it is"]

``buffer`` counts the buffers. What does not fit this to the letter is a ``Malformed`` and nothing else: not a crash, not a hang.
"""

import json
import math
import struct
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

HEADER = struct.Struct("!4sIQ")
MAGIC = b"CK\x00\x01"
LONGEST_TEXT, LONGEST_BUFFERS, DEEPEST = 8 << 20, 256 << 20, 40
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = ("bool", *INTEGERS, "float16", "float32", "float64", "complex64", "complex128")
TENSORS = (*NUMBERS, "bfloat16")
Handle = Callable[[Any], list[Any]]
Lookup = Callable[[int, str], Any]


class Malformed(ValueError):
    """Bytes that are no frame, or a frame that says nothing."""


# --- writing ---


def encode(value: Any, *, handle: Handle | None = None) -> bytes:
    """A frame. What is no plain data goes to ``handle``, which answers with a node, or is refused with a TypeError."""
    buffers: list[bytes] = []
    tree = _node(value, buffers, handle, 0)
    text = json.dumps([tree, [len(b) for b in buffers]]).encode("ascii")
    size = sum(map(len, buffers))
    if len(text) > LONGEST_TEXT or size > LONGEST_BUFFERS:
        raise ValueError(f"expected at most {LONGEST_TEXT >> 20} MB of text and {LONGEST_BUFFERS >> 20} MB of numbers, got more")
    return b"".join([HEADER.pack(MAGIC, len(text), size), text, *buffers])


def _node(x: Any, buffers: list[bytes], handle: Handle | None, depth: int) -> Any:
    if depth > DEEPEST:
        raise ValueError(f"expected data nested at most {DEEPEST} deep, got more")
    if x is None or isinstance(x, bool | str):
        return str(x) if isinstance(x, str) else x
    if isinstance(x, float):
        return float(x)
    if isinstance(x, int):
        return int(x) if abs(x) < 2**63 else ["int", hex(int(x))]

    def inner(values: Any) -> list[Any]:
        return [_node(value, buffers, handle, depth + 1) for value in values]

    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return ["record", type(x).__name__, list(x._fields), inner(x)]
    for kind in (list, tuple, set, frozenset):
        if isinstance(x, kind):
            return ["set" if kind is frozenset else kind.__name__, *inner(x)]
    if isinstance(x, dict):
        return ["dict", *([k, v] for k, v in zip(inner(x.keys()), inner(x.values())))]
    return _numbers(x, buffers) or _other(x, handle)


def _numbers(x: Any, buffers: list[bytes]) -> list[Any]:
    """A node with a buffer, or nothing."""
    if isinstance(x, torch.Tensor):
        plain = x.detach().resolve_conj().resolve_neg().cpu().to_dense().contiguous()
        name = str(plain.dtype).removeprefix("torch.")
        if name not in TENSORS:
            raise TypeError(f"expected a tensor of numbers, got one of {name}")
        raw = plain.reshape(-1).view(torch.uint8).numpy().tobytes() if plain.numel() else b""
        return ["tensor", name, list(plain.shape), _keep(raw, buffers)]
    if isinstance(x, np.ndarray | np.generic) and x.dtype.name in NUMBERS:
        return ["array", x.dtype.name, list(x.shape), _keep(np.ascontiguousarray(x).tobytes(), buffers)]
    if isinstance(x, bytes | bytearray):
        return ["bytes", _keep(bytes(x), buffers)]
    if isinstance(x, torch.Generator):
        return ["generator", _keep(x.get_state().numpy().tobytes(), buffers)]
    return []


def _keep(raw: bytes, buffers: list[bytes]) -> int:
    buffers.append(raw)
    return len(buffers) - 1


def _other(x: Any, handle: Handle | None) -> list[Any]:
    if isinstance(x, complex):
        return ["complex", x.real, x.imag]
    if isinstance(x, range):
        return ["list", *x]
    if isinstance(x, torch.dtype):
        return ["dtype", str(x).removeprefix("torch.")]
    if handle is None:
        raise TypeError(f"expected plain data (numbers, strings, lists, tensors, arrays), got {type(x).__name__}")
    return handle(x)


# --- reading ---


def length(header: bytes) -> int:
    """How many bytes follow a header of ``HEADER.size`` bytes."""
    magic, text, buffers = HEADER.unpack(header)
    if magic != MAGIC or text > LONGEST_TEXT or buffers > LONGEST_BUFFERS:
        raise Malformed("no frame of version 1, or too long a one")
    return int(text + buffers)


def decode(frame: bytes, *, lookup: Lookup | None = None) -> Any:
    """What a whole frame says. ``lookup(number, "what it is")`` answers for handles."""
    if len(frame) < HEADER.size or len(frame) != HEADER.size + length(frame[: HEADER.size]):
        raise Malformed("a frame that is cut off")
    _, size, _ = HEADER.unpack(frame[: HEADER.size])
    body = memoryview(frame)[HEADER.size :]
    try:
        tree, lengths = json.loads(bytes(body[:size]))
        return _Reader(_split(body[size:], lengths), lookup).value(tree, 0)
    except Malformed:
        raise
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, RecursionError, RuntimeError) as error:
        raise Malformed(f"a frame that says nothing ({type(error).__name__})") from error


def _split(body: memoryview, lengths: Any) -> list[memoryview]:
    if not isinstance(lengths, list) or not all(type(n) is int and n >= 0 for n in lengths) or sum(lengths) != len(body):
        raise Malformed("lengths that do not add up")
    parts, start = [], 0
    for n in lengths:
        parts.append(body[start : start + n])
        start += n
    return parts


class _Reader:
    def __init__(self, buffers: Sequence[memoryview], lookup: Lookup | None) -> None:
        self.buffers, self.lookup = buffers, lookup

    def value(self, node: Any, depth: int) -> Any:
        if depth > DEEPEST:
            raise Malformed("data nested too deep")
        if isinstance(node, str):
            return node.encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair would break whoever prints it
        if not isinstance(node, list):
            if isinstance(node, dict):
                raise Malformed("an object of JSON")
            return node
        tag, *rest = node
        if tag in ("list", "tuple", "set"):
            return {"list": list, "tuple": tuple, "set": set}[tag](self.value(item, depth + 1) for item in rest)
        if tag == "dict":
            return {self.value(key, depth + 1): self.value(item, depth + 1) for key, item in rest}
        if tag == "record":
            return self.record(*rest, depth=depth)
        if tag not in self.TAGS:
            raise Malformed("a tag that is unknown")
        return self.TAGS[tag](self, *rest)

    def record(self, name: Any, fields: Any, values: Any, *, depth: int) -> Any:
        kind = namedtuple(name, fields)  # type: ignore[misc]  # refuses what is no identifier
        return kind(*(self.value(item, depth + 1) for item in values))

    def raw(self, at: Any) -> memoryview:
        if type(at) is not int or at < 0:
            raise Malformed("a buffer that is not there")
        return self.buffers[at]

    def numbers(self, name: Any, shape: Any, at: Any, allowed: Sequence[str], size: int) -> memoryview:
        raw = self.raw(at)
        if name not in allowed or not isinstance(shape, list) or len(shape) > 16:
            raise Malformed("a type or shape that is unknown")
        if not all(type(n) is int and 0 <= n < 2**40 for n in shape) or math.prod(shape) * size != len(raw):
            raise Malformed("a shape that does not fit its numbers")
        if name == "bool" and len(raw) and np.frombuffer(raw, np.uint8).max() > 1:
            raise Malformed("a truth value that is neither")
        return raw

    def array(self, name: str, shape: list[int], at: int) -> Any:
        kind = np.dtype(name if name in NUMBERS else "bool")
        raw = self.numbers(name, shape, at, NUMBERS, kind.itemsize)
        found = np.frombuffer(bytearray(raw), kind).reshape(shape)
        return found if shape else found[()]

    def tensor(self, name: str, shape: list[int], at: int) -> torch.Tensor:
        kind = getattr(torch, name if name in TENSORS else "bool")
        raw = self.numbers(name, shape, at, TENSORS, kind.itemsize)
        return torch.frombuffer(bytearray(raw), dtype=kind).reshape(shape) if len(raw) else torch.empty(shape, dtype=kind)

    def generator(self, at: int) -> torch.Generator:
        found = torch.Generator()
        found.set_state(torch.frombuffer(bytearray(self.raw(at)), dtype=torch.uint8))
        return found

    def dtype(self, name: str) -> torch.dtype:
        if name not in TENSORS:
            raise Malformed("a type that is unknown")
        kind: torch.dtype = getattr(torch, name)
        return kind

    def handle(self, number: int, what: str) -> Any:
        if self.lookup is None or type(number) is not int or not isinstance(what, str):
            raise Malformed("a handle where none is expected")
        return self.lookup(number, self.value(what, 0)[:200])

    def integer(self, text: str) -> int:
        return int(text, 16)

    def complex(self, re: float, im: float) -> complex:
        return complex(re, im)

    def bytes(self, at: int) -> bytes:
        return self.raw(at).tobytes()

    TAGS: dict[str, Callable[..., Any]] = {  # noqa: RUF012
        "int": integer,
        "complex": complex,
        "bytes": bytes,
        "array": array,
        "tensor": tensor,
        "dtype": dtype,
        "generator": generator,
        "handle": handle,
    }
