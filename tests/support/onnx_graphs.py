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


SEEN, SIDE = 32, 64  # Sides of the tiny segmenter's features and of its input


def _graph(nodes: Sequence[Any], inputs: dict[str, Any], outputs: Sequence[str], constants: Sequence[Any]) -> Any:
    """A model of several named inputs, with their shapes, and outputs."""
    graph = helper.make_graph(
        list(nodes),
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        list(constants),
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)


def save_segmenter(folder: Path, prefixes: Sequence[str] = ("", "", "", ""), *, fixed: int = 0) -> Path:
    """Write the four graphs of an interactive segmenter that finds what has the colour of the thing it remembers.

    ``prefixes``: of the names of their inputs and outputs. ``fixed``: number of memories of the attention; 0: any.
    """
    folder.mkdir(parents=True, exist_ok=True)
    node, (encoder, attention, decoder, memory) = helper.make_node, prefixes
    pool = {"kernel_shape": [2, 2], "strides": [2, 2]}
    cells = SEEN * SEEN
    save(
        folder / "image_encoder.onnx",
        _graph(
            [
                node("AveragePool", [f"{encoder}image"], [f"{encoder}pix_feat"], **pool),
                node("Add", [f"{encoder}pix_feat", "nothing"], [f"{encoder}vision_feats"]),
                node("Identity", ["positions"], [f"{encoder}vision_pos_embed"]),
                node("Identity", [f"{encoder}image"], [f"{encoder}high_res_feat0"]),
                node("Identity", [f"{encoder}pix_feat"], [f"{encoder}high_res_feat1"]),
            ],
            {f"{encoder}image": [1, 3, SIDE, SIDE]},
            [f"{encoder}{n}" for n in ("pix_feat", "high_res_feat0", "high_res_feat1", "vision_feats")]
            + [f"{encoder}vision_pos_embed"],
            [constant("nothing", [0]), constant("positions", np.zeros((cells, 1, 3)))],
        ),
    )
    of = [f"{memory}{n}" for n in ("mask_for_mem", "pix_feat")]
    made = [f"{memory}{n}" for n in ("maskmem_features", "maskmem_pos_enc", "temporal_code")]
    save(  # The features inside the mask, and the mask
        folder / "memory_encoder.onnx",
        _graph(
            [
                node("AveragePool", [of[0]], ["small"], **pool),
                node("Greater", ["small", "zero"], ["inside"]),
                node("Cast", ["inside"], ["mask"], to=TensorProto.FLOAT),
                node("Mul", [of[1], "mask"], ["masked"]),
                node("Concat", ["masked", "mask"], [made[0]], axis=1),
                node("Identity", ["positions"], [made[1]]),
                node("Identity", ["times"], [made[2]]),
            ],
            {of[0]: [1, 1, SIDE, SIDE], of[1]: [1, 3, SEEN, SEEN]},
            made,
            [
                constant("zero", [0]),
                constant("positions", np.zeros((cells, 1, 4))),
                constant("times", np.zeros((7, 1, 1, 4))),
            ],
        ),
    )
    given = ("current_vision_feat", "current_vision_pos_embed", "memory_0", "memory_1", "memory_pos_embed")
    names = [attention + name for name in given]
    save(  # Differences from the mean colour in the memory; the other inputs are read, and change nothing
        folder / "memory_attention.onnx",
        _graph(
            [
                node("ReduceSum", [names[3], "axes"], ["sums"]),
                node("Split", ["sums", "parts"], ["colours", "area"], axis=1),
                node("Div", ["colours", "area"], ["colour"]),
                node("Sub", [names[0], "colour"], ["away"]),
                node("ReduceSum", [names[2]], ["pointers"], keepdims=0),
                node("ReduceSum", [names[4]], ["times"], keepdims=0),
                node("ReduceSum", [names[1]], ["places"], keepdims=0),
                node("Sum", ["pointers", "times", "places"], ["all"]),
                node("Mul", ["all", "none"], ["nothing"]),
                node("Add", ["away", "nothing"], [f"{attention}image_embed"]),
            ],
            {
                names[0]: [1, 3, SEEN, SEEN],
                names[1]: [cells, 1, 3],
                names[2]: ["pointers", 4],
                names[3]: [fixed or "memories", 4, SEEN, SEEN],
                names[4]: ["tokens", 1, 4],
            },
            [f"{attention}image_embed"],
            [constant("axes", [0, 2, 3], np.int64), constant("parts", [3, 1], np.int64), constant("none", [0])],
        ),
    )
    given = ("point_coords", "point_labels", "image_embed", "high_res_feats_0", "high_res_feats_1")
    names, made = [decoder + n for n in given], [decoder + n for n in ("obj_ptr", "mask_for_mem", "pred_mask")]
    grid = np.stack(np.meshgrid(np.arange(SEEN), np.arange(SEEN)))[None] * (SIDE / SEEN)
    save(  # Without points what is not away from the memory; else a disc around the mean of the points
        folder / "image_decoder.onnx",
        _graph(
            [
                node("Abs", [names[2]], ["away"]),
                node("ReduceSum", ["away", "channel"], ["distance"]),
                node("Sub", ["far", "distance"], ["like"]),
                node("Greater", [names[1], "zero"], ["given"]),
                node("Cast", ["given"], ["weights"], to=TensorProto.FLOAT),
                node("ReduceSum", ["weights"], ["number"], keepdims=0),
                node("Unsqueeze", ["weights", "last"], ["column"]),
                node("Mul", [names[0], "column"], ["chosen"]),
                node("ReduceSum", ["chosen", "channel"], ["total"], keepdims=0),
                node("Max", ["number", "one"], ["divisor"]),
                node("Div", ["total", "divisor"], ["middle"]),
                node("Reshape", ["middle", "shape"], ["point"]),
                node("Sub", ["grid", "point"], ["offsets"]),
                node("Mul", ["offsets", "offsets"], ["squares"]),
                node("ReduceSum", ["squares", "channel"], ["square"]),
                node("Sub", ["radius", "square"], ["disc"]),
                node("Greater", ["number", "zero"], ["prompted"]),
                node("Where", ["prompted", "disc", "like"], ["mask"]),
                node("Clip", ["mask", "least", "most"], [made[2]]),
                node("Resize", [made[2], "", "scales"], [made[1]], mode="linear"),
                node("Identity", ["pointer"], [made[0]]),
            ],
            {
                names[0]: [1, "points", 2],
                names[1]: [1, "points"],
                names[2]: [1, 3, SEEN, SEEN],
                names[3]: [1, 3, SIDE, SIDE],
                names[4]: [1, 3, SEEN, SEEN],
            },
            made,
            [
                constant("channel", [1], np.int64),
                constant("last", [2], np.int64),
                constant("shape", [1, 2, 1, 1], np.int64),
                constant("zero", 0.0),
                constant("one", 1.0),
                constant("far", 1.5),
                constant("grid", grid),
                constant("radius", 36.0),
                constant("least", -10.0),
                constant("most", 10.0),
                constant("scales", [1, 1, SIDE / SEEN, SIDE / SEEN]),
                constant("pointer", np.ones((1, 4))),
            ],
        ),
    )
    return folder
