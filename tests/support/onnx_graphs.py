"""ONNX graphs for tests: networks of known ranges and axes, and hostile files. They need the package onnx."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FREE = ("batch", 3, "height", "width")
IR, OPSET = 8, 17
STRANGE_INPUTS = (
    ("a-strength", [1], TensorProto.FLOAT),
    ("a-number-beside-a-picture", [], TensorProto.FLOAT),
    ("an-index-of-a-look", [4], TensorProto.INT64),
    ("a-vector-of-any-length", ["n"], TensorProto.FLOAT),
    ("a-matrix", [4, 4], TensorProto.FLOAT),
    ("a-vector-too-long", [5000], TensorProto.FLOAT),
)


def constant(name: str, values: Any, kind: type = np.float32) -> Any:
    return numpy_helper.from_array(np.array(values, kind), name)


def model(
    nodes: Sequence[Any],
    shape: Sequence[int | str | None] = FREE,
    out: Sequence[int | str | None] = FREE,
    constants: Sequence[Any] = (),
    kind: int = TensorProto.FLOAT,
    **more: Any,
) -> Any:
    """A model of one input 'x' and one output 'y'."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, out)],
        list(constants),
    )
    opsets = [helper.make_opsetid("", OPSET), *more.pop("opsets", [])]
    return helper.make_model(graph, opset_imports=opsets, ir_version=IR, **more)


def save(path: Path, made: Any) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def painter(taken: tuple[float, float], given: tuple[float, float], **options: Any) -> Any:
    """A network that swaps dark and light: 1 − p of pictures p in [0, 1], for numbers of these ranges, then bounded."""
    (low, high), (least, most) = taken, given
    scale = (most - least) / (high - low)
    nodes = [
        helper.make_node("Sub", ["top", "x"], ["turned"]),
        helper.make_node("Mul", ["turned", "scale"], ["scaled"]),
        helper.make_node("Add", ["scaled", "least"], ["moved"]),
        helper.make_node("Clip", ["moved", "least", "most"], ["y"]),
    ]
    values = {"top": high, "scale": scale, "least": least, "most": most}
    return model(nodes, constants=[constant(n, v) for n, v in values.items()], **options)


def fixed_and_normed(height: int, width: int) -> Any:
    """A network for one size, with an instance norm: a picture of another tone gives the same."""
    shape = (1, 3, height, width)
    ones = [constant("gain", [60.0] * 3), constant("bias", [128.0] * 3)]
    return model([helper.make_node("InstanceNormalization", ["x", "gain", "bias"], ["y"])], shape, shape, ones)


def tinter(
    tints: Any,
    vector: Sequence[int | str | None],
    shape: Sequence[int | str | None] = FREE,
    *,
    first: str = "x",
    kind: int = TensorProto.FLOAT,
) -> Any:
    """A network of two inputs, a picture 'x' and a vector 'style': p · style · tints, of pictures p in [0, 1].

    ``tints``: (numbers, 3), a factor for each channel; ``vector``: the shape of 'style'; ``first``: its first input.
    """
    channels = [1, 1, 1, 3] if shape[-1] == 3 else [1, 3, 1, 1]
    nodes = [
        helper.make_node("Cast", ["style"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["numbers", "row"], ["weights"]),
        helper.make_node("MatMul", ["weights", "tints"], ["tint"]),
        helper.make_node("Reshape", ["tint", "channels"], ["factors"]),
        helper.make_node("Div", ["x", "most"], ["normed"]),  # says that pictures are in [0, 1]
        helper.make_node("Mul", ["normed", "factors"], ["product"]),
        helper.make_node("Clip", ["product", "least", "most"], ["y"]),
    ]
    sides = [constant("row", [1, -1], np.int64), constant("channels", channels, np.int64)]
    values = [constant("tints", tints), constant("least", 0.0), constant("most", 1.0)]
    made = model(nodes, shape, shape, [*sides, *values])
    made.graph.input.insert(int(first == "x"), helper.make_tensor_value_info("style", kind, vector))
    return made


def mean_colour(side: int | str, out: Sequence[int]) -> Any:
    """A predictor of styles: the mean colour of a picture in [0, 1], (1, side, side, 3), in the shape ``out``."""
    nodes = [
        helper.make_node("ReduceMean", ["x"], ["mean"], axes=[1, 2]),
        helper.make_node("Reshape", ["mean", "sides"], ["y"]),
    ]
    return model(nodes, (1, side, side, 3), out, [constant("sides", list(out), np.int64)])


def loop_of(nodes: Sequence[Any], times: str = "times", *, inside: Sequence[Any] = (), kept: str = "") -> Any:
    """A loop from 'x' to 'y' of nodes from 'state' to 'next'; ``kept``: a value that it gives of each round."""
    value = helper.make_tensor_value_info
    outputs = [value("on", TensorProto.BOOL, []), value("next", TensorProto.FLOAT, None)]
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["on"]), *nodes],
        "body",
        [
            value("count", TensorProto.INT64, []),
            value("go", TensorProto.BOOL, []),
            value("state", TensorProto.FLOAT, None),
        ],
        [*outputs, *([value(kept, TensorProto.FLOAT, None)] if kept else [])],
        list(inside),
    )
    return helper.make_node("Loop", [times, "always", "x"], ["y", *(["all"] if kept else [])], body=body)


class Patched:
    """A model whose file has other bytes in place of a name of five letters, PLACE."""

    def __init__(self, made: Any, name: bytes) -> None:
        self._made, self._name = made, name

    def SerializeToString(self) -> bytes:  # noqa: N802  (as the package onnx calls it)
        made = copy.deepcopy(self._made)
        long = "n" * len(self._name)  # the lengths in the file are right
        for node in made.graph.node:
            node.input[:] = [long if name == "PLACE" else name for name in node.input]
        for each in made.graph.initializer:
            each.name = long if each.name == "PLACE" else each.name
        data: bytes = made.SerializeToString()
        return (
            data.replace(long.encode(), self._name)
            if len(self._name) > 1
            else data.replace(b"\x01n", b"\x01" + self._name)
        )


def rounds(number: int) -> list[Any]:
    """The constants of ``loop_of``."""
    return [constant("times", number, np.int64), constant("always", True, bool)]


def hostile_loops(outside: Any) -> Iterator[tuple[str, Any, str]]:
    """Yield names, models with loops, and what is said of them; ``outside``: a tensor in another file."""
    step = helper.make_node("Identity", ["state"], ["next"])
    refused = "it has branches, or loops without a small number of rounds"
    yield "endless-loop", model([loop_of([step])], constants=rounds(2**62)), refused
    yield "loop-of-no-known-end", model([loop_of([step], "")], constants=rounds(4)), refused
    counted = [helper.make_node("Size", ["x"], ["size"]), loop_of([step], "size")]
    yield "loop-of-as-many-rounds-as-pixels", model(counted, constants=rounds(4)), refused
    within = loop_of([step], "many")
    within.input[2], within.output[0] = "state", "next"
    nested = model([loop_of([within])], constants=[*rounds(1000), constant("many", 1000, np.int64)])
    yield "loop-in-a-loop", nested, refused
    hidden = loop_of([helper.make_node("Add", ["count", "count"], ["many"]), within])
    yield "loop-by-another-constant", model([hidden], constants=[*rounds(4), constant("many", 2, np.int64)]), refused
    yield "loop-that-keeps-all", model([loop_of([step], kept="state")], constants=rounds(1000)), refused
    by_operator = helper.make_node("Constant", [], ["times"], value=constant("four", 4, np.int64))
    yield "loop-by-an-operator", model([by_operator, loop_of([step])], constants=rounds(4)[1:]), refused
    twice = [constant("times", 2**62, np.int64), *rounds(4)]
    yield "loop-by-two-constants", model([loop_of([step])], constants=twice), refused
    size = helper.make_node("Size", ["x"], ["times"])
    yield "loop-by-a-constant-that-is-overwritten", model([size, loop_of([step])], constants=rounds(4)), refused
    for name, mark in (("long", b"n" * 5000), ("no-text", b"\xfe")):
        patched = Patched(
            model([loop_of([step], "PLACE")], constants=[constant("PLACE", 4, np.int64), rounds(4)[1]]), mark
        )
        yield f"loop-by-a-{name}-name", patched, "it is damaged"
    called = [helper.make_node("Identity", ["in"], ["out"])]
    functions = []
    for level in range(8):
        places = ["in", *(f"p{n}" for n in range(9)), "out"]
        steps = [helper.make_node(f"f{level - 1}", [one], [other], domain="own") for one, other in pairwise(places)]
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("own", 1)]
        functions.append(helper.make_function("own", f"f{level}", ["in"], ["out"], steps if level else called, opsets))
    call = helper.make_node("f7", ["state"], ["next"], domain="own")
    nested = model([loop_of([call])], constants=rounds(4), functions=functions, opsets=[helper.make_opsetid("own", 1)])
    yield "functions-in-a-loop", nested, "nested too deeply or too large"
    evil = helper.make_node("RunProgram", ["state"], ["next"], domain="evil.ops")
    yield "custom-operator-in-a-loop", model([loop_of([evil])], constants=rounds(4)), "belongs to another program"
    drawn = helper.make_node("RandomNormalLike", ["state"], ["next"])
    yield "random-numbers-in-a-loop", model([loop_of([drawn])], constants=rounds(4)), "random numbers"
    added = helper.make_node("Add", ["state", "w"], ["next"])
    yield "external-data-in-a-loop", model([loop_of([added], inside=[outside])], constants=rounds(4)), "another file"
    for _ in range(20):
        step = loop_of([step])
        step.input[2], step.output[0] = "state", "next"
    yield "loops-nested-deeply", model([loop_of([step])], constants=rounds(1)), "nested too deeply"


def hostile() -> Iterator[tuple[str, Any, str]]:
    """Yield names, models, and what is said of them."""
    same = [helper.make_node("Identity", ["x"], ["y"])]
    outside = constant("w", np.zeros((3,)))
    outside.data_location = TensorProto.EXTERNAL
    outside.external_data.add(key="location", value="/etc/passwd")
    add = [helper.make_node("Add", ["x", "w"], ["y"])]
    yield "external-data", model(add, constants=[outside]), "are in another file"
    inside = helper.make_node("Constant", [], ["w"], value=outside)
    yield "external-data-in-a-constant", model([inside, *add]), "are in another file"
    custom = [helper.make_node("RunProgram", ["x"], ["y"], domain="evil.ops")]
    yield "custom-operator", model(custom, opsets=[helper.make_opsetid("evil.ops", 1)]), "belongs to another program"
    context = [helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", ep_cache_context="/etc/passwd")]
    yield "cache-of-a-device", model(context, opsets=[helper.make_opsetid("com.microsoft", 1)]), "is not allowed"
    yield from hostile_loops(outside)
    yield "random-numbers", model([helper.make_node("RandomNormalLike", ["x"], ["y"])]), "random numbers"
    two = model(same)
    two.graph.input.append(helper.make_tensor_value_info("second", TensorProto.FLOAT, FREE))
    yield "two-pictures", two, "needs 2 pictures .* a network takes one picture"
    for name, shape, kind in STRANGE_INPUTS:
        strange = model(same)
        strange.graph.input.append(helper.make_tensor_value_info("second", kind, shape))
        yield name, strange, r"its input 'second' \(.*\) is neither a picture nor the numbers of a style"
    three = model(same)
    for name in ("second", "third"):
        three.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [4]))
    yield "three-inputs", three, "needs 3 inputs .* a picture, and at most one style"
    yield "no-operators", model([]), "computes nothing"
    yield "five-channels", model(same, (1, 5, 8, 8), (1, 5, 8, 8)), "not a picture of 1, 3 or 4 channels"
    yield "a-number", model(same, (), ()), "not a picture of 1, 3 or 4 channels"
    yield "whole-numbers", model(same, kind=TensorProto.INT64), "takes int64"
    yield "huge-sides", model(same, (1, 3, 2**30, 2**30), (1, 3, 2**30, 2**30)), "larger than 8192 pixels"
    yield "thousand-at-once", model(same, (1000, 3, 64, 64), (1000, 3, 64, 64)), "1000 pictures at once"
    huge = constant("w", [0.0])
    huge.dims[:] = [2**40, 2**40]
    yield "impossible-weights", model(add, constants=[huge]), "impossible size"
    functions = [
        helper.make_function("f", f"f{n}", ["a"], ["b"], _twice(f"f{n + 1}"), [helper.make_opsetid("f", 1)])
        for n in range(40)
    ]
    call = [helper.make_node("f0", ["x"], ["y"], domain="f")]
    last = helper.make_function(
        "f", "f40", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", OPSET)]
    )
    bomb = model(call, functions=[*functions, last], opsets=[helper.make_opsetid("f", 1)])
    yield "functions-that-double", bomb, "nested too deeply"
    circle = helper.make_function("f", "f0", ["a"], ["b"], _twice("f0"), [helper.make_opsetid("f", 1)])
    yield (
        "function-of-itself",
        model(call, functions=[circle], opsets=[helper.make_opsetid("f", 1)]),
        "nested too deeply",
    )
    sequence = [helper.make_node("SequenceConstruct", ["x"], ["s"]), helper.make_node("SequenceAt", ["s", "n"], ["y"])]
    yield "sequences", model(sequence, constants=[constant("n", 0, np.int64)]), "sequences or text"
    bad = model(same)
    bad.training_info.add()
    yield "training-graph", bad, "training graph"


def _twice(name: str) -> list[Any]:
    return [helper.make_node(name, ["a"], ["m"], domain="f"), helper.make_node(name, ["m"], ["b"], domain="f")]


def bombs() -> Iterator[tuple[str, Any]]:
    """Yield networks that pass every check of what they say, and take all memory where they run."""
    size = constant("size", [2**40], np.int64)
    nodes = [
        helper.make_node("ConstantOfShape", ["size"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros"], ["sum"], keepdims=0),
        helper.make_node("Add", ["x", "sum"], ["y"]),
    ]
    yield "zeros", model(nodes, constants=[size])
    scales = constant("scales", [1, 1, 10_000, 10_000])
    grown = [
        helper.make_node("Resize", ["x", "", "scales"], ["large"]),
        helper.make_node("ReduceMean", ["large"], ["mean"], keepdims=0),
        helper.make_node("Add", ["x", "mean"], ["y"]),
    ]
    yield "enlarged", model(grown, constants=[scales])


assert onnx.__version__
