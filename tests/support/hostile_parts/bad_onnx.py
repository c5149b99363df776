"""ONNX files that need too much, lie about shapes, nest without end, or are no graph of pictures.

Those that a library can write, with the reason of each refusal, are in ``onnx_graphs``.
"""

from __future__ import annotations

from collections.abc import Iterator

from hostile_parts import protobuf as p
from hostile_parts.maker import Maker

FREE = [1, 3, "h", "w"]
X, Y = p.value_info("x", FREE), p.value_info("y", FREE)
KERNEL = p.floats("k", (3, 3, 1, 1))
CONV = p.node("Conv", "x k", "y")
FLAG = p.tensor("c", (), b"\x01", 9)
# What is odd in these is well defined, or comes out only when they run.
HARMLESS = {"nodes in the wrong order", "a padding of -2^40", "an input of 2^40 pixels", "weights twice"}
HARMLESS |= {"an input that nothing reads", "names of half characters", "a byte changed", "notes in colours"}


def picture(*nodes: bytes, weights: tuple[bytes, ...] = (), more: bytes = b"", **settings: int) -> bytes:
    """Return a model from a picture x to a picture y."""
    return p.model(p.graph(nodes, [X], [Y], (KERNEL, *weights)), more=more, **settings)


def greedy() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those that need memory or time without end where they run."""
    for kind, inputs, shape in (
        ("ConstantOfShape", "s", [1, 3, 1 << 19, 1 << 19]),
        ("Tile", "x s", [1, 1, 1 << 20, 1 << 20]),
        ("Resize", "x - - s", [1, 3, 1 << 20, 1 << 20]),
        ("ConstantOfShape", "s", [-1, 3, 4, 4]),
    ):
        yield f"{kind} of {shape[-1]}", picture(p.node(kind, inputs, "y"), weights=(p.whole_numbers("s", shape),))
    shrink = p.whole_numbers("s", [0, 0, 0, 0, 0, 0, -(1 << 40), 0])
    yield "a padding of -2^40", picture(p.node("Pad", "x s", "y"), weights=(shrink,))
    yield "a transposed convolution of stride 2^20", picture(p.node("ConvTranspose", "x k", "y", strides=[1 << 20] * 2))
    doublings = [p.node("Concat", f"{_v(n)} {_v(n)}", _v(n + 1), axis=2) for n in range(60)]
    yield "doublings, 60 of them", picture(*doublings, p.node("Identity", "v60", "y"))
    scan = p.graph([p.node("Mul", "v e", "v2")], [p.value_info("v", FREE), p.value_info("e", [])], [Y])
    yield "a scan", picture(p.node("Scan", "x x", "y", body=("graph", scan), num_scan_inputs=1))


def _v(number: int) -> str:
    return f"v{number}" if number else "x"


def endless() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of graphs that contain themselves, or nest without end."""
    cycle = [p.node("Add", "x b", "a"), p.node("Add", "a x", "b")]
    yield "a cycle of two nodes", picture(*cycle, p.node("Relu", "b", "y"))
    yield "nodes in the wrong order", picture(p.node("Relu", "a", "y"), p.node("Relu", "x", "a"))
    yield "branches 10,000 deep", _branches(10_000)
    calls = {"f0": "f1", "f1": "f0"}
    functions = [p.function(name, [p.node(called, "x", "y", "own")]) for name, called in calls.items()]
    made = picture(p.node("f0", "x", "y", "own"), more=p.field(8, p.field(1, "own")) + p.fields(25, functions))
    yield "two functions that call each other", made
    yield "a graph within each graph", p.model(p.field(1, p.field(5, p.field(6, p.field(1, b"\x0a" * 100_000)))))
    yield "1,000,000 groups in groups", picture(CONV) + b"\x83\x06" * 1_000_000


def _branches(depth: int) -> bytes:
    """Branches in branches, with lengths that are written once: the file would else take minutes to make."""
    # From the inside out: the field of the one within, what stands before it, what after; attribute, node and graph.
    layers = (
        (6, p.field(1, "then_branch"), p.field(20, 5)),
        (5, p.field(1, "c") + p.field(2, "z"), p.field(4, "If")),
        (1, b"", p.field(2, "g") + p.field(12, p.value_info("z", FREE))),
    )
    head, tail, size = list[bytes](), list[bytes](), 0
    for number, before, after in layers * depth:
        head.append(before + p.varint(number << 3 | 2) + p.varint(size))
        tail.append(after)
        size += len(head[-1]) + len(after)
    content = b"".join(reversed(head)) + b"".join(tail)
    return picture(p.node("If", "c", "y", then_branch=("graph", content)), weights=(FLAG,))


def odd() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those that need what nobody has, or whose settings, sides or types lie."""
    yield "an operator that does not exist", picture(p.node("Explode", "x", "y"))
    yield "version 10^9 of the operators", picture(CONV, opset=10**9)
    yield "version 2^31 of the format", picture(CONV, version=1 << 31)
    yield "no version", p.field(7, p.graph([CONV], [X], [Y], [KERNEL]))
    yield "an unknown attribute", picture(p.node("Relu", "x", "y", evil=7))
    settings: dict[str, dict[str, object]] = {"group 0": {"group": 0}, "group 2^62": {"group": 1 << 62}}
    settings |= {"a stride of 0": {"strides": [0, 0]}, "a padding of -2^62": {"pads": [-(1 << 62)] * 4}}
    for name, values in settings.items():
        yield f"a convolution of {name}", picture(p.node("Conv", "x k", "y", **values))
    inputs: dict[str, tuple[list[int | str], int]] = {
        "a side of 2^63 - 1": ([1, 3, (1 << 63) - 1, 8], p.FLOAT),
        "2^40 pixels": ([1, 3, 1 << 20, 1 << 20], p.FLOAT),
        "seven sides": ([1, 3, 8, 8, 8, 8, 8], p.FLOAT),
        "text": (FREE, p.STRING),
        "an unknown type": (FREE, 77),
    }
    for name, (dims, kind) in inputs.items():
        graph = p.graph([CONV], [p.value_info("x", dims, kind)], [p.value_info("y", dims, kind)], [KERNEL])
        yield f"an input of {name}", p.model(graph)
    values = p.tensor("k", (3, 3, 1, 1), bytes(36))
    kernels: dict[str, list[bytes]] = {
        "of 2^63 elements": [p.tensor("k", (1 << 63, 1), bytes(36))],
        "of a negative side": [p.tensor("k", (-3, -3, 1, 1), bytes(36))],
        "whose sides overflow": [p.tensor("k", (1 << 32, 1 << 32, 1, 1), bytes(36))],
        "of fewer bytes than elements": [p.tensor("k", (3, 3, 1, 1), bytes(7))],
        "of an unknown type": [p.tensor("k", (3, 3, 1, 1), bytes(36), 77)],
        "that are not numbers": [p.floats("k", (3, 3, 1, 1), float("nan"))],
        "in a link to a device": [p.external("k", (3, 3, 1, 1), location="/dev/zero", offset=0, length=36)],
        "twice": [values, values],
    }
    for name, kernel in kernels.items():
        yield f"weights {name}", p.model(p.graph([CONV], [X], [Y], kernel))
    sparse = p.field(1, values) + p.field(2, p.whole_numbers("i", [1 << 40] * 9)) + p.fields(3, [3, 3, 1, 1])
    yield "sparse weights", p.model(p.graph([CONV], [X], [Y]) + p.field(15, sparse))


def graphs() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of graphs from no picture to no picture, and of what protobuf does not read."""
    yield "an empty graph", p.model(b"")
    yield "no output", p.model(p.graph([CONV], [X], [], [KERNEL]))
    yield "an input that nothing reads", picture(p.node("RandomNormal", "", "y", shape=[1, 3, 8, 8]))
    yield "an output that nothing makes", p.model(p.graph([CONV], [X], [p.value_info("z", FREE)], [KERNEL]))
    yield "an output twice", picture(CONV, CONV)
    yield "a shape for an output", picture(p.node("Shape", "x", "y"))
    yield "one pixel for an output", picture(p.node("GlobalAveragePool", "x", "y"))
    yield "words from a picture", picture(p.node("Cast", "x", "y", to=8))
    good = picture(CONV)
    for part in (1, 5, len(good) // 2, len(good) - 1):
        yield f"its first {part} bytes", good[:part]
    yield "a field of 2^60 bytes", p.varint(7 << 3 | 2) + p.varint(1 << 60)
    yield "a number that does not end", b"\x08" + b"\xff" * 1000
    yield "names of half characters", picture(p.node("Relu", "x", "y") + p.field(3, b"\xff\xfe"))
    yield "a byte changed", good[:40] + bytes([good[40] ^ 0xFF]) + good[41:]
    notes = p.fields(14, [p.field(1, "\x1b[31mauthor\n\r") + p.field(2, "\x1b]0;evil\x07" + "x" * (1 << 20))])
    yield "notes in colours", picture(CONV, more=notes)


def write(maker: Maker) -> None:
    """Make them."""
    for name, data in (*greedy(), *endless(), *odd(), *graphs()):
        maker.add(f"onnx with {name}", data, "net.onnx", refused=name not in HARMLESS)
