"""Read the graph of an ONNX file, without onnx and without its weights."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from vidtrans.core.errors import ModelError
from vidtrans.interop.onnx.graph import (
    DTYPES,
    MAX_BYTES,
    MAX_FIELDS,
    MAX_NODES,
    OTHER_KINDS,
    REMEDY,
    SMALL,
    Axis,
    Graph,
    Node,
    Port,
)
from vidtrans.interop.onnx.protobuf import (
    BYTES,
    VARINT,
    Buffer,
    DamagedError,
    Field,
    fields,
    float_of,
    integers_of,
    map_file,
    signed,
    text_of,
)


def is_onnx(path: Path) -> bool:
    """Return whether a file's first fields are those of an ONNX model, damaged or not. Raises OSError."""
    known = {1: VARINT, 5: VARINT} | dict.fromkeys((2, 3, 4, 6, 7, 8, 14, 20, 25, 26), BYTES)
    versions, graphs = 0, 0
    with map_file(path) as data:
        try:
            for count, part in enumerate(fields(data, 0, len(data))):
                if known.get(part.number) != part.wire or count > SMALL:
                    break
                versions += part.number == 1 and 1 <= part.value <= 1000
                graphs += part.number == 7
        except DamagedError:  # cut off: the head says what it was
            graphs += _names_graph(data)
    return versions > 0 and graphs > 0


def _names_graph(data: Buffer) -> bool:
    """Return whether a field that is not all there is a graph."""
    try:
        at = 0
        for part in fields(data, 0, len(data)):
            at = part.end
    except DamagedError:
        return len(data) > at + 2 and data[at] == 7 << 3 | BYTES
    return False


def read_graph(path: Path) -> Graph:
    """Read a detected file. Raises ModelError where it is damaged or too large, or where weights lie elsewhere."""
    size = path.stat().st_size
    if size > MAX_BYTES:
        raise ModelError(str(path), f"it has {size >> 20} MB, ONNX files have at most {MAX_BYTES >> 20}", REMEDY)
    with map_file(path) as data:
        return read_graph_in(data, path)


def read_graph_in(data: Buffer, path: Path) -> Graph:
    """Read a graph whose bytes ``path`` holds. Raises ModelError as ``read_graph``."""
    try:
        return _Reader(data, path).read()
    except (DamagedError, ValueError, OverflowError) as error:
        raise ModelError(str(path), f"it is damaged ({error})", "copy or export it again") from None


class _Reader:
    """Reads one file; counts fields, so that no file takes for ever."""

    def __init__(self, data: Buffer, path: Path) -> None:
        self.data, self.path, self.graph = data, path, Graph()
        self.left, self.nodes = MAX_FIELDS, 0

    def _fields(self, start: int, end: int) -> Iterator[Field]:
        for part in fields(self.data, start, end):
            self.left -= 1
            if self.left < 0:
                raise ModelError(str(self.path), f"it has more than {MAX_FIELDS} fields", "do not use this file")
            yield part

    def _inside(self, part: Field) -> Iterator[Field]:
        return self._fields(part.start, part.end) if part.wire == BYTES else iter(())

    def read(self) -> Graph:
        for part in self._fields(0, len(self.data)):
            if part.number == 2:
                self.graph.producer = self._text(part)
            elif part.number == 7:
                self._read_graph(part)
            elif part.number == 8:
                found = {p.number: p for p in self._inside(part)}
                domain = self._text(found[1]) if 1 in found else ""
                self.graph.opsets[domain] = found[2].value if 2 in found else 0
            elif part.number == 14:
                key, value = self._pair(part)
                self.graph.metadata[key] = value
            elif part.number == 20:
                raise ModelError(str(self.path), "it holds a training graph", REMEDY)
            elif part.number == 25:
                self._read_function(part)
        return self.graph

    def _text(self, part: Field) -> str:
        return text_of(self.data, part)

    def _pair(self, part: Field) -> tuple[str, str]:
        found = {p.number: self._text(p) for p in self._inside(part) if p.wire == BYTES}
        return found.get(1, ""), found.get(2, "")

    def _read_graph(self, whole: Field) -> None:
        graph = self.graph
        for part in self._inside(whole):
            if part.number == 1:
                graph.nodes.append(self._node(part))
            elif part.number == 5:
                name, value = self._tensor(part)
                graph.initializers[name] = value
            elif part.number == 15:
                raise ModelError(str(self.path), "it has sparse weights", REMEDY)
            elif part.number == 11:
                graph.inputs.append(self._port(part))
            elif part.number == 12:
                graph.outputs.append(self._port(part))

    def _read_function(self, whole: Field) -> None:
        texts, nodes = {1: "", 10: "", 13: ""}, []
        for part in self._inside(whole):
            if part.number in texts:
                texts[part.number] = self._text(part)
            elif part.number == 7:
                nodes.append(self._node(part))
            elif part.number == 11:
                self._attribute(part)  # refuses what lies elsewhere
        self.graph.functions[texts[10], texts[1], texts[13]] = nodes

    def _node(self, whole: Field) -> Node:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise ModelError(str(self.path), f"it has more than {MAX_NODES} operators", "do not use this file")
        inputs, outputs, texts = [], [], {4: "", 7: "", 8: ""}
        numbers: dict[str, tuple[float, ...]] = {}
        strings: dict[str, str] = {}
        constant, has_graph = None, False
        for part in self._inside(whole):
            if part.number == 1:
                inputs.append(self._text(part))
            elif part.number == 2:
                outputs.append(self._text(part))
            elif part.number in texts:
                texts[part.number] = self._text(part)
            elif part.number == 5:
                name, values, text, tensor, graph = self._attribute(part)
                numbers |= {name: values} if values else {}
                strings |= {name: text} if text else {}
                constant = tensor if tensor is not None else constant
                has_graph |= graph
        if texts[4] == "Constant" and constant is None and numbers:
            constant = np.array(next(iter(numbers.values())), np.float64)
        return Node(texts[4], texts[7], tuple(inputs), tuple(outputs), numbers, strings, constant, has_graph, texts[8])

    def _attribute(self, whole: Field) -> tuple[str, tuple[float, ...], str, np.ndarray | None, bool]:
        """Return name, numbers, text, small tensor, and whether it holds a graph."""
        name, text, numbers, tensor, has_graph = "", "", list[float](), None, False
        for part in self._inside(whole):
            if part.number == 1:
                name = self._text(part)
            elif part.number == 4:
                text = self._text(part)
            elif part.number in (2, 7):
                numbers += self._floats(part)
            elif part.number in (3, 8) and part.end - part.start <= 10 * SMALL:
                numbers += [float(n) for n in integers_of(self.data, part)]
            elif part.number in (5, 10):
                tensor = self._tensor(part)[1]
            elif part.number in (6, 11):
                has_graph = True
            elif part.number in (22, 23):
                raise ModelError(str(self.path), "it has sparse weights", REMEDY)
        return name, tuple(numbers[:SMALL]), text, tensor, has_graph

    def _floats(self, part: Field) -> list[float]:
        if part.wire != BYTES:
            return [float_of(part.value)]
        count = min((part.end - part.start) // 4, SMALL)
        return [float(v) for v in np.frombuffer(self.data[part.start : part.start + 4 * count], "<f4")]

    def _tensor(self, whole: Field) -> tuple[str, np.ndarray | None]:
        """Return a tensor's name and its values, None where it is a large one. Raises ModelError."""
        dims: list[int] = []
        kind, name, raw, values = 0, "", None, list[float]()
        for part in self._inside(whole):
            if part.number == 1:
                dims += integers_of(self.data, part) if len(dims) < SMALL else [-1]
            elif part.number == 2:
                kind = part.value
            elif part.number == 8:
                name = self._text(part)
            elif part.number == 9:
                raw = part
            elif part.number in (13, 14) and (part.number == 13 or part.value):
                raise ModelError(str(self.path), "its weights lie in another file", "export it as one file")
            elif len(values) <= SMALL:
                values += self._values(part)
        count = 1
        for n in dims:
            count *= n
            if n < 0 or count > MAX_BYTES:
                raise ModelError(str(self.path), f"'{name[:80]}' has an impossible size", "do not use this file")
        return name, self._small(kind, dims, count, raw, values)

    def _values(self, part: Field) -> list[float]:
        if part.number == 4:
            return self._floats(part)
        if part.number in (5, 7) and part.end - part.start <= 10 * SMALL:
            return [float(n) for n in integers_of(self.data, part)]
        return []

    def _small(
        self, kind: int, dims: list[int], count: int, raw: Field | None, values: list[float]
    ) -> np.ndarray | None:
        if count > SMALL or kind not in DTYPES:
            return None
        if raw is not None:
            values = np.frombuffer(self.data[raw.start : min(raw.end, raw.start + 8 * SMALL)], DTYPES[kind]).tolist()
        return np.array(values, np.float64).reshape(dims) if len(values) == count else None

    def _port(self, whole: Field) -> Port:
        name, kind, shape = "", "", None
        for part in self._inside(whole):
            if part.number == 1:
                name = self._text(part)
            elif part.number == 2:
                for inner in self._inside(part):
                    kind = OTHER_KINDS.get(inner.number, kind)
                    if inner.number == 1:
                        kind, shape = self._tensor_type(inner)
        return Port(name, kind, shape)

    def _tensor_type(self, whole: Field) -> tuple[str, tuple[Axis, ...] | None]:
        kind, shape = "", None
        for part in self._inside(whole):
            if part.number == 1:
                kind = DTYPES.get(part.value, f"element type {part.value}")
            elif part.number == 2:
                shape = tuple(self._axis(dim) for dim in self._inside(part) if dim.number == 1)
        return kind, shape

    def _axis(self, whole: Field) -> Axis:
        axis: Axis = None
        for part in self._inside(whole):
            if part.number == 1 and part.wire == VARINT:
                # Some exporters write 0 or −1 for what is free.
                side = signed(part.value)
                if not -1 <= side < 1 << 31:
                    raise ModelError(str(self.path), f"a side of {side} pixels is impossible", "do not use this file")
                axis = side if side > 0 else None
            elif part.number == 2:
                axis = self._text(part)
        return axis
