"""What the ends of a graph say of its numbers: a normalisation behind the input, an activation before the output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vidtrans.interop.onnx.graph import Graph, Node

MAX_STEPS = 24  # operators that are followed from an end
PASSING = frozenset({"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "DequantizeLinear", "Pad"})
ACTIVATIONS = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0)}
INTEGER_CASTS = (2.0,)  # ``to`` of a Cast to uint8


@dataclass(frozen=True)
class Affine:
    """``x · scale + shift``, one number for each channel, or one for all."""

    scale: np.ndarray
    shift: np.ndarray


def affine_at_input(graph: Graph, name: str) -> Affine | None:
    """Return what a graph does to its input before anything else; None where that is nothing."""
    constants, users = graph.constants(), _users(graph)
    scale, shift, steps = np.ones(1), np.zeros(1), 0
    for _ in range(MAX_STEPS):
        nodes = users.get(name, [])
        if len(nodes) != 1 or not nodes[0].outputs:
            break
        node = nodes[0]
        step = _affine_step(node, name, constants)
        if step is not None:
            scale, shift, steps = scale * step.scale, shift * step.scale + step.shift, steps + 1
        elif node.op not in PASSING or node.inputs[0] != name:
            break
        name = node.outputs[0]
    return Affine(scale, shift) if steps and max(scale.size, shift.size) <= 4 else None


def bounds_at_output(graph: Graph, name: str) -> tuple[float, float] | None:
    """Return the least and the largest value that an output can have, where its last operators say so."""
    constants = graph.constants()
    makers = {output: node for node in graph.nodes for output in node.outputs}
    later: list[Affine] = []
    for _ in range(MAX_STEPS):
        node = makers.get(name)
        if node is None or not node.inputs:
            return None
        ends = _bounds(node, constants)
        if ends is not None:
            return _mapped(ends, later[::-1])
        if node.op in PASSING:
            name = node.inputs[0]
            continue
        free = [i for i in node.inputs if i not in constants]
        step = _affine_step(node, free[0], constants) if len(free) == 1 else None
        if step is None:
            return None
        later.append(step)
        name = free[0]
    return None


def _users(graph: Graph) -> dict[str, list[Node]]:
    found: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.inputs:
            found.setdefault(name, []).append(node)
    return found


def _affine_step(node: Node, name: str, constants: dict[str, np.ndarray]) -> Affine | None:
    """Return what an operator with one constant does to ``name``; None for any other operator."""
    if node.op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2 or name not in node.inputs:
        return None
    first = node.inputs[0] == name
    other = constants.get(node.inputs[1 if first else 0])
    if other is None or other.size not in (1, 3, 4) or not np.isfinite(other).all():
        return None
    value, none, one = other.ravel(), np.zeros(1), np.ones(1)
    if node.op == "Add":
        return Affine(one, value)
    if node.op == "Mul":
        return Affine(value, none)
    if node.op == "Sub":
        return Affine(one, -value) if first else Affine(-one, value)
    return Affine(1 / value, none) if first and (value != 0).all() else None


def _bounds(node: Node, constants: dict[str, np.ndarray]) -> tuple[float, float] | None:
    if node.op in ACTIVATIONS:
        return ACTIVATIONS[node.op]
    if node.op == "Cast" and node.numbers.get("to") == INTEGER_CASTS:
        return 0.0, 255.0
    if node.op != "Clip":
        return None
    ends = [node.numbers.get(key, (None,))[0] for key in ("min", "max")]
    for place, operand in enumerate(node.inputs[1:3]):
        if operand in constants and constants[operand].size == 1:
            ends[place] = float(constants[operand].ravel()[0])
    low, high = ends
    return (low, high) if low is not None and high is not None and low < high else None


def _mapped(ends: tuple[float, float], steps: list[Affine]) -> tuple[float, float]:
    values = np.array(ends)[:, None]
    for step in steps:
        values = values * step.scale + step.shift
    return float(values.min()), float(values.max())
