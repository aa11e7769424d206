"""What passes between the checks and a student's process: plain data in a documented format, version 1; never pickle.

A frame is ``b"CK\\x00\\x01"``, the length of a JSON text (uint32, big-endian), the total length of the buffers
(uint64), the text, the buffers. The text is ``[tree, lengths]``. In a tree ``null``, booleans, numbers and strings
stand for themselves; everything else is a list that begins with its tag:

    ["list", …]  ["tuple", …]  ["set", …]  ["dict", [key, value], …]  ["int", "hex"]  ["complex", re, im]  ["bytes",
    buffer] ["array", dtype, shape, buffer]  ["tensor", dtype, shape, buffer]  ["dtype", name]  ["generator", buffer]
    ["record", name, [field, …], [value, …]]  ["handle", number, "what it is"]

``buffer`` counts the buffers: each is used once, in order. What does not fit this to the letter is a ``Malformed``
and nothing else: not a crash, not a hang, not much memory.
"""

import json
import keyword
import math
import re
import struct
from collections import namedtuple
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

HEADER = struct.Struct("!4sIQ")
MAGIC = b"CK\x00\x01"
LONGEST_TEXT, LONGEST_BUFFERS, DEEPEST = 4 << 20, 256 << 20, 40
MOST_VALUES = 100_000  # that stand in lists one by one, of a frame: each costs the checks a while
# Of a frame: keys whose hashes collide, classes, and huge numbers cost time.
MOST_KEYS, MOST_RECORDS, MOST_BITS = 10_000, 64, 4096
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
NUMBERS = ("bool", *INTEGERS, "float16", "float32", "float64", "complex64", "complex128")
TENSORS = (*NUMBERS, "bfloat16")
KEYS = str | int | float | complex | bytes | np.generic | torch.dtype | None
HEX = re.compile(r"-?0x[0-9a-f]{1,1024}")
Handle = Callable[[Any], list[Any]]
Lookup = Callable[[int, str], Any]


class Malformed(ValueError):
    """Bytes that are no frame, or a frame that says nothing."""


# --- writing ---


def encode(value: Any, *, handle: Handle | None = None) -> bytes:
    """A frame. What is no plain data goes to ``handle``, which answers with a node, or is refused with a TypeError."""
    writer = _Writer(handle)
    tree = writer.node(value, 0)
    text = json.dumps([tree, [len(b) for b in writer.buffers]]).encode("ascii")
    size = sum(map(len, writer.buffers))
    if len(text) > LONGEST_TEXT or size > LONGEST_BUFFERS:
        raise ValueError(
            f"expected at most {LONGEST_TEXT >> 20} MB of text and {LONGEST_BUFFERS >> 20} MB of numbers, got more"
        )
    return b"".join([HEADER.pack(MAGIC, len(text), size), text, *writer.buffers])


class _Writer:
    def __init__(self, handle: Handle | None) -> None:
        self.handle, self.keys, self.values = handle, 0, 0
        self.buffers: list[bytes] = []

    def node(self, x: Any, depth: int) -> Any:
        self.values += 1
        if depth > DEEPEST:
            raise ValueError(f"expected data nested at most {DEEPEST} deep, got more")
        if self.values > MOST_VALUES:
            most = f"{MOST_VALUES:,} values in lists, tuples and dicts"
            raise ValueError(f"expected at most {most}, got more: return a tensor or an array")
        if x is None or isinstance(x, bool):
            return x
        if isinstance(x, str):
            return str(x)
        if isinstance(x, float):
            return float(x)
        if isinstance(x, int):
            return self.integer(int(x))

        def inner(values: Any) -> list[Any]:
            return [self.node(value, depth + 1) for value in values]

        if isinstance(x, tuple) and hasattr(x, "_fields"):
            return ["record", type(x).__name__, list(x._fields), inner(x)]
        if isinstance(x, list | tuple):
            return ["list" if isinstance(x, list) else "tuple", *inner(x)]
        if isinstance(x, set | frozenset):
            return ["set", *inner(self.checked(x))]
        if isinstance(x, dict):
            return ["dict", *(inner(pair) for pair in zip(self.checked(x), x.values()))]
        return self.numbers(x) or self.other(x)

    @staticmethod
    def integer(x: int) -> Any:
        if x.bit_length() > MOST_BITS:
            raise ValueError(f"expected an integer of at most {MOST_BITS} bits, got one of {x.bit_length()}")
        return x if x.bit_length() < 64 else ["int", hex(x)]

    def checked(self, keys: Any) -> list[Any]:
        """Keys, if they are plain and not too many."""
        listed = list(keys)
        self.keys += len(listed)
        if strange := next((type(key).__name__ for key in listed if not _plain_key(key)), ""):
            raise TypeError(f"expected numbers, strings or tuples as keys of a dict and in a set, got {strange}")
        if self.keys > MOST_KEYS:
            raise ValueError(f"expected at most {MOST_KEYS} keys of dicts and members of sets in one answer, got more")
        return listed

    def numbers(self, x: Any) -> list[Any]:
        """A node with a buffer, or nothing."""
        if isinstance(x, torch.Tensor):
            plain = x.detach().resolve_conj().resolve_neg().cpu().to_dense().contiguous()
            name = str(plain.dtype).removeprefix("torch.")
            if name not in TENSORS:
                raise TypeError(f"expected a tensor of numbers, got one of {name}")
            row = plain.as_strided((plain.numel(),), (1,))  # contiguous() leaves one number its stride; view wants 1
            raw = row.view(torch.uint8).numpy().tobytes() if plain.numel() else b""
            return ["tensor", name, list(plain.shape), self.keep(raw)]
        if isinstance(x, np.ndarray | np.generic) and x.dtype.name in NUMBERS:
            native = np.ascontiguousarray(x, x.dtype.newbyteorder("="))
            return ["array", x.dtype.name, list(x.shape), self.keep(native.tobytes())]
        if isinstance(x, bytes | bytearray):
            return ["bytes", self.keep(bytes(x))]
        if isinstance(x, torch.Generator):
            return ["generator", self.keep(x.get_state().numpy().tobytes())]
        return []

    def keep(self, raw: bytes) -> int:
        self.buffers.append(raw)
        return len(self.buffers) - 1

    def other(self, x: Any) -> list[Any]:
        if isinstance(x, complex):
            return ["complex", x.real, x.imag]
        if isinstance(x, range):
            return ["list", *(self.node(k, 1) for k in x)]
        if isinstance(x, torch.dtype):
            return ["dtype", str(x).removeprefix("torch.")]
        if self.handle is None:
            raise TypeError(f"expected plain data (numbers, strings, lists, tensors, arrays), got {type(x).__name__}")
        return self.handle(x)


def _plain_key(key: Any) -> bool:
    return all(map(_plain_key, key)) if isinstance(key, tuple) else isinstance(key, KEYS)


# --- reading ---


def _is_sizes(x: Any) -> bool:
    return isinstance(x, list) and all(type(n) is int and n >= 0 for n in x)


def length(header: bytes) -> int:
    """How many bytes follow a header of ``HEADER.size`` bytes."""
    magic, text, buffers = HEADER.unpack(header)
    if magic != MAGIC or text > LONGEST_TEXT or buffers > LONGEST_BUFFERS:
        raise Malformed("no frame of version 1, or too long a one")
    return int(text + buffers)


def decode(frame: bytes | bytearray, *, lookup: Lookup | None = None) -> Any:
    """What a whole frame says. ``lookup(number, "what it is")`` answers for handles."""
    if len(frame) < HEADER.size or len(frame) != HEADER.size + length(bytes(frame[: HEADER.size])):
        raise Malformed("a frame that is cut off")
    _, size, _ = HEADER.unpack(frame[: HEADER.size])
    body = memoryview(frame)[HEADER.size :]
    try:
        tree, lengths = json.loads(bytes(body[:size]))
        reader = _Reader(body[size:], lengths, lookup)
        value = reader.value(tree, 0)
    except Malformed:
        raise
    except (ValueError, TypeError, LookupError, OverflowError, RuntimeError, MemoryError, struct.error) as error:
        raise Malformed(f"a frame that says nothing ({type(error).__name__})") from error
    if reader.used != len(lengths):
        raise Malformed("a buffer that nothing uses")
    return value


class _Reader:
    def __init__(self, body: memoryview, lengths: Any, lookup: Lookup | None) -> None:
        if not _is_sizes(lengths) or sum(lengths) != len(body):
            raise Malformed("lengths that do not add up")
        self.body, self.lengths, self.lookup = body, lengths, lookup
        self.used, self.start, self.keys, self.values = 0, 0, 0, 0
        self.kinds: dict[tuple[str, ...], Any] = {}

    def value(self, node: Any, depth: int) -> Any:
        self.values += 1
        if depth > DEEPEST or self.values > MOST_VALUES:
            raise Malformed("data nested too deep, or too many values")
        if isinstance(node, str):  # half a surrogate pair would break whoever prints it
            return node.encode("utf-8", "replace").decode("utf-8")
        if isinstance(node, list):
            return self.tagged(*node, depth=depth + 1)
        if isinstance(node, dict) or (type(node) is int and node.bit_length() > 63):
            raise Malformed("an object of JSON, or too large a number")
        return node

    def tagged(self, tag: Any, *rest: Any, depth: int) -> Any:
        if tag in ("list", "tuple"):
            return (list if tag == "list" else tuple)(self.value(item, depth) for item in rest)
        if tag == "set":
            return set(self.checked([self.value(item, depth) for item in rest]))
        if tag == "dict":
            if not all(isinstance(pair, list) for pair in rest):
                raise Malformed("a dict of no pairs")
            pairs = [(self.value(key, depth), self.value(item, depth)) for key, item in rest]
            self.checked([key for key, _ in pairs])
            return dict(pairs)
        if tag == "record":
            return self.record(*rest, depth=depth)
        if tag not in self.TAGS:
            raise Malformed("a tag that is unknown")
        return self.TAGS[tag](self, *rest)

    def checked(self, keys: list[Any]) -> list[Any]:
        """Keys that are plain, few, and each of them once."""
        self.keys += len(keys)
        if self.keys > MOST_KEYS or not all(map(_plain_key, keys)) or len(set(keys)) != len(keys):
            raise Malformed("keys that are too many, of no plain kind, or the same twice")
        return keys

    def record(self, name: Any, fields: Any, values: Any, *, depth: int) -> Any:
        """A named tuple none of whose names means something to Python or to a tuple."""
        lists = isinstance(fields, list) and isinstance(values, list)
        if not lists or len(fields) != len(values) or len(fields) > MOST_RECORDS:
            raise Malformed("a record whose fields and values do not fit")
        names = (name, *fields)
        if not all(type(n) is str and len(n) < 100 and n.isidentifier() and not keyword.iskeyword(n) for n in names):
            raise Malformed("a record with names that are none")
        if name.startswith("__") or any(n.startswith("_") or hasattr(tuple, n) for n in fields):
            raise Malformed("a record with names that have a meaning")
        if len(self.kinds) > MOST_RECORDS:
            raise Malformed("too many kinds of records")
        if names not in self.kinds:
            self.kinds[names] = namedtuple(name, fields)  # type: ignore[misc]
        return self.kinds[names](*(self.value(item, depth) for item in values))

    def raw(self, at: Any) -> memoryview:
        if type(at) is not int or at != self.used:
            raise Malformed("a buffer that is not the next one")
        start, self.start, self.used = self.start, self.start + self.lengths[at], self.used + 1
        return self.body[start : self.start]

    def numbers(self, name: Any, shape: Any, at: Any, allowed: Sequence[str], size: int) -> memoryview:
        raw = self.raw(at)
        if name not in allowed or not _is_sizes(shape) or len(shape) > 16:
            raise Malformed("a type or shape that is unknown")
        if math.prod(n for n in shape if n) >= 2**40 or math.prod(shape) * size != len(raw):
            raise Malformed("a shape that does not fit its numbers")
        if name == "bool" and len(raw) and np.frombuffer(raw, np.uint8).max() > 1:
            raise Malformed("a truth value that is neither")
        return raw

    def array(self, name: str, shape: list[int], at: int) -> Any:
        kind = np.dtype(name if name in NUMBERS else "bool")
        raw = self.numbers(name, shape, at, NUMBERS, kind.itemsize)
        values = np.frombuffer(bytearray(raw), kind).reshape(shape)
        return values if shape else values[()]

    def tensor(self, name: str, shape: list[int], at: int) -> torch.Tensor:
        kind = getattr(torch, name if name in TENSORS else "bool")
        raw = self.numbers(name, shape, at, TENSORS, kind.itemsize)
        if not raw:
            return torch.empty(shape, dtype=kind)
        return torch.frombuffer(bytearray(raw), dtype=kind).reshape(shape)

    def generator(self, at: int) -> torch.Generator:
        generator, raw = torch.Generator(), self.raw(at)
        left, _, after = struct.unpack_from("=iiQ", raw, 8)
        if (left, after) != (1, 0) and not (1 <= left <= 624 and left + after == 625):
            raise Malformed("a generator that would read beyond its state")  # torch looks at the two one by one
        generator.set_state(torch.frombuffer(bytearray(raw), dtype=torch.uint8))
        return generator

    def dtype(self, name: str) -> torch.dtype:
        if name not in TENSORS:
            raise Malformed("a type that is unknown")
        kind: torch.dtype = getattr(torch, name)
        return kind

    def handle(self, number: int, what: str) -> Any:
        if self.lookup is None or type(number) is not int or not isinstance(what, str) or number.bit_length() > 31:
            raise Malformed("a handle where none is expected")
        return self.lookup(number, self.value(what, 0)[:200])

    def integer(self, text: str) -> int:
        number = int(text, 16) if HEX.fullmatch(text) else 0
        if number.bit_length() < 64:
            raise Malformed("a large number that is none")
        return number

    def complex(self, re: float, im: float) -> complex:
        if type(re) is not float or type(im) is not float:
            raise Malformed("a complex number of other things")
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
