"""A reader of ONNX graphs: inputs, outputs, operators and small constants, without running the graph.

Field numbers are from ``onnx.proto`` (github.com/onnx/onnx, IR versions 3 to 13), the message encoding from
protobuf.dev, "Encoding". The package onnx is not used: for any file it needs memory of twice the file's size, and
gigabytes for a hostile file of 40 MB. This reader needs memory for only one field at a time.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from vidtrans.core.errors import ModelError

# Wire types of protobuf fields; groups (3 and 4) do not occur in ONNX files.
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
MAX_VARINT_BYTES = 10  # Largest number of bytes of a variable-length integer (varint) in protobuf.
MAX_NAME_BYTES = 1 << 12  # Largest length of a name in bytes.
MAX_BYTES = 2 << 30  # Largest size of a file in bytes, the limit of protobuf parsers.
MAX_NODES = 100_000  # Largest number of operators in a graph.
MAX_FIELDS = 5_000_000  # Largest number of protobuf fields that are read, which limits the time.
MAX_DEPTH = 8  # Deepest nesting of graphs inside operators.
MAX_CONSTANT_SIZE = 64  # Largest number of elements of a constant that is read; larger constants are weights.
# Dtype names by the element type numbers of ``TensorProto.DataType``.
DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
# Names, for errors, of port types that are not tensors, by their field numbers in ``TypeProto``.
NON_TENSOR_TYPES = {4: "a sequence", 5: "a map", 7: "an opaque type", 8: "a sparse tensor", 9: "an optional"}
REMEDY = "export the model again, as one image→image network"  # Advice in errors about graphs that are not usable.
Axis = int | str | None  # Length of an axis: a fixed number, a name for a free length, or None if unknown.
Buffer = mmap.mmap | bytes  # Bytes of a file, memory-mapped or in memory.


class DamagedError(ValueError):
    """The bytes are not a valid protobuf message."""


class Field(NamedTuple):
    """One protobuf field: the ``value`` of a number; ``start`` and ``end`` of the content, in bytes in the buffer."""

    number: int
    wire: int
    value: int
    start: int
    end: int


@contextmanager
def map_file(path: Path) -> Iterator[Buffer]:
    """Yield the bytes of a file, memory-mapped so that only accessed parts are read. Raises OSError."""
    with path.open("rb") as file:
        if not file.seek(0, 2):
            yield b""
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            yield mapped


def read_varint(data: Buffer, at: int, end: int) -> tuple[int, int]:
    """Read a variable-length integer at offset ``at``; return it and the next offset. Raises DamagedError."""
    value = 0
    for count in range(MAX_VARINT_BYTES):
        if at >= end:
            break
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise DamagedError("a number has no end")


def read_fields(data: Buffer, start: int, end: int) -> Iterator[Field]:
    """Yield the fields of the protobuf message in bytes ``start`` to ``end``. Raises DamagedError."""
    at = start
    while at < end:
        tag, at = read_varint(data, at, end)
        number, wire, value, begin = tag >> 3, tag & 7, 0, at
        if wire == VARINT:
            value, at = read_varint(data, at, end)
        elif wire == BYTES:
            length, begin = read_varint(data, at, end)
            at = begin + length
        elif wire in (FIXED32, FIXED64):
            at += 4 if wire == FIXED32 else 8
        else:
            raise DamagedError(f"unknown wire type {wire}")
        if at > end or not 0 < number < 1 << 29:
            raise DamagedError("a field goes beyond its message")
        if wire in (FIXED32, FIXED64):
            value = int.from_bytes(data[begin:at], "little")
        yield Field(number, wire, value, begin, at)


def read_name(data: Buffer, field: Field) -> str:
    """Return a field's content as a name. Raises DamagedError if it is longer than ``MAX_NAME_BYTES`` or not text."""
    if field.wire != BYTES:
        raise DamagedError("a name is a number")
    if field.end - field.start > MAX_NAME_BYTES:
        raise DamagedError("a name is too long")
    try:
        return data[field.start : field.end].decode("utf-8")
    except UnicodeDecodeError:
        raise DamagedError("a name is not text") from None


def to_signed(value: int) -> int:
    """Return the signed value of an unsigned 64-bit value (two's complement)."""
    return value - (1 << 64) if value >> 63 else value


def read_integers(data: Buffer, field: Field) -> list[int]:
    """Return the signed integers of a repeated field, packed or not. Raises DamagedError."""
    if field.wire != BYTES:
        return [to_signed(field.value)]
    integers, at = [], field.start
    while at < field.end:
        value, at = read_varint(data, at, field.end)
        integers.append(to_signed(value))
    return integers


@dataclass(frozen=True)
class Port:
    """A graph's input or output: ``kind`` is its element type; ``shape`` is None if the file does not state it."""

    name: str
    kind: str
    shape: tuple[Axis, ...] | None


@dataclass(frozen=True)
class Node:
    """An operator, its numeric attributes by name, a small tensor attribute or None, and its inner graphs."""

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, tuple[float, ...]]
    constant: np.ndarray | None
    bodies: tuple[Graph, ...] = ()
    overload: str = ""

    @property
    def reads(self) -> tuple[str, ...]:
        """Return the names of the operator's inputs, and of all values that its inner graphs read."""
        return self.inputs + tuple(name for body in self.bodies for node in body.nodes for name in node.reads)


@dataclass
class Graph:
    """The contents of an ONNX file. ``functions``: operators of the file's functions, by (domain, name, overload)."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, np.ndarray | None] = field(default_factory=dict)  # By name; None if large or duplicate
    functions: dict[tuple[str, str, str], list[Node]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)

    def bounds(self) -> dict[str, float]:
        """Return the single numbers among the ``initializers`` by name; they can limit loops."""
        computed_names, values = self.computed_names(), self.initializers.items()
        return {n: float(v.ravel()[0]) for n, v in values if v is not None and v.size == 1 and n not in computed_names}

    def computed_names(self) -> set[str]:
        """Return the names of the graph's inputs and of all operators' outputs."""
        return {name for node in self.nodes for name in node.outputs} | {port.name for port in self.inputs}

    def constants(self) -> dict[str, np.ndarray]:
        """Return the small constants of the graph by name, from initializers and ``Constant`` operators."""
        found = {name: value for name, value in self.initializers.items() if value is not None}
        computed_names = (node for node in self.nodes if node.op == "Constant" and node.outputs)
        return found | {node.outputs[0]: node.constant for node in computed_names if node.constant is not None}


def read_graph(path: Path) -> Graph:
    """Read the graph of an ONNX file. Raises ModelError if it is damaged, too large, or has weights in another file."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError(str(path), f"it has {size >> 20} MiB, but ONNX files have at most {MAX_BYTES >> 20}", REMEDY)
    with map_file(path) as data:
        return parse_graph(data, path)


def parse_graph(data: Buffer, path: Path) -> Graph:
    """Read a graph from the bytes ``data``; ``path`` names the file in errors. Raises like ``read_graph``."""
    try:
        return _Reader(data, path).read()
    except (DamagedError, ValueError, OverflowError) as error:
        raise ModelError(str(path), f"it is damaged ({error})", "copy or export it again") from None


class _Reader:
    """A parser of one ONNX file that limits the number of fields, and so the time."""

    def __init__(self, data: Buffer, path: Path) -> None:
        """Create a parser of the bytes ``data``; ``path`` names the file in errors."""
        self.data, self.path, self.graph = data, path, Graph()
        self.fields_left, self.nodes, self.depth = MAX_FIELDS, 0, 0

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        """Yield the fields in bytes ``start`` to ``end``. Raises ModelError after ``MAX_FIELDS`` fields of the file."""
        for part in read_fields(self.data, start, end):
            self.fields_left -= 1
            if self.fields_left < 0:
                raise ModelError(str(self.path), f"it has more than {MAX_FIELDS} fields", "do not use this file")
            yield part

    def _inside(self, part: Field) -> Iterator[Field]:
        """Return the fields of the message that a field contains; none if the field contains a number."""
        return self._fields(part.start, part.end) if part.wire == BYTES else iter(())

    def read(self) -> Graph:
        """Parse the whole file (a ModelProto) and return its graph. Raises ModelError, DamagedError."""
        for part in self._fields(0, len(self.data)):
            if part.number == 7:
                self._read_graph(part, self.graph)
            elif part.number == 14:
                pair = {p.number: self._text(p) for p in self._inside(part) if p.wire == BYTES}
                self.graph.metadata[pair.get(1, "")] = pair.get(2, "")
            elif part.number == 20:
                raise ModelError(str(self.path), "it holds a training graph", REMEDY)
            elif part.number == 25:
                self._read_function(part)
        return self.graph

    def _text(self, part: Field) -> str:
        """Return a field's content as text, cut to ``MAX_NAME_BYTES``."""
        return self.data[part.start : min(part.end, part.start + MAX_NAME_BYTES)].decode("utf-8", "replace")

    def _read_graph(self, message: Field, graph: Graph) -> None:
        """Add the operators, constants, inputs and outputs of a GraphProto message to ``graph``."""
        for part in self._inside(message):
            if part.number == 1:
                graph.nodes.append(self._node(part))
            elif part.number == 5:
                name, value = self._tensor(part)
                graph.initializers[name] = None if name in graph.initializers else value
            elif part.number == 15:
                raise ModelError(str(self.path), "it has sparse weights", REMEDY)
            elif part.number == 11:
                graph.inputs.append(self._port(part))
            elif part.number == 12:
                graph.outputs.append(self._port(part))

    def _read_function(self, message: Field) -> None:
        """Add the function of a FunctionProto message to the file's functions."""
        texts, nodes = {1: "", 10: "", 13: ""}, []
        for part in self._inside(message):
            if part.number in texts:
                texts[part.number] = read_name(self.data, part)
            elif part.number == 7:
                nodes.append(self._node(part))
            elif part.number == 11:
                self._attribute(part)  # Raises ModelError for tensor data in another file
        self.graph.functions[texts[10], texts[1], texts[13]] = nodes

    def _node(self, message: Field) -> Node:
        """Return the operator of a NodeProto message. Raises ModelError after ``MAX_NODES`` operators."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ModelError(str(self.path), f"it has more than {MAX_NODES} operators", "do not use this file")
        inputs, outputs, texts = [], [], {4: "", 7: "", 8: ""}
        numbers: dict[str, tuple[float, ...]] = {}
        constant, bodies = None, list[Graph]()
        for part in self._inside(message):
            if part.number == 1:
                inputs.append(read_name(self.data, part))
            elif part.number == 2:
                outputs.append(read_name(self.data, part))
            elif part.number in texts:
                texts[part.number] = read_name(self.data, part)
            elif part.number == 5:
                name, values, tensor, graphs = self._attribute(part)
                numbers |= {name: values} if values else {}
                constant = tensor if tensor is not None else constant
                bodies += graphs
        if texts[4] == "Constant" and constant is None and numbers:
            constant = np.array(next(iter(numbers.values())), np.float64)
        return Node(texts[4], texts[7], tuple(inputs), tuple(outputs), numbers, constant, tuple(bodies), texts[8])

    def _attribute(self, message: Field) -> tuple[str, tuple[float, ...], np.ndarray | None, list[Graph]]:
        """Return the name, numbers, small tensor (or None) and inner graphs of an AttributeProto message."""
        name, numbers, tensor, graphs = "", list[float](), None, list[Graph]()
        for part in self._inside(message):
            if part.number == 1:
                name = read_name(self.data, part)
            elif part.number in (2, 7):
                numbers += self._floats(part)
            elif part.number in (3, 8) and part.end - part.start <= 10 * MAX_CONSTANT_SIZE:
                numbers += [float(n) for n in read_integers(self.data, part)]
            elif part.number in (5, 10):
                tensor = self._tensor(part)[1]
            elif part.number in (6, 11):
                graphs.append(self._body(part))
            elif part.number in (22, 23):
                raise ModelError(str(self.path), "it has sparse weights", REMEDY)
        return name, tuple(numbers[:MAX_CONSTANT_SIZE]), tensor, graphs

    def _body(self, part: Field) -> Graph:
        """Return the inner graph of an operator. Raises ModelError if graphs are nested deeper than ``MAX_DEPTH``."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise ModelError(str(self.path), "its loops are nested too deeply", "do not use this file")
        body = Graph()
        self._read_graph(part, body)
        self.depth -= 1
        return body

    def _floats(self, part: Field) -> list[float]:
        """Return up to ``MAX_CONSTANT_SIZE`` float32 numbers of a field."""
        if part.wire != BYTES:
            return list(struct.unpack("<f", part.value.to_bytes(4, "little")))
        count = min((part.end - part.start) // 4, MAX_CONSTANT_SIZE)
        return [float(v) for v in np.frombuffer(self.data[part.start : part.start + 4 * count], "<f4")]

    def _tensor(self, message: Field) -> tuple[str, np.ndarray | None]:
        """Return the name of a TensorProto message and its values, or None for a large tensor. Raises ModelError."""
        dims: list[int] = []
        kind, name, raw, values = 0, "", None, list[float]()
        for part in self._inside(message):
            if part.number == 1:
                dims += read_integers(self.data, part) if len(dims) < MAX_CONSTANT_SIZE else [-1]
            elif part.number == 2:
                kind = part.value
            elif part.number == 8:
                name = read_name(self.data, part)
            elif part.number == 9:
                raw = part
            elif part.number in (13, 14) and (part.number == 13 or part.value):
                raise ModelError(str(self.path), "its weights are in another file", "export it as a single file")
            elif len(values) <= MAX_CONSTANT_SIZE:
                values += self._values(part)
        count = 1
        for n in dims:
            count *= n
            if n < 0 or count > MAX_BYTES:
                raise ModelError(str(self.path), f"'{name[:80]}' has an impossible size", "do not use this file")
        return name, self._small(kind, dims, count, raw, values)

    def _values(self, part: Field) -> list[float]:
        """Return the numbers of a float, int32 or int64 data field; [] for other fields or too many numbers."""
        if part.number == 4:
            return self._floats(part)
        if part.number in (5, 7) and part.end - part.start <= 10 * MAX_CONSTANT_SIZE:
            return [float(n) for n in read_integers(self.data, part)]
        return []

    def _small(
        self, kind: int, dims: list[int], count: int, raw: Field | None, values: list[float]
    ) -> np.ndarray | None:
        """Return a small tensor's values as float64, from raw bytes or ``values``; None for any other tensor."""
        if count > MAX_CONSTANT_SIZE or kind not in DTYPES:
            return None
        if raw is not None:
            end = min(raw.end, raw.start + 8 * MAX_CONSTANT_SIZE)
            values = np.frombuffer(self.data[raw.start : end], DTYPES[kind]).tolist()
        return np.array(values, np.float64).reshape(dims) if len(values) == count else None

    def _port(self, message: Field) -> Port:
        """Return the input or output of a ValueInfoProto message."""
        name, kind, shape = "", "", None
        for part in self._inside(message):
            if part.number == 1:
                name = read_name(self.data, part)
            elif part.number == 2:
                for inner in self._inside(part):
                    kind = NON_TENSOR_TYPES.get(inner.number, kind)
                    if inner.number == 1:
                        kind, shape = self._tensor_type(inner)
        return Port(name, kind, shape)

    def _tensor_type(self, message: Field) -> tuple[str, tuple[Axis, ...] | None]:
        """Return the dtype name and the shape of a TypeProto.Tensor message; the shape is None if not stated."""
        kind, shape = "", None
        for part in self._inside(message):
            if part.number == 1:
                kind = DTYPES.get(part.value, f"element type {part.value}")
            elif part.number == 2:
                shape = tuple(self._axis(dim) for dim in self._inside(part) if dim.number == 1)
        return kind, shape

    def _axis(self, message: Field) -> Axis:
        """Return the length of an axis from a Dimension message. Raises ModelError for an impossible length."""
        axis: Axis = None
        for part in self._inside(message):
            if part.number == 1 and part.wire == VARINT:
                # Some exporters write 0 or −1 for a side of free length.
                side = to_signed(part.value)
                if not -1 <= side < 1 << 31:
                    raise ModelError(str(self.path), f"a side of {side} pixels is impossible", "do not use this file")
                axis = side if side > 0 else None
            elif part.number == 2:
                axis = self._text(part)
        return axis
