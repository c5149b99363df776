"""Check an ONNX graph before it runs: refuse unsafe operators, endless loops, and graphs without a picture input."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from vidtrans.core.errors import ModelError
from vidtrans.interop.onnx.graph_reading import MAX_NODES, NON_TENSOR_TYPES, REMEDY, Graph, Node, Port
from vidtrans.networks.ports import MAX_STYLE_LENGTH, STYLE_DTYPES

STANDARD_DOMAINS = ("", "ai.onnx")  # Names of the domain of ONNX's standard operators.
RUNTIME_DOMAIN = "com.microsoft"  # Name of the domain of ONNX Runtime's own operators.
# fmt: off
# Allowed operators of ONNX Runtime. Other operators may run code of other libraries, or open files.
RUNTIME_OPS = frozenset((
    "Attention", "BiasAdd", "BiasGelu", "BiasSplitGelu", "ConvTransposeWithDynamicPads", "DequantizeLinear",
    "DynamicQuantizeMatMul", "FastGelu", "FusedConv", "FusedGemm", "FusedMatMul", "FusedMatMulActivation", "Gelu",
    "GridSample", "GroupNorm", "Inverse", "MatMulInteger16", "MatMulIntegerToFloat", "MultiHeadAttention", "NhwcConv",
    "NhwcFusedConv", "NhwcMaxPool", "PackedAttention", "QAttention", "QGemm", "QLinearAdd", "QLinearAveragePool",
    "QLinearConcat", "QLinearConv", "QLinearGlobalAveragePool", "QLinearLeakyRelu", "QLinearMul", "QLinearReduceMean",
    "QLinearSigmoid", "QLinearSoftmax", "QLinearWhere", "QuantizeLinear", "QuickGelu", "SkipGroupNorm",
    "SkipLayerNormalization", "SkipSimplifiedLayerNormalization", "SimplifiedLayerNormalization", "TransposeMatMul",
    "Trilu", "Upsample",
))
# fmt: on
# Names of operators that run inner graphs; only a ``Loop`` with a small constant limit is allowed.
BRANCH_OPS = frozenset({"If", "Loop", "Scan", "SequenceMap"})
# Reason in errors for refusing operators that run inner graphs.
LOOPS_REASON = "it has branches, or loops without a small number of rounds"
MAX_ITERATIONS = 1 << 16  # Largest number of iterations of a loop, multiplied by the iterations of its enclosing loops.
# Names of operators that draw random numbers; they are refused because a clip would flicker.
RANDOM_OPS = frozenset(
    {"RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
# Names of refused operators on text, tables or encoded pictures.
TEXT_OPS = frozenset({"ImageDecoder", "TfIdfVectorizer", "LabelEncoder", "RegexFullMatch"})
# Prefixes of the names of refused operators on sequences, optionals and text.
NON_TENSOR_PREFIXES = ("Sequence", "SplitToSequence", "ConcatFromSequence", "Optional", "String")
INPUT_DTYPES = ("float32", "float16", "uint8")  # Supported dtypes of the picture input.
MAX_SIDE_PX = 8192  # Longest side of a fixed input size, in pixels.
MAX_FIXED_BATCH = 16  # Largest number of pictures that a graph may require per run.
CHANNEL_COUNTS = (1, 3, 4)  # Supported numbers of picture channels: grey, RGB, RGB with alpha.


@dataclass(frozen=True)
class GraphInputs:
    """The inputs of a network: its ``picture``, and its ``style`` vector, or None.

    ``picture_index``: the index of the picture among the inputs of the graph.
    """

    picture: Port
    style: Port | None = None
    picture_index: int = 0


def check_graph(path: Path, graph: Graph, channels: Collection[int] = CHANNEL_COUNTS) -> GraphInputs:
    """Check a graph and return its inputs: a picture, and optionally a style. Raises ModelError for any other graph.

    ``channels``: the supported numbers of picture channels.
    """
    reasons = [_refusal_reason(node, graph, graph.bounds()) for node in graph.nodes]
    reasons += [_refusal_reason(node, graph, None) for body in graph.functions.values() for node in body]
    for why in reasons:
        if why:
            raise ModelError(str(path), why, REMEDY)
    if _count_inlined(graph) > MAX_NODES:
        raise ModelError(str(path), "its functions are nested too deeply or too large", "do not use this file")
    if not graph.nodes or not graph.outputs:
        raise ModelError(str(path), "its graph computes nothing", "copy or export it again")
    needed = [port for port in graph.inputs if port.name not in graph.initializers]
    if len(needed) not in (1, 2):
        why = f"it needs {len(needed)} inputs ({_names(needed)}), but a network takes a picture, and at most one style"
        raise ModelError(str(path), why, REMEDY)
    for port in (*needed, *graph.outputs):
        if port.kind in NON_TENSOR_TYPES.values():
            raise ModelError(str(path), f"'{port.name[:40]}' is {port.kind}, not a picture", REMEDY)
    inputs = _classify_inputs(path, needed)
    _check_input(path, inputs.picture, channels)
    return inputs


def _classify_inputs(path: Path, needed: list[Port]) -> GraphInputs:
    """Return the picture input and the optional style input. Raises ModelError for two other inputs."""
    if len(needed) == 1:
        return GraphInputs(needed[0])
    styles = [port for port in needed if style_shape(port)]
    if len(styles) == 1:
        return GraphInputs(needed[1 - needed.index(styles[0])], styles[0], 1 - needed.index(styles[0]))
    others = [port for port in needed if not input_layouts(port)]
    if styles or not others:
        why = f"it needs 2 {'styles' if styles else 'pictures'} ({_names(needed)}), but a network takes one picture"
        raise ModelError(str(path), f"{why}, and at most one style", REMEDY)
    what = f"{others[0].kind or 'of an unknown type'}, shape {_shape_text(others[0])}"
    why = f"its input '{others[0].name[:40]}' ({what}) is neither a picture nor the numbers of a style"
    raise ModelError(str(path), why, REMEDY)


def style_shape(port: Port) -> tuple[int, ...]:
    """Return the shape of an input that is one vector of at least two numbers; () for any other input.

    If there are several axes, a first axis of free length counts as a batch of one.
    """
    shape = port.shape or ()
    if len(shape) > 1 and not isinstance(shape[0], int):
        shape = (1, *shape[1:])
    sides = tuple(axis for axis in shape if isinstance(axis, int))
    longest = max(sides, default=0)
    is_vector = len(sides) == len(shape) and 2 <= longest <= MAX_STYLE_LENGTH and math.prod(sides) == longest
    return sides if is_vector and port.kind in STYLE_DTYPES else ()


def _names(ports: list[Port]) -> str:
    """Return the names of up to six ports in quotes, for errors."""
    return ", ".join(f"'{port.name[:40]}'" for port in ports[:6]) or "none"


def _shape_text(port: Port) -> str:
    """Return the shape of a port as text for errors, such as "1x3x?x?"."""
    if port.shape is None:
        return "unknown"
    return "x".join(str(axis or "?")[:20] for axis in port.shape[:8]) or "a single number"


def input_layouts(port: Port, allowed: Collection[int] = CHANNEL_COUNTS) -> list[tuple[str, int]]:
    """Return the possible (axis order such as 'nchw', number of channels) of an input, most likely first.

    ``allowed``: the supported numbers of channels.
    """
    if port.shape is None:
        return [(layout, n) for layout in ("nchw", "nhwc") for n in (3, 1)]
    if len(port.shape) not in (3, 4):
        return []
    layouts = []
    for layout in ("nchw", "nhwc") if len(port.shape) == 4 else ("chw", "hwc"):
        channels = port.shape[layout.index("c")]
        sides = [port.shape[layout.index(side)] for side in "hw"]
        if (
            isinstance(channels, int)
            and channels in allowed
            and not any(isinstance(side, int) and side in allowed for side in sides)
        ):
            layouts.append((layout, int(channels or 0)))
        elif not isinstance(channels, int):
            layouts += [(layout, n) for n in (3, 1)]
    return sorted(layouts, key=lambda feed: not isinstance(port.shape[feed[0].index("c")], int))  # type: ignore[index]


def fixed_sides(port: Port, layout: str) -> tuple[int | None, int | None]:
    """Return the fixed (height, width) of an input in pixels; None for a side of free length."""
    if port.shape is None:
        return None, None
    height, width = (port.shape[layout.index(side)] for side in "hw")
    return height if isinstance(height, int) else None, width if isinstance(width, int) else None


def _check_input(path: Path, port: Port, channels: Collection[int]) -> None:
    """Raise ModelError if the dtype or the shape of the picture input is not supported."""
    if port.kind not in INPUT_DTYPES:
        why = f"its input takes {port.kind or 'an unknown type'} instead of one of {', '.join(INPUT_DTYPES)}"
        raise ModelError(str(path), why, REMEDY)
    if port.shape is None:
        return
    if not input_layouts(port, channels):
        why = f"its input is not a picture of 1, 3 or 4 channels (shape {_shape_text(port)})"
        raise ModelError(str(path), why, REMEDY)
    if len(port.shape) == 4 and isinstance(port.shape[0], int) and port.shape[0] > MAX_FIXED_BATCH:
        raise ModelError(str(path), f"it takes {port.shape[0]} pictures at once", "export it for one picture")
    if any(isinstance(axis, int) and axis > MAX_SIDE_PX for axis in port.shape):
        raise ModelError(
            str(path), f"its input is larger than {MAX_SIDE_PX} pixels a side", "export it for a smaller size"
        )


def _refusal_reason(node: Node, graph: Graph, bounds: dict[str, float] | None, rounds: float = 1) -> str:
    """Return why operator ``node`` is refused, or ''; ``rounds``: product of the iterations of the enclosing loops.

    ``bounds``: constants that can limit a loop, by name; None where loops are forbidden.
    """
    name = f"{node.domain}.{node.op}"[:80] if node.domain else node.op[:80]
    is_standard = node.domain in STANDARD_DOMAINS or node.domain == RUNTIME_DOMAIN
    if _function_body(node, graph) is not None and not is_standard and not node.bodies:
        return ""  # A function with the name of a standard operator is not accepted: either of them might run
    if node.domain == RUNTIME_DOMAIN:
        return "" if node.op in RUNTIME_OPS else f"its operator '{name}' is not allowed"
    if node.domain not in STANDARD_DOMAINS:
        return f"its operator '{name}' belongs to another program"
    if node.op == "Loop" and node.bodies and bounds is not None and _is_bounded(node, bounds, rounds):
        return _refusal_reason_inside(node, graph, bounds, rounds)
    if node.op in BRANCH_OPS or node.bodies:
        return f"{LOOPS_REASON} ('{name}')"
    if node.op in RANDOM_OPS:
        return f"it draws random numbers ('{name}'), so a clip would flicker"
    if node.op in TEXT_OPS or node.op.startswith(NON_TENSOR_PREFIXES):
        return f"it works on sequences or text ('{name}')"
    return ""


def _is_bounded(loop: Node, bounds: dict[str, float], rounds: float) -> bool:
    """Return whether a constant in ``bounds`` limits a loop's iterations, and the loop outputs only its last values.

    The limit times ``rounds``, the iterations of the enclosing loops, is at most ``MAX_ITERATIONS``.
    """
    [body, *others], limit = loop.bodies, bounds.get(loop.inputs[0]) if loop.inputs else None
    is_small = limit is not None and 0 <= limit * rounds <= MAX_ITERATIONS
    return not others and is_small and len(body.outputs) == len(loop.inputs) - 1 == len(loop.outputs) + 1


def _refusal_reason_inside(loop: Node, graph: Graph, bounds: dict[str, float], rounds: float) -> str:
    """Return the reason for refusing an operator inside a bounded loop; '' if all its operators are allowed.

    ``bounds``, ``rounds``: see ``_refusal_reason``.
    """
    body, rounds = loop.bodies[0], rounds * max(1, bounds[loop.inputs[0]])
    inner_names = body.computed_names() | body.initializers.keys()
    visible_bounds = {name: value for name, value in bounds.items() if name not in inner_names} | body.bounds()
    return next((why for node in body.nodes if (why := _refusal_reason(node, graph, visible_bounds, rounds))), "")


def _function_body(node: Node, graph: Graph) -> list[Node] | None:
    """Return the body of the function that ``node`` calls; None for any other operator."""
    domains = STANDARD_DOMAINS if node.domain in STANDARD_DOMAINS else (node.domain,)
    bodies = (graph.functions.get((domain, node.op, node.overload)) for domain in domains)
    return next((body for body in bodies if body is not None), None)


def _count_inlined(graph: Graph) -> int:
    """Return the number of operators after inlining all functions, or MAX_NODES + 1 for a larger number."""
    counts: dict[int, int] = {}

    def count(nodes: list[Node], depth: int) -> int:
        """Return the number of operators in ``nodes`` after inlining; ``depth``: the number of nested functions."""
        if depth > 64:  # The function calls itself
            return MAX_NODES + 1
        total = 0
        for node in nodes:
            body = _function_body(node, graph)
            if body is None:
                total += 1
            else:
                if id(body) not in counts:
                    counts[id(body)] = count(body, depth + 1)
                total += counts[id(body)]
            total += sum(count(inner.nodes, depth + 1) for inner in node.bodies)
            if total > MAX_NODES:
                return MAX_NODES + 1
        return total

    return count(graph.nodes, 0)
