"""Read what a pickle describes, and run nothing of it: calls that rebuild tensors become notes of which tensor.

A pickle is a program for a small stack machine. This one knows the instructions that ``torch.save`` writes; where a
pickle asks for a function or a class, a name is noted (``Name``), and where it calls one that is not about tensors, an
``Opaque`` object stands for the result. Memory and time are bounded by the length of the pickle.
"""

from __future__ import annotations

import pickletools
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

MAX_BYTES = 32 << 20  # of a pickle, which holds no numbers of tensors: real ones have less than a megabyte
MAX_STEPS = 3_000_000
_MARK = object()


class PickleError(ValueError):
    """A pickle is damaged, or no pickle that ``torch.save`` writes."""


@dataclass(frozen=True)
class Name:
    """A function or class that a pickle asks for."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass(eq=False)
class Opaque:
    """What a call would have made, which was not carried out."""

    made_by: str


@dataclass(frozen=True)
class Storage:
    """A run of ``length`` numbers in a file, of ``kind`` ('float32'), under a ``key``."""

    kind: str
    key: str
    length: int


@dataclass(frozen=True)
class StoredShape:
    """A tensor: a view of a storage, its ``offset`` and ``strides`` in numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


KINDS = {
    "FloatStorage": "float32",
    "DoubleStorage": "float64",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


@dataclass
class Unpickled:
    """What a pickle describes, and the names of all that it would have had to run beside tensors."""

    value: Any
    needs: list[str]
    storages: dict[str, Storage]  # all that it refers to, by their keys
    length: int  # bytes of the pickle


def unpickle(data: bytes) -> Unpickled:
    """Return what the pickle at the beginning of ``data`` describes. Raises PickleError."""
    stream = BytesIO(data[:MAX_BYTES])
    machine = _Machine()
    try:
        for step, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
            if step > MAX_STEPS:
                raise PickleError("it has more instructions than any model")
            machine.run(opcode.name, argument)
        value = machine.stack[-1]
    except PickleError:
        if machine.needs:
            raise PickleError(more_than_tensors(machine.needs)) from None
        raise
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError, UnicodeError) as error:
        raise PickleError(f"its pickle is damaged ({type(error).__name__})") from None
    return Unpickled(value, machine.needs, machine.storages, stream.tell())


def more_than_tensors(needs: list[str]) -> str:
    """Return the reason why a pickle is refused that would have to run what it ``needs``, the outermost last."""
    return f"it holds more than tensors (it needs {needs[-1][:100]}, which is never run)"


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.needs: list[str] = []
        self.storages: dict[str, Storage] = {}

    def run(self, name: str, argument: Any) -> None:  # noqa: ANN401  (what pickletools reads)
        """Carry out one instruction. Raises PickleError for one that no model needs."""
        if name in _CONSTANTS:
            self.stack.append(_CONSTANTS[name])
        elif name in _PUSHES:
            self.stack.append(argument)
        elif name in _IGNORED:
            return
        elif name in _METHODS:
            _METHODS[name](self, argument)
        else:
            raise PickleError(f"its pickle has an instruction that no model needs ({name})")

    def until_mark(self) -> list[Any]:
        """Take what lies above the last mark, and the mark."""
        at = len(self.stack) - 1
        while self.stack[at] is not _MARK:
            at -= 1
            if at < 0:
                raise PickleError("its pickle is damaged (no mark)")
        taken = self.stack[at + 1 :]
        del self.stack[at:]
        return taken

    def opaque(self, made_by: object) -> Opaque:
        """Return what stands for the result of a call, and note what was to be called."""
        text = str(made_by) if isinstance(made_by, Name) else "an object"
        if text not in self.needs:
            self.needs.append(text)
        return Opaque(text)

    def call(self, function: object, arguments: object) -> Any:  # noqa: ANN401  (what it describes)
        """Return what a call describes."""
        maker = _REBUILDS.get(str(function)) if isinstance(function, Name) else None
        if maker is None or not isinstance(arguments, tuple):
            return self.opaque(function)
        return maker(*arguments)

    def put_items(self, table: object, items: list[Any]) -> None:
        """Put keys and values, one after the other, into a table."""
        if not isinstance(table, dict):
            return  # of an object that is not made
        for key, value in zip(*[iter(items)] * 2, strict=True):
            table[_checked_key(key)] = value


def _checked_key(key: object) -> str | int | None:
    """Return a key of a table. Raises PickleError for one that may take long to look up: a tuple, a large number."""
    if key is None or isinstance(key, str) or (type(key) is int and abs(key) < 2**31):
        return key
    raise PickleError("its pickle has a table with keys that are no names")


def _rebuild_tensor(
    storage: object,
    offset: object,
    size: object,
    stride: object,
    grad: object = False,
    hooks: object = None,
    *rest: object,
) -> StoredShape:
    if hooks:
        raise PickleError("a tensor of it has hooks, which are programs")
    if not isinstance(storage, Storage):
        raise PickleError("a tensor of it has no storage")
    shape, strides = _whole_numbers(size), _whole_numbers(stride)
    (start,) = _whole_numbers((offset,))
    if len(shape) != len(strides):
        raise PickleError("the shape of a tensor is damaged")
    return StoredShape(storage, start, shape, strides)


def _whole_numbers(values: object) -> tuple[int, ...]:
    if not isinstance(values, tuple | list) or len(values) > 16:
        raise PickleError("the shape of a tensor is damaged")
    if not all(type(value) is int and 0 <= value < 2**62 for value in values):
        raise PickleError("the shape of a tensor is damaged")
    return tuple(values)


def _ordered(*arguments: object) -> dict[Hashable, Any]:
    """Return the table that ``OrderedDict(…)`` makes; old files give its items."""
    made: dict[Hashable, Any] = {}
    if arguments and isinstance(arguments[0], list):
        for pair in arguments[0]:
            key, value = pair
            made[_checked_key(key)] = value
    return made


_REBUILDS: dict[str, Callable[..., Any]] = {
    "torch._utils._rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils._rebuild_tensor": _rebuild_tensor,
    "torch._utils._rebuild_parameter": lambda data, *rest: data,
    "collections.OrderedDict": _ordered,
    "torch.Size": lambda values=(): tuple(values) if isinstance(values, list | tuple) else (),
}


def _persistent(machine: _Machine, argument: object) -> None:
    """Note which storage a persistent id means: ('storage', its class, key, place, length, …)."""
    given = machine.stack.pop()
    is_storage = isinstance(given, tuple) and len(given) >= 5 and given[0] == "storage" and isinstance(given[1], Name)
    if not is_storage or given[1].module != "torch":
        raise PickleError("it refers to data in a way that no model does")
    kind = KINDS.get(given[1].name)
    if kind is None or not isinstance(given[2], str) or type(given[4]) is not int or not 0 <= given[4] < 2**48:
        raise PickleError(f"it holds numbers of a kind that is not known here ({given[1].name[:40]})")
    if len(given) > 5 and given[5] is not None:
        raise PickleError("it has views of storages, as files of torch before 0.4 have: save it again with a newer one")
    machine.stack.append(machine.storages.setdefault(given[2], Storage(kind, given[2], given[4])))


def _global(machine: _Machine, argument: str) -> None:
    module, _, name = argument.partition(" ")
    machine.stack.append(Name(module, name))


def _stack_global(machine: _Machine, argument: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(Name(str(module)[:200], str(name)[:200]))


def _reduce(machine: _Machine, argument: object) -> None:
    arguments, function = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(machine.call(function, arguments))


def _new_object(machine: _Machine, argument: object) -> None:
    machine.stack.pop()
    machine.stack.append(machine.opaque(machine.stack.pop()))


def _new_object_named(machine: _Machine, argument: object) -> None:
    del machine.stack[-2:]
    machine.stack.append(machine.opaque(machine.stack.pop()))


def _object(machine: _Machine, argument: object) -> None:
    taken = machine.until_mark()
    machine.stack.append(machine.opaque(taken[0] if taken else None))


def _instance(machine: _Machine, argument: str) -> None:
    machine.until_mark()
    module, _, name = argument.partition(" ")
    machine.stack.append(machine.opaque(Name(module, name)))


def _build(machine: _Machine, argument: object) -> None:
    machine.stack.pop()  # the state: of tables, versions of modules; other objects are not made


def _append(machine: _Machine, argument: object) -> None:
    value = machine.stack.pop()
    if isinstance(machine.stack[-1], list):
        machine.stack[-1].append(value)


def _appends(machine: _Machine, argument: object) -> None:
    values = machine.until_mark()
    if isinstance(machine.stack[-1], list):
        machine.stack[-1].extend(values)


def _set_item(machine: _Machine, argument: object) -> None:
    value, key = machine.stack.pop(), machine.stack.pop()
    machine.put_items(machine.stack[-1], [key, value])


def _set_items(machine: _Machine, argument: object) -> None:
    items = machine.until_mark()
    machine.put_items(machine.stack[-1], items)


def _make_table(machine: _Machine, argument: object) -> None:
    items = machine.until_mark()
    table: dict[Hashable, Any] = {}
    machine.put_items(table, items)
    machine.stack.append(table)


def _tuple_of(count: int) -> Callable[[_Machine, object], None]:
    def make(machine: _Machine, argument: object) -> None:
        if len(machine.stack) < count:
            raise PickleError("its pickle is damaged (too little on its stack)")
        taken = machine.stack[-count:]
        del machine.stack[-count:]
        machine.stack.append(tuple(taken))

    return make


def _pop_mark(machine: _Machine, argument: object) -> None:
    machine.until_mark()


def _memoize(machine: _Machine, argument: object) -> None:
    machine.memo[len(machine.memo)] = machine.stack[-1]


_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": (), "MARK": _MARK}
_PUSHES = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
    *("UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"),
}
_IGNORED = {"PROTO", "FRAME", "STOP"}
_METHODS: dict[str, Callable[[_Machine, Any], None]] = {
    "EMPTY_DICT": lambda machine, _: machine.stack.append({}),
    "EMPTY_LIST": lambda machine, _: machine.stack.append([]),
    "EMPTY_SET": lambda machine, _: machine.stack.append([]),
    "LIST": lambda machine, _: machine.stack.append(machine.until_mark()),
    "TUPLE": lambda machine, _: machine.stack.append(tuple(machine.until_mark())),
    "FROZENSET": lambda machine, _: machine.stack.append(machine.until_mark()),
    "TUPLE1": _tuple_of(1),
    "TUPLE2": _tuple_of(2),
    "TUPLE3": _tuple_of(3),
    "DICT": _make_table,
    "POP": lambda machine, _: machine.stack.pop() and None,
    "POP_MARK": _pop_mark,
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "GET": lambda machine, at: machine.stack.append(machine.memo[at]),
    "BINGET": lambda machine, at: machine.stack.append(machine.memo[at]),
    "LONG_BINGET": lambda machine, at: machine.stack.append(machine.memo[at]),
    "PUT": lambda machine, at: machine.memo.__setitem__(at, machine.stack[-1]),
    "BINPUT": lambda machine, at: machine.memo.__setitem__(at, machine.stack[-1]),
    "LONG_BINPUT": lambda machine, at: machine.memo.__setitem__(at, machine.stack[-1]),
    "MEMOIZE": _memoize,
    "GLOBAL": _global,
    "STACK_GLOBAL": _stack_global,
    "BINPERSID": _persistent,
    "REDUCE": _reduce,
    "NEWOBJ": _new_object,
    "NEWOBJ_EX": _new_object_named,
    "OBJ": _object,
    "INST": _instance,
    "BUILD": _build,
    "APPEND": _append,
    "APPENDS": _appends,
    "ADDITEMS": _appends,
    "SETITEM": _set_item,
    "SETITEMS": _set_items,
}
