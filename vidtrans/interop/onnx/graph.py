"""What an ONNX file says: inputs, outputs, operators, small constants. Nothing of it is run.

The numbers of fields are those of ``onnx.proto`` (github.com/onnx/onnx, IR versions 3 to 13).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

MAX_BYTES = 2 << 30  # what protobuf's own parsers take
MAX_NODES = 100_000
MAX_FIELDS = 5_000_000  # in all messages that are looked at
SMALL = 64  # elements of a constant that is read; larger ones are weights
DTYPES = {1: "float32", 2: "uint8", 6: "int32", 7: "int64", 10: "float16", 11: "float64"}
OTHER_KINDS = {4: "a sequence", 5: "a map", 7: "an opaque type", 8: "a sparse tensor", 9: "an optional"}
REMEDY = "export the model again, as one image→image network"
Axis = int | str | None  # fixed, named, or unknown


@dataclass(frozen=True)
class Port:
    """An input or output: ``kind`` is its element type; ``shape`` is None where the file states none."""

    name: str
    kind: str
    shape: tuple[Axis, ...] | None


@dataclass(frozen=True)
class Node:
    """One operator, with its attributes that are numbers or texts; ``constant`` is a small tensor among them."""

    op: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    numbers: dict[str, tuple[float, ...]]
    texts: dict[str, str]
    constant: np.ndarray | None
    has_graph: bool
    overload: str = ""


@dataclass
class Graph:
    """What was read. ``functions`` are a file's own operators, by domain, name and overload."""

    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    initializers: dict[str, np.ndarray | None] = field(default_factory=dict)  # None: too large to be read
    functions: dict[tuple[str, str, str], list[Node]] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    opsets: dict[str, int] = field(default_factory=dict)
    producer: str = ""

    def constants(self) -> dict[str, np.ndarray]:
        """Return the small constants of the graph by name."""
        found = {name: value for name, value in self.initializers.items() if value is not None}
        return found | {n.outputs[0]: n.constant for n in self.nodes if n.constant is not None and n.outputs}
