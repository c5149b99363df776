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

from vidtrans.interop.checkpoints.pickle_values import (
    KINDS,
    REBUILDS,
    Name,
    Opaque,
    PickleError,
    Storage,
    checked_key,
)

MAX_BYTES = 32 << 20  # of a pickle, which holds no numbers of tensors: real ones have less than a megabyte
MAX_STEPS = 3_000_000
MAX_COPIED = 3_000_000  # values in all arguments of calls: one list may be given to each of a million
MAX_NAME = 200  # characters of a function's or a class's name that are noted
_MARK = object()


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
            raise PickleError(more_than_tensors(list(machine.needs))) from None
        raise
    except (ValueError, IndexError, TypeError, KeyError, OverflowError, MemoryError, UnicodeError) as error:
        raise PickleError(f"its pickle is damaged ({type(error).__name__})") from None
    return Unpickled(value, list(machine.needs), machine.storages, stream.tell())


def more_than_tensors(needs: list[str]) -> str:
    """Return the reason why a pickle is refused that would have to run what it ``needs``, the outermost last."""
    return f"it holds more than tensors (it needs {needs[-1][:100]}, which is never run)"


class _Machine:
    """The stack and the memo of a pickle that is read."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.needs: dict[str, None] = {}
        self.copied = 0
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
        self.needs.setdefault(text)
        return Opaque(text)

    def call(self, function: object, arguments: object) -> Any:  # noqa: ANN401  (what it describes)
        """Return what a call describes."""
        maker = REBUILDS.get(str(function)) if isinstance(function, Name) else None
        if maker is None or not isinstance(arguments, tuple):
            return self.opaque(function)
        self.copied += sum(len(one) for one in (arguments, *arguments) if isinstance(one, tuple | list))
        if self.copied > MAX_COPIED:
            raise PickleError("its pickle rebuilds more than any model has")
        return maker(*arguments)

    def put_items(self, table: object, items: list[Any]) -> None:
        """Put keys and values, one after the other, into a table."""
        if not isinstance(table, dict):
            return  # of an object that is not made
        for key, value in zip(*[iter(items)] * 2, strict=True):
            table[checked_key(key)] = value


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
    machine.stack.append(_named(*argument.partition(" ")[::2]))


def _named(module: object, name: object) -> Name:
    """Return a name. Raises PickleError where it is no text: to print another value may take all memory."""
    if not isinstance(module, str) or not isinstance(name, str):
        raise PickleError("it asks for a function whose name is no text")
    return Name(module[:MAX_NAME], name[:MAX_NAME])


def _stack_global(machine: _Machine, argument: object) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    machine.stack.append(_named(module, name))


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
    machine.stack.append(machine.opaque(_named(*argument.partition(" ")[::2])))


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
