"""Pickles that run nothing and ask for too much, or say what is not so."""

from __future__ import annotations

import pickle
import struct
from collections.abc import Iterator

from hostile_parts.code_pickles import unicode, whole
from hostile_parts.containers import legacy, zipped
from hostile_parts.maker import Maker

# A pair of a pair of a pair …, each of one value twice: small in memory, and of 2^100 values to whoever walks it.
DOUBLED = b")q\x00" + b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(100))


def _length(opcode: bytes, length: int, data: bytes = b"x") -> bytes:
    """Return an opcode whose 64-bit length says more than there is."""
    return opcode + struct.pack("<Q", length) + data


def greedy() -> Iterator[tuple[str, bytes]]:
    """Yield (name, pickle) of those that would take all memory, or all time."""
    yield "a text of 2^60 bytes", whole(_length(b"\x8d", 1 << 60), 4)
    yield "bytes of 2^62", whole(_length(b"\x8e", 1 << 62), 4)
    yield "a byte array of 2^62", whole(_length(b"\x96", 1 << 62), 5)
    yield "a text of 4 GB", whole(b"X\xff\xff\xff\xffx")
    yield "a memo at 2^31", whole(b"]r\xff\xff\xff\x7f")
    yield "a memo at 2^32 - 1", whole(b"]r\xff\xff\xff\xff")
    yield "a memo at 10^300, in digits", whole(b"]p1" + b"0" * 300 + b"\n")
    yield "a whole number of a million digits", whole(b"I" + b"9" * 1_000_000 + b"\n")
    yield "a long number of a million digits", whole(b"L" + b"9" * 1_000_000 + b"L\n")
    yield "a long number of a megabyte", whole(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20))
    yield "a long number of 2 GB", whole(b"\x8b\xff\xff\xff\x7fx")
    yield "a long number of -1 bytes", whole(b"\x8b\xff\xff\xff\xffx")
    yield "a key whose hash takes 2^100 steps", whole(b"}" + DOUBLED + b"K\x01s")
    yield "a value that prints as 2^100 letters", whole(DOUBLED)
    yield "lists in lists, 100,000 deep", whole(b"]" * 100_000 + b"a" * 99_999)
    yield "tuples in tuples, 200,000 deep", whole(b")" + b"\x85" * 200_000)
    yield "mappings in mappings, 100,000 deep", whole(b"}" + b"K\x01}" * 100_000 + b"s" * 100_000)
    yield "200,000 marks", whole(b"(" * 200_000)
    yield "three million values", whole(b"](" + b"N" * 3_000_000 + b"e")
    yield "a list that holds itself", whole(b"]q\x00h\x00a")
    yield "a mapping that holds itself", whole(b"}q\x00" + unicode("model.1.weight") + b"h\x00s")
    yield "keys that all have one hash", whole(b"}(" + b"".join(_colliding()) + b"u")
    yield from _many_times()
    yield "a frame of 2^62 bytes", whole(_length(b"\x95", 1 << 62, b"}"), 4)


def _many_times() -> Iterator[tuple[str, bytes]]:
    """Yield (name, pickle) of those in which one large thing stands, or is copied, very often."""
    many = b"](" + b"N" * 200_000 + b"e"
    twice = many + b"q\x000](" + b"h\x00" * 200_000 + b"e"
    yield "200,000 references to a list of 200,000", whole(b"}" + unicode("weights") + twice + b"s")
    for name, item in {"torch Size": b"K\x01", "collections OrderedDict": b"K\x01N\x86"}.items():
        long = b"](" + item * 50_000 + b"e"
        function = b"c" + name.replace(" ", "\n").encode() + b"\nq\x010"
        made = function + long + b"\x85q\x020](" + b"h\x01h\x02R" * 60_000 + b"e"
        yield f"60,000 calls of {name} with a list of 50,000", whole(made)
    yield "a function whose name prints as 2^100 letters", whole(DOUBLED + unicode("f") + b"\x93)R", 4)
    many = b"".join(b"cm\nf%d\n)R" % n for n in range(80_000))
    yield "80,000 functions", whole(b"](" + many + b"e")
    long_name = b"cm\n" + b"x" * 10_000_000 + b"\nq\x000"
    yield "60,000 calls of a function with a long name", whole(long_name + b"](" + b"h\x00)R" * 60_000 + b"e")
    begin = unicode("module." * 2_000_000 + "weight")
    storage = b"(" + unicode("storage") + b"ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") + b"K\x01tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89}tR"
    yield "a name that begins two million times alike", whole(b"}" + begin + tensor + b"s")


def _colliding() -> Iterator[bytes]:
    """Yield 40,000 pairs whose keys are multiples of the modulus of hashes of whole numbers."""
    for number in range(1, 40_001):
        digits = (number * ((1 << 61) - 1)).to_bytes(10, "little")
        yield b"\x8a\x0a" + digits + b"N"


def wrong() -> Iterator[tuple[str, bytes]]:
    """Yield (name, pickle) of those that are none."""
    yield "nothing", b""
    yield "a stop alone", b"."
    yield "a protocol alone", b"\x80\x02"
    yield "no stop", b"\x80\x02}"
    yield "protocol 255", b"\x80\xff}."
    yield "an unknown opcode", whole(b"}\xff")
    yield "a call of nothing", whole(b"R")
    yield "a call of a number", whole(b"K\x01)R")
    yield "a state of a number", whole(b"K\x01K\x02b")
    yield "items of no mapping", whole(b"](K\x01K\x02u")
    yield "an odd number of items", whole(b"}(K\x01u")
    yield "no mark", whole(b"K\x01t")
    yield "a memo that is not there", whole(b"h\x07")
    yield "a list for a key", whole(b"}]K\x01s")
    yield "a frame shorter than its opcodes", whole(_length(b"\x95", 1, b"}K\x01K\x01s"), 4)
    yield "a frame within a frame", whole(_length(b"\x95", 40, _length(b"\x95", 1 << 20, b"}")), 4)
    yield "an extension", whole(b"\x82\x01")
    yield "an extension of 2^31 - 1", whole(b"\x84\xff\xff\xff\x7f")
    yield "a buffer from elsewhere", whole(b"\x97", 5)
    yield "a read-only buffer from elsewhere", whole(b"N\x98", 5)
    yield "a persistent id of text", whole(b"P0\n")
    yield "a persistent id of a number", whole(b"K\x01Q")
    yield "a persistent id of nothing", whole(b")Q")
    yield "a persistent id of two parts", whole(unicode("storage") + b"K\x01\x86Q")
    yield "a persistent id of another kind", whole(b"(" + unicode("module") + b"NNNNtQ")
    yield "a persistent id in a persistent id", whole(b"(" + unicode("storage") + b")QNNNtQ")
    yield "a persistent id of a thousand parts", whole(b"(" + unicode("storage") + b"N" * 1000 + b"tQ")
    yield "a global of ten million letters", whole(b"cos\n" + b"x" * 10_000_000 + b"\n")
    yield "a global with colours", whole(b"c\x1b[31mos\r\x1b[0m\nsystem\n")
    yield "a global that ends nowhere", b"\x80\x02cos"
    yield "a global of numbers", whole(b"K\x01K\x02\x93", 4)
    yield "a text of half characters", whole(b"X\x02\x00\x00\x00\xff\xfe")


VALUES = {
    "a list": [1.0, 2.0],
    "a number": 7,
    "nothing at all": None,
    "a text": "weights",
    "an empty state": {},
    "states in states in states": {"a": {"b": {"c": {}}}},
    "a tuple of states": ({}, {}),
}


def write(maker: Maker) -> None:
    """Make them, in a zip, and the greedy ones in the older format too."""
    for name, data in greedy():
        maker.add(f"{name}, in a zip", zipped(data, {"0": bytes(4)}))
        maker.add(f"{name}, in the legacy format", legacy(data))
    for name, data in wrong():
        maker.add(f"a pickle with {name}", zipped(data))
    for name, value in VALUES.items():
        maker.add(f"{name} for a state", zipped(pickle.dumps(value, 2)))
    maker.add("no magic number", legacy(b"", magic=pickle.dumps(7, 2)))
    maker.add("a magic number of a megabyte", legacy(b"", magic=whole(b"\x8b\x00\x00\x10\x00" + b"\x7f" * (1 << 20))))
    maker.add("a storage of 2^62 elements in the legacy format", _endless_legacy())
    maker.add("a text pickle", b"(dp0\nS'model.1.weight'\nF0.5\ns.")


def _endless_legacy() -> bytes:
    """A file of the older format whose one storage says that it has 2^62 elements."""
    identity = b"(" + unicode("storage") + b"ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") + b"K\x01Nt"
    rebuilt = b"ctorch._utils\n_rebuild_tensor_v2\n(" + identity + b"QK\x00K\x01\x85K\x01\x85\x89}tR"
    body = whole(b"}" + unicode("model.1.weight") + rebuilt + b"s")
    return legacy(body, keys=pickle.dumps(["0"], 2)) + struct.pack("<q", 1 << 62) + bytes(4)
