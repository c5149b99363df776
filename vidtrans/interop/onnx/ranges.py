"""Determine the value ranges of a network's input and output from its graph, its metadata or test runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.interop.onnx.graph_reading import Graph, Node, Port
from vidtrans.networks.ports import IMAGENET_MEAN, IMAGENET_STD

MAX_STEPS = 24  # Largest number of operators that are followed from the input or back from the output.
# Operators that do not change the value range.
PASS_THROUGH_OPS = frozenset(
    {"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "DequantizeLinear", "Pad"}
)
# Smallest and largest output value of activations, by operator name.
ACTIVATION_BOUNDS = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0)}
UINT8_CAST = (2.0,)  # Value of the attribute ``to`` of a Cast operator to uint8.


@dataclass(frozen=True)
class Affine:
    """The map ``x · scale + shift``; scale and shift have one number for all channels, or one number per channel."""

    scale: np.ndarray
    shift: np.ndarray


def affine_at_input(graph: Graph, name: str) -> Affine | None:
    """Return the affine map (scale, shift) with which a graph's first operators change input ``name``; None if none."""
    constants, consumers = graph.constants(), _consumers(graph)
    scale, shift, steps = np.ones(1), np.zeros(1), 0
    for _ in range(MAX_STEPS):
        nodes = consumers.get(name, [])
        if len(nodes) != 1 or not nodes[0].outputs:
            break
        node = nodes[0]
        step = _affine_step(node, name, constants)
        if step is not None:
            scale, shift, steps = scale * step.scale, shift * step.scale + step.shift, steps + 1
        elif node.op not in PASS_THROUGH_OPS or node.inputs[0] != name:
            break
        name = node.outputs[0]
    return Affine(scale, shift) if steps and max(scale.size, shift.size) <= 4 else None


def bounds_at_output(graph: Graph, name: str) -> tuple[float, float] | None:
    """Return the smallest and largest possible value of output ``name`` from its last operators, or None."""
    constants = graph.constants()
    producers = {output: node for node in graph.nodes for output in node.outputs}
    affines: list[Affine] = []
    for _ in range(MAX_STEPS):
        node = producers.get(name)
        if node is None or not node.inputs:
            return None
        bounds = _bounds(node, constants)
        if bounds is not None:
            return _apply_affines(bounds, affines[::-1])
        if node.op in PASS_THROUGH_OPS:
            name = node.inputs[0]
            continue
        variable_inputs = [i for i in node.inputs if i not in constants]
        step = _affine_step(node, variable_inputs[0], constants) if len(variable_inputs) == 1 else None
        if step is None:
            return None
        affines.append(step)
        name = variable_inputs[0]
    return None


def _consumers(graph: Graph) -> dict[str, list[Node]]:
    """Return the operators that read each value, by the value's name."""
    consumers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in node.reads:
            consumers.setdefault(name, []).append(node)
    return consumers


def _affine_step(node: Node, name: str, constants: dict[str, np.ndarray]) -> Affine | None:
    """Return the affine map of an operator between the value ``name`` and a constant; None for any other operator."""
    if node.op not in ("Add", "Sub", "Mul", "Div") or len(node.inputs) != 2 or name not in node.inputs:
        return None
    first = node.inputs[0] == name
    other = constants.get(node.inputs[1 if first else 0])
    if other is None or other.size not in (1, 3, 4) or not np.isfinite(other).all():
        return None
    value, zero, one = other.ravel(), np.zeros(1), np.ones(1)
    if node.op == "Add":
        return Affine(one, value)
    if node.op == "Mul":
        return Affine(value, zero)
    if node.op == "Sub":
        return Affine(one, -value) if first else Affine(-one, value)
    return Affine(1 / value, zero) if first and (value != 0).all() else None


def _bounds(node: Node, constants: dict[str, np.ndarray]) -> tuple[float, float] | None:
    """Return the smallest and largest output value of an operator; None if it does not limit its output."""
    if node.op in ACTIVATION_BOUNDS:
        return ACTIVATION_BOUNDS[node.op]
    if node.op == "Cast" and node.numbers.get("to") == UINT8_CAST:
        return 0.0, 255.0
    if node.op != "Clip":
        return None
    bounds = [node.numbers.get(key, (None,))[0] for key in ("min", "max")]
    for index, operand in enumerate(node.inputs[1:3]):
        if operand in constants and constants[operand].size == 1:
            bounds[index] = float(constants[operand].ravel()[0])
    low, high = bounds
    return (low, high) if low is not None and high is not None and low < high else None


def _apply_affines(ends: tuple[float, float], steps: list[Affine]) -> tuple[float, float]:
    """Return the smallest and largest value of the range ``ends`` after the affine maps ``steps``."""
    values = np.array(ends)[:, None]
    for step in steps:
        values = values * step.scale + step.shift
    return float(values.min()), float(values.max())


# Mean and standard deviation of ImageNet's RGB channels, for colours from 0 to 1.
MEAN, DEVIATION = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
# Lower and upper end of each value range, by the range's name.
RANGE_ENDS = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
IMAGENET = "imagenet"  # Name of the range of pictures that are normalised by ImageNet's mean and standard deviation.
COMMON_RANGES = ("0..1", "-1..1", "0..255", IMAGENET)  # Names of the possible input ranges, the most common one first.
SURE_MARGIN = 0.2  # Difference between the costs of two ranges below which the choice is uncertain.
MIN_SIMILARITY = 0.98  # Correlation above which the outputs for two input ranges count as equal.
END_TOLERANCE = 0.15  # Tolerance of the ends of a range, as a share of the range's width.
# Costs if the ranges of input and output differ; half for an input normalised like ImageNet and an output in 0..1.
MISMATCH_COST, HALF_MISMATCH_COST = 0.5, 0.25
# Range names by the values of ``Image.NominalPixelRange`` in ONNX metadata (MetadataProps.md of ONNX).
NOMINAL_RANGES = {"NominalRange_0_255": "0..255", "Normalized_0_1": "0..1", "Normalized_1_1": "-1..1"}


@dataclass(frozen=True)
class RangeFinding:
    """One result about an ONNX file: its value, whether it is certain, and the reason for messages."""

    value: Any
    is_sure: bool
    reason: str


def input_affine(name: str, channels: int, bgr: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the (scale, shift) from colours in [0, 1] to the range ``name``, one number each or one per channel.

    ``bgr``: the numbers per channel are in the order blue, green, red.
    """
    if name != IMAGENET:
        low, high = RANGE_ENDS[name]
        return (high - low,), (low,)
    mean, deviation = (MEAN.mean(keepdims=True), DEVIATION.mean(keepdims=True)) if channels == 1 else (MEAN, DEVIATION)
    order = slice(None, None, -1 if bgr else 1)
    return tuple((1 / deviation)[order].tolist()), tuple((-mean / deviation)[order].tolist())


def _range_of_graph(affine: Affine | None) -> tuple[RangeFinding, bool] | None:
    """Return the input range that a graph's first operators expect, and whether its colours are BGR; None if unclear.

    The first operators map the input range to a common internal range: 0…1, −1…1, −½…½, ImageNet's, or 0…255 minus
    ImageNet's mean.
    """
    if affine is None:
        return None
    for name, (low, high) in RANGE_ENDS.items():
        inner = np.array([affine.scale * low + affine.shift, affine.scale * high + affine.shift])
        for bgr in (False, True):
            if any(_is_near(inner, target) for target in _internal_ranges(bgr)):
                return RangeFinding(name, True, "the graph normalises its input itself"), bgr
    return None


def _internal_ranges(bgr: bool) -> list[np.ndarray]:
    """Return the lower and upper ends of the ranges to which graphs commonly normalise their input themselves.

    Each is (2, 1) for all channels, or (2, 3) per channel; ``bgr``: in the order blue, green, red.
    """
    mean, deviation = (v[::-1] if bgr else v for v in (MEAN, DEVIATION))
    per_channel = [np.array([-mean / deviation, (1 - mean) / deviation]), np.array([-255 * mean, 255 - 255 * mean])]
    if bgr:  # Ranges with a single number for all channels fit both RGB and BGR
        return per_channel
    return [np.array([[0.0], [1.0]]), np.array([[-1.0], [1.0]]), np.array([[-0.5], [0.5]]), *per_channel]


def _is_near(inner: np.ndarray, target: np.ndarray) -> bool:
    """Return whether two ranges, (2, C) each, have similar ends and the same order of channels."""
    if target.shape[1] > 1 and inner.shape[1] != target.shape[1]:
        return False
    width = (target[1] - target[0]).mean()
    if np.abs(inner - target).max() > END_TOLERANCE * width:
        return False
    return target.shape[1] == 1 or bool((np.argsort(inner[0]) == np.argsort(target[0])).all())


def known_range(graph: Graph, port: Port, user_range: str) -> tuple[RangeFinding | None, bool]:
    """Return the range of input ``port`` if known without test runs, or None; and whether its channels are B, G, R.

    ``user_range``: the name of the range that the user states, or ''.
    """
    bgr = graph.metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr")
    graph_range = _range_of_graph(affine_at_input(graph, port.name))
    bgr |= bool(graph_range and graph_range[1])
    if user_range:
        return RangeFinding(user_range, True, "as given"), bgr
    if port.kind == "uint8":
        return RangeFinding("0..255", True, "it takes 8-bit integers"), bgr
    if nominal := NOMINAL_RANGES.get(graph.metadata.get("Image.NominalPixelRange", "")):
        return RangeFinding(nominal, True, "the file's metadata say so"), bgr
    return graph_range[0] if graph_range else None, bgr


def bounds_range(bounds: tuple[float, float] | None) -> str | None:
    """Return the name of the common range near ``bounds`` (smallest and largest value); None without one."""
    for name, (low, high) in reversed(RANGE_ENDS.items()):
        slack = END_TOLERANCE * (high - low)
        if bounds and abs(bounds[0] - low) <= slack and abs(bounds[1] - high) <= slack:
            return name
    return None


@dataclass(frozen=True)
class RangeCandidate:
    """A possible input range (by name) with the output range (low, high); a high ``cost`` means that it is unlikely."""

    input: str
    output: tuple[float, float]
    cost: float


def choose_ranges(
    trials: Table, channels: int, bounds: tuple[float, float] | None, allowed: Sequence[str]
) -> tuple[RangeFinding, tuple[float, float]]:
    """Return the input range, and the output's (low, high), for which test outputs (``trials``) are most like pictures.

    ``trials``: ``Trial.ranges``; ``channels``: number of output channels; ``bounds``: the (low, high) that the graph
    imposes on the output, or None; ``allowed``: names of the input ranges to choose from.
    """
    candidates = sorted(
        (_rate_range(name, trials[name], channels, bounds) for name in allowed if name in trials), key=lambda c: c.cost
    )
    best = candidates[0]
    if len(candidates) == 1:
        return RangeFinding(best.input, True, "no other range gives pictures"), best.output
    close = [c for c in candidates[1:] if c.cost - best.cost < SURE_MARGIN]
    # Among ranges with equal outputs, choose the most common one.
    equivalent = [c for c in (best, *close) if c is best or _similarity(trials, c.input, best.input) >= MIN_SIMILARITY]
    if len(equivalent) == 1 + len(close):
        if bounds_range(bounds) is None and close:
            best = min(equivalent, key=lambda c: COMMON_RANGES.index(c.input))
        others = [c for c in candidates if c is not best]
        equal = all(_similarity(trials, c.input, best.input) >= MIN_SIMILARITY for c in others)
        reason = "all ranges give the same pictures" if equal else "it gives the best pictures by far"
        return RangeFinding(best.input, True, reason), best.output
    names = ", ".join(c.input for c in close)
    return RangeFinding(best.input, False, f"{best.input} gives likely pictures, but so does {names}"), best.output


def _similarity(trials: Table, first: str, second: str) -> float:
    """Return the correlation (−1 to 1) of the test outputs for two input ranges, given by name; 0 if unknown.

    ``trials``: ``Trial.ranges``.
    """
    return float(trials[first]["alike"].get(second, trials[second]["alike"].get(first, 0.0)))


def _rate_range(name: str, stats: Table, channels: int, bounds: tuple[float, float] | None) -> RangeCandidate:
    """Return the input range ``name`` as a candidate; each implausible property of the test outputs adds to its cost.

    ``stats``: statistics of the test outputs for this range; ``channels``: number of output channels; ``bounds``: the
    (low, high) that the graph imposes on the output, or None.
    """
    cost = 1 - stats["structure"]
    nominal = bounds_range(bounds)
    if channels == 1:  # Edge maps and depth maps do not fill a range, so their ends are not compared
        output_range = RANGE_ENDS[nominal] if nominal else bounds or _output_ends(stats)
        mismatch = (
            MISMATCH_COST if nominal and name != nominal and not (name == IMAGENET and nominal != "-1..1") else 0.0
        )
        return RangeCandidate(name, output_range, cost + mismatch)
    if bounds:  # If the assumed input range is too wide, many output values are clipped
        cost += stats["clipped"]
    choices = [(nominal or "", bounds)] if bounds else list(RANGE_ENDS.items())
    quantiles = stats["quantiles"]  # The 1 % and the 99 % quantile are compared with the ends of a range
    best = min(
        (_end_distance(quantiles[1], quantiles[-2], ends) + _mismatch_cost(name, given_name), ends)
        for given_name, ends in choices
    )
    return RangeCandidate(name, RANGE_ENDS[nominal] if nominal else best[1], cost + best[0])


def _mismatch_cost(input_range: str, output_range: str) -> float:
    """Return the cost of two different range names; 0 for equal ranges or an unknown output range ('')."""
    if input_range == output_range or not output_range:
        return 0.0
    return HALF_MISMATCH_COST if (input_range, output_range) == (IMAGENET, "0..1") else MISMATCH_COST


def _end_distance(smallest: float, largest: float, ends: tuple[float, float]) -> float:
    """Return the distance of two values from the ends of a range, as a share of the range's width."""
    width = ends[1] - ends[0]
    return abs(smallest - ends[0]) / width + abs(largest - ends[1]) / width


def _output_ends(stats: Table) -> tuple[float, float]:
    """Return the (low, high) of an output that the graph does not limit, from the statistics of its values.

    It is the common range that the values fill, or the range of the values plus 10 % at each end.
    """
    smallest, largest = stats["quantiles"][0], stats["quantiles"][-1]
    for ends in RANGE_ENDS.values():
        if _end_distance(smallest, largest, ends) <= END_TOLERANCE:
            return ends
    margin = (largest - smallest) / 10 or 1.0
    return (smallest if smallest == 0 else smallest - margin, largest + margin)
