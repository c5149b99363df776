"""Find the range of the numbers that a network takes and gives: by its graph, its metadata, or what came of trying."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.interop.onnx.graph_reading import Graph, Node
from vidtrans.networks.ports import IMAGENET_MEAN, IMAGENET_STD

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


MEAN, DEVIATION = np.array(IMAGENET_MEAN), np.array(IMAGENET_STD)
ENDS = {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0), "0..255": (0.0, 255.0)}
IMAGENET = "imagenet"
USUAL = ("0..1", "-1..1", "0..255", IMAGENET)  # the most usual one first
SURE_MARGIN = 0.2  # of what counts against a range: less is doubt
ALIKE = 0.98  # correlation of pictures between which nobody has to choose
OFF = 0.15  # of a range, by which what goes in may miss what is expected there
MISMATCH, HALF_MISMATCH = 0.5, 0.25
NOMINAL = {
    "NominalRange_0_255": "0..255",
    "Normalized_0_1": "0..1",
    "Normalized_1_1": "-1..1",
}  # ONNX, MetadataProps.md


@dataclass(frozen=True)
class RangeFinding:
    """One thing that was found out about a file: ``sure`` or not, and why, in words."""

    value: Any
    sure: bool
    reason: str


def input_affine(name: str, channels: int, bgr: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return (scale, shift) from pictures in [0, 1] to a range."""
    if name != IMAGENET:
        low, high = ENDS[name]
        return (high - low,), (low,)
    mean, deviation = (MEAN.mean(keepdims=True), DEVIATION.mean(keepdims=True)) if channels == 1 else (MEAN, DEVIATION)
    order = slice(None, None, -1 if bgr else 1)
    return tuple((1 / deviation)[order].tolist()), tuple((-mean / deviation)[order].tolist())


def range_of_graph(affine: Affine | None) -> tuple[RangeFinding, bool] | None:
    """Return the range that a normalisation in the graph is for, and whether it is for BGR; None where it says nothing.

    The range is the one that the graph maps to what networks see: 0…1, −1…1, ImageNet's, or 0…255 without its mean.
    """
    if affine is None:
        return None
    for name, (low, high) in ENDS.items():
        inner = np.array([affine.scale * low + affine.shift, affine.scale * high + affine.shift])
        for bgr in (False, True):
            if any(_near(inner, target) for target in _targets(bgr)):
                return RangeFinding(name, True, "the graph normalises its input itself"), bgr
    return None


def _targets(bgr: bool) -> list[np.ndarray]:
    """Return what networks see, (2, 1) or (2, 3): the ends of each channel."""
    mean, deviation = (v[::-1] if bgr else v for v in (MEAN, DEVIATION))
    per_channel = [np.array([-mean / deviation, (1 - mean) / deviation]), np.array([-255 * mean, 255 - 255 * mean])]
    if bgr:  # one number for all channels fits both orders
        return per_channel
    return [np.array([[0.0], [1.0]]), np.array([[-1.0], [1.0]]), np.array([[-0.5], [0.5]]), *per_channel]


def _near(inner: np.ndarray, target: np.ndarray) -> bool:
    """Return whether all ends are where they should be, and in the order of the channels."""
    if target.shape[1] > 1 and inner.shape[1] != target.shape[1]:
        return False
    width = (target[1] - target[0]).mean()
    if np.abs(inner - target).max() > OFF * width:
        return False
    return target.shape[1] == 1 or bool((np.argsort(inner[0]) == np.argsort(target[0])).all())


def range_of_metadata(metadata: dict[str, str]) -> RangeFinding | None:
    """Return the range that the file's metadata name, as the ONNX specification has it."""
    found = NOMINAL.get(metadata.get("Image.NominalPixelRange", ""))
    return RangeFinding(found, True, "the file's metadata say so") if found else None


def bounds_range(bounds: tuple[float, float] | None) -> str | None:
    """Return the usual range that an output with these bounds is in: the largest one that it fills."""
    for name, (low, high) in reversed(ENDS.items()):
        slack = OFF * (high - low)
        if bounds and abs(bounds[0] - low) <= slack and abs(bounds[1] - high) <= slack:
            return name
    return None


@dataclass(frozen=True)
class RangeCandidate:
    """A range of the input with one of the output, and what speaks against both."""

    taken: str
    given: tuple[float, float]
    cost: float


def choose_ranges(
    trials: Table, channels: int, bounds: tuple[float, float] | None, allowed: Sequence[str]
) -> tuple[RangeFinding, tuple[float, float]]:
    """Return the range of the input, and the ends of the output's, by what came out of trials."""
    every = sorted(
        (_candidate(name, trials[name], channels, bounds) for name in allowed if name in trials), key=lambda c: c.cost
    )
    best = every[0]
    if len(every) == 1:
        return RangeFinding(best.taken, True, "no other range gives pictures"), best.given
    close = [c for c in every[1:] if c.cost - best.cost < SURE_MARGIN]
    # Of ranges that give the same pictures it does not matter which one is meant: take the most usual one.
    same = [c for c in (best, *close) if c is best or _alike(trials, c.taken, best.taken) >= ALIKE]
    if len(same) == 1 + len(close):
        best = min(same, key=lambda c: USUAL.index(c.taken)) if bounds_range(bounds) is None and close else best
        others = [c for c in every if c is not best]
        equal = all(_alike(trials, c.taken, best.taken) >= ALIKE for c in others)
        reason = "all ranges give the same pictures" if equal else "it gives the best pictures by far"
        return RangeFinding(best.taken, True, reason), best.given
    names = ", ".join(c.taken for c in close)
    return RangeFinding(best.taken, False, f"{best.taken} gives likely pictures, but so does {names}"), best.given


def _alike(trials: Table, one: str, other: str) -> float:
    return float(trials[one]["alike"].get(other, trials[other]["alike"].get(one, 0.0)))


def _candidate(name: str, stats: Table, channels: int, bounds: tuple[float, float] | None) -> RangeCandidate:
    """Weigh a range of the input: each thing that is odd about its pictures counts as a part of their range."""
    against = 1 - stats["structure"]
    known = bounds_range(bounds)
    if channels == 1:  # maps of edges or depths fill no range
        given = ENDS[known] if known else bounds or _spread(stats)
        mismatch = MISMATCH if known and name != known and not (name == IMAGENET and known != "-1..1") else 0.0
        return RangeCandidate(name, given, against + mismatch)
    choices = [(known or "", bounds)] if bounds else list(ENDS.items())
    best = min(
        (_misfit(stats["quantiles"], ends or (0.0, 1.0)) + _mismatch(name, given_name), ends or (0.0, 1.0))
        for given_name, ends in choices
    )
    return RangeCandidate(name, ENDS[known] if known else best[1], against + best[0])


def _mismatch(taken: str, given: str) -> float:
    """Return what speaks against a network that takes one range and gives another."""
    if taken == given or not given:
        return 0.0
    return HALF_MISMATCH if (taken, given) == (IMAGENET, "0..1") else MISMATCH


def _misfit(quantiles: Sequence[float], ends: tuple[float, float]) -> float:
    """Return by how much of a range what came out misses its two ends, but for 1 % on either side."""
    return _missed(quantiles[1], quantiles[-2], ends)


def _missed(least: float, most: float, ends: tuple[float, float]) -> float:
    width = ends[1] - ends[0]
    return abs(least - ends[0]) / width + abs(most - ends[1]) / width


def _spread(stats: Table) -> tuple[float, float]:
    """Return the ends of an output without bounds: a usual range that it fills, or all that came, and a tenth more."""
    least, most = stats["quantiles"][0], stats["quantiles"][-1]
    for ends in ENDS.values():
        if _missed(least, most, ends) <= OFF:
            return ends
    more = (most - least) / 10 or 1.0
    return (least if least == 0 else least - more, most + more)
