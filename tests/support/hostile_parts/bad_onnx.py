"""ONNX files that need too much where they run, that no runtime takes, or that are hardly protobuf.

Those that are refused before anything runs, each for a reason of its own, are in ``onnx_graphs``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx_graphs import FREE, constant, model

from hostile_parts.maker import Maker

# Of these something is odd that comes out only when they run, if at all.
HARMLESS = {"nodes in the wrong order", "a padding of -2^40", "names of half characters", "notes in colours"}
ONES, NANS = constant("k", np.ones((3, 3, 1, 1))), np.full((3, 3, 1, 1), np.nan)


def _node(kind: str, inputs: str, output: str = "y", **attributes: Any) -> Any:
    return helper.make_node(kind, inputs.split(), [output], **attributes)


def _sized(kind: str, inputs: str, sizes: list[int]) -> Any:
    """A network of one operator with a shape, ``s``, of so many pixels."""
    return model([_node(kind, inputs)], constants=[constant("s", sizes, np.int64)])


def _conv(**attributes: Any) -> Any:
    return model([_node("Conv", "x k", **attributes)], constants=[ONES])


def graphs() -> Iterator[tuple[str, Any]]:
    """Yield (name, model) of those that a library can write."""
    yield "a constant of 2^40", _sized("ConstantOfShape", "s", [1, 3, 1 << 19, 1 << 19])
    yield "a tile of 2^40", _sized("Tile", "x s", [1, 1, 1 << 20, 1 << 20])
    yield "a shape of -1", _sized("ConstantOfShape", "s", [-1, 3, 4, 4])
    yield "a padding of -2^40", _sized("Pad", "x s", [0, 0, 0, 0, 0, 0, -(1 << 40), 0])
    stride = _node("ConvTranspose", "x k", strides=[1 << 20, 1 << 20])
    yield "a transposed convolution of stride 2^20", model([stride], constants=[ONES])
    names = ["x", *(f"v{n}" for n in range(60))]
    doublings = [_node("Concat", f"{a} {a}", b, axis=2) for a, b in pairwise(names)]
    yield "doublings, 60 of them", model([*doublings, _node("Identity", names[-1])])
    yield "a cycle of two nodes", model([_node("Add", "x b", "a"), _node("Add", "a x", "b"), _node("Relu", "b")])
    yield "nodes in the wrong order", model([_node("Relu", "a"), _node("Relu", "x", "a")])
    yield "an operator that does not exist", model([_node("Explode", "x")])
    yield "an unknown attribute", model([_node("Relu", "x", evil=7)])
    yield "a group of 0", _conv(group=0)
    yield "a group of 2^62", _conv(group=1 << 62)
    yield "a stride of 0", _conv(strides=[0, 0])
    yield "a padding of -2^62", _conv(pads=[-(1 << 62)] * 4)
    yield "weights that are not numbers", model([_node("Conv", "x k")], constants=[constant("k", NANS)])
    yield "an output twice", model([_node("Relu", "x"), _node("Relu", "x")])
    yield "an output that nothing makes", model([_node("Relu", "x", "z")])
    yield "a shape for an output", model([_node("Shape", "x")])
    yield "one pixel for an output", model([_node("GlobalAveragePool", "x")])
    yield "words from a picture", model([_node("Cast", "x", to=TensorProto.STRING)])
    yield "an input of text", model([_node("Identity", "x")], kind=TensorProto.STRING)
    yield "an input of seven sides", model([_node("Identity", "x")], (1, 3, 8, 8, 8, 8, 8))
    yield "an input of 2^63 - 1 pixels", model([_node("Identity", "x")], (1, 3, (1 << 63) - 1, 8))
    whole = model([_node("Identity", "x")], FREE)
    whole.ir_version = 1 << 31
    yield "version 2^31 of the format", whole
    colours = model([_node("Conv", "x k")], constants=[ONES])
    helper.set_model_props(colours, {"\x1b[31mauthor\n\r": "\x1b]0;evil\x07" + "x" * (1 << 20)})
    yield "notes in colours", colours


def damaged(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield (name, bytes) of what protobuf does not read, or reads for ever."""
    for part in (1, 5, len(good) // 2):
        yield f"its first {part} bytes", good[:part]
    yield "a field of 2^60 bytes", b"\x3a" + b"\x80" * 8 + b"\x10"
    yield "a number that does not end", b"\x08" + b"\xff" * 1000
    yield "1,000,000 groups in groups", good + b"\x83\x06" * 1_000_000
    inner = b""
    for _ in range(5_000):  # a graph in an attribute of a node of a graph
        for tag in (b"\x0a", b"\x2a", b"\x32"):
            inner = tag + _varint(len(inner)) + inner
    yield "graphs in graphs, 5,000 deep", b"\x08\x08\x3a" + _varint(len(inner)) + inner
    yield "names of half characters", good.replace(b"Conv", b"\xff\xfenv")


def _varint(number: int) -> bytes:
    digits = [number >> shift & 0x7F for shift in range(0, max(number.bit_length(), 1), 7)]
    return bytes([*(digit | 0x80 for digit in digits[:-1]), digits[-1]])


def write(maker: Maker) -> None:
    """Make them."""
    files = {name: made.SerializeToString() for name, made in graphs()}
    for name, data in (*files.items(), *damaged(files["a group of 0"])):
        maker.add(f"onnx with {name}", data, "net.onnx", refused=name not in HARMLESS)
