"""Find the value ranges of a network's input and output from its graph, its metadata or the results of trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vidtrans.core.settings import Table
from vidtrans.interop.onnx.graph_reading import Graph, Node, Port
from vidtrans.networks.ports import IMAGENET_MEAN, IMAGENET_STD

MAX_STEPS = 24  # The most operators that are followed from the input or the output.
PASSING = frozenset({"Identity", "Cast", "Transpose", "Unsqueeze", "Squeeze", "Reshape", "DequantizeLinear", "Pad"})
ACTIVATIONS = {"Tanh": (-1.0, 1.0), "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0)}
INTEGER_CASTS = (2.0,)  # The attribute ``to`` of a Cast to uint8.


@dataclass(frozen=True)
class Affine:
    """The map ``x · scale + shift``, with one number for all channels, or one for each."""

    scale: np.ndarray
    shift: np.ndarray


def affine_at_input(graph: Graph, name: str) -> Affine | None:
    """Return the affine map that a graph first applies to its input ``name``; None if there is none."""
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
    """Return the smallest and largest possible value of output ``name`` by its last operators; None if unlimited."""
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
        for name in node.reads:
            found.setdefault(name, []).append(node)
    return found


def _affine_step(node: Node, name: str, constants: dict[str, np.ndarray]) -> Affine | None:
    """Return the affine map of an operator between ``name`` and a constant; None for any other operator."""
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
USUAL = ("0..1", "-1..1", "0..255", IMAGENET)  # The most common range first.
SURE_MARGIN = 0.2  # The cost difference between two ranges below which the choice is not sure.
ALIKE = 0.98  # The correlation above which the outputs for two ranges count as equal.
OFF = 0.15  # The tolerance for the ends of a range, as a share of its width.
MISMATCH, HALF_MISMATCH = 0.5, 0.25  # The costs of ranges of input and output that differ.
NOMINAL = {
    "NominalRange_0_255": "0..255",
    "Normalized_0_1": "0..1",
    "Normalized_1_1": "-1..1",
}  # ONNX, MetadataProps.md


@dataclass(frozen=True)
class RangeFinding:
    """One finding about a file: its value, whether it is ``sure``, and the reason in words."""

    value: Any
    sure: bool
    reason: str


def input_affine(name: str, channels: int, bgr: bool = False) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return the (scale, shift) that maps pictures in [0, 1] to the range ``name``, for each channel or for all."""
    if name != IMAGENET:
        low, high = ENDS[name]
        return (high - low,), (low,)
    mean, deviation = (MEAN.mean(keepdims=True), DEVIATION.mean(keepdims=True)) if channels == 1 else (MEAN, DEVIATION)
    order = slice(None, None, -1 if bgr else 1)
    return tuple((1 / deviation)[order].tolist()), tuple((-mean / deviation)[order].tolist())


def _range_of_graph(affine: Affine | None) -> tuple[RangeFinding, bool] | None:
    """Return the input range that the graph's normalisation expects, and whether it is for BGR; None if unclear.

    The graph maps that range to a usual internal one: 0…1, −1…1, −½…½, ImageNet's, or 0…255 minus ImageNet's mean.
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
    """Return the usual internal ranges, each (2, 1) or (2, 3): lower and upper end, for all channels or for each."""
    mean, deviation = (v[::-1] if bgr else v for v in (MEAN, DEVIATION))
    per_channel = [np.array([-mean / deviation, (1 - mean) / deviation]), np.array([-255 * mean, 255 - 255 * mean])]
    if bgr:  # one number for all channels fits both orders
        return per_channel
    return [np.array([[0.0], [1.0]]), np.array([[-1.0], [1.0]]), np.array([[-0.5], [0.5]]), *per_channel]


def _near(inner: np.ndarray, target: np.ndarray) -> bool:
    """Return whether the ends ``inner`` are near those of ``target``, (2, C) each, with channels in the same order."""
    if target.shape[1] > 1 and inner.shape[1] != target.shape[1]:
        return False
    width = (target[1] - target[0]).mean()
    if np.abs(inner - target).max() > OFF * width:
        return False
    return target.shape[1] == 1 or bool((np.argsort(inner[0]) == np.argsort(target[0])).all())


def known_range(graph: Graph, port: Port, wanted: str) -> tuple[RangeFinding | None, bool]:
    """Return the range of a graph's input if it is known without trials, else None; and whether colours are BGR."""
    bgr = graph.metadata.get("Image.BitmapPixelFormat", "").lower().startswith("bgr")
    read = _range_of_graph(affine_at_input(graph, port.name))
    bgr |= bool(read and read[1])
    if wanted:
        return RangeFinding(wanted, True, "as given"), bgr
    if port.kind == "uint8":
        return RangeFinding("0..255", True, "it takes 8-bit integers"), bgr
    if nominal := NOMINAL.get(graph.metadata.get("Image.NominalPixelRange", "")):
        return RangeFinding(nominal, True, "the file's metadata say so"), bgr
    return read[0] if read else None, bgr


def bounds_range(bounds: tuple[float, float] | None) -> str | None:
    """Return the name of the usual range with about these bounds; None if there is none."""
    for name, (low, high) in reversed(ENDS.items()):
        slack = OFF * (high - low)
        if bounds and abs(bounds[0] - low) <= slack and abs(bounds[1] - high) <= slack:
            return name
    return None


@dataclass(frozen=True)
class RangeCandidate:
    """A pair of ranges, the input's name and the output's (low, high), and its cost, the higher the less likely."""

    taken: str
    given: tuple[float, float]
    cost: float


def choose_ranges(
    trials: Table, channels: int, bounds: tuple[float, float] | None, allowed: Sequence[str]
) -> tuple[RangeFinding, tuple[float, float]]:
    """Return the input range, and the output's (low, high), for which the trial outputs look most like pictures.

    ``trials``: ``Trial.ranges``; ``channels``: the output's; ``bounds``: the (low, high) that the graph allows it, or
    None; ``allowed``: names of the input ranges to choose from.
    """
    every = sorted(
        (_candidate(name, trials[name], channels, bounds) for name in allowed if name in trials), key=lambda c: c.cost
    )
    best = every[0]
    if len(every) == 1:
        return RangeFinding(best.taken, True, "no other range gives pictures"), best.given
    close = [c for c in every[1:] if c.cost - best.cost < SURE_MARGIN]
    # For ranges that give equal pictures the choice does not matter: take the most common one.
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
    """Return a candidate for an input range; its cost grows with each implausible property of the trial outputs."""
    against = 1 - stats["structure"]
    known = bounds_range(bounds)
    if channels == 1:  # maps of edges or depths fill no range
        given = ENDS[known] if known else bounds or _spread(stats)
        mismatch = MISMATCH if known and name != known and not (name == IMAGENET and known != "-1..1") else 0.0
        return RangeCandidate(name, given, against + mismatch)
    if bounds:  # an input that is too wide makes many values end at the bounds
        against += stats["clipped"]
    choices = [(known or "", bounds)] if bounds else list(ENDS.items())
    quantiles = stats["quantiles"]  # of which the 1 % and the 99 % quantile are compared with the ends of a range
    best = min(
        (_missed(quantiles[1], quantiles[-2], ends) + _mismatch(name, given_name), ends) for given_name, ends in choices
    )
    return RangeCandidate(name, ENDS[known] if known else best[1], against + best[0])


def _mismatch(taken: str, given: str) -> float:
    """Return the cost of two ranges, by name, that are not equal; 0 if they are, or the output's is unknown."""
    if taken == given or not given:
        return 0.0
    return HALF_MISMATCH if (taken, given) == (IMAGENET, "0..1") else MISMATCH


def _missed(least: float, most: float, ends: tuple[float, float]) -> float:
    """Return the distance of two values from the ends of a range, as a share of its width."""
    width = ends[1] - ends[0]
    return abs(least - ends[0]) / width + abs(most - ends[1]) / width


def _spread(stats: Table) -> tuple[float, float]:
    """Return the ends of an output without bounds: a usual range that it fills, or its values' range plus 10 %."""
    least, most = stats["quantiles"][0], stats["quantiles"][-1]
    for ends in ENDS.values():
        if _missed(least, most, ends) <= OFF:
            return ends
    more = (most - least) / 10 or 1.0
    return (least if least == 0 else least - more, most + more)
