"""ONNX files that lie about shapes and types, need what is not there, or map no picture to a picture."""

from __future__ import annotations

from collections.abc import Iterator

from hostile_parts import protobuf as p
from hostile_parts.bad_onnx import CONV, FREE, KERNEL, X, Y, picture
from hostile_parts.maker import Maker

# What is odd in these is well defined, or comes out only when they run.
HARMLESS = {
    "an input of 2^40 pixels",
    "an input with a negative side",
    "a batch of 2^20 pictures",
    "a division by zero",
    "weights of more bytes than elements",
    "5 channels",
    "an input that nothing reads",
    "with names of half characters",
    "with a byte changed",
    "a dilation of 2^62",
    "weights twice",
}


def _between(inputs: list[bytes], outputs: list[bytes], *nodes: bytes, weights: tuple[bytes, ...] = ()) -> bytes:
    return p.model(p.graph(nodes or [CONV], inputs, outputs, (KERNEL, *weights)))


def _of_input(dims: list[int | str] | None, kind: int = p.FLOAT) -> bytes:
    return _between([p.value_info("x", dims, kind)], [p.value_info("y", dims, kind)])


def _of_kernel(*kernel: bytes) -> bytes:
    return p.model(p.graph([CONV], [X], [Y], kernel))


def foreign() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those that need operators, or versions, that nobody has."""
    for domain in ("evil.custom", "com.microsoft.extensions", "ai.onnx.contrib", "ai.onnx.training"):
        yield f"an operator of {domain}", picture(p.node("PyOp", "x", "y", domain), domains=[domain])
    yield "an operator that does not exist", picture(p.node("Explode", "x", "y"))
    yield "an operator without a name", picture(p.node("", "x", "y"))
    yield "version 10^9 of the operators", picture(CONV, opset=10**9)
    yield "version -1 of the operators", picture(CONV, opset=-1)
    yield "version 2^31 of the format", picture(CONV, version=1 << 31)
    yield "no version", p.field(7, p.graph([CONV], [X], [Y], [KERNEL]))
    yield "an unknown attribute", picture(p.node("Relu", "x", "y", evil=7))
    yield "a group of 2^62", picture(p.node("Conv", "x k", "y", group=1 << 62))
    yield "a group of 0", picture(p.node("Conv", "x k", "y", group=0))
    yield "a stride of 0", picture(p.node("Conv", "x k", "y", strides=[0, 0]))
    yield "a stride of -1", picture(p.node("Conv", "x k", "y", strides=[-1, -1]))
    yield "a dilation of 2^62", picture(p.node("Conv", "x k", "y", dilations=[1 << 62, 1 << 62]))
    yield "a padding of -2^62", picture(p.node("Conv", "x k", "y", pads=[-(1 << 62)] * 4))


def shapes() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of those whose sides or types lie."""
    yield "an input with a side of 2^63 - 1", _of_input([1, 3, (1 << 63) - 1, 8])
    yield "an input with a negative side", _of_input([1, 3, -8, 8])
    yield "an input of no pixels", _of_input([1, 3, 0, 8])
    yield "an input of 2^40 pixels", _of_input([1, 3, 1 << 20, 1 << 20])
    yield "an input of seven sides", _of_input([1, 3, 8, 8, 8, 8, 8])
    yield "an input of one side", _of_input([3])
    yield "an input of text", _of_input(FREE, p.STRING)
    yield "an input of an unknown type", _of_input(FREE, 77)
    yield "an input of complex numbers", _of_input(FREE, 14)
    yield "a batch of 2^20 pictures", _of_input([1 << 20, 3, 8, 8])
    yield "5 channels", _of_input([1, 5, 8, 8])
    values = p.tensor("k", (3, 3, 1, 1), bytes(36))
    yield "weights of 2^63 elements", _of_kernel(p.tensor("k", (1 << 63, 1), bytes(36)))
    yield "weights of a negative side", _of_kernel(p.tensor("k", (-3, -3, 1, 1), bytes(36)))
    yield "weights whose sides overflow", _of_kernel(p.tensor("k", (1 << 32, 1 << 32, 1, 1), bytes(36)))
    yield "weights of fewer bytes than elements", _of_kernel(p.tensor("k", (3, 3, 1, 1), bytes(7)))
    yield "weights of more bytes than elements", _of_kernel(p.tensor("k", (3, 3, 1, 1), bytes(1000)))
    yield "weights of an unknown type", _of_kernel(p.tensor("k", (3, 3, 1, 1), bytes(36), 77))
    yield "weights of text", _of_kernel(p.tensor("k", (3, 3, 1, 1), b"", p.STRING))
    yield "weights that are not numbers", _of_kernel(p.floats("k", (3, 3, 1, 1), float("nan")))
    yield "weights twice", _of_kernel(values, values)
    yield "no weights", _of_kernel()
    sparse = p.field(1, values) + p.field(2, p.whole_numbers("i", [1 << 40] * 9)) + p.fields(3, [3, 3, 1, 1])
    yield "sparse weights at 2^40", p.model(p.graph([CONV], [X], [Y]) + p.field(15, sparse))
    outside = p.node("Gather", "x i", "y", axis=3)
    yield "an index of 2^62", picture(outside, weights=(p.whole_numbers("i", [1 << 62]),))
    reshape = p.node("Reshape", "x i", "y")
    yield "a shape that does not fit", picture(reshape, weights=(p.whole_numbers("i", [7, 7, 7, 1 << 40]),))
    yield "a division by zero", picture(p.node("Div", "x i", "y"), weights=(p.floats("i", (), 0.0),))


def graphs() -> Iterator[tuple[str, bytes]]:
    """Yield (name, file) of graphs from no picture to no picture."""
    yield "no graph", p.field(1, 8)
    yield "an empty graph", p.model(b"")
    yield "no input", _between([], [Y])
    yield "no output", _between([X], [])
    yield "two inputs", _between([X, p.value_info("x2", FREE)], [Y], p.node("Add", "x x2", "y"))
    yield "an input that nothing reads", _between([X], [Y], p.node("RandomNormal", "", "y", shape=[1, 3, 8, 8]))
    yield "an output that nothing makes", _between([X], [p.value_info("z", FREE)])
    yield "an output twice", _between([X], [Y], CONV, CONV)
    yield "an input that nothing gives", _between([X], [Y], p.node("Conv", "x k missing", "y"))
    yield (
        "classes for an output",
        _between(
            [p.value_info("x", [1, 3, 8, 8])],
            [p.value_info("y", [1, 10])],
            p.node("Flatten", "x", "flat"),
            p.node("MatMul", "flat m", "y"),
            weights=(p.floats("m", (192, 10)),),
        ),
    )
    sizes = p.node("Shape", "x", "y")
    yield "a shape for an output", _between([X], [p.value_info("y", [4], p.INT64)], sizes)
    yield "a list for an output", _between([X], [p.field(1, "y")], p.node("SequenceConstruct", "x", "y"))
    mean = p.node("GlobalAveragePool", "x", "y")
    yield "one pixel for an output", _between([X], [p.value_info("y", [1, 3, 1, 1])], mean)
    yield "words from a picture", _between([X], [p.value_info("y", FREE, p.STRING)], p.node("Cast", "x", "y", to=8))


def broken() -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of what protobuf does not read."""
    good = picture(CONV)
    for part in (1, 5, len(good) // 4, len(good) // 2, 3 * len(good) // 4, len(good) - 1):
        yield f"of its first {part} bytes", good[:part]
    yield "with a field of 2^60 bytes", p.varint(7 << 3 | 2) + p.varint(1 << 60)
    yield "with a number that does not end", b"\x08" + b"\xff" * 1000
    yield "with 1,000,000 groups in groups", good + b"\x83\x06" * 1_000_000
    yield "with names of half characters", picture(p.node("Relu", "x", "y") + p.field(3, b"\xff\xfe"))
    yield "with a byte changed", good[:40] + bytes([good[40] ^ 0xFF]) + good[41:]
    yield "of nothing", b""
    yield "of zeros", bytes(4096)
    yield "with a graph within each graph", p.model(p.field(1, p.field(5, p.field(6, p.field(1, b"\x0a" * 100_000)))))


def write(maker: Maker) -> None:
    """Make them."""
    for name, data in (*foreign(), *shapes(), *graphs()):
        maker.add(f"onnx with {name}", data, "net.onnx", refused=name not in HARMLESS)
    for name, data in broken():
        maker.add(f"onnx {name}", data, "net.onnx", refused=name not in HARMLESS)
    notes = p.fields(14, [p.field(1, "\x1b[31mauthor\n\r") + p.field(2, "\x1b]0;evil\x07" + "x" * (1 << 20))])
    maker.add("onnx with notes in colours", picture(CONV, more=notes), "net.onnx", refused=False)
